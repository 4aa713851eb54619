"""Our masks, and what a reader would write instead: a full sort."""

import numpy as np
from peers import random_weights

from helpers import masking


def masks(size):
    """`masking` zeroes exactly 90 % of one layer."""
    kernels = {"layer": random_weights(int(size))}

    def run():
        scores = masking.magnitude_scores(kernels)
        mask = masking.layerwise_masks(scores, 0.9)["layer"]
        return mask.size - int(np.count_nonzero(mask))

    return run


def sorted_masks(size):
    """A sort finds the cut, and the first of those at the cut go as well."""
    weights = random_weights(int(size))

    def run():
        scores = np.abs(weights)
        cut = np.sort(scores)[round(0.9 * scores.size) - 1]
        mask = scores > cut
        surplus = scores.size - round(0.9 * scores.size) - mask.sum()
        ties = np.flatnonzero(scores == cut)
        mask[ties[ties.size - surplus :]] = True
        return mask.size - int(np.count_nonzero(mask))

    return run
