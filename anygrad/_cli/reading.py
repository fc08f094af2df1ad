"""x, from a file of NumPy's or from the command line itself."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from anygrad._cli.refusal import Refusal

Tree: TypeAlias = Any  # an array, or a dict of arrays by their names

_EXPECTED = 'a .npy or .npz file, or numbers such as "[1.0, 2.0]", was expected'
SUFFIXES = {".npy", ".npz"}
_MAGIC = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")  # of an array, and of an archive of them


def is_data(text: str) -> bool:
    """Return whether this is a file of NumPy's, or numbers: not the name of a function."""
    return Path(text).suffix in SUFFIXES or text.lstrip()[:1] in {"[", "{"}


def read(text: str, name: str) -> Tree:
    """Return the array of a ``.npy`` file, the arrays of a ``.npz`` file by their names, or those written in JSON.

    In messages they are called ``name``. Numbers in JSON become float64; files are never unpickled.
    """
    if not text.strip():
        raise Refusal(f"{name} is empty, but {_EXPECTED}")
    path = Path(text)
    if path.suffix in SUFFIXES or _exists(path):
        return _from_file(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(f"{name} is {text!r:.60}, which is no file here, but {_EXPECTED}") from None
    if not isinstance(value, dict):
        return _numbers(value, name)
    return {key: _numbers(item, f"{name}[{key!r}]") for key, item in value.items()}


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # numbers may be too many for the name of a file
        return False


def _numbers(value: object, name: str) -> NDArray[Any]:
    if not isinstance(value, (list, int, float)) or isinstance(value, bool):
        raise Refusal(f"{name} is {json.dumps(value):.60}, but numbers or a list of them were expected")
    try:
        if any(isinstance(entry, bool) or not isinstance(entry, (int, float)) for entry in _entries(value)):
            raise TypeError
        return np.asarray(value).astype(float)
    except OverflowError:
        raise Refusal(f"{name} has an integer beyond 1.8e308, the largest number of float64") from None
    except (RecursionError, TypeError, ValueError):
        raise Refusal(
            f"{name} is {json.dumps(value):.60}, but a list of numbers, or of equally long lists of them, was expected"
        ) from None


def _entries(value: object) -> Iterator[object]:
    if not isinstance(value, list):
        yield value
        return
    for part in value:
        yield from _entries(part)


def _from_file(path: Path) -> Tree:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refusal(f"{path} cannot be read: {error.strerror}") from None
    if not content.startswith(_MAGIC):
        raise Refusal(f"{path} is no file of NumPy's: write one by numpy.save or numpy.savez; pickles are not read")
    try:
        loaded = _loaded(content)
    except Exception as error:  # NumPy's and zipfile's, of many classes; nothing of the user's runs here
        if "allow_pickle" in str(error):
            raise Refusal(
                f"{path} holds Python objects, which are not read, as that could run any code: save an array of"
                " numbers, for example x.astype(float)"
            ) from None
        raise Refusal(f"{path} is broken: {str(error) or type(error).__name__}") from None
    if not isinstance(loaded, dict):
        return _native(loaded)
    if not loaded or not all(isinstance(array, np.ndarray) for array in loaded.values()):
        raise Refusal(f"{path} holds {'something else than' if loaded else 'no'} arrays, but numpy.savez writes them")
    return {key: _native(array) for key, array in loaded.items()}


def _loaded(content: bytes) -> Any:
    """Return the array of a file, or what is in an archive by its names."""
    loaded = np.load(io.BytesIO(content), allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        return {key: loaded[key] for key in loaded.files}


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in this machine's byte order: other libraries have no other."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)
