"""Sweeps, bands and paired differences: what seeds say, and reading them."""

import dataclasses
import itertools
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers import measuring, networks, studying

# Bands


def seeds_of(values, **group):
    table = pd.DataFrame({"accuracy": values, **group})
    return table.assign(seed=range(len(table)))


def test_band_is_the_prediction_interval():
    values = [0.5, 0.52, 0.55, 0.51, 0.57]
    band = studying.band(seeds_of(values, sparsity=0.8), ["sparsity"])
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * np.sqrt(1.2)
    expected = [np.mean(values) - half, np.mean(values) + half]
    assert band.loc[0.8, ["low", "high"]].tolist() == pytest.approx(expected)
    assert band.loc[0.8, "mean"] == pytest.approx(np.mean(values))
    assert band.loc[0.8, "seeds"] == 5


def test_nineteen_of_twenty_new_seeds_lie_in_a_band():
    random = np.random.default_rng(0)
    runs = random.normal(0.5, 0.02, (4000, 6))
    table = seeds_of(runs[:, :5].ravel(), run=np.repeat(range(4000), 5))
    table["seed"] = np.tile(range(5), 4000)
    band = studying.band(table, ["run"])
    new = pd.Series(runs[:, 5], index=range(4000))
    assert studying.inside(new, band, slack=0) == pytest.approx(0.95, abs=0.01)


def test_bands_of_accuracies_end_at_0_and_1():
    table = seeds_of([0.01, 0.99, 0.02, 0.98], sparsity=0.5)
    band = studying.band(table, ["sparsity"])
    assert band[["low", "high"]].to_numpy().tolist() == [[0, 1]]
    table["loss"] = table["accuracy"]
    assert studying.band(table, ["sparsity"], "loss")["high"].item() > 1


def test_bands_are_by_group():
    table = pd.concat(
        seeds_of(np.array([0.1, 0.2, 0.3]) + shift, method=m, sparsity=s)
        for m, s, shift in [("b", 0.5, 0.1), ("a", 0.9, 0.2), ("a", 0.1, 0.3)]
    )
    band = studying.band(table, ["method", "sparsity"])
    assert list(band.index) == [("a", 0.1), ("a", 0.9), ("b", 0.5)]
    assert band["mean"].tolist() == pytest.approx([0.5, 0.4, 0.3])


def test_one_seed_makes_no_band():
    with pytest.raises(ValueError, match=r"two seeds.*got {0\.1: 1}"):
        studying.band(seeds_of([0.5], sparsity=0.1), ["sparsity"])
    with pytest.raises(ValueError, match=r"two seeds.*got {}"):
        studying.band(seeds_of([], sparsity=[]), ["sparsity"])


def test_rows_of_one_seed_are_no_spread_over_seeds():
    table = pd.concat([seeds_of([0.5, 0.6], round=n) for n in range(3)])
    assert len(studying.band(table, ["round"])) == 3
    table["all"] = 1
    with pytest.raises(ValueError, match=r"several rows.*Pass more columns"):
        studying.band(table, ["all"])


def test_a_seed_can_be_left_out_of_a_band():
    table = seeds_of([0.9, 0.5, 0.52, 0.54], sparsity=0.1)
    band = studying.band(table, ["sparsity"], without_seed=0)
    others = studying.band(table[1:], ["sparsity"])
    pd.testing.assert_frame_equal(band, others)


def test_inside_counts_the_values_in_their_bands():
    table = pd.concat(seeds_of([0.5, 0.52, 0.54], s=s) for s in range(4))
    band = studying.band(table, ["s"])
    low, high = band.loc[0, ["low", "high"]]
    live = pd.Series([low - 0.01, low - 0.004, high + 0.004, high + 0.01])
    assert studying.inside(live, band) == 0.5
    assert studying.inside(live, band, slack=0) == 0
    assert studying.inside(live[::-1], band, slack=0.02) == 1


# Paired differences


def compared(gaps, **groups):
    """A study of two methods whose difference in each seed is given."""
    luck = np.random.default_rng(0).normal(0, 1, len(gaps))
    one = seeds_of(luck, method="one", **groups)
    return pd.concat([one, seeds_of(luck + gaps, method="two", **groups)])


def paired(table, **options):
    return studying.paired(table, "accuracy", "method", "one", **options)


GAPS = np.array([0.02, 0.03, 0.01, 0.025, 0.015, 0.02])


def test_differences_are_taken_within_seeds():
    """Seeds differ a hundred times more than the methods do."""
    row = paired(compared(GAPS)).loc["two"]
    test = stats.ttest_1samp(GAPS, 0)
    wanted = [GAPS.mean(), *test.confidence_interval(0.95), test.pvalue]
    assert row[["mean", "low", "high", "p"]].tolist() == pytest.approx(
        wanted, abs=5e-5
    )
    assert row["p"] == row["p_holm"] > 0
    assert row["seeds"] == 6


def test_p_values_are_corrected_for_all_rows_of_the_table():
    gaps = [GAPS, 3 * GAPS - 0.04, GAPS - 0.02]
    tables = [compared(g, s=s) for s, g in enumerate(gaps)]
    rows = paired(pd.concat(tables), by=["s"])
    alone = [paired(table)["p"].item() for table in tables]
    assert rows["p"].tolist() == alone
    smallest, middle, largest = np.sort(alone)
    holm = [3 * smallest, max(3 * smallest, 2 * middle), largest]
    assert np.sort(rows["p_holm"]) == pytest.approx(np.minimum(holm, 1), 0.05)


def test_no_difference_at_all_is_none():
    row = paired(compared(0 * GAPS)).loc["two"]
    assert row.tolist() == [0, 0, 0, 1, 1, 6]


@pytest.mark.parametrize(
    ("rows", "words"),
    [([0, 6], "two seeds.*got {'two': 1}"), ([0, 1, 2], "or more.*'one'")],
)
def test_one_pair_or_none_shows_no_difference(rows, words):
    with pytest.raises(ValueError, match=words):
        paired(compared(GAPS).iloc[rows])


def gaps_of(table, **options):
    return studying.gaps(table, "accuracy", "method", "one", **options)


def test_gaps_are_within_seeds_whatever_the_order():
    table = compared(GAPS, data="mnist")
    found = gaps_of(table.sample(frac=1, random_state=0), by=["data"])
    found = found.sort_values("seed", ignore_index=True)
    assert list(found) == ["data", "seed", "method", "accuracy"]
    assert found["accuracy"].tolist() == pytest.approx(GAPS)
    assert found["seed"].tolist() == list(range(6))
    assert set(found["method"]) == {"two"}


def test_gaps_are_within_groups():
    tables = [compared(n * GAPS, s=s) for n, s in ((1, 0.5), (-2, 0.9))]
    found = gaps_of(pd.concat(tables), by=["s"]).set_index(["s", "seed"])
    for s, n in ((0.5, 1), (0.9, -2)):
        assert found.loc[s, "accuracy"].tolist() == pytest.approx(n * GAPS)


def test_gaps_are_to_the_baseline_that_is_named():
    table = pd.concat([compared(GAPS), seeds_of(GAPS, method="three")])
    found = studying.gaps(table, "accuracy", "method", "two")
    assert set(found["method"]) == {"one", "three"}
    one = found[found["method"] == "one"]
    assert one["accuracy"].tolist() == pytest.approx(-GAPS)


def test_seeds_without_a_partner_or_a_number_have_no_gap():
    table = compared(GAPS).reset_index(drop=True)
    table.loc[7, "accuracy"] = np.nan
    assert gaps_of(table[1:])["seed"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("baseline", ["One", None])
def test_a_baseline_that_no_seed_has_is_refused(baseline):
    """It would be a figure of nothing."""
    words = r"two seeds or more.*got none, of \['one', 'two'\]\. Pass another"
    with pytest.raises(ValueError, match=words):
        studying.gaps(compared(GAPS), "accuracy", "method", baseline)


def test_gaps_of_rows_that_are_no_spread_over_seeds_are_refused():
    table = pd.concat([compared(GAPS, s=1), compared(GAPS, s=2)])
    with pytest.raises(ValueError, match=r"several rows.*Pass more columns"):
        gaps_of(table)
    with pytest.raises(ValueError, match="`table` is a table with a row per"):
        gaps_of([1, 2])


def test_the_t_interval_is_that_of_the_mean():
    low, high = studying.t_interval(GAPS)
    half = stats.t.ppf(0.975, 5) * np.std(GAPS, ddof=1) / np.sqrt(6)
    wanted = [GAPS.mean() - half, GAPS.mean() + half]
    assert [low, high] == pytest.approx(wanted)


# Sweeps


def test_a_sweep_measures_every_network_on_its_data(split, capsys):
    splits = {"mnist": split, "turned": dataclasses.replace(split)}
    models = {name: networks.mlp((8,), seed=n) for n, name in enumerate(splits)}
    seen = []

    def network(data, method, sparsity):
        seen.append((data, method, sparsity))
        return models[data]

    live = studying.sweep(
        network, splits, method={"b": 1, "a": 2}, sparsity=(0, 0.5)
    )
    assert (
        list(live.index)
        == seen
        == list(itertools.product(splits, "ba", (0, 0.5)))
    )
    assert live.index.names == ["data", "method", "sparsity"]
    assert live.name == "accuracy"
    assert list(live.unstack("method")) == ["b", "a"]
    for name, model in models.items():
        right = measuring.accuracy(model, split.x_test, split.y_test)
        with warnings.catch_warnings(action="error"):
            assert (live[name, "a"] == right).all()
    assert "network: 100%" in capsys.readouterr().out


def test_a_sweep_of_readings_is_a_table(split):
    def readings(data, n):
        return {"accuracy": n / 10, "bytes": 100 * n}

    table = studying.sweep(readings, {"mnist": split}, n=range(3))
    assert table.loc[("mnist", 2)].to_dict() == {"accuracy": 0.2, "bytes": 200}


def test_a_sweep_lies_inside_bands_made_from_the_study_itself():
    table = seeds_of([0.0, 0.5, 0.52, 0.54], data="mnist", s=1)
    index = pd.MultiIndex.from_tuples([("mnist", 1)], names=["data", "s"])
    assert studying.inside(pd.Series([0.53], index), table) == 1
    assert studying.inside(pd.Series([0.4], index), table) == 0


def test_reading_a_study_needs_no_tensorflow():
    code = "import sys; from helpers import studying, plotting; "
    code += "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Files


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "note.csv"
    path.write_text(
        "# made by hand\nseed,data,source,accuracy,round\n"
        "0,mnist,full,0.9,\n1,mnist,sample,0.8,2\n"
    )
    return path


@pytest.mark.parametrize(("sample", "seeds"), [(False, [0]), (True, [1])])
def test_the_rows_of_one_source_are_read(path, sample, seeds):
    table = studying.read(path, ["accuracy"], sample)
    assert table["seed"].tolist() == seeds
    assert table["points"].tolist() == (100 * table["accuracy"]).tolist()
    assert ("round" in table) == sample  # or it would be empty


def test_a_file_with_foreign_columns_is_refused(path):
    with pytest.raises(ValueError, match=r"no columns \['method'\], but \['s"):
        studying.read(path, ["method"])
    for content in ("x,y\n1,2\n", "", "# made by hand\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"note\.csv.*make study"):
            studying.read(path)


def test_a_file_that_is_missing_or_has_other_data_is_refused(path):
    path.write_text(path.read_text().replace("full", "sample"))
    with pytest.raises(ValueError, match="no rows from the full data"):
        studying.read(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"note\.csv cannot be read"):
        studying.read(path)
