"""Layers that pass units on, each by itself."""

import numpy as np

from helpers.engine.backend import keras, view
from helpers.engine.readers import (
    CONVOLUTIONS,
    activated,
    at_each_position,
    channels_last,
)
from helpers.engine.steps import PROBE, Step, works_by_unit

L = keras.layers


class _Depthwise(Step):
    """A convolution of each unit by itself; ConvNeXt's is one of groups."""

    @classmethod
    def claims(cls, layer, shapes):
        alone = isinstance(layer, CONVOLUTIONS) and (
            1 < layer.groups == layer.filters == shapes[0][-1]
        )
        kinds = L.DepthwiseConv1D, L.DepthwiseConv2D
        return (alone or isinstance(layer, kinds)) and channels_last(layer)

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
        return [activated(trace, self, given)]

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
        return at_each_position(self.layer.kernel, self.layer, self.shape)


class _Scale(Step):
    """A normalization of each unit by itself, or a slope for each."""

    @classmethod
    def claims(cls, layer, shapes):
        normal = isinstance(layer, L.BatchNormalization)
        last = normal and layer.axis in (-1, len(shapes[0]) - 1)
        return last or isinstance(layer, L.PReLU)

    def number(self, trace):
        # Without gamma, a deleted unit would leave as 0 - moving mean.
        layer, (units, *masks) = self.layer, self.reads
        first, own = trace.first_use(self), []
        for mask in masks:
            trace.hold(mask, str(self))
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
        return isinstance(layer, kinds) and fixed and channels_last(layer)

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
        # A Masking tells what follows where all units are one value.
        return not (
            getattr(layer, "weights", ()) or isinstance(layer, L.Masking)
        )

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
        # Each tensor once: of x * x, one. Two images have places enough.
        shapes = dict(zip(self.takes, self.shapes, strict=True))
        rows = 2 if any(shape[2:] for shape in self.shapes) else PROBE
        full = [
            [n or (PROBE if axis else rows) for axis, n in enumerate(shape)]
            for shape in shapes.values()
        ]
        return works_by_unit(
            lambda *xs: self.run(dict(zip(shapes, xs, strict=True)))[0], full
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


def _laid_out(places, size):
    """What lies at each place of an axis of another size, as rows, or None."""
    if size and size % len(places) == 0:
        return np.tile(places, size // len(places))[None]
    return (
        places.reshape(-1, size) if size and len(places) % size == 0 else None
    )


BEFORE = (_Depthwise,)  # of the convolutions, which would claim it
KINDS = _Scale, _Concatenated, _Rearranged, _ByUnit
FOREIGN = (_ByUnit,)
