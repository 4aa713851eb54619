"""Figures: arrays in, axes out. Nothing is computed here."""

import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from helpers import masking

MARKERS = "osD^vPX*"


def images(rows, titles=(), columns=10):
    """A grid of 28 x 28 images, a title above each of the first ones."""
    masking.require_count("columns", columns)
    rows = [_square(f"`rows[{n}]`", row) for n, row in enumerate(rows)]
    _require_some("rows", rows)
    num_rows = -(-len(rows) // columns)
    _, axes = plt.subplots(
        num_rows, columns, figsize=(columns * 0.85, num_rows * 1.05)
    )
    for ax in np.ravel(axes):
        ax.axis("off")
    for ax, row in zip(np.ravel(axes), rows, strict=False):
        ax.imshow(row, cmap="gray_r")
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
    _require_some("lines", lines)
    for label, values in lines.items():
        _require_pairs(label, *_with_x(x, values))
    ax = ax or plt.subplots()[1]
    percent = "accuracy" in ylabel or "error" in ylabel
    scale = 100 if percent else 1
    for number, (label, values) in enumerate(lines.items()):
        at, values = _with_x(x, values)
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
    _require_some("groups", groups)
    for title, values in groups.items():
        if not np.isfinite(masking.require_numbers(title, values)).all():
            raise ValueError(
                f"{title!r} has NaN or infinite values; expected finite ones. "
                "Pass them without, such as `values[np.isfinite(values)]`."
            )
    fig, axes = plt.subplots(1, len(groups), figsize=(8.5, 2.2), squeeze=False)
    for ax, (title, values) in zip(axes[0], groups.items(), strict=True):
        ax.hist(np.ravel(values), bins=bins)
        ax.set_title(title)
        ax.set_yticks([])
    fig.supxlabel(xlabel)
    return axes[0]


def bars(table, ylabel, ax=None):
    """Grouped bars: one group per row of `table`, one bar per column."""
    _require_some("table", table)
    ax = ax or plt.subplots()[1]
    table.plot.bar(ax=ax, rot=0, width=0.8)
    ax.set(ylabel=ylabel, xlabel="")
    return ax


def pixel_maps(maps, label):
    """One 28 x 28 map per entry of `maps`, on one colour scale."""
    _require_some("maps", maps)
    maps = {title: _square(title, values) for title, values in maps.items()}
    fig, axes = plt.subplots(
        1, len(maps), figsize=(2.6 * len(maps) + 0.6, 2.6), squeeze=False
    )
    top = max(np.max(values) for values in maps.values())
    low = min(0, *(np.min(values) for values in maps.values()))
    for ax, (title, values) in zip(axes[0], maps.items(), strict=True):
        shown = ax.imshow(values, vmin=low, vmax=top)
        ax.set_title(title)
        ax.axis("off")
    fig.colorbar(shown, ax=axes, label=label, shrink=0.8)
    return axes[0]


def with_intervals(tables, xlabel, ylabel, ax=None, column="ms"):
    """A line with error bars per entry of `tables`, from label to table.

    Each table's index is the x axis; its columns `<column>_low` and
    `<column>_high` are the ends of the bars. Both axes are logarithmic.
    """
    _require_some("tables", tables)
    wanted = [column, f"{column}_low", f"{column}_high"]
    for label, table in tables.items():
        if not set(wanted) <= set(table):
            raise ValueError(
                f"The table {label!r} has columns {list(table)}; expected "
                f"{wanted}. Pass what `measuring.latency` returns."
            )
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
    """An explorer's two pictures: curves with a moving ring, and an image.

    The curves are drawn once. A move draws the ring and the image again and
    takes a few milliseconds, where a new figure takes a hundred. The
    image's colours are scaled anew at each move.
    """

    def __init__(
        self, x, lines, xlabel, shape, title,
        aspect="equal", ylabel="test accuracy",
    ):  # fmt: skip
        left = Figure(figsize=(4.9, 3), dpi=100, layout="constrained")
        curves(x, lines, xlabel, ylabel, ax=left.subplots())
        left.axes[0].margins(y=0.2)  # the ring may lie beside the curves
        left.axes[0].axis(left.axes[0].axis())
        (self.ring,) = left.axes[0].plot(
            [0], [0], "o", ms=12, mfc="none", mew=2.5, color="black",
            clip_on=False, in_layout=False,
        )  # fmt: skip
        right = Figure(figsize=(3.4, 3), dpi=100, layout="constrained")
        self.image = right.subplots().imshow(
            np.zeros(shape), aspect=aspect, interpolation="nearest"
        )
        right.axes[0].set_title(title)
        right.axes[0].axis("off")
        self.canvases = [_background(self.ring), _background(self.image)]

    def pngs(self, x, accuracy, image, **chosen):
        """Two PNGs: the ring at (x, accuracy), and `image`.

        Whatever else is `chosen` in the explorer makes no difference.
        """
        height = np.clip(100 * accuracy, *self.ring.axes.get_ylim())
        self.ring.set_data([x], [height])
        self.image.set_data(image)
        self.image.set_clim(min(0, np.min(image)), np.max(image) or 1)
        return [
            _redrawn(artist, *canvas)
            for artist, canvas in zip(
                (self.ring, self.image), self.canvases, strict=True
            )
        ]


def picture_of(choice, pictures):
    """What an explorer draws with: of `pictures`, the one that is chosen.

    Args:
        choice: name of the explorer's choice that decides.
        pictures: from its values to `ExplorerPicture`.
    """

    def draw(x, accuracy, image, **chosen):
        return pictures[chosen[choice]].pngs(x, accuracy, image)

    return draw


def _with_x(x, values):
    return values if isinstance(values, tuple) else (x, values)


def _square(what, values):
    """The 28 x 28 array that a row of 784 pixels is."""
    values = masking.require_numbers(what, values)
    if values.size == 784:
        return values.reshape(28, 28)
    raise ValueError(
        f"{what} has shape {values.shape}; expected 784 pixels. Pass a row of "
        "an image data set."
    )


def _require_some(name, things):
    if not len(things):
        raise ValueError(
            f"Nothing to draw: `{name}` is empty, {things!r}. Pass one or more."
        )


def _require_pairs(label, x, values):
    if np.shape(x) != np.shape(values):
        raise ValueError(
            f"The line {label!r} has values of shape {np.shape(values)} at x "
            f"of shape {np.shape(x)}; expected as many. Pass one value for "
            "each x."
        )


def _background(artist):
    """Draw all but `artist`: the canvas, and its pixels to start from."""
    canvas = FigureCanvasAgg(artist.figure)
    canvas.draw()
    artist.figure.set_layout_engine("none")
    artist.set_animated(True)
    canvas.draw()
    return canvas, canvas.copy_from_bbox(artist.figure.bbox)


def _redrawn(artist, canvas, background):
    """PNG bytes of the background with `artist` on it."""
    canvas.restore_region(background)
    artist.axes.draw_artist(artist)
    stream = io.BytesIO()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
