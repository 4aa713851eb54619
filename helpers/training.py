"""Train a baseline, cached on disk, and fine-tune with zeros held."""

import hashlib
import json
import math
import os
import pathlib
import shutil
import sys
from typing import NamedTuple

import filelock
import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers import datasets, networks, pruning
from helpers.backend import keras, tf

NUM_STEPS, NUM_EPOCHS = 4000, 10  # about nine passes over the full data


class Baseline(NamedTuple):
    """A trained network, the weights it started from, and its history."""

    model: keras.Model
    initial: keras.Model
    history: pd.DataFrame


def baseline(dataset, seed=0):
    """The trained 784-1000-1000-500-200-10 network, from the cache if there.

    Args:
        dataset: a name that `datasets.load` knows, or a `Split`.
        seed: decides the initial weights and the order of the images.
    """
    return baseline_run(dataset, seed).model


def baseline_run(dataset, seed=0):
    """As `baseline`, with the initial network and the history of training.

    Returns:
        Baseline: `history` has one row per epoch: accuracy and loss on the
        training images, `val_accuracy` and `val_loss` on the validation set.
    """
    split = datasets.load(dataset) if isinstance(dataset, str) else dataset
    initial = networks.mlp(inputs=split.x_train.shape[1], seed=seed)
    folder = cache_folder() / _key(initial, split, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        cached = _read_run(folder, initial)
        return cached or _write_run(folder, initial, split, seed)


def cache_folder():
    """Where baselines are kept: `$PRUNING_CACHE_DIR`, else `.cache` here."""
    beside = pathlib.Path(__file__).parents[1] / ".cache"
    return pathlib.Path(os.environ.get("PRUNING_CACHE_DIR", beside))


def fine_tune(model, split, num_steps, hold_zeros=True, **options):
    """A copy of `model`, trained for `num_steps` with its zeros held.

    The same seed gives the same images in the same order, so a pruned
    network and its control differ in nothing else. `options` go to `fit`.
    `hold_zeros=False` is the mistake that notebook 04 shows.
    """
    student = pruning.copy_of(model)
    if hold_zeros:
        pruning.hold_zeros(student)
    fit(student, split, num_steps, **options)
    return student


def fit(
    model,
    split,
    num_steps,
    batch_size=128,
    learning_rate=1e-3,
    seed=0,
    epochs=1,
    **options,
):
    """Train with Adam, the learning rate falling to 0 along a cosine.

    **Changes `model`**; zeros that it holds stay. The steps are divided into
    `epochs` equal parts. `options` go to Keras' `fit`, whose history is
    returned.
    """
    if num_steps < 1 or num_steps % epochs:
        raise ValueError(
            f"`num_steps` is a positive multiple of `epochs` ({epochs}); "
            f"got {num_steps}."
        )
    per_epoch = num_steps // epochs
    # Ten steps in one call are faster, but callbacks would not see each.
    per_call = 1 if options.get("callbacks") else math.gcd(per_epoch, 10)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    model.compile(
        _adam(schedule),
        _loss(model),
        metrics=["accuracy"],
        steps_per_execution=per_call,
    )
    model.optimizer.build(model.trainable_variables)  # half the compile time
    order = batch_order(split, num_steps, batch_size, seed)
    return model.fit(
        _stream(split, order),
        epochs=epochs,
        steps_per_epoch=per_epoch,
        verbose=0,
        shuffle=False,  # `batch_order` has done it
        **options,
    )


def batch_order(split, num_steps, batch_size, seed):
    """Which training images each step sees: shape (num_steps, batch_size).

    Every image comes once before any comes twice.
    """
    size, needed = len(split.x_train), num_steps * batch_size
    random = np.random.default_rng(seed)
    epochs = [random.permutation(size) for _ in range(-(-needed // size))]
    return np.concatenate(epochs)[:needed].reshape(num_steps, batch_size)


def progress(items, label):
    """A progress bar over `items`, on stdout, where notebooks keep it."""
    return tqdm(items, desc=label, file=sys.stdout, ncols=96, mininterval=0.5)


def _loss(model):
    """Cross-entropy: of one sigmoid output, or of a logit for each class."""
    if model.output_shape[-1] == 1:
        return keras.losses.BinaryCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _adam(schedule):
    """Keras' Adam on one device, whose compiled steps can be freed.

    Summing gradients over devices leaves a reference to every compiled step
    in a list that TensorFlow never empties: 40 MB a fit for our network. Not
    a class of its own, so that saved models can be loaded anywhere.
    """
    optimizer = keras.optimizers.Adam(schedule)
    optimizer._all_reduce_sum_gradients = lambda pairs: pairs
    return optimizer


class ProgressBar(keras.callbacks.Callback):
    """One progress bar over all epochs, with the accuracy so far."""

    def __init__(self, label, epochs):
        super().__init__()
        self.bar = progress(range(epochs), label)

    def on_epoch_end(self, epoch, logs=None):
        """Move the bar by one epoch."""
        shown = f"validation accuracy {logs['val_accuracy']:.4f}"
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update()

    def on_train_end(self, logs=None):
        """Leave the full bar behind."""
        self.bar.close()


def _stream(split, order):
    """The batches as a dataset that is not tuned as it runs.

    The threads that tune it would outlive each `fit` by seconds.
    """
    x, y = split.x_train, split.y_train
    options = tf.data.Options()
    options.autotune.enabled = False
    return (
        tf.data.Dataset.from_generator(
            lambda: ((x[rows], y[rows]) for rows in order),
            output_signature=(
                tf.TensorSpec((None, *x.shape[1:]), x.dtype),
                tf.TensorSpec((None,), y.dtype),
            ),
        )
        .prefetch(2)
        .with_options(options)
    )


def _key(initial, split, seed):
    """A folder name made from everything that decides the trained weights."""
    decides = {
        "network": json.loads(initial.to_json()),
        "data": split.fingerprint,
        "steps": split.steps(NUM_STEPS),
        "seed": seed,
        "versions": [keras.__version__, tf.__version__],
        "recipe": "Adam 1e-3, cosine, batch 128",
    }
    text = json.dumps(decides, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{split.name}-seed{seed}-{digest}"


def _read_run(folder, initial):
    """The cached run, or None after a notice that says why not."""
    if not folder.exists():
        return None
    try:
        run = Baseline(
            keras.models.load_model(folder / "model.keras", compile=False),
            keras.models.load_model(folder / "initial.keras", compile=False),
            pd.read_csv(folder / "history.csv", index_col="epoch"),
        )
        _check_run(run, initial)
        return run
    except Exception as error:  # whatever is wrong with it, train again
        print(
            f"The cached network {folder.name} is damaged "
            f"({type(error).__name__}); training it again."
        )
        return None


def _check_run(run, initial):
    for model in (run.model, run.initial):
        if json.loads(model.to_json()) != json.loads(initial.to_json()):
            raise ValueError("it is another network")
    pairs = zip(run.initial.get_weights(), initial.get_weights(), strict=True)
    if not all(np.array_equal(kept, fresh) for kept, fresh in pairs):
        raise ValueError("it started from other weights")
    if len(run.history) != NUM_EPOCHS or run.history.isna().any(axis=None):
        raise ValueError("its history has gaps")
    if not all(np.isfinite(array).all() for array in run.model.get_weights()):
        raise ValueError("it has weights that are not numbers")


def _write_run(folder, initial, split, seed):
    """Train, then write all three files aside and move them in at once."""
    trained = pruning.copy_of(initial)
    history = fit(
        trained, split, split.steps(NUM_STEPS), seed=seed, epochs=NUM_EPOCHS,
        validation_data=(split.x_val, split.y_val),
        callbacks=[ProgressBar(f"training on {split.name}", NUM_EPOCHS)],
    )  # fmt: skip
    table = pd.DataFrame(history.history)
    table.index = pd.RangeIndex(1, len(table) + 1, name="epoch")
    part = folder.with_suffix(".part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
        old.unlink(missing_ok=True)  # if it was no folder
    part.mkdir()
    model = pruning.copy_of(trained)  # without the optimizer's state
    model.save(part / "model.keras")
    initial.save(part / "initial.keras")
    table.to_csv(part / "history.csv")
    os.replace(part, folder)
    return Baseline(model, initial, table)
