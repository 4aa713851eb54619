"""A claim that holds passes, one that does not fails; detectors detect."""

import numpy as np
import pytest

from helpers import checking, networks, pruning, training


@pytest.mark.parametrize("holds", [True, 1, np.True_, np.bool_(3 > 2)])
def test_a_claim_that_holds_prints_one_stable_line(capsys, holds):
    checking.claim("water is wet", holds, measured=0.123)
    assert capsys.readouterr().out == "PASS  water is wet\n"


@pytest.mark.parametrize("holds", [False, 0, np.False_, None])
def test_a_claim_that_does_not_hold_fails_and_shows_why(capsys, holds):
    checking.claim("fire is wet", holds, measured=0.123)
    shown = capsys.readouterr().out
    assert shown == "FAIL  fire is wet (measured: 0.123)\n"


def masks_of_hidden(model):
    masks = pruning.masks_of(model)
    return {name: masks[name] for name in masks if name != "output"}


def test_revived_weights_are_counted_at_every_step(trained, split):
    """Also where the mask is put back before anybody else looks."""
    pruned = pruning.copy_of(pruning.prune_weights(trained, 0.9))
    before, masks = pruned.get_weights(), masks_of_hidden(pruned)
    detector = checking.RevivedWeights(masks)
    training.fit(pruned, split, num_steps=4, callbacks=[detector])
    kernels = pruning.prunable_kernels(pruned)
    revived = sum(np.count_nonzero(kernels[n][masks[n] == 0]) for n in masks)
    pruned.set_weights(before)
    assert detector.steps == 4
    assert detector.worst >= revived > 0


def test_revived_units_are_counted_by_column():
    model = networks.mlp(inputs=4, widths=(4,))
    detector = checking.RevivedWeights({"hidden_1": np.array([1, 0, 1, 1])})
    detector.set_model(model)
    detector.on_train_batch_end(0)
    assert detector.worst == 4
    pruning.apply_masks(model, detector.masks)
    detector.worst = 0
    detector.on_train_batch_end(1)
    assert (detector.steps, detector.worst) == (2, 0)


def test_a_revived_bias_of_a_masked_unit_is_counted():
    model = networks.mlp(inputs=4, widths=(3,))
    detector = checking.RevivedWeights({"hidden_1": np.array([1, 0, 1])})
    pruning.apply_masks(model, detector.masks)
    kernel, bias = model.get_layer("hidden_1").get_weights()
    model.get_layer("hidden_1").set_weights([kernel, bias + 1])
    detector.set_model(model)
    detector.on_train_batch_end(0)
    assert detector.worst == 1


@pytest.mark.parametrize("part", ["gamma", "beta"])
def test_a_normalization_of_a_masked_filter_that_comes_back_is_counted(part):
    model = networks.lenet((3, 4), (5,))
    detector = checking.RevivedWeights({"conv_1": np.array([1, 0, 1])})
    pruning.apply_masks(model, detector.masks)
    detector.set_model(model)
    detector.on_train_batch_end(0)
    assert detector.worst == 0
    getattr(model.get_layer("norm_1"), part).assign([1.0, 0.5, 1.0])
    detector.on_train_batch_end(1)
    assert detector.worst == 1
