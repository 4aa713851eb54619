"""The explorer is wired: a move changes the readings and the picture."""

import base64
import io
import threading
import time

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from helpers.engine import explorer as widget

WIDGET = "application/vnd.jupyter.widget-view+json"


def look(position):
    readings = {"accuracy": 1 - position, "weights left": 12_345}
    return readings, np.full((2, 2), position)


def draw(position, accuracy, image, **chosen):
    """Two pictures of one colour each: of the accuracy, and of the image."""
    return [png_of(accuracy, width=3), png_of(image.mean(), width=2)]


def png_of(level, width):
    stream = io.BytesIO()
    Image.new("L", (width, 2), round(200 * level)).save(stream, "PNG")
    return stream.getvalue()


CHOICES = {"data": ["digits", "clothes"], "fraction": (0.5, 0.25, 0.125)}


def text(shown):
    """The readings' line as it is read: no-break spaces are spaces."""
    return plain(shown.readout.value)


def plain(words):
    return words.replace("\N{NO-BREAK SPACE}", " ")


def pictures(shown):
    """Bytes of the images in the widget's HTML."""
    images = BeautifulSoup(shown.pictures.value, "html.parser").find_all("img")
    return [base64.b64decode(img["src"].split(",")[1]) for img in images]


def explorer(look=look, draw=draw, start=0.5, **options):
    return widget.Explorer([0.0, 0.25, 0.5], look, draw, start, **options)


def bundle_of(widget):
    return widget._repr_mimebundle_()


def test_it_starts_where_it_is_told():
    shown = explorer()
    assert shown.slider.value == 0.5
    assert "sparsity 0.50" in text(shown)
    assert pictures(shown) == draw(0.5, 0.5, np.array(0.5))


def test_moving_changes_readings_and_picture():
    shown = explorer()
    shown.slider.value = 0.25
    assert "sparsity 0.25" in text(shown)
    assert "accuracy 75.0 %" in text(shown)
    assert pictures(shown) == draw(0.25, 0.75, np.array(0.25))


def look_with_choices(position, data, fraction):
    readings = {"accuracy": position, "data": data, "half": fraction / 2}
    return readings, np.zeros((2, 2))


def test_choices_are_buttons_that_look_again():
    choices = {"data": ["digits", "clothes"], "fraction": (0.5, 0.125)}
    shown = explorer(look=look_with_choices, choices=choices)
    assert "data digits · half 25.0 %" in text(shown)
    shown.choices["data"].value = "clothes"
    shown.choices["fraction"].value = 0.125
    shown.slider.value = 0.25
    assert "sparsity 0.25" in text(shown)
    assert "data clothes · half 6.2 %" in text(shown)
    labels = [list(c._options_labels) for c in shown.choices.values()]
    assert labels == [["digits", "clothes"], ["0.50", "0.125"]]
    assert [c.description for c in shown.children[:2]] == ["data", "fraction"]


@pytest.mark.parametrize(
    ("value", "words"),
    [(3, "3"), (0.5, "0.50"), (0.825, "0.825"), ("layer", "layer")],
)
def test_positions_are_shown_as_they_are(value, words):
    shown = widget.Explorer([value], lambda p: look(0.5), draw, value)
    assert f"<b>sparsity {words}</b>" in text(shown)
    assert shown.slider._options_labels == (words,)


def test_readings_are_there_as_they_were_measured():
    shown = explorer()
    shown.slider.value = 0.25
    assert shown.readings == {"accuracy": 0.75, "weights left": 12_345}


def test_lines_break_between_readings_only():
    assert "weights\N{NO-BREAK SPACE}left" in explorer().readout.value


def test_a_place_seen_before_is_not_looked_at_again():
    seen = []
    shown = explorer(
        look=lambda p, **c: seen.append((p, *c.values())) or look(p),
        choices={"data": ["digits", "clothes"]},
    )
    before = shown.readings, shown.pngs
    shown.slider.value = 0.0
    shown.choices["data"].value = "clothes"
    shown.choices["data"].value = "digits"
    shown.slider.value = 0.5
    assert seen == [(0.5, "digits"), (0.0, "digits"), (0.0, "clothes")]
    assert (shown.readings, shown.pngs) == before


def test_an_error_is_not_kept():
    errors = [ValueError("not yet")]

    def at_second_try(position):
        if errors:
            raise errors.pop()
        return look(position)

    shown = explorer(look=at_second_try)
    assert "not yet" in text(shown)
    shown.slider.value = 0.0
    shown.slider.value = 0.5
    assert "accuracy 50.0 %" in text(shown)


def test_slider_readings_and_picture_are_what_the_page_gets():
    shown = explorer()
    assert shown.children == (shown.slider, shown.readout, shown.pictures)


def test_counts_and_text_are_shown_as_they_read():
    readings = {"accuracy": 0.5, "kept": np.int64(54_321), "layer": "first"}
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))))
    assert "kept 54,321" in text(shown)
    assert "layer first" in text(shown)


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_fractions_are_shown_in_percent(kind):
    readings = {"accuracy": kind(0.625)}
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))))
    assert "accuracy 62.5 %" in text(shown)


def test_readings_need_no_accuracy():
    shown = explorer(
        look=lambda p: ({"seeds needed": 12}, p),
        draw=lambda p, accuracy, image: [png_of(image, width=1)],
    )
    assert "seeds needed 12" in text(shown)
    assert shown.visit().endswith(" places")


def test_an_error_is_shown_and_the_picture_stays():
    def fail(position):
        if position < 0.5:
            raise ValueError("no <unit> left")
        return look(position)

    shown = explorer(look=fail)
    before = pictures(shown)
    shown.slider.value = 0.25
    assert "ValueError no &lt;unit&gt; left" in text(shown)
    assert "accuracy" not in text(shown)
    assert pictures(shown) == before
    shown.slider.value = 0.5
    assert "accuracy 50.0 %" in text(shown)


def test_an_error_of_the_drawing_is_shown_too():
    def fail(position, accuracy, image):
        if position < 0.5:
            raise RuntimeError("no ink")
        return draw(position, accuracy, image)

    shown = explorer(draw=fail)
    shown.slider.value = 0.0
    assert "RuntimeError no ink" in text(shown)


@pytest.mark.parametrize("where", ["label", "value", "description"])
def test_text_is_no_html(where):
    tag = "<script>"
    readings = {
        "accuracy": 0.5,
        tag if where == "label" else "a": tag if where == "value" else "b",
    }
    label = tag if where == "description" else "sparsity"
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))), label=label)
    assert "&lt;script&gt;" in text(shown)
    assert tag not in text(shown) + shown.pictures.value


def test_descriptions_and_choices_are_no_html():
    """Widgets escape them, and the names of choices, unless told not to."""
    tag = "<script>"

    def look(position, **chosen):
        return {"accuracy": 0.5, **chosen}, np.zeros((2, 2))

    shown = explorer(look=look, label=tag, choices={tag: [tag, "digits"]})
    for control in (shown.slider, *shown.choices.values()):
        assert control.description == tag
        assert not control.description_allow_html
    assert shown.readout.value.count("&lt;script&gt;") == 3
    assert tag not in shown.readout.value


def test_readings_are_announced_to_screen_readers():
    assert 'role="status"' in text(explorer())


def test_pictures_say_in_words_what_they_show():
    shown = explorer()
    shown.slider.value = 0.25
    images = BeautifulSoup(shown.pictures.value, "html.parser").find_all("img")
    assert [plain(image["alt"]) for image in images] == [
        "Picture at sparsity 0.25 · accuracy 75.0 % · weights left 12,345"
    ] * 2


def test_drawing_knows_the_choices():
    seen = []

    def spy(position, accuracy, image, data):
        seen.append((position, data))
        return draw(position, accuracy, image)

    def look_at(position, data):
        return look(position)

    shown = explorer(look_at, spy, choices={"data": ["digits", "clothes"]})
    shown.choices["data"].value = "clothes"
    assert seen == [(0.5, "digits"), (0.5, "clothes")]


def test_controls_moved_from_several_threads_take_turns():
    inside, worst = [], []

    def slow(position, data, fraction):
        inside.append(1)
        worst.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return look_with_choices(position, data, fraction)

    shown = explorer(look=slow, choices=CHOICES)
    moves = [
        (shown.slider, (0.0, 0.25) * 5),
        (shown.choices["data"], ("clothes", "digits") * 5),
        (shown.choices["fraction"], (0.25, 0.125) * 5),
    ]

    def move(control, values):
        for value in values:
            control.value = value

    threads = [threading.Thread(target=move, args=pair) for pair in moves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(worst) == 1
    assert "sparsity 0.25" in text(shown)
    assert "data digits · half 6.2 %" in text(shown)
    assert shown.readings["accuracy"] == 0.25


def test_output_is_a_live_widget_with_a_still_picture():
    shown = explorer()
    bundle = bundle_of(shown)
    assert set(bundle) == {"text/plain", "image/png", WIDGET}
    still = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert still.size == (5, 2)
    assert [still.getpixel((x, 0))[0] for x in range(5)] == [100] * 5


def test_text_of_the_output_does_not_vary():
    one, other = explorer(), explorer(start=0.0)
    other.slider.value = 0.25
    texts = [bundle_of(shown)["text/plain"] for shown in (one, other)]
    assert texts[0] == texts[1]
    assert "sparsity, 3 positions" in texts[0]


def test_there_is_no_picture_where_nothing_could_be_drawn():
    def fail(position):
        raise ValueError("nothing")

    assert "image/png" not in bundle_of(explorer(look=fail))


# What goes on in the background


class Slow:
    """Knows at once that it is a half, and the rest when it is let on."""

    def __init__(self):
        self.let_on, self.looks = threading.Event(), []

    def __call__(self, position):
        self.looks.append(position)
        image = np.full((2, 2), position)
        yield {"accuracy": 0.5}, image
        while not self.let_on.is_set():
            time.sleep(0.001)
            yield None
        yield {"accuracy": 1 - position}, image


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(widget, "REST", 0)
    slow = Slow()
    yield slow
    slow.let_on.set()


def test_what_is_known_is_shown_at_once_and_the_rest_later(slow):
    shown = explorer(look=slow, start=0.25)
    assert "accuracy 50.0 %" in text(shown)
    slow.let_on.set()
    assert shown.readings == {"accuracy": 0.75}
    assert "accuracy 75.0 %" in text(shown)
    assert pictures(shown) == draw(0.25, 0.75, np.array(0.25))


def test_who_moves_on_does_not_see_what_was_left(slow):
    shown = explorer(look=slow)
    first = shown._rest
    shown.slider.value = 0.25
    first.join(timeout=20)
    assert not first.is_alive()
    assert "accuracy 50.0 %" in text(shown)
    slow.let_on.set()
    assert shown.readings == {"accuracy": 0.75}
    assert "sparsity 0.25" in text(shown)


def test_who_comes_back_too_early_sees_what_is_known_and_then_the_rest(slow):
    shown = explorer(look=slow)
    shown.slider.value = 0.25
    shown.slider.value = 0.5
    shown.slider.value = 0.25
    slow.let_on.set()
    assert shown.readings == {"accuracy": 0.75}
    assert "sparsity 0.25" in text(shown)


def test_a_place_where_all_was_seen_is_not_looked_at_again(slow):
    slow.let_on.set()
    shown = explorer(look=slow)
    shown.settle()
    for place in (0.25, 0.5, 0.25, 0.5):
        shown.slider.value = place
        shown.settle()
    assert slow.looks == [0.5, 0.25]


def test_who_drags_looks_on_where_he_stops_only(monkeypatch, slow):
    monkeypatch.setattr(widget, "REST", 0.5)
    slow.let_on.set()
    shown = explorer(look=slow)
    for place in (0.0, 0.25):
        shown.slider.value = place
    assert shown.readings == {"accuracy": 0.75}
    assert shown._done == {(0.25,)}


def test_an_error_in_the_background_is_shown(slow):
    def fail(position):
        yield from look_once(position)
        raise ValueError("no <unit> left")

    def look_once(position):
        yield look(position)

    shown = explorer(look=fail)
    shown.settle()
    assert "ValueError no &lt;unit&gt; left" in text(shown)


def test_output_shows_what_was_seen_at_last(slow):
    slow.let_on.set()
    shown = explorer(look=slow, start=0.25)
    bundle = bundle_of(shown)
    still = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert still.getpixel((0, 0))[0] == 150


def test_no_thread_is_left(slow):
    before = threading.active_count()
    shown = explorer(look=slow)
    slow.let_on.set()
    shown.settle()
    assert threading.active_count() == before


def test_at_a_place_all_has_been_seen(slow):
    slow.let_on.set()
    where, rest, pngs = explorer(look=slow).at((0.25,))
    assert plain(where + rest) == "sparsity 0.25 · accuracy 75.0 %"
    assert pngs == draw(0.25, 0.75, np.array(0.25))


# Visits


def test_a_visit_looks_at_every_place_and_says_how_many():
    seen = []

    def look_at(position, **chosen):
        seen.append((*chosen.values(), position))
        return look(position)

    shown = explorer(look=look_at, choices=CHOICES)
    assert shown.visit() == "18 places"
    assert len(seen) == len(set(seen)) == 2 * 3 * 3


def test_a_visit_raises_what_a_slider_would_show_at_one_place():
    def fail(position, data):
        if (position, data) == (0.25, "clothes"):
            raise KeyError("gone")
        return look(position)

    shown = explorer(look=fail, choices={"data": ["digits", "clothes"]})
    place = r"At \('clothes', 0\.25\).*KeyError"
    with pytest.raises(RuntimeError, match=place) as error:
        shown.visit()
    assert isinstance(error.value.__cause__, KeyError)


def test_a_visit_moves_nothing():
    shown = explorer(lambda p, **chosen: look(p), choices=CHOICES)
    before = shown.place, text(shown), pictures(shown), shown.readings
    shown.visit()
    after = shown.place, text(shown), pictures(shown), shown.readings
    assert after == before
    shown.slider.value = 0.25
    assert "accuracy 75.0 %" in text(shown)


def test_a_visit_waits_for_what_goes_on_where_the_controls_are(slow):
    """Both would prune the same copy of a network."""
    shown = explorer(look=slow)
    threading.Timer(0.05, slow.let_on.set).start()
    shown.visit()
    assert shown._done == {(0.5,)}
    assert slow.looks == [0.5, 0.0, 0.25]
