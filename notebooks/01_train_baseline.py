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
# **You'll do**: train the network that the whole series prunes, on two data
# sets, and take stock of it: parameters, multiplications, bytes, and what the
# first layer looks at.
#
# **You'll need**: to have trained a Keras model before. About three minutes
# on two cores; half a minute when the trained networks are in the cache.

# %%

import numpy as np
import pandas as pd

from helpers import (
    checking, datasets, measuring, networks, plotting,
    pruning, sliders, training,
)  # fmt: skip

# %% [markdown]
# ## Look at the data
#
# MNIST has handwritten digits, Fashion-MNIST has photographs of clothes. Both
# have ten classes of 28 x 28 grey pixels. Without a network connection you get
# a bundled sample of a few thousand images, and the line below says so.

# %% tags=["nbval-ignore-output"]
splits = {name: datasets.load(name) for name in datasets.NAMES}

# %% [markdown]
# An image reaches the network as a row of 784 numbers between 0 (white) and 1
# (black). *How many numbers is a row, and are all ten classes there?*

# %%
for name, split in splits.items():
    pixels, classes = split.x_train.shape[1], np.unique(split.y_train)
    print(f"{name}: {pixels} = 28 x 28 pixels, classes {classes.tolist()}")

# %%
examples = np.concatenate([split.x_train[:10] for split in splits.values()])
titles = [
    datasets.CLASSES[name][label]
    for name, split in splits.items()
    for label in split.y_train[:10]
]
axes = plotting.images(examples, titles)

# %% [markdown]
# Which data set will be harder? A shirt, a coat and a pullover share an
# outline, while a 3 and an 8 do not: expect lower accuracy on clothes.
#
# Digits sit in the middle of the image, so some pixels are white in *every*
# training image. Keep them in mind: no gradient will ever reach their weights.

# %%
never_lit = {
    name: np.all(split.x_train == 0, axis=0) for name, split in splits.items()
}
checking.claim(
    "MNIST: the four corner pixels are white in every training image",
    never_lit["mnist"][[0, 27, 756, 783]].all(),
)

# %% [markdown]
# ## Build the network and count
#
# Four hidden layers of 1000, 1000, 500 and 200 units and ten outputs. *Before
# you run the next cell: which layer holds the most parameters?*

# %%
initial = networks.mlp(seed=0)
initial.count_params()

# %% [markdown]
# A Dense layer has one weight per input and unit, its **kernel**, and one
# **bias** per unit. For the first layer:

# %%
inputs, units = 784, 1000
inputs * units + units

# %% [markdown]
# Running an image through that layer takes one multiply-accumulate (**MAC**)
# for each weight. Here are all layers.

# %%
table = pd.DataFrame(
    {
        "kernel shape": {x.name: tuple(x.kernel.shape) for x in initial.layers},
        "parameters": {x.name: x.count_params() for x in initial.layers},
        "MACs": measuring.macs_per_layer(initial),
    }
)
table["share, %"] = (100 * table["MACs"] / table["MACs"].sum()).round(1)
table

# %%
ax = plotting.bars(table[["MACs"]] / 1e6, ylabel="million MACs per image")
[f"{bar.get_height():.3f}" for bar in ax.patches]

# %% [markdown]
# The second layer alone does 42 % of the work, the first two three quarters.
# The ten outputs do 0.1 %. Whatever shrinks this network has to shrink the
# first two layers, and the output layer is not worth touching.
#
# Pruning studies often go back to the weights from before training. They are
# easily lost, so we keep them now, as a model of its own. The seed decides
# them, bit for bit:

# %%
again = networks.mlp(seed=0)
checking.claim(
    "the same seed gives the same initial weights, bit for bit",
    all(map(np.array_equal, initial.get_weights(), again.get_weights())),
)
checking.claim(
    "another seed gives others",
    not np.array_equal(
        initial.get_weights()[0], networks.mlp(seed=1).get_weights()[0]
    ),
)

# %% [markdown]
# ## Train to a plateau
#
# Adam for 4,000 steps of 128 images, with a learning rate that falls to zero
# along a cosine. After each tenth of the steps the validation set is measured:
# images held out of the training set, on which every choice is made. What the
# next cell trains is kept on disk, so that no other notebook trains it again.

# %% tags=["nbval-ignore-output"]
runs = {
    name: training.baseline_run(split, seed=0) for name, split in splits.items()
}
runs["mnist"].history.round(4)

# %%
ax = plotting.curves(
    range(1, 11),
    {name: run.history["val_accuracy"] for name, run in runs.items()},
    xlabel="tenth of the training",
    ylabel="validation accuracy",
)

# %% [markdown]
# Both curves climb steeply at first and end flat. That matters later: if
# training were stopped early, any further training would look like a gift of
# pruning.

# %%
for name, run in runs.items():
    last_three = run.history["val_accuracy"].tail(3)
    checking.claim(
        f"{name}: the last three measurements lie within 1.5 points",
        last_three.max() - last_three.min() < 0.015,
        last_three.tolist(),
    )

# %% [markdown]
# Training is over and every choice made, so now the test set may be read. It
# must not decide anything from here on.

# %% tags=["nbval-ignore-output"]
accuracies = {
    name: measuring.accuracy(
        run.model, splits[name].x_test, splits[name].y_test
    )
    for name, run in runs.items()
}
pd.Series(accuracies, name="test accuracy")

# %%
bars = {"mnist": (0.982, 0.92), "fashion_mnist": (0.89, 0.80)}
for name, (full, sample) in bars.items():
    checking.claim(
        f"{name}: test accuracy reaches its bar ({full:.1%} on the full data)",
        accuracies[name] >= (sample if splits[name].is_sample else full),
        accuracies[name],
    )

# %% [markdown]
# ## See where the weights live
#
# `prunable_kernels` returns copies of the kernels by layer name. *How will
# the weights have moved: many a little, or few a lot?*

# %%
kernels = pruning.prunable_kernels(runs["mnist"].model)
initial_kernels = pruning.prunable_kernels(initial)
print({name: kernel.shape for name, kernel in kernels.items()})
axes = plotting.histograms(
    {name: kernel for name, kernel in kernels.items()}, "trained weight"
)

# %% tags=["nbval-ignore-output"]
pd.DataFrame(
    {
        name: {
            "largest |weight| before": np.abs(initial_kernels[name]).max(),
            "largest |weight| after": np.abs(kernel).max(),
            "median |weight| before": np.median(np.abs(initial_kernels[name])),
            "median |weight| after": np.median(np.abs(kernel)),
        }
        for name, kernel in kernels.items()
    }
).round(3)

# %%
for name, kernel in kernels.items():
    before, after = np.abs(initial_kernels[name]), np.abs(kernel)
    checking.claim(
        f"{name}: the largest weight grew by a quarter or more, the median not",
        after.max() > 1.25 * before.max()
        and np.median(after) < 1.2 * np.median(before),
        (after.max() / before.max(), np.median(after) / np.median(before)),
    )

# %% [markdown]
# Training has drawn out long tails: the largest weights are two to five times
# what they could be at the start, while the typical weight has hardly grown.
# That is why deleting the small ones is a plausible idea.
#
# Each of the 784 rows of the first kernel belongs to one pixel. The length (L2
# norm) of a row tells how strongly the first layer listens to that pixel.

# %%
listening = {
    name: np.linalg.norm(
        pruning.prunable_kernels(run.model)["hidden_1"], axis=1
    )
    for name, run in runs.items()
}
axes = plotting.pixel_maps(
    {
        "untrained": np.linalg.norm(initial_kernels["hidden_1"], axis=1),
        "MNIST": listening["mnist"],
        "Fashion-MNIST": listening["fashion_mnist"],
    },
    label="L2 norm of the pixel's weights",
)

# %% [markdown]
# On digits the network has learnt to listen where strokes pass, on clothes most
# of all along the rim. Now the pixels that were white in every training image:
# their weights cannot have moved.

# %%
trained, before = kernels["hidden_1"], initial_kernels["hidden_1"]
dark = never_lit["mnist"]
checking.claim(
    "weights of never-lit pixels are the initial ones, bit for bit",
    np.array_equal(trained[dark], before[dark]),
)
checking.claim(
    "every other pixel's weights have changed",
    (trained[~dark] != before[~dark]).any(axis=1).all(),
)

# %% [markdown]
# Last, the size on disk. Random-looking numbers do not compress. *How much
# will zipping the saved file save?*

# %% tags=["nbval-ignore-output"]
costs = {name: measuring.cost(run.model) for name, run in runs.items()}
pd.DataFrame(costs, index=measuring.Cost._fields)

# %%
cost = costs["mnist"]
checking.claim(
    "the file holds 4 bytes per parameter, and 1 % more at most",
    4 * cost.parameters <= cost.bytes <= 4.04 * cost.parameters,
    cost.bytes,
)
checking.claim(
    "zipping it saves less than 12 %",
    cost.zipped_bytes > 0.88 * cost.bytes,
    cost.zipped_bytes / cost.bytes,
)

# %% [markdown]
# ## Move it yourself
#
# We have not pruned anything yet, but we can already blind the network: take
# the pixels it listens to least and zero all their weights. *How many of the
# 784 pixels can go before one in ten digits is misread? Is it more for digits
# or for clothes?*


# %%
def look(fraction, data):
    """Hide the least heard pixels, then read 2,000 test images."""
    keep = np.ones(784, np.uint8)
    keep[np.argsort(listening[data])[: round(fraction * 784)]] = 0
    scratch.set_weights(runs[data].model.weights)
    pruning.apply_masks(
        scratch, {"hidden_1": np.repeat(keep[:, None], 1000, 1)}
    )
    x, y = splits[data].x_test[:2000], splits[data].y_test[:2000]
    readings = measuring.readings(scratch, x, y)
    readings["pixels left"] = int(keep.sum())
    return readings, keep.reshape(28, 28)


# %%
scratch = networks.mlp()
fractions = np.linspace(0, 0.95, 20).round(2)
lines = {
    name: [look(fraction, name)[0]["accuracy"] for fraction in fractions]
    for name in splits
}
ax = plotting.curves(fractions, lines, "fraction of pixels hidden")

# %% [markdown]
# Now with the slider: it prunes the real network and reads 2,000 test images
# at every move. The buttons choose the data set.

# %%
picture = plotting.ExplorerPicture(
    fractions, lines, "fraction of pixels hidden", (28, 28), "pixels left"
)
explorer = sliders.Explorer(
    fractions,
    look,
    picture.pngs,
    start=0.5,
    label="fraction of pixels hidden",
    choices={"data": list(splits)},
)
explorer

# %%
explorer.slider.value = 0.8
checking.claim(
    "with 80 % of the pixels hidden the slider counts 157 left",
    explorer.readings["pixels left"] == 157,
    explorer.readings,
)

# %% [markdown]
# You should have seen digits stay readable until about half of the pixels are
# gone, and clothes suffer from the first ones on.

# %% [markdown]
# ## Your turn
#
# **Exercise 1.** How many MACs would the network need if every hidden layer
# had half as many units? Guess a fraction first. Build it with
# `networks.mlp(widths=...)`; the collapsed cell has a solution.

# %% tags=["solution"]
half = networks.mlp(widths=(500, 500, 250, 100))
macs = {
    "full": sum(measuring.macs_per_layer(initial).values()),
    "half": sum(measuring.macs_per_layer(half).values()),
}
print(macs)
checking.claim(
    "half the units need a third of the MACs", macs["half"] == 793_000
)

# %% [markdown]
# **Exercise 2.** On the *validation* set of MNIST: how many pixels can be
# hidden before accuracy falls by more than two points?

# %% tags=["solution"]
split, model = splits["mnist"], runs["mnist"].model
whole = measuring.accuracy(model, split.x_val, split.y_val)
answer = 0.0
for fraction in fractions:
    look(fraction, "mnist")  # leaves the blinded network in `scratch`
    if whole - measuring.accuracy(scratch, split.x_val, split.y_val) <= 0.02:
        answer = fraction
checking.claim(
    "between a quarter and 80 % of the pixels", 0.25 <= answer <= 0.8, answer
)

# %% [markdown]
# ## What would fool you here
#
# "Initial" weights that are saved too late. `kept = model` copies nothing: it
# is a second name for the network that training is about to change. Here is
# one step of training with each way of keeping.

# %%
model = networks.mlp(seed=0)
kept_name, kept_copy = model, pruning.copy_of(model)
training.fit(model, splits["mnist"], num_steps=1)
for label, kept in {"second name": kept_name, "copy": kept_copy}.items():
    equal = map(np.array_equal, kept.get_weights(), initial.get_weights())
    print(f"{label:11s} is still the initial network: {all(equal)}")

# %% [markdown]
# Going back to the "second name" would go back nowhere, and no error would say
# so. The check is the one above: compare what you kept, bit for bit, with a
# network that was built again from the seed.

# %% tags=["nbval-ignore-output"]
start = {}
for name, run in runs.items():
    x, y = splits[name].x_val, splits[name].y_val
    start[name] = measuring.accuracy(run.initial, x, y)
start

# %%
checking.claim(
    "the networks kept from before training guess: under 25 % right",
    max(start.values()) < 0.25,
    start,
)

# %% [markdown]
# ## Recap
#
# In this notebook, we saw:
#
# - a network of 2,388,710 parameters and 2,386,000 MACs per image, 75 % of
#   them in its first two layers;
# - test accuracies near 98.7 % on digits and 89.6 % on clothes (full data),
#   from training that had reached a plateau;
# - weights of which the largest grew two- to fivefold and the median hardly,
#   and pixels whose weights training never touched;
# - a file of 9.6 MB that zipping hardly makes smaller.
#
# **In practice**: cache what is expensive and key the cache by everything that
# decides it. [Keras' saving guide](https://keras.io/guides/serialization_and_saving/)
# explains what a `.keras` file holds. For how magnitudes of trained weights are
# distributed, see section 3 of
# [Han et al., 2015](https://arxiv.org/abs/1506.02626).
#
# Next: how many of these weights can go before the network forgets?
