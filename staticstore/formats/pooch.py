"""Registries of pooch: a line for each file, with its digest and perhaps its URL.

::

    # the name, quoted as for a shell; the digest, sha256 unless it says otherwise; the URL
    dem.tif a1b2c3…
    "two words.csv" md5:d41d8c… https://mirror.example.org/files/17
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import islice

from . import Document, Entry

__all__ = ["is_likely", "read"]

_BLANKS = re.compile(r"[ \t\r\n]+")  # those of a shell: a name may have others
_QUOTING = re.compile(r"[\"'\\]")
_DIGEST = re.compile(r"(?:[A-Za-z0-9_-]+:)?[0-9A-Fa-f]{8,}\Z")
_SAMPLED_LINES = 20
# `shlex` takes quadratic time: without a bound, a page of another kind would take hours.
_MOST_QUOTED_CHARACTERS = 1 << 14


def read(document: Document) -> Iterator[Entry]:
    """Yield the files of a registry, as `pooch.Pooch.load_registry` reads it.

    Parameters
    ----------
    document : Document
        The registry, in UTF-8.

    Raises
    ------
    ValueError
        A line has not two or three parts, the second is no digest, or a quotation is not
        closed; it names the line.

    Examples
    --------
    >>> list(read(Document("https://data.example.org/", b"a.csv md5:0cc175b9", None, None)))
    [Entry(key='a.csv', metadata={'md5': '0cc175b9'}, href=None)]
    """
    for number, line in _lines(document):
        try:
            parts = _parts(line)
        except ValueError as error:
            raise ValueError(f"line {number} of the registry: {error}") from None
        if len(parts) not in (2, 3):
            raise ValueError(
                f"line {number} of the registry has {len(parts)} "
                f"{'part' if len(parts) == 1 else 'parts'}, not a name, a digest and perhaps a URL"
            )
        if not _DIGEST.match(parts[1]):
            raise ValueError(f"line {number} of the registry: {parts[1]!r} is no digest")
        algorithm, _, digest = parts[1].rpartition(":")
        metadata = {algorithm.lower() or "sha256": digest}
        yield Entry(parts[0], metadata, parts[2] if len(parts) == 3 else None)


def is_likely(document: Document) -> bool:
    """Return whether the first lines of a document are those of a registry."""
    try:
        found = [_parts(line) for _, line in islice(_lines(document), _SAMPLED_LINES)]
    except ValueError:
        return False
    return bool(found) and all(
        len(parts) in (2, 3) and _DIGEST.match(parts[1]) is not None for parts in found
    )


def _lines(document: Document) -> Iterator[tuple[int, str]]:
    # `splitlines` would also split at characters that are part of names.
    text = document.body.decode("utf-8-sig")
    for number, line in enumerate(text.split("\n"), 1):
        if (line := line.strip()) and not line.startswith("#"):
            yield number, line


def _parts(line: str) -> list[str]:
    # Splitting as a shell does takes ten times as long.
    if not _QUOTING.search(line):
        return _BLANKS.split(line)
    if len(line) > _MOST_QUOTED_CHARACTERS:
        raise ValueError(f"it has quotes and more than {_MOST_QUOTED_CHARACTERS} characters")
    return shlex.split(line)
