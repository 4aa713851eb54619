"""Laws of surveys: all comparisons are one family, drawn as one figure."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from statsmodels.stats.multitest import multipletests

from helpers import studying, surveying

RESULTS = pathlib.Path(__file__).parents[1] / "notebooks" / "results"
KEYS = ["study", "value", "between", "baseline", "by", "where"]


def table(name):
    path = RESULTS / f"{name}.csv"
    return pd.read_csv(path, comment="#", dtype=str, keep_default_na=False)


@pytest.fixture
def folder(tmp_path):
    """A study in which method b is ahead of a by 1 to 6 points, c by none."""
    rows = [
        (seed, "mnist", "full", method, s, 0.9 + ahead * (seed + first) / 100)
        for seed in range(3)
        for method, ahead in (("a", 0), ("b", 1), ("c", 0))
        for s, first in ((0.5, 4), (0.9, 1))
    ]
    names = [*studying.ALWAYS, "method", "sparsity", "accuracy"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "toy.csv", index=False)
    return tmp_path


def comparison(between="method", baseline="a", by="sparsity", where=""):
    row = ["toy", "accuracy", between, baseline, by, where]
    index = pd.Index(["first"], name="claim")
    return pd.DataFrame([row], index, KEYS).assign(notebook="2")


def test_differences_are_those_within_seeds_in_points(folder):
    found = surveying.differences(comparison(), folder)["points"]
    assert list(found.index.names) == ["notebook", "claim", "place", "seed"]
    b = found.xs("sparsity 0.9, b", level="place")
    assert b.to_numpy() == pytest.approx([1, 2, 3])
    assert set(found.index.unique("place")) == {
        f"sparsity {s}, {m}" for s in (0.5, 0.9) for m in "bc"
    }


def test_a_condition_chooses_rows_and_an_empty_one_takes_all(folder):
    one = comparison(by="", where="sparsity == 0.9 and method != 'c'")
    found = surveying.differences(one, folder)
    assert found.index.unique("place").tolist() == ["b"]


def test_data_are_named_as_in_the_figures(folder):
    path = folder / "toy.csv"
    rows = pd.read_csv(path)
    rows = pd.concat([rows, rows.assign(data="fashion_mnist")])
    rows.to_csv(path, index=False)
    one = comparison(by="data", where="sparsity == 0.9")
    found = surveying.differences(one, folder)
    assert set(found.index.unique("place")) == {
        "digits, b", "digits, c", "clothes, b", "clothes, c",
    }  # fmt: skip


def test_what_never_changes_is_not_said_unless_there_is_nothing_else(folder):
    one = comparison(by="sparsity", where="method != 'c'")
    found = surveying.differences(one, folder)
    assert set(found.index.unique("place")) == {"sparsity 0.5", "sparsity 0.9"}
    one = comparison("sparsity", "0.5", "", "method == 'a'")
    found = surveying.differences(one, folder)
    assert found.index.unique("place").tolist() == ["sparsity 0.9"]


def test_a_baseline_may_be_a_number(folder):
    one = comparison("sparsity", "0.5", "method")
    found = surveying.differences(one, folder)
    means = found.groupby("place")["points"].mean()
    assert means.to_dict() == pytest.approx({"a": 0, "b": -3, "c": 0})


def test_all_rows_are_tested_as_one_family_and_each_as_in_a_notebook(folder):
    two = pd.concat([comparison(), comparison(baseline="b")])
    two.index = pd.Index(["first", "second"], name="claim")
    found = surveying.tested(surveying.differences(two, folder))
    rows = studying.read(folder / "toy.csv")
    alone = studying.paired(rows, "accuracy", "method", "a", ["sparsity"])
    one = found.xs("first", level="claim").droplevel("notebook")
    for name in ("mean", "low", "high"):
        wanted = 100 * alone[name]
        assert one[name].to_numpy() == pytest.approx(wanted, abs=0.01)
    assert one["p"].to_numpy() == pytest.approx(alone["p"], abs=1e-4)
    corrected = multipletests(found["p"], method="holm")[1]
    assert found["p_holm"].to_numpy() == pytest.approx(corrected)
    assert (found["p_holm"] >= found["p"]).all()
    nothing = one.loc[["sparsity 0.5, c"]]
    assert nothing[["mean", "low", "high"]].to_numpy() == pytest.approx(0)
    assert nothing["p"].item() == 1
    assert (found["seeds"] == 3).all()


def test_a_forest_has_a_line_for_each_row_and_colours_what_survives():
    index = pd.MultiIndex.from_tuples([("A", "x"), ("A", "y"), ("B", "z")])
    found = pd.DataFrame(
        {"mean": [1, 2, 30], "low": [0.5, -1, 20], "high": [2, 3, 40],
         "p_holm": [0.01, 0.2, 0.04]}, index,
    )  # fmt: skip
    (ax,) = surveying.forest([found])
    assert [label.get_text() for label in ax.get_yticklabels()] == [*"xyz"]
    assert [text.get_text() for text in ax.texts] == ["A", "B"]
    lines, dots = ax.collections
    ends = [segment[:, 0].tolist() for segment in lines.get_segments()]
    assert ends == [[0.5, 2], [-1, 3], [20, 40]]
    blue, grey = to_rgba("C0"), to_rgba("0.65")
    for colors in (lines.get_colors(), dots.get_facecolors()):
        assert [tuple(c) for c in colors] == [blue, grey, blue]
    low, high = ax.get_xlim()
    assert low < -1
    assert high > 40
    plt.close("all")


def test_columns_of_a_forest_have_one_scale_and_headings_of_all_levels():
    index = pd.MultiIndex.from_tuples([("2", "A", "x"), ("10", "B", "z")])
    found = pd.DataFrame(
        {"mean": [1, -20], "low": [0.5, -30], "high": [2, -10],
         "p_holm": [0.01, 0.2]}, index,
    )  # fmt: skip
    axes = surveying.forest([found[:1], found[1:]])
    heads = [[text.get_text() for text in ax.texts] for ax in axes]
    assert heads == [["2 · A"], ["10 · B"]]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert axes[0].get_xlim()[0] < -30
    plt.close("all")


def test_nothing_beats_the_front_and_the_front_beats_all_else():
    random = np.random.default_rng(0)
    all_rows = pd.DataFrame(random.integers(0, 9, (40, 2)), columns=["x", "y"])
    front = surveying.front(all_rows, "x", "y")
    for x, y in all_rows.itertuples(index=False):
        better = (front["x"] <= x) & (front["y"] >= y)
        assert better.any()
        if [x, y] in front.to_numpy().tolist():
            assert better.sum() == 1
    assert front["x"].is_monotonic_increasing
    assert front["y"].is_monotonic_increasing


def test_networks_are_means_over_seeds_of_each_setting(folder):
    rows = pd.read_csv(folder / "toy.csv").assign(parameters=1000)
    rows["nonzeros"] = np.where(rows["method"] == "a", 1000, 250)
    rows[["int8_accuracy", "int8_bytes"]] = np.nan
    files = rows["method"] == "b"
    rows.loc[files, ["int8_accuracy", "int8_bytes"]] = 0.5, 3000
    rows.to_csv(folder / "toy.csv", index=False)
    found = surveying.networks({"toy": "small"}, folder)
    assert len(found) == 3 * 2 + 2
    assert set(found["network"]) == {"small"}
    floats = found[found["stored"] != "LiteRT file"].set_index(
        ["method", "sparsity"]
    )
    assert floats.loc[("a", 0.5), ["kB", "stored"]].tolist() == [
        4.0, "nothing masked",
    ]  # fmt: skip
    assert floats.loc[("c", 0.9), ["kB", "stored"]].tolist() == [1.0, "masked"]
    assert floats.loc[("b", 0.9), "accuracy"] == pytest.approx(0.92)
    files = found[found["stored"] == "LiteRT file"]
    assert set(files["method"]) == {"b"}
    assert (files[["accuracy", "kB"]] == [0.5, 3.0]).all(axis=None)


def test_fronts_have_a_panel_for_each_kind_and_name_the_lowest_axes():
    kinds = [("a", "mnist"), ("a", "fashion_mnist"), ("b", "mnist"), ("c", "x")]
    rows = [
        (*kind, name, kB, accuracy)
        for kind in kinds
        for name, kB, accuracy in zip(
            surveying.STORED, (9, 5, 1), (0.9, 0.88, 0.8), strict=True
        )
    ]
    names = ["network", "data", "stored", "kB", "accuracy"]
    every = pd.DataFrame(rows, columns=names)
    every["stored"] = pd.Categorical(every["stored"], surveying.STORED)
    axes = surveying.fronts(every)
    assert [ax.get_title() for ax in axes] == [
        "a, digits", "a, clothes", "b, digits", "c, x",
    ]  # fmt: skip
    axes[0].figure.canvas.draw()
    lowest = [bool(ax.xaxis.label.get_visible()) for ax in axes]
    assert lowest == [False, True, True, True]
    for ax, named in zip(axes, lowest, strict=True):
        assert any(t.get_visible() for t in ax.get_xticklabels()) == named
        dots, line = np.array(ax.collections[0].get_offsets()), ax.lines[-1]
        assert dots == pytest.approx(np.array([[9, 0.9], [5, 0.88]]))
        assert line.get_xydata()[-1].tolist() == [9, 0.9]
    legends = [ax.get_legend() for ax in axes[0].figure.axes]
    (legend,) = filter(None, legends)
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == surveying.STORED
    plt.close("all")


def test_smaller_studies_are_drawn_from_the_seeds_without_repeating_one():
    gaps = pd.Series([1.0, 2, 3, 10], index=[5, 6, 7, 8])
    ends = surveying.smaller(gaps, seeds=4, number=3)
    assert ends.shape == (3, 2)
    assert ends == pytest.approx(np.tile(studying.t_interval(gaps), (3, 1)))
    two = surveying.smaller(gaps, seeds=2, number=50).mean(axis=1)
    pairs = {(a + b) / 2 for a in gaps for b in gaps if a < b}
    assert set(two.round(6)) == pairs


# The files


@pytest.fixture(scope="module")
def found():
    comparisons = table("comparisons").set_index("claim")
    return surveying.tested(surveying.differences(comparisons, RESULTS))


def test_every_line_of_the_comparisons_compares_something(found):
    names = table("comparisons")["claim"]
    assert names.is_unique
    assert set(found.index.unique("claim")) == set(names)
    assert not found.isna().any(axis=None)
    assert found.index.is_unique


def test_every_choice_of_the_map_is_a_comparison(found):
    chosen = table("map")
    known = found.droplevel("notebook").index
    places = list(zip(chosen["claim"], chosen["place"], strict=True))
    assert [place for place in places if place not in known] == []
    steps = ["what", "when", "score", "budget", "repair", "execution"]
    assert chosen["step"].unique().tolist() == steps
