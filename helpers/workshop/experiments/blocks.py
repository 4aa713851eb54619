"""Single weights, blocks of weights and units: as many weights left in each."""

from helpers import deploying, masking, measuring, pruning, training
from helpers.engine.doors import door, one_of
from helpers.workshop.experiments import common

WIDTHS = (1024, 1024, 512, 256)  # multiples of 16, as LiteRT's blocks need
SIZES = {"weights": 1, "1 × 4": 4, "1 × 16": 16}
UNITS_GONE = {0.2: 0.659, 0.15: 0.7249, 0.1: 0.7994}  # by the weights left
FLOAT, INT8 = "float", "dynamic int8"
FILES = {  # what each is deployed as
    "dense": (FLOAT, INT8), "weights": (FLOAT,), "1 × 4": (FLOAT,),
    "1 × 16": (INT8,), "units": (FLOAT, INT8),
}  # fmt: skip


@door(method=one_of(*FILES))
def blocks(split, seed, method, left):
    """Notebook 12: pruned, trained for 500 steps, and converted; a row a file.

    `left` is the share of the prunable weights. Blocks and weights are chosen
    over all layers at once; units go from all hidden layers but `hidden_4`.
    """
    pruned = _pruned(common.baseline(split, seed, WIDTHS), method, left)
    tuned = training.fine_tune(pruned, split, split.steps(500), seed=seed)
    before = measuring.accuracy(pruned, split.x_test, split.y_test)
    row = {"before_accuracy": before, **common.seen(tuned, split)}
    return [
        row | _of_file(tuned, split, kind, method) for kind in FILES[method]
    ]


def _pruned(model, method, left):
    if method == "dense":
        return model
    if method == "units":
        return common.cut(model, UNITS_GONE[left])
    masks = masking.block_masks(
        pruning.prunable_kernels(model), 1 - left, SIZES[method],
        masking.global_masks,
    )  # fmt: skip
    return pruning.masked(model, masks)


def _of_file(model, split, kind, method):
    file = deploying.convert(model, kind, sparse=method in SIZES)
    return {
        "kind": kind,
        "bytes": len(file),
        "file_accuracy": measuring.accuracy(file, split.x_test, split.y_test),
    }
