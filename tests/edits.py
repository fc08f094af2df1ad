"""Changes of arrays, of which wrong gradients are made.

An edit takes an array and a random generator, and returns another array, or that and words for where it differs. A
change takes a gradient (a dict of arrays), a generator and x (likewise, or None), and returns the arrays that differ
and the words that a hint has to contain, or None if the gradient has no array that it could change.
"""

from __future__ import annotations

import numpy as np


def largest(gradient, fits=lambda array: True):
    """Return the key of the array that has most elements, of those that fit."""
    keys = [key for key, array in gradient.items() if fits(array)]
    return max(keys, key=lambda key: gradient[key].size, default=None)


def in_one(edit, *words, fits=lambda array: array.size > 0):
    """Change one array: the largest of those that fit. The words may be told by what is edited."""

    def change(gradient, rng, x):
        key = largest(gradient, fits)
        if key is None:
            return None
        edited = edit(gradient[key], rng)
        edited, told = edited if isinstance(edited, tuple) else (edited, ())
        return {key: edited}, ((f"['{key}']", *words, *told) if words else ())

    return change


def in_all(edit, *words):
    """Change all arrays."""
    return lambda gradient, rng, x: ({key: edit(array, rng) for key, array in gradient.items()}, words)


def times(factor):
    return lambda array, rng: array * factor


def matrix(array):
    return array.ndim == 2 and min(array.shape) > 2


def square(array):
    return matrix(array) and array.shape[0] == array.shape[1]


def oblong(array):
    return matrix(array) and not square(array)


def long(array):
    return array.ndim == 1 and array.size > 4


def scale(array):
    return float(np.abs(array).max())


def times_length(power):
    """Multiply by a power of the length of the first axis."""

    def edit(array, rng):
        n = array.shape[0]
        return array * float(n) ** power, (f"{n} times" if power == 1 else f"1/{n} of",)

    return edit


def noise(size):
    """Add random numbers of this size in relation to each element."""
    return lambda array, rng: array * (1 + size * rng.uniform(0.5, 1.0, array.shape) * rng.choice([-1, 1], array.shape))


def one_element(size):
    """Make the largest element wrong by this part of it."""

    def edit(array, rng):
        edited = np.array(array)
        edited.flat[np.argmax(np.abs(array))] *= 1 + size
        return edited

    return edit


def with_constants(size, axes):
    """Add a constant along some axes, of this size in relation to the largest element."""

    def edit(array, rng):
        shape = tuple(1 if axis in axes else length for axis, length in enumerate(array.shape))
        return array + size * scale(array) * rng.uniform(0.5, 1.0, shape)

    return edit


def in_block(edit, rows=True, columns=True):
    """Change a block: more than a third of the rows, or columns, or both."""

    def change(array, rng):
        index, words = [], []
        for length, whole in zip(array.shape, (not rows, not columns), strict=True):
            size = max(2, length // 2)
            start = int(rng.integers(0, length - size + 1))
            stop = start + size
            index.append(slice(None) if whole else slice(start, stop))
            words.append(":" if whole else f"{start or ''}:{'' if stop == length else stop}")
        edited = np.array(array)
        edited[tuple(index)] = edit(edited[tuple(index)], rng)
        return edited, (f"[{', '.join(words)}]",)

    return change


def in_some(edit, part):
    """Change some elements, anywhere."""

    def change(array, rng):
        return np.where(rng.permutation(array.size).reshape(array.shape) < part * array.size, edit(array, rng), array)

    return change


def at(index, edit):
    """Change what is at an index."""

    def change(array, rng):
        edited = np.array(array)
        edited[index] = edit(edited[index], rng)
        return edited

    return change


def value(number):
    return lambda array, rng: np.full(array.shape, number)


def random(array, rng):
    return rng.standard_normal(array.shape) * scale(array)


def swap(gradient, rng, x):
    keys = [key for key, array in gradient.items() if array.size > 1]
    pairs = [(a, b) for a in keys for b in keys if a < b and gradient[a].shape == gradient[b].shape]
    if not pairs:
        return None
    a, b = pairs[0]
    return {a: gradient[b], b: gradient[a]}, (f"['{a}']", f"['{b}']", "swapped")


def copy(gradient, rng, x):
    swapped = swap(gradient, rng, x)
    if swapped is None:
        return None
    a, b = list(swapped[0])
    return {a: gradient[b]}, (f"['{a}']: ", f"numerical one of x['{b}']")


def penalty(weight, term, *words):
    """Add a multiple of what is a function of x."""

    def change(gradient, rng, x):
        if x is None or any(map(np.iscomplexobj, x.values())):
            return None
        return {key: array + weight * term(x[key]) for key, array in gradient.items()}, words

    return change


def conjugated(gradient, rng, x):
    complex_ones = {key: np.conj(array) for key, array in gradient.items() if np.iscomplexobj(array) and array.size > 1}
    return (complex_ones, ("conjugate",)) if complex_ones else None
