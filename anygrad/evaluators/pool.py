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

    The values are those of `Loop`, to the last bit unless f rounds otherwise where x lies otherwise in memory, or where
    f has another number of threads. f(x) itself is evaluated by the caller.

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

    Raises
    ------
    TypeError
        If ``executor`` is none; if x is lazy or traced; if f or x cannot be pickled, for processes.
    ValueError
        If ``chunk``, ``retries`` or a number of processes is not an integer that makes sense; if x is on a device, or
        of JAX, and processes are forked; if what is to be like ``map`` does not return a result for each item.
    RuntimeError
        If workers have died at a point more than ``retries`` times, or cannot start; if an executor that has broken
        cannot be replaced; if f and x cannot be opened where they arrive.
    ImportError
        If loky is not installed, for a number of processes; or cloudpickle, for any processes.

    Notes
    -----
    Threads are given private copies of x, and help where f lets others run: where it waits, or computes in a library
    that releases Python's lock.

    To processes, f and x are sent once for each worker, by cloudpickle, and after that only numbers. They are sent
    together: an f that ignores its argument and reads x through a closure (``lambda W: net.loss(images, labels)``) is
    differentiated, as the worker perturbs its own copy of that very array. It is not if f finds x in a module that the
    worker imports anew, or as part of a larger array; then its values never change, and a `ConstantFunctionWarning` is
    issued.

    Forked processes, those of ``ProcessPoolExecutor`` on Linux before Python 3.14, have what the libraries here keep,
    but not their threads. With PyTorch they compute in one thread on the CPU, until they end. Devices and JAX are for
    processes that are started anew, by ``Pool(2)`` or with an ``mp_context`` that spawns: an x of these is refused, but
    an f of NumPy's arrays that uses them cannot be recognised, and may wait for ever.

    f runs as it would here, under NumPy's error settings (where these call a function, processes warn), PyTorch's
    ``no_grad``, ``inference_mode`` and ``autocast`` (of the CPU and CUDA), and JAX's ``enable_x64``.

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
