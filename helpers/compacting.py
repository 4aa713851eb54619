"""Make a masked network really smaller, with the same outputs."""

import numpy as np

from helpers import pruning
from helpers.backend import keras

OVER_ALL_UNITS = ("softmax", "log_softmax", "sparsemax", "glu")


def compact(model):
    """A plain, smaller Keras model without the units that do nothing.

    A unit goes when all its incoming weights are zero, or all its outgoing
    ones. If a unit without inputs has a bias, it emits the constant
    `relu(bias)`, which is added to the next layer's biases, so that outputs
    stay equal up to rounding.

    Raises:
        ValueError: a model that is not a chain of Dense layers, or a layer
            of which no unit is left.
    """
    layers = _dense_chain(model)
    weights = [[np.array(w) for w in layer.get_weights()] for layer in layers]
    while _drop_dead_units(layers, weights):
        pass  # a dropped unit may leave others without use
    small = keras.Sequential([keras.Input(model.input_shape[1:])])
    for layer, (kernel, bias) in zip(layers, weights, strict=True):
        config = {**layer.get_config(), "units": kernel.shape[1]}
        small.add(keras.layers.Dense.from_config(config))
        small.layers[-1].set_weights([kernel, bias])
    return small


def live_units(model):
    """How many units of each hidden layer `compact` would keep, by name."""
    return {layer.name: layer.units for layer in compact(model).layers[:-1]}


def _dense_chain(model):
    """The model's layers, if each is a Dense layer with a bias."""
    pruning.require_built(model)
    if not isinstance(model, keras.Sequential):
        raise ValueError(
            f"Cannot compact a {type(model).__name__} model: its layers may "
            "branch. Pass a `keras.Sequential`."
        )
    last = model.layers[-1]
    for layer in model.layers:
        if not isinstance(layer, keras.layers.Dense) or not layer.use_bias:
            raise ValueError(
                f"Cannot compact layer {layer.name!r} "
                f"({type(layer).__name__}): only chains of Dense layers with "
                "biases are supported."
            )
        if layer.activation.__name__ in OVER_ALL_UNITS and layer is not last:
            raise ValueError(
                f"Cannot compact layer {layer.name!r}: its activation "
                f"{layer.activation.__name__} depends on all units at once."
            )
    return model.layers


def _drop_dead_units(layers, weights):
    """Remove units in place, layer by layer; returns how many went."""
    dropped = 0
    for here in range(len(layers) - 1):
        (kernel, bias), (next_kernel, next_bias) = weights[here : here + 2]
        silent = ~kernel.any(axis=0)
        dead = silent | ~next_kernel.any(axis=1)
        if dead.all():
            empty = here if next_kernel.any() else here + 1
            raise ValueError(
                f"Layer {layers[empty].name!r} has no unit left that does "
                "anything: the network's output is constant. Prune less."
            )
        emitted = np.array(layers[here].activation(bias)) * silent
        weights[here + 1] = [
            next_kernel[~dead],
            next_bias + emitted @ next_kernel,
        ]
        weights[here] = [kernel[:, ~dead], bias[~dead]]
        dropped += int(dead.sum())
    return dropped
