"""A step: one call of a layer, and what that does with units.

A layer that no kind claims mixes units: it keeps all that it reads and all
that it gives, at full size. Kinds that know more are in `readers`, which make
new units, and `carriers`, which pass them on.
"""

import numpy as np

from helpers.engine.backend import keras

PROBE = 16  # places along an axis that has no fixed length
SOME = slice(0, None, 2), slice(1, None, 2), slice(0, -1)  # units of many


class Step:
    """A call of something that mixes units, or that nobody knows.

    Attributes:
        layer, name: what is called; behind the models that it is nested in.
        node: of Keras' graph, with the arguments.
        takes, makes: numbers of the tensors that go in and come out.
        reads, gives: of each of them, the units on its last axis.
        shapes, shape: of those that go in, and of the first that comes out.
        sizes: of those that come out, the length of the last axis.
        kernel: what mixes the units it reads into new ones, or None.
    """

    kernel = heads = None

    def __init__(self, layer, name, node, takes, inputs, outputs):
        self.layer, self.name, self.node, self.takes = layer, name, node, takes
        self.reads = [tensor.units for tensor in inputs]
        self.shapes = [tensor.spec.shape for tensor in inputs]
        self.shape = outputs[0].shape
        self.sizes = [(x.shape[1:] or [0])[-1] or 0 for x in outputs]
        self.makes, self.gives = [], []

    @classmethod
    def claims(cls, layer, shapes):
        """Whether this is the kind of a layer that takes these shapes."""
        return True

    def __str__(self):
        """Its name and what it is."""
        return f"{self.name} ({type(self.layer).__name__})"

    def run(self, tensors):
        """What the layer predicts of those of `tensors` that it takes."""
        taken = [tensors[number] for number in self.takes]
        args, kwargs = arguments(self.node, taken)
        if getattr(self.layer, "_call_has_training_arg", False):
            kwargs["training"] = False  # as in `predict`, whatever was said
        with keras.StatelessScope():  # of layers that remember what they saw
            return keras.tree.flatten(self.layer(*args, **kwargs))

    def kernels(self):
        """From name to the variables whose weights may be pruned."""
        return {} if self.kernel is None else {self.name: self.kernel}

    def matrices(self):
        """All variables of two axes or more: what might be pruned."""
        weights = getattr(self.layer, "weights", ())
        return [w for w in weights if len(w.shape) > 1]

    def number(self, trace):
        """Label the layer's variables; returns the units of what comes out."""
        for units in self.reads:
            trace.hold(units, str(self))
        return [trace.hold(trace.fresh(n), str(self)) for n in self.sizes]

    def constant(self, inputs, values):
        """Of each input, which places are constant -> the same of outputs."""
        every = all(places.all() for places in inputs)
        return [np.full(size, every) for size in self.sizes]

    def changes(self, kept):
        """What changes in the layer's configuration if these units stay."""
        return {}

    def macs(self):
        """Multiply-accumulates for one image; None where nobody knows."""
        return None if self.matrices() else 0


def arguments(node, values):
    """Those of a call, with these values for its tensors."""
    pairs = zip(map(id, node.input_tensors), values, strict=True)
    return node.arguments.fill_in(dict(pairs))


def works_by_unit(function, shapes):
    """Whether some of the units in give the same ones of the units out.

    And whether deleted ones, which are zero, give numbers.
    """
    random = np.random.default_rng(0)
    size = max(shape[-1] for shape in shapes)
    tensors = [random.standard_normal(shape, "float32") for shape in shapes]
    try:
        whole = np.asarray(function(*tensors))
        nothing = np.asarray(function(*map(np.zeros_like, tensors)))
        if not np.isfinite(nothing.astype(np.float64)).all():
            return False
        for some in SOME if size > 1 else ():
            parts = [
                t[..., some] if t.shape[-1] == size else t for t in tensors
            ]
            expected, given = whole[..., some], np.asarray(function(*parts))
            if expected.shape != given.shape or not np.allclose(
                expected, given, 1e-4, 1e-5, equal_nan=True
            ):
                return False
    except Exception:  # it cannot do with half of them, for whatever reason
        return False
    return whole.shape[-1:] == (size,)
