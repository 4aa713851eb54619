"""Claims that the notebooks print, and detectors of silent bugs."""

import numbers
import operator

import numpy as np

from helpers import deploying
from helpers.engine import holding
from helpers.engine.backend import keras, view
from helpers.engine.doors import LAYERS, door
from helpers.engine.tracing import trace
from helpers.engine.words import digits


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
    pairs = zip(_outputs(model, x), _outputs(other, x), strict=True)
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


def _outputs(model, x):
    """The outputs of a model or file, one array each."""
    seen = [keras.tree.flatten(_call(model, part)) for part in _parts(x)]
    return [np.concatenate(parts) for parts in zip(*seen, strict=True)]


def _call(model, x):
    if isinstance(model, bytes):
        return deploying.runner(model, x)()
    return model(x, training=False)


def _parts(x, rows=1000):
    """`x` in parts: one array, or as many as the model has inputs."""
    for start in range(0, len(keras.tree.flatten(x)[0]), rows):
        part = slice(start, start + rows)
        yield keras.tree.map_structure(operator.itemgetter(part), x)


def _gap(one, other):
    if one.shape != other.shape:
        raise ValueError(
            f"Outputs have shapes {one.shape} and {other.shape}. Pass two "
            "networks of the same task."
        )
    largest = np.max(np.abs(one)) or 1
    return np.max(np.abs(one - other)) / largest


class RevivedWeights(keras.callbacks.Callback):
    """Counts, after every step, masked weights that are not zero.

    A mask over units speaks of all that they have of their own: biases,
    gamma and beta, too. While a `keras.distillation.Distiller` trains, its
    student is watched.

    Attributes:
        steps: how many steps were looked at.
        worst: the largest count seen.
    """

    @door(masks=LAYERS)
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
