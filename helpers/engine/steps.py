"""What each kind of layer does with units: the one place that knows layers.

A step is one call of a layer. A layer that no kind claims mixes units: it
keeps all that it reads and all that it gives, at full size.
"""

import math

import numpy as np

from helpers.engine.backend import keras, view

L = keras.layers
CONVOLUTIONS = L.Conv1D, L.Conv2D, L.Conv3D
TRANSPOSED = L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose
PROBE = 16  # places along an axis that has no fixed length


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
        """Call the layer on those of `tensors`, by number, that it takes."""
        taken = [tensors[number] for number in self.takes]
        pairs = zip(map(id, self.node.input_tensors), taken, strict=True)
        args, kwargs = self.node.arguments.fill_in(dict(pairs))
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


class _Whole(Step):
    """Looks rows up, contracts other axes, works in groups: weights may go."""

    @classmethod
    def claims(cls, layer, shapes):
        return isinstance(layer, (L.Embedding, L.EinsumDense, *CONVOLUTIONS))

    def kernels(self):
        table = getattr(self.layer, "embeddings", None)
        return {self.name: self.layer.kernel if table is None else table}

    def macs(self):
        if isinstance(self.layer, L.Embedding):
            return 0
        if isinstance(self.layer, L.EinsumDense):
            return _einsum_macs(self.layer, self.shapes[0], self.shape)
        return _at_each_position(self.layer.kernel, self.layer, self.shape)


class Reader(Step):
    """A Dense layer or a convolution: reads units and gives new ones."""

    @classmethod
    def claims(cls, layer, shapes):
        """With one group, and the units on the last axis."""
        if isinstance(layer, L.EinsumDense):
            read, kernel, out = _equation(layer)
            return kernel == read[-1] + out[-1] and read[:-1] == out[:-1]
        plain = getattr(layer, "groups", 1) == 1 and _channels_last(layer)
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
        return [_activated(trace, self, given)]

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
        return _at_each_position(self.kernel, self.layer, shape)


class _Separable(Reader):
    """A depthwise convolution, then one of 1 x 1, in one layer."""

    @classmethod
    def claims(cls, layer, shapes):
        kinds = L.SeparableConv1D, L.SeparableConv2D
        return isinstance(layer, kinds) and _channels_last(layer)

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
        each = (_at_each_position(k, self.layer, self.shape) for k in kernels)
        return sum(each)


class _Depthwise(Step):
    """A convolution of each unit by itself; ConvNeXt's is one of groups."""

    @classmethod
    def claims(cls, layer, shapes):
        alone = isinstance(layer, CONVOLUTIONS) and (
            1 < layer.groups == layer.filters == shapes[0][-1]
        )
        kinds = L.DepthwiseConv1D, L.DepthwiseConv2D
        return (alone or isinstance(layer, kinds)) and _channels_last(layer)

    def number(self, trace):
        layer, (units,) = self.layer, self.reads
        first, times = trace.first_use(self), self.sizes[0] // len(units)
        given = np.repeat(units, times)
        if first is self:
            before = 1 if isinstance(layer, CONVOLUTIONS) else 2
            axis = len(layer.kernel.shape) - before
            trace.label(layer.kernel, axis, units, own=True)
            trace.label(layer.bias, 0, given, own=True)
        trace.tie(first.reads[0], units)
        return [_activated(trace, self, given)]

    def constant(self, inputs, values):
        kernel = view(self.layer.kernel).reshape(-1, self.sizes[0])
        times = self.sizes[0] // len(inputs[0])
        return [np.repeat(inputs[0], times) | ~kernel.any(axis=0)]

    def changes(self, kept):
        if not isinstance(self.layer, CONVOLUTIONS):
            return {}
        units = int(kept[self.reads[0]].sum())
        return {"filters": units, "groups": units}

    def macs(self):
        return _at_each_position(self.layer.kernel, self.layer, self.shape)


class _Scale(Step):
    """A normalization of each unit by itself, or a slope for each."""

    @classmethod
    def claims(cls, layer, shapes):
        normal = isinstance(layer, L.BatchNormalization)
        last = normal and layer.axis in (-1, len(shapes[0]) - 1)
        return last or isinstance(layer, L.PReLU)

    def number(self, trace):
        # Without gamma, a deleted unit would leave as 0 - moving mean.
        layer, (units,) = self.layer, self.reads
        first, own = trace.first_use(self), []
        if isinstance(layer, L.BatchNormalization):
            scale = layer.moving_mean if layer.gamma is None else layer.gamma
            own = [id(scale), id(layer.beta)]
        for variable in layer.weights if first is self else ():
            axis = len(variable.shape) - 1
            if variable.shape[axis] == len(units):  # or all units share it
                trace.label(variable, axis, units, own=id(variable) in own)
        return [trace.tie(first.reads[0], units)]

    def constant(self, inputs, values):
        gamma = getattr(self.layer, "gamma", None)
        return [inputs[0] if gamma is None else inputs[0] | (view(gamma) == 0)]

    def macs(self):
        return 0  # as activations, which multiply once, too


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
        query, value, key = (
            _product(self.layer, self.shapes[number][1:-1])
            for number in (0, 1, -1)
        )
        kernels = [part.kernel.shape for part in self.parts().values()]
        calls = zip(kernels, (query, key, value, query), strict=True)
        projections = sum(math.prod(kernel) * n for kernel, n in calls)
        pairs = math.prod(kernels[1][1:]) * key
        return projections + query * (pairs + math.prod(kernels[2][1:]) * value)


class _Concatenated(Step):
    """Tensors one after the other along the last axis."""

    @classmethod
    def claims(cls, layer, shapes):
        last = getattr(layer, "axis", None) in (-1, len(shapes[0]) - 1)
        return last and type(layer).__name__ == "Concatenate"

    def number(self, trace):
        return [np.concatenate(self.reads)]

    def constant(self, inputs, values):
        return [np.concatenate(inputs)]


class _Rearranged(Step):
    """The same numbers in another shape: Flatten, Reshape."""

    @classmethod
    def claims(cls, layer, shapes):
        kinds = L.Flatten, L.Reshape
        fixed = bool(shapes[0][1:] and shapes[0][-1])
        return isinstance(layer, kinds) and fixed and _channels_last(layer)

    def number(self, trace):
        # Where a place would be of several units, all of them are held.
        units = _laid_out(self.reads[0], self.sizes[0])
        if units is None or (units != units[0]).any():
            return super().number(trace)
        return [units[0]]

    def constant(self, inputs, values):
        places = _laid_out(inputs[0], self.sizes[0])
        if places is None:
            return super().constant(inputs, values)
        return [places.all(axis=0)]

    def changes(self, kept):
        if not isinstance(self.layer, L.Reshape):
            return {}
        *before, last = self.layer.target_shape
        units = last if last == -1 else int(kept[self.gives[0]].sum())
        return {"target_shape": (*before, units)}


class _ByUnit(Step):
    """What gives the same half of the units when it is given half of them.

    Activations, pooling, padding, dropout, sums, products, functions of the
    reader's own: each is asked, on random numbers. The units of tensors that
    meet are tied, place by place; what is spread over them is held.
    """

    joins = False

    @classmethod
    def claims(cls, layer, shapes):
        return not getattr(layer, "weights", ())

    def number(self, trace):
        many = [u for u in self.reads if len(u) == self.sizes[0]]
        spread = [u for u in self.reads if len(u) != self.sizes[0]]
        fit = len(self.sizes) == 1 and all(len(u) == 1 for u in spread)
        if not (many and fit and self._works_by_unit()):
            return super().number(trace)
        self.joins = True
        for units in spread:
            trace.hold(units, str(self))
        return [trace.tie(*many)]

    def _works_by_unit(self):
        shapes = dict(zip(self.takes, self.shapes, strict=True))
        numbers = list(shapes)  # each once: of x * x, one
        full = [[n or PROBE for n in shapes[k]] for k in numbers]
        return works_by_unit(
            lambda *xs: self.run(dict(zip(numbers, xs, strict=True)))[0], full
        )

    def constant(self, inputs, values):
        if not self.joins:
            return super().constant(inputs, values)
        if type(self.layer).__name__ == "Multiply":
            zeros = [
                p & ~np.any(v, axis=tuple(range(np.ndim(v) - 1)))
                for p, v in zip(inputs, values, strict=True)
            ]
            if any(z.any() for z in zeros):
                nil = np.any(np.broadcast_arrays(*zeros), axis=0)
                return [nil | np.all(np.broadcast_arrays(*inputs), axis=0)]
        return [np.all(np.broadcast_arrays(*inputs), axis=0)]


KINDS = (
    _Separable, _Depthwise, Reader, _Whole, _Scale, _Heads,
    _Concatenated, _Rearranged, _ByUnit, Step,
)  # fmt: skip


def works_by_unit(function, shapes):
    """Whether half of the units in gives the same half of the units out."""
    random = np.random.default_rng(0)
    size = max(shape[-1] for shape in shapes)
    tensors = [random.normal(size=shape).astype("float32") for shape in shapes]
    try:
        whole = np.asarray(function(*tensors))
        for half in (slice(0, None, 2), slice(1, None, 2)) if size > 1 else ():
            parts = [
                t[..., half] if t.shape[-1] == size else t for t in tensors
            ]
            expected, given = whole[..., half], np.asarray(function(*parts))
            if not np.allclose(expected, given, 1e-4, 1e-5, equal_nan=True):
                return False
    except Exception:  # it cannot do with half of them, for whatever reason
        return False
    return whole.shape[-1:] == (size,)


def _activated(trace, step, units):
    """The same units after the layer's activation, held if that mixes them."""
    function = step.layer.activation
    if not works_by_unit(function, [(8, len(units))]):
        name = getattr(function, "__name__", type(function).__name__)
        trace.hold(units, f"{step.name} ({name})")
    return units


def _laid_out(places, size):
    """What lies at each place of an axis of another size, as rows, or None."""
    if size and size % len(places) == 0:
        return np.tile(places, size // len(places))[None]
    return (
        places.reshape(-1, size) if size and len(places) % size == 0 else None
    )


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


def _channels_last(layer):
    return getattr(layer, "data_format", None) != "channels_first"


def _at_each_position(kernel, layer, shape):
    """Multiplications of all of a kernel's weights at all positions."""
    positions = shape[1:-1] if _channels_last(layer) else shape[2:]
    return math.prod(kernel.shape) * _product(layer, positions)


def _product(layer, lengths):
    if None in lengths:
        raise ValueError(
            f"Layer {layer.name!r} works on a size that is not fixed. Pass a "
            "model whose `Input` has a fixed shape."
        )
    return math.prod(lengths)
