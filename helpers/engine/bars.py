"""Progress bars where notebooks keep them."""

import sys

from tqdm import tqdm


def progress(items, label, total=None):
    """A progress bar over `items`, on stdout."""
    return tqdm(items, label, total, file=sys.stdout, ncols=96, mininterval=0.5)
