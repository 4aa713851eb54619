"""Laws of schedules: exact at every step, and zeros never come back."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import sparsities

from helpers import (
    distilling,
    fitting,
    masking,
    networks,
    pruning,
    scheduling,
)
from helpers.engine.backend import keras

SCHEDULES = {
    "one-shot": scheduling.one_shot(0.9),
    "rounds": scheduling.in_rounds(0.9, rounds=3, steps_per_round=4),
    "gradual": scheduling.gradual(0.9, begin_step=2, end_step=8),
}


@pytest.fixture
def network():
    return networks.mlp(widths=(20, 10))


def zeros_of(model):
    kernels = pruning.prunable_kernels(model, include_output=True)
    return masking.zero_counts(kernels)


# Schedules


@pytest.mark.parametrize("sparsity_at", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_rises_to_its_final_sparsity_and_stays(sparsity_at):
    values = [sparsity_at(step) for step in range(30)]
    assert values == sorted(values)
    assert values[-10:] == [pytest.approx(0.9)] * 10


@given(sparsities, sparsities, st.integers(1, 20), st.integers(0, 20))
def test_any_schedule_is_a_sparsity_that_never_falls(one, other, n, begin):
    low, high = sorted((float(one), float(other)))
    for sparsity_at in (
        scheduling.one_shot(high),
        scheduling.in_rounds(high, n, n),
        scheduling.gradual(high, begin, begin + n, low),
    ):
        values = [sparsity_at(step) for step in range(n * n + begin + 2)]
        assert values == sorted(values)
        assert values[0] >= 0
        assert values[-1] == pytest.approx(high)
        assert values[-1] < 1


def test_one_shot_prunes_before_the_first_step():
    assert scheduling.one_shot(0.4)(0) == 0.4


@pytest.mark.parametrize(("final", "rounds"), [(0.5, 1), (0.8, 4), (0.99, 7)])
def test_each_round_takes_the_same_fraction_of_the_rest(final, rounds):
    sparsity_at = scheduling.in_rounds(final, rounds, steps_per_round=10)
    left = [1] + [1 - sparsity_at(10 * n) for n in range(rounds)]
    ratios = np.divide(left[1:], left[:-1])
    np.testing.assert_allclose(ratios, (1 - final) ** (1 / rounds))
    assert sparsity_at(9) == sparsity_at(0)
    assert sparsity_at(10 * (rounds - 1)) == pytest.approx(final)


def test_gradual_is_the_cubic_of_zhu_and_gupta():
    sparsity_at = scheduling.gradual(0.8, 100, 500, initial_sparsity=0.2)
    for step in (100, 200, 300, 450, 500):
        share = (step - 100) / 400
        expected = 0.8 + (0.2 - 0.8) * (1 - share) ** 3
        assert sparsity_at(step) == pytest.approx(expected)
    assert (sparsity_at(0), sparsity_at(900)) == pytest.approx((0.2, 0.8))


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (scheduling.gradual, (0.5, 0, 10, 0.9), r"0\.9.*above.*0\.5"),
        (scheduling.gradual, (0.8, 10, 10), "`end_step`; got 10 and 10"),
        (scheduling.gradual, (0.8, -1, 10), "got -1 and 10"),
        (scheduling.PruneOnSchedule, (0.9,), r"function.*got 0\.9"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(*arguments)


# Pruning while training


class Zeros(keras.callbacks.Callback):
    """Notes which weights are zero after every step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        kernels = pruning.prunable_kernels(self.model)
        self.seen.append({k: kernel == 0 for k, kernel in kernels.items()})


@pytest.mark.parametrize("sparsity_at", SCHEDULES.values(), ids=SCHEDULES)
def test_zeros_are_as_many_as_scheduled_after_every_step(
    network, split, sparsity_at
):
    zeros = Zeros()  # first: it looks before the next pruning
    prune = scheduling.PruneOnSchedule(sparsity_at, frequency=1)
    fitting.fit(network, split, 12, learning_rate=0.05,
                callbacks=[zeros, prune])  # fmt: skip
    for step, seen in enumerate(zeros.seen):
        for zero in seen.values():
            assert zero.sum() == round(sparsity_at(step) * zero.size)


@pytest.mark.parametrize(
    "optimizer",
    [keras.optimizers.Adam(0.05), keras.optimizers.SGD(0.2, momentum=0.9)],
    ids=["Adam", "momentum"],
)
def test_what_was_pruned_stays_pruned(network, split, optimizer):
    zeros = Zeros()
    prune = scheduling.PruneOnSchedule(SCHEDULES["gradual"], frequency=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer, loss)
    network.fit(split.x_train, split.y_train, batch_size=50, verbose=0,
                callbacks=[zeros, prune])  # fmt: skip
    for before, after in itertools.pairwise(zeros.seen):
        for name, zero in before.items():
            assert (after[name] | ~zero).all()


def test_a_model_that_was_trained_before_is_pruned_as_well(network, split):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss)
    data = split.x_train, split.y_train
    network.fit(*data, verbose=0)
    prune = scheduling.PruneOnSchedule(scheduling.one_shot(0.5), frequency=7)
    network.fit(*data, batch_size=100, verbose=0, callbacks=[prune])
    assert zeros_of(network)["hidden_1"] == 784 * 10


@pytest.mark.parametrize(("steps", "frequency"), [(10, 5), (10, 4), (3, 50)])
def test_the_last_sparsity_is_that_of_the_last_step(
    network, split, steps, frequency
):
    sparsity_at = scheduling.gradual(0.9, 0, 10)
    prune = scheduling.PruneOnSchedule(sparsity_at, frequency)
    fitting.fit(network, split, steps, callbacks=[prune])
    assert zeros_of(network)["hidden_1"] == round(sparsity_at(steps) * 15_680)


def test_each_layer_can_have_a_schedule_of_its_own(network, split):
    schedule = {
        "hidden_1": scheduling.one_shot(0.5),
        "output": scheduling.one_shot(0.3),
    }
    prune = scheduling.PruneOnSchedule(schedule, frequency=2)
    fitting.fit(network, split, 4, callbacks=[prune])
    assert zeros_of(network) == {"hidden_1": 7840, "hidden_2": 0, "output": 30}


def test_zeros_from_before_stay_even_beyond_the_schedule(network, split):
    pruned = pruning.prune_weights(network, 0.9)
    before = pruned.get_weights()
    prune = scheduling.PruneOnSchedule(scheduling.one_shot(0.5), frequency=2)
    fitting.fit(pruned, split, 6, learning_rate=0.05, callbacks=[prune])
    for start, end in zip(
        before[:4:2], pruned.get_weights()[:4:2], strict=True
    ):
        assert np.array_equal(start == 0, end == 0)


def test_a_layer_that_is_not_there_is_named(network, split):
    prune = scheduling.PruneOnSchedule({"hidden_9": scheduling.one_shot(0.5)})
    with pytest.raises(ValueError, match="no prunable layer 'hidden_9'"):
        fitting.fit(network, split, 2, callbacks=[prune])


def test_the_output_layer_is_spared_unless_named(network, split):
    prune = scheduling.PruneOnSchedule(scheduling.one_shot(0.5))
    fitting.fit(network, split, 2, callbacks=[prune])
    assert zeros_of(network) == {"hidden_1": 7840, "hidden_2": 100, "output": 0}


def test_sparsities_are_noted_by_step(network, split):
    prune = scheduling.PruneOnSchedule(SCHEDULES["rounds"], frequency=4)
    fitting.fit(network, split, 12, callbacks=[prune])
    assert list(prune.sparsities) == [0, 4, 8, 12]
    for step, sparsity in prune.sparsities.items():
        assert sparsity == pytest.approx(SCHEDULES["rounds"](step), abs=1e-4)


def test_steps_in_one_call_change_nothing(split):
    """With a frequency of 10, ten steps run in one call."""
    results = []
    for callbacks in ([], [keras.callbacks.LambdaCallback()], [Zeros()]):
        network = networks.mlp(widths=(20, 10))
        prune = scheduling.PruneOnSchedule(SCHEDULES["gradual"], frequency=10)
        fitting.fit(network, split, 20, callbacks=[prune, *callbacks])
        results.append(network.get_weights())
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)
            assert np.array_equal(one == 0, two == 0)


def compiled(network, **options):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(), loss, **options)
    return network


@pytest.mark.parametrize("first", [True, False])
def test_what_another_callback_gives_back_is_pruned_again(
    network, split, first
):
    """The best epoch lies inside the ramp, wherever the callback stands."""
    prune = scheduling.PruneOnSchedule(scheduling.gradual(0.8, 0, 24), 6)
    keep = keras.callbacks.EarlyStopping(
        "loss", mode="max", restore_best_weights=True, patience=9
    )
    compiled(network).fit(
        split.x_train, split.y_train, batch_size=100, epochs=4, verbose=0,
        callbacks=[prune, keep] if first else [keep, prune],
    )  # fmt: skip
    assert keep.best_epoch == 0
    assert zeros_of(network)["hidden_1"] == round(0.8 * 15_680)
    assert prune.sparsities[24] == pytest.approx(0.8, abs=1e-4)


def test_it_prunes_whenever_a_multiple_was_passed(network, split):
    prune = scheduling.PruneOnSchedule(SCHEDULES["gradual"], frequency=5)
    compiled(network, steps_per_execution=4).fit(
        split.x_train, split.y_train, batch_size=30, verbose=0,
        callbacks=[prune],
    )  # fmt: skip
    assert list(prune.sparsities) == [0, 8, 12, 16, 20]


def test_the_student_of_a_distiller_is_pruned(network, split):
    prune = scheduling.PruneOnSchedule(SCHEDULES["gradual"], frequency=2)
    student = distilling.distill(
        networks.mlp((8,)), network, split, 12, callbacks=[prune]
    )
    assert zeros_of(student)["hidden_1"] == round(0.9 * 15_680)


def test_a_loop_of_ones_own_may_call_it(network, split):
    prune = scheduling.PruneOnSchedule(SCHEDULES["one-shot"])
    callbacks = keras.callbacks.CallbackList([prune], model=compiled(network))
    callbacks.on_train_begin()
    network.train_on_batch(split.x_train, split.y_train)
    callbacks.on_train_end()
    assert zeros_of(network)["hidden_1"] == round(0.9 * 15_680)
