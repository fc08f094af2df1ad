"""``fixed=``: elements that are held cost no calls; their derivatives are 0, and the others those of all elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anygrad

X = np.array([0.5, 1.5, 2.0, 3.0])
V = np.array([1.0, -1.0, 0.5, 2.0])
FIXED = np.array([True, False, False, True])
SCHEMES = [anygrad.Central(), anygrad.Forward(), anygrad.Adaptive()]
EVALUATORS = [anygrad.Loop(), anygrad.Loop(in_place=False)]


def number(x):
    return (x[0] * x[1] ** 2 + x[2] ** 3) * x[3]


def vector(lib):
    return lambda x: x * x[1] ** 2


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: type(scheme).__name__)
@pytest.mark.parametrize("evaluator", EVALUATORS, ids=["in place", "copies"])
def test_the_others_are_those_of_all_elements_bit_for_bit(lib, scheme, evaluator):
    x, own = (
        lib.asarray(X, "float64" if "float64" in lib.real else "float32"),
        {"scheme": scheme, "evaluator": evaluator},
    )
    held = {"fixed": FIXED, **own}
    free = ~FIXED
    gradient, whole = (anygrad.numerical_gradient(number, x, **options) for options in (held, own))
    assert np.array_equal(lib.numpy(gradient), np.where(free, lib.numpy(whole), 0.0))
    jacobian, whole = (anygrad.jacobian(vector(lib), x, **options) for options in (held, own))
    assert np.array_equal(lib.numpy(jacobian), np.where(free, lib.numpy(whole), 0.0))
    hessian, whole = (anygrad.hessian(number, x, **options) for options in (held, own))
    assert np.array_equal(lib.numpy(hessian), np.where(free & free[:, None], lib.numpy(whole), 0.0))
    slopes, whole = (anygrad.derivative(lambda x: x**3, x, **options) for options in (held, own))
    assert np.array_equal(lib.numpy(slopes), np.where(free, lib.numpy(whole), 0.0))


def test_second_derivatives_of_a_gradient_are_those_of_f(lib):
    x = lib.asarray(X, lib.real[-1])

    def gradient(x):
        square, product = x[1:2] ** 2, x[0:1] * x[1:2] ** 2 + x[2:3] ** 3
        return lib.xp.concat([square * x[3:], 2 * x[0:1] * x[1:2] * x[3:], 3 * x[2:3] ** 2 * x[3:], product])

    options = {"fixed": FIXED, "scheme": anygrad.Central(order=4)}
    for operator in (lambda **own: anygrad.hessian(number, x, **own), lambda **own: anygrad.hvp(number, x, V, **own)):
        expected = lib.numpy(operator(**options))
        found = operator(grad=gradient, full_output=True, **options)
        assert np.allclose(lib.numpy(found.value), expected, atol=1e-2 if lib.real[-1] == "float32" else 1e-4)
        assert np.array_equal(lib.numpy(found.value)[FIXED], np.zeros_like(expected[FIXED]))


def test_along_a_direction_they_do_not_move(lib):
    x = lib.asarray(X, lib.real[-1])
    moving = np.where(FIXED, 0.0, V)
    for operator in (anygrad.jvp, anygrad.hvp):
        f = vector(lib) if operator is anygrad.jvp else number
        found = lib.numpy(operator(f, x, V, fixed=FIXED))
        expected = lib.numpy(operator(f, x, moving))
        assert np.allclose(found, expected if operator is anygrad.jvp else np.where(FIXED, 0.0, expected))


@given(fixed=st.lists(st.booleans(), min_size=4, max_size=4))
def test_they_cost_no_calls(fixed):
    free = 4 - sum(fixed)
    result = anygrad.numerical_gradient(number, X, fixed=fixed, full_output=True)
    assert result.ncalls == 2 * free
    assert np.array_equal(result.step == 0, fixed)
    result = anygrad.hessian(number, X, fixed=fixed, full_output=True)
    assert result.ncalls == 1 + free + free**2
    assert np.trace(result.value) == pytest.approx(anygrad.laplacian(number, X, fixed=fixed))


def test_columns_of_a_sparse_jacobian():
    def f(x):
        return x**2 + np.roll(x, 1)

    x, pattern = np.linspace(1, 2, 30), np.eye(30) + np.roll(np.eye(30), 1, axis=0)
    fixed = np.arange(30) % 3 == 0
    whole = anygrad.jacobian(f, x)
    for sparsity in (pattern, "detect"):
        bounds = (x - 0.1, np.where(fixed, x, x + 1))
        found = anygrad.jacobian(f, x, sparsity=sparsity, fixed=fixed, bounds=bounds).toarray()
        assert np.allclose(found, np.where(fixed, 0.0, whole))


def test_rows_of_a_batch():
    fixed = np.array([[True, False], [False, False]])
    found = anygrad.numerical_gradient_2d(lambda x: (x**2).sum(), np.array([[1.0, 2.0], [3.0, 4.0]]), fixed=fixed)
    assert np.allclose(found, [[0, 4], [6, 8]])


SETTINGS = {"w": np.array([1.0, 2.0]), "rate": 0.5, "steps": 3, "name": "square", "mask": np.array([True, False])}
HELD = {"w": np.array([False, True]), "rate": True, "steps": True, "name": True, "mask": True}


def loss(p):
    assert p["name"] == "square"
    return (p["mask"] * p["w"] ** p["steps"]).sum() * p["rate"] + p["w"][1]


@pytest.mark.parametrize("evaluator", EVALUATORS, ids=["in place", "copies"])
def test_a_tree_keeps_its_settings(evaluator):
    found = anygrad.numerical_gradient(loss, SETTINGS, fixed=HELD, evaluator=evaluator)
    assert {name: found[name] for name in ("steps", "name", "mask")} == {"steps": None, "name": None, "mask": None}
    assert np.allclose(found["w"], [1.5, 0.0])
    assert found["rate"] == 0.0


def test_every_operator_gives_none_for_settings():
    fixed = {**HELD, "w": False, "rate": False}
    jacobian = anygrad.jacobian(lambda p: p["w"] * p["rate"], SETTINGS, fixed=fixed)
    assert jacobian["steps"] is None
    assert np.allclose(jacobian["w"], np.eye(2) * 0.5)
    hessian = anygrad.hessian(loss, SETTINGS, fixed=fixed)
    assert hessian["name"] is None
    assert hessian["w"]["mask"] is None
    assert np.allclose(hessian["w"]["rate"], [3.0, 0.0], atol=1e-5)
    direction = {"w": np.array([1.0, 0.0]), "rate": 0.0}
    assert np.allclose(anygrad.hvp(loss, SETTINGS, direction, fixed=fixed)["w"], [3.0, 0.0], atol=1e-5)
    assert float(anygrad.jvp(loss, SETTINGS, {**direction, "name": "ignored"}, fixed=fixed)) == pytest.approx(1.5)


def test_the_upper_part_of_a_tree_is_enough():
    x = {"net": {"a": 1.0, "b": 2.0}, "optimiser": {"steps": 3, "betas": (0.9, None)}}
    found = anygrad.numerical_gradient(
        lambda p: p["net"]["a"] ** p["optimiser"]["steps"], x, fixed={"net": False, "optimiser": True}
    )
    assert found["net"]["a"] == pytest.approx(3.0)
    assert found["optimiser"]["steps"] is None


def test_a_journal_is_known_by_settings(tmp_path):
    journal = anygrad.Journal(tmp_path / "a.journal", verify=False)
    anygrad.numerical_gradient(loss, SETTINGS, fixed=HELD, evaluator=journal)
    with pytest.raises(ValueError, match="steps"):
        anygrad.numerical_gradient(loss, {**SETTINGS, "steps": 2}, fixed=HELD, evaluator=journal)


def test_a_gradient_function_holds_them():
    assert np.array_equal(anygrad.grad(number, fixed=FIXED)(X) == 0, FIXED)


@pytest.mark.parametrize(
    ("x", "fixed", "error", "words"),
    [
        (X, [0, 1, 0, 1], TypeError, r"fixed is \[0, 1, 0, 1\], but True, False or a boolean array like x"),
        (X, [True], ValueError, r"fixed has the shape \(1,\), but x has the shape \(4,\)"),
        ({"a": X, "b": X}, {"a": True}, ValueError, r"there is nothing for x\['b'\]"),
        ({"a": X}, {"a": True, "c": True}, ValueError, r"x has no x\['c'\]"),
        ({"a": X, "n": 3}, None, TypeError, r"x\['n'\] is the integer 3.*keep it fixed with fixed="),
        ({"a": X, "n": np.arange(3)}, None, TypeError, r"x\['n'\] has the dtype int64.*keep it fixed with fixed="),
        ({"a": X, "n": "s"}, {"a": False, "n": False}, TypeError, r"x\['n'\] is a str.*keep it fixed with fixed="),
        ({"a": X, "n": True}, None, TypeError, r"x\['n'\] is a bool.*keep it fixed with fixed="),
    ],
    ids=["integers", "shape", "a part missing", "a part too many", "an integer", "an int array", "a string", "a bool"],
)
def test_what_is_wrong_is_told(x, fixed, error, words):
    with pytest.raises(error, match=words):
        anygrad.numerical_gradient(lambda p: 0.0, x, fixed=fixed)


def test_bounds_that_meet_are_told_of_it():
    with pytest.raises(ValueError, match="fixed="):
        anygrad.numerical_gradient(number, X, bounds=(X, X))
    bounds = (np.where(FIXED, X, 0.0), np.where(FIXED, X, 9.0))
    assert anygrad.numerical_gradient(number, X, bounds=bounds, fixed=FIXED).shape == X.shape


# Checks

IDS = np.array([0, 2, 2])
TABLE = {"rows": np.linspace(0.1, 0.8, 8).reshape(4, 2), "ids": IDS}
ONLY_ROWS = {"rows": False, "ids": True}


def embedded(p):
    return np.sin(p["rows"][p["ids"]]).sum()


def embedded_gradient(p):
    rows = np.zeros_like(p["rows"])
    np.add.at(rows, p["ids"], np.cos(p["rows"][p["ids"]]))
    return {"rows": rows, "ids": None}


def test_the_integers_of_an_embedding_can_be_part_of_a_checked_x(lib):
    x = {"rows": lib.asarray(TABLE["rows"], lib.real[-1]), "ids": lib.asarray(IDS, "int32")}

    def f(p):
        return lib.xp.sum(lib.xp.sin(lib.xp.take(p["rows"], p["ids"], axis=0)))

    def gradient(p):
        return {"rows": lib.asarray(embedded_gradient(TABLE)["rows"], lib.real[-1]), "ids": p["ids"]}

    report = anygrad.check_gradient(f, gradient, x, fixed=ONLY_ROWS)
    assert report.verdict == "agrees", report
    assert report.counts == {"agrees": 8}


@pytest.mark.parametrize("directions", [None, 2], ids=["by elements", "along directions"])
def test_wrong_elements_are_found_beside_fixed_ones(directions):
    def doubled(p):
        return {"rows": embedded_gradient(p)["rows"] * np.where(np.arange(4) == 2, 2, 1)[:, None], "ids": None}

    fixed = {"rows": np.arange(8).reshape(4, 2) % 2 == 0, "ids": True}
    report = anygrad.check_gradient(embedded, doubled, TABLE, fixed=fixed, directions=directions)
    assert report.verdict == "wrong", report
    assert {one.name for one in report.worst} == {"x['rows'][2, 1]"}
    held = {"rows": np.arange(8).reshape(4, 2) // 2 == 2, "ids": True}
    assert anygrad.check_gradient(embedded, doubled, TABLE, fixed=held, directions=directions)


def claims(f):
    """The derivatives of f, with nonsense where an element is fixed."""

    def gradient(x):
        return np.where(FIXED, np.nan, anygrad.numerical_gradient(f, x, scheme=anygrad.Adaptive()))

    yield f, {"grad": gradient}
    yield f, {"grad": gradient(X)}
    yield (
        vector(None),
        {"jac": lambda x: np.where(FIXED, 7.0, np.diag(np.full(4, x[1] ** 2)) + 2 * np.outer(x * x[1], np.eye(4)[1]))},
    )
    yield vector(None), {"jvp": lambda x, v: v * x[1] ** 2 + 2 * x * x[1] * v[1]}
    yield (
        vector(None),
        {"vjp": lambda x, g: g * x[1] ** 2 + 2 * (g @ x) * x[1] * np.eye(4)[1] + np.where(FIXED, 9.0, 0.0)},
    )
    exact = anygrad.hessian(f, X, scheme=anygrad.Adaptive())
    yield f, {"hess": np.where(FIXED | FIXED[:, None], np.inf, exact)}


@pytest.mark.parametrize("case", range(6), ids=["grad", "an array", "jac", "jvp", "vjp", "hess"])
@pytest.mark.parametrize("scheme", [None, anygrad.Central(order=4)], ids=["default", "Central"])
def test_what_is_claimed_of_fixed_elements_does_not_count(case, scheme):
    f, claim = list(claims(number))[case]
    bounds = (np.where(FIXED, X, -9.0), np.where(FIXED, X, 9.0))
    report = anygrad.check_gradient(f, claim.pop("grad", None), X, fixed=FIXED, scheme=scheme, bounds=bounds, **claim)
    assert report.verdict == "agrees", report
    expected = {"hess": 4, "jac": 8, "jvp": 8}
    assert report.counts["agrees"] == next((expected[name] for name in claim if name in expected), 2)


def test_a_check_of_nothing_is_told():
    with pytest.raises(ValueError, match="fixed= fixes every element of x"):
        anygrad.check_gradient(number, np.zeros(4), X, fixed=True)
