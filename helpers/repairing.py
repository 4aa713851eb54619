"""Repair a pruned network by least squares: no label, no training step.

Layer by layer, the weights that are left are solved anew, so that what comes
out, before the activation, is as close as can be to what the whole network
gives there.
"""

import collections
import dataclasses
import itertools
import math
import warnings

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dgemm, dsyrk
from threadpoolctl import threadpool_limits

from helpers import pruning
from helpers.engine import copying
from helpers.engine.backend import keras, view
from helpers.engine.bars import progress
from helpers.engine.doors import FINITE, INPUTS, MODEL, RATE, door, shown
from helpers.engine.readers import CONVOLUTIONS, L, Reader
from helpers.engine.tracing import trace

SOLVED = L.Dense, L.EinsumDense, *CONVOLUTIONS
PLAIN = (
    "activation", "kernel_regularizer", "kernel_constraint",
    "activity_regularizer",
)  # fmt: skip
DELAY = 10  # seconds: who waits for less needs no progress bar
IMAGES = dataclasses.replace(
    INPUTS,
    fits=lambda x: INPUTS.fits(x) and all(map(_finite, keras.tree.flatten(x))),
    expected=f"{INPUTS.expected}, and finite",
    got=lambda x: "NaN or infinite entries" if INPUTS.fits(x) else shown(x),
)


def _finite(array):
    return bool(np.isfinite(array).all())


@door(model=MODEL, pruned=MODEL, images=IMAGES, ridge=RATE)
def least_squares(model, pruned, images, ridge=1e-4):
    """A copy of `pruned` whose surviving weights make up for the lost ones.

    One after the other, each Dense layer and convolution gets the weights
    and biases with which its sums, before the activation, come closest to
    those in `model`, given what the repaired layers before it pass on (as in
    ThiNet, Luo et al., 2017, and SparseGPT, Frantar and Alistarh, 2023).
    Zeros stay zero and are held; a unit without weights is left as it is, and
    so are weights of inputs that never vary, such as dark pixels. Layers that
    are used twice, or that work otherwise, are left as they are; a warning
    names them.

    Holds up to five matrices of (inputs of a unit)² numbers in float64.

    Args:
        model: the network before pruning.
        pruned: the same with zeros in it, retrained or not, not compacted.
        images: some thousand inputs, such as `split.x_train[:5000]`.
        ridge: how strongly weights are pulled to what they were, relative to
            the mean square of a layer's inputs.

    Raises:
        ValueError: `pruned` has other layers than `model`; images that do not
            fit, or fewer than a unit has weights; weights that are not finite.
    """
    _require_twins(model, pruned)
    for name, network in {"model": model, "pruned": pruned}.items():
        FINITE.check(name, pruning.prunable_kernels(network, True))
    repaired = copying.rebuild(pruned)
    networks = trace(model), trace(repaired)
    pairs = _solvable(*networks)
    with progress(pairs, "repairing", delay=DELAY) as bar:
        for pair in bar:
            _repair(pair, networks, images, ridge)
    pruning.hold_zeros(repaired)
    return repaired


def _require_twins(model, pruned):
    layers = [
        [(type(s.layer), [tuple(w.shape) for w in _weights(s)], s.name)
         for s in trace(network).steps]
        for network in (model, pruned)
    ]  # fmt: skip
    for one, other in itertools.zip_longest(*layers, fillvalue=(None, [], "")):
        if one[:2] != other[:2]:
            raise ValueError(
                "`pruned` is `model` with zeros in it, not compacted; got "
                f"weights of shapes {other[1]} where `model` has {one[1]} "
                f"(layer {one[2] or other[2]!r}). Pass what "
                "`pruning.prune_weights` or `prune_units` returns."
            )


def _weights(step):
    return getattr(step.layer, "weights", ())


def _solvable(whole, repaired):
    """Pairs of the same step in both networks; names those left out."""
    uses = collections.Counter(id(step.layer) for step in repaired.steps)
    pairs, left = [], []
    for one, step in zip(whole.steps, repaired.steps, strict=True):
        fits = isinstance(step, Reader) and isinstance(step.layer, SOLVED)
        if fits and uses[id(step.layer)] == 1:
            pairs.append((one, step))
        elif step.kernels():
            left.append(str(step))
    if left:
        names = ", ".join(dict.fromkeys(left))
        warnings.warn(f"left as they are: {names}", stacklevel=4)
    return pairs


def _repair(pair, networks, images, ridge):
    """Solve for the second step of a pair; **changes** its layer."""
    step, weights = pair[1], _matrix(pair[1])
    squares, rest, varies, count = _sums(pair, networks, images)
    free = (weights != 0) & varies[:, None]
    if step.layer.bias is not None:
        free[-1] = weights.any(axis=0)  # whatever it is, zero or not
    _require_rows(step, free, count, len(keras.tree.flatten(images)[0]))
    _solve(free, squares, rest, ridge)
    weights = weights + rest
    size = math.prod(step.kernel.shape[:-1])
    step.kernel.assign(weights[:size].reshape(step.kernel.shape))
    if step.layer.bias is not None:
        step.layer.bias.assign(weights[-1])


def _sums(pair, networks, images):
    """What the normal equations are made of, and how many rows that were.

    The mean of each product of two inputs, in the second network (above the
    diagonal); that of inputs and what is missing in its sums; which inputs
    vary.
    """
    lay_out, matrices = _layout(pair[1]), list(map(_matrix, pair))
    count, lowest, highest = 0, np.inf, -np.inf
    inputs, units = matrices[1].shape
    squares = np.zeros((inputs, inputs), order="F")
    rest = np.zeros((inputs, units), order="F")
    windows = *pair[1].shape[1:-1], *pair[1].kernel.shape[:-1]
    at_once = networks[1].at_once(images, windows)
    feeds = (network.feed(images, at_once) for network in networks)
    for tensors in zip(*feeds, strict=True):
        whole, rows = map(lay_out, map(_run_to, pair, networks, tensors))
        missing = whole @ matrices[0] - rows @ matrices[1]
        rows, missing = rows.astype(float).T, missing.astype(float).T
        squares = dsyrk(1, rows, 1, squares, overwrite_c=1)
        rest = dgemm(1, rows, missing, 1, rest, trans_b=1, overwrite_c=1)
        count += rows.shape[1]
        lowest = np.minimum(lowest, rows.min(axis=1))
        highest = np.maximum(highest, rows.max(axis=1))
    squares /= count
    rest /= count
    return squares, rest, highest > lowest, count


def _run_to(step, network, tensors):
    """What a step reads, of one batch."""
    next(other for other in network.walk(tensors) if other is step)
    return tensors[step.takes[0]]


def _layout(step):
    """A function that lays out what units multiply: a row for each place.

    A convolution's windows come out of a convolution whose kernel is the
    identity. Where there is a bias it multiplies a last column of ones.
    """
    layer, size = step.layer, math.prod(step.kernel.shape[:-1])
    windows, ones = np.asarray, int(layer.bias is not None)
    if isinstance(layer, CONVOLUTIONS):
        plain = dict.fromkeys(PLAIN) | {"use_bias": False, "dtype": "float32"}
        config = layer.get_config() | plain | {"filters": size}
        windows = type(layer).from_config(config)
        windows.build(step.takes[0].shape)
        eye = np.eye(size).reshape(windows.kernel.shape)
        windows.set_weights([eye])

    def rows(tensor):
        seen = np.asarray(keras.ops.cast(windows(tensor), "float32"))
        seen = seen.reshape(-1, size)
        return np.pad(seen, [(0, 0), (0, ones)], constant_values=1)

    return rows


def _matrix(step):
    """A kernel as (inputs, units), and below it the biases, if any."""
    kernel, bias = step.kernel, step.layer.bias
    rows = [view(kernel).reshape(-1, kernel.shape[-1])]
    rows += [] if bias is None else [view(bias).reshape(1, -1)]
    return np.concatenate(rows).astype("float32")


def _solve(free, squares, rest, ridge):
    """Turn what is missing into the change of each free entry, else 0.

    **Changes `rest`.** Units with the same free entries are solved together,
    by one thread: for many small matrices, several would wait for each other.
    """
    squares[np.diag_indices_from(squares)] += ridge * np.mean(np.diag(squares))
    rest *= free
    patterns, which = np.unique(free, axis=1, return_inverse=True)
    with threadpool_limits(1, "blas"):
        for number, pattern in enumerate(patterns.T):
            rows = np.flatnonzero(pattern)
            if rows.size:
                found = np.ix_(rows, np.flatnonzero(which.ravel() == number))
                part = squares[np.ix_(rows, rows)]
                factor = cho_factor(part, overwrite_a=True)
                rest[found] = cho_solve(factor, rest[found])


def _require_rows(step, free, count, num_images):
    """More equations than unknowns, or the solution fits these images only."""
    unknown = int(free.sum(axis=0).max())
    if count < unknown:
        needed = math.ceil(unknown * num_images / count)
        raise ValueError(
            f"A unit of {step.name!r} has {unknown:,} weights to be solved "
            f"for, and {num_images:,} images give {count:,} equations. Pass "
            f"at least {needed:,} images in `images`, better several times "
            "as many."
        )
