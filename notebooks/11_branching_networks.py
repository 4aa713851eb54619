# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11. Prune branching networks
#
# > How do you prune a network whose layers are added, concatenated or shared -
# > yours, for example?
#
# **You'll do**: halve a residual network, in which branches are added to each
# other, repair and retrain it; then prune a MobileNet, or any network of yours.
#
# **You'll need**: notebooks 9 and 10, and 30 minutes. The code runs for three
# minutes on two cores.

# %%
import dataclasses

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, compacting, datasets, deploying, masking,
                     measuring, networks, plotting, pruning, repairing, sliders,
                     studying, timing, training)

# %% [markdown]
# ## See what is tied
#
# In a **residual network** each block adds what its convolutions make of their
# input to that input. Most networks of today have such **shortcuts**: they let
# a signal pass many layers undiminished. Here is a small one. A box is a layer
# with its number of filters; what only passes channels on (normalization,
# activation, pooling) belongs to the box before it, and a `+` adds two tensors.

# %%
ax = plotting.graph(networks.resnet())

# %% [markdown]
# Why colours? The first `+` adds channel 0 of `stem` to channel 0 of `conv_1b`,
# channel 1 to channel 1, and so on. If a channel is removed from one of them,
# the same one has to go from the other: they are **tied**. Layers of one colour
# are tied to each other. What is grey has to stay: the image has so many
# pixels, and there are ten classes. (`skip_2` and `skip_3` are convolutions of
# 1 × 1, which bring the input of a block to the size of what is added to it.
# The input's box shows its last dimension, all pixels in a row; a first layer,
# not drawn, folds them to 28 × 28.)
#
# We train this network to classify clothes.

# %% tags=["nbval-ignore-output"]
split = datasets.load("fashion_mnist")
held_out, test = (split.x_val, split.y_val), (split.x_test, split.y_test)
model = training.baseline(split, build=networks.resnet, num_steps=800,
                          learning_rate=3e-3)
print(f"validation accuracy {measuring.accuracy(model, *held_out):.3f}")

# %% [markdown]
# What happens if we forget a tie? We take the two tensors that the first `+`
# adds (`stem`, pooled, and `conv_1b`, normalized) for 100 images, and cut
# channel 3 out of one of them.

# %%
ends = [model.get_layer(n).output for n in ("pool", "conv_1b_norm")]
past, through = map(np.array, keras.Model(model.input, ends)(test[0][:100]))
try:
    past + np.delete(through, 3, axis=-1)
except ValueError as error:
    print(error)

# %% [markdown]
# Sixteen channels cannot be added to fifteen. Channel 3 has to go from both.
#
# ## Prune by groups
#
# A **group** is a set of layers that are tied to each other, or one layer
# alone. `measuring.groups` lists the groups of any Sequential or functional
# Keras model, with what each of them owns: the kernels and normalizations that
# *make* its channels. (The weights that *read* these channels belong to the
# layers that come next.) The bars have the colours of the graph.

# %%
groups, colours = measuring.groups(model), plotting.group_colours(model)
part = (100 * groups / groups.sum()).add_suffix(", %").rename_axis("")[::-1]
_, axes = plt.subplots(1, 2, figsize=(8, 2.4), sharey=True)
for ax, of in zip(axes, ["parameters, %", "MACs, %"], strict=True):
    part[of].plot.barh(ax=ax, color=part.index.map(colours), ec="0.3", title=of)
groups

# %% [markdown]
# The last of the six groups, `conv_3b` and `skip_3`, owns half of the
# parameters, but less than a quarter of the MACs (multiplications with an
# addition).
#
# `pruning.prune_units` gives each channel of a group one score: the norm of the
# weights that make this channel, taken over all layers of the group together.
# The channels with the lowest scores are deleted from all of these layers.
# `compacting.compact` cuts them out, together with their entries in the
# normalizations and the weights that read them.

# %%
halved = pruning.prune_units(model, sparsity=0.5)
small = compacting.compact(halved)
macs, left = (measuring.counts(m)["macs"] for m in (model, small))
checking.same_outputs("halved", halved, small, test[0][:1000])
sliders.Prediction("Half of each group is gone. How many MACs are left?",
                   100 * left / macs)

# %% [markdown]
# A little more than a quarter, because the `stem` still reads the one channel
# of the image.
#
# ## Repair, retrain, compare
#
# Notebook 9 repaired networks without training: each layer in turn gets the
# weights with which its sums come closest to those of the whole network, here
# over 500 images, without their labels. Two layers that end in one `+` are
# repaired one by one, each towards its own sums, not those of the `+`. Then we
# train the repaired network for 300 steps. Its **control** is the whole
# network, trained for 300 steps more.

# %% tags=["nbval-ignore-output"]
repaired = repairing.least_squares(model, halved, split.x_train[:500])
steps = {"num_steps": split.steps(300), "learning_rate": 3e-3}
control = training.fine_tune(model, split, **steps)
tuned = training.fine_tune(compacting.compact(repaired), split, **steps)
stages = {"whole": model, "halved": halved, "repaired": repaired,
          "retrained": tuned, "control": control}
right = {k: 100 * measuring.accuracy(m, *held_out) for k, m in stages.items()}
sliders.Prediction("Half of each group is gone, and nothing is trained yet. "
                   "What is the validation accuracy?", right["halved"])

# %% tags=["nbval-ignore-output"]
_, ax = plt.subplots(figsize=(6.5, 2.2))
sns.barplot(x=list(right.values()), y=list(right), color="C0", ax=ax)
ax.bar_label(ax.containers[0], fmt="%.1f", padding=3)
ax.axvline(10, color="0.6", linestyle=":")
_ = ax.set(xlabel="validation accuracy, %", xlim=(0, 105))
print({name: round(value, 1) for name, value in right.items()})

# %% tags=["check"]
checking.claim("repair alone brings back over 20 points",
               right["repaired"] - right["halved"], above=20)

# %% [markdown]
# The halved network guesses: 9.3 % in this run, where 10 % are right by chance
# (dotted). The repair brings it to 82.5 %, and training to 88.6 %, 2.4 points
# below the control.
#
# One run says little. `make study` has done this with six **seeds** (initial
# weights and order of the images), on clothes and on digits, measured on the
# test images, also without the repair, with channels drawn at random, with 70 %
# of each group deleted, and with 1,200 steps for network and control. A small
# dot is one seed's difference from its control, a large one the mean, and the
# bar its 95 % interval. *Does the norm choose better channels than a random
# draw? And do more steps help?*

# %%
seeds = studying.read("results/branching.csv", ["method", "num_steps"])
left = (100 - 100 * seeds["sparsity"]).map(", {:.0f} % left".format)
networks_of = seeds["method"].replace({"norm": "norm, no repair"}) + left
seeds["network"] = networks_of.str.replace(", ", ",\n").where(
    seeds["sparsity"] > 0, "control")
seeds["steps"] = seeds["num_steps"].map("{:,}".format)
against = "points", "network", "control", ["data", "steps"]
axes = plotting.differences(studying.gaps(seeds, *against), "points", "network",
                            "steps", col="data", aspect=1.25)
_ = plt.setp([*axes.values()], xlabel="", ylabel="points, minus control")
table = studying.paired(seeds, *against)[["mean", "low", "high"]].round(2)
print(table.rename(lambda name: name.replace("\n", " ")).sort_values(
    "data", kind="stable"))

# %% [markdown]
# With half of each group left, the repaired networks end 2.1 points below their
# control on clothes, and 0.5 on digits; with 30 % left, 5.0 and 2.1. After four
# times as many steps, for network and control alike, those with half left are
# 1.6 and 0.3 points below it: on digits, 26.1 % of the MACs are then enough to
# stay within half a point.
#
# What are the norm and the repair worth? First we subtract "random, repaired",
# before retraining; then, after it, "norm, repaired".

# %%
half = seeds.query("sparsity == 0.5 and num_steps == 300")
solved = half[half["method"] != "norm"]  # with the repair
print(studying.paired(solved, "before_points", "method", "random, repaired",
                      ["data"])[["mean", "low", "high"]])
studying.paired(half, "points", "method", "norm, repaired", ["data"])

# %% [markdown]
# Before retraining the norm is ahead of a random draw on digits, by 0.78 points
# (0.24 to 1.33); on clothes it is 0.48, and the interval includes zero. After
# it, six seeds show no difference: 0.07 and 0.17 points, and both intervals
# include zero. (Notebook 10, without repair, found one.) The repair still helps
# on clothes: without it ("norm") there are 0.41 points less, with an interval
# from 0.20 to 0.62; on digits 0.09, which may be chance. (`p_holm` is corrected
# by **Holm's** method for having tested four times.)
#
# ## Let each group pay what it can
#
# We halve one group at a time, and count the MACs that this saves and the
# validation points that it costs, without repair. (`prune_units` also takes a
# dict: `{group: 0.5}` halves this group and no other.) *The last group owns the
# most MACs. Which one will save most when it is halved?*

# %% tags=["nbval-ignore-output"]
saved, lost = {}, {}
for group in groups.index:
    cut = pruning.prune_units(model, {group: 0.5})
    left = measuring.counts(compacting.compact(cut))["macs"]
    saved[group] = 100 - 100 * left / macs
    lost[group] = right["whole"] - 100 * measuring.accuracy(cut, *held_out)
pays = pd.DataFrame({"MACs saved, %": saved, "points lost": lost})
axes = pays[::-1].plot.barh(subplots=True, layout=(1, 2), sharey=True,
                            sharex=False, legend=False, color="0.5",
                            figsize=(8, 2.6))
print(pays.round(1))

# %% [markdown]
# It is the first group: halving it saves 24.0 % of all MACs. Halving a group
# saves half of what makes its channels *and* half of what reads them, and three
# layers read its channels: `conv_1a` before the first sum, `conv_2a` and
# `skip_2` after it. The price is high, too: 74.1 points in this run, where no
# other group costs more than 28.4. Two likely reasons: all that the network
# knows of the image passes through these 16 channels, where the later sums have
# 32 and 64; and, as we shall see, the norm chooses badly for `stem`.
#
# ## Gates, concatenations, attention
#
# Branches meet in other ways, too. **Squeeze-and-excite** multiplies each
# channel by a gate, a number between 0 and 1 that a small branch computes from
# all of them; a **concatenation** puts channels side by side. *Which of these
# layers are tied?*

# %%
layers, entry = keras.layers, keras.Input((8, 8, 3))
x = layers.Conv2D(8, 3, activation="relu", name="maps")(entry)
gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
gate = layers.Dense(4, "relu", name="squeeze")(gate)
gate = layers.Dense(8, "sigmoid", name="excite")(gate)
x = layers.Multiply()([x, gate])
x = layers.Concatenate(name="both")([x, layers.Conv2D(4, 1, name="more")(x)])
x = layers.GlobalMaxPooling2D()(x)
gated = keras.Model(entry, layers.Dense(2, name="output")(x))
ax = plotting.graph(gated)

# %% [markdown]
# A product ties as an addition does: a gate goes with its channel. The
# concatenation ties nothing. Its box has two colours, green for the eight
# channels of `maps` and white for the four of `more`: whatever is cut out of
# one of them is cut out of it. (A layer that is used twice has one set of
# channels, so all its uses are tied.)
#
# Here is a block of a transformer. Its input is 6 rows of 16 channels.
# Attention mixes the rows by weighted averages, in several **heads**: here
# four, of four channels each. A head goes whole, with its part of three kernels
# (query, key, value), which are therefore tied. Then the block adds, and
# normalizes each row over its channels. (Batch normalization treats each
# channel alone, which is why it could be cut above.)

# %%
entry = keras.Input((6, 16))
x = entry + layers.MultiHeadAttention(
    num_heads=4, key_dim=4, name="attention")(entry, entry)
y = layers.LayerNormalization(name="norm")(x)
y = layers.Dense(32, "gelu", name="wide")(y)
x = layers.Flatten()(x + layers.Dense(16, name="narrow")(y))
block = keras.Model(entry, layers.Dense(2, name="output")(x))
ax = plotting.graph(block)
print(measuring.groups(block)["units"].to_dict())
row = np.array([0, 1, 2, 3])
for part in (row, row[1:]):
    print((part - part.mean()) / part.std())

# %% [markdown]
# Two things may go: whole heads of the attention, which work side by side, and
# units of `wide`, which only `narrow` reads. The 16 channels that are added and
# normalized have to stay, as one term is the input. And if it were not? The
# last two lines normalize four numbers, with the 0 and without it. A zero takes
# part in mean and standard deviation, so cutting it would change the others:
# channels in front of this normalization always stay.
#
# ## Bring your own
#
# Put a network of yours in place of the MobileNetV2 below: any Sequential or
# functional Keras model. Ours is MobileNetV2 for images of 96 × 96, with random
# weights, so that nothing has to be downloaded. A depthwise convolution filters
# each channel by itself, so it belongs to the box before it, like a
# normalization.

# %%
yours = keras.applications.MobileNetV2(
    weights=None, input_shape=(96, 96, 3), classifier_activation=None)
ax = plotting.graph(yours)
table = measuring.groups(yours)
table.nlargest(4, "MACs")

# %% [markdown]
# Eight boxes are not drawn, among them the three layers of the group with the
# most MACs; of that group only the last `+` is there, in pink.

# %% tags=["nbval-ignore-output"]
pruned = pruning.prune_units(yours, sparsity=0.5)
versions = {"whole": yours, "compacted": compacting.compact(pruned)}
x = np.random.default_rng(0).random((20, *yours.input_shape[1:]), np.float32)
checking.same_outputs("yours", pruned, versions["compacted"], x)
counts = {name: measuring.counts(m) for name, m in versions.items()}
costs = pd.DataFrame(counts).T[["parameters", "macs"]] / 1e6
costs = costs.add_suffix(", millions")
files = {name: deploying.convert(m) for name, m in versions.items()}
costs["file, MB"] = [len(file) / 1e6 for file in files.values()]
costs["LiteRT, ms"] = timing.latency(files, x, 1, "litert")["ms"]
costs.round(2)

# %% [markdown]
# Half of each group is gone: 56.3 million MACs became 15.8 million, the outputs
# are those of the masked network, and one image takes less than half of the
# time. A trained network would now be repaired and retrained like ours. What
# cannot be pruned, such as an LSTM, stays whole, and a warning names it.
#
# ## Fit the runtime
#
# Our halved network has 26.1 % of the MACs, 3.8 times fewer. Is it 3.8 times
# faster? We time it for one image and for 100, in TensorFlow (`tf.function`)
# and in LiteRT, the small runtime for phones.

# %% tags=["nbval-ignore-output"]
family = {"whole": model, "half left": tuned,
          "30 % left": compacting.compact(pruning.prune_units(model, 0.7))}
timed = timing.table(family, test[0], runtimes=("tf.function", "litert"),
                     repeats=15)
images = timed["batch_size"].map({1: ", 1 image", 100: ", 100 images"})
timed["call"] = timed["runtime"].replace("litert", "LiteRT") + images
fewer = {k: macs / measuring.counts(m)["macs"] for k, m in family.items()}
_, ax = plt.subplots(figsize=(7.5, 2.6))
sns.stripplot(timed, x="speed_up", y="model", hue="call", dodge=True, ax=ax)
ax.plot(fewer.values(), list(fewer), "kD", label="times fewer MACs")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
_ = ax.set(xlabel="times faster than the whole network", ylabel="")
print("times fewer MACs", {k: round(n, 1) for k, n in fewer.items()})
print("milliseconds")
print(timed.pivot(index="call", columns="model", values="ms").round(3))

# %% [markdown]
# Cut networks fall short of their black diamonds, in a `tf.function` by most.
# There the whole network takes more than a millisecond for one image, and in
# LiteRT less than a tenth of that. So most of that time is, probably, the call,
# which is too short to explain the times for 100 images. LiteRT has a reason of
# its own, too. We time one Dense layer of 512 inputs on 100 rows, for widths
# from 12 to 100. *Will its time grow with its MACs, along a straight line?*

# %% tags=["nbval-ignore-output"]
rows = np.random.default_rng(0).random((100, 512), np.float32)
widths = {n: keras.Sequential([keras.Input((512,)), layers.Dense(n, "relu")])
          for n in range(12, 101, 4)}
stairs = timing.latency(widths, rows, 100, "litert", repeats=60)["ms"]
ax = stairs.plot(marker="o", figsize=(6.5, 2.8), xticks=range(0, 113, 16),
                 ylim=(0, None), xlabel="units", ylabel="ms for 100 rows")

# %% [markdown]
# It is a staircase, in this run with a step after every 16 units: a layer of 20
# units takes no less time than one of 32. LiteRT seems to compute 16 units at
# once, so cutting units between two steps saves next to nothing.
# `prune_units(..., multiple_of=16)` rounds up how many stay. Of our halved
# layers only those of 8 filters lie between two steps, if convolutions behave
# alike. (On another machine most steps were 32 units wide, so draw this on
# yours.)
#
# ## Move it yourself
#
# The buttons choose a group, and the slider deletes a share of it. On the right
# each of its layers is a row and each channel a column, coloured by the rank of
# its norm in that layer: dark is the smallest, yellow the largest. Columns are
# sorted by the score of the group; the left ones go first and leave a white
# gap. Accuracies are of 1,000 test images, without repair. *Which of the two
# layers decides which channels go?*

# %%
own = masking.unit_scores(pruning.prunable_kernels(model))  # each layer alone
together = pruning.unit_scores(model)  # over all layers of a group


def look(data, group, share_deleted):
    """The mask of a group, and the ranks of its channels in each layer."""
    first, second = group.split(", ")
    # one layer is enough: `masked` takes tied channels from all of them
    masks = masking.unit_masks({first: together[first]}, share_deleted)
    ranks = pd.DataFrame([own[first], own[second]]).rank(axis=1)
    order = np.argsort(together[first])
    return masks, np.where(masks[first], ranks, np.nan)[:, order]


# %% tags=["nbval-ignore-output"]
some = np.random.default_rng(0).permutation(len(test[1]))[:1000]
few = {"fashion_mnist": dataclasses.replace(
    split, x_test=test[0][some], y_test=test[1][some])}
sweep = studying.sweep(
    lambda **place: pruning.masked(model, look(**place)[0]), few,
    group=[name for name in groups.index if ", " in name],
    share_deleted=np.arange(8) / 8)
explorer = sliders.explore(look, {"fashion_mnist": model}, few, sweep,
                           shown="first layer above, second below\n"
                                 "dark: small norm, white: deleted",
                           start=0.25)
explorer

# %% tags=["check", "nbval-ignore-output"]
ours, alone = (masking.unit_masks(s, 0.5) for s in (together, own))
print("Half of a group stays. How many of these would a layer alone have kept?")
tied = [name for group in groups.index if ", " in group
        for name in group.split(", ")]
print({n: f"{(ours[n] & alone[n]).sum()} of {ours[n].sum()}" for n in tied})
print("norm of a filter, on average:",
      {n: round(float(own[n].mean()), 2) for n in tied})

# %% [markdown]
# You should have seen that in the first group the second layer decides: by and
# large, its row brightens from left to right. Its norms alone would have kept
# all of the 8 channels that stay at a half, those of `stem` only 4. By chance
# it would be 4, and the last line says why: norms in `conv_1b` are three times
# as large. In the other groups they are closer, and neither layer decides:
# alone they would have kept 10 and 11 of 16 in one, 24 and 26 of 32 in the
# other. Notebook 10 found another reason to distrust norms in front of a
# normalization.
#
# ## Your turn
#
# **Exercise 1.** We delete 40 % of each group, and pass `multiple_of=16`: what
# stays is rounded up to a multiple of 16. How many filters of `stem`, `conv_2a`
# and `conv_3a` stay, of 16, 32 and 64?

# %%
answer = ...  # a list of three numbers
rounded = pruning.prune_units(model, sparsity=0.4, multiple_of=16)
stay = compacting.live_units(rounded)
counted = [stay[name] for name in ("stem", "conv_2a", "conv_3a")]
checking.answer(answer, below=0.5, measure=lambda found: np.abs(
    np.subtract(found, counted)).sum())

# %% tags=["solution"]
# Rounded, 6, 13 and 26 filters go; 10, 19 and 38 would stay.
answer = [16, 32, 48]
print(stay)
checking.answer(answer, below=0.5, measure=lambda found: np.abs(
    np.subtract(found, counted)).sum())

# %% [markdown]
# **Exercise 2.** Half of each group leaves 26.1 % of the MACs, and the repair
# alone brings it to 82.5 %, more than eight points below the whole network.
# Choose sparsities that leave less than 30 % of the MACs and lose fewer than
# 7.5 points. The section "Let each group pay what it can" tells which group to
# treat with care. (`points_lost`, in the folded cell, repairs and measures.)

# %% tags=["check"]
limit = 30 if split.is_sample else 7.5  # a few images train a weaker network


def points_lost(sparsities):
    """After the repair, without training; infinite with too many MACs."""
    cut = pruning.prune_units(model, sparsities)
    left = measuring.counts(compacting.compact(cut))["macs"] / macs
    print(f"{left:.1%} of the MACs")
    cut = repairing.least_squares(model, cut, split.x_train[:500])
    gap = right["whole"] - 100 * measuring.accuracy(cut, *held_out)
    return gap if left < 0.3 else np.inf


# %%
answer = ...  # such as {"stem": 0.5, "conv_1a": 0.5}: group, or layer of it
checking.answer(answer, points_lost, below=limit)

# %% tags=["solution", "nbval-ignore-output"]
# Little of the first group, which costs most by far; more of conv_1a and
# conv_3a, which save most MACs after it and can be repaired.
answer = {"stem": 0.25, "conv_1a": 0.7, "conv_2a": 0.5, "conv_2b": 0.4,
          "conv_3a": 0.6, "conv_3b": 0.5}
print(answer)
checking.answer(answer, points_lost, below=limit)

# %% [markdown]
# ## What would fool you here
#
# Suppose that each layer is pruned alone, by its own norms, as in notebook 10.
# Eight of 16 channels go from `stem`, eight from `conv_1b`: the shapes fit, and
# no error is raised. Is the new sum the old one, with eight channels left out?

# %%
for name, scores in {"group": together, "broken, each layer": own}.items():
    masks = masking.unit_masks(scores, 0.5)
    one, other = (masks[layer] == 1 for layer in ("stem", "conv_1b"))
    old, new = past + through, past[..., one] + through[..., other]
    gap = np.abs(new - old[..., one]).max()  # in the channels that stay
    checking.claim(f"{name}: channels of the sum as before", gap, below=1e-5)

# %% [markdown]
# It is not: channel 0 of `stem` may now be added to channel 2 of `conv_1b`. The
# network would run, and retraining might cover up the mistake, but it is not
# the network that was pruned. `prune_units` cannot do this; elsewhere only a
# comparison of outputs tells. (That line fails on purpose.)
#
# ## Recap
#
# In this notebook, we saw:
#
# - groups of layers that are added or multiplied: the same channels go from all
#   of them, or the outputs are wrong;
# - half of each group of a small residual network, cut out: 26.1 % of the MACs
#   are left, and the same outputs as with masks;
# - over six seeds, 2.1 points below the control after repair and retraining on
#   clothes, 0.5 on digits, and 1.6 and 0.3 after four times as many steps;
#   after that, no difference from channels drawn at random was found;
# - groups that do not pay alike: halving the first group saves 24.0 % of the
#   MACs, but costs 74.1 points in this run before any repair, over twice what
#   any other does;
# - MobileNetV2, or a network of yours, drawn, pruned, cut and converted by the
#   same calls;
# - a staircase: on this machine LiteRT seems to compute 16 units of a Dense
#   layer at a time, so round up to a multiple.
#
# **In practice**: the study is of one small network on small images; a deeper
# one may behave otherwise. The groups of fifteen networks from
# `keras.applications` are tested, with random weights on small images. Residual
# networks are by [He et al., 2016](https://arxiv.org/abs/1512.03385), gates by
# [Hu et al., 2018](https://arxiv.org/abs/1709.01507), MobileNetV2 by [Sandler
# et al., 2018](https://arxiv.org/abs/1801.04381). [Fang et al.,
# 2023](https://arxiv.org/abs/2301.12900) find such groups in PyTorch networks.
#
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: when do zeros alone make a network faster?

# %% tags=["check"]
explorer.visit()
