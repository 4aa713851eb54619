"""Make a masked network really smaller, with the same outputs."""

import collections

import numpy as np

from helpers.engine import copying
from helpers.engine.asking import as_mask
from helpers.engine.backend import view
from helpers.engine.doors import MODEL, door
from helpers.engine.readers import Reader
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
    return copying.rebuild(model, kept, _folded(constants, kept))


@door(model=MODEL)
def live_units(model):
    """How many units of each hidden layer `compact` would keep, by name."""
    trace = traced(model)
    kept = _kept(trace, _constants(trace))
    return {name: int(kept[u].sum()) for name, u in trace.hidden().items()}


def _constants(trace):
    """Of what each reader reads: its value at each place, NaN where it varies.

    The network runs once, on no image at all: zeros wherever something
    varies, or true. NaN is also the value of places that may not be left out,
    because the reader could not make up for them.
    """
    tensors = trace.nothing()
    constant = {x: np.zeros(n.shape[-1], bool) for x, n in tensors.items()}
    found = {}
    uses = collections.Counter(id(step.layer) for step in trace.steps)
    fixed = all(None not in flow.shape[1:] for flow in trace.inputs)
    for step in trace.steps:
        taken = [constant[flow] for flow in step.takes]
        if isinstance(step, Reader):
            can = fixed and uses[id(step.layer)] == 1 and step.folds()
            values = _made_up_for(tensors[step.takes[0]], can)
            found[step] = np.where(taken[0], values, np.nan)
        same = step.constant(taken, tensors)
        made = map(np.asarray, step.run(tensors))
        for flow, places, value in zip(step.makes, same, made, strict=True):
            if places.shape != value.shape[-1:]:  # the last axis has no units
                places = np.zeros(value.shape[-1:], bool)
            constant[flow] = places
            nothing = as_mask(np.zeros_like(value), value.dtype)
            tensors[flow] = np.where(places, value, nothing)
    if all(constant[flow].all() for flow in trace.results):
        _refuse_constant(trace)
    return found


def _made_up_for(values, foldable):
    """The value at each place, NaN where it cannot be added to the biases."""
    values = np.asarray(values, np.float64)
    values = values.reshape(-1, values.shape[-1])
    even = np.isclose(values, values[0], rtol=1e-6).all(axis=0)
    can = (even & foldable) | ~values.any(axis=0)
    return np.where(can, values[0], np.nan)


def _kept(trace, constants):
    """From unit number to whether it stays: what outputs can be traced to."""
    kept, before = trace.held.copy(), -1
    for step in trace.steps:
        if step.heads is not None:
            kept[step.heads.units] |= step.wanted_heads()
    while before != kept.sum():
        before = kept.sum()
        for step, values in reversed(constants.items()):
            needed = step.wanted(kept) & np.isnan(values)
            kept[step.takes[0].units[needed]] = True
        for label in trace.labels:  # no layer is left without any
            if label.own and not kept[label.units].any():
                kept[label.units[0]] = True
    return kept


def _folded(constants, kept):
    """Pairs of a bias and what it becomes by the constants that are cut."""
    for step, values in constants.items():
        lost = ~np.isnan(values) & ~kept[step.takes[0].units]
        if values[lost].any():
            added = values[lost] @ step.matrix().sum(axis=0)[lost]
            yield step.layer.bias, view(step.layer.bias) + added


def _refuse_constant(trace):
    dead = [
        step.name
        for step in trace.steps
        if isinstance(step, Reader) and not step.matrix().any()
    ]
    name = (dead or sorted(trace.outputs))[0]
    raise ValueError(
        f"Layer {name!r} has no unit left that does anything: the network's "
        "output is constant. Prune less."
    )
