"""The explorer is wired: a move changes the readings and the picture."""

import base64
import io
import json
import threading
import time

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from helpers import sliders

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
    return sliders.Explorer([0.0, 0.25, 0.5], look, draw, start, **options)


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
    shown = sliders.Explorer([value], lambda p: look(0.5), draw, value)
    assert f"<b>sparsity {words}</b>" in text(shown)
    assert shown.slider._options_labels == (words,)


def test_readings_are_there_as_they_were_measured():
    shown = explorer()
    shown.slider.value = 0.25
    assert shown.readings == {"accuracy": 0.75, "weights left": 12_345}


def test_lines_break_between_readings_only():
    assert "weights\N{NO-BREAK SPACE}left" in explorer().readout.value


def test_each_move_looks_once():
    seen = []
    shown = explorer(look=lambda p: seen.append(p) or look(p))
    shown.slider.value = 0.0
    shown.slider.value = 0.25
    assert seen == [0.5, 0.0, 0.25]


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


# The page without a kernel


def page_of(**options):
    shown = explorer(look=look_with_choices, choices=CHOICES, **options)
    shown.choices["data"].value = "clothes"
    return BeautifulSoup(shown.as_html(), "html.parser")


def states_of(page):
    return json.loads(page.find("script").text)


def test_page_holds_every_state_in_the_order_of_its_controls():
    states = states_of(page_of())
    assert len(states) == 2 * 3 * 3
    places = [plain(state["place"]) for state in states]
    assert places[:3] == ["sparsity 0.00", "sparsity 0.25", "sparsity 0.50"]
    assert "data digits · half 12.5 %" in plain(states[1 * 3]["rest"])
    assert "data clothes · half 25.0 %" in plain(states[3 * 3]["rest"])


def test_page_begins_with_what_the_widget_shows():
    page = page_of()
    slider = page.find("input", type="range")
    assert (slider["value"], slider["max"]) == ("2", "2")
    assert plain(slider["aria-valuetext"]) == "sparsity 0.50"
    checked = [a["value"] for a in page.find_all("input", checked=True)]
    assert checked == ["1", "0"]
    state = states_of(page)[3 * 3 + 2]
    shown = [a["src"].split(",")[1] for a in page.find_all("img")]
    assert shown == state["pictures"]
    assert "data clothes · half 25.0 %" in plain(page.find_all("img")[0]["alt"])


def test_pictures_of_a_page_are_those_of_the_widget():
    state = states_of(page_of())[0]
    images = [
        Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
        for png in state["pictures"]
    ]
    assert [i.size for i in images] == [(3, 2), (2, 2)]


def test_nothing_of_a_page_comes_from_elsewhere():
    page = page_of()
    sources = [tag["src"] for tag in page.find_all(src=True)]
    assert all(source.startswith("data:") for source in sources)
    assert "http" not in page.find_all("script")[1].text


def test_text_of_a_page_is_no_html():
    evil = "</script><b onload=x>"
    readings = {"accuracy": 0.5, evil: evil}
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))), label=evil)
    page = shown.as_html()
    assert page.count("<b") == 1
    assert page.count("</script>") == 2
    assert evil in plain(
        states_of(BeautifulSoup(page, "html.parser"))[0]["rest"]
    )


def test_output_is_a_page_only_for_the_site(monkeypatch):
    monkeypatch.setenv("PRUNING_SITE", "1")
    assert "<section" in bundle_of(explorer())["text/html"]
