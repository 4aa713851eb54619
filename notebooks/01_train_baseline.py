# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Train a baseline
#
# > What does a trained network cost, and where do its weights live?
#
# **You'll do**: train the network that most of this series prunes, on two data
# sets, and take stock of it: its weights, its multiplications, its bytes, and
# the pixels it listens to.
#
# **You'll need**: some experience of training a Keras model. Twenty minutes;
# the cells themselves run for about three, or for one once the trained networks
# are on your disk.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, datasets, measuring, networks, plotting, pruning,
                     sliders, studying, training)

# %% [markdown]
# ## Look at the data
#
# MNIST contains handwritten digits, Fashion-MNIST photographs of clothes. Each
# has ten classes, and each image is 28 × 28 grey pixels, which reach the
# network as a row of 784 numbers between 0 and 1; we draw 0 as white and 1 as
# black. A **split** holds the images to train on, those to test with, and a
# **validation set**: images held out of training, on which we make every
# choice. Without a network connection you get a small sample, and the lines
# below say so.

# %% tags=["nbval-ignore-output"]
splits = {name: datasets.load(name) for name in datasets.NAMES}
rows, titles = [], []
for name, data in splits.items():
    firsts = [np.argmax(data.y_train == label) for label in range(10)]
    rows.extend(data.x_train[firsts])
    titles.extend(datasets.CLASSES[name])
axes = plotting.images(rows, titles)

# %% [markdown]
# Which data set will be harder? A pullover, a coat and a shirt share an
# outline; a 0 and a 1 do not. Expect a lower accuracy on clothes. And keep the
# corners of the digits in mind, which are white in every image.
#
# ## Build the network and count
#
# Before the large network, here is a small one, with five inputs, four hidden
# units and three outputs. A **unit**, or neuron, adds up its inputs, each times
# a weight of its own, adds one more number, its **bias**, and passes the sum on
# through an activation such as ReLU. The weights of all units of a layer form a
# matrix, the **kernel**, with a row for each input and a column for each unit.

# %%
random = np.random.default_rng(2)
small = {"hidden": random.normal(size=(5, 4)),
         "output": random.normal(size=(4, 3))}
one = {"hidden": small["hidden"] * [0, 1, 0, 0],
       "output": small["output"] * [[0], [1], [0], [0]]}
axes = plotting.networks({"whole": small, "all weights of one unit": one})

# %% [markdown]
# From left to right stand the inputs, the hidden units and the outputs. Each
# line is a weight, red above zero and blue below, thicker if it is larger. A
# matrix has a row for each input and a column for each unit; a cross is a zero,
# and so is a dotted line. On the right are the weights that belong to one unit:
# a column of its own kernel and a row of the next one.
#
# The network that most notebooks prune has 784 inputs, hidden layers of 1000,
# 1000, 500 and 200 units with ReLU, and ten outputs. A **seed** is a number
# that decides everything random: here the initial weights, later the order of
# the images too.

# %%
initial = networks.mlp(seed=0)
kernels = pruning.prunable_kernels(initial, include_output=True)
largest = max(kernels, key=lambda name: kernels[name].size)
sliders.Prediction("Which kernel holds the most weights?", largest,
                   choices=list(kernels))

# %% [markdown]
# A weight is used once for each image, in one multiplication and one addition,
# a multiply-accumulate (**MAC**). So `hidden_1` needs 784 × 1000 MACs, and has
# 1,000 biases besides.

# %%
macs = pd.Series(measuring.macs_per_layer(initial))
pd.DataFrame({
    "kernel": {name: str(kernel.shape) for name, kernel in kernels.items()},
    "parameters": {x.name: x.count_params() for x in initial.layers},
    "MACs": macs,
    "share, %": (100 * macs / macs.sum()).round(1),
    "so far, %": (100 * macs.cumsum() / macs.sum()).round(1),
})

# %% [markdown]
# Here are the five kernels drawn to scale: as high as they have inputs, as wide
# as they have units, so that the area is the number of weights. Below stands
# the layer's share of the MACs.

# %%
fig, ax = plt.subplots(figsize=(8, 3.2))
left = 0
for name, kernel in kernels.items():
    inputs, units = kernel.shape
    ax.add_patch(plt.Rectangle((left, 0), units, inputs))
    ax.text(left + units / 2, inputs + 30, f"{name}\n{inputs} × {units}",
            ha="center")
    ax.text(left + units / 2, -120, f"{macs[name] / macs.sum():.1%}",
            ha="center")
    left += units + 200
_ = ax.set(aspect="equal", xlim=(-60, left), ylim=(-130, 1250))
_ = ax.axis("off")

# %% [markdown]
# The second layer alone does 41.9 % of the work, and the first two 74.8 %. The
# ten outputs do 0.1 %; they are the sliver on the right. To shrink this
# network, shrink its first two layers; the output layer is not worth touching.
#
# ## Train to a plateau
#
# We train with Adam on the cross-entropy for 4,000 **steps**, each an update of
# all weights after 128 images, while the learning rate falls to zero along a
# cosine. Ten times during training we measure accuracy on the validation set.
# The trained networks are saved to disk; later notebooks load them instead of
# training again.

# %% tags=["nbval-ignore-output"]
runs = {name: training.baseline_run(split, seed=0, num_steps=4_000)
        for name, split in splits.items()}
models = {name: run.model for name, run in runs.items()}

# %% tags=["nbval-ignore-output"]
history = pd.concat({plotting.TITLES[name]: 100 * run.history
                     for name, run in runs.items()}, names=["data"])
ax = sns.lineplot(history.reset_index(), x="epoch", y="val_accuracy",
                  hue="data", style="data", markers=True, dashes=False)
ax.legend()
_ = ax.set(xlabel="tenth of the training", ylabel="validation accuracy, %",
           xticks=range(1, 11))

# %% [markdown]
# Both curves climb steeply at first and end flat, on a **plateau**. The falling
# learning rate has its part in that, so a flat end does not prove that further
# training would gain nothing. That matters later: so that pruning gets no
# credit for mere training, whenever we retrain a pruned network, we train an
# unpruned one for as long.
#
# A line that begins with PASS or FAIL, as the next one does, is a **claim**:
# the notebook checks itself, says what ought to hold, and shows after ≈ what it
# measured, of several values the worst.

# %% tags=["check"]
ends = {name: 100 * np.ptp(run.history["val_accuracy"].tail(3))
        for name, run in runs.items()}
checking.claim("the last three measurements lie within 1.5 points", ends,
               below=1.5)

# %% [markdown]
# Training is over and every choice is made. Only now do we look at the test
# set, and from here on it must not decide anything. One network is one throw of
# the dice, so we look at six, trained in the same way from six seeds; a file in
# `results/` keeps what was measured of them. Beside their mean stands its
# **95 % interval**: nineteen of twenty intervals made in this way contain the
# mean over all possible seeds.

# %% tags=["nbval-ignore-output"]
is_sample = splits["mnist"].is_sample
study = studying.read("results/weights.csv", sample=is_sample)
unpruned = study.query("sparsity == 0 and method == 'layerwise'")
reached = {}
for name, six in unpruned.groupby("data", sort=False)["accuracy"]:
    data, (low, high) = splits[name], studying.t_interval(six)
    reached[name] = measuring.accuracy(models[name], data.x_test, data.y_test)
    print(f"{plotting.TITLES[name]}: this run {reached[name]:.1%}, six seeds "
          f"{six.mean():.1%} ({low:.1%} to {high:.1%})")

# %% tags=["check"]
gaps = pd.Series(reached) - unpruned.groupby("data")["accuracy"].mean()
checking.claim("this run is within 3 points of the six seeds", 100 * abs(gaps),
               below=3)

# %% [markdown]
# The six hardly differ: they get 98.6 % of the digits right, and fewer of the
# clothes, as expected: 89.7 % (89.6 to 89.9). A seed gives the same initial
# weights on every computer, bit for bit, but not quite the same trained
# network: processors round differently, and 4,000 steps amplify that. So where
# we look at a single network we say "this run".
#
# ## See where the weights live
#
# `prunable_kernels` returns copies of the kernels by layer name, without the
# output layer's. What will training have done: moved many weights a little, or
# a few a lot?

# %%
before = pruning.prunable_kernels(runs["mnist"].initial)
after = pruning.prunable_kernels(models["mnist"])
growth = {}
for name in after:
    old, new = np.abs(before[name]), np.abs(after[name])
    moved = np.abs(after[name] - before[name])
    growth[name] = {"largest": new.max() / old.max(),
                    "median": np.median(new) / np.median(old),
                    "median move": np.median(moved) / np.median(old)}
sliders.Prediction("The largest weight of hidden_1: how many times the largest "
                   "initial one?", growth["hidden_1"]["largest"], (1, 11),
                   unit="times")

# %% tags=["nbval-ignore-output"]
fig, axes = plt.subplots(2, 2, sharex=True, sharey=True, figsize=(7, 5))
for ax, name in zip(axes.flat, after, strict=True):
    both = {"before": before[name].ravel(), "after": after[name].ravel()}
    sns.histplot(both, bins=np.linspace(-0.3, 0.3, 101), element="step", ax=ax,
                 fill=False, legend=name == "hidden_1")
    ax.set(title=name, xlabel="weight", ylabel="number of weights",
           yscale="log")
pd.DataFrame(growth).round(2)

# %% tags=["check"]
largest, median, _ = pd.DataFrame(growth).to_numpy()
checking.claim("the largest weight grew by a quarter or more in each layer",
               largest, above=1.25)
checking.claim("the median |weight| grew by less than a fifth", median,
               below=1.2)

# %% [markdown]
# It did both. The table is about sizes, without signs: how many times the
# largest and the median one grew, and the median move, as a part of the median
# size before training. A typical weight moved by 0.19 to 0.51 of its size, but
# some moved away from zero and others towards it, so the median hardly grew:
# 1.1 times at most. And a few weights have moved far. The initial weights were
# drawn from the flat blue box, and on either side of it training has pulled out
# long tails: on digits, in this run, the largest weights are 2.3 to 4.8 times
# the largest initial ones. (Each mark on the vertical axis is ten times the one
# below: the tails hold few weights.) With many small weights and a few large
# ones, deleting the small ones is a plausible idea.
#
# Each of the 784 rows of the first kernel belongs to one pixel. The length (L2
# norm) of a row tells how strongly the first layer listens to that pixel. It
# starts out the same everywhere, up to chance. Where will it grow?

# %%
listening = {name: np.linalg.norm(pruning.prunable_kernels(model)["hidden_1"],
                                  axis=1) for name, model in models.items()}
untrained = {"before training": np.linalg.norm(before["hidden_1"], axis=1)}
named = {plotting.TITLES[name]: norms for name, norms in listening.items()}
axes = plotting.maps(untrained | named, "L2 norm of the pixel's weights")

# %% [markdown]
# For digits the rows grew wherever strokes pass, though not most where most of
# them do; for clothes, mostly along the edge of the image. The corners of the
# digits look untouched, and they should: where the input is always 0, no
# gradient ever reaches a weight. Are the rows that training left alone exactly
# those of the pixels that are white in every training image?

# %%
blank = (splits["mnist"].x_train == 0).all(axis=0)
changed = (after["hidden_1"] != before["hidden_1"]).any(axis=1)
print(f"pixels that are white in every training image: ≈ {blank.sum()}")
np.array_equal(changed, ~blank)

# %% [markdown]
# They are: 67 pixels kept their initial weights, bit for bit, and no others
# did.
#
# Last, the size on disk. A `.keras` file is a zip archive, in which Keras
# stores the weights without compressing them. Do trained weights repeat
# themselves enough for compression to pay?

# %%
cost = measuring.cost(models["mnist"])
sliders.Prediction("By how much does compression shrink the saved file?",
                   100 * (1 - cost.zipped_bytes / cost.bytes))

# %% tags=["nbval-ignore-output"]
print(f"{cost.bytes / cost.parameters:.2f} bytes for each parameter")
cost._asdict()

# %% tags=["check"]
checking.claim("the file has 4 bytes for each parameter, and little more",
               cost.bytes / cost.parameters, within=(4, 4.04))
checking.claim("compression leaves more than 88 % of the file",
               cost.zipped_bytes / cost.bytes, above=0.88)

# %% [markdown]
# Four bytes for each of 2,388,710 parameters make a file of 9.6 MB, and zipping
# leaves 8.8 MB of it: to a compressor, trained weights look like random
# numbers.
#
# ## Move it yourself
#
# We have not pruned anything yet, but we can already blindfold the network:
# take the pixels it listens to least and set all their weights to zero. The
# slider does so and classifies all test images; on the right, yellow, are the
# pixels that are left. *Which pixels of the digits will go first, and which of
# the clothes?*


# %% tags=["nbval-ignore-output"]
def keep(scores, covered):
    """A mask without the pixels of lowest scores, and the pixels left."""
    seen = np.ones(784)
    seen[np.argsort(scores)[: round(784 * covered)]] = 0
    return {"hidden_1": np.outer(seen, np.ones(1000))}, seen


def blindfolded(data, covered):
    """The network that no longer sees some of the pixels."""
    return pruning.masked(models[data], keep(listening[data], covered)[0])


live = studying.sweep(blindfolded, splits,
                      covered=np.linspace(0, 0.9, 10).round(1))

# %%
explorer = sliders.explore(
    lambda data, covered: keep(listening[data], covered),
    models, splits, live, shown="pixels left")
explorer

# %% tags=["check"]
explorer.slider.value = 0.8
print(f"{explorer.readings['weights left']:,} weights left, 80 % covered")
explorer.slider.value = 0.5

# %% [markdown]
# You should have seen the rim of the digits go first, then a band through the
# middle; and the *middle* of the clothes, until only a frame is left. With half
# of the pixels covered:

# %% tags=["nbval-ignore-output"]
(100 * live.xs(0.5, level="covered")).round(1).rename("accuracy, %")

# %% [markdown]
# That costs the clothes far more. Their longest rows belong to pixels along the
# edge, which are white in most images: a network can listen hard to a pixel
# that has little to say.
#
# ## Your turn
#
# **Exercise 1.** To what fraction of their widths must the four hidden layers
# shrink for the network to need half of its MACs? Guess first: is it more or
# less than one half?

# %%
answer = ...  # a fraction
checking.answer(answer, lambda part: measuring.counts(networks.mlp(
    [round(part * n) for n in networks.WIDTHS]))["macs"] / macs.sum(),
    within=(0.49, 0.51))

# %% tags=["solution"]
# hidden_1 shrinks on one side, the others on both, so 0.5 leaves a third.
for answer in (0.5, 0.7, 0.65):
    narrow = networks.mlp([round(answer * n) for n in networks.WIDTHS])
    print(f"{answer}: {measuring.counts(narrow)['macs'] / macs.sum():.3f}")
checking.answer(answer, lambda part: measuring.counts(networks.mlp(
    [round(part * n) for n in networks.WIDTHS]))["macs"] / macs.sum(),
    within=(0.49, 0.51))

# %% [markdown]
# **Exercise 2.** Are large weights important ones? A pixel that is white in
# almost every image has little to say, however large its weights. Score the
# pixels of the clothes in a way that also uses how dark they are on average.
# With the fifth that has the lowest scores covered, the network must still
# classify more than 82 % of the validation images correctly.

# %%
clothes = splits["fashion_mnist"]
held_out = clothes.x_val, clothes.y_val
answer = ...  # an array of 784 scores
checking.answer(answer, lambda scores: measuring.accuracy(pruning.masked(
    models["fashion_mnist"], keep(scores, 0.2)[0]), *held_out), above=0.82)

# %% tags=["solution"]
darkness = np.sqrt(np.mean(clothes.x_train**2, axis=0))
for answer in (listening["fashion_mnist"],
               listening["fashion_mnist"] * darkness):
    network = pruning.masked(models["fashion_mnist"], keep(answer, 0.2)[0])
    print(f"≈ {100 * measuring.accuracy(network, *held_out):.1f} % right")
checking.answer(answer, lambda scores: measuring.accuracy(pruning.masked(
    models["fashion_mnist"], keep(scores, 0.2)[0]), *held_out), above=0.82)

# %% [markdown]
# ## What would fool you here
#
# Pruning studies often go back to the weights from before training, and these
# are easily lost. `kept = model` copies nothing: it is a second name for the
# network that training is about to change. Here we keep the weights in both
# ways and train the network for one step. To check, we build it again from its
# seed and count the weights that differ.

# %%
model = networks.mlp(seed=0)
kept = {"the broken one, a second name": model,
        "the right one, a copy": pruning.copy_of(model)}
model.compile("adam", "mse")  # any step will do
some, labels = clothes.x_train[:128], np.eye(10)[clothes.y_train[:128]]
model.fit(some, labels, batch_size=128, verbose=0)
again = networks.mlp(seed=0).get_weights()
for name, network in kept.items():
    pairs = zip(network.get_weights(), again, strict=True)
    differ = sum(np.count_nonzero(now != then) for now, then in pairs)
    checking.claim(f"{name}: no weight differs", differ, below=1)

# %% [markdown]
# The line that fails is there on purpose: a check that cannot fail would prove
# nothing. Going back to the "second name" would change nothing, and no error
# would tell you.
#
# ## Recap
#
# In this notebook, we saw:
#
# - what the network costs: 2,388,710 parameters, 2,386,000 MACs for each image
#   and a file of 9.6 MB, which zipping hardly makes smaller;
# - where its weights are: 41.9 % of them in the second kernel, 74.8 % in the
#   first two;
# - what it can do after training to a plateau: 98.6 % on digits and 89.7 % on
#   clothes (means of six seeds);
# - long tails: in this run the largest weights grew 2.3 to 4.8 times, the
#   median 1.1 times at most;
# - a first layer whose weights grew for the digits wherever strokes pass and
#   for the clothes along the edge, and 67 pixels of the digits whose weights
#   training never touched;
# - that large weights need not be important: without the half of the pixels
#   whose weights are smallest, the network gets 94.8 % of the digits right, but
#   57.3 % of the clothes (in this run).
#
# **In practice**: save the initial weights, and keep trained networks on disk
# under a name that says all they depend on: the data, the seed, the steps, the
# versions. [Keras' saving
# guide](https://keras.io/guides/serialization_and_saving/) explains what a
# `.keras` file holds. [Han et al., 2015](https://arxiv.org/abs/1506.02626) draw
# similar pictures of networks of theirs: the weights of a layer of AlexNet, a
# peak at zero with tails (section 5), and, for digits, the first-layer weights
# that pruning leaves, which are those of the middle of the image (figure 4). To
# score a weight by its size times the strength of its input, as in Exercise 2,
# is how [Sun et al., 2023](https://arxiv.org/abs/2306.11695) prune large
# language models.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: how many weights can go before the network forgets?

# %% tags=["check"]
explorer.visit()
