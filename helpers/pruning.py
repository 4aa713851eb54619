"""The bridge between masks and Keras models."""

import gc
import numbers

import numpy as np

from helpers import masking, staging
from helpers.backend import keras, tf, view
from helpers.staging import PRUNABLE, require_built


class KeepMask(keras.constraints.Constraint):
    """Zeroes the masked entries of a variable after every optimizer step.

    The mask has the variable's shape, or that of its last axis.
    """

    def __init__(self, mask):
        self.mask = keras.Variable(mask, trainable=False, dtype="float32")

    def __call__(self, w):
        """Return `w` with exact zeros where the mask is 0, even for a NaN."""
        return tf.math.multiply_no_nan(w, tf.cast(self.mask, w.dtype))


def prunable_kernels(model, include_output=False):
    """Copies of the kernels that may be pruned, by layer name.

    Dense kernels are (inputs, units), Conv2D kernels (height, width,
    channels, filters). The last such layer, the output, is left out unless
    asked for.

    Raises:
        ValueError: not a Keras model, not built, or nothing to prune in it.
    """
    layers = _prunable_layers(model)
    chosen = layers if include_output else layers[:-1]
    if not chosen:
        raise ValueError(
            f"Model {model.name!r} has only an output layer. "
            "Pass `include_output=True` to prune that one."
        )
    return {layer.name: np.array(view(layer.kernel)) for layer in chosen}


def apply_masks(model, masks):
    """Zero masked weights now, and hold the zeros through any later `fit`.

    **Changes `model`.** A mask of its kernel's shape zeroes weights and
    leaves biases alone. A 1-D mask over a layer's units or filters zeroes
    them whole: the kernel's columns, the biases, because a unit without
    inputs still emits `relu(bias)`, and the scale (gamma) and shift (beta)
    of the BatchNormalization after it. The zeros are held by Keras
    constraints, which run after every step of any optimizer.

    Raises:
        ValueError: an unknown layer, a mask of the wrong shape or with other
            values than 0 and 1, units that a BatchNormalization would give
            a value again, or an optimizer that averages weights (`use_ema`),
            which would undo the zeros. Nothing is changed then.
    """
    layers = {layer.name: layer for layer in _prunable_layers(model)}
    for name, mask in masks.items():
        _check_mask(layers, name, np.asarray(mask))
        masking.require_finite(name, view(layers[name].kernel))
    _refuse_averaging(model)
    whole = [name for name, mask in masks.items() if np.ndim(mask) == 1]
    parts = {name: staging.unit_parts(model, layers[name]) for name in whole}
    for name, mask in masks.items():
        kernel, mask = layers[name].kernel, np.asarray(mask)
        _hold(model, kernel, mask)
        for part in parts.get(name, ()):
            _hold(model, part, np.resize(mask, part.shape))


def hold_zeros(model):
    """Hold every zero that `model` has: in a pruned model, zeros are the mask.

    **Changes `model`**, not its weights. For models that were loaded or
    copied, because a saved model keeps its zeros but not its constraints.
    """
    masks, deleted = masks_of(model), deleted_units(model)
    apply_masks(model, {k: ~gone for k, gone in deleted.items()})
    apply_masks(model, {k: m for k, m in masks.items() if not m.all()})


def masks_of(model):
    """The masks that a pruned model carries: 0 where a weight is exactly 0."""
    return {
        layer.name: (view(layer.kernel) != 0).view(np.uint8)
        for layer in _prunable_layers(model)
    }


def deleted_units(model):
    """Which units have neither weights nor a bias, gamma and beta included.

    Layers in which there is none are left out.
    """
    deleted = {}
    for layer in _prunable_layers(model):
        parts = [layer.kernel, *staging.unit_parts(model, layer, strict=False)]
        units = layer.kernel.shape[-1]
        used = [view(part).reshape(-1, units).any(axis=0) for part in parts]
        if len(parts) > 1 and not np.any(used, axis=0).all():
            deleted[layer.name] = ~np.any(used, axis=0)
    return deleted


def prune_weights(model, sparsity, scope="layer"):
    """A copy of `model` without its smallest weights; biases as they were.

    Weights that are zero already stay so, even beyond `sparsity`.

    Args:
        sparsity: fraction of the prunable weights to remove, in [0, 1).
        scope: "layer" removes that fraction from every layer, "global" the
            smallest of all layers together.
    """
    scopes = {
        "layer": masking.layerwise_masks,
        "global": masking.global_masks,
    }
    if scope not in scopes:
        raise ValueError(f'`scope` is "layer" or "global"; got {scope!r}.')
    kernels = prunable_kernels(model)
    masks = scopes[scope](masking.magnitude_scores(kernels), sparsity)
    return _masked_copy(
        model,
        {name: mask & (kernels[name] != 0) for name, mask in masks.items()},
    )


def prune_units(model, sparsity):
    """A copy of `model` without its units of smallest L2 norm, biases too.

    Every hidden layer loses `round(sparsity * units)` units or filters (Li
    et al., 2017, with the L1 norm).
    """
    scores = masking.unit_scores(prunable_kernels(model))
    return _masked_copy(model, masking.unit_masks(scores, sparsity))


def activation_scores(model, x):
    """Score each unit by the mean of |what the next layer reads of it|.

    That is its output after normalization, activation and pooling, averaged
    over the images `x` and over positions: the "mean activation" of Molchanov
    et al., 2017. Returns one 1-D array per hidden layer.

    Raises:
        ValueError: a model that is no chain of layers, see
            `staging.stages`.
    """
    entry, *hidden, _ = staging.stages(model)
    scores = {}
    for stage in (entry, *hidden):
        for layer in stage:
            x = layer(x)
        if stage is not entry:
            units = stage[0].kernel.shape[-1]
            read = np.abs(x).reshape(-1, units)
            scores[stage[0].name] = read.mean(axis=0)
    return scores


def copy_of(model):
    """A new model with the same layers and weights, not compiled."""
    require_built(model)
    gc.collect()  # models are cycles: free those that nobody uses any more
    if isinstance(model, keras.Sequential):
        layers = [type(x).from_config(x.get_config()) for x in model.layers]
        copy = staging.chained(layers, model)
    else:
        copy = type(model).from_config(model.get_config())
    copy.set_weights(model.weights)
    return copy


def _masked_copy(model, masks):
    copy = copy_of(model)
    apply_masks(copy, masks)
    return copy


def require_count(name, value):
    """Raise a ValueError unless `value` is a whole number, at least 1."""
    if not (isinstance(value, numbers.Integral) and value >= 1):
        raise ValueError(
            f"`{name}` is a whole number, at least 1; got {value!r}."
        )


def _prunable_layers(model):
    require_built(model)
    layers = [layer for layer in model.layers if isinstance(layer, PRUNABLE)]
    if not layers:
        raise ValueError(
            f"Model {model.name!r} has no Dense or Conv2D layer to prune; "
            f"its layers are {[type(x).__name__ for x in model.layers]}."
        )
    return layers


def _check_mask(layers, name, mask):
    if name not in layers:
        raise ValueError(
            f"There is no prunable layer {name!r}; pass masks for "
            f"{', '.join(layers)}."
        )
    shape = tuple(layers[name].kernel.shape)
    if mask.shape not in (shape, shape[-1:]):
        raise ValueError(
            f"The mask of {name!r} has shape {mask.shape}; pass {shape} "
            f"for its weights or {shape[-1:]} for its units."
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f"The mask of {name!r} has other values than 0 and 1; "
            "pass 1 to keep a weight and 0 to remove it."
        )


def _refuse_averaging(model):
    if getattr(getattr(model, "optimizer", None), "use_ema", False):
        raise ValueError(
            "This model's optimizer averages weights (`use_ema=True`) and "
            "would overwrite zeros; compile with `use_ema=False` first."
        )


def _hold(model, variable, mask):
    """Hold a mask's zeros; a new mask for an old constraint is just data."""
    old = getattr(variable.constraint, "mask", None)
    if isinstance(variable.constraint, KeepMask) and old.shape == mask.shape:
        old.assign(mask)
    else:
        variable.constraint = KeepMask(mask)
        _forget_compiled_step(model)
    variable.assign(variable.constraint(variable))


def _forget_compiled_step(model):
    """Make a compiled model see new constraints; else they are ignored."""
    if model.compiled and model.train_function is not None:
        model.make_train_function(force=True)
