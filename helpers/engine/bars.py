"""Progress bars where notebooks keep them."""

import sys

from tqdm import tqdm


def progress(items, label, total=None, delay=0):
    """A progress bar over `items`, on stdout, after `delay` seconds."""
    return tqdm(
        items, label, total, file=sys.stdout, ncols=96, mininterval=0.5,
        delay=delay,
    )  # fmt: skip
