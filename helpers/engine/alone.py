"""Run a function where there is nothing but LiteRT and NumPy."""

import inspect
import json
import pathlib
import subprocess
import sys
import tempfile
from importlib import metadata

import numpy as np

PACKAGES = ("ai-edge-litert", "numpy")  # all that is there alone
ALONE = """
import importlib.abc, json, sys
ALLOWED = {*sys.stdlib_module_names, "numpy", "ai_edge_litert"}
class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ImportError(f"{name!r} is not here, only LiteRT and NumPy")
sys.meta_path.insert(0, Only())
sys.path += sys.argv[1:]
import numpy as np
SOURCE
x = np.load("x.npy", allow_pickle=False)
np.save("answer.npy", FUNCTION("model.tflite", x))
loaded = {name.split(".")[0] for name in sys.modules} - {"__main__"}
print(json.dumps(sorted(loaded - sys.stdlib_module_names)))
"""


def run_alone(function, file, x):
    """What `function(path, x)` returns where only LiteRT and NumPy exist.

    A new Python process with nothing of this one's (`-I -S`) gets the
    function's source text, the file's path and `x`. Importing anything but
    the standard library and these two packages fails there.

    Returns:
        The array that the function returned, and the names of the packages
        that were imported.

    Raises:
        ValueError: the function failed there; says how.
    """
    code = ALONE.replace("FUNCTION", function.__name__)
    code = code.replace("SOURCE", inspect.getsource(function))
    homes = {str(metadata.distribution(p).locate_file("")) for p in PACKAGES}
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "model.tflite").write_bytes(file)
        np.save(place / "x.npy", x)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *homes], cwd=folder,
            capture_output=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["it was killed"]
            raise ValueError(
                f"`{function.__name__}` failed alone: {said[-1]}. It may use "
                "LiteRT and NumPy only, and imports them itself."
            )
        answer = np.load(place / "answer.npy", allow_pickle=False)
        return answer, json.loads(done.stdout)
