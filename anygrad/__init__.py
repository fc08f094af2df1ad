"""Numerical differentiation of Python functions of arrays, for the arrays of any library."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from anygrad.evaluators import Batch, Loop, Vmap
from anygrad.operators.derivative import derivative, partial_derivative
from anygrad.operators.directional import hvp, jvp
from anygrad.operators.gradient import (
    grad,
    multi_indices,
    numerical_gradient,
    numerical_gradient_1d,
    numerical_gradient_2d,
    value_and_grad,
)
from anygrad.operators.hessian import hessian, laplacian
from anygrad.operators.jacobian import jacobian
from anygrad.problem.result import ConstantFunctionWarning, Result
from anygrad.schemes import Adaptive, Backward, Central, Complex, Forward

if TYPE_CHECKING:
    from anygrad import plot, testing
    from anygrad.check import CheckReport, check_gradient
    from anygrad.evaluators.journal import Journal
    from anygrad.evaluators.pool import Pool
    from anygrad.interop import jax_function, torch_function
    from anygrad.operators.sparse.pattern import sparsity
    from anygrad.operators.vmap import vmap

__version__ = "0.2.0"

__all__ = [
    "Adaptive",
    "Backward",
    "Batch",
    "Central",
    "CheckReport",
    "Complex",
    "ConstantFunctionWarning",
    "Forward",
    "Journal",
    "Loop",
    "Pool",
    "Result",
    "Vmap",
    "check_gradient",
    "derivative",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jax_function",
    "jvp",
    "laplacian",
    "multi_indices",
    "numerical_gradient",
    "numerical_gradient_1d",
    "numerical_gradient_2d",
    "partial_derivative",
    "plot",
    "sparsity",
    "testing",
    "torch_function",
    "value_and_grad",
    "vmap",
]

# Imported when they are asked for: a plain gradient needs none of them. From the name to the module that defines it.
_LAZY = {
    "CheckReport": "anygrad.check",
    "Journal": "anygrad.evaluators.journal",
    "Pool": "anygrad.evaluators.pool",
    "check_gradient": "anygrad.check",
    "jax_function": "anygrad.interop",
    "plot": "anygrad.plot",
    "sparsity": "anygrad.operators.sparse.pattern",
    "testing": "anygrad.testing",
    "torch_function": "anygrad.interop",
    "vmap": "anygrad.operators.vmap",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_LAZY[name])
    value = globals()[name] = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"Any", "TYPE_CHECKING", "import_module"})
