"""Laws of the data: known content or a clear refusal, never half a file."""

import contextlib
import http.server
import io
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from helpers import datasets

SIZES = "3,667 training, 333 validation, 1,000 test images"


def sample_file(name="mnist"):
    return datasets.SAMPLES / f"{name}.npz"


def sample_arrays(**changes):
    with np.load(sample_file()) as npz:
        return {**npz, **changes}


# The sample


@pytest.mark.parametrize("name", datasets.NAMES)
def test_sample_is_split_three_ways(name, capsys):
    split = datasets.load(name)
    shapes = [getattr(split, f"x_{p}").shape for p in ("train", "val", "test")]
    assert shapes == [(3667, 784), (333, 784), (1000, 784)]
    labels = [getattr(split, f"y_{p}") for p in ("train", "val", "test")]
    assert [y.shape for y in labels] == [(3667,), (333,), (1000,)]
    assert [set(y.tolist()) for y in labels] == [set(range(10))] * 3
    assert split.is_sample
    shown = capsys.readouterr().out
    assert shown == f"{name}: {SIZES}; from the bundled sample\n"


@pytest.mark.parametrize("name", datasets.NAMES)
def test_pixels_are_float32_between_0_and_1(name):
    split = datasets.load(name)
    for x in (split.x_train, split.x_val, split.x_test):
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
    for y in (split.y_train, split.y_val, split.y_test):
        assert y.dtype == np.int64


def test_parts_are_disjoint_and_complete(sample):
    rows = np.concatenate([sample.x_train, sample.x_val])
    raw = sample_arrays()["x_train"].reshape(4000, 784)
    assert np.array_equal((rows * 255).round().astype(np.uint8), raw)
    parts = (sample.x_train, sample.x_val, sample.x_test)
    train, val, test = ({row.tobytes() for row in x} for x in parts)
    assert not train & val
    assert not train & test
    assert not val & test


def test_labels_stay_with_their_images(sample):
    raw = sample_arrays()
    labels = np.concatenate([sample.y_train, sample.y_val])
    assert np.array_equal(labels, raw["y_train"])
    assert np.array_equal(sample.y_test, raw["y_test"])


def test_every_data_set_names_its_classes():
    assert set(datasets.CLASSES) == set(datasets.NAMES)
    assert all(len(names) == 10 for names in datasets.CLASSES.values())


def test_sample_takes_a_fifth_of_the_steps(sample):
    assert sample.steps(500) == 100


def test_full_data_take_all_the_steps(sample):
    arrays = [np.zeros((12_000, 28, 28), np.uint8), np.zeros(12_000, np.uint8)]
    full = datasets._split("mnist", "here", *arrays, *arrays)
    assert not full.is_sample
    assert full.steps(500) == 500
    assert (len(full.x_train), len(full.x_val)) == (11_000, 1_000)


def test_fingerprint_is_that_of_what_training_sees(sample, split):
    again = datasets.load("mnist")
    assert again.fingerprint == sample.fingerprint
    assert split.fingerprint != sample.fingerprint
    assert datasets.load("fashion_mnist").fingerprint != sample.fingerprint


@pytest.mark.parametrize("name", ["cifar10", "MNIST", "", None])
def test_an_unknown_name_is_refused(name):
    known = "pass one of mnist, fashion_mnist, synthetic"
    with pytest.raises(ValueError, match=known):
        datasets.load(name)


# Synthetic data


@pytest.fixture(scope="module")
def synthetic():
    with contextlib.redirect_stdout(io.StringIO()):
        return datasets.load("synthetic")


def test_synthetic_rows_are_split_three_ways(synthetic):
    for part, size in {"train": 1500, "val": 500, "test": 500}.items():
        x, y = (getattr(synthetic, f"{xy}_{part}") for xy in "xy")
        assert (x.shape, x.dtype) == ((size, 10), np.float32)
        assert (y.shape, y.dtype) == ((size,), np.int64)
        assert np.bincount(y).tolist() == [size // 2, size // 2]
    parts = (synthetic.x_train, synthetic.x_val, synthetic.x_test)
    assert len(np.unique(np.concatenate(parts), axis=0)) == 2500


def test_synthetic_features_are_standardized_by_the_training_part(synthetic):
    means, deviations = (
        [f(x, axis=0) for x in (synthetic.x_train, synthetic.x_test)]
        for f in (np.mean, np.std)
    )
    np.testing.assert_allclose(means[0], 0, atol=1e-5)
    np.testing.assert_allclose(deviations[0], 1, atol=1e-5)
    assert 1e-3 < np.abs(means[1]).max() < 0.2
    assert 1e-3 < np.abs(deviations[1] - 1).max() < 0.2


def test_synthetic_labels_can_be_learned_and_not_by_chance(synthetic):
    """The side of the plane half-way between the classes tells them apart."""
    x, y = synthetic.x_train, synthetic.y_train
    low, high = (x[y == label].mean(axis=0) for label in (0, 1))
    side = (synthetic.x_test - (low + high) / 2) @ (high - low) > 0
    assert np.mean(side == synthetic.y_test) > 0.7


@pytest.mark.parametrize("forced", [True, False])
def test_synthetic_data_are_the_same_everywhere(
    synthetic, monkeypatch, capsys, tmp_path, forced
):
    if not forced:
        monkeypatch.delenv("PRUNING_DATA")
        monkeypatch.setenv("PRUNING_DATA_DIR", str(tmp_path))
    split = datasets.load("synthetic")
    assert split.fingerprint == synthetic.fingerprint
    assert (split.name, split.source) == ("synthetic", "scikit-learn")
    shown = capsys.readouterr().out
    sizes = "1,500 training, 500 validation, 500 test rows"
    assert shown == f"synthetic: {sizes}; from scikit-learn\n"


def test_synthetic_data_take_all_the_steps(synthetic):
    assert not synthetic.is_sample
    assert synthetic.steps(500) == 500


def test_data_sets_import_without_anything_heavy():
    code = (
        "import sys; from helpers import datasets; "
        "assert not {'sklearn', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# $PRUNING_DATA_DIR


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.delenv("PRUNING_DATA")
    monkeypatch.setenv("PRUNING_DATA_DIR", str(tmp_path))
    return tmp_path


def test_files_of_the_folder_are_taken(folder, capsys):
    (folder / "mnist.npz").write_bytes(sample_file().read_bytes())
    assert datasets.load("mnist").source == "PRUNING_DATA_DIR"
    assert str(folder) not in capsys.readouterr().out


def test_sample_wins_over_the_folder_when_asked_for(folder, monkeypatch):
    monkeypatch.setenv("PRUNING_DATA", "sample")
    assert datasets.load("mnist").source == "the bundled sample"
    monkeypatch.delenv("PRUNING_DATA")
    assert datasets.load("mnist", sample=True).source == "the bundled sample"


def test_a_missing_file_is_named(folder):
    with pytest.raises(ValueError, match="unset PRUNING_DATA_DIR") as error:
        datasets.load("mnist")
    assert str(folder / "mnist.npz") in str(error.value)


@pytest.mark.parametrize("there", ["nothing", "a file", "a folder too many"])
def test_a_folder_that_is_none_is_named(folder, monkeypatch, there):
    if there == "a file":
        (folder / "data").write_bytes(sample_file().read_bytes())
    if there == "a folder too many":
        (folder / "data" / "mnist.npz").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PRUNING_DATA_DIR", "data")  # seen from where?
    with pytest.raises(ValueError, match=r"There is (no file|a folder)") as e:
        datasets.load("mnist")
    assert str(folder / "data" / "mnist.npz") in str(e.value)


def npz(**changes):
    stream = io.BytesIO()
    arrays = {
        k: v for k, v in sample_arrays(**changes).items() if v is not None
    }
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy():
    stream = io.BytesIO()
    np.save(stream, sample_arrays()["x_train"])
    return stream.getvalue()


def altered():
    x = sample_arrays()["x_train"].copy()
    x[7, 14, 14] ^= 1
    return npz(x_train=x)


def flipped(at):
    content = bytearray(sample_file().read_bytes())
    content[at] ^= 0xFF
    return bytes(content)


def pickled():
    return npz(y_test=sample_arrays()["y_test"].astype(object))


BROKEN = {
    "empty": (lambda: b"", "cannot be read"),
    "truncated early": (lambda: sample_file().read_bytes()[:99], "be read"),
    "truncated late": (lambda: sample_file().read_bytes()[:-99], "be read"),
    "not a zip": (lambda: b"<html>Not found</html>", "cannot be read"),
    "a zip of nothing": (lambda: b"PK\5\6" + bytes(18), "cannot be read"),
    "a lone array": (npy, "cannot be read"),
    "pickled objects": (pickled, "cannot be read"),
    "missing key": (lambda: npz(y_test=None), "cannot be read.*y_test"),
    "flipped byte": (lambda: flipped(20_000), "cannot be read"),
    "floats": (
        lambda: npz(x_test=sample_arrays()["x_test"] / 255),
        r"`x_test` is float64.*expected uint8",
    ),
    "flat images": (
        lambda: npz(x_train=np.zeros((4000, 784), np.uint8)),
        r"`x_train` is uint8 of shape \(4000, 784\)",
    ),
    "one-hot labels": (
        lambda: npz(y_train=np.zeros((4000, 10), np.uint8)),
        r"`y_train` is uint8 of shape \(4000, 10\)",
    ),
    "NaN": (
        lambda: npz(x_train=np.full((4000, 28, 28), np.nan, np.float32)),
        "`x_train` is float32.*expected uint8",
    ),
    "words": (
        lambda: npz(y_test=np.array(["seven"] * 1000)),
        r"`y_test` is <U5.*expected uint8",
    ),
    "a lone number": (
        lambda: npz(y_test=np.uint8(7)),
        "content is not that of mnist",
    ),
    "labels of 256 classes": (
        lambda: npz(y_train=np.arange(4000, dtype=np.uint32).astype("u1")),
        "content is not that of mnist",
    ),
    "fewer labels than images": (
        lambda: npz(y_train=sample_arrays()["y_train"][:-1]),
        "content is not that of mnist",
    ),
    "no images": (
        lambda: npz(x_train=np.zeros((0, 28, 28), np.uint8)),
        "content is not that of mnist",
    ),
    "altered pixel": (altered, "content is not that of mnist"),
    "other data set": (
        lambda: sample_file("fashion_mnist").read_bytes(),
        "content is not that of mnist",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_by_name(folder, case):
    make, message = BROKEN[case]
    (folder / "mnist.npz").write_bytes(make())
    with pytest.raises(ValueError, match=message) as error:
        datasets.load("mnist")
    assert str(folder / "mnist.npz") in str(error.value)
    assert "PRUNING_DATA=sample" in str(error.value)


@pytest.mark.parametrize(
    "at", [0, 28, 1000, 20_000, 400_000, -345, -242, -238, -70, -10]
)
def test_no_flipped_byte_gets_through(folder, sample, at):
    """Neither as data nor as an error of some library."""
    (folder / "mnist.npz").write_bytes(flipped(at))
    try:
        split = datasets.load("mnist")
    except ValueError as error:
        assert "mnist.npz is not usable" in str(error)  # noqa: PT017
    else:  # a byte that means nothing, such as a date
        assert split.fingerprint == sample.fingerprint


# Downloads, from a server of our own


class Server(http.server.ThreadingHTTPServer):
    """Answers in one `manner`; counts what it was asked."""

    def __init__(self, manner):
        super().__init__(("127.0.0.1", 0), Handler)
        self.manner, self.asked = manner, []
        self.closing = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        getattr(self, self.server.manner)()

    def whole(self):
        self._send(sample_file().read_bytes())

    def cut_off(self):
        self._send(sample_file().read_bytes(), keep=50_000)

    def missing(self):
        self.send_error(404)

    def silent(self):
        self.server.closing.wait(30)

    def one_byte(self):
        self._send(sample_file().read_bytes(), keep=1)
        self.server.closing.wait(30)

    def dripping(self):
        self._send(sample_file().read_bytes(), keep=1)
        with contextlib.suppress(OSError):  # until the other side is gone
            while not self.server.closing.wait(0.05):
                self.wfile.write(b".")

    def wrong(self):
        self._send(b"<html>Log in to this network first</html>")

    def _send(self, content, keep=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:keep])

    def log_message(self, *args):
        pass


@pytest.fixture
def keras_home(monkeypatch, tmp_path):
    pytest.importorskip("keras")
    monkeypatch.delenv("PRUNING_DATA")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@contextlib.contextmanager
def serving(manner, monkeypatch):
    server = Server(manner)
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(datasets, "DOWNLOADS", url)
    monkeypatch.setattr(datasets, "TIMEOUT", 0.5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()


def files_in(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return [p.name for p in files if p.suffix != ".lock"]


@pytest.mark.parametrize("name", datasets.NAMES)
@pytest.mark.parametrize(
    "manner", ["cut_off", "silent", "one_byte", "dripping", "missing"]
)
def test_a_failed_download_leaves_nothing_and_gives_the_sample(
    keras_home, monkeypatch, capsys, name, manner
):
    start = time.monotonic()
    with serving(manner, monkeypatch) as server:
        split = datasets.load(name)
    assert time.monotonic() - start < 5
    assert len(server.asked) == 1
    assert split.is_sample
    assert files_in(keras_home) == []
    lines = capsys.readouterr().out.splitlines()
    (notice,) = [line for line in lines if "sample" in line]
    assert notice.startswith(f"{name}: {SIZES}; from the bundled sample (")
    assert "could not be downloaded" in notice
    assert not any(str(keras_home) in line for line in lines)


def test_no_server_gives_the_sample(keras_home, monkeypatch, capsys):
    with serving("whole", monkeypatch):
        pass  # now nobody listens at that port
    assert datasets.load("mnist").is_sample
    assert files_in(keras_home) == []


@pytest.fixture
def keras_reads_its_home(keras_home, monkeypatch):
    """Keras looks `KERAS_HOME` up when it is imported, that is, too early."""
    from helpers.engine.backend import keras

    def load_data():
        with np.load(keras_home / "datasets/mnist.npz") as npz:
            a, b, c, d = (npz[key] for key in datasets.ARRAYS)
            return (a, b), (c, d)

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    return keras_home


def test_a_whole_download_is_kept_and_fetched_once(
    keras_reads_its_home, monkeypatch
):
    with serving("whole", monkeypatch) as server:
        sources = [datasets.load("mnist").source for _ in range(2)]
    assert sources == ["Keras", "Keras"]
    assert server.asked == ["/mnist.npz"]
    kept = keras_reads_its_home / "datasets/mnist.npz"
    assert kept.read_bytes() == sample_file().read_bytes()


def test_a_wrong_file_is_not_kept_and_gives_the_sample(
    keras_reads_its_home, monkeypatch, capsys
):
    with serving("wrong", monkeypatch):
        assert datasets.load("mnist").is_sample
    assert "could not be downloaded" in capsys.readouterr().out
    assert files_in(keras_reads_its_home) == []
    with serving("whole", monkeypatch):
        assert datasets.load("mnist").source == "Keras"


@pytest.mark.parametrize("broken", ["not a zip", "altered pixel", "floats"])
def test_a_broken_file_of_keras_is_refused_by_name(
    keras_reads_its_home, broken
):
    path = keras_reads_its_home / "datasets/mnist.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(BROKEN[broken][0]())
    with pytest.raises(ValueError, match="is not usable") as error:
        datasets.load("mnist")
    assert str(path) in str(error.value)


def test_nothing_is_asked_of_the_network_when_the_sample_is_forced(monkeypatch):
    monkeypatch.setenv("PRUNING_DATA", "sample")
    with serving("whole", monkeypatch) as server:
        datasets.load("fashion_mnist")
    assert server.asked == []


def test_a_home_that_cannot_be_written_gives_the_sample(
    keras_home, monkeypatch
):
    keras_home.write_text("a file where the folder should be")
    assert datasets.load("mnist").is_sample


def test_samples_say_where_they_come_from():
    files = {path.name for path in datasets.SAMPLES.iterdir()}
    assert {"mnist.npz", "fashion_mnist.npz", "README.md"} <= files
