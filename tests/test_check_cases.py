"""The check on what people have: real problems, functions that are constant but for rounding, kinks, domains."""

from __future__ import annotations

import math
import runpy

import numpy as np
import pytest
from pages import ROOT

from anygrad import check_gradient

X = np.array([1.0, -2.0, 0.5])
# Not by an import: beside it is a sparse.py, which Dask would take for the package of that name.
BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "_real_problems.py"))
PROBLEMS = {problem.name: problem for problem in BENCHMARK["problems"]()}


def wrong_gradients(right):
    """Yield five mistakes: one element off by a millionth, its sign, zeros, two swapped, all doubled."""
    largest, least = int(np.argmax(np.abs(right))), int(np.argmin(np.abs(right)))
    for name, place, factor in (("a millionth", largest, 1 + 1e-6), ("sign", largest, -1.0)):
        wrong = right.copy()
        wrong[place] *= factor
        yield name, wrong
    yield "zeros", 0 * right
    if right.size > 1:
        wrong = right.copy()
        wrong[[largest, least]] = wrong[[least, largest]]
        yield "swapped", wrong
    yield "doubled", 2 * right


CANCELS = "its sum of cosines changes in steps in float32, where f then has other derivatives than the formula"
SINGLE = [
    pytest.param(name, "float32", marks=pytest.mark.xfail(name == "trigonometric, 100", reason=CANCELS))
    for name in list(PROBLEMS)[::3]
]


@pytest.mark.parametrize(("name", "dtype"), [*((name, "float64") for name in PROBLEMS), *SINGLE])
def test_right_gradients_of_real_problems_agree_and_five_mistakes_do_not(name, dtype):
    problem = PROBLEMS[name]
    x = problem.points[0].astype(dtype)
    exact = problem.gradient(x.astype(float))
    right = exact.astype(dtype)
    report = check_gradient(problem.f, right, x)
    assert report, report
    for mistake, wrong in wrong_gradients(right):
        off = np.abs(wrong.astype(float) - exact)
        report = check_gradient(problem.f, wrong, x)
        too_small = np.all(off <= 2 * report.comparisons[0].tolerance)
        assert report.verdict == "wrong" or (too_small and mistake == "a millionth"), f"{mistake}: {report}"


# Constant but for rounding


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + x.dtype.type(1e-5))


def layer_norm_backward(x, g):
    centred = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(-1, keepdims=True) + x.dtype.type(1e-5))
    row = centred / scale
    return (g - g.mean(-1, keepdims=True) - row * (g * row).mean(-1, keepdims=True)) / scale


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax_backward(x, g):
    p = softmax(x)
    return p * (g - (p * g).sum(-1, keepdims=True))


NORMED = {
    "layer norm": (layer_norm, layer_norm_backward),
    "softmax": (softmax, softmax_backward),
    "centred": (lambda x: x - x.mean(), lambda x, g: g - g.mean()),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("name", NORMED)
def test_what_is_normalised_is_never_called_wrong_and_mistakes_are(name, offset, dtype, seed):
    f, backward = NORMED[name]
    rng = np.random.default_rng(seed)
    x = (offset + rng.normal(size=(3, 16))).astype(dtype)
    g = rng.normal(size=(3, 16)).astype(dtype)
    ones = np.ones_like(x)
    assert check_gradient(lambda x: f(x).sum(), lambda x: backward(x, ones.astype(x.dtype)), x).verdict in MAY
    assert check_gradient(lambda x: (f(x) * g).sum(), lambda x: backward(x, g.astype(x.dtype)), x).verdict in MAY
    wrong = check_gradient(lambda x: (f(x) * g).sum(), lambda x: 1.5 * backward(x, g.astype(x.dtype)), x)
    assert wrong.verdict == "wrong" or offset == 1e4


@pytest.mark.parametrize("offset", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("name", NORMED)
def test_a_normalised_gradient_in_float32_may_be_an_array(name, offset):
    f, backward = NORMED[name]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x, g = ((start + rng.normal(size=(2, 8))).astype("float32") for start in (offset, 0.0))
        report = check_gradient(lambda x, g=g: (f(x) * g).sum(), backward(x, g), x)
        assert report.verdict != "wrong", report


def test_many_calls_ahead_are_announced_with_the_remedy(capsys):
    check_gradient(lambda x: x @ x, lambda x: 2 * x, np.ones(5_001), progress=True)
    assert "This takes 20,004 calls of f or more; with directions=3" in capsys.readouterr().err
    check_gradient(lambda x: x @ x, lambda x: 2 * x, X, progress=True)
    assert "lie ahead" not in capsys.readouterr().err


MAY = {"agrees", "inconclusive"}


@pytest.mark.parametrize("name", NORMED)
def test_it_is_told_and_a_weighted_output_advised(name):
    f, backward = NORMED[name]
    x = np.random.default_rng(0).normal(size=(3, 16))
    report = check_gradient(lambda x: f(x).sum(), lambda x: backward(x, np.ones_like(x)), x)
    assert report
    assert "f does not change beyond its rounding" in str(report)
    assert "vjp=" in str(report)
    off = check_gradient(lambda x: f(x).sum(), lambda x: backward(x, np.ones_like(x)) + 0.01, x)
    assert off.verdict == "wrong"


# Domains


@pytest.mark.parametrize("directions", [None, 2])
def test_an_f_that_raises_outside_its_domain_is_checked_within(directions):
    def f(x):
        return math.sqrt(1 - x[0] ** 2) + x[1] ** 2

    def gradient(x):
        return np.array([-x[0] / math.sqrt(1 - x[0] ** 2), 2 * x[1]])

    x = np.array([0.99, 1.0])
    report = check_gradient(f, gradient, x, directions=directions)
    assert report, report
    assert check_gradient(f, lambda x: 1.01 * gradient(x), x, directions=directions).verdict == "wrong"
    near = check_gradient(f, gradient, np.array([1 - 1e-9, 1.0]), directions=directions)
    assert any("f raised ValueError" in remark and "count as NaN" in remark for remark in near.remarks), near


def test_an_f_that_raises_at_x_itself_raises():
    with pytest.raises(ValueError, match="math domain error"):
        check_gradient(lambda x: math.sqrt(-x[0]), lambda x: x, np.ones(1))


def test_numpy_settings_are_those_of_the_user_in_f_and_nothing_leaks():
    with np.errstate(all="raise"):
        assert check_gradient(lambda x: (x**2).sum(), lambda x: 2 * x, X)
        assert not check_gradient(lambda x: float(x.sum()) * np.inf, lambda x: x, X)


# Kinks


def test_a_network_of_zeros_is_at_a_kink_and_its_gradient_a_convention():
    inputs, outer = np.random.default_rng(0).normal(size=(5, 3)), np.array([1.0, -2.0])

    def f(w):
        return (np.maximum(inputs @ w, 0) @ outer).sum()

    report = check_gradient(f, np.zeros_like, np.zeros((3, 2)))
    assert report.verdict == "kink"
    assert "all 6 elements" in str(report)
    assert "not right" not in str(report)


def test_an_f_that_is_flat_in_steps_is_told():
    report = check_gradient(lambda x: np.round(x * 64).sum() / 64, np.ones_like, np.array([0.3, 0.7]))
    assert not report or "noise" in str(report)
    assert check_gradient(lambda x: np.floor(x).sum(), np.zeros_like, np.array([100.5, 7.5]))


# What people pass


def test_f_may_return_its_gradient_as_well():
    assert check_gradient(lambda x: ((x**3).sum(), 3 * x**2), True, X)
    assert check_gradient(lambda x: ((x**3).sum(), 4 * x**2), True, X).verdict == "wrong"
    assert check_gradient(lambda x: (((x**3).sum(), "aux"), 3 * x**2), True, X, has_aux=True)


def test_f_may_return_something_besides():
    assert check_gradient(lambda x: ((x**3).sum(), {"n": 3}), lambda x: 3 * x**2, X, has_aux=True)
    with pytest.raises(TypeError, match=r"a pair .* was expected"):
        check_gradient(lambda x: (x**3).sum(), lambda x: 3 * x**2, X, has_aux=True)


def test_none_stands_for_zeros():
    tree = {"a": X.copy(), "b": np.ones(2)}
    assert check_gradient(lambda p: (p["a"] ** 3).sum(), lambda p: {"a": 3 * p["a"] ** 2, "b": None}, tree)
    assert check_gradient(lambda p: (p["a"] ** 3).sum(), lambda p: {"a": None, "b": None}, tree).verdict == "wrong"


def test_jacobian_vector_products():
    weights = np.random.default_rng(0).normal(size=(4, 3))

    def layer(x):
        return np.tanh(weights @ x)

    def right(x, v):
        return (1 - np.tanh(weights @ x) ** 2) * (weights @ v)

    assert check_gradient(layer, None, X, jvp=right)
    assert check_gradient(layer, None, X, jvp=right, directions=2)
    assert check_gradient(layer, None, X, jvp=lambda x, v: 1.1 * right(x, v)).verdict == "wrong"
    tree = {"a": X.copy(), "b": 2.0}
    assert check_gradient(
        lambda p: (p["a"] * p["b"], p["b"] ** 2),
        None,
        tree,
        jvp=lambda p, v: (v["a"] * p["b"] + p["a"] * v["b"], 2 * p["b"] * v["b"]),
    )
    with pytest.raises(TypeError, match=r"jvp\(x, v\)"):
        check_gradient(layer, None, X, jvp=X)
    with pytest.raises(ValueError, match=r"jvp\(x, v\) returned f\(x\) of shape \(1,\) instead of"):
        check_gradient(layer, None, X, jvp=lambda x, v: right(x, v)[:1])


@pytest.mark.parametrize(
    ("claimed", "says"),
    [
        (lambda x: (2 * x,), r"grad\(x\) is a tuple or list of one array: return its element \[0\]"),
        (lambda x: np.ones(4), r"grad\(x\) has the shape \(4,\), but \(3,\) was expected"),
    ],
)
def test_a_mistaken_shape_is_told_with_the_remedy(claimed, says):
    with pytest.raises(ValueError, match=says):
        check_gradient(lambda x: (x**2).sum(), claimed, X)


def test_a_claim_that_is_symmetrised_is_named():
    matrix = np.random.default_rng(0).normal(size=(5, 5))
    x = matrix @ matrix.T + np.eye(5)

    def triangle(x):
        return (np.tril(x) * matrix).sum()

    report = check_gradient(triangle, lambda x: (np.tril(matrix) + np.tril(matrix).T) / 2, x)
    assert report.verdict == "wrong"
    assert "symmetrised" in report.hints[0]


# float32 along directions


def test_the_wrong_element_is_found_in_float32_or_said_not_to_be():
    found = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        weights, x = (rng.normal(size=(128, 128)).astype("float32") for _ in range(2))
        place = tuple(rng.integers(0, 128, 2))

        def f(x, weights=weights):
            return (np.tanh(x) * weights).sum()

        def gradient(x, weights=weights, place=place):
            wrong = (1 - np.tanh(x) ** 2) * weights
            wrong[place] += 0.5
            return wrong

        report = check_gradient(f, gradient, x, directions=3, seed=seed)
        assert report.verdict == "wrong"
        located = [element.name for element in report.worst] == [f"x[{place[0]}, {place[1]}]"]
        assert located or any("not found" in remark for remark in report.remarks)
        found += located
    assert found == 4


def test_a_right_gradient_takes_seven_calls_an_element_in_the_median():
    starts = [(problem, problem.points[0]) for problem in PROBLEMS.values()]
    calls = [check_gradient(problem.f, problem.gradient(x), x).ncalls / x.size for problem, x in starts]
    assert np.median(calls) <= 7


def test_reports_do_not_contradict_their_verdict():
    rng = np.random.default_rng(0)
    random = check_gradient(lambda x: (x * (rng.random(3) > 0.5)).sum(), lambda x: (rng.random(3) > 0.5) * 1.0, X)
    assert random.verdict == "nondeterministic"
    assert "allowed for" not in str(random)
    kink = check_gradient(lambda x: np.abs(x).sum(), np.sign, np.zeros(2))
    assert "FAILED" not in str(kink)
    for report in (random, kink):
        assert report.verdict in {one.verdict for one in report.findings}
        assert all(one.sentence in " ".join(str(report).split()) for one in report.findings if not one.verdict)


def test_a_claim_off_by_a_little_at_a_fast_wave_is_not_excused_as_noise():
    for x in np.linspace(1.0, 1.001, 20)[:, None]:
        right = 3e5 * np.cos(3e5 * x)
        assert check_gradient(lambda x: np.sin(3e5 * x).sum(), right, x)
        assert check_gradient(lambda x: np.sin(3e5 * x).sum(), right * (1 + 1e-4), x).verdict == "wrong"
