"""``anygrad check``."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from anygrad._check import check_gradient
from anygrad._checking.report import CheckReport
from anygrad._cli.arrays import converted
from anygrad._cli.common import add_function, output_aside, wants_progress, x_of
from anygrad._cli.reading import is_data, read
from anygrad._cli.refusal import Refusal
from anygrad._cli.target import function
from anygrad._cli.writing import require_writable, show_json
from anygrad.schemes import named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add_function(parser, default="as check_gradient chooses")
    parser.add_argument(
        "--grad", required=True, help="the gradient to be checked: a function of x, as f is, or its value in a file"
    )
    parser.add_argument("--directions", metavar="K", type=int, help="compare along K random directions")
    parser.add_argument("--rtol", metavar="R", type=float, help="the relative error that is allowed")
    parser.add_argument("--seed", metavar="S", type=_seed, default=0, help="of the random directions (default: 0)")
    parser.add_argument("--plot", metavar="FILE", help="draw the comparison, to a file such as check.png")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare a gradient with the numerical one, and print the report; 0 where it is right, 1 where it is not."""
    if arguments.plot is not None:
        _require_drawable(arguments.plot)
    with output_aside():
        report = _report(arguments)
    if arguments.json:
        show_json(report.as_dict())
    else:
        print(report)
    if arguments.plot is not None:
        _draw(report, arguments.plot)
    return 0 if report else 1


def _report(arguments: argparse.Namespace) -> CheckReport:
    scheme = None if arguments.scheme is None else named(arguments.scheme)
    f, grad, x = function(arguments.f), _claimed(arguments), x_of(arguments)
    return check_gradient(
        f,
        grad,
        x,
        directions=arguments.directions,
        rtol=arguments.rtol,
        seed=arguments.seed,
        scheme=scheme,
        progress=wants_progress(arguments),
    )


def _claimed(arguments: argparse.Namespace) -> Any:
    """Return the gradient to be checked: a function, or its value at x."""
    if is_data(arguments.grad):
        return converted(read(arguments.grad, "the gradient"), "the gradient", arguments.backend)
    return function(arguments.grad)


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{text!r} was given, but 0 or a positive integer was expected")
    return seed


def _require_drawable(path: str) -> None:
    """Raise if there will be no picture, and see to it that drawing one needs no screen."""
    require_writable(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise Refusal("--plot needs matplotlib, which is not installed: pip install matplotlib")
    import matplotlib  # noqa: PLC0415 - an extra, imported when a picture is wanted
    from matplotlib.backend_bases import FigureCanvasBase  # noqa: PLC0415 - likewise

    matplotlib.use("Agg")
    suffix, known = Path(path).suffix.lower().removeprefix("."), FigureCanvasBase.get_supported_filetypes()
    if suffix and suffix not in known:
        raise Refusal(f"{path} is to be a picture, but .{suffix} is none that matplotlib writes: call it .png or .svg")


def _draw(report: CheckReport, path: str) -> None:
    try:
        report.plot().savefig(path)
    except (OSError, RuntimeError, ValueError) as error:  # some formats need programs besides
        raise Refusal(f"{path} cannot be drawn: {error}") from None
