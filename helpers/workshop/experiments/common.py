"""What experiments share: the networks, and what rows tell of them."""

import functools

from helpers import compacting, measuring, networks, pruning, training

SMALL, LENET = (128, 64), (300, 100)


def cut(model, sparsity):
    """A smaller network: units of all hidden layers but `hidden_4` cut out."""
    return compacting.compact(
        pruning.prune_units(model, sparsity, spare=["hidden_4"])
    )


def seen(model, split):
    """What every row tells about a network."""
    return {
        "val_accuracy": measuring.accuracy(model, split.x_val, split.y_val),
        "accuracy": measuring.accuracy(model, split.x_test, split.y_test),
        **measuring.counts(model),
    }


@functools.lru_cache(maxsize=4)
def baseline(split, seed, widths=networks.WIDTHS, **options):
    """`training.baseline`, the last four kept: many rows start from one."""
    return training.baseline(split, seed, widths, **options)
