"""Claims that the notebooks print, and detectors of silent bugs.

Before you publish, ask of a pruned network `as_many_as_asked`,
`smallest_went` and `rewound`, and `RevivedWeights` while it trains; of a number
whether it is `confirmed`; of a comparison `as_many_left`, `equally_trained`,
`blind_to_test` and `over_seeds`; of a copy or a file `same_outputs` and
`file_agrees`; of a function that somebody recommends whether it `exists`.
Notebook 14 shows what each of them catches.
"""

import dataclasses
import numbers
import pkgutil

import numpy as np

from helpers import compacting, measuring, pruning
from helpers.engine import doors, holding
from helpers.engine.backend import keras, view
from helpers.engine.doors import MODEL, door
from helpers.engine.tracing import trace
from helpers.engine.words import digits
from helpers.studying import TABLE


def claim(text, value, measured=None, *, below=None, above=None, within=None):
    """Print PASS or FAIL, `text`, and what was measured (≈ 3 digits).

    The regression test compares all but a number after ≈.

    Args:
        value: a number, or a Series, dict or array of them: all have to
            hold, and the worst is shown. Without bounds, true or false.
        measured: shown where true or false is claimed and it is false.
        below, above: bounds that `value` is not to reach; NaN fails both.
        within: a pair of bounds instead.

    Raises:
        ValueError: without bounds, `value` is neither true nor false, such
            as NaN, which Python takes for true.
    """
    above, below = within or (above, below)
    if above is None and below is None:
        _require_verdict(value)
        return _say(value, text, "" if value else f" (measured: {measured})")
    values = list(value.values()) if isinstance(value, dict) else value
    values = np.ravel(np.asarray(values, np.float64))
    room = np.full(len(values), np.inf)
    if above is not None:
        room = values - above
    if below is not None:
        room = np.minimum(room, below - values)
    worst = np.argmin(room)  # NaN, if there is one
    return _say(room[worst] > 0, text, f" (≈ {digits(values[worst])})")


def answer(given, measure=None, **bounds):
    """Judge a reader's answer to an exercise, once there is one.

    Args:
        given: the answer; `...` says that there is none yet.
        measure: called with it; returns the number that is to be judged.
        bounds: `below`, `above` or `within`, see `claim`.
    """
    if given is ...:
        print("Put your answer in place of the dots, and run this cell again.")
    else:
        claim("your answer", measure(given) if measure else given, **bounds)


def same_outputs(name, model, other, x, tolerance=1e-5):
    """Claim that two networks give the same outputs for the images `x`.

    Each is a Keras model, of one output or several, or the bytes of a LiteRT
    file. Gaps are relative to the largest value of an output; the largest
    gap is shown where the claim fails.

    Raises:
        ValueError: outputs of other numbers or shapes.
    """
    pairs = zip(*(measuring.outputs(m, x) for m in (model, other)), strict=True)
    gap = np.max([_gap(one, two) for one, two in pairs])
    power = f"{tolerance:g}".replace("e-0", "e-")
    text = f"{name}: the same outputs, to {power} of the largest"
    same = gap <= tolerance
    _say(same, text, "" if same else f" (≈ {digits(gap)})")


def _say(holds, text, shown):
    print(f"{'PASS' if holds else 'FAIL'}  {text}{shown}")


def _require_verdict(value):
    if not isinstance(value, np.bool_ | numbers.Integral | None):
        raise ValueError(
            f"`value` is true or false; got {type(value).__name__} {value!r}. "
            "Pass a comparison, such as `accuracy > 0.9`, or a bound, such as "
            "`below=0.03`."
        )


def _gap(one, other):
    largest = np.max(np.abs(one)) or 1
    return np.max(np.abs(one - _like(one, other))) / largest


def _like(array, other):
    """`other`, if it has the shape of `array`."""
    if np.shape(other) == array.shape:
        return other
    raise ValueError(
        f"Expected an array of shape {array.shape}, got {np.shape(other)}. "
        "Pass two networks of the same shape, or what one says of all rows."
    )


class RevivedWeights(keras.callbacks.Callback):
    """Counts, after every step, masked weights that are not zero.

    A mask over units speaks of all that they have of their own: biases,
    gamma and beta, too. While a `keras.distillation.Distiller` trains, its
    student is watched.

    Attributes:
        steps: how many steps were looked at.
        worst: the largest count seen.
    """

    @door(masks=doors.LAYERS)
    def __init__(self, masks):
        super().__init__()
        self.masks, self.steps, self.worst = masks, 0, 0

    def set_model(self, model):
        """Refuse masks that are not the model's, before the first step."""
        super().set_model(model)
        channels = trace(getattr(model, "student", model))
        self._pairs = holding.masked_by(channels, self.masks)

    def on_train_batch_end(self, batch, logs=None):
        """Look at every masked variable."""
        revived = sum(
            int(np.count_nonzero(view(variable)[mask == 0]))
            for variable, mask in self._pairs
        )
        self.steps += 1
        self.worst = max(self.worst, revived)


@door(model=MODEL, sparsity=doors.SPARSITY, of=doors.one_of("weights", "units"))
def as_many_as_asked(name, model, sparsity, of="weights"):
    """Claim that this share is zero of all prunable weights, or units.

    A unit is gone if nothing of its own is left, see `deleted_units`.
    """
    gone = {n: k == 0 for n, k in pruning.prunable_kernels(model).items()}
    if of == "units":
        found, scores = pruning.deleted_units(model), pruning.unit_scores(model)
        gone = {n: found.get(n, s < 0) for n, s in scores.items()}
    flat = np.concatenate([layer.ravel() for layer in gone.values()])
    slack = len(gone) / flat.size  # every layer rounds
    ends, asked = (sparsity - slack, sparsity + slack), f"{100 * sparsity:g} %"
    claim(f"{name}: {asked} of the {of} are gone", flat.mean(), within=ends)


@door(pruned=MODEL, model=MODEL)
def smallest_went(name, pruned, model):
    """Claim that each layer of `pruned` has lost its smallest weights only."""
    kernels, larger = pruning.prunable_kernels(model), 0
    for layer, left in pruning.prunable_kernels(pruned).items():
        sizes = np.abs(_like(left, kernels.get(layer)))
        least = np.min(sizes[left != 0], initial=np.inf)
        fine = np.where(left == 0, sizes <= least, ~np.isnan(left))
        larger += np.count_nonzero(~fine)
    text = f"{name}: no weight that went is larger than one that stayed"
    claim(text, larger, below=1)


@door(model=MODEL, to=MODEL)
def rewound(name, model, to):
    """Claim that what is not zero in `model` is as in `to`, bit for bit."""
    differ = 0
    for now, then in zip(model.get_weights(), to.get_weights(), strict=True):
        differ += np.count_nonzero((now != _like(now, then)) & (now != 0))
    claim(f"{name}: no weight that is left has changed", differ, below=1)


@door(tolerance=doors.FRACTION)
def confirmed(name, said, again, tolerance=0.01):
    """Claim that two ways to one number agree, to this share of the larger."""
    gap = abs(said - again) / (max(abs(said), abs(again)) or 1)
    text = f"{name}: two ways differ by less than {100 * tolerance:g} %"
    claim(text, gap, below=tolerance)


@door(model=MODEL, other=MODEL)
def as_many_left(name, model, other):
    """Claim that, to 1 %, as many weights are left that can do anything."""
    both = map(measuring.counts, map(compacting.compact, (model, other)))
    ratio = np.divide(*(counts["nonzeros"] for counts in both))
    claim(f"{name}: the ratio of weights left is 1", ratio, within=(0.99, 1.01))


@door(model=MODEL, control=MODEL)
def equally_trained(name, model, control):
    """Claim that both took as many optimizer steps, since last compiled."""
    optimizers = [getattr(m, "optimizer", None) for m in (model, control)]
    steps = [int(o.iterations.numpy()) if o else 0 for o in optimizers]
    if not any(steps):
        raise ValueError(
            "Neither network has been trained since it was made; pass them "
            "as they come out of `fit` or `fine_tune`, not copies."
        )
    claim(f"{name}: as many steps of training", np.ptp(steps), below=1)


@door(choose=doors.FUNCTION, split=doors.SPLIT)
def blind_to_test(name, choose, split):
    """Claim that `choose(split)` does not change with the test labels."""
    first, changed = choose(split), 0
    for seed in range(5):
        labels = np.random.default_rng(seed).permutation(split.y_test)
        other = choose(dataclasses.replace(split, y_test=labels))
        changed += not np.array_equal(first, other)
    claim(f"{name}: no choice changes with test labels", changed, below=1)


@door(table=TABLE)
def over_seeds(name, table, by=()):
    """Claim that each group of `by` has a row per seed, of two or more."""
    groups = table.groupby(list(by) or np.zeros(len(table)))["seed"]
    share = (groups.nunique() - 1) / (groups.size() - 1)  # one row: NaN
    claim(f"{name}: all of the spread is over seeds", share, above=0.99)


@door(model=MODEL, x=doors.INPUTS)
def file_agrees(name, file, model, x, share=0.98):
    """Claim that a file's predictions are the network's, but for a few.

    Args:
        file: its bytes, or the classes that your own code got out of it.
    """
    said = measuring.predictions(file, x) if isinstance(file, bytes) else file
    own = measuring.predictions(model, x)
    agreed = np.mean(own == _like(own, said))
    text = f"{name}: {100 * share:g} % are the network's predictions"
    claim(text, agreed, above=share)


def exists(name, api):
    """Claim that there is, say, "keras.constraints.Constraint"."""
    try:
        found = pkgutil.resolve_name(api) is not None
    except (AttributeError, ImportError):
        found = False
    _say(found, f"{name}: {api} exists", "")
