"""What people's own networks did to pruning helpers, and the right values.

Each case stands for a kind; those of one module are in its tests. Where a
public report was the source, its repository and number are given.
"""

import numpy as np
import pytest
from networks_of_all_kinds import outputs, random_weights, sequence

from helpers import compacting, measuring, pruning, training
from helpers.datasets import Split
from helpers.engine.backend import keras
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
