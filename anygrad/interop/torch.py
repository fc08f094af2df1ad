"""f as a function that PyTorch's autograd can differentiate."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anygrad._typing import Bounds
from anygrad.evaluators import Evaluator, Loop
from anygrad.interop._products import Arguments, Restriction, jvp, no_second_derivative, numbers_of, vjp
from anygrad.operators.gradient import call_repr
from anygrad.problem.options import Options, require_callable
from anygrad.problem.tree import flatten
from anygrad.schemes import Central, Scheme

if TYPE_CHECKING:
    import torch

Tensors = Sequence["torch.Tensor"]


def torch_function(
    f: Callable[..., Any],
    *,
    scheme: Scheme = Central(),
    evaluator: Evaluator = Loop(in_place=False),
    bounds: Bounds = None,
) -> Callable[..., Any]:
    """Return f as a function that autograd of PyTorch can differentiate, whatever f does inside.

    Parameters
    ----------
    f
        Function of tensors that returns a number, a list of numbers, a NumPy array or a tensor, of any shape. It need
        not be written in PyTorch. It is given copies of its tensors that do not require gradients, under
        ``torch.no_grad()``; all other arguments as they are. It must use its arguments, return the same for the same
        ones, and leave them alone. Tensors may also be in dicts, lists, tuples and dataclasses.
    scheme, evaluator
        As in `numerical_gradient`. With `Batch`, all tensors have a leading axis, in the forward pass one of length 1.
        With ``Loop(in_place=True)`` the caller's own tensors are perturbed and put back, for an f that reads them
        through a closure; none of them may then share memory with another argument.
    bounds
        ``(lower, upper)``, each None, a number or array for all tensors, or a tuple with one of these for each
        tensor among the arguments, in their order.

    Returns
    -------
    callable
        A function of the same arguments that returns a tensor: what f returns, if that is a tensor; and otherwise
        one on the device, and of the dtype, of the tensors among the arguments. It can be pickled if f can.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError, ValueError
        If f is not a function, or an option is wrong. When it is called: if f returns anything but numbers. In the
        backward pass: what `numerical_gradient` raises, and whatever f raises.
    NotImplementedError
        If the derivative is differentiated once more: see `hessian` and `hvp` for that.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`, in the backward pass.

    See Also
    --------
    jax_function : the same for JAX.

    Notes
    -----
    The forward pass calls f once. The backward pass calls it as often as the scheme does for a gradient with respect
    to the tensors that require one, however many elements f returns: with the default scheme twice for each element.
    f is not called if nothing depends on it. Forward mode takes two calls, for real tensors. In float32, gradients are
    good to about five digits; in float64, to ten.

    ``torch.func.grad``, ``vjp`` and ``jvp`` work; under ``torch.func.vmap``, f is called at one point after the other.
    What f reads besides its arguments counts as constant.

    Examples
    --------
    >>> import math
    >>> import anygrad
    >>> import torch
    >>> simulate = anygrad.torch_function(lambda x: math.sin(x[0]) * math.exp(x[1]))
    >>> x = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    >>> loss = simulate(x) ** 2 + simulate(x)
    >>> loss.backward()
    >>> x.grad
    tensor([2.7183, 0.0000], dtype=torch.float64)
    """
    require_callable(f)
    options = Options("torch_function", scheme, evaluator, bounds)
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError("torch_function needs PyTorch, which cannot be imported: pip install torch") from error
    return TorchFunction(f, options)


class TorchFunction:
    """f, differentiable by autograd."""

    def __init__(self, f: Callable[..., Any], options: Options) -> None:
        self._f = f
        self._options = options
        functools.update_wrapper(self, f, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return f's value; autograd records it as one operation."""
        tensors, arguments = _tensors_of(args, kwargs)
        return _value_function().apply(Call(self._f, self._options, arguments), *tensors)

    def __repr__(self) -> str:
        options = self._options
        given = {"scheme": options.scheme, "evaluator": options.evaluator, "bounds": options.bounds}
        return call_repr("torch_function", self._f, given)

    def __reduce__(self) -> tuple[type[TorchFunction], tuple[Any, ...]]:
        return TorchFunction, (self._f, self._options)


@dataclass(frozen=True, eq=False)
class Call:
    """A call of f without its tensors; ``places`` says with respect to which of them it is differentiated."""

    f: Callable[..., Any]
    options: Options
    arguments: Callable[[Tensors], Arguments]
    places: tuple[int, ...] = ()

    def value(self, tensors: Tensors) -> torch.Tensor:
        """Return what f returns, as a tensor that shares no memory with anything of f's."""
        import torch

        own = [tensor.detach().clone() for tensor in tensors]
        restriction = replace(self, places=tuple(range(len(own)))).restriction(own)
        returned = restriction.value()
        value = _tensor_of(returned)
        value = value[0] if restriction.leading else value
        if isinstance(returned, torch.Tensor):
            return value.clone()
        dtype = _common_dtype(own)
        return value.to(_device(own), dtype.to_complex() if value.is_complex() else dtype.to_real())

    def restriction(self, tensors: Tensors) -> Restriction:
        """Return f as a function of the tensors with respect to which it is differentiated."""
        # Detached, and not copied: an evaluator that perturbs in place is to perturb the caller's own.
        own = [tensor.detach() for tensor in tensors]
        read = functools.partial(_wide, device=_device(own))
        return Restriction(self.f, self.options.evaluator.leading, own, self.places, self.arguments, read)

    def vjp(self, weights: torch.Tensor, tensors: Tensors) -> tuple[torch.Tensor, ...]:
        """Return the product of weights with f's Jacobian."""
        # Autograd's gradient of a real function of complex numbers, like ours, is d/d(Re x) + i·d/d(Im x).
        wide = _wide(weights.detach().conj(), device=_device(tensors))
        return vjp(self.restriction(tensors), wide, self.options)

    def jvp(self, tensors: Tensors, tangents: Tensors) -> torch.Tensor:
        """Return the product of f's Jacobian with tangents."""
        return jvp(self.restriction(tensors), [tangent.detach() for tangent in tangents], self.options)


@functools.cache
def _value_function() -> Any:
    """Return the autograd function of f's value. Its class needs PyTorch, which `import anygrad` must not import."""
    import torch

    class Operation(torch.autograd.Function):  # type: ignore[misc]  # PyTorch's classes are Any here
        @classmethod
        def vmap(cls, info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
            """Apply the operation to one element of a batch after the other."""
            pairs = list(zip(args, in_dims, strict=True))
            results = [
                cls.apply(*(arg if dim is None else arg.select(dim, i) for arg, dim in pairs))
                for i in range(info.batch_size)
            ]
            if isinstance(results[0], torch.Tensor):
                return torch.stack(results), 0
            columns = tuple(torch.stack(column) for column in zip(*results, strict=True))
            return columns, (0,) * len(columns)

    class Product(Operation):
        """A first derivative. It is a function of autograd itself, for transforms to see that it cannot be derived."""

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            pass

        @staticmethod
        def backward(ctx: Any, *_: torch.Tensor | None) -> None:
            raise no_second_derivative("torch_function")

        jvp = backward

    class Vjp(Product):
        @staticmethod
        def forward(call: Call, weights: torch.Tensor, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return call.vjp(weights, tensors)

    class Jvp(Product):
        @staticmethod
        def forward(call: Call, *tensors: torch.Tensor) -> torch.Tensor:
            count = len(tensors) - len(call.places)
            return call.jvp(tensors[:count], tensors[count:])

    class Value(Operation):
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
            needed = ctx.needs_input_grad[1:]
            gradients = iter(Vjp.apply(replace(ctx.call, places=_where(needed)), weights, *ctx.saved_tensors))
            return None, *(next(gradients) if own else None for own in needed)

        @staticmethod
        def jvp(ctx: Any, _: None, *tangents: torch.Tensor | None) -> torch.Tensor:
            given = [tangent for tangent in tangents if tangent is not None]
            call = replace(ctx.call, places=_where([tangent is not None for tangent in tangents]))
            return Jvp.apply(call, *ctx.saved_tensors, *given).to(ctx.dtype)

    return Value


def _where(flags: Sequence[bool]) -> tuple[int, ...]:
    return tuple(place for place, flag in enumerate(flags) if flag)


def _tensors_of(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[torch.Tensor], Callable[[Tensors], Arguments]]:
    """Return the tensors among the arguments, and a function that puts others in their places."""
    import torch

    trees = [flatten(argument) for argument in (*args, *kwargs.values())]
    tensors = [leaf for tree in trees for leaf in tree.leaves if isinstance(leaf, torch.Tensor)]
    # Without the tensors, which are not to be held.
    leaves = [[torch.Tensor if isinstance(leaf, torch.Tensor) else leaf for leaf in tree.leaves] for tree in trees]
    rebuilds, names = [tree.rebuild for tree in trees], tuple(kwargs)

    def arguments(others: Tensors) -> Arguments:
        left = iter(others)
        made = [
            rebuild([next(left) if leaf is torch.Tensor else leaf for leaf in own])
            for rebuild, own in zip(rebuilds, leaves, strict=True)
        ]
        count = len(made) - len(names)
        return made[:count], dict(zip(names, made[count:], strict=True))

    return tensors, arguments


def _tensor_of(returned: object) -> torch.Tensor:
    """Return f's result as a tensor; of float64 or complex128, if it was not one."""
    import torch

    if not isinstance(returned, torch.Tensor):
        return torch.from_numpy(numbers_of(returned))
    if not (returned.is_floating_point() or returned.is_complex()):
        raise TypeError(
            f"f returned a tensor of dtype {returned.dtype}, but autograd differentiates only floating and complex"
            " ones: return y.to(x.dtype), for example"
        )
    return returned.detach()


def _wide(returned: object, *, device: torch.device) -> torch.Tensor:
    import torch

    tensor = _tensor_of(returned)
    return tensor.to(device, torch.complex128 if tensor.is_complex() else torch.float64)


def _common_dtype(tensors: Tensors) -> torch.dtype:
    import torch

    dtypes = [tensor.dtype for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    return functools.reduce(torch.promote_types, dtypes) if dtypes else torch.get_default_dtype()


def _device(tensors: Tensors) -> torch.device:
    import torch

    floating = [tensor for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    return next((tensor.device for tensor in (*floating, *tensors)), torch.device("cpu"))
