# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 9. Repair without training
#
# > How much comes back without a single training step, and which layer should
# > pay?
#
# **You'll do**: prune a network until it fails, and bring it back by solving
# equations: no labels, no gradients, no training step. Then find out whether
# that beats retraining, and which layers had better lose the weights.
#
# **You'll need**: notebooks 2 and 4, and 25 minutes. The code runs for two
# minutes on two cores.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, datasets, masking, measuring, networks, plotting,
                     pruning, repairing, scoring, sliders, studying, timing,
                     training)

# %% [markdown]
# ## Let a neighbour take over
#
# Here are 500 tiny images of four pixels. The first two pixels are neighbours
# and nearly equal, and so are the last two. Three units take them in; then we
# prune the smaller half of their weights. *The last unit loses the 1 on its
# third pixel. What should become of the 3 on the fourth?*

# %%
ink = np.random.default_rng(0).random((500, 2))
x = ink[:, [0, 0, 1, 1]] + np.random.default_rng(1).normal(0, 0.05, (500, 4))
kernel = np.array([[3, -1, 0.5], [1, -2, -1.5], [-2, 1, 1], [1, 2.5, 3]])
mask = masking.layerwise_masks({"toy": np.abs(kernel)}, sparsity=0.5)["toy"]
pruned = np.where(mask, kernel, 0)
pruned

# %% [markdown]
# About 4: where two pixels are alike, one of them can speak for both. No
# training is needed to find that number. We know what each unit used to put
# out, `x @ kernel`, and look for the surviving weights that come closest to it.
# That is a **least squares** problem, and its solution is one line of NumPy for
# each unit. (`squares` holds the sums of all products of two pixels, `missing`
# those of each pixel and what the unit lacks.)

# %%
squares, repaired = x.T @ x, pruned.copy()
for unit in range(3):
    left = np.flatnonzero(pruned[:, unit])
    missing = x.T @ (x @ kernel - x @ pruned)[:, unit]
    repaired[left, unit] += np.linalg.solve(squares[np.ix_(left, left)],
                                            missing[left])
for name, weights in {"pruned": pruned, "repaired": repaired}.items():
    print(name, "is off by", np.abs(x @ kernel - x @ weights).mean().round(2))
repaired.round(1)

# %%
output = np.array([[2, -1], [1, 3], [-2, 1]])
axes = plotting.networks({
    title: {"hidden": weights, "output": output}
    for title, weights in {"whole": kernel, "pruned": pruned,
                           "repaired": repaired}.items()})

# %% [markdown]
# The zeros are where they were, and each survivor has grown into the gap beside
# it. `repairing.least_squares` does this to a real network, layer by layer:
# what each unit should put out comes from the whole network, what it takes in
# comes from the pruned one, *as repaired so far*. Biases are solved for as
# well. A small pull towards the old weights (a **ridge**) keeps the solution
# sane where inputs hardly differ, and a pixel that never varies keeps its
# weights.
#
# ## Repair a real network
#
# We take a small network, 784-300-100-10, which the literature calls
# LeNet-300-100, and leave it 5 % of its weights, the largest of both hidden
# layers together. For the repair we show it 5,000 training images, without
# their labels.

# %% tags=["nbval-ignore-output"]
splits = {name: datasets.load(name) for name in datasets.NAMES}
models = {k: training.baseline(s, widths=(300, 100)) for k, s in splits.items()}
split, model = splits["mnist"], models["mnist"]
test, images = (split.x_test, split.y_test), split.x_train[:5000]
pruned = pruning.prune_weights(model, sparsity=0.95, scope="global")
repaired = repairing.least_squares(model, pruned, images)

# %%
masks, same = pruning.masks_of(pruned), pruning.masks_of(repaired)
print("the same mask:", all((masks[k] == same[k]).all() for k in masks))
before, after = (measuring.accuracy(m, *test) for m in (pruned, repaired))
sliders.Prediction(f"Pruned, it classifies ≈ {100 * before:.0f} % of the test "
                   "images correctly. And repaired, without a training step?",
                   100 * after)

# %% [markdown]
# No zero has moved, and no label was used. What did the repair do? Each dot is
# one of the ten outputs for one of 300 test images: across, what the whole
# network says; upwards, what the pruned or the repaired one says.

# %% tags=["nbval-ignore-output"]
said = {name: np.ravel(m(split.x_test[:300])) for name, m in
        {"whole": model, "pruned": pruned, "repaired": repaired}.items()}
_, axes = plt.subplots(1, 2, figsize=(7, 3.3), sharex=True, sharey=True)
for ax, name in zip(axes, ("pruned", "repaired"), strict=True):
    ax.scatter(said["whole"], said[name], s=4, alpha=0.4)
    ax.axline((0, 0), slope=1, color="0.5", linestyle=":")
    ax.set(title=name, xlabel="whole network", ylabel="this network")
print(pd.DataFrame(said).corr()["whole"].round(3).to_dict())

# %% [markdown]
# The pruned network whispers: its outputs have shrunk, and they have lost their
# order. Repaired, they lie along the dotted line again, where both networks say
# the same.
#
# ## Compare with retraining
#
# Notebook 4 brought networks back by 500 steps of retraining with the zeros
# held. Does solving compare with that? And is it worth solving *first*, and
# retraining then? Six networks for each data set, which differ in their
# **seed** (initial weights and order of the images), went through all four
# stages; `make study` measures them again.

# %%
SHORT = {"pruned, retrained": "500 steps",
         "repaired, retrained": "repaired, then 500 steps"}
seeds = studying.read("results/repaired.csv").replace({"stage": SHORT})
digits = seeds.query("data == 'mnist' and network == 'small'")
axes = plotting.runs(digits.query("kind == 'weights' and sparsity > 0"),
                     hue="stage", aspect=1.3)

# %% [markdown]
# Thin lines are seeds, thick ones their means. The pruned networks fall off a
# cliff. The other three lines stay close together, so we need differences: how
# far ahead of 500 steps of retraining, from the same mask and seed, is the
# repair, and how far the repair that is followed by these 500 steps? Beside the
# small network on digits and on clothes stands the larger one of notebooks 1 to
# 5, 784-1000-1000-500-200-10, with three seeds and 5 % of its weights.

# %%
ahead = seeds.query("stage != 'pruned' and sparsity > 0")
by = ["kind", "network", "data", "sparsity"]
gaps, found = (f(ahead, "accuracy", "stage", "500 steps", by)
               for f in (studying.gaps, studying.paired))
gaps["panel"] = gaps["network"] + ", " + gaps["data"].map(plotting.TITLES)
axes = plotting.differences(gaps.query("kind == 'weights'"), hue="stage",
                            col="panel", height=2.9)
(100 * found[["mean", "low", "high"]]).assign(p_holm=found["p_holm"]).round(2)

# %% [markdown]
# Small dots are seeds, large ones their means, with 95 % intervals; zero is 500
# steps. (`p_holm` is each p value, corrected by **Holm's** method for all the
# tests in the table, because one in twenty would look significant by luck.)
#
# On digits with 5 % of the weights left, solving equations on 5,000 images
# without labels does as well as 500 steps, to within a quarter of a point
# either way. With 20 and 10 % left the means are 0.04 and 0.12 points behind,
# which these tests cannot tell from nothing; with 2 % left it *leads*, by 0.69
# points. And doing both is better than either where much is gone: nothing that
# we can show with 20 or 10 % left, 0.52 points at 5 %, 2.04 points at 2 %. The
# repair gives retraining a better place to start from. Clothes tell the same
# story: no difference that we can show without a step, and 0.91 and 2.30 points
# ahead with both. *Will the larger network gain as much?*

# %%
large = seeds.query("network == 'large'")
means = 100 * large.groupby("stage")["accuracy"].mean()
sliders.Prediction(f"The larger network is at {means['pruned']:.1f} % pruned, "
                   f"and at {means['500 steps']:.1f} % after 500 steps. And "
                   "repaired?", means["repaired"])

# %% [markdown]
# Almost all of it comes back, too, but here 500 steps are ahead in each of
# three seeds, by 0.42 points on average, and repairing first adds nothing to
# them. A larger network at the same fraction has more weights left, and
# training knows what to do with them.
#
# ## Delete whole units
#
# When whole units go, their column of the kernel is gone and stays so. The
# units beside them still take in what they did before, so only the *next* layer
# can make up for the loss. *Will that be enough?*

# %%
units = gaps.query("kind == 'units'")
ax = plotting.differences(units, hue="stage", aspect=1.4)[None]
_ = ax.set_xlabel("units left")

# %% [markdown]
# With half of the units left the repair is 0.16 points behind 500 steps, in the
# noise. With a fifth of them left it is 3.20 points behind: the few units that
# survive look for the same things as before, and no choice of weights behind
# them can change that. Training can. But it is worth repairing first: then 500
# steps end 0.86 points higher.
#
# What does it cost? We let both work on the small network in turns.

# %% tags=["nbval-ignore-output"]
calls = {"repair": lambda: repairing.least_squares(model, pruned, images),
         "300 steps": lambda: training.fine_tune(pruned, split, 300)}
turns = timing.time_in_turns(calls, repeats=5, warm_up=1, calls_per_turn=1)
(turns.median() / 1000).round(2)

# %% [markdown]
# In this run the repair took less time than 300 steps. Most of it goes into one
# matrix for each layer, the products of all pairs of its inputs, so it grows
# with the square of a layer's width.
#
# ## Decide which layer pays
#
# So far the 5 % were the largest weights of both layers together. How many each
# layer keeps is its **budget**, and there are other ways to set one:
#
# - **layerwise**: the same fraction of every layer;
# - **global**: one ranking over all layers, as above;
# - **ERK** (Erdős-Rényi-Kernel): in proportion to inputs + units, where the
#   number of weights is inputs × units, so that small layers keep more;
# - **LAMP**: one ranking again, but each weight's square is divided by the sum
#   of all squares in its layer that are not smaller.
#
# *What is LAMP's score for the weights 1, 2, 3 and 4 of one layer?*

# %%
squares = np.array([1, 2, 3, 4]) ** 2
(squares / squares[::-1].cumsum()[::-1]).round(2)

# %% [markdown]
# The largest weight of every layer gets 1, so that no layer can be emptied.

# %%
magnitudes = masking.magnitude_scores(pruning.prunable_kernels(model))
shares = masking.erk_sparsities(magnitudes, 0.95)
budgets = {"layerwise": masking.layerwise_masks(magnitudes, 0.95),
           "global": masking.global_masks(magnitudes, 0.95),
           "ERK": masking.layerwise_masks(magnitudes, shares),
           "LAMP": masking.global_masks(masking.lamp_scores(magnitudes), 0.95)}
kept = pd.DataFrame({name: {layer: int(mask.sum()) for layer, mask in m.items()}
                     for name, m in budgets.items()}).T
ax = kept[::-1].plot.barh(stacked=True, figsize=(6.5, 2.2),
                          xlabel="weights left")
ax.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
print(kept.loc[["layerwise", "ERK"]].T.to_dict(), kept.sum(axis=1).to_dict())

# %% [markdown]
# All four keep 13,260 weights. The same fraction of every layer leaves 1,500 of
# them to `hidden_2`, ERK leaves it 3,574, and the other two still more; what
# `hidden_2` gains, `hidden_1` loses.
#
# And within a layer, which weights? We know the **magnitude**. **Wanda**
# multiplies it by the strength of the input, the root of its mean square over
# the images, because a large weight on a dark pixel does nothing. **Taylor**
# multiplies it by the gradient of the loss: a guess, to first order, of what
# the loss does when the weight is gone. Below are the mean accuracies of six
# seeds on digits with 5 % of the weights left, for each score in each budget.
# *The best choice right after pruning: will it be the best after retraining,
# too?*

# %%
tests = studying.read("results/budgets.csv", ["stage", "budget", "score"])
tests = tests.replace({"stage": SHORT})
means = 100 * tests.query("data == 'mnist'").groupby(
    ["stage", "budget", "score"], sort=False)["accuracy"].mean()
_, axes = plt.subplots(1, 3, figsize=(10, 2.8), sharey=True)
for ax, stage in zip(axes, ("pruned", "repaired", "500 steps"), strict=True):
    sns.heatmap(means[stage].unstack(sort=False), annot=True, fmt=".1f", ax=ax,
                cbar=False, cmap="viridis")
    ax.set(title=stage, xlabel="", ylabel="")
axes[0].tick_params(axis="y", rotation=0)
for stage in ("pruned", "repaired", "500 steps"):
    best = means[stage].idxmax()
    print(f"{stage}: best is {', '.join(best)}, {means[stage][best]:.1f} %")

# %% [markdown]
# It will not. Right after pruning, Wanda in LAMP's budget is best, with 79.4 %,
# almost ten points above the best that magnitudes do. After the repair, and
# after 500 steps, magnitudes are ahead of Wanda in every budget, and best in
# ERK's, with 96.9 and 96.8 %. What counts then is no longer how much was lost,
# but how well the survivors can take over. The budget matters, too: the same
# fraction of every layer costs about half a point. Taylor is last at every
# stage. (We ran no tests here: read nothing into a tenth of a point.)
#
# ## Move it yourself
#
# The slider prunes the largest weights of both layers together and repairs
# what is left, or does not. Beside the curves is what one unit of `hidden_2`
# looks for, the one with the largest norm: the weighted sum of its inputs'
# patterns, in the whole network and in this one. *Down to how few weights does
# the repaired network stay above 90 % on digits, and does the repair restore
# the pattern, or only its strength?*

# %% tags=["nbval-ignore-output"]
made = {}


def network(data, method, sparsity):
    """Pruned, and repaired or not."""
    net = pruning.prune_weights(models[data], sparsity, "global")
    if method == "repaired":
        some = splits[data].x_train[:5000]
        net = repairing.least_squares(models[data], net, some)
    made[data, method, sparsity] = net
    return net


live = studying.sweep(network, splits, method=["pruned", "repaired"],
                      sparsity=(0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99))


# %%
def look(data, method, sparsity):
    """The network, and what its strongest unit of hidden_2 looks for."""
    whole, now = (pruning.prunable_kernels(m)
                  for m in (models[data], made[data, method, sparsity]))
    unit = np.linalg.norm(whole["hidden_2"], axis=0).argmax()
    fields = [(k["hidden_1"] @ k["hidden_2"][:, unit]).reshape(28, 28)
              for k in (whole, now)]
    gap = np.full((28, 4), np.nan)
    return made[data, method, sparsity], np.hstack([fields[0], gap, fields[1]])


explorer = sliders.explore(look, models, splits, live,
                           shown="one unit: whole | this network")
explorer

# %% tags=["check"]
explorer.choices["method"].value, explorer.slider.value = "repaired", 0.95
explorer.readings["weights left"]

# %% [markdown]
# You should have seen the repaired network stay above 90 % down to the last
# position on digits, 1 % of the weights. And the repair restores the strength
# of the pattern, where pruning had made it pale; its outline comes out coarser
# the fewer pixels are left to draw it with.
#
# ## Your turn
#
# **Exercise 1.** How few images are enough? With which of 250, 500, 1000 and
# 2000 images does the repair first come within half a point of what 5,000
# bring, on the validation images?

# %% tags=["nbval-ignore-output"]
answer = ...  # a number of images
right = {n: measuring.accuracy(repairing.least_squares(
    model, pruned, images[:n]), split.x_val, split.y_val)
    for n in (250, 500, 1000, 2000, 5000)}
enough = min(n for n in right if right[n] > right[5000] - 0.005)
checking.answer(answer, lambda n: abs(n - enough), below=1)

# %% tags=["solution", "nbval-ignore-output"]
answer = enough
print({n: f"{100 * accuracy:.1f} %" for n, accuracy in right.items()})
checking.answer(answer, lambda n: abs(n - enough), below=1)

# %% [markdown]
# **Exercise 2.** Nobody said that the images must be digits. What is the test
# accuracy on digits if the network is repaired with 5,000 images of *clothes*?
# Guess, to within 10 points.

# %% tags=["nbval-ignore-output"]
answer = ...  # in percent
clothes = splits["fashion_mnist"].x_train[:5000]
strange = repairing.least_squares(model, pruned, clothes)
checking.answer(answer, lambda guess: abs(
    guess - 100 * measuring.accuracy(strange, *test)), below=10)

# %% tags=["solution", "nbval-ignore-output"]
answer = 100 * measuring.accuracy(strange, *test)
print(f"{answer:.1f} %")
checking.answer(answer, lambda guess: abs(
    guess - 100 * measuring.accuracy(strange, *test)), below=10)

# %% [markdown]
# ## What would fool you here
#
# A budget can cut a network in two, and the sparsity is still exactly what was
# asked for. Here is a network with a narrow layer of 10 units, pruned *before*
# training: by the same fraction of every layer, by ERK, and by the Taylor score
# of untrained weights, which is known as **SNIP**. Each trains for 500 steps.

# %%
narrow = networks.mlp((300, 10, 100))
scores = masking.magnitude_scores(pruning.prunable_kernels(narrow))
snip = scoring.taylor_scores(narrow, images[:1000], split.y_train[:1000])
choices = {
    "broken, layerwise": masking.layerwise_masks(scores, 0.99),
    "ERK": masking.layerwise_masks(
        scores, masking.erk_sparsities(scores, 0.99)),
    "SNIP": masking.global_masks(snip, 0.99)}
for name, masks in choices.items():
    tuned = training.fine_tune(pruning.masked(narrow, masks), split, 500)
    checking.claim(f"{name}: better than 50 %",
                   measuring.accuracy(tuned, *test), above=0.5)

# %%
masks = choices["broken, layerwise"]
print({layer: int(mask.sum()) for layer, mask in masks.items()})
try:
    masking.global_masks(scores, sparsity=0.995)
except ValueError as error:
    print(error)

# %% [markdown]
# One weight in a hundred, in every layer: that sounds fair. But it leaves 30
# weights to `hidden_2` and 10 to `hidden_3`, hardly any path leads through the
# narrow part, and the network learns nothing (the line that fails is there on
# purpose). This is **layer collapse**. ERK and SNIP keep as many weights, and
# learn. A global ranking by magnitude collapses at the other end: in the wide
# first layer weights start smallest, so at 0.995 none would be left there, and
# `masking` refuses. Nobody warns you of the step before that one, so look at
# what each layer keeps.
#
# ## Recap
#
# In this notebook, we saw:
#
# - a pruned network repaired by least squares, layer by layer, without labels
#   and without a training step: on digits with 5 % of the weights, from ≈ 66 to
#   ≈ 96.6 % (this run);
# - over six seeds of a small network, it does as well as 500 steps of
#   retraining with 5 % of the weights left, and leads by 0.69 points with 2 %
#   on digits; on a larger network 500 steps stay ahead, by 0.42 points in three
#   seeds;
# - in the small network, repairing *before* retraining gains 0.52 points at 5 %
#   and 2.04 at 2 % on digits, 0.91 and 2.30 on clothes;
# - where four fifths of the units are gone it is no substitute: 3.20 points
#   behind 500 steps;
# - the best score right after pruning (Wanda, 79.4 %) is not the best once the
#   network has been repaired or retrained; the budget matters, too;
# - a layer that collapses while the sparsity is exactly as asked.
#
# **In practice**: where the line between solving and training runs depends on
# the network, so measure both; where nobody has labels, or the training code,
# only solving is left. Images have to be like those that the network will meet
# (exercise 2), and several times as many as a unit has weights (exercise 1).
# The idea is as old as the Optimal Brain Surgeon (Hassibi and Stork, 1993), and
# it prunes today's language models, which hardly anybody can retrain
# ([SparseGPT, 2023](https://arxiv.org/abs/2301.00774);
# [Wanda, 2024](https://arxiv.org/abs/2306.11695)). Budgets come from
# [LAMP, 2021](https://arxiv.org/abs/2010.07611) and
# [ERK, 2020](https://arxiv.org/abs/1911.11134).
# [Tanaka et al., 2020](https://arxiv.org/abs/2006.05467) explain layer
# collapse, and how their SynFlow avoids it. Terms in bold are in the
# [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: does all this carry over to convolution filters?

# %% tags=["check"]
explorer.visit()
