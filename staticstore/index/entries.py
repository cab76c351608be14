"""What snapshots share: entries in the form that they came in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, islice
from operator import ne
from typing import TYPE_CHECKING, Any

from . import codec
from .field_groups import FieldGroups
from .fields import Content

if TYPE_CHECKING:
    import msgspec

__all__ = ["Entries", "Stored", "keys_that_differ"]

_AT_ONCE = 64  # entries decoded at once


class Stored(ABC):
    """Entries in key order, which nobody changes; shared by snapshots and threads."""

    def __init__(self) -> None:
        #: The groups of the fields that were queried.
        self.groups = FieldGroups(self.values_of)

    # -- what was not checked when it was parsed ---------------------------------------

    @property
    def is_checked(self) -> bool:
        """Whether all entries are known to be what they should be."""
        return True

    def checking(self) -> Iterator[None]:
        """Check what was not checked yet, 16 KiB a step.

        What is read meanwhile is checked first.

        Raises
        ------
        IndexFormatError
            While iterating: the document is no index.
        """
        return iter(())

    def checked(self) -> Stored:
        """Return these entries with all that is left to check checked, now.

        Raises
        ------
        IndexFormatError
            The document is no index.
        """
        return self

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out when the document was parsed behind the swap."""
        return ()

    @property
    def refusal(self) -> str | None:
        """Why the document is no index, if that was found behind the swap."""
        return None

    # -- reading -----------------------------------------------------------------------

    @abstractmethod
    def get(self, key: str) -> msgspec.Raw | bytes | None:
        """Return the raw entry of a key, or None."""

    @abstractmethod
    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""

    @abstractmethod
    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""

    @abstractmethod
    def __len__(self) -> int:
        """Count the keys."""

    def has_at_least(self, count: int) -> bool:
        """Tell whether there are so many keys, without counting them all if that takes long."""
        return len(self) >= count

    @abstractmethod
    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries, in key order."""

    @abstractmethod
    def entries_of(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode the entries of some keys, which are in order; others than its own are left out."""

    @abstractmethod
    def contents_of(self, keys: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Tell what some entries, whose keys are in order, say of the bytes of their values."""

    @abstractmethod
    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and the values of a field, None where it is missing, in key order."""

    def keys_with(self, field: str, value: Hashable) -> Sequence[str]:
        """Return the keys of the entries whose field has a value, in order.

        The first call for a field takes a pass over all entries; others cost a look-up.
        """
        return self.groups.keys(field, value)

    @abstractmethod
    def changed_by(self, changes: Mapping[str, msgspec.Raw | bytes | None]) -> Stored:
        """Return entries of which some are others, None for none; and their groups with them."""

    def follow(self, other: Stored, keys: Iterable[str]) -> None:
        """Take over the groups of other entries, which differ from these in some keys."""
        in_order = sorted(keys)
        before = {key: raw for key in in_order if (raw := other.get(key)) is not None}
        after = {key: raw for key in in_order if (raw := self.get(key)) is not None}
        self.groups.follow(other.groups, before, after)

    @abstractmethod
    def differing_keys(self, other: Stored) -> Iterable[str]:
        """Return the keys whose raw entries may not be the same bytes, in no order."""

    @abstractmethod
    def canonical(self) -> bytes:
        """Write the entries as a document in canonical form."""

    @abstractmethod
    def document(self) -> Iterator[bytes | memoryview]:
        """Write the entries as a document in whatever form costs least, in pieces."""


class Entries(Stored):
    """Raw entries in a dictionary: what any JSON is parsed into.

    Parameters
    ----------
    entries : mapping
        Checked raw entries, in any order.
    """

    def __init__(self, entries: Mapping[str, msgspec.Raw | bytes]) -> None:
        self._entries = entries
        self._in_order: list[str] | None = None
        super().__init__()
        self._compared: tuple[Entries, list[str]] | None = None

    def get(self, key: str) -> msgspec.Raw | bytes | None:
        """Return the raw entry of a key, or None."""
        return self._entries.get(key)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        if self._in_order is None:  # not before it is needed, since it takes a while
            self._in_order = sorted(self._entries)
        return iter(self._in_order)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._entries)

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and the values of a field; see `Stored`."""
        decode, keys = codec.field_decoder(field), iter(self)
        while some := list(islice(keys, _AT_ONCE)):
            texts = (b'"%d":%b' % (i, bytes(self._entries[key])) for i, key in enumerate(some))
            yield from zip(some, decode(b"{%b}" % b",".join(texts))[1], strict=True)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries; see `Stored`."""
        return ((key, codec.decode(self._entries[key])) for key in self)

    def entries_of(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode the entries of some keys; see `Stored`."""
        raws = ((key, self._entries.get(key)) for key in keys)
        return ((key, codec.decode(raw)) for key, raw in raws if raw is not None)

    def contents_of(self, keys: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Tell what some entries say of the bytes of their values; see `Stored`."""
        return ((key, Content.of(entry)) for key, entry in self.entries_of(keys))

    def changed_by(self, changes: Mapping[str, msgspec.Raw | bytes | None]) -> Entries:
        """Return entries of which some are others; see `Stored`."""
        entries = {**self._entries, **changes}
        changed = Entries({key: raw for key, raw in entries.items() if raw is not None})
        changed.follow(self, changes)
        return changed

    def differing_keys(self, other: Stored) -> Iterable[str]:
        """Return the keys whose raw entries may not be the same bytes; see `Stored`."""
        if other is self:
            return ()
        if not isinstance(other, Entries):
            return keys_that_differ(self, other)
        compared, other._compared = other._compared, None
        if compared is not None and compared[0] is self:
            return compared[1]
        theirs = map(self._entries.get, other._entries)
        new = compress(other._entries, map(ne, other._entries.values(), theirs))
        return chain(new, (key for key in self._entries if key not in other._entries))

    def compare_with(self, before: Entries) -> list[str]:
        """Return the keys in which older entries differ, and keep them for who asks those next."""
        keys = list(before.differing_keys(self))
        self._compared = before, keys
        return keys

    def canonical(self) -> bytes:
        """Write the entries as a document; see `Stored`."""
        lines = [codec.member_lines({key: entry}) for key, entry in self.items()]
        return b"".join([b"{\n", b",\n".join(lines), b"\n}\n" if lines else b"}\n"])

    def document(self) -> Iterator[bytes | memoryview]:
        """Write the entries as they came, in no order; see `Stored`."""
        before, members = b"{", iter(self._entries.items())
        while some := list(islice(members, _AT_ONCE)):
            texts = (b"%b:%b" % (codec.encode(key), bytes(raw)) for key, raw in some)
            yield before + b",\n".join(texts)
            before = b",\n"
        yield b"}" if self._entries else b"{}"


def keys_that_differ(old: Stored, new: Stored) -> Iterator[str]:
    """Yield the keys whose raw entries may not be the same bytes, whatever form they are in."""
    yield from (key for key in new if old.get(key) != new.get(key))
    yield from (key for key in old if key not in new)
