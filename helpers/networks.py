"""The series' Keras models, with every layer named and seeded."""

from helpers import masking
from helpers.engine.backend import keras

WIDTHS = (1000, 1000, 500, 200)


def mlp(widths=WIDTHS, inputs=784, classes=10, seed=0, l2=0.0):
    """A ReLU network of Dense layers `hidden_1`, ..., `output`; logits out.

    `classes=1` gives one sigmoid output instead, for two classes. The same
    seed gives the same initial weights, bit for bit. No global random state
    is touched. `l2` times the sum of all squared weights is added to the
    loss.
    """
    _require_sizes(widths=widths, inputs=inputs, classes=classes)
    masking.require_count("seed", seed, least=0)
    if not (masking.is_number(l2) and l2 >= 0):
        raise ValueError(
            f"`l2` is a number, at least 0; got {l2!r}. Pass e.g. 1e-4."
        )
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


def lenet(filters=(20, 50), widths=(500,), classes=10, seed=0):
    """A LeNet-5, by default in the size that pruning papers use; logits out.

    Reads rows of 784 pixels, as `mlp` does. Each convolution `conv_1`, ...
    (5 x 5, no padding) goes through BatchNormalization, ReLU and 2 x 2
    max-pooling; it has no bias, which the normalization would subtract
    again. Dense layers `hidden_1`, ..., `output` follow. The seed decides
    as in `mlp`.
    """
    _require_sizes(filters=filters, widths=widths, classes=classes)
    masking.require_count("seed", seed, least=0)
    if len(filters) > 2:
        raise ValueError(
            f"28 x 28 pixels are enough for two convolutions; got {filters!r}. "
            "Pass e.g. `filters=(20, 50)`."
        )
    image = keras.layers.Reshape((28, 28, 1), name="image")
    convolutions = [
        layer
        for number, size in enumerate(filters, start=1)
        for layer in _convolution(size, seed, number)
    ]
    dense = [
        keras.layers.Dense(
            width,
            activation="relu",
            kernel_initializer=_glorot(seed, len(filters) + number),
            name=f"hidden_{number}",
        )
        for number, width in enumerate(widths, start=1)
    ]
    output = keras.layers.Dense(
        classes,
        kernel_initializer=_glorot(seed, len(filters) + len(widths) + 1),
        name="output",
    )
    return keras.Sequential(
        [
            keras.Input((784,), name="pixels"),
            image,
            *convolutions,
            keras.layers.Flatten(name="flat"),
            *dense,
            output,
        ],
        name="lenet",
    )


def _require_sizes(**sizes):
    """Raise a ValueError unless each is a count, or a list of counts."""
    for name, size in sizes.items():
        several = name in ("widths", "filters")
        if several and not isinstance(size, list | tuple):
            raise ValueError(
                f"`{name}` holds the units of each layer; got {size!r}. Pass "
                f"e.g. `{name}=(20, 50)`."
            )
        for count in size if several else [size]:
            masking.require_count(name, count)


def _convolution(filters, seed, number):
    """One stage; its statistics follow within some tens of steps."""
    return [
        keras.layers.Conv2D(
            filters,
            kernel_size=5,
            use_bias=False,
            kernel_initializer=_glorot(seed, number),
            name=f"conv_{number}",
        ),
        keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{number}"),
        keras.layers.Activation("relu", name=f"relu_{number}"),
        keras.layers.MaxPooling2D(name=f"pool_{number}"),
    ]


def _glorot(seed, number):
    return keras.initializers.GlorotUniform(seed=int(1000 * seed + number))
