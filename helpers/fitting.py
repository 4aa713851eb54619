"""Train a Keras model for a number of steps, the same way every time."""

import functools
import math
import sys

import numpy as np
from tqdm import tqdm

from helpers import masking, staging
from helpers.engine.backend import keras, tf

STEP_METHODS = (
    "on_train_batch_begin", "on_train_batch_end",
    "on_batch_begin", "on_batch_end",
)  # fmt: skip


def fit(
    model,
    split,
    num_steps,
    batch_size=128,
    learning_rate=1e-3,
    seed=0,
    epochs=1,
    decay=True,
    callbacks=(),
    **options,
):
    """Train with Adam, the learning rate falling to 0 along a cosine.

    **Changes `model`**; zeros that it holds stay.

    Args:
        num_steps: optimizer steps, in `epochs` equal parts.
        decay: False keeps the learning rate as it is.
        callbacks: Keras' callbacks. Those that look at steps see every one,
            or one in `frequency` if they have an attribute of that name.
        options: go to Keras' `fit`, whose history is returned.

    Raises:
        ValueError: a model, split or setting that cannot be trained with.
            Nothing is changed then.
    """
    require_steps(num_steps, epochs)
    _require_settings(batch_size, learning_rate, seed, callbacks)
    require_split(model, split)
    per_epoch = num_steps // epochs
    if decay:
        learning_rate = keras.optimizers.schedules.CosineDecay(
            learning_rate, num_steps
        )
    model.compile(
        _adam(learning_rate),
        loss_of(model),
        metrics=["accuracy"],
        steps_per_execution=_steps_per_call(per_epoch, callbacks),
    )
    model.optimizer.build(model.trainable_variables)  # half the compile time
    order = batch_order(split, num_steps, batch_size, seed)
    return model.fit(
        _stream(split, order),
        epochs=epochs,
        steps_per_epoch=per_epoch,
        verbose=0,
        shuffle=False,  # `batch_order` has done it
        callbacks=list(callbacks),
        **options,
    )


def batch_order(split, num_steps, batch_size, seed):
    """Which training images each step sees: shape (num_steps, batch_size).

    Every image comes once before any comes twice.
    """
    masking.require_count("num_steps", num_steps)
    _require_settings(batch_size, seed=seed)
    size, needed = len(split.x_train), num_steps * batch_size
    random = np.random.default_rng(seed)
    epochs = [random.permutation(size) for _ in range(-(-needed // size))]
    return np.concatenate(epochs)[:needed].reshape(num_steps, batch_size)


def require_steps(num_steps, epochs):
    """Raise a ValueError unless `epochs` equal parts make `num_steps`."""
    masking.require_count("num_steps", num_steps)
    masking.require_count("epochs", epochs)
    if num_steps % epochs:
        raise ValueError(
            f"`num_steps` is a positive multiple of `epochs` ({epochs}); "
            f"got {num_steps}. Pass e.g. {epochs * (num_steps // epochs + 1)}."
        )


def require_split(model, split):
    """Raise a ValueError unless `model` can learn from the training rows."""
    if not (hasattr(split, "x_train") and hasattr(split, "y_train")):
        raise ValueError(
            f"Expected a `datasets.Split`, got {type(split).__name__}. Pass "
            'e.g. `datasets.load("mnist")`.'
        )
    model = getattr(model, "student", model)
    staging.require_built(model)
    x = staging.require_rows(model, split.x_train)
    staging.require_labels(model, x, split.y_train)
    if not np.isfinite(x.min() + x.max()):
        raise ValueError(
            "`x_train` has NaN or infinite entries, from which nothing can be "
            "learned. Pass rows of finite numbers."
        )


def _require_settings(batch_size, learning_rate=1e-3, seed=0, callbacks=()):
    masking.require_count("batch_size", batch_size)
    masking.require_count("seed", seed, least=0)
    if not (masking.is_number(learning_rate) and learning_rate > 0):
        raise ValueError(
            "`learning_rate` is a number above 0; got "
            f"{learning_rate!r}. Pass e.g. 1e-3."
        )
    kind = keras.callbacks.Callback
    several = isinstance(callbacks, list | tuple)
    if not (several and all(isinstance(c, kind) for c in callbacks)):
        raise ValueError(
            f"`callbacks` is a list of Keras callbacks; got {callbacks!r}. "
            "Pass e.g. `[checking.RevivedWeights(masks)]`."
        )


def loss_of(model):
    """Cross-entropy: of one sigmoid output, or of a logit for each class.

    Of a `keras.distillation.Distiller`, its student's.
    """
    model = getattr(model, "student", model)
    if model.output_shape[-1] == 1:
        return keras.losses.BinaryCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def progress(items, label, total=None):
    """A progress bar over `items`, on stdout, where notebooks keep it."""
    return tqdm(items, label, total, file=sys.stdout, ncols=96, mininterval=0.5)


class ProgressBar(keras.callbacks.Callback):
    """One progress bar over all epochs, with the accuracy so far."""

    def __init__(self, label, epochs):
        super().__init__()
        self.bar = progress(range(epochs), label)

    def on_epoch_end(self, epoch, logs=None):
        """Move the bar by one epoch."""
        shown = f"validation accuracy {logs['val_accuracy']:.4f}"
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update()

    def on_train_end(self, logs=None):
        """Leave the full bar behind."""
        self.bar.close()


def _steps_per_call(per_epoch, callbacks):
    """Ten, which is faster, unless somebody has to look in between."""
    frequencies = [
        getattr(callback, "frequency", 1)
        for callback in callbacks
        if any(_overrides(callback, name) for name in STEP_METHODS)
    ]
    return math.gcd(per_epoch, 10, *frequencies)


def _overrides(callback, name):
    method = getattr(callback, name)
    plain = getattr(keras.callbacks.Callback, name)
    return getattr(method, "__func__", method) is not plain


def _adam(learning_rate):
    """Keras' Adam on one device, in one pass over the weights.

    Summing gradients over devices leaves a reference to every compiled step
    in a list that TensorFlow never empties: 40 MB a fit for our network. Not
    a class of its own, so that saved models can be loaded anywhere.
    """
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs
    optimizer.update_step = functools.partial(_adam_step, optimizer)
    return optimizer


def _adam_step(adam, gradient, variable, learning_rate):
    """TensorFlow's own Adam: Keras' formula, at half the time.

    Keras' is twelve operations, each of which reads all weights again.
    """
    number = adam._get_variable_index(variable)
    step = tf.cast(adam.iterations + 1, variable.dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=adam._momentums[number].value.handle,
        v=adam._velocities[number].value.handle,
        beta1_power=tf.pow(adam.beta_1, step),
        beta2_power=tf.pow(adam.beta_2, step),
        lr=learning_rate,
        beta1=adam.beta_1,
        beta2=adam.beta_2,
        epsilon=adam.epsilon,
        grad=gradient,
    )


def _stream(split, order):
    """The batches as a dataset that is not tuned as it runs.

    The threads that tune it would outlive each `fit` by seconds.
    """
    x, y = np.asarray(split.x_train), np.ravel(split.y_train)
    options = tf.data.Options()
    options.autotune.enabled = False
    return (
        tf.data.Dataset.from_generator(
            lambda: ((x[rows], y[rows]) for rows in order),
            output_signature=(
                tf.TensorSpec((None, *x.shape[1:]), x.dtype),
                tf.TensorSpec((None,), y.dtype),
            ),
        )
        .prefetch(2)
        .with_options(options)
    )
