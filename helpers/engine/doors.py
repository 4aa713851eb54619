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
    if isinstance(value, plain):
        return f"{value!r:.60}"
    return f"a {type(value).__name__}"


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
        if not self.fits(value):
            advice = self.advice
            advice = advice(value) if callable(advice) else advice
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


# Numbers


def _number(expected, fits, example, kind=numbers.Real):
    """A finite number, and not True or False."""

    def is_one(value):
        number = isinstance(value, kind) and not isinstance(value, bool)
        return number and abs(value) < math.inf and fits(value)

    return Kind(is_one, expected, f"Pass e.g. {example}.")


def _as_fraction(value):
    if isinstance(value, numbers.Real) and 1 < value < 100:
        return f"To remove {value} %, pass {value / 100:g}."
    return "Pass e.g. 0.8 to remove 80 %."


SPARSITY = dataclasses.replace(
    _number("the fraction to remove, in [0, 1)", lambda v: 0 <= v < 1, 0.8),
    advice=_as_fraction,
)
SPARSITIES = dataclasses.replace(
    SPARSITY,
    fits=lambda v: SPARSITY.fits(v) or (isinstance(v, dict) and len(v) > 0),
    expected=f"{SPARSITY.expected}, or a dict of them by layer",
)
FRACTION = _number("a share, in [0, 1]", lambda v: 0 <= v <= 1, 0.5)
RATE = _number("a number above 0", lambda v: v > 0, 1e-3)
LEVEL = _number("a number, at least 0", lambda v: v >= 0, 0.05)
WHOLE = numbers.Integral
COUNT = _number("a whole number, at least 1", lambda v: v >= 1, 100, WHOLE)
SEED = _number("a whole number, at least 0", lambda v: v >= 0, 0, WHOLE)


# Arrays


def _are_numbers(value):
    """Whether `value` is an array of real numbers, or a list that makes one."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        return False
    real = np.can_cast(array.dtype, np.float64, "same_kind")
    return bool(array.size and array.ndim and real)


def _are_finite(array):
    return _are_numbers(array) and bool(np.isfinite(np.asarray(array)).all())


def _are_arrays(value):
    """Whether it is a list of arrays of numbers, one or more."""
    several = isinstance(value, list | tuple) and len(value) > 0
    return several and all(
        isinstance(part, np.ndarray) and _are_numbers(part) for part in value
    )


def _layers(fits, each, advice):
    """A dict from layer name to what fits."""

    def got(value):
        if not (isinstance(value, dict) and value):
            return shown(value)
        name, array = next(x for x in value.items() if not fits(x[1]))
        broken = _are_numbers(array) and not _are_finite(array)
        what = "NaN or infinite entries" if broken else shown(array)
        return f"{what} for layer {name!r}"

    return Kind(
        lambda v: isinstance(v, dict) and v and all(map(fits, v.values())),
        f"a dict from layer name to {each}, for one layer or more",
        advice,
        got,
    )


LAYERS = _layers(
    _are_numbers, "real numbers", "Pass e.g. `pruning.prunable_kernels(model)`."
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
KERNELS = _layers(
    lambda array: _are_finite(array) and np.ndim(array) > 1,
    "finite numbers, inputs × units (2-D or more)",
    "Pass e.g. `pruning.prunable_kernels(model)`.",
)
ROWS = Kind(
    _are_numbers,
    "an array of numbers, a row or more",
    "Pass e.g. `split.x_test`.",
)
INPUTS = dataclasses.replace(
    ROWS,
    fits=lambda value: ROWS.fits(value) or _are_arrays(value),
    expected=f"{ROWS.expected}, or a list of them, one per input",
)
MASKS = Kind(
    lambda value: isinstance(value, dict),
    "a dict from layer name to mask",
    "Pass e.g. `masking.layerwise_masks(scores, 0.8)`.",
)


# Functions, data, models

FUNCTION = Kind(callable, "a function", "Pass one, without calling it.")
PARTS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
SPLIT = Kind(
    lambda value: all(hasattr(value, part) for part in PARTS),
    "a `datasets.Split`",
    'Pass e.g. `datasets.load("mnist")`, or your own arrays as '
    f"`datasets.Split({', '.join(PARTS)})`.",
)


def _no_model(value):
    """What is wrong with a model, and what to pass; None if it is one."""
    from helpers.engine.backend import keras
    from helpers.engine.tracing import is_graph

    if type(value).__module__.split(".")[0] == "tf_keras":
        return "a model of tf_keras (Keras 2)", "Build it with Keras 3."
    if not isinstance(value, keras.Model):
        return shown(value), "Pass e.g. `networks.mlp()`."
    if not value.built:
        hint = "Give it an `Input` layer, or call it once on data."
        return f"{value.name!r}, which has no weights yet", hint
    if not is_graph(value) or not value.inputs:
        what = "which decides in Python what its layers read"
        hint = "Pass a `keras.Sequential` or a functional model."
        return f"a {type(value).__name__}, {what}", hint
    return None


def _no_floats(value):
    """The same of a model whose weights are to be looked at."""
    if why := _no_model(value):
        return why
    for layer in value._flatten_layers():
        lora = getattr(layer, "lora_enabled", False) and "LoRA"
        if by := getattr(layer, "quantization_mode", None) or lora:
            what = f"{value.name!r}, whose layer {layer.name!r} is changed by"
            hint = "Pass the float model from before."
            return f"{what} {by}: its numbers are not its weights", hint
    return None


def _model(why):
    return Kind(
        lambda value: why(value) is None,
        "a Keras model that is built, Sequential or functional",
        lambda value: why(value)[1],
        lambda value: why(value)[0],
    )


MODEL = _model(_no_floats)
ANY_MODEL = _model(_no_model)  # quantized, too: it is only run
