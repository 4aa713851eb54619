"""A function in a Python process of its own, called from this one.

So libraries whose pins clash can take turns.
"""

import importlib
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


class Worker:
    """`Worker(python, "peers.torch_masks", 10**6)()` runs the work once.

    Keywords go to the environment of the process.
    """

    def __init__(self, python, work, *arguments, **environment):
        self.process = subprocess.Popen(
            [python, HERE / "worker.py", work, *map(str, arguments)],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.ready = self._answer()

    def __call__(self):
        """Do the work once; returns what it returned."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended; see its traceback.")
        return json.loads(line)


def main(work, *arguments):
    """Prepare the work, then do it once for each line that comes in."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    module, name = work.split(".")
    run = getattr(importlib.import_module(module), name)(*arguments)
    print("null", file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(run()), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
