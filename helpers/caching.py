"""Files that are on disk whole or not at all."""

import contextlib
import os
import pathlib
import shutil


def cache_folder():
    """Where results are kept: `$PRUNING_CACHE_DIR`, else `.cache` here."""
    beside = pathlib.Path(__file__).parents[1] / ".cache"
    return pathlib.Path(os.environ.get("PRUNING_CACHE_DIR", beside))


@contextlib.contextmanager
def whole(path):
    """Yield a path beside `path` to write to, moved to `path` at the end.

    Works for a file and for a folder. If writing fails, what was there
    before is still there, and nothing else. One process at a time.
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(part)  # of a process that was killed
    try:
        yield part
        if part.is_dir() or path.is_dir():
            _remove(path)  # only a file takes the place of another at once
        os.replace(part, path)
    finally:
        _remove(part)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
