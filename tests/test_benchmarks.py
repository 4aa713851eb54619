"""The benchmark still runs and reports; how fast is not tested."""

import json
import pathlib
import sys
import time

import numpy as np
import pytest

from helpers import networks

FOLDER = pathlib.Path(__file__).parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """The script, writing elsewhere, without its peers."""
    monkeypatch.syspath_prepend(FOLDER)
    import bench

    monkeypatch.setattr(bench, "BUILD", tmp_path)
    monkeypatch.setattr(
        bench, "PACKAGES", {sys.executable: ("ai-edge-litert",)}
    )
    return bench


def test_a_worker_works_once_for_each_call(bench):
    import ours
    from worker import Worker

    for work in (ours.masks, ours.sorted_masks):
        with Worker(sys.executable, f"ours.{work.__name__}", 10_000) as worker:
            assert [worker(), worker(), work(10_000)()] == [9_000] * 3
        assert worker.process.returncode == 0


def test_work_that_fails_is_named(bench):
    from worker import Worker

    with pytest.raises(RuntimeError, match=r"ours\.masks"):
        Worker(sys.executable, "ours.masks", "many")


def test_a_target_is_reached_from_its_own_side(bench):
    reached = [
        bench.row("work", "peer", value, 2.0, at_most)["reached"]
        for at_most in (True, False)
        for value in (1.9, (2.0, 1.0, 3.0), 2.1)
    ]
    assert reached == [True, True, False, False, True, True]
    assert bench.row("work", "peer", 1.0)["reached"] is None


@pytest.mark.deep
def test_groups_run_and_the_report_says_what_they_measured(
    bench, split, tmp_path
):
    (tmp_path / "benchmarks.json").write_text('{"kept": 1}')
    model = networks.mlp()
    rows = bench.compaction(model, split)[0] + bench.importing()
    rows += bench.sweeps(model, split)[0]
    bench.report(rows, bench.machine())
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    assert found["kept"] == 1
    assert found["rows"] == json.loads(json.dumps(rows))
    assert all(r["low"] <= r["measured"] <= r["high"] for r in found["rows"])
    text = (tmp_path / "benchmarks.md").read_text()
    assert all(bench.words(r) in text for r in rows)
    version = found["versions"]["ai-edge-litert"]
    assert f"- ai-edge-litert: {version}" in text
    assert (tmp_path / "benchmarks.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.deep
def test_growth_is_an_exponent_and_a_figure(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "WIDTHS", (50, 600, 900))
    (row,) = bench.growth()
    assert row["low"] <= row["measured"] <= row["high"]
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_machine_is_named_with_its_speed(bench):
    about = bench.machine()
    assert about["vector instructions"] in (*bench.VECTORS, "?")
    assert about["GFLOP/s of a matrix product"] > 0


@pytest.mark.deep
def test_repair_is_timed_against_retraining(bench, split):
    rows, turns = bench.repair(networks.mlp((32, 16)), split)
    assert [row["against"] for row in rows] == ["300 steps", "500 steps"]
    assert list(turns) == ["repair", "300 steps", "500 steps"]


@pytest.mark.deep
def test_a_move_of_the_slider_is_timed(bench, split):
    moves, turns = bench.slider(networks.mlp(), split)
    assert len(turns) == 60
    assert [r["unit"] for r in moves] == [" ms"]


def test_named_groups_are_only_shown(bench, capsys, tmp_path):
    bench.main("importing")
    assert "| import of helpers.masking" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_memory_is_counted_while_it_is_taken(bench):
    import ours

    def take():
        numbers = np.ones(10**7)
        time.sleep(0.2)
        assert numbers[-1] == 1

    # The most of three: a system may take other memory back meanwhile.
    most = max(ours.peak_of(take) for _ in range(3))
    assert most == pytest.approx(8e7, rel=0.3)


@pytest.mark.deep
def test_large_networks_are_halved_and_traced(bench):
    import ours

    assert ours.half_of_resnet()() == 6_930_920  # as Torch-Pruning leaves
    assert ours.difference()() < 1e-5
    assert all(r["measured"] > 0 for r in bench.tracing() + bench.memory())
