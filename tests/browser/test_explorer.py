"""Readers move the sliders: what they then see is what the helpers compute."""

import base64
import contextlib
import io
import json
import pathlib
import re
import time

import matplotlib
import nbformat
import numpy as np
import pytest

from helpers import (
    datasets,
    measuring,
    pruning,
    sliders,
    training,
)
from helpers.engine import explorer
from helpers.workshop import building, publishing

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "browser-cache"
POSITIONS = [0.0, 0.25, 0.5, 0.75, 1.0]
LINES = {"ours": [0.9, 0.8, 0.7, 0.4, 0.1], "random": [0.9, 0.5, 0.3, 0.1, 0.1]}

SETUP = f"""
import time
import numpy as np
from helpers import sliders
from helpers.engine import pictures
positions, lines = {POSITIONS}, {LINES}
def curves(ax):
    for label, values in lines.items():
        ax.plot(positions, np.multiply(100, values), "o-", label=label)
    ax.legend()
picture = pictures.RingAndImage(curves, (5, 5), "kept")
"""
LOOK = """
def look(position):
    kept = np.arange(25).reshape(5, 5) >= 25 * position
    return {"accuracy": 1 - position, "weights left": int(kept.sum())}, kept
"""
SLOW = LOOK.replace(":\n", ":\n    time.sleep(0.1)\n", 1)
FAILING = LOOK.replace(
    ":\n", ":\n    if position > 0.6: raise ValueError('no <unit> left')\n", 1
)
CHOOSING = """
def look(position, data, method):
    time.sleep(0.1)
    readings = {"accuracy": 1 - position, "data": data, "method": method}
    return {**readings, "place": f"{position:.2f}"}, np.eye(5)

def draw(*seen, data, method):
    return picture.pngs(*seen)

choices = {"data": ["digits", "clothes"], "method": ["ours", "random"]}
"""
SHOW = "sliders.Explorer(positions, look, picture.pngs, start=0.25)"


class Shown:
    """The explorer on a page of JupyterLab, as a reader meets it."""

    def __init__(self, page, pictures=2):
        self.page = page
        self.cell = page.locator(".jp-Cell-outputArea:has([role=slider])").last
        self.handle = self.cell.get_by_role("slider")
        self.handle.scroll_into_view_if_needed()
        self.cell.locator("img").nth(pictures - 1).wait_for()

    def press(self, *keys):
        self.handle.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, name):
        self.cell.get_by_role("button", name=name, exact=True).click()

    def text(self):
        return spaced(self.cell.get_by_role("status").inner_text())

    def wait_for(self, words):
        """The text, once it has these words and the pictures are of it."""
        end, picture = time.monotonic() + 20, self.cell.locator("img").first
        while True:
            text, alt = self.text(), spaced(picture.get_attribute("alt"))
            if words in text and alt == f"Picture at {text}":
                return text
            assert time.monotonic() < end, f"{words!r} not in {text!r}"
            self.page.wait_for_timeout(20)

    def go(self, *keys):
        """The text where these keys lead to from the first position.

        Nothing that was shown before can be taken for it.
        """
        for part in (["Home"], keys):
            self.press(*part)
            text = self.wait_for(f" {self.place()} ·")
        return text

    def pictures(self):
        """Bytes of the images."""
        return [
            base64.b64decode(image.get_attribute("src").split(",")[1])
            for image in self.cell.locator("img:visible").all()
        ]

    def place(self):
        """Where the slider says it is."""
        return self.cell.locator(".widget-readout").inner_text()


def spaced(words):
    return words.replace("\N{NO-BREAK SPACE}", " ")


def light(write, look=LOOK, show=SHOW):
    """A notebook with nothing but an explorer."""
    return write("explorer.ipynb", SETUP, look, show)


def expected_pictures(position):
    """What the helper draws, in this process, in the notebooks' style."""
    space = {}
    with matplotlib.rc_context(fname=ROOT / "notebooks" / "matplotlibrc"):
        exec(SETUP + LOOK, space)  # the cells of the notebook above
        readings, image = space["look"](position)
        return space["picture"].pngs(position, readings["accuracy"], image)


def test_keys_move_it_and_the_pictures_are_those_the_helper_draws(run, write):
    shown = Shown(run(light(write)))
    assert shown.place() == "0.25"
    assert shown.pictures() == expected_pictures(0.25)
    shown.press("ArrowRight")
    shown.wait_for(
        "x 0.50 · accuracy 50.0 % · weights left 12".replace("x", "sparsity")
    )
    assert shown.pictures() == expected_pictures(0.5)
    shown.press("End")
    shown.wait_for("sparsity 1.00 · accuracy 0.0 % · weights left 0")
    assert shown.pictures() == expected_pictures(1.0)
    shown.press("Home")
    shown.wait_for("sparsity 0.00 · accuracy 100.0 % · weights left 25")


def test_after_fast_dragging_the_last_position_is_shown(run, write):
    shown = Shown(run(light(write, SLOW)))
    track = shown.cell.locator(".noUi-base").bounding_box()
    mouse, y = shown.page.mouse, track["y"] + track["height"] / 2
    mouse.move(track["x"] + track["width"] / 4, y)
    mouse.down()
    for fraction in np.tile([1.0, 0.0], 20):
        mouse.move(track["x"] + fraction * track["width"], y)
    mouse.move(track["x"] + track["width"] * 0.75, y)
    mouse.up()
    assert shown.place() == "0.75"
    shown.wait_for("sparsity 0.75 · accuracy 25.0 % · weights left 6")
    shown.page.wait_for_timeout(1000)  # nothing older arrives later
    assert "sparsity 0.75" in shown.text()
    assert shown.pictures() == expected_pictures(0.75)


def test_controls_moved_at_once_agree(run, write):
    show = "sliders.Explorer(positions, look, draw, 0.25, choices=choices)"
    shown = Shown(run(light(write, CHOOSING, show)))
    for data, method, key in (
        ("clothes", "random", "End"),
        ("digits", "ours", "Home"),
        ("clothes", "ours", "ArrowRight"),
    ):
        shown.choose(data)
        shown.choose(method)
        shown.press(key)
        shown.wait_for(f"data {data} · method {method} · place {shown.place()}")
        assert shown.text().startswith(f"sparsity {shown.place()} ·")


def test_an_error_is_shown_to_the_reader(run, write):
    shown = Shown(run(light(write, FAILING)))
    before = shown.pictures()
    shown.press("End")
    text = shown.wait_for("ValueError no <unit> left")
    assert text.startswith("sparsity 1.00")
    assert shown.pictures() == before
    shown.press("Home")
    shown.wait_for("accuracy 100.0 %")


BETTER = """
def look(position):
    image = np.eye(5) * position
    yield {"accuracy": 0.5}, image
    for _ in range(20):
        time.sleep(0.02)
        yield None
    yield {"accuracy": 1 - position, "judged": 10_000}, image
"""


def test_what_is_known_comes_at_once_and_the_rest_while_nobody_moves(
    run, write
):
    shown = Shown(run(light(write, BETTER)))
    shown.press("ArrowRight")
    shown.wait_for("sparsity 0.50 · accuracy 50.0 %")
    shown.wait_for("sparsity 0.50 · accuracy 50.0 % · judged 10,000")
    shown.press("ArrowRight")
    assert "judged" not in shown.wait_for("sparsity 0.75 · accuracy 50.0 %")
    shown.wait_for("sparsity 0.75 · accuracy 25.0 % · judged 10,000")
    assert shown.pictures()[0] == expected_pictures(0.75)[0]
    shown.press("Home", "End", "Home", "End")
    shown.wait_for("sparsity 1.00 · accuracy 0.0 % · judged 10,000")


def test_it_fits_a_phone_and_says_what_it_is(run, write):
    page = run(light(write), width=375)
    shown = Shown(page)
    shown.press("ArrowRight")
    words = shown.wait_for("sparsity 0.50")
    for image in shown.cell.locator("img:visible").all():
        box = image.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 375
        assert spaced(image.get_attribute("alt")) == f"Picture at {words}"
    assert shown.cell.locator("label", has_text="sparsity").count() == 1
    shown.cell.screenshot(path=ROOT / "build" / "browser" / "phone.png")


def test_a_reopened_notebook_shows_the_still_picture(show):
    page = show("02_weight_pruning.ipynb")
    cell = page.locator(".jp-CodeCell:has-text('explorer = sliders')").last
    image = cell.locator("img")
    image.scroll_into_view_if_needed()
    assert image.bounding_box()["width"] > 400
    assert "Error" not in cell.locator(".jp-OutputArea").inner_text()


# Predictions

ASKING = """
from helpers import sliders
sliders.Prediction("What accuracy is left, in percent?", {answer!r}{more})
"""


def asked(page):
    """The cell of the prediction, and its button."""
    button = page.get_by_role("button", name="That is my guess")
    button.scroll_into_view_if_needed()
    return page.locator(".jp-Cell-outputArea", has=button), button


def commit(page, button, tabs=4):
    """From where the focus is, by keyboard."""
    focused = "element => element === document.activeElement"
    while not button.evaluate(focused):
        assert (tabs := tabs - 1) >= 0
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")


def test_a_guess_is_committed_by_keyboard_and_the_gap_is_told(run, write):
    source = ASKING.format(answer=81.52, more="")
    page = run(write("prediction.ipynb", source))
    cell, button = asked(page)
    assert "81.5" not in cell.inner_text()
    cell.get_by_role("slider").focus()
    for key in ["Home", *["ArrowRight"] * 3]:
        page.keyboard.press(key)
    commit(page, button)
    told = cell.get_by_role("status").inner_text()
    assert told == ("It is ≈ 81.5 %. You said 3, which is 78.5 points below.")
    assert button.is_disabled()


def test_a_choice_is_committed_by_keyboard(run, write):
    source = ASKING.format(answer="b", more=", choices='abc'")
    page = run(write("choice.ipynb", source), width=375)
    cell, button = asked(page)
    cell.get_by_role("button", name="b", exact=True).focus()
    page.keyboard.press("Enter")
    commit(page, button)
    assert cell.get_by_role("status").inner_text() == "It is b. So you said."
    for control in cell.get_by_role("button").all():
        box = control.bounding_box()
        assert box["x"] + box["width"] <= 375


def test_a_solution_is_folded_until_it_is_opened(show, lab):
    cell = nbformat.v4.new_code_cell("solve()", metadata={"tags": ["solution"]})
    cell.outputs = [nbformat.v4.new_output("stream", text="solved")]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    path = lab[2] / "07_folded.ipynb"
    nbformat.write(building._clean(notebook, path), path)
    page = show(path.name)
    solved = page.locator(".jp-CodeCell .jp-OutputArea").get_by_text("solved")
    for part in ("Input", "Output"):
        folded = page.locator(f".jp-{part}Placeholder")
        folded.wait_for()
        assert not solved.is_visible()
        folded.click()
        folded.wait_for(state="hidden")
    assert solved.is_visible()


# The notebooks themselves


@pytest.fixture
def baseline(monkeypatch):
    """The network that a notebook trained, from the cache that it left."""

    def cached(name):
        monkeypatch.setenv("PRUNING_CACHE_DIR", str(CACHE))
        with contextlib.redirect_stdout(io.StringIO()):
            split = datasets.load(name)
            return training.baseline(split), split

    return cached


def words_of(model, split):
    """The readings of a network as the slider words them."""
    accuracy = measuring.accuracy(model, split.x_test, split.y_test)
    readings = {"accuracy": accuracy, **measuring.left_in(model)}
    names = ("accuracy", "weights left", "units left")
    return [f"{name} {explorer._read(readings[name])}" for name in names]


def test_weights(run, baseline):
    shown = Shown(run("02_weight_pruning.ipynb"))
    before = shown.pictures()
    text = shown.go("End", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    model, split = baseline("mnist")
    pruned = pruning.prune_weights(model, 0.9)
    left = ["sparsity 0.90", "weights left 238,400"]
    for words in [*words_of(pruned, split), *left]:
        assert words in text
    shown.choose("fashion_mnist")
    shown.choose("global")
    shown.press("ArrowLeft")
    shown.wait_for("sparsity 0.80")
    model, split = baseline("fashion_mnist")
    pruned = pruning.prune_weights(model, 0.8, scope="global")
    for words in words_of(pruned, split):
        shown.wait_for(words)
    assert all(map(bytes.__ne__, before, shown.pictures()))


REAL = """
import dataclasses
import pandas as pd
from helpers import datasets, masking, networks, pruning
rng = np.random.default_rng(0)
images = rng.random((10_000, 784), np.float32), rng.integers(0, 10, 10_000)
splits = {"noise": datasets.Split(*3 * images, "noise", "here")}
models = {"noise": networks.mlp()}
scores = masking.magnitude_scores(pruning.prunable_kernels(models["noise"]))
index = pd.MultiIndex.from_product(
    [["noise"], np.linspace(0, 0.95, 20).round(2)], names=["data", "sparsity"]
)
sweep = pd.Series(0.5, index)

def look(data, sparsity):
    masks = masking.layerwise_masks(scores, sparsity)
    return masks, masks["hidden_1"].sum(axis=1)
"""


@pytest.mark.deep
def test_how_long_a_reader_waits(run, write):
    """From key press to changed readout, on the page's clock; not judged.

    The series' network, pruned at each new position, reads all images while
    nobody moves. The way back goes over positions that were seen.
    """
    show = "sliders.explore(look, models, splits, sweep, start=0.0)"
    shown = Shown(run(light(write, REAL, show)))
    shown.handle.evaluate(WATCH)
    for number, key in enumerate(["ArrowRight"] * 19 + ["ArrowLeft"] * 19):
        shown.press(key)
        shown.page.wait_for_function(f"window.waits.length > {number}")
        shown.page.wait_for_timeout(100)
    waits = shown.page.evaluate("window.waits")
    assert len(waits) == 38
    write_latency({"a new position": waits[:19], "a seen one": waits[19:]})


WATCH = """handle => {
  const output = handle.closest('.jp-Cell-outputArea');
  const readout = output.querySelector('[role=status]').parentElement;
  window.waits = [];
  let pressed = null;
  const now = () => performance.now();
  handle.addEventListener('keydown', () => { pressed = now(); }, true);
  new MutationObserver(() => {
    if (pressed !== null) window.waits.push(now() - pressed);
    pressed = null;
  }).observe(readout, {childList: true, subtree: true});
}"""


def write_latency(waits):
    """Into the benchmarks' file, beside whatever else is in it."""
    path = ROOT / "build" / "benchmarks.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for kind, milliseconds in waits.items():
        found[f"slider, key press to readout, ms, {kind}"] = {
            "median": round(float(np.median(milliseconds)), 1),
            "95th percentile": round(float(np.percentile(milliseconds, 95)), 1),
            "presses": len(milliseconds),
        }
    path.write_text(json.dumps(found, indent=2) + "\n")


@pytest.mark.deep
def test_neurons(run, baseline):
    shown = Shown(run("03_neuron_pruning.ipynb"))
    shown.choose("units")
    text = shown.go("End", "ArrowLeft", "ArrowLeft")
    assert "units gone 0.80" in text
    model, split = baseline("mnist")
    for words in words_of(pruning.prune_units(model, 0.8), split):
        shown.wait_for(words)
    assert "units left 540" in text
    shown.choose("random units")
    shown.wait_for("units left 540")


@pytest.mark.deep
def test_threshold(run):
    shown = Shown(run("06_threshold_pruning.ipynb"))
    assert "threshold 0.00 · accuracy" in (text := shown.go())
    assert "weights left 2,560" in text
    counts = [2560]
    for place in ("0.02", "0.04", "0.06"):
        shown.press("ArrowRight")
        text = shown.wait_for(f"threshold {place}")
        counts.append(number_after("weights left", text))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


@pytest.mark.deep
def test_filters(run):
    shown = Shown(run("10_filter_pruning.ipynb"))
    assert "share deleted 0.00" in shown.go()
    before = shown.pictures()
    text = shown.go("End", "ArrowLeft")
    assert "share deleted 0.75" in text
    assert number_after("units left", text) == 5 + 12 + 125
    assert all(map(bytes.__ne__, before, shown.pictures()))


@pytest.mark.deep
def test_repair(run):
    shown = Shown(run("09_repair_without_training.ipynb"))
    right, pictures = [], []
    for method in ("pruned", "repaired"):
        shown.choose(method)
        text = shown.go("End", "ArrowLeft", "ArrowLeft")
        assert "sparsity 0.95" in text
        assert number_after("weights left", text) == 265_200 * 5 // 100
        right.append(float(re.search(r"accuracy ([\d.]+)", text)[1]))
        pictures.append(shown.pictures())
    assert right[1] > right[0] + 5
    assert all(map(bytes.__ne__, *pictures))


@pytest.mark.deep
def test_groups(run):
    """A group loses as many units from each of its two layers."""
    shown = Shown(run("11_branching_networks.ipynb", seconds=1200))
    units = 3 * 16 + 3 * 32 + 3 * 64
    for group, size in {"stem, conv_1b": 16, "conv_3b, skip_3": 64}.items():
        shown.choose(group)
        text, pictures = shown.go(), shown.pictures()
        assert number_after("units left", text) == units
        text = shown.go("End")
        assert "share deleted 0.875" in text
        assert number_after("units left", text) == units - 2 * size * 7 // 8
        assert all(map(bytes.__ne__, pictures, shown.pictures()))


@pytest.mark.deep
def test_rounds(run):
    shown = Shown(run("07_synaptic_pruning.ipynb"))
    for fraction in ("0.50", "0.20"):
        shown.choose(fraction)
        shown.press("Home")
        for number in range(1, 4):
            shown.press("ArrowRight")
            text = shown.wait_for(f"round {number}")
            left = round(108_544 * (1 - float(fraction)) ** number)
            assert number_after("weights left", text) == left
    assert shown.place() == "3"


@pytest.mark.deep
def test_files(run):
    page = run("13_quantization_and_distillation.ipynb", seconds=1200)
    shown = Shown(page)
    for kind, most in {"float": 9_700_000, "full int8": 2_500_000}.items():
        shown.choose(kind)
        shown.press("Home")
        text, pictures = shown.wait_for("units deleted 0.00"), shown.pictures()
        assert most / 1.1 < number_after("bytes", text) < most
        shown.press("ArrowRight", "ArrowRight")
        text = shown.wait_for("units deleted 0.85")
        assert most / 20 < number_after("bytes", text) < most / 10
        assert all(map(bytes.__ne__, pictures, shown.pictures()))


@pytest.mark.deep
def test_masks_that_come_too_seldom(run):
    shown = Shown(run("14_silent_bugs.ipynb", seconds=1200))
    left = {}
    for name in ("as it ends", "masked again"):
        shown.choose(name)
        shown.press("Home")
        for place in ("2", "5"):
            shown.press("ArrowRight")
            text = shown.wait_for(f"masked every {place}")
            left[name, place] = number_after("weights left", text)
    pruned = round(0.1 * 100_352) + round(0.1 * 8_192)
    assert {left["masked again", place] for place in "25"} == {pruned}
    assert all(left["as it ends", place] > 5 * pruned for place in "25")


@pytest.mark.deep
def test_smaller_studies(run):
    shown = Shown(run("15_what_is_real.ipynb", seconds=1200), pictures=1)
    shown.wait_for("seeds 6 · studies that find it 15 of 30")
    before = shown.pictures()
    shown.press("End")
    shown.wait_for("seeds 40 · studies that find it 30 of 30")
    assert shown.pictures() != before
    shown.choose("pruned − before")
    shown.press("Home")
    shown.wait_for("seeds 3 · studies that find it 1 of 30")


@pytest.mark.deep
def test_blocks(run):
    shown = Shown(run("12_block_sparsity.ipynb", seconds=1200))
    sizes = {}
    for kind in ("float", "dynamic int8"):
        shown.choose(kind)
        shown.press("Home")
        single = shown.wait_for("block size 1 ")
        pictures = shown.pictures()
        shown.press("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
        text = shown.wait_for("block size 16")
        assert "times faster" in text
        sizes[kind] = [number_after("bytes", t) for t in (single, text)]
        assert all(map(bytes.__ne__, pictures, shown.pictures()))
    assert 1.3 < sizes["float"][0] / sizes["float"][1] < 1.6
    assert 3 < sizes["float"][1] / sizes["dynamic int8"][1] < 4


def number_after(label, text):
    found = re.search(rf"{label} ([\d,]+)", text)
    return int(found[1].replace(",", ""))


# The site


def test_sliders_move_on_the_site_without_a_kernel(
    open_page, tmp_path, monkeypatch
):
    monkeypatch.setenv("PRUNING_CACHE_DIR", str(CACHE))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.chdir(tmp_path)
    path = ROOT / "notebooks" / "02_weight_pruning.py"
    building.main(["site", str(path)])
    page = open_page(375)
    page.set_content(
        (tmp_path / "build/site/02_weight_pruning.html").read_text()
    )
    explorer = page.locator("section.explorer")
    before = explorer.locator("img").first.get_attribute("src")
    explorer.get_by_role("slider").focus()
    page.keyboard.press("End")
    explorer.get_by_label("global").check()
    text = explorer.get_by_role("status").inner_text()
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("sparsity 0.99")
    assert "weights left 23,840" in text
    assert explorer.locator("img").first.get_attribute("src") != before
    assert explorer.get_by_role("slider").get_attribute("aria-valuetext")
    boxes = [i.bounding_box() for i in explorer.locator("img").all()]
    assert all(box["x"] + box["width"] <= 375 for box in boxes)


def test_what_is_folded_opens_by_keyboard_on_the_site(open_page):
    cells = [
        nbformat.v4.new_code_cell(name, metadata={"tags": [name]})
        for name in ("solution", "check", "other")
    ]
    for cell in cells:
        text = f"output of {cell.source}"
        cell.outputs = [nbformat.v4.new_output("stream", text=text)]
    data = sliders.Prediction("How many?", 81.52)._repr_mimebundle_()
    data = {k: data[k] for k in ("text/html", "text/plain")}
    cells[2].outputs += [nbformat.v4.new_output("display_data", data)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    page = open_page(375)
    page.set_content(publishing.page(notebook, "page", {"page": "Page"}))
    for summary in ("Solution", "Check", "The answer"):
        name = page.get_by_text(summary, exact=True)
        details = page.locator("details", has=name)
        closed = details.bounding_box()["height"]
        assert not details.evaluate("details => details.open")
        name.focus()
        page.keyboard.press("Enter")
        assert details.evaluate("details => details.open")
        assert details.bounding_box()["height"] > closed + 10
    assert page.get_by_text("output of solution").is_visible()
