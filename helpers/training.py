"""Train a baseline, cached on disk; fine-tune, prune in rounds, rewind."""

import dataclasses
import functools
import hashlib
import json
from typing import NamedTuple

import pandas as pd

from helpers import datasets, masking, measuring, networks, pruning
from helpers.engine import caching, doors, holding
from helpers.engine.backend import keras, tf
from helpers.engine.bars import progress
from helpers.engine.doors import COUNT, MODEL, SPLIT, door, optional
from helpers.fitting import fit

NUM_STEPS, NUM_EPOCHS = 4000, 10  # about nine passes over the full data
DATASET = dataclasses.replace(
    SPLIT,
    fits=lambda value: isinstance(value, str) or SPLIT.fits(value),
    expected="a name or a `datasets.Split`",
)


class Baseline(NamedTuple):
    """A trained network, the weights it started from, and its history."""

    model: keras.Model
    initial: keras.Model
    history: pd.DataFrame


def baseline(dataset, seed=0, widths=networks.WIDTHS, **options):
    """The trained 784-1000-1000-500-200-10 network, from the cache if there.

    Args:
        dataset: a name that `datasets.load` knows, or a `Split`.
        seed: decides the initial weights and the order of the images.
        widths: units of the hidden layers.
        options: `num_steps` instead of 4,000; `learning_rate`, at first,
            instead of 1e-3; `build`, a function of `seed`, such as
            `networks.lenet`, that makes another network.
    """
    return baseline_run(dataset, seed, widths, **options).model


@door(dataset=DATASET, seed=doors.SEED, build=optional(doors.FUNCTION),
      num_steps=optional(COUNT), learning_rate=doors.RATE)  # fmt: skip
def baseline_run(
    dataset, seed=0, widths=networks.WIDTHS, build=None, num_steps=None,
    learning_rate=1e-3,
):  # fmt: skip
    """As `baseline`, with the initial network and the history of training.

    Returns:
        Baseline: `history` has one row per epoch: accuracy and loss on the
        training images, `val_accuracy` and `val_loss` on the validation set.
    """
    split = datasets.load(dataset) if isinstance(dataset, str) else dataset
    inputs = split.x_train.shape[-1]
    build = build or functools.partial(networks.mlp, widths, inputs)
    initial, num_steps = build(seed=seed), split.steps(num_steps or NUM_STEPS)
    recipe = {
        "seed": seed, "num_steps": num_steps, "learning_rate": learning_rate,
    }  # fmt: skip
    folder = caching.cache_folder() / _key(initial, split, **recipe)
    with caching.one_at_a_time(folder):
        run = _read_run(folder, initial)
        if run is None:
            run = _train(initial, split, **recipe)
            _keep(run, folder)
    return run


@door(model=MODEL)
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


@door(model=MODEL, split=SPLIT, final_sparsity=doors.SPARSITY, rounds=COUNT,
      num_steps=COUNT, rewind_to=optional(MODEL),
      measure=optional(doors.FUNCTION))  # fmt: skip
def prune_in_rounds(
    model, split, final_sparsity, rounds, num_steps, scope="layer",
    rewind_to=None, measure=None, **options,
):  # fmt: skip
    """Prune a fraction of what is left, train, and again, `rounds` times.

    The density falls in equal ratios: from a dense `model`, it is
    `(1 - final_sparsity) ** (n / rounds)` after round n, as an exact count
    of weights. All rounds see the same images in the same order.

    Args:
        num_steps: training steps after each pruning, zeros held.
        rewind_to: an earlier network, to which the surviving weights are
            rewound before each training (Frankle and Carbin, 2019).
        measure: called with the network before the first and after each
            round; returns a dict of more columns for the history.
        options: go to `fit`.

    Returns:
        A DataFrame by round: `sparsity`, `val_loss`, `val_accuracy` and what
        `measure` returns; and the network after the last round.
    """
    pruning.prune_weights(model, final_sparsity, scope)  # or refuse it now
    start = masking.sparsity_of(pruning.prunable_kernels(model))
    if start > final_sparsity:
        raise ValueError(
            f"The network is sparser already ({start:.4f}) than "
            f"`final_sparsity` ({final_sparsity}); pass a higher one."
        )
    ratio = (1 - final_sparsity) / (1 - start)
    rows = [_round_row(0, model, split, measure)]
    with progress(range(1, rounds + 1), "rounds") as numbers:
        for number in numbers:
            sparsity = 1 - (1 - start) * ratio ** (number / rounds)
            model = pruning.prune_weights(model, sparsity, scope)
            if rewind_to is not None:
                rewind(model, rewind_to)
            fit(model, split, num_steps, **options)
            rows.append(_round_row(number, model, split, measure))
    return pd.DataFrame(rows).set_index("round"), model


@door(model=MODEL, to=MODEL)
def rewind(model, to):
    """Give the surviving weights the values they have in `to`; biases too.

    **Changes `model`.** Its zeros stay and are held. `to` is an earlier
    network of the same shape, such as `baseline_run(...).initial`.
    Nothing is changed where `to` does not fit.
    """
    shapes = [[tuple(w.shape) for w in m.weights] for m in (model, to)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"Cannot rewind a network with weights of shapes {shapes[0]} to "
            f"one with {shapes[1]}; pass the network it started from."
        )
    doors.FINITE.check("to", pruning.prunable_kernels(to, include_output=True))
    zeros = pruning.zeros_of(model)
    holding.hold(model, zeros)  # or refuse it now
    model.set_weights(to.get_weights())
    holding.hold(model, zeros)


def _round_row(number, model, split, measure):
    seen = measuring.loss_and_accuracy(model, split.x_val, split.y_val)
    return {
        "round": number,
        "sparsity": masking.sparsity_of(pruning.prunable_kernels(model)),
        **{f"val_{name}": value for name, value in seen.items()},
        **(measure(model) if measure else {}),
    }


def _key(initial, split, seed, num_steps, learning_rate):
    """A folder name made from everything that decides the trained weights."""
    decides = {
        "network": initial.to_json(),
        "data": split.fingerprint,
        "steps": num_steps,
        "seed": seed,
        "versions": [keras.__version__, tf.__version__],
        "recipe": f"Adam {learning_rate:g}, cosine, batch 128",
    }
    weights = [array.tobytes() for array in initial.get_weights()]
    content = b"".join([json.dumps(decides).encode(), *weights])
    digest = hashlib.sha256(content).hexdigest()
    return f"{split.name}-seed{seed}-{digest[:12]}"


def _read_run(folder, initial):
    """The cached run, or None after a notice that says why not."""
    if not folder.exists():
        return None
    try:
        history = pd.read_csv(folder / "history.csv", index_col="epoch")
        kept = keras.models.load_model(folder / "model.keras", compile=False)
        model = pruning.copy_of(initial)
        model.set_weights(kept.get_weights())
        return Baseline(model, initial, history)
    except Exception as error:  # whatever is wrong with it, train again
        print(
            f"The cached network {folder.name} is damaged "
            f"({type(error).__name__}); training it again."
        )
        return None


def _train(initial, split, **recipe):
    trained, held_out = pruning.copy_of(initial), (split.x_val, split.y_val)

    def move(epoch, logs):
        shown = f"validation accuracy {logs['val_accuracy']:.4f}"
        bar.set_postfix_str(shown, refresh=False)
        bar.update()

    with progress(range(NUM_EPOCHS), f"training on {split.name}") as bar:
        history = fit(
            trained, split, **recipe, epochs=NUM_EPOCHS,
            validation_data=held_out,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=move)],
        ).history  # fmt: skip
    epochs = pd.RangeIndex(1, NUM_EPOCHS + 1, name="epoch")
    model = pruning.copy_of(trained)  # without the optimizer's state
    return Baseline(model, initial, pd.DataFrame(history, epochs))


def _keep(run, folder):
    """Write both files, or none of them."""
    try:
        with caching.whole(folder) as part:
            part.mkdir()
            run.model.save(part / "model.keras")
            run.history.to_csv(part / "history.csv")
    except OSError as error:
        caching.say_not_kept(f"The network {folder.name}", error)
