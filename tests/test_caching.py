"""Laws of caching: whole or not at all, also for a process that is killed."""

import itertools
import signal
import subprocess
import sys

import pytest

from helpers.engine import caching


def write_file(part, text="new"):
    part.write_text(text)


def write_folder(part, text="new"):
    part.mkdir()
    (part / "inside").write_text(text)


def fail(part):
    write_folder(part)
    raise OSError("disk full")


@pytest.fixture(params=["nothing", "a file", "a folder"])
def path(request, tmp_path):
    """A path at which there is something, or not."""
    path = tmp_path / "results" / "one.csv"
    if request.param != "nothing":
        path.parent.mkdir()
        write = {"a file": write_file, "a folder": write_folder}
        write[request.param](path, "old")
    return path


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_what_was_written_takes_the_place_of_what_was_there(path, write):
    with caching.whole(path) as part:
        write(part)
    assert list(path.parent.iterdir()) == [path]
    assert path.is_dir() == (write is write_folder)


def test_a_failure_leaves_what_was_there(path):
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(OSError, match="disk full"), caching.whole(path) as part:
        fail(part)
    assert sorted(path.parent.rglob("*")) == before


def test_remains_of_a_killed_process_are_swept_away(path):
    path.parent.mkdir(exist_ok=True)
    write_folder(path.with_name("one.csv.part"))
    with caching.whole(path) as part:
        write_file(part)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "new"


KILLED = """
import pathlib, signal, sys

from helpers.engine import caching

path, kind, moment = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def kill(event, arguments):
    global moment
    moment -= event.startswith(("open", "os.", "shutil."))
    if moment < 0:
        signal.raise_signal(signal.SIGKILL)

sys.addaudithook(kill)
with caching.whole(path) as part:
    if kind == "folder":
        part.mkdir()
        part = part / "inside"
    part.write_text("new")
"""


def contents(path):
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return [file.read_text() for file in files]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_before_any_of_its_steps_a_write_can_be_repeated(path, kind):
    """Until it is, there is the old or the new one, or none: never a part."""
    for moment in itertools.count():
        command = [sys.executable, "-c", KILLED, path, kind, str(moment)]
        killed = subprocess.run(command, check=False).returncode
        assert killed in (0, -signal.SIGKILL)
        assert contents(path) in ([], ["old"], ["new"])
        if not killed:
            break
    assert moment > 3
    assert list(path.parent.iterdir()) == [path]
    assert contents(path) == ["new"]


def test_cache_is_beside_the_package_unless_told(monkeypatch, tmp_path):
    assert caching.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("PRUNING_CACHE_DIR")
    assert caching.cache_folder().name == ".cache"
