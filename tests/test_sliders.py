"""The explorer is wired: a move changes the readings and the picture."""

import base64

import numpy as np
import pytest

from helpers import sliders

PNG = b"\x89PNG of "
WIDGET = "application/vnd.jupyter.widget-view+json"


def look(position):
    readings = {"accuracy": 1 - position, "weights left": 12_345}
    return readings, np.full((2, 2), position)


def draw(position, accuracy, image):
    return PNG + f"{position} {accuracy} {image.mean()}".encode()


def explorer(look=look, draw=draw, start=0.5, **options):
    return sliders.Explorer([0.0, 0.25, 0.5], look, draw, start, **options)


def bundle_of(widget):
    return widget._repr_mimebundle_()


def test_it_starts_where_it_is_told():
    shown = explorer()
    assert shown.slider.value == 0.5
    assert "sparsity 0.50" in shown.readout.value
    assert shown.image.value == PNG + b"0.5 0.5 0.5"


def test_moving_changes_readings_and_picture():
    shown = explorer()
    shown.slider.value = 0.25
    assert "sparsity 0.25" in shown.readout.value
    assert "accuracy 75.0 %" in shown.readout.value
    assert shown.image.value == PNG + b"0.25 0.75 0.25"


def look_with_choices(position, data, fraction):
    readings = {"accuracy": position, "data": data, "half": fraction / 2}
    return readings, np.zeros((2, 2))


def test_choices_are_buttons_that_look_again():
    choices = {"data": ["digits", "clothes"], "fraction": (0.5, 0.125)}
    shown = explorer(look=look_with_choices, choices=choices)
    assert "data digits · half 25.0 %" in shown.readout.value
    shown.choices["data"].value = "clothes"
    shown.choices["fraction"].value = 0.125
    shown.slider.value = 0.25
    assert "sparsity 0.25" in shown.readout.value
    assert "data clothes · half 6.2 %" in shown.readout.value
    labels = [list(c._options_labels) for c in shown.choices.values()]
    assert labels == [["digits", "clothes"], ["0.50", "0.125"]]
    assert [c.description for c in shown.children[:2]] == ["data", "fraction"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (0.5, "0.50"), (0.825, "0.825"), ("layer", "layer")],
)
def test_positions_are_shown_as_they_are(value, text):
    shown = sliders.Explorer([value], lambda p: look(0.5), draw, value)
    assert f"<b>sparsity {text}</b>" in shown.readout.value
    assert shown.slider._options_labels == (text,)


def test_each_move_looks_once():
    seen = []
    shown = explorer(look=lambda p: seen.append(p) or look(p))
    shown.slider.value = 0.0
    shown.slider.value = 0.25
    assert seen == [0.5, 0.0, 0.25]


def test_slider_readings_and_picture_are_what_the_page_gets():
    shown = explorer()
    assert shown.children == (shown.slider, shown.readout, shown.image)


def test_counts_and_text_are_shown_as_they_read():
    readings = {"accuracy": 0.5, "kept": np.int64(54_321), "layer": "first"}
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))))
    assert "kept 54,321" in shown.readout.value
    assert "layer first" in shown.readout.value


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_fractions_are_shown_in_percent(kind):
    readings = {"accuracy": kind(0.625)}
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))))
    assert "accuracy 62.5 %" in shown.readout.value


def test_an_error_is_shown_and_the_picture_stays():
    def fail(position):
        if position < 0.5:
            raise ValueError("no <unit> left")
        return look(position)

    shown = explorer(look=fail)
    before = shown.image.value
    shown.slider.value = 0.25
    assert "ValueError no &lt;unit&gt; left" in shown.readout.value
    assert "accuracy" not in shown.readout.value
    assert shown.image.value == before
    shown.slider.value = 0.5
    assert "accuracy 50.0 %" in shown.readout.value


def test_an_error_of_the_drawing_is_shown_too():
    def fail(position, accuracy, image):
        if position < 0.5:
            raise RuntimeError("no ink")
        return draw(position, accuracy, image)

    shown = explorer(draw=fail)
    shown.slider.value = 0.0
    assert "RuntimeError no ink" in shown.readout.value


@pytest.mark.parametrize("where", ["label", "value", "description"])
def test_text_is_no_html(where):
    tag = "<script>"
    readings = {
        "accuracy": 0.5,
        tag if where == "label" else "a": tag if where == "value" else "b",
    }
    label = tag if where == "description" else "sparsity"
    shown = explorer(look=lambda p: (readings, np.zeros((2, 2))), label=label)
    assert "&lt;script&gt;" in shown.readout.value
    assert tag not in shown.readout.value


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
    assert 'role="status"' in explorer().readout.value


def test_output_is_a_live_widget_with_a_still_picture():
    shown = explorer()
    bundle = bundle_of(shown)
    assert set(bundle) == {"text/plain", "image/png", WIDGET}
    assert base64.b64decode(bundle["image/png"]) == shown.image.value


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
