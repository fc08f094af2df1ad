"""f's values at many points, by what a device has recorded of a few calls of it."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable
from typing import Any

from array_api_compat import array_namespace

from anygrad._caller import stacklevel
from anygrad._typing import Array
from anygrad.backends import Memory, Recorder
from anygrad.evaluators._base import Target

# So many calls of f are recorded at a time: to have them done again takes the host as long as it does for one.
_CALLS = 8
# With fewer points, recording takes longer than it saves.
LEAST = 8 * _CALLS
# Rounds between two reports of how many points are done, for which the device is waited for.
_ROUNDS = 128


class NotRecordedError(Exception):
    """Why what f does cannot be recorded."""


def replayed(target: Target, memory: Memory, read: Callable[[Any], Any], recorder: Recorder, count: int) -> Array:
    """Return f's values at the recorder's points, of which there are ``count``; raise `NotRecordedError` if it cannot.

    The first values are compared with those of what was recorded: they are others if f is not the same function of x at
    every call, or does some of its work where it is not recorded.
    """
    f, unpack, done, x = target.f, target.unpack, target.done, memory.array

    def call() -> None:
        _step(recorder, read(f(x) if unpack is None else unpack(f(x))))

    def calls() -> None:
        for _ in range(_CALLS):
            call()

    again = _recorded(recorder, memory, calls)
    rounds, rest = divmod(count, _CALLS)
    for start in range(1, rounds, _ROUNDS):
        stop = min(start + _ROUNDS, rounds)
        for _ in range(start, stop):
            again()
        if done is not None:
            recorder.wait()
            done((stop - start) * _CALLS)
    for _ in range(rest):
        call()
    values = recorder.values(count)
    recorder.wait()  # for what was recorded, which is let go of here
    if done is not None:
        done(_CALLS + rest)
    return values


def warn_not_recorded(reason: object) -> None:
    """Warn the caller of anygrad that f is called at every point."""
    warnings.warn(
        f"f could not be recorded as a CUDA graph, and is called at every point instead ({reason}): leave graph=True"
        " out, or write f such that all that depends on x is done on x's device",
        RuntimeWarning,
        stacklevel=stacklevel(),
    )


def _recorded(recorder: Recorder, memory: Memory, calls: Callable[[], None]) -> Callable[[], None]:
    """Return what has the device do again what these calls of f have it do; x is where they have led it."""
    recorder.restart()
    calls()
    seen = recorder.values(_CALLS)
    try:
        again = recorder.record(calls)
    except Exception as error:  # f's own as well: called at that point again, it raises it again
        reason = str(error).strip().partition("\n")[0]
        raise NotRecordedError(textwrap.shorten(reason, 100, placeholder=" ...")) from error
    memory.restore()
    recorder.restart()
    again()
    if not _same(seen, recorder.values(_CALLS)):
        raise NotRecordedError("the values of what was recorded are not those that f returned")
    return again


def _step(recorder: Recorder, value: Any) -> None:
    if isinstance(value, (float, complex)):
        raise NotRecordedError("it returns a number that is not on the device")
    try:
        recorder.step(value)
    except Exception as error:  # of a library, for a value of another kind than the first ones
        raise NotRecordedError(f"its value cannot be kept: {error}") from error


def _same(values: Array, others: Array) -> bool:
    xp = array_namespace(values)
    return bool(xp.all((values == others) | (xp.isnan(values) & xp.isnan(others))))
