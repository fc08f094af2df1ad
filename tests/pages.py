"""The pages that users read, taken apart: code, and tables of what to write in the place of what."""

from __future__ import annotations

import doctest
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BLANK_OUTPUT = re.compile(r"^$(?=\n(?!>>>))", re.MULTILINE)
_FIGURE = re.compile(r"\d\.\de[+-]\d\d\b")
_IMPORT = re.compile(r"^(?:>>> )? *(?:import|from) ([\w.]+)", re.MULTILINE)
_ROW = re.compile(r"^\| `([^`|]+)` \| (`.+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


def sessions(text: str) -> str:
    """Return the code with prompts in a text, as doctest wants it: in a page, the fence ends an example."""
    blocks = [block.strip("\n") for block in _FENCE.findall(text) if block.startswith(">>>")]
    return "".join(_BLANK_OUTPUT.sub("<BLANKLINE>", block) + "\n\n" for block in blocks)


def scripts(text: str) -> list[str]:
    """Return the blocks of code without prompts."""
    return [block for block in _FENCE.findall(text) if not block.startswith(">>>")]


def can_run(code: str) -> bool:
    """Return whether all is installed that the code imports, and what draws its pictures."""
    pictures = ["matplotlib"] if ".savefig(" in code else []
    return all(map(_is_installed, _IMPORT.findall(code) + pictures))


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor what it is a part of
        return False


class RealOutput(doctest.OutputChecker):
    """Compares what a page shows with what is printed: times may be others, and figures as 4.9e-13 twice as large."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        shown, printed = _without_times(want), _without_times(got)
        pairs = zip(map(float, _FIGURE.findall(shown)), map(float, _FIGURE.findall(printed)), strict=False)
        if all(abs(one - other) <= max(one, other) / 2 for one, other in pairs):
            shown, printed = _FIGURE.sub("figure", shown), _FIGURE.sub("figure", printed)
        return super().check_output(shown, printed, optionflags)


def _without_times(text: str) -> str:
    return re.sub(r"\bin [\d.]+ m?s\b", "in a time", text)


@dataclass(frozen=True)
class Row:
    """What others write, and the same here: statements, the last of which is an expression.

    Both are to be run after ``script``.
    """

    section: str
    script: str
    theirs: str
    ours: tuple[str, ...]

    def __repr__(self) -> str:
        return f"{self.section}: {self.theirs}"


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of the tables in the sections of a text whose code can be run."""
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name, script = section.partition("\n")[0], "".join(scripts(section))
        if can_run(script):
            for theirs, ours in _ROW.findall(section):
                yield Row(name, script, theirs, tuple(_CODE.findall(ours)))
