"""The complex step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from anygrad._typing import Array
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.stencil import centred
from anygrad.schemes.steps import (
    choose_steps,
    near_optimal_steps,
    relative_steps,
    representable,
    scale_of,
    spread_steps,
    validate_step,
)

_ROUNDINGS = 100.0  # how many roundings the value of an f of ordinary length carries


@dataclass(frozen=True)
class Complex:
    """The complex step: ``f'(x) = Im f(x + ih) / h``, exact to rounding, as nothing is subtracted.

    f must take a complex array and be analytic: made of arithmetic, powers, exp, log, sin, …, without ``abs``, ``max``,
    comparisons or conversions to a real dtype. It is given a complex copy of x, so that it cannot read x through
    a closure. It is an error if f drops the imaginary part, even if only a millionth of the derivative is lost (in
    float32 a hundredth).

    A gradient of n elements costs n calls of f, and 3 more that compare with a real difference along one direction
    through all elements, to see whether f keeps the imaginary part (13 where that is in doubt). x is of float32,
    float64 or longdouble; bounds are not obeyed, as points off the real axis are in no interval.

    Parameters
    ----------
    step, rel_step
        As in `Central`: along the imaginary axis for first derivatives, along the real one for second derivatives. The
        default is so small along the imaginary axis that its square is negligible beside ``|x|``; along the real axis,
        it is that of `Central`.

    Raises
    ------
    TypeError
        If x is complex already, or of a dtype without a complex counterpart; if f drops the imaginary part.
    ValueError
        If more than the second derivative is asked for, or a step is not positive and finite.

    See Also
    --------
    Adaptive, Central : for functions that are not analytic.

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
            _require_kept(lines)
        else:
            h = _imaginary_step(lines)
            above, below = (_sampled(lines, point, h) for point in (lines.at + steps, lines.at - steps))
            value = (xp.imag(above) - xp.imag(below)) / h / (2 * steps)
            slope = (xp.imag(above) + xp.imag(below)) / h / 2
            lost = xp.abs((xp.real(above) - xp.real(below)) / (2 * steps) - slope)
            # Truncation is the third derivative times k**2, which is taken to be at most 10 times the second one.
            bent = 10 * steps**2 / scale_of(lines) * xp.abs(value)
            suspect = lost > bent + _tolerance(lines, slope * steps, above, below) / steps
            if not lines.lazy and lines.any(suspect):
                _require_kept(replace(lines.take(xp.nonzero(xp.any(suspect, axis=1))[0]), together=None))
        return Slopes(value=value, step=steps, flags={"nonfinite": ~lines.xp.isfinite(value)})

    def calls(self, m: int, n: int = 1) -> int:
        """Return how often f is called for the n-th derivatives of m lines, if none of them is 0."""
        return n * m + (3 if m and n == 1 else 0)


def _validate_n(n: int) -> None:
    if n > 2:
        raise ValueError(
            f"n is {n}, but anygrad.Complex() finds only first and second derivatives: use anygrad.Adaptive() or"
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
    known = xp.isfinite(lines.scale) & (lines.scale > 0)
    size = xp.where(known, lines.scale, 1.0)
    smallest = lines.tiny / lines.eps**2  # the smallest normal number, with a full number of digits to spare
    # There are |x| that are smaller still, at which fewer digits are to spare.
    spared = xp.minimum(xp.full_like(size, smallest), lines.eps**0.5 / 2 * size)
    wanted = xp.maximum(lines.eps**2 * size, xp.maximum(spared, xp.full_like(size, lines.tiny)))
    return 2.0 ** xp.floor(xp.log2(wanted))


def _require_kept(lines: Lines) -> None:
    """Raise if f has lost imaginary parts: compare a complex step with a real difference, along the same direction.

    All elements change at a time, each by a step of its own, so that three calls of f tell of all of them.
    """
    if lines.lazy:
        return
    xp = lines.xp
    sample = lines.sample if lines.together is None else lines.together
    compose = lines.compose
    assert compose is not None
    # A direction that looks random, and is the same each time: golden and silver numbers fill the interval evenly.
    numbers = xp.astype(lines.numbers(), lines.at.dtype)[:, None] + 1
    share, sign = (xp.remainder(numbers * number, 1.0) for number in (0.6180339887, 0.4142135624))
    steps = near_optimal_steps(lines, centred(2), _ROUNDINGS * lines.eps)
    # Beyond 0 there may be another branch of f, at which the whole change would be missing.
    near = xp.minimum(steps, lines.scale / 8)
    steps = representable(xp.where(near > 0, near, steps) * (0.5 + 0.5 * share), lines)
    steps = xp.where(sign < 0.5, -steps, steps)
    unit = lines.eps**0.5 / 8
    [turned] = sample([compose(lines.at, unit * steps)])
    claimed = xp.imag(turned) / unit

    def lost(part: float) -> tuple[Array, Array]:
        """Return the change of f that the claim lacks, and how much of it may be rounding or truncation."""
        points = [compose(lines.at + t, xp.zeros_like(t)) for t in (part * steps, -part * steps)]
        above, below = sample(points)
        change = (xp.real(above) - xp.real(below)) / 2
        return change - part * claimed, _tolerance(lines, part * claimed, above, below)

    most, tolerance = lost(1.0)
    dropped = xp.abs(most) > tolerance
    if not lines.any(dropped):
        return
    # The lost change is proportional to the distance; truncation to its third power, rounding inside of f to none.
    # Where f varies on a much smaller scale than these steps, all of its change may be missing, but not so close to x.
    for part, rounded in ((0.75, 0.0), (0.5, 0.0), (0.25, 0.0), (2**-6, 1.0), (2**-12, 1.0)):
        less, tolerance = lost(part)
        allowed = 0.1 * part * xp.abs(most) + rounded * tolerance
        dropped = dropped & (xp.abs(less - part * most) < allowed)
    if lines.any(dropped):
        if lines.any(xp.imag(lines.base()) != 0):
            raise TypeError(
                "f returns complex numbers for a real x, but anygrad.Complex() needs real ones: use anygrad.Central()"
                " or anygrad.Adaptive(), or differentiate the real and the imaginary part of f"
            )
        raise _dropped("changes otherwise with the imaginary part of x than with the real part")


def _tolerance(lines: Lines, claimed: Array, above: Array, below: Array) -> Array:
    xp = lines.xp
    rounding = _ROUNDINGS * lines.eps * (xp.abs(above) + xp.abs(below)) / 2
    return rounding + lines.eps**0.5 * xp.abs(claimed)


def _dropped(how: str) -> TypeError:
    return TypeError(
        f"f {how}, so the complex step loses the derivative. abs, max, conversions to a real dtype and, in some"
        " libraries, powers of negative numbers do this: use analytic functions only (x*x for abs(x)**2, x*x*x for"
        " x**3), or anygrad.Adaptive() or anygrad.Central()"
    )
