"""What the faults have in common: work in a process of its own, its result."""

import os
import subprocess
import sys

import pytest
import workload

from helpers.engine import caching


@pytest.fixture
def start():
    """A function that starts Python with arguments in a new process."""
    started = []

    def process(*arguments, before=(), **variables):
        started.append(
            subprocess.Popen(
                [*before, sys.executable, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env=os.environ | {"PYTHONPATH": workload.PATH} | variables,
            )
        )
        return started[-1]

    yield process
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """From the name of a workload to its result."""
    results = {}

    def result(name):
        if name not in results:
            with pytest.MonkeyPatch.context() as patch:
                folder = tmp_path_factory.mktemp("undisturbed")
                patch.setenv("PRUNING_CACHE_DIR", str(folder))
                results[name] = getattr(workload, name)()
        return results[name]

    return result


@pytest.fixture
def kept():
    """A function: the names of all files in the cache, but of locks."""

    def files():
        inside = caching.cache_folder().rglob("*")
        names = [path.name for path in inside if path.is_file()]
        return sorted(name for name in names if not name.endswith(".lock"))

    return files
