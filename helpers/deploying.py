"""A Keras model as a LiteRT file, in floats or 8-bit integers; run it."""

import dataclasses
import inspect
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings
from importlib import metadata

import numpy as np

from helpers.engine import copying, steps
from helpers.engine.backend import keras, quiet, tf
from helpers.engine.doors import (
    ANY_MODEL,
    MODEL,
    ROWS,
    door,
    one_of,
    optional,
)
from helpers.engine.tracing import trace

KINDS = ("float", "dynamic int8", "full int8")
OTHER_FLOATS = ("float16", "bfloat16", "float64")  # LiteRT has no layers in
AT_ONCE = 1000  # rows, when a file is called on many
RESHAPED = ("DELEGATE", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE")
ALONE = """
import importlib.abc, json, sys
ALLOWED = {*sys.stdlib_module_names, "numpy", "ai_edge_litert", "predictor"}
class Only(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ImportError(f"{name!r} is not here, only LiteRT and NumPy")
sys.meta_path.insert(0, Only())
function, folder = sys.argv[1:3]
sys.path += sys.argv[3:]
import numpy as np
answer = getattr(__import__("predictor"), function)(
    f"{folder}/model.tflite", np.load(f"{folder}/x.npy", allow_pickle=False)
)
np.save(f"{folder}/answer.npy", answer)
loaded = {name.split(".")[0] for name in sys.modules}
loaded -= {*sys.stdlib_module_names, "__main__", "predictor"}
print(json.dumps(sorted(loaded)))
"""


class File:
    """A LiteRT file, opened: `File(content)(x)` gives its outputs, in floats.

    Where it takes or gives 8-bit integers, its scales and zero points turn
    numbers into them and back: `x` is scaled as for the float model. One
    thread; one input and one output.

    Raises:
        ValueError: not the bytes of a LiteRT file, or rows of another shape
            than it takes.
    """

    def __init__(self, content):
        from ai_edge_litert.interpreter import Interpreter

        try:
            with quiet():
                self._runs = Interpreter(model_content=content, num_threads=1)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "Expected the bytes of a LiteRT file, got "
                f"{type(content).__name__} {content!r:.40}. Pass what "
                "`deploying.convert` returns, or `path.read_bytes()`."
            ) from error
        self._entries = self._runs.get_input_details()
        self._exits = self._runs.get_output_details()

    def __call__(self, x):
        """The outputs for all rows of `x`."""
        x = np.asarray(x)
        parts = np.split(x, range(AT_ONCE, len(x), AT_ONCE))
        return np.concatenate([self.on(part)() for part in parts])

    def on(self, batch):
        """A function without arguments: the outputs for `batch`."""
        if (ends := (len(self._entries), len(self._exits))) != (1, 1):
            raise ValueError(
                f"This file has {ends[0]} inputs and {ends[1]} outputs; "
                "expected one of each. Pass a file with a single output."
            )
        call = self._given([_stored(batch, self._entries[0])])
        return lambda: _floats(call()[0], self._exits[0])

    def gives_probabilities(self):
        """Whether it ends in a sigmoid or softmax."""
        names = [op["op_name"] for op in self._runs._get_ops_details()]
        last = [name for name in names if name not in RESHAPED][-1:]
        return last in (["LOGISTIC"], ["SOFTMAX"])

    def require_runs(self):
        """Run it on zeros; raises LiteRT's error where that fails."""
        zeros = []
        for entry in self._entries:
            shape = [n if n > 0 else steps.PROBE for n in _shape(entry)]
            zeros.append(np.zeros(shape, entry["dtype"]))
        self._given(zeros)()

    def _given(self, arrays):
        pairs = [
            (entry["index"], array)
            for entry, array in zip(self._entries, arrays, strict=True)
        ]
        for index, array in pairs:
            self._runs.resize_tensor_input(index, array.shape)
        with quiet():
            self._runs.allocate_tensors()

        def call():
            for index, array in pairs:
                self._runs.set_tensor(index, array)
            self._runs.invoke()
            return [self._runs.get_tensor(end["index"]) for end in self._exits]

        return call


FILE = dataclasses.replace(
    ANY_MODEL,
    fits=lambda value: isinstance(value, bytes | File) or ANY_MODEL.fits(value),
    expected=f"{ANY_MODEL.expected}, or the bytes of a LiteRT file",
)


@door(model=MODEL, kind=one_of(*KINDS), images=optional(ROWS))
def convert(model, kind="float", images=None):
    """The bytes of `model` as a LiteRT file (formerly TensorFlow Lite).

    Inputs and outputs stay float32, whatever the kind. A network in other
    floats, such as mixed_float16, is converted from a copy in float32.

    Args:
        kind: "float"; "dynamic int8", with weights as 8-bit integers and
            each activation's scale found as it runs; or "full int8", where
            these scales are fixed beforehand (Jacob et al., 2018).
        images: for "full int8" only: some hundred training images, scaled
            as those that the file will see. They decide its scales.

    Raises:
        ValueError: images that do not fit the model or are missing or not
            wanted, or a model that LiteRT cannot run.
    """
    options = _options(model, kind, images)
    model = _in_float32(model)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        try:
            with quiet():
                model.export(
                    str(path), format="litert", verbose=False, **options
                )
            File(path.read_bytes()).require_runs()
        except Exception as error:  # the converter has many ways to fail
            raise _not_converted(model, kind, error) from error
        return path.read_bytes()


def runner(file, batch):
    """A function without arguments: `file`'s outputs for `batch`, 1 thread.

    Errors as of `File`.
    """
    return File(file).on(batch)


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
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        source = inspect.getsource(function)
        (place / "predictor.py").write_text(source, encoding="utf-8")
        (place / "model.tflite").write_bytes(file)
        np.save(place / "x.npy", x)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ALONE, function.__name__,
             folder, folder, *_homes()],
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


@door(model=MODEL)
def keras_int8(model):
    """A copy of `model`, quantized by Keras' own `quantize("int8")`."""
    copy = copying.rebuild(model)
    with warnings.catch_warnings(action="ignore"):  # input layers have none
        copy.quantize("int8")
    return copy


def _options(model, kind, images):
    """What the converter is told, beside the model."""
    if (images is None) == (kind == "full int8"):
        got = "none" if images is None else f"shape {np.shape(images)}"
        raise ValueError(
            'Calibration images are for "full int8", and it needs them; got '
            f"{got} for {kind!r}. Pass `images=split.x_train[:200]`, or leave "
            "them out."
        )
    if kind == "float":
        return {}
    options = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    if kind == "dynamic int8":
        return options
    rows = _calibration(model, images)
    return options | {
        "representative_dataset": lambda: iter(rows),
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    }


def _calibration(model, images):
    """The images one by one, as batches of one, in the model's own type."""
    if not np.isfinite(images).all():
        raise ValueError(
            "Calibration images have NaN or infinite values, from which no "
            "scale can be found. Pass rows of the training set."
        )
    dtype = model.inputs[0].dtype
    rows = trace(model).feed(images, rows=1)
    return [[np.asarray(x, dtype) for x in row.values()] for row in rows]


def _in_float32(model):
    changes = {
        id(step.layer): {"dtype": "float32"}
        for step in trace(model).steps
        if getattr(step.layer, "compute_dtype", None) in OTHER_FLOATS
    }
    return copying.rebuild(model, changes=changes) if changes else model


def _not_converted(model, kind, error):
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return ValueError(
        f"Model {model.name!r} cannot be converted to LiteRT ({kind}) by "
        f"TensorFlow {tf.__version__} with Keras {keras.__version__}: "
        f"{said[:200]} ... Pass a float model of layers that LiteRT has."
    )


def _stored(batch, entry):
    """`batch` as the file takes it: by its scale and zero point, if any."""
    batch, dtype, wanted = np.asarray(batch), entry["dtype"], _shape(entry)
    if (
        len(wanted) != batch.ndim
        or ((wanted > 0) & (wanted != batch.shape)).any()
    ):
        raise ValueError(
            f"This file takes rows of shape {tuple(wanted[1:].tolist())}; got "
            f"{batch.shape[1:]}. Pass the images as the model was trained on."
        )
    scale, zero = entry["quantization"]
    if scale:
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        batch = np.clip(np.rint(batch / scale + zero), least, most)
    return np.ascontiguousarray(batch, dtype)


def _shape(entry):
    """What it takes; any number of rows, and -1 where a size is not fixed."""
    return np.array([-1, *entry["shape_signature"][1:]])


def _floats(outputs, exit_):
    scale, zero = exit_["quantization"]
    return (outputs.astype("float32") - zero) * scale if scale else outputs


def _homes():
    """The folders where LiteRT and NumPy are installed."""
    packages = ("ai-edge-litert", "numpy")
    found = [metadata.distribution(name).locate_file("") for name in packages]
    return list(dict.fromkeys(map(str, found)))
