"""Every exhibit of notebook 14: what is broken is caught, what is right passes.

Each test makes a mistake that raises no error, and its repair, and asks the
detector that the notebook asks.
"""

import dataclasses
import timeit

import numpy as np
import pandas as pd
import pytest

from helpers import (
    checking,
    compacting,
    deploying,
    masking,
    measuring,
    networks,
    pruning,
    scheduling,
    timing,
    training,
)
from helpers.engine.backend import keras, tf

WIDTHS = (32, 24, 16)  # of the network `trained`


@pytest.fixture
def verdicts(capsys):
    """What a detector says of the broken one, then of the right one."""

    def of(detector, broken, right, *args, **options):
        capsys.readouterr()
        for case in (broken, right):
            case = case if isinstance(case, tuple) else (case,)
            detector("it", *case, *args, **options)
        return [line[:4] for line in capsys.readouterr().out.splitlines()]

    return of


CAUGHT = ["FAIL", "PASS"]


def initial():
    return networks.mlp(WIDTHS)


def retrained(model, split, **options):
    training.fit(model, split, num_steps=10, **options)
    return model


# Zeros that are not there


def test_pruned_weights_that_set_weights_overwrites(verdicts, trained):
    broken, right = (pruning.prune_weights(trained, 0.9) for _ in range(2))
    broken.set_weights(initial().get_weights())
    training.rewind(right, to=initial())
    assert verdicts(checking.as_many_as_asked, broken, right, 0.9) == CAUGHT


def test_first_weights_that_were_saved_after_training(verdicts, trained):
    broken, right = (pruning.prune_weights(trained, 0.9) for _ in range(2))
    training.rewind(broken, to=pruning.copy_of(trained))
    training.rewind(right, to=initial())
    assert verdicts(checking.rewound, broken, right, initial()) == CAUGHT


def test_training_without_a_mask(verdicts, trained, split):
    pruned = pruning.prune_weights(trained, 0.9)
    broken = retrained(pruning.copy_of(pruned), split)
    right = retrained(pruned, split)
    assert verdicts(checking.as_many_as_asked, broken, right, 0.9) == CAUGHT


def test_a_mask_before_every_step_and_not_after_the_last(
    verdicts, trained, split
):
    right = pruning.prune_weights(trained, 0.9)
    broken, masks = pruning.copy_of(right), pruning.masks_of(right)
    again = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: [
            broken.get_layer(n).kernel.assign(broken.get_layer(n).kernel * mask)
            for n, mask in masks.items()
        ]
    )
    retrained(broken, split, callbacks=[again])
    retrained(right, split)
    assert verdicts(checking.as_many_as_asked, broken, right, 0.9) == CAUGHT


def test_the_best_epoch_that_was_not_pruned_yet(verdicts, trained, split):
    broken, epochs = pruning.copy_of(trained), []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epochs.append(
            (logs["val_accuracy"], broken.get_weights())
        )
    )
    schedule = scheduling.gradual(0.98, 0, 20)
    gradual = scheduling.PruneOnSchedule(schedule, frequency=5)
    held_out = split.x_val, split.y_val
    training.fit(
        broken, split, 40, epochs=8, validation_data=held_out,
        callbacks=[gradual, keep],
    )  # fmt: skip
    right = pruning.copy_of(broken)
    broken.set_weights(max(epochs, key=lambda seen: seen[0])[1])
    right.set_weights(max(epochs[4:], key=lambda seen: seen[0])[1])
    assert verdicts(checking.as_many_as_asked, broken, right, 0.98) == CAUGHT


def test_weights_that_come_without_the_state_of_their_layer(verdicts, split):
    scale = keras.layers.Normalization()
    scale.adapt(split.x_train)
    layers = [keras.Input((784,)), scale, keras.layers.Dense(10)]
    model = keras.Sequential(layers)
    broken = keras.models.clone_model(model)
    broken.set_weights(model.get_weights())
    right, x = pruning.copy_of(model), split.x_val
    cases = (model, broken, x), (model, right, x)
    assert verdicts(checking.same_outputs, *cases) == CAUGHT


def test_a_constraint_that_nobody_reads(verdicts, trained, split):
    right = pruning.prune_weights(trained, 0.9)
    broken = pruning.copy_of(right)
    for layer in broken.layers:
        mask = layer.kernel.numpy() != 0
        layer.kernel_constraint = lambda kernel, mask=mask: kernel * mask
    retrained(broken, split)
    retrained(right, split)
    assert verdicts(checking.as_many_as_asked, broken, right, 0.9) == CAUGHT


# Numbers that are not what they say


def test_the_size_of_masked_arrays_for_what_is_left(verdicts, trained):
    kernels = pruning.prunable_kernels(pruning.prune_weights(trained, 0.9))
    broken = sum(kernel.size for kernel in kernels.values())
    right = round((1 - masking.sparsity_of(kernels)) * broken)
    left = sum(map(np.count_nonzero, kernels.values()))
    assert verdicts(checking.confirmed, broken, right, left) == CAUGHT


def test_a_fraction_for_a_threshold(verdicts, trained):
    scores = masking.magnitude_scores(pruning.prunable_kernels(trained))
    broken, right = (
        pruning.masked(trained, select(scores, 0.1))
        for select in (masking.threshold_masks, masking.layerwise_masks)
    )
    assert verdicts(checking.as_many_as_asked, broken, right, 0.1) == CAUGHT


def test_rows_for_columns(verdicts, trained):
    def without(axis):
        masks = {}
        for name, kernel in pruning.prunable_kernels(trained).items():
            norms = np.linalg.norm(kernel, axis=axis)
            keep = np.expand_dims(norms > np.quantile(norms, 0.5), axis)
            masks[name] = np.broadcast_to(keep, kernel.shape)
        model = pruning.masked(trained, masks)
        for name in masks:
            model.get_layer(name).bias.assign(0 * model.get_layer(name).bias)
        return model

    broken, right = without(1), without(0)
    asked = 0.5, "units"
    assert verdicts(checking.as_many_as_asked, broken, right, *asked) == CAUGHT


def test_a_unit_whose_bias_is_left(verdicts, trained):
    right = pruning.prune_units(trained, 0.5)
    broken = pruning.masked(trained, pruning.masks_of(right))
    asked = 0.5, "units"
    assert verdicts(checking.as_many_as_asked, broken, right, *asked) == CAUGHT


@pytest.mark.parametrize("keeps", [np.greater, np.greater_equal])
def test_ties_at_the_threshold(verdicts, trained, keeps):
    """Half of what is left, of a network that is mostly zero already."""
    pruned = pruning.copy_of(trained)
    for layer in pruned.layers:
        layer.kernel.assign(np.round(layer.kernel.numpy(), 1))
    kernels = pruning.prunable_kernels(pruned)
    scores = masking.magnitude_scores(kernels)
    masks = {n: keeps(s, np.quantile(s, 0.6)) for n, s in scores.items()}
    right = pruning.masked(pruned, masking.layerwise_masks(scores, 0.6))
    zeros = masking.sparsity_of(pruning.prunable_kernels(right))
    assert zeros == pytest.approx(0.6, abs=0.01)
    broken = pruning.masked(pruned, masks)
    assert verdicts(checking.as_many_as_asked, broken, right, 0.6) == CAUGHT


def test_a_threshold_without_abs(verdicts, trained):
    """By the quantile of the weights themselves, the count is right."""
    kernels = pruning.prunable_kernels(trained)
    masks = {n: k >= np.quantile(k, 0.3) for n, k in kernels.items()}
    broken = pruning.masked(trained, masks)
    right = pruning.prune_weights(trained, 0.3)
    assert verdicts(checking.as_many_as_asked, broken, right, 0.3) == [
        "PASS",
        "PASS",
    ]
    assert verdicts(checking.smallest_went, broken, right, trained) == CAUGHT


def test_the_loss_of_probabilities_taken_for_logits(verdicts, trained, split):
    ends = keras.Sequential([trained, keras.layers.Softmax()])
    said, y = ends.predict(split.x_val, verbose=0), split.y_val
    kind = keras.losses.SparseCategoricalCrossentropy
    broken, right = (float(kind(from_logits=b)(y, said)) for b in (True, False))
    again = -np.mean(np.log(said[np.arange(len(y)), y]))
    assert verdicts(checking.confirmed, broken, right, again) == CAUGHT


# Comparisons that are not fair


def test_as_large_a_share_of_units_as_of_weights(verdicts, trained):
    units = pruning.prune_units(trained, 0.5)
    left = measuring.counts(compacting.compact(units))["nonzeros"]
    kernels = pruning.prunable_kernels(trained)
    size = sum(kernel.size for kernel in kernels.values())
    others = measuring.counts(trained)["nonzeros"] - size
    broken = pruning.prune_weights(trained, 0.5)
    right = pruning.prune_weights(trained, 1 - (left - others) / size)
    assert verdicts(checking.as_many_left, broken, right, units) == CAUGHT


def test_a_choice_on_the_test_set(verdicts, split):
    rivals = [networks.mlp((4,), seed=seed) for seed in range(8)]

    def best_on(part):
        return lambda split: max(
            range(8),
            key=lambda n: measuring.accuracy(
                rivals[n],
                getattr(split, f"x_{part}"),
                getattr(split, f"y_{part}"),
            ),
        )

    cases = best_on("test"), best_on("val")
    assert verdicts(checking.blind_to_test, *cases, split) == CAUGHT


def test_a_cold_call(verdicts, trained, split):
    def once(call):
        return timeit.timeit(call, number=1)

    def timed(call):
        return np.median(timeit.repeat(call, number=5, repeat=21))

    call = timing.compiled(trained, split.x_test, "tf.function")
    cases = (once(call), once(call)), (timed(call), timed(call))
    assert verdicts(checking.confirmed, *cases, tolerance=0.8) == CAUGHT


def test_spread_over_rounds_for_spread_over_seeds(verdicts):
    places = [(s, r, s + r) for s in range(6) for r in range(5)]
    table = pd.DataFrame(places, columns=["seed", "round", "accuracy"])
    one, last = table.query("seed == 1"), table.query("round == 4")
    assert verdicts(checking.over_seeds, one, last) == CAUGHT
    assert verdicts(checking.over_seeds, table, last) == CAUGHT
    lone = last.query("seed == 2")
    by = {"by": ["round"]}
    assert verdicts(checking.over_seeds, table, table, **by) == ["PASS"] * 2
    assert verdicts(checking.over_seeds, lone, table, **by) == CAUGHT


def test_a_control_that_was_trained_for_fewer_steps(verdicts, trained, split):
    tuned = training.fine_tune(pruning.prune_weights(trained, 0.9), split, 10)
    broken, right = (training.fine_tune(trained, split, n) for n in (5, 10))
    for control in (broken, trained):
        cases = (tuned, control), (tuned, right)
        assert verdicts(checking.equally_trained, *cases) == CAUGHT


# Files that compute something else


@pytest.fixture
def good(split):
    """A network that reads digits well enough for files to agree with it."""
    model = networks.mlp((32, 16))
    training.fit(model, split, num_steps=150, learning_rate=5e-3)
    return model


def test_calibration_on_another_scale(verdicts, good, split):
    broken, right = (
        deploying.convert(good, "full int8", scale * split.x_train[:200])
        for scale in (255, 1)
    )
    case = good, split.x_val
    assert verdicts(checking.file_agrees, broken, right, *case) == CAUGHT


def integer_file(model, images):
    """A file that takes and gives 8-bit integers."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [row] for row in images[:, None]
    )
    converter.inference_input_type = tf.int8
    return converter.convert()


def test_floats_cast_to_integers(verdicts, good, split):
    file = deploying.File(integer_file(good, split.x_train[:200]))
    (entry,) = file._entries
    scale, zero = entry["quantization"]
    as_cast = (split.x_val.astype("int8") - zero) * scale  # what it then reads
    broken, right = (
        np.argmax(file(np.float32(x)), axis=1) for x in (as_cast, split.x_val)
    )
    case = good, split.x_val
    assert verdicts(checking.file_agrees, broken, right, *case) == CAUGHT


def test_sparse_integers_in_the_default_runtime(
    verdicts, good, split, by_default
):
    kernels, x = pruning.prunable_kernels(good), split.x_val
    sparse = pruning.masked(good, masking.block_masks(kernels, 0.5, size=16))
    right = deploying.convert(sparse, "dynamic int8", sparse=True)
    broken = np.argmax(by_default(right, x), axis=1)
    assert verdicts(checking.file_agrees, broken, right, sparse, x) == CAUGHT


# An API that does not exist


def test_a_function_that_a_page_made_up(verdicts):
    made_up = [
        "keras.optimizers.experimental.Pruning",
        "keras.layers.PrunableDense",
        "no_such_package.Pruning",
    ]
    for api in made_up:
        cases = api, "keras.constraints.Constraint"
        assert verdicts(checking.exists, *cases) == CAUGHT


# The detectors themselves


def test_a_network_with_nan_passes_no_count(capsys, trained):
    """NaN is not zero, and what is compared with it is not the same."""
    pruned = pruning.prune_weights(trained, 0.5)
    broken = pruning.copy_of(pruned)
    broken.layers[0].kernel.assign(np.full((784, 32), np.nan))
    checking.as_many_as_asked("it", broken, 0.5)
    checking.smallest_went("it", broken, trained)
    checking.smallest_went("it", pruned, broken)
    checking.rewound("it", broken, trained)
    checking.confirmed("it", np.nan, np.nan)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["FAIL"] * 5


def test_of_equal_weights_any_may_go(capsys, trained):
    same = pruning.copy_of(trained)
    for layer in same.layers:
        layer.kernel.assign(np.ones(layer.kernel.shape))
    checking.smallest_went("it", pruning.prune_weights(same, 0.5), same)
    assert capsys.readouterr().out.startswith("PASS")


def test_nothing_left_of_nothing_is_the_same_number(capsys):
    checking.confirmed("it", 0, 0)
    assert capsys.readouterr().out.startswith("PASS")


@pytest.mark.parametrize(("said", "again"), [(1, 2), (2, 1), (-1, 1), (0, 1)])
def test_neither_way_may_be_larger(capsys, said, again):
    checking.confirmed("it", said, again)
    assert capsys.readouterr().out.startswith("FAIL")


@pytest.mark.parametrize("sparsity", [0, 0.333, 0.5, 0.901])
def test_every_sparsity_that_pruning_makes_is_as_asked(
    capsys, trained, sparsity
):
    for scope in ("layer", "global"):
        pruned = pruning.prune_weights(trained, sparsity, scope)
        checking.as_many_as_asked("it", pruned, sparsity)
        checking.smallest_went("it", pruned, trained)
    checking.as_many_as_asked(
        "it", pruning.prune_units(trained, sparsity), sparsity, "units"
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["PASS"] * 5


def test_one_weight_too_many_is_not_as_asked(capsys, trained):
    pruned = pruning.prune_weights(trained, 0.5)
    kernel = pruned.layers[0].kernel.numpy()
    kernel[tuple(np.argwhere(kernel != 0)[:9].T)] = 0
    pruned.layers[0].kernel.assign(kernel)
    checking.as_many_as_asked("it", pruned, 0.5)
    assert capsys.readouterr().out.startswith("FAIL")


def test_other_shapes_are_refused(trained, split):
    other = networks.mlp((32, 24, 17))
    for detector in (checking.smallest_went, checking.rewound):
        with pytest.raises(ValueError, match="Expected an array of shape"):
            detector("it", other, trained)
    with pytest.raises(ValueError, match=r"shape \(100,\), got \(7,\)"):
        checking.file_agrees("it", np.zeros(7), trained, split.x_val)


def test_networks_that_were_never_trained_are_refused(trained):
    with pytest.raises(ValueError, match=r"as they come out of `fit`"):
        checking.equally_trained("it", trained, pruning.copy_of(trained))


def test_a_choice_may_be_an_array(capsys, split):
    checking.blind_to_test("it", lambda s: s.x_val, split)
    checking.blind_to_test("it", lambda s: s.y_test, split)
    assert [line[:4] for line in capsys.readouterr().out.splitlines()] == [
        "PASS",
        "FAIL",
    ]


def test_a_choice_sees_a_split_that_is_the_same_but_for_its_labels(split):
    seen = []
    checking.blind_to_test("it", seen.append, split)
    for other in seen:
        assert sorted(other.y_test) == sorted(split.y_test)
        for part in {f.name for f in dataclasses.fields(split)} - {"y_test"}:
            assert getattr(other, part) is getattr(split, part)
