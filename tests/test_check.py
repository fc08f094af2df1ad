"""check_gradient: what it says of right and of wrong derivatives, of functions without one, and of mistaken calls."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
from collections import OrderedDict

import numpy as np
import pytest
from rough import noise

import anygrad
from anygrad import check_gradient

X = np.array([1.0, -2.0, 0.5])
W = np.random.default_rng(0).normal(size=(4, 3))


def cubes(x):
    return (x**3).sum()


def slope_of_cubes(x):
    return 3 * x**2


def layer(x):
    return np.tanh(W @ x)


def jacobian_of_layer(x):
    return (1 - np.tanh(W @ x) ** 2)[:, None] * W


def off_at(place, size, gradient=slope_of_cubes):
    """Return a gradient that is wrong at one element, by a share of it."""

    def claimed(x):
        wrong = np.array(gradient(x))
        wrong[place] *= 1 + size
        return wrong

    return claimed


# What is right


def test_a_right_gradient_agrees_on_every_library(lib, dtype):
    xp = lib.xp
    x = lib.asarray(X, dtype)
    report = check_gradient(lambda x: xp.sum(x**2), lambda x: 2 * x, x)
    assert report, report
    assert report.counts == {"agrees": 3}
    assert np.array_equal(lib.numpy(x).astype(float), X)


@pytest.mark.libraries(lambda lib: not lib.lazy)  # where each operation takes a millisecond, one check is enough
def test_a_wrong_element_is_named_on_every_library(lib, dtype):
    xp = lib.xp
    x = lib.asarray(X, dtype)
    factors = lib.asarray(np.array([2.0, 5.0, 2.0]), dtype)
    report = check_gradient(lambda x: xp.sum(x**2), lambda x: factors * x, x)
    assert report.verdict == "wrong"
    assert [element.name for element in report.worst] == ["x[1]"]


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_every_evaluator(lib, called):
    xp = lib.xp
    x = lib.asarray(X, lib.real[-1])
    f = called.of(lib, lambda x: xp.sum(xp.sin(x)))
    assert check_gradient(f, xp.cos, x, evaluator=called.evaluator)
    assert check_gradient(f, xp.cos, x, evaluator=called.evaluator, directions=2)
    if not lib.slow:  # what is claimed is judged on the host, the same for all libraries; see the test before this
        assert check_gradient(f, xp.sin, x, evaluator=called.evaluator).counts == {"wrong": 3}


@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Central(order=6), anygrad.Forward(), anygrad.Complex()])
def test_schemes_that_estimate_no_error(scheme):
    assert check_gradient(cubes, slope_of_cubes, X, scheme=scheme)
    assert check_gradient(cubes, off_at(2, 1e-3), X, scheme=scheme).worst[0].name == "x[2]"


@pytest.mark.parametrize("x", [3.0, [1.0, 2.0], np.array(3.0), np.zeros((2, 0))])
def test_numbers_lists_and_arrays_of_any_shape(x):
    assert check_gradient(lambda x: (np.asarray(x) ** 2).sum(), lambda x: 2 * np.asarray(x), x)


def test_a_mask_is_a_gradient(lib):
    """As that of relu may be written: it is subtracted from itself, which masks are not."""
    xp, x = lib.xp, lib.asarray(X, "float32")
    assert check_gradient(lambda x: xp.sum(abs(x) + x) / 2, lambda x: x > 0, x)
    assert check_gradient(lambda x: xp.sum(abs(x) + x) / 2, x > 0, x)
    assert check_gradient(lambda x: xp.sum(abs(x) + x) / 2, lambda x: x < 0, x).counts == {"wrong": 3}
    assert check_gradient(lambda x: np.maximum(x, 0), None, X, jac=lambda x: np.diag(x > 0), directions=2)


def test_trees():
    tree = {"W": W.copy(), "b": [np.ones(2), 3.0]}

    def f(p):
        return (p["W"] ** 2).sum() * p["b"][1] + p["b"][0].sum()

    def grad(p):
        return {"W": 2 * p["W"] * p["b"][1], "b": [np.ones(2), (p["W"] ** 2).sum()]}

    assert check_gradient(f, grad, tree)
    wrong = check_gradient(f, lambda p: grad(p) | {"b": [np.array([1.0, 1.001]), (p["W"] ** 2).sum()]}, tree)
    assert [element.name for element in wrong.worst] == ["x['b'][0][1]"]


def test_the_book_s_idiom_in_which_both_ignore_their_argument():
    params = X.copy()
    assert check_gradient(lambda _: cubes(params), lambda _: slope_of_cubes(params), params)


def test_complex_numbers():
    z = np.array([1 + 2j, 3 - 1j])
    assert check_gradient(lambda z: (z**3).sum(), lambda z: 3 * z**2, z)
    assert check_gradient(lambda z: float((abs(z) ** 2).sum()), lambda z: 2 * z, z)
    assert check_gradient(lambda z: float((abs(z) ** 2).sum()), lambda z: 2 * z.conj(), z).verdict == "wrong"


REAL_OF_COMPLEX = {
    "the square of the size": (lambda z: (abs(z) ** 2).sum(), lambda z: 2 * z),
    "the imaginary part": (lambda z: z.imag.sum(), lambda z: 1j + 0 * z),
    "the real part": (lambda z: z.real.sum(), lambda z: 1 + 0 * z),
    "a wave of both": (
        lambda z: (np.sin(z.real) * z.imag**3).sum(),
        lambda z: np.cos(z.real) * z.imag**3 + 3j * np.sin(z.real) * z.imag**2,
    ),
}
Z = np.array([1 + 2j, 0.5 - 1j, -2 + 0.3j])


@pytest.mark.parametrize("name", REAL_OF_COMPLEX)
@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
@pytest.mark.parametrize("scheme", [None, anygrad.Central()], ids=repr)
def test_a_claim_for_a_real_function_needs_both_parts(name, dtype, scheme):
    f, gradient = REAL_OF_COMPLEX[name]
    z = Z.astype(dtype)
    right = gradient(z)
    assert check_gradient(f, gradient, z, scheme=scheme)
    for part in (right.real + 0j, 1j * right.imag, right.conj()):
        wrong = bool(np.any(abs(part - right) > 0.1))
        for claimed in (part, lambda _, part=part: part):
            assert check_gradient(f, claimed, z, scheme=scheme).verdict == ("wrong" if wrong else "agrees")


def test_an_f_that_reads_another_array_than_x():
    weights = np.random.default_rng(0).normal(size=(3, 4))
    net = {"W": weights, "b": X.copy()}
    copied = {"W": weights.copy(), "b": net["b"]}

    def claimed(_):
        return {"W": slope_of_cubes(net["W"]), "b": 2 * net["b"]}

    report = check_gradient(lambda _: cubes(net["W"]) + (net["b"] ** 2).sum(), claimed, copied)
    assert report.verdict == "wrong"
    assert report.hints[0].startswith("x['W']: f does not depend on it at all, and may read another array instead")
    assert len(report.hints) == 1


def test_an_f_that_is_flat_at_x_is_not_said_to_read_another_array():
    """Its derivatives are 0, as are those of what f does not read: its values tell them apart."""
    x = {"flat": np.zeros(5), "unread": np.linspace(1, 2, 5)}

    def f(p):
        return np.cos(p["flat"]).sum()

    report = check_gradient(f, lambda p: {"flat": -np.sin(p["flat"] + 0.1), "unread": 3 * p["unread"]}, x)
    unread, flat = report.hints
    assert unread.startswith("x['unread']: f does not depend on it at all")
    assert flat.startswith("x['flat']: the claimed gradient is off by the same constant")
    for options in ({"directions": 2}, {"evaluator": anygrad.Loop(in_place=False)}):
        report = check_gradient(lambda x: np.cos(x).sum(), lambda x: -np.sin(x + 0.1), np.zeros(5), **options)
        assert report.verdict == "wrong"
        assert "does not change" not in str(report)


@pytest.mark.parametrize("directions", [None, 2])
@pytest.mark.parametrize(
    ("f", "claimed"),
    [
        (lambda z: np.conj(z).sum(), np.ones_like),
        (lambda z: (z * z.conj()).sum(), lambda z: 2 * z.real + 0j),
        (lambda z: complex((z.real**2).sum()), lambda z: 2 * z.real + 0j),
        (lambda z: (z**2).sum() + abs(z[0]) ** 2 * 1j, lambda z: 2 * z),
    ],
    ids=["conjugate", "square of the size", "real part", "with a part that is not"],
)
def test_functions_without_a_complex_derivative(f, claimed, directions):
    with pytest.raises(ValueError, match=r"but is not holomorphic, .*let it return a real number"):
        check_gradient(f, claimed, np.array([1 + 2j, 0.5 - 1j]), directions=directions)


@pytest.mark.parametrize("at", [1.0, 1e-6, 1e3])
def test_functions_with_a_complex_derivative(at):
    z = at * np.array([1 + 2j, 0.5 - 1j])
    held = z.copy()
    for f, slope in [
        (lambda z: np.exp(z / at).sum(), lambda z: np.exp(z / at) / at),
        (lambda z: np.log(z).sum(), lambda z: 1 / z),
        (lambda z: (1 / (z - (1.001 + 2j) * at)).sum(), lambda z: -1 / (z - (1.001 + 2j) * at) ** 2),
        (lambda z: np.cos(3 * z / at).sum(), lambda z: -3 / at * np.sin(3 * z / at)),
        (lambda _: (held**2).sum(), lambda _: 2 * held),
    ]:
        assert check_gradient(f, slope, held), f
        assert check_gradient(f, slope, held, directions=2), f
    assert check_gradient(
        lambda p: (p["z"] ** 2).sum() * p["w"].sum(),
        lambda p: {"z": 2 * p["z"] * p["w"].sum(), "w": (p["z"] ** 2).sum() * np.ones(2)},
        {"z": z, "w": z / 2},
    )


def test_a_gradient_that_has_been_computed_already():
    report = check_gradient(cubes, slope_of_cubes(X), X)
    assert report
    assert report.claim_ncalls == 0


def test_bounds_are_kept():
    lower = X.copy()

    def f(x):
        assert (x >= lower).all()
        return ((x - lower) ** 3).sum()

    assert check_gradient(f, lambda x: 3 * (x - lower) ** 2, X, bounds=(lower, None))
    assert check_gradient(f, lambda x: 3 * (x - lower) ** 2 + 1, X, bounds=(lower, None)).counts == {"wrong": 3}


# Other derivatives


def test_jacobians():
    assert check_gradient(layer, None, X, jac=jacobian_of_layer)
    assert check_gradient(layer, None, X, jac=jacobian_of_layer, directions=2)
    wrong = jacobian_of_layer(X)
    wrong[2, 1] += 1e-6
    assert [element.name for element in check_gradient(layer, None, X, jac=wrong).worst] == ["jac[2, 1]"]
    [found] = check_gradient(layer, None, X, jac=wrong, directions=2).worst
    assert found.name == "jac[2, 1]"


def test_jacobians_of_trees():
    tree = {"a": np.ones(2), "b": 2.0}
    jac = {"y": {"a": 2 * np.eye(2), "b": np.zeros(2)}, "z": {"a": np.zeros(2), "b": 4.0}}

    def f(p):
        return {"y": 2 * p["a"], "z": p["b"] ** 2}

    assert check_gradient(f, None, tree, jac=jac)
    assert check_gradient(f, None, tree, jac=jac, directions=3)
    jac["z"]["b"] = 4.1
    assert check_gradient(f, None, tree, jac=jac).worst[0].name == "jac['z']['b']"


def test_hessians():
    hess = W.T @ W
    assert check_gradient(lambda x: x @ hess @ x / 2, None, X, hess=lambda x: hess)
    assert check_gradient(lambda x: x @ hess @ x / 2, None, X, hess=2 * hess).counts == {"wrong": 9}


def test_vector_jacobian_products():
    assert check_gradient(layer, None, X, vjp=lambda x, g: jacobian_of_layer(x).T @ g)
    assert check_gradient(layer, None, X, vjp=lambda x, g: jacobian_of_layer(x).T @ g, directions=2)
    # A backward pass that ignores the output gradient is right for a loss that is a sum, and for no other.
    report = check_gradient(layer, None, X, vjp=lambda x, g: jacobian_of_layer(x).T @ np.ones_like(g))
    assert report.verdict == "wrong"


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_vector_jacobian_products_of_trees(lib):
    xp = lib.xp
    tree = {"a": lib.asarray(X, lib.real[-1])}
    assert check_gradient(lambda p: (2 * p["a"], xp.sum(p["a"])), None, tree, vjp=lambda p, g: {"a": 2 * g[0] + g[1]})


# Along directions


@pytest.mark.parametrize("n", [1_000, 30_000])
def test_the_calls_along_directions_do_not_depend_on_n_and_those_that_find_an_element_on_its_logarithm(n):
    x = np.random.default_rng(0).normal(size=n)
    right = check_gradient(lambda x: float(x @ x), lambda x: 2 * x, x, directions=2)
    assert right
    assert right.ncalls < 80
    wrong = check_gradient(lambda x: float(x @ x), off_at(n * 7 // 9, 1e-3, lambda x: 2 * x), x, directions=2)
    assert [element.name for element in wrong.worst] == [f"x[{n * 7 // 9}]"]
    assert wrong.ncalls < right.ncalls + 40 * math.log2(2 * n)


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_large_and_small_arrays_of_a_tree_both_count(size):
    """The wrong array is a billionth of f, or nearly all of it."""
    tree = {"other": np.full(50, 1.0), "own": np.full(50, size)}

    def f(p):
        return (p["other"] ** 2).sum() + size * (p["own"] ** 2).sum()

    def grad(p, factor=1.0):
        return {"other": 2 * p["other"], "own": 2 * size * p["own"] * factor}

    assert check_gradient(f, grad, tree, directions=2)
    wrong = check_gradient(f, lambda p: grad(p, 1.0001), tree, directions=2)
    assert wrong.verdict == "wrong"
    assert all(element.name.startswith("x['own']") for element in wrong.worst)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0])
def test_a_total_mistake_is_wrong_along_directions(dtype, factor):
    x = np.random.default_rng(0).normal(size=5).astype(dtype)
    report = check_gradient(lambda x: (np.exp(x) * x).sum(), lambda x: factor * np.exp(x) * (1 + x), x, directions=3)
    assert report.verdict == "wrong", report


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_not_finite_is_wrong_along_directions(number):
    report = check_gradient(cubes, np.array([number, 12.0, 0.75]), X, directions=3)
    assert report.verdict == "wrong"


# Not right and not wrong


def test_a_kink_where_the_claim_lies_between_both_slopes():
    relu = check_gradient(lambda x: np.maximum(x, 0).sum(), lambda x: (x > 0) * 1.0, np.array([0.0, 1.0]))
    assert relu.verdict == "kink"
    assert relu.counts == {"kink": 1, "agrees": 1}
    outside = check_gradient(lambda x: np.maximum(x, 0).sum(), lambda x: np.full_like(x, 3.0), np.array([0.0, 1.0]))
    assert outside.counts == {"wrong": 2}


def test_partial_derivatives_without_a_tangent():
    report = check_gradient(lambda x: float(np.sqrt(abs(x[0] * x[1]))), np.zeros_like, np.zeros(2))
    assert report.verdict == "kink"
    assert report.taylor.slope == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("drift", [1.0, 10.0, 1e3])
@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_drift_from_call_to_call_is_not_deterministic(size, drift, factor):
    """Also if what is found is nothing but the drift, and as large as that."""
    x, calls = np.linspace(0.5, 2.0, size), itertools.count()
    report = check_gradient(lambda x: cubes(x) + drift * next(calls), lambda x: factor * slope_of_cubes(x), x)
    assert report.verdict == "nondeterministic", report


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("kept", "directions"), [(0.0, None), (0.3, 2), (40.0, None)])
def test_a_gradient_that_accumulates_is_told_to_begin_at_zero(kept, directions, dtype):
    """In a buffer that is empty at first, or holds what other calls have left."""
    x = X.astype(dtype)
    total = kept * slope_of_cubes(x)

    def accumulating(x):
        total[...] += slope_of_cubes(x)
        return total

    report = check_gradient(cubes, accumulating, x, directions=directions)
    assert not report
    assert report.hints[0].startswith("grad accumulates: each call at x adds the same amount to the previous result")
    assert "Fix the random numbers" not in str(report)


def test_variation_of_the_size_of_rounding_is_allowed_for_and_told():
    rng = np.random.default_rng(1)
    by_f = check_gradient(lambda x: float(cubes(x)) * (1 + 1e-7 * rng.normal()), slope_of_cubes, X)
    by_grad = check_gradient(cubes, lambda x: slope_of_cubes(x) * (1 + 1e-7 * rng.normal(size=3)), X)
    assert by_f
    assert by_grad
    assert "f is not deterministic" in by_f.remarks[0]
    assert "The claim is not deterministic" in by_grad.remarks[0]


def rough(size, seed):
    """Return the sum of cubes with noise that is the same whenever x is, as in a simulator that rounds and iterates."""
    return lambda x: cubes(x) + size * noise(x, seed)


@pytest.mark.parametrize("size", [2, 200])
def test_noise_that_drowns_the_derivative(size):
    assert {check_gradient(rough(size, seed), slope_of_cubes, X).verdict for seed in range(8)} == {"noisy"}


@pytest.mark.parametrize("size", [1e-13, 1e-12, 1e-9, 1e-6, 1e-3])
def test_noise_that_does_not_drown_the_derivative_is_no_kink(size):
    fs = [rough(size, seed) for seed in range(4)]
    assert all(check_gradient(f, slope_of_cubes, X) for f in fs)
    assert {check_gradient(f, lambda x: 1.1 * slope_of_cubes(x), X).verdict for f in fs} == {"wrong"}


def test_what_is_not_finite():
    assert check_gradient(lambda x: math.nan, slope_of_cubes, X).verdict == "nonfinite"
    claimed_nan = check_gradient(cubes, lambda x: x * math.nan, X)
    assert claimed_nan.counts == {"wrong": 3}


@pytest.mark.libraries(lambda lib: not lib.lazy)
def test_an_f_that_does_not_see_its_argument(lib):
    x = lib.asarray(X, lib.real[-1])
    if lib.writable:
        assert check_gradient(lambda _: lib.xp.sum(x**2), lambda _: 2 * x, x)
        return
    report = check_gradient(lambda _: lib.xp.sum(x**2), lambda _: 2 * x, x)
    assert report.verdict == "inconclusive"


# Tolerance


def test_float64_is_wrong_in_the_eighth_digit_and_float32_right_to_its_own():
    assert check_gradient(cubes, off_at(0, 1e-8), X).counts == {"wrong": 1, "agrees": 2}
    assert check_gradient(cubes, off_at(0, 1e-8), X.astype(np.float32))
    assert check_gradient(cubes, off_at(0, 1e-3), X.astype(np.float32)).counts == {"wrong": 1, "agrees": 2}


def test_a_float32_gradient_of_a_float64_function():
    assert check_gradient(cubes, lambda x: slope_of_cubes(x).astype(np.float32), X)

    matrix = np.random.default_rng(2).normal(size=(30, 3))
    narrow = matrix.astype(np.float32).astype(float)
    assert check_gradient(
        lambda x: ((narrow @ x) ** 2).sum() / 2,
        lambda x: matrix.astype(np.float32).T @ (matrix.astype(np.float32) @ x.astype(np.float32)),
        X,
    )


def test_rtol_only_loosens():
    wrong = off_at(0, 1e-4)
    assert not check_gradient(cubes, wrong, X)
    assert check_gradient(cubes, wrong, X, rtol=1e-3)
    assert check_gradient(cubes, slope_of_cubes, X, rtol=0.0)


def test_the_same_seed_gives_the_same_report():
    first, second = (check_gradient(cubes, off_at(1, 1e-5), X, directions=3, seed=7) for _ in range(2))
    other = check_gradient(cubes, off_at(1, 1e-5), X, directions=3, seed=8)
    assert first.as_dict() | {"seconds": 0} == second.as_dict() | {"seconds": 0}
    assert first.comparisons[0].claimed != other.comparisons[0].claimed


def test_directions_of_a_real_function_of_complex_numbers():
    z = np.array([1 + 1j, 2 - 1j])
    assert check_gradient(lambda z: (abs(z) ** 2).sum(), lambda z: 2 * z, z)
    with pytest.raises(ValueError, match="leave out directions="):
        check_gradient(lambda z: (abs(z) ** 2).sum(), lambda z: 2 * z, z, directions=2)


@pytest.mark.filterwarnings("error")
def test_directions_of_a_holomorphic_function():
    z = np.array([1 + 1j, 2 - 1j])
    assert check_gradient(lambda z: (z**3).sum(), lambda z: 3 * z**2, z, directions=2)
    assert check_gradient(lambda z: (z**3).sum(), lambda z: 3.1 * z**2, z, directions=2).verdict == "wrong"


# The Taylor test


def test_the_remainder_shrinks_as_the_square_of_the_step_for_a_gradient_and_as_the_step_for_none():
    assert check_gradient(cubes, slope_of_cubes, X).taylor.slope == pytest.approx(2.0, abs=0.02)
    assert check_gradient(cubes, lambda x: x, X).taylor.slope == pytest.approx(1.0, abs=0.02)
    assert check_gradient(lambda x: x.sum(), np.ones_like, X).taylor.slope is None


# The report


def test_a_report_is_frozen_true_if_it_agrees_and_can_be_written_as_json():
    report = check_gradient(cubes, off_at(0, 1.0), X)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.verdict = "agrees"
    written = json.loads(json.dumps(report.as_dict()))
    assert written["verdict"] == "wrong"
    assert written["worst"][0]["name"] == "x[0]"
    assert written["worst"][0]["claimed"] == pytest.approx(6.0)
    assert written["ncalls"] == report.ncalls > 0
    z = np.array([1 + 2j])
    assert json.dumps(check_gradient(lambda z: (z**2).sum(), lambda z: z, z).as_dict())


def test_a_report_reads_as_a_paragraph_and_a_table():
    text = str(check_gradient(cubes, off_at(0, 1e-6), X))
    assert text.startswith("Wrong: 1 of 3 elements differs from")
    assert "x[0]" in text
    assert "3.000003" in text  # as many digits as show the difference
    assert "x[1]" not in text


def test_several_arrays_are_told_apart():
    tree = {name: X.copy() for name in "abc"}
    wrong = {"a": slope_of_cubes, "b": off_at(1, 0.5), "c": lambda x: -slope_of_cubes(x)}
    report = check_gradient(
        lambda p: sum(map(cubes, p.values())), lambda p: {name: wrong[name](x) for name, x in p.items()}, tree
    )
    assert report.arrays == {"x['a']": {"agrees": 3}, "x['b']": {"wrong": 1, "agrees": 2}, "x['c']": {"wrong": 3}}
    assert report.as_dict()["arrays"] == report.arrays
    assert "Array by array: wrong: x['b'] (1 of 3), x['c']; agrees: x['a']." in str(report)


def test_calls_are_counted():
    calls = {"f": 0, "grad": 0}

    def counted(name, function):
        def call(x):
            calls[name] += 1
            return function(x)

        return call

    report = check_gradient(counted("f", cubes), counted("grad", off_at(0, 1e-6)), X)
    assert (report.ncalls, report.claim_ncalls) == (calls["f"], calls["grad"])


# Restoration and mistaken calls


@pytest.mark.parametrize("failing", range(1, 60, 4))
def test_x_comes_back_whatever_f_raises(failing):
    x = np.array([1.0, -0.0, math.nan])
    before, calls = x.tobytes(), iter(range(1, 1000))

    def f(x):
        if next(calls) == failing:
            raise KeyboardInterrupt
        return cubes(x)

    with contextlib.suppress(KeyboardInterrupt):
        check_gradient(f, slope_of_cubes, x)
    assert x.tobytes() == before


def modifying(x):
    x *= 2
    return x


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: check_gradient(cubes, None, X), ValueError, "grad is None, and no other derivative"),
        (lambda: check_gradient(cubes, X, X, jac=X), ValueError, "grad and jac are given"),
        (lambda: check_gradient(X, slope_of_cubes, X), TypeError, "f comes first"),
        (lambda: check_gradient(cubes, lambda x: None, X), TypeError, r"grad\(x\) is None"),
        (lambda: check_gradient(cubes, "right", X), TypeError, "grad is 'right'"),
        (
            lambda: check_gradient(cubes, np.ones(4), X),
            ValueError,
            r"grad has the shape \(4,\), but \(3,\) was expected",
        ),
        (lambda: check_gradient(cubes, {"a": X}, X), ValueError, "structure of x"),
        (lambda: check_gradient(layer, None, X, jac=np.ones((3, 4))), ValueError, r"\(3, 4\)"),
        (lambda: check_gradient(layer, None, X, jac=np.ones((3, 4)), directions=1), ValueError, r"\(3, 4\)"),
        (
            lambda: check_gradient(layer, None, X, jac=np.ones((5, 3)), directions=1),
            ValueError,
            r"jac has the shape \(5, 3\), but \(4, 3\)",
        ),
        (lambda: check_gradient(layer, None, X, vjp=X), TypeError, r"vjp\(x, g\)"),
        (lambda: check_gradient(cubes, None, X, hess=np.eye(3), directions=1), ValueError, "jac=hess"),
        (lambda: check_gradient(cubes, slope_of_cubes, X, directions=0), ValueError, "directions is 0"),
        (lambda: check_gradient(cubes, slope_of_cubes, X, directions=2.0), ValueError, "directions is 2.0"),
        (lambda: check_gradient(cubes, slope_of_cubes, X, seed="a"), TypeError, "seed is 'a', but an integer of 0 or"),
        (lambda: check_gradient(cubes, slope_of_cubes, X, seed=-1), ValueError, "seed is -1, but an integer of 0 or"),
        (lambda: check_gradient(cubes, slope_of_cubes, X, rtol=-1), ValueError, "rtol is -1"),
        (lambda: check_gradient(cubes, slope_of_cubes, X, scheme="adaptive"), TypeError, "scheme"),
        (lambda: check_gradient(cubes, modifying, X), ValueError, "grad modifies its argument"),
        (lambda: check_gradient(cubes, slope_of_cubes, {}), ValueError, "x contains no array"),
        (lambda: check_gradient(cubes, slope_of_cubes, np.array([1, 2])), TypeError, "int64"),
    ],
)
def test_a_mistaken_call_is_told_in_a_sentence(call, error, says):
    before = X.tobytes()
    with pytest.raises(error, match=says):
        call()
    assert X.tobytes() == before


@pytest.mark.parametrize("directions", [None, 2])
@pytest.mark.parametrize(
    ("claimed", "says"),
    [
        (
            {"b": X, "W": W},
            r"has x\['W'\], x\['b'\] instead of x\['b'\], x\['W'\] .a dict is sorted",
        ),
        (OrderedDict(b=X), r"has nothing for x\['W'\]; a gradient has the structure of x"),
        (OrderedDict(b=X, W=W, c=X), r"has x\['c'\] in addition"),
        ((X, W), r"has x\[0\], x\[1\] instead of x\['b'\], x\['W'\]"),
        (OrderedDict(b=X, W=W.T), r"has x\['W'\] of shape \(3, 4\) instead of \(4, 3\)"),
    ],
)
def test_a_claim_of_another_structure_than_x_is_told_where_it_differs(claimed, says, directions):
    """Before f is called."""

    def never(p):
        raise AssertionError("f was called")

    with pytest.raises(ValueError, match=says):
        check_gradient(never, lambda p: claimed, OrderedDict(b=X.copy(), W=W.copy()), directions=directions)
