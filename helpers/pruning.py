"""The bridge between masks and Keras models."""

import gc

import numpy as np

from helpers import masking, staging
from helpers.backend import keras, tf, view
from helpers.staging import PRUNABLE, require_built, require_flat

INTEGERS = {2: "int16", 4: "int32", 8: "int64"}  # as long as a float


class KeepMask(keras.constraints.Constraint):
    """Zeroes the masked entries of a variable after every optimizer step.

    The mask has the variable's shape, or that of its last axis.
    """

    def __init__(self, mask):
        self.bits = keras.Variable(_bits(mask), trainable=False, dtype="int32")

    def __call__(self, w):
        """Return `w` with all bits cleared where the mask is 0.

        A product with 0 would leave -0.0, which compresses worse, or NaN.
        """
        w = tf.convert_to_tensor(w)
        bits = tf.cast(self.bits, INTEGERS[w.dtype.size])
        kept = tf.bitwise.bitwise_and(tf.bitcast(w, bits.dtype), bits)
        return tf.bitcast(kept, w.dtype)


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
    masks = require_masks(model, masks)
    held = _held_by(model, masks)
    for name, mask in masks.items():
        kernel, *parts = held[name]
        _hold(model, kernel, mask)
        for part in parts:
            _hold(model, part, np.resize(mask, part.shape))


def require_masks(model, masks):
    """`masks` as arrays, if each is a mask of a layer of `model`."""
    layers = {layer.name: layer for layer in _prunable_layers(model)}
    if not isinstance(masks, dict):
        raise ValueError(
            f"Expected a dict from layer name to mask, got "
            f"{type(masks).__name__}. Pass e.g. `masking.layerwise_masks(...)`."
        )
    return {
        name: _require_mask(layers, name, mask) for name, mask in masks.items()
    }


def hold_zeros(model):
    """Hold every zero that `model` has: in a pruned model, zeros are the mask.

    **Changes `model`**, not its weights. For models that were loaded or
    copied, because a saved model keeps its zeros but not its constraints.
    """
    masking.magnitude_scores(prunable_kernels(model, include_output=True))
    weights = {k: m for k, m in masks_of(model).items() if not m.all()}
    units = {k: ~gone for k, gone in deleted_units(model).items()}
    _held_by(model, weights)  # or refuse it before the units' are held
    apply_masks(model, units)
    apply_masks(model, weights)


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
        raise ValueError(f'Pass "layer" or "global" as `scope`; got {scope!r}.')
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
    x = staging.require_rows(model, x)
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


def _prunable_layers(model):
    require_flat(model)
    _refuse_unprunable(model)
    layers = [layer for layer in model.layers if isinstance(layer, PRUNABLE)]
    if not layers:
        raise ValueError(
            f"Model {model.name!r} has no Dense or Conv2D layer to prune; "
            f"its layers are {[type(x).__name__ for x in model.layers]}. Pass "
            "e.g. `networks.mlp()`."
        )
    return layers


def _refuse_unprunable(model):
    for layer in model.layers:
        kind = getattr(layer, "quantization_mode", None)
        if kind or getattr(layer, "lora_enabled", False):
            raise ValueError(
                f"Layer {layer.name!r} is changed by {kind or 'LoRA'}: its "
                "numbers are not its weights. Prune the float model before, "
                "and pass that."
            )


def _require_mask(layers, name, mask):
    if name not in layers:
        raise ValueError(
            f"There is no prunable layer {name!r}; pass masks for "
            f"{', '.join(layers)}."
        )
    mask = masking.require_numbers(f"The mask of {name!r}", mask)
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
    return mask


def _held_by(model, masks):
    """The variables that each mask holds; a ValueError if it cannot."""
    _refuse_averaging(model)
    held = {}
    for name, mask in masks.items():
        layer = model.get_layer(name)
        masking.require_finite(name, view(layer.kernel))
        whole = mask.ndim == 1
        parts = staging.unit_parts(model, layer) if whole else []
        held[name] = [layer.kernel, *parts]
        _refuse_constraints(name, held[name])
    return held


def _refuse_constraints(name, variables):
    """A variable has one constraint: another one would be lost."""
    for constraint in (variable.constraint for variable in variables):
        if constraint is not None and not isinstance(constraint, KeepMask):
            raise ValueError(
                f"Layer {name!r} has a constraint of its own, "
                f"{type(constraint).__name__}, which holding zeros would "
                "replace. Pass a model built without it."
            )


def _refuse_averaging(model):
    if getattr(getattr(model, "optimizer", None), "use_ema", False):
        raise ValueError(
            "This model's optimizer averages weights (`use_ema=True`) and "
            "would overwrite zeros; compile with `use_ema=False` first."
        )


def _hold(model, variable, mask):
    """Hold a mask's zeros; a new mask for an old constraint is just data."""
    old = variable.constraint
    if isinstance(old, KeepMask) and old.bits.shape == mask.shape:
        old.bits.assign(_bits(mask))
    else:
        variable.constraint = KeepMask(mask)
        _forget_compiled_step(model)
    variable.assign(variable.constraint(variable))


def _bits(mask):
    """All bits set where a mask is 1."""
    return -np.asarray(mask).astype(np.int32)


def _forget_compiled_step(model):
    """Make a compiled model see new constraints; else they are ignored."""
    if model.compiled and model.train_function is not None:
        model.make_train_function(force=True)
