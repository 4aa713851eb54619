"""Zeros that stay: masks on variables, through any optimizer step."""

import functools

import numpy as np

from helpers.engine.backend import keras, tf, view

INTEGERS = {2: "int16", 4: "int32", 8: "int64"}  # as long as a float


class KeepMask(keras.constraints.Constraint):
    """Zeroes the masked entries of a variable after every optimizer step."""

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


def is_held(variable):
    """Whether a mask is on it."""
    return isinstance(variable.constraint, KeepMask)


def deleted(channels):
    """From unit number to whether all that is its own is zero.

    A whole layer that is zero and not held has only started so.
    """
    gone = np.zeros(len(channels.held), bool)
    own = [x for x in channels.labels if x.own and not is_state(x.variable)]
    for label in own:
        gone[label.units] = True
    for label in own:
        gone[label.units[label.columns().any(axis=0)]] = False
    for name, units in channels.given.items():
        if gone[units].all() and not is_held(channels.kernels[name]):
            gone[units] = False
    return gone


def is_state(variable):
    """Whether no optimizer moves it: zeroed once, it may drift."""
    return variable.name == "moving_mean"


def own_masks(channels, kept):
    """Pairs of a variable and its mask, where units are deleted."""
    for label in channels.labels:
        if label.own and not kept[label.units].all():
            shape = label.variable.shape
            others = [n for n in range(len(shape)) if n != label.axis]
            mask = np.expand_dims(kept[label.units], others)
            yield label.variable, np.broadcast_to(mask, shape)


def masked_by(channels, masks):
    """Pairs of a variable and its mask, for masks by layer name.

    Raises:
        ValueError: an unknown layer, a mask of the wrong shape or with other
            values than 0 and 1, units that have to stay.
    """
    kept, pairs = np.ones(len(channels.held), bool), []
    for name, mask in masks.items():
        mask = np.asarray(mask)
        _require_mask(channels, name, mask)
        if mask.ndim == 1:
            kept[channels.given[name][mask == 0]] = False
        else:
            pairs.append((channels.kernels[name], mask))
    return [*pairs, *own_masks(channels, kept)]


def hold(model, pairs):
    """Put masks on variables, beside the zeros that they hold already.

    **Changes `model`.** `pairs` are of a variable and a mask of its shape.
    A held entry that has been given a value is free again.

    Raises:
        ValueError: a constraint or an optimizer that would undo the zeros.
            Nothing is changed then.
    """
    pairs = list(pairs)
    _refuse_undoing(model, [variable for variable, _ in pairs])
    vars(model)["compile"] = functools.partial(_compile, model)
    for variable, mask in pairs:
        mask = np.asarray(mask, bool)
        if is_held(variable):
            bits = variable.constraint.bits
            free = (view(bits) != 0) | (view(variable) != 0)
            bits.assign(_bits(mask & free))
        else:
            variable.constraint = KeepMask(mask)
            if model.compiled and model.train_function is not None:
                model.make_train_function(force=True)  # else it is ignored
        variable.assign(variable.constraint(variable))


def _bits(mask):
    """All bits set where a mask is 1."""
    return -np.asarray(mask).astype(np.int32)


def _compile(model, optimizer="rmsprop", *args, **options):
    """Its own `compile`, for a model that holds zeros."""
    _refuse_averages(optimizer)
    return type(model).compile(model, optimizer, *args, **options)


def _refuse_averages(optimizer):
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if getattr(optimizer, "use_ema", False):
        raise ValueError(
            "This model's optimizer averages weights (`use_ema=True`) and "
            "would overwrite zeros; compile with `use_ema=False`."
        )


def _refuse_undoing(model, variables):
    """Two things would silently give zeros a value: refuse both."""
    _refuse_averages(getattr(model, "optimizer", None))
    for variable in variables:
        if variable.constraint is not None and not is_held(variable):
            raise ValueError(
                f"{variable.path!r} has a constraint of its own, "
                f"{type(variable.constraint).__name__}, which holding zeros "
                "would replace. Pass a model built without it."
            )


def _require_mask(channels, name, mask):
    if name not in channels.kernels:
        raise ValueError(
            f"There is no prunable layer {name!r}; pass masks for "
            f"{', '.join(channels.kernels)}."
        )
    shape = tuple(channels.kernels[name].shape)
    units = channels.given.get(name, ())
    if mask.shape not in (shape, (len(units),)):
        raise ValueError(
            f"The mask of {name!r} has shape {mask.shape}; pass {shape} "
            f"for its weights or ({len(units)},) for its units."
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f"The mask of {name!r} has other values than 0 and 1; "
            "pass 1 to keep a weight and 0 to remove it."
        )
    if mask.ndim == 1 and name not in channels.outputs:
        _require_free(channels, name, units[mask == 0])


def _require_free(channels, name, units):
    reasons = {channels.why[unit] for unit in units} - {None, "the output"}
    if reasons:
        shape = tuple(channels.kernels[name].shape)
        raise ValueError(
            f"Units of {name!r} have to stay: {min(reasons)} keeps all of "
            f"them. Pass a mask of weights, of shape {shape}."
        )
