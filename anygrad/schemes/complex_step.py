"""The complex step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from anygrad._typing import Array, Namespace
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.stencil import centred
from anygrad.schemes.steps import choose_steps, near_optimal_steps, relative_steps, spread_steps, validate_step


@dataclass(frozen=True)
class Complex:
    """The complex step: ``f'(x) = Im f(x + ih) / h``, exact to rounding, as nothing is subtracted.

    f must take a complex array and be analytic: made of arithmetic, powers, exp, log, sin, …, without ``abs``, ``max``,
    comparisons or conversions to a real dtype. It is given a complex copy of x, so that it cannot read x through
    a closure. An f that drops the imaginary part is noticed, and is an error, if its result is real or the derivative
    is 0 where f is not flat; one that drops a part of it at the first element, and of second derivatives at any.

    A gradient of n elements costs n calls of f, and 4 more to see whether f keeps the imaginary part. x is of float32,
    float64 or longdouble; bounds are not obeyed, as points off the real axis are in no interval.

    Parameters
    ----------
    step, rel_step
        As in `Central`: along the imaginary axis for first derivatives, along the real one for second derivatives. By
        default so small that its square is nothing beside ``|x|``, and that of `Central`.

    Raises
    ------
    TypeError
        If x is complex already, or of a dtype without a complex counterpart; if f drops the imaginary part.
    ValueError
        If more than the second derivative is asked for, or a step is not positive and finite.

    Notes
    -----
    W. Squire and G. Trapp, *Using complex variables to estimate derivatives of real functions*, SIAM Rev. 40 (1998)
    110-112, equation 6. Second derivatives are central differences of it,
    ``Im (f(x + ih + k) - f(x + ih - k)) / (2hk)``: M. S. Ridout, *Statistical applications of the complex-step method
    of numerical differentiation*, Am. Stat. 63 (2009) 66-74, equation 9. They are as exact as first derivatives by
    `Central`.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([0.5, 1.0])
    >>> gradient = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=anygrad.Complex())
    >>> bool(np.abs(gradient - np.exp(x)).max() < 1e-15)
    True
    """

    step: Any = None
    rel_step: Any = None
    samples_complex: ClassVar[bool] = True
    inspects_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        validate_step(self.step)
        validate_step(self.rel_step, "rel_step")

    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the step of each line: along the imaginary axis for n = 1, along the real one for n = 2."""
        _validate_n(n)
        if n == 2:
            return choose_steps(self.step, self.rel_step, lines, centred(2), None)
        # Off the real axis no step is too small to change x.
        steps = _imaginary_step(lines) if self.step is None else spread_steps(self.step, lines)
        if self.rel_step is None:
            return steps
        relative = relative_steps(self.rel_step, lines)
        return lines.xp.where(relative > (0.0 if self.step is None else steps), relative, steps)

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the first or second derivatives of ``lines``."""
        _validate_n(n)
        xp = lines.xp
        if n == 1:
            value = xp.imag(_sampled(lines, lines.at, steps)) / steps
            # Nothing is known of f along the real axis: the first line stands for those that are not flat.
            first = lines.numbers()[:, None] == 0
            _require_kept(lines, value, (value == 0) | (first & ~xp.any(value == 0)))
        else:
            h = _imaginary_step(lines)
            above, below = (_sampled(lines, point, h) for point in (lines.at + steps, lines.at - steps))
            value = (xp.imag(above) - xp.imag(below)) / h / (2 * steps)
            slope = (xp.imag(above) + xp.imag(below)) / h / 2
            along = _quotient(lines, xp.real(above), xp.real(below), steps)
            _require_kept(lines, slope, (slope == 0) | ~_alike(xp, slope, along))
        return Slopes(value=value, step=steps, flags={"nonfinite": ~lines.xp.isfinite(value)})

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines, if none of them is 0."""
        return n * m + (4 if m and n == 1 else 0)


def _validate_n(n: int) -> None:
    if n > 2:
        raise ValueError(
            f"Complex() gives first and second derivatives, but n = {n} was asked for: use anygrad.Adaptive() or"
            " anygrad.Central(order=4)"
        )


def _sampled(lines: Lines, at: Array, h: Array) -> Array:
    assert lines.compose is not None
    [values] = lines.sample([lines.compose(at, h)])
    if not lines.xp.isdtype(values.dtype, "complex floating"):
        raise _dropped("returned a real number for a complex x")
    return values


def _imaginary_step(lines: Lines) -> Array:
    """Return a step so small that its square is nothing beside |x|, yet large enough to be exact: a power of two."""
    xp = lines.xp
    smallest = lines.tiny / lines.eps**2  # the smallest normal number, with a full number of digits to spare
    size = xp.where(xp.isfinite(lines.scale) & (lines.scale > 0), lines.scale, 1.0)
    wanted = xp.maximum(lines.eps**2 * size, xp.full_like(size, smallest))
    return 2.0 ** xp.floor(xp.log2(wanted))


def _require_kept(lines: Lines, slope: Array, suspect: Array) -> None:
    """Raise if f has lost imaginary parts: compare the slope of suspects with that of f along the real axis."""
    xp = lines.xp
    if not lines.any(suspect):
        return
    suspects = xp.nonzero(xp.any(suspect, axis=1))[0]
    taken, claimed = lines.take(suspects), xp.take(slope, suspects, axis=0)
    k = near_optimal_steps(taken, centred(2))
    wide, narrow = (_real_slope(taken, step) for step in (k, k / 2))
    # x**3 at 0 has a slope of k**2, which shrinks with k, and a derivative of 0: where both steps agree there is one.
    reliable = xp.abs(wide - narrow) < 0.1 * xp.abs(narrow)
    if lines.any(reliable & ~_alike(xp, claimed, narrow)):
        if lines.any(xp.imag(lines.base()) != 0):
            raise TypeError(
                "f returns complex numbers for a real x, from which a complex step cannot tell their derivative: use"
                " anygrad.Central() or anygrad.Adaptive(), or differentiate its real and imaginary part"
            )
        raise _dropped("does not change with the imaginary part of x as it does with the real one")


def _alike(xp: Namespace, slope: Array, along: Array) -> Array:
    """Return whether a slope is that along the real axis, if one is seen, give or take what that may be wrong by."""
    return (along == 0) | (xp.abs(along - slope) <= 0.25 * xp.abs(along))


def _real_slope(lines: Lines, k: Array) -> Array:
    xp = lines.xp
    assert lines.compose is not None
    points = [lines.compose(lines.at + sign * k, xp.zeros_like(k)) for sign in (1, -1)]
    above, below = (xp.real(values) for values in lines.sample(points))
    return _quotient(lines, above, below, k)


def _quotient(lines: Lines, above: Array, below: Array, k: Array) -> Array:
    """Return the central difference, or 0 where that is nothing but rounding."""
    xp = lines.xp
    rounding = 100 * lines.eps * (xp.abs(above) + xp.abs(below))
    return xp.where(xp.abs(above - below) > rounding, (above - below) / (2 * k), 0.0)


def _dropped(how: str) -> TypeError:
    return TypeError(
        f"f {how}: abs, max, a conversion to a real dtype and some libraries' powers of negative numbers drop the"
        " imaginary part, which carries the derivative of a complex step: write f with analytic functions alone (x*x"
        " for abs(x)**2, x*x*x for x**3), or use anygrad.Adaptive() or anygrad.Central()"
    )
