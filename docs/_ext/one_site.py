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
        if dataclasses.is_dataclass(parameter.default) and not isinstance(parameter.default, type):
            signature = signature.replace(repr(parameter.default), _without_defaults(parameter.default))
    if dataclasses.is_dataclass(documented):
        for field in dataclasses.fields(documented):
            if field.default_factory is not dataclasses.MISSING:
                made = _without_defaults(field.default_factory())
                signature = signature.replace(f"{field.name}=<factory>", f"{field.name}={made}")
    return signature, returns


def _without_defaults(option: Any) -> str:
    plain = type(option)()
    names = [field.name for field in dataclasses.fields(option)]
    given = [f"{name}={getattr(option, name)!r}" for name in names if getattr(option, name) != getattr(plain, name)]
    return f"{type(option).__name__}({', '.join(given)})"
