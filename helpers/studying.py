"""The same experiment over seeds and settings: one tidy table, kept on disk."""

import contextlib
import functools
import hashlib
import inspect
import io
import itertools
import json
import os
import pathlib
import platform
import time
from collections.abc import Iterable

import joblib
import numpy as np
import pandas as pd
from scipy import stats

from helpers import datasets, masking
from helpers.engine.backend import keras, tf
from helpers.engine.caching import (
    cache_folder,
    one_at_a_time,
    say_not_kept,
    whole,
)
from helpers.fitting import progress

ALWAYS = ("seed", "data", "source")  # columns that every study has
DECIDING = (
    "networks", "masking", "staging", "pruning", "fitting", "training",
    "scheduling", "compacting", "measuring", "deploying", "distilling",
)  # fmt: skip
# Workers whose parent was killed leave after as many seconds without work.
WORKERS = {"return_as": "generator_unordered", "idle_worker_timeout": 10}


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
        "sample"), the axes, what `experiment` returned, and `seconds`.
    """
    runs = _all_runs(experiment, seeds, data, sample, axes)
    rows = {path: _read_rows(path, run) for path, run in runs.items()}
    missing = {path: runs[path] for path in runs if rows[path] is None}
    label = f"{experiment.__name__}, {'sample' if sample else 'full data'}"
    with (
        _one_thread_each(),
        contextlib.closing(
            joblib.Parallel(num_workers, **WORKERS)(
                joblib.delayed(_run)(experiment, path.name, run)
                for path, run in missing.items()
            )
        ) as finished,
        progress(finished, label, total=len(missing)) as shown,
    ):
        rows |= _kept(shown, _folder(experiment))
    return pd.DataFrame([row for path in runs for row in rows[path]])


def band(table, by, value="accuracy", without_seed=None):
    """Where 19 of 20 new seeds are expected, for each group of `by`.

    The prediction interval of a normal distribution known from n seeds:
    mean -+ t(0.975, n - 1) * standard deviation * sqrt(1 + 1 / n).

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
    _require_columns(table, ["seed", *_values("by", by), value])
    table = table[table["seed"] != without_seed]
    groups = table.groupby(list(by))[value]
    seeds = groups.count()
    if table.empty or seeds.min() < 2:
        raise ValueError(
            f"A band needs at least two seeds in each group of {list(by)}; "
            f"got {seeds.to_dict()}. Pass a study of more seeds."
        )
    if table.duplicated([*by, "seed"]).any():
        raise ValueError(
            f"Some seed has several rows in a group of {list(by)}: that would "
            "not be spread over seeds. Pass more columns as `by`."
        )
    spread = stats.t.ppf(0.975, seeds - 1) * np.sqrt(1 + 1 / seeds)
    half = spread * groups.std()
    ends = pd.DataFrame({"low": -half, "high": half}).add(groups.mean(), axis=0)
    if "accuracy" in value:
        ends = ends.clip(0, 1)
    return ends.assign(mean=groups.mean(), seeds=seeds)


def inside(live, expected, slack=0.005):
    """The fraction of `live` values that lie in their band.

    `live` is a Series with the index of `expected`, see `band`. `slack`
    widens the band: another CPU rounds otherwise.
    """
    _require_columns(expected, ["low", "high"])
    if live.empty or not live.index.isin(expected.index).all():
        raise ValueError(
            f"`live` has values at {list(live.index)}; expected one or more "
            f"of {list(expected.index)}. Pass a Series indexed like the band."
        )
    limits = expected.loc[live.index]
    return float(
        live.between(limits["low"] - slack, limits["high"] + slack).mean()
    )


def describe(expected):
    """A caption that says what the band is."""
    _require_columns(expected, ["seeds"])
    return (
        "lines: this run; bands: where 19 of 20 new seeds are expected "
        f"(prediction interval from {expected['seeds'].min()} other seeds)"
    )


def write(table, path, command):
    """Write a study as CSV, below the command and versions that made it."""
    _require_columns(table, ALWAYS)
    versions = {
        "Python": platform.python_version(),
        "Keras": keras.__version__,
        "TensorFlow": tf.__version__,
        "NumPy": np.__version__,
    }
    made_with = ", ".join(f"{name} {v}" for name, v in versions.items())
    path = pathlib.Path(path)
    with whole(path) as part:
        header = f"# made by: {command}\n# with: {made_with}\n"
        text = header + table.to_csv(index=False)
        part.write_text(text, encoding="utf-8")


def read(path, columns=(), sample=False):
    """The rows of a study file that come from the full data, or the sample.

    Raises:
        ValueError: no such file, `seed`, `data`, `source` or one of
            `columns` missing in it, or no rows from that source.
    """
    columns = _values("columns", columns) if columns else ()
    path, again = pathlib.Path(path or ""), "Make it with `make study`."
    if not path.is_file():
        raise ValueError(f"There is no study file {path}. {again}")
    try:
        table = pd.read_csv(path, comment="#")
    except ValueError as error:  # empty, or not a table at all
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
    return chosen.reset_index(drop=True)


def _all_runs(experiment, seeds, data, sample, axes):
    """What to call `experiment` with, by the file that keeps its rows."""
    if clash := {"seed", "split"} & set(axes):
        raise ValueError(f"{clash} cannot be an axis; pass `seeds`, `data`.")
    axes = {"data": data, "seed": seeds, **axes}
    axes = {name: _values(name, values) for name, values in axes.items()}
    for seed in axes["seed"]:
        masking.require_count("seed", seed, least=0)
    prints = {name: _loaded(name, sample).fingerprint for name in axes["data"]}
    code, runs = _code(experiment), {}
    for values in itertools.product(*axes.values()):
        run = {**dict(zip(axes, values, strict=True)), "sample": sample}
        decides = [
            run, prints[run["data"]], experiment.__name__, code,
            keras.__version__, tf.__version__,
        ]  # fmt: skip
        text = json.dumps(decides, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        runs[_folder(experiment) / f"{digest}.json"] = run
    return runs


def _values(name, values):
    """The values of an axis as a list that can be written as JSON."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(
            f"`{name}` takes a list of values; got {values!r}. "
            f"For a single one, pass [{values!r}]."
        )
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not values:
        raise ValueError(
            f"Nothing to study: `{name}` has no values. Pass one or more."
        )
    return values


def _require_columns(table, columns):
    """Raise a ValueError unless `table` is one with these columns."""
    has = list(table) if isinstance(table, pd.DataFrame) else []
    if not set(columns) <= set(has):
        raise ValueError(
            f"Expected a table with the columns {list(columns)}; got "
            f"{type(table).__name__} with {has}. Pass what `studying.study`, "
            "`read` or `band` returns."
        )


def _code(experiment):
    """A digest of all code that an experiment may reach."""
    own = [inspect.getsource(inspect.getmodule(experiment))]
    folder = pathlib.Path(__file__).parent
    files = [folder / f"{name}.py" for name in DECIDING]
    text = "".join(own + [path.read_text(encoding="utf-8") for path in files])
    return hashlib.sha256(text.encode()).hexdigest()


def _folder(experiment):
    return cache_folder() / "studies" / experiment.__name__


def _kept(finished, folder):
    """Each run's path and rows, as they finish; on disk if it takes them."""
    told = False
    for name, rows in finished:
        path, text = folder / name, json.dumps(rows, default=float)
        try:
            with one_at_a_time(folder), whole(path) as part:
                part.write_text(text, encoding="utf-8")
        except OSError as error:
            if not told:
                say_not_kept(f"Rows of the study {folder.name}", error)
            told = True
        yield path, json.loads(text)


def _read_rows(path, run):
    """The rows of a finished run, or None."""
    about = _about(run).items()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return (
            rows if rows and all(about <= row.items() for row in rows) else None
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # not there, or damaged


def _about(run):
    """The columns that tell whose rows these are."""
    axes = dict(run)
    source = "sample" if axes.pop("sample") else "full"
    seed, data = axes.pop("seed"), axes.pop("data")
    return {"seed": seed, "data": data, "source": source, **axes}


def _run(experiment, name, run):
    """One run, in a worker; what it prints is dropped."""
    axes = dict(run)
    data, sample = axes.pop("data"), axes.pop("sample")
    start = time.perf_counter()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            measured = experiment(_loaded(data, sample), **axes)
        rows = measured if isinstance(measured, list) else [measured]
        if not rows or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"it returned {measured!r}, not a dict or dicts")
    except Exception as error:
        what = f"{experiment.__name__} failed for {run}: {error}"
        raise RuntimeError(what) from error
    about = _about(run)
    seconds = {"seconds": round((time.perf_counter() - start) / len(rows), 2)}
    return name, [{**about, **row, **seconds} for row in rows]


@functools.lru_cache(maxsize=2)
def _loaded(data, sample):
    split = datasets.load(data, sample=sample)
    if split.is_sample and not sample:
        raise ValueError(
            f"The full data of {data} is not here: connect to the network or "
            "set PRUNING_DATA_DIR, and unset PRUNING_DATA. Or study the "
            "sample (`sample=True`)."
        )
    return split


@contextlib.contextmanager
def _one_thread_each():
    """Local workers start inside: all cores are theirs already."""
    before = os.environ.get("TF_NUM_INTRAOP_THREADS")
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["TF_NUM_INTRAOP_THREADS"]
        if before is not None:
            os.environ["TF_NUM_INTRAOP_THREADS"] = before
