"""Functions whose values are not as exact as their dtype: noise, float32 on the way, printed digits, cancellation."""

from __future__ import annotations

import hashlib

import numpy as np

W = np.random.default_rng(1).normal(size=(6, 6))
SIX = [np.random.default_rng(seed).normal(size=6) for seed in range(12)]


def noise(x, seed=0):
    """Return a number between 0 and 1 that looks random, and is the same for the same x."""
    digest = hashlib.blake2b(np.ascontiguousarray(x).tobytes(), digest_size=4, salt=bytes([seed])).digest()
    return int.from_bytes(digest, "big") / 2**32


def narrow(x):
    return x.astype(np.float32)


def variance_gradient(x):
    return (x - x.mean()) / 3


# Each with its gradient and the x's it is to be differentiated at.
ROUGH = {
    "length in float32": (lambda x: float(np.sqrt(np.sum(narrow(x) ** 2))), lambda x: x / np.linalg.norm(x), SIX),
    "network in float32": (
        lambda x: float(np.sum(np.tanh(narrow(W) @ narrow(x)))),
        lambda x: W.T @ (1 - np.tanh(W @ x) ** 2),
        SIX,
    ),
    "sines in float32": (lambda x: float(100 + np.sum(np.sin(narrow(x)))), np.cos, SIX),
    "six digits printed": (
        lambda x: float(f"{np.sum(np.exp(np.sin(x))):.6g}"),
        lambda x: np.cos(x) * np.exp(np.sin(x)),
        SIX,
    ),
}
# What is left of larger terms, so that its rounding is larger than its size says.
CANCELLED = {
    "variance of thousands": (lambda x: np.mean(x**2) - np.mean(x) ** 2, variance_gradient, [x + 1000 for x in SIX]),
    "cosines next to 1": (lambda x: np.sum(1 - np.cos(x)), np.sin, [1e-3 * x for x in SIX]),
    "sines far out": (lambda x: np.sum(np.sin(1000 + x)), lambda x: np.cos(1000 + x), SIX),
}
