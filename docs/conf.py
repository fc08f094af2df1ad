"""How the site is built: ``nox -s docs``, or ``sphinx-build docs docs/_build/html``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import anygrad

project = "anygrad"
author = "The anygrad developers"
project_copyright = author
release = version = anygrad.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "one_site",
]
exclude_patterns = ["_build", "_ext"]
templates_path = ["_templates"]

# Every name in single backticks in a docstring is a link, and one that leads nowhere is an error.
default_role = "py:obj"
nitpicky = True

myst_heading_anchors = 3
highlight_language = "none"  # what is not said to be Python is not Python

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # types are described, not spelt
# By these the parts of anygrad talk to each other; docs/extending.md shows them.
_BETWEEN_PARTS = "calls, differentiate, inspects_values, leading, open, samples_complex, steps"
autodoc_default_options = {"exclude-members": _BETWEEN_PARTS}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Examples are copied without their prompts and without what they print.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "anygrad"
html_static_path = ["_static"]
html_css_files = ["anygrad.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_sidebars = {
    "index": [],
    "changelog": [],
    "reference": ["reference-nav"],
    "api/*": ["reference-nav"],
}
html_theme_options = {
    "logo": {"text": "anygrad"},
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
