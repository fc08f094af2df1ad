"""Array libraries by name, for the command line: which are installed, and how to make their arrays from NumPy's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from anygrad._typing import Array


@dataclass(frozen=True)
class Description:
    """The state of a library on this machine. ``obstacle`` says in one line why it cannot be used; None if it can."""

    name: str
    version: str | None = None
    array_api: str | None = None  # the version of the standard that anygrad uses with it
    devices: tuple[str, ...] = ()  # by the library's names, with the model in brackets: cuda:0 (model)
    obstacle: str | None = None


def _cupy_devices(cupy: Any) -> Sequence[str]:
    runtime = cupy.cuda.runtime
    if not runtime.driverGetVersion():
        raise RuntimeError("no CUDA driver is installed")
    return [f"cuda:{i} ({runtime.getDeviceProperties(i)['name'].decode()})" for i in range(runtime.getDeviceCount())]


def _torch_devices(torch: Any) -> Sequence[str]:
    names = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    return ["cpu", *names, *(["mps"] if torch.backends.mps.is_available() else [])]


def _jax_devices(jax: Any) -> Sequence[str]:
    kinds = [(f"{device.platform}:{device.id}", device.device_kind, device.platform) for device in jax.devices()]
    return [name if kind == platform else f"{name} ({kind})" for name, kind, platform in kinds]


def _dpnp_devices(dpnp: Any) -> Sequence[str]:
    return [f"{device.filter_string} ({device.name})" for device in import_module("dpctl").get_devices()]


# For the name of each library, and of its package: the requirement for pip, the module to import, a function that
# copies an array of NumPy's, and one that lists the devices.
_LIBRARIES: dict[str, tuple[str, str, Callable[[Any, Any], Any], Callable[[Any], Sequence[str]]]] = {
    "numpy": ("numpy", "numpy", lambda numpy, x: numpy.array(x, order="K"), lambda _: ["cpu"]),
    "cupy": ("cupy-cuda12x, or cupy-cuda13x for CUDA 13", "cupy", lambda cupy, x: cupy.array(x), _cupy_devices),
    # Not from_numpy: tensor() heeds torch.set_default_device. It refuses negative strides.
    "torch": ("torch", "torch", lambda torch, x: torch.tensor(np.asarray(x, order="C")), _torch_devices),
    # float64 becomes float32, unless jax_enable_x64 is set.
    "jax": ("jax", "jax.numpy", lambda jax, x: jax.numpy.array(x), _jax_devices),
    "dpnp": ("dpnp", "dpnp", lambda dpnp, x: dpnp.array(x), _dpnp_devices),
    "dask": ("'dask[array]'", "dask.array", lambda dask, x: dask.array.from_array(x.copy()), lambda _: ["cpu"]),
}


def names() -> tuple[str, ...]:
    """Return the names of the libraries whose arrays can be made."""
    return tuple(_LIBRARIES)


def load(name: str) -> Callable[[NDArray[Any]], Array]:
    """Return a function that copies an array of NumPy's to a library's default device, in the same dtype if possible.

    Raises
    ------
    ValueError, ImportError
        If no library has this name, or it cannot be used here.
    """
    if name not in _LIBRARIES:
        raise ValueError(f"the array library is {name!r}, but one of {', '.join(names())} was expected")
    if obstacle := describe(name).obstacle:
        raise ImportError(f"{name} cannot be used here ({obstacle})")
    return partial(_LIBRARIES[name][2], sys.modules[name])


def describe(name: str) -> Description:
    """Import a library, and return its state on this machine."""
    requirement, needed, asarray, devices = _LIBRARIES[name]
    version = None
    with _without_current_folder():
        try:
            if find_spec(name) is None:
                return Description(name, obstacle=f"not installed: pip install {requirement}")
            import_module(needed)
            module = import_module(name)
            version = getattr(module, "__version__", None)
            if not (found := tuple(devices(module))):
                raise RuntimeError("no device is found")
            standard = getattr(array_namespace(asarray(module, np.zeros(1))), "__array_api_version__", None)
        except (Exception, SystemExit) as error:  # a broken installation, or a program of that name, may raise anything
            why = next(iter(str(error).strip().splitlines()), type(error).__name__)
            return Description(name, version, obstacle=f"it fails: {why}")
    return Description(name, version, standard, found)


@contextmanager
def _without_current_folder() -> Iterator[None]:
    """Import nothing from the current folder, which comes first for a command line: a torch.py there is the user's."""
    before = list(sys.path)
    with suppress(OSError):  # the folder may be gone
        here = os.path.realpath(os.getcwd())
        while sys.path and os.path.realpath(sys.path[0] or here) == here:
            del sys.path[0]
    removed = before[: len(before) - len(sys.path)]
    try:
        yield
    finally:
        sys.path[:0] = removed
