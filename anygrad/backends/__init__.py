"""Backends: which array library holds the numbers."""

from anygrad.backends.base import Backend, Memory, Points, load, resolve

__all__ = ["Backend", "Memory", "Points", "load", "resolve"]
