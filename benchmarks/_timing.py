"""Timing side by side: what is compared is run in turn, so that a machine that slows down slows all of it down.

With ``--quick`` each function is timed once, of what is small where that suffices: every line runs, but the figures say
little.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping

_QUICK = "--quick"


def quick() -> bool:
    """Return whether the benchmark is to be run for its lines rather than for its figures."""
    return _QUICK in sys.argv[1:]


def size(n: int, enough: int) -> int:
    """Return n, or no more than what is enough for the line to run."""
    return min(n, enough) if quick() else n


def arguments() -> list[str]:
    """Return the other arguments."""
    return [argument for argument in sys.argv[1:] if argument != _QUICK]


def medians(functions: Mapping[str, Callable[[], object]], *, seconds: float = 1.0, least: int = 5) -> dict[str, float]:
    """Return the median time of each function, from rounds in which each is called once."""
    if quick():
        seconds, least = 0.0, 1
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()  # imports, caches, compilation
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < least:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def medians_apart(script: str, names: Iterable[str], *, rounds: int = 5) -> dict[str, float]:
    """Return the median of the times that ``python script NAME`` prints, of processes that are run in turn.

    For functions that allocate a lot: in one process, what is fast depends on the memory that the others have left.
    """
    options = [_QUICK] if quick() else []
    return _printed({name: [script, name, *options] for name in names}, rounds)


def imports(*packages: str, rounds: int = 15) -> dict[str, float]:
    """Return the median of the times that imports take, each in a process of its own, which are run in turn."""
    timed = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
    return _printed({package: ["-c", timed.format(package)] for package in packages}, rounds)


def _printed(commands: Mapping[str, list[str]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(1 if quick() else rounds):
        for name, command in commands.items():
            run = subprocess.run([sys.executable, *command], check=True, capture_output=True, text=True)
            times[name].append(float(run.stdout))
    return {name: statistics.median(taken) for name, taken in times.items()}


def typical(function: Callable[[], object], *, least: int = 5) -> float:
    """Return the median time of a function, after a call that does not count."""
    return medians({"": function}, seconds=0.0, least=least)[""]


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
