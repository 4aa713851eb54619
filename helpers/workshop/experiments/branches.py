"""Pruned by groups: a network whose layers are added to others."""

from helpers import (
    compacting,
    masking,
    measuring,
    networks,
    pruning,
    repairing,
    training,
)
from helpers.engine.doors import door, one_of
from helpers.workshop.experiments import common

RECIPE = {"num_steps": 800, "learning_rate": 3e-3}


@door(method=one_of("dense", "norm", "norm, repaired", "random, repaired"))
def branching(split, seed, method, sparsity, num_steps):
    """Notebook 11: a share of each group pruned, cut out, trained again.

    "norm" takes the units of smallest norm, "random" any; "dense" keeps all.
    """
    model = common.baseline(split, seed, build=networks.resnet, **RECIPE)
    scores = pruning.unit_scores(model)
    if method.startswith("random"):
        scores = masking.random_scores(scores, seed)
    pruned = pruning.prune_units(model, sparsity, scores=scores)
    if method.endswith("repaired"):
        images = split.x_train[:500]
        pruned = repairing.least_squares(model, pruned, images)
    small, rate = compacting.compact(pruned), RECIPE["learning_rate"]
    tuned = training.fine_tune(
        small, split, split.steps(num_steps), learning_rate=rate, seed=seed
    )
    before = measuring.accuracy(small, split.x_test, split.y_test)
    return {"before_accuracy": before, **common.seen(tuned, split)}
