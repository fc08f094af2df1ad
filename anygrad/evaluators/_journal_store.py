"""The file of a journal: SQLite keeps committed rows even if the process is killed or the machine loses power."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anygrad._stacklevel import stacklevel
from anygrad.backends.base import resolve

if TYPE_CHECKING:
    import sqlite3

# "anyg" distinguishes our files from other SQLite databases; the version is that of the tables.
_APPLICATION, _VERSION = 0x616E7967, 4


class Row(NamedTuple):
    """The record of f at a point."""

    key: bytes
    content: bytes  # a value, in the bytes of a .npy file, or how f failed, in JSON
    pickled: bytes | None = None  # the exception, or f's extra output at x, if the user trusts the file

    @property
    def failed(self) -> bool:
        return self.content.startswith(b"[")

    def value(self) -> NDArray[Any]:
        return np.asarray(np.load(io.BytesIO(self.content), allow_pickle=False))


class Store:
    """An open file. When a method returns, everything that it has written is on the disk."""

    def __init__(self, path: Path, *, trust: bool = False) -> None:
        self.path, self._trust, self._warned = str(path), trust, False
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def claim(self, facts: Mapping[str, str]) -> bool:
        """Write the facts into a new file, and return whether it is new; raise if the file has other facts."""
        own = Row(b"facts", json.dumps(facts).encode())
        self.derivative = hashed(own.content)
        [row] = self.add([own])
        if row.content != own.content:
            there = json.loads(row.content)
            labels = [label for label in {**facts, **there} if facts.get(label) != there.get(label)]
            differences = [
                f"{it}: {there.get(it, 'nothing')} then, {facts.get(it, 'nothing')} now" for it in labels[:4]
            ]
            raise ValueError(
                f"the journal {self.path} is of another derivative ({'; '.join(differences)}): delete it, or give"
                " another path, or a folder for several derivatives"
            )
        return row is own and not self._warned

    def read(self, keys: Sequence[bytes]) -> list[Row | None]:
        """Return the rows with some keys; None where there is no row, or a damaged one."""
        with self._transaction() as connection:
            return [self._row(connection, key) for key in keys]

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """Write rows and return them. Where another run has written one in the meantime, return that one."""
        with self._transaction() as connection:
            there = [self._row(connection, row.key) for row in rows]
            kept = [row if old is None or old.failed else old for row, old in zip(rows, there, strict=True)]
            added = [(*row, hashed(*row)) for row, own in zip(kept, rows, strict=True) if row is own]
            connection.executemany("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?)", added)
        return kept

    def row(self, key: bytes, found: NDArray[Any] | tuple[str, ...], more: object) -> Row:
        """Return a row with f's value or failure. If the file is trusted, it also has ``more``, pickled."""
        buffer, pickled = io.BytesIO(), None
        if isinstance(found, np.ndarray):
            np.save(buffer, found, allow_pickle=False)
        if self._trust and more is not None:
            with suppress(Exception):
                pickled = pickle.dumps(more)
        return Row(key, buffer.getvalue() or json.dumps(found).encode(), pickled)

    def unpickled(self, row: Row) -> Any:
        """Return the object that was pickled; None if there is none, it cannot be read, or the file is not trusted."""
        with suppress(Exception):
            return pickle.loads(row.pickled) if self._trust and row.pickled is not None else None

    def failures(self) -> list[Row]:
        """Return the points at which f has failed, the earliest first."""
        with self._transaction() as connection:
            keys = connection.execute("SELECT key FROM points ORDER BY rowid").fetchall()
        return [row for row in self.read([key for (key,) in keys]) if row is not None and row.failed]

    def forget(self, rows: Sequence[Row]) -> None:
        with self._transaction() as connection:
            connection.executemany("DELETE FROM points WHERE key = ?", [[row.key] for row in rows])

    def _row(self, connection: sqlite3.Connection, key: bytes) -> Row | None:
        fields = connection.execute("SELECT * FROM points WHERE key = ?", [key]).fetchone()
        if fields is None:
            return None
        row = Row(key, *fields[1:-1])
        if hashed(*row) == fields[-1]:
            return row
        if not self._warned:
            self._warned = True
            text = f"the journal {self.path} is damaged: f is called again where a value does not match its checksum"
            warnings.warn(text, RuntimeWarning, stacklevel=stacklevel())
        return None

    def prepare(self) -> None:
        """Make the tables of a new file; raise if the file is not a journal."""
        with self._transaction() as connection:
            [[tables]] = connection.execute("SELECT count(*) FROM sqlite_master")
            if not tables:
                connection.execute("CREATE TABLE points (key PRIMARY KEY, content, pickled, checksum)")
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
            [[application]], [[version]] = map(connection.execute, ("PRAGMA application_id", "PRAGMA user_version"))
            if (application, version) != (_APPLICATION, _VERSION):
                other = "version of anygrad" if application == _APPLICATION else "program"
                raise ValueError(f"{self.path} was written by another {other}: give another path")
            connection.execute("COMMIT")
            with suppress(connection.OperationalError):  # another run has the file open: writing is slower
                connection.execute("PRAGMA journal_mode = WAL")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, during which no other run writes; raise SQLite's errors with a remedy."""
        import sqlite3  # noqa: PLC0415 - importing it takes half as long as NumPy

        connection = self._connection
        try:
            if connection is None:
                connection = self._connection = sqlite3.connect(self.path, timeout=60.0, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            if connection.in_transaction:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            text = (
                f"the journal {self.path} cannot be read or written ({error}): when this is fixed, make the same call"
            )
            raise OSError(f"{text} again, which goes on from the last evaluation") from error
        except sqlite3.DatabaseError as error:
            text = f"{self.path} is not a journal, or is damaged ({error}): give another path, or delete it"
            raise ValueError(text) from error
        finally:
            if connection is not None and connection.in_transaction:
                connection.rollback()


def digest(value: Any) -> bytes:
    """Return a hash that is the same in every process, of arrays' bits."""
    if (backend := resolve(value)) is not None:
        value = backend.host(value)
    if isinstance(value, dict):
        value = sorted(value.items(), key=repr)
    if isinstance(value, np.ndarray):
        return hashed(value.dtype.str, value.shape, value)
    return hashed(*map(digest, value)) if isinstance(value, (tuple, list)) else hashed(value)


def hashed(*parts: object) -> bytes:
    """Return the hash of bytes, of arrays' bits, and of what repr tells apart, each with its length."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):  # of long doubles, which have padding, the digits
            data = repr(part.tolist()).encode() if part.dtype.char in "gG" else part.tobytes()
        else:
            data = part if isinstance(part, bytes) else shown(part).encode()
        total.update(b"%d:" % len(data) + data)
    return total.digest()


def shown(value: object) -> str:
    """Return the repr of a value; its class where the repr has an address, which is another one in every process."""
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
