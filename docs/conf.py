"""Settings of the documentation site; `sphinx-build -W docs build/site` builds it."""

from __future__ import annotations

import unrolled

project = "unrolled"
author = "the unrolled developers"
copyright = "the unrolled developers"
version = release = unrolled.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns: list[str] = []
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

# Names in single backticks are linked where they are names of the package.
default_role = "py:obj"
# Two classes may have attributes of one name; a bare name then links to neither.
suppress_warnings = ["ref.python"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# The build needs no network; what is not ours stays without a link.
intersphinx_mapping: dict[str, tuple[str, None]] = {}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"unrolled {version}"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["site.css"]
html_css_files = ["site.css"]
