"""Figures: arrays in, axes out. Nothing is computed here."""

import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

MARKERS = "osD^vPX*"


def images(rows, titles=(), columns=10):
    """A grid of 28 x 28 images, a title above each of the first ones."""
    num_rows = -(-len(rows) // columns)
    _, axes = plt.subplots(
        num_rows, columns, figsize=(columns * 0.85, num_rows * 1.05)
    )
    for ax in np.ravel(axes):
        ax.axis("off")
    for ax, row in zip(np.ravel(axes), rows, strict=False):
        ax.imshow(np.reshape(row, (28, 28)), cmap="gray_r")
    for ax, title in zip(np.ravel(axes), titles, strict=False):
        ax.set_title(title, fontsize=8)
    return axes


def curves(
    x, lines, xlabel, ylabel="test accuracy", ax=None, title=None, bands=None
):
    """One line per entry of `lines`, from label to values (or (x, values)).

    Accuracies and errors are fractions and drawn in percent. `bands` is a
    table with `low` and `high`, indexed by label and x: a shaded area each,
    with gaps where it has no row for an x of the line.
    """
    ax = ax or plt.subplots()[1]
    percent = "accuracy" in ylabel or "error" in ylabel
    scale = 100 if percent else 1
    for number, (label, values) in enumerate(lines.items()):
        at, values = values if isinstance(values, tuple) else (x, values)
        (line,) = ax.plot(
            at,
            scale * np.asarray(values),
            marker=MARKERS[number % len(MARKERS)],
            label=label,
        )
        if bands is not None and label in bands.index:
            ends = scale * bands.loc[label, ["low", "high"]].reindex(at)
            ax.fill_between(
                ends.index, ends["low"], ends["high"],
                color=line.get_color(), alpha=0.2, linewidth=0,
            )  # fmt: skip
    unit = ", %" if percent else ""
    ax.set(xlabel=xlabel, ylabel=f"{ylabel}{unit}", title=title or "")
    ax.legend()
    return ax


def caption(ax, text):
    """Small print below the whole figure that `ax` is part of."""
    ax.figure.supxlabel(text, fontsize=8)


def histograms(groups, xlabel, bins=60):
    """One histogram per entry of `groups`, side by side."""
    fig, axes = plt.subplots(1, len(groups), figsize=(8.5, 2.2), squeeze=False)
    for ax, (title, values) in zip(axes[0], groups.items(), strict=True):
        ax.hist(np.ravel(values), bins=bins)
        ax.set_title(title)
        ax.set_yticks([])
    fig.supxlabel(xlabel)
    return axes[0]


def bars(table, ylabel, ax=None):
    """Grouped bars: one group per row of `table`, one bar per column."""
    ax = ax or plt.subplots()[1]
    table.plot.bar(ax=ax, rot=0, width=0.8)
    ax.set(ylabel=ylabel, xlabel="")
    return ax


def pixel_maps(maps, label):
    """One 28 x 28 map per entry of `maps`, on one colour scale."""
    fig, axes = plt.subplots(
        1, len(maps), figsize=(2.6 * len(maps) + 0.6, 2.6), squeeze=False
    )
    top = max(np.max(values) for values in maps.values())
    low = min(0, *(np.min(values) for values in maps.values()))
    for ax, (title, values) in zip(axes[0], maps.items(), strict=True):
        shown = ax.imshow(np.reshape(values, (28, 28)), vmin=low, vmax=top)
        ax.set_title(title)
        ax.axis("off")
    fig.colorbar(shown, ax=axes, label=label, shrink=0.8)
    return axes[0]


def with_intervals(tables, xlabel, ylabel, ax=None, column="ms"):
    """A line with error bars per entry of `tables`, from label to table.

    Each table's index is the x axis; its columns `<column>_low` and
    `<column>_high` are the ends of the bars. Both axes are logarithmic.
    """
    ax = ax or plt.subplots()[1]
    for number, (label, table) in enumerate(tables.items()):
        middle = table[column]
        ends = [
            middle - table[f"{column}_low"],
            table[f"{column}_high"] - middle,
        ]
        ax.errorbar(
            table.index, middle, yerr=np.maximum(ends, 0), capsize=3,
            marker=MARKERS[number % len(MARKERS)], label=label,
        )  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale="log", yscale="log")
    ax.legend()
    return ax


class ExplorerPicture:
    """An explorer's picture: curves with a moving dot, and an image beside.

    The curves are drawn once. A move draws the dot and the image again and
    takes a few milliseconds, where a new figure takes a hundred. The
    image's colours are scaled anew at each move.
    """

    def __init__(
        self, x, lines, xlabel, shape, title,
        aspect="equal", ylabel="test accuracy",
    ):  # fmt: skip
        fig = Figure(figsize=(8.2, 3), dpi=100, layout="constrained")
        self.canvas = FigureCanvasAgg(fig)
        left, right = fig.subplots(1, 2, width_ratios=(3, 2))
        curves(x, lines, xlabel, ylabel, ax=left)
        left.margins(y=0.2)  # the dot may lie beside the curves
        left.axis(left.axis())
        (self.dot,) = left.plot([0], [0], "o", ms=12, mfc="none", mew=2.5,
                                color="black", clip_on=False)  # fmt: skip
        self.dot.set_in_layout(False)
        self.image = right.imshow(
            np.zeros(shape), aspect=aspect, interpolation="nearest"
        )
        right.set(title=title, xticks=[], yticks=[])
        self.moving = (self.dot, self.image)
        self._draw_background(fig)

    def _draw_background(self, fig):
        self.canvas.draw()
        fig.set_layout_engine("none")
        for artist in self.moving:
            artist.set_animated(True)
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(fig.bbox)

    def png(self, x, accuracy, image):
        """PNG bytes with the dot at (x, accuracy) and `image` at the right."""
        height = np.clip(100 * accuracy, *self.dot.axes.get_ylim())
        self.dot.set_data([x], [height])
        self.image.set_data(image)
        self.image.set_clim(min(0, np.min(image)), np.max(image) or 1)
        self.canvas.restore_region(self.background)
        for artist in self.moving:
            artist.axes.draw_artist(artist)
        pixels = np.asarray(self.canvas.buffer_rgba())[..., :3]
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
        return stream.getvalue()
