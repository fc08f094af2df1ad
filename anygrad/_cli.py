"""The command line: ``anygrad``, or ``python -m anygrad``."""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import functools
import importlib.util
import io
import json
import operator
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TypeAlias

import numpy as np

import anygrad
from anygrad.backends import libraries
from anygrad.backends.base import resolve
from anygrad.plot._pyplot import load_pyplot
from anygrad.schemes import Scheme

Tree: TypeAlias = Any  # an array, or a dict of arrays by their names

_TROUBLE, _INTERRUPTED, _NO_READER = 2, 130, 141  # the last two: 128 and the number of the signal, as shells have it
_SUFFIXES = {".npy", ".npz"}
# If modules with these names are loaded, they are taken for the libraries.
_LIBRARIES = {*libraries.names(), "jaxlib", "ndonnx", "sparse"}


class Refusal(Exception):  # noqa: N818 - what the user is told, and no error of the program
    """The command line cannot be carried out; the message says why and what was expected."""


# The errors that the library raises for wrong input; any other is a mistake of its own.
_SENTENCES = (Refusal, TypeError, ValueError, IndexError, ImportError, OSError, MemoryError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these words, by default the process's own, and return its exit status."""
    words: list[str] = []
    for word in sys.argv[1:] if argv is None else argv:
        if words and words[-1].startswith("--") and re.match(r"-[\d.]", word):  # argparse takes -1e-3 for an option
            words[-1] += f"={word}"
        else:
            words.append(word)
    try:
        with _path_and_warnings():
            arguments = _parser().parse_args(words)
            status: int = arguments.run(arguments)
            if sys.stdout is not None:  # None where it was closed
                sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except BaseException as error:
        if (shown := _user_traceback(error)) is not None:
            print(shown, end="", file=sys.stderr or io.StringIO())
        elif isinstance(error, BrokenPipeError):
            # Whoever read the output has seen enough. Python would complain once more when it closes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _NO_READER
        elif isinstance(error, _SENTENCES):
            _say(str(error))
        elif isinstance(error, Exception):
            traceback.print_exception(error)
            _say("this is a bug in anygrad: please report it with the traceback above")
        else:  # argparse ends with SystemExit after --help
            raise
        return _TROUBLE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refusal(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    whole = _Parser(prog="anygrad", description="Numerical derivatives from the command line.", allow_abbrev=False)
    whole.add_argument("--version", action="version", version=f"%(prog)s {anygrad.__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable[[Any], int], does: str, status: str = "exit status: 0 on success") -> Callable[..., Any]:
        name, text = run.__name__.removeprefix("_"), f"{does.capitalize()}."
        ends = f"{status}; 2 if an argument cannot be used or f raises; 130 after Ctrl-C"
        parser = commands.add_parser(name, help=does, description=text, epilog=ends, allow_abbrev=False)
        parser.set_defaults(run=run)
        parser.add_argument("--json", action="store_true", help="print all results as JSON")
        return parser.add_argument

    def add_function(add: Callable[..., Any], default: str) -> None:
        add("f", metavar="MODULE:F", help="the function, as package.module:f, module:net.loss or file.py:f")
        x = 'the point: a .npy file, a .npz file (a dict of arrays), or numbers such as "[1.0, 2.0]"'
        add("--x", required=True, help=x)
        names = ", ".join(libraries.names())
        add("--backend", metavar="LIBRARY", default="numpy", help=f"the library of x: {names} (default: numpy)")
        scheme = "adaptive, central, forward, backward or complex, with its order if wanted, as in central4"
        add("--scheme", help=f"{scheme} (default: {default})")
        progress = "show a progress bar on standard error (default: if that is a terminal)"
        add("--progress", action=argparse.BooleanOptionalAction, help=progress)

    command(_backends, "list the array libraries that can be used here")

    add = command(_gradient, "differentiate a function of an array")
    add_function(add, default="central with the step 1e-4")
    add("--h", type=float, help="the step, in units of x (default: chosen by the scheme)")
    add("-o", "--output", metavar="FILE", help="write the gradient to a .npy file (.npz if x is one)")

    status = "exit status: 0 if the gradient agrees, 1 if it does not or if no verdict is possible"
    add = command(_check, "compare a gradient with the numerical one", status)
    add_function(add, default="chosen by check_gradient")
    add("--grad", required=True, help="the gradient to check: a function, named like f, or its value at x in a file")
    add("--directions", metavar="K", type=int, help="compare along K random directions instead of element by element")
    add("--rtol", metavar="R", type=float, help="allow a relative difference of R besides the estimated errors")
    add("--seed", metavar="S", type=int, default=0, help="the seed of the random numbers (default: 0)")
    add("--plot", metavar="FILE", help="save a picture of the comparison to a file such as check.png")
    return whole


def _backends(arguments: argparse.Namespace) -> int:
    with redirect_stdout(sys.stderr):
        found = [libraries.describe(name) for name in libraries.names()]
    if arguments.json:
        print(_json([dataclasses.asdict(one) for one in found]))
        return 0
    rows = [(one.name, one.version, one.array_api, one.obstacle or ", ".join(one.devices)) for one in found]
    table = [("library", "version", "array API", "devices"), *([cell or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print("\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table))
    print("Arrays of any other library that follows the array API standard work too.")
    return 0


def _gradient(arguments: argparse.Namespace) -> int:
    output = arguments.output
    if output is not None:
        _require_writable(output)
    with _output_aside():
        options = _options(arguments, arguments.h)
        f, x = _function(arguments.f), _array(arguments.x, "x", arguments.backend)
        right = ".npz" if isinstance(x, dict) else ".npy"
        if output is not None and Path(output).suffix.lower() not in {"", right}:
            name = Path(output).with_suffix(right)
            raise Refusal(f"-o is {output}, but a {right} file was expected: write -o {name}, or --json > {output}")
        h = arguments.h if arguments.scheme is None else None
        result = anygrad.numerical_gradient(f, x, h, **options, full_output=True)
    gradient = _each(_on_host, result.value)
    if output is not None:
        _write(output, gradient)
    if arguments.json:
        error = None if result.error is None else _each(_listed, result.error)
        flags = {name: _each(_listed, flag) for name, flag in result.flags.items()}
        print(_json({"value": _each(_listed, gradient), "error": error, "flags": flags, "ncalls": result.ncalls}))
    elif output is None:
        print("\n".join(f"{key}:\n{own}" for key, own in gradient.items()) if isinstance(gradient, dict) else gradient)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    if arguments.plot is not None:
        _require_writable(arguments.plot)
        load_pyplot().switch_backend("Agg")  # which needs no screen
    with _output_aside():
        options = _options(arguments) | {name: getattr(arguments, name) for name in ("directions", "rtol", "seed")}
        f, claimed, library = _function(arguments.f), arguments.grad, arguments.backend
        is_data = Path(claimed).suffix in _SUFFIXES or claimed.lstrip()[:1] in {"[", "{"}
        grad = _array(claimed, "the gradient", library) if is_data else _function(claimed)
        report = anygrad.check_gradient(f, grad, _array(arguments.x, "x", library), **options)
    print(_json(report.as_dict()) if arguments.json else report)
    if arguments.plot is not None:
        report.plot().savefig(arguments.plot)
    return 0 if report else 1


def _options(arguments: argparse.Namespace, step: float | None = None) -> dict[str, Any]:
    shown = arguments.progress
    if shown is None:
        shown = sys.stderr is not None and sys.stderr.isatty()  # None where it was closed
    return {"scheme": None if arguments.scheme is None else _scheme(arguments.scheme, step), "progress": shown}


def _scheme(name: str, step: float | None) -> Scheme:
    """Return the scheme with a name, such as central, or central4 for the order 4."""
    schemes = (anygrad.Adaptive, anygrad.Central, anygrad.Forward, anygrad.Backward, anygrad.Complex)
    kinds: dict[str, Any] = {kind.__name__.lower(): kind for kind in schemes}
    kind = name.rstrip("0123456789")
    if kind.lower() not in kinds:
        raise Refusal(f"--scheme is {name!r}, but one of {', '.join(kinds)} was expected, or central4 for the order 4")
    order, given = name.removeprefix(kind), {} if step is None else {"step": step}
    if order and not hasattr(kinds[kind.lower()], "order"):
        raise Refusal(f"--scheme is {name!r}, but {kind} has no order: write {kind}")
    return kinds[kind.lower()](**given, **({"order": int(order)} if order else {}))  # type: ignore[no-any-return]


def _call_user(call: Callable[..., Any], *arguments: object) -> Any:
    """Call something that runs code of the user's. This frame tells what was raised in there."""
    return call(*arguments)


def _user_traceback(error: BaseException) -> str | None:
    """Return the traceback of an exception of the user's code, from their first frame on; None for any other."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code is not _call_user.__code__:
        frames = frames.tb_next
    if frames is None:
        return None
    frames, python = frames.tb_next, (str(Path(importlib.__file__).parent), "<frozen importlib")
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(python):
        frames = frames.tb_next  # Python's own, between the import of a module and the module
    return "".join(traceback.format_exception(type(error), error, frames))


def _function(text: str) -> Callable[[Any], Any]:
    """Return the user's function of this name: ``package.module:f``, ``module:net.loss`` or ``folder/file.py:f``."""
    place, _, name = text.rpartition(":")
    is_file = place.endswith(".py")
    if not name or not (is_file or all(part.isidentifier() for part in place.split("."))):
        raise Refusal(f"{text!r} was given, but module:function or file.py:function was expected, such as net.py:loss")
    found: Any = _module_of_file(place) if is_file else _module(place)
    try:
        found = _call_user(operator.attrgetter(name), found)
    except AttributeError as error:
        close = "".join(f": did you mean {one!r}?" for one in get_close_matches(error.name or "", dir(error.obj), n=1))
        raise Refusal(f"there is no {error.name!r} in {place}{close}") from None
    if not callable(found):
        raise Refusal(f"{text} has the type {type(found).__name__}, but a function of x was expected")
    return functools.wraps(found)(lambda x: _call_user(found, x))


def _module(name: str) -> ModuleType:
    try:
        return _call_user(importlib.import_module, name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        where = "in the current folder or where Python looks for modules"
        raise Refusal(f"there is no module {error.name!r} {where}") from None


def _module_of_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise Refusal(f"there is no file {place!r}")
    sys.path.insert(0, str(path.parent))  # as when the file is run
    stem, name = path.stem, str(path).replace(".", "_")  # no import statement can mean the second
    known = importlib.util.find_spec(stem) if stem.isidentifier() and stem not in _LIBRARIES else None
    if known is not None and known.origin == str(path):  # processes that f may start find it by this name, too
        return _module(stem)
    if name in sys.modules:  # f and its gradient are in one file
        return sys.modules[name]
    spec: Any = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    _call_user(spec.loader.exec_module, module)
    return module


def _array(text: str, name: str, library: str) -> Tree:
    """Return the arrays of a file or of JSON, as those of a library. Messages call them ``name``."""
    asarray = libraries.load(library)

    def of_library(array: Any) -> Any:
        made = asarray(array)
        dtype = str(made.dtype).rpartition(".")[2]
        if dtype != str(array.dtype):
            _say(f"{name} is {array.dtype}, but {library} stores it as {dtype}")
        return made

    return _each(of_library, _read(text, name))


def _read(text: str, name: str) -> Tree:
    with suppress(OSError, ValueError):  # numbers may be too many for the name of a file
        if Path(text).suffix in _SUFFIXES or (text.strip() and Path(text).exists()):
            return _from_file(Path(text))
    try:
        value = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        expected = 'a .npy or .npz file or numbers such as "[1.0, 2.0]" were expected'
        raise Refusal(f"{name} is {text!r:.60}, but {expected}, and there is no such file") from None
    if isinstance(value, dict):
        return {key: _numbers(item, f"{name}[{key!r}]") for key, item in value.items()}
    return _numbers(value, name)


def _numbers(value: object, name: str) -> Any:
    with suppress(ValueError):  # of lists that differ in length
        array = np.asarray(value)
        if array.dtype.kind == "f":
            return array
    text = f"{name} is {json.dumps(value):.60}"
    raise Refusal(f"{text}, but a number, a list of numbers, or lists of equal length were expected")


def _from_file(path: Path) -> Tree:
    try:
        loaded = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        loaded = loaded if isinstance(loaded, np.ndarray) else dict(loaded)
        if isinstance(loaded, dict) and not all(isinstance(array, np.ndarray) for array in loaded.values() or [None]):
            raise ValueError
    except Exception as error:  # NumPy's and zipfile's, of many classes; no code of the user's runs here
        broken = "it is not a file of numbers written by numpy.save or numpy.savez, or it is damaged"
        raise Refusal(f"{path} cannot be read: {getattr(error, 'strerror', None) or broken}") from None
    # In this machine's byte order: other libraries have no other.
    return _each(lambda array: array.astype(array.dtype.newbyteorder("="), copy=False), loaded)


def _each(function: Callable[[Any], Any], tree: Tree) -> Tree:
    return {key: function(array) for key, array in tree.items()} if isinstance(tree, dict) else function(tree)


def _on_host(array: Any) -> Any:
    backend = resolve(array)
    return np.asarray(array) if backend is None else backend.host(array)


def _listed(array: Any) -> Any:
    """Return an array as lists for JSON; a complex one as its real and its imaginary part."""
    array = _on_host(array)
    if array.dtype.kind == "c":
        return {"real": array.real.astype(float).tolist(), "imag": array.imag.astype(float).tolist()}
    return (array if array.dtype.kind == "b" else array.astype(float)).tolist()


def _json(value: object) -> str:
    finite = json.loads(json.dumps(value), parse_constant=str)  # NaN and Infinity, which JSON lacks, become strings
    return json.dumps(finite, indent=2)


def _say(sentence: str) -> None:
    if sys.stderr is not None:  # where it was closed, print would take standard output
        print(f"anygrad: {' '.join(sentence.split())}", file=sys.stderr)


def _require_writable(path: str) -> None:
    """Raise if a file cannot be written: better now than after hours."""
    file = Path(path)
    if path in {"", "-"} or file.is_dir():
        raise Refusal(f"{path!r} was given, but the name of a file was expected")
    if not file.parent.is_dir():
        raise Refusal(f"{path} cannot be written: there is no folder {file.parent}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise Refusal(f"{path} cannot be written: permission denied")


def _write(path: str, tree: Tree) -> None:
    with open(path, "wb") as file:  # to a name, NumPy would add a suffix
        if isinstance(tree, dict):
            np.savez(file, **tree, allow_pickle=False)
        else:
            np.save(file, tree, allow_pickle=False)


@contextmanager
def _path_and_warnings() -> Iterator[None]:
    """Find modules in the current folder, as with ``python -m``; show warnings of the library as sentences."""
    before, show = list(sys.path), warnings.showwarning

    def shown(message: Warning | str, category: type[Warning], *where: Any) -> None:
        own = issubclass(category, anygrad.ConstantFunctionWarning)  # the line it points to is not the user's here
        _say(str(message)) if own else show(message, category, *where)

    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", anygrad.ConstantFunctionWarning)
            warnings.showwarning = shown  # type: ignore[assignment]
            yield
    finally:
        sys.path[:] = before


@contextmanager
def _output_aside() -> Iterator[None]:
    """Send everything that f, and programs that it starts, print to standard error: it is not part of the output."""
    stdout, stderr = 1, 2
    try:
        kept = os.dup(stdout)
    except OSError:  # it is closed
        kept = os.open(os.devnull, os.O_WRONLY)
    with redirect_stdout(sys.stderr):
        try:
            with suppress(OSError):  # standard error may be closed
                os.dup2(stderr, stdout)
            yield
        finally:
            with suppress(OSError, ValueError, AttributeError):  # f may have closed it, or it was closed before
                sys.__stdout__.flush()  # type: ignore[union-attr]  # f may have written to it by that name
            with suppress(OSError, AttributeError):  # the C library may have another name
                ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).fflush(None)  # what f printed in C
            os.dup2(kept, stdout)
            os.close(kept)
