"""How names in docstrings, and links to files that are no pages, become links of the site."""

from __future__ import annotations

import builtins
import inspect
import os
import re
from pathlib import Path
from typing import Any, is_typeddict

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
    if callable(subject) and not is_typeddict(subject):
        names = "|".join(map(re.escape, inspect.signature(subject).parameters))
        lines[:] = [re.sub(rf"(?<!`)`({names})`(?!`)", r"``\1``", line) for line in lines]


def _mend_page(app: Sphinx, page: nodes.document) -> None:
    for text in list(page.findall(nodes.Text)):
        if (
            dashed := re.sub(r"^(\)?) -- ", "\\1 \N{EN DASH} ", text)
        ) != text:  # before a description
            text.parent.replace(text, nodes.Text(dashed))
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


def _resolve(
    app: Sphinx, env: BuildEnvironment, link: pending_xref, text: nodes.Element
) -> nodes.Element | None:
    """Link a name of `staticstore`, from whatever module; show other names of Python as they are.

    The entries of other projects are on the net.  None, which is a warning, for a misspelled
    attribute of a public class.
    """
    if link.get("refdomain") != "py":
        return None
    target = link["reftarget"].removeprefix("staticstore.")
    if target.partition(".")[0] not in staticstore.__all__:
        return text
    return env.domains.python_domain.resolve_xref(
        env, link["refdoc"], app.builder, link["reftype"], f"staticstore.{target}", link, text
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect all of this."""
    app.connect("autodoc-process-docstring", _mark_parameters, priority=400)
    app.connect("doctree-read", _mend_page, priority=400)  # before downloads are collected
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
