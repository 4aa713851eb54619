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
# **You'll do**: delete half of the filters of a convolutional network, cut them
# out for good, retrain what is left, and find out where its time goes.
#
# **You'll need**: notebooks 3 to 5, and 25 minutes. The code runs for three
# minutes on two cores.

# %%
import dataclasses

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, compacting, datasets, deploying, masking,
                     measuring, networks, plotting, pruning, sliders, studying,
                     timing, training)

# %% [markdown]
# ## See what belongs to a filter
#
# A convolution is like a Dense layer in which each single weight has become a
# small square of weights. Each of its **filters** takes in every channel of the
# image and outputs a new image, its **feature map**, which is a channel for the
# next layer. Below are two small convolutions, of 4 and 6 filters: whole, with
# half of the filters deleted, and compacted. The circles are the image and the
# maps. Each line, and each coloured cell, is the sum of one square of 5 × 5
# weights (which filters go is decided by the norm of all their weights, which
# these sums do not show).

# %%
tiny = networks.lenet(filters=(4, 6), widths=(8,))
halved = pruning.prune_units(tiny, sparsity=0.5)
versions = {"whole": tiny, "pruned": halved,
            "compacted": compacting.compact(halved)}
squares = {title: {layer.name: layer.kernel.numpy().sum((0, 1))
                   for layer in model.layers if "conv" in layer.name}
           for title, model in versions.items()}
axes = plotting.networks(squares)

# %% [markdown]
# It is the picture of notebook 3: a deleted filter is a column of crosses. The
# row of the next kernel that took in its map is still there, and still costs
# time; only compaction removes it.
#
# After the convolutions, Flatten turns the maps into one row of numbers. For
# each pixel of a deleted map, the next Dense layer loses a row of its kernel;
# `compacting.compact` finds these rows.
#
# ## Count, then cut
#
# Our network is a LeNet-5 in the size that pruning papers use: two convolutions
# of 5 × 5 with 20 and 50 filters, each followed by ReLU and max-pooling, then a
# hidden Dense layer of 500 units. Behind each convolution we add the
# BatchNormalization that newer networks have. We train one for clothes and one
# for digits, for 1,200 steps only, to save time.

# %% tags=["nbval-ignore-output"]
splits = {name: datasets.load(name) for name in datasets.NAMES}
models = {name: training.baseline(split, build=networks.lenet, num_steps=1200)
          for name, split in splits.items()}
split, model = splits["fashion_mnist"], models["fashion_mnist"]
kernels = pruning.prunable_kernels(model, include_output=True)

# %%
costs = pd.DataFrame({"weights": {k: v.size for k, v in kernels.items()}})
costs["MACs"] = measuring.macs_per_layer(model)
share = 100 * costs / costs.sum()
ax = share.T.plot.barh(stacked=True, figsize=(7, 2), xlabel="share, %")
ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
costs.join(share.round(1), suffixes=("", ", %"))

# %% [markdown]
# `hidden_1` holds 93 % of the weights and does 17 % of the MACs
# (multiplications with an addition); `conv_2` holds 6 % and does 70 %, because
# it uses each weight at all 8 × 8 positions of its maps. To save storage, prune
# `hidden_1`; to save computation, prune `conv_2`.
#
# Now we delete half of the filters and units of every layer, those whose
# weights have the smallest L2 norm, and cut them out. `prune_units` and
# `compact` are called as for Dense layers. With a filter go its own entries in
# the BatchNormalization: a scale, a shift, a mean and a variance.

# %%
halved = {n: pruning.prune_units(m, sparsity=0.5) for n, m in models.items()}
small = {n: compacting.compact(m) for n, m in halved.items()}
left = measuring.macs_per_layer(small["fashion_mnist"])
print(f"{sum(left.values()) / costs['MACs'].sum():.1%} of the MACs are left")
for name in models:
    x = splits[name].x_test[:1000]
    checking.same_outputs(name, halved[name], small[name], x)
sliders.Prediction("Half of the filters are gone on both sides of conv_2. What "
                   "share of its MACs is left?",
                   100 * left["conv_2"] / costs["MACs"]["conv_2"])

# %% [markdown]
# A quarter: half of the filters, each with half of the channels. `conv_1` keeps
# half, because its one channel is the image. The compacted networks give the
# same outputs as the masked ones. (Differences are measured against the largest
# output, because rounding grows with the numbers.)
#
# ## Find the sensitive layer
#
# How much does each layer suffer? We prune one layer at a time, without
# retraining, and measure the points lost on the validation images. *Twenty
# filters, fifty filters, 500 units: which layer will lose most?*

# %% tags=["nbval-ignore-output"]
norms, held_out = pruning.unit_scores(model), (split.x_val, split.y_val)
before, lost = measuring.accuracy(model, *held_out), {}
for layer in norms:
    for sparsity in (0.25, 0.4, 0.5, 0.6, 0.75, 0.9):
        masks = masking.unit_masks({layer: norms[layer]}, sparsity)
        after = measuring.accuracy(pruning.masked(model, masks), *held_out)
        lost[layer, sparsity] = round(100 * (before - after), 1)

# %% tags=["nbval-ignore-output"]
_, ax = plt.subplots(figsize=(7, 2.4))
sns.heatmap(pd.Series(lost).unstack(), annot=True, fmt=".0f", cmap="rocket_r",
            cbar_kws={"label": "points lost"}, ax=ax)
ax.tick_params(axis="y", rotation=0)
_ = ax.set(xlabel="fraction of this layer's filters or units deleted")
{layer: lost[layer, 0.5] for layer in norms}

# %% [markdown]
# In this run `conv_1`, the smallest layer, loses most: what its filters miss in
# the image is lost to all layers that follow. `hidden_1` hardly suffers, so
# storage is cheap to save. `conv_2`, which does the work, is in between. Does
# the norm put the useless filters first? We come back to that.
#
# ## Retrain what is left
#
# We train the small, compacted networks for 300 steps. Their **control** is the
# whole network, trained for 300 steps more as well.

# %% tags=["nbval-ignore-output"]
for name, data in splits.items():
    test, steps = (data.x_test, data.y_test), data.steps(300)
    stages = {"before": models[name], "half deleted": small[name],
              "retrained": training.fine_tune(small[name], data, steps),
              "control": training.fine_tune(models[name], data, steps)}
    print(name, {k: measuring.accuracy(m, *test) for k, m in stages.items()})

# %% [markdown]
# Retraining brings back most of it, on digits more than on clothes. One run
# cannot say how far below its control a halved network ends; for clothes, six
# will.
#
# ## Ask what a norm can know
#
# A norm knows only the kernel. `pruning.activation_scores` looks at what comes
# out instead: the mean absolute value that the next layer receives from a
# filter, over 1,000 training images. Do the two agree? Each dot is a filter of
# `conv_2`.

# %% tags=["nbval-ignore-output"]
activity = pruning.activation_scores(model, split.x_train[:1000])
one, other = (masking.unit_masks(s, 0.5)["conv_2"] for s in (norms, activity))
print(f"both keep {np.count_nonzero(one & other)} of {one.sum()}")
ax = sns.scatterplot(x=norms["conv_2"], y=activity["conv_2"], hue=one + other)
ax.set(xlabel="norm of the kernel", ylabel="mean activation")
sns.move_legend(ax, "upper left", bbox_to_anchor=(1, 1), title="kept by")

# %% [markdown]
# In this run they agree on 14 of 25, hardly more than chance: two random halves
# of the filters have about half of their members in common, too.
#
# There is a reason to distrust the norm here. We take the filter of `conv_1`
# with the smallest norm, make its kernel ten times as large, and tell the
# BatchNormalization behind it: a mean ten times as large, a variance a hundred
# times (to which Keras adds a small epsilon). *What will change?*

# %%
scaled, weakest = pruning.copy_of(model), norms["conv_1"].argmin()
factor = np.where(np.arange(20) == weakest, 10, 1)
conv, norm = scaled.get_layer("conv_1"), scaled.get_layer("norm_1")
conv.set_weights([conv.get_weights()[0] * factor])
gamma, beta, mean, var = norm.get_weights()
norm.set_weights([gamma, beta, mean * factor,
                  (var + norm.epsilon) * factor**2 - norm.epsilon])
order = pruning.unit_scores(scaled)["conv_1"].argsort().tolist()
print(f"it would now go as number {1 + order.index(weakest)} of 20")
checking.same_outputs("rescaled", model, scaled, split.x_test[:1000])

# %% [markdown]
# The filter that was the first to go is now the last, in a network that gives
# the same outputs. The normalization divides by whatever the kernel was
# multiplied by, so the size of a kernel in front of it *can* mislead.
# Activation is not safe either: make a scale and a shift ten times as large and
# the next kernel's rows ten times smaller, and the outputs are the same again.
# Nobody did either to our trained filters, so both scores may still be of use.
#
# ## Compare with chance
#
# Does it matter in the end? We need more than one run, and a random choice to
# compare with. `make study` has trained six networks for clothes, one per
# **seed** (initial weights and order of the images), deleted a half or three
# quarters of the filters and units of every layer, by norm, by activation and
# at random, and retrained what was left for 300 steps. A small dot is one
# seed's difference from the random choice with the same seed, a large one the
# mean of six, and the bar its 95 % interval. *Which criterion will be better
# than chance, and by how much?*

# %%
seeds = studying.read("results/filters.csv", ["method", "sparsity"])
pruned = seeds[seeds["method"] != "dense"]
by = "points", "method", "random", ["sparsity"]
axes = plotting.differences(studying.gaps(pruned, *by), "points", hue="method")
axes[None].set(xlabel="filters and units left", ylabel="points above random")
studying.paired(pruned, *by)

# %% tags=["check"]
criteria = pruned[pruned["method"] != "random"]
print(studying.paired(criteria, "points", "method", "norm", ["sparsity"])
      [["mean", "low", "high"]].round(2))

# %% [markdown]
# Both criteria beat a random choice, by 0.5 to 1.1 points: little. The four p
# values are corrected by **Holm's** method for having tested four times
# (`p_holm`). By activation every seed ends ahead of chance; by norm one of six
# ends below it, at each of the two sparsities. Between the two, as printed, six
# seeds show no difference.
#
# How far below their control do they end? (`dense` is the control.)

# %%
share = (1 - seeds["sparsity"]).map(" {:.0%} left".format)
seeds["network"] = seeds["method"] + share
against = "points", "network", "dense 100% left"
gaps = studying.gaps(seeds, *against)
gaps[["method", "left"]] = gaps["network"].str.split(n=1, expand=True)
axes = plotting.differences(gaps, "points", x="left", hue="method")
axes[None].set(xlabel="filters and units", ylabel="points above the control")
print(seeds.groupby("network")["before_accuracy"].mean().round(3).to_dict())
studying.paired(seeds, *against)[["mean", "low", "high"]].round(2)

# %% [markdown]
# With half of the filters left the networks end 1.6 points below the control by
# norm, and 1.5 by activation; with a quarter left, about 5 points. Choosing at
# random costs 2.1 and 6.1 points. So how much is cut matters more than how it
# is chosen. And retraining does most of the work. Before it, as printed, no
# criterion was clearly ahead: 46.6, 46.1 and 44.8 % with half left (norm,
# activation, random), and 18.9, 22.0 and 22.6 % with a quarter left, on
# average.
#
# ## Time what is left
#
# We time the whole network, the masked one and two compacted ones, for one
# image and for 100, in TensorFlow (`tf.function`) and in LiteRT, the small
# runtime for phones.

# %% tags=["nbval-ignore-output"]
family = {"whole": model, "masked, half": halved["fashion_mnist"],
          "compacted, half": small["fashion_mnist"]}
quarter = compacting.compact(pruning.prune_units(model, sparsity=0.75))
family["compacted, a quarter"] = quarter
runtimes = {"tf.function": "tf.function", "LiteRT": "litert"}
images = split.x_test
timed = {f"{name}, {size}": timing.latency(family, images, size, runtime)
         for name, runtime in runtimes.items() for size in (1, 100)}
fewer = {name: costs["MACs"].sum() / measuring.counts(m)["macs"]
         for name, m in family.items()}
sliders.Prediction("A quarter of the filters is left, and the network does "
                   f"{fewer['compacted, a quarter']:.1f} times fewer MACs. How "
                   "much of its time does it take, in LiteRT for 100 images?",
                   100 / timed["LiteRT, 100"]["speed_up"].iloc[-1])

# %% tags=["nbval-ignore-output"]
speed = pd.concat(timed, names=["call", "network"])["speed_up"].reset_index()
_, ax = plt.subplots(figsize=(7.5, 3))
sns.stripplot(speed, x="speed_up", y="network", hue="call", dodge=True, ax=ax)
ax.plot(fewer.values(), list(fewer), "k|", ms=28, label="times fewer MACs")
ax.legend(title="runtime, images", loc="upper left", bbox_to_anchor=(1, 1))
_ = ax.set(xlabel="times faster than the whole", ylabel="", xlim=(0, 13))

# %% tags=["check"]
checking.claim(
    "100 images: masking makes nothing 1.5 times faster",
    [timed[f"{name}, 100"]["speed_up"].iloc[1] for name in runtimes],
    below=1.5,
)
fast = timed["LiteRT, 100"]["speed_up"].iloc[-1]
checking.claim("compacted, a quarter: LiteRT gains over twice", fast, above=2)

# %% [markdown]
# Masking gains nothing, as in notebook 5: zeros are multiplied like any other
# number. The compacted networks are faster, but none reaches its black mark,
# the ratio of the MACs. A `tf.function` is furthest from it, above all for one
# image, where, as notebook 5 showed, the call itself takes much of the time.
#
# Where does the rest go? We time each part alone, in LiteRT with 100 images.
# The operations in the LiteRT file, printed below, include no normalization and
# no ReLU: the converter has put the normalization into the kernels and biases,
# and the convolutions do the ReLU on their way. Pooling is a step of its own.
# (SHAPE, STRIDED_SLICE, PACK and RESHAPE only work out shapes; DELEGATE is no
# further step but XNNPACK, a library of fast routines, which does the others'
# arithmetic.) Each part alone also pays for its own call and for copying its
# maps; the sums are printed.

# %% tags=["nbval-ignore-output"]
print(*deploying.File(deploying.convert(model)).operators(), sep=", ")
# Where each part ends among the layers; a normalization goes with its layer.
ENDS = {"conv_1": 4, "pool_1": 5, "conv_2": 8, "pool_2": 9, "Dense layers": 12}
calls, work = {}, {}
for network in ("whole", "compacted, a quarter"):
    x, layers, first = images[:100], family[network].layers, 0
    for part, end in ENDS.items():
        alone = keras.Sequential([keras.Input(x.shape[1:]), *layers[first:end]])
        calls[network, part] = timing.compiled(alone, x, "litert")
        work[network, part] = measuring.counts(alone)["macs"]
        x, first = np.array(alone(x)), end
ms = timing.time_in_turns(calls, repeats=60).median()
print("sums of the parts, ms:", ms.groupby(level=0).sum().round(2).to_dict())
for name in ("whole", "compacted, a quarter"):
    print(f"{name}, at once: {timed['LiteRT, 100']['ms'][name]:.2f} ms")

# %% tags=["nbval-ignore-output"]
spent = pd.DataFrame({"MACs": work, "time": ms}).unstack(0, sort=False)
shares = (100 * spent / spent.sum()).T
shares.index = shares.index.map(", ".join)
ax = shares[::-1].plot.barh(stacked=True, figsize=(8, 2.8), xlabel="share, %",
                            color=["C0", "C4", "C1", "C5", "C2"])
_ = ax.legend(ncols=5, loc="lower center", bbox_to_anchor=(0.4, 1))

# %% [markdown]
# The bars of MACs and the bars of time do not match. `conv_1` takes a far
# larger share of the time than of the MACs, even without its pooling. With one
# channel, each of its sums has only 5 × 5 terms, probably too few to keep the
# processor busy. And it shrinks less: pruning takes only filters from `conv_1`,
# because the image keeps its one channel, but filters *and* channels from
# `conv_2`. So in the end most of the time goes into the layer that we could
# shrink least. A MAC is not a unit of time.
#
# ## Move it yourself
#
# The slider deletes filters and units of all layers, by norm or by activation,
# and cuts them out; accuracies are of 2,000 test images, without retraining. On
# the right are the 20 maps of `conv_1` for one image, deleted ones crossed out.
# *Which maps vanish first by norm, the dark or the bright ones? And by
# activation?*

# %% tags=["nbval-ignore-output"]
some = np.random.default_rng(0).permutation(len(split.y_test))[:2000]
few = dataclasses.replace(split, x_test=split.x_test[some],
                          y_test=split.y_test[some])
scores = {"norm": norms, "activation": activity}


# %% tags=["nbval-ignore-output"]
def cut_out(data, method, share_deleted):
    """Accuracy and MACs of the compacted network."""
    masks = masking.unit_masks(scores[method], share_deleted)
    compact = compacting.compact(pruning.masked(model, masks))
    accuracy = measuring.accuracy(compact, few.x_test, few.y_test)
    return {"accuracy": accuracy, "MACs": measuring.counts(compact)["macs"]}


sweep = studying.sweep(cut_out, {"fashion_mnist": few}, method=scores,
                       share_deleted=(0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9))

# %% tags=["nbval-ignore-output"]
maps = np.array(keras.Sequential(model.layers[:5])(few.x_test[:1]))[0]


def look(data, method, share_deleted):
    """Masks, and the maps of conv_1, those that go crossed out."""
    masks = masking.unit_masks(scores[method], share_deleted)
    cross = np.where(np.eye(12) + np.eye(12)[::-1], np.nan, 0)
    tiles = [np.pad(maps[..., n] if kept else cross, 1)
             for n, kept in enumerate(masks["conv_1"])]
    return masks, np.block([tiles[n : n + 5] for n in range(0, 20, 5)])


explorer = sliders.explore(look, {"fashion_mnist": model},
                           {"fashion_mnist": few}, sweep,
                           shown="the 20 maps of conv_1")
explorer

# %% [markdown]
# You should have seen the dark maps vanish first by activation, which is the
# mean brightness over 1,000 images, and dark and bright ones mixed by norm: the
# normalization decides how bright a map is, and the norm of a kernel does not
# know. (On the left, before any retraining, this run has the norm ahead; the
# six seeds do not confirm it.)
#
# ## Your turn
#
# **Exercise 1.** Half of the filters of both convolutions go, and `hidden_1`
# keeps its 500 units. How many MACs are left? Work it out on paper. (The maps
# are 24 × 24 in `conv_1`, 8 × 8 in `conv_2`, and 4 × 4 where `hidden_1` takes
# them in.)

# %%
answer = ...  # a number of MACs
cut = compacting.compact(pruning.prune_units(model, 0.5, spare=["hidden_1"]))
counted = measuring.counts(cut)["macs"]
checking.answer(answer, lambda n: abs(n - counted), below=0.5)

# %% tags=["solution"]
answer = 24 * 24 * 25 * 1 * 10 + 8 * 8 * 25 * 10 * 25  # the convolutions
answer += 4 * 4 * 25 * 500 + 500 * 10  # the Dense layers
print(f"{answer:,}")
checking.answer(answer, lambda n: abs(n - counted), below=0.5)

# %% [markdown]
# **Exercise 2.** Li et al. rank filters by the L1 norm, the sum of the absolute
# weights. Of the 25 filters of `conv_2` that it keeps at a sparsity of 0.5, how
# many does the L2 norm keep as well? Both measure the length of the same
# vector. Guess, to within two.

# %%
answer = ...  # a number of filters
l1 = np.abs(kernels["conv_2"]).sum(axis=(0, 1, 2))
kept = masking.unit_masks({"l1": l1, "l2": norms["conv_2"]}, 0.5)
both = np.count_nonzero(kept["l1"] & kept["l2"])
checking.answer(answer, lambda n: abs(n - both), below=3)

# %% tags=["solution", "nbval-ignore-output"]
answer = np.count_nonzero(kept["l1"] & kept["l2"])
print(f"{answer} of {kept['l1'].sum()}")
checking.answer(answer, lambda n: abs(n - both), below=3)

# %% [markdown]
# ## What would fool you here
#
# A filter whose kernel is zero is not gone. We prune the same half of the
# filters twice, once as filters and once by zeroing their kernels only, and
# count how many of the 25 pruned filters of `conv_2` give a map that is dark
# (zero everywhere) on the 2,000 images.

# %%
half = masking.unit_masks(norms, 0.5)
kernels_only = {k: np.broadcast_to(half[k], kernels[k].shape) for k in half}
for name, masks in {"filters": half, "broken, kernels": kernels_only}.items():
    active = pruning.activation_scores(pruning.masked(model, masks), few.x_test)
    dark = active["conv_2"][half["conv_2"] == 0] == 0
    checking.claim(f"{name}: all 25 maps are dark", dark.sum(), above=24)

# %% [markdown]
# Behind a kernel of zeros the normalization still subtracts its mean and adds
# its shift. Where the sum is above zero it passes the ReLU: a grey map, the
# same for every image. (That line fails on purpose.)
#
# ## Recap
#
# In this notebook, we saw:
#
# - a filter as a column of 5 × 5 squares: it goes with its column, its entries
#   in the normalization, and a row of the next kernel;
# - `conv_2`, which holds 6 % of the weights and does 70 % of the MACs; half of
#   all filters and units leaves 28 % of the MACs and the same outputs;
# - a filter that was the first to go by norm and then the last, in a network
#   with the same outputs: in front of a normalization, a norm can mislead;
# - over six seeds, filters chosen by norm or activation end 0.5 to 1.1 points
#   above a random choice (norm passes its test only just), and with half of the
#   filters left 1.5 to 1.6 points below their control;
# - 11.9 times fewer MACs that are not 11.9 times faster: most of the time that
#   is left goes into the first layer.
#
# **In practice**: the six seeds are of one small network on clothes, after
# 1,200 steps; longer training, weight decay or another network may rank the
# criteria otherwise. Where outputs of layers are added, as in notebook 11,
# their filters go together; `prune_units` sees to that. [Li et al.,
# 2017](https://arxiv.org/abs/1608.08710) rank filters by the L1 norm and scan
# the layers as we did; [Molchanov et al.,
# 2017](https://arxiv.org/abs/1611.06440) compare criteria, mean activations
# among them; [Liu et al., 2017](https://arxiv.org/abs/1708.06519) rank filters
# by the scale of the normalization behind them.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: how do you prune a network whose layers are added, concatenated or
# shared - yours, for example?

# %% tags=["check"]
explorer.visit()
