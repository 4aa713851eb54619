"""Run a study: every combination once, kept on disk as soon as it is done.

The rows are kept by the process that asked for them, and not by its workers
(as `joblib.Memory` does it), which may be on other machines. A disk that is
full or read-only costs one line of notice, no row.
"""

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

import joblib
import numpy as np
import pandas as pd

from helpers import datasets
from helpers.engine.backend import keras, tf
from helpers.engine.bars import progress
from helpers.engine.caching import (
    cache_folder,
    one_at_a_time,
    say_not_kept,
    whole,
)

HELPERS = pathlib.Path(datasets.__file__).parent
DECIDING = (
    "networks", "masking", "pruning", "fitting", "training", "scheduling",
    "compacting", "measuring", "deploying", "distilling", "engine/channels",
    "engine/copying", "engine/endings", "engine/fast", "engine/holding",
    "engine/readers", "engine/steps", "engine/tracing",
)  # fmt: skip
# Workers whose parent was killed leave after as many seconds without work.
WORKERS = {"return_as": "generator_unordered", "idle_worker_timeout": 10}


def study(experiment, seeds, data, sample, num_workers, axes):
    """The rows of a study, see `studying.study`."""
    runs = _all_runs(experiment, {"data": data, "seed": seeds, **axes}, sample)
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


def write(table, path, command):
    """Write a study as CSV, below the command and versions that made it."""
    versions = (
        f"Python {platform.python_version()}, Keras {keras.__version__}, "
        f"TensorFlow {tf.__version__}, NumPy {np.__version__}"
    )
    header = f"# made by: {command}\n# with: {versions}\n"
    with whole(pathlib.Path(path)) as part:
        part.write_text(header + table.to_csv(index=False), encoding="utf-8")


def _all_runs(experiment, axes, sample):
    """What to call `experiment` with, by the file that keeps its rows."""
    axes = {name: _plain(values) for name, values in axes.items()}
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


def _plain(values):
    """The values of an axis as Python's own, which JSON can hold."""
    return [v.item() if isinstance(v, np.generic) else v for v in values]


def _code(experiment):
    """A digest of all code that an experiment may reach."""
    own = [inspect.getsource(inspect.getmodule(experiment))]
    files = [HELPERS / f"{name}.py" for name in DECIDING]
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
        whole = rows and all(about <= row.items() for row in rows)
        return rows if whole else None
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
