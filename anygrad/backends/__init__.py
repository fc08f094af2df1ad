"""Backends: which array library holds the numbers. This module is their one registry."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from anygrad.backends._base import Backend, Opener
from anygrad.backends._complexified import Complexified
from anygrad.backends._examined import examined
from anygrad.backends._joint import Joint
from anygrad.backends._memory import Memory, Results
from anygrad.backends._modes import after_fork, modes, under
from anygrad.backends._recorder import Recorder
from anygrad.backends._scalar import neither_real_nor_holomorphic
from anygrad.backends._stack import Stack
from anygrad.backends._vectoriser import Rule, Vectoriser

__all__ = [
    "Backend",
    "Complexified",
    "Joint",
    "Memory",
    "Opener",
    "Recorder",
    "Results",
    "Rule",
    "Stack",
    "Vectoriser",
    "after_fork",
    "examined",
    "load",
    "modes",
    "names",
    "neither_real_nor_holomorphic",
    "resolve",
    "under",
]

# From the package in which an array's type is defined to the module here that knows it. All others are generic.
_MODULES = {
    "numpy": "numpy",
    "torch": "torch",
    "jax": "jax",
    "jaxlib": "jax",
    "cupy": "cupy",
    "dpnp": "dpnp",
}
_GENERIC = "generic"


def names() -> tuple[str, ...]:
    """Return the names of the backends."""
    return (*dict.fromkeys(_MODULES.values()), _GENERIC)


@cache
def load(name: str) -> Backend:
    """Import a backend, and with it the library that it stands for."""
    return cast(Backend, import_module(f"anygrad.backends.{name}"))


def resolve(x: object) -> Backend | None:
    """Return the backend of an array, or None for what is no array. No library is imported that x is not from."""
    for kind in type(x).__mro__:
        name = _MODULES.get(kind.__module__.partition(".")[0])
        if name is not None and (backend := load(name)).is_array(x):
            return backend
    generic = load(_GENERIC)
    return generic if generic.is_array(x) else None
