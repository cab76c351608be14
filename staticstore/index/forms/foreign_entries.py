"""Entries of an index that others publish, perhaps checked only when used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, SupportsBytes

from ... import tuning
from ...errors import IndexFormatError, quoted_begin
from .. import codec
from ..fields import Content, line_problem
from ..placed import place_problem
from .entries import Entries

if TYPE_CHECKING:
    from ..codec import Raw
    from .stored import RawChanges, Stored

__all__ = ["ForeignEntries", "foreign_entries"]

_MOST_PROBLEMS = 100


class ForeignEntries(Entries):
    """Raw entries in a dictionary, of which some are checked when they are read.

    A look-up checks its entry.  A query, an iteration and a comparison by fields first check
    all that are left, so that they find the same before and after.  An entry that cannot be
    read is left out; the others stay.

    Parameters
    ----------
    entries : mapping
        Raw entries, in any order, some perhaps as what `bytes` makes them of; their keys are
        valid.
    unchecked : sequence of str, optional
        The keys of those that are not known to be objects.
    https_only : bool, optional
        As in `href_problem`.
    """

    def __init__(
        self,
        entries: Mapping[str, Raw | SupportsBytes],
        unchecked: Sequence[str] = (),
        *,
        https_only: bool = False,
    ) -> None:
        super().__init__(_made_late(entries))
        self._unchecked = unchecked
        self._https_only = https_only
        # How many are checked, and what is wrong with some.  Without a lock: threads that
        # check the same entries find the same.
        self._count = 0
        self._wrong: dict[str, str] = {}

    @classmethod
    def of(cls, stored: Stored) -> ForeignEntries:
        """Return checked entries as those of a foreign index."""
        return cls({key: raw for key in stored if (raw := stored.get(key)) is not None})

    # -- the check ---------------------------------------------------------------------

    @property
    def is_checked(self) -> bool:
        """Whether all entries are known to be objects."""
        return self._count >= len(self._unchecked)

    def checking(self) -> Iterator[None]:
        """Check some entries a step; see `Stored`."""
        while not self.is_checked:
            self._check_some()
            yield

    def checked(self) -> ForeignEntries:
        """Return this after checking all of it."""
        for _ in self.checking():
            pass
        return self

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out when it was checked."""
        wrong = list(self._wrong.items())
        named = [f"{quoted_begin(key)} is left out: {why}" for key, why in wrong[:_MOST_PROBLEMS]]
        more = len(wrong) - len(named)
        return (*named, f"{more} more entries are left out") if more else tuple(named)

    def _check_some(self) -> None:
        start = self._count
        keys = self._unchecked[start : start + tuning.DECODED_BATCH_ENTRIES]
        entries = self._entries
        some = {key: entries[key] for key in keys if key in entries}
        if not self._are_objects(list(some.values())):
            for key, raw in some.items():
                if (problem := self._problem(key, raw)) is not None:
                    self._wrong[key] = problem
        count = start + len(keys)
        is_last = count >= len(self._unchecked)
        if is_last and self._wrong:
            texts = entries.texts if isinstance(entries, _LateEntries) else entries
            left = {key: raw for key, raw in texts.items() if key not in self._wrong}
            self._entries = _made_late(left)
            self._in_order = None
        self._count = max(self._count, count)
        if is_last:
            self._unchecked = ()  # all of them are checked

    def _are_objects(self, raws: Sequence[Raw]) -> bool:
        joined = b",".join(raws)
        try:
            codec.check_depth(joined, len(raws))
            found = codec.decode_objects(b"[%b]" % joined)
        except IndexFormatError:
            return False
        return len(found) == len(raws) and not any(
            "placed" in entry and place_problem(entry, https_only=self._https_only)
            for entry in found
        )

    def _problem(self, key: str, raw: Raw) -> str | None:
        return line_problem(key, raw, https_only=self._https_only)

    # -- reading -----------------------------------------------------------------------

    def get(self, key: str) -> Raw | None:
        """See `Stored`."""
        raw = self._entries.get(key)
        if raw is None or self.is_checked:
            return raw
        return None if self._problem(key, raw) is not None else raw

    def _sorted_keys(self) -> list[str]:
        self.checked()
        return super()._sorted_keys()

    def entries_of(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        raws = ((key, self.get(key)) for key in keys)
        return ((key, codec.decode(raw)) for key, raw in raws if raw is not None)

    def content_of(self, key: str, entry: Mapping[str, Any]) -> Content:
        """Read what an entry says of its value's bytes, by any digest; see `Stored`."""
        return Content.of(entry, has_checksums=True)

    # -- other entries, and writing ----------------------------------------------------

    def folded(self, changes: RawChanges) -> ForeignEntries:
        """See `Stored`."""
        entries = {**self.checked()._entries, **changes}
        kept = {key: raw for key, raw in entries.items() if raw is not None}
        changed = ForeignEntries(kept, https_only=self._https_only)
        changed.follow(self, changes)
        return changed

    def keys_that_may_differ(self, other: Stored) -> Iterable[str]:
        """See `Stored`."""
        if isinstance(other, ForeignEntries):
            mine, theirs = self._entries, other._entries
            if isinstance(mine, _LateEntries) and isinstance(theirs, _LateEntries):
                # What they are made of is compared first, since making all takes long.
                some = Entries(mine.texts).keys_that_may_differ(Entries(theirs.texts))
                return (key for key in some if mine.get(key) != theirs.get(key))
        return super().keys_that_may_differ(other)

    def _candidates(self, other: Stored, is_final: bool) -> Iterable[str]:
        # Their bytes are compared: what cannot be read is in neither, by `get`.
        if isinstance(other, Entries):
            return self.keys_that_may_differ(other)
        return super()._candidates(other, is_final)

    def document(self) -> Iterator[bytes | memoryview]:
        """See `Stored`."""
        self.checked()
        return super().document()


def foreign_entries(
    entries: Mapping[str, Raw | SupportsBytes],
    unchecked: Sequence[str],
    *,
    before: Stored | None,
    https_only: bool,
) -> ForeignEntries:
    """Return the entries of a foreign index, checked now if they are few.

    Parameters
    ----------
    entries : mapping
        Raw entries, as of `ForeignEntries`.
    unchecked : sequence of str
        The keys of those that are not known to be objects; kept.
    before : Stored or None
        Older entries: those with the same bytes are not checked again.
    https_only : bool
        As in `href_problem`.
    """
    found = ForeignEntries(entries, unchecked, https_only=https_only)
    if before is not None and isinstance(before.base, ForeignEntries) and before.is_checked:
        new = set(before.base.keys_that_may_differ(found))
        unchecked = [key for key in unchecked if key in new]
        found = ForeignEntries(entries, unchecked, https_only=https_only)
    is_small = len(unchecked) <= tuning.UNCHECKED_BATCH_ENTRIES
    return found.checked() if is_small else found


class _LateEntries(Mapping[str, "Raw"]):
    """Raw entries, each made anew whenever it is looked at."""

    def __init__(self, texts: Mapping[str, Any]) -> None:
        self.texts = texts

    def __getitem__(self, key: str) -> bytes:
        return bytes(self.texts[key])

    def __contains__(self, key: object) -> bool:
        return key in self.texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    def __len__(self) -> int:
        return len(self.texts)


def _made_late(entries: Mapping[str, Any]) -> Mapping[str, Raw]:
    import msgspec  # slow

    are_raw = {bytes, msgspec.Raw}.issuperset(map(type, entries.values()))
    return entries if are_raw else _LateEntries(entries)
