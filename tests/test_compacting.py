"""Laws of compaction: smaller, the same outputs, no living unit lost."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from helpers import compacting, masking, networks, pruning
from helpers.engine.backend import keras

HIDDEN = ["hidden_1", "hidden_2", "hidden_3"]


def outputs(model, x):
    return np.asarray(model(x, training=False))


def gap(one, other, x):
    return np.max(np.abs(outputs(one, x) - outputs(other, x)))


def randomly_pruned(model, sparsity, seed):
    kernels = pruning.prunable_kernels(model, include_output=True)
    scores = masking.random_scores(kernels, seed)
    pruning.apply_masks(model, masking.layerwise_masks(scores, sparsity))
    return model


def keep_only(model, name, rows=slice(None), columns=slice(None)):
    """Zero all weights of a layer but a block; biases stay."""
    mask = np.zeros(model.get_layer(name).kernel.shape)
    mask[rows, columns] = 1
    pruning.apply_masks(model, {name: mask})


def units_on_a_path(model):
    """Hidden units that some input reaches and that reach some output."""
    kernels = [layer.get_weights()[0] != 0 for layer in model.layers]
    from_inputs, to_outputs = [np.ones(len(kernels[0]), bool)], [np.ones(10)]
    for kernel in kernels:
        from_inputs.append(from_inputs[-1] @ kernel)
    for kernel in kernels[::-1]:
        to_outputs.append(kernel @ to_outputs[-1] > 0)
    pairs = zip(from_inputs[1:-1], to_outputs[-2:0:-1], strict=True)
    counts = [int(np.sum(down & up)) for down, up in pairs]
    return dict(zip(HIDDEN, counts, strict=True))


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75, 0.9])
def test_compacted_model_gives_the_same_outputs(trained, split, sparsity):
    pruned = pruning.prune_units(trained, sparsity)
    small = compacting.compact(pruned)
    assert gap(pruned, small, split.x_test) <= 1e-5
    kept = [units - round(sparsity * units) for units in (32, 24, 16)]
    assert [layer.units for layer in small.layers] == [*kept, 10]
    assert small.count_params() < pruned.count_params()


@pytest.mark.parametrize("sparsity", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_sparse_model_keeps_its_outputs_and_its_units_on_a_path(
    trained, split, sparsity, seed
):
    pruned = randomly_pruned(trained, sparsity, seed)
    small = compacting.compact(pruned)
    assert gap(pruned, small, split.x_test) <= 1e-5
    assert compacting.live_units(pruned) == units_on_a_path(pruned)


def test_silent_units_leave_their_constant_behind(trained, split):
    keep_only(trained, "hidden_2", columns=slice(5, None))
    bias = np.linspace(-1, 1, 24)  # some emit relu(bias) > 0, some 0
    kernel = trained.get_layer("hidden_2").get_weights()[0]
    trained.get_layer("hidden_2").set_weights([kernel, -bias])
    small = compacting.compact(trained)
    assert small.get_layer("hidden_2").units == 24 - 5
    assert gap(trained, small, split.x_test) <= 1e-5
    moved = np.subtract(*(_biases(m, "hidden_3") for m in (trained, small)))
    assert np.abs(moved).max() > 0.1


def _biases(model, name):
    return model.get_layer(name).get_weights()[1]


@pytest.mark.parametrize("activation", ["tanh", "gelu", "sigmoid", None])
def test_the_constant_is_that_of_the_activation(split, activation):
    model = keras.Sequential([keras.Input((784,))])
    for name in HIDDEN[:2]:
        layer = keras.layers.Dense(9, activation, name=name)
        model.add(layer)
        layer.bias.assign(np.ones(9))
    model.add(keras.layers.Dense(10, name="output"))
    keep_only(model, "hidden_1", columns=slice(3, None))
    small = compacting.compact(model)
    assert small.layers[0].units == 6
    assert gap(model, small, split.x_test) <= 1e-5


def test_units_that_nobody_reads_go(trained, split):
    keep_only(trained, "hidden_2", rows=slice(0, 20))
    assert compacting.live_units(trained) == {
        "hidden_1": 20,
        "hidden_2": 24,
        "hidden_3": 16,
    }
    assert gap(trained, compacting.compact(trained), split.x_test) <= 1e-5


def test_a_dropped_unit_takes_its_only_sources_with_it(trained, split):
    """Unit 0 of the third layer goes, then unit 0 of the second, the first."""
    keep_only(trained, "output", rows=slice(1, None))
    for name in ("hidden_2", "hidden_3"):
        kernel, bias = trained.get_layer(name).get_weights()
        kernel[0, 1:] = 0  # unit 0 speaks to the next unit 0 only
        trained.get_layer(name).set_weights([kernel, bias])
    assert compacting.live_units(trained) == {
        "hidden_1": 31,
        "hidden_2": 23,
        "hidden_3": 15,
    }
    assert gap(trained, compacting.compact(trained), split.x_test) <= 1e-5


def test_a_dropped_unit_takes_its_only_listeners_with_it(trained, split):
    """Unit 0 is silent in the first layer, so it is in all that follow."""
    keep_only(trained, "hidden_1", columns=slice(1, None))
    for name in ("hidden_2", "hidden_3"):
        kernel, bias = trained.get_layer(name).get_weights()
        kernel[1:, 0] = 0  # unit 0 listens to the unit 0 before it only
        trained.get_layer(name).set_weights([kernel, bias])
    assert list(compacting.live_units(trained).values()) == [31, 23, 15]
    assert gap(trained, compacting.compact(trained), split.x_test) <= 1e-5


def test_an_unpruned_model_keeps_every_unit(trained, split):
    small = compacting.compact(trained)
    assert all(map(np.array_equal, small.get_weights(), trained.get_weights()))
    assert gap(trained, small, split.x_test) == 0


def test_a_network_without_hidden_layers_is_compact_already(split):
    model = networks.mlp(widths=())
    assert compacting.live_units(model) == {}
    assert gap(model, compacting.compact(model), split.x_test) == 0


def test_compacted_model_is_equal_after_saving_and_loading(
    trained, split, tmp_path
):
    small = compacting.compact(pruning.prune_units(trained, 0.5))
    small.save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    assert gap(small, loaded, split.x_test) == 0
    assert [layer.name for layer in loaded.layers] == [*HIDDEN, "output"]


def test_compacting_does_not_change_its_input(trained):
    pruned = randomly_pruned(trained, 0.95, seed=0)
    before = pruned.get_weights()
    small = compacting.compact(pruned)
    small.set_weights([np.zeros_like(w) for w in small.get_weights()])
    assert all(map(np.array_equal, before, pruned.get_weights()))


def test_a_layer_without_units_is_refused(trained):
    keep_only(trained, "hidden_2", columns=slice(0, 0))
    with pytest.raises(ValueError, match=r"'hidden_2' has no unit.*Prune less"):
        compacting.compact(trained)


# Convolutions


def conv_net(*middle, padding="valid", bias=True, reader="conv"):
    """Filters, something between, and what reads them; random everywhere."""
    layers = keras.layers
    readers = {
        "conv": [
            layers.Conv2D(5, 3, padding=padding, use_bias=bias, name="reader"),
            layers.Flatten(name="flat"),
        ],
        "flat": [
            layers.Flatten(name="flat"),
            layers.Dense(5, "relu", use_bias=bias, name="reader"),
        ],
        "pooled": [
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(5, "relu", use_bias=bias, name="reader"),
        ],
    }
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Reshape((28, 28, 1), name="image"),
            layers.Conv2D(8, 5, strides=3, use_bias=bias, name="filters"),
            *middle,
            *readers[reader],
            layers.Dense(3, name="output"),
        ]
    )
    random = np.random.default_rng(0)
    model.set_weights(
        [random.uniform(0.2, 0.9, w.shape) for w in model.get_weights()]
    )
    kernel = model.get_layer("filters").kernel
    kernel.assign(random.normal(size=kernel.shape))
    return model


MIDDLES = {
    "nothing": lambda layers: [],
    "relu": lambda layers: [layers.Activation("relu")],
    "norm, relu": lambda layers: [layers.BatchNormalization(), layers.ReLU()],
    "relu, norm": lambda layers: [layers.ReLU(), layers.BatchNormalization()],
    "norm, relu, pool, dropout": lambda layers: [
        layers.BatchNormalization(name="norm"),
        layers.Activation("relu"),
        layers.MaxPooling2D(2, padding="same"),
        layers.Dropout(0.5),
    ],
    "average": lambda layers: [layers.AveragePooling2D(2, padding="same")],
}


@pytest.mark.parametrize("reader", ["conv", "flat", "pooled"])
@pytest.mark.parametrize("middle", MIDDLES)
@pytest.mark.parametrize("bias", [True, False])
def test_deleted_filters_leave_the_outputs_equal(split, middle, reader, bias):
    model = conv_net(*MIDDLES[middle](keras.layers), bias=bias, reader=reader)
    mask = np.array([1, 0, 0, 1, 1, 0, 1, 1])
    pruning.apply_masks(model, {"filters": mask})
    small = compacting.compact(model)
    assert compacting.live_units(model)["filters"] == 5
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)
    kept = model.get_layer("filters").get_weights()[0][..., mask == 1]
    assert np.array_equal(small.get_layer("filters").get_weights()[0], kept)


def scale(model, split):
    return max(1, np.abs(outputs(model, split.x_test)).max())


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_compacted_lenet_gives_the_same_outputs(lenet, split, sparsity):
    pruned = pruning.prune_units(lenet, sparsity)
    small = compacting.compact(pruned)
    assert gap(pruned, small, split.x_test) <= 1e-5 * scale(pruned, split)
    kept = [units - round(sparsity * units) for units in (8, 12, 20)]
    assert list(compacting.live_units(pruned).values()) == kept
    shapes = [w.shape for w in small.get_weights()]
    one, two, dense = kept
    norms = [[(size,)] * 4 for size in (one, two)]
    assert shapes == [
        (5, 5, 1, one), *norms[0], (5, 5, one, two), *norms[1],
        (16 * two, dense), (dense,), (dense, 10), (10,),
    ]  # fmt: skip


@pytest.mark.parametrize("sparsity", [0.9, 0.97])
def test_sparse_lenet_keeps_its_outputs(lenet, split, sparsity):
    pruned = randomly_pruned(lenet, sparsity, seed=1)
    small = compacting.compact(pruned)
    assert gap(pruned, small, split.x_test) <= 1e-5 * scale(pruned, split)
    assert small.count_params() < pruned.count_params()


def test_compacted_lenet_is_equal_after_saving_and_loading(
    lenet, split, tmp_path
):
    small = compacting.compact(pruning.prune_units(lenet, 0.5))
    small.save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    assert gap(small, loaded, split.x_test) == 0


@pytest.mark.parametrize("reader", ["conv", "flat", "pooled"])
@pytest.mark.parametrize("middle", MIDDLES)
def test_constants_of_silent_filters_are_folded(split, middle, reader):
    model = conv_net(*MIDDLES[middle](keras.layers), reader=reader)
    kernel, bias = model.get_layer("filters").get_weights()
    kernel[..., 2:5] = 0  # without inputs, but with a bias
    model.get_layer("filters").set_weights([kernel, bias])
    small = compacting.compact(model)
    assert small.get_layer("filters").filters == 5
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)
    moved = np.subtract(*(_biases(m, "reader") for m in (small, model)))
    assert np.abs(moved).min() > 0.1


@pytest.mark.parametrize(
    "options", [{"padding": "same"}, {"bias": False}], ids=["padding", "bias"]
)
def test_a_constant_that_cannot_be_folded_keeps_its_filter(split, options):
    """At the border of a padded image the constant is not there."""
    norm = keras.layers.BatchNormalization(name="norm")
    model = conv_net(norm, **options)
    kernel, *bias = model.get_layer("filters").get_weights()
    kernel[..., 2:5] = 0
    model.get_layer("filters").set_weights([kernel, *bias])
    assert compacting.live_units(model)["filters"] == 8
    gamma, beta, mean, variance = norm.get_weights()
    gamma[3] = beta[3] = 0  # now the middle one of the three emits zero
    norm.set_weights([gamma, beta, mean, variance])
    small = compacting.compact(model)
    assert small.get_layer("filters").filters == 7
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)


def test_filters_with_a_scale_of_zero_go(split):
    """Network slimming: their normalization emits its shift, a constant."""
    norm = keras.layers.BatchNormalization(name="norm")
    model = conv_net(norm)
    gamma, *others = norm.get_weights()
    gamma[[1, 6]] = 0
    norm.set_weights([gamma, *others])
    small = compacting.compact(model)
    assert small.get_layer("filters").filters == 6
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)


def test_a_filter_that_no_position_reads_goes(split):
    model = conv_net(reader="flat")
    kernel, bias = model.get_layer("reader").get_weights()
    positions = kernel.reshape(-1, 8, 5)
    positions[:, 4] = 0  # nobody reads filter 4 anywhere
    positions[3:, 5] = 0  # filter 5 is read at three positions
    model.get_layer("reader").set_weights([kernel, bias])
    small = compacting.compact(model)
    assert small.get_layer("filters").filters == 7
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)


def test_a_normalization_after_the_flattening_is_cut_too(split):
    layers = keras.layers
    model = conv_net(layers.Flatten(), layers.BatchNormalization(name="norm"),
                     reader="flat")  # fmt: skip
    pruning.apply_masks(model, {"filters": np.array([0, 1] * 4)})
    assert np.array_equal(
        model.get_layer("norm").get_weights()[0] != 0, [0, 1] * 4 * 64
    )
    small = compacting.compact(model)
    assert small.get_layer("norm").get_weights()[0].shape == (256,)
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)


def test_a_filter_whose_constant_differs_by_position_goes(split):
    """After Flatten each position has weights, and a bias, of its own."""
    layers = keras.layers
    norm = layers.BatchNormalization(name="norm")
    model = conv_net(layers.Flatten(), norm, reader="flat")
    kernel, bias = model.get_layer("filters").get_weights()
    kernel[..., 2] = 0
    model.get_layer("filters").set_weights([kernel, bias])
    gamma, beta, *moving = norm.get_weights()
    gamma[2] = beta[2] = 0  # zero at the first position, not at the others
    norm.set_weights([gamma, beta, *moving])
    small = compacting.compact(model)
    assert small.get_layer("filters").filters == 7
    assert gap(model, small, split.x_test) <= 1e-5 * scale(model, split)


@hypothesis.given(
    seed=st.integers(0, 999),
    masks=st.tuples(
        *(st.lists(st.booleans(), min_size=n, max_size=n) for n in (4, 5, 6))
    ).filter(lambda masks: all(map(any, masks))),
)
@hypothesis.settings(max_examples=15)
def test_any_filters_may_go(split, seed, masks):
    model = networks.lenet((4, 5), (6,), seed=seed)
    names = ("conv_1", "conv_2", "hidden_1")
    masks = dict(zip(names, map(np.array, masks), strict=True))
    pruning.apply_masks(model, masks)
    live = compacting.live_units(model)
    assert live == {name: mask.sum() for name, mask in masks.items()}
    assert gap(model, compacting.compact(model), split.x_test[:20]) <= 1e-5


def test_a_convolution_without_filters_is_refused(lenet):
    mask = np.zeros(lenet.get_layer("conv_2").kernel.shape)
    pruning.apply_masks(lenet, {"conv_2": mask, "hidden_1": np.ones(20)})
    for norm in ("gamma", "beta"):
        getattr(lenet.get_layer("norm_2"), norm).assign(np.zeros(12))
    with pytest.raises(ValueError, match=r"'conv_2' has no unit.*Prune less"):
        compacting.compact(lenet)
