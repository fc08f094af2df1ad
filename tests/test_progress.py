"""progress=: a bar, a callback, or nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest

import anygrad


def test_a_callback_gets_done_and_total_after_each_call(lib):
    seen = []
    x = lib.asarray(np.ones((2, 2)), "float32")
    anygrad.numerical_gradient(lib.xp.sum, x, progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 8) for done in range(1, 9)]


@pytest.mark.parametrize(
    ("scheme", "total"), [(anygrad.Central(order=4), 12), (anygrad.Forward(order=2), 7), (anygrad.Backward(), 4)]
)
def test_the_total_is_the_number_of_calls(scheme, total):
    seen = []
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return x.sum()

    result = anygrad.numerical_gradient(
        f, np.ones(3), scheme=scheme, progress=lambda *counts: seen.append(counts), full_output=True
    )
    assert seen == [(done, total) for done in range(1, total + 1)]
    assert calls == result.ncalls == result.npoints == total


def test_one_count_over_all_leaves_and_rows():
    seen = []
    tree = {"a": np.ones(2), "b": np.ones(3)}
    anygrad.numerical_gradient(lambda p: p["a"].sum(), tree, progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (10, 10)
    anygrad.numerical_gradient_2d(np.sum, np.ones((4, 3)), progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (24, 24)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("f", [lambda x: 2 * x, np.exp, lambda x: np.sin(1e5 * x)], ids=["line", "exp", "fast wave"])
def test_where_the_number_of_calls_is_found_out_on_the_way_the_count_ends_at_its_total(f, size):
    """Fewer than expected, as many, and more: expected are 13 whatever the size of x, as f is given all of it."""
    seen = []
    x = np.linspace(1, 2, size)
    result = anygrad.derivative(f, x, progress=lambda *counts: seen.append(counts), full_output=True)
    assert seen[0] == (1, 13)
    assert [done for done, _ in seen[: result.ncalls]] == list(range(1, result.ncalls + 1))
    assert all(done <= total for done, total in seen)
    assert seen[-1] == (result.ncalls, result.ncalls)


def test_a_bar_with_the_count_and_the_time_left(capsys):
    anygrad.numerical_gradient(np.sum, np.ones(50), progress=True)
    shown = capsys.readouterr().err
    assert "100/100" in shown
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", shown)


def test_an_exception_in_the_callback_is_the_users_own():
    x = np.ones(3)

    def stop(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(np.sum, x, progress=stop)
    assert np.array_equal(x, [1, 1, 1])
