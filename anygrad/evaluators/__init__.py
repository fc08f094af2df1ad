"""Evaluators: how f is called at the points that a scheme asks for."""

from anygrad.evaluators._base import Evaluator, Session, Target
from anygrad.evaluators.journal import Journal
from anygrad.evaluators.loop import Loop
from anygrad.evaluators.pool import Pool

__all__ = ["Evaluator", "Journal", "Loop", "Pool", "Session", "Target"]
