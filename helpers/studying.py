"""The same experiment over settings and seeds, and what the seeds say of it."""

import itertools
import pathlib

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from helpers.engine.bars import progress
from helpers.engine.doors import FUNCTION, Kind, door

ALWAYS = ("seed", "data", "source")  # columns that every study has
LIST = Kind(
    lambda x: isinstance(x, range | list | tuple | np.ndarray) and len(x) > 0,
    "a list of one value or more",
    lambda value: f"For a single one, pass `[{value!r}]`.",
)
TABLE = Kind(
    lambda value: isinstance(value, pd.DataFrame) and "seed" in value,
    "a table with a row per seed",
    "Pass what `studying.read` or `studying.study` returns.",
)
LIVE = Kind(
    lambda x: isinstance(x, pd.Series) and None not in x.index.names,
    "a Series whose levels have names",
    "Pass what `studying.sweep` returns, or one column of it.",
)


@door(function=FUNCTION)
def sweep(function, splits, **axes):
    """Call `function` for each data set and each value of all axes.

    Args:
        function: called with `data`, the name of a data set, and one value
            of each axis, by name; returns a network, of which the accuracy
            on all test images is measured, or a dict of readings.
        splits: from the name of a data set to its `Split`.
        axes: a list of values each, or a dict, of which the keys count.

    Returns:
        Series: the test accuracies, by data and axes; of dicts a DataFrame
        with a column per reading.
    """
    from helpers import measuring  # reading needs no TensorFlow

    axes = {"data": splits, **axes}
    places, rows = list(itertools.product(*axes.values())), []
    for place in progress(places, function.__name__.strip("<>")):
        seen = function(**dict(zip(axes, place, strict=True)))
        if not isinstance(seen, dict):
            test = splits[place[0]].x_test, splits[place[0]].y_test
            seen = {"accuracy": measuring.accuracy(seen, *test)}
        rows.append(seen)
    codes = np.indices([len(values) for values in axes.values()])
    index = pd.MultiIndex(  # whose order is that of the axes
        list(map(list, axes.values())), codes.reshape(len(axes), -1), names=axes
    )
    table = pd.DataFrame(rows, index)
    return table["accuracy"] if list(table) == ["accuracy"] else table


@door(experiment=FUNCTION, seeds=LIST, data=LIST)
def study(
    experiment, seeds, data=("mnist",), sample=False, num_workers=-1, **axes
):
    """Run `experiment` for every combination of seed, data set and axes.

    Runs that are on disk already are not run again, so that an interrupted
    study goes on where it was. Each run is written as soon as it ends. Local
    processes do the work, one thread each; inside
    `joblib.parallel_config(backend="dask")` the workers of that cluster do.

    What decides a run is its settings, its data, the experiment's module and
    the helpers' own code: if one of them changes, it is run again.

    Args:
        experiment: called with `split`, `seed` and one value of each axis;
            returns a dict from column to value, or a list of such dicts. A
            function of a module, so that workers can import it.
        seeds: whole numbers.
        data: names that `datasets.load` knows.
        sample: take the bundled sample instead of the full data.
        num_workers: local processes; -1 for one per core.
        axes: a list of values for each other argument of `experiment`.

    Returns:
        DataFrame: a row per dict, with `seed`, `data`, `source` ("full" or
        "sample"), the axes, what `experiment` returned, and the `seconds`
        of one core that it took.
    """
    from helpers.workshop import running

    for name, values in axes.items():
        LIST.check(name, values)
    return running.study(experiment, seeds, data, sample, num_workers, axes)


def read(path, columns=(), sample=False):
    """The rows of a study file that come from the full data, or the sample.

    Beside each "accuracy" stands the same in percent: "points".

    Raises:
        ValueError: no such file, `seed`, `data`, `source` or one of
            `columns` missing in it, or no rows from that source.
    """
    path, again = pathlib.Path(path), "Make it with `make study`."
    try:
        table = pd.read_csv(path, comment="#")
    except (OSError, ValueError) as error:  # absent, empty, or no table
        raise ValueError(f"{path} cannot be read: {error}. {again}") from None
    absent = [name for name in (*ALWAYS, *columns) if name not in table]
    if absent:
        raise ValueError(
            f"{path} is not the study that is wanted: it has no columns "
            f"{absent}, but {list(table)}. {again}"
        )
    source = "sample" if sample else "full"
    chosen = table[table["source"] == source].dropna(axis=1, how="all")
    if chosen.empty:
        raise ValueError(f"{path} has no rows from the {source} data. {again}")
    for name in chosen.filter(like="accuracy"):
        chosen[name.replace("accuracy", "points")] = 100 * chosen[name]
    return chosen.reset_index(drop=True)


@door(table=TABLE)
def band(table, by, value="accuracy", without_seed=None):
    """Where 19 of 20 new seeds are expected, for each group of `by`.

    That is the prediction interval of a normal distribution.

    Args:
        table: rows with a `seed`, see `study`.
        by: columns that tell apart what is measured.
        value: the column to make bands of.
        without_seed: a seed to leave out: that of a run that is compared
            with the band.

    Returns:
        DataFrame: `mean`, `low`, `high` and `seeds`, by group; the ends of
        an accuracy's interval stay within 0 and 1.
    """
    table = table[table["seed"] != without_seed]
    _require_one_row_each(table, [*by, "seed"])
    found = _intervals(table.groupby(list(by))[value], of_a_new_seed=1)
    if "accuracy" in value:
        found[["low", "high"]] = found[["low", "high"]].clip(0, 1)
    return found.drop(columns="std")


def inside(live, expected, slack=0.005):
    """The fraction of `live` values that lie in their band.

    `live` is a Series with the index of `expected`: see `band`. If that is a
    study, its bands are made without seed 0, the live run's. `slack` widens
    them: another CPU rounds otherwise.
    """
    if "low" not in expected:
        expected = band(expected, live.index.names, without_seed=0)
    limits = expected.loc[live.index]
    near = live.between(limits["low"] - slack, limits["high"] + slack)
    return float(near.mean())


@door(table=TABLE)
def gaps(table, value, between, baseline, by=()):
    """By how much others differ from a baseline within the same seed.

    Args:
        table: rows with a `seed`, see `study`.
        value: the column that is compared.
        between: the column that tells apart what is compared.
        baseline: its value in the rows that the others are compared with.
        by: columns; each combination of their values is compared on its own.

    Returns:
        DataFrame: a row per difference, in the column `value`, with `seed`,
        `between` and `by`.

    Raises:
        ValueError: no seed has both.
    """
    _require_one_row_each(table, [*by, between, "seed"])
    keys = [*by, "seed"]
    first = table[table[between] == baseline]
    both = table[table[between] != baseline].merge(first, on=keys)
    found = both[[*keys, f"{between}_x"]].set_axis([*keys, between], axis=1)
    found[value] = both[f"{value}_x"] - both[f"{value}_y"]
    if found[value].notna().any():
        return found.dropna()
    raise ValueError(
        f"A paired comparison needs two seeds or more that have {baseline!r} "
        f"and another `{between}`; got none, of {list(table[between].unique())}"
        ". Pass another `baseline`, or other columns as `by`."
    )


@door(table=TABLE)
def paired(table, value, between, baseline, by=()):
    """The differences that `gaps` finds, over seeds; arguments as there.

    Returns:
        DataFrame: a row per comparison with the `mean` difference over seeds,
        its 95 % t interval `low` to `high`, the `p` of the paired t test,
        `p_holm`, corrected for all rows of this table (Holm, 1979), and how
        many `seeds`; rounded to four decimals.
    """
    found = gaps(table, value, between, baseline, by)
    groups = found.groupby([*by, between], sort=False)[value]
    columns = ["mean", "low", "high", "p", "p_holm", "seeds"]
    return tested(groups)[columns].round(4)


def t_interval(values):
    """The 95 % t interval of a mean over seeds: its two ends."""
    return tuple(stats.ttest_1samp(values, 0).confidence_interval(0.95))


def tested(groups):
    """Paired t tests of grouped differences, as one family.

    As `paired` returns them, but not rounded, and with the `std`; `p` is 1
    where nothing differs in any seed.
    """
    found = _intervals(groups)
    t = abs(found["mean"]) / found["std"] * found["seeds"] ** 0.5
    p = np.nan_to_num(2 * stats.t.sf(t, found["seeds"] - 1), nan=1)
    return found.assign(p=p, p_holm=multipletests(p, method="holm")[1])


def _intervals(groups, of_a_new_seed=0):
    """By group: 95 % t intervals of the mean, or of one more seed."""
    found = groups.agg(mean="mean", std="std", seeds="count")
    n = found["seeds"]
    if not len(n) or n.min() < 2:
        raise ValueError(
            f"It takes at least two seeds in each group; got {n.to_dict()}. "
            "Pass a study of more seeds, or other columns as `by`."
        )
    half = stats.t.ppf(0.975, n - 1) * found["std"]
    half *= np.sqrt(of_a_new_seed + 1 / n)
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


def _require_one_row_each(table, columns):
    if table.duplicated(columns).any():
        raise ValueError(
            f"Some seed has several rows with the same {columns[:-1]}: they "
            "would not be spread over seeds. Pass more columns as `by`."
        )
