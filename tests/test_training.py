"""Laws of training: held zeros, rounds, a cache that never fails."""

import contextlib
import dataclasses
import functools
import itertools
import shutil
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest

from helpers import (
    checking,
    fitting,
    masking,
    measuring,
    networks,
    pruning,
    training,
)
from helpers.engine import caching
from helpers.engine.backend import keras, tf

FILES = ["history.csv", "model.keras"]


@pytest.fixture
def small_network(monkeypatch):
    """The cache's network, but small and trained for ten steps only."""
    monkeypatch.setattr(networks, "mlp", shrunk)
    monkeypatch.setattr(training, "NUM_STEPS", 50)  # a fifth on the sample
    monkeypatch.setattr(training, "NUM_EPOCHS", 2)


def shrunk(widths=None, inputs=784, mlp=networks.mlp, **options):
    """`networks.mlp`, but small where the series' network is asked for."""
    wanted = None if widths == networks.WIDTHS else widths
    return mlp(wanted or (16, 8), inputs, **options)


def shifted(seed):
    """The same network by its configuration, from other weights."""
    model = networks.mlp((16, 8), seed=seed)
    model.set_weights([array + 1 for array in model.get_weights()])
    return model


def add_one(model, split, num_steps, epochs, **options):
    """Stands for training: takes no time, and its result is known."""
    model.set_weights([array + 1 for array in model.get_weights()])
    return types.SimpleNamespace(history={"val_accuracy": [0.5] * epochs})


@pytest.fixture
def instant_training(small_network, monkeypatch):
    monkeypatch.setattr(training, "fit", add_one)


def same(one, other):
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def cached_folders():
    return [p for p in caching.cache_folder().iterdir() if p.is_dir()]


@contextlib.contextmanager
def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("this trains again")

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", refuse)
        yield


# Fine-tuning


def test_fine_tuning_holds_zeros_at_every_step(trained, split):
    pruned = pruning.prune_weights(trained, 0.8)
    masks = pruning.masks_of(pruned)
    detector = checking.RevivedWeights(masks)
    tuned = training.fine_tune(pruned, split, 5, callbacks=[detector])
    assert (detector.steps, detector.worst) == (5, 0)
    for name, mask in pruning.masks_of(tuned).items():
        assert np.array_equal(mask, masks[name])
    assert not same(tuned, pruned)


def test_fine_tuning_without_holding_revives_weights(trained, split):
    pruned = pruning.prune_weights(trained, 0.8)
    detector = checking.RevivedWeights(pruning.masks_of(pruned))
    training.fine_tune(pruned, split, 3, hold_zeros=False, callbacks=[detector])
    assert detector.worst > 0


def test_fine_tuning_trains_a_copy_and_holds_pruned_units(trained, split):
    pruned = pruning.prune_units(trained, 0.5)
    before = pruned.get_weights()
    tuned = training.fine_tune(pruned, split, 5)
    assert all(map(np.array_equal, before, pruned.get_weights()))
    assert not pruned.compiled
    for layer in tuned.layers[:-1]:
        kernel, bias = layer.get_weights()
        assert np.array_equal(bias != 0, kernel.any(axis=0))


# Rounds and rewinding


def kernels_of(model):
    return pruning.prunable_kernels(model)


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize(("final", "rounds"), [(0.488, 3), (0.9, 2)])
def test_each_round_leaves_the_same_fraction(
    trained, split, scope, final, rounds
):
    history, pruned = training.prune_in_rounds(
        trained, split, final, rounds, num_steps=2, scope=scope
    )
    assert list(history.index) == list(range(rounds + 1))
    sizes = {name: kernel.size for name, kernel in kernels_of(trained).items()}
    if scope == "global":
        sizes = {"all": sum(sizes.values())}
    for number, sparsity in history["sparsity"].items():
        wanted = 1 - (1 - final) ** (number / rounds)
        zeros = sum(round(wanted * size) for size in sizes.values())
        assert sparsity == pytest.approx(zeros / sum(sizes.values()))
    counts = masking.zero_counts(kernels_of(pruned))
    assert sum(counts.values()) == zeros


def test_what_a_round_removes_stays_removed(trained, split):
    kept = []
    training.prune_in_rounds(
        trained, split, 0.8, rounds=3, num_steps=3,
        measure=lambda model: kept.append(kernels_of(model)) or {},
    )  # fmt: skip
    for before, after in itertools.pairwise(kept):
        for name, kernel in before.items():
            assert (after[name][kernel == 0] == 0).all()


def test_rounds_measure_the_validation_set_and_what_is_asked(trained, split):
    before = trained.get_weights()
    history, pruned = training.prune_in_rounds(
        trained, split, 0.5, rounds=2, num_steps=2,
        measure=lambda model: {"answer": 42},
    )  # fmt: skip
    for number, model in ((0, trained), (2, pruned)):
        seen = measuring.loss_and_accuracy(model, split.x_val, split.y_val)
        row = history.loc[number]
        assert row["val_loss"] == pytest.approx(seen["loss"])
        assert row["val_accuracy"] == pytest.approx(seen["accuracy"])
    assert (history["answer"] == 42).all()
    assert all(map(np.array_equal, before, trained.get_weights()))


def test_rounds_rewind_before_each_training(trained, model, split, monkeypatch):
    start = model.get_weights()
    trained = pruning.copy_of(trained)
    model.set_weights([w + 1 for w in start])
    seen = []
    monkeypatch.setattr(
        training,
        "fit",
        lambda m, *args, **options: seen.append(m.get_weights()),
    )
    training.prune_in_rounds(
        trained, split, 0.8, rounds=2, num_steps=2, rewind_to=model
    )
    assert len(seen) == 2
    for weights in seen:
        for array, first in zip(weights, model.get_weights(), strict=True):
            assert np.array_equal(array, np.where(array == 0, 0, first))


def test_rounds_go_on_from_the_sparsity_there_is(trained, split):
    sparse = pruning.prune_weights(trained, 0.5)
    history, pruned = training.prune_in_rounds(
        sparse, split, 0.875, rounds=2, num_steps=2
    )
    assert history["sparsity"].tolist() == pytest.approx(
        [0.5, 0.75, 0.875], abs=1e-3
    )
    for before, after in zip(
        kernels_of(sparse).values(), kernels_of(pruned).values(), strict=True
    ):
        assert (after[before == 0] == 0).all()


def test_rounds_cannot_make_a_network_denser(trained, split):
    sparse = pruning.prune_weights(trained, 0.9)
    with pytest.raises(ValueError, match=r"sparser already \(0\.9.*0\.5"):
        training.prune_in_rounds(sparse, split, 0.5, rounds=2, num_steps=2)


def test_rounds_that_would_empty_a_layer_fail_before_training(
    trained, split, monkeypatch
):
    monkeypatch.delattr(training, "fit")
    with pytest.raises(ValueError, match="leaves nothing of"):
        training.prune_in_rounds(trained, split, 0.9999, 3, num_steps=2)


def test_rewinding_leaves_deleted_units_deleted(trained, split):
    start = networks.mlp(widths=(32, 24, 16))
    start.set_weights([w + 0.5 for w in start.get_weights()])
    pruned = pruning.prune_units(trained, 0.5)
    for model in (pruned, pruning.copy_of(pruned)):
        training.rewind(model, to=start)
        training.fit(model, split, 3)
        for layer, before in zip(model.layers, pruned.layers, strict=True):
            dead = ~before.kernel.numpy().any(axis=0)
            assert not layer.kernel.numpy()[:, dead].any()
            assert not layer.bias.numpy()[dead].any()
            assert layer.bias.numpy()[~dead].all()


def test_survivors_are_rewound_bit_for_bit_and_the_others_stay_zero(
    trained, split
):
    start = networks.mlp(widths=(32, 24, 16))
    pruned = pruning.prune_weights(trained, 0.7)
    masks = pruning.masks_of(pruned)
    training.rewind(pruned, to=start)
    for layer, first in zip(pruned.layers, start.layers, strict=True):
        kernel, bias = layer.get_weights()
        initial, initial_bias = first.get_weights()
        assert np.array_equal(kernel, initial * masks[layer.name])
        assert np.array_equal(bias, initial_bias)


def test_a_rewound_network_keeps_its_zeros_in_training(trained, split):
    pruned = pruning.prune_weights(trained, 0.7)
    masks = pruning.masks_of(pruned)
    training.rewind(pruned, to=networks.mlp(widths=(32, 24, 16)))
    detector = checking.RevivedWeights(masks)
    training.fit(pruned, split, 4, callbacks=[detector])
    assert (detector.steps, detector.worst) == (4, 0)


def test_only_a_network_of_the_same_shape_can_be_rewound_to(trained):
    before = trained.get_weights()
    with pytest.raises(ValueError, match="pass the network it started from"):
        training.rewind(trained, networks.mlp((5,)))
    assert all(map(np.array_equal, before, trained.get_weights()))


@pytest.mark.parametrize("first", ["mask", "trace"])
def test_a_step_of_ones_own_holds_zeros_if_traced_after_the_mask(
    trained, split, first
):
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = fitting.loss_of(trained)(y, trained(x))
        variables = trained.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    if first == "trace":
        step(split.x_train, split.y_train)
    for sparsity in (0.5, 0.8):  # a later mask is seen by the same trace
        scores = masking.magnitude_scores(kernels_of(trained))
        masks = masking.layerwise_masks(scores, sparsity)
        pruning.apply_masks(trained, masks)
        step(split.x_train, split.y_train)
        kernels = kernels_of(trained).items()
        revived = {
            name: kernel[masks[name] == 0].any() for name, kernel in kernels
        }
        assert any(revived.values()) == (first == "trace")


# The cache


@pytest.mark.usefixtures("small_network")
def test_second_call_trains_nothing(split, monkeypatch, capsys):
    first = training.baseline_run(split)
    assert "training on mnist" in capsys.readouterr().out
    with no_training(monkeypatch):
        second = training.baseline_run(split)
    assert same(first.model, second.model)
    assert same(first.initial, second.initial)
    pd.testing.assert_frame_equal(first.history, second.history)
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("small_network")
def test_baseline_is_trained_from_its_seed(split):
    run = training.baseline_run(split, seed=3)
    assert same(run.initial, networks.mlp(seed=3))
    assert not same(run.model, run.initial)
    assert list(run.history.index) == [1, 2]
    assert set(run.history) >= {"accuracy", "val_accuracy", "loss", "val_loss"}
    assert same(training.baseline(split, seed=3), run.model)


@pytest.mark.usefixtures("instant_training")
def test_a_name_is_loaded_as_a_data_set(sample, monkeypatch):
    run = training.baseline_run(sample)
    with no_training(monkeypatch):
        assert same(training.baseline("mnist"), run.model)


@pytest.mark.usefixtures("instant_training")
def test_cache_holds_whole_runs_only(split):
    training.baseline(split)
    (folder,) = cached_folders()
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert folder.suffix != ".part"


@pytest.mark.usefixtures("instant_training")
def test_another_network_is_built_from_the_seed_and_cached(split, monkeypatch):
    build = functools.partial(networks.lenet, (4, 5), (6,))
    run = training.baseline_run(split, seed=2, build=build)
    assert same(run.initial, build(seed=2))
    with no_training(monkeypatch):
        again = training.baseline(split, seed=2, build=build)
    assert same(again, run.model)


def test_a_baseline_learns_at_the_rate_that_is_asked(split):
    runs = [
        training.baseline(split, widths=(8,), num_steps=50, learning_rate=rate)
        for rate in (1e-6, 1e-2)
    ]
    start = networks.mlp((8,)).get_weights()[0]
    moved = [np.abs(run.get_weights()[0] - start).max() for run in runs]
    assert moved[0] < 1e-3 < moved[1]


@pytest.mark.usefixtures("instant_training")
def test_whatever_decides_the_weights_has_a_run_of_its_own(split, monkeypatch):
    fewer = dataclasses.replace(split, x_val=split.x_val[:-1])
    flipped = dataclasses.replace(split, y_train=split.y_train[::-1].copy())
    for data, seed in [(split, 0), (split, 1), (fewer, 0), (flipped, 0)]:
        training.baseline(data, seed)
    monkeypatch.setattr(training, "NUM_STEPS", 100)
    training.baseline(split)
    training.baseline(split, widths=(17, 8))
    training.baseline(split, num_steps=30)
    training.baseline(split, learning_rate=1e-3)  # as it is
    training.baseline(split, learning_rate=2e-3)
    training.baseline(split, build=networks.lenet)
    training.baseline(split, build=shifted)
    assert len(cached_folders()) == 10


# A damaged cache


def truncate(folder):
    path = folder / "model.keras"
    path.write_bytes(path.read_bytes()[:-200])


def empty(folder):
    (folder / "model.keras").write_bytes(b"")


def put_another_network(folder):
    networks.mlp(widths=(5,)).save(folder / "model.keras")


def lose_the_history(folder):
    (folder / "history.csv").unlink()


def empty_the_history(folder):
    (folder / "history.csv").write_text("")


def lose_everything(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def become_a_file(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"")


def flip_a_byte(folder):
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / "model.keras").write_bytes(content)


DAMAGES = [
    truncate,
    empty,
    flip_a_byte,
    put_another_network,
    lose_the_history,
    empty_the_history,
    lose_everything,
    become_a_file,
]


@pytest.mark.usefixtures("instant_training")
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_damaged_cache_is_trained_again_with_one_notice(split, damage, capfd):
    training.baseline(split)
    (folder,) = cached_folders()
    damage(folder)
    capfd.readouterr()
    run = training.baseline_run(split)
    out, err = capfd.readouterr()
    notice, *bar = out.splitlines()
    assert notice.endswith("training it again.")
    assert "again" not in "".join(bar)
    assert str(caching.cache_folder()) not in out
    assert err == ""
    for trained, initial in zip(
        run.model.get_weights(), run.initial.get_weights(), strict=True
    ):
        assert np.array_equal(trained, initial + 1)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert len(cached_folders()) == 1


def put_code(folder, leaves):
    """A network with a function that makes the file `leaves`."""
    path = str(leaves)
    act = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Sequential([keras.Input((784,)), act]).save(folder / "model.keras")
    leaves.unlink()


@pytest.mark.usefixtures("instant_training")
def test_code_in_the_cache_is_not_run(split, tmp_path, capsys):
    training.baseline(split)
    (folder,) = cached_folders()
    put_code(folder, tmp_path / "left")
    training.baseline(split)
    assert "damaged" in capsys.readouterr().out
    assert not (tmp_path / "left").exists()


@pytest.mark.usefixtures("instant_training")
def test_remains_of_a_killed_training_do_no_harm(split):
    training.baseline(split)
    (folder,) = cached_folders()
    folder.rename(f"{folder}.part")  # as if killed just before the end
    training.baseline(split)
    assert cached_folders() == [folder]
    assert sorted(path.name for path in folder.iterdir()) == FILES


TRAIN_AT_ONCE = """
import hashlib, pathlib, sys, time
from helpers import datasets, training

training.NUM_STEPS, training.NUM_EPOCHS = 50, 2
split = datasets.load("mnist")
here, number = pathlib.Path(sys.argv[1]), sys.argv[2]
(here / f"ready-{number}").touch()
while len(list(here.glob("ready-*"))) < 2:
    time.sleep(0.01)
weights = training.baseline(split, widths=(16, 8)).get_weights()
digest = hashlib.sha256(b"".join(w.tobytes() for w in weights))
print("weights", digest.hexdigest())
"""


def test_two_processes_at_once_train_once(tmp_path):
    command = [sys.executable, "-c", TRAIN_AT_ONCE, str(tmp_path)]
    both = [
        subprocess.Popen(
            [*command, number], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for number in "12"
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [err for _, err in outputs] == [b"", b""]
    text = [out.decode() for out, _ in outputs]
    assert sum("training on mnist" in out for out in text) == 1
    digests = {out.split("weights ")[1] for out in text}
    assert len(digests) == 1
    assert len(cached_folders()) == 1
