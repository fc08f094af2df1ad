"""A report as a picture."""

from anygrad.plot.check_report import draw_report as drawn

__all__ = ["drawn"]
