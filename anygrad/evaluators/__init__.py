"""Evaluators: how f is called at the points that a scheme asks for."""

from anygrad.evaluators._base import Brief, Evaluator, Session, Target
from anygrad.evaluators._perturb import modified, restored
from anygrad.evaluators.batch import Batch
from anygrad.evaluators.journal import Journal
from anygrad.evaluators.loop import Loop
from anygrad.evaluators.pool import Pool
from anygrad.evaluators.vmap import Vmap

__all__ = [
    "Batch",
    "Brief",
    "Evaluator",
    "Journal",
    "Loop",
    "Pool",
    "Session",
    "Target",
    "Vmap",
    "modified",
    "restored",
]
