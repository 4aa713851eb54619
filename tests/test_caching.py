"""Laws of caching: whole or not at all."""

import pytest

from helpers import caching


def write_file(part):
    part.write_text("new")


def write_folder(part):
    part.mkdir()
    (part / "inside").write_text("new")


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
        write[request.param](path)
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


def test_cache_is_beside_the_package_unless_told(monkeypatch, tmp_path):
    assert caching.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("PRUNING_CACHE_DIR")
    assert caching.cache_folder().name == ".cache"
