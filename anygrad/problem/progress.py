"""A count of the calls of f, shown or reported as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from anygrad._typing import ProgressCallback


class Meter:
    """How many calls of f are done, and how many there will be."""

    def __init__(self, report: ProgressCallback, total: int) -> None:
        self._report = report
        self._done = 0
        self.total = total

    def advance(self, calls: int) -> None:
        """Report that so many more are done."""
        self._done += calls
        self.total = max(self.total, self._done)
        self._report(self._done, self.total)

    def finish(self) -> None:
        """Report that there will be no more calls than there were, where fewer were needed than expected."""
        if self._done != self.total:
            self.total = self._done
            self._report(self._done, self.total)


def meter(progress: bool | ProgressCallback, total: int) -> AbstractContextManager[Meter | None]:
    """Open what ``progress=`` asks for: nothing, a bar on stderr, or calls of the user's function."""
    return nullcontext() if progress is False else _shown(progress, total)


@contextmanager
def _shown(progress: bool | ProgressCallback, total: int) -> Iterator[Meter]:
    if progress is True:
        from tqdm.auto import tqdm  # noqa: PLC0415 - only where a bar is wanted

        with tqdm(total=total, unit="call") as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            counter = Meter(show, total)
            yield counter
            counter.finish()
    elif callable(progress):
        counter = Meter(progress, total)
        yield counter
        counter.finish()
    else:
        raise TypeError(f"progress is {progress!r}, but True, False or a function of (done, total) was expected")
