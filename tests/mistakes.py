"""Mistakes as they are made in gradients written by hand, to be planted in a right one.

    for mistake in MISTAKES:
        planted = mistake(gradient, np.random.default_rng(0), x)

``gradient`` is a dict of NumPy arrays of any floating or complex dtype, and so is x, if it is given. What is planted is
None where the gradient has no array of the shape that the mistake needs. `BATCH` is the size of the batch that a
gradient was averaged over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from edits import (
    at,
    conjugated,
    copy,
    in_all,
    in_block,
    in_one,
    in_some,
    long,
    matrix,
    noise,
    oblong,
    one_element,
    penalty,
    random,
    square,
    swap,
    times,
    times_length,
    value,
    with_constants,
)

BATCH = 32
Tree = dict[str, np.ndarray]
# What makes a wrong tree of a right one, given x, and the words for it, or None.
Change = Callable[[Tree, np.random.Generator, Tree | None], tuple[Tree, tuple[str, ...]] | None]


@dataclass(frozen=True, eq=False)
class Planted:
    """A wrong gradient, where it is wrong, and the words that a hint has to contain, if one is asked for.

    ``wrong`` is a boolean array for each array, false where the mistake is smaller than rounding. A hint is asked for
    if derivatives are known to 1e-5 of the largest of their array or better.
    """

    tree: Tree
    wrong: Tree
    words: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Mistake:
    """A kind of mistake, its name, and what makes it."""

    kind: str
    name: str
    change: Change

    def __call__(self, gradient: Tree, rng: np.random.Generator, x: Tree | None = None) -> Planted | None:
        changed = self.change(gradient, rng, x)
        if changed is None:
            return None
        new, words = changed
        tree = {key: np.asarray(new.get(key, array)).astype(array.dtype) for key, array in gradient.items()}
        wrong = {key: np.asarray(~((tree[key] == array) & np.isfinite(tree[key]))) for key, array in gradient.items()}
        return Planted(tree, wrong, words)

    def __repr__(self):
        return f"{self.kind}: {self.name}"


FACTOR, TRANSPOSE, TERM, BLOCK, ZEROS, TWICE, OTHER = (
    "a constant factor",
    "a transpose",
    "a missing term",
    "one wrong block",
    "zeros where f is not flat",
    "a gradient accumulated twice",
    "other",
)

MISTAKES = [
    Mistake(FACTOR, "2 in all arrays", in_all(times(2), "all arrays", "twice")),
    Mistake(FACTOR, "1/2 in all arrays", in_all(times(0.5), "all arrays", "half")),
    Mistake(FACTOR, "-1 in all arrays", in_all(times(-1), "all arrays", "minus")),
    Mistake(
        FACTOR,
        "1/batch size in all arrays",
        in_all(times(1 / BATCH), "all arrays", f"1/{BATCH}", f"a mean of {BATCH} terms"),
    ),
    Mistake(
        FACTOR,
        "batch size in all arrays",
        in_all(times(BATCH), "all arrays", f"{BATCH} times", f"a sum of {BATCH} terms"),
    ),
    Mistake(FACTOR, "sqrt(batch size) in all arrays", in_all(times(BATCH**0.5), "all arrays", "5.65685 times")),
    Mistake(FACTOR, "3.7 in all arrays", in_all(times(3.7), "all arrays", "3.7 times")),
    Mistake(FACTOR, "1.01 in all arrays", in_all(times(1.01), "all arrays", "1.01 times")),
    Mistake(FACTOR, "1.00001 in all arrays", in_all(times(1.00001))),
    Mistake(FACTOR, "2 in one array", in_one(times(2), "twice")),
    Mistake(FACTOR, "-1 in one array", in_one(times(-1), "minus")),
    Mistake(FACTOR, "1/batch size in one array", in_one(times(1 / BATCH), f"1/{BATCH}", f"a mean of {BATCH} terms")),
    Mistake(FACTOR, "batch size in one array", in_one(times(BATCH), f"{BATCH} times", f"a sum of {BATCH} terms")),
    Mistake(FACTOR, "the length of an axis", in_one(times_length(1), "length", fits=matrix)),
    Mistake(FACTOR, "1/the length of an axis", in_one(times_length(-1), "length", fits=matrix)),
    Mistake(FACTOR, "-1 in one vector", in_one(times(-1), "minus", fits=long)),
    Mistake(FACTOR, "-1 in some rows", in_one(in_block(times(-1), columns=False), "minus", fits=matrix)),
    Mistake(TRANSPOSE, "a square array", in_one(lambda a, rng: a.T, "transposed", fits=square)),
    Mistake(TRANSPOSE, "reshaped", in_one(lambda a, rng: a.T.reshape(a.shape), "Fortran", fits=oblong)),
    Mistake(
        TRANSPOSE,
        "read by columns",
        in_one(lambda a, rng: a.ravel().reshape(a.shape, order="F"), "Fortran", fits=oblong),
    ),
    Mistake(TRANSPOSE, "rows reversed", in_one(lambda a, rng: a[::-1], "reversed along axis 0", fits=matrix)),
    Mistake(TRANSPOSE, "columns reversed", in_one(lambda a, rng: a[:, ::-1], "reversed along axis 1", fits=matrix)),
    Mistake(TRANSPOSE, "a vector reversed", in_one(lambda a, rng: a[::-1], "reversed", fits=long)),
    Mistake(TERM, "constant per row", in_one(with_constants(0.5, {1}), fits=matrix)),
    Mistake(TERM, "constant per column", in_one(with_constants(0.5, {0}), fits=matrix)),
    Mistake(TERM, "constant", in_one(with_constants(0.5, {0, 1}), "the same constant", fits=matrix)),
    Mistake(TERM, "tiny per column", in_one(with_constants(1e-7, {0}), fits=matrix)),
    Mistake(
        TERM, "constant in a block", in_one(in_block(with_constants(0.5, {0, 1})), "the same constant", fits=matrix)
    ),
    Mistake(TERM, "weight decay missing", penalty(-0.125, lambda x: x, "L2", "missing")),
    Mistake(TERM, "L1 penalty missing", penalty(-0.125, np.sign, "times the sign", "L1", "missing")),
    Mistake(BLOCK, "some rows", in_one(in_block(random, columns=False), "block", fits=matrix)),
    Mistake(BLOCK, "some columns", in_one(in_block(random, rows=False), "block", fits=matrix)),
    Mistake(BLOCK, "a block", in_one(in_block(random), "block", fits=matrix)),
    Mistake(BLOCK, "a block off by a tenth", in_one(in_block(noise(0.1)), "block", fits=matrix)),
    Mistake(BLOCK, "a block off by a thousandth", in_one(in_block(noise(1e-3)), fits=matrix)),
    Mistake(BLOCK, "a block off by 1e-5", in_one(in_block(noise(1e-5)), fits=matrix)),
    Mistake(BLOCK, "a block of the wrong sign", in_one(in_block(times(-1)), "minus", fits=matrix)),
    Mistake(ZEROS, "everywhere", in_all(times(0), "all arrays", "0 everywhere")),
    Mistake(ZEROS, "in one array", in_one(times(0), "0 everywhere")),
    Mistake(ZEROS, "in the last row", in_one(at(-1, value(0)), "is 0", fits=matrix)),
    Mistake(ZEROS, "in some rows", in_one(in_block(times(0), columns=False), "is 0", fits=matrix)),
    Mistake(ZEROS, "here and there", in_one(in_some(times(0), 0.3), "is 0", fits=matrix)),
    Mistake(TWICE, "some rows", in_one(in_block(times(2), columns=False), "twice", "accumulated", fits=matrix)),
    Mistake(TWICE, "here and there", in_one(in_some(times(2), 0.4), "twice", "accumulated", fits=matrix)),
    Mistake(TWICE, "the first row", in_one(at(0, times(2)), "twice", "accumulated", "[0, :]", fits=matrix)),
    Mistake(TWICE, "one element", in_one(one_element(1), "twice", "accumulated", fits=long)),
    Mistake(TWICE, "a number", in_one(times(2), "twice", fits=lambda array: array.ndim == 0)),
    Mistake(OTHER, "two arrays swapped", swap),
    Mistake(OTHER, "another array's gradient", copy),
    Mistake(OTHER, "NaN in one element", in_one(at(0, value(np.nan)), "NaN", "[0]", fits=long)),
    Mistake(OTHER, "infinity in a row", in_one(at(0, value(np.inf)), "infinite", "[0, :]", fits=matrix)),
    Mistake(OTHER, "conjugated", conjugated),
    *(Mistake(OTHER, f"one element off by {size:g}", in_one(one_element(size))) for size in (1, 0.1, 1e-3, 1e-5, 1e-7)),
    *(Mistake(OTHER, f"all off by about {size:g}", in_all(noise(size))) for size in (1, 0.1, 1e-3, 1e-5, 1e-7)),
    *(
        Mistake(OTHER, f"some off by about {size:g}", in_one(in_some(noise(size), 0.5)))
        for size in (1, 0.01, 1e-4, 1e-6)
    ),
    Mistake(OTHER, "random numbers", in_all(random)),
]
