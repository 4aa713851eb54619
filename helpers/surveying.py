"""Every comparison of a series at once: one family of tests, one figure."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import PercentFormatter

from helpers import studying

MARKS = (-30, -10, -3, -1, 0, 1, 3, 10, 30)  # points
FEW = (-10, -1, 0, 1, 10)  # where there is little room
STORED = ["nothing masked", "masked", "LiteRT file"]
OF_FILES = {"int8_accuracy": "file_accuracy", "int8_bytes": "bytes"}
MEASURED = (  # what settings do not end in
    "seed", "source", "accuracy", "points", "loss", "early_stop", "parameters",
    "nonzeros", "macs", "bytes", "seconds",
)  # fmt: skip
DATA = {"mnist": "digits", "fashion_mnist": "clothes"}


def differences(comparisons, folder="results"):
    """The paired differences of each comparison, see `studying.gaps`.

    Args:
        comparisons: a table of text by "claim": the `study`, a file of
            `folder`; `value`, `between`, `baseline` and `by` (columns with
            blanks between), as `studying.gaps` takes them; `where`, a
            condition for the rows, or empty; the `notebook`.

    Returns:
        DataFrame: the difference in `points` (hundredths), by "notebook",
        "claim", "place" (what `by` and `between` are there, in words, as far
        as they differ) and "seed".
    """
    parts = {}
    for row in comparisons.itertuples():
        rows = studying.read(pathlib.Path(folder) / f"{row.study}.csv")
        rows = rows.query(row.where) if row.where else rows
        rows, by = rows.astype({row.between: str}), row.by.split()
        rows = rows.replace({"data": DATA})
        gaps = studying.gaps(rows, row.value, row.between, row.baseline, by)
        place = _places(gaps[[*by, row.between]])
        gaps = gaps.assign(place=place, points=100 * gaps[row.value])
        gaps = gaps.set_index(["place", "seed"])["points"]
        parts[row.notebook, row.Index] = gaps
    return pd.concat(parts, names=["notebook", "claim"]).to_frame()


def _places(columns):
    """In words, what the columns are; one that never changes is left out."""
    changing = columns.loc[:, columns.nunique() > 1]
    if changing.empty:
        changing = columns
    return changing.apply(_named).agg(", ".join, axis=1)


def _named(values):
    """Text says what it is; a number, True or False needs its column's name."""
    text = values.astype(str)
    bare = text.str.fullmatch(r"[\d.]+|True|False")
    return text.where(~bare, f"{values.name.replace('_', ' ')} " + text)


def tested(gaps):
    """All that `differences` returns, as one family: see `studying.tested`."""
    groups = gaps.groupby(["notebook", "claim", "place"], sort=False)["points"]
    return studying.tested(groups)


def forest(parts):
    """Means and intervals in columns; blue ones survive, grey ones do not.

    Args:
        parts: a list of tables, one per column, with what `tested` returns,
            by heading (of one level or more) and label; one scale for all.
    """
    tall = max(len(part) + 1.4 * _headings(part).nunique() for part in parts)
    axes = plt.subplots(
        1, len(parts), sharex=True, figsize=(10, 0.7 + 0.165 * tall),
        squeeze=False, layout="constrained",
    )[1][0]  # fmt: skip
    axes[0].figure.get_layout_engine().set(wspace=0.06)
    for ax, part in zip(axes, parts, strict=True):
        _lines(ax, part)
    every, marks = pd.concat(parts), FEW if len(parts) > 1 else MARKS
    axes[0].set_xscale("symlog", linthresh=1, linscale=1.5)
    axes[0].set_xticks(marks, [f"{mark:g}".replace("-", "−") for mark in marks])
    low, high = min(every["low"].min(), -0.5), max(every["high"].max(), 1)
    axes[0].set_xlim(1.4 * low, 1.4 * high)
    return axes


def _headings(part):
    """All levels but the last, in one text."""
    heads = part.index.droplevel(-1)
    return heads.map(" · ".join) if heads.nlevels > 1 else heads


def _lines(ax, part):
    """A line and a dot for each row, below its heading."""
    heads, labels = _headings(part), part.index.get_level_values(-1)
    y = np.arange(len(part)) + 1.4 * pd.factorize(heads)[0]
    colors = np.where(part["p_holm"] < 0.05, "C0", "0.65")
    ax.hlines(y, part["low"], part["high"], colors)
    ax.scatter(part["mean"], y, 14, colors)
    ax.set_yticks(y, labels, size=8)
    ax.grid(axis="y", visible=False)
    for head in heads.unique():
        ax.text(
            -0.02, y[heads == head][0] - 0.9, head, weight="bold", size=8,
            ha="right", va="center", transform=ax.get_yaxis_transform(),
        )  # fmt: skip
    ax.axvline(0, color="0.4", linestyle=":")
    ax.set(xlabel="difference, points", ylim=(y[-1] + 1, -2))


def networks(studies, folder="results"):
    """Every kind of network in the studies, in means over seeds.

    Args:
        studies: from the name of a file to that of its network.

    Returns:
        DataFrame: what the studies measured, by `network` and the settings;
        how it is `stored`, and its `kB`: of a LiteRT file all, of others
        the floats that are not zero.
    """
    parts = {}
    for study, network in studies.items():
        rows = studying.read(pathlib.Path(folder) / f"{study}.csv")
        rows = rows.rename(columns=OF_FILES)
        by = [name for name in rows if not name.endswith(MEASURED)]
        groups = rows.groupby(by, as_index=False)
        parts[network, study] = groups.mean(numeric_only=True)
    every = pd.concat(parts, names=["network", "study"]).reset_index()
    whole = every["nonzeros"] > 0.98 * every["parameters"]
    every["stored"] = np.where(whole, *STORED[:2])
    every["kB"] = every["nonzeros"] * 4 / 1000
    if "bytes" in every:
        files = every.dropna(subset="bytes").assign(stored=STORED[2])
        files["accuracy"] = files["file_accuracy"]
        files["kB"] = files["bytes"] / 1000
        every = pd.concat([every, files], ignore_index=True)
    return every.assign(stored=pd.Categorical(every["stored"], STORED))


def smaller(gaps, seeds, number=30):
    """The 95 % intervals of smaller studies, drawn from one with more seeds.

    Args:
        gaps: a Series with a difference for each seed.
        seeds: how many each smaller study has.
        number: how many are drawn.
    """
    random = np.random.default_rng(0)
    draws = [random.permutation(gaps)[:seeds] for _ in range(number)]
    return np.array([studying.t_interval(draw) for draw in draws])


def front(table, x, y="accuracy"):
    """The rows of which no other has both less `x` and more `y`."""
    table = table.sort_values([x, y], ascending=[True, False])
    return table[~(table[y] <= table[y].cummax().shift())]


def fronts(every, columns=3):
    """Size against accuracy, and the Pareto front: a panel for each kind.

    Args:
        every: see `networks`; drawn is what comes within five points of the
            best of its kind, a `network` and its `data`.
        columns: how many panels stand side by side.
    """
    kinds = list(every.groupby(["network", "data"], sort=False))
    high, last = -(-len(kinds) // columns), len(kinds) - columns
    axes = plt.subplots(
        high, columns, figsize=(3.2 * columns, 2.6 * high), sharex=True,
        squeeze=False, layout="constrained",
    )[1].flat  # fmt: skip
    for number, (ax, (kind, rows)) in enumerate(zip(axes, kinds, strict=False)):
        _front(ax, rows, legend=number == 0)
        ax.set(title=f"{kind[0]}, {DATA.get(kind[1], kind[1])}", ylabel="")
        ax.tick_params(labelbottom=number >= last)
        ax.set_xlabel("kB", visible=number >= last)
        if number % columns == 0:
            ax.set_ylabel("test accuracy")
    named = axes[0].get_legend_handles_labels()
    axes[0].get_legend().remove()
    for ax in axes[len(kinds) :]:
        ax.axis("off")
    axes[-1].legend(*named, loc="center", title="stored", labelspacing=0.8)
    return axes[: len(kinds)]


def _front(ax, rows, legend):
    """The networks of one kind, and a grey line along their front."""
    rows = rows[rows["accuracy"] > rows["accuracy"].max() - 0.05]
    common = {"hue": "stored", "style": "stored", "s": 45, "legend": legend}
    sns.scatterplot(rows, x="kB", y="accuracy", ax=ax, **common)
    best = front(rows, "kB")
    ax.step(best["kB"], best["accuracy"], where="post", color="0.6", zorder=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
