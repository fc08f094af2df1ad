"""What makes one site of files that are also read where they lie."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

# Links to files outside of docs/, which a code host follows, and the pages that these files are here.
PAGES = {
    "../benchmarks/README.md": "benchmarks.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "how-it-works.md",
}
# Classes whose attributes are read, but which only anygrad makes.
RETURNED = ("anygrad.Result", "anygrad.CheckReport", "anygrad.plot.Study")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what follows."""
    app.connect("source-read", _link_to_pages)
    app.connect("doctree-read", _keep_units)
    app.connect("html-page-context", _name_the_language)
    app.connect("html-page-context", _group_the_reference)
    app.connect("autodoc-process-signature", _shorten_defaults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _link_to_pages(_app: Sphinx, _page: str, source: list[str]) -> None:
    for path, page in PAGES.items():
        source[0] = source[0].replace(f"]({path}", f"]({page}")


def _keep_units(_app: Sphinx, doctree: nodes.document) -> None:
    """Break no line between a number and its unit, nor within a number."""
    for text in list(doctree.findall(nodes.Text)):
        if not isinstance(text.parent, (nodes.literal, nodes.literal_block, nodes.doctest_block)):
            kept = re.sub(r"(\d) (?=(?:[mµ]?s|[KM]i?B|%)(?!\w))", "\\1\N{NO-BREAK SPACE}", text)
            kept = re.sub(r"(\de)-(?=\d)", "\\1\N{NON-BREAKING HYPHEN}", kept)
            text.parent.replace(text, nodes.Text(kept))


def _name_the_language(_app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Tell browsers of a page in Japanese, whose characters look different in Chinese."""
    if page.endswith("-ja"):
        context["language"] = "ja"


def _group_the_reference(app: Sphinx, page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Give the sidebar of the reference its groups: the headings of its page, and what stands under each."""
    if page != "reference" and not page.startswith("api/"):
        return
    sections = re.split(r"^## ", Path(app.srcdir, "reference.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    context["reference_groups"] = [
        (section.partition("\n")[0], re.findall(r"^   ([\w.]+)$", section, flags=re.MULTILINE)) for section in sections
    ]


def _shorten_defaults(
    _app: Sphinx, _what: str, name: str, documented: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Write ``evaluator=Loop()`` for a default with all of its own defaults, and nothing for what users do not make."""
    if signature is None or not callable(documented):
        return None
    if name in RETURNED:
        return "", None
    for parameter in inspect.signature(documented).parameters.values():
        default = parameter.default
        if dataclasses.is_dataclass(default) and not isinstance(default, type) and default == type(default)():
            signature = signature.replace(repr(default), f"{type(default).__name__}()")
    return signature, returns
