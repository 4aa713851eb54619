"""The bridge between masks and Keras models: any Sequential or functional one.

Masks of weights have a kernel's shape. Masks of units are 1-D and speak of
unit numbers (see `engine.channels`): where units are added, multiplied or
shared, one mask takes them from all their layers.
"""

import warnings

import numpy as np

from helpers import masking
from helpers.engine import copying, doors, holding
from helpers.engine.backend import view
from helpers.engine.channels import wanted_of
from helpers.engine.doors import INPUTS, MASKS, MODEL, SPARSITY, door, one_of
from helpers.engine.readers import Reader
from helpers.engine.tracing import trace

NAMES = doors.Kind(
    lambda value: isinstance(value, list | tuple | set),
    "a list of names of layers",
    'Pass e.g. `["hidden_2"]`.',
)
SELECT = {"layer": masking.layerwise_masks, "global": masking.global_masks}


@door(model=MODEL)
def prunable_kernels(model, include_output=False):
    """Copies of the kernels that may be pruned, by layer name.

    Dense kernels are (inputs, units), those of convolutions (height, width,
    channels, filters). Layers of a nested model are named "model/layer". The
    output layer is left out unless asked for.

    Raises:
        ValueError: nothing to prune in it.
    """
    kernels = trace(model).some_kernels(include_output)
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
    constraints, which run after every step of any Keras optimizer in `fit`,
    and of `optimizer.apply` in a step of your own. If that is a `tf.function`
    it is to be traced, called for the first time, after the first masks: in
    one that was traced before, nothing can hold the zeros. An optimizer that
    averages weights (`use_ema`) is refused, now or when the model is compiled.

    Raises:
        ValueError: an unknown layer, a mask of the wrong shape or with other
            values than 0 and 1, units that have to stay, a constraint or an
            optimizer (`use_ema`) that would undo the zeros. Nothing is
            changed then.
    """
    channels = trace(model)
    _require_finite(channels.some_kernels(include_output=True), masks)
    holding.hold(model, holding.masked_by(channels, masks))


@door(model=MODEL)
def hold_zeros(model):
    """Hold every zero that `model` has: in a pruned model, zeros are the mask.

    **Changes `model`**, not its weights. For models that were loaded or
    copied, because a saved model keeps its zeros but not its constraints. A
    layer that is nothing but zeros was not pruned; it is left free, as are
    zeros of layers whose weights cannot be pruned; a warning says so.
    """
    holding.hold(model, zeros_of(model))


def zeros_of(model):
    """Pairs of a variable and the mask of its zeros: what pruning deleted.

    Zeros of kernels are; those of biases and normalizations only where all
    of a unit is zero.
    """
    channels = trace(model)
    kernels = channels.some_kernels(include_output=True)
    _require_finite(kernels, kernels)
    pairs = holding.own_masks(channels, ~holding.deleted(channels))
    pairs = [(v, mask) for v, mask in pairs if not holding.is_state(v)]
    for name, kernel in kernels.items():
        mask = view(kernel) != 0
        if not mask.any() and not holding.is_held(kernel):
            warnings.warn(
                f"Layer {name!r} is all zero, which is how some layers start: "
                "it is not held at zero.",
                stacklevel=3,
            )
        elif not mask.all():
            pairs.append((kernel, mask))
    held = {id(v) for v in [*kernels.values(), *(v for v, _ in pairs)]}
    _say(channels.with_zeros(held))
    return pairs


@door(model=MODEL)
def masks_of(model):
    """The masks that a pruned model carries: 0 where a weight is exactly 0."""
    return {
        name: (view(kernel) != 0).view(np.uint8)
        for name, kernel in trace(model).some_kernels(True).items()
    }


@door(model=MODEL)
def deleted_units(model):
    """Which units have neither weights nor a bias, gamma and beta included.

    Layers in which there is none are left out.
    """
    channels = trace(model)
    gone = holding.deleted(channels)
    found = {name: gone[units] for name, units in channels.given.items()}
    return {name: units for name, units in found.items() if units.any()}


@door(model=MODEL, sparsity=SPARSITY, scope=one_of(*SELECT))
def prune_weights(model, sparsity, scope="layer"):
    """A copy of `model` without its smallest weights; biases as they were.

    Weights that are zero already stay so, even beyond `sparsity`. Layers
    whose weights cannot be pruned are named in a warning.

    Args:
        sparsity: fraction of the prunable weights to remove, in [0, 1).
        scope: "layer" removes that fraction from every layer, "global" the
            smallest of all layers together.
    """
    kernels = prunable_kernels(model)
    masks = SELECT[scope](masking.magnitude_scores(kernels), sparsity)
    _say(trace(model).left_out())
    masks = {name: mask & (kernels[name] != 0) for name, mask in masks.items()}
    return masked(model, masks)


@door(model=MODEL, sparsity=doors.SPARSITIES, multiple_of=doors.COUNT,
      spare=NAMES, scores=doors.optional(doors.UNITS))  # fmt: skip
def prune_units(model, sparsity, spare=(), multiple_of=1, scores=None):
    """A copy of `model` without its units of smallest L2 norm, biases too.

    Every group of hidden layers, most of them of a single one, loses
    `round(sparsity * units)` units, filters or attention heads (Li et al.,
    2017, with the L1 norm). Layers whose outputs are added, multiplied or
    shared are a group: they lose the same ones, by their norm over all of
    these layers. What has to stay, because something mixes it, is named in a
    warning.

    Args:
        sparsity: one for all groups, or a dict by a layer of each group that
            is to lose some, or by its name in `measuring.groups`.
        spare: names of layers that lose no unit.
        multiple_of: how many units stay in a group is rounded up to a
            multiple of it, or to all that there are.
        scores: what ranks units instead of the norm: an array per hidden
            layer, added up where layers share units.

    Raises:
        ValueError: no unit may go, or a group would lose its last one.
    """
    channels = trace(model)
    families = channels.some_families(spare)
    kept = np.ones(len(channels.held), bool)
    scores = channels.by_unit(scores or unit_scores(model))
    for names, share in wanted_of(families, sparsity).items():
        units = families[names]
        ranked = {names: scores[units]}
        mask = masking.unit_masks(ranked, share, multiple_of)[names]
        kept[units[mask == 0]] = False
    _say(channels.left_out(units=True))
    copy = copying.rebuild(model)
    holding.hold(copy, holding.own_masks(trace(copy), kept))
    return copy


@door(model=MODEL)
def unit_scores(model):
    """Score each unit by its L2 norm over all layers that share it.

    Returns one 1-D array per hidden layer; equal ones where layers are tied.
    """
    channels = trace(model)
    scores = _unit_norms(channels)
    return {name: scores[units] for name, units in channels.hidden().items()}


@door(model=MODEL, x=INPUTS)
def activation_scores(model, x):
    """Score each unit by the mean of |what the next layers read of it|.

    That is its output after normalization, activation and pooling, averaged
    over the images `x`, positions and readers: the "mean activation" of
    Molchanov et al., 2017. What only attention reads inside, its heads, gets
    its norm instead. Returns one 1-D array per hidden layer.
    """
    channels = trace(model)
    total, count = np.zeros((2, len(channels.held)))
    for tensors in channels.feed(x):
        for step in channels.walk(tensors):
            if isinstance(step, Reader):
                (flow,) = step.takes
                read = np.abs(np.asarray(tensors[flow], np.float64))
                read = read.reshape(-1, flow.size)
                np.add.at(total, flow.units, read.sum(axis=0))
                np.add.at(count, flow.units, len(read))
    scores = np.where(
        count, total / np.maximum(count, 1), _unit_norms(channels)
    )
    return {name: scores[units] for name, units in channels.hidden().items()}


@door(model=MODEL)
def copy_of(model):
    """A new model with the same layers, weights and state, not compiled.

    A `train_step` of the model's own stays behind.
    """
    return copying.rebuild(model)


@door(model=MODEL)
def masked(model, masks):
    """A copy of `model` with `masks` applied and held, see `apply_masks`."""
    copy = copying.rebuild(model)
    apply_masks(copy, masks)
    return copy


def _unit_norms(channels):
    """The L2 norm of each unit over all the kernels that give it."""
    squares = np.zeros(len(channels.held))
    for name, label in channels.columns.items():
        norms = masking.unit_scores({name: label.columns()})[name]
        np.add.at(squares, label.units, norms**2)
    return np.sqrt(squares)


def _require_finite(kernels, names):
    for name in names:
        if name in kernels and not np.isfinite(view(kernels[name])).all():
            raise ValueError(
                f"Layer {name!r} has NaN or infinite weights, which cannot be "
                "ranked. Check the training that made them (a learning rate "
                "too high?)."
            )


def _say(left_out):
    if left_out:
        warnings.warn(f"left out: {', '.join(left_out)}", stacklevel=4)
