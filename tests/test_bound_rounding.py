"""Bounds and steps at the level of rounding: no bound is crossed by a bit, and a step that drowns is refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from evaluators import Called

import anygrad

DROWNED = r"the step .* is too small: x has an element of magnitude .* leaves unchanged in the dtype of x"
DOUBLE = pytest.mark.libraries(lambda lib: "float64" in lib.real and not lib.lazy)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_squeezed_into_the_room_left_leads_no_bit_beyond_a_bound(sign):
    """Where |x| is far larger than |bound|, x + (bound - x) is rounded: to beyond the bound in half of the cases."""
    random = np.random.default_rng(0)
    x, bound = random.uniform(-1, -0.5, 200), random.uniform(0, 1e-3, 200)
    assert np.mean(x + (bound - x) > bound) > 0.3
    lower, upper = np.sort([sign * np.full(200, -1.0), sign * bound], axis=0)
    scheme = anygrad.Forward(order=1, step=10) if sign > 0 else anygrad.Backward(order=1, step=10)

    def f(x):
        assert np.all((x >= lower) & (x <= upper))
        return x.sum()

    assert np.allclose(anygrad.numerical_gradient(f, sign * x, scheme=scheme, bounds=(lower, upper)), 1)


@DOUBLE
@pytest.mark.parametrize("at", [1.0, -1.0])
def test_a_step_that_drowns_on_one_side_only_is_refused(lib, at):
    """From a power of 2 towards 0 numbers are twice as dense: it would change x there, and not on the other side."""
    step = 0.4 * 2.0**-52
    assert (at + step == at) != (at - step == at)
    x = lib.asarray(np.array([at]), "float64")
    for scheme in (anygrad.Central(step=step), anygrad.Forward(step=step), anygrad.Backward(step=step)):
        with pytest.raises(ValueError, match=DROWNED):
            anygrad.numerical_gradient(lib.xp.sum, x, scheme=scheme)


@DOUBLE
def test_every_evaluator_refuses_a_step_that_drowns(lib, called: Called):
    f = called.of(lib, lambda x: lib.xp.sum(x**2))
    large, small = (lib.asarray(np.array([2.0**20, other]), "float64") for other in (1.0, 2.0**20))
    # A function that has been seen before takes a shorter way.
    anygrad.numerical_gradient(f, lib.asarray(np.array([1.0, 2.0]), "float64"), evaluator=called.evaluator)
    for x in (large, small):
        with pytest.raises(ValueError, match=DROWNED):
            anygrad.numerical_gradient(f, x, 2.0**-34, evaluator=called.evaluator)


@dataclass(frozen=True)
class Eighth(anygrad.schemes.ReferenceStep):
    """A user's own step rule, made of another one."""

    def steps(self, lines, stencil):
        return lines.xp.full_like(lines.at, 0.125)


@dataclass(frozen=True)
class Stretched(anygrad.Central):
    """A user's own scheme, made of another one."""

    def steps(self, lines, n=1):
        return 2 * super().steps(lines, n)


@DOUBLE
@pytest.mark.parametrize("scheme", [anygrad.Central(step=Eighth()), Stretched(step=0.0625)], ids=["rule", "scheme"])
def test_every_evaluator_takes_the_steps_of_the_users_own_rule(lib, called: Called, scheme):
    """Of a cube, the central difference quotient with a step h is 3 x^2 + h^2."""
    f = called.of(lib, lambda x: lib.xp.sum(x**3))
    x = lib.asarray(np.array([1.0, 2.0]), "float64")
    for _ in range(2):  # a function that has been seen before takes a shorter way
        value = anygrad.numerical_gradient(f, x, scheme=scheme, evaluator=called.evaluator)
        assert np.allclose(lib.numpy(value), [3 + 1 / 64, 12 + 1 / 64], rtol=1e-12)


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_a_step_that_fits_between_the_bounds_stays_as_it_is(lib):
    """A one-sided stencil, which reaches two steps, would not have room for it; the central one reaches one."""
    x = lib.asarray(np.array([1.0]), "float32")
    result = anygrad.numerical_gradient(
        lib.xp.sum, x, scheme=anygrad.Central(step=0.125), bounds=(0.8125, 1.1875), full_output=True
    )
    assert lib.numpy(result.step).tolist() == [0.125]
    assert not lib.numpy(result.flags["one_sided"]).any()


@pytest.mark.parametrize("bounds", [(0.0, [1.0, 2.0]), ([1.0, 2.0], None), ([1.0, 0.0], [9.0, 2.0])])
def test_a_right_claim_at_a_bound_agrees(bounds):
    """Neither f nor what is claimed is called beyond it, for its rounding to be seen either."""
    lower, upper = (other if bound is None else bound for bound, other in zip(bounds, (-np.inf, np.inf), strict=True))

    def exponentials(x):
        assert np.all((x >= lower) & (x <= upper))
        return np.exp(x)

    report = anygrad.check_gradient(lambda x: exponentials(x).sum(), exponentials, np.array([1.0, 2.0]), bounds=bounds)
    assert report.verdict == "agrees"
