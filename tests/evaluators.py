"""The evaluators under test, and how a function of one point is written for each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import optree
from libraries import Library

import anygrad

Array = Any


def stacked(lib: Library, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return f for points along a leading axis, its values those of f to the last bit. With aux, that of the last."""

    def many(points: Any) -> Any:
        count = optree.tree_leaves(points)[0].shape[0]
        values = [f(optree.tree_map(lambda leaf: leaf[i, ...], points)) for i in range(count)]
        aux = None
        if isinstance(values[0], tuple):
            values, aux = [value for value, _ in values], values[-1][1]
        joined = optree.tree_map(lambda *parts: _joined(lib, parts), *values)
        return joined if aux is None else (joined, aux)

    return many


def _joined(lib: Library, parts: tuple[Any, ...]) -> Any:
    return lib.xp.stack(list(parts)) if hasattr(parts[0], "shape") and lib.xp.asarray is not None else list(parts)


def as_it_is(lib: Library, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return f."""
    return f


@dataclass(frozen=True)
class Called:
    """An evaluator.

    Attributes
    ----------
    evaluator
        With its options.
    of
        ``of(lib, f)`` is f, a function of one point, as this evaluator is given it.
    on
        Whether a library has what it takes.
    exact
        Whether f's values are those of `Loop` to the last bit: not so where they are compiled.
    in_place
        Whether x itself is perturbed, where it can be.
    """

    evaluator: Any
    of: Callable[[Library, Callable[[Any], Any]], Callable[[Any], Any]] = as_it_is
    on: Callable[[Library], bool] = lambda lib: True
    exact: bool = True
    in_place: bool = False

    def __repr__(self) -> str:
        return repr(self.evaluator)


def has_vmap(lib: Library) -> bool:
    return lib.name.startswith(("torch", "jax"))


def dispatches(lib: Library) -> bool:
    """Return whether functions of the library, as ``lib.xp.sum``, take what `Vmap` gives to f."""
    return has_vmap(lib) or lib.name in {"numpy", "cupy"}


def on_a_graph(lib: Library) -> bool:
    """Return whether the library has CUDA graphs, or the tests put something else in their place."""
    return lib.name in {"cupy", "torch-cuda"} or lib.name.startswith("strict")


class Thread(ThreadPoolExecutor):
    """A thread, in which calls of f are counted as they are in a loop."""

    def __init__(self) -> None:
        super().__init__(1)

    def __repr__(self) -> str:
        return "Thread()"


EVALUATORS = [
    Called(anygrad.Loop(), in_place=True),
    Called(anygrad.Loop(in_place=False)),
    Called(anygrad.Batch(), stacked),
    Called(anygrad.Batch(max_bytes=100), stacked),
    Called(anygrad.Vmap(), on=dispatches, exact=False),
    Called(anygrad.Vmap(max_bytes=100), on=dispatches, exact=False),
    Called(anygrad.Pool(Thread(), chunk=1), on=lambda lib: not lib.lazy),
]
