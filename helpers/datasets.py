"""Arrays of MNIST, Fashion-MNIST, synthetic data: train, validation, test."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import time
import urllib.request

import filelock
import numpy as np

from helpers.engine.caching import whole

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
# SHA-256 over the bytes of the four arrays, in that order.
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
KERAS_FILES = {
    "mnist": ["mnist.npz"],
    "fashion_mnist": [
        f"fashion-mnist/{part}-ubyte.gz"
        for part in (
            "train-labels-idx1", "train-images-idx3",
            "t10k-labels-idx1", "t10k-images-idx3",
        )
    ],
}  # fmt: skip
DOWNLOADS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
TIMEOUT = 10  # seconds without an answer before the sample is taken
SLOWEST = 50_000  # bytes a second; a slower download is given up, too


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One data set; x: float32 (rows, features), y: int (rows,).

    Images are rows of 784 pixels in [0, 1]; synthetic rows have 10 features
    of mean 0 and standard deviation 1.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str
    source: str

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

    @functools.cached_property
    def fingerprint(self):
        """SHA-256 of what a training run can see."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_val, self.y_val):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


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
    if name not in (*NAMES, SYNTHETIC):
        known = ", ".join((*NAMES, SYNTHETIC))
        raise ValueError(f"Unknown data set {name!r}; pass one of {known}.")
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


def _first_found(name, sample):
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


def _split(name, source, x_train, y_train, x_test, y_test):
    x_train, x_test = (
        (x.reshape(len(x), -1) / np.float32(255)) for x in (x_train, x_test)
    )
    y_train, y_test = y_train.astype("int64"), y_test.astype("int64")
    last = len(x_train) - len(x_train) // 12
    return Split(
        x_train[:last], y_train[:last], x_train[last:], y_train[last:],
        x_test, y_test, name, source,
    )  # fmt: skip


def _read(path, name):
    """The four arrays of an .npz file, or a ValueError that names the file."""
    if not path.is_file():
        what = "a folder, but no file," if path.is_dir() else "no file"
        raise ValueError(
            f"There is {what} {path}. Put {name}.npz there, or unset "
            "PRUNING_DATA_DIR to download the data or use the sample."
        )
    try:
        with np.load(path, allow_pickle=False) as npz:
            arrays = [npz[key] for key in ARRAYS]
    except Exception as e:  # a file may be broken in many ways
        raise _broken(path, f"it cannot be read ({e})") from None
    return _verify(arrays, path, name)


def _verify(arrays, path, name):
    for key, array in zip(ARRAYS, arrays, strict=True):
        shape = (28, 28) if key.startswith("x") else ()
        if array.dtype != np.uint8 or array.shape[1:] != shape:
            raise _broken(
                path,
                f"`{key}` is {array.dtype} of shape {array.shape}, expected "
                f"uint8 of shape {('n', *shape)}",
            )
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    if digest.hexdigest() not in KNOWN[name]:
        raise _broken(path, f"its content is not that of {name}")
    return arrays


def _broken(path, why):
    return ValueError(
        f"The file {path} is not usable: {why}. Delete it and fetch it "
        "again, or set PRUNING_DATA=sample to use the bundled sample."
    )


def _from_keras(name):
    """Arrays from Keras' cache; only whole and right files ever stay in it."""
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    folder = pathlib.Path(home) / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / file for file in KERAS_FILES[name]]
    with filelock.FileLock(folder / ".pruning-notebooks.lock"):
        missing = [path for path in paths if not path.exists()]
        for path in missing:
            _download(path)
        try:
            return _loaded(name, paths[-1])
        except ValueError as error:
            for path in missing:
                path.unlink()
            if missing != paths:
                raise
            raise OSError(f"a wrong file was served: {error}") from None


def _loaded(name, path):
    """Arrays from Keras' loader, which finds all its files, verified."""
    from helpers.engine.backend import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as e:  # a gzip or zip file may break in many ways
        raise _broken(path, f"Keras cannot read it ({e})") from None
    return _verify([*train, *test], path, name)


def _download(path):
    """Fetch one file beside its place and move it there when it is whole."""
    latest, url = time.monotonic() + TIMEOUT, DOWNLOADS + path.name
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT) as answer,
            whole(path) as part,
            part.open("wb") as file,
        ):
            while piece := answer.read1(2**16):
                file.write(piece)
                if time.monotonic() > latest + file.tell() / SLOWEST:
                    raise TimeoutError("it comes too slowly")
            if answer.length:
                raise OSError(f"{answer.length} bytes of it are missing")
    except Exception as e:  # whatever the network does
        raise OSError(f"{path.name} could not be downloaded: {e}") from e
