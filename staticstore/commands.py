"""What each command does, once `cli` has understood what was asked."""

from __future__ import annotations

import codecs
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client.store import StaticStore
from .client.value import URLValue
from .errors import IntegrityError, StoreError, quoted
from .exits import CommandError, ExitCode
from .index.changes import Change
from .index.fields import Facts, time_text
from .site.publisher import publish as publish_site
from .site.publisher import verify_site
from .site.server import serve as serve_site
from .terminal import Cell, Column, Output, size_text
from .transport.integrity import atomic_file

if TYPE_CHECKING:
    from .transport.stream import Progress

__all__ = [
    "Span",
    "check_site",
    "differing_fields",
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
    for path, reason in report.failed:
        output.line(Cell("failed", "bold red"), path, reason)
    output.line(
        f"{report.entries} keys, {size_text(report.bytes)}: "
        f"{len(report.set)} set, {len(report.updated)} updated, {len(report.deleted)} deleted"
        + (" (a dry run: nothing was written)" if dry_run else "")
    )
    if report.failed:
        raise CommandError(
            f"{len(report.failed)} files could not be published",
            code=ExitCode.PARTLY,
            kind="PartlyFailed",
            hint="the others are; mend these and publish again",
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
            Column("modified", time_text),
            Column("type"),
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


def _show_entries(output: Output, found: Iterator[tuple[str, dict[str, Any]]]) -> int:
    if not output.is_terminal:
        columns = [Column("key"), Column("metadata")]
        return output.rows(columns, ({"key": key, "metadata": data} for key, data in found))
    count = 0
    for count, (key, metadata) in enumerate(found, 1):
        output.line(Cell(key, "bold"))
        for field, value in metadata.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            output.line("", Cell(field, "dim", 12), text)
    return count


def get_value(
    store: StaticStore, output: Output, key: str, *, file: str | None, span: Span | None
) -> None:
    """Copy a value, or a range of it, to a file or to the standard output.

    Parameters
    ----------
    store : StaticStore
        Connected.
    output : Output
        Where to tell of it.
    key : str
        The key.
    file : str or None
        Where to: ``"-"`` is the standard output whatever it is, and None the
        same, but a terminal gets nothing that could harm it.
    span : (int or None, int or None), optional
        Start and end; None for the whole value, which is verified.
    """
    value = _value(store, key)
    if file is None or file == "-":
        _to_stdout(value, output, span, guarded=file is None and sys.stdout.isatty())
        return
    size = _to_file(value, output, span, file)
    verified = span is None and value.sha256 is not None
    output.record({"key": key, "file": file, "size": size, "verified": verified})
    output.note(f"{file}: {size_text(size)}{', verified' if verified else ''}")


def _value(store: StaticStore, key: str) -> URLValue:
    try:
        return store[key]
    except KeyError:
        pass
    alike: list[str] = []
    if len(store) <= _KEYS_COMPARED:
        alike = difflib.get_close_matches(key, store, n=1)
    raise CommandError(
        f"the index has no key {quoted(key)}",
        code=ExitCode.NO_SUCH_KEY,
        kind="KeyError",
        key=key,
        hint=f"there is {quoted(alike[0])}" if alike else "'staticstore ls' shows all keys",
    )


def _to_stdout(value: URLValue, output: Output, span: Span | None, *, guarded: bool) -> None:
    write = sys.stdout.buffer.write
    if sys.stdout.isatty():  # a bar would be written into the text
        check = _text_guard(value.key) if guarded else None
        for piece in _pieces(value, span, None):
            if check is not None:
                check(piece)
            write(piece)
    else:
        with output.progress(value.key) as progress:
            for piece in _pieces(value, span, progress):
                write(piece)
    sys.stdout.buffer.flush()


def _to_file(value: URLValue, output: Output, span: Span | None, file: str) -> int:
    """Write the file whole or not at all; return its size."""
    size = 0
    try:
        with output.progress(value.key) as progress, atomic_file(Path(file)) as written:
            for piece in _pieces(value, span, progress):
                size += written.write(piece)
    except StoreError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CommandError(f"{quoted(file)} cannot be written: {reason}") from error
    return size


def _pieces(value: URLValue, span: Span | None, progress: Progress | None) -> Iterator[bytes]:
    if span is None:
        yield from value.iterdata(_PIECE, progress)
        return
    size = Facts.of(value.metadata).size
    total = None if size is None else len(range(size)[slice(*span)])
    done = 0
    with value.range(*span) as stream:
        while piece := stream.read(_PIECE):
            done += len(piece)
            if progress is not None:
                progress(done, total)
            yield piece


def _text_guard(key: str) -> Callable[[bytes], None]:
    """Return what raises for a piece that is no text which a terminal can show."""
    decoder = codecs.getincrementaldecoder("utf-8")()

    def check(piece: bytes) -> None:
        try:
            harmful = _CONTROLS.search(decoder.decode(piece)) is not None
        except UnicodeDecodeError:
            harmful = True
        if harmful:
            raise CommandError(
                f"the value of {quoted(key)} is binary, and would garble the terminal",
                key=key,
                hint="-o FILE writes it to a file, '-o -' to the terminal all the same",
            )

    return check


def watch(store: StaticStore, output: Output, *, timeout: float | None) -> None:
    """Tell of changes as they come, until none comes for `timeout` seconds."""
    changes = store.watch(timeout)
    output.note(f"watching {len(store)} keys; Ctrl-C ends it")
    for change in changes:
        output.record(
            {
                "action": change.action,
                "key": change.key,
                "metadata": change.metadata,
                "previous": change.previous,
            }
        )
        output.line(
            Cell(change.action, _STYLES[change.action], 6),
            change.key,
            Cell(", ".join(differing_fields(change)), "dim"),
        )


def differing_fields(change: Change) -> list[str]:
    """Name the fields that an update has changed; none for a set or a delete.

    Examples
    --------
    >>> differing_fields(Change("a", b'{"size":1,"type":"table"}', b'{"size":2,"type":"table"}'))
    ['size']
    """
    before, after = change.previous, change.metadata
    if before is None or after is None:
        return []
    missing = object()
    return [
        field
        for field in sorted(before.keys() | after.keys())
        if before.get(field, missing) != after.get(field, missing)
    ]
