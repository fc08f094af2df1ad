"""PyTorch in a wider dtype than a function was written for: its matrix products promote nothing by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COMPLEX = (torch.complex32, torch.complex64, torch.complex128)
_CASTS = {
    torch.Tensor.half: torch.float16,
    torch.Tensor.bfloat16: torch.bfloat16,
    torch.Tensor.float: torch.float32,
    torch.Tensor.chalf: torch.complex32,
    torch.Tensor.cfloat: torch.complex64,
}
# These are about the very tensors that they are given, of which a copy has neither the gradient nor the graph.
_AUTOGRAD = {torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward}


@dataclass(frozen=True, eq=False)
class Promoting:
    """A function whose tensors are made as wide as dtype, all of them, and its casts with them."""

    f: Callable[[Any], Any]
    dtype: torch.dtype

    def __call__(self, x: Any) -> Any:
        with _Promotion(self.dtype):
            return self.f(x)


class _Promotion(TorchFunctionMode):  # type: ignore[misc]  # types are checked without PyTorch: it is Any
    """Widens what functions of PyTorch are given and told to return; memory of f's own that they write stays."""

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
