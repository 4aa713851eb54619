"""The bridge between masks and Keras models: any Sequential or functional one.

Masks of weights have a kernel's shape. Masks of units are 1-D and speak of
unit numbers (see `engine.channels`): where units are added, multiplied or
shared, one mask takes them from all their layers.
"""

import warnings

import numpy as np

from helpers import masking
from helpers.engine import channels, copying
from helpers.engine.backend import keras, tf, view
from helpers.engine.doors import (
    FINITE,
    MASKS,
    MODEL,
    ROWS,
    SPARSITY,
    door,
    one_of,
)

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


@door(model=MODEL)
def prunable_kernels(model, include_output=False):
    """Copies of the kernels that may be pruned, by layer name.

    Dense kernels are (inputs, units), those of convolutions (height, width,
    channels, filters). Layers of a nested model are named "model/layer". The
    output layer is left out unless asked for.

    Raises:
        ValueError: nothing to prune in it.
    """
    kernels = _kernels(model, include_output)
    return {name: np.array(view(kernel)) for name, kernel in kernels.items()}


@door(model=MODEL, masks=MASKS)
def apply_masks(model, masks):
    """Zero masked weights now, and hold the zeros through any later `fit`.

    **Changes `model`.** A mask of its kernel's shape zeroes weights and
    leaves biases alone. A 1-D mask over a layer's units, filters or heads
    deletes them whole: kernels, biases, because a unit without inputs still
    emits `relu(bias)`, and the scale (gamma) and shift (beta) of the
    normalizations that they go through. Units that are added to others or
    shared go from all layers that have them. The zeros are held by Keras
    constraints, which run after every step of any Keras optimizer in `fit`.

    Raises:
        ValueError: an unknown layer, a mask of the wrong shape or with other
            values than 0 and 1, units that have to stay, a constraint or an
            optimizer (`use_ema`) that would undo the zeros. Nothing is
            changed then.
    """
    hold(model, masked_variables(model, masks))


def require_masks(model, masks):
    """`masks` as arrays, if each is a mask of a layer of `model`."""
    trace = channels.trace(model)
    given = trace.given()
    return {
        name: _require_mask(trace, given, name, mask)
        for name, mask in masks.items()
    }


def masked_variables(model, masks):
    """Pairs of a variable and its mask: kernels, and all that a unit owns.

    Raises:
        ValueError: a mask that is not one of `model`, see `apply_masks`.
    """
    trace = channels.trace(model)
    given, kept, pairs = trace.given(), np.ones(len(trace.held), bool), []
    for name, mask in require_masks(model, masks).items():
        FINITE.check("model", {name: view(trace.kernels[name])})
        if mask.ndim == 1:
            kept[given[name].units[mask == 0]] = False
        else:
            pairs.append((trace.kernels[name], mask))
    return pairs + _of_units(trace, kept)


def hold(model, pairs):
    """Put masks on variables, beside the zeros that they hold already.

    **Changes `model`.** Pairs are those of `zeros_of` or `masked_variables`.
    """
    masks = {}
    for variable, mask in pairs:
        _, before = masks.get(id(variable), (None, True))
        masks[id(variable)] = variable, np.logical_and(mask, before)
    _refuse_undoing(model, [variable for variable, _ in masks.values()])
    for variable, mask in masks.values():
        old = variable.constraint
        if isinstance(old, KeepMask):
            held = (view(old.bits) == 0) & (view(variable) == 0)
            old.bits.assign(_bits(mask & ~held))
        else:
            variable.constraint = KeepMask(mask)
            _forget_compiled_step(model)
        variable.assign(variable.constraint(variable))


@door(model=MODEL)
def hold_zeros(model):
    """Hold every zero that `model` has: in a pruned model, zeros are the mask.

    **Changes `model`**, not its weights. For models that were loaded or
    copied, because a saved model keeps its zeros but not its constraints. A
    layer that is nothing but zeros was not pruned; it is left free, and a
    warning says so.
    """
    hold(model, zeros_of(model))


def zeros_of(model):
    """Pairs of a variable and the mask of its zeros: what pruning deleted.

    Zeros of kernels are; those of biases and normalizations only where all
    of a unit is zero.
    """
    kernels = _kernels(model, include_output=True)
    FINITE.check("model", {n: view(kernel) for n, kernel in kernels.items()})
    gone, held = _deleted(model), []
    for name, kernel in kernels.items():
        mask = view(kernel) != 0
        if not mask.any():
            warnings.warn(
                f"Layer {name!r} is all zero, which is how some layers start: "
                "it is not held at zero.",
                stacklevel=3,
            )
        elif not mask.all():
            held.append((kernel, mask))
    return held + _of_units(channels.trace(model), ~gone)


@door(model=MODEL)
def masks_of(model):
    """The masks that a pruned model carries: 0 where a weight is exactly 0."""
    return {
        name: (view(kernel) != 0).view(np.uint8)
        for name, kernel in _kernels(model, include_output=True).items()
    }


@door(model=MODEL)
def deleted_units(model):
    """Which units have neither weights nor a bias, gamma and beta included.

    Layers in which there is none are left out.
    """
    trace, gone = channels.trace(model), _deleted(model)
    found = {n: gone[label.units] for n, label in trace.given().items()}
    return {name: units for name, units in found.items() if units.any()}


@door(
    model=MODEL, sparsity=SPARSITY, scope=one_of("layer", "global")
)  # fmt: skip
def prune_weights(model, sparsity, scope="layer"):
    """A copy of `model` without its smallest weights; biases as they were.

    Weights that are zero already stay so, even beyond `sparsity`. Layers
    whose weights cannot be pruned are named in a warning.

    Args:
        sparsity: fraction of the prunable weights to remove, in [0, 1).
        scope: "layer" removes that fraction from every layer, "global" the
            smallest of all layers together.
    """
    select = {
        "layer": masking.layerwise_masks,
        "global": masking.global_masks,
    }[scope]
    kernels = prunable_kernels(model)
    masks = select(masking.magnitude_scores(kernels), sparsity)
    _say(channels.trace(model).left_out())
    masks = {name: mask & (kernels[name] != 0) for name, mask in masks.items()}
    return masked(model, masks)


@door(model=MODEL, sparsity=SPARSITY)
def prune_units(model, sparsity, spare=()):
    """A copy of `model` without its units of smallest L2 norm, biases too.

    Every hidden layer loses `round(sparsity * units)` units, filters or
    attention heads (Li et al., 2017, with the L1 norm). Layers whose outputs
    are added, multiplied or shared lose the same ones, by their norm over all
    of these layers. What has to stay, because something mixes it, is named
    in a warning.

    Args:
        spare: names of layers that lose no unit.

    Raises:
        ValueError: no unit may go, or a layer would lose its last one.
    """
    trace = channels.trace(model)
    kept = np.ones(len(trace.held), bool)
    scores = _scores_by_unit(trace)
    for names, units in _families(model, trace, spare).items():
        mask = masking.unit_masks({names: scores[units]}, sparsity)[names]
        kept[units[mask == 0]] = False
    _say(trace.left_out(units=True))
    copy = copying.rebuild(model)
    hold(copy, _of_units(channels.trace(copy), kept))
    return copy


@door(model=MODEL)
def unit_scores(model):
    """Score each unit by its L2 norm over all layers that share it.

    Returns one 1-D array per hidden layer; equal ones where layers are tied.
    """
    trace = channels.trace(model)
    scores, given = _scores_by_unit(trace), trace.given()
    return {n: scores[given[n].units] for n in trace.prunable() if n in given}


@door(model=MODEL, x=ROWS)
def activation_scores(model, x):
    """Score each unit by the mean of |what the next layers read of it|.

    That is its output after normalization, activation and pooling, averaged
    over the images `x`, positions and readers: the "mean activation" of
    Molchanov et al., 2017. Returns one 1-D array per hidden layer.
    """
    trace = channels.trace(model)
    total, count = np.zeros((2, len(trace.held)))
    for tensors in trace.feed(model, x):
        for step in trace.steps:
            for number, units in step.kernels() and step.inputs():
                read = np.abs(np.asarray(tensors[number], np.float64))
                read = read.reshape(-1, len(units))
                np.add.at(total, units, read.sum(axis=0))
                np.add.at(count, units, len(read))
            made = step.run(tensors)
            tensors.update(zip(step.makes, made, strict=True))
    means, given = total / np.maximum(count, 1), trace.given()
    return {n: means[given[n].units] for n in trace.prunable() if n in given}


@door(model=MODEL)
def copy_of(model):
    """A new model with the same layers, weights and state, not compiled."""
    return copying.rebuild(model)


@door(model=MODEL, masks=MASKS)
def masked(model, masks):
    """A copy of `model` with `masks` applied and held, see `apply_masks`."""
    require_masks(model, masks)
    copy = copying.rebuild(model)
    apply_masks(copy, masks)
    return copy


def _kernels(model, include_output):
    trace = channels.trace(model)
    kernels = trace.prunable(include_output)
    if not trace.kernels:
        raise ValueError(
            f"Model {model.name!r} has no layer with a kernel to prune; its "
            f"layers are {[type(x).__name__ for x in model.layers]}. Pass "
            "e.g. `networks.mlp()`."
        )
    if not kernels:
        raise ValueError(
            f"Model {model.name!r} has only an output layer. "
            "Pass `include_output=True` to prune that one."
        )
    return kernels


def _families(model, trace, spare):
    """From names of layers to the units that just these have, if free to go."""
    given = trace.given()
    if unknown := sorted(set(spare) - set(given)):
        raise ValueError(
            f"`spare` names layers with units; got {unknown}. Pass some of "
            f"{', '.join(given)}."
        )
    stays = trace.held.copy()
    for name in spare:
        stays[given[name].units] = True
    owners = [[] for _ in stays]
    for name in given:
        for unit in given[name].units[~stays[given[name].units]]:
            owners[unit].append(name)
    families = {}
    for unit, names in enumerate(owners):
        if names:
            families.setdefault(", ".join(names), []).append(unit)
    if not families:
        why = ", ".join(trace.left_out(units=True)) or "all are spared"
        raise ValueError(
            f"Model {model.name!r} has no unit that may go: {why}. Prune its "
            "weights, or pass a model in which fewer layers mix units."
        )
    return {names: np.array(units) for names, units in families.items()}


def _scores_by_unit(trace):
    """The L2 norm of each unit over all the kernels that give it."""
    squares, given = np.zeros(len(trace.held)), trace.given()
    columns = {
        name: np.moveaxis(view(label.variable), label.axis, -1)
        for name, label in given.items()
    }
    for name, norms in masking.unit_scores(columns).items() if columns else ():
        np.add.at(squares, given[name].units, norms**2)
    return np.sqrt(squares)


def _deleted(model):
    """From unit number to whether all that is its own is zero."""
    trace = channels.trace(model)
    used = np.zeros(len(trace.held), bool)
    parts = np.zeros(len(trace.held), int)
    for label in trace.labels:
        if label.own:
            values = np.moveaxis(view(label.variable), label.axis, -1)
            values = values.reshape(-1, values.shape[-1]).any(axis=0)
            used[label.units[values]] = True
            parts[np.unique(label.units)] += 1
    gone = ~used & (parts > 1)
    for label in trace.given().values():
        if gone[label.units].all():  # all zero: it started so
            gone[label.units] = False
    return gone


def _of_units(trace, kept):
    """Pairs of a variable and its mask, where units are deleted."""
    pairs = []
    for label in trace.labels:
        if label.own and not kept[label.units].all():
            shape = [1] * len(label.variable.shape)
            shape[label.axis] = -1
            mask = kept[label.units].reshape(shape)
            mask = np.broadcast_to(mask, label.variable.shape)
            pairs.append((label.variable, mask))
    return pairs


def _require_mask(trace, given, name, mask):
    if name not in trace.kernels:
        raise ValueError(
            f"There is no prunable layer {name!r}; pass masks for "
            f"{', '.join(trace.kernels)}."
        )
    mask, shape = np.asarray(mask), tuple(trace.kernels[name].shape)
    units = given[name].units if name in given else ()
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
    if mask.ndim == 1 and (why := trace.mixed_by(units[mask == 0])):
        raise ValueError(
            f"Units of {name!r} cannot be deleted: {why} reads all of them at "
            "once and would give them a value again. Pass a mask of weights, "
            f"of shape {shape}."
        )
    return mask


def _refuse_undoing(model, variables):
    """Two things would silently give zeros a value: refuse both."""
    if getattr(getattr(model, "optimizer", None), "use_ema", False):
        raise ValueError(
            "This model's optimizer averages weights (`use_ema=True`) and "
            "would overwrite zeros; compile with `use_ema=False` first."
        )
    for variable in variables:
        constraint = variable.constraint
        if constraint is not None and not isinstance(constraint, KeepMask):
            raise ValueError(
                f"{variable.path!r} has a constraint of its own, "
                f"{type(constraint).__name__}, which holding zeros would "
                "replace. Pass a model built without it."
            )


def _bits(mask):
    """All bits set where a mask is 1."""
    return -np.asarray(mask).astype(np.int32)


def _forget_compiled_step(model):
    """Make a compiled model see new constraints; else they are ignored."""
    if model.compiled and model.train_function is not None:
        model.make_train_function(force=True)


def _say(left_out):
    if left_out:
        warnings.warn(f"left out: {', '.join(left_out)}", stacklevel=4)
