# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. Compact a pruned network and time it
#
# > When is a pruned network really smaller and faster?
#
# **You'll do**: cut deleted neurons out of a network, prove that its outputs
# stay the same, time it in three runtimes, and find the smallest network that
# retraining brings close to the full one.
#
# **You'll need**: notebooks 3 and 4. Twenty-five minutes; the cells themselves
# run for two.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from scipy import sparse
from threadpoolctl import threadpool_limits

from helpers import (checking, compacting, datasets, masking, measuring,
                     networks, plotting, pruning, sliders, studying, timing,
                     training)

# %% [markdown]
# ## Cut out a neuron by hand
#
# Here is a network with four hidden neurons: whole, with its third neuron
# masked, and with that neuron cut out. *Which parts of the second kernel can go
# with it?*

# %%
hidden = np.array([[2, -1, 1, 1], [1, 3, -1, -2], [-1, 1, 1, 1]])
output = np.array([[1, -2], [2, -1], [3, 3], [-1, 2]])
keep = np.array([1, 1, 0, 1])
live = keep == 1
versions = {"whole": {"hidden": hidden, "output": output},
            "masked": {"hidden": hidden * keep, "output": output},
            "compacted": {"hidden": hidden[:, live], "output": output[live]}}
axes = plotting.networks(versions)

# %% [markdown]
# The neuron's column goes from the first kernel and its *row* from the second.
# In the masked network that row is still there and is still multiplied, but
# only ever by zero. Here are the outputs for an image of three pixels.

# %%
image = np.array([1, 2, 3])
{name: np.maximum(image @ kernels["hidden"], 0) @ kernels["output"]
 for name, kernels in versions.items()}

# %% [markdown]
# Masking a neuron changes what the network computes; cutting it out afterwards
# changes nothing. Masking zeroes, **compaction** removes. From here on
# `compacting.compact` does it, layer by layer, for a whole network.
#
# ## Compact a trained network
#
# We delete 80 % of the neurons of every hidden layer, first by masking, then by
# compacting the masked network. *A kernel between two such layers loses rows
# and columns. What share of it is left?*

# %% tags=["nbval-ignore-output"]
split = datasets.load("mnist")
model = training.baseline(split)
test = split.x_test, split.y_test

# %%
masked = pruning.prune_units(model, sparsity=0.8)
small = compacting.compact(masked)
left = small.count_params() / model.count_params()
sliders.Prediction("What share of all parameters is left?", 100 * left)

# %%
checking.same_outputs("compacted", masked, small, split.x_test)
[tuple(layer.kernel.shape) for layer in small.layers]

# %% [markdown]
# A kernel between two pruned layers keeps a fifth of its rows *and* a fifth of
# its columns, one weight in twenty-five; of all parameters 9.3 % are left,
# because the first layer keeps its 784 inputs and the last its ten outputs. The
# outputs agree on all test images. They differ by rounding only, since the same
# numbers are added in another order. And the compacted network is a plain Keras
# model, which anybody can save, load and use.
#
# ## Count what it costs
#
# Masked or compacted, it is the same function. Here is what each costs:
# parameters, non-zeros, **MACs** (multiply-accumulates for one image), the
# saved file, the same file zipped, and the milliseconds for 100 images in
# LiteRT (once TensorFlow Lite), a small runtime made for phones. *Which of
# these numbers will masking change?*

# %% tags=["nbval-ignore-output"]
family = {"full": model, "masked": masked, "compacted": small}
costs = pd.DataFrame(map(measuring.cost, family.values()), index=list(family))
costs.columns = ["parameters", "non-zeros", "MACs", "bytes", "zipped bytes"]
costs["ms"] = timing.latency(family, split.x_test, 100, "litert")["ms"]
costs.round(2)

# %% tags=["nbval-ignore-output"]
shares = (100 * costs / costs.loc["full"]).drop(index="full")
tidy = shares.rename_axis("network").reset_index().melt("network")
ax = sns.stripplot(tidy, x="value", y="variable", hue="network", size=9,
                   jitter=False, palette=["C1", "C0"])
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5))
_ = ax.set(xlabel="% of the full network", ylabel="", xlim=(0, 115))

# %% [markdown]
# Masking changes two of these: there are fewer non-zeros, and the file shrinks
# when zipped, from 8.8 to 2.5 MB. As saved it still takes 9.6 MB. Masking saves
# no parameter, no multiplication and, but for scatter, no time; compaction
# saves most of all three. (The masked network has more non-zeros, too: the rows
# that read deleted neurons are still there, as in the toy.)
#
# ## Time it in three runtimes
#
# The compacted network does its work with 10.8 times fewer MACs. Will it be as
# many times faster? We time Keras' `predict`, a `tf.function` (the network
# compiled to a graph) and LiteRT, with 1 to 1,000 images per call. A third
# network has a single hidden neuron. It does next to nothing, so it shows what
# a call costs by itself. The networks take turns, so that a slow moment of the
# machine hits all of them.

# %% tags=["nbval-ignore-output"]
models = {"full": model, "compacted": small,
          "one neuron": networks.mlp(widths=(1,))}
times = timing.table(models, split.x_test, batch_sizes=(1, 10, 100, 1000),
                     repeats=20, calls_per_turn=1)

# %%
ratio = costs["MACs"]["full"] / costs["MACs"]["compacted"]
print(f"{ratio:.1f} times fewer MACs")
gains = times[times["model"] == "compacted"]
once = gains.query("runtime == 'predict' and batch_size == 1")
sliders.Prediction("How many times faster is Keras' predict for one image?",
                   once["speed_up"].item(), ends=(0, 20), unit="times")

# %% tags=["nbval-ignore-output"]
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True)
for ax, runtime in zip(axes, timing.RUNTIMES, strict=True):
    rows = times[times["runtime"] == runtime]
    sns.lineplot(rows, x="batch_size", y="ms", hue="model", style="model",
                 markers=True, dashes=False, ax=ax, legend=ax is axes[-1])
    ax.set(title=runtime.replace("litert", "LiteRT"), xscale="log",
           yscale="log", xlabel="images per call", ylabel="ms per call")
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.yaxis.set_major_formatter("{x:,g}")
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title=None)

# %% [markdown]
# Where a line meets that of the one neuron, nearly all of the time is the call.
# `predict` sets up a data pipeline each time, so for few images all three
# networks take equally long (Keras itself advises `model(x)` there). A
# `tf.function` goes from Python through TensorFlow; LiteRT has far less in
# between. The full network's time divided by the compacted one's is the
# speed-up. Grey bars are 95 % intervals; most are shorter than a marker.

# %% tags=["nbval-ignore-output"]
ax = sns.lineplot(gains.replace("litert", "LiteRT"), x="batch_size",
                  y="speed_up", hue="runtime", style="runtime",
                  markers=True, dashes=False)
ax.vlines(gains["batch_size"], gains["speed_up_low"], gains["speed_up_high"],
          color="0.6", zorder=0)
ax.axhline(ratio, color="0.4", linestyle=":")
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title=None)
ax.set(xlabel="images per call", ylabel="times faster", xscale="log",
       ylim=(0, None), title=f"dotted: {ratio:.1f} times fewer MACs")
ax.xaxis.set_major_formatter("{x:,g}")

# %% tags=["check"]
gain = gains.set_index(["runtime", "batch_size"])["speed_up"]
checking.claim("for 100 images LiteRT is over five times faster",
               gain["litert", 100], above=5)
checking.claim("for one image `predict` gains less than half of that",
               gain["predict", 1] / gain["litert", 100], below=0.5)

# %% [markdown]
# For one image `predict` gains next to nothing: it spends nearly all of its
# time on the call. LiteRT gains with any number of images. But a large speed-up
# is not a short time: for 1,000 images the `tf.function` is ahead, because it
# uses both cores of this machine and LiteRT one. The ratio of MACs (dotted) is
# a guide, not a promise. So time the network in the runtime that will carry it,
# with as many images per call as it will get.
#
# ## Try sparse matrix products
#
# When weights are deleted one by one, hardly a neuron loses all of its weights,
# so there is next to nothing to cut out. But there are matrix products that
# skip zeros. SciPy's **CSR** format (compressed sparse row) stores only the
# non-zeros and their places. We race it against NumPy's dense product, with the
# kernel of `hidden_2` and one thread each.

# %% tags=["nbval-ignore-output"]
kernel = pruning.prunable_kernels(model)["hidden_2"]


def race(images, left):
    """Time a product that skips zeros against a dense one."""
    pruned = kernel * (np.abs(kernel) >= np.quantile(np.abs(kernel), 1 - left))
    stored = sparse.csr_array(pruned.T)  # it multiplies from the left
    x = np.random.default_rng(0).random((images, 1000), dtype="float32")
    columns = np.ascontiguousarray(x.T)
    calls = {"dense": lambda: x @ pruned, "csr": lambda: stored @ columns}
    with threadpool_limits(1):
        return dict(timing.summary(timing.time_in_turns(calls)).loc["csr"])


levels = [0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.01]
raced = pd.DataFrame({"images": n, "left": left, **race(n, left)}
                     for n in (1, 100) for left in levels)

# %%
faster = raced.query("images == 100 and speed_up > 1")
sliders.Prediction("Of the nine shares we try, which is the largest at which "
                   "the sparse product wins with 100 images?",
                   100 * faster["left"].max(), ends=(0, 60))

# %% tags=["nbval-ignore-output"]
ax = sns.lineplot(raced, x="left", y="speed_up", hue="images", style="images",
                  markers=True, dashes=False, palette=["C0", "C1"])
ax.vlines(raced["left"], raced["speed_up_low"], raced["speed_up_high"],
          color="0.6", zorder=0)
ax.axhline(1, color="0.4", linestyle=":")
ax.set(xscale="log", yscale="log", xlabel="weights left", xlim=(0.6, 0.008),
       ylabel="dense time / sparse time")
ax.set_xticks([0.5, 0.2, 0.1, 0.05, 0.01],
              ["50 %", "20 %", "10 %", "5 %", "1 %"])
ax.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
ax.minorticks_off()
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5))

# %% tags=["check"]
ends = raced.set_index(["images", "left"])["speed_up"]
checking.claim("half left: for 100 images the sparse product is slower",
               ends[100, 0.5], below=1)
checking.claim("one in a hundred left: it is faster, for one image and 100",
               ends[:, 0.01], above=1)

# %% [markdown]
# A dense product is so well tuned that skipping zeros pays off only when few
# weights are left. It wins above the dotted line. Where it gets there depends
# on the processor: on one of ours a single image gained sooner, on another 100
# did.
#
# ## Retrain what is left
#
# The compacted network has forgotten much. Small networks train quickly, so we
# retrain five sizes for 2,000 steps, at twice the usual learning rate. The
# **control** is the full network, trained in the same way. We cut the first
# three hidden layers and spare the last, which has only 4 % of the MACs. *How
# small can a network get and stay, on average, within 0.2 points of its
# control?*
#
# Six seeds have been through this; a small dot is the difference within one of
# them, a large one their mean, with its 95 % interval. The size will be a
# choice, so these are validation images.

# %% tags=["nbval-ignore-output"]
seeds = studying.read("results/compacted.csv", sample=split.is_sample)
gaps = studying.gaps(seeds, "val_points", "sparsity", baseline=0)
macs = seeds.groupby("sparsity")["macs"].first()
gaps["times fewer MACs"] = gaps["sparsity"].map(macs[0] / macs).round(1)
axes = plotting.differences(gaps, "val_points", "times fewer MACs")
axes[None].axhline(-0.2, color="C3", linestyle="--")
axes[None].set_ylabel("points above the control")
lost = studying.paired(seeds, "val_points", "sparsity", baseline=0)
chosen = lost.index[lost["mean"].round(2) >= -0.2].max()
lost.assign(**{"times fewer MACs": (macs[0] / macs).round(1)})

# %% [markdown]
# The networks that lost 85 % of the neurons in those layers, and have 14.2
# times fewer MACs, end 0.16 points below their controls on average. Those that
# lost 90 % end 0.40 below. So we take 85 %, by the mean; its interval reaches
# beyond the 0.2 points. The choice is made, and only now do we look at the test
# images. Here is this run, and then the six seeds.

# %% tags=["nbval-ignore-output"]
cut = pruning.prune_units(model, chosen, spare=["hidden_4"])
tuned = training.fine_tune(compacting.compact(cut), split, split.steps(2000),
                           learning_rate=2e-3)
ms = timing.latency({"full": model, "small": tuned}, split.x_test, 100,
                    "litert").loc["small"]
now = measuring.accuracy(tuned, *test)
print(f"{now:.1%} on test images, {ms['speed_up']:.1f} times faster in LiteRT")
studying.paired(seeds[seeds["sparsity"].isin([0, chosen])], "points",
                "sparsity", baseline=0)

# %% tags=["check"]
near = 0.03 if split.is_sample else 0.01
checking.claim("this run is as accurate as the other seeds",
               now - seeds.query("sparsity == @chosen")["accuracy"].mean(),
               within=(-near, near))
checking.claim("it is over five times faster", ms["speed_up"], above=5)

# %% [markdown]
# On test images the six small networks end 0.19 points below their controls
# (0.13 to 0.25). So there is a loss, and it is a small one.
#
# ## Move it yourself
#
# The slider removes neurons, compacts, and classifies all test images with the
# compacted network, which has not been retrained. On the right is a corner of
# the kernel of `hidden_2`, 40 inputs by 40 neurons: the darkest rows and
# columns are cut out. *At which position is only a tenth of the weights left?
# How many of ten rows and columns are left there?*

# %%
cuts = {gone: compacting.compact(pruning.prune_units(model, gone))
        for gone in np.arange(0, 1, 0.05).round(2).tolist()}
norms = pruning.unit_scores(model)


def look(data, units_removed):
    """The compacted network, and what it keeps of a corner of hidden_2."""
    kept = masking.unit_masks(norms, units_removed)
    corner = np.outer(kept["hidden_1"], kept["hidden_2"])[:40, :40]
    return cuts[units_removed], np.abs(kernel[:40, :40]) * corner


sweep = pd.Series({("mnist", gone): measuring.accuracy(cut, *test)
                   for gone, cut in cuts.items()})
sweep = sweep.rename_axis(["data", "units_removed"])
explorer = sliders.explore(look, {"mnist": model}, {"mnist": split}, sweep,
                           shown="size of the weights left")
explorer

# %% tags=["check"]
explorer.slider.value = 0.8
print(f"{explorer.readings['weights left']:,} weights left at 0.8")

# %% [markdown]
# You should have found that place at 0.8, where 220,800 of 2,384,000 weights
# are left: about two of ten rows and two of ten columns: the layers keep a
# fifth of their neurons, the picture a twenty-fifth of its weights.
#
# ## Your turn
#
# **Exercise 1.** Prune single *weights* with `pruning.prune_weights`. How far
# must you go until at least 100 of the 2,700 hidden neurons can be cut out?

# %%
answer = ...  # a sparsity of weights
checking.answer(
    answer, lambda sparsity: 2700 - sum(compacting.live_units(
        pruning.prune_weights(model, sparsity)).values()), above=99)

# %% tags=["solution"]
answer = 0.98
few = compacting.live_units(pruning.prune_weights(model, answer))
print(f"at {answer} there are ≈ {2700 - sum(few.values())} dead neurons")
checking.answer(
    answer, lambda sparsity: 2700 - sum(compacting.live_units(
        pruning.prune_weights(model, sparsity)).values()), above=99)

# %% [markdown]
# A neuron can be cut out only when all weights that lead to it, or all that
# lead from it, are gone. With hundreds of each, that takes nearly all of the
# weights. (One without inputs still puts out the same number for every image;
# `compact` adds that to the biases of the next layer.)
#
# **Exercise 2.** You may send one zipped megabyte. Which sparsity of weights
# gives a zipped file between 0.9 and 1 million bytes? Does it leave more or
# fewer weights than the compacted network has, which zips to 0.82 MB?

# %%
answer = ...  # a sparsity of weights
checking.answer(
    answer, lambda sparsity: measuring.cost(
        pruning.prune_weights(model, sparsity)).zipped_bytes,
    within=(900_000, 1_000_000))

# %% tags=["solution"]
answer = 0.925
print(f"{round((1 - answer) * 2_384_000):,} weights against 220,800")
checking.answer(
    answer, lambda sparsity: measuring.cost(
        pruning.prune_weights(model, sparsity)).zipped_bytes,
    within=(900_000, 1_000_000))

# %% [markdown]
# Fewer weights in a larger file: the places of scattered zeros have to be
# written down somehow, while a compacted network has none.
#
# ## What would fool you here
#
# A cold call. The first call of a `tf.function` builds its graph, so a first
# call times the building, not the network. Here the *small* network is timed by
# its first call, and the full one warm.

# %%
call = timing.compiled(small, split.x_test[:100], "tf.function")
start = time.perf_counter()
call()
cold = 1000 * (time.perf_counter() - start)
warm = timing.latency(family, split.x_test, 100)["ms"]
for name, ms in {"broken, cold": cold, "warm": warm["compacted"]}.items():
    checking.claim(f"{name}: the small network's time over the full one's",
                   ms / warm["full"], below=1)

# %% [markdown]
# Timed cold, the smaller network looks slower; the line that fails is there on
# purpose. Warm up, repeat, take turns and give an interval: `timing.latency`
# does all four.
#
# ## Recap
#
# In this notebook, we saw:
#
# - a compacted network without 80 % of its neurons, which gives the same
#   outputs with 10.8 times fewer MACs and 9.3 % of the parameters;
# - that masking alone saves nothing but bytes in a zipped file: 2.5 MB, where
#   the full network zips to 8.8 MB;
# - that a speed-up depends on the runtime: next to none in `predict` for one
#   image, a large one in LiteRT;
# - sparse products, which lose against dense ones while half of the weights, or
#   even 30 %, are left;
# - a network with 14.2 times fewer MACs that ends 0.19 points (0.13 to 0.25)
#   below a control trained for as long, over six seeds.
#
# **In practice**: measure on the machine that will run the network; ours had
# two cores, of which LiteRT used one. [LiteRT's
# guide](https://ai.google.dev/edge/litert) explains conversion. [Blalock et
# al., 2020](https://arxiv.org/abs/2003.03033) ask for compression *and* the
# ratio of MACs, their theoretical speed-up; we add the time.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: what does one threshold do to a small classifier on synthetic data?

# %% tags=["check"]
explorer.visit()
