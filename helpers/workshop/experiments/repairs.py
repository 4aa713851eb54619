"""Repaired by least squares, and which layer pays."""

from helpers import masking, networks, pruning, repairing, scoring, training
from helpers.engine.doors import door, one_of
from helpers.workshop.experiments import common

WIDTHS = {"large": networks.WIDTHS, "small": common.LENET}
NUM_IMAGES = 5000  # of the training set, without their labels
BUDGETS = {
    "layerwise": masking.layerwise_masks,
    "global": masking.global_masks,
    "ERK": lambda scores, sparsity: masking.layerwise_masks(
        scores, masking.erk_sparsities(scores, sparsity)
    ),
    "LAMP": lambda scores, sparsity: masking.global_masks(
        masking.lamp_scores(scores), sparsity
    ),
}
SCORES = {
    "magnitude": lambda model, x, y: masking.magnitude_scores(
        pruning.prunable_kernels(model)
    ),
    "Wanda": lambda model, x, y: scoring.wanda_scores(model, x),
    "Taylor": scoring.taylor_scores,
}


@door(network=one_of(*WIDTHS), kind=one_of("weights", "units"))
def repair(split, seed, network, kind, sparsity):
    """Notebook 09: pruned, repaired, retrained for 500 steps, or both.

    A sparsity of 0 gives the dense network, and its control.
    """
    model = common.baseline(split, seed, WIDTHS[network])
    pruned = pruning.prune_units(model, sparsity)
    if kind == "weights":
        pruned = pruning.prune_weights(model, sparsity, "global")
    stages = {"pruned": pruned}
    if sparsity:
        stages["repaired"] = _repaired(model, pruned, split)
    return _rows(stages | _retrained(stages, split, seed), split)


@door(budget=one_of(*BUDGETS), score=one_of(*SCORES))
def budgets(split, seed, budget, score, sparsity):
    """Notebook 09: as many weights, by each score and in each budget."""
    model = common.baseline(split, seed, common.LENET)
    some = split.x_train[:NUM_IMAGES], split.y_train[:NUM_IMAGES]
    masks = BUDGETS[budget](SCORES[score](model, *some), sparsity)
    pruned = pruning.masked(model, masks)
    later = _retrained({"pruned": pruned}, split, seed)
    repaired = _repaired(model, pruned, split)
    return _rows({"pruned": pruned, "repaired": repaired, **later}, split)


def _repaired(model, pruned, split):
    return repairing.least_squares(model, pruned, split.x_train[:NUM_IMAGES])


def _retrained(stages, split, seed):
    """Each of these networks, by a name that says so."""
    return {
        f"{name}, retrained": training.fine_tune(
            network, split, split.steps(500), seed=seed
        )
        for name, network in stages.items()
    }


def _rows(stages, split):
    return [
        {"stage": name, **common.seen(network, split)}
        for name, network in stages.items()
    ]
