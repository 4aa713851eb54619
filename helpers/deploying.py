"""A Keras model as a LiteRT file, in floats or 8-bit integers; run it."""

import dataclasses
import pathlib
import tempfile
import warnings

import numpy as np

from helpers.engine import copying, sparse_files, steps
from helpers.engine.alone import run_alone  # noqa: F401
from helpers.engine.backend import keras, quiet, tf
from helpers.engine.doors import ANY_MODEL, MODEL, ROWS, door, one_of, optional
from helpers.engine.tracing import trace

KINDS = ("float", "dynamic int8", "full int8")
OTHER_FLOATS = ("float16", "bfloat16", "float64")  # LiteRT has no layers in
AT_ONCE = 1000  # rows, when a file is called on many
SPARSITY = tf.lite.Optimize.EXPERIMENTAL_SPARSITY
RESHAPED = ("DELEGATE", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE")


class File:
    """A LiteRT file, opened: `File(content)(x)` gives its outputs, in floats.

    Where it takes or gives 8-bit integers, its scales and zero points turn
    numbers into them and back: `x` is scaled as for the float model. One
    thread; one input and one output. Sparse kernels of integers are kept from
    LiteRT's default delegate, which multiplies them wrongly, without an error.
    """

    def __init__(self, content):
        try:
            with quiet():
                self._runs = sparse_files.interpreter(content)
            self._entries = self._runs.get_input_details()
            self._resize(*(_shape(x, steps.PROBE) for x in self._entries))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                "Expected the bytes of a LiteRT file, got "
                f"{type(content).__name__} {content!r:.40} ({error!s:.200}). "
                "Pass what `deploying.convert` returns, or `path.read_bytes()`."
            ) from error
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
        (entry,), (end,), runs = self._entries, self._exits, self._runs
        stored = _stored(np.asarray(batch), entry)
        self._resize(stored.shape)
        scales = end["quantization"]

        def call():
            runs.set_tensor(entry["index"], stored)
            runs.invoke()
            outputs, (scale, zero) = runs.get_tensor(end["index"]), scales
            return (outputs - np.float32(zero)) * scale if scale else outputs

        return call

    def operators(self):
        """The names of what it does, in order; of runtimes inside, last."""
        return [op["op_name"] for op in self._runs._get_ops_details()]

    def gives_probabilities(self):
        """Whether it ends in a sigmoid or softmax."""
        last = [name for name in self.operators() if name not in RESHAPED][-1:]
        return last in (["LOGISTIC"], ["SOFTMAX"])

    def _resize(self, *shapes):
        for entry, shape in zip(self._entries, shapes, strict=True):
            self._runs.resize_tensor_input(entry["index"], shape)
        with quiet():
            self._runs.allocate_tensors()


def opened(file):
    """The `File` of these bytes, or itself."""
    return file if isinstance(file, File) else File(file)


IMAGES = dataclasses.replace(
    optional(ROWS),
    fits=lambda x: x is None or (ROWS.fits(x) and np.isfinite(x).all()),
    expected="an array of numbers, none NaN or infinite, a row or more",
)
FILE = dataclasses.replace(
    ANY_MODEL,
    fits=lambda value: isinstance(value, bytes | File) or ANY_MODEL.fits(value),
    expected=f"{ANY_MODEL.expected}, or the bytes of a LiteRT file",
)


@door(model=MODEL, kind=one_of(*KINDS), images=IMAGES)
def convert(model, kind="float", images=None, sparse=False):
    """The bytes of `model` as a LiteRT file (formerly TensorFlow Lite).

    Inputs and outputs stay float32, whatever the kind. A network in other
    floats, such as mixed_float16, is converted from a copy in float32.

    Args:
        kind: "float"; "dynamic int8", with weights as 8-bit integers and
            each activation's scale found as it runs; or "full int8", where
            these scales are fixed beforehand (Jacob et al., 2018).
        images: for "full int8" only: some hundred training images, scaled
            as those that the file will see. They decide its scales.
        sparse: store, of a kernel with many zeros, only the others and their
            places. LiteRT skips blocks of zeros, see `masking.block_masks`:
            of 4 in "float", of 16 in "dynamic int8". Other zeros save bytes
            and no time. Such a file is compared with `model` first.

    Raises:
        ValueError: it cannot be converted, or LiteRT computes the sparse
            file wrongly.
    """
    options = _options(model, kind, images)
    content = _content(model, kind, options)
    if not sparse:
        return content
    chosen = [*options.get("optimizations", []), SPARSITY]
    smaller = _content(model, kind, options | {"optimizations": chosen})
    files = File(smaller), File(content)
    sparse_files.require_right(_in_float32(model), kind, *files)
    return smaller


def _content(model, kind, options):
    """The bytes of a file that can be run."""
    try:
        with tempfile.TemporaryDirectory() as folder, quiet():
            path = pathlib.Path(folder) / "model.tflite"
            _in_float32(model).export(
                str(path), format="litert", verbose=False, **options
            )
            content = path.read_bytes()
        File(content)
    except Exception as error:  # the converter has many ways to fail
        said = str(error.__cause__ or error) or type(error).__name__
        raise ValueError(
            f"Model {model.name!r} cannot be converted to LiteRT ({kind}) by "
            f"TensorFlow {tf.__version__} with Keras {keras.__version__}: "
            f"{said.splitlines()[0][:200]} ... Pass a float model of layers "
            "that LiteRT has, such as an LSTM with `unroll=True`."
        ) from error
    return content


def runner(file, batch):
    """A function without arguments: `file`'s outputs for `batch`, 1 thread."""
    return opened(file).on(batch)


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
    options = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    if kind != "full int8":
        return options if kind == "dynamic int8" else {}
    # In batches of one, in the model's own type.
    images = np.asarray(images, model.inputs[0].dtype)
    rows = [list(row.values()) for row in trace(model).feed(images, rows=1)]
    return options | {
        "representative_dataset": lambda: iter(rows),
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
    }


def _in_float32(model):
    changes = {
        id(step.layer): {"dtype": "float32"}
        for step in trace(model).steps
        if getattr(step.layer, "compute_dtype", None) in OTHER_FLOATS
    }
    return copying.rebuild(model, changes=changes) if changes else model


def _stored(batch, entry):
    """`batch` as the file takes it: by its scale and zero point, if any."""
    wanted, dtype = _shape(entry, unknown=None), entry["dtype"]
    pairs = zip(wanted, batch.shape, strict=False)
    if len(wanted) != batch.ndim or any(w not in (None, g) for w, g in pairs):
        raise ValueError(
            f"This file takes rows of shape {wanted[1:]}; got "
            f"{batch.shape[1:]}. Pass the images as the model was trained on."
        )
    scale, zero = entry["quantization"]
    if scale:
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
        batch = np.clip(np.rint(batch / scale + zero), least, most)
    return np.ascontiguousarray(batch, dtype)


def _shape(entry, unknown):
    """The shape that it takes, for any number of rows."""
    _, *sizes = entry["shape_signature"].tolist()
    return unknown, *(n if n > 0 else unknown for n in sizes)
