"""Laws of masks: exact counts, whatever the scores, ties included.

The properties hold for 500 draws each of shapes, dtypes and layouts, see
`strategies`: of one weight, all tied, all zero, strided and read-only.
"""

import functools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from strategies import FLOATS, few, layers, many, scores, sparsities

from helpers import masking

TOY = np.array([[3, -1, 2, -2, 0], [1, 4, -2, 2, -5]])
# Equal magnitudes, in the order of the matrix: 0; 1 1; 2 2 2 2; 3; 4; 5.
TOY_MASKS = {
    0: [[1, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    0.3: [[1, 0, 1, 1, 0], [0, 1, 1, 1, 1]],
    0.5: [[1, 0, 0, 0, 0], [0, 1, 1, 1, 1]],
    0.9: [[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]],
}

MAKERS = [masking.layerwise_masks, masking.global_masks]


def num_zeros(mask):
    return int(np.sum(mask == 0))


def masks_or_none(make, scores, sparsity):
    """The masks, or None where they would wipe out a layer."""
    try:
        return make(scores, sparsity)
    except ValueError as error:
        assert "leaves nothing" in str(error)  # noqa: PT017
        return None


@pytest.mark.parametrize("sparsity", TOY_MASKS)
@pytest.mark.parametrize(
    "make", [masking.layerwise_masks, masking.global_masks]
)
def test_toy_matrix_loses_its_smallest_and_first_of_equals(make, sparsity):
    scores = masking.magnitude_scores({"toy": TOY})
    mask = make(scores, sparsity)["toy"]
    assert mask.tolist() == TOY_MASKS[sparsity]


def test_global_masks_compare_layers_with_each_other():
    scores = {"low": np.array([1, 2, 3, 9]), "high": np.array([[4, 5], [6, 7]])}
    masks = masking.global_masks(scores, 0.5)
    assert masks["low"].tolist() == [0, 0, 0, 1]
    assert masks["high"].tolist() == [[0, 1], [1, 1]]


def test_global_ties_go_in_the_order_of_the_layers():
    scores = {"first": np.ones(4), "second": np.ones(4)}
    masks = masking.global_masks(scores, 0.375)
    assert masks["first"].tolist() == [0, 0, 0, 1]
    assert masks["second"].tolist() == [1, 1, 1, 1]


@given(layers(), sparsities)
def test_every_layer_loses_exactly_its_share(scores, sparsity):
    masks = masks_or_none(masking.layerwise_masks, scores, sparsity)
    shares = {k: round(float(sparsity) * s.size) for k, s in scores.items()}
    if any(shares[name] == s.size for name, s in scores.items()):
        assert masks is None
    else:
        assert {name: num_zeros(mask) for name, mask in masks.items()} == shares


@given(layers(), sparsities)
def test_the_network_loses_exactly_its_share(scores, sparsity):
    masks = masks_or_none(masking.global_masks, scores, sparsity)
    size = sum(s.size for s in scores.values())
    if masks is not None:
        zeros = sum(num_zeros(mask) for mask in masks.values())
        assert zeros == round(float(sparsity) * size)


@given(layers(), sparsities)
def test_no_kept_score_is_below_a_removed_one(scores, sparsity):
    for name, s in scores.items():
        masks = masks_or_none(masking.layerwise_masks, {name: s}, sparsity)
        if masks and num_zeros(masks[name]):
            kept, removed = s[masks[name] == 1], s[masks[name] == 0]
            assert kept.min() >= removed.max()


@given(layers(), sparsities)
def test_no_kept_score_is_below_a_removed_one_in_any_layer(scores, sparsity):
    masks = masks_or_none(masking.global_masks, scores, sparsity)
    if masks and any(num_zeros(mask) for mask in masks.values()):
        scores = {name: s.astype(np.float64) for name, s in scores.items()}
        kept = [s[masks[name] == 1].min() for name, s in scores.items()]
        removed = [s[masks[name] == 0] for name, s in scores.items()]
        assert min(kept) >= np.concatenate(removed).max()


@given(scores(), sparsities)
def test_first_of_equal_scores_go_first(s, sparsity):
    masks = masks_or_none(masking.layerwise_masks, {"a": s}, sparsity)
    for score in np.unique(s) if masks else ():
        kept = masks["a"][s == score].tolist()
        assert kept == sorted(kept)


SCORES = {
    "all different": lambda random: random.random(30_000),
    "sorted": lambda random: np.sort(random.random(30_000)),
    "few values": lambda random: random.integers(0, 5, 30_000),
    "all equal": lambda random: np.zeros(30_000),
    "most are zero": lambda random: (
        random.random(30_000) * (random.random(30_000) > 0.9)
    ),
    "half are 0.5": lambda random: np.where(
        random.random(30_000) < 0.5, 0.5, random.random(30_000)
    ),
    "every fourth is higher": lambda random: (
        np.tile([1.0, 0.0, 0.5, 0.25], 7_500) + random.random(30_000) / 10
    ),
}


@pytest.mark.parametrize("sparsity", [0.001, 0.1, 0.333, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", SCORES)
def test_large_layers_lose_what_a_stable_sort_puts_first(kind, sparsity):
    scores = SCORES[kind](np.random.default_rng(0)).astype(np.float32)
    lowest = np.argsort(scores, kind="stable")[: round(sparsity * 30_000)]
    masks = masking.layerwise_masks({"a": scores}, sparsity)
    assert np.array_equal(np.flatnonzero(masks["a"] == 0), np.sort(lowest))


@given(layers(), sparsities, sparsities)
def test_higher_sparsity_never_keeps_more(scores, one, other):
    low, high = sorted((one, other))
    for make in MAKERS:
        more = masks_or_none(make, scores, low)
        less = masks_or_none(make, scores, high)
        if more and less:
            assert all((less[name] <= more[name]).all() for name in scores)


@given(layers(), sparsities)
def test_masking_what_is_masked_changes_nothing(scores, sparsity):
    for make in MAKERS:
        masks = masks_or_none(make, scores, sparsity)
        masked = {k: s * (masks or {k: 1})[k] for k, s in scores.items()}
        again = masks_or_none(make, masked, sparsity)
        assert (masks is None) == (again is None)
        assert all(np.array_equal(masks[k], again[k]) for k in masks or ())


@given(layers(), sparsities)
def test_precision_and_layout_decide_nothing(scores, sparsity):
    plain = {name: np.array(s, np.float64) for name, s in scores.items()}
    lists = {name: s.tolist() for name, s in plain.items()}
    for make in MAKERS:
        masks = [
            masks_or_none(make, same, sparsity)
            for same in (scores, plain, lists)
        ]
        for name in scores if masks[0] else ():
            assert np.array_equal(masks[0][name], masks[1][name])
            assert np.array_equal(masks[0][name], masks[2][name])


@given(layers(), sparsities)
def test_masks_have_their_scores_shapes_and_leave_them_alone(scores, sparsity):
    before = {name: s.copy() for name, s in scores.items()}
    for make in MAKERS:
        masks = masks_or_none(make, scores, sparsity)
        for name, mask in (masks or {}).items():
            assert mask.shape == scores[name].shape
            assert np.isin(mask, (0, 1)).all()
    for score in (masking.magnitude_scores, masking.unit_scores):
        score(scores)
    assert all(np.array_equal(scores[name], before[name]) for name in scores)


@given(st.integers(1, 500), sparsities)
def test_units_lose_exactly_their_share(units, sparsity):
    scores = {"a": np.arange(units) % 7}
    masks = masks_or_none(masking.unit_masks, scores, sparsity)
    if masks:
        assert num_zeros(masks["a"]) == round(float(sparsity) * units)
        assert masks["a"].shape == (units,)


@given(st.integers(1, 500), sparsities, st.integers(1, 70))
def test_what_stays_is_the_next_multiple_or_all(units, sparsity, multiple_of):
    random = np.random.default_rng(units)
    scores = {"a": random.integers(0, 9, units)}
    alone = masks_or_none(masking.unit_masks, scores, sparsity)
    if alone is None:
        return
    mask = masking.unit_masks(scores, sparsity, multiple_of)["a"]
    least, stay = int(alone["a"].sum()), int(mask.sum())
    assert stay == units or stay % multiple_of == 0
    assert least <= stay < least + multiple_of
    assert (mask >= alone["a"]).all()


@given(layers())
def test_zeros_are_counted_as_they_are(masks):
    zeros = masking.zero_counts(masks)
    size = sum(mask.size for mask in masks.values())
    assert zeros == {name: num_zeros(mask) for name, mask in masks.items()}
    share = sum(zeros.values()) / size
    assert masking.sparsity_of(masks) == pytest.approx(share, abs=1e-12)


@given(st.data(), st.sampled_from(FLOATS), st.integers(0, 3))
def test_norms_of_huge_and_tiny_weights_are_right(data, dtype, zeros):
    """Their squares are infinite, or zero, in the dtype of the weights."""
    kinds = {2: (0.0009765625, 60000.0, 16), 4: (1e-30, 1e30, 32)}
    low, high, width = kinds.get(np.dtype(dtype).itemsize, (1e-100, 1e100, 64))
    low, high = (float(np.array(x, f"f{width // 8}")) for x in (low, high))
    sizes = st.floats(low, high, width=width)
    kernel = data.draw(arrays(np.float64, (4, 3), elements=sizes))
    kernel[:zeros] = 0
    kernel = kernel.astype(dtype)
    norms = masking.unit_scores({"a": kernel})["a"]
    exact = [np.hypot.reduce(column.astype(float)) for column in kernel.T]
    np.testing.assert_allclose(norms, exact, rtol=1e-12)


@given(layers(), st.integers(0, 2**64))
def test_equal_seeds_give_equal_scores(kernels, seed):
    one, again = (masking.random_scores(kernels, seed) for _ in range(2))
    for name, kernel in kernels.items():
        assert one[name].shape == kernel.shape
        assert np.array_equal(one[name], again[name])


@pytest.mark.parametrize("others", [-1, 0, 0.5, 2])
def test_counts_are_exact_where_a_sample_misleads(others):
    """Of many scores every fifth tells where the cut is; here it lies."""
    scores = np.random.default_rng(0).random(40_000)
    scores[np.arange(scores.size) % 5 > 0] = others
    for sparsity in (1e-4, 0.15, 0.5, 0.9, 0.9999):
        mask = masking.layerwise_masks({"a": scores}, sparsity)["a"]
        lowest = np.argsort(scores, kind="stable")[: num_zeros(mask)]
        assert num_zeros(mask) == round(sparsity * scores.size)
        assert not mask[lowest].any()


def test_rounding_is_pythons_and_not_floor():
    mask = masking.layerwise_masks({"a": np.arange(10)}, 0.19)["a"]
    assert num_zeros(mask) == 2


def test_sparsity_of_masks_is_the_fraction_of_zeros():
    masks = {"a": np.array([[1, 0], [0, 0]]), "b": np.ones(12)}
    assert masking.sparsity_of(masks) == 3 / 16


def test_numpy_fractions_are_fractions():
    mask = masking.layerwise_masks({"a": np.arange(10)}, np.float32(0.5))["a"]
    assert num_zeros(mask) == 5


def test_magnitude_ignores_the_sign():
    scores = masking.magnitude_scores({"a": np.array([-3.0, 2.0, -0.5])})
    assert scores["a"].tolist() == [3.0, 2.0, 0.5]


def test_unit_scores_are_column_norms():
    kernel = np.array([[3.0, 0.0], [4.0, 0.0], [0.0, 2.0]])
    assert masking.unit_scores({"a": kernel})["a"].tolist() == [5.0, 2.0]


def test_unit_scores_of_a_square_kernel_are_not_row_norms():
    kernel = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert masking.unit_scores({"a": kernel})["a"].tolist() == [1.0, 1.0]


def test_filter_scores_run_over_the_last_axis():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 5))
    scores = masking.unit_scores({"conv": kernel})["conv"]
    expected = [np.sqrt(np.sum(kernel[..., f] ** 2)) for f in range(5)]
    np.testing.assert_allclose(scores, expected)


def test_threshold_removes_only_what_is_strictly_below():
    masks = masking.threshold_masks({"a": np.array([0.1, 0.2, 0.3])}, 0.2)
    assert masks["a"].tolist() == [0, 1, 1]


def test_threshold_zero_keeps_all():
    masks = masking.threshold_masks({"a": np.array([0.0, 0.5])}, 0)
    assert masks["a"].tolist() == [1, 1]


def test_random_control_is_reproducible_by_its_seed():
    kernels = {"a": TOY, "b": np.ones((4, 4))}
    one, again, other = (masking.random_scores(kernels, s) for s in (1, 1, 2))
    assert all(np.array_equal(one[name], again[name]) for name in kernels)
    assert not any(np.array_equal(one[name], other[name]) for name in kernels)


def test_random_control_ignores_the_weights():
    kernels = {"a": np.zeros((50, 40))}
    scores = masking.random_scores(kernels, seed=0)["a"]
    assert scores.shape == (50, 40)
    assert len(np.unique(scores)) > 1900


@pytest.mark.parametrize(
    "make", [masking.layerwise_masks, masking.global_masks, masking.unit_masks]
)
@pytest.mark.parametrize(
    "sparsity", [80, 1.0, 1, -0.1, float("nan"), float("inf"), "0.5", None]
)
def test_sparsity_outside_its_range_is_refused(make, sparsity):
    with pytest.raises(ValueError, match=r"in \[0, 1\)") as error:
        make({"a": np.arange(10)}, sparsity)
    assert f"got {sparsity!r}" in str(error.value)


def test_a_percentage_is_answered_with_the_fraction():
    with pytest.raises(ValueError, match=r"To remove 80 %, pass 0\.8"):
        masking.layerwise_masks({"a": np.arange(10)}, 80)


def test_numbers_whose_sum_overflows_are_still_numbers():
    huge = np.array([1e308, 1e308, 1.0])
    with np.errstate(over="ignore"):
        mask = masking.layerwise_masks({"a": huge}, 1 / 3)["a"]
    assert mask.tolist() == [1, 1, 0]


@pytest.mark.parametrize("make", [masking.layerwise_masks, masking.unit_masks])
def test_a_layer_is_never_wiped_out(make):
    scores = {"wide": np.arange(100), "narrow": np.arange(3)}
    with pytest.raises(ValueError, match=r"0\.9 leaves nothing of narrow"):
        make(scores, 0.9)


def test_a_layer_is_never_wiped_out_by_global_masks():
    scores = {"strong": np.arange(10) + 50, "weak": np.arange(3)}
    with pytest.raises(ValueError, match="leaves nothing of weak"):
        masking.global_masks(scores, 0.5)


def test_a_layer_is_never_wiped_out_by_a_threshold():
    scores = {"wide": np.arange(9), "narrow": np.array([1.0, 2.5])}
    top = masking.threshold_masks(scores, 2.5)
    assert top["narrow"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"narrow, whose .* is 2\.5:") as error:
        masking.threshold_masks(scores, 2.6)
    assert "Threshold 2.6 leaves nothing" in str(error.value)


@given(layers(), st.integers(0, 99))
def test_a_threshold_is_a_sparsity_read_from_the_other_side(scores, nth):
    """Cutting at the k-th smallest score removes k, where no two are equal."""
    for s in scores.values():
        ranked = np.unique(s)
        zeros = min(nth, ranked.size - 1)
        by_threshold = masking.threshold_masks(
            {"a": ranked}, float(ranked[zeros])
        )
        share = zeros / ranked.size
        by_sparsity = masking.layerwise_masks({"a": ranked}, share)
        assert np.array_equal(by_threshold["a"], by_sparsity["a"])


# Blocks

# Five inputs, two units; the last block of two inputs has one.
KERNEL = np.array([[3, 0], [4, 1], [0, 5], [1, 5], [2, 6]])
kernels = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    scores(arrays(np.float64, array_shapes(min_dims=2, max_dims=4, max_side=6),
                  elements=few | many)),
    min_size=1, max_size=3,
)  # fmt: skip
sizes = st.integers(1, 5)


def in_blocks(mask, size):
    """A mask's blocks, and how many entries of each are kept."""
    starts = np.arange(0, mask.shape[-2], size)
    kept = np.add.reduceat(mask.astype(int), starts, axis=-2)
    return kept, np.diff([*starts, mask.shape[-2]])[:, None]


def test_a_block_is_scored_by_its_root_mean_square():
    found = masking.block_scores({"toy": KERNEL}, 2)["toy"] ** 2
    expected = [[12.5, 0.5], [0.5, 25], [4, 36]]
    assert np.allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("sparsity", "mask"),
    [
        (0, [[1, 1], [1, 1], [1, 1], [1, 1], [1, 1]]),
        (1 / 6, [[1, 0], [1, 0], [1, 1], [1, 1], [1, 1]]),  # the first of two
        (1 / 2, [[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]),
        (5 / 6, [[0, 0], [0, 0], [0, 0], [0, 0], [0, 1]]),
    ],
)
def test_toy_kernel_loses_its_smallest_blocks(sparsity, mask):
    masks = masking.block_masks({"toy": KERNEL}, sparsity, 2)
    assert masks["toy"].tolist() == mask


def test_channels_of_one_filter_at_one_place_are_a_block():
    kernel = np.ones((2, 1, 4, 3))
    kernel[1, 0, 2:, 1] = 0.5
    mask = masking.block_masks({"conv": kernel}, 1 / 12, 2)["conv"]
    assert np.argwhere(mask == 0).tolist() == [[1, 0, 2, 1], [1, 0, 3, 1]]


@given(kernels, sparsities, sizes)
def test_exactly_its_share_of_blocks_goes_whole(kernels, sparsity, size):
    make = functools.partial(masking.block_masks, size=size)
    masks = masks_or_none(make, kernels, sparsity)
    for name, kernel in kernels.items() if masks else ():
        assert masks[name].shape == kernel.shape
        kept, lengths = in_blocks(masks[name], size)
        assert ((kept == 0) | (kept == lengths)).all()
        assert num_zeros(kept) == round(float(sparsity) * kept.size)


@given(kernels, sparsities, sizes)
def test_over_all_layers_exactly_a_share_of_blocks_goes(
    kernels, sparsity, size
):
    make = functools.partial(
        masking.block_masks, size=size, select=masking.global_masks
    )
    if masks := masks_or_none(make, kernels, sparsity):
        kept = [in_blocks(mask, size)[0] for mask in masks.values()]
        total = sum(blocks.size for blocks in kept)
        gone = sum(map(num_zeros, kept))
        assert gone == round(float(sparsity) * total)


@given(kernels, sparsities)
def test_blocks_of_one_input_are_single_weights(kernels, sparsity):
    make = functools.partial(masking.block_masks, size=1)
    one = masks_or_none(make, kernels, sparsity)
    sizes = masking.magnitude_scores(kernels)
    other = masks_or_none(masking.layerwise_masks, sizes, sparsity)
    assert (one is None) == (other is None)
    for name in one or ():
        assert np.array_equal(one[name], other[name])


def test_masking_and_plotting_import_without_tensorflow():
    code = (
        "import sys; from helpers import masking, plotting; "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Budgets


def lamp_by_hand(layer):
    """Lee et al.'s formula, weight by weight; no two are equal."""
    squares = np.square(layer, dtype=float)
    return [w / squares[squares >= w].sum() for w in squares.ravel()]


@given(layers())
def test_lamp_keeps_the_order_and_gives_each_layer_s_best_one(scores):
    for name, found in masking.lamp_scores(scores).items():
        flat = np.ravel(scores[name]).astype(float)
        order = np.argsort(flat**2, kind="stable")
        assert found.shape == np.shape(scores[name])
        assert np.all(np.diff(found.ravel()[order]) >= 0)
        assert found.max() == pytest.approx(1.0 if flat.any() else 0.0)


def test_lamp_by_hand():
    layers = {
        "a": np.array([[3, -1], [2, 0.5]]),
        "b": np.random.default_rng(0).normal(size=(4, 3, 2)),
    }
    for name, found in masking.lamp_scores(layers).items():
        np.testing.assert_allclose(found.ravel(), lamp_by_hand(layers[name]))


def test_lamp_does_not_care_how_large_a_layer_s_weights_are():
    scores = {"a": np.arange(1.0, 7), "b": np.arange(2.0, 9) ** 2}
    larger = {"a": 1000 * scores["a"], "b": scores["b"]}
    one, other = map(masking.lamp_scores, (scores, larger))
    np.testing.assert_allclose(one["a"], other["a"])


SHAPES = {"a": (784, 300), "b": (300, 100), "c": (3, 3, 8, 16), "d": (5, 2)}


@pytest.mark.parametrize("sparsity", [0, 0.3, 0.5, 0.8, 0.95, 0.999])
def test_erk_keeps_as_many_weights_as_were_asked_for(sparsity):
    kernels = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    found = masking.erk_sparsities(kernels, sparsity)
    kept = {name: (1 - s) * kernels[name].size for name, s in found.items()}
    total = sum(kernel.size for kernel in kernels.values())
    assert sum(kept.values()) == pytest.approx((1 - sparsity) * total)
    assert all(0 <= s < 1 for s in found.values())
    per_length = [
        kept[name] / sum(shape)
        for name, shape in SHAPES.items()
        if found[name] > 0
    ]
    assert per_length == pytest.approx(per_length[:1] * len(per_length))


def test_erk_leaves_narrow_layers_whole():
    kernels = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    assert masking.erk_sparsities(kernels, 0.9)["d"] == 0
    assert masking.erk_sparsities(kernels, 0.5)["a"] > 0.5


def test_a_budget_is_kept_by_each_layer():
    scores = {"a": np.arange(20.0), "b": np.arange(10.0).reshape(5, 2)}
    masks = masking.layerwise_masks(scores, {"a": 0.75, "b": 0})
    assert masks["a"].tolist() == [0] * 15 + [1] * 5
    assert masks["b"].all()


def test_a_layer_without_a_budget_is_refused():
    with pytest.raises(ValueError, match=r"got none for \['b'\]"):
        masking.layerwise_masks({"a": np.ones(3), "b": np.ones(3)}, {"a": 0.5})
    with pytest.raises(ValueError, match=r"in \[0, 1\), or a dict.*; got 1"):
        masking.layerwise_masks({"a": np.ones(3)}, {"a": 1})
