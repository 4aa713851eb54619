"""Laws of training: the same images, a cache that never fails."""

import contextlib
import dataclasses
import functools
import shutil
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest

from helpers import checking, measuring, networks, pruning, training
from helpers.backend import keras

FILES = ["history.csv", "initial.keras", "model.keras"]


@pytest.fixture
def small_network(monkeypatch):
    """The cache's network, but small and trained for ten steps only."""
    small = functools.partial(networks.mlp, widths=(16, 8))
    monkeypatch.setattr(networks, "mlp", small)
    monkeypatch.setattr(training, "NUM_STEPS", 50)  # a fifth on the sample
    monkeypatch.setattr(training, "NUM_EPOCHS", 2)


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
    return [p for p in training.cache_folder().iterdir() if p.is_dir()]


@contextlib.contextmanager
def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("this trains again")

    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", refuse)
        yield


# Order


@pytest.mark.parametrize(("steps", "batch"), [(6, 100), (7, 100), (20, 64)])
def test_each_image_comes_once_before_any_comes_twice(split, steps, batch):
    order = training.batch_order(split, steps, batch, seed=0)
    assert order.shape == (steps, batch)
    for start in range(0, order.size, 600):
        epoch = order.ravel()[start : start + 600]
        assert len(np.unique(epoch)) == len(epoch)
        assert set(epoch) <= set(range(600))


def test_the_seed_decides_the_order(split):
    one, again, other = (
        training.batch_order(split, 12, 100, seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:6], one[6:])  # nor are epochs alike


def test_more_steps_begin_like_fewer(split):
    few, many = (training.batch_order(split, n, 50, 0) for n in (5, 30))
    assert np.array_equal(few, many[:5])


# Fit


class Steps(keras.callbacks.Callback):
    """Notes the learning rate of each optimizer step, by its number."""

    def __init__(self):
        super().__init__()
        self.rates = {}

    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        self.rates[int(optimizer.iterations)] = float(optimizer.learning_rate)


@pytest.mark.parametrize(("num_steps", "epochs"), [(1, 1), (6, 3)])
def test_fit_does_exactly_the_steps_asked(model, split, num_steps, epochs):
    steps = Steps()
    history = training.fit(
        model, split, num_steps, epochs=epochs, callbacks=[steps]
    )
    assert list(steps.rates) == list(range(num_steps))
    assert len(history.history["loss"]) == epochs


def test_learning_rate_falls_to_zero_along_a_cosine(model, split):
    steps = Steps()
    training.fit(model, split, 4, learning_rate=0.5, callbacks=[steps])
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(list(steps.rates.values()), expected, rtol=1e-6)


def test_fit_learns(model, split):
    training.fit(model, split, 30, learning_rate=1e-2)
    accuracy = measuring.accuracy(model, split.x_train, split.y_train)
    assert accuracy > 0.8


def test_fit_measures_the_validation_set_where_asked(model, split):
    held_out = (split.x_val, split.y_val)
    history = training.fit(model, split, 2, validation_data=held_out)
    (measured,) = history.history["val_accuracy"]
    accuracy = measuring.accuracy(model, split.x_val, split.y_val)
    assert measured == pytest.approx(accuracy)


def test_fit_is_adam_over_the_batches_in_their_order(trained, split):
    plain = pruning.copy_of(trained)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = keras.optimizers.schedules.CosineDecay(1e-2, 5)
    plain.compile(keras.optimizers.Adam(schedule), loss)
    for rows in training.batch_order(split, 5, 64, seed=1):
        plain.train_on_batch(split.x_train[rows], split.y_train[rows])
    training.fit(trained, split, 5, batch_size=64, learning_rate=1e-2, seed=1)
    for ours, keras_own in zip(
        trained.get_weights(), plain.get_weights(), strict=True
    ):
        np.testing.assert_allclose(ours, keras_own, atol=1e-5)


def test_a_trained_model_can_be_saved_and_loaded(trained, split, tmp_path):
    """With what Keras brings along: readers have no helpers of ours."""
    training.fit(trained, split, 1)
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert same(loaded, trained)
    assert type(loaded.optimizer) is keras.optimizers.Adam


def test_equal_training_gives_equal_weights(split):
    """Whatever was trained in between."""
    models = [networks.mlp(widths=(8,)) for _ in range(3)]
    for model, seed in zip(models, (5, 6, 5), strict=True):
        training.fit(model, split, 3, batch_size=16, seed=seed)
    assert same(models[0], models[2])
    assert not same(models[0], models[1])


@pytest.mark.parametrize(
    ("steps", "epochs"), [(0, 1), (-3, 1), (7, 2), (0.5, 1)]
)
def test_steps_that_cannot_be_done_are_refused(model, split, steps, epochs):
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"{epochs}.*got {steps}"):
        training.fit(model, split, steps, epochs=epochs)
    assert all(map(np.array_equal, before, model.get_weights()))


# Fine-tuning


def test_fit_holds_the_zeros_that_a_model_holds(trained, split):
    pruned = pruning.prune_units(trained, 0.5)
    before, masks = pruned.get_weights(), pruning.masks_of(pruned)
    detector = checking.RevivedWeights(masks)
    training.fit(pruned, split, 4, callbacks=[detector])
    assert (detector.steps, detector.worst) == (4, 0)
    for start, end in zip(before[:-2], pruned.get_weights(), strict=False):
        assert np.array_equal(start == 0, end == 0)  # biases, too


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


def test_fine_tuning_of_no_model_is_refused(split):
    with pytest.raises(ValueError, match="Keras model, got str"):
        training.fine_tune("mlp", split, 5)


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
def test_whatever_decides_the_weights_has_a_run_of_its_own(split, monkeypatch):
    fewer = dataclasses.replace(split, x_val=split.x_val[:-1])
    flipped = dataclasses.replace(split, y_train=split.y_train[::-1].copy())
    for data, seed in [(split, 0), (split, 1), (fewer, 0), (flipped, 0)]:
        training.baseline(data, seed)
    monkeypatch.setattr(training, "NUM_STEPS", 100)
    training.baseline(split)
    wider = functools.partial(networks.mlp, widths=(17, 8))
    monkeypatch.setattr(networks, "mlp", wider)
    training.baseline(split)
    assert len(cached_folders()) == 6


def test_cache_is_beside_the_package_unless_told(monkeypatch, tmp_path):
    assert training.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("PRUNING_CACHE_DIR")
    assert training.cache_folder().name == ".cache"


# A damaged cache


def truncate(folder):
    path = folder / "model.keras"
    path.write_bytes(path.read_bytes()[:-200])


def empty(folder):
    (folder / "model.keras").write_bytes(b"")


def put_another_network(folder):
    networks.mlp(widths=(5,)).save(folder / "model.keras")


def put_another_seed(folder):
    networks.mlp(seed=9).save(folder / "initial.keras")


def put_other_initial_weights(folder):
    shutil.copy(folder / "model.keras", folder / "initial.keras")


def put_nan(folder):
    model = keras.models.load_model(folder / "model.keras")
    weights = model.get_weights()
    weights[0][0, 0] = np.nan
    model.set_weights(weights)
    model.save(folder / "model.keras")


def lose_the_history(folder):
    (folder / "history.csv").unlink()


def empty_the_history(folder):
    (folder / "history.csv").write_text("")


def cut_the_history(folder):
    lines = (folder / "history.csv").read_text().splitlines()
    (folder / "history.csv").write_text("\n".join(lines[:-1]))


def lose_everything(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def become_a_file(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"")


DAMAGES = [
    truncate,
    empty,
    put_another_network,
    put_another_seed,
    put_other_initial_weights,
    put_nan,
    lose_the_history,
    empty_the_history,
    cut_the_history,
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
    assert str(training.cache_folder()) not in out
    assert err == ""
    for trained, initial in zip(
        run.model.get_weights(), run.initial.get_weights(), strict=True
    ):
        assert np.array_equal(trained, initial + 1)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert len(cached_folders()) == 1


@pytest.mark.usefixtures("instant_training")
def test_remains_of_a_killed_training_do_no_harm(split):
    training.baseline(split)
    (folder,) = cached_folders()
    folder.rename(f"{folder}.part")  # as if killed just before the end
    training.baseline(split)
    assert cached_folders() == [folder]
    assert sorted(path.name for path in folder.iterdir()) == FILES


TRAIN_AT_ONCE = """
import dataclasses, functools, hashlib, pathlib, sys, time
from helpers import datasets, networks, training

networks.mlp = functools.partial(networks.mlp, widths=(16, 8))
training.NUM_STEPS, training.NUM_EPOCHS = 50, 2
split = datasets.load("mnist")
here, number = pathlib.Path(sys.argv[1]), sys.argv[2]
(here / f"ready-{number}").touch()
while len(list(here.glob("ready-*"))) < 2:
    time.sleep(0.01)
weights = training.baseline(split).get_weights()
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
