"""Pruned once: weights, units and filters; retrained, or not."""

from helpers import (
    compacting,
    deploying,
    distilling,
    masking,
    measuring,
    networks,
    pruning,
    training,
)
from helpers.engine.doors import door, one_of
from helpers.workshop.experiments import common

TEACHING = {"temperature": 2.0, "weight": 0.5}  # on seed 0's validation set
UNIT_METHODS = (
    "units",
    "weights, same sparsity",
    "weights, as many left",
    "weights, as many left in each layer",
    "random units",
)


@door(method=one_of("layerwise", "global", "random"))
def weights(split, seed, method, sparsity):
    """Notebook 02: weights pruned, not retrained."""
    model = common.baseline(split, seed)
    kernels = pruning.prunable_kernels(model)
    scores = masking.magnitude_scores(kernels)
    if method == "random":
        scores = masking.random_scores(kernels, seed)
    of_all = method == "global"
    select = masking.global_masks if of_all else masking.layerwise_masks
    return common.seen(pruning.masked(model, select(scores, sparsity)), split)


@door(method=one_of(*UNIT_METHODS))
def units(split, seed, method, sparsity):
    """Notebook 03: units pruned, and as many weights, not retrained."""
    model = common.baseline(split, seed)
    norms = masking.unit_scores(pruning.prunable_kernels(model))
    if method == "random units":
        norms = masking.random_scores(norms, seed)
    pruned = pruning.masked(model, masking.unit_masks(norms, sparsity))
    if method == "weights, same sparsity":
        pruned = pruning.prune_weights(model, sparsity)
    elif method == "weights, as many left":
        macs = measuring.counts(model)["macs"]
        left = measuring.counts(compacting.compact(pruned))["macs"]
        prunable = macs - measuring.macs_per_layer(model)["output"]
        pruned = pruning.prune_weights(model, (macs - left) / prunable)
    elif method == "weights, as many left in each layer":
        pruned = _as_sparse_as(compacting.compact(pruned), model)
    return common.seen(pruned, split)


def _as_sparse_as(small, model):
    """A copy of `model`; in each layer as many weights as `small` has there."""
    masks, left = {}, pruning.prunable_kernels(small)
    scores = masking.magnitude_scores(pruning.prunable_kernels(model))
    for name, layer in scores.items():
        sparsity = 1 - left[name].size / layer.size
        masks |= masking.layerwise_masks({name: layer}, sparsity)
    return pruning.masked(model, masks)


@door(kind=one_of("weights", "units"))
def recovery(split, seed, kind, sparsity):
    """Notebook 04: retrained for 500 steps, after units for 1,000."""
    model = common.baseline(split, seed)
    if kind == "weights":
        pruned, num_steps = pruning.prune_weights(model, sparsity), 500
    else:
        masked, num_steps = pruning.prune_units(model, sparsity), 1000
        pruned = compacting.compact(masked)
    tuned = training.fine_tune(pruned, split, split.steps(num_steps), seed=seed)
    before = measuring.accuracy(pruned, split.x_test, split.y_test)
    return {"before_accuracy": before, **common.seen(tuned, split)}


def compacted(split, seed, sparsity):
    """Notebook 05: units cut out, the last hidden layer spared; retrained."""
    tuned = training.fine_tune(
        common.cut(common.baseline(split, seed), sparsity),
        split, split.steps(2000), learning_rate=2e-3, seed=seed,
    )  # fmt: skip
    return common.seen(tuned, split)


@door(student=one_of("cut", "new"))
def distilled(split, seed, student, taught):
    """Notebook 13: one shape, cut out or new, with a teacher or without."""
    tuned = _student(split, seed, student, taught)
    file = deploying.convert(tuned, "full int8", split.x_train[:200])
    integers = measuring.accuracy(file, split.x_test, split.y_test)
    return {
        **common.seen(tuned, split),
        "int8_accuracy": integers,
        "int8_bytes": len(file),
    }


def _student(split, seed, student, taught):
    """784-150-150-75-200-10 after 2,000 steps; the teacher is the baseline.

    "cut" is cut out of that baseline, "new" starts from random weights.
    """
    model = common.baseline(split, seed)
    start = common.cut(model, 0.85)
    if student == "new":
        widths = [layer.units for layer in start.layers[:-1]]
        start = networks.mlp(widths, seed=seed)
    recipe = {
        "num_steps": split.steps(2000), "learning_rate": 2e-3, "seed": seed,
    }  # fmt: skip
    if taught:
        return distilling.distill(model, start, split, **recipe, **TEACHING)
    return training.fine_tune(start, split, **recipe)


@door(method=one_of("dense", "norm", "activation", "random"))
def filters(split, seed, method, sparsity):
    """Notebook 10: filters and units pruned, cut out, trained for 300 steps.

    "norm" and "activation" rank them, "random" draws them; "dense" keeps all.
    """
    model = common.baseline(split, seed, build=networks.lenet, num_steps=1200)
    scores = masking.unit_scores(pruning.prunable_kernels(model))
    if method == "activation":
        scores = pruning.activation_scores(model, split.x_train[:1000])
    elif method == "random":
        scores = masking.random_scores(scores, seed)
    pruned = pruning.masked(model, masking.unit_masks(scores, sparsity))
    small = compacting.compact(pruned)
    tuned = training.fine_tune(small, split, split.steps(300), seed=seed)
    before = measuring.accuracy(small, split.x_test, split.y_test)
    return {"before_accuracy": before, **common.seen(tuned, split)}
