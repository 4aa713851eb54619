"""Laws of scores that look at data: what they are, and by hand."""

import numpy as np
import pytest
from networks_of_all_kinds import NETWORKS, random_weights, rows

from helpers import fitting, masking, networks, pruning, scoring
from helpers.engine import channels
from helpers.engine.backend import keras

L = keras.layers


def test_wanda_multiplies_weights_by_the_strength_of_their_inputs(
    trained, split
):
    x, scores = split.x_test, scoring.wanda_scores(trained, split.x_test)
    for layer in trained.layers[:-1]:
        strength = np.sqrt(np.mean(np.square(x, dtype=float), axis=0))
        expected = np.abs(layer.get_weights()[0]) * strength[:, None]
        np.testing.assert_allclose(scores[layer.name], expected, 1e-5, 1e-7)
        x = np.asarray(layer(x))
    assert scores.keys() == pruning.prunable_kernels(trained).keys()


def test_wanda_takes_the_mean_over_all_positions(lenet, split):
    """A channel has one strength, for all places of the window."""
    scores = scoring.wanda_scores(lenet, split.x_test)
    maps = np.asarray(keras.Sequential(lenet.layers[:5])(split.x_test))
    strength = np.sqrt(np.mean(maps.astype(float) ** 2, axis=(0, 1, 2)))
    kernel = np.abs(lenet.get_layer("conv_2").get_weights()[0])
    expected = kernel * strength[:, None]
    np.testing.assert_allclose(scores["conv_2"], expected, 1e-5, 1e-7)


def test_wanda_of_a_dark_pixel_is_zero(trained, split):
    x = split.x_test.copy()
    x[:, 300] = 0
    scores = scoring.wanda_scores(trained, x)["hidden_1"]
    assert not scores[300].any()
    assert scores[400].any()


@pytest.mark.parametrize(
    "name",
    ["residual", "squeeze and excite", "grouped", "twins", "three axes",
     "small layers"],
)  # fmt: skip
def test_wanda_has_scores_in_the_shape_of_kernels(name):
    model = random_weights(NETWORKS[name]())
    x = rows(model, 20)
    scores = scoring.wanda_scores(model, x if len(x) > 1 else x[0])
    kernels = pruning.prunable_kernels(model)
    assert scores
    assert all(scores[k].shape == kernels[k].shape for k in scores)
    assert all(np.isfinite(s).all() for s in scores.values())


def loss(model, x, y):
    return float(fitting.loss_of(model)(y, model(x)))


@pytest.mark.parametrize("classes", [10, 1])
def test_taylor_says_what_the_loss_does_without_a_little_of_a_weight(
    split, classes
):
    model = random_weights(networks.mlp((6, 5), classes=classes))
    x, y = split.x_test / 10, split.y_test % max(2, classes)
    scores = scoring.taylor_scores(model, x, y)
    for layer in model.layers[:-1]:
        kernel, bias = layer.get_weights()
        for place in [(400, 3), (350, 1)] if len(kernel) > 10 else [(2, 3)]:
            found = []
            for factor in (0.99, 1.01):
                moved = kernel.copy()
                moved[place] *= factor
                layer.set_weights([moved, bias])
                found.append(loss(model, x, y))
            layer.set_weights([kernel, bias])
            change = abs(found[1] - found[0]) / 0.02
            assert scores[layer.name][place] == pytest.approx(
                change, rel=0.05, abs=1e-4
            )


def test_weights_that_no_gradient_reaches_change_no_loss(split):
    entry = keras.Input((784,))
    x = L.Dense(5, name="before")(entry)
    x = L.Lambda(keras.ops.stop_gradient)(x)
    model = keras.Model(entry, L.Dense(10)(L.Dense(6, name="behind")(x)))
    scores = scoring.taylor_scores(model, split.x_test, split.y_test)
    assert not scores["before"].any()
    assert scores["behind"].any()


def test_taylor_does_not_depend_on_batches(trained, split, monkeypatch):
    test = split.x_test, split.y_test
    one = scoring.taylor_scores(trained, *test)
    monkeypatch.setattr(channels, "NUMBERS_AT_ONCE", 30 * 32)
    other = scoring.taylor_scores(trained, *test)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], 1e-3, 1e-7)


def test_frozen_and_looked_up_weights_have_scores_too():
    model = random_weights(NETWORKS["embedding"]())
    model.layers[1].trainable = False
    scores = scoring.taylor_scores(model, *rows(model, 20), np.arange(20) % 4)
    assert scores.keys() == pruning.prunable_kernels(model).keys()
    assert all(s.any() for s in scores.values())


def test_neither_changes_the_network(trained, split):
    before = trained.get_weights()
    scoring.wanda_scores(trained, split.x_test)
    scoring.taylor_scores(trained, split.x_test, split.y_test)
    assert all(map(np.array_equal, before, trained.get_weights()))


@pytest.mark.parametrize("score", ["wanda", "taylor"])
def test_they_choose_better_than_chance(trained, split, score):
    if score == "wanda":
        scores = scoring.wanda_scores(trained, split.x_train)
    else:
        scores = scoring.taylor_scores(trained, split.x_train, split.y_train)
    drawn = masking.random_scores(pruning.prunable_kernels(trained), 0)
    left = [
        loss(
            pruning.masked(trained, masking.global_masks(s, 0.8)),
            split.x_test,
            split.y_test,
        )
        for s in (scores, drawn)
    ]
    assert left[0] < left[1]


def test_labels_that_do_not_fit_are_refused(trained, split):
    with pytest.raises(ValueError, match="for each of 200 rows"):
        scoring.taylor_scores(trained, split.x_test, split.y_test[:150])
    with pytest.raises(ValueError, match="one-hot"):
        scoring.taylor_scores(trained, split.x_test, np.eye(10)[split.y_test])
