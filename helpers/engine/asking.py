"""Ask a function, on random numbers, what it does with units."""

import numpy as np

SOME = slice(0, None, 2), slice(1, None, 2), slice(0, -1)  # units of many


def as_mask(numbers, dtype):
    """Numbers for a tensor; of a mask, true where they are not negative."""
    return numbers >= 0 if dtype == "bool" else numbers


def fillings(places, tensors):
    """Four times other values where flows vary, of both signs; true at first.

    `places` are by flow, those that do not vary; `tensors` have their values.
    """
    random = np.random.default_rng(0)
    noise = {x: random.standard_normal(np.shape(tensors[x])) for x in places}
    for scale in (0, 1, -1, 1000):
        found = {}
        for x, fixed in places.items():
            moved = as_mask(scale * noise[x], x.dtype)
            found[x] = np.where(fixed, tensors[x], moved).astype(x.dtype)
        yield found


def works_by_unit(function, shapes):
    """Whether some of the units in give the same ones of the units out.

    And whether deleted ones, which are zero, give numbers.
    """
    random = np.random.default_rng(0)
    tensors = [random.standard_normal(shape, "float32") for shape in shapes]
    # Some mix what is large only, such as a local response normalization.
    return all(
        _by_unit(function, [scale * x for x in tensors]) for scale in (1, 1000)
    )


def _by_unit(function, tensors):
    try:
        whole = np.asarray(function(*tensors))
        nothing = np.asarray(function(*map(np.zeros_like, tensors)))
        fit = np.isfinite(nothing.astype(float)).all()
        size = whole.shape[-1]
        fit &= size in [x.shape[-1] for x in tensors]
        for some in SOME if fit and size > 1 else ():
            parts = (
                x[..., some] if x.shape[-1] == size else x for x in tensors
            )
            given, expected = np.asarray(function(*parts)), whole[..., some]
            fit &= given.shape == expected.shape and np.allclose(
                expected, given, 1e-4, 1e-5, equal_nan=True
            )
    except Exception:  # it cannot do with half of them, for whatever reason
        return False
    return bool(fit)
