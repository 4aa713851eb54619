"""A small network as circles and lines, and its kernels as matrices."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.patches import Circle

MANY = 1000  # weights: more edges can neither be seen nor drawn in time


def networks(versions):
    """Small networks side by side, each above its kernels as matrices.

    Weights are blue below zero and red above; one that is exactly zero is
    dotted in the network and a cross in the matrix. A unit without weights
    is hollow.

    Args:
        versions: from a title to a dict of kernels (inputs, units), in the
            order of the layers.
    """
    for title, kernels in versions.items():
        _require_small(title, list(map(np.shape, kernels.values())))
    chains = [list(kernels.values()) for kernels in versions.values()]
    largest = max(np.max(np.abs(k)) for chain in chains for k in chain)
    rows = [max(map(len, layer)) for layer in zip(*chains, strict=True)]
    columns = max(len(k.T) for chain in chains for k in chain)
    size = 2.6 * len(versions), 2.4 + 0.3 * sum(rows) + 0.3 * len(rows)
    axes = plt.subplots(
        1 + len(rows), len(versions), figsize=size, squeeze=False,
        height_ratios=[2.4 / 0.3, *rows],
    )[1]  # fmt: skip
    for (title, kernels), column in zip(versions.items(), axes.T, strict=True):
        column[0].set_title(title)
        _network(column[0], list(kernels.values()), largest)
        below = zip(column[1:], rows, kernels.items(), strict=True)
        for ax, num_rows, (name, kernel) in below:
            _matrix(ax, name, kernel, largest, (num_rows, columns))
    return axes


def _require_small(title, shapes):
    fits = shapes and all(len(shape) == 2 for shape in shapes)
    chained = fits and all(a[1] == b[0] for a, b in itertools.pairwise(shapes))
    if not chained or sum(map(np.prod, shapes)) > MANY:
        raise ValueError(
            f"{title!r} is to be drawn as a network; got kernels of the shapes "
            f"{shapes}. Pass kernels (inputs, units) of Dense layers that "
            f"follow one another, with at most {MANY:,} weights."
        )


def _network(ax, kernels, largest):
    """Units as circles, from left to right, and an edge for each weight."""
    sizes = [kernels[0].shape[0], *(k.shape[1] for k in kernels)]
    places = [np.linspace(-1, 1, n + 2)[1:-1] * n / max(sizes) for n in sizes]
    for layer, kernel in enumerate(kernels):
        for (start, end), weight in np.ndenumerate(kernel):
            ends = -places[layer][start], -places[layer + 1][end]
            ax.plot([layer, layer + 1], ends, **_edge(weight / largest))
    for layer, ys in enumerate(places):
        into = np.any(kernels[layer - 1], axis=0) if layer else True
        alive = into | np.zeros(len(ys), bool)
        for y, lives in zip(-ys, alive, strict=True):
            face, line = ("0.25", "-") if lives else ("white", ":")
            ax.add_patch(
                Circle((layer, y), 0.09, fc=face, ec="0.25", ls=line, zorder=2)
            )
    ax.set(aspect="equal", xlim=(-0.2, len(kernels) + 0.2), ylim=(-1, 1))
    ax.axis("off")


def _edge(weight):
    """How a weight from -1 to 1 is drawn; dotted if it is zero."""
    if not weight:
        return {"color": "0.55", "ls": ":", "lw": 0.8, "zorder": 1}
    colour = plt.get_cmap("RdBu_r")(0.5 + 0.2 * np.sign(weight) + 0.3 * weight)
    return {"color": colour, "lw": 0.8 + 2.5 * abs(weight), "zorder": 1}


def _matrix(ax, name, kernel, largest, room):
    """A kernel as a signed heat map, exact zeros crossed out.

    `room` has rows and columns for the largest one; entries are equally large.
    """
    sns.heatmap(
        kernel, ax=ax, cmap="RdBu_r", center=0, vmin=-largest, vmax=largest,
        cbar=False, square=True, linewidths=0.5, linecolor="0.85",
        xticklabels=False, yticklabels=False,
    )  # fmt: skip
    rows, columns = np.nonzero(np.asarray(kernel) == 0)
    ax.plot(columns + 0.5, rows + 0.5, "x", color="0.6", markersize=3)
    free_rows, free_columns = np.subtract(room, np.shape(kernel)) / 2
    ax.set_xlim(-free_columns, room[1] - free_columns)
    ax.set_ylim(room[0] - free_rows, -free_rows)
    ax.set_title(f"{name}, {' × '.join(map(str, kernel.shape))}", size=9)
