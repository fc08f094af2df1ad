"""A black box for autograd of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anygrad._job import Options
from anygrad._typing import Bounds
from anygrad._validate import require_callable
from anygrad.evaluators import Evaluator, Loop
from anygrad.schemes import Central, Scheme


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
        With ``Loop(in_place=True)`` the tensors of the caller are perturbed themselves, and put back, for an f that
        reads them through a closure; none of them may then share memory with another argument.
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
        If f is no function, or an option is none. When it is called: if f returns anything but numbers. In the
        backward pass: what `numerical_gradient` raises, and whatever f raises.
    NotImplementedError
        If the derivative is differentiated once more: see `hessian` and `hvp` for that.

    Warns
    -----
    ConstantFunctionWarning
        As `numerical_gradient`, in the backward pass.

    Notes
    -----
    The forward pass calls f once, and the backward pass as often as the scheme does for a gradient by the elements of
    those tensors that require one, however many elements f returns: with the default scheme twice for each. It is not
    called if nothing depends on it. Forward mode takes two calls, for real tensors. In float32, gradients are good to
    about five digits; with float64, to ten.

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
    options = Options(scheme, evaluator, bounds)
    try:
        from anygrad.bridges._torch_autograd import TorchFunction  # noqa: PLC0415 - imports PyTorch
    except ImportError as error:
        raise ImportError(
            "torch_function needs PyTorch, which cannot be imported: pip install torch, or install anygrad with"
            ' "[torch]"'
        ) from error
    return TorchFunction(f, options)
