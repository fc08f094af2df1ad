"""Pictures: what is drawn, and what it says. Left out where matplotlib is not installed."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.contour import ContourSet
from matplotlib.quiver import Quiver

import anygrad
from anygrad._cli import main

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
        # The mean over seven steps: with one of them, the rounding of f may be 0 by luck.
        errors = np.mean(np.lib.stride_tricks.sliding_window_view(study.errors, 7), axis=1)
        foot = errors.min()
        assert foot < 1e-8
        assert study.chosen_error < 10 * foot
        # A V: both ends are far above the foot.
        assert errors[0] > 1e3 * foot
        assert errors[-1] > 1e3 * foot


def test_what_is_drawn_is_the_study(tmp_path):
    x = X.copy()
    ax = anygrad.plot.step_study(f, x, scheme=anygrad.Central(order=4))
    studies = anygrad.plot.study(f, x, scheme=anygrad.Central(order=4))
    drawn = ax.lines[: 3 * len(studies)]
    curves, lines, marks = drawn[0::3], drawn[1::3], drawn[2::3]
    for study, curve, line, mark in zip(studies, curves, lines, marks, strict=True):
        assert np.array_equal(curve.get_xdata(), study.steps)
        assert np.all(np.asarray(curve.get_ydata()) >= study.errors)
        assert line.get_ydata()[0] == study.certainty
        assert mark.get_xdata()[0] == study.chosen_step
    explained = ["the step that it chooses", "smaller errors cannot be seen"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x[0]", "x[1]", "x[2]", *explained]
    assert "Central, order 4" in ax.get_title()
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    ax.figure.savefig(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 10_000
    assert np.array_equal(x, X)


@pytest.mark.parametrize(
    ("x", "options", "names"),
    [
        (np.ones((2, 3)), {"elements": [(1, 2), 0]}, ["x[1, 2]", "x[0, 0]"]),
        (np.array(2.0), {}, ["x"]),
        (np.empty(0), {}, []),
    ],
    ids=["chosen elements", "a number", "no elements"],
)
def test_a_curve_for_each_element_on_the_users_axes(x, options, names):
    _, mine = pyplot.subplots()
    ax = anygrad.plot.step_study(lambda x: (x**3).sum(), x, points=10, ax=mine, **options)
    assert ax is mine
    labels = ax.get_legend_handles_labels()[1]
    assert [label for label in labels if label.startswith("x")] == names


@pytest.mark.parametrize(
    ("options", "error", "expected"),
    [
        *[({"elements": [element]}, IndexError, "but x has the shape") for element in (3, (0, 0))],
        ({"elements": ["a"]}, TypeError, "a list of integers or multi-indices"),
        ({"points": 1}, ValueError, "^points is .*, but an integer above 1"),
        ({"scheme": anygrad.Complex()}, TypeError, "a finite difference was expected"),
        ({"x": 1j}, TypeError, "x is complex, but a real array was expected"),
    ],
    ids=repr,
)
def test_a_study_asked_for_wrongly(options, error, expected):
    with pytest.raises(error, match=expected):
        anygrad.plot.study(lambda x: np.sum(x**2), **{"x": X} | options)


def bowl(x):
    return x[0] ** 2 + 3 * x[1] ** 2


def quivers(ax):
    return [artist for artist in ax.collections if isinstance(artist, Quiver)]


def contours(ax):
    return [artist for artist in ax.collections if isinstance(artist, ContourSet)]


def drawn_arrows(ax):
    """Return the tails of the arrows, and by how much they extend to the right and upwards; NaN for none."""
    [quiver] = quivers(ax)
    arrows = np.stack([quiver.U, quiver.V], axis=1)
    return np.asarray(quiver.get_offsets()), np.where(np.reshape(quiver.Umask, (-1, 1)), np.nan, arrows)


@pytest.mark.parametrize("direction", ["descent", "ascent"])
def test_arrows_are_the_gradient_at_the_points_of_a_grid_on_the_users_axes(direction):
    figure, (mine, other) = pyplot.subplots(1, 2)
    calls = []
    ax = anygrad.plot.gradient_field(
        lambda x: (calls.append(1), bowl(x))[1], (-2, 2), (-1, 1), points=5, contours=9, direction=direction, ax=mine
    )
    tails, arrows = drawn_arrows(ax)
    sign, title = {"descent": (-1, "negative gradient"), "ascent": (1, "gradient")}[direction]
    assert {tuple(tail) for tail in tails} == {(a, b) for a in (-2, -1, 0, 1, 2) for b in (-1, -0.5, 0, 0.5, 1)}
    assert np.allclose(arrows, sign * tails * [2, 6], atol=1e-6)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 2), (-1, 1))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("x[0]", "x[1]", title)
    assert len(calls) == 4 * 5**2 + 9**2
    assert (ax, figure.axes, other.has_data()) == (mine, [mine, other], False)


def test_contours_are_those_of_f():
    ax = anygrad.plot.gradient_field(bowl, (-2, 2), (-1, 1), contours=201)
    filled, lines = contours(ax)
    assert filled.filled
    assert not lines.filled
    assert len(lines.levels) > 5
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        assert np.allclose([bowl(point) for point in path.vertices], level, atol=1e-3)


def test_a_pole_leaves_the_other_arrows_to_be_seen():
    ax = anygrad.plot.gradient_field(lambda x: 1 / (x[0] ** 2 + x[1] ** 2), (-1, 1), (-1, 1), points=20)
    [quiver] = quivers(ax)
    tails, arrows = drawn_arrows(ax)
    exact = 2 * tails / (tails**2).sum(axis=1, keepdims=True) ** 2
    far = np.hypot(*tails.T) > 0.5
    assert np.allclose(arrows[far], exact[far], rtol=1e-4)
    lengths, exact_lengths = np.hypot(*arrows.T), np.hypot(*exact.T)
    assert np.allclose(arrows / lengths[:, None], exact / exact_lengths[:, None], atol=1e-5)
    assert lengths.max() / quiver.scale < 1.5 * 2 / 19
    assert np.median(lengths) / lengths.max() > 5 * np.median(exact_lengths) / exact_lengths.max()


@pytest.mark.parametrize("f", [lambda x: np.log(x[0]) + x[1], lambda x: x[0] if x[0] > 0 else np.inf])
def test_where_f_is_not_finite_there_are_no_arrows_and_no_contours(f, tmp_path):
    ax = anygrad.plot.gradient_field(f, (-1.05, 1), (-1, 1), points=10, contours=41)
    tails, arrows = drawn_arrows(ax)
    missing = np.isnan(arrows).all(axis=1)
    assert np.array_equal(missing, tails[:, 0] < 0)
    for artist in contours(ax):
        assert all((path.vertices[:, 0] > -0.05).all() for path in artist.get_paths())
    ax.figure.savefig(tmp_path / "field.png")


def test_a_constant_has_neither(tmp_path):
    ax = anygrad.plot.gradient_field(lambda x: np.nan, (-1, 1), (-1, 1), points=5, contours=5)
    assert not contours(ax)
    ax.figure.savefig(tmp_path / "field.png")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"xlim": (1, 1)}, r"xlim is \(1, 1\), but a lower and a higher number were expected"),
        ({"contours": 1}, "contours is 1, but an integer above 1 was expected, or 0 for none"),
        ({"direction": "up"}, "direction is 'up', but 'descent' or 'ascent' was expected"),
    ],
)
def test_a_field_asked_for_wrongly(wrong, expected):
    with pytest.raises(ValueError, match=expected):
        anygrad.plot.gradient_field(bowl, **{"xlim": (-1, 1), "ylim": (-1, 1)} | wrong)


def test_the_picture_of_a_check_from_the_command_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "pictured.py").write_text("def f(x):\n    return (x**2).sum()\ndef grad(x):\n    return 2 * x\n")
    monkeypatch.chdir(tmp_path)
    words = ["check", "pictured.py:f", "--grad", "pictured.py:grad", "--x", "[1.0, 2.0]", "--plot"]
    assert main([*words, "check.png"]) == 0
    assert (tmp_path / "check.png").stat().st_size > 10_000
    assert capsys.readouterr().err == ""
    assert main([*words, "check.xyz"]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("Agrees")
    assert shown.err.startswith("anygrad: Format 'xyz' is not supported")


# What a check found


def planted(p):
    wrong = {"W": 2 * p["W"], "b": 2 * p["b"]}
    wrong["W"][1] = 0
    return wrong


def check(**options):
    x = {"W": np.arange(1.0, 13.0).reshape(3, 4), "b": np.array([1.0, 2.0])}
    return anygrad.check_gradient(lambda p: (p["W"] ** 2).sum() + (p["b"] ** 2).sum(), planted, x, **options)


def test_a_report_draws_what_is_claimed_over_what_was_found(tmp_path):
    figure = check().plot()
    scatter, heat, *_ = figure.axes
    claimed = np.concatenate([bars.lines[0].get_ydata() for bars in scatter.containers])
    numerical = np.concatenate([bars.lines[0].get_xdata() for bars in scatter.containers])
    assert sorted(numerical) == pytest.approx(np.arange(2.0, 25.0, 2.0))
    assert np.count_nonzero(claimed == 0) == 4
    assert scatter.get_title() == "x['W']"  # the wrong one first
    assert heat.get_title() == "x['W']: 3 x 4"
    table = heat.images[0].get_array()
    assert (table[1] > 0).all()
    assert (np.delete(table, 1, axis=0) < 0).all()
    assert "wrong" in figure.get_suptitle()
    figure.savefig(tmp_path / "check.png")


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points_of(ax):
    """Return what is drawn by the colour of its verdict: numerical and claimed, (m, 2) each."""
    found = {}
    for bars in ax.containers:
        points = np.stack([bars.lines[0].get_xdata(), bars.lines[0].get_ydata()], axis=1)
        found.setdefault(bars.lines[0].get_color(), []).append(points)
    return {colour: np.concatenate(points) for colour, points in found.items()}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_colours_are_those_of_the_verdicts(tmp_path):
    def f(x):
        return np.maximum(x, 0).sum() + np.where(x[4] > 6, np.nan, x[4])

    x, claimed = np.array([-1.0, 0.0, 1.0, 2.0, 6.0, 3.0]), np.array([0.0, 0.5, 1.0, 3.0, 2.0, np.nan])
    report = anygrad.check_gradient(f, claimed, x)
    assert report.counts == {"wrong": 2, "nonfinite": 1, "kink": 1, "agrees": 2}
    assert [state.tolist() for state in report.states] == [[6, 2, 6, 0, 1, 0]]
    figure = report.plot()
    scatter, heat, *_ = figure.axes
    assert legend_of(scatter) == ["equal", "agrees: 2", "kink: 1", "nonfinite: 1", "wrong: 2 (1 not finite, not shown)"]
    handles = scatter.get_legend().legend_handles
    colours = {text.split(":")[0]: line.get_color() for text, line in zip(legend_of(scatter), handles, strict=True)}
    assert len(set(colours.values())) == 5
    points = points_of(scatter)
    assert points[colours["kink"]] == pytest.approx(np.array([[0.5, 0.5]]))
    assert points[colours["wrong"]] == pytest.approx(np.array([[1.0, 3.0]]))
    assert len(points[colours["agrees"]]) == 2
    by_size, by_verdict = (image.get_array() for image in heat.images)
    assert np.array_equal(np.isnan(np.ma.filled(by_size, np.nan))[0], [0, 1, 0, 0, 1, 0])
    assert np.array_equal(np.ma.filled(by_verdict, np.nan)[0], [np.nan, 2, np.nan, np.nan, 1, np.nan], equal_nan=True)
    figure.savefig(tmp_path / "check.png")


def test_of_many_arrays_the_worst_are_drawn_and_the_others_are_counted():
    x = {f"p{i}": np.arange(1.0, 4.0) + i for i in range(9)}
    off = {"p2", "p4", "p5", "p7", "p8"}

    def claimed(p):
        return {key: 3 * a if key in off else 2 * a for key, a in p.items()}

    figure = anygrad.check_gradient(lambda p: sum((a**2).sum() for a in p.values()), claimed, x).plot()
    drawn = {ax.get_title().split("'")[1] for ax in figure.axes[:8]}
    assert drawn < off
    assert len(drawn) == 4
    assert "the 4 worst of 9 arrays; 5 are left out (wrong: 1, agrees: 4)" in figure.get_suptitle()


@pytest.mark.parametrize(
    ("f", "options", "x"),
    [
        (lambda x: np.nan, {"grad": lambda x: x}, np.ones(3)),
        (lambda x: x**2, {"grad": lambda x: 3 * x}, np.array(3.0)),
        (lambda z: (z**2).sum(), {"grad": lambda z: 2 * z.conj()}, np.array([1 + 2j, -3 + 1j])),
        (lambda x: (x**2).sum(), {"grad": None, "hess": lambda x: 2 * np.eye(2)}, np.ones(2)),
        (lambda x: (x**2).sum(), {"grad": lambda x: 2 * x, "directions": 3}, np.ones(5)),
        (
            lambda p: sum((a**2).sum() for a in p.values()),
            {"grad": lambda p: p},
            {"a$b_{$": np.ones(3), "$": np.ones((2, 0)), "none": np.ones(0)},
        ),
    ],
    ids=["nothing finite", "one number", "complex", "a Hessian", "directions", "empty arrays, names like mathematics"],
)
def test_every_report_can_be_drawn(f, options, x, tmp_path):
    anygrad.check_gradient(f, x=x, **options).plot().savefig(tmp_path / "check.png")
