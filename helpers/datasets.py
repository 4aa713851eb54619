"""Arrays of MNIST, Fashion-MNIST, synthetic data: train, validation, test."""

import dataclasses
import functools
import gzip
import hashlib
import json
import os
import pathlib

import numpy as np
import pooch

from helpers.engine.doors import door, one_of

NAMES = ("mnist", "fashion_mnist")
SYNTHETIC = "synthetic"
CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt", "trousers", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
}  # fmt: skip
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
SAMPLES = pathlib.Path(__file__).parent / "samples"
# Of the four arrays in turn, and of the files that Keras downloads.
SHA256 = json.loads((SAMPLES / "sha256.json").read_text(encoding="utf-8"))
KNOWN, FILES = SHA256["arrays"], SHA256["files"]
DOWNLOADS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
TIMEOUT = 10  # seconds without an answer before the sample is taken
pooch.get_logger().setLevel("ERROR")  # else it tells of each download


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One data set; x: float32 (rows, features), y: int (rows,).

    Images are rows of 784 pixels in [0, 1]; synthetic rows have 10 features
    of mean 0 and standard deviation 1. Your own six arrays make one, too.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str = "own"
    source: str = "memory"

    @property
    def is_sample(self):
        """Whether these are the bundled few thousand images."""
        return self.name in NAMES and len(self.x_train) < 10_000

    def steps(self, num_steps):
        """`num_steps` on the full data, a fifth of them on the sample.

        500 steps of 128 images see each of 55,000 images once, but each of
        the sample's 3,667 seventeen times.
        """
        return num_steps // 5 if self.is_sample else num_steps

    def with_validation(self):
        """The split for a last training, when all choices have been made.

        The validation rows follow the training rows.
        """
        x, y = (self.x_train, self.x_val), (self.y_train, self.y_val)
        return dataclasses.replace(
            self, x_train=np.concatenate(x), y_train=np.concatenate(y)
        )

    @functools.cached_property
    def fingerprint(self):
        """SHA-256 of what a training run can see."""
        return _digest([self.x_train, self.y_train, self.x_val, self.y_val])


@door(name=one_of(*NAMES, SYNTHETIC))
def load(name, sample=False):
    """Load a data set by name and print one line that says which it got.

    Looks in `$PRUNING_DATA_DIR/<name>.npz`, then in Keras' cache (which it
    fills by a download), then in the bundled sample. `sample=True` or
    `PRUNING_DATA=sample` forces the sample. The last twelfth of the training
    images becomes the validation set. "synthetic" needs no file:
    scikit-learn makes it.
    """
    if name == SYNTHETIC:
        split, what = _synthetic(), "rows"
    else:
        arrays, source = _first_found(name, sample)
        split, what = _split(name, source, *arrays), "images"
    print(
        f"{name}: {len(split.y_train):,} training, {len(split.y_val):,} "
        f"validation, {len(split.y_test):,} test {what}; from {split.source}"
    )
    return split


def _synthetic():
    """2,500 rows in two classes; the parts have equal shares of each."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import train_test_split

    x, y = make_classification(
        2500, 10, n_informative=6, n_redundant=2, random_state=0
    )
    part = functools.partial(train_test_split, test_size=500, random_state=0)
    x, x_test, y, y_test = part(x, y.astype("int64"), stratify=y)
    x, x_val, y, y_val = part(x, y, stratify=y)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    x, x_val, x_test = (
        ((rows - mean) / deviation).astype("float32")
        for rows in (x, x_val, x_test)
    )
    return Split(x, y, x_val, y_val, x_test, y_test, SYNTHETIC, "scikit-learn")


def _split(name, source, x_train, y_train, x_test, y_test):
    x_train, x_test = (
        x.reshape(-1, 784) / np.float32(255) for x in (x_train, x_test)
    )
    y_train, y_test = y_train.astype("int64"), y_test.astype("int64")
    first = [len(x_train) - len(x_train) // 12]  # of the validation set
    x_train, x_val = np.split(x_train, first)
    y_train, y_val = np.split(y_train, first)
    return Split(x_train, y_train, x_val, y_val, x_test, y_test, name, source)


def _first_found(name, sample):
    """The bytes of the four arrays, and where they are from."""
    bundled, folder = SAMPLES / f"{name}.npz", os.getenv("PRUNING_DATA_DIR")
    if sample or os.getenv("PRUNING_DATA") == "sample":
        return _read(bundled, name), "the bundled sample"
    if folder:
        path = pathlib.Path(folder).resolve() / f"{name}.npz"
        return _read(path, name), "PRUNING_DATA_DIR"
    try:
        return _from_keras(name), "Keras"
    except (OSError, RuntimeError, ValueError):
        # No network, or one that serves its login page; no home to keep it in.
        why = "the full data could not be downloaded"
        return _read(bundled, name), f"the bundled sample ({why})"


def _read(path, name):
    """Bytes of an .npz file, or a ValueError that names the file."""
    why = f"its content is not that of {name}"
    try:
        with np.load(path, allow_pickle=False) as npz:
            arrays = [np.frombuffer(npz[key], np.uint8) for key in ARRAYS]
        if _digest(arrays) in KNOWN[name].values():
            return arrays
    except Exception as error:  # a file may be broken in many ways
        why = f"it cannot be read ({error})"
    raise ValueError(
        f"The file {path} is not usable: {why}. Put {name}.npz there, unset "
        "PRUNING_DATA_DIR to download it, or set PRUNING_DATA=sample to use "
        "the bundled sample."
    )


def _from_keras(name):
    """Bytes from Keras' cache; only whole and right files come into it."""
    home = os.getenv("KERAS_HOME") or pathlib.Path.home() / ".keras"
    paths, by_http = [], pooch.HTTPDownloader(timeout=TIMEOUT)
    for file, sha in FILES[name].items():
        path = pathlib.Path(home) / "datasets" / file
        url, place = DOWNLOADS + path.name, (path.name, path.parent)
        pooch.retrieve(url, sha, *place, downloader=by_http)
        paths.append(path)
    if name == "mnist":
        return _read(*paths, name)
    return [
        np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=n)
        for path, n in zip(paths, (16, 8, 16, 8), strict=True)
    ]  # behind the headers: a magic number, and the length of each axis


def _digest(arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
