"""The interface of an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from anygrad._typing import Array
from anygrad.backends import Memory, Opener, examined
from anygrad.evaluators._points import Points
from anygrad.evaluators._record import Record

Calling: TypeAlias = Callable[[], AbstractContextManager[None]]  # makes the context in which f is called


@dataclass(eq=False)
class Brief:
    """What is asked for a gradient of which nothing else is wanted.

    Attributes
    ----------
    points
        Returns the levels of some elements: an array for each point of the stencil.
    slope
        Takes f's values at these, an array for each, to the derivatives by the elements.
    calling
        Returns the context in which f is called.
    """

    points: Callable[[Sequence[int]], Sequence[Array]]
    slope: Callable[[Sequence[Array]], Array]
    calling: Calling


@dataclass(eq=False)
class Target:
    """A function of an array, which is to be sampled about that array.

    Attributes
    ----------
    f
        What the user calls f, as a function of ``x`` alone; in a batch, of a row of it.
    x, backend
        The array (a list of arrays, for a backend of several), and the library that it is of.
    unpack
        Takes what f returns to one number, or to a list of arrays for a vector function; None where it returns that.
    unpack_many
        The same where f is given many points, and what it returns has a leading axis.
    vector
        Whether f returns arrays, all of whose elements are values, instead of one number.
    batch
        Whether f is given the row of x that an element belongs to.
    done
        Is told of how many points have been evaluated, after each call of f; None if nobody wants to know.
    name
        The array's name in the user's words.
    has_aux
        Whether ``f`` returns a pair, of which ``unpack`` keeps the second one.
    examined
        Whether f's values are looked at again and again, to find out where it is to be sampled next.
    plan
        What the user asked for, by name: the operator, the user's own ``f``, the arrays of ``x`` by their names, the
        scheme, the bounds. By these an evaluator knows again what it has begun earlier.
    """

    f: Callable[[Any], object]
    x: Array
    backend: Opener
    unpack: Callable[[Any], object] | None = None
    unpack_many: Callable[[Any], object] | None = None
    vector: bool = False
    batch: bool = False
    done: Callable[[int], object] | None = None
    name: str = "x"
    has_aux: bool = False
    examined: bool = False
    plan: Mapping[str, object] = field(default_factory=dict)

    def memory(self, *, in_place: bool) -> Memory:
        """Return x opened for perturbation; in place only if x can be written safely."""
        memory = self.backend.memory(self.x, in_place=in_place)
        return examined(memory, self.backend.host) if self.examined else memory

    def one_by_one(self) -> Callable[[Any], object]:
        """Return f with what it returns unpacked, and each call reported."""
        f, unpack, done = self.f, self.unpack, self.done
        if done is None:
            return f if unpack is None else lambda x: unpack(f(x))

        def counted(x: Any) -> object:
            value = f(x) if unpack is None else unpack(f(x))
            done(1)
            return value

        return counted


class Session(Protocol):
    """A target, opened for sampling.

    Attributes
    ----------
    memory
        The array's elements, as numbers.
    record
        How often f has been called, and what it returned for x itself.
    in_place
        Whether f sees x change through a closure, too: whether what is set is x itself, or another process's likeness
        of it. Arrays that share memory with x change with it.
    together
        How many elements are to be sampled at a time at least, for their points to be evaluated side by side.
    """

    memory: Memory
    record: Record

    @property
    def in_place(self) -> bool: ...

    @property
    def together(self) -> int: ...

    def know(self, value: object) -> None:
        """Take ``value``, unpacked, for f(x), which the caller knows: f is then not called for it."""
        ...

    def base(self, elements: Sequence[int]) -> Array:
        """Return f(x) for the elements, one for all or one for each; f is called once for each of its arguments."""
        ...

    def sample(
        self, elements: Sequence[int], part: int | None, levels: Sequence[Array], width: int = 1
    ) -> Sequence[Array]:
        """Return f's values with each element in turn set to each of its levels, an array for each level.

        ``part`` says which part of the elements is set: 0 the real one, 1 the imaginary one, None both. Of more
        elements than one, if ``width`` says so, those are set together that follow each other in ``elements``.
        """
        ...

    def evaluate(self, points: Points, *, tolerant: bool = False) -> Iterator[tuple[range, Array | Exception]]:
        """Yield f's values at some of the points after the other, as soon as they are known, in any order.

        With ``tolerant``, an exception that f raises at a point is yielded in its place, and the others go on.
        """
        ...

    def blind(self) -> bool:
        """Return whether f may have missed the perturbations: it was given copies of x, and never changed.

        This may take one more call of f, f(x), where all other values are the same.
        """
        ...


class Evaluator(Protocol):
    """A frozen object that says how f is called.

    Attributes
    ----------
    leading
        Whether f is written for many points, along a leading axis of its argument and of what it returns.
    """

    @property
    def leading(self) -> bool: ...

    def session(self, target: Target) -> AbstractContextManager[Session]:
        """Open a target for sampling.

        x is as it was when the session ends, however it ends. f runs under NumPy's error settings at the time of
        opening, whatever they are when a sample is asked for.
        """
        ...
