"""An explorer prunes and judges the network that it says it does."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from helpers import (
    compacting,
    deploying,
    masking,
    measuring,
    networks,
    pruning,
    sliders,
    studying,
)
from helpers.engine import pictures

SPARSITIES = (0, 0.5, 0.9)
METHODS = {"layerwise": masking.layerwise_masks, "global": masking.global_masks}


@pytest.fixture(scope="module")
def splits(split):
    turned = split.x_test.reshape(-1, 28, 28).swapaxes(1, 2).reshape(-1, 784)
    other = dataclasses.replace(split, x_test=turned)
    return {"mnist": split, "fashion_mnist": other}


@pytest.fixture(scope="module")
def models(splits, trained_weights):
    found = {name: networks.mlp((32, 24, 16)) for name in splits}
    for model in found.values():
        model.set_weights(trained_weights)
    return found


@pytest.fixture(scope="module")
def masks(models):
    """A function from a place to the masks that are meant by it."""
    kernels = pruning.prunable_kernels(models["mnist"])
    scores = masking.magnitude_scores(kernels)
    return lambda data, method, sparsity: METHODS[method](scores, sparsity)


@pytest.fixture(scope="module")
def sweep(models, splits, masks):
    def pruned(data, **place):
        return pruning.masked(models[data], masks(data, **place))

    return studying.sweep(pruned, splits, method=METHODS, sparsity=SPARSITIES)


@pytest.fixture
def explorer(models, splits, masks, sweep):
    def look(data, method, sparsity):
        found = masks(data, method, sparsity)
        return found, found["hidden_1"].sum(axis=1)

    return sliders.explore(look, models, splits, sweep, shown="weights")


def go(explorer, data, method, sparsity):
    explorer.choices["data"].value = data
    explorer.choices["method"].value = method
    explorer.slider.value = sparsity


def test_positions_and_buttons_are_the_levels_of_the_sweep(explorer):
    assert [p for _, p in explorer.slider.options] == list(SPARSITIES)
    assert explorer.slider.description == "sparsity"
    assert explorer.slider.value == 0.5
    buttons = {
        n: [v for _, v in c.options] for n, c in explorer.choices.items()
    }
    assert buttons == {
        "data": ["mnist", "fashion_mnist"],
        "method": ["layerwise", "global"],
    }


def test_everywhere_it_judges_the_network_that_is_meant(
    explorer, models, splits, masks, sweep
):
    """In an order in which each place could leave something behind."""
    for place in [*sweep.index[::-1], *sweep.index]:
        explorer._seen.clear()
        explorer._done.clear()
        go(explorer, *place)
        network = pruning.masked(models[place[0]], masks(*place))
        split = splits[place[0]]
        exact = measuring.accuracy(network, split.x_test, split.y_test)
        kernels = pruning.prunable_kernels(network).values()
        assert explorer.readings == {
            "accuracy": pytest.approx(exact),
            "weights left": sum(map(np.count_nonzero, kernels)),
            "units left": sum(k.any(axis=0).sum() for k in kernels),
            "MACs": 784 * 32 + 32 * 24 + 24 * 16 + 16 * 10,
        }


def test_the_readers_networks_are_left_alone(explorer, models, trained_weights):
    go(explorer, "fashion_mnist", "global", 0.9)
    explorer.settle()
    for model in models.values():
        weights = zip(model.get_weights(), trained_weights, strict=True)
        assert all(map(np.array_equal, *zip(*weights, strict=True)))


def test_what_the_sweep_found_is_shown_at_once_and_then_what_is(
    models, splits, sweep
):
    """A sweep that does not belong to the network is found out."""

    def look(data, method, sparsity):
        return {}, np.zeros(784)

    wrong = sweep * 0 + 0.123
    shown = sliders.explore(look, models, splits, wrong)
    assert "12.3" in shown.readout.value
    assert shown.readings["accuracy"] == pytest.approx(sweep.iloc[0])
    assert "12.3" not in shown.readout.value


def test_all_images_are_classified_some_at_a_time(
    monkeypatch, models, splits, sweep
):
    asked = []
    monkeypatch.setattr(sliders, "AT_ONCE", 60)
    own = measuring.predictions
    monkeypatch.setattr(
        measuring, "predictions", lambda m, x: asked.append(x) or own(m, x)
    )
    shown = sliders.explore(
        lambda data, method, sparsity: ({}, np.zeros(784)),
        models,
        splits,
        sweep,
    )
    shown.settle()
    assert [len(x) for x in asked] == [60, 60, 60, 20]
    assert np.array_equal(np.concatenate(asked), splits["mnist"].x_test)


@pytest.mark.parametrize("kind", ["network", "file", "unit masks"])
def test_a_network_a_file_or_unit_masks_may_be_looked_at(models, splits, kind):
    def look(data, sparsity):
        network = pruning.prune_units(models[data], sparsity)
        found = {
            "network": lambda: compacting.compact(network),
            "file": lambda: deploying.convert(network),
            "unit masks": lambda: masking.unit_masks(
                pruning.unit_scores(models[data]), sparsity
            ),
        }[kind]()
        return found, np.zeros((4, 100))

    sweep = studying.sweep(
        lambda data, sparsity: pruning.prune_units(models[data], sparsity),
        {"mnist": splits["mnist"]},
        sparsity=(0.25, 0.5),
    )
    shown = sliders.explore(look, models, splits, sweep, start=0.5)
    assert shown.readings["accuracy"] == pytest.approx(sweep["mnist", 0.5])
    if kind == "file":
        assert shown.readings["bytes"] > 10_000
    else:
        assert shown.readings["units left"] == 16 + 12 + 8


def test_other_readings_of_the_sweep_are_shown(models, splits, sweep):
    table = pd.DataFrame({"accuracy": sweep, "zipped bytes": 12_345})
    shown = sliders.explore(
        lambda data, method, sparsity: ({}, np.zeros(784)),
        models,
        splits,
        table,
    )
    assert shown.readings["zipped bytes"] == 12_345
    assert "zipped\N{NO-BREAK SPACE}bytes\N{NO-BREAK SPACE}12,345" in (
        shown.readout.value
    )


def test_curves_are_those_of_the_data_set(monkeypatch, explorer, sweep):
    drawn = []
    own = pictures.RingAndImage.pngs
    monkeypatch.setattr(
        pictures.RingAndImage, "pngs",
        lambda self, *seen: drawn.append(self) or own(self, *seen),
    )  # fmt: skip
    for data, title in (
        ("mnist", "digits (MNIST)"),
        ("fashion_mnist", "clothes (Fashion-MNIST)"),
    ):
        go(explorer, data, "global", 0.9)
        explorer.settle()
        axes = drawn[-1].ring.axes
        assert axes.get_title() == title
        for line, method in zip(axes.lines, METHODS, strict=False):
            wanted = 100 * sweep[data, method].to_numpy()
            np.testing.assert_allclose(line.get_ydata(), wanted)
        (height,) = drawn[-1].ring.get_ydata()
        assert height == pytest.approx(100 * sweep[data, "global", 0.9])
