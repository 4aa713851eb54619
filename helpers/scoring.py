"""Scores of weights that look at data, too: at inputs, or at the loss."""

import numpy as np

from helpers import fitting
from helpers.engine import endings
from helpers.engine.backend import tf, view
from helpers.engine.doors import INPUTS, MODEL, ROWS, door
from helpers.engine.readers import Reader
from helpers.engine.tracing import call, trace


@door(model=MODEL, x=INPUTS)
def wanda_scores(model, x):
    """Score each weight by |w| times how strong its input is.

    That is the root mean square of what it multiplies, over the inputs `x`
    and all positions (Wanda, Sun et al., 2024). Returns arrays of the shapes
    of `pruning.prunable_kernels(model)`, as far as these are of Dense layers
    and convolutions.
    """
    known, sums, counts = trace(model), {}, {}
    prunable = known.some_kernels()
    readers = {
        step: step.name
        for step in known.steps
        if isinstance(step, Reader) and step.name in prunable
    }
    for tensors in known.feed(x):
        for step in known.walk(tensors):
            if name := readers.get(step):
                read = np.asarray(tensors[step.takes[0]], np.float64)
                read = read.reshape(-1, read.shape[-1])
                sums[name] = sums.get(name, 0) + np.sum(read**2, axis=0)
                counts[name] = counts.get(name, 0) + len(read)
    return {
        name: _times_inputs(step, np.sqrt(sums[name] / counts[name]))
        for step, name in readers.items()
    }


def _times_inputs(step, strengths):
    """|w|, times the strength at its place on the axis of what is read."""
    kernel, (axis, _) = view(step.kernel), step.axes
    strengths = np.repeat(strengths, kernel.shape[axis] // len(strengths))
    others = [n for n in range(kernel.ndim) if n != axis]
    return np.abs(kernel) * np.expand_dims(strengths, others)


@door(model=MODEL, x=INPUTS, y=ROWS)
def taylor_scores(model, x, y):
    """Score each weight by how much the loss seems to change without it.

    To first order that is |w * gradient|, of the mean loss over the rows `x`
    with labels `y` (Molchanov et al., 2019, with squares). Of a network that
    is not trained yet, this is SNIP (Lee et al., 2019).
    """
    known, loss, start = trace(model), fitting.loss_of(model), 0
    kernels = known.some_kernels()
    sums = {name: 0.0 for name in kernels}
    variables = [kernel.value for kernel in kernels.values()]
    for tensors in known.feed(x):
        labels = y[start:][: len(next(iter(tensors.values())))]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            said = call(model, tensors)[0]
            labels = endings.labels(labels, said.shape)
            cost = loss(labels, said) * len(labels)
        slopes = tape.gradient(cost, variables, unconnected_gradients="zero")
        for name, slope in zip(kernels, slopes, strict=True):
            sums[name] = sums[name] + np.asarray(tf.convert_to_tensor(slope))
        start += len(labels)
    return {
        name: np.abs(view(kernel) * sums[name] / start)
        for name, kernel in kernels.items()
    }
