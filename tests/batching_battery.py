"""Functions of one point as users write them in NumPy, to be called with many points at a time.

They branch, loop, write into arrays and leave NumPy. What single functions of NumPy do, test_batching_rules tests.

A case is an f, an x, and what `Vmap` makes of it: `WORKS`, or `REFUSES`, an error that says what to write instead.
"""

# ruff: noqa: N803, N806, PLW2901 - as users write

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


def cases(x: Any, outcome: str = WORKS, **functions: Callable[[Any], Any]) -> None:
    CASES.extend(Case(name, f, x, outcome) for name, f in functions.items())


def case(x: Any, outcome: str = WORKS) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def added(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        cases(x, outcome, **{f.__name__: f})
        return f

    return added


def numbers(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


V3, V5, V6, V10 = numbers(3, seed=1), numbers(5, seed=2), numbers(6, seed=3), numbers(10, seed=4)
POSITIVE = numbers(6, seed=5, low=0.5, high=2.0)
M34, M33 = numbers(3, 4, seed=6), numbers(3, 3, seed=7)
SPD = M33 @ M33.T + 3 * np.eye(3)
DATA = numbers(20, 3, seed=10)
LABELS = np.random.default_rng(11).integers(0, 3, 20)
TARGET = DATA @ np.array([1.0, -2.0, 0.5])


# --- optimisation ---

cases(V10, rosenbrock=lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))
cases(
    V5,
    styblinski_tang=lambda x: sum(v**4 - 16 * v**2 + 5 * v for v in x) / 2,
)


@case(np.array([2.5, 1.5]))
def himmelblau(p):
    x, y = p
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


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


@case(numbers(20, seed=15))
def net_of_flat_parameters(theta):
    W1, b1 = theta[:12].reshape(3, 4), theta[12:16]
    w2 = theta[16:]
    return np.mean((np.tanh(DATA @ W1 + b1) @ w2 - TARGET) ** 2)


@case(numbers(5, 4, seed=19))
def causal_attention(x):
    scores = np.einsum("id,jd->ij", x, x)
    mask = np.triu(np.ones((5, 5), dtype=bool), 1)
    scores = np.where(mask, -np.inf, scores)
    return np.einsum("ij,jd->id", softmax(scores), x).sum()


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


@case(V6)
def leaky_relu_in_place(x):
    y = x.copy()
    y[y < 0] *= 0.1
    return (y**2).sum()


# --- statistics ---


@case(np.array([0.2, 0.5, 1.0]))
def gaussian_process(theta):
    t = np.linspace(0, 1, 8)
    K = np.exp(theta[0]) * np.exp(-0.5 * (t[:, None] - t[None, :]) ** 2 / theta[1] ** 2) + theta[2] * np.eye(8)
    L = np.linalg.cholesky(K)
    alpha = np.linalg.solve(L.T, np.linalg.solve(L, np.sin(3 * t)))
    return 0.5 * np.sin(3 * t) @ alpha + np.log(np.diag(L)).sum()


# --- sorting, ranking, indices ---

cases(
    V10,
    top_three=lambda x: x[np.argpartition(x, -3)[-3:]].sum(),
    sorted_builtin=lambda x: sorted(x)[3] + max(x) - min(x),
    unique_values=lambda x: np.unique(x)[:3].sum(),
    nonzero_indices=lambda x: x[np.nonzero(x > 0)].sum(),
)


@case(V10)
def sort_method(x):
    y = x.copy()
    y.sort()
    return y[:3].sum()


@case(V10)
def where_with_one_argument(x):
    [where] = np.where(x > 0.1)
    return (x[where] ** 2).sum()


# --- masks and branches ---


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


@case(V5)
def any_and_all(x):
    if np.any(x > 10) or not np.all(np.isfinite(x)):
        return np.inf
    return (x**2).sum()


@case(np.array([2.0, 3.0]))
def newton_with_tolerance(x):
    y = x[0]
    while abs(y * y - x[0]) > 1e-10:
        y = 0.5 * (y + x[0] / y)
    return y * x[1]


# --- arrays built and written in f ---

cases(
    np.array([0.5, 1.5]),
    array_of_scalars=lambda p: np.array([p[0] * p[1], p[0] ** 2, np.exp(p[1])]),
    list_of_scalars=lambda p: [p[0] * p[1], p[0] ** 2, 3.0],
    tuple_of_arrays=lambda p: (p * 2, np.outer(p, p)),
)
cases(
    V5,
    comprehension=lambda x: np.sum([np.sin(v) * i for i, v in enumerate(x)]),
)
cases(M34, enumerate_elements=lambda x: sum(v * (i + 2 * j) for (i, j), v in np.ndenumerate(x)))


@case(np.array([0.3, 1.0, 2.0]))
def rotation_of_scalars(x):
    c, s = np.cos(x[0]), np.sin(x[0])
    R = np.array([[c, -s], [s, c]])
    return (R @ x[1:])[0]


@case(V6)
def blocks(x):
    B = np.block([[x[:4].reshape(2, 2), np.zeros((2, 2))], [np.eye(2), x[2:].reshape(2, 2)]])
    return np.linalg.slogdet(B + 2 * np.eye(4))[1]


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
def as_array(x):
    x = np.asarray(x)
    return (x**2).sum() + x.mean()


@case(V10, REFUSES)
def as_float_array(x):
    x = np.asarray(x, dtype=float)
    return (x**2).sum()


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
def view_of_a_copy(x):
    y = x.copy()
    a, b = y[:3], y[3:]
    a += b
    return y.sum() + np.prod(y[:2])


@case(V10)
def result_written_to_an_array_of_many_points(x):
    y = np.zeros_like(x)
    np.multiply(np.arange(10.0), 2.0, out=y)
    np.add(y, x, out=y, where=x > 0)
    return y @ x


@case(V10)
def scalars_swapped(x):
    y = x * 1
    y[0], y[1] = y[1], y[0]
    a = y[2]
    y[2] = 0.0
    return y @ np.arange(10) + a


# --- linear algebra ---


@case(M33)
def gram_schmidt(M):
    basis = []
    for v in M:
        for b in basis:
            v = v - (v @ b) * b
        basis.append(v / np.linalg.norm(v))
    return np.array(basis).sum()


@case(-SPD)
def cholesky_that_fails(S):
    try:
        return np.log(np.diag(np.linalg.cholesky(S))).sum()
    except np.linalg.LinAlgError:
        return np.trace(S) ** 2


# --- physics, ODEs and PDEs ---


@case(np.array([1.0, 0.5]))
def euler_steps(y):
    y = y.copy()
    for _ in range(50):
        y = y + 0.01 * np.array([y[1], -y[0]])
    return y


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


# --- series and signals ---

cases(
    V10,
    windows=lambda x: np.array([x[i : i + 3].max() for i in range(8)]).sum(),
    sliding_windows=lambda x: np.lib.stride_tricks.sliding_window_view(x, 3).mean(axis=1) @ np.arange(8),
)


# --- special functions, and what Python has ---

cases(
    POSITIVE,
    special_functions=lambda x: (special.gammaln(x) + special.erf(x) + special.expit(x) + special.j0(x)).sum(),
    special_of_two=lambda x: (special.xlogy(x, x) + special.gammainc(x, 2.0)).sum(),
)
cases(
    V5,
    builtin_functions=lambda x: abs(x[0]) + max(x[1], x[2]) + pow(x[3], 2) + round(x[4], 1) * 0 + divmod(x[0], 1.0)[1],
    reduced=lambda x: reduce(lambda a, b: a * b + 1, x),
    vectorised_function=lambda x: np.vectorize(lambda v: v**2 if v > 0 else -v)(x).sum(),
    a_partial=lambda x: partial(np.sum, x**2)(),
    a_scalar_type=lambda x: np.sqrt(np.sum(x**2), dtype=np.float64) + np.float64(2.0) * x[0],
    empty_parts=lambda x: x[5:].sum() + x[:0].prod() + x.sum(),
)
cases(np.array([1.5, 2.5]), math_of_few_points=lambda x: math.sin(x[0]) * math.exp(x[1]))
cases(
    V10,
    REFUSES,
    math_of_many_points=lambda x: sum(math.sin(v) for v in x),
    float_of_each=lambda x: sum(float(v) ** 2 for v in x),
)
cases(np.array([0.5]), float_of_one_element=lambda x: float(x[0]) ** 2)
cases(V10, through_tolist=lambda x: sum(v**2 for v in x.tolist()))
cases(V5 + 0.5j, complex_x=lambda z: np.abs(z**2 + 1).sum())
cases(np.array(0.7), of_no_axes=lambda x: np.sin(x) * x**2)
cases(V5.astype(np.float32), in_single_precision=lambda x: (x * np.float32(2)).sum())


@case(np.array([2.3, 4.7]))
def integer_of_a_value(x):
    n = int(x[0])
    return sum(x[1] ** k for k in range(n)) + math.floor(x[1])


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
def seeded_noise(x):
    noise = np.random.default_rng(0).normal(size=x.shape)
    return ((x + 0.1 * noise) ** 2).sum()


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


@case(V5)
def complex_numbers(x):
    z = x[:2] + 1j * x[2:4]
    return np.abs(np.exp(z)).sum() + (z * z.conj()).real.sum() + np.angle(z[0])


# --- broadcasting: the classic traps ---

cases(
    V3,
    vector_against_a_matrix=lambda x: ((DATA - x) ** 2).sum(axis=1).min(),
)
cases(
    {"a": V3, "b": [np.array(2.0), M33], "c": 1.5},
    a_tree=lambda p: (p["b"][1] @ p["a"]).sum() * p["b"][0] + p["c"] ** 2,
)
