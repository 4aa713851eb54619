"""Pruned by a threshold and trained on, next to the dense control."""

from helpers import fitting, masking, networks, pruning, training
from helpers.workshop.experiments import common


def stages(split, seed, threshold):
    """Notebook 06, 15: a small classifier at four stages, a row each.

    "before" it is pruned, "pruned", "fine-tuned" for 300 steps more, and the
    "control": the unpruned network after 300 steps more.
    """
    before = networks.mlp((64, 32), inputs=10, classes=1, seed=seed)
    fitting.fit(before, split, num_steps=300, seed=seed)
    sizes = masking.magnitude_scores(pruning.prunable_kernels(before))
    pruned = pruning.masked(before, masking.threshold_masks(sizes, threshold))
    more = {"num_steps": 300, "seed": 100 + seed}
    found = {
        "before": before,
        "pruned": pruned,
        "fine-tuned": training.fine_tune(pruned, split, **more),
        "control": training.fine_tune(before, split, **more),
    }
    return [
        {"stage": stage, **common.seen(model, split)}
        for stage, model in found.items()
    ]
