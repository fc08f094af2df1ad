"""``anygrad gradient``."""

from __future__ import annotations

import argparse
from typing import Any

from anygrad._cli.arrays import on_host
from anygrad._cli.common import add_function, output_aside, wants_progress, x_of
from anygrad._cli.target import function
from anygrad._cli.writing import listed, require_suffix, require_writable, show, show_json, write
from anygrad._gradient import numerical_gradient
from anygrad._result import Result
from anygrad.schemes.named import named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add_function(parser, default="central, with the step 1e-4")
    parser.add_argument("--h", type=float, help="the step, in units of x (default: the scheme's own choice)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write a .npy file (.npz, if x is one)")
    parser.add_argument("--json", action="store_true", help="print the gradient, its estimated error and flags as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Differentiate, and write or print the gradient."""
    if arguments.output is not None:
        require_writable(arguments.output)
    with output_aside():
        result = _result(arguments)
    gradient = on_host(result.value)
    if arguments.output is not None:
        write(arguments.output, gradient)
    if arguments.json:
        show_json(_as_dict(result))
    elif arguments.output is None:
        show(gradient)
    return 0


def _result(arguments: argparse.Namespace) -> Result:
    scheme = None if arguments.scheme is None else named(arguments.scheme, arguments.h)
    f, x = function(arguments.f), x_of(arguments)
    if arguments.output is not None:
        require_suffix(arguments.output, x)
    result: Result = numerical_gradient(
        f,
        x,
        arguments.h if scheme is None else None,
        scheme=scheme,
        progress=wants_progress(arguments),
        full_output=True,
    )
    return result


def _as_dict(result: Result) -> dict[str, Any]:
    return {
        "value": listed(on_host(result.value)),
        "error": None if result.error is None else listed(on_host(result.error)),
        "flags": {name: listed(on_host(flag)) for name, flag in result.flags.items()},
        "ncalls": result.ncalls,
    }
