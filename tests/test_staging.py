"""Laws of stages: which layers follow which, and what is refused and why."""

import numpy as np
import pytest

from helpers import compacting, networks, pruning, staging
from helpers.engine.backend import keras

layers = keras.layers


def chain(*middle, first=None):
    """Two prunable layers with something between them."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            first or layers.Conv2D(4, 3, name="first"),
            *middle,
            layers.Flatten(),
            layers.Dense(3, name="output"),
        ]
    )


def names(stages):
    return [[layer.name for layer in stage] for stage in stages]


def test_a_stage_begins_with_each_prunable_layer():
    assert names(staging.stages(networks.lenet((4, 6)))) == [
        ["image"],
        ["conv_1", "norm_1", "relu_1", "pool_1"],
        ["conv_2", "norm_2", "relu_2", "pool_2", "flat"],
        ["hidden_1"],
        ["output"],
    ]
    mlp = networks.mlp((5, 4))
    assert names(staging.stages(mlp)) == [
        [], ["hidden_1"], ["hidden_2"], ["output"],
    ]  # fmt: skip


def test_parts_of_a_unit_are_bias_scale_and_shift():
    model = chain(layers.BatchNormalization(name="norm"))
    first, norm = model.layers[:2]
    parts = staging.unit_parts(model, first)
    expected = [first.bias, norm.gamma, norm.beta]
    assert [part.path for part in parts] == [x.path for x in expected]
    output = model.get_layer("output")
    assert [p.path for p in staging.unit_parts(model, output)] == [
        output.bias.path
    ]


REFUSED = {
    "depthwise": (layers.DepthwiseConv2D(3, name="x"), "may mix the units"),
    "separable": (layers.SeparableConv2D(3, 3, name="x"), "may mix"),
    "reshaped": (layers.Reshape((6, 4, 6), name="x"), "may mix"),
    "permuted": (layers.Permute((3, 1, 2), name="x"), "may mix"),
    "layer norm": (layers.LayerNormalization(name="x"), "may mix"),
    "nested": (keras.Sequential([layers.ReLU()], name="x"), "may mix"),
    "softmax": (layers.Activation("softmax", name="x"), "softmax depends on"),
    "axis": (layers.BatchNormalization(axis=1, name="x"), "normalizes axis 1"),
    "first": (layers.Flatten("channels_first", name="x"), "by the last axis"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_mixes_units_is_refused_by_name_and_reason(what):
    layer, reason = REFUSED[what]
    model = chain(type(layer).from_config(layer.get_config()))
    for verb in (
        compacting.compact,
        lambda m: pruning.activation_scores(m, np.ones((1, 8, 8, 2))),
    ):
        with pytest.raises(ValueError, match=f"'x'.*because.*{reason}"):
            verb(model)


def test_groups_are_refused_wherever_they_are():
    first, last = (layers.Conv2D(4, 3, groups=2, name="x") for _ in range(2))
    plain = [keras.Input((8, 8, 2)), layers.Conv2D(4, 3)]
    for model in (chain(first=first), keras.Sequential([*plain, last])):
        with pytest.raises(ValueError, match=r"'x'.*because its 2 groups"):
            compacting.compact(model)


def residual(normalize):
    entry = keras.Input((8, 8, 3))
    inside = layers.Conv2D(3, 3, padding="same", name="conv_1")(entry)
    if normalize:
        inside = layers.BatchNormalization()(inside)
    joined = layers.Flatten()(layers.add([entry, inside]))
    return keras.Model(entry, layers.Dense(2, name="output")(joined))


@pytest.mark.parametrize("normalize", [False, True])
def test_a_residual_model_is_refused(normalize):
    with pytest.raises(ValueError, match=r"not supported, because.*branch"):
        compacting.compact(residual(normalize))


def test_units_of_a_normalized_residual_model_are_not_masked():
    model = residual(normalize=True)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"not supported, because.*branch"):
        pruning.apply_masks(model, {"conv_1": np.array([1, 0, 1])})
    assert all(map(np.array_equal, before, model.get_weights()))
    pruned = pruning.prune_weights(model, 0.5)  # single weights may go
    pruning.hold_zeros(pruned)


def test_a_normalization_that_cannot_be_silenced_is_refused():
    model = chain(layers.BatchNormalization(scale=False, name="x"))
    with pytest.raises(ValueError, match=r"'x'.*because.*no gamma"):
        pruning.prune_units(model, 0.5)


def test_inputs_of_any_size_are_refused():
    model = keras.Sequential(
        [
            keras.Input((None, None, 1)),
            layers.Conv2D(3, 3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    with pytest.raises(ValueError, match="because their size is not fixed"):
        compacting.compact(model)


def test_what_follows_the_output_may_mix():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, "relu", name="hidden"),
            layers.Dense(2, name="output"),
            layers.Softmax(name="softmax"),
        ]
    )
    small = compacting.compact(pruning.prune_units(model, 1 / 3))
    assert small.get_layer("hidden").units == 2
    assert np.allclose(np.sum(small(np.ones((1, 4))), axis=1), 1)
