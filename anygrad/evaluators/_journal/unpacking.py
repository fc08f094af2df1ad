"""What f returns, taken apart, and so remembered that it need not be returned again for its structure to be known."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from anygrad.evaluators._base import Target
from anygrad.evaluators._journal import shelf
from anygrad.evaluators._journal.ledger import Ledger

_STRUCTURE, _AUX = "structure", "aux"
_WAYS = [field.name for field in fields(Target) if field.name.startswith("unpack")]


class Unpacking:
    """The ways in which a target takes apart what f returns; the first thing of all that it returned is remembered."""

    def __init__(self, target: Target) -> None:
        self._ways = {way: getattr(target, way) for way in _WAYS if getattr(target, way) is not None}
        self._has_aux = target.has_aux
        self._returned: list[tuple[str, Any]] = []
        self._kept = False

    def watched(self, target: Target) -> Target:
        """Return the target, such that what its f returns passes through here."""
        ways: dict[str, Any] = {way: _Way(self, way, unpack) for way, unpack in self._ways.items()}
        return replace(target, **ways)

    def remember(self, way: str, returned: Any) -> None:
        """Remember what f has returned."""
        if not self._returned:
            self._returned.append((way, returned))

    def replay(self, ledger: Ledger) -> bool:
        """Let the structure of f's values be known, and its extra output, as if f had been called.

        Return whether it is known.
        """
        if not self._ways or self._returned:
            return True
        kept = ledger.object(_STRUCTURE)
        if kept is None:
            return False
        self._kept = True
        (way, value), aux = shelf.restored(kept), ledger.object(_AUX)
        returned = (value, None if aux is None else pickle.loads(aux)) if self._has_aux else value
        self._ways[way](returned)
        self.remember(way, returned)
        return True

    def objects(self, *, base: bool) -> dict[str, bytes]:
        """Return what is to be kept of the first thing that f returned; its extra output only if that is f(x)'s."""
        if self._kept or not self._returned:
            return {}
        self._kept = True
        way, returned = self._returned[0]
        value, aux = returned if self._has_aux else (returned, None)
        own = {_AUX: shelf.extra(aux)} if base and self._has_aux else {}
        return {_STRUCTURE: shelf.structure((way, value)), **own}


class _Way:
    """Takes apart what f returns. In another process, it is the target's own function again."""

    def __init__(self, unpacking: Unpacking, way: str, unpack: Callable[[Any], object]) -> None:
        self._unpacking = unpacking
        self._way = way
        self._unpack = unpack

    def __call__(self, returned: Any) -> object:
        unpacked = self._unpack(returned)
        self._unpacking.remember(self._way, returned)
        return unpacked

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._unpack,)


def _itself(unpack: Callable[[Any], object]) -> Callable[[Any], object]:
    return unpack
