"""Number every unit of a network, and label all its variables by them.

A model is laid out as a list of steps, in the order they run; nested models
are laid out in place. Along every tensor go the numbers of the units on its
last axis: a layer with a kernel gives new ones, an activation the same, a sum
*ties* those of its terms, which then live or die together, and whatever mixes
units *holds* them, so that they stay. How a layer does it says its kind, see
`steps`. (Torch-Pruning's DepGraph, Fang et al., 2023, has a rule for each
pair of layers instead.)
"""

import dataclasses
import weakref
from typing import NamedTuple

import numpy as np
from keras.src.models.functional import Functional
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.engine import steps
from helpers.engine.backend import keras


@dataclasses.dataclass(eq=False)
class Label:
    """The units along one axis of a variable.

    Where they are the variable's `own`, it is zeroed when they are deleted.
    """

    variable: object
    axis: int
    units: np.ndarray
    own: bool


class Tensor(NamedTuple):
    """Its shape and type, its units, the layers that it comes from."""

    spec: keras.KerasTensor
    units: np.ndarray
    makers: frozenset


class Channels:
    """What `trace` finds in a model.

    Attributes:
        steps: every call in the order they run.
        labels: of all axes that units lie on.
        kernels: from layer name to the kernel that may be pruned.
        outputs: names of the layers that make the model's outputs.
        held: from unit number to whether it has to stay.
        inputs, results: numbers of the tensors that go in and come out.
    """

    def __init__(self):
        self.steps, self.labels, self.kernels = [], [], {}
        self.outputs = frozenset()
        self._count, self._ties, self._held = 0, [], []
        self._tensors, self._first = [], {}

    # What kinds call

    def fresh(self, count):
        """Numbers for new units."""
        self._count += count or 0
        return np.arange(self._count - (count or 0), self._count)

    def tie(self, *groups):
        """Units at the same place live or die together."""
        for other in groups[1:]:
            self._ties.append((groups[0], other))
        return groups[0]

    def hold(self, units, why):
        """These units stay, because of what `why` names."""
        if len(units):
            self._held.append((units, why))
        return units

    def label(self, variable, axis, units, own=False):
        """Along this axis of a variable lie these units."""
        if variable is not None:
            self.labels.append(Label(variable, axis, units, own))

    def first_use(self, step):
        """The step that called the same layer first, perhaps this one."""
        return self._first.setdefault(id(step.layer), step)

    # Laying out

    def lay_out(self, model, tensors, path=""):
        """Append the steps of `model`; returns the tensors that come out."""
        graph = getattr(model, "_functional", None) or model
        number = dict(zip(map(id, graph._inputs), tensors, strict=True))
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    takes = [number[id(x)] for x in node.input_tensors]
                    makes = self._step(node, takes, path)
                    outputs = map(id, node.outputs)
                    number.update(zip(outputs, makes, strict=True))
        return [number[id(x)] for x in graph._outputs]

    def new_tensor(self, spec, units, makers=frozenset()):
        """A number for a tensor of this shape and these units."""
        self._tensors.append(Tensor(spec, units, makers))
        return len(self._tensors) - 1

    def _step(self, node, takes, path):
        layer, name = node.operation, path + node.operation.name
        if is_graph(layer):
            return self.lay_out(layer, takes, f"{name}/")
        inputs = [self._tensors[number] for number in takes]
        specs = self._specs(node, inputs)
        shapes = [tensor.spec.shape for tensor in inputs]
        kind = next(k for k in steps.KINDS if k.claims(layer, shapes))
        step = kind(layer, name, node, takes, inputs, specs)
        step.gives = step.number(self)
        makers = frozenset().union(*(tensor.makers for tensor in inputs))
        self.kernels.update(step.kernels())
        makers = frozenset(step.kernels()) or makers
        for spec, units in zip(specs, step.gives, strict=True):
            step.makes.append(self.new_tensor(spec, units, makers))
        self.steps.append(step)
        return step.makes

    def _specs(self, node, inputs):
        """Shapes of what comes out; those of a nested model may be others."""
        given = [x.spec for x in inputs]
        pairs = zip(given, node.input_tensors, strict=True)
        if all(one.shape == other.shape for one, other in pairs):
            return node.outputs
        found = dict(zip(map(id, node.input_tensors), given, strict=True))
        args, kwargs = node.arguments.fill_in(found)
        made = node.operation.compute_output_spec(*args, **kwargs)
        return keras.tree.flatten(made)

    def finish(self, results):
        """Hold the outputs, and give tied units one number."""
        self.results = results
        ends = [self._tensors[n] for n in results]
        self.outputs = frozenset().union(*(x.makers for x in ends))
        for end in ends:
            self.hold(end.units, "the output")
        one, other = np.hstack(
            [np.zeros((2, 0), int)] + [np.stack([a, b]) for a, b in self._ties]
        )
        ties = coo_array(
            (np.ones(len(one), bool), (one, other)), 2 * (self._count,)
        )
        size, root = connected_components(ties, directed=False)
        self._why = np.full(size, None)
        for units, why in self._held:
            self._why[root[units]] = why
        self.held = self._why != None  # noqa: E711
        for label in self.labels:
            label.units = root[label.units]
        for step in self.steps:
            step.reads = [root[units] for units in step.reads]
            step.gives = [root[units] for units in step.gives]
            if step.heads is not None:
                step.heads = root[step.heads]
        return self

    # What others ask

    def prunable(self, include_output=False):
        """From layer name to its kernel; output layers only if asked for."""
        return {
            name: kernel
            for name, kernel in self.kernels.items()
            if include_output or name not in self.outputs
        }

    def entries(self):
        """Of each input its number, the shape of one row, and its type."""
        for number in self.inputs:
            spec = self._tensors[number].spec
            shape = [1, *(n or steps.PROBE for n in spec.shape[1:])]
            yield number, shape, spec.dtype

    def feed(self, model, x, rows=256):
        """Tensors by number, some rows of `x` at a time; refuses other shapes.

        `x` is one array, or as many as the model has inputs.
        """
        arrays = keras.tree.flatten(x)
        wanted = [self._tensors[number].spec.shape for number in self.inputs]
        got = [np.shape(array) for array in arrays]
        if not all(map(_fits, wanted, got)) or len(wanted) != len(got):
            raise ValueError(
                f"Model {model.name!r} takes rows of shape "
                f"{', '.join(str(w[1:]) for w in wanted)}; got an array of "
                f"shape {', '.join(map(str, got))}. Pass e.g. `split.x_test`."
            )
        for start in range(0, len(arrays[0]), rows):
            parts = [array[start : start + rows] for array in arrays]
            yield dict(zip(self.inputs, parts, strict=True))

    def mixed_by(self, units):
        """What holds one of these units, apart from being an output."""
        why = {self._why[u] for u in units} - {None, "the output"}
        return next(iter(sorted(why)), None)

    def left_out(self, units=False):
        """Layers that pruning weights, or `units`, does not reach: a list."""
        labelled = {id(label.variable) for label in self.labels}
        others = [
            str(step)
            for step in self.steps
            if any(id(w) not in labelled for w in step.matrices())
            and (units or not step.kernels())
        ]
        return list(dict.fromkeys(others)) + self._kept_whole() * units

    def _kept_whole(self):
        """Hidden layers of which units have to stay, and why."""
        return [
            f"{self._why[label.units[held][0]]} keeps {held.sum()} units"
            for name, label in self.given().items()
            if name not in self.outputs
            and (held := self.held[label.units]).any()
        ]

    def groups(self):
        """Units of each layer that has some of its own."""
        return [label.units for label in self.labels if label.own]

    def given(self):
        """From layer name to the label of the units that its kernel gives."""
        owned = {id(x.variable): x for x in self.labels if x.own}
        return {
            name: owned[id(kernel)]
            for name, kernel in self.kernels.items()
            if id(kernel) in owned
        }


_TRACES = weakref.WeakKeyDictionary()


def trace(model):
    """The `Channels` of a model; depends on its layers, not on its weights."""
    graph = getattr(model, "_functional", None) or model
    if graph not in _TRACES:
        found = Channels()
        found.inputs = [
            found.new_tensor(
                x, found.hold(found.fresh(_last(x.shape)), "the input")
            )
            for x in graph._inputs
        ]
        _TRACES[graph] = found.finish(found.lay_out(model, found.inputs))
    return _TRACES[graph]


def is_graph(operation):
    """Whether it is a model that calls its layers as they are connected."""
    stock = keras.Sequential.call, Functional.call
    return isinstance(operation, keras.Model) and type(operation).call in stock


def _fits(wanted, got):
    pairs = zip(wanted, got, strict=False)
    return len(wanted) == len(got) and all(w in (None, g) for w, g in pairs)


def _last(shape):
    return shape[-1] if len(shape) > 1 else 0
