"""Any network is pruned and cut exactly, or what stays is named."""

import functools

import networks_of_all_kinds as kinds
import numpy as np
import pytest

from helpers import compacting, networks, pruning
from helpers.engine import channels
from helpers.engine.backend import keras
from helpers.engine.tracing import trace

L = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore:left out")


def gap(one, other, x):
    """The largest difference of outputs, of the largest output."""
    first, second = kinds.outputs(one, x), kinds.outputs(other, x)
    return np.abs(first - second).max() / np.abs(first).max()


@functools.cache
def built(name):
    return kinds.random_weights(kinds.NETWORKS[name]())


@pytest.fixture(params=kinds.NETWORKS)
def network(request):
    """One for all tests: none of them changes it."""
    return built(request.param)


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.75])
def test_a_compacted_network_gives_the_same_outputs(network, sparsity):
    pruned, x = pruning.prune_units(network, sparsity), kinds.rows(network)
    small = compacting.compact(pruned)
    assert gap(pruned, small, x) <= 1e-5
    assert small.count_params() < network.count_params()
    assert type(small) is type(network)


def test_a_compacted_network_is_an_ordinary_one(network, tmp_path):
    pruned, x = pruning.prune_units(network, 0.5), kinds.rows(network)
    compacting.compact(pruned).save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    assert gap(pruned, loaded, x) <= 1e-5


def test_a_copy_is_the_same_network(network):
    copy, x = pruning.copy_of(network), kinds.rows(network)
    assert gap(network, copy, x) == 0
    assert type(copy) is type(network)
    assert not {id(v) for v in copy.variables} & {
        id(v) for v in network.variables
    }


def test_every_family_loses_its_share(network):
    families = trace(network).families()
    pruned = pruning.prune_units(network, 0.5)
    gone = pruning.deleted_units(pruned)
    for names, units in families.items():
        for name in names.split(", "):
            mine = np.isin(trace(network).given[name], units)
            assert gone[name][mine].sum() == round(0.5 * len(units))


def test_deleted_units_are_silent_through_training():
    """Sums, normalizations with gamma and without."""
    for scale in (True, False):
        network = kinds.random_weights(kinds.residual(scale))
        pruned, x = pruning.prune_units(network, 0.5), kinds.rows(network, 40)
        gone = pruning.deleted_units(pruned)
        pruned.compile("adam", "mse")
        pruned.fit(x[0], np.ones((40, 4)), epochs=3, verbose=0)
        after = pruning.deleted_units(pruned)
        assert gone
        assert all(np.array_equal(gone[name], after[name]) for name in gone)
        joined = next(y for y in pruned.layers if isinstance(y, L.Add))
        stream = keras.Model(pruned.inputs, joined.output)(x[0])
        assert not np.asarray(stream)[..., gone["stem"]].any()
        assert gap(pruned, compacting.compact(pruned), x) <= 1e-5


def test_what_is_added_goes_together():
    network = kinds.random_weights(kinds.residual())
    masks = {"outer_1": np.arange(8) > 2}
    gone = pruning.deleted_units(pruning.masked(network, masks))
    assert sorted(gone) == ["outer_0", "outer_1", "stem"]
    assert all((units == (np.arange(8) <= 2)).all() for units in gone.values())


def test_spared_layers_and_what_is_tied_to_them_stay_whole():
    network = kinds.random_weights(kinds.residual())
    pruned = pruning.prune_units(network, 0.5, spare=["outer_0"])
    assert sorted(pruning.deleted_units(pruned)) == ["inner_0", "inner_1"]
    with pytest.raises(ValueError, match=r"got \['nowhere'\]. Pass some of"):
        pruning.prune_units(network, 0.5, spare=["nowhere"])


def test_heads_go_whole():
    network = kinds.random_weights(kinds.transformer())
    small = compacting.compact(pruning.prune_units(network, 0.5))
    assert small.get_layer("attention").num_heads == 2
    assert small.get_layer("wide").units == 16
    assert small.get_layer("narrow").units == 16  # the stream is normalized


def test_what_is_left_out_is_named_once():
    network = kinds.random_weights(kinds.NETWORKS["recurrent"]())
    with pytest.warns(UserWarning, match="left out") as caught:
        pruning.prune_units(network, 0.5)
    (warning,) = caught
    words = str(warning.message)
    assert "(TimeDistributed)" in words
    assert "(Bidirectional)" in words
    assert "(LayerNormalization) keeps 8 units" in words


def test_a_network_in_which_nothing_may_go_says_why():
    network = kinds.sequence(L.Dense(4, "softmax", name="a"), L.Dense(3))
    with pytest.raises(ValueError, match=r"no unit that may go: a \(softmax\)"):
        pruning.prune_units(network, 0.5)


def test_a_constant_network_is_refused():
    network = kinds.random_weights(kinds.residual())
    masks = {"inner_0": np.zeros(6), "inner_1": np.zeros(6),
             "stem": np.zeros(8)}  # fmt: skip
    pruning.apply_masks(network, masks)
    with pytest.raises(ValueError, match=r"output is constant\. Prune less"):
        compacting.compact(network)


def test_a_dead_branch_keeps_one_unit():
    network = kinds.random_weights(kinds.residual())
    pruning.apply_masks(network, {"inner_0": np.zeros(6)})
    small, x = compacting.compact(network), kinds.rows(network)
    assert small.get_layer("inner_0").filters == 1
    assert gap(network, small, x) <= 1e-5


def test_as_many_rows_at_once_as_the_widest_layer_allows():
    known, x = trace(networks.mlp((2000, 50))), np.zeros((3, 784))
    assert known.at_once(x) == channels.NUMBERS_AT_ONCE // 2000
    assert known.at_once(x, (500, 200)) == channels.NUMBERS_AT_ONCE // 100_000
    assert known.at_once(x, (10**9,)) == 1
    rows = [len(*tensors.values()) for tensors in known.feed(x, rows=2)]
    assert rows == [2, 1]
