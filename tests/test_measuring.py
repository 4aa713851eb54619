"""Laws of measuring: known counts, what the network says, any file."""

import functools

import networks_of_all_kinds as kinds
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import LAYOUTS

from helpers import compacting, deploying, measuring, networks, pruning
from helpers.engine import channels
from helpers.engine.backend import keras
from helpers.engine.tracing import trace

L = keras.layers


@pytest.fixture(scope="module")
def series_network():
    return networks.mlp()


def seq(*layers, inputs=(6,)):
    return keras.Sequential([keras.Input(inputs), *layers])


def conv_net():
    return seq(
        L.Conv2D(4, 3, name="conv"),  # 6 x 8 positions
        L.Flatten(),
        L.Dense(5, name="output"),
        inputs=(8, 10, 2),
    )


def test_counts_of_the_series_network(series_network):
    cost = measuring.cost(series_network)
    assert cost.parameters == 2_388_710
    assert cost.macs == 2_386_000
    assert cost.nonzeros == 2_386_000  # the biases are not trained yet
    assert 4 * cost.parameters < cost.bytes < 4.04 * cost.parameters


def test_macs_of_the_series_network_by_layer(series_network):
    macs = measuring.macs_per_layer(series_network)
    assert list(macs.values()) == [784_000, 1_000_000, 500_000, 100_000, 2_000]
    assert list(macs) == [layer.name for layer in series_network.layers]


def test_a_convolution_works_at_every_output_position():
    macs = measuring.macs_per_layer(conv_net())
    assert macs == {"conv": 3 * 3 * 2 * 4 * 6 * 8, "output": 6 * 8 * 4 * 5}
    cost = measuring.cost(conv_net())
    assert cost.parameters == 3 * 3 * 2 * 4 + 4 + 6 * 8 * 4 * 5 + 5
    assert cost.macs == sum(macs.values())


def test_macs_of_lenet_dense_masked_and_compacted():
    model = networks.lenet()
    masked = pruning.prune_units(model, 0.5)
    for network in (model, masked):
        assert measuring.macs_per_layer(network) == {
            "conv_1": 25 * 20 * 24 * 24,
            "conv_2": 25 * 20 * 50 * 8 * 8,
            "hidden_1": 16 * 50 * 500,
            "output": 500 * 10,
        }
    assert measuring.macs_per_layer(compacting.compact(masked)) == {
        "conv_1": 25 * 10 * 24 * 24,
        "conv_2": 25 * 10 * 25 * 8 * 8,
        "hidden_1": 16 * 25 * 250,
        "output": 250 * 10,
    }


def twice(layer):
    """A layer that reads two inputs, which are then added."""
    inputs = [keras.Input((6,)), keras.Input((6,))]
    outputs = L.Dense(2, name="output")(L.Add()(list(map(layer, inputs))))
    return keras.Model(inputs, outputs)


COUNTED = {
    "channels first": (
        lambda: seq(
            L.Conv2D(4, 3, name="conv", data_format="channels_first"),
            inputs=(2, 8, 10),
        ),
        {"conv": 3456},
    ),
    "used twice": (
        lambda: twice(L.Dense(4, name="both")),
        {"both": 2 * 6 * 4, "output": 4 * 2},
    ),
    "a nested model used twice": (
        lambda: twice(keras.Sequential([L.Dense(4, name="both")], name="in")),
        {"in/both": 2 * 6 * 4, "output": 4 * 2},
    ),
    "a weightless layer used twice": (
        lambda: twice(L.ReLU()),
        {"output": 6 * 2},
    ),
    "rows that are looked up, of any length": (
        lambda: seq(
            L.Embedding(9, 4), L.GlobalMaxPooling1D(),
            L.Dense(2, name="output"), inputs=(None,),
        ),
        {"output": 4 * 2},
    ),
    "a slope for each number": (
        lambda: seq(L.PReLU(), L.Flatten(), L.Dense(2, name="output"),
                    inputs=(3, 4)),
        {"output": 12 * 2},
    ),
    "both kernels of one layer": (
        lambda: seq(L.SeparableConv2D(4, 3, name="conv"), inputs=(8, 8, 2)),
        {"conv": (3 * 3 * 2 + 2 * 4) * 6 * 6},
    ),
    "axes that are contracted": (
        lambda: seq(
            L.EinsumDense("...x,xyz->...yz", (8, 2), name="einsum"),
            inputs=(5, 6),
        ),
        {"einsum": 5 * 6 * 8 * 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", COUNTED)
def test_each_use_of_a_layer_is_counted(what):
    build, expected = COUNTED[what]
    assert measuring.macs_per_layer(build()) == expected


def attention(length):
    x = keras.Input((length, 6))
    return keras.Model(x, L.MultiHeadAttention(2, 3, name="heads")(x, x))


def test_attention_multiplies_all_pairs_of_positions():
    projections = 4 * 5 * 6 * 2 * 3
    pairs = 2 * 5 * 5 * 2 * 3  # of queries and keys, and of these and values
    macs = measuring.macs_per_layer(attention(5))
    assert macs == {"heads": projections + pairs}


@pytest.mark.parametrize(
    "build",
    [
        lambda: seq(L.Conv2D(4, 3), inputs=(None, None, 2)),
        lambda: seq(L.EinsumDense("abc,cd->abd", (None, 8)), inputs=(None, 6)),
        lambda: attention(None),
    ],
)
def test_macs_of_a_size_that_is_not_fixed_are_refused(build):
    with pytest.raises(ValueError, match=r"a size that is not fixed\. Pass"):
        measuring.counts(build())


def test_a_layer_that_nobody_can_count_is_named():
    layer = L.ConvLSTM1D(3, 2, name="lstm")
    with pytest.raises(
        ValueError, match=r"layer lstm \(ConvLSTM1D\).*not known"
    ):
        measuring.counts(seq(layer, L.Flatten(), inputs=(5, 4, 2)))
    entry = keras.Input((7, 2, 8), name="entry")
    seen = keras.ops.dot_product_attention(entry, entry, entry)
    with pytest.raises(ValueError, match=r"dot_product_attention .*not known"):
        measuring.counts(keras.Model(entry, seen))


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_a_recurrent_layer_multiplies_at_every_time(kind, gates):
    layer = getattr(L, kind)(3, name="memory")
    macs = measuring.macs_per_layer(
        seq(layer, L.Dense(2, name="last"), inputs=(5, 4))
    )
    assert macs == {"memory": 5 * gates * 3 * (4 + 3), "last": 3 * 2}


def test_integers_are_counted_as_floats_are(trained):
    small = deploying.keras_int8(trained)
    macs = [measuring.counts(model)["macs"] for model in (trained, small)]
    assert macs[0] == macs[1]


def test_masking_takes_nonzeros_and_zipped_bytes_only(trained):
    full, masked = (
        measuring.cost(m)
        for m in (trained, pruning.prune_weights(trained, 0.9))
    )
    removed = sum(round(0.9 * n) for n in (784 * 32, 32 * 24, 24 * 16))
    assert full.nonzeros == full.parameters
    assert masked.nonzeros == full.nonzeros - removed
    assert masked[0::2][:2] == full[0::2][:2]  # parameters, macs
    assert abs(masked.bytes - full.bytes) < 100
    assert masked.zipped_bytes < 0.5 * full.zipped_bytes


def test_compaction_takes_parameters_macs_and_bytes(trained):
    masked = pruning.prune_units(trained, 0.5)
    before = measuring.cost(masked)
    after = measuring.cost(compacting.compact(masked))
    assert after.parameters == (785 * 16) + (17 * 12) + (13 * 8) + (9 * 10)
    assert after.macs == 784 * 16 + 16 * 12 + 12 * 8 + 8 * 10
    assert after.bytes < before.bytes - 4 * 12_000


def test_cost_of_a_compiled_model_leaves_its_optimizer_out(trained, split):
    plain = measuring.cost(trained)
    trained.compile("adam", "sparse_categorical_crossentropy")
    trained.fit(split.x_val, split.y_val, verbose=0)
    assert abs(measuring.cost(trained).bytes - plain.bytes) < 100


def test_readings_count_what_is_left(trained, split):
    halved = pruning.prune_units(trained, 0.5)
    assert measuring.left_in(halved) == {
        "weights left": 784 * 16 + 32 * 12 + 24 * 8,
        "units left": 16 + 12 + 8,
        "MACs": 784 * 32 + 32 * 24 + 24 * 16 + 16 * 10,
    }


def test_a_unit_is_left_as_long_as_one_weight_leads_to_it(trained, split):
    kernel = trained.layers[0].kernel.numpy()
    kernel[1:, 0] = 0
    kernel[:, 1] = 0
    trained.layers[0].kernel.assign(kernel)
    assert measuring.left_in(trained)["units left"] == 32 + 24 + 16 - 1


def test_accuracy_is_the_fraction_of_right_answers(trained, split):
    x = split.x_test
    for kernel, bias in zip(*[iter(trained.get_weights())] * 2, strict=True):
        x = np.maximum(x, 0) @ kernel + bias
    right = np.mean(x.argmax(axis=1) == split.y_test)
    assert measuring.accuracy(trained, split.x_test, split.y_test) == right
    assert right > 0.5


def test_loss_is_the_mean_cross_entropy(trained, split):
    logits = np.array(trained(split.x_test), np.float64)
    right = logits[range(len(logits)), split.y_test]
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - right)
    seen = measuring.loss_and_accuracy(trained, split.x_test, split.y_test)
    assert seen["loss"] == pytest.approx(expected, rel=1e-5)
    accuracy = measuring.accuracy(trained, split.x_test, split.y_test)
    assert seen["accuracy"] == accuracy


def ends(how):
    """A network that ends in logits or in what they stand for."""
    return {
        "logits": lambda: seq(L.Dense(16, "relu"), L.Dense(3)),
        "softmax": lambda: seq(L.Dense(16, "relu"), L.Dense(3, "softmax")),
        "a layer": lambda: seq(L.Dense(3), L.Softmax()),
        "one logit": lambda: seq(L.Dense(16, "relu"), L.Dense(1)),
        "a sigmoid": lambda: seq(L.Dense(16, "relu"), L.Dense(1, "sigmoid")),
    }[how]()


LOSSES = {
    "logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "softmax": keras.losses.SparseCategoricalCrossentropy(),
    "a layer": keras.losses.SparseCategoricalCrossentropy(),
    "one logit": keras.losses.BinaryCrossentropy(from_logits=True),
    "a sigmoid": keras.losses.BinaryCrossentropy(),
}


@pytest.mark.parametrize("how", LOSSES)
def test_loss_and_accuracy_are_what_keras_says(how):
    x = np.random.default_rng(0).random((40, 6), np.float32)
    model, metric = ends(how), "accuracy"
    y = np.argmax(x[:, : max(2, model.output_shape[-1])], axis=1)
    if how == "one logit":
        metric = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.Adam(0.05), LOSSES[how], metrics=[metric])
    model.fit(x, y, epochs=20, verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    seen = measuring.loss_and_accuracy(model, x, y)
    assert seen["loss"] == pytest.approx(loss, rel=1e-4)
    assert seen["accuracy"] == pytest.approx(accuracy)
    assert measuring.accuracy(model, x, y) == seen["accuracy"]
    assert accuracy > 0.6


def test_counts_are_the_part_of_cost_without_files(trained):
    cost = measuring.cost(trained)._asdict()
    counts = measuring.counts(trained)
    assert list(counts) == ["parameters", "nonzeros", "macs"]
    assert counts.items() <= cost.items()


def test_labels_in_a_column_are_labels_too(trained, split):
    plain = measuring.accuracy(trained, split.x_test, split.y_test)
    column = split.y_test[:, None]
    assert measuring.accuracy(trained, split.x_test, column) == plain
    seen = measuring.loss_and_accuracy(trained, split.x_test, column)
    assert seen["accuracy"] == plain


tiny = functools.cache(lambda: networks.mlp((4,), inputs=3, classes=3))


@given(
    arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)),
           elements=st.integers(-50, 50)),
    st.sampled_from([np.float16, np.float32, np.float64, np.int8, np.int64]),
    st.sampled_from([*LAYOUTS]),
    st.integers(1, 25),
)  # fmt: skip
def test_chunks_layout_and_dtype_of_images_decide_nothing(
    images, dtype, layout, at_once
):
    model, x = tiny(), LAYOUTS[layout](images.astype(dtype))
    expected = np.array(model(images.astype("float32"))).argmax(axis=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channels, "NUMBERS_AT_ONCE", 4 * at_once)
        said = measuring.predictions(model, x)
    assert np.array_equal(said, expected)
    accuracy = measuring.accuracy(model, x, expected[:, None])
    assert accuracy == 1
    labels = (expected + np.arange(len(x)) % 2) % 3  # every second is wrong
    right = 1 - len(x) // 2 / len(x)
    assert measuring.accuracy(model, x, labels) == pytest.approx(right)


@pytest.mark.parametrize("outputs", [10, 32, 7 * 32, 200 * 32, 10**7])
def test_predictions_in_chunks_equal_the_whole(
    trained, split, outputs, monkeypatch
):
    monkeypatch.setattr(channels, "NUMBERS_AT_ONCE", outputs)
    x = split.x_test[:50] if outputs <= 32 else split.x_test
    chunks = measuring.predictions(trained, x)
    assert np.array_equal(chunks, np.argmax(trained(x), axis=1))


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("outputs", [2, 10_000])
def test_one_output_predicts_class_1_above_even_odds(
    outputs, activation, monkeypatch
):
    monkeypatch.setattr(channels, "NUMBERS_AT_ONCE", outputs)
    model = seq(L.Dense(1, activation), inputs=(1,))
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    x = np.array([[-3], [-0.1], [0], [0.1], [3]], np.float32)
    predicted = measuring.predictions(model, x)
    assert predicted.tolist() == [0, 0, 0, 1, 1]
    assert measuring.accuracy(model, x, np.array([0, 1, 0, 1, 1])) == 0.8


def test_an_output_in_a_dict_is_an_output():
    x = keras.Input((6,))
    plain = keras.Model(x, L.Dense(3)(x))
    named = keras.Model(x, {"logits": plain(x)})
    rows = np.random.default_rng(0).random((40, 6), np.float32)
    said = measuring.predictions(plain, rows)
    assert np.array_equal(measuring.predictions(named, rows), said)
    assert measuring.loss_and_accuracy(named, rows, said)["accuracy"] == 1


def test_several_inputs_are_read_together():
    model = twice(L.Dense(4))
    rows = list(np.random.default_rng(0).random((2, 40, 6), np.float32))
    expected = np.argmax(model(rows), axis=1)
    assert np.array_equal(measuring.predictions(model, rows), expected)
    with pytest.raises(ValueError, match=r"takes rows of shape \(6,\), \(6,\)"):
        measuring.predictions(model, rows[0])


@pytest.mark.parametrize("size", [5, 9])
def test_images_of_any_size_are_read(size):
    model = seq(
        L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(3),
        inputs=(None, None, 2),
    )  # fmt: skip
    x = np.random.default_rng(0).random((40, size, size, 2), np.float32)
    expected = np.argmax(model(x), axis=1)
    assert np.array_equal(measuring.predictions(model, x), expected)


def test_one_hot_labels_are_told_from_classes():
    model, y = ends("logits"), np.arange(40) % 3
    advice = r"`y` has shape \(40, 3\), one-hot\? Pass `y\.argmax\(axis=1\)`\."
    with pytest.raises(ValueError, match=advice):
        measuring.accuracy(model, np.zeros((40, 6)), np.eye(3)[y])


@pytest.mark.parametrize("y", [np.arange(39) % 3, np.arange(40) % 3 + 1])
def test_labels_of_other_rows_or_classes_are_refused(y):
    with pytest.raises(ValueError, match="a class from 0 to 2 for each of 40"):
        measuring.accuracy(ends("logits"), np.zeros((40, 6)), y)


def test_a_file_is_measured_as_its_model_is(trained, split):
    file = deploying.convert(trained)
    assert len(file) == pytest.approx(4 * trained.count_params(), rel=0.1)
    seen = [
        measuring.accuracy(m, split.x_test, split.y_test)
        for m in (trained, file)
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("size", [1, 50, 1_000, 2_001])
def test_a_file_predicts_in_chunks_as_in_one(trained, sample, size):
    file = deploying.convert(trained)
    x = np.resize(sample.x_test, (size, 784))
    chunks = measuring.predictions(file, x)
    assert np.array_equal(chunks, np.argmax(trained(x), axis=1))


def test_all_outputs_of_all_rows_come_out():
    """More rows than are called at once; a part of them is not enough."""
    entry = keras.Input((6,))
    ends = [keras.layers.Dense(n)(entry) for n in (3, 4)]
    model = keras.Model(entry, ends)
    x = np.random.default_rng(0).random((2500, 6), np.float32)
    for seen, told in zip(
        measuring.outputs(model, x), model.predict(x, verbose=0), strict=True
    ):
        np.testing.assert_allclose(seen, told, atol=1e-6)


# Groups


def test_groups_of_a_residual_network():
    table = measuring.groups(networks.resnet((4, 6)))
    stem, first, second = 9 * 4 + 16, 36 * 4 + 16, 36 * 6 + 24
    assert table.to_dict("index") == {
        "stem, conv_1b": {
            "layers": 2, "units": 4, "parameters": stem + 36 * 4 + 16,
            "MACs": 9 * 4 * 28**2 + 36 * 4 * 14**2,
        },
        "conv_1a": {
            "layers": 1, "units": 4, "parameters": first,
            "MACs": 36 * 4 * 14**2,
        },
        "conv_2a": {
            "layers": 1, "units": 6, "parameters": second,
            "MACs": 36 * 6 * 7**2,
        },
        "conv_2b, skip_2": {
            "layers": 2, "units": 6, "parameters": 54 * 6 + 24 + 4 * 6 + 24,
            "MACs": (54 + 4) * 6 * 7**2,
        },
    }  # fmt: skip


@pytest.mark.parametrize("kind", kinds.NETWORKS)
def test_no_parameter_and_no_mac_is_counted_twice(kind):
    """What goes with each unit, and with those that have to stay, is all."""
    model = kinds.NETWORKS[kind]()
    table = measuring.groups(model)
    assert (table.drop(columns="MACs") > 0).all(axis=None)
    assert table["parameters"].sum() < model.count_params()
    assert list(table.index) == list(trace(model).families())
    if kind not in ("recurrent", "backbone of any size"):
        assert table["MACs"].sum() <= measuring.counts(model)["macs"]


def test_all_but_the_output_is_in_groups_where_nothing_stays():
    for model in (networks.mlp((9, 8)), networks.lenet(), networks.resnet()):
        table, counts = measuring.groups(model), measuring.counts(model)
        output = model.get_layer("output").count_params()
        assert table["parameters"].sum() == counts["parameters"] - output
        macs = measuring.macs_per_layer(model)
        assert table["MACs"].sum() == counts["macs"] - macs["output"]


def test_a_transformer_owns_its_heads_and_its_wide_layer():
    table = measuring.groups(kinds.transformer())
    heads = [f"attention/{part}" for part in ("query", "key", "value")]
    assert table["units"].to_dict() == {", ".join(heads): 4, "wide": 32}
    projections = 4 * 16 * 4 * 8 + 3 * 4 * 8  # and biases of three of them
    assert table["parameters"].tolist() == [projections, 16 * 32 + 32]
    macs = measuring.macs_per_layer(kinds.transformer())
    assert table["MACs"].tolist() == [macs["attention"], macs["wide"]]


def test_a_depthwise_layer_belongs_to_whose_units_it_passes_on():
    entry = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 1, name="one", use_bias=False)(entry)
    x = L.DepthwiseConv2D(3, name="deep", use_bias=False)(x)
    model = keras.Model(entry, L.Dense(2)(L.GlobalMaxPooling2D()(x)))
    (row,) = measuring.groups(model).to_dict("records")
    assert row["parameters"] == 3 * 4 + 9 * 4
    assert row["MACs"] == 8 * 8 * 3 * 4 + 6 * 6 * 9 * 4


def test_groups_of_a_network_in_which_nothing_may_go():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    with pytest.raises(ValueError, match="no unit that may go"):
        measuring.groups(model)
