"""What f returns, taken apart, and so remembered that it need not be returned again for its structure to be known."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from anygrad.evaluators import _shelf
from anygrad.evaluators._base import Target
from anygrad.evaluators._ledger import Ledger

_STRUCTURE, _AUX = "structure", "aux"


class Unpacking:
    """Takes apart what f returns, and remembers the first thing of all that it returned.

    In another process, it is the target's own function again: what is remembered is remembered here.
    """

    def __init__(self, target: Target) -> None:
        self._unpack = target.unpack
        self._has_aux = target.has_aux
        self._returned: list[Any] = []
        self._kept = False

    def __call__(self, returned: Any) -> object:
        assert self._unpack is not None
        unpacked = self._unpack(returned)
        if not self._returned:
            self._returned.append(returned)
        return unpacked

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._unpack,)

    def replay(self, ledger: Ledger) -> bool:
        """Let the structure of f's values be known, and its extra output, as if f had been called.

        Return whether it is known.
        """
        if self._unpack is None or self._returned:
            return True
        kept = ledger.object(_STRUCTURE)
        if kept is None:
            return False
        self._kept = True
        value, aux = _shelf.restored(kept), ledger.object(_AUX)
        self((value, None if aux is None else pickle.loads(aux)) if self._has_aux else value)
        return True

    def objects(self, *, base: bool) -> dict[str, bytes]:
        """Return what is to be kept of the first thing that f returned; its extra output only if that is f(x)'s."""
        if self._kept or not self._returned:
            return {}
        self._kept = True
        returned = self._returned[0]
        value, aux = returned if self._has_aux else (returned, None)
        own = {_AUX: _shelf.extra(aux)} if base and self._has_aux else {}
        return {_STRUCTURE: _shelf.structure(value), **own}


def _itself(unpack: Callable[[Any], object]) -> Callable[[Any], object]:
    return unpack
