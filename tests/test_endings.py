"""Laws of endings: what a network says is seen, however it is written."""

import numpy as np
import pytest

from helpers.engine import endings
from helpers.engine.backend import keras

L = keras.layers


def seq(*layers, inputs=(6,)):
    return keras.Sequential([keras.Input(inputs), *layers])


def ensemble():
    x = keras.Input((6,))
    parts = [L.Dense(3, "softmax")(x), L.Dense(3, "softmax")(x)]
    return keras.Model(x, L.Average()(parts))


def operation():
    x = keras.Input((6,))
    return keras.Model(x, keras.ops.softmax(L.Dense(3)(x)))


def named():
    x = keras.Input((6,))
    return keras.Model(x, {"said": L.Dense(3, "softmax")(x)})


def typed():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return seq(L.Dense(3), L.Softmax(dtype="float32"))
    finally:
        keras.config.set_dtype_policy("float32")


PROBABILITIES = {
    "softmax": lambda: seq(L.Dense(3, "softmax")),
    "sigmoid": lambda: seq(L.Dense(1, "sigmoid")),
    "a function": lambda: seq(L.Dense(3, lambda x: keras.ops.softmax(x))),
    "an object": lambda: seq(L.Dense(3, L.Softmax())),
    "a layer": lambda: seq(L.Dense(3), L.Softmax()),
    "an activation": lambda: seq(L.Dense(1), L.Activation("sigmoid")),
    "dropout after it": lambda: seq(L.Dense(3, "softmax"), L.Dropout(0.5)),
    "reshaped": lambda: seq(
        L.Conv2D(3, 3, activation="softmax"), L.Flatten(), inputs=(3, 3, 2)
    ),
    "any size": lambda: seq(
        L.Conv2D(3, 1), L.GlobalMaxPooling2D(), L.Softmax(),
        inputs=(None, None, 2),
    ),
    "nested": lambda: seq(L.Dense(4), seq(L.Dense(3, "softmax"), inputs=(4,))),
    "an ensemble": ensemble,
    "an operation": operation,
    "a dict": named,
    "mixed precision": typed,
}  # fmt: skip
LOGITS = {
    "a class each": lambda: seq(L.Dense(4, "softmax"), L.Dense(3)),
    "one": lambda: seq(L.Dense(1)),
    "one after a sigmoid": lambda: seq(L.Dense(4, "sigmoid"), L.Dense(1)),
    "zeros": lambda: seq(L.Dense(1, kernel_initializer="zeros")),
    "normalized": lambda: seq(L.Dense(3), L.BatchNormalization()),
    "tanh": lambda: seq(L.Dense(1, "tanh")),
    "logarithms": lambda: seq(L.Dense(3, "log_softmax")),
    "one that is stretched": lambda: seq(L.Dense(1, "sigmoid"), L.Rescaling(9)),
    "no weights": lambda: seq(L.Flatten()),
}


@pytest.mark.parametrize("how", PROBABILITIES)
def test_probabilities_are_seen(how):
    assert endings.gives_probabilities(PROBABILITIES[how]())


@pytest.mark.parametrize("how", LOGITS)
def test_logits_are_seen(how):
    assert not endings.gives_probabilities(LOGITS[how]())


def test_several_outputs_are_refused():
    x = keras.Input((6,))
    two = keras.Model(x, [L.Dense(3)(x), L.Dense(1)(x)])
    with pytest.raises(ValueError, match=r"2 outputs.*with a single output\."):
        endings.require_one_output(two)
    endings.require_one_output(named())


def test_asking_changes_nothing():
    model = seq(L.Dense(3), L.BatchNormalization(), L.Softmax())
    before = model.get_weights()
    endings.gives_probabilities(model)
    assert all(map(np.array_equal, before, model.get_weights()))
