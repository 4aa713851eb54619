"""Scores -> masks -> sparsity, in plain NumPy.

Scores, masks and kernels are dicts from layer name to array. A mask has its
kernel's shape and is 1 where a weight is kept. Kernels are Keras': the last
axis counts the units (Dense) or filters (Conv2D) that a layer puts out.
"""

import math
import numbers

import numpy as np


def magnitude_scores(kernels):
    """Score each weight by its absolute value (Han et al., 2015)."""
    return {
        name: _magnitude(require_finite(name, k))
        for name, k in require_layers(kernels).items()
    }


def random_scores(kernels, seed):
    """Score each weight by a uniform random number: the control."""
    require_count("seed", seed, least=0)
    random = np.random.default_rng(seed)
    return {
        name: random.random(require_finite(name, k).shape, dtype=np.float32)
        for name, k in require_layers(kernels).items()
    }


def unit_scores(kernels):
    """Score each unit by the L2 norm of its incoming weights, its column.

    Returns one 1-D array per layer, as long as the kernel's last axis, in
    float64: squares of float16 and float32 overflow or vanish.
    """
    columns = {
        name: require_finite(name, k).reshape(-1, np.shape(k)[-1])
        for name, k in require_layers(kernels).items()
    }
    options = {"dtype": np.float64, "casting": "same_kind"}
    return {
        name: np.sqrt(np.einsum("iu,iu->u", k, k, **options))
        for name, k in columns.items()
    }


def layerwise_masks(scores, sparsity):
    """Zero exactly `round(sparsity * size)` lowest scores of every layer.

    Ties never change the count: the first of equal scores go first.

    Raises:
        ValueError: sparsity outside [0, 1), NaN scores, or a layer that
            would lose its last weight.
    """
    sparsity = require_sparsity(sparsity)
    return {
        name: _keep_highest(name, require_finite(name, s), sparsity)
        for name, s in require_layers(scores).items()
    }


def global_masks(scores, sparsity):
    """Zero exactly `round(sparsity * size)` lowest scores over all layers.

    Layers are compared with each other, so each gets a sparsity of its own.
    Ties go as in `layerwise_masks`; so do errors.
    """
    sparsity = require_sparsity(sparsity)
    require_layers(scores)
    flat = [require_finite(name, s).ravel() for name, s in scores.items()]
    mask = _keep_highest("the network", np.concatenate(flat), sparsity)
    parts = np.split(mask, np.cumsum([part.size for part in flat])[:-1])
    masks = {
        name: part.reshape(np.shape(s))
        for (name, s), part in zip(scores.items(), parts, strict=True)
    }
    for name, mask in masks.items():
        _refuse_empty(name, mask, sparsity)
    return masks


def threshold_masks(scores, threshold):
    """Zero every score strictly below `threshold`, however many that are.

    Raises:
        ValueError: a threshold that is no number or negative, NaN scores, or
            a layer that would lose its last weight.
    """
    if not (is_number(threshold) and threshold >= 0):
        raise ValueError(
            f"`threshold` is a score, at least 0; got {threshold!r}. Pass "
            "e.g. 0.05."
        )
    masks = {}
    for name, s in require_layers(scores).items():
        masks[name] = (require_finite(name, s) >= threshold).astype(np.uint8)
        if not masks[name].any():
            raise ValueError(
                f"Threshold {threshold} leaves nothing of {name}, whose "
                f"largest score is {np.max(s)}: the network would be cut in "
                "two. Pass a threshold of at most that."
            )
    return masks


def unit_masks(scores, sparsity):
    """Zero exactly `round(sparsity * units)` lowest units of every layer.

    `scores` holds one 1-D array per layer (see `unit_scores`), and so do
    the masks. Errors as in `layerwise_masks`.
    """
    for name, s in require_layers(scores).items():
        if require_numbers(f"Layer {name!r}", s).ndim != 1:
            raise ValueError(
                f"Unit scores are 1-D, one number per unit; got shape "
                f"{np.shape(s)} for layer {name!r}. Pass "
                "`masking.unit_scores(kernels)`."
            )
    return layerwise_masks(scores, sparsity)


def sparsity_of(masks):
    """The fraction of all entries that are 0, over all layers."""
    arrays = [
        require_numbers(f"Layer {name!r}", mask)
        for name, mask in require_layers(masks).items()
    ]
    kept = sum(np.count_nonzero(array) for array in arrays)
    return 1 - kept / sum(array.size for array in arrays)


def require_sparsity(sparsity):
    """A fraction in [0, 1) as a float; anything else is a ValueError."""
    if is_number(sparsity) and 0 <= sparsity < 1:
        return float(sparsity)  # counts overflow in float16
    hint = " Pass e.g. 0.8 to remove 80 %."
    if is_number(sparsity) and 1 < sparsity < 100:
        hint = f" To remove {sparsity} %, pass {sparsity / 100:g}."
    raise ValueError(
        "`sparsity` is the fraction to remove, in [0, 1); "
        f"got {sparsity!r}.{hint}"
    )


def require_count(name, value, least=1):
    """Raise a ValueError unless `value` is a whole number, at least `least`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (whole and value >= least):
        raise ValueError(
            f"`{name}` is a whole number, at least {least}; got {value!r}. "
            f"Pass e.g. `{name}={max(least, 1)}`."
        )


def is_number(value):
    """Whether `value` is a finite real number, and not True or False."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and abs(value) < math.inf


def require_layers(arrays):
    """A dict with at least one layer as it is; else a ValueError."""
    if isinstance(arrays, dict) and arrays:
        return arrays
    raise ValueError(
        "Expected a dict from layer name to array, with at least one layer; "
        f"got {arrays if isinstance(arrays, dict) else type(arrays).__name__}. "
        "Pass e.g. `pruning.prunable_kernels(model)`."
    )


def require_numbers(what, array):
    """`array` as a NumPy array, if its entries are real numbers."""
    try:
        array = np.asarray(array)
    except ValueError:  # rows of several lengths
        array = np.array(None)
    real = np.can_cast(array.dtype, np.float64, "same_kind")
    if array.size and array.ndim and real:
        foreign = array.dtype.kind == "V"  # bfloat16, which mixes with none
        return array.astype(np.float32) if foreign else array
    has = f"{array.dtype} entries" if array.size else "no entries"
    raise ValueError(
        f"{what} has {has}, shape {array.shape}; expected real numbers along "
        "one axis or more. Pass e.g. an array of floats."
    )


def _magnitude(array):
    """The absolute value; that of an int8's -128 is no int8."""
    integers = array.dtype.kind == "i"
    return np.abs(array.astype(np.int64) if integers else array)


def _keep_highest(name, scores, sparsity):
    """The mask itself: what is above the cut, and the last of those at it."""
    flat = scores.ravel()
    num_zeros = round(sparsity * flat.size)
    mask = np.ones(flat.size, bool)
    if num_zeros:
        cut = _nth_lowest(flat, num_zeros)
        mask = flat > cut
        missing = flat.size - num_zeros - np.count_nonzero(mask)
        if missing:
            mask[np.flatnonzero(flat == cut)[-missing:]] = True
    mask = mask.view(np.uint8).reshape(scores.shape)
    return _refuse_empty(name, mask, sparsity)


def _nth_lowest(flat, n):
    """The n-th lowest score, searched for where a sample says that it is.

    Selecting from a few percent of the scores takes a tenth of the time, and
    many equal ones take no longer. If the sample misleads, all are searched.
    """
    sample = np.sort(flat[:: flat.size // 10_000 + 1])
    about = n * sample.size // flat.size
    low, high = sample[np.clip([about - 300, about + 300], 0, sample.size - 1)]
    above = flat > low
    near = flat[above & (flat < high)]
    rank = n - (flat.size - np.count_nonzero(above))
    if 0 < rank <= near.size:
        return np.partition(near, rank - 1)[rank - 1]
    for cut in (low, high):
        if np.count_nonzero(flat < cut) < n <= np.count_nonzero(flat <= cut):
            return cut
    return np.partition(flat, n - 1)[n - 1]


def _refuse_empty(name, mask, sparsity):
    if mask.any():
        return mask
    raise ValueError(
        f"Sparsity {sparsity} leaves nothing of {name} "
        f"({mask.size} entries): the network would be cut in two. "
        "Pass a lower sparsity, or prune this layer less than the others."
    )


def require_finite(name, array):
    """`array` as it is, if it has entries and all of them are numbers."""
    array = require_numbers(f"Layer {name!r}", array)
    if np.isfinite(array).all():
        return array
    raise ValueError(
        f"Layer {name!r} has NaN or infinite entries, which cannot be ranked. "
        "Check the training that made it (a learning rate too high?)."
    )
