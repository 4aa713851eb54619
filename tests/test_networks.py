"""Laws of the series' networks: names, shapes, and what a seed decides."""

import json
import os
import random
import subprocess
import sys

import numpy as np

from helpers import networks
from helpers.engine.backend import keras


def same(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def test_default_network_is_that_of_the_series():
    model = networks.mlp()
    shapes = {x.name: tuple(x.kernel.shape) for x in model.layers}
    assert shapes == {
        "hidden_1": (784, 1000),
        "hidden_2": (1000, 1000),
        "hidden_3": (1000, 500),
        "hidden_4": (500, 200),
        "output": (200, 10),
    }
    assert model.count_params() == 2_388_710


def test_hidden_layers_are_relu_and_the_output_gives_logits(model):
    activations = [layer.activation.__name__ for layer in model.layers]
    assert activations == ["relu", "relu", "relu", "linear"]


def test_sizes_are_as_asked():
    model = networks.mlp(widths=(5,), inputs=7, classes=3)
    assert [w.shape for w in model.get_weights()] == [
        (7, 5),
        (5,),
        (5, 3),
        (3,),
    ]


def test_one_class_is_one_sigmoid_output():
    model = networks.mlp(widths=(256,), inputs=10, classes=1)
    assert model.count_params() == 3073
    names = [layer.activation.__name__ for layer in model.layers]
    assert names == ["relu", "sigmoid"]
    x = np.random.default_rng(0).normal(size=(7, 10)).astype("float32")
    outputs = np.array(model(x))
    assert outputs.shape == (7, 1)
    assert (outputs > 0).all()
    assert (outputs < 1).all()


def test_same_seed_same_weights_and_another_seed_others():
    one, again, other = (networks.mlp((9, 8), seed=s) for s in (1, 1, 2))
    assert same(one, again)
    for kernel, changed in zip(
        one.get_weights()[::2], other.get_weights()[::2], strict=True
    ):
        assert not np.array_equal(kernel, changed)


def test_layers_of_one_network_start_from_different_weights():
    first, second = networks.mlp((6, 6), inputs=6).get_weights()[:3:2]
    assert not np.array_equal(first, second)


def test_global_random_state_neither_matters_nor_changes():
    keras.utils.set_random_seed(1)
    one = networks.mlp((9, 8))
    drawn = random.random(), np.random.rand()  # noqa: NPY002
    keras.utils.set_random_seed(1)
    assert drawn == (random.random(), np.random.rand())  # noqa: NPY002
    keras.utils.set_random_seed(2)
    assert same(one, networks.mlp((9, 8)))


def test_saved_network_comes_back_as_it_was(model, tmp_path):
    model.save(tmp_path / "model.keras")
    assert same(model, keras.models.load_model(tmp_path / "model.keras"))


DIGESTS = """
import hashlib
from helpers import datasets, fitting, networks

split = datasets.load("mnist", sample=True)
for model in (
    networks.mlp((8,)), networks.lenet((3, 4), (5,)), networks.resnet((3, 4)),
):
    fitting.fit(model, split, 3)
    weights = b"".join(array.tobytes() for array in model.get_weights())
    print(hashlib.sha256(weights).hexdigest())
"""
OTHERS = {"floatx": "float16", "image_data_format": "channels_first"}


def test_defaults_of_a_readers_keras_json_change_nothing(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(OTHERS))
    homes = {}, {"KERAS_HOME": str(tmp_path)}
    weights = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS], env=os.environ | home,
            capture_output=True, text=True, check=True,
        ).stdout
        for home in homes
    ]  # fmt: skip
    assert weights[0] == weights[1]


# LeNet


def test_lenet_has_the_size_of_the_pruning_papers():
    model = networks.lenet()
    kernels = {
        x.name: tuple(x.kernel.shape)
        for x in model.layers
        if hasattr(x, "kernel")
    }
    assert kernels == {
        "conv_1": (5, 5, 1, 20),
        "conv_2": (5, 5, 20, 50),
        "hidden_1": (800, 500),
        "output": (500, 10),
    }
    norms, biases = 4 * (20 + 50), 500 + 10
    weights = 500 + 25_000 + 400_000 + 5_000
    assert model.count_params() == weights + norms + biases


def test_lenet_reads_rows_of_pixels_and_gives_logits(split):
    model = networks.lenet((4, 6), (9, 8), classes=3)
    outputs = np.array(model(split.x_test[:7]))
    assert outputs.shape == (7, 3)
    assert (outputs < 0).any()


def test_lenet_normalizes_after_every_convolution():
    names = [layer.name for layer in networks.lenet().layers]
    assert names == [
        "image",
        "conv_1", "norm_1", "relu_1", "pool_1",
        "conv_2", "norm_2", "relu_2", "pool_2",
        "flat", "hidden_1", "output",
    ]  # fmt: skip


def test_the_seed_decides_every_kernel_of_lenet():
    one, again, other = (networks.lenet((4, 4), seed=s) for s in (1, 1, 2))
    assert same(one, again)
    for layer, changed in zip(one.layers, other.layers, strict=True):
        if hasattr(layer, "kernel"):
            kernels = layer.get_weights()[0], changed.get_weights()[0]
            assert not np.array_equal(*kernels)


def test_stages_of_lenet_start_from_different_weights():
    model = networks.lenet(filters=(6, 6), widths=(6, 6))
    kernels = [x.get_weights()[0] for x in model.layers if x.get_weights()]
    first = [kernel.ravel()[:20] for kernel in kernels if kernel.ndim > 1]
    ratios = [one / other for one in first for other in first]
    assert sum(np.ptp(ratio) < 1e-3 for ratio in ratios) == len(first)


# The residual network


def kernels_of(model):
    return {
        x.name: tuple(x.kernel.shape)
        for x in model.layers
        if hasattr(x, "kernel")
    }


def test_a_residual_network_has_a_block_per_stage():
    assert kernels_of(networks.resnet(filters=(4, 6), classes=3)) == {
        "stem": (3, 3, 1, 4),
        "conv_1a": (3, 3, 4, 4),
        "conv_1b": (3, 3, 4, 4),
        "conv_2a": (3, 3, 4, 6),
        "conv_2b": (3, 3, 6, 6),
        "skip_2": (1, 1, 4, 6),
        "output": (6, 3),
    }
    assert networks.resnet().count_params() == 78_426


def test_a_block_adds_to_what_comes_in(split):
    """With nothing from its convolutions, what comes in passes through."""
    model = networks.resnet((4, 6))
    for name in ("conv_1b_norm", "conv_2b_norm"):
        model.get_layer(name).gamma.assign(
            np.zeros(model.get_layer(name).gamma.shape)
        )
    x = split.x_test[:5]
    names = "pool", "add_1_relu", "skip_2_norm", "add_2_relu"
    taps = keras.Model(model.inputs, [model.get_layer(n).output for n in names])
    pooled, first, skipped, second = map(np.asarray, taps(x))
    assert pooled.shape == (5, 14, 14, 4)
    assert second.shape == (5, 7, 7, 6)
    assert np.array_equal(pooled, first)
    assert np.array_equal(np.maximum(skipped, 0), second)


def test_a_residual_network_reads_pixels_and_gives_logits(split):
    outputs = np.array(networks.resnet((4, 6), classes=9)(split.x_test[:7]))
    assert outputs.shape == (7, 9)
    assert (outputs < 0).any()


def test_the_seed_decides_every_kernel_of_a_residual_network():
    one, again, other = (networks.resnet((4, 4), seed=s) for s in (1, 1, 2))
    assert same(one, again)
    kernels = [w for w in one.get_weights() if w.ndim > 1]
    changed = [w for w in other.get_weights() if w.ndim > 1]
    assert not any(map(np.array_equal, kernels, changed))
    firsts = [kernel.ravel()[:9].round(6).tolist() for kernel in kernels]
    assert len({tuple(np.divide(f, f[0]).round(3)) for f in firsts}) == 7
