"""The gradient as a function of x."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from anygrad._typing import Bounds, ProgressCallback, PyTree
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.gradient import gradient_of
from anygrad.problem.options import Options, reference_scheme, require_callable
from anygrad.problem.parameters import Parameters
from anygrad.schemes import Central, Scheme

_LOOP = Loop()


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
    """Return the gradient of f as a function of x, for optimisers that ask for one.

    Parameters
    ----------
    f
        Function of x, and of further positional arguments if there are any, that returns one number.
    scheme
        By default `Central`, whose step is nearer to the best one than that of `numerical_gradient`: an optimiser
        stops where the error of the gradient begins.
    h, evaluator, bounds, has_aux, progress, full_output
        As in `numerical_gradient`. They are checked now, not when the gradient is asked for.

    Returns
    -------
    callable
        ``grad(f, **options)(x, *args)`` is ``numerical_gradient(lambda x: f(x, *args), x, **options)``: of x's
        structure, and of the library, shape, dtype and device of each array in it. It can be pickled if f and the
        options can.

    Raises
    ------
    TypeError, ValueError
        If f is not a function, or an option is wrong. A wrong x is an error when the gradient is called.

    Notes
    -----
    A call calls f as often as `numerical_gradient` does: with the default scheme twice for each element of x.

    ``scipy.optimize.minimize(f, x0, args=args, jac=anygrad.grad(f))`` works, as does any other optimiser that takes
    a function of x. The optimiser does not pass its bounds on to this function: give them to both, here as
    ``bounds=(lower, upper)``.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> slope = anygrad.grad(lambda x, a: a * (x**2).sum())
    >>> slope(np.array([3.0, 4.0]), 10.0).round(6)
    array([60., 80.])
    """
    require_callable(f)
    options = {
        "h": h,
        "scheme": scheme,
        "evaluator": evaluator,
        "bounds": bounds,
        "has_aux": has_aux,
        "progress": progress,
        "full_output": full_output,
    }
    defaults = (None, False, _LOOP)
    return Gradient(f, {name: value for name, value in options.items() if not any(value is own for own in defaults)})


class Gradient:
    """The result of `grad`: the gradient of ``f`` as a function of x, with the ``options`` that the user gave."""

    def __init__(self, f: Callable[..., object], options: Mapping[str, Any]) -> None:
        self._f = f
        self._given = options
        own = {"scheme": Central(), "evaluator": _LOOP, **options}
        if "h" in own:
            own["scheme"] = reference_scheme(own.pop("h"), options.get("scheme"))
        # Checked once: a call must cost no more than one of numerical_gradient.
        self._options = Options("numerical_gradient", **own)
        functools.update_wrapper(self, f, updated=())
        self.__name__ = self.__qualname__ = f"grad({name_of(f)})"
        self.__doc__ = f"Return the gradient of {name_of(f)} at x, found numerically: {self!r}."

    def __call__(self, x: PyTree, *args: Any) -> Any:
        """Return the gradient at x."""
        return gradient_of(WithArguments(self._f, args) if args else self._f, Parameters.of(x), self._options)

    def __repr__(self) -> str:
        return call_repr("grad", self._f, self._given)

    def __reduce__(self) -> tuple[type[Gradient], tuple[Any, ...]]:
        return Gradient, (self._f, self._given)


class WithArguments:
    """f as a function of its first argument, with the others bound. Unlike a closure, it can be pickled."""

    def __init__(self, f: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.f = f
        self.args = args
        self.__qualname__ = qualname_of(f)

    def __call__(self, x: PyTree) -> object:
        """Call f."""
        return self.f(x, *self.args)


def name_of(f: Callable[..., object]) -> str:
    """Return the name of a function, or its repr if it has none."""
    return str(getattr(f, "__name__", None) or repr(f))


def qualname_of(f: Callable[..., object]) -> str:
    """Return the name by which a journal knows a function."""
    return str(getattr(f, "__qualname__", type(f).__qualname__))


def call_repr(maker: str, f: Callable[..., object], options: Mapping[str, Any]) -> str:
    """Return the call of anygrad that made something of f."""
    return f"anygrad.{maker}({', '.join([name_of(f), *(f'{name}={given!r}' for name, given in options.items())])})"
