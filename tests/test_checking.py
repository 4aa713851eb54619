"""A claim that holds passes, one that does not fails; detectors detect."""

import pathlib
import subprocess
import sys

import nbformat
import numpy as np
import pandas as pd
import pytest

from helpers import checking, deploying, networks, pruning, training
from helpers.engine.backend import keras

ROOT = pathlib.Path(__file__).parents[1]


def said(capsys, *args, **bounds):
    checking.claim("so it is", *args, **bounds)
    return capsys.readouterr().out


@pytest.mark.parametrize("holds", [True, 1, np.True_, np.bool_(3 > 2)])
def test_what_is_true_prints_one_stable_line(capsys, holds):
    assert said(capsys, holds, measured=0.123) == "PASS  so it is\n"


@pytest.mark.parametrize("holds", [False, 0, np.False_, None])
def test_what_is_false_fails_and_shows_why(capsys, holds):
    assert said(capsys, holds, 0.1) == "FAIL  so it is (measured: 0.1)\n"


@pytest.mark.parametrize("holds", [np.nan, 0.9, "yes", [True], np.ones(1)])
def test_without_bounds_only_true_and_false_are_claimed(holds):
    with pytest.raises(ValueError, match=r"true or false; got.*`below=0\.03`"):
        checking.claim("so it is", holds)


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [
        ({"below": 2}, True),
        ({"below": 1}, False),
        ({"above": 0}, True),
        ({"above": 1}, False),
        ({"below": 2, "above": 0}, True),
        ({"within": (0, 2)}, True),
        ({"within": (1, 2)}, False),
        ({"within": (0, 1)}, False),
    ],
)
def test_bounds_are_not_to_be_reached(capsys, bounds, holds):
    verdict = "PASS" if holds else "FAIL"
    assert said(capsys, 1.0, **bounds) == f"{verdict}  so it is (≈ 1)\n"
    step = np.nextafter(1, 0 if "below" in bounds else 2)
    if len(bounds) == 1 and 1 in bounds.values():
        assert said(capsys, step, **bounds).startswith("PASS")


@pytest.mark.parametrize("values", [np.nan, [1.0, np.nan], {"a": np.nan}])
@pytest.mark.parametrize(
    "bounds", [{"below": 9}, {"above": -9}, {"within": (-9, 9)}]
)
def test_nan_fails_every_bound(capsys, values, bounds):
    assert said(capsys, values, **bounds) == "FAIL  so it is (≈ nan)\n"


VALUES = {"mnist": 0.12345, "fashion_mnist": 0.98765}


@pytest.mark.parametrize(
    "kind", [dict, pd.Series, lambda d: pd.DataFrame(d, index=[0]),
             lambda d: np.array(list(d.values()), np.float32)],
)  # fmt: skip
def test_all_entries_have_to_hold_and_the_worst_is_shown(capsys, kind):
    values = kind(VALUES)
    assert said(capsys, values, below=1) == "PASS  so it is (≈ 0.988)\n"
    assert said(capsys, values, below=0.9) == "FAIL  so it is (≈ 0.988)\n"
    assert said(capsys, values, above=0.1) == "PASS  so it is (≈ 0.123)\n"
    assert said(capsys, values, above=0.2) == "FAIL  so it is (≈ 0.123)\n"
    assert said(capsys, values, within=(0, 2)) == "PASS  so it is (≈ 0.123)\n"


@pytest.mark.parametrize("nothing", [{}, [], pd.Series(dtype=float)])
def test_nothing_is_no_evidence(nothing):
    with pytest.raises(ValueError, match="empty"):
        checking.claim("so it is", nothing, below=1)


@pytest.mark.parametrize(
    ("value", "digits"),
    [(0.0004567, "0.000457"), (98.76, "98.8"), (238_400, "238,000"),
     (-0.5, "-0.5"), (np.float32(1 / 3), "0.333"), (np.inf, "inf")],
)  # fmt: skip
def test_measured_values_have_three_digits(capsys, value, digits):
    assert f"(≈ {digits})" in said(capsys, value, above=-1)


@pytest.mark.parametrize(("stored", "passes"), [("PASS", 1), ("FAIL", 0)])
def test_the_strict_comparison_leaves_out_what_was_measured(
    tmp_path, stored, passes
):
    source = "from helpers import checking\nchecking.claim('it', 0.5, below=1)"
    cell = nbformat.v4.new_code_cell(source, execution_count=1)
    line = f"{stored}  it (≈ 0.25)\n"
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=line)]
    path = tmp_path / "claim.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    strict = ["pytest", "-c", "pyproject.toml", "--nbval", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", *strict], cwd=ROOT, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert f"{passes} passed" in done.stdout or not passes, done.stdout
    assert done.returncode == 1 - passes


# A reader's answer


def judged(capsys, given, *args, **bounds):
    checking.answer(given, *args, **bounds)
    return capsys.readouterr().out


def test_who_has_not_answered_yet_is_told_what_to_do(capsys):
    asked = []
    line = judged(capsys, ..., asked.append, above=0)
    assert line.startswith("Put your answer in place of the dots")
    assert line.count("\n") == 1
    assert asked == []


def test_an_answer_or_what_is_measured_of_it_is_judged(capsys):
    assert judged(capsys, 0.75, above=0.5) == "PASS  your answer (≈ 0.75)\n"
    line = judged(capsys, 0.75, lambda answer: 1 - answer, below=0.3)
    assert line == "PASS  your answer (≈ 0.25)\n"
    line = judged(capsys, [1, 2], len, within=(2, 3))
    assert line == "FAIL  your answer (≈ 2)\n"


@pytest.mark.parametrize(("given", "verdict"), [(0, "FAIL"), (True, "PASS")])
def test_an_answer_of_nothing_is_an_answer(capsys, given, verdict):
    assert judged(capsys, given).startswith(verdict)


def test_an_answer_in_dots_of_another_kind_is_not_taken(capsys):
    with pytest.raises(ValueError, match="true or false; got str"):
        checking.answer("...")


# The same outputs


@pytest.fixture
def network():
    keras.utils.set_random_seed(0)
    entry = keras.Input((6,))
    ends = [keras.layers.Dense(n, name=f"d{n}")(entry) for n in (3, 4)]
    return keras.Model(entry, ends)


X = np.random.default_rng(0).random((2500, 6), dtype=np.float32)


def compared(capsys, *args, **options):
    checking.same_outputs("digits", *args, **options)
    return capsys.readouterr().out


def test_a_copy_has_the_same_outputs(capsys, network):
    line = "PASS  digits: the same outputs, to 1e-5 of the largest\n"
    assert compared(capsys, network, pruning.copy_of(network), X) == line
    line = line.replace("1e-5", "0.001")
    other = pruning.copy_of(network)
    assert compared(capsys, network, other, X, tolerance=1e-3) == line


@pytest.mark.parametrize("name", ["d3", "d4"])
def test_each_output_is_compared_on_its_own_scale(capsys, network, name):
    network.get_layer("d4").kernel.assign(np.full((6, 4), 1e3))
    other = pruning.copy_of(network)
    bias = np.zeros(other.get_layer(name).units)
    bias[-1] = 0.05 * np.abs(network.predict(X, verbose=0)[name == "d4"]).max()
    other.get_layer(name).bias.assign(bias)
    line = compared(capsys, network, other, X)
    assert line.startswith("FAIL  digits: the same outputs")
    assert line.endswith("(≈ 0.05)\n")


def test_every_image_is_compared(capsys, network):
    x = X.copy()
    x[-1] = np.nan
    assert "(≈ nan)" in compared(capsys, network, network, x)


def test_several_inputs_are_compared(capsys):
    one, two = keras.Input((6,)), keras.Input((6,))
    model = keras.Model([one, two], keras.layers.Add()([one, two]))
    assert compared(capsys, model, model, [X, X]).startswith("PASS")


def test_zeros_are_the_same_as_zeros(capsys, network):
    for weight in network.weights:
        weight.assign(np.zeros(weight.shape))
    assert compared(capsys, network, network, X).startswith("PASS")


def test_other_shapes_are_refused(network):
    other = keras.Model(network.input, [network.outputs[0]] * 2)
    with pytest.raises(ValueError, match=r"shape \(2500, 4\), got \(2500, 3\)"):
        checking.same_outputs("digits", network, other, X)


def test_a_file_is_compared_with_its_network(capsys):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    file = deploying.convert(model)
    assert compared(capsys, model, file, X).startswith("PASS")
    other = keras.models.clone_model(model)
    assert compared(capsys, other, file, X).startswith("FAIL")


def masks_of_hidden(model):
    masks = pruning.masks_of(model)
    return {name: masks[name] for name in masks if name != "output"}


def test_revived_weights_are_counted_at_every_step(trained, split):
    """Also where the mask is put back before anybody else looks."""
    pruned = pruning.copy_of(pruning.prune_weights(trained, 0.9))
    before, masks = pruned.get_weights(), masks_of_hidden(pruned)
    detector = checking.RevivedWeights(masks)
    training.fit(pruned, split, num_steps=4, callbacks=[detector])
    kernels = pruning.prunable_kernels(pruned)
    revived = sum(np.count_nonzero(kernels[n][masks[n] == 0]) for n in masks)
    pruned.set_weights(before)
    assert detector.steps == 4
    assert detector.worst >= revived > 0


def test_revived_units_are_counted_by_column():
    model = networks.mlp(inputs=4, widths=(4,))
    detector = checking.RevivedWeights({"hidden_1": np.array([1, 0, 1, 1])})
    detector.set_model(model)
    detector.on_train_batch_end(0)
    assert detector.worst == 4
    pruning.apply_masks(model, detector.masks)
    detector.worst = 0
    detector.on_train_batch_end(1)
    assert (detector.steps, detector.worst) == (2, 0)


def test_a_revived_bias_of_a_masked_unit_is_counted():
    model = networks.mlp(inputs=4, widths=(3,))
    detector = checking.RevivedWeights({"hidden_1": np.array([1, 0, 1])})
    pruning.apply_masks(model, detector.masks)
    kernel, bias = model.get_layer("hidden_1").get_weights()
    model.get_layer("hidden_1").set_weights([kernel, bias + 1])
    detector.set_model(model)
    detector.on_train_batch_end(0)
    assert detector.worst == 1


@pytest.mark.parametrize("part", ["gamma", "beta"])
def test_a_normalization_of_a_masked_filter_that_comes_back_is_counted(part):
    model = networks.lenet((3, 4), (5,))
    detector = checking.RevivedWeights({"conv_1": np.array([1, 0, 1])})
    pruning.apply_masks(model, detector.masks)
    detector.set_model(model)
    detector.on_train_batch_end(0)
    assert detector.worst == 0
    getattr(model.get_layer("norm_1"), part).assign([1.0, 0.5, 1.0])
    detector.on_train_batch_end(1)
    assert detector.worst == 1
