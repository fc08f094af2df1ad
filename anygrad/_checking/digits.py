"""How far a claim in few digits may be off where it cannot be seen, and what it is in more digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anygrad._checking.claim import Claim
from anygrad._checking.comparison import HostArray
from anygrad._checking.hosted import leaves_on_host, spacings
from anygrad._checking.question import sizes, spacing_of
from anygrad._checking.wider import Setting


def with_digits(claim: Claim, setting: Setting, *, again: bool) -> Claim:
    """Return a claim with what is known of its digits, if it was computed in a narrower dtype than f is asked in.

    It is called ``again``, if it was not with x in that dtype.

    A derivative may be small as larger numbers cancel on the way to it, each of them rounded: these are taken to be as
    large as f is, divided by x.
    """
    if max(claim.eps, default=0.0) <= max(spacing_of(setting.variables)):
        return claim
    leaves = sizes(setting.variables)
    known = [leaves[number % len(leaves)] for number in range(len(claim.values))]
    pairs = list(zip(claim.values, known, strict=True))
    fits = all(value.shape[value.ndim - size.ndim :] == size.shape for value, size in pairs)
    if setting.question.kind == "hess" or not fits:
        return claim
    on_the_way = [
        np.broadcast_to(setting.probe.rounding(eps) / size, value.shape)
        for eps, (value, size) in zip(claim.eps, pairs, strict=True)
    ]
    called = again and callable(setting.question.claim)
    in_digits = _in_digits(claim, setting) if called else ()
    return replace(claim, on_the_way=on_the_way, in_digits=in_digits, ncalls=claim.ncalls + called)


def _in_digits(claim: Claim, setting: Setting) -> Sequence[HostArray]:
    question = setting.question
    try:
        with setting.variables.context():
            returned = question.claim(question.x)
            values = [value for _, value in leaves_on_host(returned, question.name)]
            spacing = max(spacings(returned), default=0.0)
    except Exception:  # whatever it raises that was written for another dtype
        return ()
    alike = [value.shape for value in values] == [value.shape for value in claim.values]
    return values if alike and spacing < max(claim.eps, default=0.0) else ()
