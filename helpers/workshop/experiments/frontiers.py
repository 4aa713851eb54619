"""As small as published networks are, from scratch."""

from helpers import networks, pruning, scheduling, training
from helpers.workshop.experiments import common


def frontier(split, seed, compression):
    """Notebook 08: LeNet-300-100 as small as published ones, from scratch."""
    model = _frontier_network(split.with_validation(), seed, compression)
    seen = common.seen(model, split)
    del seen["val_accuracy"]  # it was trained on those images
    return seen


def _frontier_network(split, seed, compression, epochs=60, ramp=(8, 36)):
    """LeNet-300-100 with 1 in `compression` weights left, pruned gradually.

    L2 penalty, Adam from 3e-3 to 0; sparsity rises along a cubic between the
    two epochs of `ramp`. The output layer gets 0.8 of the sparsity.
    """
    model = networks.mlp(common.LENET, seed=seed, l2=5e-5)
    per_epoch = len(split.x_train) // 256
    kernels = pruning.prunable_kernels(model, include_output=True)
    sizes = {name: kernel.size for name, kernel in kernels.items()}
    removed = 1 - 1 / compression
    hidden = (sum(sizes.values()) - 0.8 * sizes["output"]) * removed
    hidden /= sum(sizes.values()) - sizes["output"]
    final = dict.fromkeys(sizes, hidden) | {"output": 0.8 * removed}
    schedule = {
        name: scheduling.gradual(sparsity, *(per_epoch * e for e in ramp))
        for name, sparsity in final.items()
    }
    training.fit(
        model, split, epochs * per_epoch, batch_size=256, learning_rate=3e-3,
        seed=seed, callbacks=[scheduling.PruneOnSchedule(schedule)],
    )  # fmt: skip
    return model
