"""The front page prunes in a real browser as the helpers do in Python."""

import functools
import http.server
import itertools
import os
import pathlib
import re
import threading

import numpy as np
import pytest

from helpers import measuring
from helpers.workshop import page as first

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "browser-cache"
PLACES = [0, 5, 8, 10, 12, 15]  # six of the slider's


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the page, the data, and the networks, of the sample."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRUNING_DATA", "sample")
        patch.setenv("PRUNING_CACHE_DIR", str(CACHE))
        patch.chdir(folder)
        paths = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.py"))
        return folder / first.PAGE.parent, *first.build(paths)


@pytest.fixture(scope="module")
def address(built):
    """Where a server on loopback has it."""
    serve = functools.partial(Quiet, directory=built[0])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """It says nothing of each request."""

    def log_message(self, *args):
        pass


class Shown:
    """The page as a reader meets it."""

    def __init__(self, page, address):
        self.page, self.said = page, []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(address)
        page.locator("body[data-ready]").wait_for()
        self.slider = page.locator("#stop")

    def move(self, method, stop, retrain=False):
        self.page.locator(f"[value={method}]").check()
        self.slider.focus()
        for key in ["Home"] + ["ArrowRight"] * stop:
            self.page.keyboard.press(key)
        if retrain:
            self.page.locator("#retrain").check()
            method += ", retrained"
        self.wait_for(f"{method} {stop}")

    def wait_for(self, place):
        """The policy of the page lets no test evaluate text in it, either."""
        self.page.locator(f"body[data-place='{place}']").wait_for()

    def text(self, name):
        return self.page.locator(f"#{name}").inner_text()

    def number(self, name):
        return int(re.match(r"[\d,]+", self.text(name))[0].replace(",", ""))

    def classes(self):
        said = self.page.locator("#mosaic").get_attribute("data-said")
        return [int(one) for one in said]

    def image(self):
        """The drawing as the networks get it."""
        listed = self.page.locator("#seen").get_attribute("data-pixels")
        pixels = [int(ink) for ink in listed.split(",") if ink]
        return np.array(pixels, np.float32) / np.float32(255)

    def draw(self, *points):
        """A stroke on the pad, from corner (0, 0) to (1, 1)."""
        pad = self.page.locator("#pad")
        pad.scroll_into_view_if_needed()
        box, mouse = pad.bounding_box(), self.page.mouse
        for number, (x, y) in enumerate(points):
            at = box["x"] + x * box["width"], box["y"] + y * box["height"]
            mouse.move(*at, steps=4 if number else 1)
            if not number:
                mouse.down()
        mouse.up()


@pytest.fixture
def visit(open_page, address):
    """A function that opens the page; whatever the console says is wrong."""
    visits = []

    def visited(width=1280):
        visits.append(Shown(open_page(width), address))
        return visits[-1]

    yield visited
    assert [shown.said for shown in visits] == [[]] * len(visits)


SEVEN = (0.25, 0.2), (0.75, 0.2), (0.45, 0.85)
ONE = (0.2, 0.3), (0.22, 0.7)  # at the edge of the pad


# What it computes


def assert_as_in_python(shown, built, place):
    _, split, found = built
    model, images = found[place], first.shown(split)
    x, y = split.x_test[images], split.y_test[images]
    assert shown.classes() == measuring.predictions(model, x).tolist()
    accuracy = measuring.accuracy(model, x, y)
    assert shown.text("accuracy") == f"{100 * accuracy:.1f} %"
    accuracy = measuring.accuracy(model, split.x_test, split.y_test)
    assert abs(float(shown.text("tested")[:-2]) - 100 * accuracy) <= 0.0501
    masks = first.survivors(model, place[0])
    del masks["output"]
    assert shown.number("left") == sum(mask.sum() for mask in masks.values())
    neurons = sum(mask.any(axis=0).sum() for mask in masks.values())
    assert shown.number("neurons") == neurons
    assert shown.number("pixels") == masks["hidden_1"].any(axis=1).sum()


@pytest.mark.parametrize("method", first.METHODS)
def test_counts_and_classes_are_those_of_python(visit, built, method):
    shown = visit()
    for stop in PLACES:
        shown.move(method, stop)
        assert_as_in_python(shown, built, (method, first.STOPS[stop], False))
    if method == "weights":
        left = [265_200 - round(s * 265_200) for s in first.STOPS]
        assert shown.number("left") == left[-1]


@pytest.mark.parametrize("method", first.RETRAINED)
def test_retrained_networks_are_those_of_python(visit, built, method):
    shown = visit()
    for sparsity in first.RETRAINED[method][::3]:
        shown.move(method, first.STOPS.index(sparsity), retrain=True)
        assert_as_in_python(shown, built, (method, sparsity, True))


def test_what_was_not_retrained_cannot_be_shown_so(visit, built):
    shown = visit()
    shown.move("weights", 12, retrain=True)
    box = shown.page.locator("#retrain")
    for place in (("weights", 2), ("random", 12)):
        shown.move(*place)
        assert box.is_disabled()
        sparsity = first.STOPS[place[1]]
        assert_as_in_python(shown, built, (place[0], sparsity, False))
    shown.move("weights", 12, retrain=True)
    assert box.is_checked()


def test_dragged_fast_the_last_place_stays(visit, built):
    shown = visit()
    shown.slider.scroll_into_view_if_needed()
    track, mouse = shown.slider.bounding_box(), shown.page.mouse
    y = track["y"] + track["height"] / 2
    mouse.move(track["x"] + 12, y)
    mouse.down()
    for fraction in np.tile([0.9, 0.1, 0.5], 15):
        mouse.move(track["x"] + fraction * track["width"], y)
    mouse.move(track["x"] + track["width"] * 0.8, y)
    mouse.up()
    stop = int(shown.slider.input_value())
    assert stop == 12
    shown.wait_for("weights 12")
    shown.page.wait_for_timeout(1500)  # nothing older arrives later
    assert shown.page.evaluate("document.body.dataset.place") == "weights 12"
    assert_as_in_python(shown, built, ("weights", first.STOPS[stop], False))


def test_the_time_is_measured_and_falls_with_the_weights(visit):
    shown = visit()
    shown.move("weights", 15)
    shown.page.locator("#faster:not(:empty)").wait_for()
    assert re.fullmatch(r"[\d.]+ ms", shown.text("time"))
    whole, times = re.fullmatch(
        r"whole: ([\d.]+) ms, ([\d.]+) times as long", shown.text("faster")
    ).groups()
    assert float(times) > 2
    ratio = float(whole) / float(shown.text("time")[:-3])
    assert ratio == pytest.approx(float(times), rel=0.1)


@pytest.mark.deep
def test_a_move_is_shown_within_a_tenth_of_a_second(visit):
    """From key press to the end of its drawing, on the page's clock."""
    if os.getloadavg()[0] > 2 * os.cpu_count():
        pytest.skip("times say nothing on a machine that is busy")
    shown = visit()
    shown.page.evaluate(WATCH)
    shown.slider.focus()
    places = [*range(1, len(first.STOPS)), *range(len(first.STOPS) - 1)[::-1]]
    for before, place in itertools.pairwise([0, *places]):
        key = "ArrowRight" if place > before else "ArrowLeft"
        shown.page.keyboard.press(key)
        shown.wait_for(f"weights {place}")
    waits = shown.page.evaluate("window.waits")
    assert len(waits) == len(places)
    assert np.median(waits) < 100


WATCH = """() => {
  window.waits = [];
  let pressed = 0;
  addEventListener('keydown', () => { pressed = performance.now(); }, true);
  new MutationObserver(() => window.waits.push(performance.now() - pressed))
    .observe(document.body, {attributes: true});
}"""


# The pad


def test_a_drawing_is_classified_as_python_classifies_its_pixels(visit, built):
    shown, found = visit(), built[2]
    shown.draw(*SEVEN)
    image = shown.image()[None]
    assert image.max() == 1
    for stop in (0, 12, 15):
        shown.move("weights", stop)
        for name, place in {"dense": 0, "pruned": stop}.items():
            model = found["weights", first.STOPS[place], False]
            logits = np.asarray(model(image))[0]
            share = np.exp(logits - logits.max())
            share /= share.sum()
            digit = int(logits.argmax())
            words = f"{digit} ({100 * share[digit]:.1f} %)"
            assert shown.text(f"{name}-says") == words
            meters = shown.page.locator(f"#bars .{name}").all()
            bars = [float(bar.evaluate("bar => bar.value")) for bar in meters]
            np.testing.assert_allclose(bars, share, atol=1e-4)


@pytest.mark.parametrize("points", [SEVEN, ONE, SEVEN[:1]])
def test_a_drawing_is_centred_as_mnist_is(visit, points):
    """In a box of 20 x 20 pixels, with its centre of mass in the middle."""
    shown = visit()
    shown.draw(*points)
    image = shown.image().reshape(28, 28)
    rows, columns = np.nonzero(image > 0.25)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
    if len(points) > 1:
        assert max(np.ptp(rows), np.ptp(columns)) + 1 >= 19
    middle = np.arange(28) + 0.5
    for axis in (0, 1):
        mean = np.average(middle, weights=image.sum(axis=axis))
        assert mean == pytest.approx(14, abs=0.1)


def test_a_second_stroke_is_added_and_clear_forgets_them(visit):
    shown = visit()
    shown.draw((0.2, 0.2), (0.2, 0.5), (0.7, 0.5))
    before = shown.image()
    shown.draw((0.6, 0.2), (0.6, 0.9))
    assert (shown.image() > 0).sum() > (before > 0).sum()
    shown.page.get_by_role("button", name="Clear").click()
    assert shown.image().size == 0
    assert shown.text("dense-says") == "…"


def test_a_test_image_is_one_that_pruning_gets_wrong(visit, built):
    """By keyboard: for who cannot draw."""
    split, shown = built[1], visit()
    shown.move("weights", 13)
    images, seen = first.shown(split), set()
    for _ in range(3):
        shown.page.get_by_role("button", name="Show it a test image").focus()
        shown.page.keyboard.press("Enter")
        pixels = shown.image()
        matches = (split.x_test[images] == pixels).all(axis=1)
        (place,) = np.flatnonzero(matches)[:1]
        label = split.y_test[images][place]
        assert int(shown.text("dense-says")[0]) == label
        assert int(shown.text("pruned-says")[0]) != label
        seen.add(int(place))
    assert len(seen) == 3


def test_an_image_is_shown_where_it_is_clicked(visit, built):
    split, shown = built[1], visit()
    mosaic = shown.page.locator("#mosaic")
    mosaic.scroll_into_view_if_needed()
    cell = mosaic.bounding_box()["width"] / 25
    mosaic.click(position={"x": 7.5 * cell, "y": 3.5 * cell})
    image = split.x_test[first.shown(split)[3 * 25 + 7]]
    np.testing.assert_array_equal(shown.image(), image)


# How it is met


def test_it_is_small_and_fits_a_phone(visit, built):
    assert (built[0] / "index.html").stat().st_size < 1_000_000
    shown = visit(375)
    shown.draw(*SEVEN)
    shown.move("neurons", 8)
    shown.page.locator("#faster:not(:empty)").wait_for()
    fits = "document.documentElement.scrollWidth <= 375"
    assert shown.page.evaluate(fits)
    for control in shown.page.locator("input, button, canvas").all():
        box = control.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 375


def test_a_screen_reader_is_told(visit):
    shown = visit()
    slider = shown.page.get_by_role("slider", name="Percentage deleted")
    shown.move("neurons", 8)
    words = "80 % of the neurons deleted"
    assert slider.get_attribute("aria-valuetext") == words
    status = shown.page.get_by_role("status").first.inner_text()
    assert re.fullmatch(rf"[\d.]+ %\s+right with {words}", status)
    told = shown.page.locator("#mosaic").get_attribute("aria-label")
    wrong = int(re.search(r"images, (\d+) of them", told)[1])
    right = 1 - wrong / len(shown.classes())
    assert shown.text("accuracy") == f"{100 * right:.1f} %"


def test_all_controls_are_reached_by_tab(visit):
    shown, reached = visit(), []
    names = "document.activeElement.id || document.activeElement.value"
    for _ in range(6):
        shown.page.keyboard.press("Tab")
        reached.append(shown.page.evaluate(names))
    assert reached == ["weights", "stop", "clear", "another", *reached[4:]]
    shown.page.keyboard.press("Shift+Tab")
    shown.page.locator("[value=weights]").focus()
    shown.page.keyboard.press("ArrowDown")
    shown.wait_for("neurons 0")


def contrast(page, name):
    """Of the text of an element on the page's background, as WCAG has it."""
    colours = page.evaluate(
        "name => [document.querySelector(name), document.body].map((one, n) =>"
        "getComputedStyle(one)[n ? 'backgroundColor' : 'color'])",
        name,
    )
    values = [[int(n) for n in re.findall(r"\d+", c)[:3]] for c in colours]
    linear = ((np.array(values) / 255 + 0.055) / 1.055) ** 2.4
    light = np.sort(linear @ [0.2126, 0.7152, 0.0722])
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible_by_day_and_night(visit, scheme):
    shown = visit()
    shown.page.emulate_media(color_scheme=scheme)
    background = shown.page.evaluate(
        "getComputedStyle(document.body).backgroundColor"
    )
    bright = np.mean([int(n) for n in re.findall(r"\d+", background)]) > 128
    assert bright == (scheme == "light")
    for name in ("h1", ".hint", "dt", "figcaption", "li a", "label.neurons"):
        assert contrast(shown.page, name) > 4.5, name


def test_without_a_script_it_is_a_picture_and_a_sentence(chromium, address):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.get_by_text("The slider needs JavaScript").is_visible()
    assert page.locator("#curves svg").bounding_box()["height"] > 100
    assert not page.locator("#stop").is_visible()
    assert not page.locator("#pad").is_visible()
    context.close()


def test_an_old_browser_is_told(open_page, address):
    page = open_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(address)
    said = page.get_by_text("does not work in this browser")
    said.wait_for()
    assert not page.locator("#stop").is_visible()
