"""What people's own networks did to pruning helpers, and the right values.

Each case stands for a kind; those of one module are in its tests. Where a
public report was the source, its repository and number are given.
"""

import warnings

import numpy as np
import pytest
from networks_of_all_kinds import outputs, random_weights, sequence

from helpers import compacting, measuring, pruning, training
from helpers.datasets import Split
from helpers.engine.backend import keras, tf
from helpers.engine.tracing import trace

L = keras.layers
X = np.random.default_rng(0).random((40, 6)).astype("float32")
Y = np.arange(40) % 3
SPLIT = Split(X, Y, X, Y, X, Y)
MAPS = np.random.default_rng(1).normal(size=(16, 8, 8, 2)).astype("float32")


def same(one, other, x=X):
    first, second = outputs(one, [x]), outputs(other, [x])
    return np.abs(first - second).max() <= 1e-5 * np.abs(first).max()


# A copy is the same network


def test_an_adapted_normalization_stays_adapted():
    """keras 20147: its mean is state, not only a weight."""
    normalization = L.Normalization()
    normalization.adapt(100 * X + 7)
    model = sequence(normalization, L.Dense(16, "relu"), L.Dense(3))
    assert same(model, pruning.prune_weights(model, 0.0), 100 * X + 7)


LOOKUPS = {
    "integers": (L.IntegerLookup, np.array([[11], [13], [17], [13]])),
    "strings": (L.StringLookup, np.array([["a"], ["b"], ["c"], ["b"]])),
}


@pytest.mark.parametrize("kind", LOOKUPS)
def test_an_adapted_lookup_knows_its_words(kind):
    """tensorflow 61369."""
    layer, words = LOOKUPS[kind]
    lookup = layer(output_mode="one_hot")
    lookup.adapt(words)
    dtype = "int64" if kind == "integers" else "string"
    model = sequence(
        lookup, L.Dense(8, "relu"), L.Dense(3), shape=(1,), dtype=dtype
    )
    words = keras.ops.convert_to_tensor(words)
    for copy in (pruning.copy_of(model), pruning.prune_units(model, 0.0)):
        assert np.array_equal(model(words), copy(words))


def test_a_vectorized_text_keeps_its_vocabulary():
    texts = keras.ops.convert_to_tensor([["so it goes"], ["so be it"]])
    vectors = L.TextVectorization(output_sequence_length=4)
    vectors.adapt(texts)
    model = sequence(
        vectors, L.Embedding(9, 4), L.Flatten(), L.Dense(8, "relu"), L.Dense(2),
        shape=(1,), dtype="string",
    )  # fmt: skip
    pruned = pruning.prune_units(model, 0.5)
    assert np.array_equal(pruned(texts), pruning.copy_of(pruned)(texts))
    small = compacting.compact(pruned)
    assert np.allclose(pruned(texts), small(texts), atol=1e-6)


class Doubled(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training, mask=mask)


def test_a_model_with_a_call_of_its_own_is_refused():
    """tensorflow 39856: the copy would forget it."""
    model = Doubled([keras.Input((6,)), L.Dense(4), L.Dense(3)])
    with pytest.raises(ValueError, match=r"a Doubled, which decides in Python"):
        pruning.prune_weights(model, 0.5)


def squashed(x):
    return keras.ops.tanh(x) / 2


class Shifted(L.Layer):
    def call(self, x):
        return x + 1


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Dense(6, activation=squashed),
        lambda: L.Lambda(lambda x: 3 * x),
        lambda: L.Dense(6, activation=lambda x: 3 * x),
        Shifted,
        lambda: L.Activation(squashed),
    ],
)
def test_functions_of_the_readers_own_need_no_registration(layer):
    """keras 8880: they are alive in this process."""
    entry = keras.Input((6,))
    hidden = L.Dense(8, "relu")(layer()(L.Dense(6, "relu")(entry)))
    model = random_weights(keras.Model(entry, L.Dense(3)(hidden)))
    pruned = pruning.prune_units(model, 0.5)
    assert same(pruned, pruning.copy_of(pruned))
    assert same(pruned, compacting.compact(pruned))


def test_a_head_that_starts_at_zero_learns():
    """rethinking-network-pruning 13: it was not pruned."""
    head = L.Dense(3, kernel_initializer="zeros", name="head")
    model = sequence(L.Dense(16, "relu"), head)
    with pytest.warns(UserWarning, match="'head' is all zero"):
        tuned = training.fine_tune(model, SPLIT, 5)
    assert tuned.get_layer("head").kernel.numpy().any(axis=0).all()


# Which layers, which units


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([L.Conv1D(8, 2), L.Flatten()], (6, 2)),
        ([L.Conv3D(8, 2), L.Flatten()], (4, 4, 4, 1)),
        ([L.Conv2DTranspose(8, 2), L.Flatten()], (4, 4, 2)),
        ([L.SeparableConv2D(8, 2), L.Flatten()], (4, 4, 2)),
        ([L.EinsumDense("abc,cde->abde", (6, 4, 2)), L.Flatten()], (6, 3)),
        ([L.Embedding(20, 8), L.Flatten()], (6,)),
    ],
)
def test_every_kernel_loses_its_share(layers, shape):
    """model-optimization 133: it was left out without a word."""
    model = sequence(*layers, L.Dense(3), shape=shape)
    (kernel,) = pruning.prunable_kernels(model).values()
    (pruned,) = pruning.prunable_kernels(
        pruning.prune_weights(model, 0.75)
    ).values()
    assert np.sum(pruned == 0) == round(0.75 * kernel.size)


def test_what_keeps_its_weights_is_named():
    model = sequence(
        L.DepthwiseConv2D(2, name="depth"), L.Conv2D(4, 2), L.Flatten(),
        L.Dense(3), shape=(8, 8, 2),
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"left out: depth \(DepthwiseConv2D"):
        pruning.prune_weights(model, 0.5)


def test_units_before_a_normalization_over_them_stay():
    """filter-pruning-geometric-median 27: deleted units fed 1.0 to 1.5."""
    model = sequence(
        L.Dense(8, "relu", name="mixed"), L.LayerNormalization(name="norm"),
        L.Dense(8, "relu", name="free"), L.Dense(3),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="norm .* keeps 8 units of mixed"):
        pruned = pruning.prune_units(model, 0.5)
    assert list(pruning.deleted_units(pruned)) == ["free"]
    with pytest.raises(ValueError, match=r"'mixed' have to stay: norm \(Layer"):
        pruning.apply_masks(model, {"mixed": np.arange(8) > 3})


def test_a_softmax_inside_is_exact_however_it_is_written():
    for activation in ("softmax", L.Softmax()):
        model = sequence(
            L.Dense(8, "relu"), L.Dense(8, activation=activation), L.Dense(3)
        )
        pruned = pruning.prune_units(random_weights(model), 0.5)
        assert same(pruned, compacting.compact(pruned))


def test_no_unit_of_a_softmax_is_constant():
    """Though no weight leads to it: the others decide what is left for it."""
    mixed, reader = L.Dense(4, "softmax"), L.Dense(3, "tanh")
    model = random_weights(sequence(mixed, reader, L.Dense(2)))
    for layer, silent in ((mixed, np.s_[:, 0]), (reader, np.s_[1:, 0])):
        kernel = layer.kernel.numpy()
        kernel[silent] = 0  # unit 0 of the reader reads unit 0 only
        layer.kernel.assign(kernel)
    assert compacting.live_units(model) == {mixed.name: 4, reader.name: 3}
    assert same(model, compacting.compact(model))


def test_layers_of_each_unit_alone_are_no_obstacle():
    """ELU, PReLU and so on were refused: "may mix the units", untrue."""
    model = sequence(
        L.Conv2D(8, 3), L.ELU(), L.ZeroPadding2D(), L.Conv2D(8, 3), L.PReLU(),
        L.GaussianNoise(0.1), L.UpSampling2D(), L.Cropping2D(1),
        L.Rescaling(0.5), L.Reshape((-1, 8)), L.Flatten(), L.Dense(3),
        shape=(8, 8, 2),
    )  # fmt: skip
    assert trace(model).left_out(units=True) == []
    pruned = pruning.prune_units(random_weights(model), 0.5)
    assert same(pruned, compacting.compact(pruned), MAPS)


def test_units_added_to_the_input_stay():
    entry = keras.Input((6,))
    x = L.add([entry, L.Dense(6, name="added")(entry)])
    model = keras.Model(entry, L.Dense(3)(L.Dense(8, name="free")(x)))
    assert list(pruning.deleted_units(pruning.prune_units(model, 0.5))) == [
        "free"
    ]
    with pytest.raises(ValueError, match="the input keeps all of them"):
        pruning.apply_masks(model, {"added": np.arange(6) > 2})


def test_multiplications_count_each_use_and_all_positions():
    """Channels first; a layer used twice; rows that are looked up."""
    entry = keras.Input((2, 8, 10))
    first = L.Conv2D(3, 3, data_format="channels_first")
    model = keras.Model(entry, L.Flatten()(first(entry)))
    assert sum(measuring.macs_per_layer(model).values()) == 54 * 6 * 8
    entry, relu, dense = keras.Input((6,)), L.ReLU(), L.Dense(6)
    model = keras.Model(entry, relu(dense(relu(dense(entry)))))
    assert measuring.counts(model)["macs"] == 2 * 36
    table = sequence(L.Embedding(20, 4), L.Flatten(), L.Dense(3))
    assert measuring.counts(table)["macs"] == 6 * 4 * 3


def test_masks_of_one_variable_add_up():
    """Units of one layer and weights of another that shares them."""
    model = random_weights(sequence(L.Dense(4, name="a"), L.Dense(3)))
    weights = np.random.default_rng(0).random((6, 4)) > 0.5
    pruning.apply_masks(model, {"a": np.arange(4) > 0})
    pruning.apply_masks(model, {"a": weights})
    model.compile("adam", "mse")
    model.fit(X, np.ones((40, 3)), verbose=0)
    kernel, bias = model.get_layer("a").get_weights()
    assert not kernel[:, 0].any()
    assert not kernel[~weights].any()
    assert bias[0] == 0


# Networks meant to break this


class Reversed(L.Layer):
    def call(self, x):
        return keras.ops.flip(x, axis=-1)


class Standardized(L.Conv2D):
    """Keras' own way to change a kernel before it is used."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))


@pytest.mark.parametrize(
    "layer",
    [
        Reversed,  # of an odd number, halves of the places look the same
        lambda: L.Lambda(lambda x: x / (x + 0 * x)),  # 0 / 0
        lambda: L.Masking(),
        lambda: Standardized(4, 1),
    ],
)
def test_what_cannot_do_with_fewer_units_keeps_them(layer):
    model = sequence(
        L.Conv2D(5, 1), layer(), L.Conv2D(4, 2), L.Flatten(), L.Dense(3),
        shape=(8, 8, 2),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="keeps 5 units of conv2d"):
        pruned = pruning.prune_units(random_weights(model), 0.5)
    assert same(pruned, compacting.compact(pruned), MAPS)


def test_an_array_that_spreads_over_one_unit_keeps_two():
    entry = keras.Input((6,))
    x = L.Dense(2)(entry) * np.ones(2, "float32")
    with pytest.raises(ValueError, match=r"multiply.* keeps 2 units"):
        pruning.prune_units(keras.Model(entry, L.Dense(3)(x)), 0.5)


def silent(model, name):
    """A network in which nothing leads to a layer but its biases."""
    kernel = random_weights(model).get_layer(name).kernel
    kernel.assign(np.zeros(kernel.shape))
    return model


def test_constants_are_those_of_predictions():
    """Though the layer was called with training=True; nothing changes."""
    entry = keras.Input((6,))
    x = L.Dense(8, "sigmoid", name="hidden")(entry)
    x = L.Concatenate()([L.BatchNormalization()(x, training=True), entry])
    model = silent(keras.Model(entry, L.Dense(3)(x)), "hidden")
    before = [v.numpy() for v in model.variables]
    small = compacting.compact(model)
    assert small.get_layer("hidden").units == 1
    assert same(model, small)
    assert all(map(np.array_equal, before, model.variables))


def test_constants_of_any_size_stay():
    """A sum over positions depends on how many there are."""
    entry = keras.Input((None, 6))
    x = L.Conv1D(8, 1, activation="sigmoid", name="hidden")(entry)
    x = keras.ops.sum(L.Concatenate()([x, entry]), axis=1)
    model = silent(keras.Model(entry, L.Dense(3)(x)), "hidden")
    for positions in (3, 20):
        x = np.random.default_rng(0).random((4, positions, 6))
        assert same(model, compacting.compact(model), x)


def test_a_bias_over_two_axes_is_nobodys():
    model = sequence(
        L.EinsumDense("abc,cd->abd", (7, 8), bias_axes="bd"), L.Flatten(),
        L.Dense(6, name="free"), L.Dense(3), shape=(7, 4),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="left out: einsum_dense"):
        pruned = pruning.prune_units(model, 0.5)
    assert list(pruning.deleted_units(pruned)) == ["free"]


def test_masks_pass_normalizations():
    model = sequence(
        L.Embedding(20, 6, mask_zero=True), L.Dense(8), L.BatchNormalization(),
        L.GlobalAveragePooling1D(), L.Dense(8), L.Dense(3), shape=(7,),
        dtype="int32",
    )  # fmt: skip
    words = np.random.default_rng(0).integers(1, 20, (9, 7))
    pruned = pruning.prune_units(random_weights(model), 0.5)
    assert same(pruned, compacting.compact(pruned), words)


def test_masks_cost_an_attention_nothing():
    entry, attention = keras.Input((5, 6)), L.MultiHeadAttention(4, 3)
    few = entry[:, :3]
    x = attention(entry, few, attention_mask=few[:, None, :, 0] > 0)
    macs = measuring.counts(keras.Model(entry, x))["macs"]
    assert macs == 72 * (5 + 3 + 3 + 5) + 2 * 5 * 3 * 12


def test_one_number_a_row_is_an_output():
    entry = keras.Input((6,))
    x = L.Dense(1)(L.Dense(8, "relu")(entry))
    model = random_weights(keras.Model(entry, x[:, 0]))
    pruned = pruning.prune_units(model, 0.5)
    assert np.allclose(pruned(X), compacting.compact(pruned)(X), atol=1e-5)
    labels = np.asarray(pruned(X)) > 0
    assert measuring.accuracy(pruned, X, labels.astype(int)) == 1


def test_a_weight_of_two_layers_is_refused():
    entry, dense = keras.Input((7, 4)), L.Dense(4, name="both")
    x = dense(L.TimeDistributed(dense, name="time")(entry))
    with pytest.raises(ValueError, match=r"a weight of 'both' and of 'time'"):
        pruning.copy_of(keras.Model(entry, x))


def test_nested_models_get_smaller_entries():
    """Called on a dict, they take its tensors by name."""
    second, first = keras.Input((4,), name="b"), keras.Input((4,), name="a")
    x = L.Concatenate()([L.Dense(5, "relu")(second), L.Dense(5)(first)])
    inner = keras.Model([second, first], x)
    entry = keras.Input((6,))
    x = inner({"a": L.Dense(4, "relu")(entry), "b": L.Dense(4)(entry)})
    model = random_weights(keras.Model(entry, L.Dense(3)(x)))
    pruned = pruning.prune_units(model, 0.5)
    assert same(pruned, compacting.compact(pruned))


def test_units_without_a_bias_are_deleted_units():
    model = sequence(L.Dense(8, use_bias=False, name="a"), L.Dense(3))
    pruned = pruning.prune_units(model, 0.5)
    assert pruning.deleted_units(pruned)["a"].sum() == 4


def test_what_keeps_a_state_gets_its_rows():
    model = keras.Sequential(
        [keras.Input(batch_shape=(4, 7, 3)), L.LSTM(5, stateful=True),
         L.Dense(8), L.Dense(3)]
    )  # fmt: skip
    before = [v.numpy() for v in model.variables]
    assert list(compacting.live_units(model).values()) == [8]
    assert all(map(np.array_equal, before, model.variables))


def test_bytes_are_cast_to_what_the_model_takes():
    model = sequence(L.Conv2D(4, 3), L.Flatten(), L.Dense(3), shape=(8, 8, 2))
    images = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 2))
    scores = [
        pruning.activation_scores(model, images.astype(kind))
        for kind in ("uint8", "float32")
    ]
    assert np.array_equal(*(next(iter(s.values())) for s in scores))


def test_averages_are_refused_under_a_scaled_loss_too():
    model = sequence(L.Dense(8, name="a"), L.Dense(3))
    averaging = keras.optimizers.Adam(use_ema=True)
    model.compile(keras.optimizers.LossScaleOptimizer(averaging), "mse")
    with pytest.raises(ValueError, match="use_ema"):
        pruning.apply_masks(model, {"a": np.arange(8) > 3})


# What a copy shares, forgets or mistakes


@pytest.mark.parametrize("by_a_lambda", [False, True])
def test_a_weight_of_another_layer_is_refused(by_a_lambda):
    """A head tied to an embedding would read the original's."""
    entry = keras.Input((7,), dtype="int32")
    words = L.Embedding(20, 6, name="words")
    x = L.Dense(6)(L.Dense(8, "relu")(words(entry)))
    if by_a_lambda:
        ops = keras.ops
        tied = L.Lambda(
            lambda t: ops.matmul(t, ops.transpose(words.embeddings))
        )
        x = tied(x)
    else:
        x = keras.ops.einsum("btc,vc->btv", x, words.embeddings)
    with pytest.raises(ValueError, match=r"'.*embeddings.*', a weight of an"):
        pruning.prune_weights(keras.Model(entry, x), 0.8)


def test_a_table_that_another_layer_holds_is_refused():
    """Looked up by a function: asked on numbers that can be looked up."""
    entry, table = keras.Input((7,), dtype="int32"), L.Embedding(20, 6)
    found = table(entry)
    look = L.Lambda(
        lambda n: tf.one_hot(n, 20) @ tf.convert_to_tensor(table.embeddings),
        output_shape=(7, 6),
    )
    model = keras.Model(entry, L.Add()([found, look(entry)]))
    with pytest.raises(ValueError, match="a weight of another layer"):
        pruning.copy_of(model)


def test_what_mixes_large_numbers_only_is_held():
    """The local response normalization of AlexNet."""
    layer = L.Lambda(lambda x: tf.nn.lrn(x, 2, 2.0, 2e-5, 0.75), name="lrn")
    model = sequence(
        L.Conv2D(8, 3, activation="relu"), layer, L.Conv2D(6, 3), L.Flatten(),
        L.Dense(3), shape=(8, 8, 2),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="lrn"):
        pruned = pruning.prune_units(model, 0.5)
    assert same(pruned, compacting.compact(pruned), 255 * MAPS)


def spread():
    """Units below what is spread over them; what else a model takes."""
    ops, row, rows = keras.ops, keras.Input((6,)), keras.Input((7, 6))
    words, wide = keras.Input((7,)), keras.Input((7, 7))
    unit, seen = L.Dense(8, "relu", name="x"), L.Dense(8, "relu", name="x")
    unit, seen = unit(row), seen(rows)
    mean, pooled = L.GlobalAveragePooling1D(), L.Softmax(axis=1)
    masked = L.Embedding(10, 6, mask_zero=True)
    masked, long = masked(words), masked(longer := keras.Input((None,)))
    masked, long = (L.Dense(8, "relu", name="x")(x) for x in (masked, long))
    edges = ops.relu(ops.matmul(wide, seen))
    return {
        "gate": (row, unit * L.Dense(1, "sigmoid")(row)),
        "attention pooling": (
            rows, ops.sum(seen * pooled(L.Dense(1)(seen)), axis=1),
        ),
        "mask": ([rows, words], ops.sum(seen * words[:, :, None], axis=1)),
        "masked mean": (words, mean(masked)),
        "mean of any length": (longer, mean(long)),
        "einsum": ([rows, words], ops.einsum("btc,bt->bc", seen, words)),
        "edges": ([rows, wide], mean(edges)),
        "edges by Dot": ([rows, wide], mean(L.Dot((2, 1))([wide, seen]))),
    }  # fmt: skip


@pytest.mark.parametrize("kind", spread())
def test_units_go_below_what_is_spread_over_them(kind):
    entries, made = spread()[kind]
    model = random_weights(keras.Model(entries, L.Dense(3)(L.Dense(5)(made))))
    with warnings.catch_warnings():  # what is spread stays, and is named
        warnings.simplefilter("ignore")
        pruned = pruning.prune_units(model, 0.5)
    small = compacting.compact(pruned)
    assert small.get_layer("x").units == 4
    random = np.random.default_rng(0)
    shapes = [(5, *(n or 4 for n in x.shape[1:])) for x in model.inputs]
    x = [random.integers(0, 9, shape) for shape in shapes]
    x = [array.astype("float32") for array in x]
    one, other = outputs(pruned, x), outputs(small, x)
    assert np.abs(one - other).max() <= 1e-5 * np.abs(one).max()


@pytest.mark.parametrize("join", [L.Add(), L.Minimum()], ids=type)
def test_units_stay_where_a_gate_moves_their_zeros(join):
    entry = keras.Input((6,))
    x = join([L.Dense(8, "relu", name="x")(entry), L.Dense(1)(entry)])
    model = random_weights(keras.Model(entry, L.Dense(3)(x)))
    with pytest.warns(UserWarning, match="left out"):
        small = compacting.compact(pruned := pruning.prune_units(model, 0.5))
    assert small.get_layer("x").units == 8
    assert same(pruned, small)


def test_a_depth_that_is_random_knows_no_width():
    """EfficientNet drops whole images of what a block adds."""
    entry = keras.Input((8, 8, 2))
    x = L.Conv2D(8, 1, name="a")(entry)
    drop = L.Dropout(0.2, noise_shape=(None, 1, 1, 1))
    x = x + drop(L.Conv2D(8, 1, name="b")(x))
    x = L.Dense(3)(L.GlobalAveragePooling2D()(x))
    pruned = pruning.prune_units(random_weights(keras.Model(entry, x)), 0.5)
    small = compacting.compact(pruned)
    assert small.get_layer("a").filters == 4
    assert same(pruned, small, MAPS)


@pytest.mark.parametrize("spoken", ["scores", "mask"])
def test_heads_stay_where_each_is_spoken_of(spoken):
    entry = keras.Input((7, 8))
    attend = L.MultiHeadAttention(4, 3, name="attend")
    if spoken == "scores":
        x, scores = attend(entry, entry, return_attention_scores=True)
        x = x + keras.ops.mean(scores, axis=(1, 2))[:, :, None]
    else:
        mask = np.random.default_rng(0).random((1, 4, 7, 7)) > 0.5
        x = attend(entry, entry, attention_mask=mask)
    model = random_weights(keras.Model(entry, L.Dense(3)(L.Dense(8)(x))))
    with pytest.warns(UserWarning, match="attend .* keeps 4 units"):
        small = compacting.compact(pruned := pruning.prune_units(model, 0.5))
    assert small.get_layer("attend").num_heads == 4
    x = np.random.default_rng(0).normal(size=(9, 7, 8)).astype("float32")
    assert same(pruned, small, x)


def test_heads_have_scores_when_units_are_ranked_by_activation():
    entry = keras.Input((7, 8))
    x = L.MultiHeadAttention(4, 3, name="attend")(entry, entry)
    model = random_weights(keras.Model(entry, L.Dense(3)(L.Dense(5)(x))))
    x = np.random.default_rng(0).normal(size=(9, 7, 8)).astype("float32")
    scores = pruning.activation_scores(model, x)
    norms = pruning.unit_scores(model)["attend/query"]
    assert np.array_equal(scores["attend/query"], norms)
    assert len(set(norms)) == 4


def test_an_array_that_no_longer_fits_starts_nothing(tmp_path):
    start = keras.initializers.Constant(np.arange(8.0))
    first = L.Dense(8, "relu", bias_initializer=start)
    model = random_weights(sequence(first, L.Dense(3)))
    small = compacting.compact(pruning.prune_units(model, 0.5))
    small.save(tmp_path / "small.keras")
    assert same(small, keras.models.load_model(tmp_path / "small.keras"))
    first = pruning.copy_of(model).layers[0]
    assert np.array_equal(first.bias_initializer.value, start.value)


def test_a_frozen_model_is_copied_frozen():
    inner = sequence(L.Dense(6), L.Dense(6))
    inner.trainable = False
    inner.layers[0].trainable = True  # which its model overrules
    model = sequence(inner, L.Dense(3))
    copy = pruning.copy_of(model)
    assert not copy.layers[0].trainable
    assert not copy.layers[0].trainable_variables
    assert len(copy.trainable_variables) == len(model.trainable_variables)


def test_zeros_that_are_not_held_are_named():
    model = sequence(
        L.DepthwiseConv2D(3, name="depthwise"), L.Conv2D(4, 1), L.Flatten(),
        L.Dense(3), shape=(8, 8, 2),
    )  # fmt: skip
    kernel = model.layers[0].kernel
    kernel.assign(kernel * (np.arange(9).reshape(3, 3, 1, 1) > 2))
    with pytest.warns(UserWarning, match="left out: zeros of depthwise "):
        pruning.hold_zeros(model)


def test_a_nested_model_is_called_by_keyword():
    inner = sequence(L.Dense(8, "relu"), L.Dense(6, "relu"))
    entry = keras.Input((6,))
    model = keras.Model(entry, L.Dense(3)(inner(training=False, inputs=entry)))
    pruned = pruning.prune_units(random_weights(model), 0.5)
    assert same(pruned, compacting.compact(pruned))


def test_a_layer_is_named_once_in_its_group():
    entry = keras.Input((6,))
    x = L.Dense(8, name="b")(entry)
    x = L.Concatenate()([x, x]) + L.Dense(16, name="a")(entry)
    table = measuring.groups(keras.Model(entry, L.Dense(3)(x)))
    assert list(table.index) == ["b, a"]
    assert list(table["layers"]) == [2]


class ByWidth(L.Layer):
    def build(self, shape):
        self.scale = shape[-1] ** -0.5

    def call(self, x):
        return x * self.scale


@pytest.mark.parametrize(
    "layer",
    [
        ByWidth(),
        L.Lambda(lambda x: 2 * x, output_shape=(8,)),
        L.Dropout(0.5, noise_shape=(None, 8)),
    ],
    ids=lambda layer: layer.name,
)
def test_what_was_told_a_width_keeps_it(layer):
    model = sequence(L.Dense(8, "relu"), layer, L.Dense(5), L.Dense(3))
    with pytest.warns(UserWarning, match=layer.name):
        small = compacting.compact(pruned := pruning.prune_units(model, 0.5))
    assert same(pruned, small)
    small.compile("sgd", "mse")
    small.fit(X, np.zeros((40, 3)), verbose=0)


def times(factor):
    def activation(x):
        return keras.ops.tanh(factor * x)

    return activation


def test_two_functions_of_one_name_are_refused():
    """From a name, a copy would take either for both."""
    gru = L.GRU(5, activation=times(1), recurrent_activation=times(5))
    model = sequence(gru, L.Dense(6), L.Dense(3), shape=(7, 4))
    with pytest.raises(ValueError, match=r"two 'activation'.*name of its own"):
        pruning.copy_of(model)


def test_a_layer_as_an_activation_is_left_unbuilt():
    conv = L.Conv2D(8, 3, activation=L.PReLU())
    model = sequence(conv, L.Flatten(), L.Dense(3), shape=(8, 8, 2))
    assert measuring.counts(model)["parameters"] > 0
    assert np.array(model(MAPS)).shape == (16, 3)


class Standardize(L.Layer):
    mean = 0.0

    def call(self, x):
        return x - self.mean


def test_what_no_configuration_tells_is_kept():
    layer = Standardize()
    layer.mean = 7.0
    model = sequence(layer, L.Dense(6, "relu"), L.Dense(3))
    assert same(model, pruning.copy_of(model))


def test_a_copy_has_the_state_of_the_original():
    model = sequence(L.Dense(8, "tanh", name="a"), L.Dense(3))
    model.get_layer("a").bias.trainable = False
    model.dtype_policy = "mixed_float16"
    copy = pruning.copy_of(model)
    copy.compile("sgd", "mse")
    assert copy.optimizer.name == "loss_scale_optimizer"
    flags = [w.trainable for w in copy.weights]
    assert flags == [w.trainable for w in model.weights]


def test_a_copy_takes_the_inputs_of_the_original():
    sparse = keras.Input((6,), sparse=True, name="sparse")
    absent = keras.Input((8,), optional=True, name="absent")
    either = L.Lambda(lambda x, y=None: x if y is None else x + y)
    hidden = L.Dense(8)(sparse)
    model = keras.Model([sparse, absent], either(hidden, absent))
    one, other = (net.inputs for net in (model, pruning.copy_of(model)))
    assert [x.sparse for x in one] == [x.sparse for x in other]
    layers = [[x._keras_history.operation for x in net] for net in (one, other)]
    assert [[x.optional for x in net] for net in layers] == [[False, True]] * 2


class Nameless(L.Layer):
    def __init__(self, factor=1, **options):
        super().__init__(**options)
        self.factor = factor
        self.inside = L.Dense(6)

    def call(self, x):
        return self.inside(x) * self.factor

    def get_config(self):
        return {"factor": self.factor}


def test_a_copy_has_the_names_and_flags_of_the_original():
    layer = Nameless(2, name="scale", trainable=False)
    model = sequence(layer, L.Dense(8, name="nameless"), L.Dense(3))
    keras.utils.clear_session()  # names are given anew
    copy = pruning.copy_of(model)
    assert [x.name for x in copy.layers] == [x.name for x in model.layers]
    assert not copy.get_layer("scale").trainable
    assert same(model, copy)


class Registered(keras.regularizers.Regularizer):
    def __call__(self, x):
        return 0.0 * keras.ops.sum(x)

    def get_config(self):
        return {}


def test_a_class_that_keras_does_not_know_is_found():
    dense = L.Dense(8, "relu", kernel_regularizer=Registered())
    model = sequence(dense, L.Dense(3))
    assert same(model, pruning.copy_of(model))


# Zeros that would come back


def test_averages_are_refused_after_pruning_too():
    model = sequence(L.Dense(8, name="a"), L.Dense(3))
    pruned = pruning.prune_weights(model, 0.5)
    with pytest.raises(ValueError, match="use_ema"):
        pruned.compile(keras.optimizers.Adam(use_ema=True), "mse")
    assert not pruned.compiled
    pruned.compile(optimizer="adam", loss="mse")
    pruned.fit(X, np.zeros((40, 3)), verbose=0)
    assert np.count_nonzero(pruned.get_layer("a").kernel) == 24


def test_a_mean_that_drifts_brings_no_unit_back(tmp_path):
    """Where an activation of zero is none, a normalization follows it."""
    model = sequence(
        L.Conv2D(8, 3, activation="softplus", name="c"),
        L.BatchNormalization(scale=False), L.Flatten(), L.Dense(3),
        shape=(8, 8, 2),
    )  # fmt: skip
    pruned = pruning.prune_units(model, 0.5)
    gone = pruning.deleted_units(pruned)["c"]
    for _ in range(2):
        pruned.compile("adam", "mse")
        pruned.fit(MAPS, np.ones((16, 3)), epochs=2, verbose=0)
        assert np.array_equal(pruning.deleted_units(pruned)["c"], gone)
        before = pruned
        before.save(tmp_path / "pruned.keras")
        pruned = keras.models.load_model(tmp_path / "pruned.keras")
        pruning.hold_zeros(pruned)
        assert same(before, pruned, MAPS)
    assert not pruned.get_layer("c").bias.numpy()[gone].any()
    assert same(pruned, compacting.compact(pruned), MAPS)


# What is counted and named


def products():
    entry, words = keras.Input((6, 8)), keras.Input((7,), dtype="int32")
    seen, ops = L.Dense(8)(entry), keras.ops
    maps, both = keras.Input((5, 6, 8)), L.ReversibleEmbedding(20, 6)
    within = L.MultiHeadAttention(4, 3, attention_axes=(2,))
    return {
        "attention": (entry, L.Attention()([entry, seen]), 384 + 2 * 6 * 6 * 8),
        "dot": (entry, L.Dot(2)([seen, entry]), 384 + 6 * 6 * 8),
        "matmul": (
            entry, ops.matmul(seen, ops.transpose(entry, (0, 2, 1))),
            384 + 6 * 6 * 8,
        ),
        "einsum": (
            entry, ops.einsum("bqc,bkc->bqk", seen, entry), 384 + 6 * 6 * 8,
        ),
        "matmul with an array": (
            entry, ops.matmul(seen, np.ones((8, 4), "float32")),
            384 + 6 * 8 * 4,
        ),
        "einsum with an array": (
            entry, ops.einsum("bqc,cd->bqd", seen, np.ones((8, 4), "float32")),
            384 + 6 * 8 * 4,
        ),
        "axes": (
            maps, within(maps, maps), 30 * 4 * 8 * 12 + 5 * 6 * 6 * 2 * 12,
        ),
        "reverse": (
            words, both(L.Dense(6)(both(words)), reverse=True),
            7 * 6 * 6 + 7 * 6 * 20,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("kind", products())
def test_products_of_two_tensors_are_counted(kind):
    entry, made, macs = products()[kind]
    assert measuring.counts(keras.Model(entry, made))["macs"] == macs


def test_a_gated_attention_is_left_whole():
    entry = keras.Input((6, 8))
    x = L.MultiHeadAttention(4, 3, use_gate=True, name="gated")(entry, entry)
    model = random_weights(keras.Model(entry, L.Dense(3)(L.Dense(8)(x))))
    with pytest.warns(UserWarning, match="gated"):
        pruned = pruning.prune_units(model, 0.5)
    x = np.random.default_rng(0).normal(size=(9, 6, 8)).astype("float32")
    assert same(pruned, compacting.compact(pruned), x)
    with pytest.raises(ValueError, match="gated"):
        measuring.counts(model)


def test_behind_a_head_that_nobody_knows_all_is_hidden():
    head = L.SpectralNormalization(L.Dense(3), name="head")
    model = sequence(L.Dense(16, name="a"), L.Dense(16, name="b"), head)
    assert list(pruning.prunable_kernels(model)) == ["a", "b"]
    with pytest.warns(UserWarning, match="head .* keeps 16 units of b"):
        pruning.prune_units(model, 0.5)


def test_layers_to_spare_are_a_list():
    model = sequence(L.Dense(16, name="a"), L.Dense(3))
    with pytest.raises(ValueError, match=r"`spare` is a list.*got 'a'"):
        pruning.prune_units(model, 0.5, spare="a")


def test_a_layer_that_comes_back_with_other_weights_is_refused():
    class Wide(L.Layer):
        def __init__(self, units=4, **options):
            super().__init__(**options)
            self.units = units

        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], self.units))

        def call(self, x):
            return x @ self.w

        def get_config(self):
            return {}

    model = sequence(Wide(5, name="wide"), L.Dense(3))
    with pytest.raises(ValueError, match=r"'wide' .* cannot be made anew"):
        pruning.copy_of(model)
