"""How names in docstrings, and links to files that are no pages, become links of the site."""

from __future__ import annotations

import builtins
import inspect
import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import staticstore

#: Pages that stand for files outside of docs/.
_PAGES = {"README.md": "index", "CHANGELOG.md": "changelog"}


def _mark_parameters(
    app: Sphinx, what: str, name: str, subject: object, options: object, lines: list[str]
) -> None:
    # In the docstring of a function, `size` is its parameter and not the attribute of that name.
    if callable(subject):
        names = "|".join(map(re.escape, inspect.signature(subject).parameters))
        lines[:] = [re.sub(rf"(?<!`)`({names})`(?!`)", r"``\1``", line) for line in lines]


def _mend_links(app: Sphinx, page: nodes.document) -> None:
    for link in list(page.findall(pending_xref)):
        if link.get("refdomain") == "py":
            if link["reftype"] != "obj" and hasattr(builtins, link["reftarget"]):
                link.replace_self(link.children)  # the type, not the attribute `PushReport.bytes`
        elif link["reftype"] == "myst":
            _mend_file_link(app.env, link)


def _mend_file_link(env: BuildEnvironment, link: pending_xref) -> None:
    # MyST takes a folder for a page of that name, and any Markdown file for a page.
    _, folder = env.relfn2path(link["reftarget"], link["refdoc"])
    file = Path(env.srcdir, link["reftarget"] + ".md").resolve()
    if link.get("refdomain") is None and os.path.isdir(folder):
        link.replace_self(link.children)
    elif link.get("refdomain") == "doc" and link["reftarget"] not in env.found_docs:
        path = os.path.relpath(file, env.srcdir)
        page = _PAGES.get(path.removeprefix("../"))
        if page is not None:
            link["reftarget"], link["reftargetid"] = page, None
        elif file.is_file():
            target = download_reference("", "", *link.children, **link.attributes)
            target.attributes |= {"refdomain": None, "reftarget": f"/{path}"}
            link.replace_self(target)


def _show_without_link(
    app: Sphinx, env: BuildEnvironment, link: pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """Show a name of Python that has no entry in the reference.

    The entries of other projects are on the net.  A misspelled attribute of a public class
    is a warning.
    """
    owner, dot, attribute = link["reftarget"].removeprefix("staticstore.").partition(".")
    if dot and owner in staticstore.__all__:
        known = getattr(staticstore, owner)
        if not hasattr(known, attribute) and attribute not in known.__annotations__:
            return None
    return text if link.get("refdomain") == "py" else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect all of this."""
    app.connect("autodoc-process-docstring", _mark_parameters, priority=400)
    app.connect("doctree-read", _mend_links, priority=400)  # before downloads are collected
    app.connect("missing-reference", _show_without_link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
