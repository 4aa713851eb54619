"""Figures as the notebooks drew them before; they go with the last user."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import PercentFormatter

from helpers import plotting, studying
from helpers.engine import pictures

MARKERS = "osD^vPX*"


def bands(live, seeds, x, hue, col="data", value="accuracy", chance=0.1):
    """Lines of this run over the bands of other seeds, a panel per `col`.

    A band is where 19 of 20 new seeds are expected, see `studying.band`. A
    "sparsity" is drawn as what is left, on a logarithmic axis.

    Args:
        live: a Series of accuracies, see `studying.sweep`.
        seeds: a study, see `studying.read`; seed 0, the live run's, is left
            out of the bands.
        x, hue, col: names of columns of the study and of levels of `live`.
        chance: the accuracy of guessing; a dotted line where it is near.

    Returns:
        The axes, one per panel.
    """
    table = live.rename(value).reset_index()
    seeds = seeds[seeds["seed"] != 0]
    common = {"x": x, "y": value, "hue": hue, "hue_order": table[hue].unique()}
    common["palette"] = sns.color_palette(n_colors=len(common["hue_order"]))
    with plt.rc_context({"figure.constrained_layout.use": False}):
        grid = sns.relplot(
            table, **common, kind="line", style=hue, col=col, markers=True,
            dashes=False, errorbar=None, height=3.2,
        )  # fmt: skip
    grid.figure.set_layout_engine("constrained")
    sns.move_legend(grid, "outside right center")
    for name, ax in grid.axes_dict.items():
        sns.lineplot(
            seeds[seeds[col] == name], **common, ax=ax, legend=False,
            linewidth=0, errorbar=_within_0_and_1,
        )  # fmt: skip
        if ax.get_ylim()[0] < chance:
            ax.axhline(chance, color="0.6", linestyle=":", zorder=0)
        ax.set(
            title=plotting.TITLES.get(name, name),
            xlabel=x,
            ylabel=f"test {value}",
        )
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        if x == "sparsity":
            plotting.show_what_is_left(ax)
    caption(ax, studying.describe(studying.band(seeds, [x, hue, col], value)))
    return grid.axes.ravel()


def _within_0_and_1(values):
    return np.clip(studying.prediction_interval(values), 0, 1)


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
    width = round(15 * ax.figure.get_figwidth())
    ax.figure.supxlabel(textwrap.fill(text, width), fontsize=8)


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
        values = np.reshape(values, (28, 28))
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


def ExplorerPicture(  # noqa: N802 - it was a class
    x, lines, xlabel, shape, title, aspect="equal", ylabel="test accuracy"
):
    """What an `Explorer` draws: `curves` with a ring, and an image."""

    def draw(ax):
        curves(x, lines, xlabel, ylabel, ax)

    return pictures.RingAndImage(draw, shape, title, aspect)


def picture_of(choice, by_value):
    """What an `Explorer` draws with: the picture that a choice decides on."""

    def draw(x, accuracy, image, **chosen):
        return by_value[chosen[choice]].pngs(x, accuracy, image)

    return draw


def _with_x(x, values):
    return values if isinstance(values, tuple) else (x, values)
