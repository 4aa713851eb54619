"""What each kind of layer does with units: the one place that knows layers.

A step is one call of a layer. It numbers the units on the layer's variables
and on what comes out (`number`), tells which places of what comes out are the
same for every input (`constant`), which of what goes in are needed
(`wanted`), and what changes in the layer's configuration when units are cut
out (`changes`). A layer that no kind claims mixes: it keeps all it reads and
all it gives, at full size.
"""

import math

import numpy as np

from helpers.engine.backend import keras, view

L = keras.layers
CONVOLUTIONS = L.Conv1D, L.Conv2D, L.Conv3D


class Step:
    """A call of something that mixes units, or that nobody knows.

    Attributes:
        layer, name: what is called; behind the models it is nested in.
        node: of Keras' graph, with the arguments.
        takes, makes: numbers of the tensors that go in and come out.
        reads, gives: of each of them, the units on its last axis.
        shapes, shape: of those that go in, and of the first that comes out.
    """

    def __init__(self, layer, name, node, takes, inputs, outputs):
        self.layer, self.name, self.node, self.takes = layer, name, node, takes
        self.reads = [tensor.units for tensor in inputs]
        self.shapes = [tensor.spec.shape for tensor in inputs]
        self.shape = outputs[0].shape if outputs else ()
        self.sizes = [(x.shape[1:] or [0])[-1] or 0 for x in outputs]
        self.makes, self.gives = [], []

    @classmethod
    def claims(cls, layer, shapes):
        """Whether this is the kind of a layer that takes these shapes."""
        return True

    def run(self, tensors, layer=None):
        """Call the layer on those of `tensors`, by number, that it takes."""
        taken = [tensors[number] for number in self.takes]
        pairs = zip(map(id, self.node.input_tensors), taken, strict=True)
        args, kwargs = self.node.arguments.fill_in(dict(pairs))
        return keras.tree.flatten((layer or self.layer)(*args, **kwargs))

    def __str__(self):
        """Its name and what it is."""
        return f"{self.name} ({type(self.layer).__name__})"

    def inputs(self):
        """Pairs of the number of a tensor that goes in, and its units."""
        return list(zip(self.takes, self.reads, strict=True))

    def kernels(self):
        """From name to the variables whose weights may be pruned."""
        return {}

    def matrices(self):
        """All variables of two axes or more: what might be pruned."""
        weights = getattr(self.layer, "weights", ())
        return [w for w in weights if len(w.shape) > 1]

    def number(self, trace):
        """Hold the units that go in; those that come out are new, and held."""
        for units in self.reads:
            trace.hold(units, str(self))
        return [trace.hold(trace.fresh(n), str(self)) for n in self.sizes]

    def constant(self, inputs, values):
        """Of each input, which places are constant -> the same of outputs."""
        every = all(places.all() for places in inputs)
        return [np.full(size, every) for size in self.sizes]

    def wanted(self, kept):
        """Places of the first input that a unit needs which stays."""
        return np.zeros(len(self.reads[0]) if self.reads else 0, bool)

    def changes(self, kept):
        """What is to change in the layer's configuration."""
        return {}

    def macs(self):
        """Multiply-accumulates for one image; None where nobody knows."""
        return None if self.matrices() else 0


class Whole(Step):
    """A layer of which weights may be pruned, but not units."""

    @classmethod
    def claims(cls, layer, shapes):
        """One that looks rows up, contracts other axes, or works in groups."""
        return isinstance(layer, (L.Embedding, L.EinsumDense, *CONVOLUTIONS))

    def kernels(self):
        """Its kernel; of an Embedding its table."""
        table = isinstance(self.layer, L.Embedding)
        return {
            self.name: self.layer.embeddings if table else self.layer.kernel
        }

    def macs(self):
        """None where rows are looked up."""
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
            read, _, kernel, out = _equation(layer)
            return kernel == read[-1] + out[-1] and read[:-1] == out[:-1]
        plain = getattr(layer, "groups", 1) == 1 and _channels_last(layer)
        return plain and isinstance(layer, (L.Dense, *CONVOLUTIONS))

    @property
    def kernel(self):
        """The variable that mixes what is read into units."""
        return self.layer.kernel

    @property
    def axes(self):
        """The kernel's axes of what is read and of the units."""
        return len(self.kernel.shape) - 2, len(self.kernel.shape) - 1

    def kernels(self):
        """Its kernel."""
        return {self.name: self.kernel}

    def number(self, trace):
        """New units; of a layer that is used again, the same."""
        (units,), (into, out) = self.reads, self.axes
        first = trace.first_use(self)
        given = trace.fresh(self.sizes[0])
        if first is self:
            times = self.kernel.shape[into] // max(1, len(units))
            trace.label(self.kernel, into, np.repeat(units, times))
            trace.label(self.kernel, out, given, own=True)
            trace.label(self.layer.bias, 0, given, own=True)
        else:
            trace.tie(first.reads[0], units)
            trace.tie(first.gives[0], given)
        if not works_by_unit(self.layer.activation, [(4, len(given))]):
            name = getattr(self.layer.activation, "__name__", "activation")
            trace.hold(given, f"{self.name} ({name})")
        return [given]

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
        return self.layer.bias is not None and padding == "valid"

    def changes(self, kept):
        """Fewer units or filters."""
        units, layer = int(kept[self.gives[0]].sum()), self.layer
        if isinstance(layer, L.EinsumDense):
            *before, _ = np.atleast_1d(layer.partial_output_shape).tolist()
            return {"output_shape": (*before, units)}
        return {"filters" if hasattr(layer, "filters") else "units": units}

    def macs(self):
        """The kernel's size at every output position."""
        return _at_each_position(self.kernel, self.layer, self.shape)


class Transposed(Reader):
    """A transposed convolution, whose kernel ends in units and inputs."""

    @classmethod
    def claims(cls, layer, shapes):
        """With the units on the last axis."""
        kinds = L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose
        return isinstance(layer, kinds) and _channels_last(layer)

    @property
    def axes(self):
        """The kernel's axes of what is read and of the units."""
        return super().axes[::-1]

    def folds(self):
        """No: edges see fewer weights."""
        return False

    def macs(self):
        """The kernel's size at every input position."""
        return _at_each_position(self.kernel, self.layer, self.shapes[0])


class Separable(Reader):
    """A depthwise convolution, then one of 1 x 1, in one layer."""

    @classmethod
    def claims(cls, layer, shapes):
        """With the units on the last axis."""
        kinds = L.SeparableConv1D, L.SeparableConv2D
        return isinstance(layer, kinds) and _channels_last(layer)

    @property
    def kernel(self):
        """The 1 x 1 kernel."""
        return self.layer.pointwise_kernel

    def number(self, trace):
        """As a convolution; the depthwise kernel reads the same units."""
        kernel = self.layer.depthwise_kernel
        trace.label(kernel, len(kernel.shape) - 2, self.reads[0])
        return super().number(trace)

    def matrix(self):
        """Each place is read `depth_multiplier` times."""
        kernel = view(self.kernel)
        kernel = kernel.reshape(len(self.reads[0]), -1, kernel.shape[-1])
        return kernel.swapaxes(0, 1)

    def folds(self):
        """No: another kernel stands before the bias."""
        return False

    def macs(self):
        """Both kernels' sizes at every output position."""
        kernels = self.layer.depthwise_kernel, self.kernel
        return sum(
            _at_each_position(kernel, self.layer, self.shape)
            for kernel in kernels
        )


class Depthwise(Step):
    """A convolution of each unit by itself, several times if asked."""

    @classmethod
    def claims(cls, layer, shapes):
        """Also a Conv2D with a group for each filter, as in ConvNeXt."""
        kinds = L.DepthwiseConv1D, L.DepthwiseConv2D
        alone = isinstance(layer, CONVOLUTIONS) and (
            1 < layer.groups == layer.filters == shapes[0][-1]
        )
        return (alone or isinstance(layer, kinds)) and _channels_last(layer)

    def number(self, trace):
        """The same units, each repeated."""
        layer, (units,) = self.layer, self.reads
        given = np.repeat(units, self.sizes[0] // max(1, len(units)))
        first = trace.first_use(self)
        if first is self:
            before = 1 if isinstance(layer, CONVOLUTIONS) else 2
            axis = len(layer.kernel.shape) - before
            trace.label(layer.kernel, axis, units, own=True)
            trace.label(layer.bias, 0, given, own=True)
        trace.tie(first.reads[0], units)
        if not works_by_unit(layer.activation, [(4, len(given))]):
            trace.hold(given, str(self))
        return [given]

    def constant(self, inputs, values):
        """Where its input is, or its kernel is zero."""
        kernel = view(self.layer.kernel).reshape(-1, self.sizes[0])
        times = self.sizes[0] // max(1, len(inputs[0]))
        return [np.repeat(inputs[0], times) | ~kernel.any(axis=0)]

    def changes(self, kept):
        """Fewer groups; a DepthwiseConv2D counts them itself."""
        if not isinstance(self.layer, CONVOLUTIONS):
            return {}
        return dict.fromkeys(
            ["filters", "groups"], int(kept[self.reads[0]].sum())
        )

    def macs(self):
        """The kernel's size at every output position."""
        return _at_each_position(self.layer.kernel, self.layer, self.shape)


class Scale(Step):
    """Something for each unit: a normalization, a slope."""

    @classmethod
    def claims(cls, layer, shapes):
        """A BatchNormalization over the last axis, a PReLU."""
        normal = isinstance(layer, L.BatchNormalization)
        last = normal and layer.axis in (-1, len(shapes[0]) - 1)
        return last or isinstance(layer, L.PReLU)

    def number(self, trace):
        """The same units.

        Without gamma, a deleted unit would leave as 0 - moving mean: that is
        deleted, too.
        """
        layer, (units,) = self.layer, self.reads
        first, own = trace.first_use(self), []
        if isinstance(layer, L.BatchNormalization):
            center = layer.moving_mean if layer.gamma is None else layer.gamma
            own = [id(center), id(layer.beta)]
        for variable in layer.weights if first is self else ():
            axis = len(variable.shape) - 1
            if variable.shape[axis] == len(units):  # or shared by all units
                trace.label(variable, axis, units, own=id(variable) in own)
        return [trace.tie(first.reads[0], units)]

    def constant(self, inputs, values):
        """Where its input is, or gamma is zero."""
        gamma = getattr(self.layer, "gamma", None)
        return [inputs[0] if gamma is None else inputs[0] | (view(gamma) == 0)]


class Heads(Step):
    """Attention whose heads are units: each may go as a whole."""

    @classmethod
    def claims(cls, layer, shapes):
        """Keras' own."""
        return isinstance(layer, L.MultiHeadAttention)

    def parts(self):
        """Its four layers, by name; the last reads what the heads give."""
        names = ("query", "key", "value", "output")
        return {name: getattr(self.layer, f"{name}_dense") for name in names}

    def kernels(self):
        """Those of its four layers."""
        return {
            f"{self.name}/{name}": part.kernel
            for name, part in self.parts().items()
        }

    def number(self, trace):
        """A unit for each head; all that goes in and comes out is held."""
        *inner, outer = self.parts().values()
        if trace.first_use(self) is self:
            self.heads = trace.fresh(self.layer.num_heads)
            trace.label(outer.kernel, 0, self.heads)
            for part in inner:
                trace.label(part.kernel, 1, self.heads, own=True)
                trace.label(part.bias, 0, self.heads, own=True)
        return super().number(trace)

    def wanted_heads(self):
        """Those that give something which is read."""
        layer = self.layer
        read = view(layer.output_dense.kernel).any(axis=(1, 2))
        given = view(layer.value_dense.kernel).any(axis=(0, 2))
        if layer.value_dense.bias is not None:
            given |= view(layer.value_dense.bias).any(axis=1)
        return read & given

    def changes(self, kept):
        """Fewer heads."""
        return {"num_heads": int(kept[self.heads].sum())}

    def macs(self):
        """Four projections, and for each head all pairs of positions."""
        query, value = (math.prod(x[1:-1]) for x in self.shapes[:2])
        key = math.prod(self.shapes[-1][1:-1])
        kernels = [part.kernel.shape for part in self.parts().values()]
        calls = zip(kernels, (query, key, value, query), strict=True)
        projections = sum(math.prod(shape) * n for shape, n in calls)
        key_width, value_width = kernels[1][1:], kernels[2][1:]
        pairs = math.prod(key_width) * key + math.prod(value_width) * value
        return projections + query * pairs


class Concatenated(Step):
    """Tensors one after the other along the last axis."""

    @classmethod
    def claims(cls, layer, shapes):
        """Keras' layer, and its operation."""
        last = getattr(layer, "axis", None) in (-1, len(shapes[0]) - 1)
        return last and type(layer).__name__ == "Concatenate"

    def number(self, trace):
        """The units of one after those of the other."""
        return [np.concatenate(self.reads)]

    def constant(self, inputs, values):
        """The same."""
        return [np.concatenate(inputs)]


class Rearranged(Step):
    """The same numbers in another shape: Flatten, Reshape."""

    @classmethod
    def claims(cls, layer, shapes):
        """Where each place of the last axis is of one unit, before and after.

        That is so where the last axis stays, or is repeated or cut evenly.
        """
        if not isinstance(layer, L.Flatten | L.Reshape) or len(shapes[0]) < 2:
            return False
        return (
            getattr(layer, "data_format", "channels_last") != "channels_first"
        )

    def number(self, trace):
        """Each unit at its places; where a place would have several, hold."""
        (units,), (size,) = self.reads, self.sizes
        if size and len(units) and size % len(units) == 0:
            return [np.tile(units, size // len(units))]
        if size and len(units) % size == 0:
            rows = units.reshape(-1, size)
            if (rows == rows[0]).all():
                return [rows[0]]
        return super().number(trace)

    def constant(self, inputs, values):
        """The same; where a place has several units, all of them."""
        (size,), (places,) = self.sizes, inputs
        if size % len(places) == 0:
            return [np.tile(places, size // len(places))]
        if len(places) % size == 0:
            return [places.reshape(-1, size).all(axis=0)]
        return super().constant(inputs, values)

    def changes(self, kept):
        """A Reshape says how long its last axis is."""
        if not isinstance(self.layer, L.Reshape):
            return {}
        *before, last = self.layer.target_shape
        units = last if last == -1 else int(kept[self.gives[0]].sum())
        return {"target_shape": (*before, units)}


class ByUnit(Step):
    """What gives the same half of the units when it is given half of them.

    Activations, pooling, padding, dropout, sums, products, functions of the
    reader's own: each is asked, on random numbers.
    """

    @classmethod
    def claims(cls, layer, shapes):
        """Without weights, of one tensor or of several to be joined."""
        return bool(shapes) and not getattr(layer, "variables", ())

    def number(self, trace):
        """The same units; those of several tensors are tied, place by place.

        A tensor of one place that meets many is spread over them: it stays.
        """
        several = [u for u in self.reads if len(u) == self.sizes[0]]
        alone = [u for u in self.reads if len(u) != self.sizes[0]]
        fit = several and all(len(units) == 1 for units in alone)
        if len(self.sizes) > 1 or not fit or not self._works_by_unit():
            return super().number(trace)
        for units in alone:
            trace.hold(units, str(self))
        self.joins = True
        return [trace.tie(*several)]

    joins = False

    def _works_by_unit(self):
        def call(*tensors):
            return self.run(dict(zip(self.takes, tensors, strict=False)))[0]

        whole = {n: s for n, s in zip(self.takes, self.shapes, strict=True)}
        if len(whole) < len(self.takes):
            return True  # of one tensor with itself: x + x
        shapes = [[n or PROBE for n in shape] for shape in self.shapes]
        return works_by_unit(call, shapes)

    def constant(self, inputs, values):
        """Where all are, or a product is zero."""
        if not self.joins:
            return super().constant(inputs, values)
        places = np.broadcast_arrays(*inputs)
        if type(self.layer).__name__ == "Multiply":
            zeros = [
                p & ~np.asarray(v).reshape(-1, v.shape[-1]).any(axis=0)
                for p, v in zip(inputs, values, strict=True)
            ]
            return [
                np.all(places, axis=0)
                | np.any(np.broadcast_arrays(*zeros), axis=0)
            ]
        return [np.all(places, axis=0)]


KINDS = (
    Transposed, Separable, Depthwise, Reader, Whole, Scale, Heads,
    Concatenated, Rearranged, ByUnit, Step,
)  # fmt: skip
PROBE = 16  # places along an axis that has no fixed length


def works_by_unit(function, shapes):
    """Whether half of the units in gives the same half of the units out."""
    random = np.random.default_rng(0)
    size = max(shape[-1] for shape in shapes)
    tensors = [random.normal(size=shape).astype("float32") for shape in shapes]
    try:
        whole = np.asarray(function(*tensors))
        for half in (slice(0, None, 2), slice(1, None, 2)):
            parts = [
                t[..., half] if t.shape[-1] == size else t for t in tensors
            ]
            if size > 1 and not np.allclose(
                whole[..., half], function(*parts), 1e-4, 1e-5, equal_nan=True
            ):
                return False
    except Exception:  # it cannot do with half of them, for whatever reason
        return False
    return whole.shape[-1] == size


def _equation(layer):
    """The letters of what is read, of "," and of the kernel and the output."""
    read, out = layer.equation.split("->")
    return (*read.partition(","), out)


def _einsum_macs(layer, shape, out_shape):
    read, _, kernel, out = _equation(layer)
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    for letters, lengths in ((read, shape), (out, out_shape)):
        named = letters.replace("...", "")
        pairs = zip(reversed(named), reversed(lengths), strict=False)
        sizes |= {x: n for x, n in pairs if n is not None}
    return math.prod(n for x, n in sizes.items() if x != read[0])


def _channels_last(layer):
    return getattr(layer, "data_format", None) != "channels_first"


def _at_each_position(kernel, layer, shape):
    """Multiplications of all of a kernel's weights at all positions."""
    positions = shape[1:-1] if _channels_last(layer) else shape[2:]
    if None in positions:
        raise ValueError(
            f"Layer {layer.name!r} works on {shape[1:]}, whose size is not "
            "fixed. Pass a model whose `Input` has a fixed shape."
        )
    return math.prod(kernel.shape) * math.prod(positions)
