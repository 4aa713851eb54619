"""Figures of tidy tables and of arrays, drawn by seaborn; axes come out."""

import contextlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import PercentFormatter

from helpers import studying
from helpers.engine.doors import ANY_MODEL, COUNT, FINITE, door, optional
from helpers.engine.drawing import networks  # noqa: F401

TITLES = {
    "mnist": "digits (MNIST)",
    "fashion_mnist": "clothes (Fashion-MNIST)",
}
LEFT = (1, 0.3, 0.1, 0.03, 0.01)  # where the axis has marks
NEAR = (1, 0.7, 0.5, 0.3, 0.2, 0.1)  # and where it ends before 10 %


@door(seeds=studying.TABLE, live=optional(studying.LIVE))
def runs(seeds, live=None, x="sparsity", y="accuracy", hue="method", **grid):
    """One thin line per seed, and a thick one for this run, or their mean.

    Args:
        seeds: a study, see `studying.read`.
        live: a Series by `x`, `hue` and "data", see `studying.sweep`: it is
            drawn thick, and stands for seed 0.
        x, y, hue: columns of the study. A "sparsity" is drawn as what is
            left, on a logarithmic axis; accuracies are drawn in percent.
        grid: what else `seaborn.relplot` takes, such as `col="data"`.

    Returns:
        The axes, one per panel, by the value of `col`.
    """
    grid = {"col": "data", "height": 3.3, **grid}
    thick, seeds = _thick_and_thin(seeds, live, y, hue)
    order = list(thick[hue].unique())
    common = {"x": x, "y": y, "hue": hue, "hue_order": order}
    common["palette"] = sns.color_palette(n_colors=len(order))
    with _laid_out_by_seaborn():
        drawn = sns.relplot(
            thick, **common, **grid, kind="line", style=hue, style_order=order,
            markers=True, dashes=False, errorbar=None,
        )  # fmt: skip
    for ax, one in _panels(drawn, seeds, grid["col"]):
        sns.lineplot(
            one, **common, ax=ax, legend=False, units="seed", estimator=None,
            linewidth=1, alpha=0.5,
        )  # fmt: skip
    return _finished(drawn, x, y)


def _thick_and_thin(seeds, live, y, hue):
    """Tables of the lines; all that this run has stands among the seeds."""
    if live is None:
        return seeds, seeds
    thick, others = live.rename(y).reset_index(), seeds[seeds["seed"] != 0]
    if absent := set(thick[hue]) - set(others[hue]):
        raise ValueError(
            f"`live` has the {hue} {sorted(absent)}; got seeds of "
            f"{list(others[hue].unique())}. Pass the study of the same sweep."
        )
    return thick, others


@door(gaps=studying.TABLE)
def differences(gaps, y="accuracy", x="sparsity", hue=None, **grid):
    """Paired differences: a dot per seed, their mean and its 95 % interval.

    Args:
        gaps: see `studying.gaps`; accuracies are drawn in points.
        y, x, hue: columns of it.
        grid: what else `seaborn.catplot` takes, such as `col="data"`.

    Returns:
        The axes, one per panel, by the value of `col`.
    """
    scale, unit = (100, "points") if "accuracy" in y else (1, y)
    points = gaps.assign(**{y: scale * gaps[y]})
    dodge = 0.8 - 0.8 / points[hue].nunique() if hue else False
    common = {"x": x, "y": y, "hue": hue, "palette": grid.pop("palette", None)}
    with _laid_out_by_seaborn():
        drawn = sns.catplot(
            points, **common, **{"height": 3.3, **grid}, kind="point",
            linestyle="none", errorbar=studying.t_interval, capsize=0.1,
            dodge=dodge, markersize=7, err_kws={"linewidth": 1.5},
        )  # fmt: skip
    for ax, one in _panels(drawn, points, grid.get("col")):
        sns.stripplot(
            one, **common, dodge=bool(hue), ax=ax, legend=False, size=3.5,
            edgecolor="white", linewidth=0.5, jitter=False, zorder=3,
        )  # fmt: skip
        ax.axhline(0, color="0.4", linestyle=":", zorder=0)
        if x == "sparsity":
            left = (100 - 100 * np.unique(points[x])).round(1)
            ax.set_xticks(range(len(left)), [f"{n:g} %" for n in left])
    x = "weights left" if x == "sparsity" else x
    return _finished(drawn, x, f"difference, {unit}")


@contextlib.contextmanager
def _laid_out_by_seaborn():
    """Change one setting only.

    `plt.rc_context` would undo what Jupyter's backend sets as it is loaded,
    with the first figure, and no later figure would be shown.
    """
    name = "figure.constrained_layout.use"
    before, plt.rcParams[name] = plt.rcParams[name], False
    try:
        yield
    finally:
        plt.rcParams[name] = before


def _panels(drawn, table, column):
    """Pairs of a panel's axes and the rows that belong there."""
    for name, ax in drawn.axes_dict.items():
        yield ax, table[table[column] == name]
    if not drawn.axes_dict:
        yield drawn.ax, table


def _finished(drawn, x, y, chance=0.1):
    """Titles in words, percent, what is left, chance level; the axes."""
    panels = drawn.axes_dict or {None: drawn.ax}
    drawn.figure.set_layout_engine("constrained", wspace=0.08)
    if drawn.legend:
        sns.move_legend(drawn, "outside right center")
    for name, ax in panels.items():
        ax.set(title=TITLES.get(name, name or ""), xlabel=x, ylabel=y)
        if "accuracy" in y:
            ax.set_ylabel(f"test {y.replace('_', ' ')}")
            ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
            if ax.get_ylim()[0] < 2 * chance:
                ax.axhline(chance, color="0.6", linestyle=":", zorder=0)
        if x == "sparsity":
            show_what_is_left(ax)
    return panels


def show_what_is_left(ax, of="weights"):
    """Label an axis of sparsities by what is left, and spread its end."""
    there = lambda sparsity: -np.log(np.maximum(1 - sparsity, 1e-9))  # noqa: E731
    back = lambda height: 1 - np.exp(-height)  # noqa: E731
    together = ax.get_shared_x_axes().get_siblings(ax)
    last = max(other.dataLim.x1 for other in together)
    ax.set_xscale("function", functions=(there, back))
    marks = LEFT if last >= 0.9 else NEAR
    ax.set_xticks(
        [1 - left for left in marks], [f"{100 * left:g} %" for left in marks]
    )
    ax.set_xlim(-0.05, 1 - 0.9 * (1 - last))
    ax.set_xlabel(f"{of} left")


def claims(said, reference=None, x="exhibit"):
    """Numbers by (claim, name) as points, a panel of its own scale each.

    Args:
        said: from (claim, name) to a number.
        reference: from a claim to the number of the whole network, which is
            a dashed line.
        x: what the names are.
    """
    table = pd.DataFrame([(*place, number) for place, number in said.items()])
    columns = min(3, table[0].nunique())
    with _laid_out_by_seaborn():
        drawn = sns.catplot(
            table, x=1, y=2, col=0, kind="point", linestyle="none",
            col_wrap=columns, sharex=False, sharey=False,
            height=2.7, aspect=(2, 1.5, 1.15)[columns - 1], markersize=6,
        )  # fmt: skip
    drawn.set_titles("{col_name}").set_axis_labels(x, "")
    for claim, number in (reference or {}).items():
        _dashed(drawn.axes_dict[claim], number, "whole network")
    return drawn.axes_dict


def _dashed(ax, height, text):
    ax.axhline(height, color="0.5", linestyle="--", linewidth=1.2, zorder=0)
    ax.margins(y=0.2)
    ax.annotate(
        text, (0.02, height), (0, 3), xycoords=("axes fraction", "data"),
        textcoords="offset points", color="0.4", size=9,
    )  # fmt: skip


@door(arrays=FINITE)
def maps(arrays, label, columns=4):
    """Heat maps on one scale; 784 numbers are an image of 28 x 28.

    Signed values get a diverging scale with its middle at 0.

    Args:
        arrays: from a title to a 2-D array, or one of 784 numbers.
        label: what the colours mean.
    """
    num_rows = -(-len(arrays) // columns)
    fig, axes = plt.subplots(
        num_rows, min(columns, len(arrays)), squeeze=False,
        figsize=(2.3 * min(columns, len(arrays)) + 0.8, 2.5 * num_rows),
    )  # fmt: skip
    arrays = {k: np.asarray(v, float) for k, v in arrays.items()}
    top = max(np.max(np.abs(values)) for values in arrays.values())
    signed = any(np.min(values) < 0 for values in arrays.values())
    scale = {"vmin": -top * signed, "vmax": top}
    scale["cmap"] = "RdBu_r" if signed else "viridis"
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, values) in zip(axes.flat, arrays.items(), strict=False):
        values = values.reshape(28, 28) if values.size == 784 else values
        shown = ax.imshow(values, **scale, interpolation="nearest")
        ax.set_title(title)
    fig.colorbar(shown, ax=axes, label=label, shrink=0.8)
    return axes


@door(model=ANY_MODEL, most=COUNT)
def graph(model, most=40):
    """A model's graph, layers that share their units in one colour.

    In each box is their number; of more than `most` columns some are left out.
    """
    from helpers.engine import graphs, tracing  # imports TensorFlow

    return graphs.draw(tracing.trace(model), most)


@door(model=ANY_MODEL)
def group_colours(model):
    """From the name of each group to its colour in `graph`."""
    from helpers.engine import graphs, tracing  # imports TensorFlow

    channels = tracing.trace(model)
    tied = graphs.colours_of(channels)[1]
    return {g: tied.get(g, graphs.ALONE) for g in channels.families()}


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
