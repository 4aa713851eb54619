"""Scores -> masks -> sparsity, in plain NumPy.

Scores, masks and kernels are dicts from layer name to array. A mask has its
kernel's shape and is 1 where a weight is kept. Kernels are Keras': the last
axis counts the units (Dense) or filters (Conv2D) that a layer puts out.
"""

import numpy as np

from helpers.engine.doors import (
    COUNT,
    FINITE,
    KERNELS,
    LAYERS,
    LEVEL,
    SEED,
    SPARSITIES,
    SPARSITY,
    UNITS,
    door,
)


@door(kernels=FINITE)
def magnitude_scores(kernels):
    """Score each weight by its absolute value (Han et al., 2015)."""
    return {name: np.abs(kernel) for name, kernel in kernels.items()}


@door(kernels=FINITE, seed=SEED)
def random_scores(kernels, seed):
    """Score each weight by a uniform random number: the random baseline."""
    random = np.random.default_rng(seed)
    return {
        name: random.random(np.shape(kernel), dtype=np.float32)
        for name, kernel in kernels.items()
    }


@door(scores=FINITE)
def lamp_scores(scores):
    """Score each weight by its share of what its layer keeps down to it.

    The square of a score over the sum of all squares in its layer that are
    not smaller: with magnitudes that is LAMP (Lee et al., 2021). The best of
    each layer gets 1, so that `global_masks` of these never empties one.
    """

    def shares(layer):
        squares = np.square(layer, dtype=np.float64).ravel()
        order = np.argsort(squares, kind="stable")
        sums = np.cumsum(squares[order][::-1])[::-1]
        squares[order] /= np.where(sums > 0, sums, 1)
        return squares.reshape(np.shape(layer))

    return {name: shares(layer) for name, layer in scores.items()}


@door(kernels=FINITE)
def unit_scores(kernels):
    """Score each unit by the L2 norm of its incoming weights, its column.

    Returns one 1-D array per layer, as long as the kernel's last axis, in
    float64: squares of float16 and float32 overflow or vanish.
    """
    exact = {"dtype": np.float64, "casting": "same_kind"}

    def norms(kernel):
        columns = np.reshape(kernel, (-1, np.shape(kernel)[-1]))
        return np.sqrt(np.einsum("iu,iu->u", columns, columns, **exact))

    return {name: norms(kernel) for name, kernel in kernels.items()}


@door(scores=FINITE, sparsity=SPARSITIES)
def layerwise_masks(scores, sparsity):
    """Zero exactly `round(sparsity * size)` lowest scores of every layer.

    Ties never change the count: the first of equal scores go first.

    Args:
        sparsity: one for all layers, or a dict with one for each, by name.

    Raises:
        ValueError: a layer without one, or that would lose its last weight.
    """
    if not isinstance(sparsity, dict):
        return {
            name: _keep_highest(name, np.asarray(s), sparsity)
            for name, s in scores.items()
        }
    if absent := sorted(scores.keys() - sparsity.keys()):
        raise ValueError(
            f"`sparsity` has one for each layer; got none for {absent}. "
            "Pass e.g. `masking.erk_sparsities(kernels, 0.9)`."
        )
    return {
        name: layerwise_masks({name: s}, sparsity[name])[name]
        for name, s in scores.items()
    }


@door(scores=FINITE, sparsity=SPARSITY)
def global_masks(scores, sparsity):
    """Zero exactly `round(sparsity * size)` lowest scores over all layers.

    Layers are compared with each other, so each gets a sparsity of its own.
    Ties go as in `layerwise_masks`; so do errors.
    """
    flat = [np.ravel(s) for s in scores.values()]
    mask = _keep_highest("the network", np.concatenate(flat), sparsity)
    parts = np.split(mask, np.cumsum([part.size for part in flat])[:-1])
    return {
        name: _refuse_empty(name, part.reshape(np.shape(s)), sparsity)
        for (name, s), part in zip(scores.items(), parts, strict=True)
    }


@door(kernels=LAYERS, sparsity=SPARSITY)
def erk_sparsities(kernels, sparsity):
    """A sparsity for each layer, by its shape alone; a dict.

    How many weights a layer keeps is proportional to the sum of its kernel's
    lengths, inputs plus units, and not to their product (Erdős-Rényi-Kernel;
    Evci et al., 2020). Where that is more than it has, it stays whole.
    """
    sizes = np.array([np.size(kernel) for kernel in kernels.values()])
    lengths = np.array([sum(np.shape(kernel)) for kernel in kernels.values()])
    whole, left = np.zeros(len(sizes), bool), (1 - sparsity) * sizes.sum()
    for _ in sizes:
        rest = left - sizes[whole].sum()
        kept = lengths * rest / max(lengths[~whole].sum(), 1)
        whole |= kept >= sizes
    removed = np.where(whole, 0.0, 1 - kept / sizes)
    return dict(zip(kernels, removed.tolist(), strict=True))


@door(scores=FINITE, threshold=LEVEL)
def threshold_masks(scores, threshold):
    """Zero every score strictly below `threshold`, however many that are.

    Raises:
        ValueError: a layer would lose its last weight.
    """
    masks = {
        name: (np.asarray(s) >= threshold).astype(np.uint8)
        for name, s in scores.items()
    }
    for name, mask in masks.items():
        if not mask.any():
            raise ValueError(
                f"Threshold {threshold} leaves nothing of {name}, whose "
                f"largest score is {np.max(scores[name])}: the network would "
                "be cut in two. Pass a threshold of at most that."
            )
    return masks


@door(scores=UNITS, sparsity=SPARSITY, multiple_of=COUNT)
def unit_masks(scores, sparsity, multiple_of=1):
    """Zero exactly `round(sparsity * units)` lowest units of every layer.

    `scores` holds one 1-D array per layer (see `unit_scores`), and so do
    the masks. How many stay is rounded up to a multiple of `multiple_of`,
    or to all that there are. Errors as in `layerwise_masks`.
    """
    return {
        name: _keep_highest(name, np.asarray(s), sparsity, multiple_of)
        for name, s in scores.items()
    }


@door(kernels=KERNELS, size=COUNT)
def block_scores(kernels, size):
    """Score each block of `size` consecutive inputs of one unit: their RMS.

    Blocks go along the last axis but one, that of the inputs (of a
    convolution, the channels at one place). The root mean square (RMS) ranks
    blocks as the L2 norm does; where the inputs are no multiple of `size`,
    the last block is shorter, and no smaller for that.

    Returns arrays like the kernels, with a block for each `size` inputs, in
    float64.
    """
    return {name: _rms(kernel, size) for name, kernel in kernels.items()}


@door(scores=KERNELS, sparsity=SPARSITY, size=COUNT)
def block_masks(scores, sparsity, size, select=layerwise_masks):
    """Zero exactly `round(sparsity * blocks)` blocks of lowest `block_scores`.

    LiteRT skips such zeros: blocks of 4 in floats, of 16 in 8-bit integers
    (see `deploying.convert`).

    Args:
        scores: of single weights, such as the kernels themselves.
        size: how many consecutive inputs of one unit a block has.
        select: `layerwise_masks` or `global_masks`, which choose the blocks.

    Returns masks of single weights, with the shapes of `scores`. Ties and
    errors as in `layerwise_masks`.
    """
    blocks, masks = select(block_scores(scores, size), sparsity), {}
    for name, mask in blocks.items():
        inputs = np.shape(scores[name])[-2]
        masks[name] = np.repeat(mask, size, axis=-2)[..., :inputs, :]
    return masks


@door(masks=LAYERS)
def sparsity_of(masks):
    """The fraction of all entries that are 0, over all layers."""
    zeros = sum(zero_counts(masks).values())
    return zeros / sum(np.size(mask) for mask in masks.values())


@door(arrays=LAYERS)
def zero_counts(arrays):
    """How many entries are exactly zero, by layer name."""
    return {
        name: int(np.size(array) - np.count_nonzero(array))
        for name, array in arrays.items()
    }


def _rms(kernel, size):
    starts = np.arange(0, np.shape(kernel)[-2], size)
    lengths = np.diff([*starts, np.shape(kernel)[-2]])
    squares = np.square(kernel, dtype=np.float64)
    sums = np.add.reduceat(squares, starts, axis=-2)
    return np.sqrt(sums / lengths[:, None])


def _keep_highest(name, scores, sparsity, multiple_of=1):
    """The mask itself: what is above the cut, and the last of those at it."""
    flat = scores.ravel()
    left = flat.size - round(float(sparsity) * flat.size)
    num_zeros = max(0, flat.size - -(-left // multiple_of) * multiple_of)
    mask = np.ones(flat.size, bool)
    if num_zeros:
        cut = np.partition(flat, num_zeros - 1)[num_zeros - 1]
        mask = flat > cut
        missing = flat.size - num_zeros - np.count_nonzero(mask)
        if missing:
            mask[np.flatnonzero(flat == cut)[-missing:]] = True
    return _refuse_empty(name, mask.reshape(scores.shape), sparsity)


def _refuse_empty(name, mask, sparsity):
    if mask.any():
        return mask.view(np.uint8)
    raise ValueError(
        f"Sparsity {sparsity} leaves nothing of {name} "
        f"({mask.size} entries): the network would be cut in two. "
        "Pass a lower sparsity, or prune this layer less than the others."
    )
