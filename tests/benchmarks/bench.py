"""Time the helpers against peers and limits, in turns, on this machine.

`make bench` writes build/benchmarks.json, .md and .png. `make bench
GROUPS="halves tracing"` measures some groups of rows and only prints them.
"""

import contextlib
import functools
import io
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np
import ours
import pandas as pd
import psutil
from worker import Worker

from helpers import (
    compacting,
    datasets,
    deploying,
    fitting,
    masking,
    measuring,
    networks,
    pruning,
    repairing,
    sliders,
    studying,
    timing,
    training,
)
from helpers.engine import tracing as traced
from helpers.engine.backend import tf

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
PACKAGES = {
    sys.executable: (
        "tensorflow-cpu", "tensorflow", "keras", "numpy", "ai-edge-litert",
    ),
    PEERS: (
        "torch", "torch-pruning", "tf-keras", "tensorflow-model-optimization",
        "onnxruntime",
    ),
}  # fmt: skip
SPARSITIES = (0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99)
PASSES = "ten forward passes"
NUM_STEPS, BATCH_SIZE = 500, 128
TIMES = {"np.partition": 1.5}  # as long as; of all others, 1
VECTORS = ("avx512f", "avx2", "avx", "sse4_2", "asimd")  # of /proc/cpuinfo
WIDTHS = (100, 400, 1200, 2500, 4900)  # of three layers: 1e5 to 5e7 weights
SIDE, SQUARES = 2000, 20  # matrix products that tell the speed limit
TRAIN = {
    "TFMOT": ("peers.tfmot_fine_tuning",),
    "torch.prune": ("peers.torch_fine_tuning",),
    "torch.prune, fused Adam": ("peers.torch_fine_tuning", "fused"),
}


# Rows: each function measures one group and returns a list of rows


def row(work, against, value, target=None, at_most=True, unit="x"):
    """`value` is a number, or (median, low, high) of an interval."""
    middle, low, high = value if np.ndim(value) else (value, None, None)
    reached = None
    if target is not None:
        reached = bool(middle <= target if at_most else middle >= target)
    return {
        "work": work,
        "against": against,
        "measured": middle,
        "low": low,
        "high": high,
        "unit": unit,
        "target": target,
        "at_most": at_most,
        "reached": reached,
    }


def ratio(turns, one, other):
    """Median and 95 % interval of `one` / `other` within turns."""
    pair = timing.summary(turns[[one, other]]).loc[other]
    ends = pair[["speed_up", "speed_up_low", "speed_up_high"]]
    return tuple(map(float, ends))


def fine_tuning(model, split):
    """500 steps under masks: against no masks, peers, and arithmetic."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as on:
        calls = contestants(folder, on, model, split)
        turns = timing.time_in_turns(
            calls, repeats=6, warm_up=1, calls_per_turn=1
        )
    kernels = sum(measuring.macs_per_layer(model).values())
    flops = 6 * kernels * NUM_STEPS * BATCH_SIZE
    rate = SQUARES * 2 * SIDE**3 / turns["sgemm"]  # in a millisecond
    turns["limit"] = flops / rate
    limit = f"6 x weights x images at {rate.median() / 1e6:.0f} GFLOP/s"
    work = f"{NUM_STEPS} steps of masked fine-tuning"
    same = ratio(turns, "masked", "the same, unmasked")
    return [
        row(work, "the same, unmasked", same, 1.05),
        *[row(work, peer, ratio(turns, "masked", peer), 1.0) for peer in TRAIN],
        row(work, limit, ratio(turns, "masked", "limit")),
    ], turns


def contestants(folder, on, model, split):
    """From name to a call that trains; and a measure of matrix products."""
    masked = pruning.prune_weights(model, 0.9)
    plain = pruning.copy_of(model)
    square = tf.random.normal((SIDE, SIDE))
    write_task(folder, masked, split)
    return {
        "masked": lambda: fitting.fit(masked, split, NUM_STEPS),
        "the same, unmasked": lambda: fitting.fit(plain, split, NUM_STEPS),
        "sgemm": lambda: [tf.matmul(square, square) for _ in range(SQUARES)],
        **{
            name: on.enter_context(Worker(PEERS, work, folder, *more))
            for name, (work, *more) in TRAIN.items()
        },
    }


def masks(size):
    """90 % of one layer, with ties: against a full sort, and torch."""
    work = f"masks for {size:,} weights"
    with contextlib.ExitStack() as on:
        calls = {
            name: on.enter_context(Worker(python, function, size))
            for name, python, function in (
                ("ours", sys.executable, "ours.masks"),
                ("a full sort", sys.executable, "ours.sorted_masks"),
                ("np.partition", sys.executable, "ours.partition"),
                ("torch l1_unstructured", PEERS, "peers.torch_masks"),
            )
        }
        turns = timing.time_in_turns(
            calls, repeats=6, warm_up=1, calls_per_turn=1
        )
        zeros = {name: call() for name, call in calls.items()}
    assert set(zeros.values()) == {round(0.9 * size)}, zeros
    rows = [
        row(work, name, ratio(turns, "ours", name), TIMES.get(name, 1.0))
        for name in list(calls)[1:]
    ]
    peak = peak_of(ours.masks(size)) / (4 * size)
    return [*rows, row(f"{work}, memory", "the weights", peak, 3.0)], turns


def peak_of(call):
    """Bytes that NumPy and Python take at most while `call` runs."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def linearity(turns):
    """Time for each weight, at 1e8 against at 1e7 and 1e6."""
    each = {size: t["ours"].median() / size for size, t in turns.items()}
    largest = max(each)
    return [
        row(
            f"masks, time for each of {largest:,} weights",
            f"each of {size:,}",
            each[largest] / each[size],
        )
        for size in sorted(each)[:-1]
    ]


def sweeps(model, split):
    """Ten sparsities on 10,000 images: against ten passes without pruning.

    On one network whose weights are put back, as the sliders do it; and, as
    is simplest to write, on a copy for each sparsity.
    """
    x, y = split.x_test, split.y_test
    kernels = pruning.prunable_kernels(model)
    weights = masking.layerwise_masks, masking.magnitude_scores(kernels)
    units = masking.unit_masks, masking.unit_scores(kernels)
    scratch = pruning.copy_of(model)

    def masked(kind, sparsity):
        select, scores = kind
        scratch.set_weights(model.weights)
        pruning.apply_masks(scratch, select(scores, sparsity))
        return scratch

    pruned = {
        PASSES: lambda s: model,
        "weights": lambda s: masked(weights, s),
        "neurons": lambda s: compacting.compact(masked(units, s)),
        "weights, in copies": lambda s: pruning.prune_weights(model, s),
        "neurons, in copies": lambda s: compacting.compact(
            pruning.prune_units(model, s)
        ),
    }
    calls = {
        name: functools.partial(sweep, network, x, y)
        for name, network in pruned.items()
    }
    turns = timing.time_in_turns(calls, repeats=8, warm_up=1, calls_per_turn=1)
    targets = {"weights": 1.2, "neurons": 0.5}
    return [
        row(
            f"ten sparsities of {name}, {len(x):,} images", PASSES,
            ratio(turns, name, PASSES), targets.get(name),
        )
        for name in list(pruned)[1:]
    ], turns  # fmt: skip


def sweep(network, x, y):
    """Accuracy at each of ten sparsities."""
    return [measuring.accuracy(network(s), x, y) for s in SPARSITIES]


def slider(model, split):
    """One move: prune, show what is left, draw; as in notebook 02."""
    positions = [number / 1000 for number in range(1, 1000)]
    places = pd.MultiIndex.from_product(
        [[split.name], positions], names=["data", "sparsity"]
    )
    scores = masking.magnitude_scores(pruning.prunable_kernels(model))

    def look(data, sparsity):
        chosen = masking.layerwise_masks(scores, sparsity)
        return chosen, chosen["hidden_1"].sum(axis=1)

    explorer = sliders.explore(
        look, {split.name: model}, {split.name: split},
        pd.Series(np.linspace(1, 0, len(positions)), places),
    )  # fmt: skip
    order = iter(np.random.default_rng(0).permutation(positions).tolist())
    calls = {"a move": lambda: explorer.slider.set_trait("value", next(order))}
    turns = timing.time_in_turns(calls, repeats=60, calls_per_turn=1)
    move = timing.summary(turns).loc["a move", ["ms", "ms_low", "ms_high"]]
    work = "one slider move, until its pictures are there"
    return [row(work, "-", tuple(map(float, move)), 100, unit=" ms")], turns


def compacted(model, split):
    """LiteRT, one thread: speed-up against the ratio of MACs.

    Its kernels take 16 units at a time: 100 of them cost what 112 do. So the
    last network fills them.
    """
    nets = {"full": model}
    for sparsity in (0.8, 0.9):
        small = compacting.compact(pruning.prune_units(model, sparsity))
        nets[f"{sparsity:.0%} of units cut"] = small
    nets["96, 96, 48 and 16 units"] = networks.mlp((96, 96, 48, 16))
    macs = {
        name: sum(measuring.macs_per_layer(net).values())
        for name, net in nets.items()
    }
    rows = []
    for batch_size in (1, 100, 10_000):
        if batch_size > len(split.x_test):
            continue
        turns = dict(repeats=12, calls_per_turn=1) if batch_size > 100 else {}
        table = timing.latency(
            nets, split.x_test, batch_size, "litert", **turns
        )
        for name in list(nets)[1:]:
            gained = macs["full"] / macs[name]
            ends = table.loc[
                name, ["speed_up", "speed_up_low", "speed_up_high"]
            ]
            rows.append(
                row(
                    f"LiteRT, batch {batch_size:,}, {name}: speed-up",
                    f"the ratio of MACs, {gained:.1f}",
                    tuple(float(end) / gained for end in ends),
                    0.9 if batch_size == 100 and "cut" in name else None,
                    at_most=False,
                )
            )
    return rows


def sparse_files(split):
    """90 % of the weights gone in blocks, as LiteRT skips them: one thread.

    Untrained, as wide as in notebook 12; at batch 1 and 100.
    """
    model = networks.mlp((1024, 1024, 512, 256))
    kernels = pruning.prunable_kernels(model)
    fours, sixteens = (
        pruning.masked(model, masking.block_masks(kernels, 0.9, size))
        for size in (4, 16)
    )
    dense = deploying.convert(model)
    files = {
        "1 x 4": deploying.convert(fours, sparse=True),
        "1 x 16, int8": deploying.convert(
            sixteens, "dynamic int8", sparse=True
        ),
    }
    targets, rows = {"1 x 16, int8": (17, 9)}, []
    for name, file in files.items():
        smaller, faster = targets.get(name, (None, None))
        work, against = f"LiteRT, 90 % gone in {name}", "the dense file"
        rows.append(
            row(f"{work}: times smaller", against, len(dense) / len(file),
                smaller, at_most=False)
        )  # fmt: skip
        for images in (1, 100):
            pair = {against: dense, name: file}
            times = timing.latency(pair, split.x_test, images, "litert")
            ends = ["speed_up", "speed_up_low", "speed_up_high"]
            rows.append(
                row(f"{work}, batch {images}: speed-up", against,
                    tuple(map(float, times.loc[name, ends])),
                    faster if images == 1 else None, at_most=False)
            )  # fmt: skip
    return rows


def other_runtime(model):
    """The same networks at batch 100 in ONNX Runtime: is LiteRT a fair pick?"""
    nets = {
        "full": model,
        "90% of units cut": compacting.compact(pruning.prune_units(model, 0.9)),
    }
    rows = []
    for name, net in nets.items():
        with tempfile.TemporaryDirectory() as folder:
            write_network(folder, net)
            batch = np.random.default_rng(0).random((100, 784), np.float32)
            runtime = timing.compiled(net, batch, "litert")
            with Worker(PEERS, "peers.onnx_latency", folder, 100) as peer:
                turns = timing.time_in_turns(
                    {"LiteRT": runtime, "ONNX Runtime": peer}
                )
        rows.append(
            row(f"LiteRT, batch 100, {name}", "ONNX Runtime",
                ratio(turns, "LiteRT", "ONNX Runtime"))
        )  # fmt: skip
    return rows


def compaction(model, split):
    """Cutting the network: against one forward pass of the test images."""
    masked = pruning.prune_units(model, 0.8)
    forward = f"a forward pass of {len(split.x_test):,}"
    calls = {
        "compaction": lambda: compacting.compact(masked),
        forward: lambda: measuring.predictions(model, split.x_test),
    }
    turns = timing.time_in_turns(calls, repeats=20, calls_per_turn=1)
    value = ratio(turns, "compaction", forward)
    return [row("compaction at 80 %", forward, value, 1.0)], turns


def repair(model, split):
    """Least squares on 5,000 images: against 300 and 500 steps of training."""
    pruned, images = pruning.prune_weights(model, 0.95), split.x_train[:5000]
    calls = {
        "repair": lambda: repairing.least_squares(model, pruned, images),
        **{
            f"{steps} steps": lambda n=steps: training.fine_tune(
                pruned, split, n
            )
            for steps in (300, 500)
        },
    }
    turns = timing.time_in_turns(calls, repeats=6, warm_up=1, calls_per_turn=1)
    work = f"repair at 95 %, {len(images):,} images"
    return [
        row(work, f"{steps} steps", ratio(turns, "repair", f"{steps} steps"), t)
        for steps, t in ((300, None), (500, 1.0))
    ], turns


def importing():
    """`helpers.masking` in a fresh interpreter, without TensorFlow."""
    code = (
        "import sys, time; start = time.perf_counter(); import helpers.masking;"
        "print(time.perf_counter() - start, 'tensorflow' in sys.modules)"
    )
    seconds = []
    for _ in range(12):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True,
            encoding="utf-8", check=True,
        )  # fmt: skip
        taken, heavy = done.stdout.split()
        assert heavy == "False", "helpers.masking imports TensorFlow"
        seconds.append(float(taken))
    turns = pd.DataFrame({"import": seconds[2:]})
    ends = timing.summary(turns).loc["import", ["ms", "ms_low", "ms_high"]]
    return [
        row("import of helpers.masking", "-", tuple(map(float, ends)), 0.3,
            unit=" s")
    ]  # fmt: skip


def halves():
    """Half of every group of ResNet-50 cut out: against Torch-Pruning."""
    work, peer = "half of ResNet-50 cut out", "Torch-Pruning"
    with contextlib.ExitStack() as on:
        calls = {
            name: on.enter_context(Worker(python, function))
            for name, python, function in (
                ("ours", sys.executable, "ours.half_of_resnet"),
                (peer, PEERS, "peers.torch_half_of_resnet"),
            )
        }
        turns = timing.time_in_turns(
            calls, repeats=6, warm_up=1, calls_per_turn=1
        )
        left = {name: call() for name, call in calls.items()}
    seconds = timing.summary(turns / 1000)[["ms", "ms_low", "ms_high"]]
    unlike = {}
    for name, python, function in (
        ("ours", sys.executable, "ours.difference"),
        (peer, PEERS, "peers.torch_difference"),
    ):
        with Worker(python, function) as call:
            unlike[name] = call()
    same = f"{work}: outputs against zeros in their place"
    return [
        row(work, peer, ratio(turns, "ours", peer), 1.0),
        *[
            row(work, f"- ({name})", tuple(seconds.loc[name]), unit=" s")
            for name in calls
        ],
        row(f"{work}: parameters left", peer, left["ours"] / left[peer], 1.0),
        row(same, "the largest output", unlike["ours"], 1e-5),
        row(same, f"the largest output ({peer})", unlike[peer]),
    ]


def growth():
    """Half of the units pruned and cut out: seconds against parameters."""
    models = [networks.mlp((n, n, n), inputs=n) for n in WIDTHS]
    halve = lambda m: compacting.compact(pruning.prune_units(m, 0.5))  # noqa: E731
    calls = {m.count_params(): functools.partial(halve, m) for m in models}
    turns = timing.time_in_turns(calls, repeats=6, warm_up=1, calls_per_turn=1)
    seconds, sizes = turns / 1000, np.array(turns.columns, float)
    large = sizes > 10**6  # below it, calls take longest
    lines = np.polyfit(np.log(sizes[large]), np.log(seconds.T[large]), 1)
    found = timing.summary(pd.DataFrame({"exponent": lines[0]})).iloc[0]
    ax = seconds.median().plot(loglog=True, marker="o", figsize=(6, 4))
    ax.set(xlabel="parameters", ylabel="seconds to prune and compact",
           title=f"an exponent of {found['ms']:.2f}")  # fmt: skip
    BUILD.mkdir(exist_ok=True)
    ax.figure.savefig(BUILD / "growth.png", dpi=120)
    plt.close(ax.figure)
    return [
        row("half of the units pruned and cut out, exponent of parameters",
            "-", tuple(found[["ms", "ms_low", "ms_high"]]), 1.1, unit=""),
    ]  # fmt: skip


def tracing():
    """ResNet-50: seconds, and those of a step against ResNet-101's."""
    models = {f"ResNet-{depth}": ours.resnet(depth) for depth in (50, 101)}

    def anew(model):
        traced._KNOWN.clear()
        return traced.trace(model)

    calls = {
        name: functools.partial(anew, model) for name, model in models.items()
    }
    turns = timing.time_in_turns(calls, repeats=6, warm_up=1, calls_per_turn=1)
    ends = timing.summary(turns / 1000)[["ms", "ms_low", "ms_high"]]
    small, large = models
    steps = [len(anew(model).steps) for model in models.values()]
    each = turns / steps
    return [
        row(f"tracing {small}", "-", tuple(ends.loc[small]), unit=" s"),
        row(f"tracing {large}, time for each of {steps[1]} steps",
            f"each of {steps[0]} of {small}", ratio(each, large, small), 1.2),
    ]  # fmt: skip


def memory():
    """What `compact` takes while it halves ResNet-50."""
    # Memory that is freed goes back at once, so what is taken again counts.
    freed = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    work = "ours.memory_of_compact"
    with Worker(sys.executable, work, **freed) as call:
        peak = call()
    return [row("compaction of ResNet-50, memory", "the weights", peak, 3.0)]


# What the peers are given


def write_task(folder, model, split):
    """The masked network, the images and the order they come in."""
    write_network(folder, model)
    for number, mask in enumerate(list(pruning.masks_of(model).values())[:-1]):
        np.save(f"{folder}/mask_{number}.npy", mask.astype(np.float32))
    order = fitting.batch_order(split, NUM_STEPS, BATCH_SIZE, seed=0)
    arrays = {"x": split.x_train, "y": split.y_train, "order": order}
    for name, array in arrays.items():
        np.save(f"{folder}/{name}.npy", array)


def write_network(folder, model):
    """Kernels and biases, numbered from the input on."""
    for number, layer in enumerate(model.layers):
        kernel, bias = layer.get_weights()
        np.save(f"{folder}/kernel_{number}.npy", kernel)
        np.save(f"{folder}/bias_{number}.npy", bias)


# The report


def machine():
    """What the numbers hold for."""
    cpu, flags = platform.processor() or platform.machine(), ()
    with contextlib.suppress(OSError):
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        names = [x for x in text.splitlines() if x.startswith("model name")]
        cpu = names[0].split(":")[1].strip()
        flags = set(text.split())
    square = tf.random.normal((SIDE, SIDE))
    product = {"x": lambda: tf.matmul(square, square).numpy()}
    turns = timing.time_in_turns(product, repeats=9, calls_per_turn=1)
    ms = turns["x"].median()
    return {
        "CPU": cpu,
        "vector instructions": next((v for v in VECTORS if v in flags), "?"),
        "GFLOP/s of a matrix product": round(2 * SIDE**3 / ms / 1e6),
        "cores": os.cpu_count(),
        "memory, GB": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(),
        "load at the start": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def versions():
    """Of Python and of the packages that were timed, here and among peers."""
    code = (
        "import sys, json; from importlib.metadata import distributions;"
        "found = {d.name.replace('_', '-'): d.version"
        " for d in distributions()};"
        "print(json.dumps({n: found[n] for n in sys.argv[1:] if n in found}))"
    )
    found = {"Python": platform.python_version()}
    for python, names in PACKAGES.items():
        done = subprocess.run(
            [python, "-c", code, *names], capture_output=True, text=True,
            encoding="utf-8", check=True,
        )  # fmt: skip
        found |= json.loads(done.stdout)
    return found


def table(rows):
    """The rows as Markdown, one line each."""
    marks = {None: "", True: "yes", False: "**no**"}
    shown = [
        {
            "work": r["work"],
            "against": r["against"],
            "measured": words(r),
            "target": ""
            if r["target"] is None
            else f"{'≤' if r['at_most'] else '≥'} {r['target']:g}{r['unit']}",
            "reached": marks[r["reached"]],
        }
        for r in rows
    ]
    return pd.DataFrame(shown).to_markdown(index=False, disable_numparse=True)


def words(r):
    """The number with its interval, three digits each."""
    text = f"{r['measured']:.3g}{r['unit']}"
    if r["low"] is None:
        return text
    return f"{text} [{r['low']:.3g}, {r['high']:.3g}]"


def figure(rows):
    """Every ratio that has a target, on a logarithmic axis, as a PNG."""
    rows = [r for r in rows if r["target"] is not None][::-1]
    _, ax = plt.subplots(
        figsize=(9, 0.32 * len(rows) + 1), layout="constrained"
    )
    for height, r in enumerate(rows):
        times = r["target"] / r["measured"]
        times = times if r["at_most"] else 1 / times
        color = "tab:green" if r["reached"] else "tab:red"
        ax.barh(height, times - 1, left=1, height=0.5, color=color)
        ax.annotate(
            f" {words(r)}", (max(times, 1), height), va="center", fontsize=8
        )
    ax.axvline(1, color="black", linewidth=1)
    names = [f"{r['work']}, against {r['against']}" for r in rows]
    ax.set_yticks(
        range(len(rows)), [n.removesuffix(", against -") for n in names]
    )
    ax.tick_params(axis="y", labelsize=8)
    ax.set(xscale="log", xlabel="times better than the target (line at 1)")
    ax.set_xlim(right=ax.get_xlim()[1] * 6)
    stream = io.BytesIO()
    ax.figure.savefig(stream, dpi=120)
    return stream.getvalue()


def report(rows, about):
    """Write all three files; readings of the browser test stay."""
    path = BUILD / "benchmarks.json"
    path.parent.mkdir(exist_ok=True)
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    found |= {"machine": about, "versions": versions(), "rows": rows}
    path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    lines = [
        f"- {name}: {value}"
        for name, value in (about | found["versions"]).items()
    ]
    text = "\n".join([table(rows), "", *lines, ""])
    path.with_suffix(".md").write_text(text, "utf-8")
    path.with_suffix(".png").write_bytes(figure(rows))
    print(text)


def every_size():
    """Masks for ever larger layers."""
    rows, by_size = [], {}
    for size in studying.progress((10**6, 10**7, 10**8), "masks"):
        found, by_size[size] = masks(size)
        rows += found
    return rows + linearity(by_size)


@functools.cache
def task():
    """The trained network that is pruned, and its images."""
    split = datasets.load("mnist")
    return training.baseline(split), split


GROUPS = {
    "masks": every_size,
    "sweeps": lambda: sweeps(*task())[0],
    "slider": lambda: slider(*task())[0],
    "compaction": lambda: compaction(*task())[0],
    "fine_tuning": lambda: fine_tuning(*task())[0],
    "repair": lambda: repair(*task())[0],
    "compacted": lambda: compacted(*task()),
    "sparse_files": lambda: sparse_files(task()[1]),
    "other_runtime": lambda: other_runtime(task()[0]),
    "importing": importing,
    "halves": halves,
    "growth": growth,
    "tracing": tracing,
    "memory": memory,
}


def main(*names):
    """All groups, one after the other; or some, whose rows are only shown."""
    about, rows = machine(), []
    for name in studying.progress(names or GROUPS, "groups"):
        rows += GROUPS[name]()
    if names:
        print(table(rows))
    else:
        report(rows, about)


if __name__ == "__main__":
    main(*sys.argv[1:])
