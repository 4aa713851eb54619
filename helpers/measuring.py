"""What a network costs, parameters, MACs and bytes, and how well it reads."""

import pathlib
import tempfile
import zlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from helpers import deploying
from helpers.engine import copying, endings
from helpers.engine.backend import keras, view
from helpers.engine.doors import ANY_MODEL, INPUTS, ROWS, door
from helpers.engine.tracing import call, trace
from helpers.fitting import loss_of


class Cost(NamedTuple):
    """`parameters`, `nonzeros` and `macs` count; the others are bytes."""

    parameters: int
    nonzeros: int
    macs: int
    bytes: int
    zipped_bytes: int


@door(model=ANY_MODEL)
def cost(model):
    """Count what `model` holds and does, and save it to see what it weighs.

    `macs` are multiply-accumulates for one image, whether a weight is zero
    or not; `bytes` is the size of the saved `.keras` file and
    `zipped_bytes` the size of that file when zipped.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        copying.rebuild(model).save(path)  # without an optimizer
        content = path.read_bytes()
    size, zipped = len(content), len(zlib.compress(content))
    return Cost(**counts(model), bytes=size, zipped_bytes=zipped)


@door(model=ANY_MODEL)
def counts(model):
    """The part of `cost` that needs no file: a dict of three numbers."""
    arrays = [view(variable) for variable in model.weights]
    return {
        "parameters": sum(array.size for array in arrays),
        "nonzeros": sum(int(np.count_nonzero(array)) for array in arrays),
        "macs": sum(macs_per_layer(model).values()),
    }


@door(model=ANY_MODEL)
def macs_per_layer(model):
    """Multiply-accumulates for one image, by name of each layer that does any.

    A Dense layer does inputs x units of them; a convolution does its
    kernel's size at every output position. A layer that is used twice does
    them twice. One of a nested model is named "model/layer".
    """
    macs = {}
    for step in trace(model).steps:
        if (number := step.macs()) is None:
            raise ValueError(
                f"How often layer {step} multiplies with its weights is not "
                "known. Pass a model of Dense layers, convolutions and "
                "attention."
            )
        if number:
            macs[step.name] = macs.get(step.name, 0) + number
    return macs


@door(model=ANY_MODEL)
def groups(model):
    """What each group of layers owns whose units go together.

    Returns:
        DataFrame: by the names of the tied layers, joined, how many `layers`
        these are, how many `units` they share, and the `parameters` and
        `MACs` with which they make these: their columns of kernels, their
        biases and normalizations. What next layers read them with is theirs;
        what has to stay is in no group.
    """
    channels = trace(model)
    families = channels.some_families()
    parameters, macs = channels.parameters(), _macs_of_units(channels)
    rows = {
        name: {
            "layers": name.count(", ") + 1,
            "units": len(units),
            "parameters": round(parameters[units].sum()),
            "MACs": round(macs[units].sum()),
        }
        for name, units in families.items()
    }
    return pd.DataFrame.from_dict(rows, "index").rename_axis("group")


def _macs_of_units(channels):
    """From unit number to the MACs of the layers that give it."""
    total = np.zeros(len(channels.held))
    for step in channels.steps:
        units = step.makes[0].units
        if step.heads is not None:
            units = step.heads.units
        if len(units) and (macs := step.macs()):
            np.add.at(total, units, macs / len(units))
    return total


def left_in(model):
    """How many weights and units pruning has left, and the MACs.

    Weights and units are those of the layers that may be pruned; a unit is
    left as long as a weight leads to it.
    """
    known, weights, units = trace(model), 0, 0
    for name, kernel in known.prunable().items():
        left = view(kernel) != 0
        weights += int(np.count_nonzero(left))
        if name in known.hidden():
            others = set(range(left.ndim)) - {known.columns[name].axis}
            units += int(left.any(axis=tuple(others)).sum())
    return {
        "weights left": weights,
        "units left": units,
        "MACs": sum(macs_per_layer(model).values()),
    }


@door(model=deploying.FILE, x=INPUTS, y=ROWS)
def accuracy(model, x, y):
    """The fraction of images `x` that get their label `y`."""
    outputs, threshold = _judged(model, x)
    y = endings.labels(y, outputs.shape)
    return float(np.mean(_classes(outputs, threshold) == y))


@door(model=ANY_MODEL, x=INPUTS, y=ROWS)
def loss_and_accuracy(model, x, y):
    """What `model` is trained for, cross-entropy, and its accuracy: a dict."""
    outputs, threshold = _judged(model, x)
    y = endings.labels(y, outputs.shape)
    return {
        "loss": float(loss_of(model)(y, outputs)),
        "accuracy": float(np.mean(_classes(outputs, threshold) == y)),
    }


@door(model=deploying.FILE, x=INPUTS)
def predictions(model, x):
    """The class of the largest output for each image.

    Of one output it is class 1 above 0.5 if that is a probability, or above
    0 if it is a logit. `model` may be the bytes of a LiteRT file.
    """
    return _classes(*_judged(model, x))


def outputs(model, x):
    """Each output for all of `x`, as float32; of a model, or a LiteRT file.

    `x` is one array, or as many as the model has inputs.
    """
    if isinstance(model, bytes | deploying.File):
        return [deploying.opened(model)(x)]
    x = x if len(model.inputs) > 1 else np.asarray(x)
    said = [call(model, rows) for rows in trace(model).feed(x)]
    return [
        np.concatenate([keras.ops.cast(part, "float32") for part in parts])
        for parts in zip(*said, strict=True)
    ]


def _judged(model, x):
    """What comes out, and above what a single output means class 1."""
    if isinstance(model, bytes | deploying.File):
        model = deploying.opened(model)
        return *outputs(model, x), 0.5 * model.gives_probabilities()
    endings.require_one_output(model)
    (said,) = outputs(model, x)
    said = said.reshape(len(said), *(said.shape[1:] or (1,)))
    return said, 0.5 * endings.gives_probabilities(model)


def _classes(outputs, threshold):
    if outputs.shape[-1] == 1:
        return (outputs[..., 0] > threshold).astype("int64")
    return np.argmax(outputs, axis=-1)
