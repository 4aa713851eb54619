"""What the property tests draw: scores of every kind and layout, fractions."""

import fractions as rationals

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

FLOATS = [np.float16, np.float32, np.float64]
INTEGERS = [np.int8, np.uint8, np.int64]
LAYOUTS = {
    "plain": lambda a: a,
    "columns first": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}

shapes = array_shapes(min_dims=1, max_dims=4, max_side=5)
few = st.integers(0, 4)  # many ties, often all
many = st.floats(0, 8, width=16)
magnitudes = arrays(np.float64, shapes, elements=few) | arrays(
    np.float64, shapes, elements=many
)
names = st.sampled_from(["a", "b", "", "dense_1/kernel:0", "ñ"])
# One weight, at both ends of what a sparsity can be, and anything between.
sparsities = (
    st.floats(0, 1, exclude_max=True)
    | st.sampled_from([0, -0.0, np.nextafter(1, 0), rationals.Fraction(1, 3)])
    | st.floats(0, 0.990234375, width=16).map(np.float16)
)


@st.composite
def scores(draw, values=magnitudes, layouts=tuple(LAYOUTS)):
    """Numbers of at most 8, in any dtype that holds them, in any layout."""
    array = draw(values)
    whole = (array == np.floor(array)).all()
    dtypes = FLOATS + INTEGERS * bool(whole) + [bool] * bool(array.max() <= 1)
    return LAYOUTS[draw(st.sampled_from(layouts))](
        array.astype(draw(st.sampled_from(dtypes)))
    )


def layers(values=None):
    """One to three layers of scores, by name."""
    return st.dictionaries(names, values or scores(), min_size=1, max_size=3)
