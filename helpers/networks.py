"""The series' Keras models, with every layer named and seeded."""

from helpers.engine.backend import keras
from helpers.engine.doors import LEVEL, SEED, door

WIDTHS = (1000, 1000, 500, 200)
# Said of every layer: a reader's keras.json may have other defaults.
FLOATS = {"dtype": "float32"}
IMAGES = {"data_format": "channels_last", **FLOATS}


@door(seed=SEED, l2=LEVEL)
def mlp(widths=WIDTHS, inputs=784, classes=10, seed=0, l2=0.0):
    """A ReLU network of Dense layers `hidden_1`, ..., `output`; logits out.

    `classes=1` gives one sigmoid output instead, for two classes. The same
    seed gives the same initial weights, bit for bit. No global random state
    is touched. `l2` times the sum of all squared weights is added to the
    loss.
    """
    pixels = keras.Input((inputs,), name="pixels", **FLOATS)
    layers = _dense(widths, classes, seed, first=1, l2=l2)
    return keras.Sequential([pixels, *layers], name="mlp")


@door(seed=SEED)
def lenet(filters=(20, 50), widths=(500,), classes=10, seed=0):
    """A LeNet-5, by default in the size that pruning papers use; logits out.

    Reads rows of 784 pixels, as `mlp` does. Each of up to two convolutions
    `conv_1`, ... (5 x 5, no padding) goes through BatchNormalization, ReLU
    and 2 x 2 max-pooling; it has no bias, which the normalization would
    subtract again. Dense layers `hidden_1`, ..., `output` follow, as in
    `mlp`, and the seed decides as there.
    """
    layers = [
        keras.Input((784,), name="pixels", **FLOATS),
        keras.layers.Reshape((28, 28, 1), name="image", **FLOATS),
    ]
    for number, size in enumerate(filters, start=1):
        layers += _convolution(size, seed, number)
    layers.append(keras.layers.Flatten(name="flat", **IMAGES))
    layers += _dense(widths, classes, seed, first=len(filters) + 1)
    return keras.Sequential(layers, name="lenet")


@door(seed=SEED)
def resnet(filters=(16, 32, 64), classes=10, seed=0):
    """A small residual network (He et al., 2016); logits out.

    Reads rows of 784 pixels, as `mlp` does. A convolution `stem` (3 x 3) and
    2 x 2 max-pooling lead to one block per stage: to what comes in, it adds
    what convolutions `conv_1a` and `conv_1b`, ... make of it. From the second
    stage on, the first of them moves in steps of 2, and so does `skip_2`, ...
    (1 x 1), on the way past them. Each convolution goes through
    BatchNormalization and has no bias; a Dense layer `output` reads the means
    of the last maps. The seed decides as in `mlp`.
    """
    pixels = keras.Input((784,), name="pixels", **FLOATS)
    x = keras.layers.Reshape((28, 28, 1), name="image", **FLOATS)(pixels)
    x = _relu("stem", _normalized("stem", x, filters[0], seed, number=1))
    x = keras.layers.MaxPooling2D(name="pool", **IMAGES)(x)
    for stage, size in enumerate(filters, start=1):
        x = _block(stage, x, size, seed)
    x = keras.layers.GlobalAveragePooling2D(name="means", **IMAGES)(x)
    (output,) = _dense((), classes, seed, first=2)
    return keras.Model(pixels, output(x), name="resnet")


def _block(stage, x, size, seed):
    """Two convolutions, and what passes them by, added."""
    first, strides = 10 * stage, 1 if stage == 1 else 2
    y = _normalized(f"conv_{stage}a", x, size, seed, first, strides)
    y = _relu(f"conv_{stage}a", y)
    y = _normalized(f"conv_{stage}b", y, size, seed, first + 1)
    if strides > 1:
        skip = f"skip_{stage}"
        x = _normalized(skip, x, size, seed, first + 2, strides, kernel=1)
    both = keras.layers.Add(name=f"add_{stage}", **FLOATS)([x, y])
    return _relu(f"add_{stage}", both)


def _normalized(name, x, filters, seed, number, strides=1, kernel=3):
    """A convolution and its normalization."""
    x = keras.layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False,
        kernel_initializer=_glorot(seed, number), name=name, **IMAGES,
    )(x)  # fmt: skip
    norm = keras.layers.BatchNormalization
    return norm(momentum=0.9, name=f"{name}_norm", **FLOATS)(x)


def _relu(name, x):
    return keras.layers.Activation("relu", name=f"{name}_relu", **FLOATS)(x)


def _dense(widths, classes, seed, first, l2=0.0):
    """Hidden layers and the output layer; `first` numbers their seeds."""
    sizes = {f"hidden_{n}": width for n, width in enumerate(widths, start=1)}
    sizes["output"] = classes
    end = "sigmoid" if classes == 1 else None
    return [
        keras.layers.Dense(
            size,
            activation=end if name == "output" else "relu",
            kernel_initializer=_glorot(seed, number),
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            name=name,
            **FLOATS,
        )
        for number, (name, size) in enumerate(sizes.items(), start=first)
    ]


def _convolution(filters, seed, n):
    """One stage; its statistics follow within some tens of steps."""
    layers, start = keras.layers, _glorot(seed, n)
    return [
        layers.Conv2D(filters, 5, use_bias=False, kernel_initializer=start,
                      name=f"conv_{n}", **IMAGES),
        layers.BatchNormalization(momentum=0.9, name=f"norm_{n}", **FLOATS),
        layers.Activation("relu", name=f"relu_{n}", **FLOATS),
        layers.MaxPooling2D(name=f"pool_{n}", **IMAGES),
    ]  # fmt: skip


def _glorot(seed, number):
    return keras.initializers.GlorotUniform(seed=int(1000 * seed + number))
