"""The gradient of a function of any number of variables, at x or as a function of x."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from anygrad._typing import Array, Bounds, Kwargs, ProgressCallback, PyTree
from anygrad.evaluators import Evaluator, Loop
from anygrad.operators.partials import partials
from anygrad.problem.function import Function
from anygrad.problem.options import Options, chosen_arguments, reference_scheme, require_argnums, require_callable
from anygrad.problem.parameters import Parameters
from anygrad.problem.result import arrays_of, assembled, value_at_x
from anygrad.schemes import Central, Scheme

_LOOP = Loop()


def numerical_gradient(
    f: Callable[[Any], object],
    x: PyTree,
    h: float | None = None,
    *,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
    scheme: Scheme | None = None,
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
    f0: object = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> PyTree:
    """Return the gradient of f at x: the derivative with respect to each element of x.

    Parameters
    ----------
    f
        Function of x that returns one number: a Python or NumPy number, or an array of x's library with one
        element, on x's device. By default f is given x itself, with one element changed at a time; a function that
        ignores its argument and reads x through a closure works as well.
    x
        A real or complex floating array of any array API library, of any shape and memory layout. Or a number or a
        (nested) list of numbers: f gets it as a NumPy float64 or an array of them; beside arrays of another library,
        as an array of that library, in the widest of their dtypes. Or a dict, list, tuple, namedtuple or dataclass
        of these, or a type registered with optree (``namespace="anygrad"``). An integer in a tree is refused:
        write 2.0, or fix it. x is the same afterwards, to the last bit, whatever f does.
    h
        The step of the central difference ``(f(x + h) - f(x - h)) / (2h)``, in units of x. By default 1e-4, and
        ``eps**(1/3) * max(1, |x|)`` where that is more, with eps the spacing of x's dtype at 1: float32 and
        smaller dtypes, and float64 where ``|x|`` is above 16, get a step that they can resolve.
    args, kwargs
        Further arguments of f, which is called as ``f(x, *args, **kwargs)``: a tuple and a dict.
    scheme
        `Adaptive`, `Central`, `Forward`, `Backward` or `Complex`, which bring their own step. Not together with h.
    evaluator
        How f is called; see `Loop`.
    bounds
        ``(lower, upper)``: f is evaluated only between them. Each is None, a number, an array of x's shape, or a
        pytree like x of these, and is rounded to x's dtype. Where there is no room for points on both sides, all
        points go to one side, at the same order; the flag ``"one_sided"`` says where. An element outside of its
        bounds is an error; if x is lazy or traced, its gradient is NaN.
    fixed
        Which elements of x are fixed: booleans like x, or a tree of booleans and boolean arrays like x or like its
        upper part. Fixed elements cost no calls, and their derivatives are 0. Leaves that are not floating arrays
        (integers, strings, masks) must be fixed: f is given them as they are, and the result has None in their place.
    f0
        f(x), if that is known already: it is then not evaluated for schemes that need it. With ``has_aux``, the
        pair that f returns.
    has_aux
        Whether f returns ``(value, aux)``. Then ``(gradient, aux)`` is returned, with the aux of f(x).
    progress
        True for a progress bar with the count of calls of f and the time left; or a function that is given
        ``(done, total)`` after each call.
    full_output
        Whether to return a `Result` instead of the gradient alone: with an estimate of the error, if the scheme
        makes one, the steps, flags, and the count of calls.

    Returns
    -------
    array, pytree of arrays, or Result
        The gradient, with the structure of x, and the library, shape, dtype and device of each array in it (for NumPy
        also the memory layout). It is complex, of the same precision, if f returns complex numbers for a real x. For a
        complex x: df/d(Re x) + i·df/d(Im x) if f returns real numbers; otherwise the complex derivative of a
        holomorphic f, which only `check_gradient` verifies that f is.

    Raises
    ------
    TypeError
        If x is not of a floating dtype, or f returns something else than a number, or an array of another library.
    ValueError
        If f returns an array of several elements or on another device, or modifies its argument; if h is not
        positive, or too small to change an element of x; if x lies outside of its bounds.

    Warns
    -----
    ConstantFunctionWarning
        If f was given copies of x (JAX arrays, read-only and broadcast arrays, ``Loop(in_place=False)``) and every
        value that it returned is the same: it may read x through a closure. The values of lazy or
        traced arrays (Dask, inside ``jax.jit``) are not known: for them, neither this nor a step that is too small is
        noticed.

    See Also
    --------
    grad, value_and_grad : the gradient as a function of x, for optimisers.
    jacobian : for an f that returns an array.
    check_gradient : compare a gradient written by hand with this one.

    Notes
    -----
    With the default scheme f is called twice for each element (four times for real-valued f of complex x); it is
    not called at all if x is empty. The loop is that of ``common/gradient.py`` in K. Saito, *Deep Learning from
    Scratch* (O'Reilly Japan, 2016), section 4.4: on NumPy float64 it gives the same numbers to the last bit.

    On a GPU, f is called on the current stream of the device of x. Work that f puts on another stream must be done when
    f returns.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient(lambda x: (x**2).sum(), np.array([3.0, 4.0])).round(6)
    array([6., 8.])

    A function that reads its parameters through a closure, as networks do:

    >>> params = {"W": np.array([[1.0, 2.0]]), "b": np.array([0.5])}
    >>> loss = lambda _: float((params["W"] ** 2).sum() * params["b"].sum())
    >>> anygrad.numerical_gradient(loss, params)["b"].round(6)
    array([5.])
    """
    scheme = reference_scheme(h, scheme)
    options = Options("numerical_gradient", scheme, evaluator, bounds, f0, has_aux, progress, full_output, args, kwargs)
    return gradient_of(options.function(f), Parameters.of(x, fixed), options)


def numerical_gradient_1d(
    f: Callable[[Any], object],
    x: Array,
    h: float | None = None,
    *,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
    scheme: Scheme | None = None,
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Array:
    """Return the gradient of f at one sample x of shape (d,).

    The same as `numerical_gradient`, with the same parameters, results, errors and cost, except that an x of any other
    number of dimensions is an error.

    Raises
    ------
    ValueError
        If x does not have exactly one dimension.

    See Also
    --------
    numerical_gradient : for x of any shape.
    numerical_gradient_2d : for a batch of samples.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient_1d(lambda x: x[0] ** 2 + x[1] ** 2, np.array([3.0, 4.0])).round(6)
    array([6., 8.])
    """
    scheme = reference_scheme(h, scheme)
    options = Options(
        "numerical_gradient_1d", scheme, evaluator, bounds, None, False, progress, full_output, args, kwargs
    )
    function = options.function(f)
    parameters = Parameters.of_array(x, "x", fixed)
    [array] = parameters.arrays
    if array.ndim != 1:
        raise ValueError(
            f"x has the shape {tuple(array.shape)}, but one sample of shape (d,) was expected: use"
            " numerical_gradient_2d for a batch of samples, or numerical_gradient for any shape"
        )
    return gradient_of(function, parameters, options)


def numerical_gradient_2d(
    f: Callable[[Any], object],
    X: Array,
    h: float | None = None,
    *,
    args: tuple[Any, ...] = (),
    kwargs: Kwargs = None,
    scheme: Scheme | None = None,
    evaluator: Evaluator = Loop(),
    bounds: Bounds = None,
    fixed: PyTree = None,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Array:
    """Return the gradient of f at each row of X, a batch of samples.

    f is given one row at a time. An X of one dimension is one sample.

    Parameters
    ----------
    f
        Function of one row that returns one number.
    X
        Array of shape (m, ...): m samples, each differentiated on its own.
    h, args, kwargs, scheme, evaluator, bounds, fixed, progress, full_output
        As in `numerical_gradient`, with the same warnings.

    Returns
    -------
    array or Result
        The gradients, one a row: an array like X.

    Raises
    ------
    TypeError, ValueError
        As `numerical_gradient`; TypeError also if X is a tree.

    See Also
    --------
    numerical_gradient : for one function of the whole array.

    Notes
    -----
    With the default scheme, f is called twice for each element of X.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> anygrad.numerical_gradient_2d(lambda x: (x**2).sum(), np.array([[3.0, 4.0], [0.0, 2.0]])).round(6)
    array([[6., 8.],
           [0., 4.]])
    """
    scheme = reference_scheme(h, scheme)
    options = Options(
        "numerical_gradient_2d", scheme, evaluator, bounds, None, False, progress, full_output, args, kwargs
    )
    function = options.function(f)
    return gradient_of(function, Parameters.of_array(X, "X", fixed, rows=True), options)


def gradient_of(function: Function, parameters: Parameters, options: Options) -> Any:
    """Return the gradient of a function."""
    found = partials(function, parameters, options)
    found.warn_if_constant()
    arrays = [arrays_of(*part, steps=options.full_output) for part in found.parts]
    return assembled(arrays, parameters.rebuild, options, function, found.counts)


def grad(
    f: Callable[..., object],
    argnums: int | tuple[int, ...] = 0,
    *,
    h: float | None = None,
    scheme: Scheme | None = None,
    evaluator: Evaluator = _LOOP,
    bounds: Bounds = None,
    fixed: PyTree = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Callable[..., Any]:
    """Return the gradient of f as a function of x, for optimisers that ask for one.

    Parameters
    ----------
    f
        Function of x, and of further arguments if there are any, that returns one number.
    argnums
        The position of x among the arguments of f, or a tuple of positions: then the gradient is a tuple too.
    scheme
        By default `Central`, whose step is nearer to the best one than that of `numerical_gradient`: an optimiser
        stops where the error of the gradient begins.
    h, evaluator, bounds, fixed, has_aux, progress, full_output
        As in `numerical_gradient`. They are checked here, not when the gradient is called.

    Returns
    -------
    callable
        ``grad(f, **options)(x, *args, **kwargs)`` is ``numerical_gradient(f, x, args=args, kwargs=kwargs, **options)``:
        of x's structure, and of the library, shape, dtype and device of each array in it. It can be pickled if f and
        the options can.

    Raises
    ------
    TypeError, ValueError
        If f is not a function, or an option is wrong. A wrong x is an error when the gradient is called.

    See Also
    --------
    value_and_grad : f(x) and the gradient in one call.
    numerical_gradient : the gradient at one x.

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
    return _gradient("grad", f, argnums, h, scheme, evaluator, bounds, fixed, has_aux, progress, full_output)


def value_and_grad(
    f: Callable[..., object],
    argnums: int | tuple[int, ...] = 0,
    *,
    h: float | None = None,
    scheme: Scheme | None = None,
    evaluator: Evaluator = _LOOP,
    bounds: Bounds = None,
    fixed: PyTree = None,
    has_aux: bool = False,
    progress: bool | ProgressCallback = False,
    full_output: bool = False,
) -> Callable[..., Any]:
    """Return a function of x that returns f(x) and the gradient of f, for optimisers that ask for both at once.

    Parameters
    ----------
    f, argnums, h, scheme, evaluator, bounds, fixed, has_aux, progress, full_output
        As in `grad`.

    Returns
    -------
    callable
        ``value_and_grad(f, **options)(x, *args, **kwargs)`` is a pair: f(x), an array without dimensions of x's library
        and dtype, and what `grad` gives. With ``has_aux`` it is ``((f(x), aux), gradient)``. It can be pickled if f and
        the options can.

    Raises
    ------
    TypeError, ValueError
        As `grad`.

    See Also
    --------
    grad : the gradient alone.

    Notes
    -----
    A call calls f once more than `grad` does, at x itself; with `Forward` and `Backward` as often.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> value, slope = anygrad.value_and_grad(lambda x: (x**2).sum())(np.array([3.0, 4.0]))
    >>> float(value), slope.round(6)
    (25.0, array([6., 8.]))
    """
    return _gradient("value_and_grad", f, argnums, h, scheme, evaluator, bounds, fixed, has_aux, progress, full_output)


def _gradient(maker: str, f: Callable[..., object], *given: Any) -> Gradient:
    require_callable(f)
    names = ("argnums", "h", "scheme", "evaluator", "bounds", "fixed", "has_aux", "progress", "full_output")
    options = dict(zip(names, given, strict=True))
    argnums = options.pop("argnums")
    require_argnums(argnums)
    options = {name: own for name, own in options.items() if not any(own is one for one in (None, False, _LOOP))}
    return Gradient(maker, f, options if argnums == 0 else {"argnums": argnums, **options})


class Gradient:
    """The result of `grad` or `value_and_grad`, the ``maker``, with the ``options`` that the user gave."""

    def __init__(self, maker: str, f: Callable[..., object], options: Mapping[str, Any]) -> None:
        self._maker = maker
        self._f = f
        self._given = options
        own = {"scheme": Central(), "evaluator": _LOOP, **options}
        if "h" in own:
            own["scheme"] = reference_scheme(own.pop("h"), options.get("scheme"))
        self._fixed, self._argnums = own.pop("fixed", None), own.pop("argnums", 0)
        # Checked once: a call must cost no more than one of numerical_gradient.
        self._options = Options("numerical_gradient", with_value=maker == "value_and_grad", **own)
        functools.update_wrapper(self, f, updated=())
        self.__name__ = self.__qualname__ = f"{maker}({name_of(f)})"
        what = "value and the gradient" if maker == "value_and_grad" else "gradient"
        self.__doc__ = f"Return the {what} of {name_of(f)} at x, found numerically: {self!r}."

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the gradient at x, or f(x) and the gradient."""
        options = self._options
        alone = len(args) == 1 and self._argnums == 0  # as nearly always
        x, others, argnums = (args[0], (), None) if alone else chosen_arguments(args, self._argnums)
        if others or kwargs:
            options = dataclasses.replace(options, args=others, kwargs=kwargs, argnums=argnums)
        function = options.function(self._f)
        gradient = gradient_of(function, Parameters.of(x, self._fixed), options)
        if not options.with_value:
            return gradient
        value = value_at_x(function, options)
        return ((value, gradient[1]), gradient[0]) if options.has_aux else (value, gradient)

    def __repr__(self) -> str:
        return call_repr(self._maker, self._f, self._given)

    def __reduce__(self) -> tuple[type[Gradient], tuple[Any, ...]]:
        return Gradient, (self._maker, self._f, self._given)


def name_of(f: Callable[..., object]) -> str:
    """Return the name of a function, or its repr if it has none."""
    return str(getattr(f, "__name__", None) or repr(f))


def call_repr(maker: str, f: Callable[..., object], options: Mapping[str, Any]) -> str:
    """Return the call of anygrad that made something of f."""
    return f"anygrad.{maker}({', '.join([name_of(f), *(f'{name}={given!r}' for name, given in options.items())])})"


def multi_indices(x: Any) -> Iterator[tuple[int, ...]]:
    """Iterate over the multi-indices of an array in C order: the last index changes fastest.

    One loop serves any number of dimensions, as ``numpy.nditer(x, flags=["multi_index"])`` does for NumPy. Only the
    shape of x is looked at: no data is read or moved.

    Parameters
    ----------
    x
        An array of any library, a number, or a nested list of numbers.

    Yields
    ------
    tuple of int
        As many integers as x has dimensions: one empty tuple for a number or a 0-d array, nothing for an empty array.

    Raises
    ------
    TypeError
        If x is anything else.
    ValueError
        If the shape of x is not known (a Dask array before ``compute_chunk_sizes()``).

    See Also
    --------
    numerical_gradient : the gradient with respect to all elements.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> list(anygrad.multi_indices(np.zeros((2, 2))))
    [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    shape = tuple(x.shape) if hasattr(x, "shape") else _shape_of_numbers(x)
    if not all(isinstance(length, int) for length in shape):
        raise ValueError(f"x has the shape {shape}, but all lengths must be known: compute them first")
    return itertools.product(*map(range, shape))


def _shape_of_numbers(x: object) -> tuple[int, ...]:
    if isinstance(x, numbers.Number):
        return ()
    try:
        array = np.asarray(x if isinstance(x, (list, tuple)) else None)
    except (ValueError, RuntimeError):  # lists that differ in length; tensors that require their gradient
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"x is {x!r:.60}, but an array, a number or a nested list of numbers was expected")
    return array.shape
