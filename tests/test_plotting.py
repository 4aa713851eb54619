"""Each function draws what it was given: the data are read back."""

import itertools
import pathlib
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib.colors import to_hex, to_rgb

from helpers import measuring, networks, plotting, studying

PIXELS = np.random.default_rng(0).random((4, 784))
X = [0.0, 0.5, 0.9]
METHODS = ["ours", "random"]
STYLE = pathlib.Path(__file__).parents[1] / "notebooks" / "matplotlibrc"


def test_images_are_drawn_in_order_with_their_titles():
    axes = plotting.images(PIXELS, titles=["a", "b"], columns=3)
    assert axes.shape == (2, 3)
    drawn = [ax.images[0].get_array() for ax in axes.flat if ax.images]
    assert np.array_equal(np.reshape(drawn, (4, 784)), PIXELS)
    titles = [ax.get_title() for ax in axes.flat]
    assert titles == ["a", "b", "", "", "", ""]
    assert not any(ax.axison for ax in axes.flat)


@pytest.mark.parametrize("draw", [plotting.runs, plotting.differences])
def test_settings_that_a_backend_makes_meanwhile_stay(monkeypatch, draw):
    """Jupyter's is loaded with the first figure; it makes figures show."""
    drawing = sns.FacetGrid.__init__

    def load(*arguments, **options):
        matplotlib.interactive(True)
        drawing(*arguments, **options)

    monkeypatch.setattr(sns.FacetGrid, "__init__", load)
    places = itertools.product([0, 1], ["a", "b"], [0, 0.5])
    table = pd.DataFrame(places, columns=["seed", "method", "sparsity"])
    before = matplotlib.rcParams["figure.constrained_layout.use"]
    try:
        draw(table.assign(data="mnist", accuracy=0.5))
        assert matplotlib.is_interactive()
        assert matplotlib.rcParams["figure.constrained_layout.use"] == before
    finally:
        matplotlib.interactive(False)


# Runs


def study(*names):
    """Six seeds that differ by a hundredth each."""
    columns = ["data", "method", "sparsity", "seed"]
    rows = itertools.product(names, METHODS, X, range(6))
    table = pd.DataFrame(rows, columns=columns)
    height = 0.9 - table["sparsity"] / 2 + table["seed"] / 100
    return table.assign(accuracy=height - 0.2 * (table["method"] == "random"))


def live_of(table):
    """This run: seed 0's, and better than in the study."""
    index = ["data", "method", "sparsity"]
    return table[table["seed"] == 0].set_index(index)["accuracy"] + 0.005


def lines_of(ax):
    """Per line its points, its colour, and its width; without empty ones."""
    return [
        (line.get_xydata().tolist(), to_rgb(line.get_color()), width)
        for line in ax.lines
        if len(line.get_xdata()) == len(X)
        and (width := line.get_linewidth())
        and line.get_linestyle() == "-"
    ]


def points(table, **where):
    """The points (x, accuracy) that a table has there."""
    for name, value in where.items():
        table = table[table[name] == value]
    return table[["sparsity", "accuracy"]].to_numpy().tolist()


@pytest.fixture
def both():
    return study("mnist", "fashion_mnist")


def test_there_is_a_panel_per_data_set_with_its_full_name(both):
    axes = plotting.runs(both, live_of(both))
    assert list(axes) == ["mnist", "fashion_mnist"]
    titles = [ax.get_title() for ax in axes.values()]
    assert titles == ["digits (MNIST)", "clothes (Fashion-MNIST)"]


@pytest.mark.parametrize("data", ["mnist", "fashion_mnist"])
def test_a_thick_line_is_this_run_and_a_thin_one_each_other_seed(both, data):
    both.loc[both["data"] == "mnist", "accuracy"] -= 0.1
    live = live_of(both)
    drawn = lines_of(plotting.runs(both, live)[data])
    thick = max(width for *_, width in drawn)
    assert [points for points, _, width in drawn if width == thick] == [
        points(live.reset_index(), data=data, method=m) for m in METHODS
    ]
    assert sorted(p for p, _, width in drawn if width < thick) == sorted(
        points(both, data=data, method=m, seed=s)
        for m in METHODS
        for s in range(1, 6)
    )


def test_without_a_run_the_thick_line_is_the_mean_of_all_seeds(both):
    drawn = lines_of(plotting.runs(both)["mnist"])
    thick = max(width for *_, width in drawn)
    mean = both.groupby(["data", "method", "sparsity"], as_index=False).mean()
    for found, method in zip(
        (p for p, _, width in drawn if width == thick), METHODS, strict=True
    ):
        wanted = points(mean, data="mnist", method=method)
        np.testing.assert_allclose(found, wanted)
    assert sum(width < thick for *_, width in drawn) == 12


def test_lines_of_a_method_have_one_colour(both):
    for ax in plotting.runs(both, live_of(both)).values():
        by_method = {"ours": set(), "random": set()}
        for ((_, first), *_), colour, _ in lines_of(ax):
            by_method["ours" if first > 0.8 else "random"].add(colour)
        assert [len(colours) for colours in by_method.values()] == [1, 1]
        assert not set.intersection(*by_method.values())
        legend = ax.figure.legends[0]
        assert [text.get_text() for text in legend.get_texts()] == METHODS
        names = [to_rgb(line.get_color()) for line in legend.get_lines()]
        assert [{c} for c in names] == list(by_method.values())


def test_the_legend_is_over_no_data(both):
    axes = plotting.runs(both, live_of(both))
    figure = axes["mnist"].figure
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    assert not any(ax.bbox.overlaps(legend) for ax in axes.values())


def test_what_is_left_is_labelled_and_its_end_gets_the_room(both):
    ax = plotting.runs(both)["mnist"]
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["100 %", "30 %", "10 %", "3 %", "1 %"]
    assert ax.get_xlabel() == "weights left"
    heights = ax.transData.transform([(s, 0) for s in (0, 0.9, 0.99)])[:, 0]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0])
    left, right = ax.get_xlim()
    assert left < 0
    assert X[-1] < right < 1


def test_accuracies_are_in_percent_and_chance_is_marked_where_it_is_near(both):
    table = study("mnist")
    (ax,) = plotting.runs(table).values()
    assert ax.get_ylabel() == "test accuracy"
    assert ax.yaxis.get_major_formatter()(0.9) == "90 %"
    assert chance_of(ax) == []
    table["accuracy"] -= 0.2
    (ax,) = plotting.runs(table).values()
    assert chance_of(ax) == [0.1]


def chance_of(ax):
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    return [line.get_ydata()[0] for line in dotted]


def test_runs_may_have_one_panel_and_other_axes():
    table = study("mnist").rename(
        columns={"sparsity": "round", "accuracy": "loss", "method": "way"}
    )
    table["loss"] += 7
    (ax,) = plotting.runs(
        table, None, "round", "loss", "way", col=None
    ).values()
    assert ax.get_xscale() == "linear"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("round", "loss")
    assert chance_of(ax) == []
    assert len([1 for line in ax.lines if len(line.get_xdata()) == 3]) == 14


@pytest.mark.parametrize("draw", ["runs", "differences"])
def test_nothing_is_said_on_stderr_in_the_style_of_the_series(both, draw):
    with matplotlib.rc_context(fname=STYLE), warnings.catch_warnings():
        warnings.simplefilter("error")
        if draw == "runs":
            axes = plotting.runs(both, live_of(both))
        else:
            axes = plotting.differences(gaps_of(both), col="data")
        axes["mnist"].figure.canvas.draw()


def test_a_run_of_another_study_is_refused(both):
    live = live_of(both).rename(index={"ours": "theirs"})
    with pytest.raises(ValueError, match=r"method \['theirs'\]; got seeds of"):
        plotting.runs(both, live)
    alone = both[both["seed"] == 0]
    with pytest.raises(ValueError, match=r"got seeds of \[\]\. Pass"):
        plotting.runs(alone, live_of(both))


@pytest.mark.parametrize("live", [0.9, pd.DataFrame(), pd.Series([0.9])])
def test_what_is_no_sweep_is_refused(both, live):
    with pytest.raises(ValueError, match=r"`live` is a Series .*Pass what"):
        plotting.runs(both, live)


# Differences


def gaps_of(table):
    """By how much `ours` is ahead; more, the more is pruned and the seed."""
    table = table.copy()
    table["accuracy"] += (
        (table["sparsity"] + 0.1)
        * table["seed"]
        / 50
        * (table["method"] == "ours")
    )
    by = ["data", "sparsity"]
    return studying.gaps(table, "accuracy", "method", "random", by)


def dots_of(ax):
    """The seeds, one set of points per place and hue that has some."""
    offsets = [np.asarray(c.get_offsets()) for c in ax.collections]
    return [found for found in offsets if len(found) > 1]


def test_differences_are_drawn_with_zero_marked():
    gaps = pd.DataFrame(
        {"seed": [0, 1, 2], "sparsity": 0.9, "accuracy": [0.1, 0.2, 0.3]}
    )
    ax = plotting.differences(gaps)[None]
    heights = np.concatenate([line.get_ydata() for line in ax.lines])
    ends = np.nanmin(heights), np.nanmax(heights)
    expected = studying.t_interval([0.1, 0.2, 0.3])
    assert ends == pytest.approx(np.multiply(100, expected))
    assert [0, 0] in [list(line.get_ydata()) for line in ax.lines]
    (seeds,) = (c for c in ax.collections if len(c.get_offsets()) == 3)
    assert seeds.get_offsets()[:, 1].tolist() == pytest.approx([10, 20, 30])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["10 %"]
    assert ax.get_ylabel() == "difference, points"


def test_each_panel_and_place_has_its_seeds_mean_and_interval(both):
    both.loc[both["data"] == "mnist", "accuracy"] += 0.01 * (
        both["method"] == "ours"
    )
    gaps = gaps_of(both)
    axes = plotting.differences(gaps, col="data")
    assert list(axes) == ["mnist", "fashion_mnist"]
    for data, ax in axes.items():
        assert ax.get_title() == plotting.TITLES[data]
        groups = gaps[gaps["data"] == data].groupby("sparsity")["accuracy"]
        wanted = [100 * np.sort(values) for _, values in groups]
        for found, values in zip(dots_of(ax), wanted, strict=True):
            np.testing.assert_allclose(np.sort(found[:, 1]), values)
        (means,) = (line for line in ax.lines if line.get_marker() == "o")
        np.testing.assert_allclose(means.get_ydata(), groups.mean() * 100)
        labels = [label.get_text() for label in ax.get_xticklabels()]
        assert labels == ["100 %", "50 %", "10 %"]


@pytest.mark.parametrize("palette", [None, {"a": "C5", "b": "C3", "c": "C1"}])
def test_the_dots_of_a_hue_stand_where_its_mean_does(both, palette):
    gaps = pd.concat(
        gaps_of(both).assign(method=m, accuracy=lambda t, n=n: t.accuracy + n)
        for n, m in enumerate("abc")
    )
    digits = gaps[gaps["data"] == "mnist"]
    ax = plotting.differences(digits, hue="method", palette=palette)[None]
    means = [line.get_xydata() for line in ax.lines if line.get_marker() == "o"]
    colours = [
        line.get_color() for line in ax.lines if line.get_marker() == "o"
    ]
    means, colours = means[:3], colours[:3]
    for hue, colour in enumerate((palette or {}).values()):
        assert to_rgb(colours[hue]) == to_rgb(colour)
    assert len(means) == 3
    dots = [c for c in ax.collections if len(c.get_offsets()) > 1]
    for seeds in dots:
        x, y = np.mean(seeds.get_offsets(), axis=0)
        hue = round(y / 100 - 0.2)
        np.testing.assert_allclose([x, y], means[hue][round(x)], atol=1e-6)
        assert to_rgb(seeds.get_facecolor()[0]) == to_rgb(colours[hue])


def test_other_differences_are_drawn_as_they_are():
    gaps = pd.DataFrame({"seed": [0, 1], "n": 1, "loss": [0.25, 0.75]})
    ax = plotting.differences(gaps, y="loss", x="n")[None]
    assert dots_of(ax)[0][:, 1].tolist() == [0.25, 0.75]
    assert ax.get_ylabel() == "difference, loss"
    assert ax.get_xlabel() == "n"


def test_each_claim_has_a_panel_with_its_numbers_on_a_scale_of_its_own():
    said = {("accuracy, %", 1): 98.0, ("weights", "left"): 108_544}
    said |= {("accuracy, %", 2): 90.0}
    axes = plotting.claims(said)
    assert list(axes) == ["accuracy, %", "weights"]
    first, second = axes.values()
    drawn = [ax.lines[0].get_ydata() for ax in axes.values()]
    assert [y[y == y].tolist() for y in drawn] == [[98, 90], [108_544]]
    marks = [
        [t.get_text() for t in ax.get_xticklabels()] for ax in axes.values()
    ]
    assert marks == [["1", "2"], ["left"]]
    assert first.get_title() == "accuracy, %"
    assert first.get_ylim()[1] < second.get_ylim()[0]


def test_a_claim_is_beside_what_it_is_compared_with():
    said = {("accuracy, %", 1): 98.0, ("weights", 2): 108_544}
    axes = plotting.claims(said, {"accuracy, %": 99.0})
    first, second = axes.values()
    assert {ax.get_xlabel() for ax in axes.values()} == {"exhibit"}
    assert [text.get_text() for text in first.texts] == ["whole network"]
    assert list(first.lines[-1].get_ydata()) == [99, 99]
    assert first.get_ylim()[0] < 98 < 99 < first.get_ylim()[1]
    assert not second.texts
    others = plotting.claims(said, x="network").values()
    assert {ax.get_xlabel() for ax in others} == {"network"}


# Small networks

KERNELS = {
    "first": np.array([[0.5, 0.0, -1.0], [0.25, 0.0, 0.75]]),
    "last": np.array([[1.0], [0.5], [0.0]]),
}


def edges_of(ax):
    """From the two ends of each edge to its line."""
    return {
        tuple(map(tuple, line.get_xydata().round(9))): line
        for line in ax.lines
        if len(line.get_xdata()) == 2
    }


def test_a_network_has_an_edge_for_each_weight():
    axes = plotting.networks({"whole": KERNELS})
    ax = axes[0, 0]
    places = [
        sorted((c.center for c in ax.patches), key=lambda p: (p[0], -p[1]))
    ]
    layers = [[place for place in places[0] if place[0] == n] for n in range(3)]
    assert list(map(len, layers)) == [2, 3, 1]
    edges = edges_of(ax)
    assert len(edges) == 2 * 3 + 3 * 1
    widths = {}
    for layer, kernel in enumerate(KERNELS.values()):
        for (start, end), weight in np.ndenumerate(kernel):
            ends = layers[layer][start], layers[layer + 1][end]
            line = edges[tuple(tuple(np.round(p, 9)) for p in ends)]
            red, _, blue = to_rgb(line.get_color())
            assert np.sign(round(red - blue, 6)) == np.sign(weight)
            assert (line.get_linestyle() == ":") == (weight == 0)
            widths[abs(weight)] = line.get_linewidth()
    assert sorted(widths) == sorted(widths, key=widths.get)


def test_below_a_network_are_its_kernels_with_zeros_crossed():
    axes = plotting.networks({"whole": KERNELS, "half": KERNELS})
    assert axes.shape == (3, 2)
    assert [ax.get_title() for ax in axes[0]] == ["whole", "half"]
    for ax, (name, kernel) in zip(axes[1:, 0], KERNELS.items(), strict=True):
        shown = ax.collections[0].get_array()
        assert np.array_equal(np.reshape(shown, kernel.shape), kernel)
        assert ax.collections[0].get_clim() == (-1, 1)
        crosses = ax.lines[0].get_xydata() - 0.5
        zeros = np.argwhere(kernel == 0)[:, ::-1]
        assert np.array_equal(crosses, zeros)
        assert ax.get_title() == f"{name}, {' × '.join(map(str, kernel.shape))}"


def test_a_unit_without_weights_into_it_is_hollow():
    ax = plotting.networks({"whole": KERNELS})[0, 0]
    hollow = [
        c.center for c in ax.patches if to_rgb(c.get_facecolor()) == (1,) * 3
    ]
    assert hollow == [(1, 0)]


def test_networks_are_drawn_on_one_scale():
    small = {name: kernel / 10 for name, kernel in KERNELS.items()}
    axes = plotting.networks({"whole": KERNELS, "small": small})
    (one, other), *below = axes
    for ax in np.ravel(below):
        assert ax.collections[0].get_clim() == (-1, 1)
    thick, thin = (
        max(line.get_linewidth() for line in edges_of(ax).values())
        for ax in (one, other)
    )
    assert thin < thick


def test_a_compacted_network_stands_beside_the_whole_one():
    cut = {
        k: np.delete(v, 1, 1 - n) for n, (k, v) in enumerate(KERNELS.items())
    }
    axes = plotting.networks({"whole": KERNELS, "compacted": cut})
    assert [len(ax.patches) for ax in axes[0]] == [6, 5]
    assert axes[1, 1].get_title() == "first, 2 × 2"
    axes[0, 0].figure.canvas.draw()
    for ax in np.ravel(axes[1:]):
        box, across = ax.get_window_extent(), np.ptp(ax.get_xlim())
        assert box.width / across == pytest.approx(
            axes[1, 0].get_window_extent().width / 3, rel=0.01
        )  # entries are equally large, whatever the kernel
        assert box.height / np.ptp(ax.get_ylim()) == pytest.approx(
            box.width / across, rel=0.01
        )


@pytest.mark.parametrize(
    "kernels",
    [
        {},
        {"conv": np.ones((5, 5, 1, 3))},
        {"one": np.ones((2, 3)), "other": np.ones((4, 1))},
        {"one": np.ones((784, 300))},
    ],
)
def test_what_is_no_small_network_is_refused(kernels):
    with pytest.raises(ValueError, match=r"^'whole' is to be .*; got.*Pass ke"):
        plotting.networks({"whole": kernels})


# Groups


def test_groups_have_the_colours_of_the_graph():
    model = networks.resnet((4, 6))
    colours = plotting.group_colours(model)
    assert list(colours) == list(measuring.groups(model).index)
    legend = plotting.graph(model).get_legend()
    drawn = {
        text.get_text(): to_hex(patch.get_facecolor())
        for text, patch in zip(
            legend.get_texts(), legend.get_patches(), strict=True
        )
    }
    for name, colour in colours.items():
        shown = name if ", " in name else "tied to no other layer"
        assert colour == drawn[shown]


# Maps


def test_maps_share_one_scale_and_rows_of_pixels_are_images():
    arrays = {"low": PIXELS[0], "high": 3 * PIXELS[1], "mask": np.eye(4, 5) > 0}
    axes = plotting.maps(arrays, "norm")
    for ax, values in zip(axes.flat, arrays.values(), strict=True):
        shown = ax.images[0].get_array()
        assert np.array_equal(np.ravel(shown), np.ravel(values))
        assert shown.shape == ((28, 28) if values.size == 784 else (4, 5))
        assert ax.images[0].get_clim() == (0, np.max(arrays["high"]))
    assert [ax.get_title() for ax in axes.flat] == list(arrays)
    assert axes[0, 0].figure.axes[-1].get_ylabel() == "norm"


def test_signed_maps_have_zero_in_the_middle():
    axes = plotting.maps({"one": PIXELS[0] - 2, "other": PIXELS[1]}, "weight")
    for ax in axes.flat:
        low, high = ax.images[0].get_clim()
        assert low == -high == np.min(PIXELS[0] - 2)
        assert ax.images[0].get_cmap().name == "RdBu_r"


def test_maps_go_on_in_further_rows():
    axes = plotting.maps(dict(zip("abc", PIXELS[:3], strict=True)), "x", 2)
    assert axes.shape == (2, 2)
    assert [len(ax.images) for ax in axes.flat] == [1, 1, 1, 0]
    assert not any(ax.axison for ax in axes.flat)


@pytest.mark.parametrize("arrays", [{}, [PIXELS], {"a": PIXELS * np.nan}])
def test_maps_of_nothing_or_of_nan_are_refused(arrays):
    with pytest.raises(ValueError, match=r"^`arrays` is .*; got .*Pass e\.g\."):
        plotting.maps(arrays, "norm")
