"""The jobs that a tree of arrays makes: one for each of them, or one for all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from anygrad._function import Function
from anygrad._job import Job, Options
from anygrad._variables import Variables


def jobs_of(variables: Variables, function: Function, options: Options, *, vector: bool = False) -> list[Job]:
    """Return what there is to do for each array of x."""
    if variables.alone:
        [array], [backend] = variables.arrays, variables.backends
        return [Job("x", function.f, array, backend, options, options.bounds or (None, None), vector=vector)]
    with_leaf = variables.with_leaves if options.evaluator.leading else variables.with_leaf
    arrays = variables.by_name
    lowers, uppers = (variables.leaves_of(bound, "a bound") for bound in options.bounds or (None, None))
    return [
        Job(
            name,
            function.of(with_leaf(position)),
            array,
            backend,
            options if scheme is options.scheme else replace(options, scheme=scheme),
            (lowers[position], uppers[position]),
            vector=vector,
            arrays=arrays,
        )
        for position, (name, array, backend, scheme) in enumerate(
            zip(variables.names, variables.arrays, variables.backends, variables.schemes(options.scheme), strict=True)
        )
    ]


def joint_job(variables: Variables, function: Function, options: Options, *, vector: bool = False) -> Job:
    """Return the differentiation by all arrays of x together."""
    variables.require_some()
    x, backend, rebuild = variables.joint()
    lower, upper = (
        bound if variables.alone or bound is None else _numbers(variables.leaves_of(bound, "a bound"), endless)
        for bound, endless in zip(options.bounds or (None, None), (-math.inf, math.inf), strict=True)
    )
    f = function.f if variables.alone else function.of(rebuild)
    options = replace(options, scheme=variables.joint_scheme(options.scheme))
    [first, *_] = [*variables.names, "x"]
    return Job(first, f, x, backend, options, (lower, upper), vector=vector, arrays=variables.by_name)


def _numbers(bounds: Sequence[Any], endless: float) -> list[Any]:
    # All arrays of a joint memory have a bound, or none has.
    return [endless if bound is None else bound for bound in bounds]


def require_distinct(variables: Variables, in_place: Sequence[bool]) -> None:
    """Raise if what was perturbed in place is part of another array of x too: both were perturbed at once."""
    arrays = zip(variables.names, variables.arrays, variables.backends, in_place, strict=True)
    for (name, array, backend, own), (other, another, theirs, others) in itertools.combinations(arrays, 2):
        if not (own or others) or backend is not theirs:
            continue
        if backend.shares_memory(array, another):
            raise ValueError(
                f"{name} and {other} share memory, so that f cannot be differentiated by each of them alone:"
                " pass a copy for one of the two, or the array once"
            )
