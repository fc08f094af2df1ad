"""Schemes: where f is sampled, and how the samples are combined."""

from anygrad.schemes.adaptive import Adaptive
from anygrad.schemes.base import Lines, Scheme, Slopes
from anygrad.schemes.complex_step import Complex
from anygrad.schemes.finite_difference import Backward, Central, Forward
from anygrad.schemes.steps import ReferenceStep

__all__ = ["Adaptive", "Backward", "Central", "Complex", "Forward", "Lines", "ReferenceStep", "Scheme", "Slopes"]
