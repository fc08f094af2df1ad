"""Functions of one point as users write them in NumPy, to be called with many points at a time.

A case is an f, an x, and what `Vmap` makes of it: `WORKS`, or `REFUSES`, an error that says what to write instead.
"""

# ruff: noqa: N803, N806, NPY002, PLW2901, RUF059 - as users write

from __future__ import annotations

import math
from collections import deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
from scipy import special

WORKS, REFUSES = "works", "refuses"


@dataclass(frozen=True)
class Case:
    name: str
    f: Callable[[Any], Any]
    x: Any
    outcome: str = WORKS

    def __repr__(self) -> str:
        return self.name


CASES: list[Case] = []


def case(x: Any, outcome: str = WORKS) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def added(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        CASES.append(Case(f.__name__, f, x, outcome))
        return f

    return added


def numbers(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


V3, V5, V6, V10 = numbers(3, seed=1), numbers(5, seed=2), numbers(6, seed=3), numbers(10, seed=4)
POSITIVE = numbers(6, seed=5, low=0.5, high=2.0)
M34, M33, M44 = numbers(3, 4, seed=6), numbers(3, 3, seed=7), numbers(4, 4, seed=8)
SPD = M33 @ M33.T + 3 * np.eye(3)
A = numbers(5, 5, seed=9)
DATA = numbers(20, 3, seed=10)
LABELS = np.random.default_rng(11).integers(0, 3, 20)
TARGET = DATA @ np.array([1.0, -2.0, 0.5])


# --- optimisation ---


@case(V10)
def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@case(V10)
def rosenbrock_loop(x):
    total = 0.0
    for i in range(len(x) - 1):
        total += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
    return total


@case(V5)
def rastrigin(x):
    return 10 * len(x) + np.sum(x**2 - 10 * np.cos(2 * np.pi * x))


@case(V5)
def ackley(x):
    n = x.size
    return -20 * np.exp(-0.2 * np.sqrt((x**2).sum() / n)) - np.exp(np.cos(2 * np.pi * x).sum() / n) + 20 + np.e


@case(V5)
def griewank(x):
    i = np.arange(1, x.shape[0] + 1)
    return 1 + (x**2).sum() / 4000 - np.prod(np.cos(x / np.sqrt(i)))


@case(np.array([2.5, 1.5]))
def himmelblau(p):
    x, y = p
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


@case(V5)
def styblinski_tang(x):
    return sum(v**4 - 16 * v**2 + 5 * v for v in x) / 2


@case(V5)
def quadratic_form(x):
    return 0.5 * x @ A @ x - x.dot(np.ones(5))


@case(V5)
def penalty(x):
    violation = np.maximum(0, x - 0.3) + np.maximum(0, -0.4 - x)
    return (x**2).mean() + 10 * np.sum(violation**2)


@case(V5)
def huber(x):
    small = np.abs(x) < 0.5
    return np.where(small, 0.5 * x**2, 0.5 * (np.abs(x) - 0.25)).sum()


@case(POSITIVE)
def entropy(p):
    q = p / p.sum()
    return -np.sum(q * np.log(q))


@case(POSITIVE)
def log_barrier(x):
    return -np.log(x).sum() - np.log(10 - x.sum())


# --- neural networks ---


def softmax(x):
    x = x - np.max(x, axis=-1, keepdims=True)
    return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)


def book_softmax(x):
    if x.ndim == 2:
        x = x.T
        x = x - np.max(x, axis=0)
        y = np.exp(x) / np.sum(np.exp(x), axis=0)
        return y.T
    x = x - np.max(x)
    return np.exp(x) / np.sum(np.exp(x))


def book_cross_entropy(y, t):
    if y.ndim == 1:
        t = t.reshape(1, t.size)
        y = y.reshape(1, y.size)
    if t.size == y.size:
        t = t.argmax(axis=1)
    batch_size = y.shape[0]
    return -np.sum(np.log(y[np.arange(batch_size), t] + 1e-7)) / batch_size


@case(numbers(3, 3, seed=12))
def book_simple_net(W):
    z = np.dot(np.array([0.6, 0.9, 0.1]), W)
    return book_cross_entropy(book_softmax(z), np.array([0, 0, 1]))


NET = {"W1": numbers(3, 4, seed=13), "b1": np.zeros(4), "W2": numbers(4, 3, seed=14), "b2": np.zeros(3)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@case(NET)
def book_two_layer_net(params):
    a1 = np.dot(DATA, params["W1"]) + params["b1"]
    z1 = sigmoid(a1)
    a2 = np.dot(z1, params["W2"]) + params["b2"]
    return book_cross_entropy(book_softmax(a2), np.eye(3)[LABELS])


@case(NET)
def net_with_integer_labels(p):
    h = np.maximum(DATA @ p["W1"] + p["b1"], 0.0)
    probabilities = softmax(h @ p["W2"] + p["b2"])
    return -np.log(probabilities[np.arange(len(LABELS)), LABELS]).mean()


@case(NET)
def net_with_weight_decay(p):
    h = np.tanh(DATA @ p["W1"] + p["b1"])
    loss = np.mean((h @ p["W2"] + p["b2"]) ** 2)
    for key in ("W1", "W2"):
        loss += 0.5 * 0.1 * np.sum(p[key] ** 2)
    return loss


class Affine:
    def __init__(self, W, b):
        self.W, self.b = W, b
        self.x = None

    def forward(self, x):
        self.original_x_shape = x.shape
        self.x = x.reshape(x.shape[0], -1)
        return np.dot(self.x, self.W) + self.b


class Relu:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out


@case(NET)
def net_of_layers(p):
    x = DATA
    for layer in (Affine(p["W1"], p["b1"]), Relu(), Affine(p["W2"], p["b2"])):
        x = layer.forward(x)
    return book_cross_entropy(book_softmax(x), LABELS)


@case(numbers(20, seed=15))
def net_of_flat_parameters(theta):
    W1, b1 = theta[:12].reshape(3, 4), theta[12:16]
    w2 = theta[16:]
    return np.mean((np.tanh(DATA @ W1 + b1) @ w2 - TARGET) ** 2)


@case(numbers(4, 5, seed=16))
def batch_normalisation(x):
    mu = x.mean(axis=0)
    xc = x - mu
    std = np.sqrt((xc**2).mean(axis=0) + 1e-7)
    return np.sum((xc / std) ** 3)


@case(numbers(4, 6, seed=17))
def layer_normalisation(x):
    normed = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-5)
    return (normed * np.arange(6)).sum()


@case(numbers(5, 4, seed=18))
def attention(x):
    q, k, v = x @ M44, x @ M44.T, x @ (M44 + 1)
    return (softmax(q @ k.T / np.sqrt(4)) @ v).sum()


@case(numbers(5, 4, seed=19))
def causal_attention(x):
    scores = np.einsum("id,jd->ij", x, x)
    mask = np.triu(np.ones((5, 5), dtype=bool), 1)
    scores = np.where(mask, -np.inf, scores)
    return np.einsum("ij,jd->id", softmax(scores), x).sum()


@case(numbers(2, 5, 4, seed=20))
def multi_head_attention(x):
    scores = np.einsum("hid,hjd->hij", x, x) / 2
    return (softmax(scores) @ x).transpose(1, 0, 2).reshape(5, 8).sum()


@case(numbers(4, 4, seed=21))
def recurrent_net(W):
    h = np.zeros(4)
    for row in DATA[:5]:
        h = np.tanh(W @ h + np.append(row, 1.0))
    return h.sum()


@case(numbers(1, 1, 6, 6, seed=22))
def convolution_by_im2col(x):
    kernel = M33
    N, C, H, W = x.shape
    col = np.zeros_like(x, shape=(N, C, 3, 3, H - 2, W - 2))
    for i in range(3):
        for j in range(3):
            col[:, :, i, j] = x[:, :, i : i + H - 2, j : j + W - 2]
    col = col.transpose(0, 4, 5, 1, 2, 3).reshape(N * (H - 2) * (W - 2), -1)
    return (np.dot(col, kernel.reshape(-1, 1)) ** 2).sum()


@case(numbers(6, 6, seed=23))
def max_pooling(x):
    return x.reshape(3, 2, 3, 2).max(axis=(1, 3)).sum()


@case(numbers(6, 4, seed=24))
def embedding(table):
    return (table[np.array([0, 2, 2, 5])].sum(axis=0) ** 2).sum()


@case(V6)
def gelu(x):
    return (0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))).sum()


@case(V6)
def leaky_relu_in_place(x):
    y = x.copy()
    y[y < 0] *= 0.1
    return (y**2).sum()


# --- statistics ---


@case(np.array([0.3, 0.8]))
def normal_log_likelihood(theta):
    mu, sigma = theta
    return np.sum(-0.5 * ((TARGET - mu) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi))


@case(V3)
def logistic_regression(w):
    z = DATA @ w
    y = LABELS > 0
    return np.sum(np.log1p(np.exp(z)) - y * z)


@case(V3)
def poisson_regression(w):
    eta = DATA.dot(w)
    return (np.exp(eta) - LABELS * eta + special.gammaln(LABELS + 1)).sum()


@case(numbers(3, 3, seed=25))
def softmax_regression(W):
    z = DATA @ W
    m = z.max(axis=1, keepdims=True)
    log_z = m[:, 0] + np.log(np.exp(z - m).sum(axis=1))
    return np.mean(log_z - z[np.arange(20), LABELS])


@case(V3)
def ridge(w):
    residual = TARGET - DATA @ w
    return residual @ residual + 0.1 * w @ w


@case(V3)
def lasso(w):
    return 0.5 * np.mean((DATA @ w - TARGET) ** 2) + 0.1 * np.linalg.norm(w, 1)


@case(np.array([0.2, 0.5, 1.0]))
def gaussian_process(theta):
    t = np.linspace(0, 1, 8)
    K = np.exp(theta[0]) * np.exp(-0.5 * (t[:, None] - t[None, :]) ** 2 / theta[1] ** 2) + theta[2] * np.eye(8)
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, np.sin(3 * t)))
    return 0.5 * np.sin(3 * t) @ alpha + np.log(np.diag(L)).sum()


@case(SPD)
def multivariate_normal(S):
    d = np.array([0.1, -0.2, 0.3])
    sign, logdet = np.linalg.slogdet(S)
    return 0.5 * (d @ np.linalg.inv(S) @ d + logdet)


@case(V6)
def mixture(theta):
    w = softmax(theta[:2])
    mu, s = theta[2:4], np.exp(theta[4:])
    z = (TARGET[:, None] - mu) / s
    return -np.log((w * np.exp(-0.5 * z**2) / s).sum(axis=1)).sum()


@case(numbers(3, 3, seed=26))
def hidden_markov_forward(logits):
    transition = softmax(logits)
    alpha = np.ones(3) / 3
    log_p = 0.0
    for o in LABELS[:8]:
        alpha = (alpha @ transition) * np.where(np.arange(3) == o, 0.8, 0.1)
        scale = alpha.sum()
        alpha = alpha / scale
        log_p += np.log(scale)
    return log_p


@case(numbers(3, 3, seed=27))
def viterbi(scores):
    delta = np.zeros(3)
    path = []
    for o in LABELS[:5]:
        options = delta[:, None] + scores
        path.append(options.argmax(axis=0))
        delta = options.max(axis=0) + (np.arange(3) == o)
    return delta.max()


@case(np.array([0.5, 0.3]))
def arma(theta):
    phi, psi = theta[0], theta[1]
    e = [0.0]
    for t in range(1, len(TARGET)):
        e.append(TARGET[t] - phi * TARGET[t - 1] - psi * e[-1])
    return np.sum(np.array(e[1:]) ** 2)


@case(np.array([0.1, 0.2, 0.6]))
def garch(theta):
    omega, a, b = theta
    variance = np.var(TARGET)
    total = 0.0
    for r in TARGET:
        total = total + np.log(variance) + r**2 / variance
        variance = omega + a * r**2 + b * variance
    return 0.5 * total


@case(V10)
def autocovariance(x):
    d = x - x.mean()
    return sum((d[lag:] * d[: len(d) - lag]).mean() for lag in range(1, 4))


@case(V10)
def standardised(x):
    return (((x - np.mean(x)) / np.std(x, ddof=1)) ** 3).sum()


@case(V10)
def quantiles(x):
    return np.median(x) + np.percentile(x, 25) + np.quantile(x, 0.9)


@case(V10)
def several_quantiles(x):
    return np.quantile(x, [0.1, 0.5, 0.9]) @ np.array([1.0, 2.0, 3.0])


@case(M34)
def covariance(x):
    return np.linalg.det(np.cov(x) + np.eye(3))


@case(M34)
def correlation(x):
    return np.corrcoef(x)[0, 1]


@case(V10)
def trimmed_mean(x):
    return np.sort(x)[2:-2].mean()


@case(V10)
def kernel_density(x):
    d = x[:, None] - x[None, :]
    return np.log(np.exp(-0.5 * d**2).mean(axis=1)).sum()


@case(np.array([1.5, 2.5]))
def beta_log_likelihood(p):
    a, b = p
    y = np.linspace(0.1, 0.9, 9)
    return ((a - 1) * np.log(y) + (b - 1) * np.log1p(-y) - special.betaln(a, b)).sum()


@case(np.array([0.3, -0.4]))
def probit(w):
    return -np.log(special.ndtr(DATA[:, :2] @ w * np.sign(TARGET))).sum()


# --- sorting, ranking, indices ---


@case(V10)
def sorted_weights(x):
    return np.sort(x)[::-1] @ np.arange(10)


@case(V10)
def by_argsort(x):
    order = np.argsort(x)
    return (x[order] * np.linspace(0, 1, 10)).sum()


@case(M34)
def along_an_axis(x):
    order = np.argsort(x, axis=1)
    return (np.take_along_axis(x, order, axis=1) * np.arange(4)).sum()


@case(V10)
def top_three(x):
    return x[np.argpartition(x, -3)[-3:]].sum()


@case(V10)
def hinge_ranking(x):
    i, j = np.triu_indices(10, 1)
    return np.maximum(0, 1 - (x[i] - x[j])).sum()


@case(V10)
def largest_by_index(x):
    return x[np.argmax(x)] - x[x.argmin()]


@case(M34)
def row_maxima_by_index(x):
    return x[np.arange(3), x.argmax(axis=1)].sum()


@case(V10)
def searchsorted_of_x(x):
    edges = np.linspace(-1, 1, 5)
    values = np.array([0.0, 1.0, 4.0, 9.0, 16.0, 25.0])
    return (values[np.searchsorted(edges, x)] * x).sum()


@case(V10)
def sorted_builtin(x):
    return sorted(x)[3] + max(x) - min(x)


@case(V10)
def sort_method(x):
    y = x.copy()
    y.sort()
    return y[:3].sum()


@case(V10)
def unique_values(x):
    return np.unique(x)[:3].sum()


@case(V10)
def nonzero_indices(x):
    return x[np.nonzero(x > 0)].sum()


@case(V10)
def where_with_one_argument(x):
    [where] = np.where(x > 0.1)
    return (x[where] ** 2).sum()


@case(V10)
def flat_indices(x):
    i = np.flatnonzero(x < 0)
    return len(i) * x.sum()


# --- masks and branches ---


@case(V10)
def boolean_mask(x):
    return x[x > 0].sum()


@case(V10)
def mask_of_another(x):
    y = np.sin(x)
    return np.mean(y[x > 0.2])


@case(V10)
def mask_assignment(x):
    y = x**2
    y[x < 0] = -1.0
    return y.sum()


@case(V10)
def mask_assignment_of_values(x):
    y = np.zeros_like(x)
    mask = x > 0
    y[mask] = np.sqrt(x[mask])
    y[~mask] = x[~mask] ** 2
    return y.sum()


@case(V5)
def branch_on_the_sum(x):
    if x.sum() > 0:
        return (x**2).sum()
    return (x**3).sum()


@case(V5)
def branches_on_elements(x):
    total = 0.0
    for v in x:
        if v > 0:
            total += v**2
        else:
            total -= np.exp(v)
    return total


@case(np.array([1e-5, 0.5]))
def branch_near_x(x):
    return x[0] ** 2 if x[0] > 0 else -x[1] * x[0]


@case(V5)
def any_and_all(x):
    if np.any(x > 10) or not np.all(np.isfinite(x)):
        return np.inf
    return (x**2).sum()


@case(V5)
def assertions(x):
    assert x.shape == (5,)
    assert np.all(np.abs(x) < 100), "too far"
    assert isinstance(x, np.ndarray)
    return np.exp(x).sum()


@case(np.array([2.0, 3.0]))
def newton_with_tolerance(x):
    y = x[0]
    while abs(y * y - x[0]) > 1e-10:
        y = 0.5 * (y + x[0] / y)
    return y * x[1]


@case(np.array([0.3, 0.7]))
def fixed_point(x):
    y = x.copy()
    for _ in range(100):
        new = np.cos(y) * x
        if np.max(np.abs(new - y)) < 1e-12:
            break
        y = new
    return y.sum()


@case(np.array([0.4, 1.2]))
def bisection(x):
    low, high = 0.0, 2.0
    for _ in range(20):
        mid = 0.5 * (low + high)
        if mid**3 > x[1]:
            high = mid
        else:
            low = mid
    return x[0] * low


@case(V5)
def piecewise(x):
    return np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v**2]).sum()


@case(V5)
def select(x):
    return np.select([x < -0.2, x < 0.2], [x**2, x**3], default=np.sin(x)).sum()


@case(V5)
def clip_and_sign(x):
    return (np.clip(x, -0.3, 0.3) * np.sign(x) + x.clip(0, None)).sum()


@case(V5)
def masked_division(x):
    return np.divide(x, np.abs(x), out=np.zeros_like(x), where=x != 0).sum() + (x**2).sum()


# --- arrays built and written in f ---


@case(np.array([0.3, 1.0, 2.0]))
def rotation_of_scalars(x):
    c, s = np.cos(x[0]), np.sin(x[0])
    R = np.array([[c, -s], [s, c]])
    return (R @ x[1:])[0]


@case(numbers(3, seed=28))
def kinematics(q):
    T = np.eye(3)
    for angle, length in zip(q, [1.0, 0.8, 0.5], strict=True):
        c, s = np.cos(angle), np.sin(angle)
        T = T @ np.array([[c, -s, length * c], [s, c, length * s], [0, 0, 1]])
    return T[:2, 2]


@case(V3)
def euler_angles(a):
    cx, sx = np.cos(a[0]), np.sin(a[0])
    cy, sy = np.cos(a[1]), np.sin(a[1])
    Rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    Ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    return (Rx @ Ry @ np.array([1.0, 2.0, 3.0])) * a[2]


@case(V3)
def skew_matrix(w):
    W = np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    return (W @ W).sum() + W.T[0, 1]


@case(np.array([0.5, 1.5]))
def array_of_scalars(p):
    return np.array([p[0] * p[1], p[0] ** 2, np.exp(p[1])])


@case(np.array([0.5, 1.5]))
def list_of_scalars(p):
    return [p[0] * p[1], p[0] ** 2, 3.0]


@case(np.array([0.5, 1.5]))
def tuple_of_arrays(p):
    return p * 2, np.outer(p, p)


@case(V5)
def comprehension(x):
    return np.sum([np.sin(v) * i for i, v in enumerate(x)])


@case(V5)
def stacked_rows(x):
    return np.linalg.det(np.stack([x[:3], x[1:4], x[2:]]) + np.eye(3))


@case(V5)
def vandermonde(x):
    V = np.column_stack([x**k for k in range(4)])
    return (V * np.arange(4)).sum()


@case(V5)
def vander(x):
    return np.vander(x, 3).sum(axis=0) @ np.array([1.0, 2.0, 3.0])


@case(V6)
def blocks(x):
    B = np.block([[x[:4].reshape(2, 2), np.zeros((2, 2))], [np.eye(2), x[2:].reshape(2, 2)]])
    return np.linalg.slogdet(B + 2 * np.eye(4))[1]


@case(V6)
def concatenated(x):
    padded = np.concatenate([[0.0], x, [x[0]]])
    return (np.diff(padded) ** 2).sum()


@case(V6)
def hstack_and_vstack(x):
    return (np.hstack([x[:3], 1.0, x[3:]]).sum() * np.vstack([x[:3], x[3:]]) ** 2).sum()


@case(V6)
def zeros_like_written(x):
    y = np.zeros_like(x)
    for i in range(1, len(x)):
        y[i] = y[i - 1] * 0.5 + x[i]
    return y[-1] + y.sum()


@case(V6)
def zeros_with_like(x):
    y = np.zeros((2, 3), like=x)
    y[0] = x[:3]
    y[1, :] = x[3:] ** 2
    return (y**2).sum()


@case(np.array([0.5, 1.5]))
def zeros_of_few_points(x):
    y = np.zeros(2)
    y[0] = x[0] * 2
    y[1] = x[1] ** 2
    return y.sum()


@case(V10, REFUSES)
def zeros_written(x):
    y = np.zeros(10)
    for i in range(10):
        y[i] = np.sin(x[i])
    return y.sum()


@case(V10, REFUSES)
def zeros_written_as_a_whole(x):
    y = np.empty(12)
    y[1:-1] = x
    y[0] = y[-1] = 0
    return (np.diff(y) ** 2).sum()


@case(V6)
def in_place_on_a_copy(x):
    y = x.copy()
    y += 1
    y *= x
    y[2:] -= y[:-2]
    y[0] = y[1] ** 2
    return y.sum()


@case(V6)
def copy_by_np_array(x):
    y = np.array(x)
    y[0] = 2.0
    return (y**2).sum()


@case(V6)
def as_array(x):
    x = np.asarray(x)
    return (x**2).sum() + x.mean()


@case(V10, REFUSES)
def as_float_array(x):
    x = np.asarray(x, dtype=float)
    return (x**2).sum()


@case(V6)
def accumulating_in_an_array(x):
    total = np.zeros(3)
    for i in range(2):
        total = total + x[3 * i : 3 * i + 3] ** 2
    return total.prod()


@case(V10, REFUSES)
def accumulating_in_place(x):
    total = np.zeros(5)
    total += x[:5]
    return (total**2).sum()


@case(V6)
def scalar_in_place(x):
    a = x[0]
    a += 1
    a *= x[1]
    return a + x.sum()


@case(M34)
def rows_in_a_loop(x):
    total = 0
    for row in x:
        total = total + row.max() * row.sum()
    return total


@case(M34)
def enumerate_elements(x):
    return sum(v * (i + 2 * j) for (i, j), v in np.ndenumerate(x))


@case(M33)
def fill_diagonal(x):
    y = x.copy()
    np.fill_diagonal(y, 0.0)
    return (y @ x).sum()


@case(M34)
def column_written(x):
    y = np.array(x, like=x)
    y[:, 1] = x.sum(axis=1)
    y[0] = 1.0
    y[[1, 2], [0, 3]] = x[0, :2]
    return (y**2).sum()


@case(V6)
def add_at(x):
    y = np.zeros_like(x[:3])
    np.add.at(y, [0, 1, 1, 2, 0, 1], x)
    return (y**2).sum()


@case(V6)
def fancy_assignment(x):
    y = np.zeros_like(x)
    y[[5, 4, 3]] = x[:3]
    return y @ x


@case(V6)
def view_of_a_copy(x):
    y = x.copy()
    a, b = y[:3], y[3:]
    a += b
    return y.sum() + np.prod(y[:2])


# --- linear algebra ---


@case(M33)
def solve(M):
    return np.linalg.solve(M + 3 * np.eye(3), np.ones(3))


@case(V3)
def solve_for_the_right_hand_side(b):
    return np.linalg.solve(SPD, b) @ b


@case(M33)
def inverse(M):
    return np.linalg.inv(M + 3 * np.eye(3))


@case(M33)
def determinant(M):
    return np.linalg.det(M)


@case(M33)
def logdet(M):
    return np.linalg.slogdet(M @ M.T + np.eye(3))[1]


@case(M33)
def eigenvalues(M):
    return np.linalg.eigvalsh(M + M.T)


@case(M33)
def eigenvectors(M):
    w, v = np.linalg.eigh(M + M.T)
    return (w * v[0] ** 2).sum()


@case(M34)
def singular_values(M):
    return np.linalg.svd(M, compute_uv=False).sum()


@case(M34)
def low_rank(M):
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    return ((U[:, :2] * s[:2]) @ Vt[:2]).sum()


@case(M34)
def qr_factors(M):
    return np.abs(np.diag(np.linalg.qr(M)[1])).sum()


@case(M34)
def pseudo_inverse(M):
    return np.linalg.pinv(M)[0].sum()


@case(V3)
def least_squares_fit(b):
    y = TARGET + DATA @ b
    return np.linalg.lstsq(DATA, y, rcond=None)[0].sum()


@case(M34)
def norms(M):
    return np.linalg.norm(M) + np.linalg.norm(M, axis=1).sum() + np.linalg.norm(M[0], np.inf) + np.linalg.norm(M, 2)


@case(M33)
def matrix_powers(M):
    return np.trace(np.linalg.matrix_power(M, 3)) + (M @ M @ M).trace()


@case(M33)
def exponential_series(M):
    result = term = np.eye(3)
    for k in range(1, 12):
        term = term @ M / k
        result = result + term
    return result.sum()


@case(V6)
def cross_products(x):
    return np.cross(x[:3], x[3:]) @ np.array([1.0, 2.0, 3.0])


@case(V6)
def outer_and_inner(x):
    return (np.outer(x[:3], x[3:]) ** 2).sum() + np.inner(x, x) + np.vdot(x, x) + np.kron(x[:2], x[2:4]).sum()


@case(M34)
def einsums(M):
    return np.einsum("ij,kj->ik", M, M).sum() + np.einsum("ij,ij", M, M) + np.einsum("ij->j", M)[0]


@case(numbers(2, 3, 4, seed=29))
def tensordot(T):
    return np.tensordot(T, T, axes=([1, 2], [1, 2]))[0, 1] + np.tensordot(T, numbers(4, 2), 1).sum()


@case(np.array([0.2, 0.4, 2.0]))
def triangular_solve_by_hand(x):
    L = np.array([[1.0, 0, 0], [0.5, 2, 0], [0.1, 0.3, 1.5]])
    y = []
    for i in range(3):
        y.append((x[i] - sum(L[i, j] * y[j] for j in range(i))) / L[i, i])
    return y[2] * y[0]


@case(M33)
def gram_schmidt(M):
    basis = []
    for v in M:
        for b in basis:
            v = v - (v @ b) * b
        basis.append(v / np.linalg.norm(v))
    return np.array(basis).sum()


@case(SPD)
def cholesky_with_a_fallback(S):
    try:
        L = np.linalg.cholesky(S)
    except np.linalg.LinAlgError:
        return np.inf
    return np.log(np.diag(L)).sum()


@case(-SPD)
def cholesky_that_fails(S):
    try:
        return np.log(np.diag(np.linalg.cholesky(S))).sum()
    except np.linalg.LinAlgError:
        return np.trace(S) ** 2


@case(V5)
def tridiagonal(x):
    T = np.diag(x) + np.diag(x[:-1], 1) + np.diag(x[1:], -1)
    return np.linalg.eigvalsh(T + T.T).max()


# --- physics, ODEs and PDEs ---


@case(np.array([1.0, 0.5]))
def euler_steps(y):
    y = y.copy()
    for _ in range(50):
        y = y + 0.01 * np.array([y[1], -y[0]])
    return y


@case(np.array([1.0, 0.5, 2.0]))
def runge_kutta(p):
    def slope(y):
        return np.stack([p[2] * y[0] - y[0] * y[1], y[0] * y[1] - y[1]])

    y = p[:2]
    for _ in range(20):
        k1 = slope(y)
        k2 = slope(y + 0.05 * k1)
        k3 = slope(y + 0.05 * k2)
        k4 = slope(y + 0.1 * k3)
        y = y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y.sum()


@case(np.array([1.0, 2.0, 3.0]))
def lorenz(y):
    for _ in range(20):
        dx = 10 * (y[1] - y[0])
        dy = y[0] * (28 - y[2]) - y[1]
        dz = y[0] * y[1] - 8 / 3 * y[2]
        y = y + 0.005 * np.array([dx, dy, dz])
    return y


@case(V6)
def spring_chain(x):
    stretched = np.diff(x) - 0.1
    return 0.5 * np.sum(stretched**2) + 0.25 * (x**4).sum()


@case(numbers(4, 3, seed=30))
def lennard_jones(r):
    energy = 0.0
    for i in range(len(r)):
        for j in range(i):
            d2 = np.sum((r[i] - r[j]) ** 2)
            energy += 1 / d2**6 - 1 / d2**3
    return energy


@case(numbers(4, 3, seed=31))
def coulomb(r):
    d = np.linalg.norm(r[:, None] - r[None], axis=-1)
    i, j = np.triu_indices(4, k=1)
    return (1 / d[i, j]).sum()


@case(numbers(8, seed=32))
def heat_equation(u):
    for _ in range(10):
        u = u + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1))
    return (u**2).sum()


@case(numbers(8, seed=33))
def burgers_residual(u):
    r = np.zeros_like(u)
    r[1:-1] = u[1:-1] * (u[2:] - u[:-2]) / 0.2 - 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    r[0], r[-1] = u[0] - 1, u[-1]
    return r


@case(numbers(5, 5, seed=34))
def poisson_residual(u):
    p = np.pad(u, 1)
    return ((p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * u) ** 2).sum()


@case(V10)
def gradient_energy(u):
    return np.trapezoid(np.gradient(u, 0.1) ** 2, dx=0.1)


@case(V10)
def trapezoid_of_x(u):
    return np.trapezoid(u, np.linspace(0, 1, 10)) + np.cumsum(u)[-3]


@case(np.array([0.1, 0.2, 0.3, 0.4]))
def double_pendulum_energy(s):
    t1, t2, w1, w2 = s
    kinetic = 0.5 * w1**2 + 0.5 * (w1**2 + w2**2 + 2 * w1 * w2 * np.cos(t1 - t2))
    return kinetic - 2 * 9.8 * np.cos(t1) - 9.8 * np.cos(t2)


@case(np.array([7.0, 0.1, 0.0, 1.0]))
def kepler(s):
    r, v = s[:2], s[2:]
    for _ in range(10):
        a = -r / np.linalg.norm(r) ** 3
        v = v + 0.1 * a
        r = r + 0.1 * v
    return np.concatenate([r, v])


@case(V6)
def ising_energy(s):
    return -np.tanh(s) @ np.roll(np.tanh(s), 1) - 0.1 * np.sum(s)


@case(np.array([300.0, 2.0]))
def van_der_waals(p):
    T, V = p
    return 8.314 * T / (V - 0.04) - 0.36 / V**2


@case(V3)
def ray_tracing(direction):
    d = direction / np.sqrt(direction.dot(direction))
    origin = np.array([0.0, 0.0, -3.0])
    b = 2 * np.dot(d, origin)
    discriminant = b * b - 4 * (origin @ origin - 1)
    return np.sqrt(np.maximum(discriminant, 0)) + b


# --- series and signals ---


@case(V10)
def power_spectrum(x):
    return np.abs(np.fft.rfft(x)) ** 2 @ np.arange(6)


@case(V10)
def filtered(x):
    s = np.fft.fft(x)
    s[3:-3] = 0
    return np.fft.ifft(s).real


@case(V10)
def convolved(x):
    return (np.convolve(x, [0.25, 0.5, 0.25], mode="same") ** 2).sum()


@case(V10)
def moving_average(x):
    c = np.cumsum(np.concatenate([[0.0], x]))
    return ((c[3:] - c[:-3]) / 3).max()


@case(V10)
def windows(x):
    return np.array([x[i : i + 3].max() for i in range(8)]).sum()


@case(V10)
def sliding_windows(x):
    return np.lib.stride_tricks.sliding_window_view(x, 3).mean(axis=1) @ np.arange(8)


@case(V10)
def exponential_smoothing(x):
    s = x[0]
    for v in x[1:]:
        s = 0.3 * v + 0.7 * s
    return s


@case(V10)
def interpolated(x):
    return np.interp(x, [-1.0, 0.0, 1.0], [1.0, 0.0, 3.0]).sum()


@case(V5)
def interpolated_table(y):
    return np.interp([0.1, 0.25, 0.9], np.linspace(0, 1, 5), y)


@case(V5)
def polynomial(c):
    return np.polyval(c, np.linspace(-1, 1, 7)).sum() + np.polyval([1.0, 2.0, 3.0], c).sum()


@case(V5)
def horner(c):
    y = 0.0
    for a in c:
        y = y * 0.7 + a
    return y


@case(V5)
def polynomial_fit(y):
    return np.polyfit(np.arange(5), y, 2)


@case(V10)
def dynamic_time_warping(x):
    inf, y = 1e9, np.sin(np.arange(4))
    D = [[0.0] + [inf] * 4]
    for i in range(4):
        row = [inf]
        for j in range(4):
            row.append((x[i] - y[j]) ** 2 + np.minimum(np.minimum(D[i][j + 1], row[j]), D[i][j]))
        D.append(row)
    return D[4][4]


@case(V10)
def total_variation(x):
    return np.abs(x[1:] - x[:-1]).sum() + np.ptp(x)


@case(V10)
def log_returns(x):
    prices = np.exp(np.cumsum(x))
    drawdown = 1 - prices / np.maximum.accumulate(prices)
    return drawdown.max() + np.diff(np.log(prices)).std()


# --- special functions, and what Python has ---


@case(POSITIVE)
def special_functions(x):
    return (special.gammaln(x) + special.erf(x) + special.expit(x) + special.j0(x) + special.digamma(x)).sum()


@case(POSITIVE)
def special_of_two(x):
    return special.xlogy(x, x).sum() + special.gammainc(x, 2.0).sum() + special.rel_entr(x, 1.0).sum()


@case(V5)
def log_sum_exp(x):
    m = np.max(x)
    return m + np.log(np.sum(np.exp(x - m)))


@case(V5)
def logaddexp_reduced(x):
    return np.logaddexp.reduce(x) + np.add.reduce(x) + np.multiply.accumulate(x)[-1] + np.add.outer(x, x).max()


@case(np.array([1.5, 2.5]))
def math_of_few_points(x):
    return math.sin(x[0]) * math.exp(x[1])


@case(V10, REFUSES)
def math_of_many_points(x):
    return sum(math.sin(v) for v in x)


@case(np.array([0.5]))
def float_of_one_element(x):
    return float(x[0]) ** 2


@case(V10, REFUSES)
def float_of_each(x):
    return sum(float(v) ** 2 for v in x)


@case(V5)
def builtin_functions(x):
    return sum(x) + abs(x[0]) + max(x[1], x[2]) + pow(x[3], 2) + round(x[4], 1) * 0 + divmod(x[0], 1.0)[1]


@case(np.array([2.3, 4.7]))
def integer_of_a_value(x):
    n = int(x[0])
    return sum(x[1] ** k for k in range(n)) + math.floor(x[1])


@case(np.array([2.3, 4.7]))
def table_by_index(x):
    table = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    i = int(np.floor(x[1]))
    return table[i] * (1 - (x[1] - i)) + table[i + 1] * (x[1] - i)


@case(V5)
def reduced(x):
    return reduce(lambda a, b: a * b + 1, x)


@case(V5)
def a_class_of_its_own(x):
    class Vector:
        def __init__(self, v):
            self.v = v

        def __add__(self, other):
            return Vector(self.v + other.v)

        def norm(self):
            return np.sqrt((self.v**2).sum())

    return (Vector(x) + Vector(np.ones(5))).norm()


@case(V5)
def a_named_tuple(x):
    State = namedtuple("State", "position velocity")
    state = State(x[0], x[1:])
    return state.position * state.velocity.sum()


@case(V5)
def a_deque(x):
    queue = deque(x, maxlen=3)
    return queue[0] * queue[-1]


@case(V5)
def a_dict_by_name(x):
    p = dict(zip("abcde", x, strict=True))
    return p["a"] * p["e"] + p["c"]


@case(V5)
def vectorised_function(x):
    return np.vectorize(lambda v: v**2 if v > 0 else -v)(x).sum()


@case(V5)
def along_axis(x):
    return np.apply_along_axis(lambda row: row.max() - row.min(), 1, np.outer(x, x)).sum()


@case(V5)
def a_partial(x):
    return partial(np.sum, x**2)()


@case(V5)
def seeded_noise(x):
    noise = np.random.default_rng(0).normal(size=x.shape)
    return ((x + 0.1 * noise) ** 2).sum()


@case(V5)
def globally_seeded_noise(x):
    np.random.seed(3)
    return (x * np.random.rand(5)).sum()


@case(V5)
def kinds_of_numbers(x):
    scale = 1.0 if isinstance(x[0], float) and np.isscalar(x[0]) else 100.0
    if not np.issubdtype(x.dtype, np.floating) or x.ndim != 1:
        raise TypeError("expected floats")
    return scale * (x**2).sum()


@case(V5)
def numbers_or_arrays(x):
    x = np.atleast_1d(x)
    return np.sum(x * np.ones_like(x)) / np.size(x) + np.shape(x)[0]


@case(V5)
def printed(x):
    text = f"f is called with {x}"
    return (x**2).sum() + 0 * (text == "")


@case(V10, REFUSES)
def through_a_list(x):
    values = [float(v) for v in x.tolist()]
    return sum(v**2 for v in values)


@case(V10)
def through_tolist(x):
    return sum(v**2 for v in x.tolist())


@case(V5)
def a_scalar_type(x):
    return np.sqrt(np.sum(x**2), dtype=np.float64) + np.float64(2.0) * x[0]


@case(V5)
def complex_numbers(x):
    z = x[:2] + 1j * x[2:4]
    return np.abs(np.exp(z)).sum() + (z * z.conj()).real.sum() + np.angle(z[0])


@case(V5 + 0.5j)
def complex_x(z):
    return np.abs(z**2 + 1).sum()


@case(np.array(0.7))
def of_no_axes(x):
    return np.sin(x) * x**2


@case(V5.astype(np.float32))
def in_single_precision(x):
    return (x * np.float32(2)).sum()


@case(V5)
def empty_parts(x):
    return x[5:].sum() + x[:0].prod() + x.sum()


# --- broadcasting: the classic traps ---


@case(V3)
def vector_against_a_matrix(x):
    return ((DATA - x) ** 2).sum(axis=1).min()


@case(numbers(4, seed=35))
def square_against_points(x):
    return (x * M44 + x[:, None] * M44.T).sum(axis=0) @ x


@case(V3)
def nearest_centre(c):
    centres = np.stack([c, 2 * c, -c])
    d = ((DATA[:, None, :] - centres[None]) ** 2).sum(-1)
    return d.min(axis=1).sum()


@case(M34)
def matrix_against_a_vector(x):
    return (x * np.arange(4) + np.arange(3)[:, None] * x).sum()


@case(V3)
def new_axes(x):
    return (x[None, :] * x[:, None] * x[..., np.newaxis, np.newaxis]).sum()


@case(M34)
def mean_of_columns(x):
    return ((x - x.mean(0)) @ (x - x.mean(axis=1)[:, None]).T)[0].sum()


@case(V6)
def reshaped_in_all_ways(x):
    y = x.reshape(2, 3)
    return (y.T @ y.reshape(2, -1)).ravel()[1:].sum() + y.flatten()[0] + np.ravel(y)[3] + x.reshape((3, 2))[2, 1]


@case(numbers(2, 3, 4, seed=36))
def axes_moved(x):
    y = np.moveaxis(x, 0, -1) + np.transpose(x, (1, 2, 0)) + x.swapaxes(0, 2).swapaxes(0, 1)
    return (y * np.arange(2)).sum() + np.squeeze(x[:1]).sum() + np.expand_dims(x, 0)[0, 0].max()


@case(V6)
def tiled_and_repeated(x):
    return (np.tile(x, 2) * np.repeat(x, 2)).sum() + np.flip(x)[0] + np.rot90(x.reshape(2, 3))[0, 0]


@case(V6)
def split_up(x):
    a, b, c = np.split(x, 3)
    return (a * b).sum() + np.array_split(c, 2)[0].sum() + np.dot(a, c)


@case(V6)
def meshgrid(x):
    X, Y = np.meshgrid(x[:3], x[3:])
    return (np.sin(X) * np.cos(Y)).sum()


@case(V6)
def broadcast_and_padded(x):
    B = np.broadcast_to(x, (3, 6))
    return (np.pad(x, (1, 2), mode="edge") ** 2).sum() + (B * np.arange(3)[:, None]).sum()


@case(M34)
def advanced_indices_apart(x):
    y = np.stack([x, x**2])
    return (y[0, :, [1, 2]] * np.arange(3)).sum() + y[:, [0, 1], [1, 3]].sum() + y[..., -1].sum()


@case({"a": V3, "b": [np.array(2.0), M33], "c": 1.5})
def a_tree(p):
    return (p["b"][1] @ p["a"]).sum() * p["b"][0] + p["c"] ** 2
