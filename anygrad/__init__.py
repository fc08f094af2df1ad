"""Numerical differentiation of Python functions of arrays, on whatever array library the array came from."""

from anygrad import plot
from anygrad._check import check_gradient
from anygrad._checking.report import CheckReport
from anygrad._derivative import derivative
from anygrad._directional import hvp, jvp
from anygrad._gradient import numerical_gradient, numerical_gradient_1d, numerical_gradient_2d
from anygrad._hessian import hessian, laplacian
from anygrad._indices import multi_indices
from anygrad._jacobian import jacobian
from anygrad._result import ConstantFunctionWarning, Result
from anygrad.bridges import grad, jax_function, torch_function
from anygrad.evaluators import Batch, Journal, Loop, Pool, Vmap
from anygrad.schemes import Adaptive, Backward, Central, Complex, Forward

__version__ = "0.1.0"

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
    "plot",
    "torch_function",
]
