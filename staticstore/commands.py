"""What each command does, once `cli` has understood what was asked."""

from __future__ import annotations

import codecs
import difflib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .client.store import StaticStore
from .client.value import URLValue
from .errors import IntegrityError, StoreError, quoted
from .exits import CommandError, ExitCode
from .index.changes import Change
from .index.fields import Facts
from .site.publisher import publish as publish_site
from .site.publisher import verify_site
from .site.server import serve as serve_site
from .terminal import Cell, Column, Output, size_text
from .transport.integrity import atomic_file

__all__ = [
    "Span",
    "check_site",
    "get_value",
    "list_keys",
    "publish",
    "query",
    "serve",
    "show_info",
    "watch",
]

#: Start and end of a range, as in a slice.
Span = tuple[int | None, int | None]

_LOG = logging.getLogger("staticstore.cli")
_PIECE = 1 << 20  # bytes
_STYLES = {"set": "green", "update": "yellow", "delete": "red"}
_CHANGES_SHOWN = 20  # of a kind, unless all are asked for
_KEYS_COMPARED = 10_000  # to find one that is spelled alike
# What a text may have nothing of, if it shall do no harm to a terminal.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


# -- publishing -------------------------------------------------------------------


def publish(
    site: str, output: Output, *, metadata: str | None, dry_run: bool, all_changes: bool
) -> None:
    """Make a site of a folder, and tell what changed."""
    with output.progress("hashing") as progress:
        report = publish_site(site, metadata=metadata, dry_run=dry_run, progress=progress)
    output.record({**asdict(report), "dry_run": dry_run})
    for action, keys in (
        ("set", report.set),
        ("update", report.updated),
        ("delete", report.deleted),
    ):
        _show_keys(output, action, keys, all_changes=all_changes or dry_run)
    output.line(
        f"{report.entries} keys, {size_text(report.bytes)}: "
        f"{len(report.set)} set, {len(report.updated)} updated, {len(report.deleted)} deleted"
        + (" (a dry run: nothing was written)" if dry_run else "")
    )
    if report.failed:
        reasons = "".join(f"\n  {quoted(path)}: {reason}" for path, reason in report.failed)
        for path, reason in report.failed:
            output.warning(f"{quoted(path)} is not published: {reason}")
        raise CommandError(
            f"{len(report.failed)} of the files could not be published",
            code=ExitCode.PARTLY,
            kind="PartlyFailed",
            hint="the others are; mend these, and publish again",
        )


def _show_keys(output: Output, action: str, keys: Sequence[str], *, all_changes: bool) -> None:
    count = len(keys) if all_changes else _CHANGES_SHOWN
    for key in keys[:count]:
        output.line(Cell(action, _STYLES[action], 6), key)
    if len(keys) > count:
        output.line(Cell(action, _STYLES[action], 6), f"… and {len(keys) - count} more: see -v")


def check_site(site: str, output: Output) -> None:
    """Hold a site's data against its index."""
    with output.progress("checking") as progress:
        report = verify_site(site, progress=progress)
    wrong = [{"key": key, "reason": reason} for key, reason in report.wrong]
    output.record({"checked": report.checked, "wrong": wrong, "extra": report.extra})
    for key, reason in report.wrong:
        output.line(Cell("wrong", "red"), key, reason)
    for key in report.extra:
        output.line(Cell("extra", "yellow"), key, "is not in the index: publish the site again")
    if report.wrong:
        raise IntegrityError(
            f"{len(report.wrong)} of {report.checked} values are not what the index says"
        )
    output.line(f"{report.checked} keys, and all values are what the index says")


def serve(
    site: str, output: Output, *, host: str, port: int, auth: tuple[str, str] | None
) -> None:
    """Serve a site until somebody interrupts it."""
    with serve_site(site, host=host, port=port, auth=auth) as server:
        output.record({"url": server.url, "port": server.port})
        output.line(server.url)
        if not Path(site, "index.json").exists():
            output.warning("there is no index.json: 'staticstore publish' makes it")
        output.note("serving until you press Ctrl-C")
        server.wait()
    # Nothing else ends the wait, and `wait` does not raise it again.
    raise KeyboardInterrupt


# -- reading ----------------------------------------------------------------------


def show_info(store: StaticStore, output: Output) -> None:
    """Tell what a store knows of its site."""
    info = store.info()
    output.record(info)
    for name in ("root_url", "entries", "generation", "trust"):
        if info[name] is not None:
            output.line(Cell(name, "bold", 10), str(info[name]))
    for warning in info["warnings"]:
        output.line(Cell("warning", "bold yellow", 10), warning)


def list_keys(store: StaticStore, output: Output, *, pattern: str | None, long: bool) -> None:
    """List the keys, all or those that match a shell pattern."""
    index = store.index
    keys = iter(index) if pattern is None else index.glob(pattern)
    if long:
        columns = [
            Column("size", size_text, right=True),
            Column("modified", str),
            Column("type", str),
            Column("key"),
        ]
        count = output.rows(columns, (_long_row(key, index[key]) for key in keys))
    else:
        count = output.rows([Column("key")], ({"key": key} for key in keys))
    if not count:
        output.note("no keys" if pattern is None else "no key matches")


def _long_row(key: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    facts = Facts.of(metadata)
    return {
        "key": key,
        "size": facts.size,
        "modified": facts.modified,
        "type": metadata.get("type", facts.media_type),
    }


def query(
    store: StaticStore,
    output: Output,
    *,
    where: Mapping[str, Any],
    select: Sequence[str] | None,
) -> None:
    """Find entries by their metadata."""
    found = store.query(select, where=where)
    if output.as_json:
        count = output.rows([], ({"key": key, "metadata": data} for key, data in found))
    elif select is None:
        count = _show_entries(output, found)
    else:
        columns = [Column("key"), *map(Column, select)]
        count = output.rows(columns, ({**data, "key": key} for key, data in found))
    if not count:
        output.note("nothing matches")
