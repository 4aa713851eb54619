"""The site's first page: a real network that the reader's browser prunes.

python -m helpers.workshop.page notebooks/*.py  writes build/site/index.html
"""

import base64
import hashlib
import pathlib
import re
import sys
import zlib

import jinja2
import numpy as np

from helpers import datasets, masking, measuring, pruning, training
from helpers.engine import caching
from helpers.workshop import publishing

PAGE, PARTS = pathlib.Path("build/site/index.html"), publishing.HERE / "site"
WIDTHS, NUM_IMAGES = (300, 100), 500  # LeNet-300-100
STOPS = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95,
         0.97, 0.98, 0.99)  # fmt: skip
METHODS = ("weights", "neurons", "random")
RETRAINED = {"weights": STOPS[6:], "neurons": STOPS[5:15]}
NUM_STEPS = {"weights": 500, "neurons": 1000}
BADGE = re.compile(r"badge\.svg\)\]\(([^)]+)\)")
QUESTION = re.compile(r"^# > (.*(?:\n# > .*)*)", re.M)


def unit_of(model):
    """The power of two that the weights on the page are multiples of.

    127 of it reach twice as far as the largest weight, since retraining makes
    some larger; a power of two keeps every comparison of two weights exact.
    """
    kernels = pruning.prunable_kernels(model, include_output=True).values()
    largest = max(np.abs(kernel).max() for kernel in kernels)
    return float(2 ** np.ceil(np.log2(2 * largest / 127)))


def rounded(model, unit):
    """A copy with weights of -127 to 127 units; 0 is what was zero before."""
    copy = pruning.copy_of(model)
    for layer in copy.layers:
        kernel = np.asarray(layer.kernel)
        whole = np.clip(np.rint(np.abs(kernel) / unit), 1, 127)
        layer.kernel.assign(np.sign(kernel) * whole * unit)
    return copy


def lots(size):
    """Random whole numbers below 2**32 that JavaScript draws, too: mulberry32.

    NumPy's own generator would be a long program there.
    """
    state = np.arange(1, size + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5)
    mixed = (state ^ state >> 15) * (state | 1)
    mixed ^= mixed + (mixed ^ mixed >> 7) * (mixed | 61)
    return mixed ^ mixed >> 14


def pruned(model, method, sparsity):
    """What the page makes of `model`, by one of `METHODS`, with our tools."""
    if method == "neurons":
        return pruning.prune_units(model, sparsity)
    kernels = pruning.prunable_kernels(model)
    scores = masking.magnitude_scores(kernels)
    if method == "random":
        sizes = np.cumsum([kernel.size for kernel in kernels.values()])
        parts = np.split(lots(sizes[-1]), sizes[:-1])
        shaped = zip(kernels.items(), parts, strict=True)
        scores = {name: p.reshape(kernel.shape) for (name, kernel), p in shaped}
    return pruning.masked(model, masking.global_masks(scores, sparsity))


def survivors(model, method):
    """Masks of the weights that still do something, by layer name."""
    masks, alive = {}, True
    kernels = pruning.prunable_kernels(model, include_output=True)
    for name, kernel in kernels.items():
        masks[name] = (kernel != 0) & alive
        if method == "neurons":  # nothing comes out of a deleted one
            alive = masks[name].any(axis=0)[:, None]
    return masks


def networks(model, unit, split, retrained=RETRAINED):
    """All that the page can show: by method, sparsity, and if retrained."""
    found = {(m, s, False): pruned(model, m, s) for m in METHODS for s in STOPS}
    for method, sparsities in retrained.items():
        for s in sparsities:
            start = found[method, s, False]
            found[method, s, True] = longer(start, method, unit, split)
    return found


def longer(model, method, unit, split):
    """A copy, trained for as long as after that method; zeros are held."""
    num_steps = split.steps(NUM_STEPS[method])
    return rounded(training.fine_tune(model, split, num_steps), unit)


def shown(split):
    """Which test images are on the page: drawn once, by lot."""
    size = len(split.x_test)
    return np.random.default_rng(0).permutation(size)[:NUM_IMAGES]


def packed(found, unit, split):
    """One blob: images, labels, the whole network; of others, what differs.

    Of a retrained network that is its biases, and how many units are added
    to each weight that survived, modulo 256.
    """
    images, dense = shown(split), found["weights", 0, False]
    pixels, labels = split.x_test[images], split.y_test[images]
    whole, biases = _flat(dense, unit)
    parts = [np.rint(255 * pixels).astype(int), labels, whole, biases]
    for (method, _, retrained), model in found.items():
        if retrained:
            masks = survivors(model, method).values()
            kept = np.concatenate([mask.ravel() for mask in masks])
            weights, biases = _flat(model, unit)
            parts += [biases, (weights - whole)[kept]]
    return zlib.compress(b"".join(map(_bytes, parts)), 9)


def facts(found, unit, split):
    """What the page knows beside: sizes, and accuracies on all test images."""
    curves, test = {}, (split.x_test, split.y_test)
    for (method, sparsity, retrained), model in found.items():
        places = curves.setdefault(method + ", retrained" * retrained, {})
        places[STOPS.index(sparsity)] = measuring.accuracy(model, *test)
    layers = found["weights", 0, False].layers
    return {
        "unit": unit,
        "sizes": [split.x_test.shape[1], *(layer.units for layer in layers)],
        "stops": STOPS,
        "stored": [(m, STOPS.index(s)) for m, s, after in found if after],
        "shown": len(shown(split)),
        "accuracy": curves,
    }


def html(found, unit, split, **more):
    """The page as one text; `more` is what else its template names."""
    css, js, source = (
        (PARTS / f"page.{kind}").read_text(encoding="utf-8")
        for kind in ("css", "js", "html.j2")
    )
    return jinja2.Template(source, autoescape=True).render(
        css=css,
        js=js,
        allowed=[_digest(css), _digest(js)],
        blob=base64.b64encode(packed(found, unit, split)).decode(),
        facts=facts(found, unit, split),
        split=split,
        num_steps={m: split.steps(n) for m, n in NUM_STEPS.items()},
        **more,
    )


def build(notebooks):
    """Train, prune, retrain, and write the page, with links to the others.

    Returns:
        The data, and all networks that the page can show.
    """
    split = datasets.load("mnist")
    model = training.baseline(split, widths=WIDTHS)
    unit = unit_of(model)
    dense = rounded(model, unit)
    found = networks(dense, unit, split)
    whole = {m: longer(dense, m, unit, split) for m in NUM_STEPS}
    whole["floats"] = model
    test = split.x_test, split.y_test
    readme = (notebooks[0].parents[1] / "README.md").read_text("utf-8")
    page = html(
        found,
        unit,
        split,
        whole={n: measuring.accuracy(m, *test) for n, m in whole.items()},
        badge=BADGE.search(readme)[1],
        titles=publishing.titles(notebooks),
        questions={path.stem: _question(path) for path in notebooks},
    )
    with caching.whole(PAGE) as part:
        part.write_text(page, encoding="utf-8")
    return split, found


def _flat(model, unit):
    """All weights in units of it, and all biases."""
    kernels = [np.asarray(layer.kernel).ravel() for layer in model.layers]
    biases = [np.asarray(layer.bias) for layer in model.layers]
    weights = np.rint(np.concatenate(kernels) / unit).astype(np.int16)
    return weights, np.concatenate(biases)


def _bytes(array):
    """Whole numbers as single bytes, others as 32-bit floats."""
    kind = "u1" if array.dtype.kind in "iu" else "<f4"
    return array.astype(kind).tobytes()


def _digest(text):
    """By which a policy of content allows an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _question(path):
    """What a notebook asks, below its title."""
    asked = QUESTION.search(path.read_text(encoding="utf-8"))[1]
    return asked.replace("\n# > ", " ")


if __name__ == "__main__":
    build([pathlib.Path(name).resolve() for name in sys.argv[1:]])
