"""Laws of measuring: known counts, what the network says, any file."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import LAYOUTS

from helpers import compacting, deploying, measuring, networks, pruning
from helpers.engine.backend import keras


@pytest.fixture(scope="module")
def series_network():
    return networks.mlp()


def conv_net():
    return keras.Sequential(
        [
            keras.Input((8, 10, 2)),
            keras.layers.Conv2D(4, 3, name="conv"),  # 6 x 8 positions
            keras.layers.Flatten(),
            keras.layers.Dense(5, name="output"),
        ]
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
    readings = measuring.readings(halved, split.x_test, split.y_test)
    assert readings == {
        "accuracy": measuring.accuracy(halved, split.x_test, split.y_test),
        "weights left": 784 * 16 + 32 * 12 + 24 * 8,
        "units left": 16 + 12 + 8,
        "MACs": 784 * 32 + 32 * 24 + 24 * 16 + 16 * 10,
    }


def test_a_unit_is_left_as_long_as_one_weight_leads_to_it(trained, split):
    kernel = trained.layers[0].kernel.numpy()
    kernel[1:, 0] = 0
    kernel[:, 1] = 0
    trained.layers[0].kernel.assign(kernel)
    readings = measuring.readings(trained, split.x_test, split.y_test)
    assert readings["units left"] == 32 + 24 + 16 - 1


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


def test_loss_of_one_sigmoid_output_is_binary():
    model = networks.mlp(widths=(4,), inputs=3, classes=1)
    x, y = np.random.default_rng(0).random((50, 3)), np.arange(50) % 2
    p = np.array(model(x))[:, 0]
    expected = -np.mean(np.log(np.where(y == 1, p, 1 - p)))
    seen = measuring.loss_and_accuracy(model, x, y)
    assert seen["loss"] == pytest.approx(expected, rel=1e-5)
    assert seen["accuracy"] == measuring.accuracy(model, x, y)


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
        patch.setattr(measuring, "OUTPUTS_AT_ONCE", 4 * at_once)
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
    monkeypatch.setattr(measuring, "OUTPUTS_AT_ONCE", outputs)
    x = split.x_test[:50] if outputs <= 32 else split.x_test
    chunks = measuring.predictions(trained, x)
    assert np.array_equal(chunks, np.argmax(trained(x), axis=1))


@pytest.mark.parametrize("outputs", [2, 10_000])
def test_one_sigmoid_output_predicts_class_1_above_a_half(outputs, monkeypatch):
    monkeypatch.setattr(measuring, "OUTPUTS_AT_ONCE", outputs)
    model = networks.mlp(widths=(), inputs=1, classes=1)
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    x = np.array([[-3], [-0.1], [0], [0.1], [3]], np.float32)
    predicted = measuring.predictions(model, x)
    assert predicted.tolist() == [0, 0, 0, 1, 1]
    assert measuring.accuracy(model, x, np.array([0, 1, 0, 1, 1])) == 0.8


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
