"""Claims that the notebooks print, and detectors of silent bugs."""

import numbers

import numpy as np

from helpers.engine import holding
from helpers.engine.backend import keras, view
from helpers.engine.doors import LAYERS, door
from helpers.engine.tracing import trace
from helpers.masking import zero_counts

__all__ = ["RevivedWeights", "claim", "zero_counts"]


def claim(text, holds, measured=None):
    """Print one line that is the same everywhere as long as `text` is true.

    The regression test compares it. `measured` is shown only where the
    claim fails, because it differs from machine to machine.

    Raises:
        ValueError: `holds` is neither true nor false, such as NaN, which
            Python takes for true.
    """
    if not isinstance(holds, np.bool_ | numbers.Integral | None):
        raise ValueError(
            f"`holds` is true or false; got {type(holds).__name__} {holds!r}. "
            "Pass a comparison, such as `accuracy > 0.9`, or `(a == b).all()`."
        )
    if bool(holds):
        print(f"PASS  {text}")
    else:
        print(f"FAIL  {text} (measured: {measured})")


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

    def on_train_begin(self, logs=None):
        """Refuse masks that are not the model's, before the first step."""
        model = getattr(self.model, "student", self.model)
        self._pairs = holding.masked_by(trace(model), self.masks)

    def on_train_batch_end(self, batch, logs=None):
        """Look at every masked variable."""
        revived = sum(
            int(np.count_nonzero(view(variable)[mask == 0]))
            for variable, mask in self._pairs
        )
        self.steps += 1
        self.worst = max(self.worst, revived)
