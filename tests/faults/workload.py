"""The work that is disturbed: a small baseline, a small study.

python workload.py train                            prints what it gives
python workload.py study open .json.part            is killed at that event
"""

import functools
import hashlib
import os
import pathlib
import signal
import sys
import time

from helpers import networks, studying, training

HERE = pathlib.Path(__file__).parent
PATH = f"{HERE.parents[1]}{os.pathsep}{HERE}"  # where to find all of it
NETWORK = ["history.csv", "model.keras"]


def train():
    """A digest of a small baseline's weights."""
    build = functools.partial(networks.mlp, (16, 8))
    run = training.baseline_run("mnist", build=build, num_steps=2500)
    weights = b"".join(array.tobytes() for array in run.model.get_weights())
    return hashlib.sha256(weights).hexdigest()


def brightness(split, seed):
    """A quick experiment, but not too quick to be disturbed."""
    time.sleep(0.5)
    return {"brightness": float(split.x_test[seed].mean())}


def study(num_workers=1):
    """The rows of a small study, without what the clock says."""
    table = studying.study(
        brightness, range(6), sample=True, num_workers=num_workers
    )
    return table.drop(columns="seconds").to_csv(index=False)


def study_in_parallel():
    """The same rows from two processes."""
    return study(num_workers=2)


def die_at(wanted, ending):
    """Get killed just before something is done to a path with that ending."""

    def kill(event, arguments):
        if event == wanted and str(arguments[0]).endswith(ending):
            signal.raise_signal(signal.SIGKILL)

    sys.addaudithook(kill)


if __name__ == "__main__":
    work, *moment = sys.argv[1:]
    if moment:
        die_at(*moment)
    import workload  # so that the workers of a study find it by name

    print(getattr(workload, work)())
