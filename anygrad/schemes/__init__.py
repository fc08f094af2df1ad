"""Schemes: where f is sampled, and how the samples are combined."""

from anygrad.schemes._base import Scheme
from anygrad.schemes._named import named
from anygrad.schemes._step import ReferenceStep
from anygrad.schemes.adaptive import Adaptive
from anygrad.schemes.backward import Backward
from anygrad.schemes.central import Central
from anygrad.schemes.complex import Complex
from anygrad.schemes.forward import Forward

__all__ = ["Adaptive", "Backward", "Central", "Complex", "Forward", "ReferenceStep", "Scheme", "named"]
