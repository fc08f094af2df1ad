"""Array libraries by their names: what is installed of each, and arrays made of NumPy's. The one registry of these."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import cast

import numpy as np
from array_api_compat import array_namespace

from anygrad.backends.libraries._base import Description, Library, in_one_line

__all__ = ["Description", "Library", "describe", "load", "names"]

# From the name of a library, which is also that of its package and of the module here, to what pip calls it.
_REQUIREMENTS = {
    "numpy": "numpy",
    "cupy": "cupy-cuda12x, or cupy-cuda13x for CUDA 13",
    "torch": "torch",
    "jax": "jax",
    "dpnp": "dpnp",
    "dask": "'dask[array]'",
}


def names() -> tuple[str, ...]:
    """Return the names of the libraries of which arrays can be made."""
    return tuple(_REQUIREMENTS)


def load(name: str) -> Library:
    """Import a library.

    Raises
    ------
    ValueError
        If no library is called that.
    ImportError
        If it cannot be used here, with the reason.
    """
    if name not in _REQUIREMENTS:
        raise ValueError(f"no array library is called {name!r} here, but one of {', '.join(names())} was expected")
    found = _found(name)
    obstacle = found if isinstance(found, str) else found.available()
    if isinstance(found, str) or obstacle is not None:
        raise ImportError(f"{name} cannot be used here ({obstacle})")
    return found


def describe(name: str) -> Description:
    """Return what there is of a library here, which is imported for it."""
    found = _found(name)
    if isinstance(found, str):
        return Description(name, obstacle=found)
    try:
        return _described(name, found)
    except Exception as error:  # a library that is not as it was installed may raise anything
        return Description(name, version=found.version(), obstacle=f"it fails: {in_one_line(error)}")


def _described(name: str, library: Library) -> Description:
    if obstacle := library.available():
        return Description(name, version=library.version(), obstacle=obstacle)
    xp = array_namespace(library.asarray(np.zeros(1)))
    return Description(
        name,
        version=library.version(),
        array_api=getattr(xp, "__array_api_version__", None),
        devices=tuple(library.devices()),
    )


def _found(name: str) -> Library | str:
    """Return a library, or the reason why it cannot be imported."""
    if find_spec(name) is None:
        return f"not installed: pip install {_REQUIREMENTS[name]}"
    try:
        return cast(Library, import_module(f"anygrad.backends.libraries.{name}"))
    except Exception as error:  # likewise
        return f"it cannot be imported: {in_one_line(error)}"
