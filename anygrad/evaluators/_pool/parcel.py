"""The target of a pool, pickled once for all of its workers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from anygrad.evaluators._pool.pickling import pickled
from anygrad.evaluators._pool.tasks import Parcel

_THREADS = "give Pool a concurrent.futures.ThreadPoolExecutor(), whose threads need no copy of it"


def packed(parcel: Parcel) -> bytes:
    """Pickle f and x together, so that an x which f reads through a closure is the worker's own x there, too."""
    require_cloudpickle()
    try:
        # Apart from the rest, which may need the context to arrive as it is.
        return pickled((parcel.target.backend.arrival(parcel.target.x), pickled(parcel)))
    except Exception as error:
        raise TypeError(
            f"{_culprit(parcel)} cannot be sent to worker processes ({error}): leave it out of what f refers to, or"
            f" {_THREADS}"
        ) from error


def require_cloudpickle() -> None:
    """Raise unless functions of any kind can be pickled."""
    try:
        import cloudpickle  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ImportError(
            "Pool sends f to worker processes by cloudpickle, which is not installed: write pip install '.[pool]' in"
            " a checkout of anygrad, or give Pool a concurrent.futures.ThreadPoolExecutor()"
        ) from None


def _culprit(parcel: Parcel) -> str:
    """Name what cannot be pickled."""
    target = parcel.target
    if not _travels(target.x):
        kind = type(target.x[0] if isinstance(target.x, list) else target.x)
        return f"x, of type {kind.__module__}.{kind.__qualname__},"
    return _within(target.f) or "f"


def _within(f: Any) -> str | None:
    """Name the innermost variable that a function refers to and that cannot be pickled."""
    for name, value in _variables(f):
        if value is not f and not _travels(value):
            return _within(value) or f"{name!r}, of type {type(value).__qualname__}, which f refers to,"
    return None


def _variables(f: Any) -> Iterator[tuple[str, Any]]:
    f = getattr(f, "func", f)  # a functools.partial
    if inspect.ismethod(f):
        yield from getattr(f.__self__, "__dict__", {}).items()
    elif inspect.isfunction(f):
        referred = inspect.getclosurevars(f)
        yield from {**referred.globals, **referred.nonlocals}.items()
    else:
        yield from getattr(f, "__dict__", {}).items()


def _travels(value: Any) -> bool:
    try:
        pickled(value)
    except Exception:
        return False
    return True
