# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10. Prune filters
#
# > Does all this carry over to convolution filters?
#
# **You'll do**: find out where a convolutional network keeps its weights and
# where it spends its time, delete half of its filters, retrain it, cut them out
# for good, and time what is left.
#
# **You'll need**: notebooks 3 to 5. Three minutes on two cores, two more if
# the trained networks are not in the cache.

# %%
import keras
import numpy as np
import pandas as pd

from helpers import (
    checking, compacting, datasets, masking, measuring, networks, plotting,
    pruning, sliders, studying, timing, training,
)  # fmt: skip

# %% [markdown]
# ## Find a filter's places
#
# A **filter** of a convolution puts out a whole image, its **map**. Here are
# the maps of three filters, 2 x 2 pixels each; the last axis counts the
# filters, as it counts the units of a Dense layer. *Flatten makes a row of
# twelve numbers of them. Which of the twelve belong to filter 1?*

# %%
maps = np.arange(12).reshape(2, 2, 3)
print("its map:       ", maps[..., 1].ravel())
alive = np.array([True, False, True])
print("gone in the row:", np.flatnonzero(~np.tile(alive, 4)))

# %% [markdown]
# Every third one. So a Dense layer that reads the row loses the *rows* 1, 4, 7
# and 10 of its kernel with filter 1. A convolution that reads the maps loses
# one channel of each of its filters.
#
# ## Count what filters cost
#
# A LeNet-5 in the size that pruning papers use: two convolutions of 5 x 5, each
# with BatchNormalization, ReLU and max-pooling, then one hidden Dense layer.
# One network for clothes, one for digits.

# %% tags=["nbval-ignore-output"]
recipe = {"build": networks.lenet, "num_steps": 1200}
splits = {name: datasets.load(name) for name in datasets.NAMES}
models = {n: training.baseline(s, **recipe) for n, s in splits.items()}

# %%
split, model = splits["fashion_mnist"], models["fashion_mnist"]
kernels = pruning.prunable_kernels(model, include_output=True)
costs = pd.DataFrame(
    {
        "kernel": {
            k: " x ".join(map(str, v.shape)) for k, v in kernels.items()
        },
        "weights": {k: v.size for k, v in kernels.items()},
        "MACs": measuring.macs_per_layer(model),
    }
)
costs

# %%
(100 * costs[["weights", "MACs"]] / costs[["weights", "MACs"]].sum()).round(1)

# %% [markdown]
# `hidden_1` holds 93 % of the weights and does 17 % of the work; `conv_2` holds
# 6 % and does 70 %. A convolution uses each weight again at every position, 64
# times in `conv_2`. Whoever prunes for size looks at the one, whoever prunes
# for work at the other.
#
# ## Delete half of the filters
#
# `pruning.prune_units` ranks filters by the L2 norm of their kernels, as it
# ranks units. `compacting.compact` is the same as for Dense layers, too. *The
# filters on both sides of `conv_2` are halved. How many of its MACs are left?*

# %%
kernels = pruning.prunable_kernels(model)
halved = pruning.prune_units(model, sparsity=0.5)
small = compacting.compact(halved)
print(compacting.live_units(halved))
pd.DataFrame(
    {
        name: measuring.macs_per_layer(m)
        for name, m in {"masked": halved, "compacted": small}.items()
    }
)

# %% [markdown]
# A quarter: half of the filters, each reading half of the channels. Of all MACs
# 28 % are left. And these are all the arrays of the two networks, from the
# first filters to the last biases:

# %%
for name, network in {"masked": halved, "compacted": small}.items():
    print(name, *[w.shape for w in network.get_weights()])

# %% [markdown]
# Each convolution is followed by four arrays of its BatchNormalization, scale
# (gamma), shift (beta) and two running statistics: a filter takes its entries
# of these along. `hidden_1` reads 16 positions of 50 filters, then of 25. Are
# the outputs the same, on clothes and on digits? We take the largest difference
# as a fraction of the largest output, because rounding grows with the numbers.

# %%
for name, network in models.items():
    masked = pruning.prune_units(network, sparsity=0.5)
    cut = compacting.compact(masked)
    x = splits[name].x_test[:1000]
    seen, again = np.array(masked(x)), np.array(cut(x))
    gap = np.abs(seen - again).max() / np.abs(seen).max()
    checking.claim(f"{name}: at most 1e-5 apart", gap <= 1e-5, gap)

# %% [markdown]
# Yes. Where a filter's map is *added* to others, it cannot go alone: filters
# that are added to one another go together, by their norm over all their
# layers. We ask for it in a block that adds its output to its input:

# %%
entry = keras.Input((28, 28, 1))
stem = keras.layers.Conv2D(8, 3, padding="same", name="stem")(entry)
inside = keras.layers.Conv2D(8, 3, padding="same", name="inside")(stem)
exit_ = keras.layers.Flatten()(keras.layers.add([stem, inside]))
residual = keras.Model(entry, keras.layers.Dense(10)(exit_))
gone = pruning.deleted_units(pruning.prune_units(residual, sparsity=0.5))
print(gone["stem"].sum(), "of 8 go from each,",
      "the same ones:", (gone["stem"] == gone["inside"]).all())  # fmt: skip

# %% [markdown]
# ## Scan the layers
#
# How much does each layer mind? We prune one layer at a time, without
# retraining, and read the 5,000 validation images. *Twenty filters, fifty
# filters, 500 units: which layer will be the most sensitive?*

# %% tags=["nbval-ignore-output"]
SPARSITIES = [0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9]
norms = masking.unit_scores(kernels)
scan = pd.DataFrame(index=SPARSITIES, columns=list(norms), dtype=float)
for name in training.progress(norms, "layers"):
    for sparsity in SPARSITIES:
        masks = masking.unit_masks({name: norms[name]}, sparsity)
        pruned = pruning.copy_of(model)
        pruning.apply_masks(pruned, masks)
        scan.loc[sparsity, name] = measuring.accuracy(
            pruned, split.x_val, split.y_val
        )
(100 * scan).round(1)

# %%
ax = plotting.curves(
    SPARSITIES, scan, "sparsity of this layer", "validation accuracy"
)

# %%
lost = scan.loc[0] - scan
checking.claim(
    "half of conv_1 costs over 5 points more than half of hidden_1",
    lost["conv_1"][0.5] - lost["hidden_1"][0.5] > 0.05,
    lost.loc[0.5].to_dict(),
)

# %% [markdown]
# `conv_1` minds most: half of its filters cost 18 points, half of `conv_2` 11,
# half of `hidden_1` less than one. But the layer that minds least is not the
# one that does the work: `hidden_1` does 17 % of it.
#
# ## Retrain with the filters gone
#
# Half of everything is pruned, then 300 steps of training with the masks held;
# the **control** is the unpruned network, trained for equally long. A counter
# looks at every step whether a weight, gamma or beta of a pruned filter has
# come back.

# %% tags=["nbval-ignore-output"]
tuned, controls, revived = {}, {}, {}
for name, network in models.items():
    data, pruned = splits[name], pruning.prune_units(network, sparsity=0.5)
    gone = pruning.deleted_units(pruned)
    counter = checking.RevivedWeights({k: ~g for k, g in gone.items()})
    steps = data.steps(300)
    tuned[name] = training.fine_tune(pruned, data, steps, callbacks=[counter])
    controls[name] = training.fine_tune(network, data, steps)
    revived[name] = counter.worst

# %% tags=["nbval-ignore-output"]
rows = {}
for name, data in splits.items():
    stages = {
        "before": models[name],
        "pruned": pruning.prune_units(models[name], sparsity=0.5),
        "retrained": tuned[name],
        "control": controls[name],
    }
    rows[name] = {
        stage: measuring.accuracy(m, data.x_test, data.y_test)
        for stage, m in stages.items()
    }
(100 * pd.DataFrame(rows).T).round(2)

# %%
for name, row in rows.items():
    checking.claim(
        f"{name}: no pruned entry came back at any step", revived[name] == 0
    )
    checking.claim(
        f"{name}: retraining regains over half of what pruning cost",
        row["retrained"] > (row["pruned"] + row["before"]) / 2,
        row,
    )
    bar = 0.1 if splits[name].is_sample else 0.04
    checking.claim(
        f"{name}: it ends within its bar of the control",
        row["control"] - row["retrained"] < bar,
        row,
    )

# %%
for name, network in tuned.items():
    cut = compacting.compact(network)
    x = splits[name].x_test[:1000]
    seen, again = np.array(network(x)), np.array(cut(x))
    gap = np.abs(seen - again).max() / np.abs(seen).max()
    checking.claim(f"{name}: still at most 1e-5 apart", gap <= 1e-5, gap)
    print(compacting.live_units(network))

# %% [markdown]
# On digits retraining brings 85.7 % back to 98.9 %, 0.2 points below the
# control; on clothes 55.5 % to 88.6 %, 1.8 points below. (The bar of the claim
# is 4 points, 10 on the small sample.) Nothing that was pruned came back, and
# the outputs of the compacted networks are still the same, measured as above.
#
# ## Rank by what filters do
#
# A norm looks at the kernel only. `pruning.activation_scores` looks at what
# comes out: for each filter the mean of |what the next layer reads of it|, over
# 1,000 training images. *Will the two criteria choose the same filters?*

# %% tags=["nbval-ignore-output"]
activity = pruning.activation_scores(model, split.x_train[:1000])
chosen = [masking.unit_masks(scores, 0.5) for scores in (norms, activity)]
for name in norms:
    same = int((chosen[0][name] & chosen[1][name]).sum())
    spread = norms[name].max() / norms[name].min()
    print(f"{name}: {same} of {chosen[0][name].sum()} kept by both,")
    print(f"  the largest norm is {spread:.1f} times the smallest")

# %% [markdown]
# If filters were drawn at random, half of those that one criterion keeps would
# be kept by the other. In the convolutions it is no more than that, and their
# norms are nearly equal. Which choice is better? One run would not tell: `make
# study` has run five seeds on clothes. Filters and units are deleted by either
# criterion or drawn at random, cut out, and the network is trained for 300
# steps, as its control is. First the points that each ends behind (-) the
# control, the mean and its 95 % interval:

# %%
from statsmodels.stats.weightstats import DescrStatsW

columns = ["method", "sparsity"]
seeds = studying.read("results/filters.csv", columns)
by_seed = seeds.pivot(index="seed", columns=columns, values="accuracy")
pruned = by_seed[["norm", "activation", "random"]]
behind = 100 * pruned.sub(by_seed["dense", 0], axis=0)
behind.agg(
    lambda points: "{:+.1f} [{:+.1f}, {:+.1f}]".format(
        points.mean(), *DescrStatsW(points).tconfint_mean()
    )
).unstack("sparsity")

# %% [markdown]
# Then the points by which each criterion ends ahead of the random choice. *Will
# zero be inside the intervals?*

# %%
against = 100 * pruned.sub(by_seed["random"], axis=0, level="sparsity")
against[["norm", "activation"]].agg(
    lambda points: "{:+.1f} [{:+.1f}, {:+.1f}]".format(
        points.mean(), *DescrStatsW(points).tconfint_mean()
    )
).unstack("sparsity")

# %%
for method in ("norm", "activation"):
    ahead = against[method][0.5]
    checking.claim(
        f"{method}: ahead of random at 0.5 with all five seeds",
        (ahead > 0).all(),
        ahead.tolist(),
    )

# %% [markdown]
# At a sparsity of 0.5 the norm is worth 0.6 points and the activation 0.7; at
# 0.75 it is 0.7, with an interval that begins at zero, and 1.0. So either is
# better than chance, by less than what was lost: at 0.5 a random choice ends
# 2.2 points behind the control and the others 1.5. Norm and activation choose
# different filters, and their intervals overlap widely.
#
# ## Time it
#
# Three sizes and the masked network, in two runtimes, for one image and for
# 100, in turns. *3.5 times fewer MACs at a sparsity of 0.5, 12 times fewer at
# 0.75: how many times faster?*

# %% tags=["nbval-ignore-output"]
family = {"full": model, "masked 50%": halved, "compacted 50%": small}
three_quarters = pruning.prune_units(model, sparsity=0.75)
family["compacted 75%"] = compacting.compact(three_quarters)
images = np.resize(split.x_test, (1000, 784))
timed = {
    (runtime, batch_size): timing.latency(family, images, batch_size, runtime)
    for runtime in ("tf.function", "litert")
    for batch_size in (1, 100)
}

# %% tags=["nbval-ignore-output"]
macs = pd.Series({k: measuring.counts(m)["macs"] for k, m in family.items()})
fewer = macs["full"] / macs
table = pd.DataFrame(
    {
        (runtime, f"batch {batch_size}"): [
            f"{r.ms:.2f} ms, {r.speed_up:.1f}x "
            f"[{r.speed_up_low:.1f}, {r.speed_up_high:.1f}]"
            for r in times.itertuples()
        ]
        for (runtime, batch_size), times in timed.items()
    },
    index=list(family),
)
table.T

# %%
print({k: round(float(v), 1) for k, v in fewer.items()})
slow, fast = (timed[r, 100]["speed_up"] for r in ("tf.function", "litert"))
checking.claim(
    "100 images: masking makes nothing 1.5 times faster",
    max(slow["masked 50%"], fast["masked 50%"]) < 1.5,
    (slow.to_dict(), fast.to_dict()),
)
checking.claim(
    "compacted at 75 % it is over twice as fast in LiteRT",
    fast["compacted 75%"] > 2,
    fast.to_dict(),
)
checking.claim(
    "in a tf.function it gains less than half of what its MACs promise",
    slow["compacted 75%"] < fewer["compacted 75%"] / 2,
    slow.to_dict(),
)

# %% [markdown]
# Masking gains nothing. With 12 times fewer MACs the compacted network is about
# 6 times as fast in LiteRT, for one image and for 100. In a `tf.function`,
# which spends much of a call on the call itself, it is 3 times as fast for 100
# images and 1.5 times for one.
#
# Where does the rest go? We time each **stage** by itself, in LiteRT and for
# 100 images: a layer with a kernel and all that follows up to the next one.
# *Which stage does the most MACs per millisecond?*


# %% tags=["nbval-ignore-output"]
def alone(network, x):
    """By stage: a function that runs it, and its MACs."""
    layers, calls, work, first = network.layers, {}, {}, 0
    starts = [n for n, y in enumerate(layers) if hasattr(y, "kernel")]
    for start, end in zip(starts, [*starts[1:], len(layers)], strict=True):
        part = keras.Sequential([keras.Input(x.shape[1:]), *layers[first:end]])
        calls[layers[start].name] = timing.compiled(part, x, "litert")
        work[layers[start].name] = measuring.counts(part)["macs"]
        x, first = np.array(part(x)), end
    return calls, work


full, full_macs = alone(model, images[:100])
cut, cut_macs = alone(family["compacted 75%"], images[:100])
calls = {("full", k): call for k, call in full.items()}
calls |= {("compacted", k): call for k, call in cut.items()}
ms = timing.time_in_turns(calls, repeats=100).median()
ms.index = pd.MultiIndex.from_tuples(calls)

# %%
stages = pd.DataFrame({"MACs": full_macs, "MACs, compacted": cut_macs})
times_fewer = stages["MACs"] / stages["MACs, compacted"]
stages.assign(times_fewer=times_fewer.round(1))

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        "ms": ms["full"],
        "ms, compacted": ms["compacted"],
        "times faster": ms["full"] / ms["compacted"],
        "million MACs per ms": stages["MACs"] / ms["full"] / 1e4,
        "the same, compacted": stages["MACs, compacted"]
        / ms["compacted"]
        / 1e4,
    }
).round(2)

# %% [markdown]
# Of the three large stages the first does the fewest MACs per millisecond, four
# tenths of what the second does: 20 filters over 24 x 24 positions of a single
# channel, then normalization, ReLU and pooling of the largest maps, which count
# no MACs and take time. And it has only its own filters to lose, as the image
# has one channel whatever we prune: four times fewer MACs and three times as
# fast. The second stage does 17 times fewer and is 15 times as fast. So the
# stage with an eighth of the MACs takes a quarter of the time at first, and
# most of it in the end. A MAC is not a unit of time.
#
# ## Move it yourself
#
# The slider deletes filters and units of all layers. On the right the twenty
# maps of `conv_1` for one image of clothes, after pooling. *Whose maps vanish
# first: the dark ones or the bright ones?*

# %% tags=["nbval-ignore-output"]
positions = np.linspace(0, 0.95, 20).round(2)
prices = {}
for sparsity in training.progress(positions, "pricing"):
    pruned = pruning.prune_units(model, sparsity)
    cost = measuring.cost(compacting.compact(pruned))
    prices[sparsity] = {"MACs": cost.macs, "zipped bytes": cost.zipped_bytes}

# %%
x, y = split.x_test[:300], split.y_test[:300]


def look(sparsity):
    """Prune the real network, read 300 images and show one's maps."""
    masks = masking.unit_masks(norms, sparsity)
    scratch.set_weights(model.weights)
    pruning.apply_masks(scratch, masks)
    left = [masks[name].sum() for name in ("conv_1", "conv_2")]
    readings = measuring.readings(scratch, x, y) | prices[sparsity]
    readings["filters left"] = int(sum(left))
    shown = np.array(first_maps(x[:1]))[0].transpose(2, 0, 1)
    return readings, np.block(
        [list(row) for row in shown.reshape(4, 5, 12, 12)]
    )


# %%
scratch = networks.lenet()
first_maps = keras.Sequential([keras.Input((784,)), *scratch.layers[:5]])
line = [look(sparsity)[0]["accuracy"] for sparsity in positions]
picture = plotting.ExplorerPicture(
    positions, {"not retrained": line}, "sparsity of filters and units",
    (48, 60), "the 20 maps of conv_1",
)  # fmt: skip
explorer = sliders.Explorer(positions, look, picture.pngs, start=0.5)
explorer

# %%
explorer.slider.value = 0.75
checking.claim(
    "at 0.75 the slider counts 17 of 70 filters left and 193,250 MACs",
    explorer.readings["filters left"] == 17
    and explorer.readings["MACs"] == 193_250,
    explorer.readings,
)

# %% [markdown]
# You should have seen bright maps vanish as well as dark ones: the norms of the
# twenty kernels are nearly equal, and how bright a map is, the normalization
# decides. Exercise 3 makes this exact.
#
# ## Your turn
#
# **Exercise 1.** Half of the filters of `conv_1` and half of those of `conv_2`
# go, `hidden_1` keeps its 500 units. How many of the 2,293,000 MACs are left?
# Work it out, then let the code count.

# %% tags=["solution"]
answer = 720 * 200 + 625 * 640 + 400 * 500 + 500 * 10
masks = masking.unit_masks({k: norms[k] for k in ("conv_1", "conv_2")}, 0.5)
cut = pruning.copy_of(model)
pruning.apply_masks(cut, masks)
counted = measuring.counts(compacting.compact(cut))["macs"]
checking.claim(f"{answer:,} are left", counted == answer, counted)

# %% [markdown]
# **Exercise 2.** Now digits. Choose a sparsity for each layer so that fewer
# than 30 % of the MACs are left and, after 300 steps, the validation accuracy
# is within 0.5 points of the control's (on the small sample: 6). Use the scan
# and the table of costs.

# %% tags=["solution"]
answer = {"conv_1": 0.4, "conv_2": 0.52, "hidden_1": 0.75}
digits, cut = splits["mnist"], pruning.copy_of(models["mnist"])
scores = masking.unit_scores(pruning.prunable_kernels(cut))
for name, sparsity in answer.items():
    masks = masking.unit_masks({name: scores[name]}, sparsity)
    pruning.apply_masks(cut, masks)
cut = compacting.compact(cut)
left = measuring.counts(cut)["macs"] / 2_293_000
checking.claim("fewer than 30 % of the MACs are left", left < 0.3, left)
cut = training.fine_tune(cut, digits, digits.steps(300))
pair = [
    measuring.accuracy(m, digits.x_val, digits.y_val)
    for m in (controls["mnist"], cut)
]
bar = 0.06 if digits.is_sample else 0.005
checking.claim("accuracy is within its bar", pair[0] - pair[1] < bar, pair)

# %% [markdown]
# **Exercise 3.** Is the norm of a kernel a good score where a normalization
# follows? Make the filter of `conv_1` that would be the first to go ten times
# as large, and give its BatchNormalization a mean ten times and a variance
# (plus `epsilon`) a hundred times as large. Do the outputs change? Does its
# rank, by norm and by activation?

# %% tags=["solution"]
scaled = pruning.copy_of(model)
weakest = norms["conv_1"].argmin()
conv, norm = scaled.get_layer("conv_1"), scaled.get_layer("norm_1")
factor = np.where(np.arange(20) == weakest, 10, 1)
conv.set_weights([conv.get_weights()[0] * factor])
gamma, beta, mean, variance = norm.get_weights()
variance = (variance + norm.epsilon) * factor**2 - norm.epsilon
norm.set_weights([gamma, beta, mean * factor, variance])
gap = np.abs(np.array(scaled(x)) - np.array(model(x))).max()
checking.claim("outputs are at most 1e-3 apart", gap < 1e-3, gap)
after = masking.unit_scores(pruning.prunable_kernels(scaled))["conv_1"]
last = after.argmax() == weakest
checking.claim("by norm it is now the last to go", last, after)
now = pruning.activation_scores(scaled, split.x_train[:1000])["conv_1"]
same = np.allclose(now, activity["conv_1"], rtol=1e-3)
checking.claim("by activation nothing changes", same, now)

# %% [markdown]
# The normalization divides by what the kernel was multiplied with, so the norm
# of a kernel before it says nothing certain about what the filter does.
#
# ## What would fool you here
#
# A kernel of zeros, and the normalization left alone. We prune the same half of
# the filters twice, once with masks over filters and once with masks over
# single weights, and count the pruned filters whose map is zero everywhere on
# 300 test images.

# %%
half = masking.unit_masks(norms, 0.5)
kernels_only = {
    name: np.broadcast_to(half[name], kernel.shape)
    for name, kernel in kernels.items()
}
for label, masks in {"whole": half, "control, kernel": kernels_only}.items():
    cut = pruning.copy_of(model)
    pruning.apply_masks(cut, masks)
    zeros = checking.zero_counts(pruning.prunable_kernels(cut))
    print(f"{label}: {sum(zeros.values()):,} zero weights")
    seen = pruning.activation_scores(cut, x)
    dead = [seen[k][half[k] == 0] == 0 for k in ("conv_1", "conv_2")]
    silent = sum(int(d.sum()) for d in dead)
    checking.claim(f"{label}: 35 maps are zero", silent == 35, "fewer")

# %% [markdown]
# Both have the same 212,750 zero weights. But a filter whose kernel is zero
# still sends its shift, minus what the normalization subtracts, through ReLU: a
# grey map, the same for every image. The line that fails is there on purpose.
#
# ## Recap
#
# In this notebook, we saw:
#
# - `conv_2` holds 6 % of the weights and does 70 % of the MACs; half of all
#   filters and units leaves 28 % of the MACs;
# - a filter is a slice of the kernel, its entries in the normalization, and
#   what the next layer reads of it; without all of them it is not gone;
# - half of `conv_1` costs 18 points before retraining, half of `hidden_1` less
#   than one; after 300 steps the halved network is 0.2 points behind its
#   control on digits and 1.8 on clothes;
# - over five seeds norm and activation beat a random choice by 0.6 and 0.7
#   points at a sparsity of 0.5;
# - 12 times fewer MACs were 6 times faster in LiteRT and 3 times in a
#   `tf.function`.
#
# **In practice**: the five seeds are of one small network after 1,200 steps, on
# clothes; longer training, weight decay or another network may rank the
# criteria otherwise. Networks with shortcuts need several layers pruned
# together, which these helpers refuse to do.
# [Li et al., 2017](https://arxiv.org/abs/1608.08710) prune filters by norm and
# scan the layers as we did;
# [Molchanov et al., 2017](https://arxiv.org/abs/1611.06440) compare criteria,
# activations among them.
#
# Next: what do pruning, int8 and a teacher give together?
