# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Prune by a threshold
#
# > What does one threshold do to a small classifier on synthetic data?
#
# **You'll do**: delete every weight below a threshold, plot what happens to the
# accuracy and to the number of weights, and find out whether a pruned and
# fine-tuned network is better because of the pruning, with real labels and with
# shuffled ones.
#
# **You'll need**: notebook 2's masks. Twenty minutes; the cells themselves run
# for less than one. Nothing to download.

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from helpers import (checking, datasets, fitting, masking, measuring, networks,
                     plotting, pruning, sliders, studying, training)

# %% [markdown]
# ## Threshold ten weights by hand
#
# In notebook 2 we said how *many* weights should go: a sparsity. Now we say how
# *small* a weight must be to go: a **threshold**. Every weight whose absolute
# value lies strictly below it is deleted. *With 0.2, how many of these ten go?*

# %%
toy = np.array([[0.3, -0.1, 0.0, 0.2, -0.4], [0.1, -0.2, 0.5, -0.3, 0.1]])
(np.abs(toy) >= 0.2).astype(int)

# %% [markdown]
# Four go: the 0 and the three of size 0.1. The two of size 0.2 are not *below*
# 0.2, so they stay. From here on `masking.threshold_masks` does this for a dict
# of layers. For every threshold it removes some fraction of the weights. Drawn
# against the threshold, that fraction is a staircase: the **distribution
# function** of the weights' sizes.

# %%
small = masking.magnitude_scores({"toy": toy})
cuts = [0, 0.05, 0.15, 0.2, 0.25, 0.35, 0.45]
gone = [masking.sparsity_of(masking.threshold_masks(small, t)) for t in cuts]
ax = sns.ecdfplot(np.abs(toy).ravel())
ax.plot(cuts, gone, "o", color="C1")
_ = ax.set(xlabel="threshold", ylabel="sparsity, the fraction below it",
           ylim=(-0.05, 1.05))

# %% [markdown]
# The dots are what `threshold_masks` removed; at 0 and at 0.2 they are at the
# foot of a step, because what equals the threshold stays. Go up from a
# threshold and you find its sparsity; go across from a sparsity and you find
# its threshold. But no threshold removes exactly five of the ten: two weights
# have size 0.2, and a threshold takes both or neither. A sparsity of 0.5 asks
# for exactly five, so `layerwise_masks` takes the first of the two.
#
# ## Train a small classifier
#
# The data are synthetic: rows of 10 features in two classes, made by
# scikit-learn's `make_classification`; each feature is shifted and scaled to
# mean 0 and standard deviation 1. The network has 10 inputs, 256 hidden neurons
# with ReLU and one output with a sigmoid, the probability of class 1.

# %% tags=["nbval-ignore-output"]
split = datasets.load("synthetic")
test = split.x_test, split.y_test
model = networks.mlp(widths=(256,), inputs=10, classes=1)
_ = fitting.fit(model, split, num_steps=600)
print(f"{measuring.accuracy(model, *test):.1%} of the test rows are right")

# %%
scores = masking.magnitude_scores(pruning.prunable_kernels(model))
{name: array.shape for name, array in scores.items()}, model.count_params()

# %% [markdown]
# A coin would get 50 %. There are 2,560 weights to prune among 3,073
# parameters; the output layer is left alone, as in the other notebooks. Here
# are these weights, with lines at −0.1 and 0.1.

# %% tags=["nbval-ignore-output"]
kernel = pruning.prunable_kernels(model)["hidden_1"]
ax = sns.histplot(kernel.ravel(), bins=80, element="step")
for threshold in (-0.1, 0.1):
    ax.axvline(threshold, color="0.2", linestyle="--")
_ = ax.set(xlabel="weight of hidden_1", ylabel="number of weights")

# %%
between = masking.sparsity_of(masking.threshold_masks(scores, 0.1))
sliders.Prediction("What share of the weights lies between the lines?",
                   100 * between)

# %% [markdown]
# ## Move the threshold
#
# Now sixteen thresholds, from 0 to 0.3. *How many weights have to go before the
# accuracy follows?*

# %% tags=["nbval-ignore-output"]
def pruned_at(data, threshold):
    """What one threshold leaves of the trained network."""
    masks = masking.threshold_masks(scores, threshold)
    pruned = pruning.masked(model, masks)
    return {"accuracy": measuring.accuracy(pruned, *test),
            "sparsity": masking.sparsity_of(masks)}


thresholds = np.arange(0, 0.31, 0.02).round(2).tolist()
live = studying.sweep(pruned_at, {"synthetic": split}, threshold=thresholds)

# %%
found = live.loc["synthetic"]
lost = found["accuracy"][0] - found["accuracy"]
sliders.Prediction("Of our thresholds, take the largest that costs less than "
                   "two points. What share of the weights does it take?",
                   100 * found["sparsity"][lost.index[lost < 0.02].max()])

# %% tags=["nbval-ignore-output"]
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.2))
table = found.reset_index().assign(left=1 - found["sparsity"].to_numpy())
for ax, value in zip(axes, ["left", "accuracy"], strict=True):
    sns.lineplot(table, x="threshold", y=value, marker="o", ax=ax)
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
axes[0].set(ylabel="weights left", ylim=0)
axes[1].axhline(0.5, color="0.6", linestyle=":")
_ = axes[1].set(ylabel="test accuracy")

# %% tags=["nbval-ignore-output"]
(100 * found.loc[[0, 0.06, 0.1, 0.16, 0.18, 0.22, 0.26, 0.28]]).round(1)

# %% tags=["check"]
checking.claim("a threshold of 0.1 costs less than 5 points", lost[0.1],
               below=0.05)
checking.claim("one of 0.26 costs more than 15", lost[0.26], above=0.15)

# %% [markdown]
# The number of weights falls at once; the accuracy waits (a few tenths of a
# point more or less are chance). In this run a threshold of 0.16 takes 79.9 %
# of the weights and lowers the accuracy from 93.6 % to 92.4 %. Then it falls
# off a cliff: 71.6 % at 0.22, and at 0.28 it is close to the 50 % of a coin
# (dotted).
#
# ## Compare a threshold with a sparsity
#
# Take the threshold that removes 1,280 of the 2,560 weights, and a sparsity of
# 0.5. *In how many places will the two masks differ?*

# %%
sizes = np.sort(scores["hidden_1"], axis=None)
for zeros in (256, 1280, 2304):
    by_threshold = masking.threshold_masks(scores, sizes[zeros])["hidden_1"]
    by_sparsity = masking.layerwise_masks(scores, zeros / 2560)["hidden_1"]
    print(f"{zeros} weights: {(by_threshold != by_sparsity).sum()} differ")

# %% [markdown]
# In none, unless weights tie at the cut: in one layer they are two names for
# the same cut. But the same threshold means something else in another network.
# We train a second one on the same rows, with two hidden layers of 64 and 32
# neurons, for 300 steps. Here is the staircase of the first network's layer,
# and one for each hidden layer of the second.

# %% tags=["nbval-ignore-output"]
other = networks.mlp((64, 32), inputs=10, classes=1)
fitting.fit(other, split, num_steps=300)
kernels = {"10-256": kernel}
for k in pruning.prunable_kernels(other).values():
    kernels["-".join(map(str, k.shape))] = k
ax = sns.ecdfplot({name: np.abs(k).ravel() for name, k in kernels.items()})
ax.axvline(0.1, color="0.4", linestyle=":")
ax.set(xlabel="threshold", ylabel="sparsity of the layer", xlim=(0, 0.4))
sns.move_legend(ax, "lower right", title="layer")
for name, k in kernels.items():
    drawn_from = np.sqrt(6 / sum(k.shape))  # of either sign, at the start
    print(f"{name}: 0.1 takes {np.mean(np.abs(k) < 0.1):.1%}; before training, "
          f"of ±{drawn_from:.3f}, about {0.1 / drawn_from:.0%}")

# %% [markdown]
# At 0.1 (dotted) the same threshold takes 58.2 % of the wide network's weights,
# but 34.7 % and 40.6 % of those in the two layers of the other. (One threshold
# for all layers is what notebook 2 called global pruning.) What a threshold
# takes depends on how large a layer's weights are, and that is mostly settled
# before training: Keras draws them evenly from a range that is the narrower,
# the more inputs and units a layer has. A sparsity of 0.5 takes half of the
# weights of any network.
#
# ## Fine-tune, next to a control
#
# Papers and tutorials often show three numbers: the accuracy before pruning,
# after it, and after fine-tuning. The third is often above the first. We
# measure all three for the second network with a threshold of 0.1, and add a
# fourth: a **control**, the unpruned network, trained for as long. We do this
# with six seeds, and with the same six once more on shuffled labels, about
# which the features say nothing. *What can 300 more steps gain there?*

# %% tags=["nbval-ignore-output"]
def stages(data, seed):
    """Test accuracy: trained, pruned, fine-tuned, and of the dense control."""
    rows, more = splits[data], {"num_steps": 300, "seed": 100 + seed}
    before = networks.mlp((64, 32), inputs=10, classes=1, seed=seed)
    fitting.fit(before, rows, num_steps=300, seed=seed)
    sizes = masking.magnitude_scores(pruning.prunable_kernels(before))
    pruned = pruning.masked(before, masking.threshold_masks(sizes, 0.1))
    found = {"before": before, "pruned": pruned,
             "fine-tuned": training.fine_tune(pruned, rows, **more),
             "control": training.fine_tune(before, rows, **more)}
    return {stage: measuring.accuracy(network, rows.x_test, rows.y_test)
            for stage, network in found.items()}

# %% tags=["nbval-ignore-output"]
random = np.random.default_rng(0)
shuffled = {part: random.permutation(getattr(split, part))
            for part in ("y_train", "y_val", "y_test")}
splits = {"real labels": split,
          "shuffled labels": dataclasses.replace(split, **shuffled)}
table = studying.sweep(stages, splits, seed=range(6)).reset_index()
runs = table.melt(["data", "seed"], var_name="stage", value_name="accuracy")

# %%
means = table.groupby("data")[["before", "fine-tuned"]].mean()
gained = 100 * (means["fine-tuned"] - means["before"])
sliders.Prediction("With real labels, how many points does the fine-tuned "
                   "network gain over 'before'? (Mean of six seeds.)",
                   gained["real labels"], ends=(-5, 5), unit="points")

# %% tags=["nbval-ignore-output"]
runs["points"] = 100 * runs["accuracy"]
gaps = studying.gaps(runs, "points", "stage", baseline="before", by=["data"])
axes = plotting.differences(gaps, "points", x="stage", col="data")
_ = axes["real labels"].set_ylabel("points gained over 'before'")

# %% tags=["nbval-ignore-output"]
last = runs[runs["stage"] != "pruned"]
studying.paired(last, "points", "stage", baseline="fine-tuned", by=["data"])

# %% tags=["check"]
checking.claim("with real labels, fine-tuned networks gain on 'before'",
               gained["real labels"], above=0)
chance = gaps.query("stage == 'fine-tuned' and data == 'shuffled labels'")
checking.claim("with shuffled labels some seed 'gains' over a point by chance",
               chance["points"].max(), above=1)
checking.claim("with shuffled labels all are within 10 points of a coin",
               table.set_index("data").loc["shuffled labels"].drop(
                   columns="seed").to_numpy() - 0.5, within=(-0.1, 0.1))

# %% [markdown]
# The figure shows what each network gained over its own "before": a dot per
# seed, their mean and its 95 % interval. In the table the fine-tuned network of
# the same seed is subtracted, so that a minus sign means that fine-tuned is
# better; `p_holm` corrects for these four tests.
#
# With real labels the fine-tuned networks end 0.93 points (0.41 to 1.46) above
# "before". Has pruning improved them? No: the controls end another 0.53 points
# (0.17 to 0.90) higher, and both differences survive the correction. The gain
# comes from 300 more steps of training, and pruning took some of it away. A
# table without a control credits pruning with what longer training did.
#
# With shuffled labels there is nothing to learn, and every interval includes
# zero. Yet one of the six seeds "gains" 4.4 points by fine-tuning, on labels
# that mean nothing: the accuracy of guessing on 500 rows has a standard
# deviation of over two points.
#
# ## Move it yourself
#
# The slider moves the threshold of the 10-256-1 network, which classifies all
# test rows again. On the right is the size of each weight that is left,
# brighter if it is larger: a row is an input, counted from 0, a column a hidden
# neuron. *Are all ten inputs worth the same? Which two rows go dark first?*

# %%
masks = {cut: masking.threshold_masks(scores, cut) for cut in thresholds}
explorer = sliders.explore(
    lambda data, threshold: (
        masks[threshold], scores["hidden_1"] * masks[threshold]["hidden_1"]),
    {"synthetic": model}, {"synthetic": split}, live,
    shown="size of the weights left, by input (row)")
explorer

# %% [markdown]
# You should have seen inputs 4 and 7 go dark long before the others.
# scikit-learn filled these two with noise; of the other eight, six are
# informative and two are mixtures of those. The weights of the noise hardly
# outgrew the range from which they were drawn, so a threshold just above it
# removes them. This works because all inputs have the same scale: of a feature
# whose values are ten times larger, the same use would need weights a tenth of
# the size.
#
# ## Your turn
#
# **Exercise 1.** Which threshold leaves exactly 1,000 of the 2,560 weights?

# %%
answer = ...  # a threshold
checking.answer(
    answer, lambda threshold: masking.threshold_masks(
        scores, threshold)["hidden_1"].sum(), within=(999, 1001))

# %% tags=["solution"]
answer = np.sort(scores["hidden_1"], axis=None)[2560 - 1000]
print(f"the size of entry 1,560 of the sorted list, ≈ {answer:.3f}")
checking.answer(
    answer, lambda threshold: masking.threshold_masks(
        scores, threshold)["hidden_1"].sum(), within=(999, 1001))

# %% [markdown]
# **Exercise 2.** Which two inputs does the network need most? Replace two of
# them by their mean, 0, in all *validation* rows, with
# `np.where(np.isin(range(10), pair), 0, split.x_val)`, and find a pair that
# costs more than 12 points of accuracy. Is it the pair with the most weights
# left at a threshold of 0.14, `masks[0.14]["hidden_1"].sum(axis=1)`?

# %%
answer = ...  # two inputs, counted from 0
before = measuring.accuracy(model, split.x_val, split.y_val)
checking.answer(answer, lambda pair: 100 * (before - measuring.accuracy(
    model, np.where(np.isin(range(10), pair), 0, split.x_val), split.y_val)),
    above=12)

# %% tags=["solution", "nbval-ignore-output"]
costs = {pair: 100 * (before - measuring.accuracy(
    model, np.where(np.isin(range(10), pair), 0, split.x_val), split.y_val))
    for pair in ((i, j) for j in range(10) for i in range(j))}
answer = max(costs, key=costs.get)
left = masks[0.14]["hidden_1"].sum(axis=1)
two = tuple(sorted(np.argsort(left)[-2:].tolist()))
print(f"{answer} cost {costs[answer]:.1f} points; {two}, which have the most "
      f"weights left, {costs[two]:.1f}")
checking.answer(answer, costs.get, above=12)

# %% [markdown]
# No. The sizes of the weights found the two useless inputs, but they do not
# rank the useful ones as the accuracy does: of two inputs that are mixtures, a
# network can do without one, however large its weights are.
#
# ## What would fool you here
#
# A sparsity that is passed as a threshold. Both are numbers between 0 and 1, so
# nothing raises an error. Here a tenth of the weights is meant to go. Count the
# zeros to catch it.

# %%
ways = {"the broken one, a threshold of 0.1": masking.threshold_masks,
        "the right one, a sparsity of 0.1": masking.layerwise_masks}
for name, select in ways.items():
    checking.claim(f"{name}: a tenth of the weights goes",
                   masking.sparsity_of(select(scores, 0.1)),
                   within=(0.09, 0.11))

# %% [markdown]
# The line that fails is there on purpose: as a threshold, 0.1 took more than
# half of the weights.
#
# ## Recap
#
# In this notebook, we saw:
#
# - that in one layer a threshold and a sparsity describe the same cut, unless
#   weights tie;
# - that a threshold of 0.1 takes 58.2 % of the weights of one network, and
#   34.7 % and 40.6 % of those in the layers of another;
# - that weights go from the start, but accuracy only after most of them: 92.4 %
#   of the test rows are still right with 79.9 % of the weights gone;
# - a gain of 0.93 points by fine-tuning that was the training's, not the
#   pruning's: the controls end 0.53 points higher;
# - that one run on shuffled labels can seem to gain 4.4 points, where the mean
#   of six seeds cannot be told from zero.
#
# **In practice**: a sparsity says what you will get; a threshold has to be
# looked up in each network anew. All runs share one test set of 500 rows, so
# the intervals cover the luck of training, not that of drawing other rows.
# [`make_classification`](https://scikit-learn.org/stable/modules/generated/sklearn.datasets.make_classification.html)
# explains how the data are made.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: at equal training, do rounds or a gradual schedule beat pruning once?

# %% tags=["check"]
explorer.visit()
