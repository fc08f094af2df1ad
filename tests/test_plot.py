"""Pictures: what is drawn, and what it says. Left out where matplotlib is not installed."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

import anygrad

X = np.array([0.5, 100.0, -3.0])


def f(x):
    return float(np.exp(x[0]) + np.sin(x[1]) + x[0] * x[2] ** 3)


def gradient(x):
    return np.array([np.exp(x[0]) + x[2] ** 3, np.cos(x[1]), 3 * x[0] * x[2] ** 2])


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("Agg")
    yield
    pyplot.close("all")


def test_a_study_knows_the_derivative_and_the_best_step():
    for study, exact in zip(anygrad.plot.study(f, X), gradient(X), strict=True):
        assert abs(study.value - exact) <= study.certainty < 1e-10
        foot = np.quantile(study.errors, 0.1)  # the least of all may be luck
        assert foot < 1e-8
        assert study.chosen_error < 10 * foot
        # A V: both ends are far above the foot.
        assert study.errors[1] > 1e3 * foot
        assert study.errors[-1] > 1e3 * foot


def test_what_is_drawn_is_the_study(tmp_path):
    x = X.copy()
    ax = anygrad.plot.step_study(f, x, scheme=anygrad.Central(order=4))
    studies = anygrad.plot.study(f, x, scheme=anygrad.Central(order=4))
    curves, lines, marks = ax.lines[0::3], ax.lines[1::3], ax.lines[2::3]
    for study, curve, line, mark in zip(studies, curves, lines, marks, strict=True):
        assert np.array_equal(curve.get_xdata(), study.steps)
        assert np.all(np.asarray(curve.get_ydata()) >= study.errors)
        assert line.get_ydata()[0] == study.certainty
        assert mark.get_xdata()[0] == study.chosen_step
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x[0]", "x[1]", "x[2]"]
    assert "Central(order=4" in ax.get_title()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ax.figure.savefig(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 10_000
    assert np.array_equal(x, X)


def test_chosen_elements_and_axes():
    _, mine = pyplot.subplots()
    x = np.arange(1.0, 7.0).reshape(2, 3)
    ax = anygrad.plot.step_study(lambda x: (x**3).sum(), x, elements=[(1, 2), 0], ax=mine, points=20)
    assert ax is mine
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x[1, 2]", "x[0, 0]"]


def test_a_number_has_one_curve():
    ax = anygrad.plot.step_study(lambda x: x**3, 2.0, points=10)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x"]


@pytest.mark.parametrize("element", [3, -1, (0, 0), (3,)])
def test_no_such_element(element):
    with pytest.raises(IndexError, match="was asked for"):
        anygrad.plot.study(f, X, elements=[element])


def test_a_scheme_without_a_step():
    with pytest.raises(TypeError, match="has no step to be studied"):
        anygrad.plot.study(lambda x: x[0] ** 2, X[:1], scheme=anygrad.Complex())
