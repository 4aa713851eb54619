"""TensorFlow and Keras, imported without the messages of their C++ parts."""

import contextlib
import gc
import os
import signal
import threading

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


_STREAMS = threading.RLock()


@contextlib.contextmanager
def quiet():
    """Drop what C++ code writes to the process's own stdout and stderr.

    One thread at a time: another would keep the null device for the stream.
    """
    with _STREAMS:
        kept = {number: os.dup(number) for number in (1, 2)}
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            for number in kept:
                os.dup2(null, number)
            yield
        finally:
            os.close(null)
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)


@contextlib.contextmanager
def unbroken():
    """Put an interrupt off to the end: half an import cannot be repeated."""
    if threading.current_thread() is not threading.main_thread():
        yield  # interrupts come to the main thread only
        return
    came = []
    before = signal.signal(signal.SIGINT, lambda *what: came.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


with unbroken(), quiet():  # no variable hides TensorFlow's first lines
    import keras
    import tensorflow as tf

    tf.constant(0.0)  # starting the eager context writes some more
tf.get_logger().setLevel("ERROR")
gc.freeze()  # what was imported is no garbage: collections take 1 ms, not 300


def view(variable):
    """The values that `variable` has now: a read-only array, not copied.

    TensorFlow gives a variable that changes later a memory of its own.
    """
    tensor = variable.value.read_value()
    if tensor.dtype == tf.bfloat16:  # of which no memory can be shared
        return tensor.numpy()
    return np.asarray(memoryview(tensor))


def is_stock(layer):
    """Whether it is one of Keras' own."""
    return type(layer).__module__.startswith("keras.")


__all__ = ["is_stock", "keras", "quiet", "tf", "view"]
