"""Winning tickets: pruned, rewound, trained again."""

import numpy as np

from helpers import masking, networks, pruning, training
from helpers.engine.backend import keras
from helpers.workshop.experiments import common


def rewinding(split, seed, start_step):
    """Notebook 08: nine rounds of 20 %, rewound to an early step each time.

    Control: in some rounds, the same masks on other initial weights.
    """
    start = networks.mlp(common.LENET, seed=seed)
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
            other = networks.mlp(common.LENET, seed=1000 + seed)
            other = pruning.masked(other, pruning.masks_of(ticket))
            _, row = _train_ticket(other, split, seed)
            rows.append({"method": "other weights", "round": number, **row})
    return rows


def random_tickets(split, seed, round):
    """Notebook 08: the first weights, as many of each layer, but any ones."""
    start = networks.mlp(common.LENET, seed=seed)
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
    return trained, {
        "early_stop": 100 * (best + 1),
        **common.seen(stopped, split),
    }
