"""Pruned while it trains: in rounds, gradually, once."""

from helpers import masking, pruning, scheduling, training
from helpers.engine.doors import door, one_of
from helpers.workshop.experiments import common


def rounds(split, seed, fraction):
    """Notebook 07: the same fraction of what is left, six times."""
    history, _ = training.prune_in_rounds(
        common.baseline(split, seed, common.SMALL),
        split,
        final_sparsity=1 - (1 - fraction) ** 6,
        rounds=6,
        num_steps=split.steps(430),
        scope="global",
        measure=lambda model: common.seen(model, split),
        seed=seed,
    )
    return history.reset_index().to_dict("records")


@door(method=one_of(
    "dense", "random", "one-shot", "rounds", "gradual", "gradual, 5 cuts",
))  # fmt: skip
def equal_steps(split, seed, method, sparsity):
    """Notebook 07: 2,000 steps, whenever the weights are pruned in them."""
    return common.seen(_after_equal_steps(split, seed, method, sparsity), split)


def _after_equal_steps(split, seed, method, sparsity):
    """784-128-64-10, pruned by `method` in 2,000 steps after its training.

    "one-shot" and "random" prune before the first step, "rounds" five times
    and "gradual" every 50 steps, both within the first 1,200; with "5 cuts"
    gradual ones are 240 steps apart. "dense" does not prune.
    """
    num_steps = split.steps(2000)
    model = pruning.copy_of(common.baseline(split, seed, common.SMALL))
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
