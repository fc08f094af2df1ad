"""Values of f, kept in a file as they come, for functions that take minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from anygrad.evaluators._base import Evaluator, Session, Target
from anygrad.evaluators.loop import Loop

if TYPE_CHECKING:
    from anygrad.evaluators._journal.failure import Failure
    from anygrad.evaluators._journal.ledger import Ledger


@dataclass(frozen=True)
class Journal:
    """Keep every value of f in a file, and take from it what is already there.

    For functions that take minutes. Each value is on the disk before the next one is counted, so that a run which is
    killed, at any moment, goes on where it was when the same call is made again: with no evaluation lost or repeated
    but those in flight, and to the same bits.

    Parameters
    ----------
    path
        The file, an SQLite database; it is made if it is not there. One file is for one derivative: that of the same
        f at the same x, by the same operator and scheme and within the same bounds. Of anything else it is refused,
        and the difference named. If it is a folder, or ends with a slash, each derivative has a file of its own there:
        for `check_gradient`, which takes several. A relative path is from the folder in which the journal is made, and
        is made absolute then.
    inner
        The evaluator that calls f.
    on_error
        What happens where f raises an exception: with ``"raise"``, that is raised, and x put back; what has been
        evaluated is kept. With ``"nan"``, the value is NaN, as are the derivatives that depend on it, and the other
        points are evaluated; of a `Result`, ``flags["failed"]`` says where that was. `failures` has the exceptions.
        An exception of f(x) itself, or of anygrad about what f returns, is raised all the same.

    Raises
    ------
    ValueError
        If the file is of something else than is asked for, no journal, or damaged.
    OSError
        If the file cannot be read or written, for example because the disk is full.
    TypeError
        If f returns what cannot be pickled, beside numbers and arrays; if x is lazy or traced.

    Notes
    -----
    The ``ncalls`` and ``npoints`` of a `Result` count what has been evaluated in this run; progress counts what is
    taken from the file as well.

    f is known by its name and code, its default arguments and attributes, the variables that it reads (those of a
    closure, and global ones), and by the same of the functions of yours among them. Of your classes all methods and
    attributes count, those of their bases as well; of your modules, what the code takes of them: ``simulator.loss``,
    but not a counter beside it that nothing reads. Of a module that is handed around (passed to a function, stored,
    held by an object), it is whatever has a name that stands anywhere in that code; in a string only if there is a
    ``getattr`` or the like. Modules of yours that f imports are imported before it is called, also where it would not
    come to that.
    Whatever is in ``site-packages``, or comes with Python, is known by its name; files and other things that say
    nothing of themselves by their types. What f changes while it runs, such as a counter, is found out when the run
    ends, and that alone is compared no more.

    Two runs may work on one journal at once: it keeps the value of whichever comes first, and the other takes that. The
    file must be on a local disk (SQLite's write-ahead log needs that), and beside it are two more while it is in use.
    Open no journals that you would not unpickle.

    Points at which f has failed stay failed when a run with ``"nan"`` goes on, until `forget_failures`; a run with
    ``"raise"`` tries them again. With other operators than `numerical_gradient` and `jacobian`, ``flags["failed"]`` is
    true of all derivatives that are NaN while any point has failed. With `Adaptive`, which could do without some
    points, the derivatives by an element with a failure are NaN all the same.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import anygrad
    >>> calls = 0
    >>> def simulate(x):
    ...     global calls
    ...     calls += 1
    ...     if calls == 3:
    ...         raise OSError("somebody has pulled the plug")
    ...     return (x**2).sum()
    >>> folder = tempfile.TemporaryDirectory()
    >>> journal = anygrad.Journal(f"{folder.name}/night.journal")
    >>> x = np.array([3.0, 4.0])
    >>> anygrad.numerical_gradient(simulate, x, evaluator=journal)
    Traceback (most recent call last):
      ...
    OSError: somebody has pulled the plug
    >>> anygrad.numerical_gradient(simulate, x, evaluator=journal).round(6)
    array([6., 8.])
    >>> calls
    5
    >>> folder.cleanup()
    """

    path: str | os.PathLike[str]
    inner: Evaluator = field(default_factory=Loop)
    on_error: str = "raise"

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"path is {self.path!r:.60}, but the path of a file was expected, a str or a pathlib.Path")
        object.__setattr__(self, "path", _absolute(self.path))
        if isinstance(self.inner, type) or not hasattr(self.inner, "session"):
            raise TypeError(f"inner is {self.inner!r:.60}, but an evaluator such as anygrad.Loop() was expected")
        if self.on_error not in ("raise", "nan"):
            raise ValueError(f'on_error is {self.on_error!r:.60}, but "raise" or "nan" was expected')

    @property
    def leading(self) -> bool:
        """Whether many points go into one call of f."""
        return self.inner.leading

    @contextmanager
    def session(self, target: Target) -> Iterator[Session]:
        """Open a target for sampling."""
        # Not imported before they are needed: sqlite3 and pickle take as long as a part of NumPy.
        from anygrad.evaluators._journal.failure import Marking  # noqa: PLC0415 - as said
        from anygrad.evaluators._journal.fingerprint import changed, facts_of  # noqa: PLC0415 - as said
        from anygrad.evaluators._journal.folder import opened_for  # noqa: PLC0415 - as said
        from anygrad.evaluators._journal.session import JournalSession  # noqa: PLC0415 - as said
        from anygrad.evaluators._journal.unpacking import Unpacking  # noqa: PLC0415 - as said

        _require_numbers(target)
        unpacking = Unpacking(target)
        tolerant = self.on_error == "nan"
        f = Marking(target.f) if tolerant else target.f
        watched = replace(unpacking.watched(target), f=f, done=None)
        facts = facts_of(target, leading=self.leading)
        with opened_for(self.path, facts) as ledger:
            try:
                with self.inner.session(watched) as inner:
                    yield JournalSession(target, inner, ledger, unpacking, self._stride, tolerant)
            except BaseException:
                with suppress(Exception):  # what has happened matters more
                    ledger.ignore(changed(facts, target))
                raise
            ledger.ignore(changed(facts, target))

    def failures(self) -> list[Failure]:
        """Return the exceptions that f has raised, with where that was: one object a point, the earliest first.

        Their attributes are ``array``, ``elements``, ``numbers``, ``part``, ``type``, ``message`` and ``traceback``.
        """
        return [failure for ledger in self._existing() for failure in ledger.failures()]

    def forget_failures(self) -> None:
        """Forget the exceptions, so that the next run evaluates those points again."""
        for ledger in self._existing():
            ledger.forget_failures()

    def _existing(self) -> Iterator[Ledger]:
        from anygrad.evaluators._journal.folder import journals  # noqa: PLC0415 - as above
        from anygrad.evaluators._journal.ledger import opened  # noqa: PLC0415 - as above

        for place in journals(self.path):
            with opened(place, create=False) as ledger:
                yield ledger

    @property
    def _stride(self) -> int | None:
        """How many points the inner evaluator is asked for at a time; None for all that are wanted.

        Loop takes one after the other anyway: between them, we look what another run has found meanwhile.
        """
        return 1 if isinstance(self.inner, Loop) else None


def _absolute(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Return a path that means the same wherever f, or another process, changes to."""
    if os.path.isabs(path):
        return path
    absolute = os.path.join(os.getcwd(), os.fspath(path))  # and not abspath, which would take the slash of a folder
    return absolute if isinstance(path, str) else Path(absolute)


def _require_numbers(target: Target) -> None:
    """Raise if x holds no numbers as yet."""
    if not target.backend.memory(target.x, in_place=False).concrete:
        raise TypeError(
            f"{target.name} is lazy or traced, and f's values are not yet numbers that a journal could keep: compute"
            f" {target.name} first, or leave out the journal"
        )
