"""The front page is what the helpers make, packed; nothing comes from outside.

That its script does the same is seen in a browser: `browser/test_page.py`.
"""

import base64
import hashlib
import json
import re
import zlib

import numpy as np
import pytest
from bs4 import BeautifulSoup

from helpers import compacting, masking, measuring, networks, pruning, training
from helpers.workshop import page

RETRAINED = {"weights": (0.9,), "neurons": (0.5,)}


@pytest.fixture(scope="module")
def model(split):
    model = networks.mlp((100, 60))
    training.fit(model, split, num_steps=30, learning_rate=1e-2)
    return model


@pytest.fixture(scope="module")
def unit(model):
    return page.unit_of(model)


@pytest.fixture(scope="module")
def dense(model, unit):
    return page.rounded(model, unit)


@pytest.fixture(scope="module")
def found(dense, unit, split):
    return page.networks(dense, unit, split, RETRAINED)


def kernels_of(model):
    return pruning.prunable_kernels(model, include_output=True)


# What is shown


def test_weights_are_whole_numbers_of_units_that_fit_a_byte(model, dense, unit):
    assert np.log2(unit) == round(np.log2(unit))
    for before, after in zip(model.weights, dense.weights, strict=True):
        before, after = np.asarray(before), np.asarray(after)
        if before.ndim == 2:
            units = after / unit
            np.testing.assert_array_equal(units, np.rint(units))
            assert np.abs(units).max() <= 64  # room for retraining
            assert np.abs(after - before).max() <= unit
            large = np.abs(before) > unit / 2
            assert np.abs(after - before)[large].max() <= unit / 2
        else:
            np.testing.assert_array_equal(before, after)


def test_rounding_makes_no_zero_and_takes_none(dense, unit):
    assert all(map(np.all, kernels_of(dense).values()))
    half = pruning.prune_weights(dense, 0.5)
    half.layers[0].kernel.assign(0.3 * half.layers[0].kernel)
    again = page.rounded(half, unit)
    for name, kernel in kernels_of(half).items():
        same = (kernels_of(again)[name] == 0) == (kernel == 0)
        assert same.all()


def test_lots_are_those_of_mulberry32():
    state, drawn = 0, []
    for _ in range(5):
        state = (state + 0x6D2B79F5) % 2**32
        mixed = (state ^ state >> 15) * (state | 1) % 2**32
        other = (mixed ^ mixed >> 7) * (mixed | 61) % 2**32
        mixed ^= (mixed + other) % 2**32
        drawn.append(mixed ^ mixed >> 14)
    assert page.lots(5).tolist() == drawn
    assert abs(page.lots(10_000).mean() / 2**31 - 1) < 0.03


@pytest.mark.parametrize("sparsity", [0, 0.3, 0.95, 0.99])
@pytest.mark.parametrize("method", ["weights", "random"])
def test_of_weights_exactly_as_many_go(dense, method, sparsity):
    pruned = pruning.prunable_kernels(page.pruned(dense, method, sparsity))
    gone = sum(masking.zero_counts(pruned).values())
    assert gone == round(sparsity * 100 * (784 + 60))


def test_weights_go_as_the_readers_own_would(dense):
    ours = kernels_of(page.pruned(dense, "weights", 0.9))
    theirs = kernels_of(pruning.prune_weights(dense, 0.9, scope="global"))
    for name, kernel in ours.items():
        np.testing.assert_array_equal(kernel, theirs[name])


def test_random_weights_are_not_the_small_ones(dense):
    masks = pruning.masks_of(page.pruned(dense, "random", 0.5))
    size = np.abs(kernels_of(dense)["hidden_1"])
    gone, kept = (size[masks["hidden_1"] == n].mean() for n in (0, 1))
    assert abs(gone / kept - 1) < 0.1


@pytest.mark.parametrize("sparsity", page.STOPS)
def test_survivors_are_what_compacting_leaves(dense, sparsity):
    pruned = page.pruned(dense, "neurons", sparsity)
    small = kernels_of(compacting.compact(pruned))
    left = page.survivors(pruned, "neurons")
    assert {n: mask.sum() for n, mask in left.items()} == {
        name: kernel.size for name, kernel in small.items()
    }


def test_every_place_of_the_slider_is_there_and_retrained_ones_are_better(
    found, split
):
    places = [(m, s, False) for m in page.METHODS for s in page.STOPS]
    assert [*found] == [*places, ("weights", 0.9, True), ("neurons", 0.5, True)]
    for method, sparsity, _ in [*found][-2:]:
        before, after = (found[method, sparsity, n] for n in (False, True))
        accuracies = [
            measuring.accuracy(network, split.x_test, split.y_test)
            for network in (before, after)
        ]
        assert accuracies[1] > accuracies[0]
        for name, mask in pruning.masks_of(before).items():
            np.testing.assert_array_equal(mask, pruning.masks_of(after)[name])


def test_ten_networks_of_two_methods_are_retrained():
    assert {m: len(s) for m, s in page.RETRAINED.items()} == {
        "weights": 10,
        "neurons": 10,
    }


# What is packed


class Blob:
    """It is read as the page's script reads it."""

    def __init__(self, packed):
        self.rest = zlib.decompress(packed)

    def take(self, kind, size):
        part = np.frombuffer(self.rest, kind, size)
        self.rest = self.rest[part.nbytes :]
        return part


def test_what_is_packed_is_what_was_there(found, unit, split):
    blob, rows = Blob(page.packed(found, unit, split)), page.shown(split)
    assert len(set(rows)) == min(len(split.x_test), page.NUM_IMAGES)
    images = blob.take("u1", 784 * len(rows)).reshape(-1, 784)
    np.testing.assert_array_equal(images / np.float32(255), split.x_test[rows])
    labels = blob.take("u1", len(rows))
    np.testing.assert_array_equal(labels, split.y_test[rows])
    shapes = (784, 100), (100, 60), (60, 10)
    num_weights, num_biases = 784 * 100 + 6000 + 600, 170
    whole = blob.take("i1", num_weights)
    first = blob.take("<f4", num_biases)
    for place in [("weights", 0, False), *[*found][-2:]]:
        weights, biases = whole, first
        if place[-1]:
            masks = page.survivors(found[place], place[0])
            kept = np.concatenate([mask.ravel() for mask in masks.values()])
            biases = blob.take("<f4", num_biases)
            weights = np.zeros_like(whole)
            weights[kept] = whole[kept] + blob.take("i1", kept.sum())
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        for shape, part, layer in zip(
            shapes, np.split(weights, ends), found[place].layers, strict=False
        ):
            kernel = np.asarray(layer.kernel)
            if place[0] == "neurons":  # what a deleted one gave is not there
                kernel = kernel * masks[layer.name]
            np.testing.assert_array_equal(unit * part.reshape(shape), kernel)
        expected = [np.asarray(layer.bias) for layer in found[place].layers]
        np.testing.assert_array_equal(biases, np.concatenate(expected))
    assert blob.rest == b""


# The page


@pytest.fixture(scope="module")
def written(found, unit, split):
    return page.html(
        found,
        unit,
        split,
        whole={"weights": 0.97, "neurons": 0.98, "floats": 0.99},
        badge="https://codespaces.new",
        titles={"01_first": "1. First"},
        questions={"01_first": "Is <b> it?"},
    )


@pytest.fixture
def shown(written):
    return BeautifulSoup(written, "html.parser")


def test_facts_are_measured(shown, found, unit, split):
    facts = json.loads(shown.find(id="facts").text)
    assert facts["unit"] == unit
    assert facts["sizes"] == [784, 100, 60, 10]
    assert facts["stored"] == [["weights", 10], ["neurons", 5]]
    for line, places in facts["accuracy"].items():
        method, *after = line.split(", ")
        for n, accuracy in places.items():
            model = found[method, page.STOPS[int(n)], bool(after)]
            assert accuracy == measuring.accuracy(
                model, split.x_test, split.y_test
            )


def test_nothing_is_fetched_and_only_its_own_script_and_style_are_allowed(
    shown,
):
    policy = shown.find("meta", {"http-equiv": "Content-Security-Policy"})
    own = {"script": shown.find_all("script")[-1], "style": shown.find("style")}
    for kind, tag in own.items():
        digest = hashlib.sha256(tag.text.encode()).digest()
        allowed = f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'"
        assert allowed in policy["content"]
    assert policy["content"].startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy["content"]
    assert shown.find_all(src=True) == []
    assert shown.find_all(style=True) == []  # which the policy forbids
    assert [link["href"] for link in shown.find_all("link")] == ["data:,"]
    assert not re.search(r"@import|url\(|fetch\(|import\(", str(shown))


def test_the_accuracy_of_these_weights_and_of_others_is_told(
    shown, found, split
):
    dense = found["weights", 0, False]
    accuracy = measuring.accuracy(dense, split.x_test, split.y_test)
    words = shown.select_one(".print").text
    for share in (accuracy, 0.97, 0.98, 0.99):
        assert f"{100 * share:.2f} %" in words


def test_links_lead_to_pages_and_the_codespace(shown):
    targets = {a["href"]: a.text for a in shown.find_all("a")}
    assert set(targets) == {
        "01_first.html", "readme.html", "https://codespaces.new",
    }  # fmt: skip
    assert targets["01_first.html"] == "Is <b> it?"


def test_without_a_script_there_are_curves_and_a_sentence(shown):
    """All that needs the script is hidden until it runs."""
    for live in shown.select(".live"):
        live.decompose()
    assert "JavaScript" in shown.find(id="still").text
    assert shown.find_all(["input", "button", "canvas"]) == []
    lines = {c["data-line"]: c["points"] for c in shown.select("svg polyline")}
    assert set(lines) == {
        "weights", "neurons", "random", "weights, retrained",
        "neurons, retrained",
    }  # fmt: skip
    assert len(lines["weights"].split()) == len(page.STOPS)


def test_every_control_and_picture_has_a_name(shown):
    for tag in shown.find_all(["meter", "svg"]) + shown.select("canvas"):
        named_by_script = tag.get("id") == "mosaic"
        assert named_by_script or tag["aria-label"]
    for control in shown.find_all("input"):
        assert control.get("aria-label") or control.find_parent("label").text


def test_questions_are_read_from_the_notebooks(tmp_path):
    path = tmp_path / "01_first.py"
    path.write_text("# %% [markdown]\n# # 1. First\n#\n# > How many\n# > go?\n")
    assert page._question(path) == "How many go?"
