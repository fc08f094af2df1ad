"""Functions known by their values alone, made differentiable for PyTorch and JAX."""

from anygrad.interop.jax import jax_function
from anygrad.interop.torch import torch_function

__all__ = ["jax_function", "torch_function"]
