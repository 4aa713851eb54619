"""Train a Keras model for a number of steps, the same way every time."""

import dataclasses

import numpy as np

from helpers.engine import endings, fast
from helpers.engine.backend import keras
from helpers.engine.doors import COUNT, MODEL, RATE, SEED, SPLIT, door
from helpers.engine.tracing import trace


def _learner(model):
    """Of a `keras.distillation.Distiller` its student, else the model."""
    return getattr(model, "student", model)


LEARNER = dataclasses.replace(MODEL, fits=lambda m: MODEL.fits(_learner(m)))


@door(model=LEARNER, split=SPLIT, num_steps=COUNT, batch_size=COUNT,
      learning_rate=RATE, seed=SEED, epochs=COUNT)  # fmt: skip
def fit(
    model, split, num_steps, batch_size=128, learning_rate=1e-3, seed=0,
    epochs=1, decay=True, callbacks=(), **options,
):  # fmt: skip
    """Train with Adam, the learning rate falling to 0 along a cosine.

    **Changes `model`**; zeros that it holds stay.

    Args:
        num_steps: optimizer steps, in `epochs` equal parts.
        decay: False keeps the learning rate as it is.
        callbacks: Keras' callbacks. Those that look at steps see every one,
            or one in `frequency` if they have an attribute of that name.
        options: go to Keras' `fit`, whose history is returned.
    """
    if num_steps % epochs:
        raise ValueError(
            f"`num_steps` is a multiple of `epochs` ({epochs}); got "
            f"{num_steps}. Pass e.g. {epochs * (num_steps // epochs + 1)}."
        )
    per_epoch, callbacks = num_steps // epochs, keras.tree.flatten(callbacks)
    rows = _rows(_learner(model), split)
    if decay:
        schedules = keras.optimizers.schedules
        learning_rate = schedules.CosineDecay(learning_rate, num_steps)
    at_once = fast.steps_per_call(per_epoch, callbacks, model)
    _compile(model, learning_rate, at_once)
    order = batch_order(split, num_steps, batch_size, seed)
    return model.fit(
        fast.stream(*rows, order), epochs=epochs, steps_per_epoch=per_epoch,
        callbacks=callbacks, shuffle=False, verbose=0, **options,
    )  # fmt: skip


def _compile(model, learning_rate, steps_per_call):
    with model.distribute_strategy.scope():  # one device, or several
        loss, accuracy = _judges(_learner(model))
        model.compile(
            fast.adam(learning_rate, model),
            loss,
            metrics=[accuracy],
            steps_per_execution=steps_per_call,
        )
        # Once for all, not as a part of the step: half the compile time.
        model.optimizer.build(model.trainable_variables)


@door(split=SPLIT, num_steps=COUNT, batch_size=COUNT, seed=SEED)
def batch_order(split, num_steps, batch_size, seed):
    """Which training images each step sees: shape (num_steps, batch_size).

    Every image comes once before any comes twice.
    """
    size, needed = len(split.x_train), num_steps * batch_size
    random = np.random.default_rng(seed)
    epochs = [random.permutation(size) for _ in range(-(-needed // size))]
    return np.concatenate(epochs)[:needed].reshape(num_steps, batch_size)


@door(model=LEARNER)
def loss_of(model):
    """Cross-entropy, of logits or probabilities, whichever come out.

    One output tells two classes apart.
    """
    return _judges(_learner(model))[0]


def _judges(model):
    """The loss and the accuracy that belong to what comes out."""
    endings.require_one_output(model)
    logits = not endings.gives_probabilities(model)
    kind, accuracy = keras.losses.SparseCategoricalCrossentropy, "accuracy"
    if model.outputs[0].shape[-1] == 1:
        kind = keras.losses.BinaryCrossentropy
        above = 0.0 if logits else 0.5  # for Keras, 0.5 in either case
        accuracy = keras.metrics.BinaryAccuracy("accuracy", threshold=above)
    return kind(from_logits=logits, dtype="float32"), accuracy


def _rows(model, split):
    """Training rows and their labels, if `model` can learn from them."""
    endings.require_one_output(model)
    next(trace(model).feed(split.x_train, rows=1))  # or refuse its shape
    x = np.asarray(split.x_train)
    if not np.isfinite(x).all():
        raise ValueError(
            "`x_train` has NaN or infinite entries, from which nothing can be "
            "learned. Pass rows of finite numbers."
        )
    shape = (len(x), *model.outputs[0].shape[1:])
    return x, endings.labels(split.y_train, shape)
