"""Evaluators: how f is called at the points that a scheme asks for."""

from anygrad.backends.base import Points
from anygrad.evaluators.base import Calls, Evaluator
from anygrad.evaluators.loop import Loop

__all__ = ["Calls", "Evaluator", "Loop", "Points"]
