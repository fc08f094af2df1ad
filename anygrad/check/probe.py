"""The subject of a check: f, x and the claim; f at x and along a line through x; arrays on the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace

from anygrad._typing import Array, PyTree
from anygrad.backends.base import resolve
from anygrad.operators.gradient import numerical_gradient
from anygrad.operators.hessian import hessian
from anygrad.operators.jacobian import jacobian
from anygrad.problem.function import Function
from anygrad.problem.lines import direction_lines
from anygrad.problem.options import Options
from anygrad.problem.parameters import Parameters
from anygrad.problem.problem import Problem
from anygrad.problem.result import Result
from anygrad.problem.tree import flatten
from anygrad.schemes import Adaptive, Central, Scheme

HostArray: TypeAlias = np.ndarray[Any, np.dtype[Any]]

OPERATORS: dict[str, Callable[..., Any]] = {"grad": numerical_gradient, "jac": jacobian, "hess": hessian}

# With a dtype of so few digits, extrapolation finds nothing; steps are then this share of x.
_FEW_DIGITS = 1e-4
_SHARE = 0.2

# By how much the derivatives along both axes differ where f is not holomorphic: a share of the larger one, and so many
# times rounding. Steps that are so many times shorter must say the same: near a pole the derivative may change as much
# within one step.
_DIFFERENT, _ROUNDINGS = 0.1, 100.0
_SHORTER = 16.0


# Arrays on the host


def on_host(leaf: Any, name: str) -> HostArray:
    """Return an array as a NumPy array of float64 (complex128) or wider; booleans stay booleans.

    ``name`` is what an error calls it.
    """
    backend = resolve(leaf)
    if backend is not None and "bfloat16" in str(leaf.dtype):  # NumPy lacks it
        xp = array_namespace(leaf)
        leaf = xp.astype(leaf, xp.float32)
    dense = leaf.toarray() if backend is None and hasattr(leaf, "toarray") else leaf  # SciPy's sparse arrays
    numbers = np.asarray(dense if backend is None else backend.host(leaf))
    if numbers.dtype.kind == "b":
        return numbers
    if numbers.dtype.kind not in "iufc":
        raise TypeError(f"{name} is {leaf!r:.60}, but a number or an array of numbers was expected")
    return numbers.astype(np.result_type(numbers.dtype, np.float64))


def all_on_host(arrays: Sequence[Array], name: str) -> list[HostArray]:
    """Return arrays of one shape, numbers and booleans, in one transfer: a lazy array is computed only once."""
    if resolve(arrays[0]) is None:
        return [on_host(array, name) for array in arrays]
    xp = array_namespace(*arrays)
    parts = [part for array in arrays for part in _real_parts(xp, array)]
    real = next(part.dtype for part in parts if xp.isdtype(part.dtype, "real floating"))
    table = iter(on_host(xp.stack([xp.astype(part, real) for part in parts]), name))
    return [_from_real_parts(xp, array, table) for array in arrays]


def _real_parts(xp: Any, array: Array) -> list[Array]:
    return [xp.real(array), xp.imag(array)] if xp.isdtype(array.dtype, "complex floating") else [array]


def _from_real_parts(xp: Any, array: Array, parts: Iterator[HostArray]) -> HostArray:
    """Put an array together from its parts, which are the next ones."""
    if xp.isdtype(array.dtype, "complex floating"):
        return next(parts) + 1j * next(parts)
    part = next(parts)
    return part != 0 if xp.isdtype(array.dtype, "bool") else part


def leaves_on_host(tree: PyTree, name: str) -> list[tuple[str, HostArray]]:
    """Return the arrays of a tree with the expressions that name them."""
    if tree is None:
        raise TypeError(f"{name} is None, but derivatives were expected: is a return statement missing?")
    flat = flatten(tree, name)
    return [(place, on_host(leaf, place)) for place, leaf in zip(flat.names, flat.leaves, strict=True)]


def spacing(leaf: Any) -> float:
    """Return the spacing of numbers at 1 in an array's dtype; float64's if the dtype is not a floating one."""
    if resolve(leaf) is not None:
        xp = array_namespace(leaf)
        if xp.isdtype(leaf.dtype, ("real floating", "complex floating")):
            return float(xp.finfo(leaf.dtype).eps)
    return float(np.finfo(np.float64).eps)


# x


def magnitudes(parameters: Parameters) -> list[HostArray]:
    """Return |x| of each element, in an array for each array; where it is 0, a typical |x| of the same array, or 1."""
    return [_magnitudes(on_host(array, name)) for name, array in parameters.by_name.items()]


def _magnitudes(array: HostArray) -> HostArray:
    sizes = np.where(np.isfinite(array), np.abs(array), 0.0)
    return np.where(sizes > 0, sizes, _root_mean_square(sizes) or 1.0)


def _root_mean_square(sizes: HostArray) -> float:
    largest = float(np.max(sizes, initial=0.0))
    with np.errstate(under="ignore"):  # numbers that are so much smaller do not count
        return largest * float(np.sqrt(np.mean((sizes / largest) ** 2))) if largest else 0.0


def default_scheme(parameters: Parameters) -> Scheme:
    """Return the scheme for x: one for few digits, if any array has few."""
    if max(map(spacing, parameters.arrays), default=0.0) < _FEW_DIGITS:
        return Adaptive()
    steps = [_SHARE * np.maximum(size, _root_mean_square(size) / 2) for size in magnitudes(parameters)]
    return Central(step=parameters.rebuild(steps))


def random_direction(parameters: Parameters, rng: np.random.Generator) -> HostArray:
    """Return by how much each element of x changes, (n,): by its magnitude, with a random sign."""
    parts = [size.reshape(-1) * rng.choice([-1.0, 1.0], size.size) for size in magnitudes(parameters)]
    return np.concatenate([np.zeros(0), *parts])


# f along a line


@dataclass(frozen=True, eq=False)
class Probe:
    """The values of f at x and along a line through x; f returns p numbers.

    Attributes
    ----------
    repeated
        f(x), evaluated several times, (k, p).
    t, values
        The places on the line, and f there, (m,) and (m, p).
    width
        How many elements of x moved: only those of its first arrays, if its arrays are of several libraries.
    cotangent
        Random numbers of the structure that f returns, if they were asked for.
    ncalls
        How often f was called.
    """

    repeated: HostArray
    t: HostArray
    values: HostArray
    width: int
    cotangent: PyTree
    ncalls: int

    @property
    def spread(self) -> float:
        """How far the values of f at the same x are apart: 0 if f is deterministic."""
        finite = self.repeated[:, np.all(np.isfinite(self.repeated), axis=0)]
        return float(np.max(np.abs(finite - finite[:1]), initial=0.0))

    @property
    def is_constant(self) -> bool:
        """Whether f was the same all along the line."""
        return bool(np.all(self.values == self.repeated[:1]))

    def rounding(self, eps: float) -> float:
        """Return the rounding error of a value of f in a dtype of this spacing."""
        return eps * float(np.max(np.abs(self.repeated), initial=0.0))


def probe_line(
    f: Callable[[Any], Any],
    parameters: Parameters,
    direction: HostArray,
    t: Sequence[float],
    options: Options,
    *,
    vector: bool = False,
    repeats: int = 3,
    last: bool = False,
    cotangent: np.random.Generator | None = None,
) -> Probe:
    """Evaluate f at x, ``repeats`` times, and at x + t d; on the other side of x where bounds leave no room for t.

    ``direction`` has a number for each element of x, (n,). With ``last``, the last repetition comes after all else:
    slow drift shows more then.
    """
    function = Function(f, vector=vector)
    if any(backend is not parameters.backends[0] for backend in parameters.backends):
        parameters = parameters.runs()[0]
    with Problem.joint(function, parameters, options, None) as problem:
        memory = problem.memory
        lines = direction_lines(problem, range(memory.size), memory.from_host(direction[None, : memory.size]))
        lengths = _within_bounds(np.asarray(t, dtype=float), lines.lower, lines.upper)
        points = np.roll([*np.zeros(repeats), *lengths], -int(last))
        samples = lines.sample([memory.xp.full_like(lines.at, float(point)) for point in points])
        values = np.roll(on_host(memory.to_host(memory.xp.concat(samples)), "f(x)"), int(last), axis=0)
        made = None
        if cotangent is not None:
            numbers = cotangent.choice([-1.0, 1.0], values.shape[1]) * cotangent.uniform(0.5, 1.5, values.shape[1])
            working = memory.from_host(numbers)
            made = function.rebuilt([memory.assemble([working[own]], shape) for own, shape in function.outputs])
    return Probe(values[:repeats], lengths, values[repeats:], memory.size, made, problem.ncalls)


def polynomial_residual(t: HostArray, values: HostArray, degree: int) -> float:
    """Return the standard deviation of values, (m,) or (m, p), about the polynomial of t that fits them best.

    It is 0 where they are so far apart that the distance is not a number.
    """
    powers = np.vander(t / np.max(np.abs(t)), degree + 1)
    with np.errstate(all="ignore"):
        shifted = (values - values[:1]).astype(complex if np.iscomplexobj(values) else float)  # LAPACK has no others
        size = float(np.max(np.abs(shifted), initial=0.0))
        if not 0.0 < size < np.inf:
            return 0.0
        shifted = shifted / size  # so that the squares are numbers, too
        left = shifted - powers @ np.linalg.lstsq(powers, shifted, rcond=None)[0]
        return size * float(np.linalg.norm(left) / np.sqrt(t.size - degree - 1))


def _within_bounds(t: HostArray, lower: Any, upper: Any) -> HostArray:
    """Scale lengths that lead out of bounds down, to the side where there is more room."""
    if lower is None or upper is None or not t.size:
        return t
    below, above = -float(lower[0, 0]), float(upper[0, 0])
    scaled: HostArray = t * min(1.0, max(below, above) / float(np.max(t)))
    return scaled if above >= below else -scaled


# The task


@dataclass(frozen=True, eq=False)
class Task:
    """The question of a check: whether the claim is a derivative of f at x.

    Attributes
    ----------
    kind
        Which derivative: ``grad``, ``jac`` or ``hess``.
    name
        The user's name for the claim.
    f, x, claim
        As the user gave them; a vector-Jacobian product has been made into a gradient.
    options
        How f is differentiated.
    scheme_given
        Whether the user chose the scheme.
    ncalls
        How often f was called to set up the task.
    """

    kind: str
    name: str
    f: Callable[[Any], Any]
    x: PyTree
    claim: Any
    options: Options
    scheme_given: bool
    ncalls: int = 0

    @classmethod
    def of(
        cls,
        f: Callable[[Any], Any],
        x: PyTree,
        claim: tuple[str, Any],
        options: Options,
        rng: np.random.Generator,
        *,
        scheme_given: bool,
    ) -> Task:
        """Return the task; a vector-Jacobian product becomes the gradient of a randomly weighted sum of f's values."""
        kind, claimed = claim
        if kind != "vjp":
            return cls(kind, kind, f, x, claimed, options, scheme_given)
        parameters = Parameters.of(x)
        parameters.require_real("a vector-Jacobian product")
        if not callable(claimed):
            raise TypeError(
                f"vjp is {claimed!r:.60}, but a function was expected: vjp(x, g), with g like what f returns"
            )
        unmoved = np.zeros(parameters.size)
        probe = probe_line(f, parameters, unmoved, (), options, vector=True, repeats=1, cotangent=rng)
        weights = probe.cotangent
        weighted = WeightedSum(f, weights, options.evaluator.leading)
        gradient = partial(_with_weights, claimed, weights)
        return cls("grad", "vjp", weighted, x, gradient, options, scheme_given, probe.ncalls)

    @cached_property
    def parameters(self) -> Parameters:
        """The arrays of x."""
        return Parameters.of(self.x)

    @cached_property
    def magnitudes(self) -> list[HostArray]:
        """The magnitudes of the elements of x; see `magnitudes`."""
        return magnitudes(self.parameters)

    @cached_property
    def eps(self) -> list[float]:
        """The spacing of numbers at 1 in the dtype of each array."""
        return list(map(spacing, self.parameters.arrays))

    @property
    def vector(self) -> bool:
        """Whether f returns arrays."""
        return self.kind == "jac"

    @property
    def n(self) -> int:
        """The order of the derivative, 1 or 2."""
        return 2 if self.kind == "hess" else 1

    def operator(self, progress: Any = False) -> Callable[..., Result]:
        """Return the derivative as a function of the scheme."""
        return partial(
            OPERATORS[self.kind],
            self.f,
            self.x,
            evaluator=self.options.evaluator,
            bounds=self.options.bounds,
            progress=progress,
            full_output=True,
        )

    def probe(self, direction: HostArray, lengths: Sequence[float]) -> Probe:
        """Return f along a line."""
        return probe_line(self.f, self.parameters, direction, lengths, self.options, vector=self.vector, last=True)

    def function_of_array(self, i: int) -> tuple[Callable[[Any], Any], Any]:
        """Return f as a function of the i-th array of x alone, and the bounds of that array."""
        one = replace(self.parameters, start=i, stop=i + 1)
        f = self.f
        if not (one.alone and not one.takes_scalars):
            f = FunctionOfArray(self.f, one, self.options.evaluator.leading)
        bounds = self.options.bounds
        return f, bounds and tuple(one.leaves_of(bound, "a bound")[0] for bound in bounds)


@dataclass(frozen=True, eq=False)
class FunctionOfArray:
    """f as a function of one array of x; of many along a leading axis, if f is written for that."""

    f: Callable[[Any], Any]
    parameters: Parameters
    leading: bool

    def __call__(self, array: Array) -> Any:
        """Return f of x with another array in the place of the one."""
        one = array if self.parameters.alone else [array]
        return self.f(self.parameters.many_arguments(one) if self.leading else self.parameters.argument(one))


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """The weighted sum of the elements of f(x); for many points at a time, if f is written for that."""

    f: Callable[[Any], Any]
    weights: PyTree
    leading: bool

    def __call__(self, x: Any) -> Any:
        """Return one number, or one for each point."""
        values, weights = flatten(self.f(x), "f(x)").leaves, flatten(self.weights, "f(x)").leaves
        total: Any = 0.0
        for value, weight in zip(values, weights, strict=True):
            xp = array_namespace(weight)
            product = xp.asarray(value) * weight
            axes = tuple(range(1, product.ndim)) if self.leading else None
            total = total + xp.sum(product, axis=axes)
        return total


def _with_weights(vjp: Callable[[Any, Any], PyTree], weights: PyTree, x: Any) -> PyTree:
    flat = flatten(weights, "f(x)")
    # Copies: a backward pass may write into its argument.
    return vjp(x, flat.rebuild([array_namespace(leaf).asarray(leaf, copy=True) for leaf in flat.leaves]))


@dataclass(frozen=True, eq=False)
class Setting:
    """How f is differentiated: the task, in x's dtype or a wider one, f along a line there, and the noise of f."""

    task: Task
    probe: Probe
    noise: float = 0.0


# Complex derivatives


def require_holomorphic(task: Task, probe: Probe, direction: HostArray) -> int:
    """Raise if the Cauchy-Riemann equations do not hold for f along a direction; return how often f was called."""
    parameters = task.parameters
    is_complex = [array_namespace(array).isdtype(array.dtype, "complex floating") for array in parameters.arrays]
    if not any(is_complex) or not np.iscomplexobj(probe.values):
        return 0
    sizes = [math.prod(shape) for shape in parameters.shapes]
    along = np.where(np.repeat(is_complex, sizes), direction, 0.0)

    def times(x: PyTree, factor: complex) -> PyTree:
        tree = flatten(x)
        return tree.rebuild([leaf * factor if own else leaf for leaf, own in zip(tree.leaves, is_complex, strict=True)])

    # Both are copies, so that an f that reads x through a closure sees neither change.
    x = parameters.rebuild(parameters.arrays)
    same, back = (Parameters.of(times(x, factor)) for factor in (1.0, -1j))
    eps = max(task.eps)
    calls = 0

    def slope(f: Callable[[Any], Any], at: Parameters, step: float) -> HostArray:
        nonlocal calls
        pair = probe_line(f, at, along, (step, -step), task.options, vector=task.vector, repeats=0)
        calls += pair.ncalls
        derivative: HostArray = (pair.values[0] - pair.values[1]) / (2 * step)
        return derivative

    for step in (eps ** (1 / 3), eps ** (1 / 3) / _SHORTER):
        real, imaginary = slope(task.f, same, step), slope(lambda x: task.f(times(x, 1j)), back, step)
        noise = _ROUNDINGS * (probe.rounding(eps) + probe.spread) / step
        apart = np.abs(imaginary - 1j * real) > _DIFFERENT * np.maximum(np.abs(real), np.abs(imaginary)) + noise
        if not np.any(apart):
            return calls
    raise ValueError(
        "f returns complex numbers, but it is not holomorphic: along the imaginary axes it changes otherwise than along"
        " the real ones, so that it has no complex derivative: let it return a real number, or check it as a function"
        " of real and imaginary part"
    )
