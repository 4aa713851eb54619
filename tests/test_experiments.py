"""Laws of the experiments: what they prune, and that controls are fair."""

import inspect
import itertools
import re

import numpy as np
import pandas as pd
import pytest

from helpers import (
    deploying,
    distilling,
    fitting,
    measuring,
    networks,
    pruning,
    studying,
    training,
)
from helpers.workshop import experiments, running
from helpers.workshop.experiments import (
    __main__,
    blocks,
    branches,
    common,
    cuts,
    frontiers,
    repairs,
    rounds,
    tickets,
)

TRAINED = {}
FEW = [0, 1, 2]  # seeds of a part of a study
SIZES = {"lenet": ((4, 8), (12,)), "resnet": ((4, 8),)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A handful of steps in all trainings, small networks, no cache."""

    def fit(model, split, num_steps, **options):
        epochs = options.get("epochs", 1)
        return fitting.fit(model, split, min(num_steps, 4 * epochs), **options)

    def baseline(split, seed, widths=networks.WIDTHS, build=None, **options):
        shape = build.__name__ if build else tuple(n // 10 for n in widths)
        if (seed, shape) not in TRAINED:
            if build:
                model = build(*SIZES[shape], seed=seed)
            else:
                model = networks.mlp(shape, seed=seed)
            fitting.fit(model, split, 20, seed=seed)
            TRAINED[seed, shape] = model
        return TRAINED[seed, shape]

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(distilling, "fit", fit)
    monkeypatch.setattr(common, "baseline", baseline)
    monkeypatch.setattr(common, "LENET", (30, 10))


def nonzeros(model, include_output=False):
    kernels = pruning.prunable_kernels(model, include_output)
    return {name: np.count_nonzero(k) for name, k in kernels.items()}


@pytest.mark.parametrize("name", experiments.STUDIES)
def test_a_study_names_the_arguments_of_its_experiment(name):
    for experiment, axes in experiments.STUDIES[name]:
        wanted = set(inspect.signature(experiment).parameters)
        assert wanted - {"split", "seed"} == set(axes) - {"data", "seeds"}
        assert experiment.__doc__.startswith("Notebook ")


def test_weights_go_by_each_method_at_the_same_count(split):
    rows = {
        method: cuts.weights(split, 0, method, 0.9)
        for method in ("layerwise", "global", "random")
    }
    assert len({row["nonzeros"] for row in rows.values()}) == 1
    assert rows["layerwise"]["accuracy"] > rows["random"]["accuracy"]


def test_as_many_weights_are_left_as_units_leave(split):
    """Weights between living units; the output layer is not pruned."""
    rows = {
        method: cuts.units(split, 0, method, 0.5)
        for method in ("units", "weights, as many left", "random units")
    }
    inputs, outputs = [784, 50, 50, 25], [50, 50, 25, 10]
    left = sum(a * b for a, b in zip(inputs, outputs, strict=True))
    fair = rows["weights, as many left"]["nonzeros"]
    biases = 100 + 100 + 50 + 20 + 10
    assert fair == pytest.approx(left + 10 * 10 + biases, abs=5)
    drawn = rows["random units"]["nonzeros"]
    assert rows["units"]["nonzeros"] == pytest.approx(drawn, abs=5)


def test_as_many_weights_are_left_in_each_layer(split, monkeypatch):
    """As between living units; neither biases nor the output layer go."""
    seen = []
    monkeypatch.setattr(common, "seen", lambda m, _: seen.append(m))
    cuts.units(split, 0, "weights, as many left in each layer", 0.8)
    assert nonzeros(seen[0], include_output=True) == {
        "hidden_1": 784 * 20,
        "hidden_2": 20 * 20,
        "hidden_3": 20 * 10,
        "hidden_4": 10 * 4,
        "output": 20 * 10,
    }


@pytest.mark.parametrize(
    "experiment",
    [cuts.weights, cuts.units, cuts.recovery,
     rounds.equal_steps, cuts.filters, branches.branching, cuts.distilled,
     blocks.blocks],
)  # fmt: skip
def test_a_method_that_is_not_known_is_refused(split, experiment):
    settings = [0.5] * (len(inspect.signature(experiment).parameters) - 3)
    with pytest.raises(ValueError, match=r"is one of .*; got 'layrwise'"):
        experiment(split, 0, "layrwise", *settings)


@pytest.mark.parametrize("kind", ["weights", "units"])
def test_recovery_keeps_what_was_pruned(split, kind):
    row = cuts.recovery(split, 0, kind, 0.8)
    control = cuts.recovery(split, 0, kind, 0)
    assert row["nonzeros"] < 0.35 * control["nonzeros"]
    assert control["before_accuracy"] <= 1
    assert (row["macs"] == control["macs"]) == (kind == "weights")


def test_the_last_hidden_layer_is_spared_by_compaction(split):
    row = cuts.compacted(split, 0, 0.8)
    inputs, units = [784, 20, 20, 10, 20], [20, 20, 10, 20, 10]
    assert row["macs"] == sum(map(np.multiply, inputs, units))


def test_filters_go_by_each_method_at_the_same_cost(split, monkeypatch):
    steps = []
    monkeypatch.setattr(
        training, "fine_tune", lambda m, _, n, seed: steps.append(n) or m
    )
    rows = {
        method: cuts.filters(split, 0, method, 0.5)
        for method in ("norm", "activation", "random")
    }
    dense = cuts.filters(split, 0, "dense", 0)
    assert steps == [60] * 4  # a fifth of 300 on the sample
    assert {row["macs"] for row in rows.values()} == {
        25 * 2 * 24**2 + 25 * 2 * 4 * 8**2 + 16 * 4 * 6 + 6 * 10
    }
    assert dense["macs"] > 2 * rows["norm"]["macs"]
    assert dense["accuracy"] == dense["before_accuracy"]
    chosen = {row["val_accuracy"] for row in rows.values()}
    assert len(chosen) == 3  # each chose other filters


def test_groups_go_by_each_method_at_the_same_cost(split, monkeypatch):
    """And the control is trained as long, at the same rate."""
    calls = []

    def fine_tune(model, split, *arguments, **options):
        calls.append((arguments, options, model.get_layer("conv_2a").kernel))
        return model

    monkeypatch.setattr(training, "fine_tune", fine_tune)
    dense = branches.branching(split, 1, "dense", 0, 300)
    methods = "norm", "norm, repaired", "random, repaired"
    rows = [
        branches.branching(split, 1, method, 0.5, 300) for method in methods
    ]
    recipe = {"learning_rate": 3e-3, "seed": 1}
    assert [call[:2] for call in calls] == [((60,), recipe)] * 4
    branches.branching(split, 1, "dense", 0, 1200)
    assert calls.pop()[:2] == ((240,), recipe)
    kernels = [call[2].numpy() for call in calls[1:]]
    for one, other in itertools.combinations(kernels, 2):
        assert not np.array_equal(one, other)
    stem, first = 9 * 2 * 28**2, 2 * 9 * 4 * 14**2
    second = (9 * 2 + 9 * 4 + 2) * 4 * 7**2 + 4 * 10
    assert {row["macs"] for row in rows} == {stem + first + second}
    assert dense["macs"] > 3 * rows[0]["macs"]
    assert dense["accuracy"] == dense["before_accuracy"]


def test_as_many_weights_are_left_in_blocks_of_each_size(split, monkeypatch):
    """And each is deployed as the file that skips its zeros."""
    monkeypatch.setattr(blocks, "WIDTHS", (640, 480, 320, 160))
    files, convert = {}, deploying.convert

    def kept(model, kind, sparse):
        files[method, kind] = convert(model, kind, sparse=sparse), sparse
        return files[method, kind][0]

    monkeypatch.setattr(deploying, "convert", kept)
    rows = {}
    for method in ("dense", *blocks.SIZES):
        rows[method] = blocks.blocks(split, 0, method, 0.2)
    sparse = {place: chosen for place, (_, chosen) in files.items()}
    assert sparse == {
        ("dense", "float"): False, ("dense", "dynamic int8"): False,
        ("weights", "float"): True, ("1 × 4", "float"): True,
        ("1 × 16", "dynamic int8"): True,
    }  # fmt: skip
    left = [rows[method][0]["nonzeros"] for method in blocks.SIZES]
    assert max(left) - min(left) <= 16
    assert max(left) < 0.25 * rows["dense"][0]["nonzeros"]
    sizes = [rows[method][0]["bytes"] for method in rows]
    assert sizes == sorted(sizes, reverse=True)
    row = rows["1 × 16"][0]
    file, _ = files["1 × 16", "dynamic int8"]
    said = measuring.accuracy(file, split.x_test, split.y_test)
    assert row["file_accuracy"] == said


@pytest.mark.parametrize("left", blocks.UNITS_GONE)
def test_units_that_are_left_have_as_many_weights(left):
    small = common.cut(networks.mlp(blocks.WIDTHS), blocks.UNITS_GONE[left])
    weights = sum(nonzeros(small).values())
    assert weights == pytest.approx(left * 2_506_752, rel=0.01)


@pytest.mark.parametrize("student", ["cut", "new"])
def test_students_have_one_shape_with_a_teacher_and_without(
    split, monkeypatch, student
):
    """Controls differ by the loss only: images, steps, rates are the same."""
    calls = []

    def fit(model, split, num_steps, **options):
        calls.append((num_steps, options))
        fitting.fit(model, split, 4, **options)

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(distilling, "fit", fit)
    rows = [
        cuts.distilled(split, 3, student, taught) for taught in (False, True)
    ]
    assert calls[0] == calls[1]
    assert calls[0] == (400, {"seed": 3, "learning_rate": 2e-3})
    inputs, units = [784, 15, 15, 8, 20], [15, 15, 8, 20, 10]
    assert {row["macs"] for row in rows} == {
        sum(map(np.multiply, inputs, units))
    }
    sizes = [row["int8_bytes"] for row in rows]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)  # names differ


def test_a_new_student_starts_from_its_seed_and_a_cut_one_from_the_baseline(
    split, monkeypatch
):
    starts = []
    monkeypatch.setattr(
        training, "fine_tune", lambda model, *_, **__: starts.append(model)
    )
    for student in ("cut", "new"):
        cuts._student(split, 3, student, taught=False)
    cut = common.cut(common.baseline(split, 3), 0.85)
    new = networks.mlp((15, 15, 8, 20), seed=3)
    for start, wanted in zip(starts, (cut, new), strict=True):
        weights = zip(start.get_weights(), wanted.get_weights(), strict=True)
        assert all(map(np.array_equal, *zip(*weights, strict=True)))


def test_rounds_leave_the_same_fraction_each_time(split):
    rows = rounds.rounds(split, 0, 0.3)
    assert [row["round"] for row in rows] == list(range(7))
    size = 784 * 12 + 12 * 6
    for number, row in enumerate(rows):
        zeros = round((1 - 0.7**number) * size)
        assert row["sparsity"] == pytest.approx(zeros / size)


@pytest.mark.parametrize(
    "method", ["one-shot", "rounds", "gradual", "gradual, 5 cuts", "random"]
)
def test_methods_end_at_the_same_sparsity(split, method, monkeypatch):
    monkeypatch.setattr(training, "fit", fitting.fit)  # all 400 steps
    model = rounds._after_equal_steps(split, 0, method, 0.9)
    assert nonzeros(model) == {"hidden_1": 941, "hidden_2": 7}


@pytest.mark.parametrize(
    ("method", "number"), [("gradual", 24), ("gradual, 5 cuts", 5)]
)
def test_a_cubic_is_followed_in_as_many_cuts(
    split, method, number, monkeypatch
):
    """Equal shape and end, so that nothing but the number of cuts differs."""
    seen = []
    monkeypatch.setattr(
        training, "fit", lambda *_, callbacks, **__: seen.extend(callbacks)
    )
    rounds._after_equal_steps(split, 0, method, 0.9)
    (prune,) = seen
    steps = range(0, 401, prune.frequency)
    wanted = [prune.schedule(step) for step in steps]
    assert len(set(wanted)) == 1 + number  # and the first is 0
    assert wanted[0] == 0
    assert prune.schedule(240) == wanted[number] == 0.9


def test_the_dense_control_is_trained_for_equally_long(split, monkeypatch):
    steps = []
    monkeypatch.setattr(
        training, "fit", lambda model, split, n, **options: steps.append(n)
    )
    for method in ("dense", "one-shot", "gradual"):
        rounds._after_equal_steps(split, 0, method, 0.5)
    assert steps == [400, 400, 400]  # a fifth of 2,000 on the sample


@pytest.mark.parametrize("start_step", [0, 3])
def test_tickets_are_rewound_and_their_masks_come_from_training(
    split, monkeypatch, start_step
):
    seen = []

    def train(ticket, split, seed):
        seen.append(pruning.copy_of(ticket))
        trained = pruning.copy_of(ticket)
        pruning.hold_zeros(trained)
        fitting.fit(trained, split, 5, learning_rate=0.05)
        return trained, {"early_stop": 1}

    monkeypatch.setattr(tickets, "_train_ticket", train)
    rows = tickets.rewinding(split, seed=0, start_step=start_step)
    started = {
        (row["method"], row["round"]): ticket
        for row, ticket in zip(rows, seen, strict=True)
    }
    assert len(started) == (10 if start_step else 14)
    start = started["rewound", 0].get_weights()[0]
    first = networks.mlp((30, 10), seed=0)
    at_first = np.array_equal(start, first.get_weights()[0])
    assert at_first == (start_step == 0)
    for (method, number), ticket in started.items():
        kernel = ticket.get_weights()[0]
        assert np.count_nonzero(kernel == 0) == round(
            (1 - 0.8**number) * kernel.size
        )
        same = np.array_equal(kernel, np.where(kernel, start, 0))
        assert same == (method == "rewound")
    by_start = pruning.prune_weights(started["rewound", 0], 0.2)
    by_start = by_start.get_weights()[0] == 0
    by_training = started["rewound", 1].get_weights()[0] == 0
    assert not np.array_equal(by_start, by_training)
    for number in (3, 5, 7, 9) if start_step == 0 else ():
        one = started["rewound", number]
        other = started["other weights", number]
        assert nonzeros(one) == nonzeros(other)


def test_random_tickets_keep_first_weights_and_the_number_of_each_layer(
    split, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        tickets,
        "_train_ticket",
        lambda ticket, *_: seen.append(ticket) or (ticket, {}),
    )
    for seed in (0, 1):
        row = tickets.random_tickets(split, seed, round=5)
        assert row == {"start_step": 0, "method": "random masks"}
        first = networks.mlp((30, 10), seed=seed)
        by_size = pruning.prune_weights(first, 1 - 0.8**5)
        assert nonzeros(seen[seed]) == nonzeros(by_size)
        kernel = seen[seed].get_weights()[0]
        kept = np.where(kernel, first.get_weights()[0], 0)
        assert np.array_equal(kernel, kept)
        assert not np.array_equal(kernel, by_size.get_weights()[0])
    masks = [ticket.get_weights()[0] != 0 for ticket in seen]
    assert not np.array_equal(*masks)


def test_a_ticket_is_judged_where_its_validation_loss_was_smallest(split):
    ticket = pruning.prune_weights(networks.mlp((30, 10)), 0.5)
    trained, row = tickets._train_ticket(ticket, split, seed=0)
    assert 100 <= row["early_stop"] <= 3000
    assert nonzeros(trained) == nonzeros(ticket)
    assert row["nonzeros"] < sum(w.size for w in ticket.get_weights()) * 0.51


@pytest.mark.parametrize("compression", [1, 12, 56])
def test_frontier_leaves_one_weight_in_so_many(split, compression):
    model = frontiers._frontier_network(
        split, 0, compression, epochs=2, ramp=(0, 1)
    )
    left = nonzeros(model, include_output=True)
    size = 784 * 30 + 30 * 10 + 10 * 10
    assert sum(left.values()) == pytest.approx(size / compression, abs=2)
    assert left["output"] == 100 - round(0.8 * (1 - 1 / compression) * 100)
    if compression > 1:
        assert left["hidden_2"] / 300 == pytest.approx(
            2 * left["hidden_1"] / 23_520, abs=1 / 300
        )


def test_frontier_drops_units_out_in_training_only(split):
    model = frontiers._with_dropout(networks.mlp((30, 10)), seed=0)
    x = split.x_test[:100]
    once, again = (np.array(model(x, training=True)) for _ in range(2))
    assert not np.array_equal(once, again)
    assert np.array_equal(model(x), networks.mlp((30, 10))(x))


@pytest.mark.parametrize("name", experiments.STUDIES)
def test_committed_results_are_those_of_the_study(name):
    path = experiments.RESULTS / f"{name}.csv"
    for sample in [False] if name in experiments.FULL_ONLY else [False, True]:
        table = studying.read(path, ["accuracy", "seconds"], sample)
        for _, axes in experiments.STUDIES[name]:
            axes = {"seed": experiments.SEEDS, "data": ["mnist"], **axes}
            axes["seed"] = axes.pop("seeds", axes["seed"])
            wanted = set(itertools.product(*axes.values()))
            rows = table[list(axes)].itertuples(index=False, name=None)
            assert wanted <= set(rows)
        # With next to no weights a network may fall below guessing.
        assert table["accuracy"].between(0, 1, inclusive="neither").all()
        whole = table[table["sparsity"] == 0] if "sparsity" in table else table
        assert not (whole["accuracy"] <= 0.75).any()


@pytest.fixture
def studied(tmp_path, monkeypatch):
    """Seeds of each study that is run, with a fraction that may change."""
    ran, fraction = [], {"is": 0.5}

    def study(experiment, seeds, sample, **axes):
        ran.append(list(seeds))
        table = pd.DataFrame({"seed": list(seeds)})
        source, seconds = "sample" if sample else "full", len(ran)
        return table.assign(
            data="mnist",
            source=source,
            seconds=seconds,
            fraction=fraction["is"],
        )

    monkeypatch.setattr(studying, "study", study)
    monkeypatch.setattr(experiments, "RESULTS", tmp_path)
    ((experiment, axes),) = experiments.STUDIES["rounds"]
    parts = [(experiment, axes), (experiment, {**axes, "seeds": FEW})]
    monkeypatch.setattr(experiments, "STUDIES", {"rounds": parts})
    return ran, fraction


def test_main_writes_what_the_notebooks_read(studied, tmp_path, capsys):
    __main__.main(["rounds"])
    for sample in (False, True):
        table = studying.read(tmp_path / "rounds.csv", ["fraction"], sample)
        assert list(table["seed"]) == [*experiments.SEEDS, *FEW]
    assert "rounds: 0.0 minutes\n" in capsys.readouterr().out
    assert not __main__.older()


@pytest.mark.parametrize("code", ["other code", "no code", "signed"])
@pytest.mark.parametrize("now", [0.5, 0.25])
def test_one_seed_says_if_new_code_gives_other_rows(
    studied, tmp_path, monkeypatch, capsys, now, code
):
    """If not, the file says by which seed, and its rows are as they were."""
    ran, fraction = studied
    path, every = tmp_path / "rounds.csv", [list(experiments.SEEDS), FEW] * 2
    __main__.main([])
    assert ran == every  # there was none
    lines = path.read_text().splitlines(keepends=True)
    header, rows = lines[:2], lines[3:]
    if code == "no code":
        path.write_text("".join(header + rows))
    if code == "signed":
        running.sign(path, [], 3)
    monkeypatch.setattr(running, "DECIDING", ())
    assert __main__.older() == ["rounds"]
    fraction["is"] = now
    __main__.main([])
    same = now == 0.5
    assert ran[4:] == [[1]] * 4 + ([] if same else every)
    assert ("one seed gave the same rows" in capsys.readouterr().out) == same
    assert not __main__.older()
    lines = path.read_text().splitlines(keepends=True)
    assert lines[:2] == header
    assert (lines[4:] == rows) == same
    assert [x for x in lines if "seed 1" in x] == lines[3:4] * same
    assert not [x for x in lines if "seed 3" in x]


def test_main_names_what_is_older_than_the_code(monkeypatch, capsys):
    monkeypatch.setattr(__main__, "run", None)
    monkeypatch.setattr(running, "DECIDING", ())  # as if all was edited
    __main__.main(["--list"])
    told = capsys.readouterr().out.splitlines()
    assert len(told) == len(experiments.STUDIES)
    for name, line in zip(experiments.STUDIES, told, strict=True):
        assert re.match(rf"to run: {name}, [1-9]\d* minutes of one core", line)


@pytest.mark.parametrize("name", experiments.STUDIES)
def test_a_study_is_of_this_code(name):
    if name in __main__.older():
        took = __main__.last_took(name)
        pytest.xfail(f"older than the code: make study, {took}")


@pytest.mark.parametrize("kind", ["weights", "units"])
@pytest.mark.parametrize("network", ["small", "large"])
def test_repair_and_retraining_start_from_the_same_mask(split, network, kind):
    rows = repairs.repair(split, 0, network, kind, 0.8)
    assert [row["stage"] for row in rows] == [
        "pruned", "repaired", "pruned, retrained", "repaired, retrained",
    ]  # fmt: skip
    if kind == "weights":
        assert np.ptp([row["nonzeros"] for row in rows]) < 200  # biases
    assert len({row["val_accuracy"] for row in rows}) >= 3


def test_the_dense_network_has_a_control_and_nothing_to_repair(split):
    rows = repairs.repair(split, 0, "small", "weights", 0)
    names = [row["stage"] for row in rows]
    assert names == ["pruned", "pruned, retrained"]
    assert {row["nonzeros"] for row in rows} == {784 * 30 + 300 + 100 + 50}


def test_budgets_and_scores_keep_as_many_weights(split, monkeypatch):
    seen = []
    monkeypatch.setattr(common, "LENET", (300, 100))  # a tenth is trained
    monkeypatch.setattr(common, "seen", lambda m, _: seen.append(m) or {})
    places = list(itertools.product(repairs.BUDGETS, repairs.SCORES))
    for budget, score in places:
        repairs.budgets(split, 0, budget, score, 0.8)
    pruned = [nonzeros(model) for model in seen[::3]]
    left = [sum(layers.values()) for layers in pruned]
    assert np.ptp(left) <= 1  # ERK rounds each layer
    assert len({tuple(layers.items()) for layers in pruned}) >= 7
    by_layer = {b: pruned[places.index((b, "Wanda"))] for b in repairs.BUDGETS}
    assert by_layer["layerwise"] == {"hidden_1": 4704, "hidden_2": 60}
    assert by_layer["ERK"]["hidden_2"] > 60


@pytest.mark.parametrize(
    ("experiment", "settings"),
    [
        (repairs.repair, ("huge", "weights", 0.5)),
        (repairs.repair, ("small", "filters", 0.5)),
        (repairs.budgets, ("fair", "Wanda", 0.5)),
        (repairs.budgets, ("ERK", "norm", 0.5)),
    ],
)
def test_settings_of_repair_that_are_not_known_are_refused(
    split, experiment, settings
):
    with pytest.raises(ValueError, match=r"is one of .*; got"):
        experiment(split, 0, *settings)
