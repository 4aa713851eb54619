"""Laws of fitting: the same images in the same order, Adam, exact steps."""

import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import checking, fitting, measuring, networks, pruning
from helpers.engine.backend import keras


def same(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


# Order


few = st.integers(1, 40)


@given(few, few, few, st.integers(0, 2**64))
def test_each_image_comes_once_before_any_comes_twice(size, steps, batch, seed):
    images = types.SimpleNamespace(x_train=range(size))
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
    images = types.SimpleNamespace(x_train=range(size))
    few, many, again = (
        fitting.batch_order(images, n, batch, seed)
        for n in (steps, steps + 5, steps)
    )
    assert np.array_equal(few, again)
    assert np.array_equal(few, many[:steps])


# Fit


def test_adam_is_the_one_of_keras(model, split, monkeypatch):
    """Weights and moments agree after 20 steps, up to rounding."""
    other = pruning.copy_of(model)
    fitting.fit(model, split, num_steps=20)
    monkeypatch.setattr(fitting, "_adam", keras.optimizers.Adam)
    fitting.fit(other, split, num_steps=20)
    for ours, theirs in zip(
        [*model.weights, *model.optimizer.variables],
        [*other.weights, *other.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


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


def test_fit_holds_the_zeros_that_a_model_holds(trained, split):
    pruned = pruning.prune_units(trained, 0.5)
    before, masks = pruned.get_weights(), pruning.masks_of(pruned)
    detector = checking.RevivedWeights(masks)
    fitting.fit(pruned, split, 4, callbacks=[detector])
    assert (detector.steps, detector.worst) == (4, 0)
    for start, end in zip(before[:-2], pruned.get_weights(), strict=False):
        assert np.array_equal(start == 0, end == 0)  # biases, too
