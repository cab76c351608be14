"""What the command line shows: tables on a terminal, plain lines in a pipe, or JSON Lines.

Results go to the standard output, all else to the standard error.  Whatever
comes from outside, a key for instance, is shown as text: nothing in it moves
the cursor, turns the writing direction or is taken for markup.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .bars import Bars
from .index.fields import time_text
from .notebook import size_text

if TYPE_CHECKING:
    from .commands.exits import Ending

__all__ = [
    "ACTION_STYLES",
    "Cell",
    "Column",
    "Output",
    "count_text",
    "hide_secrets",
    "shown",
    "size_text",
]

#: How what happened to a key is colored.
ACTION_STYLES = {"set": "green", "update": "yellow", "delete": "red"}

# C0, DEL and C1 controls, line and paragraph separators, whatever has a say in the
# writing direction (UAX #9), what takes no room and so makes two names look the same
# (but joiners and selectors, which scripts and emoji need), and surrogates.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
# To the last "@" and beyond, for a password may hold anything; what is said of
# a URL that could be used has none.
_USERINFO = re.compile(r"://.*@\S*")
_QUERY = re.compile(r"(://[^\s?]*\?)(?!…)\S+")
_QUERY_OF_REQUEST = re.compile(r"\?\S+(?= HTTP/)")
_ROWS_AT_ONCE = 1000  # of a table, whose columns can only be as wide as what was seen


def shown(text: str) -> str:
    r"""Return a text as it can be shown: what a terminal would obey, escaped.

    Examples
    --------
    >>> print(shown("[red]\x1b[31m Zürich"))
    [red]\x1b[31m Zürich
    """
    return _UNSHOWABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def hide_secrets(text: str) -> str:
    """Return a text without what a URL in it has of user, password and query.

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
    """Return a number of things as people say it, such as ``1 key`` or ``16 keys``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Cell(NamedTuple):
    """A part of a line."""

    text: str
    #: As in rich; on a terminal only.
    style: str = ""
    #: Columns to fill up to; on a terminal only.
    width: int = 0


class Column(NamedTuple):
    """A column of a table: the field of that name."""

    name: str
    #: Turns the field into what people read; on a terminal only.
    for_people: Callable[[Any], str] | None = None
    right: bool = False


class Output:
    """Where a command shows what it found.

    Parameters
    ----------
    as_json : bool, optional
        Results are JSON Lines, and what goes to the standard error as well.
    quiet : bool, optional
        Say nothing but results and errors.
    verbose : int, optional
        How much more than usual to say.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose

    @property
    def is_terminal(self) -> bool:
        """Whether people see the results as they come."""
        return not self.as_json and sys.stdout.isatty()

    @functools.cached_property
    def _console(self) -> Console:
        return Console(markup=False, highlight=False, emoji=False)

    @functools.cached_property
    def _messages(self) -> Console:
        return Console(stderr=True, markup=False, highlight=False, emoji=False)

    # -- results ---------------------------------------------------------------

    def record(self, record: Mapping[str, object]) -> None:
        """Write a result for programs: one line of JSON; nothing without ``--json``."""
        if self.as_json:
            sys.stdout.write(_json_line(record))
            sys.stdout.flush()

    def line(self, *cells: Cell | str) -> None:
        """Write a line for people, its cells apart by tabs in a pipe; nothing with ``--json``."""
        if self.as_json:
            return
        parts = [Cell(cell) if isinstance(cell, str) else cell for cell in cells]
        if self.is_terminal:
            texts = [Text(shown(part.text).ljust(part.width), style=part.style) for part in parts]
            self._console.print(Text("  ").join(texts), soft_wrap=True)
        else:
            sys.stdout.write("\t".join(shown(part.text) for part in parts) + "\n")
            sys.stdout.flush()

    def some(self, cell: Cell, texts: Sequence[str], at_most: int | None) -> None:
        """Write a line for each text, behind the same cell; of many the first, and how many more.

        None writes all, and 0 none, without a word on them.
        """
        for text in texts[:at_most]:
            self.line(cell, text)
        if at_most and len(texts) > at_most:
            self.line(cell, f"and {len(texts) - at_most} more")

    def rows(self, columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> int:
        """Write records as they come: a table, lines with tabs, or whole as JSON Lines.

        Parameters
        ----------
        columns : sequence of Column
            What people see of them.
        records : iterable of mapping
            A field that is not there leaves its place empty.

        Returns
        -------
        int
            How many there were.
        """
        remaining = iter(records)
        count = 0
        while batch := list(itertools.islice(remaining, _ROWS_AT_ONCE)):
            count += len(batch)
            if self.as_json:
                sys.stdout.writelines(_json_line(record) for record in batch)
            elif self.is_terminal and len(columns) > 1:
                self._console.print(_table(columns, batch))
            else:
                sys.stdout.writelines(_tabbed(columns, record) for record in batch)
        sys.stdout.flush()
        return count

    # -- beside the results ------------------------------------------------------

    def note(self, text: str) -> None:
        """Tell people how things stand; programs are told nothing."""
        if not self.as_json and not self.quiet:
            self._message("", "", text)

    def warning(self, text: str) -> None:
        """Say what is not wrong, but hardly meant."""
        if self.quiet:
            return
        if self.as_json:
            sys.stderr.write(_json_line({"warning": {"message": hide_secrets(text)}}))
        else:
            self._message("warning: ", "yellow", text)

    def error(self, ending: Ending) -> None:
        """Say what was wrong, and what to do about it, in two lines at most."""
        message = hide_secrets(ending.message or ending.kind)
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
        if ending.hint:
            self._message("hint: ", "bold", ending.hint)

    def log(self, text: str) -> None:
        """Write what was asked for with ``-v``."""
        self._message("", "dim", text)

    def _message(self, label: str, style: str, text: str) -> None:
        parts = Text.assemble((label, style), shown(hide_secrets(text)))
        self._messages.print(parts, soft_wrap=True)

    @contextlib.contextmanager
    def progress(
        self, what: str, *, transient: bool = True
    ) -> Iterator[Callable[[int, int | None], None] | None]:
        """Show a progress bar while the block lasts, if the standard error is a terminal.

        Parameters
        ----------
        what : str
            Stands beside the bar.
        transient : bool, optional
            Whether the bar vanishes at the end.

        Yields
        ------
        callable or None
            To be called as ``progress(done, total)``, in bytes; None where
            nothing is shown.
        """
        with self.bars(what, transient=transient) as bars:
            yield None if bars is None else bars.whole

    def bars(self, what: str, *, transient: bool = True) -> AbstractContextManager[Bars | None]:
        """Show a bar for the whole and some for its parts, where `progress` shows one."""
        if self.as_json or self.quiet or not sys.stderr.isatty():
            return contextlib.nullcontext()
        return Bars(self._messages, shown(what), transient=transient)


def _table(columns: Sequence[Column], records: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            Text(shown(column.name)),
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
    return shown(column.for_people(value))


def _tabbed(columns: Sequence[Column], record: Mapping[str, Any]) -> str:
    return "\t".join(_plain(record.get(column.name)) for column in columns) + "\n"


def _plain(value: object) -> str:
    """Return a field on one line: a text as it is, nothing for None, else JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, datetime):
        return time_text(value)
    return shown(json.dumps(value, ensure_ascii=False, default=_for_json))


def _json_line(record: Mapping[str, object]) -> str:
    """Return a line of JSON that a terminal would show as it is, too."""
    text = json.dumps(record, ensure_ascii=False, default=_for_json)
    # Unshowable characters can only stand inside of texts, where \u is always right.
    return _UNSHOWABLE.sub(lambda match: json.dumps(match[0])[1:-1], text) + "\n"


def _for_json(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say")
