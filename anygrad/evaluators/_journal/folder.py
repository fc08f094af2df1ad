"""Several journals in a folder, one for each derivative."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from anygrad.evaluators._journal.fingerprint import Facts, of_f
from anygrad.evaluators._journal.ledger import Ledger, opened

_SUFFIX = ".journal"


@contextmanager
def opened_for(path: str | os.PathLike[str], facts: Facts) -> Iterator[Ledger]:
    """Open the journal at a path, or the one in that folder, that is or becomes the journal of what facts say.

    A path that ends with a slash is a folder, which is made if there is none.
    """
    if os.fspath(path).endswith(("/", os.sep)):
        _make(path)
    if not Path(path).is_dir():
        with opened(path) as ledger:
            ledger.require(facts)
            yield ledger
        return
    for place in _places(Path(path), facts):
        with opened(place) as ledger:
            differing = ledger.claim(facts)
            if not differing:
                yield ledger
                return


def journals(path: str | os.PathLike[str]) -> list[Path]:
    """Return the journal at a path, or those in that folder, the oldest first."""
    place = Path(path)
    if not place.is_dir():
        return [place]
    return sorted(place.glob(f"*{_SUFFIX}"), key=lambda file: (file.stat().st_mtime_ns, file.name))


def _make(folder: str | os.PathLike[str]) -> None:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(
            f"{folder} ends with a slash, as folders of journals do, but is a file: leave out the slash, or give"
            " another folder"
        ) from error
    except OSError as error:
        reason = f"the folder {folder} of journals cannot be made ({error.strerror}): give another path"
        raise OSError(error.errno, reason) from error  # of the subclass that the number says


def _places(folder: Path, facts: Facts) -> Iterator[Path]:
    """Yield where the journal may be: what is known of f may change while it runs, and is not in the name."""
    known = hashlib.sha256()
    for label, fact in sorted(facts.items()):
        if not of_f(label):
            known.update(repr((label, fact.digest)).encode())
    return (folder / f"{known.hexdigest()[:16]}-{number}{_SUFFIX}" for number in count(1))
