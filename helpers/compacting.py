"""Make a masked network really smaller, with the same outputs."""

import collections

import numpy as np

from helpers.engine import copying
from helpers.engine.backend import view
from helpers.engine.doors import MODEL, door
from helpers.engine.tracing import trace as traced


@door(model=MODEL)
def compact(model):
    """A plain, smaller Keras model without the units that do nothing.

    A unit, filter or head goes when no weight leads to it from the input, or
    none from it to the output; units that are added or multiplied together
    go together. What a unit without inputs emits all the same, such as
    `relu(bias)`, is added to the biases of the layers that read it, so that
    outputs stay equal up to rounding. Where that is not exact, because the
    reader has no bias or pads with zeros, the unit stays.

    Works on any Sequential or functional model; what mixes units (see
    `engine.steps`) stays as it is.

    Raises:
        ValueError: a network whose outputs do not depend on its inputs.
    """
    trace = traced(model)
    constants = _constants(trace)
    kept = _kept(trace, constants)
    return copying.rebuild(model, kept, _folded(trace, constants, kept))


@door(model=MODEL)
def live_units(model):
    """How many units of each hidden layer `compact` would keep, by name."""
    trace = traced(model)
    kept = _kept(trace, _constants(trace))
    return {name: int(kept[u].sum()) for name, u in trace.hidden().items()}


def _constants(trace):
    """Of what each reader reads: which places are constant, and their values.

    The network runs once, on no image at all: zeros wherever something
    varies. Of places that may not be left out, because the reader could not
    make up for them, the value is NaN.
    """
    tensors = trace.nothing()
    constant = {n: np.zeros(x.shape[-1], bool) for n, x in tensors.items()}
    uses = collections.Counter(id(step.layer) for step in trace.steps)
    fixed = all(None not in shape[1:] for shape, _ in trace.inputs.values())
    found = {}
    for step in trace.steps:
        places = [constant[n] for n in step.takes]
        values = [tensors[n] for n in step.takes]
        if step.kernel is not None:
            can = fixed and uses[id(step.layer)] == 1 and step.folds()
            found[step] = places[0], _made_up_for(values[0], can)
        made = map(np.asarray, step.run(tensors))
        same = step.constant(places, values)
        for n, places, value in zip(step.makes, same, made, strict=True):
            if places.shape != value.shape[-1:]:  # the last axis has no units
                places = np.zeros(value.shape[-1:], bool)
            constant[n] = places
            tensors[n] = np.where(places, value, np.zeros_like(value))
    if all(constant[n].all() for n in trace.results):
        _refuse_constant(trace)
    return found


def _made_up_for(values, foldable):
    """The value at each place, NaN where it cannot be added to the biases."""
    values = values.reshape(-1, values.shape[-1]).astype(np.float64)
    even = np.isclose(values, values[0], rtol=1e-6).all(axis=0)
    can = (even & foldable) | ~values.any(axis=0)
    return np.where(can, values[0], np.nan)


def _kept(trace, constants):
    """From unit number to whether it stays: what outputs can be traced to."""
    kept, before = trace.held.copy(), -1
    for step in trace.steps:
        if step.heads is not None:
            kept[step.heads] |= step.wanted_heads()
    while before != kept.sum():
        before = kept.sum()
        for step in reversed(constants):
            constant, values = constants[step]
            needed = step.wanted(kept) & ~(constant & np.isfinite(values))
            kept[step.reads[0][needed]] = True
        for label in trace.labels:  # no layer is left without any
            if label.own and not kept[label.units].any():
                kept[label.units[0]] = True
    return kept


def _folded(trace, constants, kept):
    """Pairs of a bias and what it becomes by the constants that are cut."""
    for step, (constant, values) in constants.items():
        lost = constant & np.isfinite(values) & ~kept[step.reads[0]]
        if values[lost].any():
            added = values[lost] @ step.matrix().sum(axis=0)[lost]
            yield step.layer.bias, view(step.layer.bias) + added


def _refuse_constant(trace):
    dead = [
        step.name
        for step in trace.steps
        if step.kernel is not None and not step.matrix().any()
    ]
    name = (dead or sorted(trace.outputs))[0]
    raise ValueError(
        f"Layer {name!r} has no unit left that does anything: the network's "
        "output is constant. Prune less."
    )
