"""Number the units of a network, and label all its variables by them.

The graph is walked once, in order: a layer with a kernel gives new units, an
activation the same, a sum *ties* those of its terms, which then live or die
together, and whatever mixes units *holds* them, so that they stay. What a
layer does says its kind, see `steps`. (Torch-Pruning's DepGraph, Fang et al.,
2023, has a rule for each pair of layers instead.)
"""

import weakref

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.engine import attention, readers, steps
from helpers.engine.backend import is_stock, keras
from helpers.engine.channels import Channels, Label

Functional = keras.src.models.functional.Functional
KINDS = readers.KINDS + attention.KINDS + steps.KINDS
FOREIGN = readers.FOREIGN + steps.FOREIGN
_KNOWN = weakref.WeakKeyDictionary()


def trace(model):
    """The `Channels` of a model, Sequential or functional."""
    graph = _graph(model)
    if graph not in _KNOWN:
        _KNOWN[graph] = _Tracer().channels(graph)
    return _KNOWN[graph]


def call(model, tensors):
    """All outputs, in a list, for inputs as `Channels.feed` yields them."""
    rows = list(tensors.values())
    rows = keras.tree.pack_sequence_as(_graph(model)._inputs_struct, rows)
    return keras.tree.flatten(model(rows, training=False))


def is_graph(operation):
    """Whether it is a model that calls its layers as they are connected."""
    stock = keras.Sequential.call, Functional.call
    return isinstance(operation, keras.Model) and type(operation).call in stock


def _graph(model):
    """As Keras keeps it; of a Sequential model, inside."""
    return getattr(model, "_functional", None) or model


class _Tracer:
    """Numbers and labels while they are found; steps call what is public."""

    def __init__(self):
        self._count, self._ties, self._held = 0, [], []
        self._flows, self._steps, self._labels = [], [], {}
        self._first, self._kernels = {}, {}

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
        """Along this axis of a variable, if there is one, lie these units.

        Where it is labelled already, by an earlier use, both are tied.
        """
        if variable is not None:
            label = Label(variable, axis, units, own)
            label = self._labels.setdefault((id(variable), axis), label)
            self.tie(label.units, units)
            return label

    def channels(self, graph):
        """Lay the graph out, hold its ends, give tied units one number."""
        inputs = [self._flow(x) for x in graph._inputs]
        for flow in inputs:
            flow.units = self.hold(self.fresh(flow.size), "the input")
        ends = self._lay_out(graph, inputs)
        for flow in ends:
            self.hold(flow.units, "the output")
        size, root = self._roots()
        why, labels = np.full(size, None), list(self._labels.values())
        for units, reason in self._held:
            why[root[units]] = reason
        for part in (*self._flows, *labels):
            part.units = root[part.units]
        return Channels(self._steps, labels, self._kernels, why, inputs, ends)

    def _flow(self, x):
        self._flows.append(steps.Flow(x.shape, x.dtype))
        return self._flows[-1]

    def _lay_out(self, graph, flows, path=""):
        """Append the steps of a graph; returns the flows that come out."""
        known = dict(zip(map(id, graph._inputs), flows, strict=True))
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    takes = [known[id(x)] for x in node.input_tensors]
                    call = node.arguments.fill_in(known)
                    makes = self._call(node, takes, call, path)
                    outputs = map(id, node.outputs)
                    known.update(zip(outputs, makes, strict=True))
        return [known[id(x)] for x in graph._outputs]

    def _call(self, node, takes, call, path):
        layer, name = node.operation, path + node.operation.name
        if is_graph(layer):
            inner = _graph(layer)
            takes = _ordered(inner, *call)
            for entry, flow in zip(inner._inputs, takes, strict=True):
                self.label(entry, len(entry.shape) - 1, flow.units)
            return self._lay_out(inner, takes, f"{name}/")
        makes = [self._flow(x) for x in _outputs(node, takes, call)]
        kinds = KINDS if is_stock(layer) else FOREIGN
        kind = next(k for k in kinds if k.claims(layer, takes, makes))
        step = kind(layer, name, call, makes)
        self._steps.append(step)
        kernels = self._first.setdefault(id(layer), step).kernels()
        self._kernels.update(kernels)
        makers = frozenset().union(*(flow.makers for flow in takes))
        unknown = type(step) is steps.Step and step.matrices()
        own = frozenset(kernels) or frozenset([name] if unknown else [])
        for flow, units in zip(makes, step.number(self), strict=True):
            flow.units, flow.makers = units, own or makers
        return makes

    def _roots(self):
        """How many units there are, and a number for each, tied ones equal."""
        none = np.zeros((2, 0), int)
        ties = np.hstack([none, *map(np.stack, self._ties)])
        ones, shape = np.ones(ties.shape[1], bool), (self._count, self._count)
        return connected_components(coo_array((ones, ties), shape), False)


def _ordered(graph, args, kwargs):
    """What a nested model is called on, in the order in which it takes it."""
    given = args[0] if args else kwargs["inputs"]
    if isinstance(given, dict) and not isinstance(graph._inputs_struct, dict):
        given = [given[x.name] for x in graph._inputs]
    return keras.tree.flatten(given)


def _outputs(node, takes, call):
    """What comes out, as tensors of Keras'; nested, of other shapes."""
    pairs = zip(takes, node.input_tensors, strict=True)
    if all(one.shape == other.shape for one, other in pairs):
        return node.outputs
    args, kwargs = call
    made = node.operation.compute_output_spec(*args, **kwargs)
    return keras.tree.flatten(made)
