"""Files of metadata: JSON, TOML and CSV, read into rules of the same kind."""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import IndexFormatError, StoreError, quoted
from ..index import codec
from ..transport.regular import read_regular
from .folder import reason_of

__all__ = ["parse_toml", "read_document"]

#: Keys or patterns with what stands beside them, not checked any further.
Rules = Iterable[tuple[object, object]]


def read_document(path: Path, name: str) -> Rules:
    """Read a metadata file, by what its name ends in.

    A byte order mark is tolerated.

    Parameters
    ----------
    path : Path
        The file.
    name : str
        What errors call it.

    Raises
    ------
    StoreError
        The file cannot be read, or is not what it says that it is.  The error
        names it, and the line.
    """
    parse = _PARSERS.get(path.suffix.lower())
    if parse is None:
        raise StoreError(f"{name}: metadata is read from files named .json, .toml or .csv")
    try:
        body = read_regular(path)
    except OSError as error:
        shown = quoted(str(path))
        raise StoreError(f"the metadata {shown} cannot be read: {reason_of(error)}") from error
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise StoreError(f"{name}, line {line}: it is not UTF-8, so convert it") from error
    return parse(text, name)


def _parse_json(text: str, name: str) -> Rules:
    body = text.encode()
    try:
        document = codec.decode(body)
    except IndexFormatError as error:
        place = re.search(r"\(byte (\d+)\)", str(error))
        end = int(place[1]) if place else len(body.rstrip())
        line = body.count(b"\n", 0, end) + 1
        raise StoreError(f"{name}, line {line}: {error}") from error
    if not isinstance(document, dict):
        raise StoreError(f"{name}, line 1: it is no JSON object from keys to fields")
    return document.items()


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Parse TOML; raise `StoreError` with the line if it is none.

    Parameters
    ----------
    text : str
        The document.
    name : str
        What errors call it.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.rstrip().count("\n") + 1
        raise StoreError(f"{name}, line {line}: it is no TOML: {error}") from error
    except ValueError as error:
        raise StoreError(f"{name}: a number has too many digits") from error
    except RecursionError as error:
        raise StoreError(f"{name}: it is nested too deeply") from error


def _parse_csv(text: str, name: str) -> Rules:
    # Text keeps its line ends, for they may stand inside a quoted cell.
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        fields = _csv_fields(header, name)
        return [
            rule for row in rows for rule in _csv_rule(row, fields, f"{name}, line {rows.line_num}")
        ]
    except csv.Error as error:
        raise StoreError(f"{name}, line {rows.line_num}: it is no CSV: {error}") from error


def _csv_fields(header: list[str], name: str) -> list[str]:
    if not header or header[0].strip() != "key":
        raise StoreError(
            f"{name}, line 1: the first column, up to a comma, has to be named key: "
            "it holds a key or a pattern"
        )
    fields = [field.strip() for field in header[1:]]
    for column, field in enumerate(fields, 2):
        if not field:
            raise StoreError(f"{name}, line 1: column {column} has no name")
        if field in fields[: column - 2]:
            raise StoreError(f"{name}, line 1: two columns are named {quoted(field)}")
    return fields


def _csv_rule(row: list[str], fields: list[str], where: str) -> Iterator[tuple[str, object]]:
    """Give the rule of a row; none for a row that is empty."""
    if not any(row):
        return
    if not row[0]:
        raise StoreError(f"{where}: the key is missing")
    if len(row) > len(fields) + 1:
        raise StoreError(
            f"{where}: there are {len(row)} cells below {len(fields) + 1} columns: "
            "quote a cell that holds a comma"
        )
    yield row[0], {field: _cell(cell) for field, cell in zip(fields, row[1:], strict=False) if cell}


def _cell(text: str) -> object:
    try:
        return codec.decode(text.encode())
    except IndexFormatError:
        return text


_PARSERS: dict[str, Callable[[str, str], Rules]] = {
    ".json": _parse_json,
    ".toml": lambda text, name: parse_toml(text, name).items(),
    ".csv": _parse_csv,
}
