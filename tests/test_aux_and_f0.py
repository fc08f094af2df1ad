"""f(x): evaluated once at most, not at all if it is given, and the source of what comes beside the value."""

from __future__ import annotations

import numpy as np
import pytest
from tried import OF_ARRAYS, OF_NUMBERS, TRIED

import anygrad

X = np.array([1.0, 2.0])
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

    result, aux = OPERATORS[name](with_aux, x, scheme=tried.scheme, has_aux=True, full_output=True)
    assert np.array_equal(aux["x"], X)
    assert sum(np.array_equal(point, X) for point in seen) == 1 or tried.samples_complex
    alone = OPERATORS[name](f, x, scheme=tried.scheme)
    assert np.array_equal(lib.numpy(result.value), lib.numpy(alone))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("tried", TRIED, ids=repr)
def test_f_is_not_called_at_x_if_its_value_is_given(lib, name, tried):
    x, f, seen = lib.asarray(X, "float32"), function(lib, name), []

    def watched(x):
        seen.append(lib.numpy(x).copy())
        return f(x)

    given = lib.asarray(np.array(value_at(name)), "float32")
    result = OPERATORS[name](watched, x, scheme=tried.scheme, f0=given, full_output=True)
    _, aux = OPERATORS[name](lambda x: (f(x), "called"), x, f0=(given, "given"), has_aux=True)
    assert aux == "given"
    assert not any(np.array_equal(point, X) for point in seen)
    assert result.ncalls == len(seen)
    alone = OPERATORS[name](f, x, scheme=tried.scheme)
    assert np.allclose(lib.numpy(result.value), lib.numpy(alone), rtol=1e-5)


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


def test_a_given_value_may_be_a_number_or_an_array(lib):
    x = lib.asarray(X, "float32")
    for f0 in (9.0, 9, np.float64(9), lib.asarray(np.array(9.0), "float32"), lib.asarray(np.array([9.0]), "float32")):
        gradient = anygrad.numerical_gradient(lambda x: lib.xp.sum(x**3), x, scheme=anygrad.Forward(), f0=f0)
        assert np.allclose(lib.numpy(gradient), [3, 12], rtol=1e-2)


@pytest.mark.parametrize("returned", [1.0, [1.0, "aux"], (1.0, 2.0, 3.0), None])
def test_has_aux_without_a_pair_is_refused(returned):
    for name, operator in OPERATORS.items():
        with pytest.raises(TypeError, match=r"f returned .*, but with has_aux=True a pair"):
            operator(lambda x: returned, X.copy(), has_aux=True)
        with pytest.raises(TypeError, match=r"a pair .* was expected"):
            operator(lambda x: (value_at(name), "aux"), X.copy(), has_aux=True, f0=returned or 1.0)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_pair_without_has_aux_is_refused(lib, name):
    x, f = lib.asarray(X, "float32"), function(lib, name)
    for aux in ("text", {"loss": "text"}, object()):
        with pytest.raises((TypeError, ValueError), match=r"f returned .*\(value, aux\), pass has_aux=True"):
            OPERATORS[name](lambda x, aux=aux: (f(x), aux), x)
    with pytest.raises((TypeError, ValueError), match=r"f returned a tuple.*pass has_aux=True"):
        anygrad.numerical_gradient(lambda x: (np.sum(x, axis=-1), 3.0), X.copy(), evaluator=anygrad.Batch())


@pytest.mark.parametrize("f0", ["text", np.ones(3), (np.ones(2),), {"a": np.ones(2)}])
@pytest.mark.parametrize("name", ["numerical_gradient", *OF_ARRAYS])
def test_a_given_value_that_is_not_as_f_returns_it_is_refused(name, f0):
    f = np.sum if name in OF_NUMBERS else lambda x: x**2
    with pytest.raises((TypeError, ValueError), match=r"^f0 (is|has)"):
        OPERATORS[name](f, X.copy(), scheme=anygrad.Forward(), f0=f0)


def test_f0_and_has_aux_beside_a_gradient_are_refused():
    for operator in (anygrad.hessian, lambda f, x, **options: anygrad.hvp(f, x, x, **options)):
        with pytest.raises(ValueError, match=r"f0 and grad= are both given.*leave one of them out"):
            operator(None, X.copy(), grad=lambda x: x, f0=1.0)
        with pytest.raises(ValueError, match=r"has_aux=True and grad= are both given.*leave one of them out"):
            operator(None, X.copy(), grad=lambda x: x, has_aux=True)
