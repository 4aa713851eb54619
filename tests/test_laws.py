"""Laws of pruned networks, for any layers, weights and masks that are drawn.

A dozen small architectures are built once, and their weights drawn anew for
each example; compaction builds a new one each time. What can be trained is
in test_training.py and test_scheduling.py: an example of it takes a second.
"""

import contextlib
import functools
import tempfile

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import sparsities

from helpers import (
    compacting,
    masking,
    networks,
    pruning,
    training,
)
from helpers.engine.backend import keras

pytestmark = pytest.mark.usefixtures("tiny_networks")
L = keras.layers


def sequence(*layers, shape=(5,)):
    return keras.Sequential([keras.Input(shape), *layers])


def functional(join):
    entry = keras.Input((5,))
    one, shared = L.Dense(4, "relu", name="one")(entry), L.Dense(4, name="two")
    other = shared(entry) if join == "branch" else shared(shared(one))
    outputs = L.Dense(3)(L.add([one, other]) if join else one)
    return keras.Model(entry, outputs)


def called_once():
    model = keras.Sequential([L.Dense(4, "relu"), L.Dense(3)])
    model(np.zeros((1, 5)))
    return model


def halves(dtype):
    return sequence(L.Dense(4, "relu", dtype=dtype), L.Dense(3, dtype=dtype))


CHAINS = {
    "unnamed": lambda: sequence(L.Dense(4, "tanh"), L.Dense(6), L.Dense(3)),
    "one unit": lambda: sequence(L.Dense(1, "relu"), L.Dense(1, "sigmoid")),
    "named": lambda: networks.mlp((7, 1, 4), inputs=5, classes=3),
    "without biases": lambda: sequence(
        L.Dense(4, "relu", use_bias=False), L.Dense(3, use_bias=False)
    ),
    "called once": called_once,
    "normalized": lambda: sequence(
        L.Dense(4), L.BatchNormalization(), L.ReLU(), L.Dense(3), L.Softmax()
    ),
    "convolutions": lambda: sequence(
        L.Conv2D(3, 2, activation=L.LeakyReLU()),
        L.BatchNormalization(),
        L.MaxPooling2D(),
        L.Conv2D(2, 1, padding="same"),
        L.Flatten(),
        L.Dense(3),
        shape=(5, 5, 2),
    ),
    "float16": lambda: halves("float16"),
    "bfloat16": lambda: halves("bfloat16"),
}
GRAPHS = {
    "functional chain": lambda: functional(None),
    "branch": lambda: functional("branch"),
    "shared": lambda: functional("shared"),
}
BUILDERS = CHAINS | GRAPHS
NORMALIZATION = L.BatchNormalization
PARTS = ("kernel", "bias", "gamma", "beta")
VERBS = {
    "layer": pruning.prune_weights,
    "global": lambda *args: pruning.prune_weights(*args, scope="global"),
    "units": pruning.prune_units,
}


@functools.cache
def built(name, copy=0):
    return BUILDERS[name]()


def redraw(model, seed, kind):
    """New weights, no constraints: as if the model had just been built."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        variable.constraint = None
        values = random.normal(size=variable.shape)
        if kind != "normal":  # many are equal, or all zero
            values = np.round(values) * (kind == "ties")
        if "moving_variance" in variable.path:
            values = 0.1 + np.abs(values)
        variable.assign(values)
    return model


names, kinds = st.sampled_from([*BUILDERS]), ["normal", "ties", "ties", "zeros"]
models = st.builds(
    lambda name, seed, kind: redraw(built(name), seed, kind),
    names, st.integers(0, 2**32), st.sampled_from(kinds),
)  # fmt: skip


def pruned_or_none(verb, model, sparsity):
    """The pruned copy, or None where a layer would lose its last weight."""
    try:
        return VERBS[verb](model, sparsity)
    except ValueError as error:
        assert "leaves nothing" in str(error)  # noqa: PT017
        return None


def weights(model):
    """Arrays that NumPy can compare, by a path that copies share."""
    return [np.asarray(w, np.float64) for w in model.get_weights()]


def dead(kernel):
    return ~kernel.reshape(-1, kernel.shape[-1]).any(axis=0)


def outputs(model, x):
    return np.asarray(model(x, training=False), np.float64)


def images(model, seed=0):
    shape = (7, *model.input_shape[1:])
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class TestPruning:
    """What `prune_weights` and `prune_units` take, and what they leave."""

    @given(models, st.sampled_from(["layer", "global"]), sparsities)
    def test_weights_lose_exactly_their_share(self, model, verb, s):
        """Of each layer, or of all; zeros from before stay beyond that."""
        before = pruning.prunable_kernels(model)
        pruned = pruned_or_none(verb, model, s)
        assume(pruned)
        after = masking.zero_counts(pruning.prunable_kernels(pruned))
        groups = [[*before]] if verb == "global" else [[k] for k in before]
        for group in groups:
            share = round(float(s) * sum(before[k].size for k in group))
            zeros = sum(np.sum(before[k] == 0) for k in group)
            assert sum(after[k] for k in group) == max(share, zeros)

    @given(models, sparsities)
    def test_every_layer_loses_exactly_its_share_of_units(self, model, s):
        before = pruning.prunable_kernels(model)
        pruned = pruned_or_none("units", model, s)
        assume(pruned)
        for name, kernel in pruning.prunable_kernels(pruned).items():
            share = round(float(s) * kernel.shape[-1])
            gone = dead(kernel)
            assert gone.sum() == max(share, dead(before[name]).sum())
            for bias in pruned.get_layer(name).get_weights()[1:]:
                assert np.sum(bias[gone] == 0) >= share

    @given(models, st.sampled_from([*VERBS]), sparsities)
    def test_nothing_else_is_touched(self, model, verb, s):
        kinds = L.Dense | L.Conv2D
        *hidden, _ = [x.name for x in model.layers if isinstance(x, kinds)]
        state = weights(model)
        pruned = pruned_or_none(verb, model, s)
        assert all(map(np.array_equal, state, weights(model)))
        assert all(v.constraint is None for v in model.variables)
        for layer in pruned.layers if pruned else ():
            theirs = layer.name in hidden or isinstance(layer, NORMALIZATION)
            allowed = (PARTS[: 4 if verb == "units" else 1]) * theirs
            old = model.get_layer(layer.name).weights
            for before, after in zip(old, layer.weights, strict=True):
                before, after, part = before.numpy(), after.numpy(), after.name
                same = before == after
                assert same.all() or part in allowed
                assert not after[~same].any()

    @given(models, st.sampled_from([*VERBS]), sparsities, sparsities)
    def test_higher_sparsity_never_keeps_more(self, model, verb, one, other):
        low, high = sorted((float(one), float(other)))
        less = pruned_or_none(verb, model, high)
        more = less and pruned_or_none(verb, model, low)
        assume(more)
        for some, all_ in zip(weights(less), weights(more), strict=True):
            assert ((all_ != 0) | (some == 0)).all()


@st.composite
def masked(draw, names=names, whole=True):
    """A network, and masks over weights or units of some of its layers."""
    name = draw(names)
    model = redraw(built(name), draw(st.integers(0, 2**32)), "normal")
    kernels = pruning.prunable_kernels(model, include_output=True)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    masks, kept = {}, draw(st.sampled_from([0.1, 0.5, 0.9, 1.0]))
    for layer in draw(st.sets(st.sampled_from([*kernels]))):
        shape = kernels[layer].shape
        units = whole and draw(st.booleans())
        dtype = draw(st.sampled_from([bool, np.uint8, np.float32]))
        mask = random.random(shape[-1:] if units else shape) < kept
        masks[layer] = mask.astype(dtype)
    return model, masks


class TestMasks:
    """What `apply_masks`, `hold_zeros` and `rewind` do to a network."""

    @given(masked(st.sampled_from([*CHAINS, "functional chain"])))
    def test_a_mask_is_applied_as_it_is_and_to_nothing_else(self, drawn):
        """Where nothing is added or shared: there, a unit is of several."""
        model, masks = drawn
        before = {x.name: x.get_weights() for x in model.layers}
        pruning.apply_masks(model, masks)
        for name, kept in pruning.masks_of(model).items():
            mask = masks.get(name, np.ones(1))
            kernel, *bias = model.get_layer(name).get_weights()
            assert np.array_equal(kept, np.resize(mask, kept.shape))
            old, *old_bias = before[name]
            assert np.array_equal(kernel, np.where(kept, old, 0))
            units = mask if mask.ndim == 1 else np.ones(1)
            for new, b in zip(bias, old_bias, strict=True):
                assert np.array_equal(new, np.where(units, b, 0))

    @given(masked())
    def test_a_mask_twice_is_a_mask_once(self, drawn):
        model, masks = drawn
        pruning.apply_masks(model, masks)
        once = weights(model)
        pruning.apply_masks(model, masks)
        pruning.apply_masks(model, pruning.masks_of(model))
        pruning.hold_zeros(model)
        assert all(map(np.array_equal, once, weights(model)))

    @given(masked())
    def test_zeros_are_held_against_any_later_change(self, drawn):
        model, masks = drawn
        pruning.apply_masks(model, masks)
        zeros = {k: mask == 0 for k, mask in pruning.masks_of(model).items()}
        for variable in model.trainable_variables:  # as an optimizer does it
            variable.assign_add(np.ones(variable.shape))
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable))
        for name, mask in pruning.masks_of(model).items():
            assert not mask[zeros[name]].any()

    @given(masked(), st.integers(0, 2**32))
    def test_rewinding_gives_survivors_their_value_and_zeros_none(
        self, drawn, seed
    ):
        model, masks = drawn
        name = next(n for n in BUILDERS if built(n) is model)
        start = redraw(built(name, copy=1), seed, "normal")
        pruning.apply_masks(model, masks)
        before, goal = weights(model), weights(start)
        training.rewind(model, to=start)
        assert all(map(np.array_equal, goal, weights(start)))
        kernels = {x.name for x in model.layers if hasattr(x, "kernel")}
        paths = [w.path for w in model.weights]
        for path, old, new, first in zip(
            paths, before, weights(model), goal, strict=True
        ):
            layer, part = path.split("/")[-2:]
            if layer in kernels and part == "kernel":
                assert np.array_equal(new, np.where(old == 0, 0, first))
            else:
                assert ((new == first) | (new == old)).all()


activations = st.sampled_from([None, "relu", "tanh", "sigmoid", "gelu", "elu"])
few = st.integers(1, 4)
ROUNDING = {"float32": 1e-5, "float16": 0.02, "bfloat16": 0.1}


@st.composite
def followers(draw, maps):
    """What may stand between two layers with kernels."""
    kinds = [L.BatchNormalization, L.ReLU, lambda: L.Dropout(0.5)]
    pools = [lambda: L.MaxPooling2D(2, padding="same"),
             lambda: L.AveragePooling2D(2, padding="same")]  # fmt: skip
    chosen = st.sampled_from(kinds + pools * maps)
    return [make() for make in draw(st.lists(chosen, max_size=2))]


@st.composite
def chains(draw):
    """A network of up to two convolutions and three Dense layers."""
    layers, maps = [], draw(st.booleans())
    keras.config.set_dtype_policy(draw(st.sampled_from([*ROUNDING])))
    for _ in range(draw(st.integers(1, 2)) if maps else 0):
        padding = "same" if layers else draw(st.sampled_from(["same", "valid"]))
        options = {"padding": padding, "use_bias": draw(st.booleans())}
        layers.append(L.Conv2D(draw(few), 2, **options))
        layers.append(L.Activation(draw(activations) or "linear"))
        layers += draw(followers(maps=True))
    if maps:
        ends = [L.Flatten, L.GlobalAveragePooling2D, L.GlobalMaxPooling2D]
        layers.append(draw(st.sampled_from(ends))())
    for _ in range(draw(st.integers(0, 2)) + (not maps)):
        bias = draw(st.booleans())
        layers.append(L.Dense(draw(few), draw(activations), use_bias=bias))
        layers += draw(followers(maps=False))
    layers.append(L.Dense(draw(few), draw(activations)))
    model = sequence(*layers, shape=(4, 4, 2) if maps else (4,))
    keras.config.set_dtype_policy("float32")
    return redraw(model, draw(st.integers(0, 2**32)), "normal")


class TestCompaction:
    """Fewer units, the same outputs."""

    @given(chains(), st.data())
    def test_outputs_stay_equal(self, model, data):
        kernels = pruning.prunable_kernels(model, include_output=True)
        seed = data.draw(st.integers(0, 2**32))
        kept = data.draw(st.sampled_from([0.2, 0.5, 0.8]))
        random = np.random.default_rng(seed)
        for name, kernel in kernels.items():
            mask = random.random(kernel.shape) < kept
            if data.draw(st.booleans()) and name != model.layers[-1].name:
                mask = random.random(kernel.shape[-1]) < kept
            pruning.apply_masks(model, {name: mask})
        state = weights(model)
        x = images(model, seed)
        expected = outputs(model, x)
        gap = ROUNDING[model.dtype_policy.name] * max(1, np.abs(expected).max())
        try:
            small = compacting.compact(model)
        except ValueError as error:
            assert "has no unit left" in str(error)  # noqa: PT017
            assert np.ptp(expected, axis=0).max() <= gap
            return
        assert np.abs(expected - outputs(small, x)).max() <= gap
        assert small.count_params() <= model.count_params()
        assert all(map(np.array_equal, state, weights(model)))


JOINS = {
    "add": keras.layers.add,
    "multiply": keras.layers.multiply,
    "maximum": keras.layers.maximum,
    "average": keras.layers.average,
    "operations": lambda pair: 0.5 * keras.ops.relu(pair[0]) - pair[1],
}
SIZE = 6


def normalized(draw, x):
    scale, center = draw(st.booleans()), draw(st.booleans())
    return L.BatchNormalization(scale=scale, center=center)(x)


def convolved(draw, x, filters=None):
    options = {"padding": "same", "use_bias": draw(st.booleans())}
    options["activation"] = draw(activations)
    return L.Conv2D(filters or draw(few), draw(few), **options)(x)


def grown(draw, x, shared):
    """One or two more layers after the maps `x`."""
    kind = draw(
        st.sampled_from(
            [
                "conv",
                "norm",
                "depthwise",
                "concatenate",
                "gate",
                "shared",
                "separable",
                *JOINS,
            ]
        )
    )
    filters = x.shape[-1]
    if kind == "conv":
        return convolved(draw, x)
    if kind == "norm":
        return normalized(draw, x)
    if kind == "depthwise":
        return L.DepthwiseConv2D(2, depth_multiplier=draw(st.integers(1, 2)),
                                 padding="same")(x)  # fmt: skip
    if kind == "separable":
        return L.SeparableConv2D(draw(few), 2, padding="same")(x)
    if kind == "concatenate":
        return L.Concatenate()([x, convolved(draw, x)])
    if kind == "gate":  # squeeze and excite
        gate = L.Reshape((1, 1, filters))(L.GlobalAveragePooling2D()(x))
        return L.multiply([x, convolved(draw, gate, filters)])
    if kind == "shared":
        layer = shared.setdefault(filters, L.Dense(filters, draw(activations)))
        return layer(x)
    return JOINS[kind]([x, convolved(draw, x, filters)])


@st.composite
def graphs(draw):
    """Three to eight nodes that branch, join and share; random weights."""
    entry, shared = keras.Input((SIZE, SIZE, 2)), {}
    x = convolved(draw, entry)
    for _ in range(draw(st.integers(2, 7))):
        x = grown(draw, x, shared)
    end = draw(st.sampled_from([L.Flatten, L.GlobalMaxPooling2D]))
    model = keras.Model(entry, L.Dense(3)(end()(x)))
    return redraw(model, draw(st.integers(0, 2**32)), "normal")


def masks_of_some(draw, model):
    """Random zeros in some kernels, random units gone from others."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    kept = draw(st.sampled_from([0.2, 0.5, 0.8]))
    pruning.apply_masks(
        model,
        {
            name: random.random(kernel.shape) < kept
            for name, kernel in pruning.prunable_kernels(model).items()
            if draw(st.booleans())
        },
    )
    scores = pruning.unit_scores(model)
    if scores and draw(st.booleans()):
        name = draw(st.sampled_from([*scores]))
        mask = random.random(scores[name].shape) < kept
        with contextlib.suppress(ValueError):  # units that have to stay
            pruning.apply_masks(model, {name: mask})


class TestGraphs:
    """Networks that branch and join."""

    @settings(max_examples=max(200, settings().max_examples))
    @given(st.data())
    def test_outputs_stay_equal(self, data):
        model = data.draw(graphs())
        masks_of_some(data.draw, model)
        same_after(compacting.compact, model)

    @given(graphs(), sparsities)
    def test_groups_lose_their_share_and_outputs_stay_equal(self, model, s):
        scores = pruning.unit_scores(model)
        pruned = pruned_or_none("units", model, s)
        assume(pruned)
        for name, gone in pruning.deleted_units(pruned).items():
            assert gone.sum() >= round(float(s) * len(scores[name])) - len(
                scores
            )
        same_after(compacting.compact, pruned)
        same_after(pruning.copy_of, pruned)


def same_after(change, model):
    """Outputs, of a model of the same kind; its own weights untouched."""
    state, x = weights(model), images(model)
    expected = outputs(model, x)
    gap = 1e-5 * np.abs(expected).max()
    try:
        changed = change(model)
    except ValueError as error:
        assert "has no unit left" in str(error)  # noqa: PT017
        assert np.ptp(expected, axis=0).max() <= gap
        return
    assert np.abs(expected - outputs(changed, x)).max() <= gap
    assert type(changed) is type(model)
    assert changed.count_params() <= model.count_params()
    assert all(map(np.array_equal, state, weights(model)))


class TestFiles:
    """What a saved network keeps, and what equal seeds give."""

    @given(masked())
    def test_saving_and_loading_keeps_zeros_and_outputs(self, drawn):
        model, masks = drawn
        pruning.apply_masks(model, masks)
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/model.keras")
            loaded = keras.models.load_model(f"{folder}/model.keras")
        assert all(map(np.array_equal, weights(model), weights(loaded)))
        x = images(model)
        assert np.array_equal(outputs(model, x), outputs(loaded, x))
        pruning.hold_zeros(loaded)
        assert all(map(np.array_equal, weights(model), weights(loaded)))

    @given(st.integers(0, 2**40), st.integers(1, 3), few)
    def test_equal_seeds_give_equal_networks(self, seed, inputs, classes):
        one, again, other = (
            networks.mlp((), inputs, classes, seed=s)
            for s in (seed, np.int64(seed), seed + 1)
        )
        assert all(map(np.array_equal, weights(one), weights(again)))
        assert not np.array_equal(weights(one)[0], weights(other)[0])
