"""The gradient as a function of x."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anygrad._gradient import numerical_gradient
from anygrad._job import Options, reference_scheme
from anygrad._typing import Bounds, ProgressCallback, PyTree
from anygrad._validate import require_callable
from anygrad.bridges._named import name_of, written
from anygrad.evaluators import Evaluator, Loop
from anygrad.schemes import Central, Scheme

_LOOP = Loop()
_CENTRAL = Central()


def grad(
    f: Callable[..., object],
    *,
    h: float | None = None,
    scheme: Scheme | None = None,
    evaluator: Evaluator = _LOOP,
    bounds: Bounds = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Callable[..., Any]:
    """Return the function whose value at x is the gradient of f there, for optimisers that ask for one.

    Parameters
    ----------
    f
        Function of x, and of further positional arguments if there are any, that returns one number.
    scheme
        By default `Central`, whose step is nearer to the best one than that of `numerical_gradient`: an optimiser
        stops where the error of the gradient begins.
    h, evaluator, bounds, has_aux, progress, full_output
        As in `numerical_gradient`. They are checked now, and not only when the gradient is asked for.

    Returns
    -------
    callable
        ``grad(f, **options)(x, *args)`` is ``numerical_gradient(lambda x: f(x, *args), x, **options)``: of x's
        structure, and of the library, shape, dtype and device of each array in it. It can be pickled if f and the
        options can.

    Raises
    ------
    TypeError, ValueError
        If f is no function, or an option is none that `numerical_gradient` takes; what is wrong with x is said when
        it is there.

    Notes
    -----
    A call calls f as often as `numerical_gradient` does: with the default scheme twice for each element of x.

    ``scipy.optimize.minimize(f, x0, args=args, jac=anygrad.grad(f))`` works, as does any other optimiser that takes
    a function of x. The optimiser's own bounds do not reach this function: give them to both, as
    ``bounds=(lower, upper)`` here.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> slope = anygrad.grad(lambda x, a: a * (x**2).sum())
    >>> slope(np.array([3.0, 4.0]), 10.0).round(6)
    array([60., 80.])
    """
    require_callable(f)
    given = {
        "h": h,
        "scheme": scheme,
        "evaluator": evaluator,
        "bounds": bounds,
        "has_aux": has_aux,
        "progress": progress,
        "full_output": full_output,
    }
    Options(reference_scheme(h, scheme), evaluator, bounds)
    defaults = (None, False, _LOOP)
    return Gradient(f, {name: value for name, value in given.items() if not any(value is own for own in defaults)})


class Gradient:
    """What `grad` returns: the gradient of ``f`` as a function of x, with the ``options`` that were given."""

    def __init__(self, f: Callable[..., object], options: Mapping[str, Any]) -> None:
        self._f = f
        self._options = options
        functools.update_wrapper(self, f, updated=())
        self.__name__ = self.__qualname__ = f"grad({name_of(f)})"
        self.__doc__ = f"Return the gradient of {name_of(f)} at x, as found from its values: {self!r}."

    def __call__(self, x: PyTree, *args: Any) -> Any:
        options = self._options if "h" in self._options else {"scheme": _CENTRAL, **self._options}
        return numerical_gradient(Remaining(self._f, args) if args else self._f, x, **options)

    def __repr__(self) -> str:
        return written("grad", self._f, self._options)

    def __reduce__(self) -> tuple[type[Gradient], tuple[Any, ...]]:
        return Gradient, (self._f, self._options)


@dataclass(frozen=True, eq=False)
class Remaining:
    """``f`` as a function of its first argument; the others are kept. Unlike a closure, it can be pickled."""

    f: Callable[..., object]
    args: tuple[Any, ...]

    def __call__(self, x: PyTree) -> object:
        return self.f(x, *self.args)
