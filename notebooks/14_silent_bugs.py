# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 14. Catch silent bugs
#
# > Which mistakes draw a nice plot and raise no error?
#
# **You'll do**: walk through a museum of twenty-three mistakes that people make
# when they prune networks. Each of them runs without an error and gives a
# number that looks fine. You guess what is wrong; then a **detector** tells, a
# function of a few lines that you can call on your own network, training or
# file.
#
# **You'll need**: notebooks 2 to 5, 8 and 13. Thirty minutes; the cells
# themselves run for one.

# %%
import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from helpers import (checking, compacting, datasets, deploying, fitting,
                     masking, measuring, networks, plotting, pruning,
                     scheduling, sliders, studying, timing, training)

# %% [markdown]
# ## Meet a silent bug
#
# Here is a small network, the same network after half of its weights have been
# pruned, and what is left of that when somebody adds one more line:
# `set_weights`, which gives a network back all the weights that it had before.
# *Which of the three will be measured?*

# %%
hidden = np.array([[3, 1.2, 0.2, -1.6], [4, -2, 5, 0.4], [-0.5, 2, -0.3, 0.5]])
whole = {"hidden": hidden, "output": np.array([[2], [1], [-2], [4]])}
half = masking.layerwise_masks(masking.magnitude_scores(whole), 0.5)
gone = {name: whole[name] * half[name] for name in whole}
axes = plotting.networks({"whole": whole, "half of the weights gone": gone,
                          "one line later": whole})

# %% [markdown]
# The last one. It is dense again, and so it is as accurate as the first; the
# plot will say that half of the weights are not needed, and nothing complains.
#
# The museum has five rooms of such exhibits. All of these mistakes have been
# met in code that people published, and most of us have made a few of them. In
# each room you see first what is *claimed*, then the *code*, then the *plot*.
# Take your time with the code, because the mistake is in it, mostly in one
# line. After that the detectors speak: for each exhibit, FAIL for the broken
# version and PASS for the right one.
#
# All exhibits are made of a small network, 784-128-64-10, trained on digits.

# %% tags=["nbval-ignore-output"]
split = datasets.load("mnist")
run = training.baseline_run(split, widths=(128, 64))
model, steps = run.model, split.steps(400)
test, held_out = (split.x_test, split.y_test), (split.x_val, split.y_val)
print(f"{measuring.accuracy(model, *test):.1%} of the test digits are right")

# %% [markdown]
# ## Room 1: zeros that are not there
#
# Six networks are said to have lost 90 % of their prunable weights, the fifth
# even 95 %:
#
# 1. a lottery ticket (notebook 8): pruned, given its first weights back, and
#    trained again;
# 2. another ticket, whose first weights had been put aside in `kept`;
# 3. the pruned network, retrained;
# 4. the same, with the mask applied before every step;
# 5. a network that was pruned gradually while it trained, taken from its best
#    epoch;
# 6. a copy of a pruned network that scales its own inputs.


# %%
def masked_every(number, network):
    """A callback that masks the network before one step in `number`."""
    return keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda step, logs: step % number or [
            layer.kernel.assign(layer.kernel * masks[layer.name])
            for layer in network.layers])


kept, pruned = pruning.copy_of(model), pruning.prune_weights(model, 0.9)
masks = pruning.masks_of(pruned)
tickets = {n: pruning.copy_of(pruned) for n in (1, 2)}
tickets[1].set_weights(run.initial.get_weights())
training.rewind(tickets[2], to=kept)
shown = {n: training.fine_tune(t, split, steps) for n, t in tickets.items()}
shown |= {n: pruning.copy_of(pruned) for n in (3, 4)}
fitting.fit(shown[3], split, steps)
_ = fitting.fit(shown[4], split, steps, callbacks=[masked_every(1, shown[4])])

# %%
epochs, shown[5] = [], pruning.copy_of(model)
keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs:
    epochs.append((logs["val_accuracy"], shown[5].get_weights())))
gradual = scheduling.gradual(0.95, begin_step=0, end_step=steps * 3 // 4)
fitting.fit(shown[5], split, steps, epochs=8, validation_data=held_out,
            callbacks=[scheduling.PruneOnSchedule(gradual, 10), keep])
shown[5].set_weights(max(epochs, key=lambda seen: seen[0])[1])
scale = keras.layers.Normalization(axis=None)
scale.adapt(split.x_train)
layers = [keras.Input((784,)), scale, *pruning.copy_of(pruned).layers]
scaled = training.fine_tune(keras.Sequential(layers), split, steps)
shown[6] = keras.models.clone_model(scaled)
shown[6].set_weights(scaled.get_weights())

# %% [markdown]
# Six respectable networks, for so few weights. *What is wrong with each of
# them?*

# %%
said = {("test accuracy, %", n): 100 * measuring.accuracy(network, *test)
        for n, network in shown.items()}
axes = plotting.claims(said)
sliders.Prediction("How many of the six have the zeros that they claim?", sum(
    masking.sparsity_of(pruning.prunable_kernels(network)) > 0.89
    for network in shown.values()), choices=range(7))

# %% [markdown]
# Now the detectors. `as_many_as_asked` counts zeros. `rewound` compares what is
# left of a ticket with the weights that it should have started from, bit for
# bit. `same_outputs` calls a network and its copy. And `RevivedWeights` goes
# into the training itself, and looks at the pruned weights after each step.

# %%
ticket, later = pruning.copy_of(pruned), pruning.copy_of(shown[5])
training.rewind(ticket, to=run.initial)
watch = checking.RevivedWeights(masks)
held = training.fine_tune(pruned, split, steps, callbacks=[watch])
later.set_weights(max(epochs[6:], key=lambda seen: seen[0])[1])
for n, network in {1: ticket, 3: held, 4: held, 5: later}.items():
    share = 0.95 if n == 5 else 0.9
    checking.as_many_as_asked(f"{n}, broken", shown[n], share)
    checking.as_many_as_asked(f"{n}, right", network, share)
first = networks.mlp((128, 64))  # made once more, from the same seed
checking.rewound("2, broken", tickets[2], to=first)
checking.rewound("2, right", ticket, to=first)
checking.same_outputs("6, broken", scaled, shown[6], split.x_val)
checking.same_outputs("6, right", scaled, pruning.copy_of(scaled), split.x_val)
print(watch.worst, "weights came back while it trained")

# %% [markdown]
# Every line that fails is there on purpose, and so it is in the other rooms.
#
# - **1.** `set_weights` gave back *all* first weights, those of the pruned
#   ones, too. `training.rewind` leaves the zeros alone and holds them.
# - **2.** `kept` was copied *after* the training. This ticket did not start
#   from the beginning, and so of course it wins. Keep the copy before you
#   train.
# - **3.** A copy carries zeros, but nothing that holds them, and `fit` fills
#   them. `training.fine_tune` holds them; not one came back.
# - **4.** The mask came before each step, and nothing came after the last one,
#   which filled nearly all of the places again: 18.7 % are zero.
# - **5.** The best epoch was the first, when the schedule had hardly begun:
#   only 40 % were gone. Choose among the epochs after its end.
# - **6.** It has all the zeros, and other outputs. A `Normalization` layer
#   computes with numbers that it derives from its weights when it adapts, and
#   `set_weights` did not derive them again. `pruning.copy_of` takes over that
#   state as well.
#
# ## Room 2: masks that mean something else
#
# This room is about masks and counts, without any retraining. The claims:
#
# 7. 90 % of the weights are pruned, and this is how many are left;
# 8. a twentieth of the weights is gone;
# 9. a tenth of the units of each layer is gone;
# 10. a tenth of the units, once more;
# 11. half of the weights are gone, by scores that were rounded to save memory;
# 12. the smallest 0.5 % of each layer's weights are gone.

# %%
kernels = pruning.prunable_kernels(model)
sizes = masking.magnitude_scores(kernels)
left = sum(k.size for k in pruning.prunable_kernels(pruned).values())
cuts = {8: masking.threshold_masks(sizes, 0.05)}
norms = {name: np.linalg.norm(k, axis=1) for name, k in kernels.items()}
cuts[9] = {name: np.broadcast_to((norm > np.quantile(norm, 0.1))[:, None],
                                 kernels[name].shape)
           for name, norm in norms.items()}
units = masking.unit_masks(masking.unit_scores(kernels), 0.1)
cuts[10] = {n: np.broadcast_to(units[n], kernels[n].shape) for n in units}
rounded = {name: np.round(20 * size) for name, size in sizes.items()}
cuts[11] = {n: s >= np.quantile(s, 0.5) for n, s in rounded.items()}
cuts[12] = {n: k >= np.quantile(k, 0.005) for n, k in kernels.items()}
cut = {n: pruning.masked(model, choice) for n, choice in cuts.items()}

# %% [markdown]
# *Which of these masks are not what they seem?*

# %%
said = {("7: weights left", "pruned"): left} | {
    ("8 to 12: accuracy, %", n): 100 * measuring.accuracy(m, *test)
    for n, m in cut.items()}
axes = plotting.claims(said)
sliders.Prediction("Exhibit 8: what percentage of the weights is gone?",
                   100 * masking.sparsity_of(cuts[8]))

# %% [markdown]
# `confirmed` wants the same number from a second way to it. `smallest_went`
# compares the weights that went with those that stayed.

# %%
counted = measuring.left_in(pruned)["weights left"]
alive = sum(map(np.count_nonzero, pruning.prunable_kernels(pruned).values()))
checking.confirmed("7, broken", left, counted)
checking.confirmed("7, right", alive, counted)
asked = {8: (0.05, "weights"), 9: (0.1, "units"), 10: (0.1, "units"),
         11: (0.5, "weights")}
right = {8: pruning.prune_weights(model, 0.05)}
right[9] = right[10] = pruning.prune_units(model, 0.1)
right[11] = pruning.masked(model, masking.layerwise_masks(rounded, 0.5))
for n, what in asked.items():
    checking.as_many_as_asked(f"{n}, broken", cut[n], *what)
    checking.as_many_as_asked(f"{n}, right", right[n], *what)
checking.smallest_went("12, broken", cut[12], model)
checking.smallest_went("12, right", pruning.prune_weights(model, 0.005), model)

# %% [markdown]
# - **7.** `size` counts entries, and a zero is an entry, too: however much is
#   pruned, that number stays. Count what is not zero.
# - **8.** `threshold_masks` takes a size, not a share, and half of the weights
#   are smaller than 0.05. Take `layerwise_masks`.
# - **9.** With `axis=1` the norms are those of *rows*. They belong to the
#   inputs (notebook 3), and not a single unit is silent.
# - **10.** The masks are right, but they were laid over the kernels only. The
#   biases stay, and the units go on emitting them.
# - **11.** Many rounded scores are exactly at the quantile, and `>=` keeps all
#   of these: 27.9 % went instead of half. (With `>` it would be too many.)
#   `layerwise_masks` counts, whatever the ties.
# - **12.** There is no `abs`. The number of zeros is right, so that a count
#   would pass; but what went is furthest below zero, not nearest to it.
#
# ## Room 3: comparisons that are not fair
#
# Here all networks are as they should be. What is compared with what?
#
# 13. taking half of the weights does less harm than taking half of the units;
# 14. without half of its weights and retrained with five seeds, the best
#     network is as good as the whole one;
# 15. with half of its units gone, a network takes this long for 100 images;
# 16. an accuracy after pruning rounds of 30 % (notebook 7), plus or minus its
#     standard deviation;
# 17. the network without half of its weights, retrained, is as good as its
#     control.

# %%
halves = {"weights": pruning.prune_weights(model, 0.5),
          "units": pruning.prune_units(model, 0.5)}
rivals = [training.fine_tune(halves["weights"], split, steps, seed=seed)
          for seed in range(5)]
choose = {"broken": lambda split: np.argmax([
    measuring.accuracy(rival, split.x_test, split.y_test) for rival in rivals])}
small = compacting.compact(halves["units"])
calls = {name: timing.compiled(network, split.x_test[:100], "tf.function")
         for name, network in {"whole": model, "small": small}.items()}
once = timing.time_in_turns(calls, repeats=1, warm_up=0, calls_per_turn=1)
rounds = studying.read("results/rounds.csv", sample=split.is_sample)
ours = rounds.query("fraction == 0.3 and seed == 0")
control = training.fine_tune(model, split, steps // 4)

# %% [markdown]
# *Which of these comparisons would you believe?*

# %%
groups = {13: halves, 17: {"pruned": rivals[0], "control": control}}
groups[14] = {"whole": model, "best of 5": rivals[choose["broken"](split)]}
said = {(f"{n}: accuracy, %", name): 100 * measuring.accuracy(network, *test)
        for n, group in groups.items() for name, network in group.items()}
said |= {("15: milliseconds", name): once[name][0] for name in once}
said["16: spread, points", "±"] = 100 * ours["accuracy"].std()
axes = plotting.claims(dict(sorted(said.items())))
last = rounds.query("fraction == 0.3 and round == 6")
sliders.Prediction("Exhibit 16: what is the spread over the six seeds?",
                   100 * last["accuracy"].std(), ends=(0, 2), unit="points")

# %% [markdown]
# Five detectors. `as_many_left` counts weights after compacting.
# `blind_to_test` shuffles the labels of the test images, chooses again, and
# wants the same choice. `over_seeds` wants a row for each seed, and only one.
# `equally_trained` asks both optimizers for their number of steps. And a time,
# like any number, has to be `confirmed`, here by a second measurement, to a
# factor of five.

# %%
fewer = np.subtract(*(measuring.counts(m)["nonzeros"] for m in (model, small)))
equal = pruning.prune_weights(model, fewer / left)
checking.as_many_left("13, broken", halves["weights"], halves["units"])
checking.as_many_left("13, right", equal, halves["units"])
choose["right"] = lambda split: np.argmax([
    measuring.accuracy(rival, split.x_val, split.y_val) for rival in rivals])
for name, choice in choose.items():
    checking.blind_to_test(f"14, {name}", choice, split)
warm = [timing.time_in_turns(calls).median()["small"] for _ in range(2)]
checking.confirmed("15, broken", once["small"][0], warm[0], tolerance=0.8)
checking.confirmed("15, right", *warm, tolerance=0.8)
fair = training.fine_tune(model, split, steps)
for name, rows, other in ("broken", ours, control), ("right", last, fair):
    checking.over_seeds(f"16, {name}", rows)
    checking.equally_trained(f"17, {name}", rivals[0], other)

# %% [markdown]
# - **13.** Half of the units of a layer is half of its columns, and the next
#   layer loses rows as well (notebook 3). So fewer weights are left: 5 % fewer
#   here, where most of them lead from the pixels; in notebook 3's network it
#   was a third of the weights instead of half. Compare at equal weights.
# - **14.** The test set chose the seed; so the test accuracy of that choice is
#   too good. Choose on the validation set. The detector sees it because its
#   choices change when the test labels do.
# - **15.** The first call of a `tf.function` builds its graph, and that is what
#   was timed. Warm up, repeat, take turns: `timing.latency`.
# - **16.** The spread is that of seven rounds of *one* run, which are no
#   repetitions of each other. A standard deviation is over seeds.
# - **17.** The control had a quarter of the steps.
#
# ## Room 4: files that compute something else
#
# Three LiteRT files (notebook 13), each far smaller than the network in floats:
#
# 18. in 8-bit integers, with scales from 200 images;
# 19. the same, called from code of one's own;
# 20. with 80 % of the weights gone in blocks of 16 (notebook 12), which are not
#     stored.

# %%
x, images = split.x_val, split.x_train[:200]
file = deploying.convert(model, "full int8", images)
wrong = deploying.convert(model, "full int8", 255 * images)
cast = measuring.predictions(file, x.astype("int8"))
blocks = pruning.masked(model, masking.block_masks(sizes, 0.8, size=16))
blocks = training.fine_tune(blocks, split, steps)
sparse = deploying.convert(blocks, "dynamic int8", sparse=True)
runs = Interpreter(model_content=sparse + bytes(10**6), num_threads=1)
runs.resize_tensor_input(runs.get_input_details()[0]["index"], x.shape)
runs.allocate_tensors()
runs.set_tensor(runs.get_input_details()[0]["index"], x)
runs.invoke()
logits = runs.get_tensor(runs.get_output_details()[0]["index"])
classes = measuring.predictions(wrong, x), cast, logits.argmax(axis=1)

# %% [markdown]
# Everything is as small as it was hoped. *And what do the files predict?*

# %%
whole = len(deploying.convert(model))
axes = plotting.claims({("times smaller", n): whole / len(kind) for n, kind in
                        {"18": wrong, "19": file, "20": sparse}.items()})
good = sum(np.mean(said == split.y_val) > 0.5 for said in classes)
sliders.Prediction("How many of the three get half of the digits right?",
                   good, choices=range(4))

# %% [markdown]
# `file_agrees` needs no labels: a file has to predict what its network
# predicts.

# %%
right = file, measuring.predictions(file, x), sparse
for n, broken, fixed in zip((18, 19, 20), classes, right, strict=True):
    judge = blocks if n == 20 else model
    checking.file_agrees(f"{n}, broken", broken, judge, x)
    checking.file_agrees(f"{n}, right", fixed, judge, x)

# %% [markdown]
# - **18.** It was calibrated on pixels from 0 to 255, and the network reads
#   pixels from 0 to 1 (notebook 13).
# - **19.** The file is right, but its images are not. Cast to integers, all
#   pixels below 1 become 0. An 8-bit file wants its input *scaled*;
#   `deploying.File` does that.
# - **20.** LiteRT's default runtime takes the few integers that are stored for
#   the whole kernel, reads on behind them, and says nothing. (The zeros that
#   the code adds to the file only keep it from reading somebody else's memory.)
#   `deploying` keeps such files from it. At widths that are no multiple of 16
#   even another runtime can be wrong; `deploying.convert` compares before it
#   returns such a file.
#
# No error was raised, and the sizes are as they were shown.
#
# ## Room 5: an API that does not exist
#
# The last two exhibits are recommendations:
#
# 21. "prune with `keras.optimizers.experimental.Pruning`", from a page on which
#     nothing was ever run;
# 22. "give each layer a `kernel_constraint` that masks it, and train".

# %%
free = pruning.copy_of(pruned)
for layer in free.layers:
    layer.kernel_constraint = lambda k, mask=masks[layer.name]: k * mask
_ = fitting.fit(free, split, steps)

# %%
checking.exists("21, broken", "keras.optimizers.experimental.Pruning")
checking.exists("21, right", "keras.constraints.Constraint")
checking.as_many_as_asked("22, broken", free, 0.9)
checking.as_many_as_asked("22, right", held, 0.9)

# %% [markdown]
# - **21.** There is no such optimizer, and there never was. Pages say so, and
#   programs that write code for you learn from pages. `exists` looks it up.
# - **22.** Python lets you set any attribute on a layer. But Keras reads
#   `kernel_constraint` once, when the layer is built, and then never again: the
#   training was free. `pruning.apply_masks` puts the constraint where it is
#   read.
#
# ## Move it yourself
#
# Exhibit 4 applied its mask before each step. People save time and apply it
# before every tenth, or hundredth. The slider goes along that number, for a
# training of 200 steps; the network is judged as it comes out of the training,
# or after its mask has been put on once more. *As it ends, does the accuracy
# ever tell that something is wrong? And masked again?*

# %% tags=["nbval-ignore-output"]
late, places = {}, (1, 2, 5, 10, 20, 50, 100)
judged = "as it ends", "masked again"
for every in places:
    network = pruning.copy_of(pruned)
    again = masked_every(every, network)
    fitting.fit(network, split, split.steps(200), callbacks=[again])
    pair = network, pruning.masked(network, masks)
    for name, seen in zip(judged, pair, strict=True):
        late[name, every] = seen, seen.get_layer("hidden_2").kernel.numpy()[:64]
sweep = studying.sweep(lambda data, **place: late[tuple(place.values())][0],
                       {"mnist": split}, judged=judged, masked_every=places)
explorer = sliders.explore(lambda data, **place: late[tuple(place.values())],
                           {"mnist": model}, {"mnist": split}, sweep,
                           shown="half of hidden_2, 64 × 64")
explorer

# %% tags=["check", "nbval-ignore-output"]
(100 * sweep.unstack("judged")).round(1)

# %% tags=["check"]
explorer.choices["judged"].value, explorer.slider.value = "masked again", 1
explorer.readings["weights left"]

# %% [markdown]
# You should have seen far too few zeros as it ends, wherever the slider is, and
# an accuracy that never tells: with a mask before every hundredth step it is
# the highest of all, 96.2 % instead of 95.1. The plot gets nicer with the size
# of the mistake. Masked again, that network falls to 85.6 %, because what it
# learned sits in weights that have to go. Count the zeros of the very network
# that you measure.
#
# ## Your turn
#
# **Exercise 1.** Three people prune the half of `hidden_1` that has the lowest
# scores. Each has a formula for the scores. Which one prunes the smallest
# weights? Ask a detector.

# %%
answer = ...  # "A", "B" or "C"
k = kernels["hidden_1"]
left = masking.layerwise_masks({"A": k**3, "B": 1 / (1 + k**2), "C": k**4}, 0.5)
suspects = {w: pruning.masked(model, {"hidden_1": m}) for w, m in left.items()}
checking.answer(answer, lambda who: measuring.accuracy(
    suspects[who], *held_out), above=0.85)

# %% tags=["solution"]
for who, suspect in suspects.items():
    checking.smallest_went(f"{who}, broken or not", suspect, model)
answer = "C"
print(answer)
checking.answer(answer, lambda who: measuring.accuracy(
    suspects[who], *held_out), above=0.85)

# %% [markdown]
# **Exercise 2.** The last exhibit is a loss. The network ends in a softmax, and
# somebody measures its cross-entropy on the validation digits as below. For a
# network that gets 98 % of them right, that is a strange number. What is the
# loss really?

# %%
answer = ...  # the loss
network = keras.Sequential([model, keras.layers.Softmax()])
chances = network(split.x_val).numpy()
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
print(f"said to be ≈ {loss(split.y_val, chances):.2f}")
checking.answer(answer, within=(0.03, 0.3))

# %% tags=["solution", "nbval-ignore-output"]
answer = -np.mean(np.log(chances[range(len(chances)), split.y_val]))
print(f"{answer:.3f}")
checking.confirmed("as the helpers count", answer, measuring.loss_and_accuracy(
    model, *held_out)["loss"])
checking.answer(answer, within=(0.03, 0.3))

# %% [markdown]
# ## What would fool you here
#
# A detector of your own. "The outputs may differ by 1e-5, so I raise the alarm
# if the gap is larger." Here is a network that puts out NaN ("not a number")
# for every image.

# %%
held.layers[0].bias.assign(np.full(128, np.nan))
gap = np.max(np.abs(held(split.x_val[:9]) - model(split.x_val[:9])))
print("a check of our own:", "FAIL" if gap > 1e-5 else "PASS")
checking.same_outputs("a broken network", model, held, split.x_val[:9])

# %% [markdown]
# NaN is larger than nothing, and it is not smaller either: all comparisons with
# it are false. So the alarm stayed silent. `checking.same_outputs`, like
# everything in `checking`, asks whether the gap is *small enough*, and NaN is
# not. Write checks that pass only if they have seen what they want, and let
# each of them fail once on purpose.
#
# ## Recap
#
# In this notebook, we saw:
#
# - twenty-three ways to be wrong without an error, in masks and zeros, numbers,
#   comparisons, files and advice;
# - a detector of a few lines for each kind of them. Each has caught the broken
#   version here, and passed the right one;
# - that the accuracy is no detector: an accuracy that is too good comes out of
#   the worst mistakes.
#
# **Before you publish**, call them:
#
# - on a pruned network: `as_many_as_asked`, `smallest_went`, `rewound` if it is
#   a ticket, and `RevivedWeights` while it trains;
# - on a number: `confirmed`, with a second way to it;
# - on a comparison: `as_many_left`, `equally_trained`, `blind_to_test`,
#   `over_seeds`;
# - on a copy or a file: `same_outputs`, `file_agrees`;
# - on advice: `exists`.
#
# **In practice**: no detector finds all mistakes, and these find only the kinds
# that we know. Comparing pruning methods is hard for this very reason: [Blalock
# et al., 2020](https://arxiv.org/abs/2003.03033) read dozens of papers and
# could hardly say which method is better. How much seeds and other chance
# matter is measured by [Bouthillier et al.,
# 2021](https://arxiv.org/abs/2103.03098), and how test data leaks into results
# in many sciences by [Kapoor and Narayanan,
# 2022](https://arxiv.org/abs/2207.07048).
# Terms in bold are in the [glossary](15_what_is_real.ipynb#Glossary).
#
# Next: which of our differences survive other seeds, how do you run fifty, and
# what should you use?

# %% tags=["check"]
explorer.visit()
