"""The file of a journal: SQLite, which keeps what is committed whatever happens to the process or the machine."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import pickle
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anygrad._stacklevel import stacklevel
from anygrad.backends.base import resolve

# What a journal is known by: from a label to what is shown of it, and the hash of all of it.
Facts = dict[str, tuple[str, bytes]]

# "anyg" tells a file of ours from other SQLite databases; the version tells what is in it.
_APPLICATION, _VERSION = 0x616E7967, 3
_TABLES = (
    "CREATE TABLE facts (label TEXT PRIMARY KEY, shown TEXT, digest BLOB)",
    "CREATE TABLE points (key BLOB PRIMARY KEY, value BLOB, failure TEXT, pickled BLOB, checksum BLOB)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)
# How many seconds to wait for another run to finish writing.
_PATIENCE = 60.0


class Row(NamedTuple):
    """What is known of f at a point: its value, in the bytes of a .npy file, or how it failed, in JSON.

    ``pickled`` is the exception, or f's extra output at x, if the user trusts the file.
    """

    key: bytes
    value: bytes | None
    failure: str | None
    pickled: bytes | None

    def numbers(self) -> NDArray[Any]:
        value: NDArray[Any] = np.load(io.BytesIO(self.value or b""), allow_pickle=False)
        return value


class Store:
    """An open file. What a method has written is on the disk when it returns."""

    def __init__(self, path: Path, *, trust: bool = False) -> None:
        self.path = str(path)
        self._trust = trust
        self._warned = False
        try:
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        except sqlite3.OperationalError as error:
            reason = "its folder does not exist" if not path.parent.is_dir() else str(error)
            raise OSError(f"the journal {path} cannot be opened ({reason}): give a path that can be written") from error
        self._connection.text_factory = lambda data: data.decode(errors="surrogateescape")  # it may be damaged
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def claim(self, facts: Facts) -> bool:
        """Let a new file be of what ``facts`` say, and return whether it is new; raise if it is of something else."""
        with self._transaction() as connection:
            there = {label: (shown, held) for label, shown, held in connection.execute("SELECT * FROM facts")}
            if not there:
                connection.executemany("INSERT INTO facts VALUES (?, ?, ?)", [(k, *fact) for k, fact in facts.items()])
        if there and there != facts:
            raise ValueError(
                f"the journal {self.path} is of something else ({_differences(there, facts)}): give another path, a folder"
                " for several derivatives, or delete it if it is no longer wanted"
            )
        return not there

    def read(self, keys: Sequence[bytes]) -> list[Row | None]:
        """Return what is known of f at points; None as well for what is damaged."""
        with self._transaction():
            return [self._row(key) for key in keys]

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """Keep rows, and return them; in the place of one that another run has been faster with, that of the other."""
        with self._transaction() as connection:
            there = [self._row(row.key) for row in rows]
            kept = [row if old is None or old.value is None else old for row, old in zip(rows, there, strict=True)]
            added = [(*row, hashed(*row)) for row, own in zip(kept, rows, strict=True) if row is own]
            connection.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?)", added)
        return kept

    def row(self, key: bytes, found: NDArray[Any] | str, more: object) -> Row:
        """Return a value, or how f failed, as a row; with ``more``, if that is to be pickled and can be."""
        data, buffer = None, io.BytesIO()
        if self._trust and more is not None:
            with suppress(Exception):
                data = pickle.dumps(more)
        if isinstance(found, str):
            return Row(key, None, found, data)
        np.save(buffer, found, allow_pickle=False)
        return Row(key, buffer.getvalue(), None, data)

    def unpickled(self, row: Row) -> Any:
        """Return what was pickled; None if there is nothing, it cannot be read, or the user does not trust the file."""
        with suppress(Exception):
            return pickle.loads(row.pickled) if self._trust and row.pickled is not None else None

    def failures(self) -> list[Row]:
        """Return the points at which f has failed, the earliest first."""
        with self._transaction() as connection:
            keys = connection.execute("SELECT key FROM points WHERE value IS NULL ORDER BY rowid").fetchall()
            return [row for (key,) in keys if (row := self._row(key)) is not None]

    def forget_failures(self) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM points WHERE value IS NULL")

    def _row(self, key: bytes) -> Row | None:
        fields = self._connection.execute("SELECT * FROM points WHERE key = ?", [key]).fetchone()
        if fields is None:
            return None
        row = Row(key, *fields[1:-1])
        if hashed(*row) == fields[-1]:
            return row
        if not self._warned:
            self._warned = True
            text = f"the journal {self.path} is damaged: f is evaluated again where a value does not match its checksum"
            warnings.warn(text, RuntimeWarning, stacklevel=stacklevel())
        return None

    def _prepare(self) -> None:
        """Make the tables of a new file; raise if the file is none of ours, or damaged."""
        with self._transaction() as connection:

            def asked(query: str) -> Any:
                return connection.execute(query).fetchone()[0]

            if not asked("SELECT count(*) FROM sqlite_master") and not asked("PRAGMA application_id"):
                for statement in _TABLES:
                    connection.execute(statement)
            if asked("PRAGMA application_id") != _APPLICATION:
                raise ValueError(f"{self.path} is a database of another program, and no journal: give another path")
            if asked("PRAGMA user_version") != _VERSION:
                raise ValueError(f"the journal {self.path} is of another version of anygrad: give another path")
            if (found := asked("PRAGMA quick_check(1)")) != "ok":
                raise sqlite3.DatabaseError(" ".join(found.split()))
        with suppress(sqlite3.OperationalError):  # another run holds the file: it is the slower way of writing until then
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all or nothing, while no other run writes; put SQLite's errors into words."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite has ended it itself, if the disk is full
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise OSError(
                f"the journal {self.path} cannot be read or written ({error}): x is as it was, and when that is mended"
                " the same call goes on from the last evaluation that the journal has"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is no journal, or a damaged one ({error}): give another path, or delete it"
            ) from error


def shown(value: object) -> str:
    """Return a short repr on one line, without an address, which is another one in every process."""
    text = " ".join(repr(value).split())
    text = type(value).__qualname__ if " at 0x" in text else text
    return text if len(text) <= 60 else f"{text[:60]}..."


def digest(value: Any) -> bytes:
    """Return the hash of what an operator was given, the same in every process: of arrays' bits, not of their repr."""
    if (backend := resolve(value)) is not None:
        value = backend.pattern(value)
    if hasattr(value, "tocoo"):
        value = [value.shape, value.tocoo().row, value.tocoo().col, value.tocoo().data]
    elif dataclasses.is_dataclass(value):
        value = [type(value).__qualname__, *(getattr(value, field.name) for field in dataclasses.fields(value))]
    elif isinstance(value, Mapping):
        value = sorted(value.items(), key=repr)
    if isinstance(value, (tuple, list)):
        return hashed(*map(digest, value))
    if isinstance(value, np.ndarray):
        return hashed(value.dtype.str, value.shape, exact(value))
    return hashed(type(value).__qualname__ if " at 0x" in repr(value) else value)


def hashed(*parts: object) -> bytes:
    """Return the hash of bytes, of arrays' bits, and of what repr tells apart, each with its length."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        bits = exact(part) if isinstance(part, np.ndarray) else part
        data = bits if isinstance(bits, bytes) else repr(part).encode()
        total.update(b"%d:" % len(data) + data)
    return total.digest()


def exact(numbers: Any) -> bytes:
    """Return the bits of an array's numbers, without the padding of long doubles."""
    numbers = np.ascontiguousarray(numbers)
    if numbers.dtype.kind in "fc" and np.finfo(numbers.dtype).nmant == 63:  # x87's 80 bits, in 16 or 12 bytes
        parts = numbers.view(numbers.real.dtype)
        return bytes(parts.view(np.uint8).reshape(-1, parts.dtype.itemsize)[:, :10].tobytes())
    return bytes(numbers.tobytes())


def _differences(there: Facts, here: Facts) -> str:
    found = []
    for label in dict.fromkeys([*here, *there]):
        (theirs, old), (ours, new) = (facts.get(label, ("nothing", b"")) for facts in (there, here))
        if (theirs, old) != (ours, new):
            found.append(f"not the same {label}" if theirs == ours else f"{label}: {theirs} there, {ours} here")
    return "; ".join([*found[:4], *([f"and {len(found) - 4} more"] if len(found) > 4 else [])])
