"""Some fields of many entries, as lines of JSON that a table is read from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ...errors import IndexFormatError
from .. import codec
from ..hidden import HIDDEN_FIELDS, is_hidden_value

__all__ = ["RowReader", "TableRows"]


class TableRows(NamedTuple):
    """Some entries."""

    keys: list[str]
    #: An object of each entry, one to a line.
    lines: bytes
    #: The JSON texts of other fields, by their names; None where they are missing.
    texts: dict[str, list[str | None]]


class RowReader:
    """Reads some fields of all entries in a JSON object, their values raw.

    Parameters
    ----------
    in_lines : iterable of str
        The fields to write into lines.
    in_texts : iterable of str
        The fields to return as JSON texts.
    refuses_others : bool
        Whether an entry with another field is an error.
    """

    def __init__(
        self, in_lines: Iterable[str], in_texts: Iterable[str], *, refuses_others: bool
    ) -> None:
        self._in_lines, self._in_texts = tuple(in_lines), tuple(in_texts)
        self._refuses_others = refuses_others
        # They may be hidden, and are fields of no table then.
        others = [name for name in HIDDEN_FIELDS if refuses_others and name not in self._in_texts]
        self._apart = (*self._in_texts, *others)
        try:
            self._decode, self._encode_lines, self._errors = self._by_msgspec()
            self._is_slow = False
        except ValueError:  # a name that has to be escaped in JSON
            self._is_slow = True

    def _by_msgspec(self) -> tuple[Callable[..., Any], Callable[..., bytes], Any]:
        import msgspec

        # A struct holds what stands in the JSON, and needs no dictionary.  benchmark: to_arrow
        names = (*self._in_lines, *self._apart)
        raw = msgspec.Raw | msgspec.UnsetType
        row = msgspec.defstruct(
            "Row",
            [(f"f{number}", raw, msgspec.UNSET) for number in range(len(names))],
            rename={f"f{number}": name for number, name in enumerate(names)},
            forbid_unknown_fields=self._refuses_others,
            gc=False,
        )
        decode = msgspec.json.Decoder(dict[str, row]).decode  # type: ignore[valid-type]
        errors = msgspec.MsgspecError
        return decode, msgspec.json.Encoder().encode_lines, errors

    def read(self, members: bytes) -> TableRows:
        """Read the entries in a JSON object, in canonical form.

        Raises
        ------
        IndexFormatError
            An entry has another field, and those are refused.
        """
        if self._refuses_others and not self._in_texts and not _may_hide(members):
            split = codec.split(members)  # as they are.  benchmark: to_arrow
            return TableRows(list(split), b"\n".join(split.values()), {})
        if self._is_slow:
            return self._read_slowly(members)
        try:
            found = self._decode(members)
        except self._errors as error:
            raise IndexFormatError(f"the entries cannot be read: {error}") from error
        entries, texts = list(found.values()), {}
        first = len(self._in_lines)
        for number, name in enumerate(self._apart, first):
            texts[name] = list(_taken(entries, f"f{number}"))
        self._check_hidden(texts)
        return TableRows(list(found), self._encode_lines(entries), texts)

    def _read_slowly(self, members: bytes) -> TableRows:
        found = codec.decode_entries(members)
        known = {*self._in_lines, *self._apart}
        if self._refuses_others and any(entry.keys() - known for entry in found.values()):
            raise IndexFormatError("an entry has another field")
        entries = list(found.values())
        texts: dict[str, list[str | None]] = {
            name: [_text(entry[name]) if name in entry else None for entry in entries]
            for name in self._apart
        }
        self._check_hidden(texts)
        chosen = [
            {name: entry[name] for name in self._in_lines if name in entry} for entry in entries
        ]
        return TableRows(list(found), b"\n".join(map(codec.encode, chosen)), texts)

    def _check_hidden(self, texts: dict[str, list[str | None]]) -> None:
        for name in filter(texts.__contains__, HIDDEN_FIELDS):
            texts[name] = [None if _is_hidden(name, one) else one for one in texts[name]]
            if name not in self._in_texts and any(texts.pop(name)):
                raise IndexFormatError("an entry has another field")


def _taken(entries: list[Any], attribute: str) -> Iterator[str | None]:
    # What is taken does not stand in the lines.
    unset = _unset()
    for entry in entries:
        raw = getattr(entry, attribute)
        if raw is unset:
            yield None
        else:
            setattr(entry, attribute, unset)
            text = bytes(raw).decode()
            yield None if text == "null" else text


@functools.cache
def _unset() -> Any:
    import msgspec

    return msgspec.UNSET


def _text(value: object) -> str | None:
    return None if value is None else codec.encode(value).decode()


def _may_hide(members: bytes) -> bool:
    return any(b'"%b"' % name.encode() in members for name in HIDDEN_FIELDS)


def _is_hidden(name: str, text: str | None) -> bool:
    return text is not None and is_hidden_value(name, codec.decode(text.encode()))
