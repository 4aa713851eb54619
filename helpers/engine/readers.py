"""Layers with kernels: they read units and give new ones."""

import math

import numpy as np

from helpers.engine.asking import works_by_unit
from helpers.engine.backend import keras, view
from helpers.engine.steps import Step, channels_last, product

L = keras.layers
CONVOLUTIONS = L.Conv1D, L.Conv2D, L.Conv3D
TRANSPOSED = L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose
SEPARABLE = L.SeparableConv1D, L.SeparableConv2D
DEPTHWISE = L.DepthwiseConv1D, L.DepthwiseConv2D


class _Whole(Step):
    """Looks rows up, contracts other axes, works in groups: weights may go."""

    mixes = False

    @classmethod
    def claims(cls, layer, takes, makes):
        kinds = L.Dense, L.EinsumDense, L.Embedding
        return isinstance(layer, kinds + CONVOLUTIONS + TRANSPOSED + SEPARABLE)

    @property
    def kernel(self):
        """The variable that has the units on an axis."""
        names = ("kernel", "pointwise_kernel", "embeddings")
        found = [getattr(self.layer, name, None) for name in names]
        return next(kernel for kernel in found if kernel is not None)

    def kernels(self):
        return {self.name: self.kernel}

    def macs(self):
        weights = sum(math.prod(kernel.shape) for kernel in self.matrices())
        return weights * self.positions()

    def positions(self):
        """How often all weights are multiplied, for one image."""
        layer, read, made = self.layer, self.takes[0].shape, self.shape
        if self.call[1].get("reverse"):  # an Embedding as a last layer
            return product(layer, read[1:-1])
        if isinstance(layer, L.Embedding | L.BatchNormalization | L.PReLU):
            return 0  # looked up, or once for each unit, as activations do
        if isinstance(layer, L.EinsumDense):
            letters, kernel, _ = _equation(layer)
            pairs = zip(kernel, layer.kernel.shape, strict=True)
            summed = math.prod(n for letter, n in pairs if letter in letters)
            return product(layer, read[1:]) // summed
        shape = read if isinstance(layer, TRANSPOSED) else made
        _, *sizes = shape[:-1] if channels_last(layer) else shape[1:]
        return product(layer, sizes)

    def activated(self, trace, units):
        """The same units after the activation, held if that mixes them."""
        function = getattr(self.layer, "activation", None)
        if isinstance(function, L.Layer):  # which asking would build
            function = type(function).from_config(function.get_config())
        if function and not works_by_unit(function, [(8, len(units))]):
            self.mixes = True
            name = getattr(function, "__name__", type(function).__name__)
            trace.hold(units, f"{self.name} ({name})")
        return [units]

    def still_constant(self, places):
        """Which constant places are so after the activation, too."""
        return [places & places.all() if self.mixes else places]


class Reader(_Whole):
    """A Dense layer or a convolution: reads units and gives new ones."""

    @classmethod
    def claims(cls, layer, takes, makes):
        """With one group, and the units on the last axis."""
        if isinstance(layer, L.EinsumDense):
            read, kernel, out = _equation(layer)
            plain = kernel == read[-1] + out[-1] and read[:-1] == out[:-1]
            return plain and (layer.bias is None or len(layer.bias.shape) == 1)
        kinds = L.Dense, *CONVOLUTIONS, *TRANSPOSED, *SEPARABLE
        plain = getattr(layer, "groups", 1) == 1 and channels_last(layer)
        return plain and isinstance(layer, kinds)

    @property
    def axes(self):
        """The kernel's axes of what is read and of the units."""
        last = len(self.kernel.shape) - 1
        transposed = isinstance(self.layer, TRANSPOSED)
        return (last, last - 1) if transposed else (last - 1, last)

    def number(self, trace):
        """New units; a separable's kernel reads the old ones repeatedly."""
        units, given = self.takes[0].units, trace.fresh(self.makes[0].size)
        into, out = self.axes
        if isinstance(self.layer, SEPARABLE):
            depthwise = self.layer.depthwise_kernel
            trace.label(depthwise, len(depthwise.shape) - 2, units)
        times = self.kernel.shape[into] // len(units)
        trace.label(self.kernel, into, np.repeat(units, times))
        trace.label(self.kernel, out, given, own=True)
        trace.label(self.layer.bias, 0, given, own=True)
        return self.activated(trace, given)

    def matrix(self):
        """The kernel as (window, places that are read, units)."""
        kernel = np.moveaxis(view(self.kernel), self.axes, (-2, -1))
        places, units = self.takes[0].size, kernel.shape[-1]
        kernel = kernel.reshape(-1, places, kernel.shape[-2] // places, units)
        return kernel.swapaxes(1, 2).reshape(-1, places, units)

    def constant(self, places, tensors):
        """Units to which no weight leads from what varies."""
        leads = self.matrix()[:, ~places[0]].any(axis=(0, 1))
        return self.still_constant(~leads)

    def wanted(self, kept):
        """Places from which a weight leads to a unit that stays."""
        return self.matrix()[:, :, kept[self.makes[0].units]].any(axis=(0, 2))

    def folds(self):
        """Whether constants may go to the bias: not where edges see fewer."""
        padded = getattr(self.layer, "padding", "valid") != "valid"
        indirect = isinstance(self.layer, TRANSPOSED + SEPARABLE)
        return self.layer.bias is not None and not padded and not indirect

    def changes(self, kept):
        """Fewer units or filters."""
        units, layer = int(kept[self.makes[0].units].sum()), self.layer
        if isinstance(layer, L.EinsumDense):
            *before, _ = np.atleast_1d(layer.partial_output_shape).tolist()
            return {"output_shape": (*before, units)}
        return {"filters" if hasattr(layer, "filters") else "units": units}


class _Scale(_Whole):
    """Each unit by itself: depthwise, a normalization, a slope for each."""

    @classmethod
    def claims(cls, layer, takes, makes):
        size, last = takes[0].size, len(takes[0].shape) - 1
        if isinstance(layer, L.BatchNormalization):
            return layer.axis in (-1, last)
        grouped = isinstance(layer, CONVOLUTIONS) and layer.groups > 1
        alone = grouped and layer.groups == layer.filters == size  # ConvNeXt's
        kinds = L.PReLU, *DEPTHWISE
        return (alone or isinstance(layer, kinds)) and channels_last(layer)

    def kernels(self):
        return {}

    def number(self, trace):
        layer, (flow, *masks) = self.layer, self.takes
        for mask in masks:
            trace.hold(mask.units, str(self))
        own = {"kernel", "bias", "gamma", "beta"}
        if getattr(layer, "gamma", None) is None:
            own.add("moving_mean")  # else a deleted unit would leave as 0 - it
        given = np.repeat(flow.units, self.makes[0].size // flow.size)
        for variable in layer.weights:
            before = isinstance(layer, DEPTHWISE) and variable.name == "kernel"
            axis = len(variable.shape) - 1 - before
            units = flow.units if before else given
            if variable.shape[axis] == len(units):  # or all units share it
                trace.label(variable, axis, units, variable.name in own)
        return self.activated(trace, given)

    def constant(self, places, tensors):
        """Also where it is scaled by zero."""
        size, layer = self.makes[0].size, self.layer
        places = np.repeat(places[0], size // len(places[0]))
        scale = getattr(layer, "kernel", getattr(layer, "gamma", None))
        if scale is not None:
            places = places | ~view(scale).reshape(-1, size).any(axis=0)
        return self.still_constant(places)

    def changes(self, kept):
        if not isinstance(self.layer, CONVOLUTIONS):
            return {}
        units = int(kept[self.takes[0].units].sum())
        return {"filters": units, "groups": units}


def _equation(layer):
    """The letters of what is read, of the kernel and of what is given."""
    read, out = layer.equation.split("->")
    return *read.split(","), out


KINDS = _Scale, Reader, _Whole
FOREIGN = (_Whole,)
