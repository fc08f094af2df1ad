"""Functions written for one point, called with a batched array that holds many."""

from anygrad.evaluators.batching.array import Batched
from anygrad.evaluators.batching.parts import Many
from anygrad.evaluators.batching.run import BatchingError

__all__ = ["Batched", "BatchingError", "Many"]
