"""Run studies from the command line."""

import argparse
import time

import pandas as pd

from helpers import studying
from helpers.workshop import experiments, running


def main(arguments=None):
    """Run studies that are older than the code, or those that are named.

    Says first which, and how long they took; each is written as it ends.
    """
    parser = argparse.ArgumentParser(description=experiments.__doc__)
    parser.add_argument("names", nargs="*", choices=[*experiments.STUDIES, []])
    parser.add_argument("--list", action="store_true", help="run nothing")
    parsed = parser.parse_args(arguments)
    names = parsed.names or older()
    for name in names:
        print(f"to run: {name}, {last_took(name)}")
    for name in names if not parsed.list else ():
        start = time.perf_counter()
        run(name)
        minutes = (time.perf_counter() - start) / 60
        print(f"{name}: {minutes:.1f} minutes")


def older():
    """Names of the studies whose files other code has written, or none."""
    return [
        name
        for name, parts in experiments.STUDIES.items()
        if not running.is_of_this_code(_path(name), [part[0] for part in parts])
    ]


def last_took(name):
    """What a study cost when it was last run, in words."""
    if not _path(name).is_file():
        return "never run"
    seconds = pd.read_csv(_path(name), comment="#")["seconds"].sum()
    return f"{seconds / 60:.0f} minutes of one core when it was last run"


def run(name):
    """Run one study, on the full data and the sample, and write its file."""
    parts = experiments.STUDIES[name]
    sources = [False] if name in experiments.FULL_ONLY else [False, True]
    tables = [
        studying.study(
            experiment, sample=sample, **{"seeds": experiments.SEEDS, **axes}
        )
        for sample in sources
        for experiment, axes in parts
    ]
    running.write(
        pd.concat(tables),
        _path(name),
        f"python -m helpers.workshop.experiments {name}",
        [experiment for experiment, _ in parts],
    )


def _path(name):
    return experiments.RESULTS / f"{name}.csv"


if __name__ == "__main__":
    main()
