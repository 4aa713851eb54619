"""A small network as circles and lines, and its kernels as matrices."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.patches import Circle


def network(ax, kernels, largest):
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
        return {"color": "0.75", "ls": ":", "lw": 0.6, "zorder": 1}
    colour = plt.get_cmap("RdBu_r")(0.5 + 0.2 * np.sign(weight) + 0.3 * weight)
    return {"color": colour, "lw": 0.8 + 2.5 * abs(weight), "zorder": 1}


def matrix(ax, kernel, largest, room):
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
