"""What is found, to files and to standard output."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anygrad._cli.arrays import each
from anygrad._cli.reading import SUFFIXES, Tree
from anygrad._cli.refusal import Refusal


def require_writable(path: str) -> None:
    """Raise if a file cannot be written: better now than after hours."""
    if not path or path == "-":
        raise Refusal(f"{path!r} was given for a file, but the name of one was expected")
    file = Path(path)
    if file.is_dir():
        raise Refusal(f"{path} is a folder, but the name of a file was expected")
    if not file.parent.is_dir():
        raise Refusal(f"{path} cannot be written: there is no folder {file.parent}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise Refusal(f"{path} cannot be written: that is not permitted")


def require_suffix(path: str, tree: Tree) -> None:
    """Raise if a file's name says something else than what it will hold: one array, or several by their names."""
    right, what = (".npz", "several arrays") if isinstance(tree, dict) else (".npy", "one array")
    suffix = Path(path).suffix.lower()
    if suffix in {"", right}:
        return
    text = "" if suffix in SUFFIXES else f", or, for text, --json > {path} instead of -o"
    raise Refusal(
        f"{path} is to hold {what}, but such a file is called {right}: write {Path(path).with_suffix(right)}{text}"
    )


def write(path: str, tree: Tree) -> None:
    """Write NumPy's array as ``.npy``, or a dict of them as ``.npz``."""
    buffer = io.BytesIO()
    if isinstance(tree, dict):
        with zipfile.ZipFile(buffer, "w") as archive:  # numpy.savez takes no array by the name of "file"
            for key, array in tree.items():
                with archive.open(f"{key}.npy", "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, array, allow_pickle=False)
    else:
        np.save(buffer, tree, allow_pickle=False)
    try:
        Path(path).write_bytes(buffer.getvalue())
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error.strerror}") from None


def show(tree: Tree) -> None:
    """Print arrays as NumPy does."""
    if not isinstance(tree, dict):
        print(tree)
        return
    for key, array in tree.items():
        print(f"{key}:\n{array}")


def show_json(value: object) -> None:
    """Print as JSON what is made of dicts, lists, numbers and strings; numbers that JSON lacks as strings."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def listed(tree: Tree) -> Any:
    """Return arrays as lists for JSON; of complex numbers one of the real and one of the imaginary parts."""
    return each(_listed, tree)


def _listed(array: NDArray[Any]) -> Any:
    if array.dtype.kind == "c":
        return {"real": _listed(array.real), "imag": _listed(array.imag)}
    return (array if array.dtype.kind == "b" else array.astype(float)).tolist()
