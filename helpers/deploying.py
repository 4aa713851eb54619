"""A Keras model as a LiteRT file, in floats or 8-bit integers; run it."""

import inspect
import json
import pathlib
import subprocess
import sys
import tempfile
import warnings
from importlib import metadata

import numpy as np

from helpers import masking, pruning
from helpers.engine.backend import keras, quiet, tf

KINDS = ("float", "dynamic int8", "full int8")
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


def convert(model, kind="float", images=None):
    """The bytes of `model` as a LiteRT file (formerly TensorFlow Lite).

    Inputs and outputs stay float32, whatever the kind.

    Args:
        kind: "float"; "dynamic int8", with weights as 8-bit integers and
            each activation's scale found as it runs; or "full int8", where
            these scales are fixed beforehand (Jacob et al., 2018).
        images: for "full int8" only: some hundred training images, scaled
            as those that the file will see. They decide its scales.

    Raises:
        ValueError: an unknown kind, images that do not fit the model or are
            missing or not wanted, or a model that cannot be converted.
    """
    pruning.require_built(model)
    options = _options(model, kind, images)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        try:
            with quiet():
                model.export(
                    str(path), format="litert", verbose=False, **options
                )
        except Exception as error:  # the converter has many ways to fail
            raise _not_converted(model, kind, error) from error
        return path.read_bytes()


def runner(file, batch):
    """A function without arguments: `file`'s outputs for `batch`, 1 thread.

    Raises:
        ValueError: not the bytes of a LiteRT file, or rows of another shape
            than it takes.
    """
    from ai_edge_litert.interpreter import Interpreter

    batch = masking.require_numbers("`batch`", batch)
    try:
        with quiet():
            interpreter = Interpreter(model_content=file, num_threads=1)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected the bytes of a LiteRT file, got {type(file).__name__} "
            f"{file!r:.40}. Pass what `deploying.convert` returns, or "
            "`path.read_bytes()`."
        ) from error
    entry = interpreter.get_input_details()[0]
    shape = tuple(entry["shape"][1:].tolist())
    if shape != batch.shape[1:]:
        raise ValueError(
            f"This file takes rows of shape {shape}; got {batch.shape[1:]}. "
            "Pass the images as the model was trained on."
        )
    batch = batch.astype(entry["dtype"], copy=False)
    interpreter.resize_tensor_input(entry["index"], batch.shape)
    with quiet():
        interpreter.allocate_tensors()
    exit_ = interpreter.get_output_details()[0]["index"]

    def call():
        interpreter.set_tensor(entry["index"], batch)
        interpreter.invoke()
        return interpreter.get_tensor(exit_)

    return call


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


def keras_int8(model):
    """A copy of `model`, quantized by Keras' own `quantize("int8")`."""
    copy = pruning.copy_of(model)
    with warnings.catch_warnings(action="ignore"):  # input layers have none
        copy.quantize("int8")
    return copy


def _options(model, kind, images):
    """What the converter is told, beside the model."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise ValueError(f"Unknown kind {kind!r}; pass one of {known}.")
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
        "representative_dataset": lambda: ([row] for row in rows),
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    }


def _calibration(model, images):
    """The images one by one, as batches of one."""
    images = masking.require_numbers("`images`", images).astype(np.float32)
    if images.shape[1:] != model.input_shape[1:]:
        raise ValueError(
            f"Calibration images have shape {images.shape}; the model takes "
            f"{model.input_shape}. Pass rows of the training set."
        )
    if not np.isfinite(images).all():
        raise ValueError(
            "Calibration images have NaN or infinite values, from which no "
            "scale can be found. Pass rows of the training set."
        )
    return images[:, None]


def _not_converted(model, kind, error):
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return ValueError(
        f"Model {model.name!r} cannot be converted to LiteRT ({kind}) by "
        f"TensorFlow {tf.__version__} with Keras {keras.__version__}: "
        f"{said[:200]} ... Pass a float model of layers that LiteRT has; one "
        'that Keras has quantized is to be converted before, as "full int8".'
    )


def _homes():
    """The folders where LiteRT and NumPy are installed."""
    packages = ("ai-edge-litert", "numpy")
    found = [metadata.distribution(name).locate_file("") for name in packages]
    return list(dict.fromkeys(map(str, found)))
