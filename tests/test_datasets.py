"""Laws of the data: known content or a clear refusal, never half a file."""

import contextlib
import gzip
import hashlib
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


def test_validation_rows_join_the_training_rows(split):
    joined = split.with_validation()
    assert np.array_equal(joined.x_train[-100:], split.x_val)
    assert np.array_equal(joined.y_train[-100:], split.y_val)
    assert np.array_equal(joined.y_train[:600], split.y_train)
    assert joined.x_test is split.x_test


def test_six_arrays_make_a_split():
    x, y = np.zeros((4, 2), np.float32), np.arange(4)
    split = datasets.Split(x, y, x, y, x, y)
    assert (split.name, split.source) == ("own", "memory")
    assert split.steps(500) == 500
    assert len(split.fingerprint) == 64


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
    with pytest.raises(ValueError, match="cannot be read") as error:
        datasets.load("mnist")
    assert str(folder / "data" / "mnist.npz") in str(error.value)


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


OTHER = "its content is not that of mnist"
BROKEN = {
    "empty": (lambda: b"", "cannot be read"),
    "truncated early": (lambda: sample_file().read_bytes()[:99], "be read"),
    "truncated late": (lambda: sample_file().read_bytes()[:-99], "be read"),
    "not a zip": (lambda: b"<html>Not found</html>", "cannot be read"),
    "a zip of nothing": (lambda: b"PK\5\6" + bytes(18), "cannot be read"),
    "a lone array": (npy, "cannot be read"),
    "pickled objects": (pickled, "cannot be read"),
    "missing key": (lambda: npz(y_test=None), "cannot be read.*y_test"),
    "floats": (lambda: npz(x_test=sample_arrays()["x_test"] / 255), OTHER),
    "one-hot labels": (lambda: npz(y_train=np.eye(10, dtype="u1")), OTHER),
    "no images": (lambda: npz(x_train=np.zeros((0, 28, 28), "u1")), OTHER),
    "altered pixel": (altered, OTHER),
    "other data set": (
        lambda: sample_file("fashion_mnist").read_bytes(),
        OTHER,
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


def served(name):
    """What a server has: the sample, in files as Keras keeps the full data."""
    if name == "mnist":
        return {"mnist.npz": sample_file().read_bytes()}
    with np.load(sample_file(name)) as npz:
        return {
            file: gzip.compress(bytes(header) + npz[key].tobytes(), 1, mtime=0)
            for file, key, header in zip(
                datasets.FILES[name], datasets.ARRAYS, (16, 8, 16, 8),
                strict=True,
            )
        }  # fmt: skip


class Server(http.server.ThreadingHTTPServer):
    """Answers in one `manner`; counts what it was asked."""

    def __init__(self, manner, files):
        super().__init__(("127.0.0.1", 0), Handler)
        self.manner, self.asked = manner, []
        self.files = {file.split("/")[-1]: files[file] for file in files}
        self.closing = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        content = self.server.files[self.path[1:]]
        getattr(self, self.server.manner)(content)

    def whole(self, content):
        self._send(content)

    def cut_off(self, content):
        self._send(content, keep=len(content) // 2)

    def missing(self, content):
        self.send_error(404)

    def silent(self, content):
        self.server.closing.wait(30)

    def one_byte(self, content):
        self._send(content, keep=1)
        self.server.closing.wait(30)

    def wrong(self, content):
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
    monkeypatch.delenv("PRUNING_DATA")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@contextlib.contextmanager
def serving(manner, monkeypatch, name="mnist"):
    files = served(name)
    digests = {f: hashlib.sha256(files[f]).hexdigest() for f in files}
    monkeypatch.setitem(datasets.FILES, name, digests)
    server = Server(manner, files)
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
    return [p.name for p in folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize("name", datasets.NAMES)
@pytest.mark.parametrize(
    "manner", ["cut_off", "silent", "one_byte", "missing", "wrong"]
)
def test_a_failed_download_leaves_nothing_and_gives_the_sample(
    keras_home, monkeypatch, capfd, name, manner
):
    start = time.monotonic()
    with serving(manner, monkeypatch, name) as server:
        split = datasets.load(name)
    assert time.monotonic() - start < 5
    assert len(server.asked) == 1
    assert split.is_sample
    assert files_in(keras_home) == []
    out, err = capfd.readouterr()
    assert out.startswith(f"{name}: {SIZES}; from the bundled sample (")
    assert out.endswith("(the full data could not be downloaded)\n")
    assert err == ""


def test_no_server_gives_the_sample(keras_home, monkeypatch):
    with serving("whole", monkeypatch):
        pass  # now nobody listens at that port
    assert datasets.load("mnist").is_sample
    assert files_in(keras_home) == []


@pytest.mark.parametrize("name", datasets.NAMES)
def test_a_whole_download_is_kept_and_fetched_once(
    keras_home, monkeypatch, capfd, name
):
    with serving("whole", monkeypatch, name) as server:
        one, other = (datasets.load(name) for _ in range(2))
    assert (one.source, other.source) == ("Keras", "Keras")
    assert len(server.asked) == len(datasets.FILES[name])
    for file, content in served(name).items():
        assert (keras_home / "datasets" / file).read_bytes() == content
    assert one.fingerprint == datasets.load(name, sample=True).fingerprint
    assert capfd.readouterr().err == ""


def test_a_damaged_file_of_keras_is_fetched_again(keras_home, monkeypatch):
    path = keras_home / "datasets/mnist.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(altered())
    with serving("missing", monkeypatch):
        assert "could not be downloaded" in datasets.load("mnist").source
    with serving("whole", monkeypatch):
        assert datasets.load("mnist").source == "Keras"
    assert path.read_bytes() == sample_file().read_bytes()


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
