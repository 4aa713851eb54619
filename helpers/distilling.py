"""Train a student on labels and on what a larger, trained teacher says."""

from helpers import fitting, masking, pruning
from helpers.engine.backend import keras
from helpers.fitting import fit


def distill(
    teacher, student, split, num_steps, temperature=4.0, weight=0.5, **options
):
    """A copy of `student`, trained by `teacher` with its zeros held.

    The loss is (1 - weight) * cross-entropy + weight * T^2 * KL(p || q),
    where p and q are the softmax of the teacher's and the student's logits
    divided by T, the temperature (Hinton et al., 2015). Images, their order
    and the learning rate are those of `training.fine_tune`, the control
    without a teacher. The teacher stays as it is.

    Args:
        temperature: above 0; the higher, the more the wrong classes count.
        weight: the teacher's share of the loss, in [0, 1].
        options: go to `fit`.

    Raises:
        ValueError: a temperature or weight out of range, networks that do
            not end in logits of the same classes.
    """
    _require_logits(teacher, student)
    numbers = all(map(masking.is_number, (temperature, weight)))
    if not (numbers and temperature > 0 and 0 <= weight <= 1):
        raise ValueError(
            "`temperature` is above 0 and `weight` in [0, 1]; got "
            f"{temperature!r} and {weight!r}. Pass e.g. 4.0 and 0.5."
        )
    fitting.require_split(student, split)
    student = pruning.copy_of(student)
    pruning.hold_zeros(student)
    distiller = keras.distillation.Distiller(
        pruning.copy_of(teacher),  # it is frozen for good
        student,
        keras.distillation.LogitsDistillation(
            temperature,
            # An object: its name would compare logits as if they were
            # probabilities (Keras 3.15).
            keras.losses.KLDivergence(),
        ),
        student_loss_weight=1 - weight,
    )
    fit(distiller, split, num_steps, **options)
    return student


def _require_logits(teacher, student):
    for role, model in {"teacher": teacher, "student": student}.items():
        pruning.require_built(model)
        last = model.layers[-1]
        name = getattr(getattr(last, "activation", None), "__name__", "linear")
        if name != "linear" or model.output_shape[-1] < 2:
            raise ValueError(
                f"The {role} ends in {model.output_shape[-1]} output(s) with "
                f"activation {name!r}; distillation compares logits: pass a "
                "network with a linear output for each of several classes."
            )
    shapes = [(m.input_shape, m.output_shape) for m in (teacher, student)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The teacher maps {shapes[0]} and the student {shapes[1]}; pass "
            "two networks with the same inputs and classes."
        )
