"""An explorer prunes and judges the network that it says it does."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

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


# Predictions


def asked(answer=81.52, **options):
    return sliders.Prediction("What is left <of it>?", answer, **options)


def said(prediction, guess):
    """What it tells who has committed to a guess."""
    prediction.guess.value = guess
    assert prediction.said.value == ""
    prediction.commit.click()
    (status,) = BeautifulSoup(prediction.said.value, "html.parser")
    assert status["role"] == "status"
    return status.text


@pytest.mark.parametrize(
    ("guess", "gap"),
    [
        (90, "90, which is 8.48 points above"),
        (0, "0, which is 81.5 points below"),
    ],
)
def test_the_answer_and_the_gap_are_told(guess, gap):
    assert said(asked(), guess) == f"It is ≈ 81.5 %. You said {gap}."


def test_other_units_have_no_points_and_thousands_have_commas():
    one = asked(476_812, ends=(0, 1e6), unit="weights")
    told = said(one, 250_000)
    assert told == (
        "It is ≈ 477,000 weights. You said 250,000, which is 227,000 below."
    )
    assert said(asked(3.5, ends=(1, 10), unit=""), 4) == (
        "It is ≈ 3.5. You said 4, which is 0.5 above."
    )


@pytest.mark.parametrize(
    ("choices", "answer"), [(["first", "last"], "last"), ((0.5, 0.25), 0.25)]
)
def test_a_choice_is_right_or_it_is_not(choices, answer):
    told = said(asked(answer, choices=choices), choices[0])
    assert told == f"It is {answer}. You said {choices[0]}."
    told = said(asked(answer, choices=choices), answer)
    assert told == f"It is {answer}. So you said."


def test_one_commits_once():
    prediction = asked()
    said(prediction, 50)
    assert prediction.commit.disabled


def test_nothing_is_told_before():
    prediction = asked()
    question, guess, _, told = (w.get_state() for w in prediction.children)
    assert question["value"] == "<b>What is left &lt;of it&gt;?</b>"
    assert (guess["value"], told["value"]) == (50, "")
    assert not prediction.commit.disabled


def test_the_ends_are_those_of_the_control():
    guess = asked(2.5, ends=(2, 4)).guess
    assert (guess.min, guess.value, guess.max) == (2, 3, 4)
    assert (guess.max - guess.min) / guess.step == pytest.approx(100)


def test_pages_without_a_kernel_have_the_answer_folded():
    bundle = asked()._repr_mimebundle_()
    assert bundle["text/plain"] == "What is left <of it>? It is ≈ 81.5 %."
    page = BeautifulSoup(bundle["text/html"], "html.parser")
    folded = page.find("details").extract()
    assert not folded.has_attr("open")
    assert folded.find("summary").text == "The answer"
    assert folded.text.endswith("≈ 81.5 %")
    assert page.text == "What is left <of it>?"
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_texts_of_a_prediction_are_no_html():
    prediction = asked("<b>", choices=["<i>", "<b>"])
    told = said(prediction, "<i>")
    assert told == "It is <b>. You said <i>."
    html = prediction._repr_mimebundle_()["text/html"]
    assert "<of" not in html + prediction.children[0].value
    assert "&lt;b&gt;</details>" in html


def test_the_strict_comparison_leaves_out_what_was_measured():
    one, other = (asked(n)._repr_mimebundle_() for n in (81.52, 80.97))
    sanitized = re.compile("\u2248 [-+.,\\w]+")  # as in sanitize.cfg
    for kind in ("text/plain", "text/html"):
        texts = {sanitized.sub("measured", b[kind]) for b in (one, other)}
        assert len(texts) == 1
    assert one["text/plain"] != other["text/plain"]


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        (np.nan, {}),
        (120, {}),
        (0.5, {"ends": (1, 10)}),
        (0.5, {"ends": (1, 0)}),
        ("c", {"choices": ["a", "b"]}),
    ],
)
def test_what_nobody_could_guess_is_not_asked(answer, options):
    words = r"^`answer` is .*; got .*\. Pass other `"
    with pytest.raises(ValueError, match=words):
        asked(answer, **options)
