"""Schemes by a word."""

from __future__ import annotations

import re

from anygrad.schemes._base import Scheme
from anygrad.schemes.adaptive import Adaptive
from anygrad.schemes.backward import Backward
from anygrad.schemes.central import Central
from anygrad.schemes.complex import Complex
from anygrad.schemes.forward import Forward

_OF_AN_ORDER: dict[str, type[Central | Forward | Backward]] = {
    "central": Central,
    "forward": Forward,
    "backward": Backward,
}


def named(word: str, step: float | None = None) -> Scheme:
    """Return the scheme that a word names: ``adaptive``, ``central``, ``complex``; ``central4`` is of order 4.

    ``step`` is its step, in units of x; of `Adaptive` the first one.

    Raises
    ------
    ValueError
        If the word names no scheme, the order is none of that scheme, or the step is not positive; if there is a step
        for `Complex`, which has none.

    Examples
    --------
    >>> named("central4")
    Central(order=4, step=None, noise=None)
    >>> named("forward", step=1e-6)
    Forward(order=1, step=1e-06, noise=None)
    """
    parts = re.fullmatch(r"([a-z]+)([0-9]{0,2})", word.strip().lower())
    name, order = parts.groups() if parts else (word, "")
    if name in _OF_AN_ORDER:
        kind = _OF_AN_ORDER[name]
        return kind(int(order), step=step) if order else kind(step=step)
    if order or name not in {"adaptive", "complex"}:
        raise ValueError(
            f"no scheme is called {word!r}, but adaptive, central, forward, backward or complex was expected, with"
            " the order behind it if you like, as in central4"
        )
    if name == "adaptive":
        return Adaptive(step=step)
    if step is not None:
        raise ValueError(f"a step of {step!r} is given, but the scheme complex has none: leave one of them out")
    return Complex()
