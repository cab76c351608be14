r"""Lists of checksums (``SHA256SUMS``) by GNU's and BSD's tools and openssl.

::

    e3b0c442…  two words.csv
    \e3b0c442… *a\nnewline
    SHA256 (dem.tif) = e3b0c442…
    SIZE (dem.tif) = 1048576
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from . import Document, Entry

__all__ = ["is_likely", "read"]

# An algorithm by the hex digits of its digest, where a line does not name it.
_BY_LENGTH = {32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512"}
_PLAIN = re.compile(r"(\\?)([0-9A-Fa-f]{32,128}) [ *]?(.+)", re.DOTALL)
_TAGGED = re.compile(r"(\\?)([A-Za-z0-9/_-]+) ?\((.+)\) ?= ([0-9A-Fa-f]+)", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\nr])")
_UNESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}
_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_SAMPLED_LINES = 20
_SHOWN_LINES = 10


def read(document: Document) -> Iterator[Entry | str]:
    r"""Yield the files of a list, each with all digests that it is listed with.

    The text of a PGP signature around the list is passed over, not verified.  A name that
    begins with ``./`` is listed without it.

    Parameters
    ----------
    document : Document
        The list.

    Raises
    ------
    ValueError
        Not one line is a checksum.

    Examples
    --------
    >>> body = b"0CC175B9C0F1B6A831C399E269772661  a.txt\nSIZE (a.txt) = 1\n"
    >>> list(read(Document("https://data.example.org/MD5SUMS", body, None, None)))
    [Entry(key='a.txt', metadata={'md5': '0CC175B9C0F1B6A831C399E269772661', 'size': 1}, href=None)]
    """
    found: dict[str, dict[str, Any]] = {}
    unread: list[int] = []
    for number, line in _lines(document):
        if (parsed := _parsed(line)) is None:
            unread.append(number)
        else:
            name, field, value = parsed
            found.setdefault(name, {})[field] = value
    if unread and not found:
        raise ValueError(f"line {unread[0]} of the list is no checksum, and no other line is one")
    if not found and b"\0" in document.body:  # the zeros that a crash leaves in a file
        raise ValueError("no line of the list is a checksum")
    for name, metadata in found.items():
        yield Entry(name, metadata)
    if unread:
        shown = ", ".join(map(str, unread[:_SHOWN_LINES]))
        more = "" if len(unread) <= _SHOWN_LINES else f" and {len(unread) - _SHOWN_LINES} more"
        lines = "line" if len(unread) == 1 else "lines"
        yield f"no checksums, and left out: {lines} {shown}{more}"


def is_likely(document: Document) -> bool:
    """Return whether the first lines of a document are checksums."""
    found = [_parsed(line) for _, line in islice(_lines(document), _SAMPLED_LINES)]
    return bool(found) and None not in found


def _lines(document: Document) -> Iterator[tuple[int, str]]:
    # A name that is not UTF-8 gets half of a surrogate pair, which no key may hold.
    text = document.body.decode("utf-8-sig", "surrogateescape")
    lines = enumerate(text.split("\0" if "\0" in text else "\n"), 1)
    is_signed = in_header = text.startswith(_SIGNED)
    for number, line in lines:
        line = line.removesuffix("\r")
        if is_signed and line.startswith(_SIGNATURE):
            return
        if in_header:
            in_header = bool(line)
        elif line.strip() and not line.startswith("#"):
            yield number, line.removeprefix("- ") if is_signed else line


def _parsed(line: str) -> tuple[str, str, str | int] | None:
    """Return the name, field and value of a line; None if it is no checksum."""
    if plain := _PLAIN.fullmatch(line):
        escape, digest, name = plain.groups()
        field = _BY_LENGTH.get(len(digest))
    elif tagged := _TAGGED.fullmatch(line):
        escape, field, name, digest = tagged.groups()
        field = field.lower().replace("sha2-", "sha").replace("sha512/", "sha512-")
    else:
        return None
    if field is None:
        return None
    if escape:
        name = _ESCAPED.sub(lambda found: _UNESCAPED[found[1]], name)
    name = name.removeprefix("./")
    if field == "size":
        return (name, field, int(digest)) if digest.isdecimal() and len(digest) < 20 else None
    return name, field, digest
