"""What makes training faster and changes no number: all of it could go."""

import functools
import math

from helpers.engine.backend import keras, tf

STEP_METHODS = ("on_train_batch_begin", "on_train_batch_end",
                "on_batch_begin", "on_batch_end")  # fmt: skip


def adam(learning_rate, model):
    """Keras' Adam, in one pass over the weights where there is one device.

    Summing gradients over devices leaves a reference to every compiled step
    in a list that TensorFlow never empties: 40 MB a fit for our network. Not
    a class of its own, so that saved models can be loaded anywhere.
    """
    optimizer = keras.optimizers.Adam(learning_rate)
    if _on_one_device(model):
        optimizer._all_reduce_sum_gradients = lambda pairs: pairs
        optimizer.update_step = functools.partial(_adam_step, optimizer)
    return optimizer


def _adam_step(adam, gradient, variable, learning_rate):
    """TensorFlow's own Adam: Keras' formula, at half the time.

    Keras' is twelve operations, each of which reads all weights again.
    """
    sparse = isinstance(gradient, tf.IndexedSlices)  # of an Embedding
    if sparse or variable.dtype != "float32":
        plain = keras.optimizers.Adam.update_step
        return plain(adam, gradient, variable, learning_rate)
    number = adam._get_variable_index(variable)
    step = tf.cast(adam.iterations + 1, variable.dtype)
    return tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=adam._momentums[number].value.handle,
        v=adam._velocities[number].value.handle,
        beta1_power=tf.pow(adam.beta_1, step),
        beta2_power=tf.pow(adam.beta_2, step),
        lr=tf.cast(learning_rate, variable.dtype),
        beta1=adam.beta_1,
        beta2=adam.beta_2,
        epsilon=adam.epsilon,
        grad=gradient,
    )


def steps_per_call(per_epoch, callbacks, model):
    """Ten, which is faster, unless somebody has to look in between."""
    if not _on_one_device(model):
        return 1
    frequencies = [
        getattr(callback, "frequency", 1)
        for callback in callbacks
        if _looks_at_steps(callback)
    ]
    return math.gcd(per_epoch, 10, *frequencies)


def _on_one_device(model):
    return model.distribute_strategy.num_replicas_in_sync == 1


def _looks_at_steps(callback):
    plain = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, name), "__func__", None)
        is not getattr(plain, name)
        for name in STEP_METHODS
    )


def stream(x, y, order):
    """Batches of the rows in `order`, as a dataset not tuned as it runs.

    The threads that tune it would outlive each `fit` by seconds.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    signature = (
        tf.TensorSpec((None, *x.shape[1:]), x.dtype),
        tf.TensorSpec((None, *y.shape[1:]), y.dtype),
    )
    batches = tf.data.Dataset.from_generator(
        lambda: ((x[rows], y[rows]) for rows in order),
        output_signature=signature,
    )
    return batches.prefetch(2).with_options(options)
