"""The file of a journal: SQLite, which keeps what is committed whatever happens to the process or the machine."""

from __future__ import annotations

import os
import pickle
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anygrad.evaluators._journal.failure import Failure
from anygrad.evaluators._journal.fingerprint import Fact, Facts, differences

# "anyg": by this a file of ours is told from other SQLite databases; and what is in it, by the version.
_APPLICATION, _VERSION = 0x616E7967, 2
# How many seconds to wait for another run to finish writing.
_PATIENCE = 60.0
_TABLES = """
CREATE TABLE facts (label TEXT PRIMARY KEY, shown TEXT NOT NULL, digest BLOB NOT NULL, changes INTEGER NOT NULL);
CREATE TABLE evaluations (point BLOB PRIMARY KEY, dtype TEXT NOT NULL, shape TEXT NOT NULL, numbers BLOB NOT NULL);
CREATE TABLE failures (point BLOB PRIMARY KEY, failure BLOB NOT NULL);
CREATE TABLE objects (name TEXT PRIMARY KEY, pickled BLOB NOT NULL);
"""


class Ledger:
    """An open journal. Every method that writes has committed when it returns."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def require(self, facts: Facts) -> None:
        """Take a new journal for what ``facts`` say; raise if it is already that of something else."""
        if differing := self.claim(facts):
            raise ValueError(
                f"the journal {self._path} is of something else ({differing}): give another path, a folder for several"
                " derivatives, or delete it if it is no longer wanted"
            )

    def claim(self, facts: Facts) -> str:
        """Claim the journal for what ``facts`` say; return how it is of something else, if it had been claimed."""
        with self._transaction() as connection:
            rows = list(connection.execute("SELECT label, shown, digest, changes FROM facts"))
            if not rows:
                connection.executemany(
                    "INSERT INTO facts VALUES (?, ?, ?, 0)", [(k, f.shown, f.digest) for k, f in facts.items()]
                )
                return ""
        changing = {label for label, *_, changes in rows if changes}
        there = {label: Fact(shown, held) for label, shown, held, _ in rows if label not in changing}
        return differences(there, {label: fact for label, fact in facts.items() if label not in changing})

    def ignore(self, labels: Mapping[str, Fact]) -> None:
        """Compare these facts no more: they change while f runs."""
        if not labels:
            return
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO facts VALUES (?, ?, ?, 1) ON CONFLICT (label) DO UPDATE SET changes = 1",
                [(label, fact.shown, fact.digest) for label, fact in labels.items()],
            )

    def value(self, point: bytes) -> np.ndarray[Any, Any] | None:
        """Return f's value at a point, if it is known."""
        with self._worded():
            row = self._connection.execute(
                "SELECT dtype, shape, numbers FROM evaluations WHERE point = ?", [point]
            ).fetchone()
        if row is None:
            return None
        dtype, shape, numbers = row
        try:
            return np.frombuffer(numbers, np.dtype(dtype)).reshape([int(length) for length in shape.split()])
        except (TypeError, ValueError, AttributeError) as error:  # SQLite keeps whole pages, not what is in them
            raise _damaged(self._path, f"one of its values cannot be read: {error}") from error

    def add(
        self, values: Mapping[bytes, np.ndarray[Any, Any]], objects: Mapping[str, bytes] | None = None
    ) -> dict[bytes, np.ndarray[Any, Any]]:
        """Keep f's values at points, and pickled objects; return the values of those that were there already."""
        earlier = {}
        with self._transaction() as connection:
            for point, value in values.items():
                there = self.value(point)
                if there is not None:
                    earlier[point] = there
                    continue
                row = (point, value.dtype.str, " ".join(map(str, value.shape)), value.tobytes())
                connection.execute("INSERT INTO evaluations VALUES (?, ?, ?, ?)", row)
                connection.execute("DELETE FROM failures WHERE point = ?", [point])
            for name, pickled in (objects or {}).items():
                connection.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", [name, pickled])
        return earlier

    def object(self, name: str) -> bytes | None:
        """Return a pickled object, if there is one of this name."""
        with self._worded():
            row = self._connection.execute("SELECT pickled FROM objects WHERE name = ?", [name]).fetchone()
        return None if row is None else row[0]

    def fail(self, point: bytes, failure: Failure) -> None:
        """Keep that f has failed at a point."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", [point, pickle.dumps(failure)])

    def failed(self, point: bytes) -> bool:
        """Return whether f is known to fail at a point."""
        with self._worded():
            row = self._connection.execute("SELECT 1 FROM failures WHERE point = ?", [point]).fetchone()
        return row is not None

    def failures(self) -> list[Failure]:
        """Return all failures, the earliest first."""
        with self._worded():
            rows = self._connection.execute("SELECT failure FROM failures ORDER BY rowid").fetchall()
        return [pickle.loads(row) for (row,) in rows]

    def forget_failures(self) -> None:
        """Forget all failures."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM failures")

    def prepare(self) -> None:
        """Make the tables of a new file; raise if the file is none of ours, or damaged."""
        with self._worded():
            self._connection.execute("PRAGMA synchronous = FULL")
            new = self._is_new()
            if new:
                self._keep_ahead()
        if new:
            with self._transaction() as connection:
                if self._is_new():  # of two runs, the other may have been faster
                    for statement in _TABLES.strip().split("\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
        self._require_ours()

    def _is_new(self) -> bool:
        [[tables]] = self._connection.execute("SELECT count(*) FROM sqlite_master")
        return not tables and self._pragma("application_id") == 0

    def _pragma(self, name: str) -> Any:
        [[value]] = self._connection.execute(f"PRAGMA {name}")
        return value

    def _keep_ahead(self) -> None:
        """Turn on the write-ahead log, which another run that has just the same in mind may put off."""
        for patience in range(int(10 * _PATIENCE), -1, -1):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or not patience:
                    raise
                time.sleep(0.1)
            else:
                return

    def _require_ours(self) -> None:
        with self._worded():
            application, version = self._pragma("application_id"), self._pragma("user_version")
            if application != _APPLICATION:
                raise ValueError(f"{self._path} is a database of another program, and no journal: give another path")
            if version != _VERSION:
                raise ValueError(f"the journal {self._path} is of another version of anygrad: give another path")
            found = self._pragma("quick_check(1)")
        if found != "ok":
            raise _damaged(self._path, " ".join(found.split()))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._worded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite has ended it itself, if the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _worded(self) -> Iterator[None]:
        """Put SQLite's errors into words."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise OSError(
                f"the journal {self._path} cannot be read or written ({error}): x is as it was, and when that is mended"
                " the same call goes on from the last evaluation that the journal has"
            ) from error
        except sqlite3.DatabaseError as error:
            raise _damaged(self._path, str(error)) from error


def _damaged(path: str, reason: str) -> ValueError:
    return ValueError(
        f"{path} is no journal, or a damaged one ({reason}): give another path, or delete it if nothing else needs it"
    )


@contextmanager
def opened(path: str | os.PathLike[str], *, create: bool = True) -> Iterator[Ledger]:
    """Open the journal at a path, and make a new one if there is none."""
    place = Path(path)
    _require_place(place, create=create)
    try:
        connection = sqlite3.connect(place, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise OSError(f"the journal {place} cannot be opened ({error}): give a path that can be written") from error
    try:
        ledger = Ledger(str(place), connection)
        ledger.prepare()
        yield ledger
    finally:
        connection.close()


def _require_place(place: Path, *, create: bool) -> None:
    if not place.parent.is_dir():
        raise FileNotFoundError(f"the journal {place} is to be in a folder that does not exist: make {place.parent}")
    if not create and not place.exists():
        raise FileNotFoundError(f"there is no journal {place}: it is made by the first evaluation")
