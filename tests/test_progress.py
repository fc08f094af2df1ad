"""Beside the numbers: progress while they are computed, and nothing that stays afterwards."""

from __future__ import annotations

import gc
import re

import numpy as np
import pytest

import anygrad


@pytest.mark.parametrize(
    ("scheme", "total"), [(anygrad.Central(order=4), 12), (anygrad.Forward(order=2), 7), (anygrad.Backward(), 4)]
)
def test_a_callback_gets_done_and_total_after_each_call(scheme, total):
    seen, x = [], np.ones(3)

    def watch(done, all_of_them):
        seen.append((done, all_of_them))
        if seen[3:] and stopped:
            raise KeyboardInterrupt

    stopped = False
    anygrad.numerical_gradient(np.sum, x, scheme=scheme, progress=watch)
    assert seen == [(done, total) for done in range(1, total + 1)]
    stopped = True  # an exception in the callback is the user's own
    with pytest.raises(KeyboardInterrupt):
        anygrad.numerical_gradient(np.sum, x, scheme=scheme, progress=watch)
    assert np.array_equal(x, [1, 1, 1])


def test_one_count_over_all_leaves_and_rows():
    seen = []
    tree = {"a": np.ones(2), "b": np.ones(3)}
    anygrad.numerical_gradient(lambda p: p["a"].sum(), tree, progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (10, 10)
    anygrad.numerical_gradient_2d(np.sum, np.ones((4, 3)), progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (24, 24)


@pytest.mark.parametrize("f", [lambda x: 2 * x, np.exp, lambda x: np.sin(1e5 * x)], ids=["line", "exp", "fast wave"])
def test_where_the_number_of_calls_is_found_out_on_the_way_the_count_ends_at_its_total(f):
    """Fewer than expected, as many, and more: expected are 13 whatever the size of x, as f is given all of it."""
    seen = []
    result = anygrad.derivative(f, np.linspace(1, 2, 5), progress=lambda *counts: seen.append(counts), full_output=True)
    assert seen[0] == (1, 13)
    assert [done for done, _ in seen[: result.ncalls]] == list(range(1, result.ncalls + 1))
    assert all(done <= total for done, total in seen)
    assert seen[-1] == (result.ncalls, result.ncalls)


def test_a_bar_with_the_count_and_the_time_left(capsys):
    anygrad.numerical_gradient(np.sum, np.ones(50), progress=True)
    shown = capsys.readouterr().err
    assert "100/100" in shown
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", shown)


# --- nothing grows with the number of derivatives -----------------------------------------------------------------


@pytest.mark.libraries(lambda lib: not lib.slow or (lib.name == "jax" and "float64" in lib.real))
@pytest.mark.parametrize("scheme", [anygrad.Central(), anygrad.Adaptive()], ids=repr)
def test_there_are_as_many_objects_after_any_number_of_derivatives(lib, scheme):
    x, counts = lib.asarray(np.array([0.5, -1.25]), "float32"), []
    for _ in range(4):
        anygrad.numerical_gradient(lambda tree: lib.xp.sum(tree["x"] ** 3), {"x": x}, scheme=scheme, full_output=True)
        anygrad.hessian(lambda x: lib.xp.sum(x**3), x, scheme=scheme)
        anygrad.jvp(lambda x: x**3, x, x, scheme=scheme)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[-1] - counts[-2] < 10, counts
