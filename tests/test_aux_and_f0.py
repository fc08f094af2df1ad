"""f(x): evaluated once at most, not at all if it is given, and the source of what comes beside the value."""

from __future__ import annotations

import numpy as np
import pytest
from tried import TRIED

import anygrad

X = np.array([1.0, 2.0])
OF_NUMBERS = {
    "numerical_gradient": anygrad.numerical_gradient,
    "hessian": anygrad.hessian,
    "laplacian": anygrad.laplacian,
    "hvp": lambda f, x, **options: anygrad.hvp(f, x, x, **options),
}
OF_ARRAYS = {
    "jacobian": anygrad.jacobian,
    "jvp": lambda f, x, **options: anygrad.jvp(f, x, x, **options),
    "derivative": anygrad.derivative,
}
OPERATORS = OF_NUMBERS | OF_ARRAYS


def function(lib, name):
    return (lambda x: lib.xp.sum(x * x * x)) if name in OF_NUMBERS else (lambda x: x * x * x)


def value_at(name):
    return 9.0 if name in OF_NUMBERS else [1.0, 8.0]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_aux_is_that_of_x_itself(lib, name, tried):
    """Not of the last point that f was evaluated at; and the derivative is the same as without."""
    x, f, seen = lib.asarray(X, "float32"), function(lib, name), []

    def with_aux(x):
        seen.append(lib.numpy(x).copy())
        return f(x), {"call": len(seen), "x": seen[-1]}

    value, aux = OPERATORS[name](with_aux, x, scheme=tried.scheme, has_aux=True)
    assert np.array_equal(aux["x"], X)
    assert sum(np.array_equal(point, X) for point in seen) == 1 or tried.samples_complex
    alone = OPERATORS[name](f, x, scheme=tried.scheme)
    assert np.array_equal(lib.numpy(value), lib.numpy(alone))


@pytest.mark.parametrize("name", OPERATORS)
def test_aux_beside_a_result(lib, name):
    x, f = lib.asarray(X, "float32"), function(lib, name)
    result, aux = OPERATORS[name](lambda x: (f(x), "aux"), x, has_aux=True, full_output=True)
    assert (type(result), aux) == (anygrad.Result, "aux")


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_f_is_not_called_at_x_if_its_value_is_given(lib, name, tried):
    x, f, seen = lib.asarray(X, "float32"), function(lib, name), []

    def watched(x):
        seen.append(lib.numpy(x).copy())
        return f(x)

    given = lib.asarray(np.array(value_at(name)), "float32")
    result = OPERATORS[name](watched, x, scheme=tried.scheme, f0=given, full_output=True)
    assert not any(np.array_equal(point, X) for point in seen)
    assert result.ncalls == len(seen)
    alone = OPERATORS[name](f, x, scheme=tried.scheme)
    assert np.allclose(lib.numpy(result.value), lib.numpy(alone), rtol=1e-5)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_given_value_with_its_aux(lib, name):
    x, f = lib.asarray(X, "float32"), function(lib, name)
    _, aux = OPERATORS[name](lambda x: (f(x), "called"), x, f0=(value_at(name), "given"), has_aux=True)
    assert aux == "given"


@pytest.mark.parametrize("name", sorted(OPERATORS.keys() - {"derivative"}))
@pytest.mark.parametrize("has_aux", [False, True])
def test_f_of_x_is_evaluated_once_for_all_arrays_of_a_tree(lib, name, has_aux):
    x, at_x = {key: lib.asarray(X, "float32") for key in "abc"}, [0]

    def f(p):
        numbers = [lib.numpy(leaf) for leaf in p.values()]
        at_x[0] += all(np.array_equal(leaf, X) for leaf in numbers)
        value = p["a"] * p["b"] + p["c"]
        value = lib.xp.sum(value) if name in OF_NUMBERS else value
        return (value, at_x[0]) if has_aux else value

    OPERATORS[name](f, x, scheme=anygrad.Forward(), has_aux=has_aux)
    assert at_x == [1]


def test_a_number_is_as_good_as_an_array(lib):
    x = lib.asarray(X, "float32")
    for f0 in (9.0, 9, np.float64(9), lib.asarray(np.array(9.0), "float32"), lib.asarray(np.array([9.0]), "float32")):
        gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**3), x, scheme=anygrad.Forward(), f0=f0)
        assert np.allclose(lib.numpy(gradient), [3, 12], rtol=1e-2)


def test_an_empty_x_has_aux_too(lib):
    none = lib.asarray(np.empty(0), "float32")
    _, aux = anygrad.numerical_gradient(lambda x: (1.0, "aux"), none, has_aux=True)
    assert aux == "aux"


@pytest.mark.parametrize("returned", [1.0, [1.0, "aux"], (1.0, 2.0, 3.0), None])
def test_has_aux_without_a_pair(returned):
    for name, operator in OPERATORS.items():
        with pytest.raises(TypeError, match=r"f returned .*, but with has_aux=True, f must return a pair"):
            operator(lambda x: returned, X.copy(), has_aux=True)
        with pytest.raises(TypeError, match="must return a pair"):
            operator(lambda x: (value_at(name), "aux"), X.copy(), has_aux=True, f0=returned or 1.0)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_pair_without_has_aux(lib, name):
    x, f = lib.asarray(X, "float32"), function(lib, name)
    for aux in ("text", {"loss": "text"}, object()):
        with pytest.raises((TypeError, ValueError), match=r"f returned .*\(value, aux\), pass has_aux=True"):
            OPERATORS[name](lambda x, aux=aux: (f(x), aux), x)


@pytest.mark.parametrize("aux", ["text", 3.0, None])
def test_a_pair_without_has_aux_where_one_number_is_expected(aux):
    for evaluator, f in ((anygrad.Loop(), np.sum), (anygrad.Batch(), lambda x: np.sum(x, axis=-1))):
        with pytest.raises((TypeError, ValueError), match=r"f returned a tuple.*pass has_aux=True"):
            anygrad.numerical_gradient(lambda x, f=f: (f(x), aux), X.copy(), evaluator=evaluator)


def test_two_arrays_are_no_value_with_aux():
    first, second = anygrad.jacobian(lambda x: (x**2, x[0]), X.copy())
    assert (first.shape, second.shape) == ((2, 2), (2,))


@pytest.mark.parametrize("f0", ["text", np.ones(2), {"a": 1.0}])
def test_a_value_that_is_none(f0):
    x = X.copy()
    with pytest.raises((TypeError, ValueError), match=r"^f0 is .*number"):
        anygrad.numerical_gradient(np.sum, x, scheme=anygrad.Forward(), f0=f0)


@pytest.mark.parametrize("f0", [1.0, np.ones(3), (np.ones(2),), {"a": np.ones(2)}])
def test_a_value_that_is_not_as_f_returns_it(f0):
    for name in OF_ARRAYS:
        with pytest.raises(ValueError, match=r"^f0 is"):
            OPERATORS[name](lambda x: x**2, X.copy(), scheme=anygrad.Forward(), f0=f0)


def test_a_structure_that_is_not_that_of_what_f_returns():
    x = X.copy()
    with pytest.raises(ValueError, match=r"f0 is a tree of f\(x\)\['a'\], but f returned a tree of f\(x\): f0 must be"):
        anygrad.jacobian(lambda x: x**2, x, scheme=anygrad.Forward(), f0={"a": x**2})


def test_neither_is_about_the_gradient():
    for operator in (anygrad.hessian, lambda f, x, **options: anygrad.hvp(f, x, x, **options)):
        with pytest.raises(ValueError, match=r"f0 is about f.*leave one out"):
            operator(None, X.copy(), grad=lambda x: x, f0=1.0)
        with pytest.raises(ValueError, match=r"has_aux=True is about f.*leave one out"):
            operator(None, X.copy(), grad=lambda x: x, has_aux=True)
