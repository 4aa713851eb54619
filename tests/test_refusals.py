"""What cannot be done is refused by name, before anything is run.

The tests are made from the doors themselves: every argument of every public
function that a door looks at gets everything that its kind does not take.
"""

import importlib
import inspect
import pathlib
import re

import numpy as np
import pandas as pd
import pytest

import helpers
from helpers import datasets, networks
from helpers.engine import doors
from helpers.engine.backend import keras

ROOMS = sorted(
    path.stem
    for path in pathlib.Path(helpers.__file__).parent.glob("[a-z]*.py")
)
X, Y = np.ones((4, 6), np.float32), np.arange(4) % 3
SPLIT = datasets.Split(X, Y, X, Y, X, Y)
L = keras.layers


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3)

        def call(self, x):
            return self.dense(x)

    model = Own()
    model(X)
    return model


def quantized():
    model = networks.mlp((5,), inputs=6, classes=3)
    model.quantize("int8")
    return model


class Foreign:
    """As a model of tf_keras (Keras 2) says where it comes from."""


Foreign.__module__ = "tf_keras.src.engine.sequential"

NO_NUMBERS = ["0.5", None, [0.5], {}, 0.5j, np.nan, np.inf, True, np.array(0.5)]
NO_ARRAYS = [None, "x", [], [[1], [1, 2]], np.array("x"), np.array(["x"])]
NO_LAYERS = [None, 5, {}, np.ones(3), *({"a": a} for a in NO_ARRAYS)]
NO_MODELS = ["mlp", None, Foreign(), L.Dense(3), keras.Sequential([L.Dense(3)])]
# By what a kind expects, for those with a name of their own in `doors`.
MISFITS = {
    "SPARSITY": [*NO_NUMBERS, 1, 80, -0.1],
    "SPARSITIES": [*NO_NUMBERS, 1, 80, -0.1],
    "FRACTION": [*NO_NUMBERS, 1.1, -0.1],
    "COUNT": [*NO_NUMBERS, 0, -1, 2.0],
    "SEED": [*NO_NUMBERS, -1, 0.0],
    "RATE": [*NO_NUMBERS, 0, -1e-3],
    "LEVEL": [*NO_NUMBERS, -0.1],
    "LAYERS": NO_LAYERS,
    "FINITE": [*NO_LAYERS, {"a": np.array([1, np.nan])}],
    "UNITS": [*NO_LAYERS, {"a": np.ones((2, 5))}, {"a": np.array([np.inf])}],
    "KERNELS": [*NO_LAYERS, {"a": np.ones(5)}, {"a": np.full((2, 2), np.nan)}],
    "ROWS": NO_ARRAYS,
    "MASKS": [None, np.ones(3), []],
    "FUNCTION": [None, 5, "mlp"],
    "SPLIT": [None, (X, Y), "mnist", pd.DataFrame()],
    "MODEL": NO_MODELS,
    "ANY_MODEL": NO_MODELS,
}


def named(kind):
    return next((n for n, k in vars(doors).items() if k is kind), None)


def door_of():
    """Every door: its function, an argument and the argument's kind."""
    for room in ROOMS:
        for name, function in vars(
            importlib.import_module(f"helpers.{room}")
        ).items():
            own = getattr(function, "__module__", "") == f"helpers.{room}"
            for argument, kind in getattr(function, "kinds", {}).items():
                if own:
                    yield pytest.param(
                        function, argument, kind, id=f"{room}.{name}-{argument}"
                    )


def call(function, argument, value):
    """With a value that fits for every argument that a door looks at first."""
    required = {
        name: object()
        for name, p in inspect.signature(function).parameters.items()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    }
    return function(**{**required, argument: value})


@pytest.mark.parametrize(("function", "argument", "kind"), door_of())
def test_what_does_not_fit_is_refused_by_name(function, argument, kind):
    """By the door: no body has run, so nothing is changed."""
    alone = doors.door(**{argument: kind})(function.__wrapped__)
    misfits = MISFITS.get(named(kind), [object(), 7.5])
    assert misfits
    for value in misfits:
        if kind.fits(value):  # optional, or one more type
            continue
        with pytest.raises(ValueError, match=f"^`{argument}` is ") as error:
            call(alone, argument, value)
        words = str(error.value)
        assert f"is {kind.expected}; got " in words
        assert re.search(r"\b(Pass|Give|Build|Make|For|To) ", words), words


@pytest.mark.parametrize("name", MISFITS)
def test_a_kind_takes_none_of_what_it_does_not_expect(name):
    assert [v for v in MISFITS[name] if getattr(doors, name).fits(v)] == []


def test_the_first_misfit_is_named_and_defaults_are_not_looked_at():
    @doors.door(one=doors.COUNT, other=doors.SEED)
    def run(one, other=None):
        return one

    assert run(3) == 3
    with pytest.raises(ValueError, match="`one` is a whole number"):
        run(0, -1)
    with pytest.raises(ValueError, match="`other` is a whole number"):
        run(1, other=-1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Foreign, "a model of tf_keras (Keras 2). Build it with Keras 3."),
        (subclassed, "a Own, which decides in Python what its layers read"),
        (quantized, "is changed by int8: its numbers are not its weights"),
        (lambda: keras.Sequential([L.Dense(3)]), "which has no weights yet"),
    ],
)
def test_a_model_is_refused_with_the_reason(make, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        doors.MODEL.check("model", make())


def test_own_arrays_are_told_how_to_become_a_split():
    with pytest.raises(ValueError, match=r"datasets\.Split\(x_train, y_train"):
        doors.SPLIT.check("split", (X, Y))


def test_a_percentage_is_answered_with_the_fraction():
    with pytest.raises(ValueError, match=r"To remove 80 %, pass 0\.8"):
        doors.SPARSITY.check("sparsity", 80)
