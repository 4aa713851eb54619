"""Milliseconds of models, timed in turns, with intervals."""

import itertools
import time

import numpy as np
import pandas as pd
from scipy import stats

from helpers import deploying
from helpers.engine.backend import keras, tf
from helpers.engine.bars import progress
from helpers.engine.doors import COUNT, ROWS, SEED, door, one_of

RUNTIMES = "predict", "tf.function", "litert"


@door(batch_size=COUNT, x=ROWS)
def latency(models, x, batch_size, runtime="tf.function", **turns):
    """Milliseconds per call, for models timed in turns in one run.

    Args:
        models: one model, or a dict from name to model. The first is what
            the others' speed-up is measured against. For "litert", a model
            may be the bytes of a file (see `deploying.convert`).
        x: images; the first `batch_size` of them are used.
        runtime: "predict" (Keras' method), "tf.function" (compiled once for
            this batch) or "litert" (one thread).
        turns: how often, see `time_in_turns`.

    Returns:
        DataFrame: a row per model, see `summary`.
    """
    if len(x) < batch_size:
        raise ValueError(
            f"{batch_size} images asked, {len(x)} given in `x`. Pass more "
            "images, or a lower `batch_size`."
        )
    if not isinstance(models, dict):
        models = {"model": models}
    batch = np.asarray(x)[:batch_size]
    calls = {
        name: compiled(model, batch, runtime) for name, model in models.items()
    }
    return summary(time_in_turns(calls, **turns))


def table(models, x, batch_sizes=(1, 100), runtimes=RUNTIMES, **turns):
    """`latency` in every runtime at every batch size, as one tidy table.

    Returns:
        DataFrame: a row per `runtime`, `batch_size` and `model`, with the
        columns of `summary`.
    """
    places = list(itertools.product(runtimes, batch_sizes))
    parts = {
        (runtime, size): latency(models, x, size, runtime, **turns)
        for runtime, size in progress(places, "timing")
    }
    names = ["runtime", "batch_size", "model"]
    return pd.concat(parts, names=names).reset_index()


@door(model=deploying.FILE, batch=ROWS, runtime=one_of(*RUNTIMES))
def compiled(model, batch, runtime):
    """A function without arguments that runs `model` on `batch`."""
    batch = np.ascontiguousarray(batch)
    is_file = isinstance(model, bytes | deploying.File)
    if runtime == "litert":
        file = model if is_file else deploying.convert(model)
        return deploying.runner(file, batch)
    if is_file:
        raise ValueError(
            f'A LiteRT file runs in "litert", not in {runtime!r}; pass that '
            "runtime, or the Keras model."
        )
    if runtime == "predict":
        return lambda: model.predict(batch, batch_size=len(batch), verbose=0)
    function = tf.function(lambda x: model(x, training=False))
    tensor = keras.ops.convert_to_tensor(batch, model.inputs[0].dtype)
    return lambda: keras.tree.flatten(function(tensor))[0].numpy()


@door(repeats=COUNT, warm_up=SEED, calls_per_turn=COUNT)
def time_in_turns(calls, repeats=30, warm_up=3, calls_per_turn=3):
    """Time functions A B C A B C ..., so that a slow moment hits them all.

    Returns:
        DataFrame: milliseconds per call; a column per function, a row per
        turn. Turns to warm up are left out.
    """
    turns = [
        {name: _ms(call, calls_per_turn) for name, call in calls.items()}
        for _ in range(warm_up + repeats)
    ]
    return pd.DataFrame(turns[warm_up:])


def _ms(call, times):
    start = time.perf_counter()
    for _ in range(times):
        call()
    return 1000 * (time.perf_counter() - start) / times


def summary(turns):
    """What turns say: by function, `ms` and how much faster than the first.

    `ms` is the median over turns and `speed_up` that of the ratio within
    turns; `..._low` and `..._high` are the ends of its 95 % interval.
    """
    first, rows = turns.iloc[:, 0], {}
    for name, ms in turns.items():
        rows[name] = _median(ms, "ms") | _median(first / ms, "speed_up")
    return pd.DataFrame(rows).T


def _median(values, name):
    """The median and its interval from order statistics (no normality)."""
    low, high = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    return {name: values.median(), f"{name}_low": low, f"{name}_high": high}
