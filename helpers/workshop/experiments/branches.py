"""Notebook 11's: groups of a residual network pruned, and retrained."""

from helpers import compacting, masking, measuring, networks, pruning, training
from helpers.engine.doors import door, one_of
from helpers.workshop.experiments import common

NUM_STEPS, RETRAINED = 1000, 300


@door(method=one_of("dense", "norm", "random"))
def branching(split, seed, method, sparsity):
    """Notebook 11: a share of each group pruned, cut out, trained again.

    "norm" takes the smallest of a group, "random" any; "dense" keeps all.
    """
    model = common.baseline(
        split, seed, build=networks.resnet, num_steps=NUM_STEPS
    )
    scores = pruning.unit_scores(model)
    if method == "random":
        scores = masking.random_scores(scores, seed)
    pruned = pruning.prune_units(model, sparsity, scores=scores)
    small = compacting.compact(pruned)
    tuned = training.fine_tune(small, split, split.steps(RETRAINED), seed=seed)
    before = measuring.accuracy(small, split.x_test, split.y_test)
    return {"before_accuracy": before, **common.seen(tuned, split)}
