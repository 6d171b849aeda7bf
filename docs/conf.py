"""Sphinx configuration: `sphinx-build -n -W docs docs/_build/html`."""

import tomllib
from pathlib import Path

import array_losses

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))

project = "array_losses"
author = PROJECT["project"]["authors"][0]["name"]
copyright = f"2026, {author}"
version = release = array_losses.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
# performance/ holds what performance.md includes.
exclude_patterns = ["_build", "generated", "performance/*"]
needs_sphinx = "9"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"member-order": "bysource"}
# The docstrings give types in words; the annotations serve type checkers.
autodoc_typehints = "none"
autodoc_class_signature = "mixed"
autosummary_generate = False
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False

# Types in words ("array", "float or sequence of float, optional") are no classes to link to.
nitpick_ignore_regex = [("py:class", r"(?!array_losses\.).*")]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"array_losses {release}"
html_copy_source = False
html_show_sourcelink = False
