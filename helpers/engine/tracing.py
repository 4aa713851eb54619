"""Number the units of a network, and label all its variables by them.

The graph is walked once, in order: a layer with a kernel gives new units, an
activation the same, a sum *ties* those of its terms, which then live or die
together, and whatever mixes units *holds* them, so that they stay. What a
layer does says its kind, see `steps`. (Torch-Pruning's DepGraph, Fang et al.,
2023, has a rule for each pair of layers instead.)
"""

import weakref
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.engine import carriers, readers, steps
from helpers.engine.backend import keras
from helpers.engine.channels import Channels, Label

Functional = keras.src.models.functional.Functional
# The first that claims a layer has it. Less is known of a reader's own.
KINDS = (*carriers.BEFORE, *readers.KINDS, *carriers.KINDS, steps.Step)
FOREIGN = (*readers.FOREIGN, *carriers.FOREIGN, steps.Step)
_KNOWN = weakref.WeakKeyDictionary()


def trace(model):
    """The `Channels` of a model, Sequential or functional."""
    graph = getattr(model, "_functional", None) or model
    if graph not in _KNOWN:
        _KNOWN[graph] = _Tracer().channels(graph)
    return _KNOWN[graph]


def is_graph(operation):
    """Whether it is a model that calls its layers as they are connected."""
    stock = keras.Sequential.call, Functional.call
    return isinstance(operation, keras.Model) and type(operation).call in stock


class _Tensor(NamedTuple):
    """Shape and type, units on the last axis, names of what it comes from."""

    spec: object
    units: np.ndarray
    makers: frozenset


class _Tracer:
    """Numbers and labels while they are found; steps call what is public."""

    def __init__(self):
        self._count, self._ties, self._held, self._first = 0, [], [], {}
        self._tensors, self._steps, self._labels, self._kernels = [], [], [], {}
        self._entries = {}

    def fresh(self, count):
        """Numbers for new units."""
        self._count += count
        return np.arange(self._count - count, self._count)

    def tie(self, *groups):
        """Units at the same place live or die together."""
        self._ties += [(groups[0], other) for other in groups[1:]]
        return groups[0]

    def hold(self, units, why):
        """These units stay, because of what `why` names."""
        self._held.append((units, why))
        return units

    def label(self, variable, axis, units, own=False):
        """Along this axis of a variable, if there is one, lie these units."""
        if variable is not None:
            self._labels.append(Label(variable, axis, units, own))

    def first_use(self, step):
        """The step that called the same layer first, perhaps this one."""
        return self._first.setdefault(id(step.layer), step)

    def channels(self, graph):
        """Lay the graph out, hold its ends, give tied units one number."""
        inputs = [self._input(x) for x in graph._inputs]
        results = self._lay_out(graph, inputs)
        ends = [self._tensors[number] for number in results]
        for end in ends:
            self.hold(end.units, "the output")
        size, root = self._roots()
        why = np.full(size, None)
        for units, reason in self._held:
            why[root[units]] = reason
        self._renumber(root)
        specs = [self._tensors[number].spec for number in inputs]
        return Channels(
            self._steps,
            self._labels,
            self._kernels,
            frozenset().union(*(end.makers for end in ends)),
            why,
            {n: (x.shape, x.dtype) for n, x in enumerate(specs)},
            results,
            self._entries,
        )

    def _input(self, spec):
        size = spec.shape[-1] if spec.shape[1:] else 0
        units = self.hold(self.fresh(size or 0), "the input")
        return self._new_tensor(spec, units, frozenset())

    def _new_tensor(self, *about):
        self._tensors.append(_Tensor(*about))
        return len(self._tensors) - 1

    def _lay_out(self, graph, tensors, path=""):
        """Append the steps of a graph; returns the tensors that come out."""
        number = dict(zip(map(id, graph._inputs), tensors, strict=True))
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    takes = [number[id(x)] for x in node.input_tensors]
                    makes = self._call(node, takes, path)
                    outputs = map(id, node.outputs)
                    number.update(zip(outputs, makes, strict=True))
        return [number[id(x)] for x in graph._outputs]

    def _call(self, node, takes, path):
        layer, name = node.operation, path + node.operation.name
        if is_graph(layer):
            inner = getattr(layer, "_functional", layer)
            takes = _ordered(inner, node, takes)
            for entry, number in zip(inner._inputs, takes, strict=True):
                units = self._tensors[number].units
                self.tie(self._entries.setdefault(id(entry), units), units)
            return self._lay_out(inner, takes, f"{name}/")
        inputs = [self._tensors[number] for number in takes]
        specs = _specs(node, [tensor.spec for tensor in inputs])
        shapes = [tensor.spec.shape for tensor in inputs]
        stock = type(layer).__module__.startswith("keras.")
        kinds = KINDS if stock else FOREIGN
        kind = next(k for k in kinds if k.claims(layer, shapes))
        step = kind(layer, name, node, takes, inputs, specs)
        first = self.first_use(step)
        step.gives = step.number(self)
        self._kernels.update(first.kernels())
        self._steps.append(step)
        makers = frozenset().union(*(tensor.makers for tensor in inputs))
        makers = frozenset(first.kernels()) or makers
        step.makes = [
            self._new_tensor(spec, units, makers)
            for spec, units in zip(specs, step.gives, strict=True)
        ]
        return step.makes

    def _roots(self):
        """How many units there are, and a number for each, tied ones equal."""
        none = np.zeros((2, 0), int)
        ties = np.hstack([none, *map(np.stack, self._ties)])
        ones, shape = np.ones(ties.shape[1], bool), (self._count, self._count)
        return connected_components(coo_array((ones, ties), shape), False)

    def _renumber(self, root):
        self._entries = {x: root[u] for x, u in self._entries.items()}
        for label in self._labels:
            label.units = root[label.units]
        for step in self._steps:
            step.reads = [root[units] for units in step.reads]
            step.gives = [root[units] for units in step.gives]
            if step.heads is not None:
                step.heads = root[step.heads]


def _ordered(graph, node, takes):
    """The same tensors in the order in which a nested model takes them."""
    args, kwargs = steps.arguments(node, takes)
    given = (*args, *kwargs.values())[0]
    if isinstance(given, dict) and not isinstance(graph._inputs_struct, dict):
        given = [given[x.name] for x in graph._inputs]
    return keras.tree.flatten(given)


def _specs(node, given):
    """Shapes of what comes out; those of a nested model may be others."""
    pairs = zip(given, node.input_tensors, strict=True)
    if all(one.shape == other.shape for one, other in pairs):
        return node.outputs
    args, kwargs = steps.arguments(node, given)
    made = node.operation.compute_output_spec(*args, **kwargs)
    return keras.tree.flatten(made)
