"""Sphinx configuration: `make docs` builds with warnings as errors."""

import graphembed

project = "graphembed"
author = "The graphembed developers"
copyright = author  # Sphinx wants this name
version = release = graphembed.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

autodoc_typehints = "none"  # the docstrings state the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
default_role = "code"
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]

html_theme = "furo"
html_title = f"graphembed {version}"
