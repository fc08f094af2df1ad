"""The arguments of an operator besides f and x, validated."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from anygrad._typing import Array, Kwargs, ProgressCallback, PyTree
from anygrad.backends.base import Backend, load, resolve
from anygrad.evaluators.base import Evaluator
from anygrad.problem.function import Function, WithArguments
from anygrad.problem.tree import is_number, is_number_list
from anygrad.schemes import Central, ReferenceStep, Scheme


class Meter:
    """How many calls of f are done, and how many there will be."""

    def __init__(self, report: ProgressCallback, total: int) -> None:
        self._report = report
        self._done = 0
        self.total = total

    def advance(self, calls: int) -> None:
        """Report that so many more are done."""
        self._done += calls
        self.total = max(self.total, self._done)
        self._report(self._done, self.total)

    def finish(self) -> None:
        """Report that there will be no more calls than there were, where fewer were needed than expected."""
        if self._done != self.total:
            self.total = self._done
            self._report(self._done, self.total)


@dataclass(eq=False)
class Options:
    """The keyword arguments that all operators share, checked."""

    operator: str
    scheme: Scheme
    evaluator: Evaluator
    bounds: tuple[Any, Any] | None = None
    f0: Any = None
    has_aux: bool = False
    progress: bool | ProgressCallback = False
    full_output: bool = False
    args: tuple[Any, ...] = ()  # what f is given besides x
    kwargs: Kwargs = None
    argnums: int | tuple[int, ...] | None = None  # which of ``args`` x takes the place of; None before all of them
    with_value: bool = False  # whether f(x) is wanted in any case
    also: dict[str, object] = field(default_factory=dict)  # what else says which derivative is wanted, by name

    def __post_init__(self) -> None:
        # One look at the method that makes it one; isinstance with a Protocol would cost more than a small gradient.
        if isinstance(self.scheme, type) or not hasattr(self.scheme, "differentiate"):
            raise _wrong_scheme(self.scheme)
        if isinstance(self.evaluator, type) or not hasattr(self.evaluator, "open"):
            raise _wrong_evaluator(self.evaluator)
        if self.bounds is not None:
            require_bounds(self.bounds, self.scheme)
        if self.args != () or self.kwargs:
            require_arguments(self.args, self.kwargs)
            self.also = {**self.also, "args": self.args, "kwargs": self.kwargs}
            if self.argnums is not None:
                self.also["argnums"] = self.argnums

    def function(self, f: Callable[..., Any], **own: Any) -> Function:
        """Return f as a function of x alone; raise unless it can be called."""
        require_callable(f)
        if self.args or self.kwargs:
            f = WithArguments(f, self.args, self.kwargs or {}, self.argnums)
        function = Function(f, has_aux=self.has_aux, **own)
        if self.f0 is not None:
            function.know(self.f0)
        return function

    def meter(self, total: int) -> AbstractContextManager[Any]:
        """Open what ``progress=`` asks for: nothing, a bar on stderr, or calls of the user's function."""
        return nullcontext() if self.progress is False else _metered(self.progress, total)


@contextmanager
def _metered(progress: bool | ProgressCallback, total: int) -> Iterator[Meter]:
    if progress is True:
        from tqdm.auto import tqdm  # noqa: PLC0415 - only where a bar is wanted

        with tqdm(total=total, unit="call") as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            counter = Meter(show, total)
            yield counter
            counter.finish()
    elif callable(progress):
        counter = Meter(progress, total)
        yield counter
        counter.finish()
    else:
        raise TypeError(f"progress is {progress!r}, but True, False or a function of (done, total) was expected")


_REFERENCE = Central(order=2, step=ReferenceStep())


def reference_scheme(h: float | None, scheme: Scheme | None) -> Scheme:
    """Return the scheme; h stands for the reference's with that step, and neither for the reference's own."""
    if h is None:
        return _REFERENCE if scheme is None else scheme
    if scheme is not None:
        raise ValueError(
            f"h is {h!r} and scheme is {scheme!r}, but only one of them can be given: give the step to the scheme, as"
            f" in anygrad.Central(step={h!r})"
        )
    require_number(h)
    return Central(order=2, step=ReferenceStep(h))


def as_array(leaf: object, name: str) -> tuple[Array, Backend]:
    """Return a leaf of x as a floating array, and its backend; raise if it cannot be differentiated with respect to.

    Numbers and lists of numbers become NumPy float64 (complex128 if one is complex).
    """
    backend, array = resolve(leaf), leaf
    if backend is None:
        array, backend = from_python(leaf, name), load("numpy")
    require_floating(array, backend, name)
    return array, backend


def require_floating(array: Array, backend: Backend, name: str) -> None:
    """Raise unless the dtype of an array of x is real or complex floating."""
    if not backend.floating(array):
        raise TypeError(
            f"{name} has the dtype {array.dtype}, which cannot hold {name} plus a small step: pass a floating array,"
            f" such as {backend.cast_example.format(x=name)}"
        )


def require_callable(f: object) -> None:
    """Raise unless f can be called."""
    if not callable(f):
        raise TypeError(f"f is {_article(f)}, but a function of x was expected: f comes first, then x")


def require_arguments(args: object, kwargs: object) -> None:
    """Raise unless these are a tuple, and a mapping from names."""
    if not isinstance(args, tuple):
        raise TypeError(f"args is {args!r:.60}, but a tuple was expected: write args=({args!r:.60},) for one argument")
    if kwargs is not None and not (isinstance(kwargs, Mapping) and all(isinstance(name, str) for name in kwargs)):
        raise TypeError(f"kwargs is {kwargs!r:.60}, but a dict of arguments by name was expected, such as {{'a': 1.0}}")


def require_argnums(argnums: object) -> None:
    """Raise unless that is the position of an argument, or a tuple of several."""
    places = argnums if isinstance(argnums, tuple) else (argnums,)
    if not places or any(isinstance(place, bool) or not isinstance(place, int) for place in places):
        raise TypeError(f"argnums is {argnums!r:.60}, but a position such as 0 was expected, or a tuple such as (0, 1)")


def chosen_arguments(
    args: tuple[Any, ...], argnums: int | tuple[int, ...]
) -> tuple[PyTree, tuple[Any, ...], int | tuple[int, ...] | None]:
    """Return x, the other arguments, and the place of x among them (None: before all of them)."""
    places = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(-len(args) <= place < len(args) for place in places):
        plural = "s" * (len(args) != 1)
        raise TypeError(f"argnums is {argnums!r}, but the call has {len(args)} positional argument{plural}")
    if argnums == 0:
        return args[0], args[1:], None
    places = tuple(place % len(args) for place in places)
    if len(set(places)) < len(places):
        raise TypeError(f"argnums is {argnums!r}, but each position can be given only once")
    others = tuple(None if i in places else arg for i, arg in enumerate(args))
    if isinstance(argnums, tuple):
        return tuple(args[place] for place in places), others, places
    return args[places[0]], others, places[0]


def require_count(count: object, name: str, *, zero: bool = False) -> None:
    """Raise unless that is an integer above 1, or, where it may be, 0."""
    is_integer = isinstance(count, numbers.Integral) and not isinstance(count, bool)
    if not (is_integer and (int(cast(int, count)) > 1 or (zero and count == 0))):
        none = ", or 0 for none" if zero else ""
        raise ValueError(f"{name} is {count!r:.60}, but an integer above 1 was expected{none}")


def require_gradient(grad: object, f0: object, *, has_aux: bool) -> None:
    """Raise unless the gradient of f, which is to be differentiated, can be called, and no option is about f."""
    if not callable(grad):
        raise TypeError(
            f"grad is {_article(grad)}, but a function of x that returns the gradient of f was expected: write"
            " grad=lambda x: ..., or leave grad= out"
        )
    if f0 is not None or has_aux:
        given = "has_aux=True" if has_aux else "f0"
        raise ValueError(f"{given} and grad= are both given, but with grad= f is not called: leave one of them out")


def _wrong_scheme(scheme: object) -> TypeError:
    expected = "a scheme such as anygrad.Central(order=4)"
    if isinstance(scheme, type):
        name = scheme.__name__
        return TypeError(f"scheme is the class {name}, but {expected} was expected: write anygrad.{name}()")
    instead = ": write anygrad.Adaptive()" if scheme == "adaptive" else ""
    return TypeError(f"scheme is {scheme!r:.60}, but {expected} was expected{instead}")


def _wrong_evaluator(evaluator: object) -> TypeError:
    is_class = isinstance(evaluator, type) and evaluator is not map
    given = f"{'the class ' * is_class}{getattr(evaluator, '__name__', '') if is_class else repr(evaluator):.60}"
    instead = _evaluator_of(evaluator)
    text = f"evaluator is {given}, but an evaluator such as anygrad.Loop() was expected"
    return TypeError(f"{text}: write {instead}" if instead else text)


def _evaluator_of(given: Any) -> str:
    """Return the evaluator that is meant by something else; nothing if that is not clear."""
    name = getattr(given, "__name__", "")
    if isinstance(given, int) and not isinstance(given, bool):
        return f"anygrad.Pool({given}), for {given} processes"
    if isinstance(given, type) and given is not map:
        own = {"Pool": "Pool(8), for 8 processes, or anygrad.Pool(executor)", "Journal": "Journal(path)"}
        return f"anygrad.{own.get(name, f'{name}()')}"
    if hasattr(given, "imap_unordered"):  # a pool of multiprocessing
        return "anygrad.Pool(pool.map)"
    if hasattr(given, "submit"):
        return "anygrad.Pool(executor)"
    return f"anygrad.Pool({'map' if given is map else 'executor.map'})" if name == "map" else ""


def require_bounds(bounds: object, scheme: Scheme) -> None:
    """Raise unless the bounds are a pair, or None, and the scheme can keep to them."""
    if bounds is None:
        return
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        raise TypeError(f"bounds is {bounds!r:.60}, but a pair was expected: write bounds=(bounds.lb, bounds.ub)")
    # A list of two such pairs would be read as something else.
    if isinstance(bounds, list) and bounds and all(isinstance(pair, tuple) and len(pair) == 2 for pair in bounds):
        raise TypeError(
            f"bounds is {bounds!r:.60}, a pair for each element, but one pair of arrays was expected: write"
            " bounds=tuple(zip(*bounds)), with -math.inf and math.inf in place of None"
        )
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise TypeError(f"bounds is {bounds!r:.60}, but a pair was expected: write bounds=(lower, upper)")
    if scheme.samples_complex:
        raise ValueError(
            f"bounds are given, but {scheme!r} calls f with complex points, which no bounds can hold: use"
            " anygrad.Adaptive() or anygrad.Central()"
        )


def require_number(h: object) -> None:
    """Raise unless h is a real number."""
    if isinstance(h, bool) or not isinstance(h, numbers.Real):
        raise TypeError(
            f"h is {h!r:.60}, but a positive number such as 1e-4 was expected, or None for the default; for one step"
            " per element, write scheme=anygrad.Central(step=steps)"
        )


def require_order(n: object) -> None:
    """Raise unless n is the number of a derivative."""
    if isinstance(n, bool) or not isinstance(n, numbers.Integral):
        raise TypeError(f"n is {n!r}, but an integer was expected: 1 for the first derivative, 2 for the second")
    if n < 1:
        raise ValueError(f"n is {n!r}, but it must be 1 or more: 1 for the first derivative, 2 for the second")


def from_python(leaf: object, name: str) -> np.ndarray[Any, Any]:
    """Return a number or a list of numbers as an array; raise for all else."""
    if isinstance(leaf, np.generic):
        return np.asarray(leaf)
    if instead := _instead(leaf, name):
        raise TypeError(f"{name} is {_article(leaf)}, but an array was expected: {instead}")
    if isinstance(leaf, (dict, tuple)) and type(leaf) not in (dict, tuple) and not hasattr(leaf, "_fields"):
        raise TypeError(
            f"{name} is {_article(leaf)}, whose class is not registered as a tree: pass"
            f" {'dict' if isinstance(leaf, dict) else 'tuple'}({name}), or register the class with"
            f' optree.register_pytree_node(..., namespace="anygrad")'
        )
    holds_arrays = isinstance(leaf, list) and any(hasattr(item, "shape") for item in leaf)
    if isinstance(leaf, (dict, tuple)) or holds_arrays:  # operators that take trees have taken it apart
        raise TypeError(
            f"{name} is {_article(leaf)}, but one array was expected: pass its arrays one by one, or use"
            " anygrad.jacobian for all of them"
        )
    if not (is_number(leaf) or is_number_list(leaf)):
        raise TypeError(
            f"{name} is {_article(leaf)}, but an array, a number, a list of numbers, or a dict, list, tuple or"
            f" dataclass of these was expected{': f comes first, then x' * callable(leaf)}"
        )
    try:
        array = np.asarray(leaf)
    except ValueError:
        raise ValueError(
            f"{name} is a nested list whose parts differ in length, but an array was expected: make them equally"
            " long, or pass a list of arrays"
        ) from None
    try:
        return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    except OverflowError:
        raise ValueError(
            f"{name} holds an integer above 1.8e308, the largest number in float64: pass smaller numbers"
        ) from None


def _instead(leaf: object, name: str) -> str | None:
    """Return advice for an object that holds arrays, known by its methods, so that no library need be imported.

    None if there is nothing of that kind to say.
    """
    if hasattr(leaf, "to_numpy"):
        return f"write {name}.to_numpy(), and let f build {_article(leaf)} from it"
    if hasattr(leaf, "named_parameters"):
        return (
            f"write dict({name}.named_parameters()), and let f pass its argument on as params to"
            " torch.func.functional_call(model, params, inputs)"
        )
    if hasattr(leaf, "tocsr"):
        numbers = "data" if isinstance(getattr(leaf, "data", None), np.ndarray) else "tocsr().data"
        return f"write {name}.{numbers}, its stored numbers, and let f build the matrix from them"
    if isinstance(leaf, Iterator):
        return f"write list({name}), because an iterator can be read only once"
    return None


def _article(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value).__qualname__
    if kind == "array":  # array.array is no array in the sense that the message goes on to speak of
        kind = "array.array"
    return f"{'an' if kind[0] in 'aeiouAEIOU' or kind == 'ndarray' else 'a'} {kind}"
