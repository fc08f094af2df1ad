"""Evaluators: how f is called at the points that a scheme asks for."""

from anygrad.backends.base import Points
from anygrad.evaluators.base import Calls, Evaluator
from anygrad.evaluators.batch import Batch
from anygrad.evaluators.journal import Journal
from anygrad.evaluators.loop import Loop
from anygrad.evaluators.vmap import Vmap

__all__ = ["Batch", "Calls", "Evaluator", "Journal", "Loop", "Points", "Vmap"]
