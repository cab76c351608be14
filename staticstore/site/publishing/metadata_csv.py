"""Metadata in CSV (RFC 4180): rows with their lines, and the types of cells.

Not with the `csv` module: it limits the length of a cell, to 131,072 characters
unless the program changes that for all threads of the process.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ...errors import StoreError, quoted
from ...index import codec
from .text_files import decode_json

__all__ = ["parse_csv"]

_END = r"(?:\r\n|\r|\n|\Z)"
_ROW_WITHOUT_QUOTES = re.compile(rf'([^"\r\n]*+){_END}')
_QUOTED = r'"((?:[^"]++|"")*+)"'
_CELL = re.compile(rf'(?:{_QUOTED}|((?:[^",\r\n][^,\r\n]*+)?))(?:(,)|{_END})')
_WHOLE_QUOTED = re.compile(_QUOTED)
_BREAK = re.compile(r"\r\n|\r|\n")

_LOG = logging.getLogger("staticstore.site")
_SHOWN_CHARACTERS = 40  # of a cell, in the log

_BOOLEANS = {"true": True, "True": True, "TRUE": True}
_BOOLEANS |= {"false": False, "False": False, "FALSE": False}
# What spreadsheets, R, pandas, SQL and JavaScript write for a missing value.
_MISSING = frozenset(
    ("", "NaN", "nan", "NAN", "null", "NULL", "None", "NA", "N/A", "n/a", "<NA>", "#N/A")
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
# No double without an exponent that is written back the same is longer.
_MOST_NUMBER_CHARACTERS = 32
_MOST_INTEGER = (1 << 53) - 1  # RFC 8259, section 6: exact for each reader of JSON


class _Row(NamedTuple):
    #: The line in which it begins, from 1 on.
    line: int
    cells: list[str]


def parse_csv(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the key or pattern of each row of a CSV file, with its fields.

    Parameters
    ----------
    text : str
        The document.
    name : str
        Its name in errors.

    Raises
    ------
    StoreError
        It is not valid CSV, a row has more cells than the header, a key is repeated, and so
        on.  The error names the line.
    """
    rows = _rows(text, name)
    header = next(rows, _Row(1, [])).cells
    fields = _fields(header, name)
    rules = _rules(rows, header, name)
    columns = []
    for number, field in enumerate(fields, 1):
        cells = [row.cells[number] if number < len(row.cells) else "" for row in rules]
        columns.append(_values(cells))
        _log_texts(cells, columns[-1], rules, f"{name}: column {quoted(field)}")
    for number, row in enumerate(rules):
        given = ((field, column[number]) for field, column in zip(fields, columns, strict=True))
        yield row.cells[0], {field: value for field, value in given if value is not _Absent}


def _rows(text: str, name: str) -> Iterator[_Row]:
    position, line = 0, 1
    while position < len(text):
        if plain := _ROW_WITHOUT_QUOTES.match(text, position):
            cells, position, breaks = plain[1].split(","), plain.end(), 1
        else:
            cells, position, breaks = _row_with_quotes(text, position, f"{name}, line {line}")
        yield _Row(line, cells)
        line += breaks


def _row_with_quotes(text: str, position: int, where: str) -> tuple[list[str], int, int]:
    # The cells, the position after the row, and how many lines it has.
    cells, breaks = [], 1
    while True:
        match = _CELL.match(text, position)
        if match is None:
            is_closed = _WHOLE_QUOTED.match(text, position)
            what = "text follows a closing quote" if is_closed else "a quote is not closed"
            raise StoreError(
                f"{where}: it is not valid CSV: {what}; write a quote inside a quoted cell twice"
            )
        in_quotes, plain, comma = match.groups()
        cells.append(plain if in_quotes is None else in_quotes.replace('""', '"'))
        breaks += len(_BREAK.findall(cells[-1]))
        position = match.end()
        if not comma:
            return cells, position, breaks


def _fields(header: Sequence[str], name: str) -> list[str]:
    if not header or header[0].strip() != "key":
        first = header[0] if header else ""
        other = next((mark for mark in (";", "\t", "|") if mark in first), None)
        raise StoreError(
            f"{name}, line 1: the first column, up to a comma, has to be named key: "
            "it holds a key or a pattern"
            + (f". Cells are separated by commas, not by {quoted(other)}" if other else "")
        )
    fields = [field.strip() for field in header[1:]]
    seen: set[str] = set()
    for column, field in enumerate(fields, 2):
        if not field:
            raise StoreError(f"{name}, line 1: column {column} has no name")
        if field in seen:
            raise StoreError(f"{name}, line 1: two columns are named {quoted(field)}")
        seen.add(field)
    return fields


def _rules(rows: Iterator[_Row], header: Sequence[str], name: str) -> list[_Row]:
    # A row with fewer cells than columns is as if it ended with empty ones.
    rules: dict[str, _Row] = {}
    for row in rows:
        if not any(row.cells):
            continue
        where, key = f"{name}, line {row.line}", row.cells[0]
        if not key:
            raise StoreError(f"{where}: the key is missing")
        if len(row.cells) > len(header):
            raise StoreError(
                f"{where}: there are {len(row.cells)} cells below {len(header)} columns: "
                "quote a cell that holds a comma"
            )
        if row.cells == header:
            raise StoreError(f"{where}: the header is also in line 1: remove it here")
        if (first := rules.setdefault(key, row)) is not row:
            raise StoreError(
                f"{where}: the key {quoted(key)} is also in line {first.line}: keep one of them"
            )
    return list(rules.values())


class _Absent:
    """The value of a cell that gives its key no field."""


def _values(cells: list[str]) -> list[Any]:
    # In a column of texts, ``NA`` and the like are texts, too.
    present = [cell for cell in cells if cell not in _MISSING]
    if all(cell in _BOOLEANS for cell in present):
        return [_BOOLEANS.get(cell, _Absent) for cell in cells]
    values = {cell: _number_or_json(cell) for cell in present}
    has_texts = None in values.values()

    def value_of(cell: str) -> Any:
        if not cell or (cell in _MISSING and not has_texts):
            return _Absent
        value = values.get(cell)
        return cell if value is None else value

    return [value_of(cell) for cell in cells]


def _log_texts(cells: list[str], values: list[Any], rules: list[_Row], where: str) -> None:
    # The first text of a column that begins with a number may look like a number.
    present = [number for number, cell in enumerate(cells) if cell not in _MISSING]
    if present and type(values[present[0]]) in (int, float):
        text = next((number for number in present if isinstance(values[number], str)), None)
        if text is not None:
            _LOG.info(
                "%s: the cell %s in line %d is text, because as a number it would be written "
                "differently",
                where,
                quoted(cells[text][:_SHOWN_CHARACTERS]),
                rules[text].line,
            )


def _number_or_json(cell: str) -> Any:
    return _list_or_object(cell) if cell[0] in "[{" else _number(cell)


def _number(cell: str) -> float | None:
    # Only a number that an index writes back as the same text.
    if len(cell) > _MOST_NUMBER_CHARACTERS or not _NUMBER.fullmatch(cell):
        return None
    value = float(cell) if "." in cell else int(cell)
    if isinstance(value, int) and abs(value) > _MOST_INTEGER:
        return None
    return value if codec.encode(value).decode() == cell else None


def _list_or_object(cell: str) -> Any:
    try:
        return decode_json(cell)
    except (ValueError, RecursionError):
        return None
