"""Our work in a process of its own, and what a reader would write instead."""

import threading

import numpy as np
import psutil
from peers import random_weights

from helpers import masking


def masks(size):
    """`masking` zeroes exactly 90 % of one layer."""
    kernels = {"layer": random_weights(int(size))}

    def run():
        scores = masking.magnitude_scores(kernels)
        mask = masking.layerwise_masks(scores, 0.9)["layer"]
        return mask.size - int(np.count_nonzero(mask))

    return run


def sorted_masks(size):
    """A sort finds the cut, and the first of those at the cut go as well."""
    weights = random_weights(int(size))

    def run():
        scores = np.abs(weights)
        cut = np.sort(scores)[round(0.9 * scores.size) - 1]
        mask = scores > cut
        surplus = scores.size - round(0.9 * scores.size) - mask.sum()
        ties = np.flatnonzero(scores == cut)
        mask[ties[ties.size - surplus :]] = True
        return mask.size - int(np.count_nonzero(mask))

    return run


def partition(size):
    """The least that finds the cut: no mask, and ties at either side."""
    weights = random_weights(int(size))

    def run():
        number = round(0.9 * weights.size)
        np.partition(np.abs(weights), number - 1)
        return number

    return run


def resnet(depth=50):
    """ResNet with random statistics in its normalizations; logits out."""
    from helpers.engine.backend import keras

    build = getattr(keras.applications, f"ResNet{depth}")
    model = build(
        weights=None, input_shape=(64, 64, 3), classifier_activation=None
    )
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weights.shape for weights in layer.weights]
            layer.set_weights([random.uniform(0.5, 1.5, s) for s in shapes])
    return model


def half_of_resnet():
    """Half of every group cut out of a copy, the graph traced anew."""
    from helpers import compacting, pruning
    from helpers.engine import tracing

    model = resnet()

    def run():
        tracing._KNOWN.clear()
        small = compacting.compact(pruning.prune_units(model, 0.5))
        return sum(int(np.prod(w.shape)) for w in small.trainable_weights)

    return run


def difference():
    """Of outputs to those with zeros instead, relative to the largest."""
    from helpers import compacting, pruning

    masked = pruning.prune_units(resnet(), 0.5)
    small = compacting.compact(masked)

    def run():
        images = np.random.default_rng(0).normal(size=(8, 64, 64, 3))
        given, expected = (np.asarray(net(images)) for net in (small, masked))
        return float(np.abs(given - expected).max() / np.abs(expected).max())

    return run


def memory_of_compact():
    """What `compact` takes at most, over the weights of what it is given."""
    from helpers import compacting, pruning

    masked = pruning.prune_units(resnet(), 0.5)
    weights = 4 * masked.count_params()

    def run():
        return peak_of(lambda: compacting.compact(masked)) / weights

    return run


def peak_of(call):
    """Bytes of this process that `call` adds at most, seen from a thread.

    TensorFlow's are among them, which `tracemalloc` does not know.
    """
    process, ended = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def watch():
        while not ended.wait(0.001):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        call()
    finally:
        ended.set()
        thread.join()
    return max(seen) - seen[0]
