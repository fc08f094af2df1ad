"""PyTorch: on the CPU through the host's memory, elsewhere on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from anygrad.backends.arrays import Indices, complex_copy, extent, overlapping, wide_copy
from anygrad.backends.base import Memory
from anygrad.backends.codec import Codec, Raw, numpy_codec
from anygrad.backends.device import DeviceMemory, chunk_bytes_of
from anygrad.backends.functional import CHUNK_BYTES
from anygrad.backends.host import HostBackend, HostMemory
from anygrad.backends.returned import require_same_device

_CHUNK_BYTES = 2**20  # a call costs more than one of NumPy's

# Whether gradients are recorded, whether inference mode is on, and the dtype of each device that autocast is on for.
_Modes: TypeAlias = tuple[bool, bool, tuple[tuple[str, str | None], ...]]
_DEVICES = ("cpu", "cuda")
_INITIAL: _Modes = (True, False, tuple((device, None) for device in _DEVICES))


class TorchBackend(HostBackend):
    name = "torch"
    cast_example = "{x}.double()"

    def is_array(self, x: object) -> bool:
        return isinstance(x, torch.Tensor)

    def floating(self, x: torch.Tensor) -> bool:
        if x.layout != torch.strided or x.is_nested:
            kind = "nested" if x.is_nested else str(x.layout).removeprefix("torch.")
            raise TypeError(
                f"x is a {kind} tensor, but a dense tensor was expected: write x.to_dense(), or pass its values"
            )
        if not _in_memory(x):
            raise TypeError(
                "x is a tensor without values (on the meta device, or inside torch.func or torch.compile): call anygrad"
                " outside of the transform, with a tensor that has values"
            )
        return bool(x.dtype.is_floating_point or x.dtype.is_complex)

    def memory(self, x: torch.Tensor, *, in_place: bool, rows: bool = False) -> Memory:
        in_place = in_place and self.writable(x)
        array = x if in_place else x.detach().resolve_conj().resolve_neg().clone().requires_grad_(x.requires_grad)
        if self.on_host(x):
            return TorchMemory(self, array, in_place=in_place, rows=rows)
        return TorchDeviceMemory(self, array, in_place=in_place, rows=rows)

    def writable(self, x: torch.Tensor) -> bool:
        return not (x.is_conj() or x.is_neg() or overlapping(x.shape, x.stride()))

    def host(self, x: torch.Tensor) -> NDArray[Any]:
        dense = x.detach().to_dense() if x.layout != torch.strided else x.detach()
        return _memory_of(dense.resolve_conj().resolve_neg().cpu())

    def on_host(self, x: torch.Tensor) -> bool:
        return bool(x.device.type == "cpu")

    def extent(self, x: torch.Tensor) -> tuple[object, int, int]:
        strides = [stride * x.itemsize for stride in x.stride()]
        return x.device, *extent(x.data_ptr(), x.shape, strides, x.itemsize)

    def interleaved(self, x: torch.Tensor, y: torch.Tensor) -> bool:
        if not self.on_host(x) or any(t.is_conj() or t.is_neg() for t in (x, y)):
            return False
        return not np.shares_memory(_memory_of(x.data), _memory_of(y.data))

    def complexified(self, x: torch.Tensor) -> torch.Tensor:
        return complex_copy(x.detach())

    def widened(self, x: torch.Tensor) -> torch.Tensor:
        return wide_copy(x.detach()).requires_grad_(x.requires_grad)

    def promoting(self, f: Callable[[Any], Any], x: torch.Tensor) -> Callable[[Any], Any]:
        return Promoting(f, x.dtype)

    def context(self, x: torch.Tensor) -> AbstractContextManager[object]:
        return torch.cuda.device(x.device) if x.is_cuda else nullcontext()

    def forkable(self, x: torch.Tensor) -> bool:
        return self.on_host(x)

    def vmap(self, f: Callable[[Any], Any], x: torch.Tensor) -> Callable[[Any], Any]:
        on = x.device

        def in_tensor(value: Any) -> torch.Tensor:  # torch's vmap lets no numbers through
            return value if isinstance(value, torch.Tensor) else torch.as_tensor(value, device=on)

        def in_tensors(argument: Any) -> Any:
            value = f(argument)
            return [in_tensor(part) for part in value] if isinstance(value, list) else in_tensor(value)

        many: Callable[[Any], Any] = torch.func.vmap(in_tensors)
        return many

    def pattern(self, x: Any) -> Any:
        if not self.is_array(x):
            return x
        if x.layout == torch.strided or x.dense_dim():
            return (x.detach().to_dense() != 0).cpu().numpy()
        import scipy.sparse  # noqa: PLC0415 - an extra

        entries = x.detach().cpu().to_sparse_coo().coalesce()
        there = np.ones(entries.values().shape[0], bool)
        return scipy.sparse.coo_array((there, entries.indices().numpy()), shape=x.shape)

    def sparse(
        self, values: torch.Tensor, rows: Indices, columns: Indices, shape: tuple[int, int], like: Any
    ) -> torch.Tensor:
        places = torch.from_numpy(np.stack([rows, columns])).to(values.device)
        # COO is the layout that is not in beta. PyTorch 2.11 ignores its own argument check_invariants.
        with torch.sparse.check_sparse_tensor_invariants(enable=False):
            return torch.sparse_coo_tensor(places, values, shape, device=values.device, is_coalesced=True)

    # What a `HostMemory` asks for

    def require_known(self, value: torch.Tensor, memory: HostMemory) -> None:
        require_same_device(value.device, memory.array.device)

    def read(self, value: torch.Tensor) -> Raw:
        tensor = value.detach().resolve_conj().resolve_neg()
        return np.asarray(tensor if tensor.itemsize > 2 else tensor.double())

    def from_host(self, numbers: Raw, memory: HostMemory) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(numbers)).reshape(numbers.shape)
        if numbers.dtype.kind == "b":
            return tensor
        dtype = memory.array.dtype
        return tensor.to(dtype.to_complex() if numbers.dtype.kind == "c" else dtype.to_real())

    def points(self, shape: tuple[int, ...], memory: HostMemory) -> torch.Tensor:
        return torch.empty(shape, dtype=memory.array.dtype, device="cpu")  # whatever the default device is

    def given(self, points: torch.Tensor, memory: HostMemory) -> torch.Tensor:
        return points.requires_grad_() if memory.array.requires_grad else points

    def stored(self, array: torch.Tensor, codec: Codec) -> Raw:
        return _memory_of(array.data).view(codec.storage)

    # Modes

    def modes(self) -> _Modes | None:
        casts = tuple((device, _cast(device)) for device in _DEVICES)
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), casts
        return None if modes == _INITIAL else modes

    def under(self, modes: Any) -> AbstractContextManager[object]:
        grad, inference, casts = modes or _INITIAL
        with ExitStack() as stack:
            if inference != torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(inference))
            # After inference mode, which switches gradients off or on.
            stack.enter_context(torch.set_grad_enabled(grad))
            for device, cast in casts:
                if cast != _cast(device):
                    stack.enter_context(_autocast(device, cast))
            return stack.pop_all()

    def after_fork(self) -> None:
        # OpenMP waits for threads that a forked process does not have. PyTorch's own DataLoader does the same.
        torch.set_num_threads(1)


class TorchMemory(HostMemory):
    """A `HostMemory` that gives a tensor its memory back if f has assigned to its ``.data``."""

    def __init__(self, backend: TorchBackend, array: torch.Tensor, *, in_place: bool, rows: bool) -> None:
        # .data, not .detach(): writes to it do not advance the version counter by which autograd finds stale tensors.
        # Nor should they, as every element is put back.
        self._data = array.data
        self._place = _place(self._data)
        codec = _codec_of(array.dtype)
        stored = backend.stored(array, codec)
        super().__init__(backend, array, stored, codec, in_place=in_place, chunk_bytes=_CHUNK_BYTES, rows=rows)

    def reattach(self) -> bool:
        if _place(self.array.data) == self._place:
            return False
        self.array.data = self._data
        return True


class TorchDeviceMemory(DeviceMemory):
    """A `DeviceMemory` of tensors, without their graphs; it gives a tensor its memory back, as `TorchMemory` does."""

    def __init__(self, backend: TorchBackend, array: torch.Tensor, *, in_place: bool, rows: bool) -> None:
        data = array.data
        self._place = _place(data)
        super().__init__(
            backend,
            array,
            data=data,
            cells=data.view(-1) if data.is_contiguous() else data,
            in_place=in_place,
            rows=rows,
            chunk_bytes=_chunk_bytes(data.device),
        )

    def detached(self, value: Any) -> Any:
        return value.detach() if isinstance(value, torch.Tensor) else value

    def compose(self, real: torch.Tensor, imag: torch.Tensor) -> torch.Tensor:
        return torch.complex(real, imag)

    def hold(self, held: torch.Tensor) -> torch.Tensor:
        return held.clone()

    def given(self, points: torch.Tensor) -> torch.Tensor:
        return points.requires_grad_() if self.array.requires_grad else points

    def reattach(self) -> bool:
        if _place(self.array.data) == self._place:
            return False
        self.array.data = self.data
        return True


@cache
def _chunk_bytes(on: torch.device) -> int:
    return chunk_bytes_of(torch.cuda.get_device_properties(on).total_memory) if on.type == "cuda" else CHUNK_BYTES


def _place(x: torch.Tensor) -> tuple[object, ...]:
    """Return the attributes of a tensor's data that differ once it has another memory or layout."""
    return x.data_ptr(), x.shape, x.stride(), x.dtype


def _in_memory(x: torch.Tensor) -> bool:
    try:
        return x.device.type != "meta" and (not x.numel() or x.data.data_ptr() != 0)
    except (RuntimeError, ValueError):
        return False


# The dtypes that NumPy lacks


def _memory_of(data: torch.Tensor) -> NDArray[Any]:
    """Return the memory of a CPU tensor, as integers if NumPy lacks its dtype."""
    try:
        return np.asarray(data)
    except TypeError:
        return np.asarray(data.view(_integers(data.dtype)))


def _integers(dtype: torch.dtype) -> torch.dtype:
    try:
        return {1: torch.uint8, 2: torch.int16}[dtype.itemsize]
    except KeyError:
        raise TypeError(f"x has the dtype {dtype}, which NumPy does not have: pass x.to(torch.complex64)") from None


@cache
def _codec_of(dtype: torch.dtype) -> Codec:
    try:
        return numpy_codec(np.asarray(torch.empty(0, dtype=dtype, device="cpu")).dtype)
    except TypeError:
        return _small_codec(dtype)


def _small_codec(dtype: torch.dtype) -> Codec:
    """Return the codec of bfloat16 or an 8-bit format, whose bits are kept as integers."""
    integers = _integers(dtype)
    storage = np.dtype(f"u{dtype.itemsize}")
    limits = torch.finfo(dtype)

    def decode(raw: Raw) -> Raw:
        bits = torch.from_numpy(raw.view(f"i{dtype.itemsize}" if integers is torch.int16 else storage))
        return np.asarray(bits.view(dtype).double())

    def rounded(numbers: Raw) -> torch.Tensor:
        return torch.from_numpy(np.array(numbers, order="C")).to(dtype)

    def encode(numbers: Raw) -> Raw:
        return np.asarray(rounded(numbers).view(integers)).view(storage)

    def nearest(numbers: Raw) -> Raw:
        return np.asarray(rounded(numbers).double())

    tiny = limits.smallest_normal * limits.eps
    working = np.dtype(np.float64)
    return Codec(working, working, storage, decode, encode, nearest, limits.eps, tiny)


# Modes


def _cast(device: str) -> str | None:
    if not torch.is_autocast_enabled(device):
        return None
    return str(torch.get_autocast_dtype(device)).removeprefix("torch.")


def _autocast(device: str, cast: str | None) -> Any:
    if cast is None:
        return torch.autocast(device, enabled=False)
    return torch.autocast(device, dtype=getattr(torch, cast))


# Promotion: PyTorch's matrix products do not promote dtypes by themselves.

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COMPLEX = (torch.complex32, torch.complex64, torch.complex128)
_CASTS = {
    torch.Tensor.half: torch.float16,
    torch.Tensor.bfloat16: torch.bfloat16,
    torch.Tensor.float: torch.float32,
    torch.Tensor.chalf: torch.complex32,
    torch.Tensor.cfloat: torch.complex64,
}
# These need the tensors themselves: a copy has neither the gradient nor the graph.
_AUTOGRAD = {torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward}


@dataclass(frozen=True, eq=False)
class Promoting:
    """f with every tensor narrower than dtype widened, even where f casts to a narrower dtype."""

    f: Callable[[Any], Any]
    dtype: torch.dtype

    def __call__(self, x: Any) -> Any:
        with _Promotion(self.dtype):
            return self.f(x)


class _Promotion(TorchFunctionMode):  # type: ignore[misc]  # types are checked without PyTorch: it is Any
    """Widens the arguments and results of PyTorch's functions. A tensor of f's own that is written keeps its dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        real, composed = dtype.to_real(), dtype.to_complex()
        self._wider = {narrow: real for narrow in _REAL if narrow.itemsize < real.itemsize}
        self._wider |= {narrow: composed for narrow in _COMPLEX if narrow.itemsize < composed.itemsize}

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in {"__get__", "__set__"} or func in _AUTOGRAD:
            return func(*args, **kwargs)
        if func in _CASTS:
            return args[0].to(self._wider.get(_CASTS[func], _CASTS[func]), **kwargs)
        written = 1 if _writes(name) else 0
        args = (*args[:written], *map(self._widened, args[written:]))
        kwargs = {key: value if key == "out" else self._widened(value) for key, value in kwargs.items()}
        return func(*args, **kwargs) if written else self._widened(func(*args, **kwargs))

    def _widened(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            wider = self._wider.get(value.dtype)
            return value if wider is None else value.to(wider)
        if isinstance(value, torch.dtype):
            return self._wider.get(value, value)
        if type(value) in {list, tuple}:
            return type(value)(map(self._widened, value))
        return value


def _writes(name: str) -> bool:
    """Return whether the function of this name, such as add_, __iadd__ or __setitem__, writes its first argument."""
    if name.startswith("__"):
        return name == "__setitem__" or name.startswith("__i")
    return name.endswith("_")


BACKEND = TorchBackend()
