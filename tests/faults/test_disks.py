"""Disks that are full or may only be read."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest
import workload

from helpers.workshop import building, running

ROOT = pathlib.Path(__file__).parents[2]


def mount(*arguments):
    command = ["mount", "-t", "tmpfs", *arguments]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture
def disk(tmp_path):
    """A function that makes a small disk, or changes its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def sized(size, *options):
        options = ",".join([f"size={size}", *options])
        if mount("-o", options, "disk", folder):
            pytest.skip("only root can mount a small disk")
        return folder

    yield sized
    subprocess.run(
        ["umount", "--lazy", folder], capture_output=True, check=False
    )


@pytest.fixture
def cache(disk, monkeypatch):
    """The cache on a small disk."""

    def sized(size, *options):
        folder = disk(size, *options)
        monkeypatch.setenv("PRUNING_CACHE_DIR", str(folder))

    return sized


def notices(out):
    """The lines about a cache that cannot be written."""
    return [line for line in out.splitlines() if "could not be kept" in line]


@pytest.mark.parametrize("size", ["4k", "40k"])
def test_a_baseline_is_returned_when_the_disk_is_full(
    cache, undisturbed, kept, capsys, size
):
    cache(size)
    assert workload.train() == undisturbed("train")
    (notice,) = notices(capsys.readouterr().out)
    assert "(No space left on device)" in notice
    assert "set PRUNING_CACHE_DIR" in notice
    assert kept() == []
    cache("1m", "remount")
    assert workload.train() == undisturbed("train")
    assert kept() == workload.NETWORK


def test_a_study_is_returned_when_the_disk_is_full(
    cache, undisturbed, kept, capsys
):
    cache("8k")
    assert workload.study() == undisturbed("study")
    (notice,) = notices(capsys.readouterr().out)
    assert notice.startswith("Rows of the study brightness")
    assert all(name.endswith(".json") for name in kept())
    assert 0 < len(kept()) < 6
    cache("1m", "remount")
    assert workload.study() == undisturbed("study")
    assert len(kept()) == 6


def test_a_baseline_is_returned_when_files_may_not_grow(
    start, undisturbed, kept
):
    """The same without root: a write fails in the middle of a file."""
    few_blocks = ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh"]
    process = start(workload.__file__, "train", before=few_blocks)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.endswith(f"{undisturbed('train')}\n")
    assert len(notices(out)) == 1
    assert kept() == []


def test_what_cannot_be_written_leaves_the_old_file(disk):
    folder = disk("16k")
    path = folder / "study.csv"
    about = {"data": "mnist", "source": "sample"}
    small, large = (
        running.pd.DataFrame({"seed": range(size), **about})
        for size in (9, 9999)
    )
    running.write(small, path, "make")
    before = path.read_text()
    with pytest.raises(OSError, match=r"No space left.*study\.csv"):
        running.write(large, path, "make")
    assert path.read_text() == before
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("work", ["store", "run", "site"])
def test_pages_that_cannot_be_written_leave_the_old_ones(
    disk, monkeypatch, work
):
    folder = disk("9m")
    monkeypatch.chdir(folder)
    (folder / "notebooks").mkdir()
    (folder / "README.md").write_text("# Front\n")
    source = folder / "notebooks" / "01_page.py"
    source.write_text("# %% [markdown]\n# # 1. Page\n\n# %%\nprint(6 * 7)\n")
    source.with_name("headline.png").write_bytes(b"PNG")
    building.main([work, str(source)])
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    disk(shutil.disk_usage(folder).used, "remount")
    with pytest.raises(OSError, match=r"No space left .*01_page"):
        building.main([work, str(source)])
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert after == before


# Read-only


READ_ONLY = 'mount --bind -o ro "$0" "$0" && exec "$@"'  # where root is


@pytest.fixture
def checkout():
    """A copy of the package that may only be read; it is nobody's home."""
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        shutil.copytree(ROOT / "helpers", place / "helpers")
        shutil.copy(workload.__file__, place)
        for path in (place, *place.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield place
        for path in (place, *place.rglob("*")):
            path.chmod(0o755)  # so that it can be removed


@pytest.fixture
def run(start, checkout, monkeypatch):
    """A function that runs Python where nothing can be written."""
    monkeypatch.delenv("PRUNING_CACHE_DIR")
    before = []
    if os.geteuid() == 0:  # for whom permissions do not count
        before = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(checkout)]
        if subprocess.run([*before, "true"], check=False).returncode:
            pytest.skip("a mount of its own is not allowed here")

    def done(*arguments, **variables):
        there = {"PYTHONPATH": str(checkout), "HOME": str(checkout)}
        process = start(*arguments, before=before, **there | variables)
        out, err = process.communicate()
        assert process.returncode == 0, err
        return out, err

    return done


@pytest.mark.parametrize("work", ["train", "study"])
def test_work_is_done_in_a_checkout_that_is_read_only(
    run, checkout, undisturbed, work
):
    before = sorted(checkout.rglob("*"))
    out, err = run(checkout / "workload.py", work)
    assert out.endswith(f"{undisturbed(work)}\n")
    (notice,) = notices(out)
    assert re.search(r"\((Permission denied|Read-only file system)\)", notice)
    assert err == ""
    assert sorted(checkout.rglob("*")) == before


def test_a_cache_that_is_read_only_is_read(run, checkout, undisturbed):
    checkout.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNING_CACHE_DIR", str(checkout / ".cache"))
        workload.train()
    for path in (checkout, *checkout.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    out, err = run(checkout / "workload.py", "train")
    assert out.endswith(f"{undisturbed('train')}\n")
    assert "training" not in out.splitlines()[1]
    assert err == ""


SURROUNDINGS = """
import matplotlib.pyplot as plt
from helpers import datasets, networks, deploying

datasets.TIMEOUT, datasets.DOWNLOADS = 1, "http://127.0.0.1:9/"
print(datasets.load("mnist").source)
print(len(deploying.convert(networks.mlp())))
plt.figure().savefig("/dev/null", format="png")
"""


def test_a_home_that_is_read_only_is_enough(run):
    out, err = run("-c", SURROUNDINGS, PRUNING_DATA="")
    assert "bundled sample (the full data could not be downloaded)" in out
    assert "Traceback" not in err
