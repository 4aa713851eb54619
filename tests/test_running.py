"""Laws of studies: every combination once, resumed, never half-written."""

import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from helpers import studying
from helpers.engine import caching
from helpers.workshop import running

AXES = {"data": ("mnist", "fashion_mnist"), "sparsity": [0.5, 0.9]}


def note(split, seed, sparsity):
    """A quick experiment that leaves a trace of each call."""
    path = caching.cache_folder() / "calls"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as calls:
        calls.write(f"{split.name} {seed} {sparsity}\n")
    return {
        "accuracy": np.float32(0.5 + seed / 10),
        "images": split.x_test.size,
    }


def calls():
    path = caching.cache_folder() / "calls"
    return path.read_text().splitlines() if path.exists() else []


def several(split, seed):
    """Several networks in one run."""
    return [{"round": number, "accuracy": 0.9} for number in range(3)]


def idle(split, seed):
    """It waits, as on a busy machine."""
    time.sleep(1)
    return {"accuracy": 0.9}


def fail_at_two(split, seed):
    """Not every run ends well."""
    if seed == 2:
        raise ArithmeticError("it diverged")
    return {"accuracy": 0.9}


def here(experiment, *args, **axes):
    """A study in this process."""
    return studying.study(experiment, *args, sample=True, num_workers=1, **axes)


# Rows


def test_every_combination_has_one_row_with_its_settings(capsys):
    table = here(note, range(3), **AXES)
    assert len(table) == 12
    columns = ["data", "seed", "sparsity"]
    assert len(table[columns].drop_duplicates()) == 12
    assert set(table["source"]) == {"sample"}
    assert list(table["accuracy"]) == pytest.approx(0.5 + table["seed"] / 10)
    assert (table["images"] == 784_000).all()
    assert (table["seconds"] >= 0).all()
    assert "note, sample: 100%" in capsys.readouterr().out


def test_seconds_are_of_work_and_not_of_waiting():
    here(note, [0], sparsity=[0.5])  # the data are read once
    assert here(idle, [0])["seconds"].item() < 0.5


def test_a_run_may_give_several_rows():
    table = here(several, [4, 7])
    assert list(table["seed"]) == [4, 4, 4, 7, 7, 7]
    assert list(table["round"]) == [0, 1, 2, 0, 1, 2]


def test_processes_give_the_same_table_as_one(monkeypatch):
    one = here(note, range(2), **AXES)
    folder = str(caching.cache_folder()) + "-other"
    monkeypatch.setenv("PRUNING_CACHE_DIR", folder)
    two = studying.study(note, range(2), sample=True, num_workers=2, **AXES)
    pd.testing.assert_frame_equal(
        one.drop(columns="seconds"), two.drop(columns="seconds")
    )


def test_workers_get_one_thread_each(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    with running._one_thread_each(2):
        assert os.environ["TF_NUM_INTRAOP_THREADS"] == "1"
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "7"
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    with running._one_thread_each(2):
        pass
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


def test_workers_share_no_network_with_a_process_of_more_threads(monkeypatch):
    """Which rounds otherwise."""
    cache = caching.cache_folder()
    for threads, workers, apart in [
        ("1", 2, False), ("2", 2, True), ("2", 1, False), (None, 2, True),
    ]:  # fmt: skip
        with monkeypatch.context() as patch:
            patch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
            if threads:
                patch.setenv("TF_NUM_INTRAOP_THREADS", threads)
            with running._one_thread_each(workers):
                assert (caching.cache_folder() != cache) == apart
    assert caching.cache_folder() == cache


# Going on


def test_what_is_on_disk_is_not_run_again():
    first = here(note, range(2), **AXES)
    again = here(note, range(2), **AXES)
    assert len(calls()) == 8
    pd.testing.assert_frame_equal(first, again)
    here(note, range(3), **AXES)
    assert len(calls()) == 12


def test_a_failure_names_the_run_and_keeps_the_others():
    with pytest.raises(RuntimeError, match=r"two.*'seed': 2.*diverged"):
        here(fail_at_two, range(3))
    kept = list((caching.cache_folder() / "studies" / "fail_at_two").iterdir())
    assert len(kept) == 2


@pytest.mark.parametrize(
    "damage",
    [b"", b"[{", b"[]", b"[1]", b'{"accuracy": 1}', b'[{"accuracy": 1}]',
     b"\xff\0"],
)  # fmt: skip
def test_a_damaged_row_is_run_again(damage):
    here(note, [0], sparsity=[0.5])
    (path,) = (caching.cache_folder() / "studies" / "note").iterdir()
    path.write_bytes(damage)
    table = here(note, [0], sparsity=[0.5])
    assert len(calls()) == 2
    assert list(table["accuracy"]) == [0.5]


def test_rows_of_another_run_are_not_taken():
    first = here(note, [0, 1], sparsity=[0.5])
    one, other = (caching.cache_folder() / "studies" / "note").iterdir()
    one.write_bytes(other.read_bytes())
    assert here(note, [0, 1], sparsity=[0.5])["seed"].tolist() == [0, 1]
    assert len(calls()) == 3
    one.unlink()
    one.mkdir()
    again = here(note, [0, 1], sparsity=[0.5])
    assert again["accuracy"].tolist() == first["accuracy"].tolist()
    assert one.is_file()


def test_another_experiment_or_source_has_rows_of_its_own(monkeypatch):
    here(note, [0], sparsity=[0.5])
    own = running.inspect.getsource
    monkeypatch.setattr(
        running.inspect, "getsource", lambda m: own(m) + "X = 1"
    )
    here(note, [0], sparsity=[0.5])
    assert len(calls()) == 2
    monkeypatch.setattr(running, "DECIDING", ("masking",))  # as if edited
    here(note, [0], sparsity=[0.5])
    assert len(calls()) == 3


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"seeds": []}, r"`seeds` is a list of one value or more; got \[\]"),
        ({"seeds": 5}, r"`seeds` is a list.*got 5.*pass `\[5\]`"),
        ({"seeds": [0], "data": "mnist"}, r"`data` is a list.*'mnist'"),
        ({"seeds": [0], "sparsity": 0.3}, r"`sparsity` is a list.*0\.3"),
    ],
)
def test_an_axis_that_is_no_list_is_refused(axes, message):
    with pytest.raises(ValueError, match=message):
        here(note, **axes)


def test_axes_may_be_arrays():
    table = here(note, np.arange(2), sparsity=np.array([0.5, 0.9]))
    assert len(table) == 4


def test_values_of_an_axis_keep_their_kinds():
    table = here(note, [0], sparsity=[1, 0.5, "all"])
    assert table["sparsity"].tolist() == [1, 0.5, "all"]


def nothing(split, seed):
    return []


def test_an_experiment_that_returns_no_row_is_named():
    with pytest.raises(
        RuntimeError, match=r"nothing.*'seed': 0.*returned \[\]"
    ):
        here(nothing, [0])


def test_a_study_of_the_full_data_does_not_take_the_sample():
    with pytest.raises(ValueError, match="full data of mnist is not here"):
        studying.study(note, [0], num_workers=1, sparsity=[0.5])


# A cluster

KILL_A_WORKER = """
import os, signal, sys, time
import dask.distributed, joblib
from helpers import studying
from helpers.engine import caching
from tests.test_running import slow

if __name__ == "__main__":
    cluster = dask.distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    )
    with cluster, dask.distributed.Client(cluster) as client:
        def kill_one_when_half_is_done():
            folder = caching.cache_folder() / "studies" / "slow"
            while len(list(folder.glob("*.json"))) < 4:
                time.sleep(0.05)
            pid = next(iter(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            print("killed a worker", flush=True)

        import threading
        threading.Thread(target=kill_one_when_half_is_done).start()
        with joblib.parallel_config(backend="dask"):
            table = studying.study(slow, range(10), sample=True)
    print("rows of seeds", sorted(table["seed"]))
"""


def slow(split, seed):
    """Long enough to be killed in the middle."""
    time.sleep(1)
    return {"accuracy": 0.9}


def test_a_cluster_finishes_although_a_worker_is_killed(tmp_path):
    root = str(pathlib.Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", KILL_A_WORKER], cwd=tmp_path, text=True,
        capture_output=True, check=False, timeout=180,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    assert "killed a worker" in done.stdout, done.stderr
    assert f"rows of seeds {list(range(10))}" in done.stdout, done.stderr


# Files


@pytest.fixture
def table():
    return here(note, range(2), **AXES)


def test_what_was_written_is_read(table, tmp_path):
    path = tmp_path / "results" / "note.csv"
    full = table.assign(source="full", accuracy=0.25)
    running.write(pd.concat([table, full]), path, "make study")
    back = studying.read(path, ["sparsity", "accuracy"], sample=True)
    back = back[list(table)]
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert (studying.read(path)["accuracy"] == 0.25).all()


def test_the_file_names_the_command_and_the_versions(table, tmp_path):
    running.write(table, tmp_path / "note.csv", "make study (note)")
    first, second, *_ = (tmp_path / "note.csv").read_text().splitlines()
    assert first == "# made by: make study (note)"
    for name in ("Python 3.", "Keras 3.", "TensorFlow 2.", "NumPy 2."):
        assert name in second


def test_a_file_knows_whether_the_code_has_changed(table, tmp_path):
    path = tmp_path / "note.csv"
    running.write(table, path, "make study", [note])
    assert running.is_of_this_code(path, [note])
    assert len(studying.read(path, sample=True)) == len(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "DECIDING", running.DECIDING[1:])
        assert not running.is_of_this_code(path, [note])
    running.write(table, path, "make study")
    assert not running.is_of_this_code(path, [note])
    assert not running.is_of_this_code(tmp_path / "none.csv", [note])


BODY = "def f(a, b):\n    return a - 2 * b\n"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (BODY.replace(":\n", ':\n    """It says what it does."""\n'), True),
        ("# why\n\n" + BODY.replace("a, b", "a,\n      b,"), True),
        (BODY.replace("a - 2 * b", "b - 2 * a"), False),
        (BODY.replace("2", "3"), False),
        (BODY.replace("2", "'2'"), False),
        (BODY.replace("-", "+"), False),
        (BODY.replace("    return", "    print(a)\n    return"), False),
    ],
)
def test_code_counts_and_words_do_not(other, same):
    assert (running._meaning(other) == running._meaning(BODY)) is same


def test_a_failed_write_leaves_the_old_file(table, tmp_path, monkeypatch):
    path = tmp_path / "note.csv"
    running.write(table, path, "make study")
    before = path.read_text()
    monkeypatch.setattr(pd.DataFrame, "to_csv", None)
    with pytest.raises(TypeError):
        running.write(table, path, "make study")
    assert path.read_text() == before
    assert list(tmp_path.glob("note*")) == [path]
