"""Which unit is whose: a network as a list of steps, its variables labelled.

Every unit has a number. Along every tensor go the numbers of the units on its
last axis, and every axis of every variable is labelled by them; so pruning
zeroes all entries whose number is gone, and compaction keeps all whose number
stays. `tracing` finds the numbers.
"""

import dataclasses
import math

import numpy as np

from helpers.engine.backend import keras, view
from helpers.engine.steps import PROBE, full_shape

NUMBERS_AT_ONCE = 10**7  # of one layer, for a batch: 40 MB


@dataclasses.dataclass(eq=False)
class Label:
    """The units along one axis of a variable, or of a nested model's input.

    Where they are the variable's `own`, it is zeroed when they are deleted.
    """

    variable: object
    axis: int
    units: np.ndarray
    own: bool

    def columns(self):
        """The variable's values as rows with one entry per unit."""
        values = np.moveaxis(view(self.variable), self.axis, -1)
        return values.reshape(-1, len(self.units))


@dataclasses.dataclass(eq=False)
class Channels:
    """What is known of a model's units; it depends on no weight.

    Attributes:
        steps: every call, in the order they run; nested models in place.
        labels: of all axes that units lie on.
        kernels: from layer name to the variable whose weights may be pruned.
        why: from unit number to what holds it, or None.
        inputs, results: the flows that go in and come out.
        held: from unit number to whether it has to stay.
        outputs: names of the layers that make the model's outputs.
        columns, given: from layer name to the label of the units that it
            gives, and to these.
    """

    steps: list
    labels: list
    kernels: dict
    why: np.ndarray
    inputs: list
    results: list

    def __post_init__(self):
        """Look up what follows from the others."""
        self.held = np.array([reason is not None for reason in self.why], bool)
        self.outputs = frozenset().union(*(x.makers for x in self.results))
        own = {id(x.variable): x for x in self.labels if x.own}
        self.columns = {
            name: own[id(kernel)]
            for name, kernel in self.kernels.items()
            if id(kernel) in own
        }
        self.given = {n: label.units for n, label in self.columns.items()}

    def prunable(self):
        """From layer name to its kernel, without the output layers."""
        return {n: k for n, k in self.kernels.items() if n not in self.outputs}

    def hidden(self):
        """From layer name to the units that it gives, without the outputs'."""
        return {n: u for n, u in self.given.items() if n not in self.outputs}

    def some_kernels(self, include_output=False):
        """Those to prune, if there are any; else a ValueError that says why."""
        if not self.kernels:
            layers = ", ".join(map(str, self.steps)) or "none"
            raise ValueError(
                "The model has no layer with a kernel to prune; its layers "
                f"are {layers}. Pass e.g. `networks.mlp()`."
            )
        if found := self.kernels if include_output else self.prunable():
            return found
        raise ValueError(
            "The model has only an output layer, which is left whole. Pass a "
            "model with hidden layers; or ask for `prunable_kernels(model, "
            "include_output=True)`, and pass masks of them to `masked`."
        )

    def families(self, spare=()):
        """From layer names, joined, to the units that these share and none has.

        Without those that have to stay, or are of a layer to `spare`.
        """
        self.some_kernels(include_output=True)
        if unknown := sorted(set(spare) - set(self.given)):
            raise ValueError(
                f"`spare` names layers with units; got {unknown}. Pass some "
                f"of {', '.join(self.given)}."
            )
        stays = self.held.copy()
        for name in spare:
            stays[self.given[name]] = True
        owners, found = {}, {}
        for name, units in self.given.items():
            for unit in np.unique(units[~stays[units]]):
                owners.setdefault(unit, []).append(name)
        for unit in sorted(owners):
            found.setdefault(", ".join(owners[unit]), []).append(unit)
        return {names: np.array(units) for names, units in found.items()}

    def some_families(self, spare=()):
        """The same, if there are any; else a ValueError that says why."""
        if found := self.families(spare):
            return found
        why = "all are spared" if self.hidden() else "all are outputs"
        why = ", ".join(self.left_out(units=True)) or why
        raise ValueError(
            f"The model has no unit that may go: {why}. Prune its weights, "
            "or pass a model in which fewer layers mix units."
        )

    def parameters(self):
        """From unit number to how many numbers go with it; each counts once.

        Those of a kernel go with what the layer gives, not with what it reads.
        """
        labels = {id(x.variable): x for x in self.labels}
        labels |= {id(x.variable): x for x in self.labels if x.own}
        total = np.zeros(len(self.held), int)
        for label in labels.values():
            if not isinstance(label.variable, keras.KerasTensor):
                np.add.at(total, label.units, len(label.columns()))
        return total

    def by_unit(self, scores):
        """From unit number to its score; those of tied layers are added up.

        `scores` are by layer name, for all of `hidden`.
        """
        total = np.zeros(len(self.held))
        for name, units in self.hidden().items():
            got = np.shape(scores.get(name))
            if got != units.shape:
                raise ValueError(
                    f"`scores` has a number for each of the {len(units)} units "
                    f"of {name!r}; got shape {got}. Pass what "
                    "`pruning.unit_scores(model)` returns, or the like."
                )
            np.add.at(total, units, scores[name])
        return total

    def nothing(self):
        """Zeros for one row of each input, by flow; texts have words."""
        found = {}
        for flow in self.inputs:
            text = flow.dtype == "string"
            nil = b"a " * PROBE if text else np.zeros((), flow.dtype)
            found[flow] = np.full(full_shape(flow), nil)
        return found

    def feed(self, x, rows=None):
        """Inputs by flow, some `rows` of `x` at a time, see `at_once`.

        `x` is one array, or as many as the model has inputs.
        """
        rows = rows or self.at_once(x)
        arrays = keras.tree.flatten(x)
        wanted = [flow.shape for flow in self.inputs]
        got = [np.shape(array) for array in arrays]
        if len(wanted) != len(got) or not all(map(_fits, wanted, got)):
            raise ValueError(
                f"The model takes rows of shape {_listed(wanted)}; got "
                f"{_listed(got)}. Pass e.g. `split.x_test`."
            )
        for start in range(0, len(arrays[0]), rows):
            yield {
                flow: keras.ops.cast(array[start : start + rows], flow.dtype)
                for flow, array in zip(self.inputs, arrays, strict=True)
            }

    def at_once(self, x, *shapes):
        """How many rows of `x` the widest of all outputs and `shapes` allow.

        A size that is not fixed is not above the largest of `x`.
        """
        sizes = [n for a in keras.tree.flatten(x) for n in np.shape(a)[1:]]
        largest = max([1, *sizes])
        shapes = [step.shape[1:] for step in self.steps] + list(shapes)
        widest = max(math.prod(n or largest for n in s) for s in shapes)
        return max(1, NUMBERS_AT_ONCE // widest)

    def walk(self, tensors):
        """Each step before it runs; `tensors` get what it makes, by flow."""
        for step in self.steps:
            yield step
            made = step.run(tensors)
            tensors.update(zip(step.makes, made, strict=True))

    def with_zeros(self, held):
        """What has weights that are zero, but not those `held`: a list."""
        free = {
            f"zeros of {step}": None
            for step in self.steps
            for weight in step.matrices()
            if id(weight) not in held
            and 0 < np.count_nonzero(view(weight)) < math.prod(weight.shape)
        }
        return list(free)

    def left_out(self, units=False):
        """Layers that pruning weights, or `units`, does not reach: a list."""
        reached = {id(label.variable) for label in self.labels if units}
        unknown = [
            str(step)
            for step in self.steps
            if (units or not step.kernels())
            and {id(w) for w in step.matrices()} - reached
        ]
        whole = [
            f"{self.why[own[held][0]]} keeps {held.sum()} units of {name}"
            for name, own in self.hidden().items()
            if (held := self.held[own]).any()
        ]
        return list(dict.fromkeys(unknown)) + whole * units


def wanted_of(families, sparsity):
    """From the names of a family to the sparsity that is wanted of it.

    `sparsity` is a number for all, or a dict by one of a family's layers or
    by all their names, joined. A family that it does not name is left out.
    """
    if not isinstance(sparsity, dict):
        return dict.fromkeys(families, sparsity)
    found = {}
    for key, share in sparsity.items():
        meant = [name for name in families if key in (name, *name.split(", "))]
        if not meant:
            raise ValueError(
                f"`sparsity` names layers whose units may go; got {key!r}. "
                f"Pass some of these, by one or all of their names: "
                f"{'; '.join(families)}."
            )
        for name in meant:
            if found.setdefault(name, share) != share:
                raise ValueError(
                    f"Layers {name} lose the same units; got sparsities of "
                    f"{found[name]} and {share}. Pass one for all of them."
                )
    return found


def _fits(wanted, got):
    pairs = zip(wanted[1:], got[1:], strict=False)
    return len(wanted) == len(got) and all(w in (None, g) for w, g in pairs)


def _listed(shapes):
    return ", ".join(str(tuple(shape[1:])) for shape in shapes)
