"""What a network costs: parameters, MACs, bytes, accuracy, milliseconds."""

import pathlib
import tempfile
import time
import zipfile
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from helpers import deploying, masking, pruning, staging
from helpers.engine.backend import keras, tf, view
from helpers.fitting import loss_of

OUTPUTS_AT_ONCE = 10**7  # of the widest layer: 40 MB


class Cost(NamedTuple):
    """`parameters`, `nonzeros` and `macs` count; the others are bytes."""

    parameters: int
    nonzeros: int
    macs: int
    bytes: int
    zipped_bytes: int


def cost(model):
    """Count what `model` holds and does, and save it to see what it weighs.

    `macs` are multiply-accumulates for one image, whether a weight is zero
    or not; `bytes` is the size of the saved `.keras` file and
    `zipped_bytes` the size of that file when zipped.
    """
    return Cost(**counts(model), **_bytes_on_disk(model))


def counts(model):
    """The part of `cost` that needs no file: a dict of three numbers."""
    macs = macs_per_layer(model)
    arrays = [view(variable) for variable in model.weights]
    return {
        "parameters": sum(array.size for array in arrays),
        "nonzeros": sum(int(np.count_nonzero(array)) for array in arrays),
        "macs": sum(macs.values()),
    }


def macs_per_layer(model):
    """Multiply-accumulates for one image, by name of each layer with a kernel.

    A Dense layer does inputs x units of them; a convolution does its
    kernel's size at every output position.

    Raises:
        ValueError: a layer of which it is not known how often its weights are
            used.
    """
    staging.require_flat(model)
    _refuse_uncounted(model)
    return {
        layer.name: int(
            np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:-1])
        )
        for layer in model.layers
        if hasattr(layer, "kernel")
    }


def readings(model, x, y):
    """What an explorer shows of `model`: how well it reads, what is left.

    Weights and units are those of the layers that may be pruned; a unit is
    left as long as a weight leads to it.
    """
    left = [
        mask.reshape(-1, mask.shape[-1]).view(bool)
        for mask in list(pruning.masks_of(model).values())[:-1]
    ]
    return {
        "accuracy": accuracy(model, x, y),
        "weights left": sum(int(np.count_nonzero(kept)) for kept in left),
        "units left": sum(int(kept.any(axis=0).sum()) for kept in left),
        "MACs": sum(macs_per_layer(model).values()),
    }


def accuracy(model, x, y):
    """The fraction of images `x` that get their label `y`."""
    said = predictions(model, x)
    labels = masking.require_numbers("`y`", y)
    if labels.size != said.size:
        raise ValueError(
            f"`y` holds a label for each of {said.size} rows; got shape "
            f"{labels.shape}. Pass those of the same rows."
        )
    return float(np.mean(said == labels.ravel()))


def loss_and_accuracy(model, x, y):
    """What `model` is trained for, cross-entropy, and its accuracy: a dict."""
    outputs = _outputs(model, x)
    y = staging.require_labels(model, outputs, y)
    return {
        "loss": float(loss_of(model)(y, outputs)),
        "accuracy": float(np.mean(_classes(outputs) == y)),
    }


def predictions(model, x):
    """The class of the largest output for each image.

    Of one output, a sigmoid, it is class 1 above 0.5. `model` may be the
    bytes of a LiteRT file.
    """
    return _classes(_outputs(model, x))


def latency(models, x, batch_size, runtime="tf.function", **turns):
    """Milliseconds per call, for models timed in turns in one run.

    Args:
        models: one model, or a dict from name to model. The first is what
            the others' speed-up is measured against. For "litert", a model
            may be the bytes of a file (see `deploying.convert`).
        x: images; the first `batch_size` of them are used.
        runtime: "predict" (Keras' method), "tf.function" (compiled once for
            this batch) or "litert" (one thread).
        turns: how often, see `time_in_turns`.

    Returns:
        DataFrame: one row per model; `ms` is the median over turns and
        `speed_up` the median of the ratio within turns, each with the 95 %
        interval of that median.
    """
    masking.require_count("batch_size", batch_size)
    x = masking.require_numbers("`x`", x)
    if len(x) < batch_size:
        raise ValueError(
            f"{batch_size} images asked, {len(x)} given in `x`. Pass more "
            "images, or a lower `batch_size`."
        )
    if not isinstance(models, dict):
        models = {"model": models}
    batch = np.ascontiguousarray(x[:batch_size])
    calls = {
        name: compiled(model, batch, runtime) for name, model in models.items()
    }
    return summary(time_in_turns(calls, **turns))


def compiled(model, batch, runtime):
    """A function without arguments that runs `model` on `batch`."""
    if not isinstance(runtime, str) or runtime not in RUNTIMES:
        raise ValueError(
            f"Unknown runtime {runtime!r}; pass one of {', '.join(RUNTIMES)}."
        )
    if isinstance(model, bytes) and runtime != "litert":
        raise ValueError(
            f'A LiteRT file runs in "litert", not in {runtime!r}; pass that '
            "runtime, or the Keras model."
        )
    if not isinstance(model, bytes):
        staging.require_built(model)
        batch = staging.require_rows(model, batch)
    return RUNTIMES[runtime](model, batch)


def time_in_turns(calls, repeats=30, warm_up=3, calls_per_turn=3):
    """Time functions A B C A B C ..., so that a slow moment hits them all.

    Returns:
        DataFrame: milliseconds per call; a column per function, a row per
        turn. Turns to warm up are left out.
    """
    masking.require_count("repeats", repeats)
    masking.require_count("warm_up", warm_up, least=0)
    masking.require_count("calls_per_turn", calls_per_turn)
    if not (isinstance(calls, dict) and calls):
        raise ValueError(
            "Expected a dict from name to what is timed, with at least one; "
            f"got {calls!r}. Pass e.g. `{{'model': model}}`."
        )
    if not all(map(callable, calls.values())):
        raise ValueError(
            f"Only functions without arguments can be timed; got {calls!r}. "
            "Pass e.g. `measuring.compiled(model, batch, runtime)`."
        )
    rows = []
    for _ in range(warm_up + repeats):
        row = {}
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(calls_per_turn):
                call()
            seconds = time.perf_counter() - start
            row[name] = 1000 * seconds / calls_per_turn
        rows.append(row)
    return pd.DataFrame(rows[warm_up:])


def summary(turns):
    """Medians with 95 % intervals of the columns `time_in_turns` returns."""
    if not isinstance(turns, pd.DataFrame) or turns.empty:
        raise ValueError(
            "Expected a table with a column per function and a row per turn; "
            f"got {type(turns).__name__} of shape {np.shape(turns)}. Pass what "
            "`time_in_turns` returns."
        )
    first = turns.iloc[:, 0]
    return pd.DataFrame(
        {
            name: {
                **_median(turns[name], "ms"),
                **_median(first / turns[name], "speed_up"),
            }
            for name in turns
        }
    ).T


def _outputs(model, x):
    if isinstance(model, bytes):
        x = masking.require_numbers("`x`", x)
    else:
        staging.require_built(model)
        x = staging.require_rows(model, x)
    step = _images_at_once(model)
    parts = np.split(x, range(step, len(x), step))
    return np.concatenate([_call(model, part) for part in parts])


def _images_at_once(model):
    """As many as the widest layer's outputs fit; of a file, a thousand."""
    if isinstance(model, bytes):
        return 1000
    widest = max(np.prod(layer.output.shape[1:]) for layer in model.layers)
    return max(1, int(OUTPUTS_AT_ONCE // widest))


def _call(model, batch):
    if isinstance(model, bytes):
        return deploying.runner(model, batch)()
    return model(batch, training=False)


def _classes(outputs):
    if outputs.shape[-1] == 1:
        return (outputs[:, 0] > 0.5).astype("int64")
    return np.argmax(outputs, axis=-1)


def _keras_predict(model, batch):
    return lambda: model.predict(batch, batch_size=len(batch), verbose=0)


def _tf_function(model, batch):
    function = tf.function(lambda x: model(x, training=False))
    tensor = tf.constant(batch)
    return lambda: function(tensor).numpy()


def _litert(model, batch):
    file = model if isinstance(model, bytes) else deploying.convert(model)
    return deploying.runner(file, batch)


RUNTIMES = {
    "predict": _keras_predict,
    "tf.function": _tf_function,
    "litert": _litert,
}


def _median(values, name):
    """The median and its interval from order statistics (no normality)."""
    test = stats.quantile_test(values, p=0.5)
    interval = test.confidence_interval(0.95)
    return {
        name: float(np.median(values)),
        f"{name}_low": float(interval.low),
        f"{name}_high": float(interval.high),
    }


def _refuse_uncounted(model):
    for layer in model.layers:
        tables = [w for w in layer.weights if len(w.shape) > 1]
        if tables and not hasattr(layer, "kernel"):
            raise ValueError(
                f"Layer {layer.name!r} ({type(layer).__name__}) has weights "
                "but no `kernel`, so its multiplications cannot be counted. "
                "Pass a model of Dense and Conv2D layers."
            )
    if isinstance(model, keras.Sequential):
        return
    for layer in model.get_config()["layers"]:
        if len(layer["inbound_nodes"]) > 1:
            raise ValueError(
                f"Layer {layer['name']!r} is used "
                f"{len(layer['inbound_nodes'])} times; expected each once, to "
                "count its multiplications. Pass a model without shared layers."
            )


def _bytes_on_disk(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        pruning.copy_of(model).save(path)  # without an optimizer
        with zipfile.ZipFile(
            f"{path}.zip", "w", zipfile.ZIP_DEFLATED
        ) as archive:
            archive.write(path, path.name)
        zipped = pathlib.Path(f"{path}.zip")
        return {
            "bytes": path.stat().st_size,
            "zipped_bytes": zipped.stat().st_size,
        }
