"""Timing side by side: what is compared is run in turn, so that a machine that slows down slows all of it down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians(functions: Mapping[str, Callable[[], object]], *, seconds: float = 2.0, least: int = 5) -> dict[str, float]:
    """Return the median time of each function, from rounds in which each is called once."""
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


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
