"""What a network says at its end: logits or probabilities, of one output."""

import functools
import math

import numpy as np

from helpers.engine.steps import PROBE
from helpers.engine.tracing import trace

ROWS = 16  # so many that logits of them all are never in [0, 1]


def gives_probabilities(model):
    """Whether outputs lie in [0, 1]: after a softmax or sigmoid of any form.

    What comes after the last weights is asked: it is given numbers from -9 to
    9. So an activation may be an argument, a layer, an operation or a
    function of the reader's own, in nested models, too, or an average of
    several.
    """
    found = trace(model)
    makers = {flow: step for step in found.steps for flow in step.makes}

    @functools.cache
    def value(flow):
        if flow not in makers:  # it is an input
            return _spread(flow.shape)
        step, layer = makers[flow], makers[flow].layer
        if getattr(layer, "weights", ()):
            activation = getattr(layer, "activation", None) or np.asarray
            return np.asarray(activation(_spread(flow.shape)))
        made = step.run({taken: value(taken) for taken in step.takes})
        return np.asarray(made[step.makes.index(flow)])

    outputs = value(found.results[0])
    return bool(((outputs >= 0) & (outputs <= 1)).all())


def require_one_output(model):
    """Raise a ValueError unless one array comes out of `model`."""
    if len(model.outputs) != 1:
        raise ValueError(
            f"Model {model.name!r} has {len(model.outputs)} outputs; expected "
            "one. Pass a model with a single output."
        )


def labels(y, shape):
    """`y` as classes, if it has one for each row of outputs of `shape`."""
    y, classes = np.asarray(y), max(2, shape[-1])  # a sigmoid tells two apart
    if y.shape == (*shape[:-1], classes):
        raise ValueError(
            f"`y` has shape {y.shape}, one-hot? Pass "
            f"`y.argmax(axis={y.ndim - 1})`."
        )
    known, rows = np.isin(y, np.arange(classes)), math.prod(shape[:-1])
    if y.size == rows and known.all():
        return y.reshape(shape[:-1])
    raise ValueError(
        f"`y` holds a class from 0 to {classes - 1} for each of {rows} rows; "
        f"got {y.size}, {np.sum(~known)} of them out of range. Pass the "
        "labels of the same rows, such as `split.y_test`."
    )


def _spread(shape):
    """Numbers from -9 to 9 in any order, for some rows."""
    shape = (ROWS, *(n or PROBE for n in shape[1:]))
    numbers = np.linspace(-9, 9, math.prod(shape), dtype="float32")
    return np.random.default_rng(0).permutation(numbers).reshape(shape)
