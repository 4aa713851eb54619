"""What notebooks that have not moved yet draw with; goes with `old_figures`."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers import plotting, studying

PIXELS = np.random.default_rng(0).random((4, 784))
LINES = {"layerwise": [0.9, 0.8, 0.4], "global": [0.95, 0.9, 0.6]}
X = [0.0, 0.5, 0.9]


def test_accuracies_are_drawn_in_percent():
    ax = plotting.curves(X, LINES, "sparsity")
    for line, values in zip(ax.lines, LINES.values(), strict=True):
        assert line.get_xdata().tolist() == X
        np.testing.assert_allclose(line.get_ydata(), 100 * np.array(values))
    assert ax.get_xlabel() == "sparsity"
    assert ax.get_ylabel() == "test accuracy, %"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == list(LINES)


def test_other_quantities_are_drawn_as_they_are():
    ax = plotting.curves(X, LINES, "step", ylabel="loss", title="Loss")
    assert ax.lines[0].get_ydata().tolist() == LINES["layerwise"]
    assert ax.get_ylabel() == "loss"
    assert ax.get_title() == "Loss"


@pytest.fixture
def bands():
    """A table as `studying.band` makes it, for one of the two lines."""
    index = pd.MultiIndex.from_product([["global"], X])
    low = np.array(LINES["global"]) - 0.1
    return pd.DataFrame({"low": low, "high": low + 0.15}, index=index)


def test_a_band_is_shaded_between_its_ends_in_the_colour_of_its_line(bands):
    ax = plotting.curves(X, LINES, "sparsity", bands=bands)
    (area,) = ax.collections
    corners = area.get_paths()[0].vertices
    for x, values in zip(X, bands.to_numpy(), strict=True):
        drawn = corners[corners[:, 0] == x][:, 1]
        assert [drawn.min(), drawn.max()] == pytest.approx(100 * values)
    colour = matplotlib.colors.to_rgb(ax.lines[1].get_color())
    assert tuple(area.get_facecolor()[0][:3]) == pytest.approx(colour)


def test_a_band_has_gaps_where_nothing_is_known(bands):
    x, values = [0.0, 0.2, 0.5, 0.9], [0.9, 0.8, 0.7, 0.6]
    ax = plotting.curves(x, {"global": values}, "sparsity", bands=bands)
    (area,) = ax.collections
    drawn = {x for path in area.get_paths() for x in path.vertices[:, 0]}
    assert drawn == {0.0, 0.5, 0.9} or drawn == {0.5, 0.9}


def test_a_caption_is_below_the_whole_figure():
    fig, axes = plt.subplots(1, 2)
    plotting.caption(axes[0], "bands: five seeds")
    assert fig.get_supxlabel() == "bands: five seeds"
    plotting.caption(axes[0], 50 * "word ")
    assert fig.get_supxlabel().count("\n") == 2


def test_errors_are_drawn_in_percent_too():
    ax = plotting.curves([1], {"a": [0.02]}, "size", ylabel="test error")
    assert ax.lines[0].get_ydata().tolist() == [2]


def test_a_line_may_bring_its_own_x():
    ax = plotting.curves(X, {"a": ([1, 2], [0.5, 0.25])}, "units")
    assert ax.lines[0].get_xydata().tolist() == [[1, 50], [2, 25]]


def test_lines_differ_by_more_than_colour():
    lines = {str(number): X for number in range(len(plotting.MARKERS))}
    ax = plotting.curves(X, lines, "x")
    markers = [line.get_marker() for line in ax.lines]
    assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("draw", ["curves", "bars", "with_intervals"])
def test_given_axes_are_drawn_on(draw):
    ax = plt.subplots()[1]
    table = pd.DataFrame(
        {"ms": [1.0], "ms_low": [0.5], "ms_high": [2.0]}, index=[1]
    )
    calls = {
        "curves": lambda: plotting.curves(X, LINES, "x", ax=ax),
        "bars": lambda: plotting.bars(table, "y", ax=ax),
        "with_intervals": lambda: plotting.with_intervals(
            {"a": table}, "x", "y", ax=ax
        ),
    }
    assert calls[draw]() is ax
    assert len(plt.get_fignums()) == 1


def test_histograms_count_every_value():
    groups = {"one": np.arange(100).reshape(4, 25), "two": np.zeros(7)}
    axes = plotting.histograms(groups, "weight", bins=10)
    heights = [sum(bar.get_height() for bar in ax.patches) for ax in axes]
    assert heights == [100, 7]
    assert [ax.get_title() for ax in axes] == ["one", "two"]
    assert len(axes[0].patches) == 10
    assert axes[0].figure.get_supxlabel() == "weight"


def test_histograms_take_a_single_group():
    (ax,) = plotting.histograms({"one": np.arange(5)}, "weight")
    assert sum(bar.get_height() for bar in ax.patches) == 5


def test_bars_are_as_high_as_the_table_says():
    table = pd.DataFrame({"before": [1.0, 2.0], "after": [3.0, 4.0]})
    ax = plotting.bars(table, "accuracy")
    assert [bar.get_height() for bar in ax.patches] == [1.0, 2.0, 3.0, 4.0]
    assert ax.get_ylabel() == "accuracy"


def test_pixel_maps_share_one_scale():
    maps = {"low": PIXELS[0], "high": 3 * PIXELS[1]}
    axes = plotting.pixel_maps(maps, "norm")
    for ax, values in zip(axes, maps.values(), strict=True):
        assert np.array_equal(np.ravel(ax.images[0].get_array()), values)
        assert ax.images[0].get_clim() == (0, np.max(maps["high"]))
    assert [ax.get_title() for ax in axes] == list(maps)
    assert axes[0].figure.axes[-1].get_ylabel() == "norm"


def test_pixel_maps_with_negative_values_show_them():
    axes = plotting.pixel_maps({"one": PIXELS[0] - 2}, "difference")
    low, high = axes[0].images[0].get_clim()
    assert low == np.min(PIXELS[0] - 2)
    assert high >= np.max(PIXELS[0] - 2)


def test_intervals_are_drawn_around_their_medians():
    table = pd.DataFrame(
        {"ms": [1.0, 4.0], "ms_low": [0.5, 3.0], "ms_high": [2.0, 8.0]},
        index=[1, 100],
    )
    ax = plotting.with_intervals({"full": table}, "batch", "ms")
    line, _, (bars,) = ax.containers[0].lines
    assert line.get_xydata().tolist() == [[1, 1], [100, 4]]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[0.5, 2.0], [3.0, 8.0]]
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_intervals_of_another_column_can_be_drawn():
    table = pd.DataFrame(
        {"speed_up": [2.0], "speed_up_low": [1.0], "speed_up_high": [3.0]},
        index=[1],
    )
    ax = plotting.with_intervals({"a": table}, "x", "y", column="speed_up")
    assert ax.containers[0].lines[0].get_ydata().tolist() == [2.0]


# Bands over seeds


def study(*names):
    """Six seeds that differ by a hundredth each."""
    columns = ["data", "method", "sparsity", "seed"]
    rows = itertools.product(names, ["ours", "random"], X, range(6))
    table = pd.DataFrame(rows, columns=columns)
    height = 0.9 - table["sparsity"] / 2 + table["seed"] / 100
    return table.assign(accuracy=height - 0.2 * (table["method"] == "random"))


def live_of(table):
    index = ["data", "method", "sparsity"]
    return table[table["seed"] == 0].set_index(index)["accuracy"]


@pytest.fixture
def drawn():
    table = study("mnist", "fashion_mnist")
    return table, plotting.bands(live_of(table), table, "sparsity", "method")


def test_there_is_a_panel_per_data_set_with_its_full_name(drawn):
    titles = [ax.get_title() for ax in drawn[1]]
    assert titles == ["digits (MNIST)", "clothes (Fashion-MNIST)"]


def test_lines_are_this_run(drawn):
    table, axes = drawn
    live = live_of(table)["mnist"]
    for line, method in zip(axes[0].lines, ["ours", "random"], strict=False):
        assert line.get_ydata().tolist() == live[method].tolist()


def test_shaded_areas_are_the_bands_of_the_other_seeds(drawn):
    table, axes = drawn
    band = studying.band(table, ["data", "method", "sparsity"], without_seed=0)
    for area, method in zip(
        axes[0].collections, ["ours", "random"], strict=True
    ):
        corners = area.get_paths()[0].vertices
        for x in X:
            ends = corners[np.isclose(corners[:, 0], x)][:, 1]
            low, high = band.loc[("mnist", method, x), ["low", "high"]]
            assert [ends.min(), ends.max()] == pytest.approx([low, high])
    captions = axes[0].figure.get_supxlabel()
    assert "from 5 other" in captions.replace("\n", " ")


def test_bands_may_have_one_panel_and_another_axis():
    table = study("mnist").rename(columns={"sparsity": "round"})
    live = live_of(table.rename(columns={"round": "sparsity"}))
    live = live.rename_axis(["data", "method", "round"])
    (ax,) = plotting.bands(live, table, "round", "method")
    assert ax.get_xscale() == "linear"
    assert ax.get_xlabel() == "round"


# The explorer's pictures of today


def test_the_choice_decides_on_the_picture():
    one, other = (
        plotting.ExplorerPicture(X, LINES, "x", (4, 5), title)
        for title in ("one", "other")
    )
    draw = plotting.picture_of("data", {"a": one, "b": other})
    seen = 0.5, 0.8, np.zeros((4, 5))
    for data, expected in (("a", one), ("b", other)):
        assert draw(*seen, data=data, method="c") == expected.pngs(*seen)
