"""Pool: how much faster two workers are, and how many bytes travel, beside SciPy's ``workers``."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import numpy as np
from _timing import medians, quick, table
from scipy.optimize._numdiff import approx_derivative

import anygrad

SECONDS = 0.001 if quick() else 0.01
WANTED_SPEEDUP = 1.8
WANTED_SHARE = 1 / 100


def waiting(x: np.ndarray) -> float:
    """Take a while, as a simulator on another machine does."""
    time.sleep(SECONDS)
    return float(x @ x)


def computing(x: np.ndarray) -> float:
    """Take as long of a core."""
    end = time.thread_time() + SECONDS
    while time.thread_time() < end:
        pass
    return float(x @ x)


def speedups() -> Iterator[tuple[str, ...]]:
    """Compare a gradient of 100 elements by two workers with one by `Loop`."""
    x = np.linspace(1, 2, 100)
    with ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(2) as threads:
        evaluators = {
            "Loop()": anygrad.Loop(),
            "two processes": anygrad.Pool(processes),
            "two processes of loky": anygrad.Pool(2),
            "two threads": anygrad.Pool(threads),
        }
        for f in (waiting, computing):
            chosen = {name: e for name, e in evaluators.items() if not (f is computing and name == "two threads")}
            times = medians(
                {
                    name: lambda e=evaluator, f=f: anygrad.numerical_gradient(f, x, evaluator=e)
                    for name, evaluator in chosen.items()
                },
                least=2,
            )
            for name, taken in times.items():
                speedup = times["Loop()"] / taken
                wanted = f"{WANTED_SPEEDUP:.1f}" if name.startswith("two processes") and f is waiting else ""
                yield f.__name__, name, f"{taken:.2f} s", f"{speedup:.2f}", wanted


class Counting(Executor):
    """Two workers in name: runs what it is given here and now, and counts what it would have sent and received."""

    _max_workers = 2

    def __init__(self) -> None:
        self.bytes = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Count the call and its value."""
        sent = pickle.dumps((fn, args))
        fn, args = pickle.loads(sent)
        received = pickle.dumps(fn(*args))
        self.bytes += len(sent) + len(received)
        future: Future[Any] = Future()
        future.set_result(pickle.loads(received))
        return future

    def map_like(self, fn: Callable[..., Any], points: Iterable[np.ndarray]) -> Iterator[Any]:
        """Count x and the value of each call; f, which a pool sends with each chunk of them, is not counted."""
        for x in points:
            value = fn(x)
            self.bytes += len(pickle.dumps(x)) + len(pickle.dumps(value))
            yield value


def traffic(n: int) -> tuple[int, int]:
    """Return how many bytes travel for a gradient of central differences, by anygrad and by SciPy."""
    x = np.linspace(1, 2, n)
    ours, theirs = Counting(), Counting()
    anygrad.numerical_gradient(lambda x: float(x[0]), x, evaluator=anygrad.Pool(ours))
    approx_derivative(lambda x: float(x[0]), x, method="3-point", workers=theirs.map_like)
    return ours.bytes, theirs.bytes


def main() -> None:
    print(table(("f", "by", "time", "times faster", "wanted at least"), list(speedups())))
    ours, theirs = traffic(1_000 if quick() else 10_000)
    row = (f"{ours / 1e6:.2f} MB", f"{theirs / 1e6:.0f} MB", f"1/{theirs / ours:.0f}", f"1/{1 / WANTED_SHARE:.0f}")
    print("\n" + table(("anygrad", "SciPy's workers", "share", "wanted at most"), [row]))


if __name__ == "__main__":
    main()
