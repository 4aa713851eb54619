"""Real Jupyter kernels: interrupted in the middle of a cell, or two at once."""

import contextlib
import os
import re

import pytest
import workload
from jupyter_client.manager import start_new_kernel

START = """
import os

def streams():
    return [(s.st_dev, s.st_ino) for s in map(os.fstat, (1, 2))]

before = streams()
import workload
"""
BARS = "import tqdm; print(len(tqdm.tqdm._instances))"


class Kernel:
    """Runs cells that can be watched, and interrupted, as they run."""

    def __init__(self):
        variables = os.environ | {"PYTHONPATH": workload.PATH}
        self.manager, self.client = start_new_kernel(env=variables)

    def start(self, code):
        """Start a cell, without waiting for it."""
        self.shown, self.running = "", self.client.execute(code)

    def watch(self):
        """What the cell has shown so far, again and again until its end."""
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != self.running:
                continue
            content = message["content"]
            self.shown += content.get("text", content.get("ename", ""))
            yield self.shown
            if content.get("execution_state") == "idle":
                return

    def run(self, code):
        """What a cell has shown at its end."""
        self.start(code)
        return self.end()

    def end(self):
        *_, shown = self.watch()
        return shown

    def interrupt(self, code, pattern):
        """Start a cell, and interrupt it when it has shown `pattern`."""
        self.start(code)
        assert any(re.search(pattern, shown) for shown in self.watch())
        self.manager.interrupt_kernel()
        assert self.end().endswith("KeyboardInterrupt")
        assert self.run(BARS) == "0\n"  # or they would show in later cells


@contextlib.contextmanager
def running():
    kernel = Kernel()
    try:
        yield kernel
    finally:
        kernel.client.stop_channels()
        kernel.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def shared():
    with running() as kernel:
        assert kernel.run(START) == ""
        yield kernel


def use_the_same_cache(kernel):
    for name in ("PRUNING_CACHE_DIR", "PRUNING_DATA"):
        kernel.run(f"os.environ[{name!r}] = {os.environ[name]!r}")


@pytest.fixture
def kernel(shared):
    use_the_same_cache(shared)
    return shared


IMPORT = """
import sys

def tell(event, arguments):
    if event == "import" and arguments[0] == "keras.src.layers":
        print("in the middle", flush=True)

sys.addaudithook(tell)

from helpers.engine import backend
"""


def test_an_import_that_was_interrupted_can_be_repeated():
    with running() as kernel:
        kernel.interrupt(IMPORT, "in the middle")
        shown = kernel.run(
            "from helpers.engine import backend; print(backend.tf)"
        )
        assert shown.startswith("<module 'tensorflow'")


def test_training_that_was_interrupted_starts_again(kernel, undisturbed, kept):
    kernel.interrupt("workload.train()", "10%")
    assert kept() == []
    shown = kernel.run("print(workload.train())")
    assert shown.endswith(f"{undisturbed('train')}\n")
    assert "damaged" not in shown
    assert kept() == workload.NETWORK


@pytest.mark.parametrize("work", ["study", "study_in_parallel"])
def test_a_study_that_was_interrupted_goes_on(kernel, undisturbed, kept, work):
    kernel.interrupt(f"workload.{work}()", "[2-4]/6")
    before = kept()
    assert all(name.endswith(".json") for name in before)
    assert 2 <= len(before) < 6
    shown = kernel.run(f"print(workload.{work}())")
    assert shown.endswith(f"{undisturbed('study')}\n")
    assert f"/{6 - len(before)} [" in shown
    assert set(before) < set(kept())
    assert len(kept()) == 6


EXPLORE = """
import time
import numpy as np
from helpers import sliders

def look(position):
    print("looking", flush=True)
    time.sleep(0.3)
    return {"accuracy": position}, np.zeros((2, 2))

explorer = sliders.Explorer([0.25, 0.5], look, lambda *seen: [b""], 0.5)
print(explorer.readings)
"""


def test_a_slider_that_was_interrupted_is_made_again(kernel):
    kernel.interrupt(EXPLORE, "looking")
    assert kernel.run(EXPLORE) == "looking\n{'accuracy': 0.5}\n"


CONVERT = """
from helpers import deploying, networks

model = networks.mlp()
print("converting", flush=True)
print(len(deploying.convert(model)), streams() == before)
"""


def test_messages_are_shown_after_a_quiet_part_was_interrupted(kernel):
    undisturbed = kernel.run(CONVERT)
    assert undisturbed.endswith(" True\n")
    kernel.interrupt(CONVERT, "converting")
    assert kernel.run("print(streams() == before)") == "True\n"
    assert kernel.run(CONVERT) == undisturbed


def test_two_kernels_at_once_train_once(kernel, undisturbed, kept):
    with running() as second:
        second.run("import os, workload")
        use_the_same_cache(second)
        for one in (kernel, second):
            one.start("print(workload.train())")
        shown = [one.end() for one in (kernel, second)]
    assert sum("training on mnist" in text for text in shown) == 1
    assert all(text.endswith(f"{undisturbed('train')}\n") for text in shown)
    assert kept() == workload.NETWORK
