"""Tell apart the layers of a chain, and what belongs to each unit."""

import numpy as np

from helpers import masking
from helpers.engine.backend import keras

PRUNABLE = (keras.layers.Dense, keras.layers.Conv2D)
UNITWISE = (  # what they do to a unit depends on that unit alone
    keras.layers.Activation,
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.LeakyReLU,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
    keras.layers.SpatialDropout2D,
)
NORMALIZATION = keras.layers.BatchNormalization
OVER_ALL_UNITS = ("softmax", "log_softmax", "sparsemax", "glu")


def stages(model):
    """The layers of a chain, cut before each prunable one; a list of lists.

    The first holds what comes before any prunable layer.

    Raises:
        ValueError: a model whose layers may branch, or a layer after which
            units cannot be told apart. Says why it is not supported.
    """
    require_built(model)
    if not isinstance(model, keras.Sequential):
        raise ValueError(
            f"A {type(model).__name__} model is not supported, because its "
            "layers may branch or be shared: units that are added to others "
            "cannot go alone. Pass a `keras.Sequential`."
        )
    found = [[]]
    for layer in model.layers:
        if isinstance(layer, PRUNABLE):
            found.append([])
        found[-1].append(layer)
    if None in model.input_shape[1:]:
        raise ValueError(
            f"Inputs of shape {model.input_shape[1:]} are not supported, "
            "because their size is not fixed."
        )
    for stage in found[1:]:
        for layer in stage[: 1 if stage is found[-1] else None]:
            _refuse_mixing(layer, is_output=stage is found[-1])
    return found


def unit_parts(model, layer, strict=True):
    """The variables that belong to the layer's units, besides its kernel.

    Where it cannot be known which do, an error if `strict`, else none.
    """
    biases = [] if layer.bias is None else [layer.bias]
    if not any(isinstance(x, NORMALIZATION) for x in model.layers):
        return biases
    try:
        (stage,) = (s for s in stages(model)[1:] if s[0] is layer)
        norms = [x for x in stage if isinstance(x, NORMALIZATION)]
        scales = [_scale_of(norm) for norm in norms]
    except ValueError:
        if strict:
            raise
        return []
    shifts = [norm.beta for norm in norms if norm.beta is not None]
    return biases + scales + shifts


def chained(layers, model):
    """A new `keras.Sequential` of new `layers`, that takes what `model` takes.

    Its weights are zeros until they are set: random ones would take longer
    than all else. All layers are built at once: one by one, Keras builds the
    first ones again for each that follows.
    """
    entry = model.inputs[0]
    entry = keras.Input(
        batch_shape=entry.shape, dtype=entry.dtype, name=entry.name
    )
    kept = [
        (layer, name, value)
        for layer in layers
        for name, value in vars(layer).items()
        if name.endswith("_initializer")
    ]
    for layer, name, _ in kept:
        setattr(layer, name, keras.initializers.Zeros())
    chain = keras.Sequential([entry, *layers], name=model.name)
    for layer, name, value in kept:
        setattr(layer, name, value)
    return chain


def require_built(model):
    """Raise a ValueError unless `model` is a Keras model with weights.

    And of layers that can be listed, a `keras.Sequential` or a functional
    model, from one input to one output.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"Expected a Keras model, got {type(model).__name__}. "
            "Pass e.g. `networks.mlp()` or `training.baseline(split)`."
        )
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} has no weights yet. Give it an "
            "`Input` layer, or call it once on data."
        )
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"{type(model).__name__} is a subclass of `keras.Model` that "
            "decides in Python what its layers read; expected a model that "
            "can be copied. Pass a `keras.Sequential` or a functional model."
        )
    ends = len(model.inputs), len(model.outputs)
    if ends != (1, 1):
        raise ValueError(
            f"Model {model.name!r} has {ends[0]} inputs and {ends[1]} outputs; "
            "expected one of each. Pass a model with a single output."
        )


def require_flat(model):
    """Raise a ValueError if a layer holds layers of its own with kernels.

    They would silently be left out of what is pruned and counted.
    """
    require_built(model)
    for layer in model.layers:
        others = [x for x in layer._flatten_layers() if x is not layer]
        inner = [x.name for x in others if x.weights]
        if inner:
            raise ValueError(
                f"Layer {layer.name!r} ({type(layer).__name__}) holds layers "
                f"of its own, {inner}, which would be left out; expected a "
                "flat model. Pass one with those layers in its own list."
            )


def require_rows(model, x):
    """`x` as an array, if it holds one row or more that `model` takes."""
    x = masking.require_numbers("`x`", x)
    wanted, got = model.input_shape, x.shape
    pairs = zip(wanted, got, strict=False)
    if len(wanted) == len(got) and all(w in (None, g) for w, g in pairs):
        return x
    raise ValueError(
        f"Model {model.name!r} takes rows of shape {wanted[1:]}; got an array "
        f"of shape {got}. Pass e.g. `split.x_test`."
    )


def require_labels(model, x, y):
    """`y` as a 1-D array, if it holds a class for each row of `x`."""
    labels = np.ravel(masking.require_numbers("`y`", y))
    classes = max(2, model.output_shape[-1])  # a sigmoid tells two apart
    known = np.isin(labels, np.arange(classes))
    if labels.size == len(x) and known.all():
        return labels
    raise ValueError(
        f"`y` holds a class from 0 to {classes - 1} for each of {len(x)} rows; "
        f"got {labels.size}, {np.sum(~known)} of them out of range. Pass the "
        "labels of the same rows, such as `split.y_test`."
    )


def _refuse_mixing(layer, is_output):
    """Raise a ValueError if a unit's part of the outputs is not its own."""
    function = getattr(getattr(layer, "activation", None), "__name__", None)
    axis = getattr(layer, "axis", -1)
    why = None
    if not isinstance(layer, (*PRUNABLE, *UNITWISE)):
        why = "it may mix the units before it"
    elif function in OVER_ALL_UNITS and not is_output:
        why = f"its activation {function} depends on all units at once"
    elif getattr(layer, "groups", 1) != 1:
        why = f"its {layer.groups} groups see only a part of the units each"
    elif getattr(layer, "data_format", "channels_last") != "channels_last":
        why = "its units are not counted by the last axis"
    elif axis not in (-1, len(layer.output.shape) - 1):
        why = f"it normalizes axis {axis}, and units are the last axis"
    if why:
        raise ValueError(
            f"Layer {layer.name!r} ({type(layer).__name__}) is not supported, "
            f"because {why}."
        )


def _scale_of(norm):
    if norm.gamma is not None:
        return norm.gamma
    raise ValueError(
        f"Layer {norm.name!r} (BatchNormalization, scale=False) is not "
        "supported, because it gives deleted units a value, and has no gamma "
        "to take it away."
    )
