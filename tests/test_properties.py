"""Properties that hold for random shapes, strides and dtypes."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from layouts import LAYOUTS
from random_examples import examples

import anygrad

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)


@st.composite
def views(draw):
    """Draw an array and a view of it: any axes order, slices and steps."""
    base = np.arange(1.0, 1.0 + 3**3).reshape(3, 3, 3) / 8
    axes = draw(st.permutations(range(3)))
    slices = tuple(
        slice(draw(st.integers(0, 1)), draw(st.integers(1, 3)), draw(st.sampled_from([1, 2]))) for _ in range(3)
    )
    return base, axes, slices


@examples(40)
@given(data=st.data(), degree=st.integers(1, 3))
def test_polynomials_of_any_shape_layout_and_dtype(lib, data, degree):
    """sum(c * x**degree): the gradient is known, and so is the error of a central difference."""
    dtype = data.draw(st.sampled_from([name for name in lib.real if name != "bfloat16"]))
    shape = data.draw(shapes)
    numbers = st.integers(-16, 16).map(lambda k: k / 8)
    values = np.array(data.draw(st.lists(numbers, min_size=math.prod(shape), max_size=math.prod(shape)))).reshape(shape)
    layouts = [name for name in LAYOUTS if (lib.negative_strides or name != "reversed") and (shape or name != "window")]
    layout = data.draw(st.sampled_from(layouts))
    x = LAYOUTS[layout](lib, values, dtype)
    before = lib.bits(x)

    result = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**degree / 8), x, full_output=True)

    eps = float(np.finfo(dtype).eps)
    step = lib.numpy(result.step).astype(float)
    magnitude = max(1, values.size) * 3.0**degree / 8
    rounding = (values.size + 3) * eps * magnitude / np.where(step, 2 * step, 1)
    truncation = step**2 / 8 if degree == 3 else 0
    assert np.all(
        np.abs(lib.numpy(result.value) - degree * values ** (degree - 1) / 8) <= truncation + rounding + eps * 2
    )
    assert (type(result.value), result.value.dtype, result.value.shape) == (type(x), x.dtype, x.shape)
    assert result.ncalls - 2 * values.size in ({0} if lib.writable else {0, 1})  # 1: f(x), at the top of a parabola
    assert lib.bits(x) == before


@examples(40)
@given(data=st.data())
def test_views_of_a_larger_array(data):
    """On NumPy: only the view is perturbed, and what surrounds it is never touched."""
    base, axes, slices = data.draw(views())
    x = base.transpose(axes)[slices]
    before = base.copy()
    seen = []

    def f(x):
        seen.append(base.copy())
        return (x**2).sum()

    gradient = anygrad.numerical_gradient(f, x)
    assert np.allclose(gradient, 2 * x, rtol=1e-6)
    assert all(np.count_nonzero(state != before) == 1 for state in seen)
    assert np.array_equal(base, before)


@examples(40)
@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=3), elements=st.floats(width=64)),
    order=st.sampled_from([2, 4, 6]),
)
def test_any_float64_comes_back(x, order):
    before = x.tobytes()
    anygrad.numerical_gradient(lambda x: 1.0, x, scheme=anygrad.Central(order=order))
    assert x.tobytes() == before
