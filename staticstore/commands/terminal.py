"""Output of commands: tables on a terminal, plain lines in a pipe, or JSON Lines.

Results go to the standard output, everything else to the standard error.
Text from outside, such as a key, is shown literally: it cannot move the
cursor, change the writing direction, or act as markup.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..index.fields import time_text
from .bars import Bars

if TYPE_CHECKING:
    from .exits import Ending

__all__ = [
    "ACTION_STYLES",
    "Cell",
    "Column",
    "Output",
    "count_text",
    "hide_secrets",
    "printable",
]

#: The color of each kind of change.
ACTION_STYLES = {"set": "green", "update": "yellow", "delete": "red"}

# C0, DEL and C1 controls, line and paragraph separators, controls of the writing direction
# (UAX #9), surrogates, and characters without width, which make two names look the same (but
# not joiners and selectors, which scripts and emoji need).
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
# To the last "@" and beyond: a password may contain any character.  Messages on URLs that
# could be parsed contain no password.
_USERINFO = re.compile(r"://.*@\S*")
_QUERY = re.compile(r"(://[^\s?]*\?)(?!…)\S+")
_QUERY_OF_REQUEST = re.compile(r"\?\S+(?= HTTP/)")
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BATCH_ROWS = 1000  # of a table, whose columns are as wide as the widest of these
_EXCERPT_CHARACTERS = 40  # of an argument, on each side of where it is wrong
_MOST_ITEMS = 20  # that are listed without --verbose


def printable(text: str) -> str:
    r"""Return a text with escapes for what a terminal would obey.

    Examples
    --------
    >>> print(printable("[red]\x1b[31m Zürich"))
    [red]\x1b[31m Zürich
    """
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def hide_secrets(text: str) -> str:
    """Return a text without user, password and query of any URL in it.

    Examples
    --------
    >>> hide_secrets("no such command: https://ali:open sesame@example.org/")
    'no such command: https://…'
    >>> hide_secrets("refused (https://example.org/?sig=1)")
    'refused (https://example.org/?…'
    """
    text = _USERINFO.sub("://…", text)
    return _QUERY_OF_REQUEST.sub("?…", _QUERY.sub(r"\1…", text))


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 key`` or ``16 keys``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Cell(NamedTuple):
    """A part of a line."""

    text: str
    #: A style of rich; on a terminal only.
    style: str = ""
    #: The width to pad to, in columns; on a terminal only.
    width: int = 0


class Column(NamedTuple):
    """A column of a table, which shows the field of that name."""

    name: str
    #: Formats the field for people; on a terminal only.
    for_people: Callable[[Any], str] | None = None
    right: bool = False


class Output:
    """Writes a command's results to standard output, and messages to standard error.

    Parameters
    ----------
    as_json : bool, optional
        Whether results and messages are JSON Lines.
    quiet : bool, optional
        Whether only results and errors are written.
    verbose : int, optional
        How often ``-v`` was given: 1 adds the library's log, 2 every request.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose

    @property
    def is_terminal(self) -> bool:
        """Whether results appear on a terminal."""
        return not self.as_json and sys.stdout.isatty()

    @functools.cached_property
    def _console(self) -> Console:
        return Console(markup=False, highlight=False, emoji=False)

    @functools.cached_property
    def _messages(self) -> Console:
        return Console(stderr=True, markup=False, highlight=False, emoji=False)

    # -- results ---------------------------------------------------------------

    def record(self, record: Mapping[str, object]) -> None:
        """Write a result for programs: with ``--json`` one line, else nothing."""
        if self.as_json:
            sys.stdout.write(_json_line(record))
            sys.stdout.flush()

    def line(self, *cells: Cell | str) -> None:
        """Write a line for people, with tabs in a pipe; nothing with ``--json``."""
        if self.as_json:
            return
        parts = [Cell(cell) if isinstance(cell, str) else cell for cell in cells]
        if self.is_terminal:
            texts = [
                Text(printable(part.text).ljust(part.width), style=part.style) for part in parts
            ]
            self._console.print(Text("  ").join(texts), soft_wrap=True)
        else:
            sys.stdout.write("\t".join(printable(part.text) for part in parts) + "\n")
            sys.stdout.flush()

    def lines(
        self,
        cell: Cell,
        items: Sequence[str | tuple[str, ...]],
        *,
        unlimited: bool = False,
    ) -> None:
        """Write a line for each of the first items, after one cell, and how many more.

        Parameters
        ----------
        cell : Cell
            The beginning of each line.
        items : sequence of str or tuple
            The rest of a line: one cell or several.
        unlimited : bool, optional
            Whether to write all, as with ``--verbose``.
        """
        most = len(items) if unlimited or self.verbose else _MOST_ITEMS
        for item in items[:most]:
            self.line(cell, *((item,) if isinstance(item, str) else item))
        if len(items) > most:
            self.line(cell, f"and {len(items) - most} more")

    def rows(self, columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> int:
        """Write records as they arrive: a table, lines with tabs, or JSON Lines.

        Parameters
        ----------
        columns : sequence of Column
            The fields that people see; JSON has all.
        records : iterable of mapping
            A missing field leaves its cell empty.

        Returns
        -------
        int
            The number of records.
        """
        remaining = iter(records)
        count = 0
        while batch := list(itertools.islice(remaining, _BATCH_ROWS)):
            count += len(batch)
            if self.as_json:
                sys.stdout.writelines(_json_line(record) for record in batch)
            elif self.is_terminal and len(columns) > 1:
                self._console.print(_table(columns, batch))
            else:
                sys.stdout.writelines(_tabbed(columns, record) for record in batch)
        sys.stdout.flush()
        return count

    def keys(self, keys: Iterable[str], *, null: bool = False) -> int:
        """Write keys, one a line; with `null` exactly, in UTF-8, each with a NUL behind."""
        if not null:
            return self.rows([Column("key")], ({"key": key} for key in keys))
        _write_utf8()
        count = 0
        for count, key in enumerate(keys, 1):  # noqa: B007
            sys.stdout.write(f"{key}\0")
        sys.stdout.flush()
        return count

    def csv(self, fields: Sequence[str], records: Iterable[Mapping[str, Any]]) -> int:
        """Write records as CSV (RFC 4180) with a header, in UTF-8; return their number.

        A text that a spreadsheet would take for a formula has an apostrophe in front, as OWASP
        advises.  What is no text is JSON.
        """
        import csv  # seldom needed

        _write_utf8()
        writer = csv.writer(sys.stdout)
        shown = printable if self.is_terminal else str
        writer.writerow([shown(_cell(field)) for field in fields])
        count = 0
        for record in records:
            writer.writerow([shown(_cell(record.get(field))) for field in fields])
            count += 1
        sys.stdout.flush()
        return count

    # -- messages ---------------------------------------------------------------

    def note(self, text: str) -> None:
        """Write a message for people; nothing with ``--json`` or ``--quiet``."""
        if not self.as_json and not self.quiet:
            self._message("", "", text)

    def warning(self, text: str) -> None:
        """Write a warning; nothing with ``--quiet``."""
        if self.quiet:
            return
        if self.as_json:
            sys.stderr.write(_json_line({"warning": {"message": hide_secrets(text)}}))
        else:
            self._message("warning: ", "yellow", text)

    def warnings(self, texts: Iterable[str]) -> None:
        """Write several warnings."""
        for text in texts:
            self.warning(text)

    def error(self, ending: Ending) -> None:
        """Write what is wrong, and in a second line what to do, if that is known."""
        message = hide_secrets(ending.message or ending.kind)
        shows_position = ending.argument is not None and not self.as_json and sys.stderr.isatty()
        if ending.argument is not None and not shows_position:
            message += f", at character {ending.position + 1}"
        if self.as_json:
            error = {
                "type": ending.kind,
                "message": message,
                "key": ending.key,
                "url": ending.url,
                "status": ending.status,
            }
            sys.stderr.write(_json_line({"error": error}))
            return
        self._message("error: ", "bold red", message)
        if ending.argument is not None and shows_position:
            self._show_position(ending.argument, ending.position)
        if ending.hint:
            self._message("hint: ", "bold", ending.hint)

    def _show_position(self, argument: str, position: int) -> None:
        # What is around it, with a caret below.
        begin = max(0, position - _EXCERPT_CHARACTERS)
        before = printable(argument[begin:position])
        after = printable(argument[position : position + _EXCERPT_CHARACTERS])
        self._message("  ", "", before + after)
        self._message(" " * (2 + cell_len(before)), "", "^")

    def log(self, text: str) -> None:
        """Write a log record."""
        if self.as_json:
            sys.stderr.write(_json_line({"log": {"message": hide_secrets(text)}}))
        else:
            self._message("", "dim", text)

    def _message(self, label: str, style: str, text: str) -> None:
        parts = Text.assemble((label, style), printable(hide_secrets(text)))
        self._messages.print(parts, soft_wrap=True)

    @contextlib.contextmanager
    def progress(
        self, what: str, *, transient: bool = True, delay: float = 0.0
    ) -> Iterator[Callable[[int, int | None], None] | None]:
        """Show a progress bar while the block lasts, if the standard error is a terminal.

        Parameters
        ----------
        what : str
            The bar's name.
        transient : bool, optional
            Whether the bar is erased at the end.
        delay : float, optional
            Seconds before it is shown, if the block lasts so long.

        Yields
        ------
        callable or None
            Takes the bytes done and the total, if known.  None where no bar is shown.
        """
        with self.bars(what, transient=transient, delay=delay) as bars:
            yield None if bars is None else bars.show_total

    def bars(
        self, what: str, *, transient: bool = True, delay: float = 0.0
    ) -> AbstractContextManager[Bars | None]:
        """Show a bar for the total and one for each large value; see `progress`."""
        if self.as_json or self.quiet or not sys.stderr.isatty():
            return contextlib.nullcontext()
        return Bars(self._messages, printable(what), transient=transient, delay=delay)


def _write_utf8() -> None:  # whatever the locale: programs read it
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", newline="")


def _table(columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            Text(printable(column.name)),
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.for_people is not None,
        )
    for record in records:
        table.add_row(*(Text(_for_people(column, record)) for column in columns))
    return table


def _for_people(column: Column, record: Mapping[str, Any]) -> str:
    value = record.get(column.name)
    if value is None or column.for_people is None:
        return _plain(value)
    return printable(column.for_people(value))


def _tabbed(columns: Sequence[Column], record: Mapping[str, Any]) -> str:
    return "\t".join(_plain(record.get(column.name)) for column in columns) + "\n"


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, datetime):
        return time_text(value)
    return printable(json.dumps(value, ensure_ascii=False, default=_for_json))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False, default=_for_json)
    return f"'{value}" if value.startswith(_FORMULA_BEGINNINGS) else value


def _json_line(record: Mapping[str, object]) -> str:
    text = json.dumps(record, ensure_ascii=False, default=_for_json)
    # These characters can only occur within strings, where \u is always valid.
    return _UNPRINTABLE.sub(lambda match: json.dumps(match[0])[1:-1], text) + "\n"


def _for_json(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
