"""The networks that Keras itself brings are pruned by groups and cut exactly.

With random weights and statistics, on small images: nothing is downloaded. In
float64, because 50 layers add up rounding: single ones differ by 1e-6 to 2e-5
of the largest output, by the CPU. Three of them for every change, the others
in `make deep`.
"""

import networks_of_all_kinds as kinds
import numpy as np
import pytest

from helpers import compacting, measuring, plotting, pruning
from helpers.engine import holding
from helpers.engine.backend import keras
from helpers.engine.tracing import trace

NAMES = ["ResNet50", "MobileNetV2", "VGG16"]
OTHERS = [
    "ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0",
    "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV3Small",
    "NASNetMobile", "ResNet50V2", "VGG19", "Xception",
]  # fmt: skip
SIDES = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71,
         "NASNetMobile": 224}  # fmt: skip


@pytest.fixture(autouse=True)
def _float64():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def network(name):
    side = SIDES.get(name, 64)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classifier_activation=None
    )
    random = np.random.default_rng(0)
    for variable in model.variables:
        values = random.normal(size=variable.shape)
        if "gamma" in variable.path:
            values = 0.5 + np.abs(values)
        elif "kernel" not in variable.path:
            values = 0.01 + 0.1 * np.abs(values)
        variable.assign(values)
    return lively(model)


def lively(model, kept=1.0):
    """Let signals pass 50 layers undiminished, where a share of units is left.

    Else outputs would not depend on the images, and every cut would be exact.
    """
    for variable in model.variables:
        if "kernel" in variable.path:
            columns = variable.numpy().reshape(-1, variable.shape[-1])
            norm = np.linalg.norm(columns, axis=0) + 1e-9
            variable.assign(variable / norm * np.sqrt(2 / kept))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # take the statistics of these images
    model(kinds.rows(model, 8, seed=1)[0], training=True)
    return model


EVERY = pytest.mark.parametrize(
    "name",
    [*NAMES, *(pytest.param(name, marks=pytest.mark.deep) for name in OTHERS)],
)


@pytest.mark.filterwarnings("ignore:left out")
@EVERY
def test_any_share_of_each_group_is_cut_exactly(name):
    model = network(name)
    x, size = kinds.rows(model, 2), model.count_params()
    for sparsity in (0.25, 0.5, 0.75):
        pruned = lively(pruning.prune_units(model, sparsity), 1 - sparsity)
        small = compacting.compact(pruned)
        expected = kinds.outputs(pruned, x)
        gap = np.abs(expected - kinds.outputs(small, x)).max()
        largest = np.abs(expected).max()
        assert np.ptp(expected, axis=0).max() > 1e-3 * largest  # not constant
        assert gap <= 1e-10 * largest
        assert small.count_params() < size
        size = small.count_params()


@pytest.mark.filterwarnings("ignore:left out")
@EVERY
def test_groups_are_listed_drawn_and_cut_to_multiples(name):
    side = SIDES.get(name, 64)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3)
    )
    table, families = measuring.groups(model), trace(model).families()
    assert list(table.index) == list(families)
    assert table["parameters"].sum() <= model.count_params()
    assert table["MACs"].sum() <= measuring.counts(model)["macs"]
    ax = plotting.graph(model)
    assert ax.get_xlim()[1] < 14
    assert len(ax.texts) >= min(len(table), 40)
    pruned = pruning.prune_units(model, {table.index[0]: 0.4}, multiple_of=8)
    gone = pruning.deleted_units(pruned)
    assert sorted(gone) == sorted(table.index[0].split(", "))
    pruned = pruning.prune_units(model, 0.4, multiple_of=8)
    gone = holding.deleted(trace(pruned))
    for units in trace(pruned).families().values():
        left = np.count_nonzero(~gone[units])
        least = len(units) - round(0.4 * len(units))
        assert left == min(len(units), -(-least // 8) * 8)
