"""Calls of f side by side: in threads, in processes, on the machines of a cluster."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from anygrad.evaluators._base import Session, Target
from anygrad.evaluators._pool.executors import require_executor


@dataclass(frozen=True)
class Pool:
    """Call f at many points at a time, in the threads or processes of an executor.

    The values are those of `Loop`, to the last bit unless f rounds otherwise where x lies otherwise in memory. f(x)
    itself is evaluated by the caller.

    Parameters
    ----------
    executor
        Any ``concurrent.futures.Executor``: ``ThreadPoolExecutor``, ``ProcessPoolExecutor``, loky's, mpi4py's
        ``MPIPoolExecutor``, that of Dask's ``Client.get_executor()``; a ``dask.distributed.Client``; an int: that many
        processes of loky; or a function like ``map``, as SciPy's ``workers`` takes.
    chunk
        How many points are sent to a worker at a time. By default one, and then as many as f takes a fifth of a second
        for.
    retries
        How often points are evaluated again whose worker has died. What had been finished is kept.

    Notes
    -----
    Threads are given private copies of x, and help where f lets others run: where it waits, or computes in a library
    that releases Python's lock.

    To processes, f and x are sent once for each worker, by cloudpickle, and after that only numbers. They are sent
    together: an f that ignores its argument and reads x through a closure (``lambda W: net.loss(images, labels)``) is
    differentiated, as the worker perturbs its own copy of that very array. It is not if f finds x in a module that the
    worker imports anew, or as part of a larger array; then its values never change, and a `ConstantFunctionWarning` is
    issued.

    An exception that f raises is raised here as well, with a note of the point, and the other tasks are cancelled.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> import numpy as np
    >>> import anygrad
    >>> with ThreadPoolExecutor(2) as executor:
    ...     anygrad.numerical_gradient(lambda x: x @ x, np.array([1.0, 2.0]), evaluator=anygrad.Pool(executor))
    array([2., 4.])
    """

    executor: Any
    chunk: int | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        require_executor(self.executor)
        if self.chunk is not None:
            _require_integer("chunk", self.chunk, 1, "a number of points, or None for what suits f")
        _require_integer("retries", self.retries, 0, "how often points are tried again whose worker has died")

    @property
    def leading(self) -> bool:
        """Whether many points go into one call of f: they do not."""
        return False

    def session(self, target: Target) -> AbstractContextManager[Session]:
        """Open a target for sampling."""
        from anygrad.evaluators._pool.session import PoolSession  # noqa: PLC0415 - not every gradient needs a pool

        return PoolSession(self, target)


def _require_integer(name: str, value: object, least: int, meaning: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r:.60}, but an integer of {least} or more was expected: {meaning}")
