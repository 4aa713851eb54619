"""What the tests share: a private cache, a few images, a tiny network."""

import contextlib
import dataclasses
import gc
import io
import os
import pathlib

import hypothesis
import matplotlib
import matplotlib.pyplot as plt
import pytest

from helpers import datasets

matplotlib.use("Agg")
for profile, examples in {"quick": 20, "ci": 100, "deep": 500}.items():
    hypothesis.settings.register_profile(
        profile, deadline=None, database=None, max_examples=examples
    )
hypothesis.settings.load_profile("quick")  # or see --hypothesis-profile


def pytest_ignore_collect(collection_path, config):
    """A folder of `tests/` runs only where the command line names it.

    Each has its own target in the Makefile: they are slow, or need what not
    every machine has. None lets other plugins decide.
    """
    here = pathlib.Path(__file__).parent
    if not collection_path.is_dir() or collection_path.parent != here:
        return None
    start = config.invocation_params.dir
    named = [(start / arg.split("::")[0]).resolve() for arg in config.args]
    inside = [p for p in named if p.is_relative_to(collection_path)]
    return None if inside else True


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    """No `PRUNING_*` variable of the caller's, and nothing left behind."""
    for name in [name for name in os.environ if name.startswith("PRUNING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRUNING_DATA", "sample")
    monkeypatch.setenv("PRUNING_CACHE_DIR", str(tmp_path / "cache"))
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tiny_networks():
    """Collecting garbage after each of them takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *generation: 0)
        yield


@pytest.fixture(scope="session")
def sample():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNING_DATA", "sample")
        with contextlib.redirect_stdout(io.StringIO()):
            return datasets.load("mnist")


@pytest.fixture(scope="session")
def split(sample):
    """600 training images of the sample, 100 for validation, 200 to test."""
    sizes = {"train": 600, "val": 100, "test": 200}
    arrays = {
        f"{xy}_{part}": getattr(sample, f"{xy}_{part}")[:size]
        for part, size in sizes.items()
        for xy in "xy"
    }
    return dataclasses.replace(sample, **arrays)


@pytest.fixture
def model():
    """An untrained network: weights from the seed, biases zero."""
    from helpers import networks  # not above: some tests need no TensorFlow

    return networks.mlp(widths=(32, 24, 16))


@pytest.fixture(scope="session")
def trained_weights(split):
    from helpers import networks, training

    network = networks.mlp(widths=(32, 24, 16))
    training.fit(network, split, num_steps=30, learning_rate=1e-2)
    return network.get_weights()


@pytest.fixture
def trained(model, trained_weights):
    """A network that reads most digits; no bias of it is zero."""
    model.set_weights(trained_weights)
    return model


@pytest.fixture
def by_default():
    """Outputs of a file for rows of `x`, as whoever opens one runs it.

    LiteRT's default delegate takes sparse kernels of integers for dense ones
    and reads on behind them: what it finds there are zeros, here.
    """

    def run(content, x):
        from ai_edge_litert.interpreter import Interpreter

        content += bytes(10**7)
        runs = Interpreter(model_content=content, num_threads=1)
        entry, end = runs.get_input_details()[0], runs.get_output_details()[0]
        runs.resize_tensor_input(entry["index"], x.shape)
        runs.allocate_tensors()
        runs.set_tensor(entry["index"], x)
        runs.invoke()
        return runs.get_tensor(end["index"])

    return run


@pytest.fixture(scope="session")
def lenet_weights(split):
    from helpers import networks, training

    network = networks.lenet((8, 12), (20,))
    training.fit(network, split, num_steps=20, learning_rate=1e-2)
    return network.get_weights()


@pytest.fixture
def lenet(lenet_weights):
    """A convolutional network that reads most digits."""
    from helpers import networks

    network = networks.lenet((8, 12), (20,))
    network.set_weights(lenet_weights)
    return network
