"""Laws of distillation: the loss is the paper's, all else the control's."""

import numpy as np
import pytest

from helpers import (
    checking,
    distilling,
    fitting,
    masking,
    networks,
    pruning,
    training,
)
from helpers.engine.backend import keras


def student(seed=7):
    return networks.mlp(widths=(16,), seed=seed)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def same(one, other, tolerance=0.0):
    return all(
        np.allclose(a, b, rtol=0, atol=tolerance)
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


def test_without_the_teachers_share_it_is_fine_tuning(trained, split):
    """Same images, same order, same learning rates, same steps."""
    options = {"seed": 3, "learning_rate": 2e-3}
    taught = distilling.distill(
        trained, student(), split, 30, weight=0, **options
    )
    alone = training.fine_tune(student(), split, 30, **options)
    assert same(taught, alone, 1e-6)
    assert not same(alone, student(), 1e-3)


@pytest.mark.parametrize(("temperature", "weight"), [(4, 0.5), (2, 0.9)])
def test_the_loss_is_that_of_the_paper(
    trained, split, monkeypatch, temperature, weight
):
    """(1 - w) * cross-entropy + w * T^2 * KL, on one batch."""
    seen = []

    def fit(distiller, split, num_steps):
        x, y = split.x_val, split.y_val
        distiller.compile(loss=fitting.loss_of(distiller))
        seen.append(float(distiller.compute_loss(x, y, distiller(x))))

    monkeypatch.setattr(distilling, "fit", fit)
    distilling.distill(trained, student(), split, 1, temperature, weight)
    teacher, pupil = (
        np.array(m(split.x_val), np.float64) for m in (trained, student())
    )
    p, q = softmax(teacher / temperature), softmax(pupil / temperature)
    kl = (p * np.log(p / q)).sum(axis=1).mean()
    right = softmax(pupil)[range(len(pupil)), split.y_val]
    expected = (1 - weight) * -np.log(right).mean()
    expected += weight * temperature**2 * kl
    assert seen[0] == pytest.approx(expected, rel=1e-4)


def test_the_student_comes_to_say_what_the_teacher_says(trained, split):
    """No labels: the shares of wrong classes come from the teacher alone."""
    taught, alone = (
        distilling.distill(trained, student(), split, 150, weight=weight)
        for weight in (1, 0)
    )
    p, *others = (
        softmax(np.array(m(split.x_test)) / 4) for m in (trained, taught, alone)
    )
    gaps = [np.abs(q - p).mean() for q in others]
    assert gaps[0] < 0.8 * gaps[1], gaps


def test_zeros_are_held_after_every_step(trained, split):
    pruned = pruning.prune_weights(trained, 0.9)
    watch = checking.RevivedWeights(pruning.masks_of(pruned))
    taught = distilling.distill(trained, pruned, split, 20, callbacks=[watch])
    assert (watch.steps, watch.worst) == (20, 0)
    zeros = masking.zero_counts(pruning.prunable_kernels(taught))
    assert zeros == masking.zero_counts(pruning.prunable_kernels(pruned))


def test_deleted_units_stay_deleted_with_their_biases(trained, split):
    taught = distilling.distill(
        trained, pruning.prune_units(trained, 0.5), split, 20
    )
    gone = pruning.deleted_units(taught)
    assert {name: int(d.sum()) for name, d in gone.items()} == {
        "hidden_1": 16, "hidden_2": 12, "hidden_3": 8,
    }  # fmt: skip


def test_teacher_and_student_stay_as_they_were(trained, split):
    pupil = student()
    before = [w.copy() for w in trained.get_weights()]
    distilling.distill(trained, pupil, split, 10)
    assert trained.trainable
    assert len(trained.trainable_variables) == 8
    assert all(map(np.array_equal, before, trained.get_weights()))
    assert same(pupil, student())


def test_the_result_is_a_plain_model_that_can_be_saved(
    trained, split, tmp_path
):
    taught = distilling.distill(trained, student(), split, 10)
    taught.save(tmp_path / "taught.keras")
    loaded = keras.models.load_model(tmp_path / "taught.keras")
    assert type(loaded) is keras.Sequential
    assert same(loaded, taught)


def test_keras_default_loss_is_still_the_wrong_one(trained):
    """When this fails, notebook 13 has a story to rewrite."""
    loss = keras.distillation.LogitsDistillation(temperature=3.0)
    logits = np.array([[4.0, -2.0, 1.0]]), np.array([[1.0, 3.0, -1.0]])
    p, q = (softmax(x / 3) for x in logits)
    right = 9 * (p * np.log(p / q)).sum()
    wrong = float(loss.compute_loss(*map(keras.ops.convert_to_tensor, logits)))
    assert abs(wrong - right) > 0.1 * right


def test_outputs_that_are_no_logits_are_refused(trained, split):
    single = networks.mlp(widths=(8,), classes=1)
    with pytest.raises(ValueError, match=r"student ends in prob.*pass a netw"):
        distilling.distill(trained, single, split, 10)
    softmax = keras.layers.Dense(10, "softmax")
    softened = keras.Sequential([*trained.layers[:-1], softmax])
    softened.build((None, 784))
    with pytest.raises(ValueError, match="teacher ends in probabilities"):
        distilling.distill(softened, student(), split, 10)


def test_other_classes_are_refused(trained, split):
    other = networks.mlp(widths=(8,), classes=11)
    with pytest.raises(ValueError, match="output shapes are incompatible"):
        distilling.distill(trained, other, split, 10)
