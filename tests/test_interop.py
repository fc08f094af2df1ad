"""The gradient as a function: for SciPy's optimisers, and whoever else asks for one."""

from __future__ import annotations

import doctest
import functools
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
from pages import RealOutput, sessions
from scipy.optimize import Bounds, minimize, rosen, rosen_der

import anygrad


def cubes(x, scale=1.0):
    """Sum up cubes."""
    return scale * (x**3).sum()


def test_the_gradient_of_arrays_of_every_library(lib, dtype):
    x = lib.asarray(np.array([[1.0, 2.0], [-0.5, 0.25]]), dtype)

    def cubes(x):
        return lib.xp.sum(x**3)

    gradient = anygrad.grad(cubes)(x)
    assert type(gradient) is type(x)
    assert gradient.dtype == x.dtype
    same = anygrad.numerical_gradient(cubes, x, scheme=anygrad.Central())
    assert np.array_equal(lib.numpy(gradient), lib.numpy(same))
    rough = {"float32": 1e-3, "float16": 0.2, "bfloat16": 0.2}.get(dtype, 1e-8)
    assert np.allclose(lib.numpy(gradient), 3 * lib.numpy(x) ** 2, atol=rough)


def test_options_are_those_of_numerical_gradient():
    x = np.array([0.5, 2.0])

    def f(x):
        return np.exp(x).sum(), "extra"

    result, aux = anygrad.grad(f, scheme=anygrad.Central(order=4), has_aux=True, full_output=True)(x)
    assert aux == "extra"
    assert result.ncalls == 1 + 4 * 2
    assert np.allclose(result.value, np.exp(x), rtol=1e-11)
    assert np.allclose(anygrad.grad(cubes, h=0.5)(x), 3 * x**2 + 0.25)  # the error of the step 1/2, for cubes


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"schema": None}, TypeError, "unexpected keyword argument 'schema'"),
        ({"scheme": anygrad.Central}, TypeError, r"scheme is the class Central.*write anygrad\.Central\(\)"),
        ({"bounds": 3}, TypeError, r"bounds is 3.*bounds=\(lower, upper\)"),
        ({"h": 1e-3, "scheme": anygrad.Central()}, ValueError, "give the step to the scheme"),
        ({"f": np.ones(2)}, TypeError, "f comes first, then x"),
    ],
    ids=["schema", "class", "bounds", "h and scheme", "f"],
)
def test_a_wrong_option_is_an_error_at_once(options, error, message):
    with pytest.raises(error, match=message):
        anygrad.grad(**{"f": cubes} | options)


def test_it_says_what_it_is():
    gradient = anygrad.grad(cubes, scheme=anygrad.Central(order=4))
    assert repr(gradient) == "anygrad.grad(cubes, scheme=Central(order=4, step=None, noise=None, rel_step=None))"
    assert repr(anygrad.grad(cubes)) == "anygrad.grad(cubes)"
    assert gradient.__name__ == "grad(cubes)"
    assert "gradient of cubes" in inspect.getdoc(gradient)
    assert list(inspect.signature(gradient).parameters) == ["x", "scale"]
    assert "partial" in repr(anygrad.grad(functools.partial(cubes, scale=2.0)))


def test_it_can_be_pickled():
    x = np.array([1.0, 2.0])
    gradient = anygrad.grad(cubes, scheme=anygrad.Central(order=4), bounds=(np.zeros(2), None))
    again = pickle.loads(pickle.dumps(gradient))
    assert np.array_equal(again(x, 2.0), gradient(x, 2.0))
    assert again.__name__ == gradient.__name__


class TestSciPy:
    def test_minimize(self):
        result = minimize(rosen, np.array([1.3, 0.7, 0.8, 1.9]), jac=anygrad.grad(rosen), method="BFGS")
        assert result.success
        assert np.allclose(result.x, 1, atol=1e-6)
        assert np.abs(rosen_der(result.x)).max() < 1e-4

    @pytest.mark.parametrize("method", ["L-BFGS-B", "TNC", "SLSQP"])
    def test_bounds_hold_for_every_call(self, method):
        """A minimum in a corner, where f must not be evaluated on the other side."""
        lower, upper = np.array([0.0, 1.0]), np.array([2.0, 3.0])

        def f(x, centre):
            assert np.all(lower <= x)
            assert np.all(x <= upper)
            return ((x - centre) ** 2).sum()

        jac, further = anygrad.grad(f, bounds=(lower, upper)), (np.array([1.0, 0.0]),)
        result = minimize(f, np.array([2.0, 3.0]), args=further, jac=jac, bounds=Bounds(lower, upper), method=method)
        assert np.allclose(result.x, [1, 1], atol=1e-5)

    def test_a_rough_function(self):
        """What is rounded to four digits has no slope over a tiny step; told so, a scheme takes a larger one."""

        def f(x):
            return round(float(((x - 0.3) ** 2).sum()) + 1.0, 4)

        start = np.array([1.0, -1.0])
        assert np.array_equal(minimize(f, start).x, start)
        jac = anygrad.grad(f, scheme=anygrad.Central(noise=1e-4))
        assert np.allclose(minimize(f, start, jac=jac).x, 0.3, atol=0.03)


PAGE = Path(__file__).parents[1] / "docs" / "interop.md"


def run_section(heading):
    """Run the examples of a section of the page, which needs what that section is about and nothing else."""
    sections = {part.partition("\n")[0]: part for part in PAGE.read_text().split("\n## ")}
    examples = doctest.DocTestParser().get_doctest(sessions(sections[heading]), {}, heading, str(PAGE), 0)
    runner = doctest.DocTestRunner(checker=RealOutput(), optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(examples)
    assert runner.tries
    assert not runner.failures


def test_the_page_on_scipy():
    run_section("SciPy")


@pytest.mark.libraries(lambda lib: lib.name == "torch")
def test_the_page_on_pytorch(lib):
    run_section("PyTorch")


@pytest.mark.libraries(lambda lib: lib.name == "jax")
def test_the_page_on_jax(lib):
    run_section("JAX")
