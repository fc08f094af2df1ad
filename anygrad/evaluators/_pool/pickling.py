"""What travels, pickled; exceptions so that they come back as what they were."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from typing import Any

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def pickled(value: Any) -> bytes:
    """Pickle anything that cloudpickle can."""
    import cloudpickle  # noqa: PLC0415 - an extra

    data: bytes = cloudpickle.dumps(value)
    return data


def pickled_exception(error: BaseException) -> bytes:
    """Pickle an exception; one that does not come back as one of its type becomes a RuntimeError that says the same."""
    alike = None
    for form in error, _Remade(error):  # many exceptions can be pickled, but not made again by their __init__
        try:
            data = pickled(form)
            again = pickle.loads(data)
        except Exception:  # of pickling, or of code of theirs that it runs
            continue
        if _described(again) == _described(error):
            return data
        if alike is None and _of_a_kind(again, error):
            alike = data
    if alike is not None:
        return alike
    return pickled(RuntimeError(f"{type(error).__qualname__}: {_said(str, error) or object.__repr__(error)}"))


class _Remade:
    """An exception that is made again without its ``__init__``, which may take other arguments than it has."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> Any:
        reduced: Any = self._error.__reduce__()
        made, *given = reduced
        return _made_again, (made, *map(_apart, given))


class _Apart:
    """An exception within another one, which comes back in its own way."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> Any:
        return pickle.loads, (pickled_exception(self._error),)


def _apart(value: Any) -> Any:
    """Return what an exception consists of, with the exceptions in it pickled apart."""
    if isinstance(value, BaseException):
        return _Apart(value)
    if type(value) in {list, tuple}:
        return type(value)(map(_apart, value))
    return {key: _apart(own) for key, own in value.items()} if type(value) is dict else value


def _made_again(kind: type[BaseException], arguments: tuple[Any, ...], state: Any = None) -> BaseException:
    error: BaseException = kind.__new__(kind, *arguments)
    # What is written in C has attributes besides, such as the number of an OSError.
    built_in: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    built_in.__init__(error, *arguments)
    if state:
        error.__setstate__(state)
    return error


def _described(error: BaseException) -> tuple[object, ...]:
    """Return an exception in words that are the same for one that is made again: without the addresses in them."""
    said = _said(str, error), _said(lambda error: repr(error.args), error)
    return type(error).__qualname__, *(None if words is None else _ADDRESS.sub("0x", words) for words in said)


def _of_a_kind(again: BaseException, error: BaseException) -> bool:
    """Return whether an exception that is made again has the type of the first one, and as much to say."""
    same = type(again).__qualname__ == type(error).__qualname__
    return same and (_said(str, again) is not None or _said(str, error) is None)


def _said(how: Callable[[BaseException], str], error: BaseException) -> str | None:
    """Return what an exception says; None where its own code for that fails."""
    try:
        return how(error)
    except Exception:  # of any class
        return None
