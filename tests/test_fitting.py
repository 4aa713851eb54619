"""Laws of fitting: the same images in the same order, Adam, exact steps."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import (
    checking,
    datasets,
    fitting,
    measuring,
    networks,
    pruning,
)
from helpers.engine import fast
from helpers.engine.backend import keras


def same(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


# Order


few = st.integers(1, 40)


@given(few, few, few, st.integers(0, 2**64))
def test_each_image_comes_once_before_any_comes_twice(size, steps, batch, seed):
    images = datasets.Split(*[range(size)] * 6)
    order = fitting.batch_order(images, steps, batch, seed)
    assert order.shape == (steps, batch)
    for start in range(0, order.size, size):
        epoch = order.ravel()[start : start + size]
        assert len(np.unique(epoch)) == len(epoch)
        assert set(epoch) <= set(range(size))


def test_the_seed_decides_the_order(split):
    one, other = (fitting.batch_order(split, 12, 100, seed) for seed in (1, 2))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:6], one[6:])  # nor are epochs alike


@given(few, few, few, st.integers(0, 2**64))
def test_equal_seeds_give_equal_orders_and_more_steps_begin_like_fewer(
    size, steps, batch, seed
):
    images = datasets.Split(*[range(size)] * 6)
    few, many, again = (
        fitting.batch_order(images, n, batch, seed)
        for n in (steps, steps + 5, steps)
    )
    assert np.array_equal(few, again)
    assert np.array_equal(few, many[:steps])


# Fit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_is_the_one_of_keras(split, monkeypatch, dtype):
    """Weights and moments agree after 20 steps, up to rounding."""
    seed = keras.initializers.GlorotUniform(0)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(16, "relu", True, seed, dtype=dtype),
            keras.layers.Dense(10, None, True, seed),
        ]
    )
    other = pruning.copy_of(model)
    fitting.fit(model, split, num_steps=20)
    monkeypatch.setattr(fast, "adam", lambda r, m: keras.optimizers.Adam(r))
    fitting.fit(other, split, num_steps=20)
    for ours, theirs in zip(
        [*model.weights, *model.optimizer.variables],
        [*other.weights, *other.optimizer.variables],
        strict=True,
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_networks_of_any_floats_train_as_with_keras(split, dtype):
    """The same weights, bit for bit, as Keras' own Adam and loss give."""
    seed = keras.initializers.GlorotUniform(0)
    model = keras.Sequential(
        [
            keras.Input((784,), dtype=dtype),
            keras.layers.Dense(16, "relu", True, seed, dtype=dtype),
            keras.layers.Dense(10, None, True, seed, dtype=dtype),
        ]
    )
    plain = pruning.copy_of(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(keras.optimizers.Adam(1e-3), loss)
    rows = fitting.batch_order(split, 5, 64, seed=0).ravel()
    plain.fit(split.x_train[rows], split.y_train[rows], 64, shuffle=False,
              verbose=0)  # fmt: skip
    fitting.fit(model, split, 5, batch_size=64, decay=False)
    assert same(model, plain)


def ending(classes, activation, separate):
    """A network of two layers whose activation may be a layer of its own."""
    last = [keras.layers.Dense(classes, None if separate else activation)]
    last += [keras.layers.Activation(activation)] * separate
    return keras.Sequential([keras.Input((4,)), *last])


@pytest.mark.parametrize("separate", [True, False])
@pytest.mark.parametrize(
    ("classes", "activation"),
    [(1, "sigmoid"), (1, "linear"), (3, "softmax"), (3, "linear")],
)
def test_the_loss_is_the_cross_entropy_of_what_comes_out(
    classes, activation, separate
):
    model = ending(classes, activation, separate)
    x = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    y, outputs = np.arange(9) % max(2, classes), np.array(model(x), "float64")
    if activation == "linear":
        powers = np.exp(outputs)
        outputs = powers / (
            1 + powers if classes == 1 else powers.sum(1)[:, None]
        )
    if classes == 1:
        outputs = np.hstack([1 - outputs, outputs])
    expected = -np.log(outputs[range(9), y]).mean()
    said = np.array(model(x))  # of a tensor, Keras would find the logits
    loss = fitting.loss_of(model)(y, said)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_one_logit_above_zero_is_class_1(split):
    """In the history, too, where Keras would ask for 0.5."""
    rows = dataclasses.replace(split, y_train=split.y_train % 2)
    model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(1)])
    history = fitting.fit(model, rows, 1, batch_size=600, learning_rate=1e-9)
    accuracy = measuring.accuracy(model, rows.x_train, rows.y_train)
    assert history.history["accuracy"] == [pytest.approx(accuracy)]


def test_two_replicas_train_as_one(split):
    """Gradients are summed over them: the same weights, up to rounding."""
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    gaps = list(map(float, done.stdout.split()[-2:]))
    assert max(gaps) < 1e-4, gaps


REPLICAS = """
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

from helpers import datasets, fitting, networks, pruning

split = datasets.load("mnist", sample=True)
alone = networks.mlp((16,))
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    both = networks.mlp((16,))
for model in (alone, both):
    pruning.apply_masks(model, {"hidden_1": np.arange(16) % 4 > 0})
    fitting.fit(model, split, 20, learning_rate=1e-2)
kernels = [variable.value.values for variable in both.trainable_variables]
print(max(np.abs(one - other).max() for one, other in map(tuple, kernels)))
pairs = zip(alone.get_weights(), both.get_weights())
print(max(np.abs(one - other).max() for one, other in pairs))
"""


class Steps(keras.callbacks.Callback):
    """Notes the learning rate of each optimizer step, by its number."""

    def __init__(self):
        super().__init__()
        self.rates = {}

    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        self.rates[int(optimizer.iterations)] = float(optimizer.learning_rate)


@pytest.mark.parametrize(("num_steps", "epochs"), [(1, 1), (6, 3)])
def test_fit_does_exactly_the_steps_asked(model, split, num_steps, epochs):
    steps = Steps()
    history = fitting.fit(
        model, split, num_steps, epochs=epochs, callbacks=[steps]
    )
    assert list(steps.rates) == list(range(num_steps))
    assert len(history.history["loss"]) == epochs


def test_learning_rate_falls_to_zero_along_a_cosine(model, split):
    steps = Steps()
    fitting.fit(model, split, 4, learning_rate=0.5, callbacks=[steps])
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(list(steps.rates.values()), expected, rtol=1e-6)


def test_fit_learns(model, split):
    fitting.fit(model, split, 30, learning_rate=1e-2)
    accuracy = measuring.accuracy(model, split.x_train, split.y_train)
    assert accuracy > 0.8


def test_fit_measures_the_validation_set_where_asked(model, split):
    held_out = (split.x_val, split.y_val)
    history = fitting.fit(model, split, 2, validation_data=held_out)
    (measured,) = history.history["val_accuracy"]
    accuracy = measuring.accuracy(model, split.x_val, split.y_val)
    assert measured == pytest.approx(accuracy)


def test_fit_is_adam_over_the_batches_in_their_order(trained, split):
    plain = pruning.copy_of(trained)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 5)
    plain.compile(keras.optimizers.Adam(schedule), loss)
    for rows in fitting.batch_order(split, 5, 64, seed=1):
        plain.train_on_batch(split.x_train[rows], split.y_train[rows])
    fitting.fit(trained, split, 5, batch_size=64, learning_rate=1e-2, seed=1)
    for ours, keras_own in zip(
        trained.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, keras_own, atol=1e-5)


def test_a_trained_model_can_be_saved_and_loaded(trained, split, tmp_path):
    """With what Keras brings along: readers have no helpers of ours."""
    fitting.fit(trained, split, 1)
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert same(loaded, trained)
    assert type(loaded.optimizer) is keras.optimizers.Adam


def test_equal_training_gives_equal_weights(split):
    """Whatever was trained in between."""
    models = [networks.mlp(widths=(8,)) for _ in range(3)]
    for model, seed in zip(models, (5, 6, 5), strict=True):
        fitting.fit(model, split, 3, batch_size=16, seed=seed)
    assert same(models[0], models[2])
    assert not same(models[0], models[1])


@pytest.mark.parametrize(
    ("steps", "epochs"), [(0, 1), (-3, 1), (7, 2), (0.5, 1)]
)
def test_steps_that_cannot_be_done_are_refused(model, split, steps, epochs):
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"{epochs}.*got {steps}"):
        fitting.fit(model, split, steps, epochs=epochs)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_rows_that_do_not_fit_are_refused_and_nothing_has_changed(split):
    model = networks.mlp((5,))
    model.compile("sgd", "mse")
    optimizer = model.optimizer
    narrow = dataclasses.replace(split, x_train=split.x_train[:, :9])
    with pytest.raises(ValueError, match=r"rows of shape \(784,\); got \(9,\)"):
        fitting.fit(model, narrow, 4)
    assert model.optimizer is optimizer


def test_one_callback_need_not_be_in_a_list(model, split):
    steps = Steps()
    fitting.fit(model, split, 4, callbacks=steps)
    assert len(steps.rates) == 4


def test_fit_holds_the_zeros_that_a_model_holds(trained, split):
    pruned = pruning.prune_units(trained, 0.5)
    before, masks = pruned.get_weights(), pruning.masks_of(pruned)
    detector = checking.RevivedWeights(masks)
    fitting.fit(pruned, split, 4, callbacks=[detector])
    assert (detector.steps, detector.worst) == (4, 0)
    for start, end in zip(before[:-2], pruned.get_weights(), strict=False):
        assert np.array_equal(start == 0, end == 0)  # biases, too
