"""Pictures. They need matplotlib, which is imported when one is drawn: ``pip install '.[plot]'`` in a checkout."""

from anygrad.plot.gradient_field import gradient_field
from anygrad.plot.step_study import Study, step_study, study

__all__ = ["Study", "gradient_field", "step_study", "study"]
