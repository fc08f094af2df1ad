"""How the arrays of a tree differ from those that were expected, in words."""

from __future__ import annotations

from collections.abc import Sequence

Names = Sequence[str]  # the expressions that name the arrays, as in x['W']
Shapes = Sequence[tuple[int, ...]]

_LISTED = 4


def unlike(given: Names, expected: Names, shapes: Shapes | None = None, wanted: Shapes | None = None) -> str | None:
    """Return what is there instead of what was expected, for a sentence to end with; None if it is all the same.

    ``shapes`` are those of what is given, and ``wanted`` those expected, if shapes count as well.
    """
    if list(given) == list(expected):
        return _of_other_shapes(given, shapes, wanted) if shapes is not None and wanted is not None else None
    if sorted(given) == sorted(expected):
        return (
            f"{_listed(given)} in this order, but {_listed(expected)} was expected: a dict is sorted by its keys, an"
            " OrderedDict is not, so give one of the same type"
        )
    missing, others = _without(expected, given), _without(given, expected)
    if not others:
        return f"nothing for {_listed(missing)}"
    if not missing:
        return f"{_listed(others)} as well, where nothing was expected"
    return f"{_listed(others)}, but {_listed(missing)} was expected"


def _without(names: Names, others: Names) -> Names:
    left_out = set(others)
    return [name for name in names if name not in left_out]


def _of_other_shapes(names: Names, shapes: Shapes, wanted: Shapes) -> str | None:
    for name, own, other in zip(names, shapes, wanted, strict=True):
        if own != other:
            return f"{name} of shape {own}, but {name} of shape {other} was expected"
    return None


def _listed(names: Names) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
