"""Planted mistakes, from total to a ten-millionth of one element: all are caught, in the right place, and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from check_problems import PROBLEMS, regression
from libraries import LIBRARIES
from mistakes import MISTAKES

from anygrad import check_gradient

NUMPY = LIBRARIES["numpy"][0]()


def remembered(f):
    """Return f, which computes its value at a point once: what is planted changes nothing of f."""
    values = {}

    def f_of(p):
        at = b"".join([array.tobytes() for array in p.values()])
        if at not in values:
            values[at] = f(p)
        return values[at]

    return f_of


def planted(problem, mistake, lib=NUMPY):
    """Return the mistake, made in the right gradient of a problem."""
    gradient = {key: np.asarray(lib.numpy(array)) for key, array in problem.grad(problem.x).items()}
    points = {key: np.asarray(lib.numpy(array)) for key, array in problem.x.items()}
    return mistake(gradient, np.random.default_rng(1), points)


def cases():
    """Yield each mistake with the first problem that has an array for it, and some with the others as well."""
    tried = set()
    for name in ("network", "regression", "simulation"):
        problem = PROBLEMS[name](NUMPY, "float64", 1.0, np.random.default_rng(0))
        problem = replace(problem, f=remembered(problem.f))
        for number, mistake in enumerate(MISTAKES):
            wrong = planted(problem, mistake) if number % 4 == 0 or mistake not in tried else None
            if wrong is not None and any(map(np.any, wrong.wrong.values())):
                tried.add(mistake)
                yield pytest.param(problem, mistake, wrong, id=f"{name}-{mistake!r}")


CASES = list(cases())


def names_of(masks):
    """Return what the elements are called that masks are true of."""
    return {
        f"x['{key}']" + (f"[{', '.join(map(str, index))}]" if mask.ndim else "")
        for key, mask in masks.items()
        for index in np.argwhere(mask).tolist()
    }


@pytest.mark.parametrize(("problem", "mistake", "wrong"), CASES)
def test_a_mistake_is_caught_in_its_place_and_named(problem, mistake, wrong):
    report = check_gradient(problem.f, lambda _: wrong.tree, problem.x)
    assert report.verdict == "wrong", report
    found = {one.name.split("'")[1]: one.wrong for one in report.comparisons}
    for key, mask in wrong.wrong.items():
        assert not np.any(found[key] & ~mask), f"{key}: more than planted\n{report}"
        right = problem.grad(problem.x)[key]
        clear = mask & ~(np.abs(wrong.tree[key] - right) <= 1e-8 * np.maximum(np.abs(right), 1e-3))
        assert np.array_equal(found[key] & clear, clear), f"{key}: less than planted\n{report}"
    assert {element.name for element in report.worst} <= names_of(wrong.wrong)
    if wrong.words:
        assert any(all(word in hint for word in wrong.words) for hint in report.hints), report


@pytest.mark.parametrize(("problem", "mistake", "wrong"), CASES[::5])
def test_along_directions_too(problem, mistake, wrong):
    report = check_gradient(problem.f, lambda _: wrong.tree, problem.x, directions=3)
    assert report.verdict == "wrong", report
    assert {element.name for element in report.worst} <= names_of(wrong.wrong)


@pytest.mark.libraries(lambda lib: not lib.lazy)
@pytest.mark.parametrize("mistake", MISTAKES[::12], ids=repr)
def test_on_every_library_in_float32(lib, mistake):
    problem = regression(lib, "float32", 1.0, np.random.default_rng(0), n=3 if lib.slow else 5)
    wrong = planted(problem, mistake, lib)
    right = {key: np.asarray(lib.numpy(array)) for key, array in problem.grad(problem.x).items()}
    if wrong is None or all(np.all(np.abs(wrong.tree[key] - right[key]) < 1e-4) for key in right):
        return
    report = check_gradient(problem.f, lambda _: wrong.tree, problem.x)
    assert report.verdict == "wrong", report
    assert {element.name for element in report.worst} <= names_of(wrong.wrong)


PEAKS = {
    "normal": (lambda u: np.exp(-u * u / 2), lambda u: -u * np.exp(-u * u / 2)),
    "Lorentz": (lambda u: 1 / (1 + u * u), lambda u: -2 * u / (1 + u * u) ** 2),
}


@pytest.mark.parametrize("name", PEAKS)
@pytest.mark.parametrize("center", [1.0, 1000.0])
@pytest.mark.parametrize("width", [3e-5, 1e-3, 2e-2])
def test_a_claim_is_not_cleared_by_steps_over_a_narrow_peak(name, center, width):
    peak, slope = PEAKS[name]
    for distance in (-1.0, 0.5, 1.5):
        x = center * np.array([1 + distance * width])
        u = (x - center) / (width * center)
        right = slope(u) / (width * center)

        def f(x):
            return peak((x[0] - center) / (width * center))

        assert check_gradient(f, right, x)
        for mistaken in (0 * right, 0.5 * right, -right):
            assert check_gradient(f, mistaken, x).verdict == "wrong"


def test_a_peak_in_one_element_of_many_is_missed_by_no_kind_of_claim():
    x = np.array([0.5, 1.0, 2.0])

    def f(x):
        return np.stack([(x**2).sum(), 1 / (1 + ((x[1] - 1) / 3e-5 - 1) ** 2)])

    jacobian = np.array([2 * x, [0.0, 1 / 6e-5, 0.0]])
    assert check_gradient(f, None, x, jac=jacobian)
    assert check_gradient(lambda x: f(x).sum(), jacobian.sum(axis=0), x)
    mistaken = jacobian.copy()
    mistaken[1, 1] = 0
    report = check_gradient(f, None, x, jac=mistaken)
    assert (report.verdict, report.counts["wrong"]) == ("wrong", 1)
    report = check_gradient(lambda x: f(x).sum(), mistaken.sum(axis=0), x)
    assert (report.verdict, report.counts["wrong"]) == ("wrong", 1)
    assert check_gradient(lambda x: f(x).sum(), mistaken.sum(axis=0), x, directions=3).verdict != "agrees"
