"""Break the helpers on purpose, one line at a time: a test must notice.

python tests/mutants.py            all of them, some minutes
python tests/mutants.py folding    those whose name contains a word
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]


class Mutant(NamedTuple):
    """`old` becomes `new` in a module; the tests of `tests` should fail."""

    name: str
    module: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        "the largest weights go instead of the smallest", "masking",
        "flat = scores.ravel()", "flat = -scores.ravel()", "masking",
    ),
    Mutant(
        "counts are rounded down", "masking",
        "round(sparsity * flat.size)", "int(sparsity * flat.size)", "masking",
    ),
    Mutant(
        "one weight too many goes", "masking",
        "round(sparsity * flat.size)", "round(sparsity * flat.size) + 1",
        "masking",
    ),
    Mutant(
        "magnitudes keep their sign", "masking",
        "_magnitude(require_finite(name, k))", "require_finite(name, k)",
        "masking",
    ),
    Mutant(
        "units are rows", "masking",
        "reshape(-1, np.shape(k)[-1])", "reshape(len(k), -1).T", "masking",
    ),
    Mutant(
        "ties are all kept", "masking",
        "missing = flat.size - num_zeros", "missing = flat.size", "masking",
    ),
    Mutant(
        "ties all go", "masking",
        "        if missing:\n", "        if False:\n", "masking",
    ),
    Mutant(
        "the last of equals go first", "masking",
        "[-missing:]", "[:missing]", "masking",
    ),
    Mutant(
        "a misleading sample is trusted", "masking",
        "if 0 < rank <= near.size:", "if near.size:", "masking",
    ),
    Mutant(
        "zeros are negative, or not held where the weight is no number",
        "pruning",
        "return tf.bitcast(kept, w.dtype)",
        "return w * tf.cast(-bits, w.dtype)", "pruning",
    ),
    Mutant(
        "Adam forgets to correct its second moment", "fitting",
        "tf.pow(adam.beta_2, step)", "adam.beta_2", "fitting",
    ),
    Mutant(
        "copies begin with other initializers", "staging",
        "setattr(layer, name, value)\n    return", "pass\n    return",
        "pruning",
    ),
    Mutant(
        "the threshold itself goes", "masking",
        "require_finite(name, s) >= threshold",
        "require_finite(name, s) > threshold",
        "masking",
    ),
    Mutant(
        "percentages pass for fractions", "masking",
        "0 <= sparsity < 1:", "0 <= sparsity < 100:", "masking",
    ),
    Mutant(
        "the control forgets its seed", "masking",
        "default_rng(seed)", "default_rng()", "masking",
    ),
    Mutant(
        "a layer may be wiped out", "masking",
        "    if mask.any():\n", "    if True:\n", "masking",
    ),
    Mutant(
        "global scope prunes layer by layer", "pruning",
        '"global": masking.global_masks', '"global": masking.layerwise_masks',
        "pruning",
    ),
    Mutant(
        "biases of pruned units stay", "staging",
        "biases = [] if layer.bias is None else [layer.bias]", "biases = []",
        "pruning",
    ),
    Mutant(
        "shifts of pruned filters stay", "staging",
        "return biases + scales + shifts", "return biases + scales", "pruning",
    ),
    Mutant(
        "scales of pruned filters stay", "staging",
        "return biases + scales + shifts", "return biases + shifts", "pruning",
    ),
    Mutant(
        "layers that mix units are accepted", "staging",
        'why = "it may mix the units before it"', "pass", "staging",
    ),
    Mutant(
        "groups of filters are accepted", "staging",
        'getattr(layer, "groups", 1) != 1', "False", "staging",
    ),
    Mutant(
        "models that branch are accepted", "staging",
        "if not isinstance(model, keras.Sequential):", "if False:", "staging",
    ),
    Mutant(
        "the layers after the output decide, too", "staging",
        "stage[: 1 if stage is found[-1] else None]", "stage", "staging",
    ),
    Mutant(
        "activations keep their sign", "pruning",
        "np.abs(x).reshape", "np.array(x).reshape", "pruning",
    ),
    Mutant(
        "zeros are not held", "pruning",
        "        variable.constraint = KeepMask(mask)\n"
        "        _forget_compiled_step(model)\n"
        "    variable.assign(variable.constraint(variable))",
        "        variable.assign(KeepMask(mask)(variable))", "pruning",
    ),
    Mutant(
        "a compiled step does not see new masks", "pruning",
        "model.make_train_function(force=True)", "pass", "pruning",
    ),
    Mutant(
        "weight pruning zeroes biases", "pruning",
        "        whole = mask.ndim == 1\n", "        whole = True\n", "pruning",
    ),
    Mutant(
        "a layer is skipped", "pruning",
        "chosen = layers if include_output else layers[:-1]",
        "chosen = layers if include_output else layers[1:-1]", "pruning",
    ),
    Mutant(
        "the output is pruned, too", "pruning",
        "chosen = layers if include_output else layers[:-1]",
        "chosen = layers", "pruning",
    ),
    Mutant(
        "pruning changes its input", "pruning",
        "    copy = copy_of(model)\n", "    copy = model\n", "pruning",
    ),
    Mutant(
        "masks are held per epoch instead of per step", "training",
        "        pruning.hold_zeros(student)\n"
        "    fit(student, split, num_steps, **options)\n",
        "        kept = [w != 0 for w in student.get_weights()]\n"
        "    fit(student, split, num_steps, **options)\n"
        "    if hold_zeros:\n"
        "        pairs = zip(student.get_weights(), kept)\n"
        "        student.set_weights([w * k for w, k in pairs])\n",
        "training",
    ),
    Mutant(
        "the cache is never hit", "training",
        "if run is None:", "if True:", "training",
    ),
    Mutant(
        "a damaged cache crashes", "training",
        "except Exception as error:  # whatever",
        "except FileExistsError as error:  # whatever", "training",
    ),
    Mutant(
        "weights that are not numbers are read from the cache", "training",
        "np.isfinite(array).all()", "True", "training",
    ),
    Mutant(
        "the seed does not decide the order", "fitting",
        "default_rng(seed)", "default_rng(0)", "fitting",
    ),
    Mutant(
        "two kernels train at once", "training",
        "with one_at_a_time(folder):", "if True:", "training",
    ),
    Mutant(
        "rounds remove the same number of weights", "training",
        "1 - density * ratio ** (number / rounds)",
        "final_sparsity * number / rounds", "training",
    ),
    Mutant(
        "rounds do not rewind", "training",
        "                rewind(model, rewind_to)\n", "                pass\n",
        "training",
    ),
    Mutant(
        "rewinding overwrites the zeros", "training",
        "    pruning.apply_masks(model, {k: m", "    ({k: m", "training",
    ),
    Mutant(
        "gradual pruning is linear", "scheduling",
        "min(max(done, 0), 1)) ** 3", "min(max(done, 0), 1))", "scheduling",
    ),
    Mutant(
        "nothing is pruned after the last step", "scheduling",
        "not in self.sparsities:", "in ():", "scheduling",
    ),
    Mutant(
        "a new mask is not held", "pruning",
        "        old.bits.assign(_bits(mask))\n", "        pass\n",
        "scheduling",
    ),
    Mutant(
        "a study runs everything again", "workshop/running",
        "if rows[path] is None}", "}", "running",
    ),
    Mutant(
        "rows are written at the end only", "workshop/running",
        "progress(finished, label", "progress(list(finished), label",
        "running",
    ),
    Mutant(
        "rows of other code are taken", "workshop/running",
        "experiment.__name__, code,", "0,", "running",
    ),
    Mutant(
        "the band is that of the mean", "studying",
        "np.sqrt(1 + 1 / seeds)", "np.sqrt(1 / seeds)", "studying",
    ),
    Mutant(
        "half-written files are left", "caching",
        "    finally:\n        _remove(part)", "    finally:\n        pass",
        "caching",
    ),
    Mutant(
        "tickets are pruned by their initial weights", "experiments",
        "ticket = pruning.prune_weights(trained,",
        "ticket = pruning.prune_weights(start,", "experiments",
    ),
    Mutant(
        "one unit too many is dropped", "compacting",
        "        reads[:, dead] = 0\n",
        "        dead[-1] |= dead.any()\n        reads[:, dead] = 0\n",
        "compacting",
    ),
    Mutant(
        "folding is dropped", "compacting",
        "        if reader.use_bias:\n", "        if False:\n", "compacting",
    ),
    Mutant(
        "biases are folded without their activation", "compacting",
        "layer.activation(values + (bias[0] if bias else 0))",
        "values + (bias[0] if bias else 0)", "compacting",
    ),
    Mutant(
        "constants are folded without their normalization", "compacting",
        "    for follower in after:\n        values = follower(values)\n", "",
        "compacting",
    ),
    Mutant(
        "constants are folded at one position only", "compacting",
        "added.sum(axis=0)", "added[0]",
        "compacting",
    ),
    Mutant(
        "constants are folded into padded convolutions", "compacting",
        "(reader.use_bias and not pads)", "reader.use_bias", "compacting",
    ),
    Mutant(
        "constants without a bias to go to are lost", "compacting",
        "(reader.use_bias and not pads)", "(not pads)", "compacting",
    ),
    Mutant(
        "one position speaks for all", "compacting",
        "np.isclose(values, values[0], rtol=1e-6).all(axis=0)",
        "np.isfinite(values[0])", "compacting",
    ),
    Mutant(
        "filters with a scale of zero are not seen", "compacting",
        "silent |= ~gamma.any(axis=0)", "pass", "compacting",
    ),
    Mutant(
        "positions are taken for filters after Flatten", "compacting",
        "np.resize(channels, kernel.shape[-2])",
        "np.repeat(channels, kernel.shape[-2] // channels.size)", "compacting",
    ),
    Mutant(
        "chains of dead units are not followed", "compacting",
        "    while _drop_dead_units(stages[1:], weights, alive):\n        pass",
        "    if _drop_dead_units(stages[1:], weights, alive):\n        pass",
        "compacting",
    ),
    Mutant(
        "gamma and beta that come back are not seen", "checking",
        "if whole else []", "if False else []", "checking",
    ),
    Mutant(
        "filters are scored by their norm instead of activations",
        "experiments",
        "scores = pruning.activation_scores(model, split.x_train[:1000])",
        "pass", "experiments",
    ),
    Mutant(
        "a claim always passes", "checking",
        "return _say(value, text", "return _say(True, text", "checking",
    ),
    Mutant(
        "a bound may be reached", "checking",
        "room[worst] > 0", "room[worst] >= 0", "checking",
    ),
    Mutant(
        "the best is shown for the worst", "checking",
        "np.argmin(room)", "np.argmax(room)", "checking",
    ),
    Mutant(
        "other outputs are the same", "checking",
        "same = gap <= tolerance", "same = True", "checking",
    ),
    Mutant(
        "differences are taken between seeds", "studying",
        "stats.ttest_1samp(gaps, 0)", "stats.ttest_1samp(gaps, gaps.mean())",
        "studying",
    ),
    Mutant(
        "p values are not corrected", "studying",
        'method="holm")[1]', 'method="holm")[1] * 0 + rows["p"]', "studying",
    ),
    Mutant(
        "the network keeps the masks of the place before", "sliders",
        'model.set_weights(self.weights[chosen["data"]])', "pass", "sliders",
    ),
    Mutant(
        "the sweep is believed", "sliders",
        '"accuracy": right / len(split.x_test)', "", "sliders",
    ),
    Mutant(
        "who has moved on sees what was left", "engine/explorer",
        "while self._place() == place:", "while True:", "explorer",
    ),
    Mutant(
        "bands are those of all seeds", "plotting",
        'seeds = seeds[seeds["seed"] != 0]', "pass", "plotting",
    ),
    Mutant(
        "the detector of revived weights sees nothing", "checking",
        "self.worst = max(self.worst, int(revived))", "pass", "checking",
    ),
    Mutant(
        "the slider is not wired", "engine/explorer",
        'control.observe(self._move, "value")', "pass", "explorer",
    ),
    Mutant(
        "the picture does not follow the slider", "engine/explorer",
        "self.pictures.value = ",
        "self.pictures.value = self.pictures.value or ", "explorer",
    ),
    Mutant(
        "warm-up is not dropped", "measuring",
        "pd.DataFrame(rows[warm_up:])", "pd.DataFrame(rows[:repeats])",
        "measuring",
    ),
    Mutant(
        "MACs of a convolution forget its positions", "measuring",
        " * np.prod(layer.output.shape[1:-1])", "", "measuring",
    ),
    Mutant(
        "accuracies are drawn as fractions", "plotting",
        "scale = 100 if percent else 1", "scale = 1", "plotting",
    ),
    Mutant(
        "the ring does not move", "engine/pictures",
        "self.ring.set_data([x], [height])", "pass", "pictures",
    ),
    Mutant(
        "a page without a kernel begins elsewhere", "workshop/publishing",
        "first=states[now]", "first=states[0]", "publishing",
    ),
    Mutant(
        "the choices are not passed on to the drawing", "engine/explorer",
        "accuracy, image, **chosen", "accuracy, image", "explorer",
    ),
    Mutant(
        "units without weights count as left", "measuring",
        "kept.any(axis=0).sum()", "kept.shape[1]", "measuring",
    ),
    Mutant(
        "links of the site lead to notebooks", "publishing",
        '({name.stem}.html)"', '({target})"', "publishing",
    ),
    Mutant(
        "pages may load scripts from anywhere", "publishing",
        'template_name="site"', 'template_name="lab"', "publishing",
    ),
    Mutant(
        "full integers come without calibration", "deploying",
        "return options | {", "return options or {", "deploying",
    ),
    Mutant(
        "calibration images are not looked at", "deploying",
        "if not np.isfinite(images).all():", "if False:", "deploying",
    ),
    Mutant(
        "alone everything can be imported", "deploying",
        "sys.meta_path.insert(0, Only())", "pass", "deploying",
    ),
    Mutant(
        "alone the caller's folders are searched, too", "deploying",
        '"-I", "-S", "-c"', '"-c"', "deploying",
    ),
    Mutant(
        "a failed conversion is not explained", "deploying",
        "raise _not_converted(model, kind, error) from error", "raise",
        "deploying",
    ),
    Mutant(
        "Keras quantizes the model itself", "deploying",
        "copy = pruning.copy_of(model)", "copy = model", "deploying",
    ),
    Mutant(
        "Keras' default loss teaches", "distilling",
        "            keras.losses.KLDivergence(),\n", "", "distilling",
    ),
    Mutant(
        "teacher and labels change shares", "distilling",
        "student_loss_weight=1 - weight", "student_loss_weight=weight",
        "distilling",
    ),
    Mutant(
        "a student's zeros are not held", "distilling",
        "    pruning.hold_zeros(student)\n", "", "distilling",
    ),
    Mutant(
        "the teacher is frozen for good", "distilling",
        "pruning.copy_of(teacher),", "teacher,", "distilling",
    ),
    Mutant(
        "shares are taken for logits", "distilling",
        'if name != "linear" or', "if", "distilling",
    ),
    Mutant(
        "a file is timed as if it were another runtime's", "measuring",
        'if isinstance(model, bytes) and runtime != "litert":', "if False:",
        "measuring",
    ),
    Mutant(
        "a new student starts from the cut one", "experiments",
        'if student == "new":', "if False:", "experiments",
    ),
    Mutant(
        "altered data are accepted", "datasets",
        "if digest.hexdigest() not in KNOWN[name]:", "if False:", "datasets",
    ),
    Mutant(
        "validation images are trained on", "datasets",
        "x_train[:last], y_train[:last]", "x_train, y_train", "datasets",
    ),
    Mutant(
        "the seed of the weights is ignored", "networks",
        "int(1000 * seed + number)", "number", "networks",
    ),
    Mutant(
        "the largest magnitude of an int8 is the smallest", "masking",
        "_magnitude(require_finite(name, k))",
        "np.abs(require_finite(name, k))",
        "masking",
    ),
    Mutant(
        "norms overflow in the weights' own dtype", "masking",
        '{"dtype": np.float64, "casting": "same_kind"}', "{}", "masking",
    ),
    Mutant(
        "counts overflow in the sparsity's own dtype", "masking",
        "return float(sparsity)", "return sparsity", "masking",
    ),
    Mutant(
        "bfloat16 and float16 cannot be compared", "masking",
        'array.dtype.kind == "V"', "False", "masking",
    ),
    Mutant(
        "layers inside layers are left out", "staging",
        "        if inner:\n", "        if False:\n", "refusals",
    ),
    Mutant(
        "units are dropped from graphs", "staging",
        "if not isinstance(model, keras.Sequential):", "if False:", "refusals",
    ),
    Mutant(
        "labels of other rows are taken", "staging",
        "labels.size == len(x) and known", "known", "refusals",
    ),
    Mutant(
        "labels of other classes are taken", "staging",
        "labels.size == len(x) and known.all()", "labels.size == len(x)",
        "refusals",
    ),
    Mutant(
        "a layer's own constraint is lost", "pruning",
        "not isinstance(constraint, KeepMask):", "False:", "refusals",
    ),
    Mutant(
        "integers are taken for weights", "pruning",
        "if kind or", "if", "refusals",
    ),
    Mutant(
        "holding is refused when half is done", "pruning",
        "    _held_by(model, weights)  # or refuse it before the units' are "
        "held\n", "", "refusals",
    ),
    Mutant(
        "rewinding is refused when half is done", "training",
        "    pruning.hold_zeros(model)  # or refuse it now\n", "", "refusals",
    ),
    Mutant(
        "rewinding to what is no number begins", "training",
        "    masking.magnitude_scores(pruning.prunable_kernels(to, "
        "include_output=True))\n", "", "refusals",
    ),
    Mutant(
        "NaN is learned from", "fitting",
        "if not np.isfinite(x.min() + x.max()):", "if False:", "refusals",
    ),
    Mutant(
        "NaN holds", "checking",
        "np.bool_ | numbers.Integral | None", "object", "refusals",
    ),
    Mutant(
        "a shared layer is counted once", "measuring",
        'if len(layer["inbound_nodes"]) > 1:', "if False:", "refusals",
    ),
    Mutant(
        "labels in a column are compared with every row", "measuring",
        "y = staging.require_labels(model, outputs, y)", "pass", "measuring",
    ),
    Mutant(
        "units of higher scores go at higher sparsities", "masking",
        "flat = scores.ravel()",
        "flat = scores.ravel() if sparsity < 0.5 else -scores.ravel()", "laws",
    ),
    Mutant(
        "masked weights are only made smaller", "pruning",
        "return tf.bitcast(kept, w.dtype)",
        "return (w + tf.bitcast(kept, w.dtype)) / 2",
        "laws",
    ),
    Mutant(
        "holding zeros makes more", "pruning",
        "{k: ~gone for", "{k: gone for", "laws",
    ),
    Mutant(
        "widget views are stored", "building",
        "data.pop(WIDGET, None)", "pass", "building",
    ),
]  # fmt: skip


def changed(mutant):
    """The source of the mutant's module with its one change."""
    source = (ROOT / "helpers" / f"{mutant.module}.py").read_text()
    if source.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} occurs {source.count(mutant.old)} "
            f"times in {mutant.module}.py, expected once."
        )
    return source.replace(mutant.old, mutant.new)


def passes(tests, sources):
    """Whether `tests` pass on a copy with these modules' sources."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("helpers", "tests"):
            shutil.copytree(ROOT / name, f"{folder}/{name}")
        shutil.copy(ROOT / "pyproject.toml", folder)
        for module, source in sources.items():
            pathlib.Path(folder, f"helpers/{module}.py").write_text(source)
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q",
             "-p", "no:cacheprovider", *(f"tests/test_{t}.py" for t in tests)],
            cwd=folder, env={**os.environ, "PYTHONPATH": folder},
            capture_output=True, text=True,
        )  # fmt: skip
    if run.returncode not in (0, 1):  # neither passed nor failed
        raise RuntimeError(f"{tests}: {run.stdout}{run.stderr}")
    return run.returncode == 0


def main(word=""):
    """Try every mutant whose name contains `word`; returns the survivors."""
    mutants = [mutant for mutant in MUTANTS if word in mutant.name]
    sources = [{mutant.module: changed(mutant)} for mutant in mutants]
    if not passes(sorted({mutant.tests for mutant in mutants}), {}):
        raise RuntimeError("The tests fail without any change; mend that.")
    survivors = 0
    for mutant, source in zip(mutants, sources, strict=True):
        survived = passes([mutant.tests], source)
        survivors += survived
        verdict = "SURVIVED" if survived else "killed"
        print(f"{verdict:8s}  {mutant.module}: {mutant.name}", flush=True)
    return survivors


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
