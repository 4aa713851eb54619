"""The experiments that `make study` runs, for the lines in the notebooks.

python -m helpers.workshop.experiments          what is older than the code,
                                                one seed of it at first
python -m helpers.workshop.experiments weights  only the one named
python -m helpers.workshop.experiments --list   names what would be run

Each file in notebooks/results says which code it is from.
"""

import pathlib

from helpers import datasets
from helpers.workshop.experiments import (
    blocks,
    branches,
    cuts,
    frontiers,
    repairs,
    rounds,
    thresholds,
    tickets,
)

RESULTS = pathlib.Path(__file__).parents[3] / "notebooks" / "results"
SEEDS = range(6)  # 0 is the seed of the notebooks' own runs
SPARSITIES = (0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)
STUDIES = {
    "weights": [(cuts.weights, {
        "data": datasets.NAMES,
        "method": ["layerwise", "global", "random"],
        "sparsity": SPARSITIES,
    })],
    "units": [(cuts.units, {
        "data": datasets.NAMES,
        "method": cuts.UNIT_METHODS,
        "sparsity": SPARSITIES,
    })],
    "equal_steps": [
        (rounds.equal_steps, {"method": ["dense"], "sparsity": [0]}),
        (rounds.equal_steps, {
            "method": [
                "one-shot", "rounds", "gradual", "gradual, 5 cuts", "random",
            ],
            "sparsity": [0.9, 0.95, 0.98],
        }),
    ],
    "rounds": [(rounds.rounds, {"fraction": [0, 0.1, 0.2, 0.3, 0.5]})],
    "frontier": [
        (frontiers.frontier, {"compression": [1, 12, 30, 56, 68, 100, 200]}),
    ],
    "recovery": [
        (cuts.recovery, {
            "kind": ["weights", "units"],
            "sparsity": [0, 0.5, 0.8, 0.9, 0.95, 0.97, 0.99],
        }),
        (cuts.recovery, {
            "data": ["fashion_mnist"],
            "kind": ["weights", "units"],
            "sparsity": [0, 0.5, 0.8, 0.9, 0.95, 0.97],
        }),
    ],
    "compacted": [
        (cuts.compacted, {"sparsity": [0, 0.8, 0.825, 0.85, 0.9, 0.95]})
    ],
    "filters": [
        (cuts.filters, {
            "data": ["fashion_mnist"],
            "method": ["dense"],
            "sparsity": [0],
        }),
        (cuts.filters, {
            "data": ["fashion_mnist"],
            "method": ["norm", "activation", "random"],
            "sparsity": [0.5, 0.75],
        }),
    ],
    "branching": [
        (branches.branching, {
            "data": datasets.NAMES,
            "method": ["dense"],
            "sparsity": [0],
            "num_steps": [300, 1200],
        }),
        (branches.branching, {
            "data": datasets.NAMES,
            "method": ["norm", "norm, repaired", "random, repaired"],
            "sparsity": [0.5],
            "num_steps": [300],
        }),
        (branches.branching, {
            "data": datasets.NAMES,
            "method": ["norm, repaired"],
            "sparsity": [0.7],
            "num_steps": [300],
        }),
        (branches.branching, {
            "data": datasets.NAMES,
            "method": ["norm, repaired"],
            "sparsity": [0.5],
            "num_steps": [1200],
        }),
    ],
    "blocks": [
        (blocks.blocks, {"method": ["dense"], "left": [1]}),
        (blocks.blocks, {
            "method": ["weights", "1 × 4", "1 × 16", "units"],
            "left": [0.2, 0.15, 0.1],
        }),
    ],
    "distilled": [(cuts.distilled, {
        "data": datasets.NAMES,
        "student": ["cut", "new"],
        "taught": [False, True],
    })],
    "thresholds": [(thresholds.stages, {
        "seeds": range(50),
        "data": ["synthetic"],
        "threshold": [0.1],
    })],
    "repaired": [
        (repairs.repair, {
            "data": datasets.NAMES,
            "network": ["small"],
            "kind": ["weights"],
            "sparsity": [0, 0.8, 0.9, 0.95, 0.98],
        }),
        (repairs.repair, {
            "data": datasets.NAMES,
            "network": ["small"],
            "kind": ["units"],
            "sparsity": [0.5, 0.8],
        }),
        (repairs.repair, {
            "network": ["large"],
            "kind": ["weights"],
            "sparsity": [0.9, 0.95, 0.98],
        }),
    ],
    "budgets": [(repairs.budgets, {
        "budget": list(repairs.BUDGETS),
        "score": list(repairs.SCORES),
        "sparsity": [0.95],
    })],
    "rewinding": [
        (tickets.rewinding, {"start_step": [0, 300]}),
        (tickets.random_tickets, {"round": [3, 5, 7, 9]}),
    ],
}  # fmt: skip
FULL_ONLY = {
    "blocks",
    "branching",
    "budgets",
    "filters",
    "repaired",
    "rewinding",
    "thresholds",
}
