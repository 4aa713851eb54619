"""A step: one call of a layer, and what that does with units.

A layer that no kind claims mixes units: it keeps all that it reads and all
that it gives, at full size. Kinds that have weights are in `readers`.
"""

import contextlib
import math

import numpy as np

from helpers.engine import asking
from helpers.engine.backend import is_stock, keras, tf

PROBE = 16  # places along an axis that has no fixed length
L = keras.layers
RECURRENT = L.LSTM, L.GRU, L.SimpleRNN
# Operations of Keras' that multiply by what is no weight.
MULTIPLYING = (
    "Dot", "Tensordot", "Inner", "Vdot", "DotProductAttention", "Conv",
    "DepthwiseConv", "SeparableConv", "ConvTranspose",
)  # fmt: skip


class Flow(keras.KerasTensor):
    """A tensor between two steps: its shape, its type and its units.

    Attributes:
        units: their numbers, along the last axis.
        makers: names of the layers with kernels that it comes from.
    """

    units, makers = None, frozenset()

    @property
    def size(self):
        """The length of the last axis; 0 where there is none, or any."""
        return (self.shape[1:] or [0])[-1] or 0


class Step:
    """A call of something that mixes units, or that nobody knows.

    Attributes:
        layer, name: what is called; behind the models that it is nested in.
        call: the arguments, with flows for tensors.
        takes, makes: the flows that go in and come out.
        shape: of the first that comes out.
        heads: the label of an attention's heads, each of which may go.
    """

    heads = None

    def __init__(self, layer, name, call, makes):
        self.layer, self.name, self.call, self.makes = layer, name, call, makes
        arguments = keras.tree.flatten(call)
        self.takes = [flow for flow in arguments if isinstance(flow, Flow)]
        self.shape = makes[0].shape

    @classmethod
    def claims(cls, layer, takes, makes):
        """Whether this is the kind of a layer between these flows."""
        return True

    def __str__(self):
        """Its name and what it is."""
        return f"{self.name} ({type(self.layer).__name__})"

    def run(self, tensors):
        """What the layer predicts of the tensors that it takes, by flow."""
        args, kwargs = keras.tree.map_structure(
            lambda x: tensors[x] if isinstance(x, Flow) else x, self.call
        )
        if getattr(self.layer, "_call_has_training_arg", False):
            kwargs["training"] = False  # as in `predict`, whatever was said
        with keras.StatelessScope():  # of layers that remember what they saw
            return keras.tree.flatten(self.layer(*args, **kwargs))

    def borrowed(self):
        """Variables that it uses and that are no weights of it."""
        given = keras.tree.flatten(self.call)
        given = [x for x in given if isinstance(x, keras.Variable)]
        own = isinstance(self.layer, L.Lambda) or not is_stock(self.layer)
        if given or not own or getattr(self.layer, "weights", ()):
            return given
        zeros = {x: tf.zeros(full_shape(x), x.dtype) for x in self.takes}
        with tf.GradientTape() as tape, contextlib.suppress(Exception):
            self.run(zeros)
        return tape.watched_variables()

    def kernels(self):
        """From name to the variables whose weights may be pruned."""
        return {}

    def matrices(self):
        """All variables of two axes or more: what might be pruned."""
        weights = getattr(self.layer, "weights", ())
        others = "bias", "gamma", "beta"
        return [w for w in weights if len(w.shape) > 1 and w.name not in others]

    def number(self, trace):
        """Label the layer's variables; returns the units of what comes out."""
        for flow in self.takes:
            trace.hold(flow.units, str(self))
        return [trace.hold(trace.fresh(x.size), str(self)) for x in self.makes]

    def constant(self, places, tensors):
        """Of each flow taken, which places are constant -> of those made.

        `tensors` have their values there.
        """
        every = all(p.all() for p in places)
        return [np.full(flow.size, every) for flow in self.makes]

    def changes(self, kept):
        """What changes in the layer's configuration if these units stay."""
        return {}

    def macs(self):
        """Multiply-accumulates for one image; None where nobody knows."""
        if isinstance(self.layer, RECURRENT):  # all weights, at every time
            times = product(self.layer, self.takes[0].shape[1:2])
            return times * sum(math.prod(w.shape) for w in self.matrices())
        unknown = self.matrices() or type(self.layer).__name__ in MULTIPLYING
        return None if unknown else 0


class _Moved(Step):
    """The same numbers elsewhere: Concatenate, Flatten, Reshape."""

    @classmethod
    def claims(cls, layer, takes, makes):
        if type(layer).__name__ == "Concatenate":
            return layer.axis in (-1, len(takes[0].shape) - 1)
        old, new = takes[0].size, makes[0].size
        whole = old and new and new % old == 0
        moves = isinstance(layer, L.Flatten | L.Reshape)
        return moves and whole and channels_last(layer)

    def number(self, trace):
        return [self._moved([flow.units for flow in self.takes])]

    def constant(self, places, tensors):
        return [self._moved(places)]

    def _moved(self, parts):
        """One after the other, or again for each position."""
        return np.resize(np.concatenate(parts), self.makes[0].size)

    def changes(self, kept):
        if not isinstance(self.layer, L.Reshape):
            return {}
        *before, last = self.layer.target_shape
        units = last if last == -1 else int(kept[self.makes[0].units].sum())
        return {"target_shape": (*before, units)}


class _ByUnit(Step):
    """What gives the same half of the units when it is given half of them.

    Activations, pooling, padding, dropout, sums, products, functions of the
    reader's own: each is asked, on random numbers. The units of tensors that
    meet are tied, place by place; what is spread over them, such as a gate or
    a mask, is held.
    """

    joins = False

    @classmethod
    def claims(cls, layer, takes, makes):
        # A Masking tells what follows where all units are one value.
        alone = len(makes) == 1 and not getattr(layer, "weights", ())
        whole = isinstance(layer, L.Masking) or _knows_its_width(layer)
        return alone and not whole

    def number(self, trace):
        size = self.makes[0].size
        many = [flow.units for flow in self.takes if flow.size == size]
        spread = [flow for flow in self.takes if flow.size != size]
        alone = many and len(self.makes) == 1
        if not (alone and self._works_by_unit()):
            return Step.number(self, trace)
        self.joins = True
        for flow in spread:
            trace.hold(flow.units, str(self))
        return [trace.tie(*many)]

    def _works_by_unit(self):
        # Each flow once: of x * x, one. Two images have places enough.
        flows = list(dict.fromkeys(self.takes))
        rows = 2 if any(flow.shape[2:] for flow in flows) else PROBE

        def function(*arrays):
            pairs = zip(flows, arrays, strict=True)
            given = {x: asking.as_mask(array, x.dtype) for x, array in pairs}
            return self.run(given)[0]

        return asking.works_by_unit(
            function, [full_shape(x, rows) for x in flows]
        )

    def constant(self, places, tensors):
        """Where no unit varies, whatever is spread over them: zeros, gated."""
        size = self.makes[0].size
        if not (self.joins and size):
            return Step.constant(self, places, tensors)
        known = dict(zip(self.takes, places, strict=True))
        same = np.all([p for x, p in known.items() if x.size == size], axis=0)
        spread = {x: p for x, p in known.items() if x.size != size}
        if spread and same.any():
            fillings = asking.fillings(spread, tensors)
            first, *others = (self.run({**tensors, **x})[0] for x in fillings)
            for said in others:
                equal = np.asarray(said == first).reshape(-1, size)
                same = same & equal.all(axis=0)
        return [same]


def full_shape(flow, rows=1):
    """The shape of a flow, with a number for all that is not fixed."""
    first, *others = flow.shape
    return first or rows, *(n or PROBE for n in others)


def _knows_its_width(layer):
    """Whether it was told, or a reader's own may have noted it in `build`."""
    *_, noise = getattr(layer, "noise_shape", None) or [None]
    if noise not in (None, 1) or getattr(layer, "_output_shape", None):
        return True
    build = getattr(type(layer), "build", L.Layer.build)
    return not is_stock(layer) and build is not L.Layer.build


def product(layer, lengths):
    """Of all lengths; a ValueError where one is not fixed."""
    if None in lengths:
        raise ValueError(
            f"Layer {layer.name!r} works on a size that is not fixed. Pass a "
            "model whose `Input` has a fixed shape."
        )
    return math.prod(lengths)


def channels_last(layer):
    """Whether units lie on the last axis, as far as the layer says."""
    return getattr(layer, "data_format", None) != "channels_first"


# The first that claims a layer has it. Less is known of a reader's own.
KINDS = _Moved, _ByUnit, Step
FOREIGN = _ByUnit, Step
