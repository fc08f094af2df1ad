"""The array libraries as the tests use them: how to make an array, read it back, and what each can do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Array = Any
REAL = ("float32", "float64")
COMPLEX = ("complex64", "complex128")


@dataclass(frozen=True)
class Library:
    """One array library on one device.

    ``asarray`` makes an array of the named dtype from NumPy's; ``numpy`` reads any array or scalar of the library back.
    ``slow`` says that an operation takes so long, or so long to compile, that not all combinations are tried;
    ``compiled`` makes one operation of a function, where that takes less time than all of its operations.
    """

    name: str
    xp: Any
    asarray: Callable[[np.ndarray, str], Array]
    numpy: Callable[[Array], np.ndarray]
    real: tuple[str, ...] = REAL
    complex: tuple[str, ...] = COMPLEX
    writable: bool = True
    lazy: bool = False
    slow: bool = False
    strides: bool = True
    negative_strides: bool = True
    complex_powers: bool = True  # whether those of numbers left of the imaginary axis keep their imaginary part
    compiled: Callable[[Any], Any] = lambda f: f
    device: Any = None
    other_device: Callable[[], Array] | None = None

    def __repr__(self) -> str:
        return self.name

    def bits(self, x: Array) -> bytes:
        """Return the memory of x, in C order."""
        if self.name.startswith("torch"):
            flat = x.detach().cpu().reshape(-1)
            x = flat.new_empty(flat.shape).copy_(flat).view(self.xp.uint8) if flat.numel() else flat
        elif self.name == "cupy":
            x = x.get()
        elif self.name == "dpnp":
            x = x.asnumpy()
        elif self.name.startswith("strict"):
            x = x.to_device(self.xp.Device("CPU_DEVICE"))
        return np.asarray(x).tobytes()


def _numpy() -> Library:
    import array_api_compat.numpy as xp

    return Library(
        "numpy",
        xp,
        lambda a, dtype: np.array(a, dtype=dtype, order="K"),
        np.asarray,
        real=("float16", "float32", "float64", "longdouble"),
        complex=("complex64", "complex128", "clongdouble"),
    )


def _torch_on(device: str) -> Library:
    import array_api_compat.torch as xp
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no CUDA device")

    def asarray(a: np.ndarray, dtype: str) -> Array:
        return (
            torch.as_tensor(np.ascontiguousarray(a), device=device).reshape(a.shape).to(getattr(torch, dtype)).clone()
        )

    def numpy(x: Array) -> np.ndarray:
        wide = torch.complex128 if torch.is_tensor(x) and x.is_complex() else torch.float64
        return torch.as_tensor(x).detach().resolve_conj().resolve_neg().cpu().to(wide).numpy()

    return Library(
        "torch" if device == "cpu" else f"torch-{device}",
        xp,
        asarray,
        numpy,
        real=("float16", "bfloat16", *REAL),
        negative_strides=False,
        slow=device != "cpu",
        device=torch.device(device),
        other_device=(lambda: torch.ones((), device="meta")) if device == "cpu" else (lambda: torch.ones(())),
    )


def _jax() -> Library:
    import jax
    import jax.numpy as jnp

    wide = jax.config.jax_enable_x64

    def numpy(x: Array) -> np.ndarray:
        x = np.asarray(x)
        return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)

    return Library(
        "jax",
        jnp,
        lambda a, dtype: jnp.array(a, dtype=dtype),
        numpy,
        real=("float16", "bfloat16", "float32", *(("float64",) if wide else ())),
        complex=("complex64", *(("complex128",) if wide else ())),
        writable=False,
        slow=True,
        strides=False,
        compiled=jax.jit,
    )


def _dask() -> Library:
    import array_api_compat.dask.array as xp
    import dask
    import dask.array as da

    dask.config.set(scheduler="synchronous")  # tasks this small are slower in threads

    def asarray(a: np.ndarray, dtype: str) -> Array:
        a = np.array(a, dtype=dtype)
        return da.from_array(a, chunks=tuple(max(1, (length + 1) // 2) for length in a.shape))

    def numpy(x: Array) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # what is lazy computes, and warns, only now
            return np.asarray(x.compute() if hasattr(x, "compute") else x)

    return Library(
        "dask",
        xp,
        asarray,
        numpy,
        real=("float16", *REAL),
        writable=False,
        lazy=True,
        slow=True,
    )


def _strict_on(name: str, device: str) -> Library:
    import array_api_strict as xp

    on = xp.Device(device)
    elsewhere = xp.Device("device2")

    return Library(
        name,
        xp,
        lambda a, dtype: xp.asarray(np.array(a), dtype=getattr(xp, dtype), device=on),
        lambda x: np.asarray(xp.asarray(x).to_device(xp.Device("CPU_DEVICE")) if hasattr(x, "to_device") else x),
        slow=True,
        device=on,
        other_device=lambda: xp.ones((), device=elsewhere),
    )


def _cupy() -> Library:
    import array_api_compat.cupy as xp
    import cupy

    cupy.empty(0)
    real = ("float16", *REAL)
    return Library("cupy", xp, lambda a, dtype: cupy.array(a, dtype=dtype), cupy.asnumpy, real=real, slow=True)


def _dpnp() -> Library:
    # The OpenCL runtime for CPUs comes with dpnp's wheels, but is found only if named before the import.
    runtime = Path(sys.prefix, "lib", "libintelocl.so")
    if runtime.exists():
        os.environ.setdefault("OCL_ICD_FILENAMES", str(runtime))
    # By default it stops for ever now and then: see docs/array-libraries.md.
    os.environ.setdefault("SYCL_QUEUE_THREAD_POOL_SIZE", "64")
    import dpnp

    dpnp.empty(0)
    return Library(
        "dpnp", dpnp, lambda a, dtype: dpnp.array(a, dtype=dtype), dpnp.asnumpy, complex_powers=False, slow=True
    )


# From what --backend takes to the libraries that it stands for.
LIBRARIES: dict[str, tuple[Callable[[], Library], ...]] = {
    "numpy": (_numpy,),
    "torch": (partial(_torch_on, "cpu"),),
    "torch-cuda": (partial(_torch_on, "cuda"),),
    "jax": (_jax,),
    "dask": (_dask,),
    "strict": (partial(_strict_on, "strict", "CPU_DEVICE"), partial(_strict_on, "strict-device1", "device1")),
    "cupy": (_cupy,),
    "dpnp": (_dpnp,),
}
