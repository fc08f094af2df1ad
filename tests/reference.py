"""The reference: the numerical gradients of *Deep Learning from Scratch*, in NumPy, as the book describes them."""

from __future__ import annotations

import numpy as np

H = 1e-4


def numerical_gradient_1d(f, x, h=H):
    """Differentiate f at one sample."""
    grad = np.zeros_like(x)
    for idx in range(x.size):
        tmp_val = x[idx]
        x[idx] = float(tmp_val) + h
        fxh1 = f(x)
        x[idx] = tmp_val - h
        fxh2 = f(x)
        grad[idx] = (fxh1 - fxh2) / (2 * h)
        x[idx] = tmp_val
    return grad


def numerical_gradient_2d(f, X, h=H):
    """Differentiate f at each row of a batch."""
    if X.ndim == 1:
        return numerical_gradient_1d(f, X, h)
    grad = np.zeros_like(X)
    for idx, x in enumerate(X):
        grad[idx] = numerical_gradient_1d(f, x, h)
    return grad


def numerical_gradient(f, x, h=H):
    """Differentiate f by each element of x, whatever the number of dimensions."""
    grad = np.zeros_like(x)
    it = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
    while not it.finished:
        idx = it.multi_index
        tmp_val = x[idx]
        x[idx] = float(tmp_val) + h
        fxh1 = f(x)
        x[idx] = tmp_val - h
        fxh2 = f(x)
        grad[idx] = (fxh1 - fxh2) / (2 * h)
        x[idx] = tmp_val
        it.iternext()
    return grad
