"""Claims that the notebooks print, and detectors of silent bugs."""

import numbers

import numpy as np

from helpers import masking, pruning
from helpers.engine.backend import keras, view
from helpers.engine.doors import LAYERS, door


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


def zero_counts(kernels):
    """How many entries are exactly zero, by layer name."""
    arrays = {
        name: masking.require_numbers(f"Layer {name!r}", kernel)
        for name, kernel in masking.require_layers(kernels).items()
    }
    return {
        name: int(array.size - np.count_nonzero(array))
        for name, array in arrays.items()
    }


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
        student = getattr(model, "student", model)
        self._pairs = pruning.masked_variables(student, self.masks)

    def on_train_batch_end(self, batch, logs=None):
        """Look at every masked variable."""
        revived = sum(
            int(np.count_nonzero(view(variable)[mask == 0]))
            for variable, mask in self._pairs
        )
        self.steps += 1
        self.worst = max(self.worst, revived)
