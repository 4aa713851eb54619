"""Train a student on labels and on what a larger, trained teacher says."""

from helpers import pruning
from helpers.engine import endings
from helpers.engine.backend import keras
from helpers.engine.doors import COUNT, FRACTION, MODEL, RATE, SPLIT, door
from helpers.fitting import fit


@door(teacher=MODEL, student=MODEL, split=SPLIT, num_steps=COUNT,
      temperature=RATE, weight=FRACTION)  # fmt: skip
def distill(
    teacher, student, split, num_steps, temperature=4.0, weight=0.5, **options
):
    """A copy of `student`, trained by `teacher` with its zeros held.

    The loss is (1 - weight) * cross-entropy + weight * T^2 * KL(p || q),
    where p and q are the softmax of the teacher's and the student's logits
    divided by T, the temperature (Hinton et al., 2015). All else is that of
    `training.fine_tune`, the control without a teacher.

    Args:
        temperature: above 0; the higher, the more the wrong classes count.
        weight: the teacher's share of the loss, in [0, 1].
        options: go to `fit`.
    """
    for role, model in {"teacher": teacher, "student": student}.items():
        _require_logits(role, model)
    student = pruning.copy_of(student)
    pruning.hold_zeros(student)
    # An object: by its name, Keras 3.15 would compare the logits as if they
    # were probabilities.
    divergence = keras.losses.KLDivergence()
    distiller = keras.distillation.Distiller(
        pruning.copy_of(teacher),  # it is frozen for good
        student,
        keras.distillation.LogitsDistillation(temperature, divergence),
        student_loss_weight=1 - weight,
    )
    fit(distiller, split, num_steps, **options)
    return student


def _require_logits(role, model):
    endings.require_one_output(model)
    if endings.gives_probabilities(model) or model.output_shape[-1] < 2:
        raise ValueError(
            f"The {role} ends in probabilities or in a single output; "
            "distillation compares logits: pass a network with a linear "
            "output for each of several classes."
        )
