"""Files that are on disk whole or not at all, or only missed."""

import contextlib
import os
import pathlib
import shutil

import filelock
from tqdm import tqdm


def cache_folder():
    """Where results are kept: `$PRUNING_CACHE_DIR`, else `.cache` here."""
    beside = pathlib.Path(__file__).parents[2] / ".cache"
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
    except OSError as error:
        if error.errno and not error.filename:  # a full disk names no file
            error.filename = str(path)
        raise
    finally:
        _remove(part)


@contextlib.contextmanager
def one_at_a_time(path):
    """Keep other processes from `path`, where a lock can be written at all."""
    lock = filelock.FileLock(f"{path}.lock")
    with contextlib.suppress(OSError):  # of a disk that is full or read-only
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def say_not_kept(what, error):
    """Print, above any progress bar, why a result is on no disk."""
    tqdm.write(
        f"{what} could not be kept in the cache "
        f"({error.strerror or type(error).__name__}) and is made again later. "
        "Make room, or set PRUNING_CACHE_DIR to a folder that can be written."
    )


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
