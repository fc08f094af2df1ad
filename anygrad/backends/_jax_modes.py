"""What JAX keeps for each thread: whether there is float64."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import jax


def current() -> bool | None:
    return jax.config.jax_enable_x64 or None


def under(modes: bool | None) -> AbstractContextManager[object]:
    enabled = bool(modes)
    if jax.config.jax_enable_x64 == enabled:  # for the sake of what is compiled, no context where none is needed
        return nullcontext()
    enabling = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64  # before 0.8
    context: AbstractContextManager[object] = enabling(enabled)
    return context


def after_fork() -> None:
    """Do nothing: there is nothing by which JAX could do without its threads."""
