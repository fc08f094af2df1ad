"""The scheme that extrapolates to the step 0: how near it comes, whether it knows, and what it notices on the way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from lines import Sampled

import anygrad
from anygrad.schemes import Adaptive, Slopes

FLAGS = {"kink", "noisy", "nonfinite", "one_sided", "unconverged"}
LAZY = {"lazy": True, "take": None}


@pytest.fixture(autouse=True)
def quiet():
    """Operators run schemes under this setting."""
    with np.errstate(all="ignore"):
        yield


def derivative(f, at, n=1, *, scheme=None, dtype="float64", lower=None, upper=None) -> tuple[Slopes, Sampled]:
    sampled = Sampled(f, np.atleast_1d(at), dtype, lower, upper)
    scheme, lines = scheme or Adaptive(), sampled.lines()
    return scheme.differentiate(lines, scheme.steps(lines, n), n), sampled


def flags(slopes: Slopes) -> set[str]:
    return {name for name, flag in slopes.flags.items() if flag.any()}


def relu(x):
    return np.maximum(x, 0.0)


KINKS = {
    "relu": (relu, 0.0, 0.5, 0.5),
    "abs": (np.abs, 0.0, 0.0, 1.0),
    "leaky relu": (lambda x: np.where(x > 0, x, 0.01 * x), 0.0, 0.505, 0.495),
    "clip": (lambda x: np.clip(x, -1.0, 1.0), 1.0, 0.5, 0.5),
    "max": (lambda x: np.maximum(x, x * x), 1.0, 1.5, 0.5),
    "abs at 3": (lambda x: np.abs(x - 3), 3.0, 0.0, 1.0),
    "a little kink": (lambda x: np.exp(x) + 1e-5 * np.abs(x), 0.0, 1.0, 1e-5),
    # Slopes whose mean is 0 are no reason to go farther out.
    "max of waves": (lambda x: np.maximum(np.sin(x), np.cos(x)), math.pi / 4, 0.0, math.sqrt(0.5)),
    "abs at 1e-8": (lambda x: np.abs(x - 1e-8), 1e-8, 0.0, 1.0),
}
JUMPS = {
    "floor": (np.floor, 1.0),
    "ceil": (np.ceil, 2.0),
    "sign": (np.sign, 0.0),
    "heaviside": (lambda x: np.heaviside(x, 0.5), 0.0),
}
# Where the battery has nothing like it.
SMOOTH = {
    "exp at -100": (np.exp, -100.0, math.exp(-100)),
    "exp at 13": (np.exp, 13.0, math.exp(13)),
    "exp at 709": (np.exp, 709.0, math.exp(709)),
    "abs far from its kink": (np.abs, 100.0, 1.0),
    "relu far from its kink": (relu, 1e-3, 1.0),
    "abs next to its kink": (lambda x: np.abs(x - 1), 1.001, 1.0),
    "a bend": (lambda x: np.sqrt(x * x + 1e-4), 1e-3, 1e-3 / math.sqrt(1e-6 + 1e-4)),
    "in a bend": (lambda x: np.sqrt(x * x + 1e-8), 0.0, 0.0),
    "a steep sigmoid": (lambda x: np.tanh(1e3 * x), 0.0, 1e3),
    # The scale of f is seen of f(x) alone, or not before the step has shrunk by many powers of ten.
    "very close to a pole": (lambda x: 1 / (x - 1), 1 + 2.0**-26, -(2.0**52)),
    "a steep tangent": (np.tan, -1.5707963, 1.3928227166e15),
    "between two poles": (
        lambda x: 1 / ((x - 1) * (x - 1.0078125)),
        1.00390625 - 2.0**-20,
        2.0**-19 / (2.0**-40 - 2.0**-16) ** 2,
    ),
    "a wave at 1e8": (np.sin, 1e8, math.cos(1e8)),
    "a step nearby": (lambda x: np.floor(x) + x, 1.999, 1.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_flagged_and_its_error_covers_both_slopes(name):
    f, at, mean, half = KINKS[name]
    slopes, _ = derivative(f, at)
    assert flags(slopes) == {"kink"}
    assert slopes.value[0, 0] == pytest.approx(mean, abs=1e-6)
    for slope in mean - half, mean + half:
        assert abs(slopes.value[0, 0] - slope) <= slopes.error[0, 0]
    assert slopes.error[0, 0] <= 1.02 * half


@pytest.mark.parametrize("name", JUMPS)
def test_a_jump_is_flagged_and_has_no_derivative(name):
    slopes, _ = derivative(*JUMPS[name])
    assert flags(slopes) == {"kink"}
    assert slopes.error[0, 0] == math.inf


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_smooth_is_not_flagged(name):
    f, at, exact = SMOOTH[name]
    slopes, _ = derivative(f, at)
    assert flags(slopes) == set()
    assert abs(slopes.value[0, 0] - exact) <= slopes.error[0, 0]
    assert slopes.error[0, 0] <= 1e-5 * abs(exact) + 1e-13


def test_all_flags_are_there_for_every_value():
    slopes, _ = derivative(lambda x: np.concatenate([x, x * x, x**3], axis=1), [1.0, 2.0])
    assert set(slopes.flags) == FLAGS
    assert all(flag.shape == (2, 3) and flag.dtype == bool for flag in slopes.flags.values())


@pytest.mark.parametrize("level", [1e-3, 1e-6, 1e-9, 1e-11])
@pytest.mark.parametrize("scheme", [Adaptive(), "stated"])
def test_noise_is_found_or_stated_and_the_error_covers_it(level, scheme):
    scheme = Adaptive(noise=level) if scheme == "stated" else scheme
    errors, covered, flagged = [], 0, 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        slopes, _ = derivative(
            lambda x, r=random: np.sin(x) * (1 + level * r.standard_normal(x.shape)), 1.0, scheme=scheme
        )
        errors.append(abs(slopes.value[0, 0] - math.cos(1)))
        covered += errors[-1] <= slopes.error[0, 0]
        flagged += flags(slopes) == {"noisy"}
    assert np.median(errors) < 20 * level
    assert covered >= 57
    assert flagged >= 57 or scheme.noise


def test_the_single_precision_of_an_inner_function_is_noise():
    slopes, _ = derivative(lambda x: np.sin(x.astype(np.float32)), 1.0)
    assert flags(slopes) == {"noisy"}
    assert abs(slopes.value[0, 0] - math.cos(1)) <= slopes.error[0, 0] < 1e-4


@pytest.mark.parametrize(("f", "at", "exact"), [(np.log, 1e-3, 1e3), (np.arccos, 0.999, -1 / math.sqrt(1 - 0.999**2))])
def test_points_outside_of_the_domain_shrink_the_step(f, at, exact):
    slopes, _ = derivative(f, at, scheme=Adaptive(step=2.0))
    assert flags(slopes) == set()
    assert abs(slopes.value[0, 0] - exact) <= slopes.error[0, 0] <= 1e-8 * abs(exact)


@pytest.mark.parametrize("distance", [2.0**-10, 2.0**-24, 2.0**-34, 2.0**-40])
@pytest.mark.parametrize("f", [np.log, np.sqrt])
def test_the_edge_of_the_domain_may_be_very_close(f, distance):
    slopes, _ = derivative(lambda x: f(x - 1), 1 + distance)
    exact = 1 / distance if f is np.log else 0.5 / math.sqrt(distance)
    assert flags(slopes) == set()
    assert abs(slopes.value[0, 0] - exact) <= slopes.error[0, 0] <= 0.2 * exact


@pytest.mark.parametrize("f", [np.cbrt, np.sqrt, lambda x: 1 / x, lambda x: np.sin(x) / x, lambda x: 1.0 * (x == 0)])
def test_where_nothing_is_known_the_error_is_infinite(f):
    slopes, sampled = derivative(f, 0.0)
    assert flags(slopes) & {"unconverged", "nonfinite", "kink"}
    assert slopes.error[0, 0] == math.inf
    assert sampled.points <= 110


def test_a_jump_is_noticed_in_single_precision():
    slopes, _ = derivative(np.floor, 2.0, dtype="float32")
    assert flags(slopes) == {"kink"}
    assert slopes.error[0, 0] == math.inf


def test_wider_steps_under_noise_do_not_lead_to_another_wave():
    errors, covered = [], 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        slopes, _ = derivative(lambda x, r=random: np.cos(50 * x) * (1 + 1e-3 * r.standard_normal(x.shape)), 0.3)
        errors.append(abs(slopes.value[0, 0] + 50 * math.sin(15)))
        covered += errors[-1] <= slopes.error[0, 0]
    assert np.median(errors) < 1
    assert covered >= 57


def test_a_second_derivative_next_to_0_is_found_under_a_large_value():
    slopes, _ = derivative(lambda x: 1e8 + np.sin(x), 1e-3, 2)
    assert abs(slopes.value[0, 0] + math.sin(1e-3)) <= slopes.error[0, 0] < 1e-4


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_an_estimate_is_a_number(n):
    slopes, _ = derivative(lambda x: x**3, [1e100, 1e-100, 0.0, 1.0], n)
    assert not np.isnan(slopes.error).any()


def test_at_the_edge_of_the_domain_points_are_on_one_side():
    slopes, _ = derivative(lambda x: np.sqrt(x) ** 4, 0.0)
    assert flags(slopes) == {"one_sided"}
    assert abs(slopes.value[0, 0]) <= slopes.error[0, 0] < 1e-9


@pytest.mark.parametrize(("f", "at"), [(np.log, 0.0), (np.log, -1.0), (np.exp, math.nan), (np.exp, math.inf)])
def test_what_is_not_finite_is_flagged(f, at):
    slopes, _ = derivative(f, at)
    assert flags(slopes) == {"nonfinite"}
    assert slopes.error[0, 0] == math.inf


@pytest.mark.parametrize("at", [0.0, 1e-9, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_bounds_are_never_crossed(at, n, lazy):
    sampled = Sampled(np.exp, [at], lower=0.0, upper=1.0)
    lines = replace(sampled.lines(), **LAZY) if lazy else sampled.lines()
    slopes = Adaptive().differentiate(lines, np.full((1, 1), 0.5), n)
    assert sampled.lowest >= 0.0
    assert sampled.highest <= 1.0
    assert abs(slopes.value[0, 0] - math.exp(at)) <= slopes.error[0, 0] < 10.0 ** (2 * n - 12)
    assert flags(slopes) == (set() if at == 0.3 else {"one_sided"})


@pytest.mark.parametrize(
    ("dtype", "n", "within"), [("float64", 1, 1e-13), ("float64", 2, 1e-9), ("float32", 1, 3e-5)], ids=str
)
def test_next_to_0_the_steps_are_not_a_part_of_x_where_f_hardly_changes(dtype, n, within):
    """0.3 |x| costs two digits of exp there; only where f may vary with x is it as far as one can go."""
    at = np.concatenate([sign * np.geomspace(0.001, 0.1, 200) for sign in (1, -1)]).astype(dtype)
    slopes, sampled = derivative(np.exp, at, n, dtype=dtype)
    exact = np.exp(at.astype(float))
    assert np.abs(slopes.value[:, 0] / exact - 1).max() < within
    assert np.all(np.abs(slopes.value[:, 0] - exact) <= slopes.error[:, 0])
    assert sampled.highest > 0.14
    for f in np.log, np.sqrt, lambda x: x**1.5, lambda x: x - x**3:
        _, sampled = derivative(f, at[at > 0], n, dtype=dtype)
        assert sampled.lowest > 0
        assert sampled.highest <= 1.3001 * at.max()


@pytest.mark.parametrize(("offset", "scale", "at"), [(100, 1.0, 1e-4), (10, 8.0, 6e-4), (1000, 0.1, 1e-3)])
def test_an_even_function_with_an_offset_is_no_straight_line(offset, scale, at):
    def f(x):
        return (offset + np.sqrt(1 + (x / scale) ** 2)).astype("float32")

    slopes, _ = derivative(f, [at], dtype="float32")
    assert abs(slopes.value[0, 0] - at / scale**2) <= slopes.error[0, 0]


def test_longer_steps_stay_between_bounds():
    slopes, sampled = derivative(np.exp, [0.02, 0.03, -0.04], lower=-0.05, upper=0.06)
    assert sampled.lowest >= -0.05
    assert 0.05 < sampled.highest <= 0.06
    assert np.all(np.abs(slopes.value[:, 0] - np.exp([0.02, 0.03, -0.04])) <= slopes.error[:, 0])


@pytest.mark.parametrize("at", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 8])
def test_derivatives_of_any_order(at, n):
    slopes, _ = derivative(np.exp, at, n)
    assert abs(slopes.value[0, 0] - math.exp(at)) <= slopes.error[0, 0] <= 10.0 ** (1.5 * n - 12) * math.exp(at)


def test_single_precision():
    at = np.float32([0.1, 1.0, 7.3])
    slopes, _ = derivative(np.sin, at, dtype="float32")
    error = np.abs(slopes.value[:, 0] - np.cos(at.astype(float)))
    assert np.all(error <= slopes.error[:, 0])
    assert np.all(slopes.error[:, 0] < 1e-4)
    assert flags(slopes) == set()


def test_a_line_goes_on_until_all_of_its_values_have_converged():
    slopes, _ = derivative(lambda x: np.concatenate([3 * x, np.exp(50 * x), np.abs(x)], axis=1), [0.0, 1.0])
    exact = np.array([[3.0, 50.0, 0.0], [3.0, 50 * math.exp(50), 1.0]])
    assert np.all(np.abs(slopes.value - exact) <= slopes.error)
    assert slopes.flags["kink"].tolist() == [[False, False, True], [False, False, False]]
    assert slopes.step.shape == (2, 1)


class Turning(Sampled):
    """exp(it), a complex function of a real number."""

    def _values(self, level):
        return np.exp(1j * level)


def test_complex_values():
    lines = Turning(np.exp, [0.3, 2.0]).lines()
    slopes = Adaptive().differentiate(lines, Adaptive().steps(lines))
    error = np.abs(slopes.value - 1j * np.exp(1j * lines.at))
    assert np.all(error <= slopes.error)
    assert np.all(slopes.error < 1e-11)
    assert flags(slopes) == set()


def test_values_that_cannot_be_looked_at():
    lines = replace(Sampled(np.exp, [0.0, 1.0, 5.0]).lines(), **LAZY)
    slopes = Adaptive().differentiate(lines, Adaptive().steps(lines))
    error = np.abs(slopes.value - np.exp(lines.at))
    assert np.all(error <= slopes.error)
    assert np.all(slopes.error < 1e-10 * np.exp(lines.at))


def test_an_element_that_has_converged_costs_no_more_calls():
    def f(x):
        return np.where(x < 2, np.exp(100 * x), 3 * x)

    _, easy = derivative(f, np.full(99, 10.0))
    _, hard = derivative(f, 1.0)
    _, both = derivative(f, np.append(np.full(99, 10.0), 1.0))
    assert easy.points == 99 * 7
    assert both.points == easy.points + hard.points


def test_many_lines_are_the_same_as_each_alone():
    at = np.linspace(-3, 3, 2**17 + 5)
    many, _ = derivative(np.sin, at)
    few, _ = derivative(np.sin, at[-7:])
    assert np.array_equal(many.value[-7:], few.value)
    assert np.all(np.abs(many.value[:, 0] - np.cos(at)) <= many.error[:, 0])


def test_the_first_step_may_be_given():
    lines = Sampled(np.sin, [1.0, 2.0]).lines()
    assert np.array_equal(Adaptive(step=0.25).steps(lines), [[0.25], [0.25]])
    sampled = Sampled(np.sin, [1.0])
    Adaptive().differentiate(sampled.lines(), np.full((1, 1), 0.25))
    assert sampled.highest == 1.25


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"step": 0.0}, ValueError),
        ({"step": math.inf}, ValueError),
        ({"step": 10**400}, ValueError),
        ({"step": True}, TypeError),
        ({"step": "a"}, TypeError),
        ({"noise": -1e-6}, ValueError),
        ({"noise": "much"}, TypeError),
        ({"levels": 0}, ValueError),
        ({"levels": 2.5}, TypeError),
        ({"rtol": -1e-6}, ValueError),
        ({"atol": math.nan}, ValueError),
        ({"rtol": "small"}, TypeError),
        ({"atol": True}, TypeError),
    ],
)
def test_bad_parameters_get_a_sentence(parameters, error):
    with pytest.raises(error, match="such as"):
        Adaptive(**parameters)


# --- a tolerance, and few levels -----------------------------------------------------------------------------------

TOLERANT = {
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "sine": (np.sin, np.cos),
}


@pytest.mark.parametrize("name", TOLERANT)
def test_with_a_tolerance_of_a_millionth_smooth_functions_take_seven_calls(name):
    f, exact = TOLERANT[name]
    x = np.random.default_rng(1).uniform(1e-3, 5, 300)
    slopes, _ = derivative(f, x, scheme=Adaptive(rtol=1e-6))
    error = np.abs(slopes.value[:, 0] - exact(x))
    assert np.mean(slopes.levels <= 3) > 0.99  # next to a zero of cos, more
    assert np.all(error <= slopes.error[:, 0])
    assert np.all(slopes.error[:, 0] <= 1e-6 * np.abs(slopes.value[:, 0]))
    assert flags(slopes) == set()


@pytest.mark.parametrize("tolerance", [{"rtol": 1e-3}, {"rtol": 1e-10}, {"atol": 1e-5}, {"rtol": 1e-4, "atol": 1e-4}])
def test_an_error_within_the_tolerance_ends_an_element(tolerance):
    scheme, x = Adaptive(**tolerance), np.linspace(0.1, 4, 200)
    slopes, sampled = derivative(np.exp, x, scheme=scheme)
    _, without = derivative(np.exp, x)
    value, error = slopes.value[:, 0], slopes.error[:, 0]
    assert np.all(error <= scheme.atol + scheme.rtol * np.abs(value))
    assert np.all(np.abs(value - np.exp(x)) <= error)
    assert sampled.points < without.points


def test_a_tolerance_hides_neither_a_kink_nor_a_narrow_peak():
    scheme = Adaptive(rtol=1e-6)
    kink, _ = derivative(np.abs, 0.0, scheme=scheme)
    assert flags(kink) == {"kink"}
    peak, _ = derivative(lambda x: np.exp(-((x - 1000) ** 2) / 2), 1001.0, scheme=scheme)
    assert abs(peak.value[0, 0] + math.exp(-0.5)) <= peak.error[0, 0] <= 1e-6


def test_a_single_level_is_a_central_difference_with_the_slopes_on_both_sides_for_its_error():
    slopes, sampled = derivative(np.exp, 1.0, scheme=Adaptive(levels=1, step=0.125))
    above, below = (math.exp(1 + h) - math.e for h in (0.125, -0.125))
    assert sampled.points == 3
    assert slopes.value[0, 0] == pytest.approx((above - below) / 0.25)
    assert slopes.error[0, 0] == pytest.approx((above + below) / 0.25, rel=1e-9)


def test_two_levels_take_four_points_beside_x():
    slopes, sampled = derivative(np.exp, 1.0, scheme=Adaptive(levels=2))
    assert sampled.points == 5
    assert abs(slopes.value[0, 0] - math.e) <= slopes.error[0, 0] < 0.1
    beside_a_bound, _ = derivative(np.exp, 1.0, scheme=Adaptive(levels=1), lower=1.0)
    assert flags(beside_a_bound) == {"one_sided", "unconverged"}  # of one difference nothing is known


def test_the_number_of_levels_is_told():
    x = np.array([[0.5, 1.0], [2.0, 3.0]])
    result = anygrad.derivative(np.exp, x, scheme=Adaptive(levels=2), full_output=True)
    assert result.nlevels.dtype.kind == "i"
    assert result.nlevels.tolist() == [[2, 2], [2, 2]]
    gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=Adaptive(), full_output=True)
    assert gradient.nlevels.shape == x.shape
    assert 1 + 2 * gradient.nlevels.sum() == gradient.ncalls
    assert anygrad.numerical_gradient(np.sum, x, full_output=True).nlevels is None
