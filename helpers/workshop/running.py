"""Run a study: every combination once, kept on disk as soon as it is done.

The rows are kept by the process that asked for them, and not by its workers
(as `joblib.Memory` does it), which may be on other machines. A disk that is
full or read-only costs one line of notice, no row.
"""

import ast
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
from unittest import mock

import joblib
import numpy as np
import pandas as pd

from helpers import datasets
from helpers.engine import caching
from helpers.engine.backend import keras, tf
from helpers.engine.bars import progress

HELPERS = pathlib.Path(datasets.__file__).parent
DECIDING = (
    "networks", "masking", "pruning", "fitting", "training", "scheduling",
    "compacting", "measuring", "deploying", "distilling", "repairing",
    "scoring", "engine/asking", "engine/attention", "engine/channels",
    "engine/copying", "engine/endings", "engine/fast", "engine/holding",
    "engine/readers", "engine/sparse_files", "engine/steps", "engine/tracing",
    "workshop/experiments/common",
)  # fmt: skip
CODE = "# code: "
AGAIN = "# of these rows, that code has given those of seed "
# Workers whose parent was killed leave after as many seconds without work.
WORKERS = {"return_as": "generator_unordered", "idle_worker_timeout": 10}


def study(experiment, seeds, data, sample, num_workers, axes):
    """The rows of a study, see `studying.study`."""
    source = "sample" if sample else "full"
    runs = _all_runs(experiment, seeds, data, source, axes)
    rows = {path: _read_rows(path, run) for path, run in runs.items()}
    missing = [path for path in runs if rows[path] is None]
    label = f"{experiment.__name__}, {source}"
    with (
        _one_thread_each(num_workers),
        contextlib.closing(
            joblib.Parallel(num_workers, **WORKERS)(
                joblib.delayed(_run)(experiment, path, runs[path])
                for path in missing
            )
        ) as finished,
        progress(finished, label, len(missing)) as shown,
    ):
        rows |= _kept(shown)
    return pd.DataFrame([row for path in runs for row in rows[path]])


def write(table, path, command, experiments=()):
    """Write a study as CSV, below the command, versions and code it is from."""
    versions = (
        f"Python {platform.python_version()}, Keras {keras.__version__}, "
        f"TensorFlow {tf.__version__}, NumPy {np.__version__}"
    )
    header = f"# made by: {command}\n# with: {versions}\n"
    header += f"{CODE}{digest(experiments)}\n"
    with caching.whole(pathlib.Path(path)) as part:
        part.write_text(header + table.to_csv(index=False), encoding="utf-8")


def sign(path, experiments, seed):
    """Say in a study file that the code there is now gives its rows.

    And by which `seed` that is known; other code wrote the rest.
    """
    signed = [f"{CODE}{digest(experiments)}\n", f"{AGAIN}{seed}\n"]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [x for x in lines if not x.startswith((CODE, AGAIN))]
    with caching.whole(path) as part:
        text = "".join([*lines[:2], *signed, *lines[2:]])
        part.write_text(text, encoding="utf-8")


def is_of_this_code(path, experiments):
    """Whether a study file was written by the code that there is now."""
    line = f"{CODE}{digest(experiments)}"
    return path.is_file() and line in path.read_text("utf-8").splitlines()


def digest(experiments):
    """Of all code that decides a study; comments and docstrings do not."""
    texts = repr([_code(experiment) for experiment in experiments])
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def _all_runs(experiment, seeds, data, source, axes):
    """By the file that keeps a run's rows: the columns that tell it apart."""
    folder = caching.cache_folder() / "studies" / experiment.__name__
    decides = [_code(experiment), keras.__version__, tf.__version__]
    runs = {}
    for name, seed, *values in itertools.product(data, seeds, *axes.values()):
        run = {"seed": seed, "data": name, "source": source}
        run |= zip(axes, values, strict=True)
        for key, value in run.items():
            if isinstance(value, np.generic):
                run[key] = value.item()  # which JSON can hold
        images = _loaded(name, source).fingerprint
        digest = joblib.hash([*decides, images, sorted(run.items())])
        runs[folder / f"{digest[:16]}.json"] = run
    return runs


def _code(experiment):
    """All code that an experiment may reach, see `_meaning`."""
    own = inspect.getsource(inspect.getmodule(experiment))
    files = [HELPERS / f"{name}.py" for name in DECIDING]
    texts = [own, *(path.read_text(encoding="utf-8") for path in files)]
    return [_meaning(text) for text in texts]


@functools.cache
def _meaning(text):
    """Each node of a module with its names and values, on any Python alike.

    Comments are none, and texts that stand alone (docstrings) are left out.
    """
    nodes = list(ast.walk(ast.parse(text)))
    alone = [n for n in nodes if isinstance(n, ast.Expr) and _is_text(n.value)]
    left_out = {*map(id, alone), *(id(node.value) for node in alone)}
    return [
        (type(node).__name__, *map(repr, _values(node)))
        for node in nodes
        if id(node) not in left_out
    ]


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _values(node):
    plain = str | bytes | int | float
    return [v for _, v in ast.iter_fields(node) if isinstance(v, plain)]


def _kept(finished):
    """Each run's path and rows, as they finish; on disk if it takes them."""
    told = False
    for path, rows in finished:
        text = json.dumps(rows, default=float)
        try:
            with caching.one_at_a_time(path.parent), caching.whole(path) as new:
                new.write_text(text, encoding="utf-8")
        except OSError as error:
            if not told:
                what = f"Rows of the study {path.parent.name}"
                caching.say_not_kept(what, error)
            told = True
        yield path, json.loads(text)


def _read_rows(path, run):
    """The rows of a finished run, or None."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        whole = rows and all(run.items() <= row.items() for row in rows)
        return rows if whole else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # not there, or damaged


def _run(experiment, path, run):
    """One run, in a worker; what it prints is dropped."""
    axes, start = dict(run), time.process_time()  # waiting is no work
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            split = _loaded(axes.pop("data"), axes.pop("source"))
            measured = experiment(split, **axes)
        rows = measured if isinstance(measured, list) else [measured]
        if not rows or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"it returned {measured!r}, not a dict or dicts")
    except Exception as error:
        what = f"{experiment.__name__} failed for {run}: {error}"
        raise RuntimeError(what) from error
    seconds = round((time.process_time() - start) / len(rows), 2)
    return path, [{**run, **row, "seconds": seconds} for row in rows]


@functools.lru_cache(maxsize=2)
def _loaded(data, source):
    split = datasets.load(data, sample=source == "sample")
    if split.is_sample and source == "full":
        raise ValueError(
            f"The full data of {data} is not here: connect to the network or "
            "set PRUNING_DATA_DIR, and unset PRUNING_DATA. Or study the "
            "sample (`sample=True`)."
        )
    return split


def _one_thread_each(num_workers):
    """Local workers start inside: all cores are theirs already.

    A network is trained otherwise by several threads, if only in its last
    digits, so what a notebook has left in the cache is none of theirs.
    """
    if num_workers == 1:
        return contextlib.nullcontext()  # that is this process
    variables = {"TF_NUM_INTRAOP_THREADS": "1"}
    if os.environ.get("TF_NUM_INTRAOP_THREADS") != "1":
        apart = caching.cache_folder().absolute() / "one-thread"
        variables["PRUNING_CACHE_DIR"] = str(apart)
    return mock.patch.dict(os.environ, variables)
