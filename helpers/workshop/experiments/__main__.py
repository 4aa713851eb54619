"""Run studies from the command line."""

import argparse
import io
import time

import pandas as pd

from helpers import studying
from helpers.workshop import experiments, running

# Not 0: some older rows of it are of a network that a notebook had left in the
# cache, trained with more threads, which round otherwise.
CHECKED = 1


def main(arguments=None):
    """Run studies that are older than the code, or those that are named.

    Says first which, and how long they took; each is written as it ends. One
    that is older and not named is run for one seed first: if that gives the
    rows that are there, the file says so, and the rest is not run.
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
        if same := not parsed.names and stands(name):
            running.sign(_path(name), _experiments(name), CHECKED)
        else:
            run(name)
        minutes = (time.perf_counter() - start) / 60
        told = ", one seed gave the same rows" if same else ""
        print(f"{name}: {minutes:.1f} minutes{told}")


def older():
    """Names of the studies whose files other code has written, or none."""
    return [
        name
        for name in experiments.STUDIES
        if not running.is_of_this_code(_path(name), _experiments(name))
    ]


def last_took(name):
    """What a study cost when it was last run, in words."""
    if not _path(name).is_file():
        return "never run"
    seconds = pd.read_csv(_path(name), comment="#")["seconds"].sum()
    return f"{seconds / 60:.0f} minutes of one core when it was last run"


def stands(name):
    """Whether one seed, run again, gives the rows of the file."""
    if not _path(name).is_file():
        return False
    text = io.StringIO(_rows(name, seeds=[CHECKED]).to_csv(index=False))
    again, rows = pd.read_csv(text), pd.read_csv(_path(name), comment="#")
    rows = rows[rows["seed"] == CHECKED].reset_index(drop=True)
    return rows.drop(columns="seconds").equals(again.drop(columns="seconds"))


def run(name):
    """Run one study, on the full data and the sample, and write its file."""
    command = f"python -m helpers.workshop.experiments {name}"
    running.write(_rows(name), _path(name), command, _experiments(name))


def _rows(name, **chosen):
    """All rows of a study, or of the seeds that are chosen."""
    sources = [False] if name in experiments.FULL_ONLY else [False, True]
    return pd.concat(
        studying.study(
            experiment,
            sample=sample,
            **{"seeds": experiments.SEEDS, **axes, **chosen},
        )
        for sample in sources
        for experiment, axes in experiments.STUDIES[name]
    )


def _experiments(name):
    return [experiment for experiment, _ in experiments.STUDIES[name]]


def _path(name):
    return experiments.RESULTS / f"{name}.csv"


if __name__ == "__main__":
    main()
