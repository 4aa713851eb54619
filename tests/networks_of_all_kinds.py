"""Small networks of every kind that readers bring, with random weights."""

import numpy as np

from helpers.engine.backend import keras

L = keras.layers
MAPS, ROWS = (8, 8, 3), (6,)


def sequence(*layers, shape=ROWS, **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


def residual(scale=True, blocks=2):
    """Two blocks; `scale=False` leaves gamma out of all normalizations."""

    def normalized(x, **options):
        return L.BatchNormalization(scale=scale, **options)(x)

    entry = keras.Input(MAPS)
    x = L.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(entry)
    x = L.ReLU()(normalized(x))
    for number in range(blocks):
        y = L.Conv2D(6, 3, padding="same", name=f"inner_{number}")(x)
        y = L.Activation("gelu")(normalized(y, center=number == 0))
        y = L.Conv2D(8, 3, padding="same", name=f"outer_{number}")(y)
        x = L.ReLU()(L.Add()([x, normalized(y)]))
    x = L.GlobalAveragePooling2D()(x)
    return keras.Model(entry, L.Dense(4, name="output")(x))


def excited():
    """Squeeze and excite, depthwise, operations, concatenation, Flatten."""
    entry = keras.Input(MAPS)
    x = L.Conv2D(8, 3, activation="swish")(entry)
    gate = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    gate = L.Conv2D(4, 1, activation="relu")(gate)
    gate = L.Conv2D(8, 1, activation="sigmoid")(gate)
    x = L.DepthwiseConv2D(3, depth_multiplier=2)(L.Multiply()([x, gate]))
    x = keras.ops.relu(L.Conv2D(6, 1)(x) * 0.5 + 1.0)
    x = L.Concatenate()([x, L.Conv2D(5, 3, padding="same")(x)])
    x = L.SeparableConv2D(7, 3, activation="relu")(x)
    return keras.Model(entry, L.Dense(4)(L.Flatten()(x)))


def transformer():
    entry = keras.Input((6, 16))
    x = L.LayerNormalization(name="norm")(entry)
    x = L.MultiHeadAttention(4, 8, name="attention")(x, x) + entry
    y = L.Dense(32, "gelu", name="wide")(L.LayerNormalization()(x))
    x = x + L.Dense(16, name="narrow")(y)
    return keras.Model(entry, L.Dense(3)(L.GlobalAveragePooling1D()(x)))


def twins():
    """Two inputs through one tower, a layer used twice, two outputs."""
    entries = keras.Input(ROWS), keras.Input(ROWS)
    tower = sequence(L.Dense(8, "relu"), L.Dense(6, "tanh"))
    x = L.Subtract()([tower(entry) for entry in entries])
    again = L.Dense(7, "relu")
    x = again(again(L.Dense(7, "relu")(x)))
    return keras.Model(entries, [L.Dense(2)(x), L.Dense(1)(x)])


def backbone(shape):
    return keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=shape, alpha=0.35
    )


def transfer():
    """A backbone for images of one size, in a Sequential."""
    return sequence(
        backbone((32, 32, 3)), L.GlobalAveragePooling2D(),
        L.Dense(16, "relu"), L.Dense(3), shape=(32, 32, 3),
    )  # fmt: skip


def transfer_of_any_size():
    entry = keras.Input((32, 32, 3))
    x = L.GlobalMaxPooling2D()(backbone(None)(entry))
    return keras.Model(entry, L.Dense(3)(x))


NETWORKS = {
    "residual": residual,
    "residual, no gamma": lambda: residual(scale=False),
    "squeeze and excite": excited,
    "transformer": transformer,
    "twins": twins,
    "backbone in a Sequential": transfer,
    "backbone of any size": transfer_of_any_size,
    "recurrent": lambda: sequence(
        L.TimeDistributed(L.Dense(5)), L.Bidirectional(L.LSTM(6, name="lstm")),
        L.Dense(8, "relu"), L.LayerNormalization(), L.Dense(8, "relu"),
        L.Dense(3), shape=(7, 4),
    ),
    "embedding": lambda: sequence(
        L.Embedding(20, 6), L.Conv1D(8, 3, activation="relu", padding="causal"),
        L.GlobalAveragePooling1D(), L.Dense(4), shape=(7,), dtype="int32",
    ),
    "three axes": lambda: sequence(
        L.Conv3D(4, 3, activation="relu"), L.MaxPooling3D(), L.Conv3D(6, 2),
        L.GlobalAveragePooling3D(),
        L.EinsumDense("ab,bc->ac", 8, bias_axes="c", activation="relu"),
        L.Dense(2), shape=(6, 6, 6, 1),
    ),
    "small layers": lambda: sequence(
        L.Rescaling(1 / 255), L.Conv2D(6, 3), L.PReLU(), L.GaussianNoise(0.1),
        L.ZeroPadding2D(), L.UpSampling2D(), L.Cropping2D(1),
        L.Conv2DTranspose(5, 3, strides=2), L.ELU(), L.SpatialDropout2D(0.1),
        L.Conv2D(4, 3), L.PReLU(shared_axes=[1, 2]), L.Reshape((-1, 4)),
        L.Conv1D(5, 1, activation="relu"), L.Flatten(), L.Dropout(0.1),
        L.Dense(8, activation=L.Softmax()), L.Dense(3, "softmax"), shape=MAPS,
    ),
    "grouped": lambda: sequence(
        L.Conv2D(8, 3, activation="relu"), L.Conv2D(8, 3, groups=8),
        L.Conv2D(8, 1, groups=2), L.Conv2D(6, 1, activation="relu"),
        L.GlobalMaxPooling2D(), L.Dense(3), shape=MAPS,
    ),
}  # fmt: skip


def random_weights(model, seed=0):
    """As after some training: no statistic of a normalization is 0 or 1."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.dtype.startswith("float"):
            values = random.normal(size=variable.shape) / 2
            if "variance" in variable.path:
                values = 0.3 + np.abs(values)
            variable.assign(values)
    return model


def rows(model, count=5, seed=0):
    """As many random inputs as the model takes."""
    random = np.random.default_rng(seed)
    return [
        random.integers(0, 20, (count, *x.shape[1:]))
        if x.dtype == "int32"
        else random.normal(size=(count, *x.shape[1:])).astype("float32")
        for x in model.inputs
    ]


def outputs(model, x):
    """All that comes out, as one array of rows."""
    made = model(x if len(x) > 1 else x[0], training=False)
    parts = [np.reshape(y, (len(y), -1)) for y in keras.tree.flatten(made)]
    return np.concatenate(parts, axis=1)
