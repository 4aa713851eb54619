"""What public functions let in: each kind of argument is said once, here.

A door looks at the arguments of a call before the body runs; bodies check
nothing. What relates two arguments (a mask and its layer) stays with them.
"""

import dataclasses
import functools
import inspect
import math
import numbers
from collections.abc import Callable

import numpy as np


def shown(value):
    """A value in few words; arrays, models and the like by their type."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} entries, shape {value.shape}"
    plain = str | bytes | numbers.Number | list | tuple | dict | None
    return (
        f"{value!r:.60}"
        if isinstance(value, plain)
        else (f"a {type(value).__name__}")
    )


@dataclasses.dataclass(frozen=True)
class Kind:
    """When a value fits, what was expected, and what to pass instead.

    `got` puts what came into words, and `advice` may depend on it.
    """

    fits: Callable
    expected: str
    advice: str | Callable
    got: Callable = shown

    def check(self, name, value):
        """Raise a ValueError that says all this, unless `value` fits."""
        if self.fits(value):
            return
        advice = (
            self.advice
            if isinstance(self.advice, str)
            else (self.advice(value))
        )
        raise ValueError(
            f"`{name}` is {self.expected}; got {self.got(value)}. {advice}"
        )


def door(**kinds):
    """Check the arguments named, in that order, before a function runs."""

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def checked(*args, **kwargs):
            given = signature.bind(*args, **kwargs).arguments
            for name, kind in kinds.items():
                if name in given:
                    kind.check(name, given[name])
            return function(*args, **kwargs)

        checked.kinds = kinds
        return checked

    return decorate


def optional(kind):
    """The same kind, or None."""
    return dataclasses.replace(
        kind, fits=lambda value: value is None or kind.fits(value)
    )


def one_of(*known):
    """One of a few names."""
    listed = ", ".join(f'"{name}"' for name in known)
    return Kind(
        lambda value: isinstance(value, str) and value in known,
        f"one of {listed}",
        f'Pass e.g. "{known[0]}".',
    )


def is_number(value):
    """Whether `value` is a finite real number, and not True or False."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and abs(value) < math.inf


def is_count(value, least=1):
    """Whether `value` is a whole number, at least `least`."""
    whole = isinstance(value, numbers.Integral)
    return whole and not isinstance(value, bool) and value >= least


def are_numbers(value):
    """Whether `value` is an array of real numbers, or a list that makes one."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        return False
    real = np.can_cast(array.dtype, np.float64, "same_kind")
    return bool(array.size and array.ndim and real)


def _are_finite(array):
    return are_numbers(array) and bool(np.isfinite(np.asarray(array)).all())


def _layers(fits, each, advice):
    """A dict from layer name to what fits."""

    def wrong(value):
        return [name for name, array in value.items() if not fits(array)]

    def got(value):
        if not (isinstance(value, dict) and value):
            return shown(value)
        name = wrong(value)[0]
        broken = are_numbers(value[name]) and not _are_finite(value[name])
        what = "NaN or infinite entries" if broken else shown(value[name])
        return f"{what} for layer {name!r}"

    return Kind(
        lambda value: isinstance(value, dict) and value and not wrong(value),
        f"a dict from layer name to {each}, for one layer or more",
        advice,
        got,
    )


def _number(fits, expected, example):
    return Kind(
        lambda v: is_number(v) and fits(v), expected, f"Pass e.g. {example}."
    )


def _as_fraction(value):
    if is_number(value) and 1 < value < 100:
        return f"To remove {value} %, pass {value / 100:g}."
    return "Pass e.g. 0.8 to remove 80 %."


SPARSITY = Kind(
    lambda value: is_number(value) and 0 <= value < 1,
    "the fraction to remove, in [0, 1)",
    _as_fraction,
)
FRACTION = _number(lambda v: 0 <= v <= 1, "a share, in [0, 1]", "0.5")
RATE = _number(lambda v: v > 0, "a number above 0", "1e-3")
LEVEL = _number(lambda v: v >= 0, "a number, at least 0", "0.05")
COUNT = Kind(is_count, "a whole number, at least 1", "Pass e.g. 100.")
SEED = Kind(
    lambda v: is_count(v, 0), "a whole number, at least 0", "Pass e.g. 0."
)
LAYERS = _layers(
    are_numbers, "real numbers", "Pass e.g. `pruning.prunable_kernels(model)`."
)
FINITE = _layers(
    _are_finite,
    "finite numbers",
    "Pass e.g. `pruning.prunable_kernels(model)`; if they are not finite, "
    "check the training (a learning rate too high?).",
)
UNITS = _layers(
    lambda array: _are_finite(array) and np.ndim(array) == 1,
    "one finite number per unit (1-D)",
    "Pass e.g. `masking.unit_scores(kernels)`.",
)
ROWS = Kind(
    are_numbers,
    "an array of numbers, a row or more",
    "Pass e.g. `split.x_test`.",
)
FUNCTION = Kind(callable, "a function", "Pass one, without calling it.")


# Models and data


def _why_no_model(value):
    """What is wrong with a model, and what to pass; None if it is one."""
    from helpers.engine.backend import keras
    from helpers.engine.tracing import is_graph

    package = type(value).__module__.split(".")[0]
    if package == "tf_keras":
        return "a model of tf_keras (Keras 2)", "Build it with Keras 3."
    if not isinstance(value, keras.Model):
        return shown(value), "Pass e.g. `networks.mlp()`."
    if not value.built:
        hint = "Give it an `Input` layer, or call it once on data."
        return f"{value.name!r}, which has no weights yet", hint
    if not is_graph(value) or not value.inputs:
        return (
            f"a {type(value).__name__}, which decides in Python what its "
            "layers read",
            "Pass a `keras.Sequential` or a functional model.",
        )
    return None


def _why_not_floats(value):
    """The same of a model whose weights are to be looked at."""
    if why := _why_no_model(value):
        return why
    for layer in value._flatten_layers():
        kind = getattr(layer, "quantization_mode", None)
        if kind or getattr(layer, "lora_enabled", False):
            return (
                f"{value.name!r}, whose layer {layer.name!r} is changed by "
                f"{kind or 'LoRA'}: its numbers are not its weights",
                "Pass the float model from before.",
            )
    return None


def _model(why):
    return Kind(
        lambda value: why(value) is None,
        "a Keras model that is built, Sequential or functional",
        lambda value: why(value)[1],
        lambda value: why(value)[0],
    )


MODEL = _model(_why_not_floats)
ANY_MODEL = _model(_why_no_model)  # quantized, too: it is only run
MASKS = Kind(
    lambda value: isinstance(value, dict),
    "a dict from layer name to mask",
    "Pass e.g. `masking.layerwise_masks(scores, 0.8)`.",
)
PARTS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
SPLIT = Kind(
    lambda value: all(hasattr(value, part) for part in PARTS),
    "a `datasets.Split`",
    'Pass e.g. `datasets.load("mnist")`, or your own arrays as '
    f"`datasets.Split({', '.join(PARTS)})`.",
)


def _several(value):
    arrays = isinstance(value, list | tuple) and all(
        isinstance(part, np.ndarray) and are_numbers(part) for part in value
    )
    return arrays and len(value) > 0


INPUTS = dataclasses.replace(
    ROWS,
    fits=lambda value: ROWS.fits(value) or _several(value),
    expected=f"{ROWS.expected}, or a list of them, one per input",
)
