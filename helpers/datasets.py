"""Arrays of MNIST, Fashion-MNIST, synthetic data: train, validation, test."""

import dataclasses
import functools
import gzip
import hashlib
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
# SHA-256 over the bytes of the four arrays: of the sample, of the full data.
KNOWN = {
    "mnist": {
        "06b0d1f124c4e5fa796686ade41a9b778edacc8622f2195a352ef479ad44fc16",
        "d7f37ed83eb4176c5e64ffea8aefb79abc0a9baa4191dc81299a01e36ead7b7c",
    },
    "fashion_mnist": {
        "ca3ab2a37f845e1b8ae23cab1b51749a3011ba3bf1d9016176d75cbaabac376f",
        "228d0a47d96997a473b73d92d343d716a1ca1df6e2abd9e988877608cc285232",
    },
}
SAMPLES = pathlib.Path(__file__).parent / "samples"
DOWNLOADS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# Where Keras keeps each file of its downloads, and its SHA-256.
FILES = {
    "mnist": {
        "mnist.npz":
        "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    },
    "fashion_mnist": {
        "fashion-mnist/train-images-idx3-ubyte.gz":
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "fashion-mnist/train-labels-idx1-ubyte.gz":
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "fashion-mnist/t10k-images-idx3-ubyte.gz":
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "fashion-mnist/t10k-labels-idx1-ubyte.gz":
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}  # fmt: skip
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

    Raises:
        ValueError: an unknown name, or a file that is not what it should be.
    """
    if name == SYNTHETIC:
        split, what = _synthetic(), "rows"
    else:
        arrays, source = _first_found(name, sample)
        split, what = _split(name, source, *arrays), "images"
    counts = [len(split.y_train), len(split.y_val), len(split.y_test)]
    print(
        "{}: {:,} training, {:,} validation, {:,} test {}; from {}".format(
            name, *counts, what, split.source
        )
    )
    return split


def _synthetic():
    """2,500 rows in two classes; the parts have equal shares of each."""
    from sklearn.datasets import make_classification
    from sklearn.model_selection import train_test_split

    x, y = make_classification(
        2500, 10, n_informative=6, n_redundant=2, random_state=0
    )
    parts = {"test_size": 500, "random_state": 0}
    x, x_test, y, y_test = train_test_split(
        x, y.astype("int64"), stratify=y, **parts
    )
    x, x_val, y, y_val = train_test_split(x, y, stratify=y, **parts)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    x, x_val, x_test = (
        ((part - mean) / deviation).astype("float32")
        for part in (x, x_val, x_test)
    )
    return Split(x, y, x_val, y_val, x_test, y_test, SYNTHETIC, "scikit-learn")


def _split(name, source, x_train, y_train, x_test, y_test):
    x_train, x_test = (
        x.reshape(-1, 784) / np.float32(255) for x in (x_train, x_test)
    )
    y_train, y_test = y_train.astype("int64"), y_test.astype("int64")
    last = len(x_train) - len(x_train) // 12
    return Split(
        x_train[:last], y_train[:last], x_train[last:], y_train[last:],
        x_test, y_test, name, source,
    )  # fmt: skip


def _first_found(name, sample):
    """The bytes of the four arrays, and where they are from."""
    folder = os.environ.get("PRUNING_DATA_DIR")
    if sample or os.environ.get("PRUNING_DATA") == "sample":
        return _read(SAMPLES / f"{name}.npz", name), "the bundled sample"
    if folder:
        path = pathlib.Path(folder).resolve() / f"{name}.npz"
        return _read(path, name), "PRUNING_DATA_DIR"
    try:
        return _from_keras(name), "Keras"
    except (OSError, RuntimeError):  # no network; no home to keep it in
        return (
            _read(SAMPLES / f"{name}.npz", name),
            "the bundled sample (the full data could not be downloaded)",
        )


def _read(path, name):
    """Bytes of an .npz file, or a ValueError that names the file."""
    try:
        with np.load(path, allow_pickle=False) as npz:
            arrays = [np.frombuffer(npz[key], np.uint8) for key in ARRAYS]
        why = f"its content is not that of {name}"
    except Exception as error:  # a file may be broken in many ways
        arrays, why = [], f"it cannot be read ({error})"
    if _digest(arrays) not in KNOWN[name]:
        raise ValueError(
            f"The file {path} is not usable: {why}. Put {name}.npz there, "
            "unset PRUNING_DATA_DIR to download it, or set "
            "PRUNING_DATA=sample to use the bundled sample."
        )
    return arrays


def _from_keras(name):
    """Bytes from Keras' cache; only whole and right files come into it."""
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    folder = pathlib.Path(home) / "datasets"
    paths = [_fetched(folder / f, sha) for f, sha in FILES[name].items()]
    if name == "mnist":
        return _read(*paths, name)
    return [
        np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=n)
        for path, n in zip(paths, (16, 8, 16, 8), strict=True)
    ]  # behind the headers: a magic number, and the length of each axis


def _fetched(path, sha):
    """The path, when the right file is there; downloaded if need be."""
    try:
        pooch.retrieve(
            DOWNLOADS + path.name, sha, path.name, path.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )  # fmt: skip
    except ValueError as error:  # another hash: some network's login page?
        raise OSError(f"a wrong file was served: {error}") from None
    return path


def _digest(arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
