"""Laws of repair: zeros stay, what is left is the least-squares solution."""

import re
import tracemalloc
import warnings

import numpy as np
import pytest
from networks_of_all_kinds import NETWORKS, outputs, random_weights, rows

from helpers import compacting, masking, measuring, networks, pruning, repairing
from helpers.engine import channels
from helpers.engine.backend import keras, tf
from helpers.engine.tracing import trace

L = keras.layers


@pytest.fixture(autouse=True)
def _as_in_other_files(tiny_networks):
    pass


def image_network(*layers):
    """Reads 6 x 6 images of two channels; the layers that are tried first."""
    return random_weights(
        keras.Sequential(
            [keras.Input((6, 6, 2)), *layers, L.Flatten(), L.Dense(3)]
        )
    )


def images(count=300, shape=(6, 6, 2), seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape))


def half_of(model, seed=0):
    """At random, and of the output layer, too."""
    kernels = pruning.prunable_kernels(model, include_output=True)
    scores = masking.random_scores(kernels, seed)
    return pruning.masked(model, masking.layerwise_masks(scores, 0.5))


def slopes(whole, repaired, x, number):
    """Of the squared gap at layer `number`, along the weights that are left."""
    ends = [keras.Sequential(m.layers[:number]) for m in (whole, repaired)]
    reads = [end(x) if number else x for end in ends]
    layer, other = whole.layers[number], repaired.layers[number]
    with tf.GradientTape() as tape:
        gap = layer(reads[0]) - other(reads[1])
        loss = tf.reduce_mean(gap**2)
    variables = [other.kernel] + [other.bias] * (other.bias is not None)
    kernel, *bias = tape.gradient(loss, variables)
    return np.abs(kernel[np.asarray(other.kernel) != 0]), *map(np.abs, bias)


LAYERS = {
    "dense": lambda: L.Dense(5),
    "dense, no bias": lambda: L.Dense(5, use_bias=False),
    "valid": lambda: L.Conv2D(4, 3),
    "no bias": lambda: L.Conv2D(4, 3, use_bias=False),
    "same": lambda: L.Conv2D(4, 3, padding="same"),
    "strides": lambda: L.Conv2D(4, (3, 2), strides=2, padding="same"),
    "dilated": lambda: L.Conv2D(4, 2, dilation_rate=2),
    "one by one": lambda: L.Conv2D(4, 1),
    "einsum": lambda: L.EinsumDense("abcd,de->abce", (6, 6, 5), bias_axes="e"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_no_other_weights_come_closer(name):
    """The gap has no slope left, along any weight and bias that may move."""
    model, x = image_network(LAYERS[name]()), images().astype("float32")
    pruned = half_of(model)
    repaired = repairing.least_squares(model, pruned, x, ridge=1e-9)
    for number in (0, 2):
        before = slopes(model, pruned, x, number)
        after = slopes(model, repaired, x, number)
        for old, new in zip(before, after, strict=True):
            assert new.max() < 1e-4 * old.max()


@pytest.mark.parametrize("padding", ["causal", "same", "valid"])
def test_convolutions_over_time_are_solved_too(padding):
    model = random_weights(
        keras.Sequential([
            keras.Input((9, 3)), L.Conv1D(4, 3, padding=padding), L.Dense(2),
        ])
    )  # fmt: skip
    x, pruned = images(200, (9, 3)).astype("float32"), half_of(model)
    repaired = repairing.least_squares(model, pruned, x, ridge=1e-9)
    before, after = (slopes(model, m, x, 0)[0] for m in (pruned, repaired))
    assert after.max() < 1e-4 * before.max()


def test_weights_are_pulled_to_what_they_were():
    """The textbook's ridge, unit by unit, with one row more for each weight."""
    model = random_weights(networks.mlp((7,), inputs=12, classes=4))
    x, pruned, ridge = images(60, (12,)), half_of(model), 0.3
    repaired = repairing.least_squares(model, pruned, x, ridge)
    (kernel, bias), (old, old_bias) = (
        m.layers[0].get_weights() for m in (repaired, pruned)
    )
    rows = np.column_stack([x, np.ones(60)])
    wanted = x @ model.layers[0].get_weights()[0]
    wanted += model.layers[0].get_weights()[1]
    pull = np.sqrt(60 * ridge * np.mean(rows**2))
    for unit in range(7):
        left = np.append(old[:, unit] != 0, True)
        was = np.append(old[:, unit], old_bias[unit])[left]
        stacked = np.vstack([rows[:, left], pull * np.eye(left.sum())])
        both = np.concatenate([wanted[:, unit], pull * was])
        solution = np.linalg.lstsq(stacked, both)[0]
        found = np.append(kernel[:, unit], bias[unit])[left]
        np.testing.assert_allclose(found, solution, 1e-4, 1e-5)


@pytest.mark.parametrize("sparsity", [0.5, 0.8])
@pytest.mark.parametrize("prune", [pruning.prune_weights, pruning.prune_units])
def test_accuracy_comes_back(trained, split, prune, sparsity):
    pruned = prune(trained, sparsity)
    repaired = repairing.least_squares(trained, pruned, split.x_train)
    before, after = (
        measuring.accuracy(m, split.x_test, split.y_test)
        for m in (pruned, repaired)
    )
    assert after >= before + 0.02 * (sparsity == 0.8)


def test_a_convolutional_network_comes_back(lenet, split):
    pruned = pruning.prune_weights(lenet, 0.9)
    repaired = repairing.least_squares(lenet, pruned, split.x_train)
    gaps = [
        np.abs(lenet(split.x_test) - m(split.x_test)).mean()
        for m in (pruned, repaired)
    ]
    assert gaps[1] < 0.5 * gaps[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.deep if "backbone" in name else ())
        for name in NETWORKS
        if name != "small layers"  # thousands of inputs to a unit
    ],
)
def test_any_network_keeps_its_zeros_and_comes_closer(name):
    model = random_weights(NETWORKS[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruned = pruning.prune_units(model, 0.25)
        x = rows(model, 700)
        repaired = repairing.least_squares(
            model, pruned, x if len(x) > 1 else x[0]
        )
    before, after = (pruning.masks_of(m) for m in (pruned, repaired))
    assert all(np.array_equal(before[k], after[k]) for k in before)
    gone = pruning.deleted_units(pruned)
    left = pruning.deleted_units(repaired)
    assert gone.keys() == left.keys()
    assert all(np.array_equal(gone[k], left[k]) for k in gone)
    whole, old, new = (outputs(m, x) for m in (model, pruned, repaired))
    assert np.mean((new - whole) ** 2) <= 1.001 * np.mean((old - whole) ** 2)


def test_zeros_are_held_in_later_training(trained, split):
    pruned = pruning.prune_weights(trained, 0.5)
    repaired = repairing.least_squares(trained, pruned, split.x_train)
    zeros = [w == 0 for w in repaired.get_weights()]
    repaired.compile("sgd", "mse")
    repaired.fit(split.x_train[:64], np.ones((64, 10)), verbose=0)
    after = [w == 0 for w in repaired.get_weights()]
    assert all(map(np.array_equal, zeros, after))


def test_what_is_whole_stays_as_it_is(trained, split):
    repaired = repairing.least_squares(trained, trained, split.x_train)
    pairs = zip(repaired.get_weights(), trained.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_where_units_go_only_the_next_layers_change(trained, split):
    masks = {"hidden_2": np.arange(24) % 2}
    pruned = pruning.masked(trained, masks)
    repaired = repairing.least_squares(trained, pruned, split.x_train)
    same = [
        all(map(np.array_equal, a.get_weights(), b.get_weights()))
        for a, b in zip(pruned.layers, repaired.layers, strict=True)
    ]
    assert same == [True, True, False, False]


def test_a_twin_takes_over_from_a_deleted_unit(trained, split):
    """Unit 1 says the same as unit 0: without it, nothing is missing."""
    for layer, axis in zip(trained.layers[:2], (1, 0), strict=True):
        kernel, bias = layer.get_weights()
        if axis:
            kernel[:, 1], bias[1] = kernel[:, 0], bias[0]
            layer.set_weights([kernel, bias])
    pruned = pruning.masked(trained, {"hidden_1": np.arange(32) != 1})
    repaired = repairing.least_squares(trained, pruned, split.x_train, 1e-9)
    whole, old, new = (m(split.x_test) for m in (trained, pruned, repaired))
    assert np.abs(new - whole).max() < 1e-3 * np.abs(old - whole).max()


def test_pixels_that_never_vary_keep_their_weights(trained, split):
    x, pruned = split.x_train.copy(), pruning.prune_weights(trained, 0.5)
    x[:, 400] = 0.7
    dark = (x == x[0]).all(axis=0)
    repaired = repairing.least_squares(trained, pruned, x)
    old, new = (m.layers[0].get_weights()[0] for m in (pruned, repaired))
    assert dark[400]
    assert dark.sum() > 50
    np.testing.assert_array_equal(new[dark], old[dark])
    assert (new[~dark] != old[~dark]).mean() > 0.4


def test_batches_change_nothing(lenet, split, monkeypatch):
    pruned = pruning.prune_weights(lenet, 0.8)
    at_once = repairing.least_squares(lenet, pruned, split.x_train)
    monkeypatch.setattr(channels, "NUMBERS_AT_ONCE", 1_500_000)
    in_parts = repairing.least_squares(lenet, pruned, split.x_train)
    for one, other in zip(
        at_once.get_weights(), in_parts.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, 1e-3, 1e-4)


def test_only_a_long_repair_has_a_bar(trained, split, capsys, monkeypatch):
    monkeypatch.setattr(repairing, "DELAY", 100)
    repairing.least_squares(trained, trained, split.x_train)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(repairing, "DELAY", 0)
    repairing.least_squares(trained, trained, split.x_train)
    assert "4/4" in capsys.readouterr().out


def test_neither_network_is_changed(trained, split):
    pruned = pruning.prune_weights(trained, 0.9)
    before = [*trained.get_weights(), *pruned.get_weights()]
    repairing.least_squares(trained, pruned, split.x_train)
    after = [*trained.get_weights(), *pruned.get_weights()]
    assert all(map(np.array_equal, before, after))


def test_memory_is_three_matrices_and_a_batch(monkeypatch):
    model = random_weights(networks.mlp((500,), inputs=500))
    pruned, x = half_of(model), images(600, (500,)).astype("float32")
    monkeypatch.setattr(channels, "NUMBERS_AT_ONCE", 50_000)
    tracemalloc.start()
    repairing.least_squares(model, pruned, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A right side for each unit, too: here as large as the matrix.
    assert peak < 5 * 8 * 501**2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transformer", "attention (MultiHeadAttention)"),
        ("embedding", "(Embedding)"),
        ("grouped", "(Conv2D)"),
    ],
)
def test_layers_that_are_left_are_named_once(name, words):
    model = random_weights(NETWORKS[name]())
    with pytest.warns(UserWarning, match=r"^left as they are: ") as said:
        repairing.least_squares(model, model, rows(model, 400)[0])
    (said,) = (str(w.message) for w in said)
    assert said.count(words) == 1


def test_a_layer_that_is_used_twice_is_left():
    model = random_weights(NETWORKS["twins"]())
    pruned = half_of(model)
    with pytest.warns(UserWarning, match="left as they are"):
        repaired = repairing.least_squares(model, pruned, rows(model, 400))
    uses = [step.name for step in trace(model).steps]
    twice = {name for name in uses if uses.count(name) > 1}
    old, new = (pruning.prunable_kernels(m, True) for m in (pruned, repaired))
    assert twice & old.keys()
    same = {name for name in old if np.array_equal(old[name], new[name])}
    assert same == twice & old.keys()


@pytest.mark.parametrize(
    "other",
    [
        lambda m: compacting.compact(pruning.prune_units(m, 0.5)),
        lambda m: networks.mlp((32, 24)),
        lambda m: networks.mlp((32, 24, 16, 8)),
        lambda m: keras.Sequential([m, L.ReLU()]),
    ],
)
def test_another_network_is_refused(trained, split, other):
    with pytest.raises(ValueError, match=r"not compacted; got weights of"):
        repairing.least_squares(trained, other(trained), split.x_train)


def test_too_few_images_are_refused_with_how_many_are_needed(trained, split):
    pruned = pruning.prune_weights(trained, 0.5)
    with pytest.raises(ValueError, match="of 'hidden_1' has") as error:
        repairing.least_squares(trained, pruned, split.x_train[:100])
    (needed,) = re.findall(r"at least (\d+) images", str(error.value))
    x = split.x_train[:100].copy()
    varies = (x != x[0]).any(axis=0)[:, None]
    left = (pruned.layers[0].get_weights()[0] != 0) & varies
    assert int(needed) == left.sum(axis=0).max() + 1


def test_windows_count_as_equations():
    model = image_network(L.Conv2D(4, 3))
    with pytest.raises(ValueError, match=r"at least 65 images"):
        repairing.least_squares(model, model, images(2))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_are_refused(trained, split, value):
    x = split.x_train.copy()
    x[3, 5] = value
    with pytest.raises(ValueError, match="got NaN or infinite entries"):
        repairing.least_squares(trained, trained, x)


def test_images_that_do_not_fit_are_refused(trained, split):
    with pytest.raises(ValueError, match=r"takes rows of shape \(784,\)"):
        repairing.least_squares(trained, trained, split.x_train[:, :700])


@pytest.mark.parametrize("which", ["model", "pruned"])
def test_weights_that_are_not_finite_are_refused(trained, split, which):
    broken = pruning.copy_of(trained)
    kernel, bias = broken.layers[1].get_weights()
    kernel[0, 0] = np.nan
    broken.layers[1].set_weights([kernel, bias])
    pair = {"model": trained, "pruned": trained, which: broken}
    with pytest.raises(ValueError, match=f"`{which}` is .* for layer 'hidden"):
        repairing.least_squares(**pair, images=split.x_train)
