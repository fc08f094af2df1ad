"""What `torch_function` makes: autograd's functions, each of which calls f on the numbers of tensors alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from anygrad._job import Options
from anygrad._pytree import flatten
from anygrad.bridges._named import written
from anygrad.bridges._opaque import Arguments, Section, directional, numbers_of, transposed


class TorchFunction:
    """f, differentiable by autograd."""

    def __init__(self, f: Callable[..., Any], options: Options) -> None:
        self._f = f
        self._options = options
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        tensors, arguments = _taken_apart(args, kwargs)
        return Value.apply(Call(self._f, self._options, arguments), *tensors)

    def __repr__(self) -> str:
        options = self._options
        given = {"scheme": options.scheme, "evaluator": options.evaluator, "bounds": options.bounds}
        return written("torch_function", self._f, given)

    def __reduce__(self) -> tuple[type[TorchFunction], tuple[Any, ...]]:
        return TorchFunction, (self._f, self._options)


@dataclass(frozen=True, eq=False)
class Call:
    """A call of f, but for the tensors among its arguments; ``places`` are those that it is differentiated by."""

    f: Callable[..., Any]
    options: Options
    arguments: Callable[[Sequence[torch.Tensor]], Arguments]
    places: tuple[int, ...] = ()

    def value(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return what f returns, as a tensor that shares no memory with anything of f's."""
        own = [tensor.detach().clone() for tensor in tensors]
        section = replace(self, places=tuple(range(len(own)))).section(own)
        returned = section.returned([tensor[None] for tensor in own] if section.leading else own)
        value = _tensor_of(returned)
        value = value[0] if section.leading else value
        if isinstance(returned, torch.Tensor):
            return value.clone()
        dtype = _common_dtype(own)
        dtype = dtype.to_complex() if value.is_complex() else dtype.to_real()
        return value.to(_device(own), dtype)

    def section(self, tensors: Sequence[torch.Tensor]) -> Section:
        """Return f as a function of the tensors that it is differentiated by."""
        # Detached, and not copied: an evaluator that perturbs in place is to perturb what the caller has.
        own = [tensor.detach() for tensor in tensors]
        read = functools.partial(_wide, device=_device(own))
        return Section(self.f, self.options, own, self.places, self.arguments, read)


class Value(torch.autograd.Function):  # type: ignore[misc]  # PyTorch's classes are Any here
    """f's value."""

    @staticmethod
    def forward(call: Call, *tensors: torch.Tensor) -> torch.Tensor:
        return call.value(tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        call, *tensors = inputs
        ctx.call, ctx.dtype = call, output.dtype
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, weights: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        wanted = ctx.needs_input_grad[1:]
        call = replace(ctx.call, places=_places(wanted))
        gradients = iter(Transposed.apply(call, weights, *ctx.saved_tensors))
        return None, *(next(gradients) if needed else None for needed in wanted)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: torch.Tensor | None) -> torch.Tensor:
        given = [tangent for tangent in tangents if tangent is not None]
        call = replace(ctx.call, places=_places([tangent is not None for tangent in tangents]))
        return Directional.apply(call, *ctx.saved_tensors, *given).to(ctx.dtype)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[torch.Tensor, int]:
        return torch.stack(list(_one_by_one(Value, info, in_dims, args))), 0


class Transposed(torch.autograd.Function):  # type: ignore[misc]  # as above
    """The product of weights with f's Jacobian: a function, too, so that transforms find their way into it."""

    @staticmethod
    def forward(call: Call, weights: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # Autograd's gradient of a real function of complex numbers, like ours, is d/d(Re x) + i·d/d(Im x).
        wide = _wide(weights.detach().conj(), device=_device(tensors))
        return transposed(call.section(tensors), wide)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> None:
        raise _no_second_derivative()

    @staticmethod
    def jvp(ctx: Any, *_: torch.Tensor | None) -> None:
        raise _no_second_derivative()

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[tuple[torch.Tensor, ...], tuple[int, ...]]:
        columns = zip(*_one_by_one(Transposed, info, in_dims, args), strict=True)
        gradients = tuple(torch.stack(column) for column in columns)
        return gradients, (0,) * len(gradients)


class Directional(torch.autograd.Function):  # type: ignore[misc]  # as above
    """The product of f's Jacobian with tangents."""

    @staticmethod
    def forward(call: Call, *tensors: torch.Tensor) -> torch.Tensor:
        count = len(tensors) - len(call.places)
        tangents = [tangent.detach() for tangent in tensors[count:]]
        derivative: torch.Tensor = directional(call.section(tensors[:count]), tangents)
        return derivative

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: torch.Tensor) -> None:
        raise _no_second_derivative()

    @staticmethod
    def jvp(ctx: Any, *_: torch.Tensor | None) -> None:
        raise _no_second_derivative()

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[torch.Tensor, int]:
        return torch.stack(list(_one_by_one(Directional, info, in_dims, args))), 0


def _one_by_one(function: Any, info: Any, in_dims: tuple[Any, ...], args: tuple[Any, ...]) -> Iterator[Any]:
    """Apply a function to each element of a batch."""
    for i in range(info.batch_size):
        own = [arg if dim is None else arg.select(dim, i) for arg, dim in zip(args, in_dims, strict=True)]
        yield function.apply(*own)


def _places(wanted: Sequence[bool]) -> tuple[int, ...]:
    return tuple(place for place, is_wanted in enumerate(wanted) if is_wanted)


def _taken_apart(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[torch.Tensor], Callable[[Sequence[torch.Tensor]], Arguments]]:
    """Return the tensors among the arguments, and what puts others in their places."""
    tensors: list[torch.Tensor] = []
    rebuilds = [_opened(argument, tensors) for argument in (*args, *kwargs.values())]
    count, names = len(args), tuple(kwargs)

    def arguments(others: Sequence[torch.Tensor]) -> Arguments:
        made = [rebuild(others) for rebuild in rebuilds]
        return made[:count], dict(zip(names, made[count:], strict=True))

    return tensors, arguments


def _opened(argument: Any, tensors: list[torch.Tensor]) -> Callable[[Sequence[torch.Tensor]], Any]:
    """Add an argument's tensors to others, and return what makes it again of such tensors, without holding them."""
    leaves, rebuild = flatten(argument)
    places = dict[int, int]()
    for position, (_, leaf) in enumerate(leaves):
        if isinstance(leaf, torch.Tensor):
            places[position] = len(tensors)
            tensors.append(leaf)
    if not places:
        return lambda _: argument  # itself, whatever it is
    others = [None if isinstance(leaf, torch.Tensor) else leaf for _, leaf in leaves]
    return lambda given: rebuild(
        given[places[position]] if position in places else other for position, other in enumerate(others)
    )


def _tensor_of(returned: object) -> torch.Tensor:
    """Return what f returned as a tensor: of float64 or complex128, if it was none."""
    if not isinstance(returned, torch.Tensor):
        return torch.from_numpy(numbers_of(returned))
    if not (returned.is_floating_point() or returned.is_complex()):
        raise TypeError(
            f"f returned a tensor of dtype {returned.dtype}, through which autograd has no derivative: return a"
            " floating one, as in y.to(x.dtype)"
        )
    return returned.detach()


def _wide(returned: object, *, device: torch.device) -> torch.Tensor:
    tensor = _tensor_of(returned)
    return tensor.to(device, torch.complex128 if tensor.is_complex() else torch.float64)


def _common_dtype(tensors: Sequence[torch.Tensor]) -> torch.dtype:
    dtypes = [tensor.dtype for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    return functools.reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()


def _device(tensors: Sequence[torch.Tensor]) -> torch.device:
    floating = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    return next((tensor.device for tensor in (*floating, *tensors)), torch.device("cpu"))


def _no_second_derivative() -> NotImplementedError:
    return NotImplementedError(
        "a function made by torch_function was differentiated twice, but only its first derivative is there: use"
        " anygrad.hessian(f, x) or anygrad.hvp(f, x, v), or, if the derivative itself is all that is wanted,"
        " create_graph=False"
    )
