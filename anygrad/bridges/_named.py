"""How what is made of a function is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def name_of(f: Callable[..., object]) -> str:
    """Return the name of a function, or what stands for it if it has none."""
    return str(getattr(f, "__name__", None) or repr(f))


def written(maker: str, f: Callable[..., object], options: Mapping[str, Any]) -> str:
    """Return the call that made something of f."""
    return f"anygrad.{maker}({', '.join([name_of(f), *(f'{name}={given!r}' for name, given in options.items())])})"
