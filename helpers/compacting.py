"""Make a masked network really smaller, with the same outputs."""

import itertools

import numpy as np

from helpers import staging
from helpers.backend import view


def compact(model):
    """A plain, smaller Keras model without the units that do nothing.

    A unit or filter goes when all its incoming weights are zero, or all its
    outgoing ones. If a unit without inputs has a bias, it emits the constant
    `relu(bias)`, which is added to the next layer's biases, so that outputs
    stay equal up to rounding. Where that is not exact, because the next
    layer has no biases or pads with zeros, the unit stays.

    Raises:
        ValueError: a model that is not a chain of layers that leave units
            apart (see `staging.stages`), or a layer of which no unit is left.
    """
    stages = staging.stages(model)
    weights = {
        layer.name: [np.array(view(w)) for w in layer.weights]
        for layer in model.layers
    }
    alive = [np.ones(s[0].kernel.shape[-1], bool) for s in stages[1:]]
    while _drop_dead_units(stages[1:], weights, alive):
        pass  # a dropped unit may leave others without use
    cut, channels = [], np.ones(1, bool)  # of the images, all stay
    for stage, units in zip(stages, [channels, *alive], strict=True):
        for layer in stage:
            kept = weights[layer.name]
            cut.append(_without_dead_units(layer, kept, channels, units))
        channels = units
    small = staging.chained([layer for layer, _ in cut], model)
    for layer, kept in cut:
        layer.set_weights(kept)
    return small


def live_units(model):
    """How many units of each hidden layer `compact` would keep, by name."""
    *hidden, _ = staging.stages(compact(model))[1:]
    return {layer.name: layer.kernel.shape[-1] for layer, *_ in hidden}


def _drop_dead_units(stages, weights, alive):
    """Cut dead units off, in place, stage by stage; returns how many died.

    Units are what the last axis counts, so one reshape finds what reads a
    unit: a weight of each next unit (Dense), each weight of a window
    (convolution), or a weight for each position (after Flatten).
    """
    died = 0
    for number, pair in enumerate(itertools.pairwise(stages)):
        (layer, *after), (reader, *_) = pair
        living, kernel = alive[number], weights[layer.name][0]
        read_by = weights[reader.name][0]
        reads = read_by.reshape(-1, living.size, read_by.shape[-1])
        silent = _without_inputs(layer, after, weights)
        unread = ~reads.any(axis=(0, 2))
        if not (living & ~silent & ~unread).any():
            _refuse_constant(layer if reads.any() else reader)
        if not (living & (silent | unread)).any():
            continue
        emitted, constant = _emitted(layer, after, weights)
        pads = getattr(reader, "padding", "valid") != "valid"
        constant &= (emitted == 0) | (reader.use_bias and not pads)
        dead = living & (unread | silent & constant)
        if reader.use_bias:
            added = (emitted * dead) @ reads  # from each position
            weights[reader.name][1] += added.sum(axis=0)
        reads[:, dead] = 0
        kernel[..., dead] = 0
        living &= ~dead
        died += int(dead.sum())
    return died


def _without_inputs(layer, after, weights):
    """Units whose inputs cannot reach them: a zero column or a zero gamma."""
    kernel = weights[layer.name][0]
    units = kernel.shape[-1]
    silent = ~kernel.reshape(-1, units).any(axis=0)
    for norm in after:
        if getattr(norm, "scale", False):
            gamma = weights[norm.name][0].reshape(-1, units)
            silent |= ~gamma.any(axis=0)
    return silent


def _emitted(layer, after, weights):
    """What each unit puts out without inputs, and if that is one constant.

    The layers themselves are asked, on an image of nothing but biases.
    """
    kernel, *bias = weights[layer.name]
    values = np.zeros((1, *layer.output.shape[1:]), np.float32)
    values = layer.activation(values + (bias[0] if bias else 0))
    for follower in after:
        values = follower(values)
    values = np.array(values).reshape(-1, kernel.shape[-1])
    return values[0], np.isclose(values, values[0], rtol=1e-6).all(axis=0)


def _without_dead_units(layer, weights, channels, units):
    """A copy of `layer` that reads `channels` and puts out `units`.

    And its weights, which it can take once it is built.
    """
    config = layer.get_config()
    if isinstance(layer, staging.PRUNABLE):
        kernel, *bias = weights
        inputs = np.resize(channels, kernel.shape[-2])
        weights = [
            kernel[..., inputs, :][..., units],
            *(b[units] for b in bias),
        ]
        config["filters" if "filters" in config else "units"] = int(units.sum())
    elif not units.all():
        weights = [w[np.resize(units, w.shape)] for w in weights]
    return type(layer).from_config(config), weights


def _refuse_constant(layer):
    raise ValueError(
        f"Layer {layer.name!r} has no unit left that does anything: the "
        "network's output is constant. Prune less."
    )
