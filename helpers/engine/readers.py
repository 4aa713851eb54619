"""Layers with kernels: they read units and give new ones."""

import math

import numpy as np

from helpers.engine.backend import keras, view
from helpers.engine.steps import Step, arguments, works_by_unit

L = keras.layers
CONVOLUTIONS = L.Conv1D, L.Conv2D, L.Conv3D
TRANSPOSED = L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose


class _Whole(Step):
    """Looks rows up, contracts other axes, works in groups: weights may go."""

    @classmethod
    def claims(cls, layer, shapes):
        kinds = L.Embedding, L.EinsumDense, L.Dense, *CONVOLUTIONS
        return isinstance(layer, kinds)

    def kernels(self):
        table = getattr(self.layer, "embeddings", None)
        return {self.name: self.layer.kernel if table is None else table}

    def macs(self):
        if isinstance(self.layer, L.Embedding):
            return 0
        if isinstance(self.layer, L.EinsumDense):
            return _einsum_macs(self.layer, self.shapes[0], self.shape)
        return at_each_position(self.layer.kernel, self.layer, self.shape)


class Reader(Step):
    """A Dense layer or a convolution: reads units and gives new ones."""

    @classmethod
    def claims(cls, layer, shapes):
        """With one group, and the units on the last axis."""
        if isinstance(layer, L.EinsumDense):
            read, kernel, out = _equation(layer)
            flat = layer.bias is None or len(layer.bias.shape) == 1
            plain = kernel == read[-1] + out[-1] and read[:-1] == out[:-1]
            return plain and flat
        plain = getattr(layer, "groups", 1) == 1 and channels_last(layer)
        return plain and isinstance(
            layer, (L.Dense, *CONVOLUTIONS, *TRANSPOSED)
        )

    @property
    def kernel(self):
        """A transposed convolution's ends in (units, inputs), others' not."""
        return self.layer.kernel

    @property
    def axes(self):
        """The kernel's axes of what is read and of the units."""
        rank = len(self.kernel.shape)
        transposed = isinstance(self.layer, TRANSPOSED)
        return (rank - 1, rank - 2) if transposed else (rank - 2, rank - 1)

    def number(self, trace):
        """New units; of a layer that is used again, the same."""
        (units,), (into, out) = self.reads, self.axes
        first, given = trace.first_use(self), trace.fresh(self.sizes[0])
        if first is self:
            times = self.kernel.shape[into] // max(1, len(units))
            trace.label(self.kernel, into, np.repeat(units, times))
            trace.label(self.kernel, out, given, own=True)
            trace.label(self.layer.bias, 0, given, own=True)
        else:
            trace.tie(first.reads[0], units)
            trace.tie(first.gives[0], given)
        return [activated(trace, self, given)]

    def matrix(self):
        """The kernel as (window, places that are read, units)."""
        kernel = np.moveaxis(view(self.kernel), self.axes, (-2, -1))
        return kernel.reshape(-1, *kernel.shape[-2:])

    def constant(self, inputs, values):
        """Units to which no weight leads from what varies."""
        return [~self.matrix()[:, ~inputs[0]].any(axis=(0, 1))]

    def wanted(self, kept):
        """Places from which a weight leads to a unit that stays."""
        return self.matrix()[:, :, kept[self.gives[0]]].any(axis=(0, 2))

    def folds(self):
        """Whether constants may go to the bias: not where edges see fewer."""
        padding = getattr(self.layer, "padding", "valid")
        padded = padding != "valid" or isinstance(self.layer, TRANSPOSED)
        return self.layer.bias is not None and not padded

    def changes(self, kept):
        """Fewer units or filters."""
        units, layer = int(kept[self.gives[0]].sum()), self.layer
        if isinstance(layer, L.EinsumDense):
            *before, _ = np.atleast_1d(layer.partial_output_shape).tolist()
            return {"output_shape": (*before, units)}
        return {"filters" if hasattr(layer, "filters") else "units": units}

    def macs(self):
        """The kernel's size at every position: of what a transposed reads."""
        if isinstance(self.layer, L.EinsumDense):
            return _einsum_macs(self.layer, self.shapes[0], self.shape)
        transposed = isinstance(self.layer, TRANSPOSED)
        shape = self.shapes[0] if transposed else self.shape
        return at_each_position(self.kernel, self.layer, shape)


class _Separable(Reader):
    """A depthwise convolution, then one of 1 x 1, in one layer."""

    @classmethod
    def claims(cls, layer, shapes):
        kinds = L.SeparableConv1D, L.SeparableConv2D
        return isinstance(layer, kinds) and channels_last(layer)

    @property
    def kernel(self):
        return self.layer.pointwise_kernel

    def number(self, trace):
        kernel = self.layer.depthwise_kernel
        trace.label(kernel, len(kernel.shape) - 2, self.reads[0])
        return super().number(trace)

    def matrix(self):
        kernel = view(self.kernel)  # reads each place several times
        kernel = kernel.reshape(len(self.reads[0]), -1, kernel.shape[-1])
        return kernel.swapaxes(0, 1)

    def folds(self):
        return False

    def macs(self):
        kernels = self.layer.depthwise_kernel, self.kernel
        each = (at_each_position(k, self.layer, self.shape) for k in kernels)
        return sum(each)


class _Heads(Step):
    """Attention whose heads are units: each may go as a whole."""

    @classmethod
    def claims(cls, layer, shapes):
        return isinstance(layer, L.MultiHeadAttention)

    def parts(self):
        names = ("query", "key", "value", "output")
        return {n: getattr(self.layer, f"_{n}_dense") for n in names}

    def kernels(self):
        parts = self.parts().items()
        return {f"{self.name}/{name}": part.kernel for name, part in parts}

    def number(self, trace):
        *inner, outer = self.parts().values()
        first = trace.first_use(self)
        if first is self:
            self.heads = trace.fresh(self.layer.num_heads)
            trace.label(outer.kernel, 0, self.heads)
            for part in inner:
                trace.label(part.kernel, 1, self.heads, own=True)
                trace.label(part.bias, 0, self.heads, own=True)
        self.heads = first.heads
        return super().number(trace)

    def wanted_heads(self):
        """Heads that give something, of which something is read."""
        _, _, value, output = self.parts().values()
        given = view(value.kernel).any(axis=(0, 2))
        if value.bias is not None:
            given |= view(value.bias).any(axis=1)
        return given & view(output.kernel).any(axis=(1, 2))

    def changes(self, kept):
        return {"num_heads": int(kept[self.heads].sum())}

    def macs(self):
        args, kwargs = arguments(self.node, self.shapes)
        names = "query", "value", "key"
        given = dict(zip(names, args, strict=False)) | kwargs
        query, value, key = (
            _product(self.layer, (given.get(name) or given["value"])[1:-1])
            for name in names
        )
        kernels = [part.kernel.shape for part in self.parts().values()]
        calls = zip(kernels, (query, key, value, query), strict=True)
        projections = sum(math.prod(kernel) * n for kernel, n in calls)
        pairs = math.prod(kernels[1][1:]) * key
        return projections + query * (pairs + math.prod(kernels[2][1:]) * value)


def activated(trace, step, units):
    """The same units after the layer's activation, held if that mixes them."""
    function = step.layer.activation
    if not works_by_unit(function, [(8, len(units))]):
        name = getattr(function, "__name__", type(function).__name__)
        trace.hold(units, f"{step.name} ({name})")
    return units


def _equation(layer):
    """The letters of what is read, of the kernel and of what is given."""
    read, out = layer.equation.split("->")
    return (*read.split(","), out)


def _einsum_macs(layer, shape, out_shape):
    """The product of all lengths that the equation names, but of the batch."""
    read, kernel, out = _equation(layer)
    dots = "0123456789"[: len(shape) - len(read.replace("...", ""))]
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    for letters, lengths in ((read, shape), (out, out_shape)):
        letters = letters.replace("...", dots)
        for letter, length in zip(letters, lengths, strict=True):
            sizes[letter] = sizes.get(letter) or length
    sizes.pop(read.replace("...", dots)[0])
    return _product(layer, sizes.values())


def channels_last(layer):
    """Whether units lie on the last axis, as far as the layer says."""
    return getattr(layer, "data_format", None) != "channels_first"


def at_each_position(kernel, layer, shape):
    """Multiplications of all of a kernel's weights at all positions."""
    positions = shape[1:-1] if channels_last(layer) else shape[2:]
    return math.prod(kernel.shape) * _product(layer, positions)


def _product(layer, lengths):
    if None in lengths:
        raise ValueError(
            f"Layer {layer.name!r} works on a size that is not fixed. Pass a "
            "model whose `Input` has a fixed shape."
        )
    return math.prod(lengths)


KINDS = _Separable, Reader, _Whole, _Heads
FOREIGN = (_Whole,)  # of layers that Keras does not bring
