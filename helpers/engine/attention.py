"""Layers that multiply tensors with each other: attention, products."""

import inspect
import math

import numpy as np

from helpers.engine.backend import keras, view
from helpers.engine.steps import Flow, Step, _ByUnit, product

L = keras.layers
OPERATIONS = keras.src.ops.numpy.Matmul, keras.src.ops.numpy.Einsum


class _Heads(Step):
    """Attention whose heads are units: each may go as a whole."""

    @classmethod
    def claims(cls, layer, takes, makes):
        gated = getattr(layer, "_use_gate", False)
        return isinstance(layer, L.MultiHeadAttention) and not gated

    def parts(self):
        """The layers inside, by name; the last reads what heads give."""
        names = ("query", "key", "value", "output")
        return {n: getattr(self.layer, f"_{n}_dense") for n in names}

    def kernels(self):
        parts = self.parts().items()
        return {f"{self.name}/{name}": part.kernel for name, part in parts}

    def number(self, trace):
        *inner, outer = self.parts().values()
        heads = trace.fresh(self.layer.num_heads)
        self.heads = trace.label(outer.kernel, 0, heads)
        mask = self.given().get("attention_mask")
        by_head = mask is not None and mask.shape[3:] and mask.shape[-3] != 1
        if by_head or len(self.makes) > 1:  # somebody speaks of each head
            trace.hold(heads, str(self))
        for part in inner:
            trace.label(part.kernel, 1, heads, own=True)
            trace.label(part.bias, 0, heads, own=True)
        return super().number(trace)

    def given(self):
        """What it is called on, by name."""
        args, kwargs = self.call
        call = inspect.signature(self.layer.call)
        return call.bind(*args, **kwargs).arguments

    def wanted_heads(self):
        """Heads that give something, of which something is read."""
        _, _, value, output = self.parts().values()
        given = view(value.kernel).any(axis=(0, 2))
        if value.bias is not None:
            given |= view(value.bias).any(axis=1)
        return given & view(output.kernel).any(axis=(1, 2))

    def changes(self, kept):
        return {"num_heads": int(kept[self.heads.units].sum())}

    def macs(self):
        """Projections of all places, and of each two a product, used twice."""
        given = self.given()
        asks, answers = (
            product(self.layer, given[name].shape[1:-1])
            for name in ("query", "value")
        )
        read, axes = given["value"].shape, self.layer._attention_axes
        met = math.prod(read[axis] for axis in axes)  # by each that asks
        shapes = [part.kernel.shape for part in self.parts().values()]
        query, key, value, output = map(math.prod, shapes)
        pairs = math.prod(shapes[1][1:]) + math.prod(shapes[2][1:])
        projections = asks * (query + output) + answers * (key + value)
        return projections + asks * met * pairs


class _Product(_ByUnit):
    """Of two tensors, or of one and an array: sums over what both have."""

    @classmethod
    def claims(cls, layer, takes, makes):
        kinds = L.Attention, L.AdditiveAttention, L.Dot, *OPERATIONS
        return isinstance(layer, kinds)

    def macs(self):
        """As many as numbers come out, times the length that is summed."""
        given = keras.tree.flatten(self.call)
        given = [x for x in given if hasattr(x, "shape")]
        layer, (one, other, *_) = self.layer, given
        if isinstance(layer, L.AdditiveAttention):
            return None
        if isinstance(layer, L.Attention):  # the scores, and what they weigh
            ends = one.shape[-1] + other.shape[-1]
            sizes = one.shape[-2], other.shape[-2], ends
            return product(layer, sizes)
        if isinstance(layer, OPERATIONS[1]):
            return self._lengths(layer.subscripts, given)
        axis = np.ravel(getattr(layer, "axes", -1))[0]
        return product(layer, (*self.shape[1:], one.shape[axis]))

    def _lengths(self, equation, given):
        """The product of all lengths of an einsum, but that of the batch."""
        letters = equation.replace(" ", "").split("->")[0].split(",")
        if "." in equation:
            return None
        lengths = {}
        for names, x in zip(letters, given, strict=False):
            first = 1 if isinstance(x, Flow) else x.shape[0]
            lengths |= zip(names, (first, *x.shape[1:]), strict=True)
        return product(self.layer, lengths.values())


KINDS = _Heads, _Product
