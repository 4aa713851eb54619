"""Claims that the notebooks print, and detectors of silent bugs."""

import numbers

import numpy as np

from helpers import masking, pruning, staging
from helpers.engine.backend import keras


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

    Attributes:
        steps: how many steps were looked at.
        worst: the largest count seen.
    """

    def __init__(self, masks):
        super().__init__()
        self.masks, self.steps, self.worst = masks, 0, 0
        masking.require_layers(masks)

    def on_train_begin(self, logs=None):
        """Refuse masks that are not the model's, before the first step."""
        pruning.require_masks(self.model, self.masks)

    def on_train_batch_end(self, batch, logs=None):
        """Look at every masked layer."""
        revived = sum(
            np.count_nonzero(array[np.resize(mask, array.shape) == 0])
            for name, mask in self.masks.items()
            for array in self._masked_by(name, mask)
        )
        self.steps += 1
        self.worst = max(self.worst, int(revived))

    def _masked_by(self, name, mask):
        """A mask over units holds their biases, gamma and beta, too."""
        layer = self.model.get_layer(name)
        whole = np.ndim(mask) == 1
        parts = staging.unit_parts(self.model, layer) if whole else []
        return [variable.numpy() for variable in (layer.kernel, *parts)]
