"""What the publisher says of values beside what can be measured: fields by key or pattern."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import StoreError, quoted
from ..index import codec
from ..index.fields import PUBLISHER_FIELDS
from .key_pattern import KeyPattern, is_pattern
from .meant_keys import MeantKeys
from .metadata_files import read_document
from .plain import NotPlainError, plain_value

__all__ = ["FILE_NAMES", "Metadata", "Source", "find_metadata", "read_metadata"]

#: A mapping from keys or patterns to fields, or the path of a file of such.
Source = Mapping[str, Mapping[str, Any]] | str | os.PathLike[str]

#: Where metadata is looked for in a site's folder.
FILE_NAMES = ("metadata.json", "metadata.toml", "metadata.csv")
_HINTS = 100  # that are looked for
# What patterns may give to a key without its being counted, and to all the others together.
_FEW_BYTES = 64 << 10
_MOST_COPIED_BYTES = 256 << 20


class _Rule(NamedTuple):
    pattern: KeyPattern
    fields: Mapping[str, Any]


class Metadata:
    """Fields for keys: by pattern, and by the key itself.

    It is immutable, and may be shared by threads.

    Parameters
    ----------
    rules : iterable of (str, mapping)
        Keys or glob patterns, each with its fields; checked by `read_metadata`.
    name : str
        Where they are from, for warnings; a file's name.
    """

    def __init__(self, rules: Iterable[tuple[str, Mapping[str, Any]]], name: str) -> None:
        self.name = name
        self._exact: dict[str, dict[str, Any]] = {}
        self._patterns: list[_Rule] = []
        for text, fields in rules:
            # A key may hold what would be a wildcard, so each text is a key first.
            self._exact.setdefault(text, {}).update(fields)
            if is_pattern(text):
                self._patterns.append(_Rule(KeyPattern(text), fields))

    def as_json(self) -> object:
        """Return all that it says, such as JSON can say it."""
        patterns = [[pattern.text, fields] for pattern, fields in self._patterns]
        return [self.name, self._exact, patterns]

    def fields_of(self, key: str) -> dict[str, Any]:
        """Return the fields of a key.

        All patterns that match the whole key (`fnmatch.fnmatchcase`, so ``*``
        matches slashes) apply in the order they were given, the later over the
        earlier, and what is given for the key itself over them all.  The
        Unicode form of a pattern does not count.

        Returns
        -------
        dict
            Perhaps empty.  Its values are shared: to be read only.
        """
        fields: dict[str, Any] = {}
        for pattern, of_pattern in self._patterns:
            if pattern.matches(key):
                fields.update(of_pattern)
        fields.update(self._exact.get(key, {}))
        return fields

    def meant_for(self, keys: MeantKeys) -> Metadata:
        """Return the same, with the keys as they are spelled in the data folder.

        What is given for a key in another Unicode form (macOS decomposes the
        names of files) is for that key where only it can be meant: no other
        key is the same text, and nothing is given for its own spelling.
        """
        spelled = dict(self._exact)
        for text in self._exact:
            others = [] if text in keys else keys.of_other_form(text)
            if len(others) == 1 and others[0] not in spelled:
                spelled[others[0]] = spelled.pop(text)
        meant = copy.copy(self)
        meant._exact = spelled
        return meant

    def check_size(self, keys: Iterable[str]) -> None:
        """Refuse patterns that copy long fields into so many entries that no memory holds them.

        Raises
        ------
        StoreError
            It names the pattern that gives most.
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

    def warnings(self, keys: MeantKeys) -> Iterator[str]:
        """Say which keys and patterns are for nothing, and what may have been meant."""
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
            hint = self._hint(fields) or (keys.hint(text) if hints < _HINTS else "")
            hints += 1
            yield f"{self.name}: {quoted(text)} {problem}{hint}"

    def _hint(self, fields: Mapping[str, Any]) -> str:
        # [dem.tif] is a table "tif" in a table "dem".
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
    """Read fields by key or glob pattern.

    They are copied and checked; whether there are such keys is another
    question, and `Metadata.warnings` answers it.

    Parameters
    ----------
    source : mapping or path, optional
        From keys or patterns to mappings of fields.  A path ends in ``.json``,
        ``.toml`` or ``.csv``.  A CSV file starts with a header; its first
        column is named ``key``, the others are fields.  A column is of one
        kind: booleans (``true``, ``True`` or ``TRUE``, and so on); numbers,
        lists and objects as in JSON; or else texts as they stand there.  A
        number is one only if the index has it as it stands there: 1.10, 1E5,
        007 and integers from 2**53 on are texts.  Where a cell is empty the
        key does not get the field; nor where it is ``NaN``, ``null``, ``None``,
        ``NA`` and the like in a column that is not of texts.  By default there
        are no fields.

    Returns
    -------
    Metadata

    Raises
    ------
    StoreError
        The file cannot be read, has an error in its syntax, or says a key
        twice; a field is what the publisher writes itself (`PUBLISHER_FIELDS`),
        or has a value that JSON cannot say.  It names file, line or key, and
        field.
    TypeError
        `source` is neither mapping nor path.

    Examples
    --------
    >>> metadata = read_metadata({"*.tif": {"type": "raster"}, "dem.tif": {"title": "Relief"}})
    >>> metadata.fields_of("dem.tif")
    {'type': 'raster', 'title': 'Relief'}
    """
    if source is None:
        return Metadata((), "metadata")
    if isinstance(source, Mapping):
        return Metadata(list(_checked(source.items(), "metadata")), "metadata")
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"metadata is a mapping or a path, not {type(source).__name__}")
    path = Path(source)
    name = path.name if path.name.isprintable() else ascii(path.name)
    return Metadata(list(_checked(read_document(path, name), name)), name)


def _checked(
    rules: Iterable[tuple[object, object]], name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, fields in rules:
        if not isinstance(key, str):
            raise StoreError(f"{name}: a key or pattern is a text, not {type(key).__name__}")
        where = f"{name}, {quoted(key)}"
        try:
            plain_value(key)
        except NotPlainError as problem:
            raise StoreError(f"{where} {problem}") from None
        if not isinstance(fields, Mapping):
            raise StoreError(
                f"{where}: what stands here is a mapping from fields to values, "
                f"not {type(fields).__name__}"
            )
        yield key, {field: _value(where, field, value) for field, value in fields.items()}


def _value(where: str, field: object, value: object) -> Any:
    if not isinstance(field, str):
        raise StoreError(f"{where}: a field's name is a text, not {type(field).__name__}")
    where = f"{where}: field {quoted(field)}"
    if field in PUBLISHER_FIELDS:
        raise StoreError(
            f"{where} is written by the publisher and cannot be given: remove or rename it"
        )
    try:
        plain_value(field)
        return plain_value(value)
    except NotPlainError as problem:
        raise StoreError(f"{where} {problem}") from None
