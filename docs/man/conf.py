"""What Sphinx needs to write staticstore.1: ``make man``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from docutils import nodes
from sphinx.application import Sphinx

import staticstore

project = "staticstore"
release = staticstore.__version__
#: Of the release, not of the day on which the page is written: the same text, the same page.
today = "November 2026"
root_doc = "staticstore"
extensions = ["sphinx_click"]
smartquotes = False
man_pages = [("staticstore", "staticstore", "publish and read data on any static web host", "", 1)]


def _escaped(text: str) -> str:
    return re.sub(r"([*`|\\_])", r"\\\1", text)


def _escape(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    lines[:] = map(_escaped, lines)


def _leave_out(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    lines.clear()


def _list_options(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    # As in --help, with the metavariables and the defaults of click's own.
    lines[:] = [line for one in context.command.params for line in _option(context, one)]


def _option(context: click.Context, parameter: click.Parameter) -> Iterator[str]:
    record = parameter.get_help_record(context)
    if isinstance(parameter, click.Option) and record is not None:
        yield from (f"**{_escaped(record[0])}**", f"    {_escaped(record[1])}", "")


def _list_examples(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    examples = (context.command.epilog or "").partition("Examples:\n")[2]
    if examples:
        lines[:] = [".. rubric:: Examples", "", "::", "", *examples.splitlines(), ""]


def _name_by_paths(app: Sphinx, page: nodes.document) -> None:
    # "cache info" is not "info".
    for section in page.findall(nodes.section):
        path = section["ids"][0].replace("-", " ")
        if path.startswith("staticstore "):
            title = next(iter(section.findall(nodes.title)))
            title.children = [nodes.Text(path.removeprefix("staticstore "))]


def setup(app: Sphinx) -> None:
    """Connect what makes a page of a manual of sphinx-click's sections."""
    app.connect("sphinx-click-process-description", _escape)
    app.connect("sphinx-click-process-options", _list_options)
    app.connect("sphinx-click-process-arguments", _leave_out)
    app.add_event("sphinx-click-process-envars")  # it sends this one, and adds one of another name
    app.connect("sphinx-click-process-envars", _leave_out)
    app.connect("sphinx-click-process-epilog", _list_examples)
    app.connect("doctree-read", _name_by_paths)
