"""Metadata that the publisher gives: fields by key or glob pattern, checked."""

from __future__ import annotations

import copy
import hashlib
import marshal
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from ... import tuning
from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError, StoreError, quoted
from ...index import codec
from ...index.fields import PUBLISHER_FIELDS
from .metadata_csv import parse_csv
from .metadata_values import Rules, checked_rules
from .text_files import (
    KeyPattern,
    KeySearch,
    decode_text,
    is_pattern,
    parse_json,
    parse_toml,
    read_body,
)

__all__ = ["FILE_NAMES", "GivenMetadata", "Metadata", "Source", "find_metadata", "read_metadata"]

#: A mapping from keys or patterns to fields, or the path of a file with such a mapping.
Source = Mapping[str, Mapping[str, Any]] | str | os.PathLike[str]

#: Metadata files in a site's folder, of which there may be one.
FILE_NAMES = ("metadata.json", "metadata.toml", "metadata.csv")
_MOST_HINTS = 100
_NOTE_FORMAT = "staticstore-metadata/1"
_MOST_HEADER_BYTES = 1024
# Fields that patterns may give to a key without being counted, and to all other keys together.
_FEW_BYTES = 64 << 10
_MOST_COPIED_BYTES = 256 << 20
_PARSERS: dict[str, Callable[[str, str], Rules]] = {
    ".json": lambda text, name: parse_json(text, name).items(),
    ".toml": lambda text, name: parse_toml(text, name).items(),
    ".csv": parse_csv,
}


class _PatternRule(NamedTuple):
    pattern: KeyPattern
    fields: Mapping[str, Any]


class Metadata:
    """Fields for keys, by pattern or by the key itself.  Immutable, so thread-safe.

    Parameters
    ----------
    rules : iterable of (str, mapping)
        Keys or glob patterns with their fields, checked by `read_metadata`.
    name : str
        The source in warnings: the name of a file.
    """

    def __init__(self, rules: Iterable[tuple[str, Mapping[str, Any]]], name: str) -> None:
        self.name = name
        self._exact: dict[str, dict[str, Any]] = {}
        self._patterns: list[_PatternRule] = []
        for text, fields in rules:
            # A key may contain a wildcard character, so each text is a key first.
            self._exact.setdefault(text, {}).update(fields)
            if is_pattern(text):
                self._patterns.append(_PatternRule(KeyPattern(text), fields))

    @classmethod
    def of_parsed(cls, parsed: Any, name: str) -> Metadata:
        """Return the metadata of which `parsed` has returned this.

        Raises
        ------
        TypeError, ValueError
            It is something else.
        """
        exact, patterns = parsed
        metadata = cls((), name)
        metadata._exact.update(exact)
        texts, fields = [*metadata._exact], [*metadata._exact.values()]
        for text, of_pattern in patterns:
            texts.append(text)
            fields.append(of_pattern)
        if not ({*map(type, texts)} <= {str} and {*map(type, fields)} <= {dict}):
            raise TypeError("a key or pattern is a text, and its fields are a mapping")
        if not all(map(frozenset(PUBLISHER_FIELDS).isdisjoint, fields)):
            raise ValueError("a field is written by the publisher")
        metadata._patterns += [_PatternRule(KeyPattern(text), fields) for text, fields in patterns]
        return metadata

    def parsed(self) -> tuple[list[Any], list[Any]]:
        """Return all of it as JSON values: fields by key, and by pattern, both in order."""
        patterns = [(pattern.text, fields) for pattern, fields in self._patterns]
        return list(self._exact.items()), patterns

    @property
    def is_composed(self) -> bool:
        """Whether all keys and patterns are in their composed Unicode form."""
        return all(unicodedata.is_normalized("NFC", text) for text in self._exact)

    def fields_of(self, key: str) -> dict[str, Any]:
        """Return the fields of a key.

        All patterns that match the whole key (`fnmatch.fnmatchcase`, so ``*`` matches
        slashes) apply in the given order: later ones override earlier ones, and the
        fields of the key itself override all.  The Unicode form does not matter.

        Returns
        -------
        dict
            The fields, perhaps none.  The values are shared: do not change them.
        """
        fields: dict[str, Any] = {}
        for pattern, of_pattern in self._patterns:
            if pattern.matches(key):
                fields.update(of_pattern)
        if key in self._exact:
            fields.update(self._exact[key])
        return fields

    def spelled_as(self, keys: KeySearch) -> Metadata:
        """Return the same metadata, with keys spelled as in the data folder.

        Fields for a key in another Unicode form (macOS decomposes file names) are
        given to that key if the text can mean no other key and nothing is given for
        the key's own spelling.
        """
        spelled = dict(self._exact)
        for text in self._exact:
            others = [] if text in keys else keys.of_other_form(text)
            if len(others) == 1 and others[0] not in spelled:
                spelled[others[0]] = spelled.pop(text)
        metadata = copy.copy(self)
        metadata._exact = spelled
        return metadata

    def check_size(self, keys: Iterable[str]) -> None:
        """Refuse patterns that copy long fields into too many entries for the memory.

        Raises
        ------
        StoreError
            The patterns give more than 256 MiB; the error names the longest.
        """
        sizes = [(pattern, len(codec.encode(fields))) for pattern, fields in self._patterns]
        if sum(size for _, size in sizes) <= _FEW_BYTES:
            return
        copied = 0
        for key in keys:
            given = sum(size for pattern, size in sizes if pattern.matches(key))
            copied += given if given > _FEW_BYTES else 0
            if copied > _MOST_COPIED_BYTES:
                longest, _ = max(sizes, key=itemgetter(1))
                raise StoreError(
                    f"{self.name}: patterns, such as {quoted(longest.text)}, would give the keys "
                    f"more than {_MOST_COPIED_BYTES >> 20} MiB of fields: shorten them, or "
                    "publish long texts as values"
                )

    def warnings(self, keys: KeySearch) -> Iterator[str]:
        """Yield a warning for each key or pattern that matches no file, with a hint."""
        patterns = {pattern.text: pattern for pattern, _ in self._patterns}
        hints = 0
        for text, fields in self._exact.items():
            if text in keys:
                continue
            if (pattern := patterns.get(text)) is None:
                problem = "is no file in data/"
            elif keys.has_match(pattern):
                continue
            else:
                problem = "matches no file in data/"
            hint = self._hint(fields) or (keys.hint(text) if hints < _MOST_HINTS else "")
            hints += 1
            yield f"{self.name}: {quoted(text)} {problem}{hint}"

    def _hint(self, fields: Mapping[str, Any]) -> str:
        # TOML reads [dem.tif] as a table "tif" in a table "dem".
        if self.name.endswith(".toml") and any(
            isinstance(value, dict) for value in fields.values()
        ):
            return '; a key with a dot in it has to be quoted, as in ["dem.tif"]'
        return ""


def find_metadata(root: Path) -> Path | None:
    """Return the metadata file of a site, or None if it has none.

    Raises
    ------
    StoreError
        It has more than one.
    """
    found = [root / name for name in FILE_NAMES if os.path.lexists(root / name)]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise StoreError(f"there are {names} in the site's folder: keep one of them")
    return found[0] if found else None


def read_metadata(source: Source | None) -> Metadata:
    """Read and check fields by key or glob pattern.

    Whether the keys exist is not checked here: see `Metadata.warnings`.

    Parameters
    ----------
    source : mapping or path, optional
        A mapping from keys or patterns to mappings of fields, or the path of a
        ``.json``, ``.toml`` or ``.csv`` file.  A CSV file starts with a header; its
        first column is named ``key``, the others are fields.  Each column has one
        type: booleans (``true``, ``True`` or ``TRUE``, and so on); numbers, lists and
        objects as in JSON; or else texts.  A cell is a number only if the index
        writes it in the same way: 1.10, 1E5, 007 and integers from 2**53 on are
        texts.  An empty cell gives its key no field; nor does ``NaN``, ``null``,
        ``None``, ``NA`` and the like in a column that is not of texts.  By default
        there are no fields.

    Returns
    -------
    Metadata

    Raises
    ------
    StoreError
        The file cannot be read, has a syntax error, or repeats a key; or a field is
        written by the publisher itself (`PUBLISHER_FIELDS`), or has a value that JSON
        cannot represent.  The error names the file, the line or key, and the field.
    TypeError
        `source` is neither mapping nor path.

    Examples
    --------
    >>> metadata = read_metadata({"*.tif": {"type": "raster"}, "dem.tif": {"title": "Relief"}})
    >>> metadata.fields_of("dem.tif")
    {'type': 'raster', 'title': 'Relief'}
    """
    return GivenMetadata(source).read()


class GivenMetadata:
    """Metadata as it was given, and parsed when it is needed; see `read_metadata`.

    Parameters
    ----------
    source : mapping or path, optional
        What was given.
    note : Path, optional
        Where parsed metadata is noted.

    Attributes
    ----------
    digest : str
        Equal digests mean equal metadata; empty if none was given.
    """

    def __init__(self, source: Source | None, note: Path | None = None) -> None:
        self._note = note
        self._is_noted = False
        self._rules: Callable[[], Rules] = tuple
        self._name = "metadata"
        self._metadata: Metadata | None = None
        self.digest = ""
        if source is None:
            return
        if isinstance(source, Mapping):
            self._rules = source.items
            self.digest = _digest_of_mapping(source) or _digest_of(self.read().parsed())
            return
        if not isinstance(source, str | os.PathLike):
            raise TypeError(f"metadata is a mapping or a path, not {type(source).__name__}")
        path = Path(source)
        name = self._name = path.name if path.name.isprintable() else ascii(path.name)
        parse = _PARSERS.get(path.suffix.lower())
        if parse is None:
            raise StoreError(f"{name}: metadata is read from files named .json, .toml or .csv")
        body = read_body(path, name)
        self._rules = lambda: parse(decode_text(body, name), name)
        self.digest = f"{name}/{hashlib.sha256(body).hexdigest()}"

    def __bool__(self) -> bool:
        """Return whether any was given."""
        return bool(self.digest)

    def read(self) -> Metadata:
        """Return the metadata, parsed and checked at the first call; raises StoreError."""
        if self._metadata is None:
            noted = None
            if self._note is not None and self.digest:
                noted = _read_note(self._note, self.digest, self._name)
            self._is_noted = noted is not None
            self._metadata = noted or Metadata(
                list(checked_rules(self._rules(), self._name)), self._name
            )
        return self._metadata

    def write_note(self) -> None:
        """Note what was parsed, so that the next publish need not; raises OSError."""
        if self._note is None or self._is_noted:
            return
        if not self.digest:
            self._note.unlink(missing_ok=True)
        elif self._metadata is not None:
            _write_note(self._note, self.digest, self._metadata.parsed())


def _digest_of(value: object) -> str:
    return hashlib.sha256(codec.encode(value)).hexdigest()


def _digest_of_mapping(source: Mapping[Any, Any]) -> str | None:
    """Return a digest of a mapping of Python's own types; None if it holds another.

    To check a mapping takes ten times as long.  benchmark: publish-changed
    """
    digest = hashlib.sha256()
    items = iter(source.items())
    try:
        while some := list(islice(items, tuning.DIGESTED_ROWS)):
            # Later versions of marshal encode the same values in more than one way.
            digest.update(marshal.dumps(some, 2))
    except ValueError:
        return None
    return digest.hexdigest()


def _read_note(path: Path, given: str, name: str) -> Metadata | None:
    """Return what was noted for this digest; None if it is missing, damaged or of another.

    The note is a line with a format, the digest of what was given and that of the rest,
    which is JSON.
    """
    try:
        body = read_regular(path)
    except OSError:
        return None
    header = body[:_MOST_HEADER_BYTES].partition(b"\n")[0]
    text = body[len(header) + 1 :]
    if header != _header(given, text):
        return None
    try:
        return Metadata.of_parsed(codec.decode(text), name)
    except (IndexFormatError, TypeError, ValueError):
        return None


def _write_note(path: Path, given: str, parsed: object) -> None:
    # Its digest makes up for a sync.
    text = codec.encode(parsed)
    with atomic_file(path, sync=False) as file:
        file.writelines([_header(given, text), b"\n", text])


def _header(given: str, text: bytes) -> bytes:
    # The name of a file may be part of the digest.
    return codec.encode([_NOTE_FORMAT, given, hashlib.sha256(text).hexdigest()])
