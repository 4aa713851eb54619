# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 15. Decide what is real
#
# > Which of our differences survive other seeds, how do you run fifty, and what
# > should you use?
#
# **You'll do**: put the comparisons of the series into one figure and see which
# survive, find out how many seeds a difference needs, run fifty on a cluster
# while one of its workers is killed, and leave with a map, a guide and a
# glossary.
#
# **You'll need**: notebooks 1 to 4; the [glossary](#Glossary) at the end
# explains the other terms. Half an hour; the cells run for three minutes on two
# cores.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from helpers import (checking, datasets, deploying, networks, plotting, pruning,
                     sliders, studying, surveying, timing)

# %% [markdown]
# ## Compare within seeds
#
# In notebook 6 a small classifier was pruned and fine-tuned, and its control,
# the unpruned network, was trained for as long. Each **seed**, the number that
# decides everything random, gives one such pair. Here are six.

# %%
fifty = studying.read("results/thresholds.csv", ["stage"])
pairs = fifty[fifty["stage"].isin(["fine-tuned", "control"])]
six = pairs[pairs["seed"] < 6]
ax = sns.lineplot(six, x="stage", y="points", hue="seed", marker="o",
                  palette="viridis", legend="full")
_ = ax.set(xlabel="", ylabel="test accuracy, %", xlim=(-0.3, 1.6))

# %%
from scipy import stats

gaps = studying.gaps(six, "points", "stage", "fine-tuned")["points"]
ends = [round(float(end), 2) for end in studying.t_interval(gaps)]
print(f"control ahead by {gaps.mean():.2f} points, 95 % interval {ends}")
apart = stats.ttest_ind(*[rows["points"] for _, rows in six.groupby("stage")])
print("as if no two shared a seed:", *np.round(apart.confidence_interval(), 2))

# %% [markdown]
# The seeds of one stage differ more than the two networks of a pair. The
# difference of the two averages carries this scatter between seeds; a **paired
# difference**, taken within one seed, leaves it out. The mean is the same
# either way; without the pairs the interval would be wider (the last line). In
# nineteen of twenty such studies it contains the true mean.
#
# ## Put all comparisons into one figure
#
# Every study of the series is a file with a row for each network. A comparison
# is a line in a table: the file (`study`), the column whose values are compared
# (`between`), which of them is subtracted (`baseline`), and in which rows
# (`where`). Each other value is one test, for each value of the columns `by`.

# %%
comparisons = pd.read_csv("results/comparisons.csv", comment="#", dtype=str,
                          keep_default_na=False).set_index("claim")
comparisons.drop(columns=["network", "value"])

# %% [markdown]
# A **p value** says how often a test, here the paired t test, would see a
# difference at least this large if there were none. Where there is nothing to
# find, one test in twenty still has p < 0.05. So **Holm's method** asks for
# more. It sorts the *n* p values: the smallest has to stay below 0.05 / *n*,
# the next one below 0.05 / (*n* − 1), and so on. At the first that fails, all
# larger ones fail with it. The notebooks applied it to their own tables; here
# is a stricter reading, in which all tests of this table are one **family**.

# %%
found = surveying.tested(surveying.differences(comparisons))
survives = found["p_holm"] < 0.05
print(f"{len(comparisons)} comparisons make {len(found)} tests,",
      f"{(found['p'] < 0.05).sum()} with p < 0.05")
sliders.Prediction("How many of them survive Holm's correction?",
                   survives.sum(), ends=(0, len(found)), unit="tests")

# %% [markdown]
# In the figure blue tests survive and grey ones do not. A heading begins with
# the number of the notebook; a bare number is a sparsity. The bars are 95 %
# intervals, not corrected. The axis is linear between −1 and 1 and logarithmic
# beyond.

# %% tags=["nbval-ignore-output"]
early = found.index.get_level_values("notebook").astype(int) < 8
lines = found.rename(lambda place: place.replace("sparsity ", "").replace(
    ", as many left", ""), level="place")
axes = surveying.forest([lines[early], lines[~early]])
print(survives.groupby("notebook", sort=False).agg(["sum", "size"]).T)

# %% [markdown]
# Most of what survives is a cost: of cuts, even after retraining (notebooks 4,
# 5, 10, 11 and 12; in 10 and 11 of half already), of weights drawn by lot (7),
# of random masks (8), and of solving *instead* of retraining, in a large
# network or, on digits, where most units are gone (9). Gains are fewer: a
# ticket's own weights in round 9 (8), some of the budgets, solving *before*
# retraining where little is left (9), and a cut network, trained longer,
# instead of a new one (13). Both differences of notebook 6 survive: they have
# fifty seeds.
#
# What does not survive? No gain of a retrained network *over* its dense control
# does (4, 8 and 12), nor does what a schedule (7), rewinding later (8), a
# ranking of filters (10), the repair of a branching network (11) or a teacher
# (13) may be worth. In notebooks 2 and 3 all tests fail here (four of notebook
# 3 passed among its own twenty): without retraining, networks collapse, each
# seed at another sparsity. Grey does not mean zero: many of these tests pass
# alone, but not among 172. A notebook that asks eight questions is right to
# correct for eight. But if you read the whole series and keep the most striking
# differences in mind, this is your family.
#
# ## Ask how many seeds it takes
#
# How well a mean is known depends on the number of seeds and on the **spread**,
# the standard deviation of the paired differences. **Power** is the chance that
# a test finds a difference that is there. For each comparison we take the
# median of its tests' spreads. How many seeds does a single test, at p < 0.05,
# need to find a difference of 0.1, 0.3 or 1 point in four of five studies (a
# power of 80 %)?

# %%
from statsmodels.stats.power import TTestPower

solve = TTestPower().solve_power  # which fails for effects above 5
spread = found.groupby("claim")["std"].median().sort_values()
needed = pd.DataFrame({str(gap): np.ceil([
    solve(min(gap / s, 5), alpha=0.05, power=0.8) for s in spread])
    for gap in (0.1, 0.3, 1)}, spread.index).astype(int)
ours = "others − fine-tuned"
sliders.Prediction(f"Notebook 6 has a spread of {spread[ours]:.2f} points (the "
                   "median of two tests, with fifty seeds). How many seeds are "
                   "needed to find a difference of 0.3?",
                   needed.loc[ours, "0.3"], ends=(2, 52), unit="seeds")

# %%
_, ax = plt.subplots(figsize=(6.4, 5.6))
sns.heatmap(np.log(needed), annot=needed, fmt=",d", cmap="Blues", ax=ax,
            cbar=False, yticklabels=[f"{claim}: {s:.2f}"
                                     for claim, s in spread.items()])
ax.set(ylabel="comparison: its spread", xlabel="difference to find, points")
late = comparisons["notebook"].astype(int) > 3
print(needed[late[needed.index]].agg(["min", "max"]))
low, high = np.sqrt(5 / stats.chi2.ppf([0.975, 0.025], 5))
print(f"true spread: {low:.1f} to {high:.1f} times what six seeds say")

# %% [markdown]
# In the comparisons of retrained networks (all but those of notebooks 2 and 3)
# the median spread is below one point. A difference of 1 point shows with three
# to five seeds, one of 0.3 points needs 3 to 31, and one of 0.1 points 7 to
# 260. (The last row is the cliff of notebook 3.) So, for a single test, six
# seeds were enough for some of our questions and too few for others, and nobody
# can know which without the spread. Measure it on six seeds, look up here how
# many you need, and plan for more: six seeds give the spread only roughly. The
# true one may be 0.6 to 2.5 times as large.
#
# ## Run fifty seeds
#
# More seeds are the same call with more numbers in it. `studying.study` calls
# an experiment for each seed and keeps each result on disk as soon as it is
# there. By itself it uses the cores of this machine; inside joblib's
# `parallel_config` it uses the **workers** of a **cluster**: processes, here or
# on other machines, that take tasks from a queue. Ours is a local cluster of
# [Dask](https://distributed.dask.org), with one worker at first.
#
# The experiment, printed below, is the one of the first figure. It has to be a
# function in a file, because every worker imports it. (The new folder sees to
# it that no result is there already.)

# %% tags=["nbval-ignore-output"]
import inspect
import os
import tempfile
import threading
from importlib import import_module

from dask import distributed

folder = tempfile.TemporaryDirectory()
os.environ["PRUNING_CACHE_DIR"] = folder.name
# no limit of memory; one thread of TensorFlow for each worker
cluster = distributed.LocalCluster(
    n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=None,
    silence_logs="CRITICAL", env={"TF_NUM_INTRAOP_THREADS": "1"})
client = distributed.Client(cluster)
stages = import_module("helpers.workshop.experiments.thresholds").stages
print(inspect.getsource(stages))

# %% [markdown]
# Four seeds with one worker, then eight more with two. How long does each take?

# %% tags=["nbval-ignore-output"]
import time

import joblib

setting, took = {"data": ["synthetic"], "threshold": [0.1]}, {}
for number, seeds, new in ((1, range(4), 4), (2, range(12), 8)):
    cluster.scale(number)
    client.wait_for_workers(number)
    client.run(__import__, "helpers.training")  # before the clock starts
    start = time.perf_counter()
    with joblib.parallel_config(backend="dask"):
        studying.study(stages, seeds, **setting)
    took[number] = (time.perf_counter() - start) / new
gain = round(took[1] / took[2], 1)
print(f"seconds per seed: {took[1]:.2f}, {took[2]:.2f}; ratio {gain}")

# %% [markdown]
# Two workers are faster than one, but not twice as fast. Twelve seeds are on
# disk now, and were not run twice. We ask for all fifty, and three seconds
# later we kill one of the two workers, in the middle of a seed. *How many of
# the 200 rows, four for each seed, will be missing?*

# %% tags=["nbval-ignore-output"]
workers = set(client.run(os.getpid).values())
threading.Timer(3, os.kill, (min(workers), 9)).start()
with joblib.parallel_config(backend="dask"):
    live = studying.study(stages, range(50), **setting)
now = set(client.run(os.getpid).values())
print(f"workers: {len(workers - now)} is gone, {len(now - workers)} is new")

# %% tags=["check"]
print(f"{200 - len(live)} rows are missing")
client.close()
cluster.close()
folder.cleanup()
means = [100 * studying.gaps(rows, "accuracy", "stage", "fine-tuned")
         .groupby("stage")["accuracy"].mean() for rows in (live, fifty)]
checking.claim("this run's means are within a fifth of a point of the stored",
               means[0] - means[1], within=(-0.2, 0.2))

# %% [markdown]
# None is missing. The dead worker's seed was run by another one, and a new
# worker has taken its place. A study that is stopped goes on in the same way:
# call it again.
#
# What do fifty seeds say, where six said 0.53 points? Small dots are seeds
# (many coincide), large ones means with 95 % intervals.

# %%
parts = pd.concat([pairs.assign(seeds=np.where(
    pairs["seed"] < 6, "first 6", "other 44")), pairs.assign(seeds="all 50")])
by = "accuracy", "stage", "fine-tuned", ["seeds"]
axes = plotting.differences(studying.gaps(parts, *by), x="seeds", aspect=1.4)
axes[None].set_ylabel("control − fine-tuned, points")
(100 * studying.paired(parts, *by)[["mean", "low", "high"]]).round(2)

# %% [markdown]
# The control is ahead, no doubt: by 0.38 points (0.27 to 0.50). The first six
# said more than the other 44, 0.36 points, which lies within their interval.
# That is what six seeds are like: their interval was right to be wide.
#
# What would fifty seeds of the larger studies cost? Each file says how long its
# runs took on one core (some of them on a machine that was busy). For two
# workers we divide by the ratio just measured; sixteen are extrapolated: the
# same ratio at each doubling, and no study shorter than its longest run.

# %% tags=["nbval-ignore-output"]
hours = {}
studies = comparisons.groupby("study", sort=False)["notebook"].first()
for study, number in studies.items():
    rows = studying.read(f"results/{study}.csv", ["seconds"])
    work = 50 * rows["seconds"].sum() / rows["seed"].nunique() / 3600
    longest = rows["seconds"].max() / 3600
    hours[f"{number} {study}"] = {"1": work, "2": work / gain,
                                  "16 (modelled)": max(work / gain**4, longest)}
hours = pd.DataFrame(hours).T.sort_values("1").rename_axis("study")
tidy = hours.reset_index().melt("study", var_name="workers")
ax = sns.stripplot(tidy, x="value", y="study", hue="workers", jitter=False)
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5))
ax.set(xscale="log", xlabel="hours for fifty seeds", ylabel="")
ax.xaxis.set_major_formatter("{x:g}")
print(hours["1"].agg(["min", "median", "max"]).round(2).to_dict())

# %% [markdown]
# On one core the smallest study takes minutes, the middle one three hours and
# the largest twelve. No run waits for another, so more workers are the quickest
# way to more seeds, even if sixteen may be far from sixteen times as fast as
# one. On a cluster of many machines `distributed.Client` gets its address, and
# each of them needs `helpers`.
#
# ## Weigh bytes, time and accuracy
#
# A network is on the **Pareto front** if no other is both smaller and more
# accurate. Here are the networks of most studies (means over seeds) that come
# within five points of the best of their kind; the grey line is the front.
# (Neighbours that differ by less than a tenth of a point may change places with
# other seeds.) The size of a LiteRT file is its length; for all others it is
# four bytes for each number that is not zero. For a masked network (a cross)
# that is a promise only: what skips the zeros has to store places, too.

# %% tags=["nbval-ignore-output"]
drawn = comparisons.query("network != ''")[["study", "network"]].to_numpy()
every = surveying.networks({**dict(drawn), "frontier": "LeNet-300-100"})
axes = surveying.fronts(every)

# %% [markdown]
# On the large network the front turns at an int8 file of a cut network, a
# fiftieth of the whole: nothing smaller comes near its accuracy. Then come
# networks that were cut or masked, and retrained. On clothes the front ends at
# a third of the whole network's bytes; on digits it ends with the whole
# network, but a fifth of the bytes comes within a few hundredths of a point.
# The front of notebook 12's network begins with int8 files, too, of cut units
# and then of blocks.
#
# In LeNet-300-100 the gradual recipe of notebook 8's appendix is the whole
# front, with its unpruned network at the end, and some of its networks are
# smaller *and* more accurate than all that were made otherwise. But it trains
# much longer, with dropout, and on the validation images, too (notebook 8).
# That is one more reason for a control: how a network was trained may matter
# more than how it was pruned.
#
# Bytes can be counted; time has to be measured, in the runtime that will carry
# the network. Here are networks of the same shapes as some of these, as LiteRT
# files, timed for one image. (They are untrained, which makes no difference to
# the time; but their biases are still zero, which LiteRT leaves out, so that
# trained files are a little larger. The accuracies are the studies' means.)

# %% tags=["nbval-ignore-output"]
split = datasets.load("mnist")
mlps = {left: networks.mlp([round(n * left) for n in (1000, 1000, 500)] + [200])
        for left in (1, 0.2, 0.15, 0.1, 0.05)}
files = {f"{100 * left:g} % of the units": deploying.convert(model)
         for left, model in mlps.items()}
masked = pruning.prune_weights(mlps[1], sparsity=0.9)
files["masked, 10 % of the weights"] = deploying.convert(masked)
files["15 %, int8"] = deploying.convert(mlps[0.15], "full int8",
                                        split.x_train[:200])
timed = timing.latency(files, split.x_test, 1, "litert", calls_per_turn=10)
timed["kB"] = [len(file) // 1000 for file in files.values()]

# %% tags=["nbval-ignore-output"]
digits = every[every["data"] == "mnist"].set_index("study")
cut = digits.loc["compacted"].set_index("sparsity")["accuracy"]
tuned = digits.loc["recovery"].query("kind == 'weights' and sparsity == 0.9")
small = digits.loc["distilled"].query(
    "student == 'cut' and taught == False and stored == 'LiteRT file'")
timed["accuracy"] = [*cut[[0, 0.8, 0.85, 0.9, 0.95]], *tuned["accuracy"],
                     *small["accuracy"]]
front = surveying.front(timed, "ms")
ax = sns.scatterplot(timed, x="ms", y="accuracy", hue=timed.index, s=70,
                     style=timed.index)
ax.step(front["ms"], front["accuracy"], where="post", color="0.6", zorder=0)
sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title="")
ax.set(xscale="log", xlabel="ms for one image", ylabel="test accuracy")
ax.xaxis.set_major_formatter("{x:g}")
timed[["ms", "accuracy", "kB"]].round(4)

# %% tags=["check"]
checking.claim("masking makes the file no faster",
               timed["speed_up"]["masked, 10 % of the weights"], below=1.5)
checking.claim("cut to 15 % of the units, it is over five times faster",
               timed["speed_up"]["15 % of the units"], above=5)
checking.claim("in int8, too, it loses less than 0.3 points",
               100 * (cut[0] - timed["accuracy"]["15 %, int8"]), below=0.3)

# %% [markdown]
# The masked network is nearly as accurate as the whole one, as large and as
# slow. What was cut is smaller and faster. Int8 makes the network with 15 % of
# its units smaller once more, from 675 to 178 kB, at nearly the same accuracy
# and, here, in about half the time.
#
# ## Draw the map
#
# To prune is to make six choices: *what* goes (weights, units, filters),
# *when*, by which **score**, with which **budget** for each layer, how the rest
# is *repaired*, and how it is *executed*. Each line below is one choice against
# another, in one setting that we picked, and what it was worth there, in
# points, with its 95 % interval; where a star stands, nothing was retrained.

# %%
choices = pd.read_csv("results/map.csv", comment="#", dtype=str)
page = choices.merge(found.reset_index(), on=["claim", "place"])
page = page.set_index(["step", "choice"])
axes = surveying.forest([page])
print(f"{len(page)} of {len(choices)} choices found")
page[["notebook", "mean", "low", "high", "p_holm"]].round(3)

# %% [markdown]
# Without retraining (stars) the differences go from 1 to 21 points, but seeds
# differ so much that, among so many tests, none of the four is blue. With
# retraining, chance instead of magnitude costs most, 5.0 points, then losing
# half of each group or of the filters, 2.1 and 1.5. Solving before retraining
# gains 2.0 points in a small network, the gradual schedule 1.4 (grey), a cut
# student (trained longer) 1.1, a ticket 0.9 and a budget 0.4; a teacher gains
# nothing that we could show. The best bargain is grey: a network with 14 times
# fewer MACs ends 0.2 points below its control.
#
# ## Choose
#
# - *A small file?* Cut out units or filters, retrain, then convert to int8:
#   from 9,546 to 178 kB above ([5](05_compacted_network_timing.ipynb),
#   [13](13_quantization_and_distillation.ipynb)). If you can only mask, mask
#   blocks and store them sparse ([12](12_block_sparsity.ipynb)); other files
#   shrink only when zipped.
# - *Low latency?* Time it in the runtime that will carry it. In LiteRT cutting
#   and int8 pay; Keras' `predict` gains nothing for one image
#   ([5](05_compacted_network_timing.ipynb)). Zeros alone pay in a format that
#   skips them: blocks ([12](12_block_sparsity.ipynb)), or CSR with few weights
#   left.
# - *No data?* Magnitude needs none, and half of the weights (not units) can go
#   at little cost ([2](02_weight_pruning.ipynb)). Dynamic int8 needs none
#   either.
# - *No labels?* Solve for the weights that are left, without training
#   ([9](09_repair_without_training.ipynb)), or let the unpruned network teach
#   ([13](13_quantization_and_distillation.ipynb)).
# - *Time to retrain?* Hold the zeros, compare with a control
#   ([4](04_recovery_retraining.ipynb)). If little is to be left, solve before
#   you retrain ([9](09_repair_without_training.ipynb)); pruning gradually
#   ([7](07_synaptic_pruning.ipynb)) may help, too.
# - *A convolutional network?* Prune filters for time (half of them cost 1.5
#   points), the Dense layer for bytes ([10](10_filter_pruning.ipynb)).
# - *Your own architecture?* `pruning.prune_units` and `compacting.compact` take
#   any functional Keras model (the README, and notebook 11).
# - *A paper, or a decision that costs money?* Look up the seeds that you need,
#   name your family of tests beforehand, and run the checks of notebook
#   [14](14_silent_bugs.ipynb).
#
# ## Move it yourself
#
# Fifty seeds hold many smaller studies. We draw thirty of them; the slider says
# how many seeds each has. A line is the 95 % interval of one study, grey where
# it includes zero, so that this study finds nothing. *With six seeds, how many
# of the thirty find that the control is ahead? How many seeds does it take
# until nearly all do?*

# %%
wide = 100 * fifty.pivot(index="seed", columns="stage", values="accuracy")
ahead = {"control − fine-tuned": wide["control"] - wide["fine-tuned"],
         "fine-tuned − before": wide["fine-tuned"] - wide["before"],
         "pruned − before": wide["pruned"] - wide["before"]}


def look(seeds, difference):
    """How many of thirty studies find it, and their intervals."""
    ends = surveying.smaller(ahead[difference], seeds)
    found = np.count_nonzero((ends.min(1) > 0) | (ends.max(1) < 0))
    return {"studies that find it": f"{found} of 30"}, ends


# %%
import io


def picture(seeds, _, ends, difference):
    """The interval of each study; grey ones include zero."""
    fig, ax = plt.subplots(figsize=(6, 3.4))
    finds = (ends.min(1) > 0) | (ends.max(1) < 0)
    ax.hlines(range(30), *ends.T, np.where(finds, "C0", "0.7"))
    ax.axvline(0, color="0.4", linestyle=":")
    ax.set(xlabel=f"{difference}, points", xlim=(-2.5, 3), yticks=[])
    png = io.BytesIO()
    fig.savefig(png)
    plt.close(fig)
    return [png.getvalue()]


explorer = sliders.Explorer((3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40), look,
                            picture, 6, "seeds", {"difference": list(ahead)})
explorer

# %% tags=["check"]
for difference in ahead:
    print(difference, {n: look(n, difference)[0]["studies that find it"]
                       for n in (6, 10, 20)})

# %% [markdown]
# You should have seen 15 of thirty: with six seeds it is a coin toss whether a
# study finds a difference that is really there. With ten it is 24 of thirty, a
# power near 80 %, and with 20 seeds all find it. (Our table asked for 20, but
# for a smaller difference, 0.3 points, and a larger spread.) The large gain of
# the fine-tuned network over "before" shows with six seeds every time, the
# small loss by pruning in three of thirty. All thirty studies draw from the
# same fifty seeds, so they are not independent: two of 20 seeds share about
# eight.
#
# ## Your turn
#
# **Exercise 1.** You expect a difference of 0.2 points, and the spread of your
# pairs is 0.2 points as well. A single test would need ten seeds. But your
# family has a hundred tests, so that the smallest p value has to stay below
# 0.05 / 100. What is the *smallest* number of seeds that gives you a power of
# 80 %? (`solve` knows.) The check prints the power that yours have.

# %%
answer = ...  # a number of seeds
checking.answer(answer, lambda n: TTestPower().power(0.2 / 0.2, n, 0.05 / 100),
                within=(0.8, 0.83))

# %% tags=["solution"]
for alpha in (0.05, 0.05 / 100):
    answer = int(np.ceil(solve(0.2 / 0.2, alpha=alpha, power=0.8)))
    print(f"p below {alpha}: {answer} seeds")
checking.answer(answer, lambda n: TTestPower().power(0.2 / 0.2, n, 0.05 / 100),
                within=(0.8, 0.83))

# %% [markdown]
# **Exercise 2.** Somebody wants to show that the pruned, fine-tuned network
# *beats* its control, and reports six seeds. Pick six of the fifty that say so:
# `ahead["control − fine-tuned"]` is a Series by seed. The check prints the mean
# of your six.

# %%
answer = ...  # a list of six seeds; fewer than six fail
checking.answer(answer, lambda seeds: ahead["control − fine-tuned"][
    list(set(seeds))].mean() if len(set(seeds)) == 6 else 100, below=0)

# %% tags=["solution"]
answer = ahead["control − fine-tuned"].nsmallest(6).index.tolist()
print(f"seeds {sorted(answer)}")
checking.answer(answer, lambda seeds: ahead["control − fine-tuned"][
    list(set(seeds))].mean() if len(set(seeds)) == 6 else 100, below=0)

# %% [markdown]
# So say beforehand which seeds you will use, and use 0, 1, 2 and so on.
#
# ## What would fool you here
#
# Testing again after every new seed, and stopping as soon as p < 0.05, finds
# what is not there. We take the fifty differences and toss a coin for the sign
# of each, so that there is nothing to find, and do so for 1,000 studies. One in
# twenty should find something all the same. Those that test after every seed,
# from the sixth on, find more.

# %%
sizes, n = ahead["control − fine-tuned"].abs().to_numpy(), np.arange(1, 51)
signs = np.random.default_rng(0).choice([-1, 1], (1000, 50))
mean = (signs * sizes).cumsum(axis=1) / n  # after each seed
square = (sizes**2).cumsum() / n  # a sign does not change a square
# the paired t test, from the sixth seed on, for all studies at once
error = np.sqrt((square - mean**2)[:, 5:] / (n[5:] - 1))
p = 2 * stats.t.sf(abs(mean[:, 5:]) / error, n[5:] - 1)
for name, false in {"broken, test after every seed": (p < 0.05).any(axis=1),
                    "test once, after fifty": p[:, -1] < 0.05}.items():
    checking.claim(f"{name}: under 7 % find something", 100 * false.mean(),
                   below=7)

# %% [markdown]
# The line that fails is there on purpose. Each look is one more test, and
# nothing in the last p value tells of the others. Fix the number of seeds
# before you start. If you must look earlier, correct for the looks.
#
# ## Recap
#
# In this notebook, we saw:
#
# - 172 tests of the series as one family: 116 have p < 0.05 on their own, 48
#   survive Holm's correction;
# - how many seeds a single test takes: 3 to 31 for a difference of 0.3 points
#   between retrained networks, 7 to 260 for one of 0.1;
# - fifty seeds on a cluster, of which one worker was killed and no row was
#   lost;
# - six seeds that said 0.53 points where fifty say 0.38, and that half of
#   thirty studies of six seeds, drawn from the fifty, missed it;
# - a network that, cut, retrained and in int8, takes a fiftieth of the bytes
#   and loses 0.2 points;
# - that testing after every new seed finds something in a quarter of all
#   studies in which there is nothing to find.
#
# **In practice**: seeds are only one source of chance. All runs share one test
# set and one training set, so their intervals do not cover the luck of drawing
# other images; [Bouthillier et al., 2021](https://arxiv.org/abs/2103.03098)
# measure how much each source adds. [Colas et al.,
# 2018](https://arxiv.org/abs/1806.08295) work out numbers of seeds for
# reinforcement learning, where spreads are larger. Stopping when p is small
# enough is one of the freedoms in [Simmons et al.,
# 2011](https://doi.org/10.1177/0956797611417632). The correction is due to
# [Holm, 1979](https://www.jstor.org/stable/4615733). The t test takes the
# differences for normally distributed; with six seeds nobody can check that.
#
# ## Glossary
#
# What the notebooks print in bold, and the section that explains it.
#
# - **1 × 16**, **1 × 4**: blocks of as many successive inputs of one unit.
#   [12](12_block_sparsity.ipynb#Prune-a-real-network-in-blocks)
# - **2:4 sparsity**: two of every four successive weights are zero.
#   [2](02_weight_pruning.ipynb#Your-turn)
# - **95 % interval**: nineteen of twenty intervals made in this way contain the
#   true mean. [1](01_train_baseline.ipynb#Train-to-a-plateau)
# - **band**: where nineteen of twenty new seeds are expected; wider than the
#   interval of a mean.
#   [2](02_weight_pruning.ipynb#Compare-three-ways-at-ten-sparsities)
# - **baseline**: the trained, unpruned network; in a comparison, what is
#   subtracted. [1](01_train_baseline.ipynb#Train-to-a-plateau)
# - **bias**: the number that a unit adds to its weighted sum.
#   [1](01_train_baseline.ipynb#Build-the-network-and-count)
# - **block**: neighbouring weights that are kept or pruned together.
#   [12](12_block_sparsity.ipynb#Store-a-kernel-three-ways)
# - **budget**: how much each layer keeps.
#   [2](02_weight_pruning.ipynb#Test-each-layer)
# - **calibration set**: inputs from which full int8 fixes its scales.
#   [13](13_quantization_and_distillation.ipynb#Multiply-whole-numbers)
# - **claim**: a line in which a notebook checks itself, PASS or FAIL.
#   [1](01_train_baseline.ipynb#Train-to-a-plateau)
# - **cluster**, **worker**: processes, here or elsewhere, that take tasks from
#   a queue. [15](#Run-fifty-seeds)
# - **compacting**, **compaction**: cutting deleted units out for good; the
#   outputs stay the same.
#   [5](05_compacted_network_timing.ipynb#Cut-out-a-neuron-by-hand)
# - **compression**: how many times smaller, always of parameters or of bytes.
#   [8](08_winning_tickets.ipynb#Appendix:-how-few-weights-are-enough?)
# - **concatenation**: channels of several layers, side by side.
#   [11](11_branching_networks.ipynb#Gates,-concatenations,-attention)
# - **confusion matrix**: a row for each class, a column for each answer.
#   [4](04_recovery_retraining.ipynb#See-what-is-forgotten,-and-what-comes-back)
# - **control**: what a pruned network is compared with, trained equally long.
#   [4](04_recovery_retraining.ipynb#Compare-with-a-control)
# - **CSR**: a format that stores the non-zeros of a matrix, row by row, and
#   their places.
#   [5](05_compacted_network_timing.ipynb#Try-sparse-matrix-products)
# - **default delegate**: a library to which LiteRT hands over what it knows.
#   [12](12_block_sparsity.ipynb#What-would-fool-you-here)
# - **dense**: with no zeros; the whole network.
#   [2](02_weight_pruning.ipynb#Prune-a-trained-network)
# - **density**: the fraction of weights that is left, 1 − sparsity.
#   [2](02_weight_pruning.ipynb#Prune-ten-weights-by-hand)
# - **detector**: a few lines that tell whether a number, mask or file is what
#   it claims to be. [14](14_silent_bugs.ipynb#Meet-a-silent-bug)
# - **distillation**, **teacher**: training a student on the outputs of a larger
#   network. [13](13_quantization_and_distillation.ipynb#Learn-from-a-teacher)
# - **distribution function**: the fraction of values below each value.
#   [6](06_threshold_pruning.ipynb#Threshold-ten-weights-by-hand)
# - **dynamic** and **full int8**: in LiteRT, the scales of the inputs are found
#   as it runs (dynamic), or fixed beforehand from a calibration set (full).
#   [13](13_quantization_and_distillation.ipynb#Multiply-whole-numbers)
# - **early stopping**: ending where the validation loss is smallest, and
#   keeping the weights of that time.
#   [8](08_winning_tickets.ipynb#Rewind-a-real-network)
# - **ERK**, Erdős-Rényi-Kernel: a budget by inputs plus units.
#   [9](09_repair_without_training.ipynb#Decide-which-layer-pays)
# - **family**: tests that are corrected together.
#   [15](#Put-all-comparisons-into-one-figure)
# - **feature map**: the image that a filter puts out.
#   [10](10_filter_pruning.ipynb#See-what-belongs-to-a-filter)
# - **filter**: the unit of a convolution: a small square of weights for each
#   channel. [10](10_filter_pruning.ipynb#See-what-belongs-to-a-filter)
# - **fine-tuning**: training a pruned network further, here with its zeros
#   held; *retraining* means the same.
#   [4](04_recovery_retraining.ipynb#Hold-the-zeros)
# - **global**: the smallest weights of the whole network go, wherever they are.
#   [2](02_weight_pruning.ipynb#Prune-ten-weights-by-hand)
# - **gradual**: in many cuts while the network trains, along a cubic;
#   **gradual, 5 cuts**: the same cubic in five cuts.
#   [7](07_synaptic_pruning.ipynb#Put-four-schedules-on-equal-terms)
# - **group**: all layers that are tied to each other.
#   [11](11_branching_networks.ipynb#Prune-by-groups)
# - **head**: a part of an attention layer that works by itself.
#   [11](11_branching_networks.ipynb#Gates,-concatenations,-attention)
# - **Holm's method**: a correction of p values for how many tests there were.
#   [2](02_weight_pruning.ipynb#Compare-three-ways-at-ten-sparsities)
# - **int8**: whole numbers of 8 bits.
#   [13](13_quantization_and_distillation.ipynb#Round-the-weights)
# - **kernel**: the matrix of a layer's weights: a row for each input, a column
#   for each unit. [1](01_train_baseline.ipynb#Build-the-network-and-count)
# - **KL divergence**: how far one set of probabilities is from another.
#   [13](13_quantization_and_distillation.ipynb#Learn-from-a-teacher)
# - **LAMP**: a score that compares each weight with the larger ones of its
#   layer. [9](09_repair_without_training.ipynb#Decide-which-layer-pays)
# - **layer collapse**: a layer loses all its weights, while the sparsity is as
#   asked. [9](09_repair_without_training.ipynb#What-would-fool-you-here)
# - **layerwise**: the same fraction of every layer goes.
#   [2](02_weight_pruning.ipynb#Prune-ten-weights-by-hand)
# - **least squares**: the weights whose sums come closest to those that are
#   wanted. [9](09_repair_without_training.ipynb#Let-a-neighbour-take-over)
# - **LiteRT**: a small runtime for networks, made for phones.
#   [5](05_compacted_network_timing.ipynb#Count-what-it-costs)
# - **logits**: the outputs of a network before softmax makes them
#   probabilities.
#   [13](13_quantization_and_distillation.ipynb#Learn-from-a-teacher)
# - **lottery ticket hypothesis**: that a large network contains a small one
#   that was lucky from the start. [8](08_winning_tickets.ipynb#Rewind-a-toy)
# - **MAC**: a multiplication with an addition; one for each use of a weight.
#   [1](01_train_baseline.ipynb#Build-the-network-and-count)
# - **magnitude pruning**: the weights of smallest absolute value go.
#   [2](02_weight_pruning.ipynb#Prune-ten-weights-by-hand)
# - **mask**: an array that marks what stays (1) and what goes (0).
#   [2](02_weight_pruning.ipynb#Prune-ten-weights-by-hand)
# - **neuron**: see unit. [3](03_neuron_pruning.ipynb#Prune-one-neuron-by-hand)
# - **one-shot**: pruned once, before training goes on.
#   [7](07_synaptic_pruning.ipynb#Put-four-schedules-on-equal-terms)
# - **other weights**, **random masks**: the two networks that a ticket is
#   compared with. [8](08_winning_tickets.ipynb#Rewind-a-toy)
# - **p value**: how often a test would see a difference at least this large if
#   there were none. [15](#Put-all-comparisons-into-one-figure)
# - **paired differences**: those within seeds: both networks of a pair share
#   theirs. [7](07_synaptic_pruning.ipynb#Let-six-seeds-decide)
# - **Pareto front**: the networks than which none is both smaller (or faster)
#   and more accurate. [15](#Weigh-bytes,-time-and-accuracy)
# - **plateau**: where accuracy has stopped rising.
#   [1](01_train_baseline.ipynb#Train-to-a-plateau)
# - **power**: the chance that a test finds a difference that is there.
#   [15](#Ask-how-many-seeds-it-takes)
# - **pruning fraction**: the share of what is left that one round removes.
#   [7](07_synaptic_pruning.ipynb#Prune,-train,-repeat)
# - **quantization**: storing weights as small whole numbers with a scale.
#   [13](13_quantization_and_distillation.ipynb#Round-the-weights)
# - **random baseline**, **random**, **random units**: as many weights or units
#   as the others delete, drawn by lot.
#   [2](02_weight_pruning.ipynb#Prune-a-trained-network)
# - **recovery**: what fine-tuning regains.
#   [4](04_recovery_retraining.ipynb#Retrain-after-pruning-weights)
# - **relative error**, **strength**: how far a layer's outputs are from the
#   whole network's, and how large they are.
#   [3](03_neuron_pruning.ipynb#Find-out-why)
# - **residual network**: blocks add what they make of their input to that
#   input. [11](11_branching_networks.ipynb#See-what-is-tied)
# - **rewind**: give the weights that are left their earlier values back.
#   [8](08_winning_tickets.ipynb#Rewind-a-toy)
# - **ridge**: a small pull towards the old weights.
#   [9](09_repair_without_training.ipynb#Let-a-neighbour-take-over)
# - **round**: pruning a fraction of what is left, then training.
#   [7](07_synaptic_pruning.ipynb#Prune,-train,-repeat)
# - **scale**: what a whole number is multiplied by to give the weight.
#   [13](13_quantization_and_distillation.ipynb#Round-the-weights)
# - **schedule**: the sparsity that is wanted after each step.
#   [7](07_synaptic_pruning.ipynb#Put-four-schedules-on-equal-terms)
# - **score**: the number that ranks weights or units.
#   [3](03_neuron_pruning.ipynb#Prune-one-neuron-by-hand)
# - **seed**: a number that decides everything random.
#   [1](01_train_baseline.ipynb#Build-the-network-and-count)
# - **sensitivity**: the accuracy lost when one layer alone is pruned.
#   [2](02_weight_pruning.ipynb#Test-each-layer)
# - **shortcut**: the way on which a block's input passes it by.
#   [11](11_branching_networks.ipynb#See-what-is-tied)
# - **SNIP**: the Taylor score of weights that are not trained yet.
#   [9](09_repair_without_training.ipynb#What-would-fool-you-here)
# - **sparse** format: what is not zero is stored, with its place.
#   [12](12_block_sparsity.ipynb#Store-a-kernel-three-ways)
# - **sparsity**: the fraction of the prunable weights that is zero.
#   [2](02_weight_pruning.ipynb#Prune-ten-weights-by-hand)
# - **split**: the images to train on, to choose by and to test with.
#   [1](01_train_baseline.ipynb#Look-at-the-data)
# - **spread**: the standard deviation of the paired differences over seeds.
#   [15](#Ask-how-many-seeds-it-takes)
# - **squeeze-and-excite**: each channel is multiplied by a gate, computed from
#   all. [11](11_branching_networks.ipynb#Gates,-concatenations,-attention)
# - **steps**: updates of all weights.
#   [1](01_train_baseline.ipynb#Train-to-a-plateau)
# - **structured**, **unstructured**: whole units or filters go, or single
#   weights. [3](03_neuron_pruning.ipynb#Prune-one-neuron-by-hand)
# - **Taylor** score: the size of a weight times its gradient of the loss.
#   [9](09_repair_without_training.ipynb#Decide-which-layer-pays)
# - **temperature**: what logits are divided by to make a teacher's hints
#   louder. [13](13_quantization_and_distillation.ipynb#Learn-from-a-teacher)
# - **threshold**: the size below which a weight goes.
#   [6](06_threshold_pruning.ipynb#Threshold-ten-weights-by-hand)
# - **tied**: of layers, losing the same channels or none.
#   [11](11_branching_networks.ipynb#See-what-is-tied)
# - **unit**: one output of a layer: in a Dense layer a column of the kernel,
#   and a bias. [3](03_neuron_pruning.ipynb#Prune-one-neuron-by-hand)
# - **validation set**: images held out of training, on which every choice is
#   made. [1](01_train_baseline.ipynb#Look-at-the-data)
# - **Wanda**: a score, the magnitude times the strength of the input.
#   [9](09_repair_without_training.ipynb#Decide-which-layer-pays)
# - **weights, overall or by layer**: as many as the units leave, in the whole
#   network or in each layer.
#   [3](03_neuron_pruning.ipynb#Compare-with-as-many-weights)
#
# ## References
#
# - [Blalock et al., 2020](https://arxiv.org/abs/2003.03033): What is the state
#   of neural network pruning?
# - [Bouthillier et al., 2021](https://arxiv.org/abs/2103.03098): Accounting for
#   variance in machine learning benchmarks.
# - [Carreira-Perpiñán and Idelbayev,
#   2018](https://openaccess.thecvf.com/content_cvpr_2018/html/Carreira-Perpinan_Learning-Compression_Algorithms_for_CVPR_2018_paper.html):
#   “Learning-compression” algorithms for neural net pruning.
# - [Colas et al., 2018](https://arxiv.org/abs/1806.08295): How many random
#   seeds? Statistical power analysis in deep reinforcement learning
#   experiments.
# - [Dettmers and Zettlemoyer, 2019](https://arxiv.org/abs/1907.04840): Sparse
#   networks from scratch: faster training without losing performance.
# - [Elsen et al., 2020](https://arxiv.org/abs/1911.09723): Fast sparse
#   ConvNets.
# - [Evci et al., 2020](https://arxiv.org/abs/1911.11134): Rigging the lottery:
#   making all tickets winners.
# - [Fang et al., 2023](https://arxiv.org/abs/2301.12900): DepGraph: towards any
#   structural pruning.
# - [Frankle and Carbin, 2019](https://arxiv.org/abs/1803.03635): The lottery
#   ticket hypothesis: finding sparse, trainable neural networks.
# - [Frankle et al., 2019](https://arxiv.org/abs/1903.01611): Stabilizing the
#   lottery ticket hypothesis.
# - [Frantar and Alistarh, 2023](https://arxiv.org/abs/2301.00774): SparseGPT:
#   massive language models can be accurately pruned in one-shot.
# - [Guo et al., 2016](https://arxiv.org/abs/1608.04493): Dynamic network
#   surgery for efficient DNNs.
# - [Han et al., 2015](https://arxiv.org/abs/1506.02626): Learning both weights
#   and connections for efficient neural networks.
# - [He et al., 2016](https://arxiv.org/abs/1512.03385): Deep residual learning
#   for image recognition.
# - [Hinton et al., 2015](https://arxiv.org/abs/1503.02531): Distilling the
#   knowledge in a neural network.
# - [Holm, 1979](https://www.jstor.org/stable/4615733): A simple sequentially
#   rejective multiple test procedure.
# - [Hooker et al., 2019](https://arxiv.org/abs/1911.05248): What do compressed
#   deep neural networks forget?
# - [Hu et al., 2018](https://arxiv.org/abs/1709.01507): Squeeze-and-excitation
#   networks.
# - [Jacob et al., 2018](https://arxiv.org/abs/1712.05877): Quantization and
#   training of neural networks for efficient integer-arithmetic-only inference.
# - [Kapoor and Narayanan, 2022](https://arxiv.org/abs/2207.07048): Leakage and
#   the reproducibility crisis in ML-based science.
# - [LeCun et al.,
#   1990](https://proceedings.neurips.cc/paper/1989/hash/6c9882bbac1c7093bd25041881277658-Abstract.html):
#   Optimal brain damage.
# - [Lee et al., 2019](https://arxiv.org/abs/1810.02340): SNIP: single-shot
#   network pruning based on connection sensitivity.
# - [Lee et al., 2021](https://arxiv.org/abs/2010.07611): Layer-adaptive
#   sparsity for the magnitude-based pruning.
# - [Li et al., 2017](https://arxiv.org/abs/1608.08710): Pruning filters for
#   efficient ConvNets.
# - [Liu et al., 2017](https://arxiv.org/abs/1708.06519): Learning efficient
#   convolutional networks through network slimming.
# - [Liu et al., 2019](https://arxiv.org/abs/1810.05270): Rethinking the value
#   of network pruning.
# - [Molchanov, Ashukha and Vetrov, 2017](https://arxiv.org/abs/1701.05369):
#   Variational dropout sparsifies deep neural networks.
# - [Molchanov, Tyree et al., 2017](https://arxiv.org/abs/1611.06440): Pruning
#   convolutional neural networks for resource efficient inference.
# - [Narang et al., 2017](https://arxiv.org/abs/1711.02782): Block-sparse
#   recurrent neural networks.
# - [Renda et al., 2020](https://arxiv.org/abs/2003.02389): Comparing rewinding
#   and fine-tuning in neural network pruning.
# - [Saikumar and Varghese, 2025](https://arxiv.org/abs/2502.15790): Signal
#   collapse in one-shot pruning: when sparse models fail to distinguish neural
#   representations.
# - [Sandler et al., 2018](https://arxiv.org/abs/1801.04381): MobileNetV2:
#   inverted residuals and linear bottlenecks.
# - [Simmons et al., 2011](https://doi.org/10.1177/0956797611417632):
#   False-positive psychology: undisclosed flexibility in data collection and
#   analysis allows presenting anything as significant.
# - [Sun et al., 2023](https://arxiv.org/abs/2306.11695): A simple and effective
#   pruning approach for large language models.
# - [Tanaka et al., 2020](https://arxiv.org/abs/2006.05467): Pruning neural
#   networks without any data by iteratively conserving synaptic flow.
# - [Zhou et al., 2019](https://arxiv.org/abs/1905.01067): Deconstructing
#   lottery tickets: zeros, signs, and the supermask.
# - [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878): To prune, or not to
#   prune: exploring the efficacy of pruning for model compression.
#
# This was the last notebook. The next network to prune is your own.

# %% tags=["check"]
explorer.visit()
