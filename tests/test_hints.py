"""Hints: what a wrong gradient looks like."""

from __future__ import annotations

import numpy as np
import pytest
from mistakes import MISTAKES

from anygrad.check.compare import Comparison
from anygrad.check.hints import hints

SHAPES = {"W": (6, 4), "K": (5, 5), "L": (5, 5), "T": (3, 4, 4), "b": (7,), "s": ()}
EXACT = 1e-9


def tree(seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    drawn = {key: rng.standard_normal((2, *shape)) for key, shape in SHAPES.items()}
    if np.dtype(dtype).kind == "c":
        return {key: np.asarray(real + 1j * imag) for key, (real, imag) in drawn.items()}
    return {key: np.asarray(real, dtype) for key, (real, _) in drawn.items()}


def compared(claimed, right, relative=EXACT, seed=0):
    """Compare trees: what has been found numerically is off by a part of the tolerance."""
    rng = np.random.default_rng(seed)
    comparisons = []
    for key, array in right.items():
        wide = np.asarray(array, np.result_type(array.dtype, np.float64))
        tolerance = relative * (np.abs(wide) + np.abs(wide).max(initial=0))
        numerical = wide + rng.uniform(-0.4, 0.4, wide.shape) * tolerance
        claim = np.asarray(claimed[key], wide.dtype)
        comparisons.append(Comparison(f"x['{key}']", claim, numerical, tolerance))
    return comparisons


def one(claimed, numerical, tolerance=EXACT, **kwargs):
    """Return the hints on one array."""
    claimed, numerical = np.asarray(claimed), np.asarray(numerical)
    dtype = np.result_type(claimed, numerical, float)
    tolerance = np.broadcast_to(float(tolerance), claimed.shape)
    return hints([Comparison("x", claimed.astype(dtype), numerical.astype(dtype), tolerance)], **kwargs)


# What is planted is named.


@pytest.mark.parametrize(("dtype", "relative"), [("float32", 2e-6), ("complex128", EXACT)])
@pytest.mark.parametrize("mistake", MISTAKES, ids=repr)
def test_a_planted_mistake_is_named(mistake, dtype, relative):
    """In float64, test_check_wrong asks it of the check."""
    planted_any = False
    for seed in range(3):
        right, x = tree([seed, 1], dtype), tree([seed, 2], dtype)
        planted = mistake(right, np.random.default_rng([seed, 3]), x)
        if planted is None:
            continue
        planted_any = True
        points = [np.asarray(x[key]) for key in right]
        found = hints(compared(planted.tree, right, relative, seed), points)
        if planted.words:
            assert found
            assert all(word in found[0] for word in planted.words), found
    assert planted_any or "complex" in dtype or mistake.name == "conjugated"


@pytest.mark.parametrize("size", [0.1, 1e-3, 1e-5, 1e-7])
def test_one_element_that_is_a_little_off_looks_like_nothing(size):
    right = tree(0)
    wrong = {**right, "W": right["W"].copy()}
    wrong["W"][2, 3] *= 1 + size
    assert not hints(compared(wrong, right))


# What is said, to the letter.

G = np.array([[0.31, -1.72, 0.93], [2.41, 0.57, -0.68], [-1.19, 1.33, 0.21]])
V = np.array([0.31, -1.72, 0.93, 2.41, 0.57])
SAID = {
    "x: the claimed gradient is twice the numerical one: accumulated twice, or a factor of 1/2 in f left out": (
        2 * G,
        G,
    ),
    "x: the claimed gradient is half the numerical one: a factor of 2 left out, as in the derivative of a square, or "
    "one of two terms": (G / 2, G),
    "x: the claimed gradient is minus the numerical one: a wrong sign": (-G, G),
    "x: the claimed gradient is 1/3 of the numerical one, and 3 is the length of x along axis 0: a mean where f has a "
    "sum": (G / 3, G),
    "x: the claimed gradient is 9 times the numerical one, and 9 is the number of elements of x: a sum where f has a "
    "mean": (9 * G, G),
    "x: the claimed gradient is 2.23607 times the numerical one: a constant factor": (np.sqrt(5) * V, V),
    "x: the claimed gradient is 1.7 times the numerical one: a constant factor": (1.7 * G, G),
    "x: the claimed gradient is the numerical one transposed": (G.T, G),
    "x: the claimed gradient is the numerical one reversed": (V[::-1], V),
    "x: the claimed gradient is off by the same constant, 0.5: a constant term is missing or extra": (G + 0.5, G),
    "x: the claimed gradient is 0 everywhere, although f changes: it was never computed, or not written to the "
    "array that is returned": (0 * G, G),
    "x[1, :]: the claimed gradient is 0 where f changes: elements were left out": (
        G * np.array([[1], [0], [1]]),
        G,
    ),
    "x[1:, :2]: the claimed gradient is twice the numerical one: accumulated twice, or a factor of 1/2 in f left out": (
        G * np.array([[1, 1, 1], [2, 2, 1], [2, 2, 1]]),
        G,
    ),
    "x[::2]: the claimed gradient is minus the numerical one: a wrong sign": (V * [-1, 1, -1, 1, -1], V),
    "3 of the 9 elements of x (the first is x[0, 0]): the claimed gradient is minus the numerical one: a wrong sign": (
        G * (1 - 2 * np.eye(3)),
        G,
    ),
    "x: the claimed gradient is the complex conjugate of the numerical one": (V - 1j * V[::-1], V + 1j * V[::-1]),
    "x[0]: the claimed gradient is NaN where the numerical one is finite": (np.r_[np.nan, V[1:]], V),
    "x[3:]: the claimed gradient is infinite where the numerical one is finite": (np.r_[V[:3], np.inf, -np.inf], V),
}


@pytest.mark.parametrize("sentence", SAID)
def test_what_is_said(sentence):
    assert one(*SAID[sentence]) == (sentence,)


def test_a_block_of_a_large_array():
    rng = np.random.default_rng(0)
    right = rng.standard_normal((12, 9))
    wrong = right.copy()
    wrong[2:5] = rng.standard_normal((3, 9))
    assert one(wrong, right) == ("x[2:5, :]: all elements of this block are wrong, and all others are right",)


def test_a_constant_in_a_block():
    right = np.random.default_rng(0).standard_normal((8, 8))
    wrong = right.copy()
    wrong[1:5, 3:7] += 0.5
    sentence = "x[1:5, 3:7]: the claimed gradient is off by the same constant, 0.5: a constant term is missing or extra"
    assert one(wrong, right) == (sentence,)


def test_a_multiple_of_x_needs_x():
    rng = np.random.default_rng(0)
    x, right = rng.standard_normal((2, 5, 4))
    sentence = "x: the claimed gradient is off by 0.01 times x: an L2 term (weight decay) is extra"
    assert one(right + 0.01 * x, right, points=[x]) == (sentence,)
    assert one(right + 0.01 * x, right) == ()
    assert one(right + 0.01 * x, right, points=[None]) == ()


# Several arrays.


def test_one_mistake_in_all_arrays_is_said_once():
    right = tree(0)
    (hint,) = hints(compared({key: array / 32 for key, array in right.items()}, right))
    assert hint == (
        "all arrays: the claimed gradient is 1/32 of the numerical one: a constant factor, or a mean of 32 terms for"
        " their sum"
    )


def test_a_number_that_one_element_would_not_tell():
    right = {key: np.array(1.3 + n) for n, key in enumerate("abcd")}
    (hint,) = hints(compared({key: 1.7 * array for key, array in right.items()}, right))
    assert hint == "all arrays: the claimed gradient is 1.7 times the numerical one: a constant factor"
    assert not hints(compared({**right, "a": 1.7 * right["a"]}, right))


def test_no_more_than_three_and_the_most_specific_first():
    right = tree(0)
    wrong = {
        "W": right["W"] + 0.5,
        "K": right["K"].T,
        "L": right["L"] * 0,
        "T": right["T"] * 2,
        "b": right["b"] * np.r_[np.nan, np.ones(6)],
        "s": right["s"],
    }
    found = hints(compared(wrong, right))
    assert [words in hint for words, hint in zip(("NaN", "is 0", "twice"), found, strict=True)] == [True] * 3


# Nothing is said of what is right, and nothing twice.

TINY = [(), (1,), (2,), (3,), (4,), (2, 2), (1, 3), (3, 1), (2, 3), (3, 3), (2, 2, 2), (0,), (0, 3)]
SMALL = [(8,), (4, 4), (5, 4), (3, 4, 5), (40,)]


@pytest.mark.parametrize("shape", TINY + SMALL, ids=str)
def test_right_gradients_have_no_hints(shape):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(shape)
        for right in (x, np.round(3 * x), np.full(shape, 0.37), np.zeros(shape), np.where(x > 1, x, 0), x + 1j):
            for relative in (EXACT, 1e-2):
                assert not hints(compared({"a": right, "b": 2 * right}, {"a": right, "b": 2 * right}, relative), (3,))


def generic(rng, shape):
    return rng.standard_normal(shape), rng.standard_normal(shape)


def near(rng, shape):
    right = rng.standard_normal(shape)
    return right * (1 + 1e-3 * rng.standard_normal(shape)), right


def constant(rng, shape):
    return rng.standard_normal(shape), np.full(shape, 0.37)


def sparse(rng, shape):
    """Zeros and others, right where they are zero."""
    right = rng.standard_normal(shape) * (rng.random(shape) < 0.3)
    return right * rng.uniform(0.5, 1.5, shape), right


def whole(rng, shape):
    return rng.integers(-9, 10, shape), rng.integers(-9, 10, shape)


def ternary(rng, shape):
    return rng.integers(-1, 2, shape), rng.integers(-1, 2, shape)


@pytest.mark.parametrize("noise", [generic, near, constant, sparse])
@pytest.mark.parametrize("tolerance", [1e-9, 3e-3])
def test_noise_has_no_hints(noise, tolerance):
    """Thousands of wrong gradients, most of them tiny."""
    for shape in TINY + SMALL:
        for seed in range(10):
            rng = np.random.default_rng([seed, len(shape), *shape])
            claimed, right = noise(rng, shape)
            x = np.asarray(rng.standard_normal(shape))
            found = one(claimed, right, tolerance, points=[x])
            # Where the tolerance is large, few of what is nearly right are wrong: these are a block at times.
            assert not [hint for hint in found if "block" not in hint], (shape, seed)


@pytest.mark.parametrize("noise", [whole, ternary])
def test_random_whole_numbers_have_no_hints(noise):
    """But for what is seen to be true: all is 0, or one or two numbers are minus the right ones, or twice those."""
    told = 0
    for shape in TINY + SMALL:
        for seed in range(30):
            rng = np.random.default_rng([seed, len(shape), *shape])
            claimed, right = noise(rng, shape)
            found = one(claimed, right, 1e-9)
            if not np.any(claimed) or (found and "block" in found[0]):
                continue
            told += len(found)
            assert not found or claimed.size <= 3, (shape, seed, found)
    assert told < 0.01 * 30 * len(TINY + SMALL)


# What could be one thing or another, or chance.


def test_small_whole_numbers():
    assert "half" in one([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])[0]
    assert "3 is the length" in one([2.0, 4.0, 6.0], [2 / 3, 4 / 3, 2.0])[0]
    assert one([2.0, 3.0], [3.0, 2.0]) == ()  # reversed, or off by one


def test_two_elements_do_not_tell_an_unknown_factor():
    assert one(1.7 * V[:2], V[:2]) == ()
    assert "1.7 times" in one(1.7 * V[:3], V[:3])[0]


def test_elements_that_are_all_the_same_do_not_tell_an_unknown_factor():
    assert "0.37 times" not in " ".join(one(np.full(50, 0.37), np.ones(50)))
    assert "twice" in one(np.full(50, 2.6), np.full(50, 1.3))[0]


def test_a_transpose_of_what_is_symmetric_is_no_mistake():
    symmetric = G + G.T
    assert one(symmetric.T, symmetric) == ()
    assert "twice" in one(2 * symmetric.T, symmetric)[0]


def test_one_number_elsewhere_is_no_shift():
    right, claimed = np.zeros(30), np.zeros(30)
    right[4], claimed[9] = 1.37, 1.37
    assert one(claimed, right) == ()


def test_a_wrong_block_of_zeros_and_others():
    """Elements that are 0 on both sides are no exception: an activation may be off for them."""
    right = np.random.default_rng(0).standard_normal((9, 9))
    right[:, 4] = 0
    wrong = right.copy()
    wrong[2:6] = np.random.default_rng(1).standard_normal((4, 9))
    wrong[:, 4] = 0
    assert one(wrong, right) == ("x[2:6, :]: all elements of this block are wrong, and all others are right",)


# Bad numbers.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 2), (3, 4), (0,), (2, 0)], ids=str)
def test_bad_numbers_break_nothing(bad, shape):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    some = np.where(rng.random(shape) < 0.5, bad, x)
    every = np.full(shape, bad)
    tolerance = np.full(shape, EXACT)
    for claimed in (x, some, every, -x):
        for numerical in (x, some, every):
            for allowed in (tolerance, np.zeros(shape), np.full(shape, bad)):
                hints([Comparison("x", claimed, numerical, allowed)], [some])
