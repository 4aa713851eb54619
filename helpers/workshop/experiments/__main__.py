"""Run studies from the command line."""

import argparse
import time

import pandas as pd

from helpers import studying
from helpers.workshop import experiments, running


def main(arguments=None):
    """Run studies, write their CSV files, and say how long it took."""
    parser = argparse.ArgumentParser(description=experiments.__doc__)
    parser.add_argument("names", nargs="*", choices=[*experiments.STUDIES, []])
    names = parser.parse_args(arguments).names or list(experiments.STUDIES)
    start = time.perf_counter()
    for name in names:
        sources = [False] if name in experiments.FULL_ONLY else [False, True]
        tables = [
            studying.study(
                experiment,
                sample=sample,
                **{"seeds": experiments.SEEDS, **axes},
            )
            for sample in sources
            for experiment, axes in experiments.STUDIES[name]
        ]
        running.write(
            pd.concat(tables),
            experiments.RESULTS / f"{name}.csv",
            f"python -m helpers.workshop.experiments {name}",
        )
    minutes = (time.perf_counter() - start) / 60
    print(f"{', '.join(names)}: {minutes:.1f} minutes")


if __name__ == "__main__":
    main()
