"""Laws of compaction: smaller, the same outputs, no living unit lost."""

import numpy as np
import pytest

from helpers import compacting, masking, networks, pruning
from helpers.backend import keras

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


def test_convolutions_are_refused():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(3, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match=r"'conv' \(Conv2D\).*Dense layers"):
        compacting.compact(model)


def test_a_model_that_may_branch_is_refused():
    entry = keras.Input((4,))
    one, other = (keras.layers.Dense(3)(entry) for _ in range(2))
    exit_ = keras.layers.Dense(2)(keras.layers.add([one, other]))
    with pytest.raises(ValueError, match=r"Functional.*keras\.Sequential"):
        compacting.compact(keras.Model(entry, exit_))


def test_a_layer_without_biases_is_refused():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, use_bias=False, name="bare")]
    )
    with pytest.raises(ValueError, match=r"'bare'.*with biases"):
        compacting.compact(model)


def test_an_activation_over_all_units_is_refused():
    """Without one of its units a softmax layer gives the others more."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, "softmax", name="gate"),
            keras.layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match=r"'gate'.*softmax"):
        compacting.compact(pruning.prune_units(model, 1 / 3))


def test_what_is_no_built_model_is_refused():
    with pytest.raises(ValueError, match="Keras model, got str"):
        compacting.compact("mlp")
    with pytest.raises(ValueError, match="has no weights yet"):
        compacting.compact(keras.Sequential([keras.layers.Dense(3)]))
