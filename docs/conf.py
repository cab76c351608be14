"""What Sphinx needs to build the documentation: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

_DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(_DOCS.parent), str(_DOCS)]

import staticstore  # noqa: E402  # of this checkout, whatever is installed

project = "staticstore"
release = staticstore.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "command_sections",
    "references",
]
# The manual has a configuration of its own; the rest are files that pages link to.
exclude_patterns = ["_build", "man", "hosting", "operations", "vectors"]
nitpicky = True
default_role = "py:obj"
smartquotes = False

myst_heading_anchors = 4

autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
add_module_names = False
python_maximum_signature_line_length = 76
toc_object_entries_show_parents = "hide"

_ACCENTS = {"light": "#22637f", "dark": "#79bbd6"}  # those of the page in the browser
html_theme = "furo"
html_title = f"staticstore {release}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["staticstore.css"]
html_theme_options: dict[str, Any] = {
    f"{mode}_css_variables": {
        f"color-brand-{use}": color for use in ("primary", "content", "visited")
    }
    for mode, color in _ACCENTS.items()
}


def _imitate_qt() -> None:
    # The same pages with PySide6, with PyQt6, without both, or without what they need.
    for name in ("PySide6", "PySide6.QtCore", "PySide6.QtGui", "PySide6.QtWidgets"):
        module = sys.modules[name] = MagicMock(__name__=name)
        for base in ("QObject", "QAbstractTableModel", "QTextBrowser"):
            setattr(module, base, type(base, (), {"__module__": name}))


_imitate_qt()


def setup(app: Sphinx) -> None:
    """Name the languages of examples that Pygments does not know."""
    for language in ("csv", "crontab"):
        app.add_lexer(language, TextLexer)
