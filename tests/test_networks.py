"""Laws of the series' networks: names, shapes, and what a seed decides."""

import random

import numpy as np

from helpers import networks
from helpers.backend import keras


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
