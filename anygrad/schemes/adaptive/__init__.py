"""Adaptive steps: extrapolation to the step 0, with an estimate of the error."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

from anygrad._typing import Array
from anygrad.schemes.base import Lines, Slopes
from anygrad.schemes.finite_difference import validate_noise
from anygrad.schemes.steps import as_float, validate_step

# A high derivative needs so many more levels for each order to be seen at all.
_LEVELS_PER_ORDER = 4


@dataclass(frozen=True)
class Adaptive:
    """Extrapolation of central differences to the step 0, for each element until its error stops decreasing.

    Every element has its own steps, an estimate of its error, and flags. An element takes 13 calls of f in the median
    of common functions, 7 where f is linear, and 25 to 45 where f is noisy or varies thousands of times faster than x
    suggests; for n > 2 there are two more for every other n. f(x) itself is called once for all elements.

    Parameters
    ----------
    step
        The first step, a number or an array of x's shape. None begins with ``0.3 |x|``, at 0 with 0.3: rather far too
        large than too small, because shrinking it costs little.
    noise
        The relative noise of f, as a standard deviation: 1e-6 if its values are good to six digits. None measures it
        where f looks noisy.
    levels
        The maximal number of steps for the first derivative of an element; a higher derivative may take more. With 1,
        the derivative is a central difference, and its error half the difference of the slopes on both sides. With 1
        or 2, doubtful elements are not examined further: an element takes as many calls as it has points, and a large
        error is flagged ``unconverged``.
    rtol, atol
        An element ends as soon as its error is at most ``atol + rtol * abs(value)``. With ``rtol=1e-6`` most smooth
        functions take 7 calls an element, and two more at 0. With 0 for both, the search goes on until the error stops
        decreasing. Lazy and traced arrays take the same number of steps whatever their error is.

    Raises
    ------
    ValueError
        If ``step`` is not positive, ``noise``, ``rtol`` or ``atol`` is negative, or ``levels`` is less than 1.
    TypeError
        If ``noise``, ``rtol`` or ``atol`` is not a number, or ``levels`` not an integer.

    See Also
    --------
    Central : cheaper, without an estimate of the error.
    Result : where the error and the flags are found, with ``full_output=True``.

    Notes
    -----
    The values at steps h, h/2.1, h/2.1^2, ... (h/1.4, ... above the second derivative) are extrapolated to the step 0
    by the method of L. F. Richardson and W. Romberg. The best entry of the tableau has the least sum of two numbers:
    its change from the previous row (C. J. F. Ridders, *Accurate computation of F'(x) and F'(x) F''(x)*, Adv. Eng.
    Software 4 (1982), 75-76), and the rounding in the values of f. The error is three times that change (ten times
    above the fourth derivative), plus that rounding. It covers the true error in 99 of 100 cases.

    An element has converged when the change is no more than the rounding, and f(x) lies on the curve through the
    other values. The next step is much shorter where f is not finite, or varies too fast; it is wider where f is
    straight.

    An element that does not converge is examined further. Seven values close to x, minus a cubic, tell noise from fast
    variation (compare J. J. More and S. M. Wild, *Estimating computational noise*, SIAM J. Sci. Comput. 33 (2011),
    1292-1314): closer to x, noise stays as large as it is, and a wave vanishes. Then the
    search is repeated: at wider steps under noise, at shorter ones within a wave or beside a kink. x = 0 does not say
    on which scale f varies: there the slope is compared with that very close to x.

    The flags: ``kink`` where the slopes on both sides differ, or f jumps: the value is their mean, and the error covers
    both; ``noisy``; ``one_sided`` next to a bound, or where f ends at x; ``nonfinite``; ``unconverged`` where the error
    is large and nothing explains it. Above the fourth derivative, ``unconverged`` is also set where the error is larger
    than the value and than f divided by n powers of x.

    Derivatives above the 36th in float64, the 15th in float32 and the 6th in float16 are refused: rounding leaves no
    correct digit of them.

    Examples
    --------
    >>> import numpy as np
    >>> import anygrad
    >>> x = np.array([0.5, 1.0])
    >>> result = anygrad.numerical_gradient(lambda x: np.exp(x).sum(), x, scheme=anygrad.Adaptive(), full_output=True)
    >>> bool((np.abs(result.value - np.exp(x)) <= result.error).all() and result.error.max() < 1e-12)
    True
    >>> bool(anygrad.derivative(np.abs, np.array([0.0, 1.0]), full_output=True).flags["kink"][0])
    True
    """

    step: Any = None
    noise: float | None = None
    levels: int = 24
    rtol: float = 0.0
    atol: float = 0.0
    samples_complex: ClassVar[bool] = False
    inspects_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        validate_step(self.step)
        validate_noise("Adaptive", self.noise)
        if isinstance(self.levels, bool) or not isinstance(self.levels, numbers.Integral):
            raise TypeError(f"Adaptive(levels={self.levels!r}): levels must be an integer, such as 24")
        if self.levels < 1:
            raise ValueError(f"Adaptive(levels={self.levels!r}): levels must be 1 or more, such as 24")
        for name, tolerance in (("rtol", self.rtol), ("atol", self.atol)):
            if isinstance(tolerance, bool) or not isinstance(tolerance, numbers.Real):
                raise TypeError(f"Adaptive({name}={tolerance!r}): {name} must be a number, such as 1e-6")
            if not 0.0 <= as_float(tolerance) < math.inf:
                raise ValueError(f"Adaptive({name}={tolerance!r}): {name} must be finite and 0 or more, such as 1e-6")

    # The search is imported when it is used, so that `import anygrad` stays quick.
    def steps(self, lines: Lines, n: int = 1) -> Array:
        """Return the first step of each line."""
        from anygrad.schemes.adaptive.start import first_steps  # noqa: PLC0415

        return first_steps(lines, n, self)

    def differentiate(self, lines: Lines, steps: Array, n: int = 1) -> Slopes:
        """Return the n-th derivatives of ``lines``, beginning with ``steps``."""
        from anygrad.schemes.adaptive.diagnosis import differentiate  # noqa: PLC0415
        from anygrad.schemes.adaptive.lazy import differentiate_lazily  # noqa: PLC0415
        from anygrad.schemes.adaptive.richardson import series_of  # noqa: PLC0415
        from anygrad.schemes.adaptive.search import Search  # noqa: PLC0415

        levels = self.levels + _LEVELS_PER_ORDER * (n - 1)
        search = Search(series_of(n, 0), levels, rtol=as_float(self.rtol), atol=as_float(self.atol))
        if lines.lazy:
            return differentiate_lazily(lines, search, steps, self.noise)
        return differentiate(lines, search, steps, self.noise)

    def calls(self, m: int, n: int = 1) -> int:
        """Return about how often f is called."""
        return 1 + m * (12 + 2 * ((n - 1) // 2))
