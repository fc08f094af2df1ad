"""Bridges: numerical derivatives for those who ask for derivatives by themselves, optimisers and autograd."""

from anygrad.bridges._grad import grad
from anygrad.bridges._jax_function import jax_function
from anygrad.bridges._torch_function import torch_function

__all__ = ["grad", "jax_function", "torch_function"]
