# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Prune in rounds
#
# > At equal training, do rounds or a gradual schedule beat pruning once?
#
# **You'll do**: prune one network in six rounds, then put four schedules on
# equal terms, the same number of training steps, and let six seeds decide.
#
# **You'll need**: notebooks 2 and 4, and about 20 minutes. The cells take three
# minutes on two cores.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, datasets, masking, measuring, plotting, pruning,
                     scheduling, sliders, studying, training)

# %% [markdown]
# ## Prune, train, repeat
#
# Brains prune their synapses over years, not in one night. A **round** removes
# a **pruning fraction** of the weights that are *left*, then trains the rest.
# Here are three rounds of one half, on a toy that is not trained: 24 weights
# become 12, 6 and 3. (A cross is a zero; a hollow unit has lost all its
# inputs.)

# %% tags=["nbval-ignore-output"]
toy = np.random.default_rng(0).normal(size=(6, 4))
scores = masking.magnitude_scores({"toy": toy})
rounds = {}
for number in range(4):
    masks = masking.layerwise_masks(scores, 1 - (1 - 0.5) ** number)
    rounds[f"after round {number}"] = {"toy": toy * masks["toy"]}
axes = plotting.networks(rounds)

# %%
sliders.Prediction(
    "Six rounds remove 30 % each. How much of the network is left?",
    100 * (1 - 0.3) ** 6,
)

# %% [markdown]
# A fraction of what is left is less every time, so something always remains: (1
# − *f*)<sup>*n*</sup> after *n* rounds of a fraction *f*. We start with a small
# network, 784-128-64-10, trained on digits.

# %% tags=["nbval-ignore-output"]
split = datasets.load("mnist")
model = training.baseline(split, widths=(128, 64))
test = split.x_test, split.y_test
print(f"trained: {measuring.accuracy(model, *test):.2%}")

# %% [markdown]
# The loop below is all there is to rounds. It ranks the weights of both hidden
# layers together ("global"), deletes the smallest, and trains for about one
# epoch with the zeros held. A fraction of 0 is the **control**: the same
# training, nothing pruned. (`training.prune_in_rounds` is this loop, too.)

# %%
FRACTIONS = (0.5, 0.3, 0.2, 0)
after = {}
for fraction in FRACTIONS:
    after[fraction, 0] = network = model
    for number in range(1, 7):
        sparsity = 1 - (1 - fraction) ** number
        network = pruning.prune_weights(network, sparsity, scope="global")
        training.fit(network, split, num_steps=split.steps(430))
        after[fraction, number] = network

# %% [markdown]
# *Are the zeros still there after all that training, and as many as the formula
# says?* We count the weights left after six rounds:

# %%
{fraction: measuring.left_in(after[fraction, 6])["weights left"]
 for fraction in FRACTIONS}

# %% [markdown]
# They are, to the weight: 0.7 to the sixth power, times 108,544, is 12,770. Now
# the accuracy against what is left. The thick lines are this run. The thin ones
# come from five other **seeds**: the same experiment with other initial weights
# and another order of the images, run beforehand and kept in a file. The table
# has the means of all six, in percent, after each round; a fraction of 0 is the
# control.

# %% tags=["nbval-ignore-output"]
rows = [
    ("mnist", fraction, number, 1 - (1 - fraction) ** number,
     measuring.accuracy(network, *test))
    for (fraction, number), network in after.items()
]
names = ["data", "fraction", "round", "sparsity", "accuracy"]
seen = pd.DataFrame(rows, columns=names)
seeds = studying.read("results/rounds.csv", ["fraction"], split.is_sample)
seeds = seeds.query("fraction in @FRACTIONS")
with sns.color_palette("flare_r", 4):
    live = seen.set_index(["data", "fraction", "sparsity"])["accuracy"]
    axes = plotting.runs(seeds, live, hue="fraction", aspect=1.5)

# %%
full = studying.read("results/rounds.csv", ["fraction"])
full = full.query("fraction in @FRACTIONS")
(100 * full.pivot_table("accuracy", "round", "fraction")).round(1)

# %% tags=["check"]
sweep = seen.set_index(["data", "fraction", "round"])["accuracy"]
checking.claim("this run lies among the other seeds at 80 % of its points",
               100 * studying.inside(sweep, seeds), above=80)

# %% [markdown]
# What counts most is how much is left, not how many rounds it took. Six rounds
# of 20 % leave 26 % of the weights and end where the control does, at 97.8 %.
# Two rounds of 50 % leave a quarter and end at 97.7 %. Accuracy falls fast only
# when less than 10 % is left; after six halvings, with 1.6 %, it is 90.2 %.
#
# So are rounds a good idea? We cannot tell yet. The control shows what six more
# epochs do without pruning: nothing. What is missing is a network that is
# pruned once and then trained for just as long.
#
# ## Put four schedules on equal terms
#
# Every method now gets the same trained network, 2,000 steps, images in the
# same order and falling learning rate, and has to end with 2 % of the weights.
# Only the **schedule** differs, how sparse the network has to be after each
# step. (From here on every layer gives the same share, and above it was
# "global": do not compare these accuracies with those above.)
#
# - **one-shot** prunes before the first step;
# - **rounds** makes five cuts, each by the same fraction of what is left;
# - **gradual** makes 24 cuts along a cubic: after a share *t* of the first
#   three fifths of the steps the sparsity is 0.98 (1 − (1 − *t*)³), so that
#   large cuts come first and small ones last;
# - **gradual, 5 cuts** follows the same cubic in five cuts.

# %%
num_steps = split.steps(2000)
end, often = num_steps * 3 // 5, num_steps // 40
cubic = scheduling.gradual(0.98, begin_step=0, end_step=end)
# For each, how sparse after each step, and every how many steps to prune.
schedules = {
    "one-shot": (scheduling.one_shot(0.98), often),
    "rounds": (scheduling.in_rounds(0.98, 5, end // 4), often),
    "gradual": (cubic, often),
    "gradual, 5 cuts": (cubic, end // 5),
}

# %% tags=["nbval-ignore-output"]
fig, ax = plt.subplots()
steps = np.arange(num_steps + 1)
for name, (wanted, every) in schedules.items():
    weights_left = [100 - 100 * wanted(step - step % every) for step in steps]
    ax.step(steps, weights_left, where="post", label=name)
ax.set(yscale="log", xlabel="training steps", ylabel="weights left")
ax.set_yticks([100, 30, 10, 5, 2], ["100 %", "30 %", "10 %", "5 %", "2 %"])
ax.minorticks_off()
legend = ax.legend()

# %% [markdown]
# All are done after three fifths of the steps; the rest is training. Two more
# runs give us a scale: the control, which is not pruned, and a **random**
# choice of weights before the first step, which shows what ranking them is
# worth.

# %%
seeds = studying.read("results/equal_steps.csv", ["method"])
at_98 = seeds[seeds["sparsity"] == 0.98].groupby("method")["accuracy"].mean()
sliders.Prediction(
    "Which of the four keeps most accuracy with 2 % of the weights?",
    at_98.idxmax(), choices=list(schedules),
)

# %% tags=["nbval-ignore-output"]
scores = masking.random_scores(pruning.prunable_kernels(model), seed=0)
drawn = pruning.masked(model, masking.layerwise_masks(scores, 0.98))
students = {
    "control": training.fine_tune(model, split, num_steps),
    "random": training.fine_tune(drawn, split, num_steps),
}
for name, (schedule, every) in schedules.items():
    prune = scheduling.PruneOnSchedule(schedule, frequency=every)
    students[name] = training.fine_tune(
        model, split, num_steps, callbacks=[prune]
    )
live = {name: measuring.accuracy(m, *test) for name, m in students.items()}
(100 * pd.Series(live)).round(2)

# %% [markdown]
# Is the comparison fair? All but the control should have equally many zeros:

# %%
for name, student in students.items():
    zeros = masking.zero_counts(pruning.prunable_kernels(student))
    print(f"{name:15s} {sum(zeros.values()):,} of 108,544")

# %% [markdown]
# ## Let six seeds decide
#
# One run each is an anecdote. Six seeds were run beforehand at three
# sparsities. They are **paired**: within a seed, all methods start from the
# same trained network. So within each seed we subtract the accuracy of pruning
# once. A small dot is a seed, a large one their mean, the bar its 95 %
# interval.

# %% tags=["nbval-ignore-output"]
pruned = seeds[seeds["sparsity"] > 0]
gaps = studying.gaps(pruned, "points", "method", "one-shot", ["sparsity"])
shown = gaps[gaps["method"].isin(["rounds", "gradual"])]
axes = plotting.differences(shown, "points", hue="method", aspect=1.6,
                            palette={"rounds": "C1", "gradual": "C2"})
label = axes[None].set_ylabel("above pruning once, points")

# %% [markdown]
# Here are the numbers, in points, for random pruning too. With nine tests,
# chance alone finds a difference too easily. **Holm's method** multiplies the
# smallest p by nine, the next by eight, and so on: that is `p_holm`. We count a
# difference if it is below 0.05. Before that, the mean accuracies.

# %%
methods = ["one-shot", "rounds", "gradual", "random"]
asked = pruned[pruned["method"].isin(methods)]
control = seeds[seeds["method"] == "dense"]["accuracy"].mean()
print(f"control: {control:.1%}")
print((100 * asked.pivot_table("accuracy", "method", "sparsity")).round(1))
studying.paired(asked, "points", "method", "one-shot", ["sparsity"]).round(3)

# %% [markdown]
# With 10 % of the weights left, gradual pruning gains nothing that we could
# show: its interval goes from −0.05 to 0.20 points. With 5 % left it gains 0.4
# points on pruning once; with 2 % left, 1.4 (0.9 to 1.9). Rounds never win.
# They end 0.5 points behind with 10 % and with 5 % left; with 2 % no difference
# is established. Random pruning ends 3.6 to 5.0 points behind: *which* weights
# go matters more than *when*. And all end below the control, 97.9 %.
#
# ## Ask why
#
# Gradual pruning and rounds differ in two ways: in how many cuts they make, 24
# or five, and in where those cuts lie. Hence the fourth schedule, which has the
# cubic of one and the five cuts of the other.

# %%
lost = 100 * (at_98["gradual"] - at_98["gradual, 5 cuts"])
sliders.Prediction(
    "With 2 % left, how many points does gradual pruning lose if it makes "
    "five cuts instead of 24?",
    lost, ends=(-1, 3), unit="points",
)

# %% tags=["nbval-ignore-output"]
methods = ["gradual, 5 cuts", "rounds", "gradual"]
asked = pruned[pruned["method"].isin(methods)]
few, by = methods[0], ["sparsity"]
gaps = studying.gaps(asked, "points", "method", few, by)
axes = plotting.differences(gaps, "points", hue="method", aspect=1.6,
                            palette={"rounds": "C1", "gradual": "C2"})
label = axes[None].set_ylabel("above the cubic in 5 cuts, points")
studying.paired(asked, "points", "method", few, by).round(3)

# %% [markdown]
# Zero is now the cubic in five cuts. The same cubic in 24 cuts is better at
# each sparsity: by 0.2, 0.5 and 1.1 points. So many small cuts do help, the
# more the less is left; at 2 % that is most of the lead of gradual pruning.
# (With five cuts the weights also go a little later, which we cannot tell apart
# here.) Where the cuts lie matters, too: of the two with five cuts, rounds end
# 0.4 points below the cubic, at each sparsity. These six tests are corrected as
# a family of their own, and all hold.
#
# ## Move it yourself
#
# The slider goes through the six rounds of the first section, the buttons
# choose the pruning fraction. The image shows how many of its 128 weights each
# pixel has left; its colours are scaled anew at each move. *Halve the network
# six times. Which pixels go first, and how many of the 192 units still have an
# input?*


# %% tags=["nbval-ignore-output"]
def look(data, fraction, round):
    """The network after that round, and its weights per pixel."""
    network = after[fraction, round]
    kernel = pruning.prunable_kernels(network)["hidden_1"]
    return network, np.count_nonzero(kernel, axis=1)


models, splits = {"mnist": model}, {"mnist": split}
explorer = sliders.explore(
    look, models, splits, sweep, shown="weights left per pixel", start=6
)
explorer

# %% [markdown]
# You should have seen the edge of the image go first, where no stroke ever
# passes. Nearly all of the 192 units still have an input, though only 1,696
# weights are left for all of them.

# %% tags=["check"]
last = measuring.left_in(after[0.5, 6])["units left"]
checking.claim("of the 192 units nine in ten have inputs", last, above=172)

# %% [markdown]
# ## Your turn
#
# **Exercise 1.** How many rounds of 30 % does it take to leave less than one
# weight in 100?

# %%
answer = ...  # a number of rounds
checking.answer(answer, within=(12, 14))

# %% tags=["solution"]
answer = int(np.ceil(np.log(0.01) / np.log(0.7)))
print(f"{answer} rounds leave {0.7**answer:.2%}")
checking.answer(answer, within=(12, 14))

# %% [markdown]
# **Exercise 2.** Our cubic ends after 60 % of the steps. Find another end at
# which gradual pruning still beats the five rounds on the *validation* images.
# (It is a choice, so the test images have no say in it.)


# %%
def pruned_until(share):
    """The network after 2,000 steps; its cubic ends at that share of them."""
    cubic = scheduling.gradual(0.98, 0, round(share * num_steps))
    prune = scheduling.PruneOnSchedule(cubic, often)
    return training.fine_tune(model, split, num_steps, callbacks=[prune])


answer = ...  # a share of the steps, such as 0.6
held_out = split.x_val, split.y_val
checking.answer(
    answer,
    lambda share: measuring.accuracy(pruned_until(share), *held_out),
    above=measuring.accuracy(students["rounds"], *held_out),
)

# %% tags=["solution"]
rounds = measuring.accuracy(students["rounds"], *held_out)
found = {
    share: measuring.accuracy(pruned_until(share), *held_out)
    for share in (0.3, 0.8)
}
print(f"rounds: ≈ {rounds:.4f};", {k: f"≈ {v:.4f}" for k, v in found.items()})
checking.answer(max(found, key=found.get), found.get, above=rounds)

# %% [markdown]
# ## What would fool you here
#
# A schedule may never get to its end. This one was planned for four times as
# many steps as we take, as happens when the batches become four times as large
# and nobody thinks of the schedule. No error is raised, and none of the four
# schedules comes near its accuracy. Only the number of zeros gives it away: ask
# the network itself.

# %%
late = {"the broken one": pruned_until(4 * 0.6)}
late["gradual"] = students["gradual"]
for name, network in late.items():
    print(f"{name}: accuracy ≈ {measuring.accuracy(network, *test):.2%}")
    sparsity = masking.sparsity_of(pruning.prunable_kernels(network))
    checking.claim(f"{name}: 98 % are zero", sparsity, within=(0.979, 0.981))

# %% [markdown]
# The broken one kept a fifth of its weights, ten times as many as asked; its
# accuracy belongs to another sparsity. (That line fails on purpose.) Count the
# zeros after training, not only before.
#
# ## Recap
#
# In this notebook, we saw:
#
# - rounds that leave exactly (1 − *f*)<sup>*n*</sup> of the weights, for a
#   fraction *f* and *n* rounds: 26 % after six of 20 %;
# - at equal training, rounds that never beat pruning once, over six seeds;
# - gradual pruning that does, by 0.4 points with 5 % of the weights left and by
#   1.4 with 2 %; with 10 % we could show no gain;
# - what that gain needs: with 2 % left, 24 cuts instead of five along the same
#   cubic are worth 1.1 points.
#
# **In practice**: this is one small network and one length of training. In the
# second comparison the rounds share one falling learning rate, and have little
# of it left after their last cut; usually each round gets a full training with
# a rate of its own ([Renda et al., 2020](https://arxiv.org/abs/2003.02389)),
# which may pay if you can afford it. Choose a schedule by the accuracy on
# validation images, and compare it with pruning once at the same number of
# steps. The cubic is due to [Zhu and Gupta,
# 2017](https://arxiv.org/abs/1710.01878). [Han et al.,
# 2015](https://arxiv.org/abs/1506.02626) found that pruning and retraining in
# turns goes further than one cut; their rounds added training, and at equal
# training ours did not help.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: were the survivors lucky from the start?

# %% tags=["check"]
explorer.visit()
