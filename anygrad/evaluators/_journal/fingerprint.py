"""What a journal is of: by which facts it is known again, and how a difference is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anygrad.evaluators._base import Target
from anygrad.evaluators._journal.digest import hashed, library
from anygrad.evaluators._journal.inventory import digest, inventory_of
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
    facts.update(_of_f(target))
    return facts


def changed(facts: Facts, target: Target) -> Facts:
    """Return what is no longer so of f, now that it has run: what it changes itself, such as a counter."""
    now = _of_f(target)
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


def _of_f(target: Target) -> Facts:
    """Return what tells a function from others: what it is made of, and what it uses."""
    facts: Facts = {}
    for label, part, held in inventory_of(target.plan.get("f", target.f)):
        shown = named(type(part)) if label == "f" else _shown(part) if isinstance(part, (str, int, float)) else ""
        there = facts.get(label)
        facts[label] = Fact(shown, held if there is None else hashed(there.digest, held))
    return facts


def _said(text: str) -> Fact:
    return Fact(text, text.encode())


def _shown(item: object) -> str:
    text = item if isinstance(item, str) else " ".join(repr(item).split())
    if " at 0x" in text:  # an address, which is another in every process
        text = named(type(item))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
