"""What a journal is of: by which facts it is known again, and how a difference is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anygrad.evaluators._base import Target
from anygrad.evaluators._journal.digest import digest, library, parts_of
from anygrad.evaluators._journal.makeup import named

# How much is shown of what differs.
_SHOWN = 60
# More differences than these help nobody.
_NAMED = 4


@dataclass(frozen=True)
class Fact:
    """One thing that is known of a journal: what it looks like, and the hash of all of it."""

    shown: str
    digest: bytes


Facts = dict[str, Fact]


def facts_of(target: Target, *, leading: bool) -> Facts:
    """Return what tells a target from others: f, x and the plan."""
    plan = {name: item for name, item in target.plan.items() if name not in ("f", "x")}
    facts = {name: Fact(_shown(item), digest(item)) for name, item in plan.items()}
    facts["has_aux"] = _said(str(target.has_aux))
    facts["points in one call of f"] = _said("many" if leading else "one")
    facts.update(_of_arrays(target.plan.get("x", {target.name: target.x})))
    facts.update(_of_parts(_f_of(target), "f"))
    return facts


def changed(facts: Facts, target: Target) -> Facts:
    """Return what is no longer so of f, now that it has run: what it changes itself, such as a counter."""
    now = _of_parts(_f_of(target), "f")
    before = {label: fact for label, fact in facts.items() if of_f(label)}
    return {label: fact for label, fact in (before | now).items() if before.get(label) != now.get(label)}


def of_f(label: str) -> bool:
    """Return whether a fact is one of f, which may change while f runs."""
    return label == "f" or label.startswith("f: ")


def differences(there: Mapping[str, Fact], here: Mapping[str, Fact]) -> str:
    """Return how facts differ, in words; nothing if they do not."""
    found = []
    for name in dict.fromkeys([*here, *there]):
        if name not in there or name not in here:
            found.append(f"{name}: {'only here' if name in here else 'only there'}")
        elif there[name].shown != here[name].shown:
            found.append(f"{name}: {there[name].shown} there, {here[name].shown} here")
        elif there[name].digest != here[name].digest:
            whole, _, part = name.rpartition(": ")
            found.append(f"{whole}: not the same {part}" if whole else f"not the same {part}")
    more = [f"and {len(found) - _NAMED} more"] if len(found) > _NAMED else []
    return "; ".join([*found[:_NAMED], *more])


def _of_arrays(arrays: Any) -> Facts:
    facts = {"x": _said(", ".join(arrays))}
    for name, array in arrays.items():
        facts[f"{name} differs: library"] = _said(library(array))
        facts[f"{name} differs: shape"] = _said(str(tuple(array.shape)))
        facts[f"{name} differs: dtype"] = _said(str(array.dtype))
        facts[f"{name} differs: numbers"] = Fact("", digest(array))
    return facts


def _f_of(target: Target) -> Any:
    return target.plan.get("f", target.f)


def _of_parts(f: Any, label: str) -> Facts:
    """Return what tells a function from others: its parts, and those of the function or object in it."""
    parts = parts_of(f)
    if parts is None:
        return {label: Fact(named(type(f)), digest(f))}
    facts: Facts = {}
    for name, part in parts:
        if name in ("function", "method", "object"):
            facts.update(_of_parts(part, label))
        else:
            facts[f"{label}: {name}"] = Fact(_shown(part) if isinstance(part, (str, int, float)) else "", digest(part))
    return facts


def _said(text: str) -> Fact:
    return Fact(text, text.encode())


def _shown(item: object) -> str:
    text = item if isinstance(item, str) else " ".join(repr(item).split())
    if " at 0x" in text:  # an address, which is another in every process
        text = named(type(item))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
