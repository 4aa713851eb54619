"""What cannot be done is refused by name, before anything is changed.

Each law is tried on draws of what does not fit. Refused means: a ValueError or
TypeError of the helpers' own (not one from deep inside NumPy or Keras),
that says what to pass instead; no weight, constraint, optimizer or file has
changed, and nothing was trained.
"""

import contextlib
import dataclasses
import functools
import math
import pathlib
import re
import traceback
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import LAYOUTS, layers, scores

import helpers
from helpers import (
    checking,
    compacting,
    datasets,
    deploying,
    distilling,
    fitting,
    masking,
    measuring,
    networks,
    plotting,
    pruning,
    scheduling,
    sliders,
    staging,
    studying,
    training,
)
from helpers.engine import caching
from helpers.engine.backend import keras

pytestmark = pytest.mark.usefixtures("tiny_networks")
law = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
OURS = str(pathlib.Path(helpers.__file__).parent)
L = keras.layers
X = np.linspace(0, 1, 120, dtype=np.float32).reshape(20, 6)
Y = np.arange(20) % 3
SPLIT = datasets.Split(X, Y, X, Y, X, Y, "toy", "here")
TURNS = {"repeats": 1, "warm_up": 0, "calls_per_turn": 1}
TABLE = pd.DataFrame({"seed": [0, 1], "m": [1, 1], "accuracy": [0.4, 0.5]})


@functools.cache
def good(number=0):
    """Two networks that all refusals share: none of them changes any."""
    model = networks.mlp((5, 4), inputs=6, classes=3, seed=number)
    pruning.apply_masks(model, {"hidden_1": np.arange(5) > 0})
    model.compile("adam", "mse")
    return model


def state():
    """All that a refusal leaves alone, by identity where it can be."""
    folder = caching.cache_folder()
    files = sorted(folder.rglob("*")) if folder.exists() else []
    return files, [
        (
            [w.tobytes() for w in model.get_weights()],
            [v.constraint for v in model.variables],
            (model.optimizer, model.train_function, model.trainable),
        )
        for model in (good(), good(1))
    ]


@contextlib.contextmanager
def refused():
    """Refused by us, with advice, before anything is changed or trained."""
    before = state()
    trained = mock.Mock(side_effect=AssertionError("this trains"))
    with (
        mock.patch.object(keras.Model, "fit", trained),
        pytest.raises((ValueError, TypeError)) as caught,
    ):
        yield
    innermost = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert innermost.filename.startswith(OURS), innermost
    assert re.search(
        r"\b([Pp]ass|[Cc]heck|[Cc]ompile|Make|Give)\b", str(caught.value)
    )
    assert state() == before


# Numbers

NOT_NUMBERS = ["0.5", None, [0.5], (), {}, 0.5j, math.nan, math.inf, -math.inf]
below = st.floats(max_value=0, exclude_max=True) | st.integers(max_value=-1)
not_sparsities = (
    below
    | st.floats(1)
    | st.integers(1)
    | st.sampled_from([*NOT_NUMBERS, True, False, np.array(0.5), np.float16(1)])
)
not_counts = (
    st.integers(max_value=0)
    | st.floats()
    | st.sampled_from([*NOT_NUMBERS, True, False, np.float32(2), np.array(2)])
)
not_seeds = not_counts.filter(lambda n: n is False or n != 0 or n == 0.5)
not_rates = below | st.sampled_from([0, *NOT_NUMBERS, True, np.array(0.1)])

SPARSITIES = [
    lambda s: masking.layerwise_masks({"a": X}, s),
    lambda s: masking.global_masks({"a": X}, s),
    lambda s: masking.unit_masks({"a": X[0]}, s),
    lambda s: pruning.prune_weights(good(), s),
    lambda s: pruning.prune_weights(good(), s, "global"),
    lambda s: pruning.prune_units(good(), s),
    scheduling.one_shot,
    lambda s: scheduling.in_rounds(s, 3, 10),
    lambda s: scheduling.gradual(s, 0, 10),
    lambda s: scheduling.gradual(0.9, 0, 10, initial_sparsity=s),
    lambda s: training.prune_in_rounds(good(), SPLIT, s, 2, 4),
]
COUNTS = [
    lambda n: fitting.fit(good(), SPLIT, n),
    lambda n: fitting.fit(good(), SPLIT, 4, batch_size=n),
    lambda n: fitting.fit(good(), SPLIT, 4, epochs=n),
    lambda n: fitting.batch_order(SPLIT, n, 4, 0),
    lambda n: fitting.batch_order(SPLIT, 4, n, 0),
    lambda n: training.fine_tune(good(), SPLIT, n),
    lambda n: training.prune_in_rounds(good(), SPLIT, 0.5, n, 4),
    lambda n: training.prune_in_rounds(good(), SPLIT, 0.5, 2, n),
    lambda n: training.baseline(SPLIT, num_steps=n or 0),
    lambda n: training.baseline(SPLIT, widths=(3, n)),
    lambda n: distilling.distill(good(), good(1), SPLIT, n),
    lambda n: scheduling.in_rounds(0.9, n, 10),
    lambda n: scheduling.in_rounds(0.9, 3, n),
    lambda n: scheduling.PruneOnSchedule(abs, n),
    lambda n: measuring.latency(good(), X, n),
    lambda n: measuring.time_in_turns({"a": dict}, repeats=n),
    lambda n: measuring.time_in_turns({"a": dict}, calls_per_turn=n),
    lambda n: networks.mlp((n,)),
    lambda n: networks.mlp(inputs=n),
    lambda n: networks.mlp(classes=n),
    lambda n: networks.lenet((3, n)),
    lambda n: networks.lenet(widths=(n,)),
    lambda n: networks.lenet(classes=n),
    lambda n: plotting.images([], columns=n),
]
SEEDS = [
    lambda n: masking.random_scores({"a": X}, n),
    lambda n: fitting.fit(good(), SPLIT, 4, seed=n),
    lambda n: fitting.batch_order(SPLIT, 4, 4, n),
    lambda n: training.fine_tune(good(), SPLIT, 4, seed=n),
    lambda n: training.baseline(SPLIT, seed=n),
    lambda n: networks.mlp(seed=n),
    lambda n: networks.lenet(seed=n),
    lambda n: studying.study(experiment, [0, n], sample=True),
    lambda n: measuring.time_in_turns({"a": dict}, warm_up=n),
]
RATES = [
    lambda r: fitting.fit(good(), SPLIT, 4, learning_rate=r),
    lambda r: training.fine_tune(good(), SPLIT, 4, learning_rate=r),
    lambda r: distilling.distill(good(), good(1), SPLIT, 4, temperature=r),
    lambda r: distilling.distill(good(), good(1), SPLIT, 4, weight=r or "0"),
    lambda r: masking.threshold_masks({"a": X}, r or "0"),
    lambda r: networks.mlp(l2=r or None),
    lambda r: scheduling.gradual(0.9, r or None, 10),
    lambda r: scheduling.gradual(0.9, 0, r),
]


def experiment(split, seed):
    return {"accuracy": 0.5}


class TestNumbers:
    @law
    @given(st.sampled_from(SPARSITIES), not_sparsities)
    def test_what_is_no_sparsity_is_refused(self, verb, sparsity):
        with refused():
            verb(sparsity)

    @law
    @given(st.sampled_from(COUNTS), not_counts)
    def test_what_is_no_count_is_refused(self, verb, count):
        with refused():
            verb(count)

    @law
    @given(st.sampled_from(SEEDS), not_seeds)
    def test_what_is_no_seed_is_refused(self, verb, seed):
        with refused():
            verb(seed)

    @law
    @given(st.sampled_from(RATES), not_rates)
    def test_what_is_no_rate_is_refused(self, verb, rate):
        with refused():
            verb(rate)


# Arrays

BROKEN = [
    None, 3.0, "abc", np.array(1.0), np.zeros((0, 3)), [], [[1, 2], [3]],
    np.array([1 + 1j]), np.array([1, "x", None], object), np.array(["a", "b"]),
    np.array(["2020-01-01"], "M8[D]"), np.zeros(2, [("a", float)]), [None],
]  # fmt: skip
NOT_DICTS = [None, {}, [], [X], X, "abc", 3, (("a", X),), {"a"}]
RANKED = [
    masking.magnitude_scores,
    masking.unit_scores,
    lambda s: masking.random_scores(s, 0),
    lambda s: masking.layerwise_masks(s, 0.5),
    lambda s: masking.global_masks(s, 0.5),
    lambda s: masking.threshold_masks(s, 0.5),
]
COUNTED = [
    masking.sparsity_of,
    checking.zero_counts,
    lambda s: masking.unit_masks(s, 0.5),
]


@st.composite
def not_finite(draw):
    """Scores of a float dtype, one of them NaN or infinite."""
    array = draw(
        scores(layouts=["plain"]).filter(lambda a: a.dtype.kind in "fV")
    )
    array.flat[draw(st.integers(0, array.size - 1))] = draw(
        st.sampled_from([np.nan, np.inf, -np.inf])
    )
    return LAYOUTS[draw(st.sampled_from([*LAYOUTS]))](array)


@st.composite
def masks_that_do_not_fit(draw):
    """One of another shape, with other values or for another layer."""
    shapes = [(5, 6), (6,), (1,), (6, 5, 1), (6, 4), (1, 5), (4, 5)]
    values = [2, -1, 0.5, np.nan, np.inf, 255]
    full = np.ones((5, 4))
    full.flat[draw(st.integers(0, 19))] = draw(st.sampled_from(values))
    misshapen = np.ones(draw(st.sampled_from(shapes)))
    bad = draw(st.sampled_from([full, misshapen, *BROKEN]))
    name = draw(st.sampled_from(["hidden_2", "hidden_9", "", None]))
    return {"hidden_1": np.zeros(5), name: bad}


def watch(model, masks):
    """What Keras calls before the first step."""
    detector = checking.RevivedWeights(masks)
    detector.set_model(model)
    detector.on_train_begin()


class TestArrays:
    @law
    @given(st.sampled_from(RANKED), layers(), not_finite())
    def test_what_is_not_finite_is_refused_by_layer(self, verb, fine, bad):
        with refused():
            verb({**fine, "broken": bad})

    @law
    @given(st.sampled_from(RANKED + COUNTED), layers(), st.sampled_from(BROKEN))
    def test_what_is_no_array_of_numbers_is_refused(self, verb, fine, bad):
        with refused():
            verb({**fine, "broken": bad})

    @pytest.mark.parametrize("verb", RANKED + COUNTED)
    @pytest.mark.parametrize("bad", NOT_DICTS, ids=str)
    def test_what_is_no_dict_of_layers_is_refused(self, verb, bad):
        with refused():
            verb(bad)

    @law
    @given(
        st.sampled_from([pruning.apply_masks, watch]), masks_that_do_not_fit()
    )
    def test_what_is_no_mask_of_the_model_is_refused(self, verb, masks):
        with refused():
            verb(good(), masks)

    @pytest.mark.parametrize("masks", [None, [X], "abc", 3], ids=str)
    def test_what_is_no_dict_of_masks_is_refused(self, masks):
        for verb in (pruning.apply_masks, watch):
            with refused():
                verb(good(), masks)


# Models


class Subclass(keras.Model):
    """Keras cannot tell what its layers read."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = (
            L.Dense(4, name="same"),
            L.Dense(3, name="same"),
        )

    def call(self, x):
        return self.last(self.hidden(x))


def called(model):
    model(X)
    return model


def sequence(*hidden, last=3):
    return keras.Sequential([keras.Input((6,)), *hidden, L.Dense(last)])


def nested():
    """Two layers of one name, which the outer model does not list."""
    inner = [
        keras.Sequential([keras.Input((6,)), L.Dense(6, name="same")])
        for _ in range(2)
    ]
    return sequence(*inner, L.Dense(4))


def two_outputs():
    entry = keras.Input((6,))
    hidden = L.Dense(4)(entry)
    return keras.Model(entry, [L.Dense(3)(hidden), L.Dense(3)(hidden)])


def two_inputs():
    entries = keras.Input((6,)), keras.Input((6,))
    return keras.Model(entries, L.Dense(3)(L.Dense(4)(L.add(entries))))


def graph(normalize=False):
    entry = keras.Input((6,))
    inside = L.Dense(6, name="inside")(entry)
    inside = L.BatchNormalization()(inside) if normalize else inside
    return keras.Model(entry, L.Dense(3)(L.add([entry, inside])))


def shared():
    entry, layer = keras.Input((6,)), L.Dense(6)
    return keras.Model(entry, L.Dense(3)(layer(layer(entry))))


def adapted():
    model = networks.mlp((5, 4), inputs=6, classes=3)
    model.layers[0].enable_lora(1)
    return model


def diverged():
    model = networks.mlp((5, 4), inputs=6, classes=3)
    model.layers[1].kernel.assign(np.full((5, 4), np.nan))
    mask = {"hidden_1": np.arange(5) > 0}  # a pruned one, but not held
    kernel, bias = model.layers[0].get_weights()
    model.layers[0].set_weights([kernel * mask["hidden_1"], bias])
    return model


def averaging():
    model = networks.mlp((5, 4), inputs=6, classes=3)
    model.compile(keras.optimizers.Adam(use_ema=True), "mse")
    return model


def half_held():
    """The first layer's zeros could be held, but not the second's."""
    late = L.Dense(4, kernel_constraint="non_neg", name="late")
    model = sequence(L.Dense(5, name="first"), late)
    model.get_layer("first").kernel.assign(np.ones((6, 5)) * (np.arange(5) > 0))
    late.kernel.assign(np.eye(5, 4))
    return model


NOT_MODELS = {
    "nothing": lambda: None,
    "text": lambda: "mlp",
    "a layer": lambda: L.Dense(3),
    "weights": lambda: [X, Y],
    "unbuilt": lambda: keras.Sequential([L.Dense(4), L.Dense(3)]),
    "a subclass": lambda: called(Subclass()),
    "an unbuilt subclass": Subclass,
    "two outputs": two_outputs,
    "two inputs": two_inputs,
}
NOT_PRUNABLE = NOT_MODELS | {
    "nested": nested,
    "wrapped": lambda: keras.Sequential(
        [keras.Input((2, 3)), L.TimeDistributed(L.Dense(4)), L.Flatten(),
         L.Dense(3), L.Dense(3)]
    ),
    "integers": lambda: deploying.keras_int8(good(1)),
    "adapted": adapted,
    "without kernels": lambda: keras.Sequential([keras.Input((6,)), L.ReLU()]),
}  # fmt: skip
NOT_HELD = NOT_PRUNABLE | {"diverged": diverged}
CONSTRAINED = {
    "constrained": lambda: sequence(L.Dense(4, kernel_constraint="non_neg"))
}
NOT_CHAINS = NOT_MODELS | {"a graph": graph, "shared": shared}
NOT_COUNTED = NOT_MODELS | {
    "nested": nested,
    "shared": shared,
    "separable": lambda: keras.Sequential(
        [keras.Input((6, 6, 1)), L.SeparableConv2D(2, 3), L.Flatten()]
    ),
}
MODEL_VERBS = [
    (NOT_MODELS, pruning.copy_of),
    (NOT_MODELS, staging.require_built),
    (NOT_MODELS, deploying.convert),
    (NOT_MODELS, lambda m: fitting.fit(m, SPLIT, 4)),
    (NOT_MODELS, lambda m: measuring.predictions(m, X)),
    (NOT_MODELS, lambda m: measuring.accuracy(m, X, Y)),
    (NOT_MODELS, lambda m: measuring.loss_and_accuracy(m, X, Y)),
    (NOT_MODELS, lambda m: measuring.latency(m, X, 2, **TURNS)),
    (NOT_MODELS, lambda m: measuring.latency({"a": m}, X, 2, "predict")),
    (NOT_MODELS, lambda m: distilling.distill(m, good(), SPLIT, 4)),
    (NOT_MODELS, lambda m: distilling.distill(good(), m, SPLIT, 4)),
    (NOT_MODELS, lambda m: training.rewind(good(), m)),
    (NOT_COUNTED, measuring.macs_per_layer),
    (NOT_COUNTED, measuring.counts),
    (NOT_COUNTED, measuring.cost),
    (NOT_CHAINS, staging.stages),
    (NOT_CHAINS, compacting.compact),
    (NOT_CHAINS, compacting.live_units),
    (NOT_CHAINS, lambda m: pruning.activation_scores(m, X)),
    (NOT_PRUNABLE, pruning.prunable_kernels),
    (NOT_PRUNABLE, pruning.masks_of),
    (NOT_PRUNABLE, pruning.deleted_units),
    (NOT_PRUNABLE, lambda m: pruning.apply_masks(m, {})),
    (NOT_PRUNABLE, lambda m: measuring.readings(m, X, Y)),
    (NOT_HELD, pruning.hold_zeros),
    (NOT_HELD, lambda m: training.fine_tune(m, SPLIT, 4)),
    (NOT_HELD, lambda m: training.rewind(m, to=m)),
    (NOT_HELD | CONSTRAINED, lambda m: pruning.prune_weights(m, 0.5)),
    (NOT_HELD | CONSTRAINED, lambda m: pruning.prune_units(m, 0.5)),
    (NOT_HELD, lambda m: training.prune_in_rounds(m, SPLIT, 0.5, 2, 4)),
    ({"averaging": averaging}, lambda m: training.rewind(m, to=good())),
    ({"averaging": averaging}, pruning.hold_zeros),
    ({"half held": half_held}, pruning.hold_zeros),
    ({"half held": half_held}, lambda m: training.rewind(m, to=m)),
    ({"diverged": diverged}, lambda m: training.rewind(good(), to=m)),
    (
        {"normalized graph": functools.partial(graph, True)},
        lambda m: pruning.apply_masks(m, {"inside": np.arange(6) > 0}),
    ),
]
MODEL_CASES = [
    (verb, make) for bad, verb in MODEL_VERBS for make in bad.items()
]


@functools.cache
def bad_model(name, make):
    return make()


def insides(model):
    if not isinstance(model, keras.Model):
        return None
    kept = [v.constraint for v in model.variables]
    return [w.tobytes() for w in model.get_weights()], kept, model.compiled


class TestModels:
    @pytest.mark.parametrize(
        ("verb", "make"),
        MODEL_CASES,
        ids=[name for _, (name, _) in MODEL_CASES],
    )
    def test_what_is_no_fitting_model_is_refused(self, verb, make):
        model = bad_model(*make)
        before = insides(model)
        with refused():
            verb(model)
        assert insides(model) == before


# Images and labels

NOT_ROWS = [
    None, 3, "abc", [], X[:0], X[:, :5], X[0], X[None], X.reshape(20, 3, 2),
    X.astype(str), X.astype(object), X + 1j, [[1], [1, 2]], {"x": X},
]  # fmt: skip
READERS = [
    lambda x: measuring.predictions(good(), x),
    lambda x: measuring.accuracy(good(), x, Y),
    lambda x: measuring.loss_and_accuracy(good(), x, Y),
    lambda x: measuring.readings(good(), x, Y),
    lambda x: measuring.latency(good(), x, 1, **TURNS),
    lambda x: pruning.activation_scores(good(), x),
]
LEARNERS = [
    lambda split: fitting.fit(good(), split, 4),
    lambda split: training.fine_tune(good(), split, 4),
    lambda split: training.prune_in_rounds(good(), split, 0.5, 2, 4),
    lambda split: training.baseline(split, build=lambda seed: good()),
    lambda split: distilling.distill(good(), good(1), split, 4),
]
rows_that_do_not_fit = st.sampled_from(NOT_ROWS) | st.builds(
    np.zeros,
    st.lists(st.integers(0, 7), max_size=4).filter(
        lambda shape: shape[1:] != [6] or not shape[0]
    ),
)


@st.composite
def wrong_labels(draw, out_of_range=True):
    """As many as there should be and some wrong, or too few, or no numbers."""
    labels = Y.astype(draw(st.sampled_from([np.int64, np.float32, np.int8])))
    if out_of_range and draw(st.booleans()):
        values = [3, -1, 100] + [0.5, np.nan, np.inf] * (
            labels.dtype.kind == "f"
        )
        labels[draw(st.integers(0, 19))] = draw(st.sampled_from(values))
        return labels
    others = [None, 1, "abc", Y.astype(str), np.eye(3)[Y], [], {"y": Y}]
    size = draw(st.integers(0, 60).filter(lambda n: n != 20))
    return draw(st.sampled_from([*others, np.resize(labels, size)]))


@st.composite
def broken_splits(draw):
    """One of whose training arrays cannot be learned from."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, 3, X, (X, Y), {"x_train": X}]))
    what = draw(st.sampled_from(["x", "y", "NaN"]))
    if what == "y":
        return dataclasses.replace(SPLIT, y_train=draw(wrong_labels()))
    x = X.copy()
    x.flat[draw(st.integers(0, x.size - 1))] = draw(
        st.sampled_from([np.nan, np.inf, -np.inf])
    )
    if what == "x":
        x = draw(rows_that_do_not_fit)
    return dataclasses.replace(SPLIT, x_train=x)


class TestData:
    @law
    @given(st.sampled_from(READERS), rows_that_do_not_fit)
    def test_rows_that_the_model_does_not_take_are_refused(self, verb, x):
        with refused():
            verb(x)

    @law
    @given(wrong_labels())
    def test_labels_of_other_rows_or_classes_are_refused(self, y):
        with refused():
            measuring.loss_and_accuracy(good(), X, y)

    @law
    @given(wrong_labels(out_of_range=False))
    def test_no_accuracy_is_given_for_labels_of_other_rows(self, y):
        with refused():
            measuring.accuracy(good(), X, y)

    @law
    @given(st.sampled_from(LEARNERS), broken_splits())
    def test_data_that_cannot_be_learned_from_are_refused(self, verb, split):
        with refused():
            verb(split)


# Everything else that a function takes

ROUNDS = functools.partial(training.prune_in_rounds, good(), SPLIT, 0.5, 2, 4)
IMAGES = np.zeros((2, 784))
BAND = pd.DataFrame({"low": [0.1], "high": [0.9], "seeds": [2]}, index=["a"])


def explorer(positions=(0, 1), look=dict, draw=dict, start=0, **options):
    return sliders.Explorer(positions, look, draw, start, **options)


SETTINGS = {
    "scope": lambda: pruning.prune_weights(good(), 0.5, scope=None),
    "scope of rounds": lambda: ROUNDS(scope="all"),
    "measure": lambda: ROUNDS(measure=3),
    "rewind_to": lambda: ROUNDS(rewind_to=networks.mlp((3,))),
    "sparser already": lambda: training.prune_in_rounds(
        pruning.prune_weights(good(), 0.9), SPLIT, 0.5, 2, 4
    ),
    "num_steps and epochs": lambda: fitting.fit(good(), SPLIT, 7, epochs=2),
    "num_steps of a run": lambda: training.baseline(SPLIT, num_steps=7),
    "callbacks": lambda: fitting.fit(good(), SPLIT, 4, callbacks=[3]),
    "no callbacks": lambda: fitting.fit(good(), SPLIT, 4, callbacks=None),
    "dataset": lambda: training.baseline(3),
    "name": lambda: training.baseline("digits"),
    "no name": lambda: datasets.load(None),
    "build": lambda: training.baseline(SPLIT, build="lenet"),
    "widths": lambda: networks.mlp(5),
    "letters": lambda: networks.mlp("ab"),
    "filters": lambda: networks.lenet((2, 2, 2)),
    "begin_step": lambda: scheduling.gradual(0.5, 10, 10),
    "denser": lambda: scheduling.gradual(0.5, 0, 10, 0.6),
    "schedule": lambda: scheduling.PruneOnSchedule(0.5),
    "schedules": lambda: scheduling.PruneOnSchedule({}),
    "kind": lambda: deploying.convert(good(), kind=[]),
    "images": lambda: deploying.convert(good(), "full int8", 3),
    "images of text": lambda: deploying.convert(good(), "full int8", ["a"]),
    "images unwanted": lambda: deploying.convert(good(), images=3),
    "file": lambda: deploying.runner("model.tflite", X),
    "bytes": lambda: deploying.runner(b"1234TFL3", X),
    "runtime": lambda: measuring.latency(good(), X, 2, []),
    "models": lambda: measuring.latency({}, X, 2),
    "file in TensorFlow": lambda: measuring.latency(b"", X, 2),
    "more than there are": lambda: measuring.latency(good(), X, 21),
    "calls": lambda: measuring.time_in_turns({}),
    "no functions": lambda: measuring.time_in_turns({"a": 3}),
    "no turns": lambda: measuring.summary(pd.DataFrame()),
    "no table of turns": lambda: measuring.summary([1, 2]),
    "teacher": lambda: distilling.distill(
        networks.mlp((5, 4), 6, classes=1), good(), SPLIT, 4
    ),
    "student": lambda: distilling.distill(
        good(), networks.mlp((5, 4), 6, classes=4), SPLIT, 4
    ),
    "seeds": lambda: studying.study(experiment, 3),
    "axis": lambda: studying.study(experiment, [0], sample=True, split=[1]),
    "empty axis": lambda: studying.study(experiment, [], sample=True),
    "by": lambda: studying.band(TABLE, "m"),
    "by nothing": lambda: studying.band(TABLE, []),
    "by what is not there": lambda: studying.band(TABLE, ["k"]),
    "value": lambda: studying.band(TABLE, ["m"], "loss"),
    "one seed": lambda: studying.band(TABLE, ["m"], without_seed=0),
    "table": lambda: studying.band(None, ["m"]),
    "live": lambda: studying.inside(pd.Series([0.5], ["b"]), BAND),
    "nothing live": lambda: studying.inside(pd.Series([], dtype=float), BAND),
    "band": lambda: studying.inside(pd.Series([0.5], ["a"]), TABLE),
    "described": lambda: studying.describe(TABLE),
    "written": lambda: studying.write(None, "none.csv", "a command"),
    "read": lambda: studying.read(None),
    "NaN": lambda: checking.claim("it is", math.nan),
    "almost": lambda: checking.claim("it is", 0.7),
    "several": lambda: checking.claim("it is", np.array([True, True])),
    "text": lambda: checking.claim("it is", "no"),
    "positions": lambda: explorer([]),
    "a position": lambda: explorer(3),
    "start": lambda: explorer(start=5),
    "look": lambda: explorer(look=None),
    "choices": lambda: explorer(choices={"a": []}),
    "no images": lambda: plotting.images([]),
    "shape": lambda: plotting.images(IMAGES[:, :5]),
    "lines": lambda: plotting.curves([1, 2], {}, "x"),
    "line": lambda: plotting.curves([1, 2], {"a": [1]}, "x"),
    "groups": lambda: plotting.histograms({}, "x"),
    "group": lambda: plotting.histograms({"a": [np.nan, 1]}, "x"),
    "maps": lambda: plotting.pixel_maps({}, "x"),
    "map": lambda: plotting.pixel_maps({"a": np.zeros(5)}, "x"),
    "bars": lambda: plotting.bars(pd.DataFrame(), "x"),
    "tables": lambda: plotting.with_intervals({}, "x", "y"),
    "columns": lambda: plotting.with_intervals({"a": TABLE}, "x", "y"),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_what_makes_no_sense_is_refused(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refused():
        SETTINGS[what]()
    assert not [*tmp_path.rglob("*")]
