"""The series' Keras models, with every layer named and seeded."""

from helpers.backend import keras

WIDTHS = (1000, 1000, 500, 200)


def mlp(widths=WIDTHS, inputs=784, classes=10, seed=0, l2=0.0):
    """A ReLU network of Dense layers `hidden_1`, ..., `output`; logits out.

    `classes=1` gives one sigmoid output instead, for two classes. The same
    seed gives the same initial weights, bit for bit. No global random state
    is touched. `l2` times the sum of all squared weights is added to the
    loss.
    """
    penalty = keras.regularizers.L2(l2) if l2 else None
    layers = [
        keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer=_glorot(seed, number),
            kernel_regularizer=penalty,
            name=f"hidden_{number}",
        )
        for number, width in enumerate(widths, start=1)
    ]
    output = keras.layers.Dense(
        classes,
        activation="sigmoid" if classes == 1 else None,
        kernel_initializer=_glorot(seed, len(widths) + 1),
        kernel_regularizer=penalty,
        name="output",
    )
    entry = keras.Input((inputs,), name="pixels")
    return keras.Sequential([entry, *layers, output], name="mlp")


def _glorot(seed, number):
    return keras.initializers.GlorotUniform(seed=1000 * seed + number)
