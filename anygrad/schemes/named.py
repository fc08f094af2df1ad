"""Schemes by name, for the command line."""

from __future__ import annotations

import re

from anygrad.schemes.adaptive import Adaptive
from anygrad.schemes.base import Scheme
from anygrad.schemes.complex_step import Complex
from anygrad.schemes.finite_difference import Backward, Central, Forward

_WITH_ORDER: dict[str, type[Central | Forward | Backward]] = {
    "central": Central,
    "forward": Forward,
    "backward": Backward,
}


def named(name: str, step: float | None = None) -> Scheme:
    """Return the scheme with a name: ``adaptive``, ``central``, ``complex``; ``central4`` has order 4.

    ``step`` is its step, in units of x; for `Adaptive` the first one.

    Raises
    ------
    ValueError
        If no scheme has the name, the scheme does not have the order, or the step is not positive.

    Examples
    --------
    >>> named("central4")
    Central(order=4, step=None, noise=None, rel_step=None)
    >>> named("forward", step=1e-6)
    Forward(order=1, step=1e-06, noise=None, rel_step=None)
    """
    parts = re.fullmatch(r"([a-z]+)([0-9]{0,2})", name.strip().lower())
    kind, order = parts.groups() if parts else (name, "")
    if kind in _WITH_ORDER:
        scheme = _WITH_ORDER[kind]
        return scheme(int(order), step=step) if order else scheme(step=step)
    if order or kind not in {"adaptive", "complex"}:
        raise ValueError(
            f"no scheme is called {name!r}, but adaptive, central, forward, backward or complex was expected, with"
            " the order behind it if you like, as in central4"
        )
    return Adaptive(step=step) if kind == "adaptive" else Complex(step=step)
