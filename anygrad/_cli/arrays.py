"""Arrays of the library that is asked for, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad import backends
from anygrad._cli.reading import Tree
from anygrad._cli.refusal import Refusal, say
from anygrad.backends import libraries


def each(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """Return what a function makes of an array, or of each array of a dict."""
    return {key: function(array) for key, array in tree.items()} if isinstance(tree, dict) else function(tree)


def converted(tree: Tree, name: str, library: str | None) -> Tree:
    """Return NumPy's arrays as those of a library; as they are, if none is named."""
    if library is None:
        return tree
    asarray = libraries.load(library).asarray

    def of_library(array: NDArray[Any]) -> Any:
        try:
            made = asarray(array)
        except Exception as error:  # each library has its own for a dtype that it lacks
            raise Refusal(f"{name} has the dtype {array.dtype}, of which {library} makes no array: {error}") from None
        dtype = str(made.dtype).rpartition(".")[2]
        if dtype != str(array.dtype):
            say(f"{name} is of {array.dtype}, but {library} holds it as {dtype}")
        return made

    return each(of_library, tree)


def on_host(tree: Tree) -> Tree:
    """Return arrays of any library as NumPy's."""
    return each(_on_host, tree)


def _on_host(array: Any) -> NDArray[Any]:
    backend = backends.resolve(array)
    return np.asarray(array) if backend is None else backend.host(array)
