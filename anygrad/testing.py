"""For the tests of others: a gradient that is wrong fails the test, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anygrad._typing import PyTree
from anygrad.check import check_gradient


def assert_gradient(f: Callable[[Any], Any], grad: Any, x: PyTree, **options: Any) -> None:
    """Raise AssertionError, with the report, unless `anygrad.check_gradient` finds that a gradient agrees.

    Parameters
    ----------
    f, grad, x, **options
        As `anygrad.check_gradient`.

    Raises
    ------
    AssertionError
        If it does not agree: its message is the report, and pytest shows the line of the test and nothing of anygrad.
    TypeError, ValueError
        As `anygrad.check_gradient`.

    See Also
    --------
    anygrad.check_gradient : returns the report.

    Notes
    -----
    f is called as often as by `anygrad.check_gradient`.

    Examples
    --------
    >>> import numpy as np
    >>> from anygrad.testing import assert_gradient
    >>> assert_gradient(lambda x: (x**3).sum(), lambda x: 3 * x**2, np.array([1.0, 2.0]))
    >>> assert_gradient(lambda x: (x**3).sum(), lambda x: 3 * x, np.array([1.0, 2.0]))
    Traceback (most recent call last):
        ...
    AssertionError: Wrong: 1 of 2 elements differs from the numerical derivative by more than the tolerance.
    ...
    """
    __tracebackhide__ = True
    report = check_gradient(f, grad, x, **options)
    if not report:
        raise AssertionError(str(report))
