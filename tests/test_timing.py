"""Laws of timing: fair turns, runtimes that agree, honest intervals."""

import itertools
import types

import numpy as np
import pandas as pd
import pytest

from helpers import deploying, networks, timing

COLUMNS = ["ms", "ms_low", "ms_high", "speed_up", "speed_up_low"]


def test_all_runtimes_give_the_same_logits(trained, split):
    batch, expected = split.x_test[:20], np.asarray(trained(split.x_test[:20]))
    for runtime in timing.RUNTIMES:
        call = timing.compiled(trained, batch, runtime)
        assert np.abs(call() - expected).max() <= 1e-4
        assert np.abs(call() - expected).max() <= 1e-4


@pytest.mark.parametrize("runtime", ["predict", "tf.function", "litert"])
def test_latency_has_a_row_per_model_and_an_interval(trained, split, runtime):
    models = {"full": trained, "tiny": networks.mlp(widths=(2,))}
    table = timing.latency(
        models, split.x_test, 10, runtime, repeats=6, calls_per_turn=1
    )
    assert list(table.index) == ["full", "tiny"]
    assert list(table.columns) == [*COLUMNS, "speed_up_high"]
    for name in ("ms", "speed_up"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    assert (table.loc["full", COLUMNS[3:]] == 1).all()
    assert (table["ms"] > 0).all()


def test_a_table_has_a_row_per_runtime_batch_size_and_model(trained, split):
    models = {"full": trained, "tiny": networks.mlp(widths=(2,))}
    table = timing.table(
        models, split.x_test, (1, 9), ("litert", "tf.function"), repeats=6
    )
    places = itertools.product(("litert", "tf.function"), (1, 9), models)
    keys = ["runtime", "batch_size", "model"]
    assert list(table[keys].itertuples(index=False, name=None)) == list(places)
    assert list(table.columns) == [*keys, *COLUMNS, "speed_up_high"]
    assert (table.loc[table["model"] == "full", "speed_up"] == 1).all()
    assert table[COLUMNS].map(np.isfinite).all(axis=None)


def test_latency_takes_one_model_as_well(trained, split):
    table = timing.latency(trained, split.x_test, 1, repeats=8)
    assert table.shape == (1, 6)


@pytest.mark.parametrize("runtime", ["predict", "tf.function"])
def test_a_file_is_not_timed_in_another_runtime(trained, split, runtime):
    file = deploying.convert(trained)
    with pytest.raises(ValueError, match='runs in "litert", not in'):
        timing.latency(file, split.x_test, 1, runtime)


def test_too_few_images_are_refused(trained, split):
    with pytest.raises(ValueError, match="201 images asked, 200 given"):
        timing.latency(trained, split.x_test, 201)


def test_functions_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ABC"}
    timing.time_in_turns(calls, repeats=2, warm_up=1, calls_per_turn=2)
    assert "".join(order) == "AABBCC" * 3


def test_turns_are_counted_and_warm_up_is_dropped(monkeypatch):
    """On a clock that the calls turn themselves: 9 s each at first, then 2."""
    clock, seconds = [0], iter([9] * 6 + [2] * 10)
    fake = types.SimpleNamespace(perf_counter=lambda: clock[0])
    monkeypatch.setattr(timing, "time", fake)
    calls = {"a": lambda: clock.append(clock.pop() + next(seconds))}
    turns = timing.time_in_turns(calls, repeats=5, warm_up=3, calls_per_turn=2)
    assert turns["a"].tolist() == [2000.0] * 5


def test_summary_is_the_median_and_the_ratio_within_turns():
    turns = pd.DataFrame({"a": [2.0] * 9 + [90.0], "b": [1.0] * 9 + [45.0]})
    table = timing.summary(turns)
    assert table.loc["a", "ms"] == 2
    assert table.loc["b", "ms"] == 1
    assert table.loc["b", ["speed_up", "speed_up_low"]].tolist() == [2, 2]
    assert table.loc["b", "speed_up_high"] == 2


def test_interval_covers_the_true_median_about_95_times_in_100():
    random = np.random.default_rng(0)
    turns = pd.DataFrame(random.exponential(size=(30, 200)))
    table = timing.summary(turns)
    covered = (table["ms_low"] <= np.log(2)) & (np.log(2) <= table["ms_high"])
    assert 0.92 <= covered.mean() <= 0.99
