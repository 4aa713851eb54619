# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Retrain what was pruned
#
# > What does retraining with the zeros held bring back?
#
# **You'll do**: prune a network to 20 %, 5 % and 1 % of its weights, retrain it
# with its zeros held at zero, and compare it with a **dense** network, one with
# nothing pruned, that was trained for just as long.
#
# **You'll need**: notebooks 2 and 3, for masks and for deleted neurons. Half an
# hour; the cells themselves run for two minutes.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from sklearn.metrics import confusion_matrix

from helpers import (checking, compacting, datasets, fitting, masking,
                     measuring, networks, plotting, pruning, sliders,
                     studying, training)

# %% [markdown]
# ## Hold the zeros
#
# Pruning sets weights to zero. When training goes on, each optimizer step moves
# every weight that gets a gradient, pruned or not. Here is a layer of five
# inputs and four units, with random numbers for its weights and for the
# gradient: trained, half pruned, and after one step of gradient descent, first
# left free and then with the mask applied again.

# %%
random = np.random.default_rng(4)
kernel, gradient = random.normal(size=(2, 5, 4))
mask = np.abs(kernel) > np.median(np.abs(kernel))
stepped = kernel * mask - 0.3 * gradient
stages = {"trained": kernel, "half pruned": kernel * mask,
          "one step, free": stepped, "one step, held": stepped * mask}
axes = plotting.networks({name: {"kernel": k} for name, k in stages.items()})
masking.zero_counts(stages)

# %% [markdown]
# A single free step, and all ten zeros are gone. So the mask has to be applied
# again after every step. `pruning.prune_weights` makes it a Keras constraint on
# the kernel, which Keras calls after each step of any optimizer. Training a
# pruned network further is called **fine-tuning** or retraining; here, always
# with the zeros held.

# %% tags=["nbval-ignore-output"]
splits = {"mnist": datasets.load("mnist")}
models = {"mnist": training.baseline(splits["mnist"])}

# %% [markdown]
# Let us watch it on the real network. After every single step `RevivedWeights`
# counts the pruned weights that are not exactly zero.

# %%
split, model = splits["mnist"], models["mnist"]
pruned = pruning.prune_weights(model, sparsity=0.9)
watch = checking.RevivedWeights(pruning.masks_of(pruned))
_ = training.fine_tune(pruned, split, num_steps=30, callbacks=[watch])
print(f"{watch.steps} steps watched, {watch.worst} weights revived")

# %% [markdown]
# ## Retrain after pruning weights
#
# We prune the digit network layer by layer to three sparsities, and retrain
# each result for 500 steps of Adam, with a learning rate that starts as high as
# the first time and falls to zero. (The bundled sample gets a fifth of the
# steps.)

# %% tags=["nbval-ignore-output"]
kept, states, sparsities = {}, ["pruned", "retrained"], [0.8, 0.95, 0.99]


def network_at(data, kind, when, sparsity):
    """Pruned; then retrained, with its zeros held."""
    if kind == "weights":
        network, steps = pruning.prune_weights(models[data], sparsity), 500
    else:  # units, further below
        masked, steps = pruning.prune_units(models[data], sparsity), 1000
        network = compacting.compact(masked)
    if when == "retrained":
        network = training.fine_tune(
            network, splits[data], splits[data].steps(steps))
    network = pruning.copy_of(network)  # without its optimizer
    kept[kind, when, sparsity] = network
    return network

# %% tags=["nbval-ignore-output"]
live = studying.sweep(network_at, splits, kind=["weights"], when=states,
                      sparsity=sparsities)
100 * live.unstack("when")

# %% [markdown]
# That is one network, whose initial weights were drawn with **seed** 0. Other
# seeds give other numbers, so the same was done for six seeds, at more
# sparsities and for clothes as well (`make study` does it again). Commit to a
# number before you look.

# %%
study = studying.read("results/recovery.csv", sample=split.is_sample)
seeds = study.rename(columns={"before_accuracy": "pruned",
                              "accuracy": "retrained"})
seeds = seeds.melt(["seed", "data", "kind", "sparsity"], states, "when",
                   "accuracy")
means = 100 * seeds.groupby(["kind", "data", "sparsity", "when"])[
    "accuracy"].mean().unstack()
fallen, back = means.loc["weights", "mnist", 0.95]
sliders.Prediction(
    f"With 5 % of their weights left, the digit networks fall to "
    f"≈ {fallen:.0f} %. What accuracy do 500 steps bring back?", back)

# %% tags=["headline", "nbval-ignore-output"]
axes = plotting.runs(seeds.query("kind == 'weights'"), hue="when")

# %% [markdown]
# A thin line is one seed, a thick one, this time, their mean, and the axis
# shows what is *left*. (At 1 %, only digits were measured.) Blue is what
# pruning leaves of the accuracy, orange what 500 steps make of it. At 5 % of
# the weights digits come back from 37 % to 98.2 %. At 1 % the pruned digit
# networks only guess; retrained, they get 94.15 % right. The seeds fall to
# different depths and come back to the same height: their orange lines almost
# coincide.
#
# ## Compare with a control
#
# Is that all of it? More training alone might have helped. The **control** is
# the dense network, trained on for the same 500 steps on the same images in the
# same order.

# %% tags=["nbval-ignore-output"]
control = training.fine_tune(model, split, split.steps(500))
for name, network in {"untouched": model, "control": control,
                      "20 % left": kept["weights", "retrained", 0.8]}.items():
    accuracy = measuring.accuracy(network, split.x_test, split.y_test)
    print(f"{name}: {accuracy:.2%}")

# %% [markdown]
# In this run 500 more steps did the dense network no good, and the pruned one
# ended above it. But these are differences of a dozen images in one run. In the
# study every seed has its control, the run with nothing pruned, so we take the
# difference within each seed.

# %% tags=["nbval-ignore-output"]
compared = {"between": "sparsity", "baseline": 0, "by": ["kind", "data"]}
gaps = studying.gaps(study, "points", **compared)
near = gaps.query("kind == 'weights' and sparsity < 0.97")
axes = plotting.differences(near, "points", col="data")
axes["mnist"].set_ylabel("retrained minus control, points")
tests = studying.paired(study, "points", **compared)
tests = means.round(2).join(tests.drop(columns=["p", "seeds"]))
tests = tests.rename(columns={"mean": "minus control"})
tests.loc["weights"]

# %% [markdown]
# A small dot is a seed, a large one the mean of six, the bar its 95 % interval.
# (The figure ends at 5 %; the table goes on.) Below the dotted line, the pruned
# network ends behind its control. `p_holm` is the p value of a paired t test,
# corrected by Holm's method for twenty-two comparisons, these and those of the
# neurons below.
#
# Down to 20 % of the weights no loss against the control shows, and on digits
# down to 10 %. Then the loss is 0.26 points (0.18 to 0.35) at 5 % and 4.32 at 1
# %. On clothes it begins earlier, with 0.28 points (0.13 to 0.43) at 10 % and
# 1.18 at 5 %.
#
# One result looks odd. With 20 % of their weights the digit networks end
# *above* their control, by 0.17 points (0.06 to 0.26) on average. (It does not
# quite pass the correction.) Does pruning improve a network? Compare both with
# the network before any of this, untouched.

# %% tags=["nbval-ignore-output"]
names = {("pruned", 0): "untouched", ("retrained", 0): "control",
         ("retrained", 0.8): "20 % left, retrained"}
digits = seeds.query("kind == 'weights' and data == 'mnist'")
digits = digits.set_index(["when", "sparsity"]).loc[list(names)]
digits = digits.assign(network=digits.index.map(names))
100 * studying.paired(digits, "accuracy", between="network",
                      baseline="untouched")[["mean", "low", "high"]]

# %% [markdown]
# It does not. Their 500 steps took 0.18 points away from the dense networks;
# the pruned ones ended where the untouched ones are, give or take 0.08. A
# control tells what the same training does without pruning, and here that
# training did slight harm, probably because its learning rate starts high
# again.
#
# ## Look at the weights
#
# Pruning leaves a hole around zero in the histogram of the weights. *Will
# retraining fill it?*

# %%
stages = {"trained": model, "pruned to 20 %": kept["weights", "pruned", 0.8],
          "retrained": kept["weights", "retrained", 0.8]}
kernels = {name: pruning.prunable_kernels(network)["hidden_2"]
           for name, network in stages.items()}
_, axes = plt.subplots(1, 3, figsize=(9, 2.8), sharex=True, sharey=True)
for ax, (name, kernel) in zip(axes, kernels.items(), strict=True):
    ax.hist(kernel[kernel != 0], bins=np.linspace(-0.25, 0.25, 101))
    ax.set(title=name, xlabel="weight of hidden_2", yscale="log")
axes[0].set_ylabel("number of weights left")
masking.zero_counts(kernels)

# %% [markdown]
# Yes and no. The weights that were left have spread back into the hole, but few
# have come near its middle (mind the logarithmic axis). None of the 800,000
# zeros has moved: they are not among the weights drawn, and their count is the
# same before and after.
#
# ## Retrain after pruning neurons
#
# Now whole neurons go, the units with the smallest norm, and we retrain for
# 1,000 steps: small networks train faster, so we can afford twice as many. A
# deleted unit puts out 0 for every image, so that neither its weights nor those
# that read it get a gradient, and it stays dead. So it should make no
# difference whether we train the masked network, or the small one without those
# units. Thirty steps of each:

# %%
masked = pruning.prune_units(model, sparsity=0.8)
small = compacting.compact(masked)
pair = [training.fine_tune(m, split, num_steps=30) for m in (masked, small)]
checking.same_outputs("after 30 steps", *pair, split.x_val, tolerance=1e-3)

# %% [markdown]
# Both give the same outputs, to a thousandth, so we train the small one, which
# is much cheaper.

# %% tags=["nbval-ignore-output"]
live_units = studying.sweep(network_at, splits, kind=["units"], when=states,
                            sparsity=sparsities)
axes = plotting.runs(seeds.query("kind == 'units'"), hue="when")
for ax in axes.values():
    ax.set_xlabel("units left in each hidden layer")

# %% tags=["nbval-ignore-output"]
near = gaps.query("kind == 'units' and sparsity < 0.95")
axes = plotting.differences(near, "points", col="data")
axes["mnist"].set_ylabel("retrained minus control, points")
for ax in axes.values():
    ax.set_xlabel("units left in each hidden layer")
tests.loc["units"]

# %% tags=["check"]
share = studying.inside(pd.concat([live, live_units]), seeds)
checking.claim("these runs lie where other seeds do, at 80 % of their points",
               100 * share, above=80)

# %% [markdown]
# A network that has fallen far can come back nearly whole. With half of the
# units nothing is lost in the end. With 20 % of the units digits come back from
# 76.35 % to 98.38 % and clothes from 37.69 % to 89.00 %, which is 0.18 points
# (0.12 to 0.25) and 0.67 points (0.53 to 0.82) behind the control. Then the
# losses grow: 1.52 and 2.79 points at 10 %. At 1 %, where the four hidden
# layers keep ten, ten, five and two units, 1,000 steps reach 20.91 % on
# average, and the seeds end anywhere between guessing and nearly half right.
#
# (Do not compare these numbers with those of the weights: 20 % of the units are
# far fewer weights than 20 % of the weights, and they were trained for twice as
# long. Notebook 3 compares the two at equal size.)
#
# ## See what is forgotten, and what comes back
#
# An average hides which digits pay. *At 1 % of its weights, before it is
# retrained, the network gives every image the same answer. Which one?*

# %% tags=["nbval-ignore-output"]
confused = {
    place: confusion_matrix(
        split.y_test, measuring.predictions(network, split.x_test),
        normalize="true")
    for place, network in kept.items() if "weights" in place}
answers = confused["weights", "pruned", 0.99].sum(axis=0)
sliders.Prediction("Which digit does it always say?",
                   datasets.CLASSES["mnist"][answers.argmax()],
                   choices=datasets.CLASSES["mnist"])

# %% tags=["nbval-ignore-output"]
right = {f"{when}, {100 - 100 * sparsity:.0f} % left": 100 * np.diag(matrix)
         for (_, when, sparsity), matrix in confused.items()}
ax = sns.heatmap(pd.DataFrame(right).T, annot=True, fmt=".0f", vmin=0,
                 cbar_kws={"label": "accuracy of the digit, %"})
_ = ax.set(xlabel="digit")

# %% [markdown]
# It is the 8, in every one of the six seeds: their 9.74 % at 1 % of the weights
# is the share of 8s among the test images. What is left of the weights hardly
# tells one image from another, and the biases, which pruning spares, most
# likely decide. Retraining brings the digits back almost evenly; at 1 % of the
# weights 0, 1 and 6 are ahead of the rest.
#
# ## Move it yourself
#
# Beside the curves are this network's errors, as a **confusion matrix**: a row
# for each digit, a column for each answer, bright where many of the row's
# images get that answer. The right answers on the diagonal are left out, and
# the colours are scaled anew for each picture. *At 5 % of the weights, in which
# column do the errors stand? Press "retrained": are they still there? And at 1
# %, which digit is now most often taken for which?*

# %%
def look(data, when, sparsity):
    """The network itself, and how often it takes each digit for another."""
    place = "weights", when, sparsity
    return kept[place], confused[place] * (1 - np.eye(10))


explorer = sliders.explore(look, models, splits, live.droplevel("kind"),
                           shown="errors: digit (rows), answer (columns)")
explorer

# %% [markdown]
# You should have seen the column of the 8 swallow nearly all of the errors; a
# few go elsewhere, most of them to the 9. After retraining no column stands
# out. At 1 % of the weights the bright squares are pairs that people mix up,
# too, such as a 4 taken for a 9.
#
# ## Your turn
#
# **Exercise 1.** Is it the *time* or the *mask* that limits the recovery at 1 %
# of the weights? That network is `tight`. Retrain it for another
# `split.steps(500)`; the check shows how many points it gains on the validation
# images.

# %%
tight = kept["weights", "retrained", 0.99]
before = measuring.accuracy(tight, split.x_val, split.y_val)
answer = ...  # the accuracy on the validation images after 500 more steps
checking.answer(answer, lambda after: 100 * (after - before), above=0)

# %% tags=["solution"]
longer = training.fine_tune(tight, split, split.steps(500))
answer = measuring.accuracy(longer, split.x_val, split.y_val)
print(f"≈ {before:.2%} after 500 steps, ≈ {answer:.2%} after 1,000")
checking.answer(answer, lambda after: 100 * (after - before), above=0)

# %% [markdown]
# Time, at least: a second round of 500 steps gains more than another point.
# Whether the mask sets a limit as well, only longer training could tell.

# %% [markdown]
# **Exercise 2.** A saved network keeps its zeros but not the constraints that
# hold them, which are no part of its layers' configuration. Save `pruned` (90 %
# zeros), load it, call `pruning.hold_zeros` on it, and train it for ten steps
# of `SGD(0.05, momentum=0.9)`. Momentum is a hard test: it accumulates past
# gradients, including those of pruned weights, and pushes harder with every
# step. What happens without that call?

# %%
answer = ...  # the loaded network, trained, with all 2,145,600 zeros held
checking.answer(answer, lambda network: 2_145_600 - sum(masking.zero_counts(
    pruning.prunable_kernels(network)).values()), below=1)

# %% tags=["solution"]
import tempfile

from keras import models as keras_models, optimizers

with tempfile.TemporaryDirectory() as folder:
    pruned.save(f"{folder}/pruned.keras")
    free, answer = (keras_models.load_model(f"{folder}/pruned.keras")
                    for _ in range(2))
pruning.hold_zeros(answer)  # the zeros are the mask
for name, network in {"without": free, "with": answer}.items():
    sgd, loss = optimizers.SGD(0.05, momentum=0.9), fitting.loss_of(network)
    network.compile(sgd, loss)
    network.fit(split.x_train[:1280], split.y_train[:1280], 128, verbose=0)
    zeros = masking.zero_counts(pruning.prunable_kernels(network))
    print(f"{name} the call: ≈ {sum(zeros.values()):,} zeros")
checking.answer(answer, lambda network: 2_145_600 - sum(masking.zero_counts(
    pruning.prunable_kernels(network)).values()), below=1)

# %% [markdown]
# **Exercise 3.** A network was trained for only 100 steps. Pruned to 20 % of
# its weights and retrained for 400 steps, it is better than before. Was it the
# pruning? Train the control, and say how many points it ends above the pruned
# network on the validation images.

# %%
young = training.fine_tune(networks.mlp((300, 100)), split, split.steps(100))
sparse = training.fine_tune(pruning.prune_weights(young, sparsity=0.8), split,
                            split.steps(400))
answer = ...  # points
checking.answer(answer, above=0)

# %% tags=["solution"]
dense = training.fine_tune(young, split, split.steps(400))
found = {name: 100 * measuring.accuracy(network, split.x_val, split.y_val)
         for name, network in {"100 steps": young, "pruned, 400 more": sparse,
                               "control, 400 more": dense}.items()}
print(", ".join(f"{name} ≈ {value:.2f}" for name, value in found.items()))
answer = found["control, 400 more"] - found["pruned, 400 more"]
checking.answer(answer, above=0)

# %% [markdown]
# The improvement came from training; pruning took some of it away. So start
# from a network that has stopped improving, and compare with a control.
#
# ## What would fool you here
#
# Retraining without holding the zeros. *At 1 % of the weights, what will the
# recovered accuracy look like, and how sparse will the network be?*

# %%
free = training.fine_tune(kept["weights", "pruned", 0.99], split,
                          split.steps(500), hold_zeros=False)
for name, network in {"the broken one": free, "the right one": tight}.items():
    accuracy = measuring.accuracy(network, split.x_test, split.y_test)
    print(f"{name}: ≈ {accuracy:.2%} accuracy on test digits")
    zeros = masking.sparsity_of(pruning.prunable_kernels(network))
    checking.claim(f"{name}: 99 % of the weights are zero", 100 * zeros,
                   above=98.99)

# %% [markdown]
# The line that fails is there on purpose. It looks like a wonderful recovery by
# a network that is no longer sparse: only a third of its weights are zero.
# (Those are weights that no gradient ever reached, such as those of pixels that
# are always white.) Count the zeros *after* retraining.
#
# ## Recap
#
# In this notebook, we saw:
#
# - zeros that hold: none of the pruned weights moved in 30 watched steps, nor
#   with momentum after saving and loading;
# - what 500 steps bring back: with 5 % of their weights, digits go from 37.12 %
#   to 98.21 %, 0.26 points behind the control, and clothes from 27.98 % to
#   88.40 %, 1.18 points behind (means of six seeds);
# - the same for neurons, with 1,000 steps: with 20 % of the units digits end
#   0.18 points behind and clothes 0.67, and with 10 %, 1.52 and 2.79;
# - a gain that was none: 0.17 points above a control that had itself lost 0.18;
# - a network that at 1 % of its weights forgets everything but the 8, and
#   relearns the other digits almost evenly;
# - a "recovery" without held zeros, after which a third of the weights were
#   zero, where 99 % should have been.
#
# **In practice**: compare with a control that was trained for just as long, and
# count zeros at the end. [Han et al., 2015](https://arxiv.org/abs/1506.02626)
# retrained what pruning had left. How to retrain matters: [Renda et al.,
# 2020](https://arxiv.org/abs/2003.02389) find that going back to an earlier,
# higher learning rate beats a small fixed one; ours starts as high as the first
# training did. [Hooker et al., 2019](https://arxiv.org/abs/1911.05248) look at
# what pruned networks forget while their accuracy hardly changes. Keras
# documents its [constraints](https://keras.io/api/layers/constraints/).
# Alternating small cuts with retraining is said to go further than one cut;
# notebook 7 puts that to the test.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: when is a pruned network really smaller and faster?

# %% tags=["check"]
explorer.visit()
