"""Stands in for conda where there is none: `conda env create` as a venv.

It installs the pip part of environment.yml as conda does, from a temporary
requirements file beside it, and leaves out what conda would download: the
Python is the one that runs this file.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import venv

import yaml


def options():
    parser = argparse.ArgumentParser(prog="conda")
    parser.add_argument("env", choices=["env"])
    parser.add_argument("create", choices=["create"])
    parser.add_argument("--yes", action="store_true", required=True)
    parser.add_argument("--file", type=pathlib.Path, required=True)
    parser.add_argument("--prefix", type=pathlib.Path, required=True)
    return parser.parse_args()


def pip_part(path):
    *_, last = yaml.safe_load(path.read_text())["dependencies"]
    return "\n".join(last["pip"])


def main():
    chosen = options()
    venv.create(chosen.prefix, with_pip=True, symlinks=True)
    beside = {"dir": chosen.file.resolve().parent, "prefix": "condaenv."}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", **beside) as file:
        file.write(pip_part(chosen.file))
        file.flush()
        pip = [chosen.prefix / "bin/python", "-m", "pip", "install", "-U"]
        sys.exit(subprocess.call([*pip, "--quiet", "-r", file.name]))


if __name__ == "__main__":
    main()
