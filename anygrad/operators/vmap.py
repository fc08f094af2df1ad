"""vmap: a function of one point as a function of many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from anygrad._typing import PyTree
from anygrad.backends.base import resolve
from anygrad.evaluators.batching.parts import Many
from anygrad.problem.options import require_callable
from anygrad.problem.tree import Tree, flatten


def vmap(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Return f, written for one point, as a function of many along the first axis of its arguments.

    ``vmap(f)(X)`` is ``np.stack([f(x) for x in X])``, computed in one call of f, on NumPy, CuPy, dpnp and any library
    of the array API standard. Arrays of PyTorch and JAX go to the library's own vmap.

    Parameters
    ----------
    f
        A function of one or several arrays, or trees of them, that returns an array, a number or a tree of these.

    Returns
    -------
    callable
        Takes what f takes, each array with a leading axis of the same length, and returns what f returns, with such an
        axis.

    Raises
    ------
    TypeError
        If f is not a function; or if it does something that cannot be done for many points at once: the message names
        the operation and the line of f, and says what to write instead.
    ValueError
        If the arrays have no leading axis, or leading axes of different lengths.

    See Also
    --------
    Vmap : the same, for the points of a derivative.

    Notes
    -----
    f is called once, and once more for one point alone, to compare the values. Where f branches on values that differ
    between points, it is called like this for each group of points that take the same branches, up to eight groups.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> def area(x):
    ...     return np.linalg.norm(np.cross(x[0], x[1])) / 2
    >>> corners = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]]])
    >>> anygrad.vmap(area)(corners)
    array([0.5, 3. ])
    """
    require_callable(f)

    @functools.wraps(f)
    def many(*args: PyTree, **kwargs: PyTree) -> PyTree:
        tree = flatten((args, kwargs), "args")
        backends = [resolve(leaf) for leaf in tree.leaves]
        counts = {leaf.shape[:1] for leaf, own in zip(tree.leaves, backends, strict=True) if own is not None}
        if None in backends or len(counts) != 1 or counts <= {(), (0,)}:
            shapes = [str(getattr(leaf, "shape", type(leaf).__name__)) for leaf in tree.leaves]
            raise ValueError(
                f"vmap(f) was called with {', '.join(shapes) or 'nothing'}, but arrays with a first axis of the same"
                " length were expected"
            )
        returned: list[Tree] = []

        def of_leaves(leaves: Any) -> list[Any]:
            given, named = tree.rebuild(leaves)
            value = flatten(f(*given, **named), "f(x)", none_is_leaf=True)
            if returned and returned[0].names != value.names:
                here, before = (", ".join(own.names) for own in (value, returned[0]))
                raise ValueError(
                    f"f returned the parts {here} at one point and {before} at another: let it return the same at all"
                    " points"
                )
            returned.append(value)
            return value.leaves

        backend = backends[0]
        assert backend is not None
        own = backend.vmap(of_leaves, tree.leaves[0])
        call = own or Many(of_leaves, backend.host)
        leaves = call(tree.leaves)
        return returned[-1].rebuild(leaves)

    return many
