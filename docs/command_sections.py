"""What makes the sections of a manual of those of sphinx-click: for the page and for the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx


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


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what makes sections of a manual; sphinx-click must be loaded before."""
    app.connect("sphinx-click-process-description", _escape)
    app.connect("sphinx-click-process-options", _list_options)
    app.connect("sphinx-click-process-arguments", _leave_out)
    app.add_event("sphinx-click-process-envars")  # it sends this one, and adds one of another name
    app.connect("sphinx-click-process-envars", _leave_out)
    app.connect("sphinx-click-process-epilog", _list_examples)
    app.connect("doctree-read", _name_by_paths)
    return {"parallel_read_safe": True}
