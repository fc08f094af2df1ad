"""Functions of one point, called with many of them by the array library's own vmap."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anygrad._typing import Array
from anygrad.backends import Backend, Memory, Rule, Stack
from anygrad.evaluators._at_once import gradient_at_once
from anygrad.evaluators._base import Target
from anygrad.evaluators._chunks import ChunkSession
from anygrad.evaluators._leading import points_in, reader, validate_max_bytes

# What tracing raises: errors of the library, and what it makes of f's own doings. All else is f's own.
_OF_TRACING = (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Vmap:
    """Call f, which is written for one point, with many points at a time by its library's ``vmap``.

    PyTorch has ``torch.func.vmap``; JAX has ``jax.vmap``, which is compiled by ``jax.jit`` together with what sets the
    elements of x.

    Parameters
    ----------
    max_bytes
        How many bytes of points there may be in one call, if they are all in memory; f itself may need several times
        as much. None is what is usually fastest, as in `Batch`.

    Raises
    ------
    TypeError, ValueError
        If ``max_bytes`` is no positive integer; when used, if it is less than one point takes.
        If the library has no ``vmap``, or f cannot be traced by it.

    Notes
    -----
    f is called with tracers, which have no values: it may not branch on them or convert them to Python numbers. One
    call with many points counts as one in `Result`; f itself may run more seldom, or not at all.

    JAX compiles f anew for each derivative, since f may be a closure over what has changed. What it compiles of an f
    that is a ``jax.jit`` already is kept, for the last 32 of them, and used again; small gradients of it, in float64
    and by one step for all elements, are one call of what is compiled, and do not wait for it. There it is looked
    once for each shape of x, not at each x, whether f depends on its argument (`ConstantFunctionWarning`).

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> import anygrad
    >>> x = torch.tensor([3.0, 4.0])  # doctest: +SKIP
    >>> anygrad.numerical_gradient(lambda x: (x**2).sum(), x, evaluator=anygrad.Vmap())  # doctest: +SKIP
    tensor([6.0000, 8.0000])
    >>> anygrad.Vmap(max_bytes=2**20)
    Vmap(max_bytes=1048576)
    """

    max_bytes: int | None = None

    def __post_init__(self) -> None:
        validate_max_bytes("Vmap", self.max_bytes)

    @property
    def leading(self) -> bool:
        """Whether f is written for many points: it is not."""
        return False

    def session(self, target: Target) -> ChunkSession:
        """Open a target for sampling."""
        memory = target.memory(in_place=False)
        _require_vectoriser(target, memory)
        length = memory.size // max(1, target.x.shape[0]) if target.batch else None
        return ChunkSession(
            target,
            memory,
            prepare=lambda rows: _many(target.f, memory, rows, length, (target.unpack, target.unpack_many)),
            at_x=None if target.batch else lambda: _at_x(target, memory),
            limit=points_in(self.max_bytes, target, memory),
            read=reader(memory, vector=target.vector, evaluator="Vmap()"),
        )

    def at_once(
        self, f: Callable[[Any], object], x: Array, backend: Backend, rule: Rule, step: float, *, most: float
    ) -> tuple[Array, bool] | None:
        """Return the gradient by one call of f, and what a session calls ``blind``; None where one is needed."""
        if backend.compiled_gradient is not None:
            gradient = backend.compiled_gradient(f, x, rule, step, most=most, max_bytes=self.max_bytes)
            return None if gradient is None else (gradient, False)
        if backend.vectoriser is None:
            return None
        return gradient_at_once(
            _guarded(backend.vectoriser.vmap(f), f, lambda: backend.memory(x, in_place=False)),
            x,
            backend,
            rule,
            step,
            most=most,
            max_bytes=self.max_bytes,
            evaluator="Vmap()",
            at_x=lambda at: at.read(f(at.array)),
        )


def _at_x(target: Target, memory: Memory) -> object:
    value = target.f(memory.array)
    return value if target.unpack is None else target.unpack(value)


def _require_vectoriser(target: Target, memory: Memory) -> None:
    if memory.vectoriser is None:
        raise TypeError(
            f"Vmap() was given for an array of {target.backend.name}, which has no vmap: write f for points along a"
            " leading axis and use Batch(), or use Loop()"
        )


def _many(
    f: Callable[[Any], object],
    memory: Memory,
    rows: int,
    length: int | None,
    unpacking: Sequence[Callable[[Any], object] | None],
) -> tuple[Callable[[Any], Any], Stack]:
    """Return f of many points, and the stack that they are made by; what it returns is unpacked, of one or of many."""
    unpack, unpack_many = unpacking
    vectoriser = memory.vectoriser
    assert vectoriser is not None
    # What is compiled of f is kept, and must not depend on what it is unpacked for. Else only values are traced, so
    # that what comes beside them may be of any type.
    outside = unpack_many if vectoriser.compiled(f) else None
    one = f if unpack is None or outside is not None else lambda x: unpack(f(x))
    fused = memory.fused(one, rows) if length is None else None
    many, stack = fused or (vectoriser.vmap(one), memory.stack(rows, length))
    called = _guarded(many, one, lambda: memory, whole=length is None, plain=unpack is None)
    return called if outside is None else lambda points: outside(called(points)), stack


def _guarded(
    many: Callable[[Any], Any],
    one: Callable[[Any], object],
    opened: Callable[[], Memory],
    *,
    whole: bool = True,
    plain: bool = True,
) -> Callable[[Any], Any]:
    """Return f of many points, with errors that say what is wrong about that of one.

    Of that an argument is x as it is opened, or a row of it, and its value a number where it is ``plain``.
    """

    def called(points: Any) -> object:
        try:
            value = many(points)
        except _OF_TRACING as error:
            memory = opened()
            point = memory.array if whole else memory.array[0, ...]
            _require_traced(one, point, error, memory.read if plain else None)
            raise
        if plain:
            _require_numbers(opened, value)
        return value

    return called


def _require_numbers(opened: Callable[[], Memory], value: Any) -> None:
    """Raise unless there is a number for each point: f is given one, and what is said is of its value there."""
    if not hasattr(value, "shape"):
        opened().read(value)
    elif math.prod(value.shape[1:]) != 1:
        opened().read(value[0, ...])


def _require_traced(
    f: Callable[[Any], Any], x: Array, error: Exception, read: Callable[[object], object] | None
) -> None:
    """Raise that f cannot be vectorised, if it can be called: otherwise the error is its own, or that of its value."""
    try:
        value = f(x)
    except Exception:
        return
    if read is not None:
        read(value)
    reason = textwrap.shorten(str(error).strip().partition("\n")[0], 100, placeholder=" ...")
    raise TypeError(
        f"f works for one point, but its library's vmap cannot call it with many at a time ({type(error).__name__}:"
        f" {reason}): use Loop(), or write f for points along a leading axis and use Batch()"
    ) from error
