"""The experiments that `make study` runs, for the bands in the notebooks.

python -m helpers.workshop.experiments          all, into notebooks/results
python -m helpers.workshop.experiments weights  only the one named
"""

import argparse
import functools
import pathlib
import time

import numpy as np
import pandas as pd

from helpers import (
    compacting,
    datasets,
    deploying,
    distilling,
    masking,
    measuring,
    networks,
    pruning,
    scheduling,
    studying,
    training,
)
from helpers.engine.backend import keras
from helpers.engine.doors import door, one_of
from helpers.workshop import running

RESULTS = pathlib.Path(__file__).parents[2] / "notebooks" / "results"
SEEDS = range(6)  # 0 is the seed of the notebooks' own runs
SPARSITIES = (0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)
SMALL, LENET = (128, 64), (300, 100)
TEACHING = {"temperature": 2.0, "weight": 0.5}  # on seed 0's validation set
UNIT_METHODS = (
    "units",
    "weights, same sparsity",
    "weights, as many left",
    "random units",
)


@door(method=one_of("layerwise", "global", "random"))
def weights(split, seed, method, sparsity):
    """Notebook 02: weights pruned, not retrained."""
    model = _baseline(split, seed)
    kernels = pruning.prunable_kernels(model)
    scores = masking.magnitude_scores(kernels)
    if method == "random":
        scores = masking.random_scores(kernels, seed)
    of_all = method == "global"
    select = masking.global_masks if of_all else masking.layerwise_masks
    return _seen(pruning.masked(model, select(scores, sparsity)), split)


@door(method=one_of(*UNIT_METHODS))
def units(split, seed, method, sparsity):
    """Notebook 03: units pruned, and as many weights, not retrained."""
    model = _baseline(split, seed)
    norms = masking.unit_scores(pruning.prunable_kernels(model))
    if method == "random units":
        norms = masking.random_scores(norms, seed)
    pruned = pruning.masked(model, masking.unit_masks(norms, sparsity))
    if method == "weights, same sparsity":
        pruned = pruning.prune_weights(model, sparsity)
    elif method == "weights, as many left":
        macs = measuring.counts(model)["macs"]
        left = measuring.counts(compacting.compact(pruned))["macs"]
        prunable = macs - measuring.macs_per_layer(model)["output"]
        pruned = pruning.prune_weights(model, (macs - left) / prunable)
    return _seen(pruned, split)


@door(kind=one_of("weights", "units"))
def recovery(split, seed, kind, sparsity):
    """Notebook 04: retrained for 500 steps, after units for 1,000."""
    model = _baseline(split, seed)
    if kind == "weights":
        pruned, num_steps = pruning.prune_weights(model, sparsity), 500
    else:
        masked, num_steps = pruning.prune_units(model, sparsity), 1000
        pruned = compacting.compact(masked)
    tuned = training.fine_tune(pruned, split, split.steps(num_steps), seed=seed)
    before = measuring.accuracy(pruned, split.x_test, split.y_test)
    return {"before_accuracy": before, **_seen(tuned, split)}


def compacted(split, seed, sparsity):
    """Notebook 05: units cut out, the last hidden layer spared; retrained."""
    tuned = training.fine_tune(
        _cut(_baseline(split, seed), sparsity),
        split, split.steps(2000), learning_rate=2e-3, seed=seed,
    )  # fmt: skip
    return _seen(tuned, split)


@door(student=one_of("cut", "new"))
def distilled(split, seed, student, taught):
    """Notebook 13: one shape, cut out or new, with a teacher or without."""
    tuned = _student(split, seed, student, taught)
    file = deploying.convert(tuned, "full int8", split.x_train[:200])
    integers = measuring.accuracy(file, split.x_test, split.y_test)
    return {
        **_seen(tuned, split),
        "int8_accuracy": integers,
        "int8_bytes": len(file),
    }


def _student(split, seed, student, taught):
    """784-150-150-75-200-10 after 2,000 steps; the teacher is the baseline.

    "cut" is cut out of that baseline, "new" starts from random weights.
    """
    model = _baseline(split, seed)
    start = _cut(model, 0.85)
    if student == "new":
        widths = [layer.units for layer in start.layers[:-1]]
        start = networks.mlp(widths, seed=seed)
    recipe = {
        "num_steps": split.steps(2000), "learning_rate": 2e-3, "seed": seed,
    }  # fmt: skip
    if taught:
        return distilling.distill(model, start, split, **recipe, **TEACHING)
    return training.fine_tune(start, split, **recipe)


@door(method=one_of("dense", "norm", "activation", "random"))
def filters(split, seed, method, sparsity):
    """Notebook 10: filters and units pruned, cut out, trained for 300 steps.

    "norm" and "activation" rank them, "random" draws them; "dense" keeps all.
    """
    model = _baseline(split, seed, build=networks.lenet, num_steps=1200)
    scores = masking.unit_scores(pruning.prunable_kernels(model))
    if method == "activation":
        scores = pruning.activation_scores(model, split.x_train[:1000])
    elif method == "random":
        scores = masking.random_scores(scores, seed)
    pruned = pruning.masked(model, masking.unit_masks(scores, sparsity))
    small = compacting.compact(pruned)
    tuned = training.fine_tune(small, split, split.steps(300), seed=seed)
    before = measuring.accuracy(small, split.x_test, split.y_test)
    return {"before_accuracy": before, **_seen(tuned, split)}


def rounds(split, seed, fraction):
    """Notebook 07: the same fraction of what is left, six times."""
    history, _ = training.prune_in_rounds(
        _baseline(split, seed, SMALL),
        split,
        final_sparsity=1 - (1 - fraction) ** 6,
        rounds=6,
        num_steps=split.steps(430),
        scope="global",
        measure=lambda model: _seen(model, split),
        seed=seed,
    )
    return history.reset_index().to_dict("records")


@door(method=one_of(
    "dense", "random", "one-shot", "rounds", "gradual", "gradual, 5 cuts",
))  # fmt: skip
def equal_steps(split, seed, method, sparsity):
    """Notebook 07: 2,000 steps, whenever the weights are pruned in them."""
    return _seen(_after_equal_steps(split, seed, method, sparsity), split)


def _after_equal_steps(split, seed, method, sparsity):
    """784-128-64-10, pruned by `method` in 2,000 steps after its training.

    "one-shot" and "random" prune before the first step, "rounds" five times
    and "gradual" every 50 steps, both within the first 1,200; with "5 cuts"
    gradual ones are 240 steps apart. "dense" does not prune.
    """
    num_steps = split.steps(2000)
    model = pruning.copy_of(_baseline(split, seed, SMALL))
    if method == "random":
        scores = masking.random_scores(pruning.prunable_kernels(model), seed)
        pruning.apply_masks(model, masking.layerwise_masks(scores, sparsity))
    callbacks = []
    if method in SCHEDULES:
        schedule = SCHEDULES[method](sparsity, num_steps)
        cuts = 5 if method.endswith("5 cuts") else 24
        often = num_steps * 3 // 5 // cuts
        callbacks = [scheduling.PruneOnSchedule(schedule, often)]
    training.fit(model, split, num_steps, seed=seed, callbacks=callbacks)
    return model


SCHEDULES = {
    "one-shot": lambda final, _: scheduling.one_shot(final),
    "rounds": lambda final, num_steps: scheduling.in_rounds(
        final, 5, num_steps * 3 // 20
    ),
    "gradual": lambda final, num_steps: scheduling.gradual(
        final, 0, num_steps * 3 // 5
    ),
}
SCHEDULES["gradual, 5 cuts"] = SCHEDULES["gradual"]


def rewinding(split, seed, start_step):
    """Notebook 08: nine rounds of 20 %, rewound to an early step each time.

    Control: in some rounds, the same masks on other initial weights.
    """
    start = networks.mlp(LENET, seed=seed)
    if start_step:
        start = training.fine_tune(
            start, split, start_step, seed=seed, decay=False
        )
    trained, rows = start, []
    for number in range(10):
        ticket = pruning.prune_weights(trained, 1 - 0.8**number)
        training.rewind(ticket, start)
        trained, row = _train_ticket(ticket, split, seed)
        rows.append({"method": "rewound", "round": number, **row})
        if start_step == 0 and number in (3, 5, 7, 9):
            other = networks.mlp(LENET, seed=1000 + seed)
            other = pruning.masked(other, pruning.masks_of(ticket))
            _, row = _train_ticket(other, split, seed)
            rows.append({"method": "other weights", "round": number, **row})
    return rows


def random_tickets(split, seed, round):
    """Notebook 08: the first weights, as many of each layer, but any ones."""
    start = networks.mlp(LENET, seed=seed)
    scores = masking.random_scores(pruning.prunable_kernels(start), seed)
    masks = masking.layerwise_masks(scores, 1 - 0.8**round)
    _, row = _train_ticket(pruning.masked(start, masks), split, seed)
    return {"start_step": 0, "method": "random masks", **row}


def _train_ticket(ticket, split, seed):
    """3,000 steps; returns the network then, and a row about its best one.

    That is the one with the smallest validation loss, measured every 100
    steps: where early stopping would have stopped.
    """
    model, ends = pruning.copy_of(ticket), []
    pruning.hold_zeros(model)
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(model.get_weights())
    )
    history = training.fit(
        model, split, 3000, batch_size=64, learning_rate=1.2e-3, decay=False,
        seed=seed, epochs=30, validation_data=(split.x_val, split.y_val),
        callbacks=[keep],
    )  # fmt: skip
    trained, best = model, int(np.argmin(history.history["val_loss"]))
    stopped = pruning.copy_of(ticket)
    stopped.set_weights(ends[best])
    return trained, {"early_stop": 100 * (best + 1), **_seen(stopped, split)}


def frontier(split, seed, compression):
    """Notebook 08: LeNet-300-100 as small as published ones, from scratch."""
    model = _frontier_network(split.with_validation(), seed, compression)
    seen = _seen(model, split)
    del seen["val_accuracy"]  # it was trained on those images
    return seen


def _frontier_network(split, seed, compression, epochs=60, ramp=(8, 36)):
    """LeNet-300-100 with 1 in `compression` weights left, pruned gradually.

    L2 penalty, Adam from 3e-3 to 0; sparsity rises along a cubic between the
    two epochs of `ramp`. The output layer gets 0.8 of the sparsity.
    """
    model = networks.mlp(LENET, seed=seed, l2=5e-5)
    per_epoch = len(split.x_train) // 256
    kernels = pruning.prunable_kernels(model, include_output=True)
    sizes = {name: kernel.size for name, kernel in kernels.items()}
    removed = 1 - 1 / compression
    hidden = (sum(sizes.values()) - 0.8 * sizes["output"]) * removed
    hidden /= sum(sizes.values()) - sizes["output"]
    final = dict.fromkeys(sizes, hidden) | {"output": 0.8 * removed}
    schedule = {
        name: scheduling.gradual(sparsity, *(per_epoch * e for e in ramp))
        for name, sparsity in final.items()
    }
    training.fit(
        model, split, epochs * per_epoch, batch_size=256, learning_rate=3e-3,
        seed=seed, callbacks=[scheduling.PruneOnSchedule(schedule)],
    )  # fmt: skip
    return model


STUDIES = {
    "weights": [(weights, {
        "data": datasets.NAMES,
        "method": ["layerwise", "global", "random"],
        "sparsity": SPARSITIES,
    })],
    "units": [(units, {
        "data": datasets.NAMES,
        "method": UNIT_METHODS,
        "sparsity": SPARSITIES,
    })],
    "equal_steps": [
        (equal_steps, {"method": ["dense"], "sparsity": [0]}),
        (equal_steps, {
            "method": [
                "one-shot", "rounds", "gradual", "gradual, 5 cuts", "random",
            ],
            "sparsity": [0.9, 0.95, 0.98],
        }),
    ],
    "rounds": [(rounds, {"fraction": [0, 0.1, 0.2, 0.3, 0.5]})],
    "frontier": [
        (frontier, {"compression": [56]}),
        (frontier, {"seeds": range(3), "compression": [12, 30, 68, 100]}),
    ],
    "recovery": [
        (recovery, {
            "kind": ["weights", "units"],
            "sparsity": [0, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99],
        }),
        (recovery, {
            "data": ["fashion_mnist"],
            "kind": ["weights", "units"],
            "sparsity": [0, 0.5, 0.8, 0.9, 0.95, 0.97],
        }),
    ],
    "compacted": [
        (compacted, {"sparsity": [0, 0.8, 0.825, 0.85, 0.9, 0.95]})
    ],
    "filters": [
        (filters, {
            "data": ["fashion_mnist"],
            "method": ["dense"],
            "sparsity": [0],
        }),
        (filters, {
            "data": ["fashion_mnist"],
            "method": ["norm", "activation", "random"],
            "sparsity": [0.5, 0.75],
        }),
    ],
    "distilled": [(distilled, {
        "data": datasets.NAMES,
        "student": ["cut", "new"],
        "taught": [False, True],
    })],
    "rewinding": [
        (rewinding, {"start_step": [0, 300]}),
        (random_tickets, {"round": [3, 5, 7, 9]}),
    ],
}  # fmt: skip
FULL_ONLY = {"filters", "rewinding"}


def main(arguments=None):
    """Run studies, write their CSV files, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*STUDIES, []])
    names = parser.parse_args(arguments).names or list(STUDIES)
    start = time.perf_counter()
    for name in names:
        sources = [False] if name in FULL_ONLY else [False, True]
        tables = [
            studying.study(
                experiment, sample=sample, **{"seeds": SEEDS, **axes}
            )
            for sample in sources
            for experiment, axes in STUDIES[name]
        ]
        running.write(
            pd.concat(tables),
            RESULTS / f"{name}.csv",
            f"python -m helpers.workshop.experiments {name}",
        )
    minutes = (time.perf_counter() - start) / 60
    print(f"{', '.join(names)}: {minutes:.1f} minutes")


def _cut(model, sparsity):
    """A smaller network: units of all hidden layers but `hidden_4` cut out."""
    return compacting.compact(
        pruning.prune_units(model, sparsity, spare=["hidden_4"])
    )


def _seen(model, split):
    """What every row tells about a network."""
    return {
        "val_accuracy": measuring.accuracy(model, split.x_val, split.y_val),
        "accuracy": measuring.accuracy(model, split.x_test, split.y_test),
        **measuring.counts(model),
    }


@functools.lru_cache(maxsize=4)
def _baseline(split, seed, widths=networks.WIDTHS, **options):
    return training.baseline(split, seed, widths, **options)


if __name__ == "__main__":
    from helpers.workshop import experiments  # so that workers find it

    experiments.main()
