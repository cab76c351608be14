"""Text files that people write for a publish: read within bounds, their errors with lines."""

from __future__ import annotations

import bisect
import io
import re
from collections.abc import Callable
from pathlib import Path

from ..errors import StoreError, quoted
from ..transport.regular import open_regular
from .folder import reason_of
from .stand_ins import pointer_problem

__all__ = ["decode_text", "first_failing_line", "line_at", "read_text"]

#: A million keys with a few fields each need about half of it.
_MOST_BYTES = 256 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path, name: str) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path : Path
        The file, or a link to it.
    name : str
        What errors call it.

    Raises
    ------
    StoreError
        It cannot be read, is no regular file, has more than 256 MiB, or is not UTF-8.
    """
    try:
        with io.BufferedReader(open_regular(path)) as file:
            body = file.read(_MOST_BYTES + 1)
    except OSError as error:
        shown = quoted(str(path))
        raise StoreError(f"the metadata {shown} cannot be read: {reason_of(error)}") from error
    if len(body) > _MOST_BYTES:
        raise StoreError(f"{name} has more than {_MOST_BYTES >> 20} MiB: split the site")
    return decode_text(body, name)


def decode_text(body: bytes, name: str) -> str:
    """Decode UTF-8; raise `StoreError` with the line if it is something else.

    Parameters
    ----------
    body : bytes
        The document; a byte order mark is removed.
    name : str
        What errors call it.
    """
    if problem := pointer_problem(body, len(body)):
        raise StoreError(f"{name}: {problem}")
    # ASCII text in UTF-16 without a mark is valid UTF-8, with a NUL beside each letter.
    if body.startswith(_UTF_16) or b"\0" in body[:2]:
        raise StoreError(f"{name}, line 1: it is UTF-16 and not UTF-8: save it as UTF-8")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise StoreError(
            f"{name}, line {line}: it is not UTF-8 (Latin-1 or Windows-1252, perhaps): "
            "save it as UTF-8"
        ) from error


def line_at(text: str, position: int) -> int:
    """Return the number of the line in which a character stands, from 1 on."""
    return text.count("\n", 0, position) + 1


def first_failing_line(text: str, fails: Callable[[str], bool]) -> int:
    """Return the first line with which a text fails, where the parser does not name it.

    Parameters
    ----------
    text : str
        The document.
    fails : callable
        Returns whether the first lines of the document fail in the same way as all of it.
    """
    ends = [match.end() for match in re.finditer(r"\n", text)]
    return 1 + bisect.bisect_left(ends, True, key=lambda end: fails(text[:end]))
