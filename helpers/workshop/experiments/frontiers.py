"""As small as published networks are, from scratch."""

from helpers import networks, pruning, scheduling, training
from helpers.engine.backend import keras
from helpers.workshop.experiments import common


def frontier(split, seed, compression):
    """Notebook 08: LeNet-300-100 as small as published ones, from scratch."""
    model = _frontier_network(split.with_validation(), seed, compression)
    seen = common.seen(model, split)
    del seen["val_accuracy"]  # it was trained on those images
    return seen


def _frontier_network(split, seed, compression, epochs=60, ramp=(8, 36)):
    """LeNet-300-100 with 1 in `compression` weights left, pruned gradually.

    L2 penalty, a tenth of the hidden units dropped out, Adam from 3e-3 to 0;
    sparsity rises along a cubic between the two epochs of `ramp`.
    """
    model = _with_dropout(networks.mlp(common.LENET, seed=seed, l2=5e-5), seed)
    per_epoch, callbacks = len(split.x_train) // 256, []
    if compression > 1:
        ends = [per_epoch * epoch for epoch in ramp]
        schedule = {
            name: scheduling.gradual(sparsity, *ends)
            for name, sparsity in _sparsities(model, compression).items()
        }
        callbacks.append(scheduling.PruneOnSchedule(schedule))
    training.fit(
        model, split, epochs * per_epoch, batch_size=256, learning_rate=3e-3,
        seed=seed, callbacks=callbacks,
    )  # fmt: skip
    return model


def _with_dropout(model, seed, rate=0.1):
    """The same layers, with some of what the hidden ones say left out."""
    *hidden, output = model.layers
    layers = []
    for layer in hidden:
        layers += [layer, keras.layers.Dropout(rate, seed=seed)]
    return keras.Sequential([*model.inputs, *layers, output])


def _sparsities(model, compression):
    """By layer: the output gets 0.8 of the sparsity of all weights.

    Of `hidden_2` stays twice the share that stays of `hidden_1`.
    """
    kernels = pruning.prunable_kernels(model, include_output=True)
    first, second, last = (kernel.size for kernel in kernels.values())
    output = 0.8 * (1 - 1 / compression)
    left = (first + second + last) / compression - last * (1 - output)
    density = left / (first + 2 * second)
    return dict(
        zip(kernels, (1 - density, 1 - 2 * density, output), strict=True)
    )
