"""Laws of masked models: zeros stay zero, everything else is left alone."""

import re

import numpy as np
import pytest

from helpers import (
    checking,
    compacting,
    masking,
    networks,
    pruning,
    training,
)
from helpers.engine import holding
from helpers.engine.backend import keras, view

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.01),
    "nesterov": lambda: keras.optimizers.SGD(0.05, 0.9, nesterov=True),
}
MOMENTS = ["before compile", "after compile", "after an earlier fit"]
HIDDEN = ["hidden_1", "hidden_2", "hidden_3"]


class MaskedEntries(keras.callbacks.Callback):
    """Looks, after every step, at the weights themselves."""

    def __init__(self, masks):
        super().__init__()
        self.masks, self.largest = masks, []

    def on_train_batch_end(self, batch, logs=None):
        kernels = {x.name: x.get_weights()[0] for x in self.model.layers}
        self.largest.append(
            max(
                np.max(np.abs(kernels[name][mask == 0]))
                for name, mask in self.masks.items()
            )
        )


def compile_with(model, optimizer):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(OPTIMIZERS[optimizer](), loss)


def train(model, split, *callbacks, x=None):
    """Six steps of 100 images."""
    x = split.x_train if x is None else x
    model.fit(
        x, split.y_train, batch_size=100, verbose=0, callbacks=list(callbacks)
    )


def half_masks(model):
    scores = masking.magnitude_scores(pruning.prunable_kernels(model))
    return masking.layerwise_masks(scores, 0.5)


def weights_of(model):
    return {x.name: x.get_weights() for x in model.layers if x.get_weights()}


def same(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def conv_net():
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Reshape((28, 28, 1)),
            keras.layers.Conv2D(6, 5, strides=4, name="conv_1"),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv_2"),
            keras.layers.Flatten(),
            keras.layers.Dense(10, name="output"),
        ]
    )


# Zeros are held


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_zeros_are_zero_after_every_step(trained, split, optimizer, moment):
    if moment != "before compile":
        compile_with(trained, optimizer)
    if moment == "after an earlier fit":
        train(trained, split)  # the optimizer now carries momentum
    masks = half_masks(trained)
    pruning.apply_masks(trained, masks)
    if moment == "before compile":
        compile_with(trained, optimizer)
    before = weights_of(trained)["hidden_1"][0]
    counter, watch = checking.RevivedWeights(masks), MaskedEntries(masks)
    train(trained, split, counter, watch)
    assert (counter.steps, counter.worst) == (6, 0)
    assert watch.largest == [0.0] * 6
    assert not np.array_equal(before, weights_of(trained)["hidden_1"][0])


def test_a_zero_is_held_where_the_weight_is_no_number():
    weights = np.float32([-2, -3, np.nan, np.inf, -np.inf])
    held = np.array(holding.KeepMask([1, 0, 0, 0, 0])(weights))
    assert np.array_equal(held, [-2, 0, 0, 0, 0])
    assert np.signbit(held).tolist() == [True] + 4 * [False]


def test_a_view_stays_as_it_was_when_its_variable_changes(trained, split):
    kernel = trained.layers[0].kernel
    seen, before = view(kernel), kernel.numpy()
    compile_with(trained, "adam")
    train(trained, split)
    pruning.apply_masks(trained, half_masks(trained))
    assert np.array_equal(seen, before)
    assert not np.array_equal(view(kernel), before)
    with pytest.raises(ValueError, match="read-only"):
        seen[0] = 0


@pytest.mark.parametrize("build", [networks.mlp, networks.lenet])
def test_a_copy_is_built_like_its_model(build):
    """Also its initializers, which do not run."""
    model = build()
    copy = pruning.copy_of(model)
    assert copy.get_config() == model.get_config()
    assert all(map(np.array_equal, model.get_weights(), copy.get_weights()))


def test_a_copy_has_weights_of_its_own(trained, split):
    copy, before = pruning.copy_of(trained), trained.get_weights()
    compile_with(copy, "adam")
    train(copy, split)
    pruning.apply_masks(copy, half_masks(copy))
    assert all(map(np.array_equal, before, trained.get_weights()))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_zeros_are_held_after_saving_and_loading(
    trained, split, optimizer, tmp_path
):
    pruned = pruning.prune_weights(trained, 0.8)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    assert same(loaded, pruned)
    pruning.hold_zeros(loaded)
    assert same(loaded, pruned)
    masks = {name: pruning.masks_of(pruned)[name] for name in HIDDEN}
    compile_with(loaded, optimizer)
    watch = MaskedEntries(masks)
    train(loaded, split, watch)
    assert watch.largest == [0.0] * 6


def test_without_holding_a_loaded_model_forgets_its_mask(trained, split):
    copy = pruning.copy_of(pruning.prune_weights(trained, 0.8))
    masks = {name: pruning.masks_of(copy)[name] for name in HIDDEN}
    counter, watch = checking.RevivedWeights(masks), MaskedEntries(masks)
    compile_with(copy, "adam")
    train(copy, split, counter, watch)
    assert counter.worst > 0
    assert min(watch.largest) > 0


def test_a_second_mask_adds_to_the_first(trained, split):
    compile_with(trained, "adam")
    pruned = half_masks(trained)
    pruning.apply_masks(trained, pruned)
    train(trained, split)
    scores = masking.magnitude_scores(pruning.prunable_kernels(trained))
    more = masking.layerwise_masks(scores, 0.9)
    pruning.apply_masks(trained, more)
    watch = MaskedEntries(more)
    train(trained, split, watch)
    assert watch.largest == [0.0] * 6
    assert all((more[name] <= pruned[name]).all() for name in HIDDEN)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_pruned_units_stay_silent_through_training(split, activation):
    model = keras.Sequential([keras.Input((784,), name="pixels")])
    for name in HIDDEN:
        model.add(keras.layers.Dense(12, activation, name=name))
    model.add(keras.layers.Dense(10, name="output"))
    compile_with(model, "adam")
    train(model, split)
    pruned = pruning.prune_units(model, 0.5)
    gone = {n: ~weights_of(pruned)[n][0].any(axis=0) for n in HIDDEN}
    compile_with(pruned, "nesterov")
    train(pruned, split)
    for name in HIDDEN:
        kernel, bias = weights_of(pruned)[name]
        assert gone[name].sum() == 6
        assert not kernel[:, gone[name]].any()
        assert not bias[gone[name]].any()
        assert bias[~gone[name]].all()


def test_unit_masks_are_held_after_saving_and_loading(trained, split, tmp_path):
    pruned = pruning.prune_units(trained, 0.5)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    pruning.hold_zeros(loaded)
    compile_with(loaded, "adam")
    train(loaded, split)
    for name in HIDDEN:
        gone = ~weights_of(pruned)[name][0].any(axis=0)
        kernel, bias = weights_of(loaded)[name]
        assert not kernel[:, gone].any()
        assert not bias[gone].any()
        assert bias[~gone].all()


def test_biases_of_living_units_that_happen_to_be_zero_may_train(split):
    model = networks.mlp(widths=(32, 24, 16))  # all biases are zero
    pruned = pruning.prune_units(model, 0.5)
    pruning.hold_zeros(pruned)
    compile_with(pruned, "adam")
    train(pruned, split)
    for name in HIDDEN:
        kernel, bias = weights_of(pruned)[name]
        assert ((bias != 0) == kernel.any(axis=0)).all()


def test_a_silent_unit_keeps_training_its_bias_if_it_had_one(trained, split):
    """Weight pruning may take a unit's inputs, but never its bias."""
    mask = np.ones((784, 32), np.uint8)
    mask[:, 5] = 0
    pruning.apply_masks(trained, {"hidden_1": mask})
    assert trained.get_layer("hidden_1").bias[5] != 0
    copy = pruning.copy_of(trained)
    pruning.hold_zeros(copy)
    assert copy.get_layer("hidden_1").bias.constraint is None


# What pruning leaves alone


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_weight_pruning_leaves_biases_and_the_output_alone(trained, scope):
    pruned = pruning.prune_weights(trained, 0.7, scope=scope)
    for name in HIDDEN:
        bias, kept = weights_of(trained)[name][1], weights_of(pruned)[name][1]
        assert bias.all()
        assert np.array_equal(kept, bias)
    before, after = (weights_of(m)["output"] for m in (trained, pruned))
    assert all(map(np.array_equal, before, after))


def test_unit_pruning_leaves_kept_units_and_the_output_alone(trained):
    pruned = pruning.prune_units(trained, 0.5)
    for name in HIDDEN:
        kernel, bias = weights_of(pruned)[name]
        kept = kernel.any(axis=0)
        assert np.array_equal(kernel[:, kept], _columns(trained, name, kept))
        assert np.array_equal(bias[kept], weights_of(trained)[name][1][kept])
    before, after = (weights_of(m)["output"] for m in (trained, pruned))
    assert all(map(np.array_equal, before, after))


def _columns(model, name, kept):
    return weights_of(model)[name][0][:, kept]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("prune", [pruning.prune_weights, pruning.prune_units])
def test_pruning_does_not_change_its_input(trained, prune, compiled):
    if compiled:
        compile_with(trained, "adam")
        trained.optimizer.build(trained.trainable_variables)
    before = trained.get_weights()
    pruned = prune(trained, 0.5)
    assert all(map(np.array_equal, before, trained.get_weights()))
    assert trained.get_layer("hidden_1").kernel.constraint is None
    assert not same(pruned, trained)


def test_kernels_are_copies(trained):
    before = trained.get_weights()
    for kernel in pruning.prunable_kernels(trained).values():
        kernel[:] = 7
    assert all(map(np.array_equal, before, trained.get_weights()))


def test_nothing_pruned_at_sparsity_zero(trained):
    assert same(pruning.prune_weights(trained, 0), trained)
    assert same(pruning.prune_units(trained, 0), trained)


# What pruning removes


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
def test_every_layer_loses_its_share_of_weights(trained, sparsity):
    pruned = pruning.prune_weights(trained, sparsity)
    kernels = pruning.prunable_kernels(pruned)
    assert masking.zero_counts(kernels) == {
        name: round(sparsity * kernel.size) for name, kernel in kernels.items()
    }


def test_weight_pruning_removes_the_smallest_of_each_layer(trained):
    pruned = pruning.prunable_kernels(pruning.prune_weights(trained, 0.6))
    for name, kernel in pruning.prunable_kernels(trained).items():
        gone = pruned[name] == 0
        assert np.abs(kernel[gone]).max() <= np.abs(kernel[~gone]).min()
        assert np.array_equal(pruned[name][~gone], kernel[~gone])


def test_global_pruning_removes_the_smallest_of_all(trained):
    pruned = pruning.prune_weights(trained, 0.6, scope="global")
    kernels = pruning.prunable_kernels(trained)
    gone = {n: k == 0 for n, k in pruning.prunable_kernels(pruned).items()}
    removed = [np.abs(k[gone[n]]) for n, k in kernels.items()]
    kept = [np.abs(k[~gone[n]]) for n, k in kernels.items()]
    assert np.concatenate(removed).max() <= np.concatenate(kept).min()
    zeros, size = sum(g.sum() for g in gone.values()), 784 * 32 + 32 * 24 + 384
    assert zeros == round(0.6 * size)


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9])
def test_every_layer_loses_its_share_of_units(trained, sparsity):
    pruned = pruning.prune_units(trained, sparsity)
    for name, units in zip(HIDDEN, (32, 24, 16), strict=True):
        kernel, bias = weights_of(pruned)[name]
        silent = ~kernel.any(axis=0)
        assert silent.sum() == round(sparsity * units)
        assert not bias[silent].any()


def test_unit_pruning_removes_the_columns_of_smallest_norm(trained):
    pruned = pruning.prune_units(trained, 0.5)
    for name in HIDDEN:
        norms = np.linalg.norm(weights_of(trained)[name][0], axis=0)
        kept = weights_of(pruned)[name][0].any(axis=0)
        assert norms[~kept].max() < norms[kept].min()


def test_masks_of_a_pruned_model_are_the_masks_applied(trained):
    masks = half_masks(trained)
    pruning.apply_masks(trained, masks)
    carried = pruning.masks_of(trained)
    assert all(np.array_equal(carried[name], masks[name]) for name in masks)
    assert carried["output"].all()


def test_the_output_is_pruned_only_when_asked(trained):
    assert list(pruning.prunable_kernels(trained)) == HIDDEN
    everything = pruning.prunable_kernels(trained, include_output=True)
    assert list(everything) == [*HIDDEN, "output"]


def test_filters_are_units_of_convolutions(split):
    model = conv_net()
    kernels = pruning.prunable_kernels(model)
    assert {n: k.shape for n, k in kernels.items()} == {
        "conv_1": (5, 5, 1, 6),
        "conv_2": (3, 3, 6, 4),
    }
    pruned = pruning.prune_units(model, 0.5)
    compile_with(pruned, "adam")
    train(pruned, split)
    for name, filters in {"conv_1": 3, "conv_2": 2}.items():
        kernel, bias = weights_of(pruned)[name]
        dead = ~kernel.any(axis=(0, 1, 2))
        assert dead.sum() == filters
        assert np.array_equal(bias == 0, dead)


FILTERS = {"conv_1": (8, "norm_1"), "conv_2": (12, "norm_2")}


def maps(model, name, x):
    """What the layers up to the one named put out, training or not."""
    for layer in model.layers:
        x = layer(x)
        if layer.name == name:
            return np.array(x)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("moment", ["as it is", "saved and loaded"])
def test_maps_of_pruned_filters_are_zero_through_training(
    lenet, split, optimizer, moment, tmp_path
):
    compile_with(lenet, "adam")
    train(lenet, split)  # so that gamma and beta are not 1 and 0
    pruned = pruning.prune_units(lenet, 0.5)
    masks = {n: pruning.deleted_units(pruned)[n] == 0 for n in FILTERS}
    if moment == "saved and loaded":
        pruned.save(tmp_path / "pruned.keras")
        pruned = keras.models.load_model(tmp_path / "pruned.keras")
        pruning.hold_zeros(pruned)
    compile_with(pruned, optimizer)
    counter = checking.RevivedWeights(masks)
    train(pruned, split, counter)
    assert (counter.steps, counter.worst) == (6, 0)
    for name, (filters, norm) in FILTERS.items():
        shown = maps(pruned, norm, split.x_test)
        dead = masks[name] == 0
        assert dead.sum() == filters / 2
        assert not shown[..., dead].any()
        assert shown[..., ~dead].any(axis=(0, 1, 2)).all()
        gamma, beta, *moving = pruned.get_layer(norm).get_weights()
        assert np.array_equal(gamma != 0, ~dead)
        assert np.array_equal(beta != 0, ~dead)
        assert np.isfinite(moving).all()


def test_weight_pruning_leaves_normalizations_alone(lenet):
    pruned = pruning.prune_weights(lenet, 0.9)
    for _, norm in FILTERS.values():
        before, after = (weights_of(m)[norm] for m in (lenet, pruned))
        assert all(map(np.array_equal, before, after))
    assert pruning.deleted_units(pruned) == {}


def test_a_normalization_after_the_activation_is_masked_too(split):
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(6, "relu", name="hidden_1"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    model.get_layer("norm").beta.assign(np.ones(6))
    pruned = pruning.prune_units(model, 0.5)
    dead = pruning.deleted_units(pruned)["hidden_1"]
    assert dead.sum() == 3
    assert not maps(pruned, "norm", split.x_test)[:, dead].any()


def test_rewound_filters_stay_deleted(lenet, split):
    pruned = pruning.prune_units(lenet, 0.5)
    dead = pruning.deleted_units(pruned)
    training.rewind(pruned, to=networks.lenet((8, 12), (20,), seed=5))
    again = pruning.deleted_units(pruned)
    assert all(np.array_equal(dead[name], again[name]) for name in dead)
    training.fit(pruned, split, 3)
    assert not maps(pruned, "norm_1", split.x_test)[..., dead["conv_1"]].any()


# What activations say


def test_activation_scores_are_means_of_what_the_next_layer_reads(lenet, split):
    x = split.x_train[:50]
    scores = pruning.activation_scores(lenet, x)
    assert {n: s.shape for n, s in scores.items()} == {
        "conv_1": (8,),
        "conv_2": (12,),
        "hidden_1": (20,),
    }
    for name, layer in {"conv_1": "pool_1", "conv_2": "pool_2"}.items():
        expected = maps(lenet, layer, x).mean(axis=(0, 1, 2))
        assert scores[name] == pytest.approx(expected, rel=1e-4)
    hidden = maps(lenet, "hidden_1", x).mean(axis=0)
    assert scores["hidden_1"] == pytest.approx(hidden, rel=1e-5)


def test_activation_scores_have_no_sign(split):
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(2, name="hidden_1"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    kernel = np.tile([1.0, -1.0], (784, 1))
    model.layers[0].set_weights([kernel, np.zeros(2)])
    scores = pruning.activation_scores(model, split.x_train[:9])["hidden_1"]
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] == pytest.approx(split.x_train[:9].sum(1).mean(), rel=1e-5)


def test_deleted_filters_score_zero(lenet, split):
    pruned = pruning.prune_units(lenet, 0.25)
    scores = pruning.activation_scores(pruned, split.x_train[:50])
    for name, dead in pruning.deleted_units(pruned).items():
        assert not scores[name][dead].any()


def test_convolutions_hold_the_zeros_of_their_weights(split):
    pruned = pruning.prune_weights(conv_net(), 0.75)
    masks = pruning.masks_of(pruned)
    compile_with(pruned, "nesterov")
    counter = checking.RevivedWeights(masks)
    train(pruned, split, counter)
    assert (counter.steps, counter.worst) == (6, 0)
    assert np.sum(masks["conv_1"] == 0) == round(0.75 * 5 * 5 * 6)


def test_layers_without_biases_are_pruned_and_held(split):
    model = keras.Sequential(
        [
            keras.Input((784,), name="pixels"),
            keras.layers.Dense(8, use_bias=False, name="hidden_1"),
            keras.layers.Dense(10, use_bias=False, name="output"),
        ]
    )
    pruned = pruning.copy_of(pruning.prune_units(model, 0.5))
    pruning.hold_zeros(pruned)
    compile_with(pruned, "adam")
    train(pruned, split)
    assert pruned.get_layer("hidden_1").get_weights()[0].any(0).sum() == 4


# Bad input


BAD_MASKS = {
    "unknown": ("nowhere", np.ones((32, 24)), "no prunable layer 'nowhere'"),
    "transposed": ("hidden_2", np.ones((24, 32)), r"\(24, 32\).*\(32, 24\)"),
    "rows": ("hidden_2", np.ones(32), r"shape \(32,\).*\(24,\) for its units"),
    "number": ("hidden_2", np.uint8(1), r"shape \(\)"),
    "two": ("hidden_2", np.full((32, 24), 2), "other values than 0 and 1"),
    "half": ("hidden_2", np.full((32, 24), 0.5), "pass 1 to keep"),
    "nan": ("hidden_2", np.full((32, 24), np.nan), "other values"),
}


@pytest.mark.parametrize("bad", BAD_MASKS)
def test_a_bad_mask_changes_nothing(trained, bad):
    name, mask, message = BAD_MASKS[bad]
    before = trained.get_weights()
    masks = {"hidden_1": np.zeros((784, 32)), name: mask}
    with pytest.raises(ValueError, match=message) as error:
        pruning.apply_masks(trained, masks)
    assert name in str(error.value)
    assert all(map(np.array_equal, before, trained.get_weights()))
    assert trained.get_layer("hidden_1").kernel.constraint is None


def test_averaging_optimizers_are_refused(trained):
    trained.compile(keras.optimizers.Adam(use_ema=True), "mse")
    before = trained.get_weights()
    with pytest.raises(ValueError, match="use_ema=False"):
        pruning.apply_masks(trained, half_masks(trained))
    assert all(map(np.array_equal, before, trained.get_weights()))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_numbers_cannot_be_masked(trained, bad):
    masks = half_masks(trained)
    kernel, bias = weights_of(trained)["hidden_2"]
    kernel[masks["hidden_2"] == 0] = bad
    trained.get_layer("hidden_2").set_weights([kernel, bias])
    with pytest.raises(ValueError, match="'hidden_2' has NaN or infinite"):
        pruning.apply_masks(trained, masks)
    assert weights_of(trained)["hidden_1"][0].all()


@pytest.mark.parametrize(
    "verb",
    [
        pruning.prunable_kernels,
        pruning.masks_of,
        pruning.hold_zeros,
        lambda model: pruning.apply_masks(model, {}),
        lambda model: pruning.prune_weights(model, 0.5),
        lambda model: pruning.prune_units(model, 0.5),
    ],
)
def test_what_is_no_prunable_model_is_refused(verb):
    layer = keras.layers.Dense(3)
    flat = [keras.Input((2, 2)), keras.layers.Flatten()]
    with pytest.raises(ValueError, match=r"a Keras model .*; got 'mlp'"):
        verb("mlp")
    with pytest.raises(ValueError, match="which has no weights yet"):
        verb(keras.Sequential([layer, layer]))
    with pytest.raises(ValueError, match=r"no layer with a kernel.*Flatten"):
        verb(keras.Sequential(flat))


def test_a_lone_output_layer_is_pruned_only_when_asked():
    model = networks.mlp(widths=())
    with pytest.raises(ValueError, match="include_output=True"):
        pruning.prune_weights(model, 0.5)
    kernels = pruning.prunable_kernels(model, include_output=True)
    assert list(kernels) == ["output"]


def test_an_unknown_scope_is_refused(trained):
    with pytest.raises(
        ValueError, match='`scope` is one of "layer", "global"; got \'all'
    ):
        pruning.prune_weights(trained, 0.5, scope="all")


@pytest.mark.parametrize("prune", [pruning.prune_weights, pruning.prune_units])
@pytest.mark.parametrize("sparsity", [80, 1.0, -0.1, float("nan")])
def test_a_bad_sparsity_is_refused(trained, prune, sparsity):
    with pytest.raises(ValueError, match=f"got {sparsity}"):
        prune(trained, sparsity)


def test_no_layer_loses_its_last_unit(trained):
    with pytest.raises(ValueError, match="leaves nothing of hidden_3"):
        pruning.prune_units(trained, 0.97)


# Groups


def left(model, sparsity, **options):
    """How many units stay, by layer."""
    pruned = pruning.prune_units(model, sparsity, **options)
    return compacting.live_units(pruned)


@pytest.fixture
def branched():
    """Streams of 16, 32 and 64 filters, each in two layers or three."""
    return networks.resnet()


WHOLE = {
    "stem": 16, "conv_1a": 16, "conv_1b": 16, "conv_2a": 32, "conv_2b": 32,
    "skip_2": 32, "conv_3a": 64, "conv_3b": 64, "skip_3": 64,
}  # fmt: skip


def test_each_group_loses_what_it_is_told_and_no_other_does(branched):
    sparsities = {"conv_1b": 0.25, "conv_2b, skip_2": 0.5, "conv_3a": 0.75}
    assert left(branched, sparsities) == WHOLE | {
        "stem": 12, "conv_1b": 12, "conv_2b": 16, "skip_2": 16, "conv_3a": 16,
    }  # fmt: skip
    same = dict.fromkeys(WHOLE, 0.5)
    assert left(branched, same) == left(branched, 0.5)


@pytest.mark.parametrize(
    ("sparsities", "words"),
    [
        ({"nowhere": 0.5}, "got 'nowhere'. Pass some of these"),
        ({"output": 0.5}, "got 'output'. Pass some of these"),
        ({"stem": 0.5, "conv_1b": 0.25}, "got sparsities of 0.5 and 0.25"),
        ({"stem": 50}, "got 50. To remove 50 %, pass 0.5"),
    ],
)
def test_sparsities_that_no_group_can_have_are_refused(
    branched, sparsities, words
):
    with pytest.raises(ValueError, match=re.escape(words)):
        pruning.prune_units(branched, sparsities)


def test_a_spared_group_has_no_sparsity(branched):
    with pytest.raises(ValueError, match="got 'stem'"):
        pruning.prune_units(branched, {"stem": 0.5}, spare=["conv_1b"])


@pytest.mark.parametrize(
    ("sparsity", "multiple_of", "expected"),
    [
        (0.7, 1, (5, 10, 19)),
        (0.7, 8, (8, 16, 24)),
        (0.7, 16, (16, 16, 32)),
        (0.3, 16, (16, 32, 48)),
        (0.3, 100, (16, 32, 64)),
    ],
)
def test_units_that_stay_are_rounded_up(
    branched, sparsity, multiple_of, expected
):
    found = left(branched, sparsity, multiple_of=multiple_of)
    layers = "stem", "conv_2b", "conv_3a"
    assert tuple(found[name] for name in layers) == expected


def test_other_scores_rank_the_units_of_a_group(branched):
    """Those of tied layers are added up."""
    scores = {name: np.zeros(size) for name, size in WHOLE.items()}
    scores["stem"] = np.arange(15.0, -1, -1)
    scores["conv_1b"] = np.where(np.arange(16) == 15, 20.0, 0.0)
    pruned = pruning.prune_units(branched, 0.5, scores=scores)
    gone = np.flatnonzero(pruning.deleted_units(pruned)["conv_1b"])
    assert gone.tolist() == list(range(7, 15))


def test_norms_as_scores_are_the_default(branched):
    scores = pruning.unit_scores(branched)
    one = pruning.prune_units(branched, 0.5)
    assert same(one, pruning.prune_units(branched, 0.5, scores=scores))


@pytest.mark.parametrize("wrong", [{}, {"stem": np.ones(15)}])
def test_scores_have_a_number_for_each_unit(branched, wrong):
    scores = pruning.unit_scores(branched)
    scores = {n: s for n, s in scores.items() if n != "stem"} | wrong
    with pytest.raises(ValueError, match="each of the 16 units of 'stem'"):
        pruning.prune_units(branched, 0.5, scores=scores)
