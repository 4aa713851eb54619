# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 8. Find winning tickets
#
# > Were the survivors lucky from the start?
#
# **You'll do**: prune a network, give the survivors their first weights back,
# and train them against two controls, over six seeds.
#
# **You'll need**: notebooks 2, 4 and 7, and about 25 minutes. The cells take
# two to three minutes on two cores.

# %%
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, datasets, masking, measuring, networks,
                     plotting, pruning, sliders, studying, training)

# %% [markdown]
# ## Rewind a toy
#
# Train a network and delete its smallest weights. What is left can be trained
# again, from the values that it had at the very start. To **rewind** is to give
# survivors these values back. Here are the four stages of a toy of 18 weights,
# whose "training" is drawn at random.

# %% tags=["nbval-ignore-output"]
random = np.random.default_rng(1)
shapes = {"hidden": (4, 3), "output": (3, 2)}
start = {name: random.normal(size=shape) for name, shape in shapes.items()}
trained = {k: v + random.normal(size=v.shape) for k, v in start.items()}
masks = masking.layerwise_masks(masking.magnitude_scores(trained), 0.5)
axes = plotting.networks({
    "at the start": start,
    "trained": trained,
    "pruned": {name: masks[name] * k for name, k in trained.items()},
    "rewound": {name: masks[name] * k for name, k in start.items()},
})

# %% [markdown]
# The last network has the connections of the third and the weights of the
# first. (A cross is a zero.) The **lottery ticket hypothesis** says that a
# large network contains, before any training, a small part that can be trained
# alone and gets as far as the whole: a winning ticket, whose first weights
# happened to be good ones. Is the last network such a part? Two controls tell:
#
# - **other weights**: the same connections, started from another draw;
# - **random masks**: the same start, as many connections in each layer, but
#   drawn at random.
#
# If only the connections matter, the first control will do as well as the
# ticket. If nothing but their number matters, the second will.
#
# ## Rewind a real network
#
# We take LeNet-300-100, a plain 784-300-100-10 that many papers on the subject
# use. Its weights at the start are easily lost: save them *before* training.

# %% tags=["nbval-ignore-output"]
split = datasets.load("mnist")
test = split.x_test, split.y_test
initial = networks.mlp(widths=(300, 100), seed=0)
print(f"untrained: {measuring.accuracy(initial, *test):.1%} are right")


# %% [markdown]
# Every network that we train here is trained in the same way: 3,000 steps at a
# constant learning rate. The validation loss is measured 30 times, and at the
# end the network gets back the weights that had the smallest one. That is
# **early stopping** without the stop: a patience of 30 never runs out.


# %%
import keras


def train(start):
    """A trained copy, and the validation loss on the way."""
    network = pruning.copy_of(start)
    pruning.hold_zeros(network)
    best = keras.callbacks.EarlyStopping("val_loss", patience=30,
                                         restore_best_weights=True)
    history = training.fit(
        network, split, split.steps(3000), batch_size=64, learning_rate=1.2e-3,
        decay=False, epochs=30, callbacks=[best],
        validation_data=(split.x_val, split.y_val),
    )
    return network, history.history["val_loss"]


# %% [markdown]
# Tickets are found in rounds: train, prune, rewind, train, prune more, and so
# on. The sparsities below leave 51, 33, 21 and 13 % of the weights of each
# hidden layer: what three, five, seven and nine rounds of 20 % leave.

# %%
SPARSITIES = (0.488, 0.672, 0.79, 0.866)
after, tickets = {("dense", 0): train(initial)}, {}
network = after["dense", 0][0]
for sparsity in SPARSITIES:
    tickets[sparsity] = pruning.prune_weights(network, sparsity)
    training.rewind(tickets[sparsity], to=initial)
    after["rewound", sparsity] = train(tickets[sparsity])
    network = after["rewound", sparsity][0]

# %% [markdown]
# *Are the weights that are left really those from the start?*

# %%
first = pruning.prunable_kernels(initial)["hidden_1"]
for ticket in tickets.values():
    kernel = pruning.prunable_kernels(ticket)["hidden_1"]
    kept = kernel != 0
    equal = np.array_equal(kernel[kept], first[kept])
    print(f"{kept.sum():,} weights of hidden_1 are left, as they were: {equal}")

# %% [markdown]
# Bit for bit. Now the two controls. The answers are means of six seeds, run
# beforehand.

# %%
seeds = studying.read("results/rewinding.csv", ["round", "early_stop"])
seeds["sparsity"] = (1 - 0.8 ** seeds["round"]).round(3)
from_start = seeds[seeds["start_step"] == 0]
at_13 = from_start[from_start["round"] == 9].groupby("method")["accuracy"]
means = 100 * at_13.mean()
sliders.Prediction(
    "With 13 % left, how many points does a ticket lose with other weights?",
    means["rewound"] - means["other weights"], ends=(-1, 5), unit="points",
)

# %%
sliders.Prediction(
    "And how many does it lose with random masks?",
    means["rewound"] - means["random masks"], ends=(-1, 5), unit="points",
)

# %%
other = networks.mlp(widths=(300, 100), seed=1000)
scores = masking.random_scores(pruning.prunable_kernels(initial), seed=0)
for sparsity, ticket in tickets.items():
    same_masks = pruning.masked(other, pruning.masks_of(ticket))
    after["other weights", sparsity] = train(same_masks)
    drawn = pruning.masked(initial, masking.layerwise_masks(scores, sparsity))
    after["random masks", sparsity] = train(drawn)

# %% [markdown]
# Watch them learn, with 13 % of the weights left:

# %% tags=["nbval-ignore-output"]
steps = split.steps(100) * np.arange(1, 31)
curves = {
    method: losses for (method, sparsity), (_, losses) in after.items()
    if sparsity in (0, 0.866)
}
curves = pd.DataFrame(curves, index=pd.Index(steps, name="training steps"))
ax = sns.lineplot(curves, dashes=False)
ax.set(yscale="log", ylabel="validation loss")
ax.minorticks_off()
ticks = ax.set_yticks([0.06, 0.1, 0.2, 0.4], ["0.06", "0.1", "0.2", "0.4"])

# %% [markdown]
# The ticket (`rewound`) leads from the first measurement on, and after a sixth
# of the training it is about where the two controls end. In this run its loss
# is even below that of the dense network, of which it is a small part.
#
# ## Let six seeds decide
#
# The accuracies of this run are the thick lines, those of other seeds the thin
# ones. The seeds took nine rounds of 20 % each, and rank the weights of the
# last step; this run takes four larger cuts to the same places, and ranks the
# best weights.

# %% tags=["nbval-ignore-output"]
accuracies = {
    ("mnist", *place): measuring.accuracy(network, *test)
    for place, (network, _) in after.items() if place[1]
}
sweep = pd.Series(accuracies).rename_axis(["data", "method", "sparsity"])
axes = plotting.runs(from_start, sweep, height=3.8, aspect=1.3)

# %% tags=["check"]
checking.claim(
    "this run lies among the other seeds at 80 % of its points",
    100 * studying.inside(sweep, from_start),
    above=-1 if split.is_sample else 80,  # the seeds are of the full data
)

# %% [markdown]
# As in notebook 7 we look at differences within seeds: a small dot is a seed, a
# large one their mean, the bar its 95 % interval. Zero is the first control,
# the same connections with other weights. Above it is what the first weights
# gain, below it what random connections lose.

# %% tags=["nbval-ignore-output"]
compared = from_start[from_start["sparsity"].isin(SPARSITIES)]
question = "points", "method", "other weights", ["sparsity"]
gaps = studying.gaps(compared, *question)
axes = plotting.differences(gaps, "points", hue="method", aspect=1.6)
label = axes[None].set_ylabel("above other weights, points")
studying.paired(compared, *question).round(3)

# %% [markdown]
# The less is left, the more both matter. With 13 % left, the first weights gain
# 0.9 points (0.7 to 1.1), and random connections lose another 0.7 (0.5 to 0.8).
# With half of the weights left, the first weights still gain 0.3; there the
# connections make no difference that we could show. The eight tests are
# corrected together by Holm's method (`p_holm`), and seven of them hold.
#
# Is the ticket as good as the whole network, or even better? Zero is now the
# dense network of the same seed:

# %%
shown = 0, *SPARSITIES
won = from_start.query("method == 'rewound' and sparsity in @shown")
studying.paired(won, "points", "sparsity", 0).round(3)

# %% [markdown]
# It is better, at all four sparsities, by 0.2 to 0.3 points. But at this
# constant learning rate the dense network's loss jumps up and down to the end
# (see the curves above), so it may be a weak rival: the longer recipe of the
# appendix gets further with one weight in twelve.
#
# The hypothesis also says that a ticket needs no more steps than the whole
# network; Frankle and Carbin found that it often needs fewer. One measure is
# the step that early stopping keeps, where the validation loss was smallest.
# (The thick lines are the seeds' means here, the dotted line is the end of
# training.)

# %% tags=["nbval-ignore-output"]
axes = plotting.runs(from_start, y="early_stop", height=3.8, aspect=1.3)
axes["mnist"].set(ylabel="step that early stopping keeps", ylim=(0, 3200))
line = axes["mnist"].axhline(3000, color="0.4", linestyle=":")
ends = won.pivot(index="sparsity", columns="seed", values="early_stop")
print(ends.loc[[0, 0.866]].astype(int))

# %% [markdown]
# With 13 % left, tickets get to their smallest loss sooner in most seeds, as
# printed (a column for each). But the dense networks are best at steps 2,700 to
# 3,000, and training ends at 3,000: with more of it they might well improve
# further. So *that* tickets are sooner is plausible; *how much* sooner, 3,000
# steps cannot tell.
#
# ## Rewind to an early step
#
# Later work found that in larger networks a ticket has to be rewound not to the
# start but to a step early in training. *Does it help here?* The seeds' tickets
# were also rewound to where 300 steps of training had brought the whole
# network, and trained for the same 3,000 steps from there, so that they had 300
# more. Zero is rewinding to the start.

# %% tags=["nbval-ignore-output"]
rewound = seeds.query("method == 'rewound' and sparsity in @shown")
early = "points", "start_step", 0, ["sparsity"]
gaps = studying.gaps(rewound, *early)
axes = plotting.differences(gaps, "points", aspect=1.6)
label = axes[None].set_ylabel("above rewinding to the start, points")
studying.paired(rewound, *early).round(3)

# %% [markdown]
# Not here, as far as we can see. At no sparsity is there a difference that we
# could show; at 13 % the interval goes from −0.07 to 0.21 points, so that a
# small gain is not ruled out. (The five tests, one with nothing pruned, are
# corrected together.)
#
# ## Move it yourself
#
# The slider goes through the four sparsities, the buttons choose the network.
# The image counts the connections of each pixel; its colours are scaled anew at
# each move. *Compare the ticket with random masks at 13 %. Where do random
# masks waste connections?*


# %% tags=["nbval-ignore-output"]
def look(data, method, sparsity):
    """A trained network, and how many connections each pixel has."""
    network, _ = after[method, sparsity]
    kernel = pruning.prunable_kernels(network)["hidden_1"]
    return network, np.count_nonzero(kernel, axis=1)


explorer = sliders.explore(
    look, {"mnist": initial}, {"mnist": split}, sweep,
    shown="connections per pixel", start=0.866,
)
explorer

# %% [markdown]
# You should have seen a ticket that has hardly a connection at the rim, which
# is blank in every digit, and many everywhere else. Random masks spend about as
# much on each pixel. "Other weights" has the ticket's picture, because its
# connections are the same.

# %% tags=["check"]
blank = split.x_train.max(axis=0) == 0
for method in ("rewound", "random masks"):
    _, connections = look("mnist", method, 0.866)
    share = connections[blank].sum() / connections.sum()
    print(f"{method}: ≈ {100 * share:.1f} % at pixels that are always blank")

# %% [markdown]
# ## Your turn
#
# **Exercise 1.** Each round removes 20 % of what is left. After which round
# would less than 2 % be left?

# %%
answer = ...  # a number of rounds
checking.answer(answer, within=(17, 19))

# %% tags=["solution"]
answer = next(n for n in range(100) if 0.8**n < 0.02)
print(f"{answer} rounds leave {0.8**answer:.2%}")
checking.answer(answer, within=(17, 19))

# %% [markdown]
# **Exercise 2.** Is it all in the pixels? Take the ticket's masks at 13 % and
# shuffle each row: every pixel keeps its number of connections, but they lead
# to other units. Trained from the same start, does this network get as far as
# the ticket?

# %%
answer = ...  # a dict of masks, of hidden_1 and hidden_2
won_by = measuring.accuracy(after["rewound", 0.866][0], *test)
checking.answer(
    answer,
    lambda masks: measuring.accuracy(
        train(pruning.masked(initial, masks))[0], *test
    ),
    below=won_by,
)

# %% tags=["solution"]
masks = pruning.masks_of(tickets[0.866])
shuffle = np.random.default_rng(0).permuted
answer = {k: shuffle(masks[k], axis=1) for k in ("hidden_1", "hidden_2")}
shuffled = train(pruning.masked(initial, answer))[0]
names = "rewound", "other weights", "random masks"
seen = {name: after[name, 0.866][0] for name in names}
seen["shuffled rows"] = shuffled
print({k: f"≈ {measuring.accuracy(m, *test):.2%}" for k, m in seen.items()})
lost = measuring.accuracy(shuffled, *test)
checking.answer(answer, lambda _: lost, below=won_by)

# %% [markdown]
# It does not. But the shuffle took two things away: which pixels meet in one
# unit, and the first weights that belong to these connections. "Other weights"
# lacks only the latter; the rest is what it costs to keep nothing but the
# number of connections of each pixel (in this run).
#
# ## What would fool you here
#
# `set_weights` looks like rewinding, but it gives the network *all* of its
# first weights back. Unless its zeros are held, it then trains as a dense
# network, and its accuracy looks wonderful. A second mistake is to save the
# "first" weights *after* training: check that the network you saved can only
# guess.

# %%
ticket = pruning.prune_weights(after["dense", 0][0], 0.866)
broken = pruning.copy_of(ticket)
broken.set_weights(initial.get_weights())
training.rewind(ticket, to=initial)
for name, network in {"the broken one": broken, "rewind": ticket}.items():
    sparsity = masking.sparsity_of(pruning.prunable_kernels(network))
    checking.claim(f"{name}: sparsity 0.866", sparsity, within=(0.86, 0.87))
guesses = measuring.accuracy(initial, *test)
checking.claim("the first network guesses", guesses, below=0.25)

# %% [markdown]
# The broken one is dense again. (Its line fails on purpose.) Count the zeros
# after each step that writes weights.
#
# ## Appendix: how few weights are enough?
#
# How few weights can LeNet-300-100 get by with, not as a ticket, but by the
# best recipe we know? It takes 60 passes over the images, has a small penalty
# on large weights, and sets a random tenth of the hidden activations to zero at
# each training step (*dropout*). It prunes all three layers gradually from
# early on; of the second, it leaves twice the share that it leaves of the first
# (`helpers/workshop/experiments/frontiers.py`). All this was chosen on the
# validation set, dropout and shares as the best of five settings in two seeds;
# then it was trained on those images, too. Here is the median test error, in
# percent, of six seeds, where one weight in so many is left: the
# **compression**. The output layer counts here, biases do not.

# %%
points = studying.read("results/frontier.csv", ["compression"])
points["error"] = (100 - 100 * points["accuracy"]).round(2)
medians = points.groupby("compression")["error"].median()
published = pd.read_csv("results/published.csv", comment="#")
both = pd.concat([published, medians.reset_index().assign(recipe="this one")])
both.pivot(index="compression", columns="recipe", values="error")

# %% tags=["nbval-ignore-output"]
noise = np.sqrt(both["error"] * (100 - both["error"]) / 10_000)
ax = sns.scatterplot(
    both, x="compression", y="error", hue="recipe", style="recipe", s=70
)
ax.errorbar(
    both["compression"], both["error"], noise, fmt="none", color="0.7", zorder=0
)
ax.axhline(medians[1], color="0.5", linestyle=":")
ax.set(xscale="log", xlabel="compression (one weight left in so many)",
       xlim=(10, 240), ylabel="test error, % (dotted: dense)")
places = [12, 20, 30, 56, 68, 100, 200]
ticks = ax.set_xticks(places, places)
ax.minorticks_off()
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5))

# %% tags=["check"]
best = published.groupby("compression")["error"].min()
pairs = pd.DataFrame({"best published": best, "ours": medians}).dropna()
gaps = pairs["best published"] - pairs["ours"]
gaps /= np.sqrt((pairs * (100 - pairs)).sum(axis=1) / 10_000)
print(f"in standard errors of a difference: {gaps.round(1).to_dict()}")

# %% [markdown]
# A bar reaches one standard error to either side, which 10,000 test images give
# any such number. (A 95 % interval would be twice as long.) Wherever others
# have published, our median error is below the best of theirs, but by little.
# If the errors of two networks were independent, the difference would be 0.2
# standard errors at 12 and 2.3 at 56, where our error is 1.56 % and the two
# published ones, which coincide in the figure, are 1.984 and 1.99 %; at 68 and
# 100, it would be 1.2 and 1.8. Any one of these could nearly be luck. With one
# in 12 left, our 1.40 % also differs by less than a bar from the 1.33 % of a
# whole network by the same recipe (dotted). From 30 on errors rise, to 1.99 %
# at 100 and 3.3 % at 200. The list is not complete. Papers count weights in
# different ways; some report one run, some a mean, and ours is a median. And
# the recipes differ in much besides how they prune, so the figure does not tell
# which way of pruning is best.
#
# ## Recap
#
# In this notebook, we saw:
#
# - how to rewind: 13 % of the weights are left, each at its first value, bit
#   for bit;
# - that its first weights matter: the same connections with other weights end
#   0.9 points lower, over six seeds;
# - that its connections matter, too: drawn at random, they cost another 0.7;
# - a ticket that ends 0.3 points above the whole network, at this constant
#   learning rate;
# - rewinding to step 300 instead, which made no difference that we could show.
#
# **In practice**: finding a ticket costs more training than it saves, because
# each round trains a network to the end. Tickets explain something about
# training rather than shorten it. What it is about the first weights, their
# sizes or their signs, our controls do not tell; [Zhou et al.,
# 2019](https://arxiv.org/abs/1905.01067) say the signs. And tickets do not
# always win: in larger networks, at larger learning rates, [Liu et al.,
# 2019](https://arxiv.org/abs/1810.05270) found that other weights do as well,
# and [Frankle et al., 2019](https://arxiv.org/abs/1903.01611) had to rewind to
# an early step. The hypothesis is due to [Frankle and Carbin,
# 2019](https://arxiv.org/abs/1803.03635), who prune the output layer, too, at
# half the rate.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# The published errors: [Han et al., 2015](https://arxiv.org/abs/1506.02626);
# DNS, [Guo et al., 2016](https://arxiv.org/abs/1608.04493); Sparse VD,
# [Molchanov et al., 2017](https://arxiv.org/abs/1701.05369); LC,
# [Carreira-Perpiñán and Idelbayev,
# 2018](https://openaccess.thecvf.com/content_cvpr_2018/html/Carreira-Perpinan_Learning-Compression_Algorithms_for_CVPR_2018_paper.html);
# SNIP, [Lee et al., 2019](https://arxiv.org/abs/1810.02340); Sparse Momentum,
# [Dettmers and Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840), whose
# [table of all of
# these](https://github.com/TimDettmers/sparse_learning/blob/master/results/MNIST_compression_comparison_lenet300-100.csv)
# we checked ours against.
#
# Next: how much comes back without a single training step, and which layer
# should pay?

# %% tags=["check"]
explorer.visit()
