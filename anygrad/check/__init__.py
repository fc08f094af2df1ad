"""The check of a derivative that somebody has written."""

from anygrad.check.check import check_gradient
from anygrad.check.report import CheckReport

__all__ = ["CheckReport", "check_gradient"]
