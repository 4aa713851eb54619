"""What a drawn graph says: each step once, ties in colours, what is cut."""

import itertools

import matplotlib.pyplot as plt
import networks_of_all_kinds as kinds
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, Rectangle

from helpers import networks, plotting
from helpers.engine import graphs
from helpers.engine.backend import keras
from helpers.engine.tracing import trace

L = keras.layers


def chain(length):
    """Dense layers "0", "1", ...: a box for each, and the input's."""
    layers = [L.Dense(4, name=f"layer_{n}") for n in range(length)]
    return kinds.sequence(*layers)


def words_and_places(found):
    return {box.words: (box.column, box.lane) for box in found}


def test_a_box_is_where_units_are_new_or_meet():
    """Normalizations, activations and pooling have none."""
    found = graphs.boxes(trace(networks.resnet((4, 6))))
    assert [box.words for box in found if box.words == "+"] == ["+", "+"]
    assert words_and_places(found) == {
        "input": (0, 0), "stem": (1, 0), "conv_1a": (2, 0), "conv_1b": (3, 0),
        "conv_2a": (5, 0), "conv_2b": (6, 0), "skip_2": (5, 1),
        "+": (7, 0), "output": (8, 0),
    }  # fmt: skip
    before = [sorted(other.words for other in box.after) for box in found]
    assert ["conv_1b", "stem"] in before
    assert ["conv_2b", "skip_2"] in before


@pytest.mark.parametrize("kind", kinds.NETWORKS)
def test_boxes_go_from_left_to_right_and_none_hides_another(kind):
    channels = trace(kinds.NETWORKS[kind]())
    found = graphs.boxes(channels)
    places = [(box.column, box.lane) for box in found]
    assert len(set(places)) == len(places)
    for box in found:
        assert all(other.column < box.column for other in box.after)
    named = {box.words.replace("\n", "_") for box in found}
    for name in channels.given:
        if len(short := name.split("/")[-1]) < 15 and "attention" not in name:
            assert short in named


@pytest.mark.parametrize("kind", kinds.NETWORKS)
def test_any_network_is_drawn_with_a_line_for_each_reading(kind):
    model = kinds.NETWORKS[kind]()
    found = graphs.boxes(trace(model))
    ax = plotting.graph(model, most=1000)
    texts = [text.get_text().split("\n") for text in ax.texts]
    assert len(texts) == len(found)
    heads = [
        patch
        for patch in ax.patches
        if isinstance(patch, FancyArrowPatch)
        and "Curve" in type(patch.get_arrowstyle()).__name__
        and patch.get_arrowstyle().arrow == "-|>"
    ]
    assert len(heads) == sum(len(box.after) for box in found)


def filled(ax):
    """From the words in a box to the colours in it, in order."""
    parts = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_fill()]
    found = {}
    for text in ax.texts:
        x, y = text.get_position()
        mine = [
            part
            for part in parts
            if abs(part.get_x() + part.get_width() / 2 - x) < 0.4
            and abs(part.get_y() + part.get_height() / 2 - y) < 0.1
        ]
        found[text.get_text()] = [to_hex(part.get_facecolor()) for part in mine]
    return found


def test_tied_layers_have_one_colour_and_no_other_layer_has_it():
    ax = plotting.graph(networks.resnet((4, 6)))
    found = {words.split("\n")[0]: c for words, c in filled(ax).items()}
    first, second = found["stem"], found["skip_2"]
    assert found["conv_1b"] == first
    assert found["conv_2b"] == second == found["+"]
    assert found["conv_1a"] == found["conv_2a"] == [graphs.ALONE]
    assert found["input"] == found["output"] == [graphs.HELD]
    assert len({*first, *second, graphs.ALONE, graphs.HELD}) == 4
    labels = {
        text.get_text(): to_hex(patch.get_facecolor())
        for text, patch in zip(
            ax.get_legend().get_texts(), ax.get_legend().get_patches(),
            strict=True,
        )
    }  # fmt: skip
    assert labels == {
        "stem, conv_1b": first[0], "conv_2b, skip_2": second[0],
        "tied to no other layer": graphs.ALONE, "has to stay": graphs.HELD,
    }  # fmt: skip


def test_a_box_of_several_groups_has_a_stripe_for_each():
    """As wide as they have units."""
    entry = keras.Input((8, 8, 3))
    x, y = (L.Conv2D(6, 1, name=name)(entry) for name in ("a1", "a2"))
    z = L.Conv2D(3, 1, name="b1")(entry)
    x = L.Concatenate(name="all")([L.Add()([x, y]), z])
    ax = plotting.graph(keras.Model(entry, L.Conv2D(2, 1)(x)))
    found = filled(ax)
    assert found["all\n9"] == [*found["a1\n6"], *found["b1\n3"]]
    stripes = [p for p in ax.patches if isinstance(p, Rectangle)]
    widths = {round(stripe.get_width(), 3) for stripe in stripes}
    assert round(graphs.WIDE * 2 / 3, 3) in widths


def test_heads_are_coloured_as_a_group():
    ax = plotting.graph(kinds.transformer())
    found = filled(ax)
    assert "attention\n4 heads" in found
    assert found["attention\n4 heads"][0] not in (graphs.ALONE, graphs.HELD)


@pytest.mark.parametrize("most", [1, 5, 12, 39])
def test_of_a_long_network_the_middle_is_left_out_and_counted(most):
    found = graphs.shortened(graphs.boxes(trace(chain(60))), most)
    assert len(found) == most
    assert {box.column for box in found} == set(range(most))
    (gap,) = [box for box in found if "not drawn" in box.words]
    assert gap.words == f"{61 - most + 1} more\nnot drawn"
    for box in found:
        assert all(other in found for other in box.after)
        assert len(box.after) == (box.column > 0)


def test_a_network_that_fits_is_drawn_whole():
    channels = trace(chain(39))
    assert len(graphs.shortened(graphs.boxes(channels), 40)) == 40
    assert len(plotting.graph(chain(39)).texts) == 40
    shorter = plotting.graph(chain(40)).texts
    assert [t.get_text() for t in shorter if "not drawn" in t.get_text()] == [
        "2 more\nnot drawn"
    ]


def test_boxes_and_words_stay_in_the_picture():
    """In rows of equal length; no two boxes touch."""
    ax = plotting.graph(chain(30))
    boxes = [p for p in ax.patches if isinstance(p, Rectangle)]
    corners = {(round(p.get_x(), 6), round(p.get_y(), 6)) for p in boxes}
    assert len(corners) == 31
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert all(left < x < right and low < y < high for x, y in corners)
    for one, other in itertools.combinations(sorted(corners), 2):
        apart = np.abs(np.subtract(one, other))
        assert apart[0] > graphs.WIDE or apart[1] > graphs.HIGH


def test_long_names_fit_into_their_boxes():
    name = "expanded_conv_3_squeeze_excite_conv_1"
    model = kinds.sequence(L.Dense(4, name=name), L.Dense(3, name="dense_1234"))
    ax = plotting.graph(model)
    ax.figure.canvas.draw()
    for text in ax.texts:
        box = text.get_window_extent().transformed(ax.transData.inverted())
        assert box.width < graphs.WIDE + 0.05
        assert box.height < graphs.HIGH
    plt.close(ax.figure)


def test_many_groups_have_a_colour_each_and_the_legend_is_short():
    entry = x = keras.Input((4,))
    for number in range(12):
        x = L.Dense(4, name=f"in_{number}")(x)
        x = L.Add()([x, L.Dense(4, name=f"past_{number}")(x)])
    shades, names = graphs.colours_of(trace(keras.Model(entry, L.Dense(2)(x))))
    assert len(names) == len(set(names.values())) == 12
    assert set(shades) == {*names.values(), graphs.HELD}
    ax = plotting.graph(keras.Model(entry, L.Dense(2)(x)))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[graphs.NAMED] == "and 4 more groups"
    assert len(labels) == graphs.NAMED + 3
