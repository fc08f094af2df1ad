"""What the user gives a pool: known by its interface; loky and Dask by name, whose workers die in ways of their own."""

from __future__ import annotations

import os
import sys
from typing import Any

from anygrad._caller import raised_in

_EXPECTED = (
    "an executor such as concurrent.futures.ThreadPoolExecutor() or ProcessPoolExecutor(), a dask.distributed Client,"
    " the number of loky processes to use, or a function like map was expected"
)


def require_executor(executor: object) -> None:
    """Raise unless tasks can be given to it."""
    if isinstance(executor, type) and executor is not map:
        raise TypeError(
            f"executor is the class {executor.__name__}, but {_EXPECTED}: write {executor.__name__}(), or its map"
        )
    if isinstance(executor, int) and not isinstance(executor, bool):
        if executor < 1:
            raise ValueError(f"executor is {executor}, but a number of processes must be 1 or more")
    elif isinstance(executor, bool) or not (is_executor(executor) or callable(executor)):
        hint = ": write pool.map" if callable(getattr(executor, "imap_unordered", None)) else ""
        raise TypeError(f"executor is {executor!r:.60}, but {_EXPECTED}{hint}")


def is_executor(executor: object) -> bool:
    """Return whether it has the interface of ``concurrent.futures.Executor``, or makes something that has."""
    return hasattr(executor, "submit") or hasattr(executor, "get_executor")


def in_this_process(executor: object) -> bool:
    """Return whether its workers are threads of this process, to which nothing need be pickled."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - not every gradient needs a pool

    pools = sys.modules.get("multiprocessing.pool")
    owner = getattr(executor, "__self__", None)
    return (
        executor is map
        or isinstance(executor, ThreadPoolExecutor)
        or (pools is not None and isinstance(owner, pools.ThreadPool))
    )


def forks(executor: object) -> bool:
    """Return whether its workers are forked from this process, with whatever state a GPU's library has here."""
    owner = getattr(executor, "__self__", executor)
    context = getattr(owner, "_mp_context", None) or getattr(owner, "_context", None) or getattr(owner, "_ctx", None)
    method = getattr(context, "get_start_method", None)
    return method is not None and method() == "fork"


def workers_of(executor: Any) -> int:
    """Return how many tasks can run at a time, as far as that can be found out."""
    owner = getattr(executor, "__self__", executor)
    if executor is map:
        return 1
    client = getattr(owner, "_client", None)
    if client is not None and hasattr(client, "nthreads"):
        threads: int = sum(client.nthreads().values())
        return max(1, threads)
    for name in ("num_workers", "_max_workers", "_processes"):
        count = getattr(owner, name, None)
        if isinstance(count, int) and count > 0:
            return count
    return os.cpu_count() or 1


class Engine:
    """An executor, and what takes its place when it breaks.

    Parameters
    ----------
    given
        What the user gave.
    """

    def __init__(self, given: Any) -> None:
        self._given = given
        # Those that are ours to end: loky's for a number, and what replaces a broken one.
        self._own: list[Any] = []
        self.executor = self._opened(given)
        self.workers = workers_of(self.executor)

    def _opened(self, given: Any) -> Any:
        if isinstance(given, int):
            executor = _loky(given)
            self._own.append(executor)
            return executor
        return given.get_executor(pure=False) if hasattr(given, "get_executor") else given

    def renew(self, cause: BaseException) -> None:
        """Replace a broken executor by one of the same settings; raise if that cannot be."""
        broken = self.executor
        if isinstance(self._given, int):
            self.executor = _loky(self._given)
        else:
            try:
                self.executor = _alike(broken)
            except (AttributeError, TypeError):
                raise RuntimeError(
                    f"the executor has broken ({cause}), and anygrad does not know how to make another"
                    f" {type(broken).__qualname__}: give Pool a number of processes, or a ProcessPoolExecutor, which"
                    " it can replace"
                ) from cause
        self._own.append(self.executor)

    def close(self, *, failed: bool) -> None:
        """End the executors that are ours; at once if something has failed, with whatever their workers do."""
        for executor in self._own:
            if failed:
                _kill(executor)
            elif not isinstance(self._given, int):  # loky's own end by themselves if they are not used again
                executor.shutdown(wait=True)
        self._own = []


def broken_types() -> tuple[type[BaseException], ...]:
    """Return what executors raise for tasks whose worker has died."""
    from concurrent.futures import BrokenExecutor  # noqa: PLC0415 - not every gradient needs a pool

    dask = sys.modules.get("distributed")
    return (BrokenExecutor,) if dask is None else (BrokenExecutor, dask.KilledWorker)


def is_answer_lost(error: BaseException) -> bool:
    """Return whether Dask has lost an answer after it had come, with the worker that held it.

    Its executor then takes the answer for an exception, and fails at taking it apart.
    """
    frame = raised_in(error)
    return frame is not None and frame.f_code.co_name == "_cascade_future"


def breaks_all(error: BaseException) -> bool:
    """Return whether an executor whose worker has died is of no more use."""
    from concurrent.futures import BrokenExecutor  # noqa: PLC0415 - not every gradient needs a pool

    return isinstance(error, BrokenExecutor)


def _loky(workers: int) -> Any:
    try:
        import loky  # noqa: PLC0415 - an extra
    except ImportError:
        raise ImportError(
            f"Pool({workers}) starts processes by loky, which is not installed: write pip install '.[pool]' in a"
            " checkout of anygrad, or give Pool an executor such as concurrent.futures.ThreadPoolExecutor()"
        ) from None
    return loky.get_reusable_executor(max_workers=workers)


def _is_loky(executor: object) -> bool:
    return type(executor).__module__.partition(".")[0] == "loky"


def _alike(executor: Any) -> Any:
    """Return a new process pool of the settings of another. These are private: what lacks them raises."""
    if _is_loky(executor):
        loky = sys.modules["loky"]
        return loky.ProcessPoolExecutor(
            executor._max_workers,
            timeout=executor._timeout,
            context=executor._context,
            initializer=executor._initializer,
            initargs=executor._initargs,
            env=executor._env,
        )
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - not every gradient needs a pool

    if not isinstance(executor, ProcessPoolExecutor):
        raise TypeError
    settings: Any = executor  # the names of its settings are private
    return type(executor)(
        settings._max_workers,
        mp_context=settings._mp_context,
        initializer=settings._initializer,
        initargs=settings._initargs,
        max_tasks_per_child=settings._max_tasks_per_child,
    )


def _kill(executor: Any) -> None:
    if _is_loky(executor):
        executor.shutdown(wait=True, kill_workers=True)
        return
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
