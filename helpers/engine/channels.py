"""Which unit is whose: a network as a list of steps, its variables labelled.

Every unit has a number. Along every tensor go the numbers of the units on its
last axis, and every axis of every variable is labelled by them; so pruning
zeroes all entries whose number is gone, and compaction keeps all whose number
stays. `tracing` finds the numbers.
"""

import dataclasses

import numpy as np

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


@dataclasses.dataclass(eq=False)
class Channels:
    """What is known of a model's units; it depends on no weight.

    Attributes:
        steps: every call, in the order they run; nested models in place.
        labels: of all axes that units lie on.
        kernels: from layer name to the variable whose weights may be pruned.
        outputs: names of the layers that make the model's outputs.
        why: from unit number to what holds it, or None.
        inputs: from tensor number to shape and type of what goes in.
        results: numbers of the tensors that come out.
        entries: from the `id` of a nested model's input to its units.
    """

    steps: list
    labels: list
    kernels: dict
    outputs: frozenset
    why: np.ndarray
    inputs: dict
    results: list
    entries: dict

    def __post_init__(self):
        """Which units are held; by layer name, the label of those it gives."""
        self.held = np.array([reason is not None for reason in self.why], bool)
        own = {id(x.variable): x for x in self.labels if x.own}
        self.columns = {
            name: own[id(kernel)]
            for name, kernel in self.kernels.items()
            if id(kernel) in own
        }
        self.given = {n: label.units for n, label in self.columns.items()}

    def prunable(self, include_output=False):
        """From layer name to its kernel; output layers only if asked for."""
        return {
            name: kernel
            for name, kernel in self.kernels.items()
            if include_output or name not in self.outputs
        }

    def some_kernels(self, include_output=False):
        """The same, if there are any; else a ValueError that says why not."""
        found = self.prunable(include_output)
        if not self.kernels:
            layers = ", ".join(map(str, self.steps)) or "none"
            raise ValueError(
                "The model has no layer with a kernel to prune; its layers "
                f"are {layers}. Pass e.g. `networks.mlp()`."
            )
        if not found:
            raise ValueError(
                "The model has only an output layer. Pass "
                "`include_output=True` to prune that one."
            )
        return found

    def hidden(self):
        """From layer name to the units that it gives, without the outputs'."""
        return {n: self.given[n] for n in self.prunable() if n in self.given}

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
        stays, owners = self.held.copy(), {}
        for name in spare:
            stays[self.given[name]] = True
        for name, units in self.given.items():
            for unit in units[~stays[units]]:
                owners.setdefault(unit, []).append(name)
        found = {}
        for unit in sorted(owners):
            found.setdefault(", ".join(owners[unit]), []).append(unit)
        return {names: np.array(units) for names, units in found.items()}

    def nothing(self):
        """Zeros for one row of each input, by tensor number.

        Texts have words; what keeps a state gets the rows that it keeps.
        """
        found, words = {}, b"a " * steps.PROBE
        stateful = any(getattr(s.layer, "stateful", False) for s in self.steps)
        for number, (shape, dtype) in self.inputs.items():
            rows = shape[0] or 1 if stateful else 1
            shape = [rows, *(n or steps.PROBE for n in shape[1:])]
            text = dtype == "string"
            found[number] = np.full(
                shape, words if text else 0, None if text else dtype
            )
        return found

    def feed(self, x, rows=256):
        """Inputs by tensor number, some rows of `x` at a time.

        `x` is one array, or as many as the model has inputs.
        """
        arrays = keras.tree.flatten(x)
        wanted, dtypes = zip(*self.inputs.values(), strict=True)
        got = [np.shape(array) for array in arrays]
        if len(wanted) != len(got) or not all(map(_fits, wanted, got)):
            raise ValueError(
                f"The model takes rows of shape {_listed(wanted)}; got "
                f"{_listed(got)}. Pass e.g. `split.x_test`."
            )
        for start in range(0, len(arrays[0]), rows):
            parts = [array[start : start + rows] for array in arrays]
            cast = map(keras.ops.cast, parts, dtypes)
            yield dict(zip(self.inputs, cast, strict=True))

    def mixed_by(self, units):
        """What holds one of these units, apart from being an output."""
        reasons = {self.why[unit] for unit in units} - {None, "the output"}
        return min(reasons, default=None)

    def left_out(self, units=False):
        """Layers that pruning weights, or `units`, does not reach: a list."""
        labelled = {id(label.variable) for label in self.labels}
        unknown = [
            str(step)
            for step in self.steps
            if (units or not step.kernels())
            and any(id(w) not in labelled or not units for w in step.matrices())
        ]
        whole = [
            f"{self.why[own[held][0]]} keeps {held.sum()} units of {name}"
            for name, own in self.hidden().items()
            if (held := self.held[own]).any()
        ]
        return list(dict.fromkeys(unknown)) + whole * units


def _fits(wanted, got):
    pairs = zip(wanted[1:], got[1:], strict=False)
    return len(wanted) == len(got) and all(w in (None, g) for w, g in pairs)


def _listed(shapes):
    return ", ".join(str(tuple(shape[1:])) for shape in shapes)
