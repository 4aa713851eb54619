# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Prune neurons
#
# > Does accuracy fall sooner when neurons go than when as many weights go?
#
# **You'll do**: delete whole neurons of a trained network, compare the damage
# with that of deleting single weights until as many are left, and find out what
# the difference is made of.
#
# **You'll need**: notebook 2's masks. Twenty minutes; the cells themselves run
# for less than two.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, compacting, datasets, masking, measuring,
                     plotting, pruning, sliders, studying, training)

SPARSITIES = (0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

# %% [markdown]
# ## Prune one neuron by hand
#
# A neuron of a Dense layer, a **unit**, is one *column* of the kernel: the
# weights that lead to it from all inputs. We rank units by the length (L2 norm)
# of their columns. *Which of these four units goes first? Is it the one with
# the weight closest to zero?*

# %%
toy = np.array([[3, 1.2, 0.2, -1.6], [4, -2, 5, 0.4], [-0.5, 2, -0.3, 0.5]])
np.sqrt((toy**2).sum(axis=0)).round(2)

# %% [markdown]
# The last unit goes first, although the third one holds the weight closest to
# zero. From here on `masking.unit_scores` computes these norms, and a mask has
# one entry per unit instead of one per weight. Here is a small network with
# that kernel, after deleting half of its weights, and after deleting half of
# its units.

# %%
output = np.array([[2, -1], [1, 3], [-2, 1], [4, -3]])
half = masking.layerwise_masks(masking.magnitude_scores({"hidden": toy}), 0.5)
keep = masking.unit_masks(masking.unit_scores({"hidden": toy}), 0.5)["hidden"]
alive = keep == 1
axes = plotting.networks({
    "whole": {"hidden": toy, "output": output},
    "half of the weights gone": {"hidden": toy * half["hidden"],
                                 "output": output},
    "half of the neurons gone": {"hidden": toy * keep, "output": output},
    "compacted": {"hidden": toy[:, alive], "output": output[alive]},
})

# %% [markdown]
# Both networks in the middle have six zeros (crosses). Single weights leave
# holes in the matrix; neurons leave empty columns, and so the matrix can be
# made smaller. **Compacting** drops those columns, and also the rows of the
# next kernel that would only multiply the silent units' zeros.
#
# A column of zeros is only half of the job, though. *What does the last unit
# put out when all its weights are zero but its bias is 0.7?*

# %%
inputs, bias = np.array([0.2, 0.9, 0.4]), np.array([0.1, 0.3, -0.2, 0.7])
np.maximum(inputs @ (toy * keep) + bias, 0).round(2)

# %% [markdown]
# It puts out 0.7 for every image: not a deleted neuron, but one that shouts all
# the time. So does the second one, at 0.3. `pruning.prune_units` zeroes the
# biases as well, and so does a mask with one entry per unit.
#
# ## Count what is left
#
# Now the trained network, 784-1000-1000-500-200-10. We delete half of the units
# of each hidden layer; the output layer keeps its ten. (Each weight is used in
# one multiplication for each image, so that the number of MACs is also the
# number of weights.)

# %% tags=["nbval-ignore-output"]
splits = {name: datasets.load(name) for name in datasets.NAMES}
models = {name: training.baseline(split) for name, split in splits.items()}
model = models["mnist"]
held_out = splits["mnist"].x_val, splits["mnist"].y_val

# %%
halved = pruning.prune_units(model, sparsity=0.5)
small = compacting.compact(halved)
checking.same_outputs("halved, compacted", halved, small, held_out[0])
sliders.Prediction("Half of the units are gone. What percentage of the "
                   "2,386,000 weights is left after compacting?",
                   100 * measuring.counts(small)["macs"] / 2_386_000)

# %% [markdown]
# Where half of a layer's inputs and half of its units are gone, a quarter of
# its weights is left: deleting a fraction *k* leaves (1 − *k*)² of them. Of all
# weights a third is left, because the first layer keeps all of its inputs and
# the last one its ten units.

# %%
smaller = {s: compacting.compact(pruning.prune_units(model, s))
           for s in SPARSITIES}
left = pd.Series({s: measuring.counts(m)["macs"] for s, m in smaller.items()})
table = pd.DataFrame({"weights left": left,
                      "weights left, %": (left / 23_860).round(1)})
table.rename(lambda s: f"{1 - s:.0%} of the units left")

# %% [markdown]
# One fifth of the units is one eleventh of the weights. That matters for our
# question: plot weights and units over one axis called "sparsity", and at 0.8
# you compare a network with one that has less than half as many weights.
#
# ## Compare with as many weights
#
# How much does the axis matter? First the comparison at equal *sparsity*. Six
# networks for each data set, which differ in the seed of their initial weights,
# were pruned in each way; `results/units.csv` holds their test accuracies
# (`make study` measures them again).

# %%
SHORT = {"weights, as many left": "weights, overall",
         "weights, as many left in each layer": "weights, by layer"}
seeds = studying.read("results/units.csv", sample=splits["mnist"].is_sample)
seeds = seeds.query("sparsity < 0.96").replace({"method": SHORT})
at_80 = seeds.query("data == 'mnist' and sparsity == 0.8")
means = at_80.groupby("method")["accuracy"].mean()
sliders.Prediction("Delete 80 % of the weights, or 80 % of the units: how many "
                   "points of accuracy on digits lie between, on average?",
                   100 * (means["weights, same sparsity"] - means["units"]),
                   unit="points")

# %% [markdown]
# Now the same question with *as many weights left*. We keep the **units** with
# the largest norms, or one of three alternatives:
#
# - **weights, overall**: the largest weights, the same share of every layer, so
#   that the whole network has as many as with units;
# - **weights, by layer**: the largest weights, as many *in each hidden layer*
#   as with units. Where a fifth of the units stays, that is a fifth of the
#   first layer and a twenty-fifth of the next ones; "overall" keeps an eleventh
#   of each;
# - **random units**: units that a draw keeps, the random baseline.

# %%
gone = dict(1 - left / 2_386_000)  # of the weights, by sparsity of units
kept = {s: pruning.prunable_kernels(m) for s, m in smaller.items()}
METHODS = {
    "weights, overall": lambda kernels, s: masking.layerwise_masks(
        masking.magnitude_scores(kernels), (2_386_000 - left[s]) / 2_384_000),
    "weights, by layer": lambda kernels, s: masking.layerwise_masks(
        masking.magnitude_scores(kernels),
        {name: 1 - kept[s][name].size / kernel.size
         for name, kernel in kernels.items()}),
    "units": lambda kernels, s: masking.unit_masks(
        masking.unit_scores(kernels), s),
    "random units": lambda kernels, s: masking.unit_masks(
        masking.random_scores(masking.unit_scores(kernels), seed=0), s),
}

# %% tags=["nbval-ignore-output"]
kernels = {name: pruning.prunable_kernels(m) for name, m in models.items()}


def pruned_to(data, method, sparsity, biases=True):
    """A pruned network; its biases may be taken away as well."""
    masks = METHODS[method](kernels[data], sparsity)
    network = pruning.masked(models[data], masks)
    for layer in network.layers:
        layer.bias.assign(layer.bias * biases)
    return network


live = studying.sweep(pruned_to, splits, method=METHODS, sparsity=SPARSITIES)

# %% tags=["nbval-ignore-output"]
fair = seeds[seeds["method"].isin(METHODS)].replace({"sparsity": gone})
axes = plotting.runs(fair, live.rename(index=gone, level="sparsity"))
cliff = fair.query("method != 'random units' and 0.6 < sparsity < 0.97")

# %% tags=["check"]
checking.claim("this run lies where the other seeds do, at 80 % of its points",
               100 * studying.inside(live, seeds), above=80)

# %% [markdown]
# The thick lines are this run, the thin ones five other seeds. Random units
# fall first, so a small norm is a good sign that a unit can go. The other three
# stay within a point of each other, on average, until a third of the weights is
# left, and then they part. All of them start from the same trained network of
# each seed, so we compare within seeds: by how many points is either choice of
# weights *ahead* of the units?

# %% tags=["nbval-ignore-output"]
compared = "points", "method", "units", ["data", "sparsity"]
gaps = studying.gaps(cliff, *compared)
axes = plotting.differences(gaps, "points", hue="method", col="data")
axes["mnist"].set_ylabel("ahead of units, points")
found = studying.paired(cliff, *compared).drop(columns=["p", "seeds"])
found.rename(lambda s: f"{1 - s:.1%} left", level="sparsity").round(3)

# %% [markdown]
# Small dots are seeds, large dots their means, with 95 % intervals. Among
# twenty tests chance alone often puts one p value below 0.05, so `p_holm`
# corrects those of the paired t tests for all twenty (Holm's method); the
# intervals are not corrected. Four of the twenty stay below 0.05: on digits,
# weights are ahead by 5.0 points with 15.9 % of them left, and by 5.2 points if
# they are chosen by layer; with 9.3 % left, weights overall are ahead by 14.6
# points on digits and 21.0 on clothes. So yes, accuracy falls sooner when
# neurons go, against weights chosen overall. But on digits the 14.6 points are
# fewer than the 21.7 at equal sparsity. And where each layer has to keep as
# many weights as the units leave it, the lead at 9.3 % is 4.9 points on digits
# and 5.8 on clothes, which these tests cannot tell from none. With 4.0 % left,
# no difference in either direction survives the correction.
#
# ## Find out why
#
# Below is a corner of the second kernel, 40 inputs by 40 units: whole, with the
# weights that the two choices of weights keep, and with 20 % of the units left.
# A row is empty where the unit of `hidden_1` that it starts from has no weight
# left.

# %% tags=["nbval-ignore-output"]
SHOWN = ["weights, overall", "weights, by layer", "units"]
corners = {"whole": kernels["mnist"]["hidden_2"]}
for method in SHOWN:
    alive = pruning.prunable_kernels(pruned_to("mnist", method, 0.8))
    comes_from = alive["hidden_1"].any(axis=0)
    corners[method] = alive["hidden_2"] * comes_from[:, None]
    share = (np.linalg.norm(corners[method])
             / np.linalg.norm(corners["whole"])) ** 2
    print(f"{method}: {np.count_nonzero(corners[method]):,} weights, "
          f"{share:.0%} of the sum of squares")
axes = plotting.maps({k: v[:40, :40] for k, v in corners.items()}, "weight")

# %% [markdown]
# Units keep all weights where a row and a column that stay cross, pale ones
# along with strong ones. They keep 7 % of the kernel's sum of squares, where as
# many weights, freely chosen, keep 23 %. ("Weights, overall" may keep more than
# twice as many in this layer, because it keeps fewer in the first.)
#
# How does such a loss travel through the network? We send the validation images
# through the whole network and through the pruned ones, and measure two things
# after each layer: the **strength** (the norm of all its outputs) that is left,
# and the **relative error**: we rescale these outputs by the one number that
# fits best, subtract them from the whole network's, and take the norm of the
# difference.

# %% tags=["nbval-ignore-output"]
networks = {"whole": model, **{m: pruned_to("mnist", m, 0.8) for m in SHOWN}}
outputs = {name: keras.Model(n.inputs, [layer.output for layer in n.layers])
           .predict(held_out[0], verbose=0)
           for name, n in networks.items()}
rows = []
for method in SHOWN:
    for layer, a, b in zip(model.layers, outputs["whole"], outputs[method],
                           strict=True):
        error = a - b * np.vdot(a, b) / np.vdot(b, b)  # b, rescaled to fit best
        norms = np.array([np.linalg.norm(b), np.linalg.norm(error)])
        rows.append((method, layer.name, *(100 * norms / np.linalg.norm(a))))

# %% tags=["nbval-ignore-output"]
columns = ["method", "layer", "strength left, %", "error once rescaled, %"]
table = pd.DataFrame(rows, columns=columns)
axes = plt.subplots(1, 2, figsize=(8.5, 3.3))[1]
for ax, y in zip(axes, columns[2:], strict=True):
    sns.lineplot(table, x="layer", y=y, hue="method", style="method", ax=ax,
                 markers=True, dashes=False, legend=y == columns[2])

# %% [markdown]
# Everything fades. Each pruned layer weakens the signal further, and a few
# percent of the strength of the ten outputs is left, however we prune. That
# alone does no harm: if all ten shrink alike, the largest is still the largest.
# The real damage is the error on the right. After every layer it is largest for
# units; and it does not pile up on its way, but peaks in the first two layers.
#
# This fits the curves: where the error is larger, accuracy is lower. It does
# not explain the other end of the curves, where in this run weights fall below
# units. For that, remember the unit that shouts all the time: when the signals
# of a network fade, its *biases* do not.

# %%
by_layer = pruned_to("fashion_mnist", "weights, by layer", 0.8, biases=False)
test = splits["fashion_mnist"].x_test, splits["fashion_mnist"].y_test
before = 100 * live["fashion_mnist", "weights, by layer", 0.8]
sliders.Prediction("Clothes, weights by layer, 9 % left: accuracy is "
                   f"≈ {before:.0f} %. What is it without any bias?",
                   100 * measuring.accuracy(by_layer, *test))

# %% tags=["nbval-ignore-output"]
bare = studying.sweep(
    lambda data, method, sparsity: pruned_to(data, method, sparsity, False),
    splits, method=SHOWN, sparsity=(0, 0.5, 0.7, 0.8, 0.9))
both = pd.DataFrame({"without": bare, "with": live.reindex(bare.index)})
lines = (100 * both).stack().rename_axis([*bare.index.names, "biases"])
lines = lines.rename("test accuracy, %").rename(index=gone, level="sparsity")
axes = plt.subplots(1, 2, figsize=(8.5, 3.3), sharey=True)[1]
for ax, data in zip(axes, splits, strict=True):
    sns.lineplot(lines[data].reset_index(), x="sparsity", y=lines.name, ax=ax,
                 hue="method", style="biases", legend=data == "mnist")
    plotting.show_what_is_left(ax)
    ax.set_title(plotting.TITLES[data])
(100 * both.query("sparsity in (0, 0.8, 0.9)").unstack()).round(1)

# %% [markdown]
# All this is in this run; 0.8 of the units gone is 9 % of the weights left, 0.9
# is 4 %. The whole network hardly needs its biases: without them it gets 98.7 %
# of the digits and 87.2 % of the clothes right, as many as before and 2.4
# points less. But with 4 % of the weights left overall, taking the biases away
# as well lifts digits from 19.8 to 80.2 %. The information was there all the
# time; the biases, still at full strength, drowned it. Deleted units take their
# biases with them, so that taking the rest away helps them less, and in two
# cases of four harms them. Without biases, either choice of weights beats
# units, by far, with 9 % left and with 4 %, on both data sets.
#
# ## Move it yourself
#
# The slider deletes units, or as many weights, and classifies all test images
# with what is left. Beside the curves is what one unit of `hidden_2` looks for,
# the one with the largest norm: the columns of the units that it reads, each
# times its weight, added up (biases and ReLU left aside). Red is where ink
# excites it, blue is where ink inhibits it, before and after pruning. *Which
# fades first, the strength of the pattern or its shape? And what becomes of it
# when units are drawn at random?*


# %%
def look(data, method, units_gone):
    """The masks, and what the strongest unit of hidden_2 looks for."""
    masks = METHODS[method](kernels[data], units_gone)
    first, second = kernels[data]["hidden_1"], kernels[data]["hidden_2"]
    unit = np.square(second).sum(axis=0).argmax()
    fields = [first @ second[:, unit],
              first * masks["hidden_1"] @ (second * masks["hidden_2"])[:, unit]]
    gap = np.full((28, 4), np.nan)
    return masks, np.hstack([fields[0].reshape(28, 28), gap,
                             fields[1].reshape(28, 28)])


named = live.rename_axis(["data", "method", "units_gone"])
explorer = sliders.explore(look, models, splits, named,
                           shown="one unit: whole | pruned")
explorer

# %% tags=["check"]
explorer.choices["method"].value, explorer.slider.value = "units", 0.8
print(f"{explorer.readings['units left']:,} units left")

# %% [markdown]
# You should have seen the pattern grow pale while its shape could still be
# recognized, with units and with weights alike. Random units are different: the
# draw may hit this very unit, and then the right half is blank. Ranked by norm,
# it is the last to go.
#
# ## Your turn
#
# **Exercise 1.** Which sparsity of units leaves a tenth of the network's
# 2,386,000 weights? (Anything from 9.5 to 10.5 % counts.)

# %%
answer = ...  # a sparsity
checking.answer(
    answer, lambda sparsity: measuring.counts(compacting.compact(
        pruning.prune_units(model, sparsity)))["macs"] / 2_386_000,
    within=(0.095, 0.105))

# %% tags=["solution"]
# Most weights lie between layers that both lose units: (1 - k)² is about 0.1
# at k = 0.68. The first layer keeps its 784 inputs, so more has to go: 0.8
# leaves 9.3 %, a little too few.
answer = 0.79
small = compacting.compact(pruning.prune_units(model, answer))
print(f"{answer}: {measuring.counts(small)['macs']:,} weights")
checking.answer(answer, lambda sparsity: measuring.counts(small)["macs"]
                / 2_386_000, within=(0.095, 0.105))

# %% [markdown]
# **Exercise 2.** Is the norm a good score at all? Make masks that delete the
# half of the units with the *largest* norms in every hidden layer. The check
# prints how many points of validation accuracy that costs, beyond what the
# smallest norms cost.

# %%
answer = ...  # a dict from the name of a layer to a 1-D mask
checking.answer(
    answer, lambda masks: 100 * (
        measuring.accuracy(halved, *held_out)
        - measuring.accuracy(pruning.masked(model, masks), *held_out)),
    above=10)

# %% tags=["solution"]
norms = masking.unit_scores(kernels["mnist"])
answer = masking.unit_masks({name: -n for name, n in norms.items()}, 0.5)
print({name: int(mask.sum()) for name, mask in answer.items()})
checking.answer(
    answer, lambda masks: 100 * (
        measuring.accuracy(halved, *held_out)
        - measuring.accuracy(pruning.masked(model, masks), *held_out)),
    above=10)

# %% [markdown]
# **Exercise 3.** `pruning.prune_units(model, 0.8, spare=["hidden_2"])` takes 80
# % of the units of every hidden layer but `hidden_2`. Sparing which layer
# brings back most accuracy for its weights? The check prints how many points of
# validation accuracy come back for every hundred thousand weights that stay.

# %%
answer = ...  # the name of a layer
checking.answer(answer, lambda name: 1e7 * (
    measuring.accuracy(spared := compacting.compact(
        pruning.prune_units(model, 0.8, [name])), *held_out)
    - measuring.accuracy(smaller[0.8], *held_out))
    / (measuring.counts(spared)["macs"] - left[0.8]), above=10)

# %% tags=["solution"]
for name in kernels["mnist"]:
    spared = compacting.compact(pruning.prune_units(model, 0.8, spare=[name]))
    weights = measuring.counts(spared)["macs"]
    print(f"{name}: {weights:,} weights,"
          f" accuracy ≈ {measuring.accuracy(spared, *held_out):.3f}")
answer = "hidden_4"  # it is small
checking.answer(answer, lambda name: 1e7 * (
    measuring.accuracy(spared := compacting.compact(
        pruning.prune_units(model, 0.8, [name])), *held_out)
    - measuring.accuracy(smaller[0.8], *held_out))
    / (measuring.counts(spared)["macs"] - left[0.8]), above=10)

# %% [markdown]
# ## What would fool you here
#
# Rows for columns. In Keras a kernel is (inputs, units), in PyTorch it is the
# transpose. Scores taken along the wrong axis rank the *inputs*, and for the
# square kernel of `hidden_2` no shape gives the mistake away. The check: no
# weight leads to a unit that is deleted. Here half of the units of `hidden_2`
# are meant to go.

# %%
for name, axis in {"the broken one": 1, "the right one": 0}.items():
    kernel = kernels["mnist"]["hidden_2"]
    norms = np.linalg.norm(kernel, axis=axis)
    mask = masking.unit_masks({"hidden_2": norms}, 0.5)["hidden_2"]
    zeroed = kernel * np.expand_dims(mask, axis)
    cut_off = np.count_nonzero(~zeroed.any(axis=0))
    print(f"{name}: {np.count_nonzero(zeroed == 0):,} zeros")
    checking.claim(f"{name}: no weight leads to 500 units", cut_off,
                   within=(499, 501))

# %% [markdown]
# Half of the weights are zero either way, so a count of zeros passes both. But
# zeroed rows delete no unit of `hidden_2`: they only cut all of its units off
# from 500 units of `hidden_1`. The line that fails is there on purpose.
#
# ## Recap
#
# In this notebook, we saw:
#
# - that a unit is a column *and* a bias, and both must go;
# - that deleting half of the units deletes two thirds of the weights: 33.2 %
#   are left, and 9.3 % when a fifth of the units stays;
# - that accuracy does fall sooner when neurons go: with 9.3 % of the weights
#   left, by 14.6 points on digits and 21.0 on clothes; by 4.9 and 5.8, with
#   intervals that include zero, when every layer keeps as many weights as the
#   units leave it;
# - why: whole columns keep pale weights along with strong ones (7 % of the sum
#   of squares in `hidden_2`, where as many free weights keep 23 %), so their
#   outputs are further from the whole network's; and signals fade while biases
#   do not: without them, clothes rise from 38.1 to 70.4 % (this run, weights by
#   layer, 9 % left).
#
# **In practice**: nothing was retrained here, and retraining changes the
# picture, as notebook 4 will show. A related effect, activations that vary less
# and less from layer to layer, is known as signal collapse; [Saikumar and
# Varghese, 2025](https://arxiv.org/abs/2502.15790) undo it in networks with
# batch normalization by measuring its statistics anew. Ours has none. The norm
# as a score became known with convolutions, where [Li et al.,
# 2017](https://arxiv.org/abs/1608.08710) rank filters by their L1 norm.
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: what does retraining with the zeros held bring back?

# %% tags=["check"]
explorer.visit()
