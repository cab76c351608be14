"""Entries of any JSON, parsed, checked, and kept in a dictionary."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice
from operator import ne
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import IndexFormatError, quoted
from .. import codec
from ..fields import Content, are_keys, entry_problem, place_problem
from .stored import Stored

if TYPE_CHECKING:
    import msgspec

    from ..codec import Raw
    from .stored import RawChanges

__all__ = ["Entries", "parse_any"]

_MOST_WARNINGS = 100


class Entries(Stored):
    """Raw entries in a dictionary.

    Parameters
    ----------
    entries : mapping
        Checked raw entries, in any order.
    """

    def __init__(self, entries: Mapping[str, Raw]) -> None:
        super().__init__()
        self._entries = entries
        self._in_order: list[str] | None = None
        self._compared: tuple[Entries, list[str]] | None = None

    def get(self, key: str) -> Raw | None:
        """See `Stored`."""
        return self._entries.get(key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self._sorted_keys())

    def keys_from(self, start: str) -> Iterator[str]:
        """See `Stored`."""
        keys = self._sorted_keys()
        return islice(keys, bisect_left(keys, start), None)

    def _sorted_keys(self) -> list[str]:
        if self._in_order is None:  # sorting takes a while: not before it is needed
            self._in_order = sorted(self._entries)
        return self._in_order

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._entries)

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """See `Stored`."""
        decode, keys, count = codec.field_decoder(field), iter(self), tuning.DECODED_BATCH_ENTRIES
        while some := list(islice(keys, count)):
            texts = (b'"%d":%b' % (i, bytes(self._entries[key])) for i, key in enumerate(some))
            yield from zip(some, decode(b"{%b}" % b",".join(texts))[1], strict=True)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        return ((key, codec.decode(self._entries[key])) for key in self)

    def entries_of(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        raws = ((key, self._entries.get(key)) for key in keys)
        return ((key, codec.decode(raw)) for key, raw in raws if raw is not None)

    def contents_of(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """See `Stored`."""
        return ((key, Content.of(entry)) for key, entry in self.entries_of(keys))

    def folded(self, changes: RawChanges) -> Entries:
        """See `Stored`."""
        entries = {**self._entries, **changes}
        changed = Entries({key: raw for key, raw in entries.items() if raw is not None})
        changed.follow(self, changes)
        return changed

    def keys_that_may_differ(self, other: Stored) -> Iterable[str]:
        """See `Stored`."""
        if not isinstance(other, Entries):
            return super().keys_that_may_differ(other)
        compared, other._compared = other._compared, None
        if compared is not None and compared[0] is self:
            return compared[1]
        theirs = map(self._entries.get, other._entries)
        new = compress(other._entries, map(ne, other._entries.values(), theirs))
        return chain(new, (key for key in self._entries if key not in other._entries))

    def compare_with(self, before: Entries) -> list[str]:
        """Return the keys in which older entries differ, and keep them for the next call."""
        keys = list(before.keys_that_may_differ(self))
        self._compared = before, keys
        return keys

    def canonical(self) -> bytes:
        """See `Stored`."""
        lines = [codec.member_lines({key: entry}) for key, entry in self.items()]
        return b"".join([b"{\n", b",\n".join(lines), b"\n}\n" if lines else b"}\n"])

    def document(self) -> Iterator[bytes | memoryview]:
        """Write the entries as they came, in any order; see `Stored`."""
        before, members, count = b"{", iter(self._entries.items()), tuning.DECODED_BATCH_ENTRIES
        while some := list(islice(members, count)):
            texts = (b"%b:%b" % (codec.encode(key), bytes(raw)) for key, raw in some)
            yield before + b",\n".join(texts)
            before = b",\n"
        yield b"}" if self._entries else b"{}"


def parse_any(
    body: bytes | bytearray, before: Stored | None = None, *, https_only: bool = False
) -> tuple[Entries, tuple[str, ...]]:
    """Parse an index in any form, and check each entry.

    Parameters
    ----------
    body : bytes or bytearray
        The document; it must never change again.
    before : Stored, optional
        Older, checked entries: those with the same bytes are not checked again.
    https_only : bool, optional
        As of `Index.parse`.

    Returns
    -------
    (Entries, tuple of str)
        The valid entries, and a warning for each one that was left out.

    Raises
    ------
    IndexFormatError
        It is not an index.
    """
    found = codec.split(body)
    entries = Entries(found)
    unknown: Mapping[str, msgspec.Raw] = found
    if isinstance(before, Entries):
        unknown = {key: found[key] for key in entries.compare_with(before) if key in found}
    if _are_valid(unknown, https_only):
        return entries, ()
    kept: dict[str, Raw] = {}
    warnings: list[str] = []
    for key, raw in found.items():
        if problem := entry_problem(key, raw, https_only=https_only):
            warnings.append(f"{quoted(key)} is left out: {problem}")
        else:
            kept[key] = raw
    if len(warnings) > _MOST_WARNINGS:
        more = len(warnings) - _MOST_WARNINGS
        warnings[_MOST_WARNINGS:] = [f"{more} more entries are left out"]
    return Entries(kept), tuple(warnings)


def _are_valid(entries: Mapping[str, msgspec.Raw], https_only: bool) -> bool:
    # As thorough as `entry_problem`, but fast (benchmark: parsing).  Each entry is decoded,
    # since msgspec checks only the syntax of what it leaves raw.
    keys, values, count = iter(entries), iter(entries.values()), tuning.DECODED_BATCH_ENTRIES
    while some_keys := list(islice(keys, count)):
        joined = b",".join(islice(values, count))
        if not are_keys(some_keys):
            return False
        try:
            codec.check_depth(joined, len(some_keys))
            decoded = codec.decode_objects(b"[%b]" % joined)
        except IndexFormatError:
            return False
        # Its name may be written with escapes.
        if (b'"placed"' in joined or b"\\u00" in joined) and any(
            place_problem(entry, https_only=https_only) for entry in decoded
        ):
            return False
    return True
