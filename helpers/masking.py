"""Scores -> masks -> sparsity, in plain NumPy.

Scores, masks and kernels are dicts from layer name to array. A mask has its
kernel's shape and is 1 where a weight is kept. Kernels are Keras': the last
axis counts the units (Dense) or filters (Conv2D) that a layer puts out.
"""

import numbers

import numpy as np


def magnitude_scores(kernels):
    """Score each weight by its absolute value (Han et al., 2015)."""
    return {
        name: np.abs(require_finite(name, k)) for name, k in kernels.items()
    }


def random_scores(kernels, seed):
    """Score each weight by a uniform random number: the control."""
    random = np.random.default_rng(seed)
    return {
        name: random.random(require_finite(name, k).shape, dtype=np.float32)
        for name, k in kernels.items()
    }


def unit_scores(kernels):
    """Score each unit by the L2 norm of its incoming weights, its column.

    Returns one 1-D array per layer, as long as the kernel's last axis.
    """
    return {
        name: np.linalg.norm(
            require_finite(name, k).reshape(-1, k.shape[-1]), axis=0
        )
        for name, k in kernels.items()
    }


def layerwise_masks(scores, sparsity):
    """Zero exactly `round(sparsity * size)` lowest scores of every layer.

    Ties never change the count: the first of equal scores go first.

    Raises:
        ValueError: sparsity outside [0, 1), NaN scores, or a layer that
            would lose its last weight.
    """
    require_sparsity(sparsity)
    return {
        name: _keep_highest(name, require_finite(name, s), sparsity)
        for name, s in scores.items()
    }


def global_masks(scores, sparsity):
    """Zero exactly `round(sparsity * size)` lowest scores over all layers.

    Layers are compared with each other, so each gets a sparsity of its own.
    Ties go as in `layerwise_masks`; so do errors.
    """
    require_sparsity(sparsity)
    flat = [require_finite(name, s).ravel() for name, s in scores.items()]
    mask = _keep_highest("the network", np.concatenate(flat), sparsity)
    parts = np.split(mask, np.cumsum([part.size for part in flat])[:-1])
    masks = {
        name: part.reshape(s.shape)
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
    if not (isinstance(threshold, numbers.Real) and threshold >= 0):
        raise ValueError(
            f"`threshold` is a score, at least 0; got {threshold!r}."
        )
    masks = {}
    for name, s in scores.items():
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
    for name, s in scores.items():
        if np.ndim(s) != 1:
            raise ValueError(
                f"Unit scores are 1-D, one number per unit; got shape "
                f"{np.shape(s)} for layer {name!r}. Pass "
                "`masking.unit_scores(kernels)`."
            )
    return layerwise_masks(scores, sparsity)


def sparsity_of(masks):
    """The fraction of all entries that are 0, over all layers."""
    size = sum(np.size(mask) for mask in masks.values())
    kept = sum(np.count_nonzero(mask) for mask in masks.values())
    return 1 - kept / size


def require_sparsity(sparsity):
    """Raise a ValueError unless `sparsity` is a fraction in [0, 1)."""
    if isinstance(sparsity, numbers.Real) and 0 <= sparsity < 1:
        return
    hint = ""
    if isinstance(sparsity, numbers.Real) and 1 < sparsity < 100:
        hint = f" To remove {sparsity} %, pass {sparsity / 100:g}."
    raise ValueError(
        "`sparsity` is the fraction to remove, in [0, 1); "
        f"got {sparsity!r}.{hint}"
    )


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
    array = np.asarray(array)
    if array.size and np.isfinite(array).all():
        return array
    what = "NaN or infinite entries" if array.size else "no entries"
    raise ValueError(
        f"Layer {name!r} has {what}, which cannot be ranked. "
        "Check the training that made it (a learning rate too high?)."
    )
