"""StopIteration that f raises, as it is: generators, in which f is called, make another exception of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TypeVar

from anygrad._caller import raised_here

T = TypeVar("T")


class Unstopped(AbstractContextManager[T]):
    """A context manager from which StopIteration comes as f has raised it."""

    def __init__(self, inner: AbstractContextManager[T]) -> None:
        self._inner = inner

    def __enter__(self) -> T:
        try:
            return self._inner.__enter__()
        except RuntimeError as error:
            _raise_stopped(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        handled = self._inner.__exit__(kind, error, trace)
        if isinstance(error, RuntimeError):
            _raise_stopped(error)
        return handled


def _raise_stopped(error: RuntimeError) -> None:
    """Raise what a generator of ours has made this error of, if that is StopIteration; one of f's own is left alone."""
    if isinstance(error.__cause__, StopIteration) and raised_here(error):
        raise error.__cause__ from None
