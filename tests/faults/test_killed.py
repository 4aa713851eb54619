"""A process is killed, at its worst moments, and its work done again."""

import os
import signal
import time

import psutil
import pytest
import workload

from helpers.engine import caching


def test_killed_while_it_trains(start, undisturbed, kept):
    process = start(workload.__file__, "train")
    while b"10%" not in os.read(process.stdout.fileno(), 1000):
        assert process.poll() is None
    process.kill()
    process.wait()
    assert kept() == []
    assert workload.train() == undisturbed("train")
    assert kept() == workload.NETWORK


@pytest.mark.parametrize(
    "moment",
    [("open", "history.csv"), ("os.rename", ".part")],
    ids=["half", "just before the end"],
)
def test_killed_while_it_writes_a_network(
    start, undisturbed, kept, capsys, moment
):
    process = start(workload.__file__, "train", *moment)
    assert process.wait() == -signal.SIGKILL
    (part,) = caching.cache_folder().glob("*.part")
    assert workload.train() == undisturbed("train")
    assert "damaged" not in capsys.readouterr().out
    assert kept() == workload.NETWORK
    assert not part.exists()


def rows():
    return sorted((caching.cache_folder() / "studies").rglob("*.json"))


def test_killed_while_it_writes_rows(start, undisturbed, kept):
    process = start(workload.__file__, "study", "os.rename", ".json.part")
    assert process.wait() == -signal.SIGKILL
    assert kept()[0].endswith(".json.part")
    assert workload.study() == undisturbed("study")
    assert kept() == [path.name for path in rows()]
    assert len(rows()) == 6


def test_killed_in_a_study_with_workers(start, undisturbed, kept):
    process = start(workload.__file__, "study_in_parallel")
    while len(rows()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    before = {path: path.read_bytes() for path in rows()}
    assert 2 <= len(before) < 6
    assert workload.study() == undisturbed("study")
    assert {p: p.read_bytes() for p in before} == before
    assert kept() == [path.name for path in rows()]
    assert psutil.wait_procs(family, timeout=60)[1] == []
