"""Packs: copies of many small values in one file, to be read together.

A pack is ``packs/<sha256>.zip``.  Its members are values under their keys, in key
order, stored without compression: the value is at the offset that the index gives,
and any ZIP tool opens the pack.

A publish packs new small values together with the live values of packs that are not
much larger.  So packs double in size until they are large: there are few of them, and
a value is copied only a few times, however often the site is published.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...disk.file_system import open_regular
from ...index.head import NamedDocument, Role
from ...index.hidden import PACK_HREF, Place, place_of
from ..folder.data_file import FileDigest
from .document_files import write_document

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from ..folder.site_folder import SiteFolder

__all__ = [
    "MOST_PACK_BYTES",
    "PACK_BELOW_BYTES",
    "PackState",
    "Packing",
    "changed_places",
    "has_loose_values",
    "pack_digest",
    "pack_size",
    "pack_states",
    "pack_values",
    "unchanged_places",
]

#: Values of fewer bytes are packed.
PACK_BELOW_BYTES = 1 << 16
#: No pack is larger.
MOST_PACK_BYTES = 1 << 24

_LARGE_BYTES = MOST_PACK_BYTES // 2  # with so many live bytes, a pack is not merged with others
_MOST_MEMBERS = 65_534  # more would need ZIP64, which not every tool opens
_MOST_NAME_BYTES = 65_535  # a ZIP file has two bytes for its length

# What a ZIP file has besides names and values: for each member a header before it and one in the
# directory, and a record at the end.
_HEADER_BYTES = 30 + 46
_END_BYTES = 22
_END_MARK = b"PK\x05\x06"


class Packing(NamedTuple):
    """Which values to pack, and how."""

    #: Values of fewer bytes.
    below: int
    #: Whether to write the packs, or only to compute where values would be.
    writes: bool


class PackState(NamedTuple):
    """What a publish notes of a pack."""

    #: Of the pack, in bytes.
    size: int
    #: The number of values whose place is in it.
    values: int
    #: The bytes that these take.
    alive: int

    def changed_by(self, key: str, size: int, count: int = 1) -> PackState:
        """Return the state after a value has come, or with a `count` of -1 has gone."""
        alive = self.alive + count * _member_size(key, size)
        return PackState(self.size, self.values + count, alive)


def pack_digest(href: str) -> str | None:
    """Return the sha256 in the href of a pack; None if it is another href."""
    match = re.match(PACK_HREF, href)
    return None if match is None else match[1]


def unchanged_places(
    folder: SiteFolder,
    index: Index,
    digests: Mapping[str, FileDigest],
    is_unchanged: Callable[[str], bool],
) -> tuple[dict[str, Place], dict[str, int]]:
    """Return the places of unchanged values in packs that are still intact.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    index : Index
        Its last index.
    digests : mapping
        The current digests of the values, by key.
    is_unchanged : callable
        Returns whether the pack at an href is as the last publish left it; other
        packs are hashed.

    Returns
    -------
    places : dict of Place
        By key.
    packs : dict of int
        By href: the size of each pack that the index names, in bytes; 0 if it is
        missing or damaged.
    """
    places: dict[str, Place] = {}
    packs: dict[str, int] = {}
    for key, entry in index.packed_entries():
        place, sha256 = place_of(entry["packed"]), entry.get("sha256")
        if place is None or not isinstance(sha256, str):  # not written by us
            continue
        if place.href not in packs:
            path = folder.root / place.href
            is_whole = is_unchanged(place.href) or _has_its_digest(path, place.href)
            packs[place.href] = pack_size(path) if is_whole else 0
        digest = digests.get(key)
        if (
            digest is not None
            and digest.sha256 == sha256
            and place.offset + digest.size <= packs[place.href]
        ):
            places[key] = place
    return places, packs


def _has_its_digest(path: Path, href: str) -> bool:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == pack_digest(href)
    except OSError:
        return False


def pack_size(path: Path) -> int:
    """Return the size of a pack in bytes; 0 if it is missing or cut short."""
    try:
        with open_regular(path) as file:
            start = file.seek(-_END_BYTES, os.SEEK_END)
            record = file.read(_END_BYTES)
    except OSError:
        return 0
    directory_size, directory = (int.from_bytes(record[at : at + 4], "little") for at in (12, 16))
    is_whole = record.startswith(_END_MARK) and directory + directory_size == start
    return start + _END_BYTES if is_whole else 0


def pack_values(
    folder: SiteFolder,
    digests: Mapping[str, FileDigest],
    places: Mapping[str, Place],
    packs: Mapping[str, int],
    packing: Packing,
) -> dict[str, Place]:
    """Pack the small values that are in no pack.

    Packs with more dead bytes than live ones are packed again, and so are small packs
    if there are values to add to them.  A value whose file has changed since it was
    hashed is not packed.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    digests : mapping
        The digests of the values, by key.
    places, packs : mapping
        Where values are now; see `unchanged_places`.
    packing : Packing
        Which values to pack.

    Returns
    -------
    dict of Place
        By key: the places of all values that are then in packs.

    Raises
    ------
    StoreError
        A pack cannot be written.

    Notes
    -----
    Memory holds one pack at a time, of at most 16 MiB.
    """
    sizes = {
        key: _member_size(key, digest.size)
        for key, digest in digests.items()
        if _is_packed(key, digest.size, packing)
    }
    kept = {key: place for key, place in places.items() if key in sizes}
    alive: dict[str, int] = {}
    for key, place in kept.items():
        alive[place.href] = alive.get(place.href, 0) + sizes[key]
    loose = sum(size for key, size in sizes.items() if key not in kept)
    again = _packed_again(packs, alive, loose)
    kept = {key: place for key, place in kept.items() if place.href not in again}
    return kept | _pack(folder, digests, sorted(sizes.keys() - kept.keys()), packing)


def pack_states(
    folder: SiteFolder, places: Mapping[str, Place], digests: Mapping[str, FileDigest]
) -> dict[str, PackState]:
    """Return the states of the packs in which values are, by href."""
    states: dict[str, PackState] = {}
    for key, place in places.items():
        state = states.get(place.href) or PackState(pack_size(folder.root / place.href), 0, 0)
        states[place.href] = state.changed_by(key, digests[key].size)
    return states


def has_loose_values(
    digests: Mapping[str, FileDigest], places: Mapping[str, Place], packing: Packing
) -> bool:
    """Return whether a value that is to be packed is in no pack, since its file has changed."""
    others = ((key, digest.size) for key, digest in digests.items() if key not in places)
    return any(_is_packed(key, size, packing) for key, size in others)


def changed_places(
    folder: SiteFolder,
    old: Index,
    states: Mapping[str, PackState],
    changed: Mapping[str, FileDigest | None],
    packing: Packing | None,
) -> tuple[dict[str, Place | None], dict[str, PackState]]:
    """Do what `unchanged_places` and `pack_values` do, after few changes.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    old : Index
        Its last index.
    states : mapping
        The states of its packs, all intact, by href.
    changed : mapping
        The digests of the values that may have changed, by key; None for one that is gone.
    packing : Packing or None

    Returns
    -------
    places : dict of Place
        Of `changed`, and of all values that have moved; None for one that is in no pack.
    states : dict of PackState
        Of the packs with values, by href.
    """
    states, places = dict(states), dict[str, Place | None]()
    contents = old.contents_of(changed)
    loose: dict[str, FileDigest] = {}
    for key, digest in changed.items():
        before = contents.get(key)
        place = None if before is None else before.place
        if before is not None and place is not None:
            if digest is not None and digest.sha256 == before.sha256:
                places[key] = place
                continue
            states[place.href] = states[place.href].changed_by(key, before.size or 0, -1)
        places[key] = None
        if packing is not None and digest is not None and _is_packed(key, digest.size, packing):
            loose[key] = digest
    states = {href: state for href, state in states.items() if state.values}
    if packing is None:
        return places, states
    sizes = {href: state.size for href, state in states.items()}
    alive = {href: state.alive for href, state in states.items()}
    amount = sum(_member_size(key, digest.size) for key, digest in loose.items())
    again = _packed_again(sizes, alive, amount)
    moved = [key for key in _keys_in(old, again) if key not in changed or places[key]]
    values = {
        key: FileDigest(content.sha256 or "", content.size or 0, 0, 0)
        for key, content in old.contents_of(moved).items()
    } | loose
    new = _pack(folder, values, sorted(values), packing)
    states = {href: state for href, state in states.items() if href not in again}
    return places | {key: new.get(key) for key in values}, states | pack_states(folder, new, values)


def _keys_in(index: Index, packs: set[str]) -> Iterator[str]:
    if packs:
        for key, packed in index.stored.values_of("packed"):
            place = None if packed is None else place_of(packed)
            if place is not None and place.href in packs:
                yield key


def _is_packed(key: str, size: int, packing: Packing) -> bool:
    return 0 < size < packing.below and _fits(key, size)


def _fits(key: str, size: int) -> bool:
    return (
        len(key.encode()) <= _MOST_NAME_BYTES
        and _END_BYTES + _member_size(key, size) <= MOST_PACK_BYTES
    )


def _member_size(key: str, size: int) -> int:
    # The name is in both headers.
    return _HEADER_BYTES + 2 * len(key.encode()) + size


def _packed_again(packs: Mapping[str, int], alive: Mapping[str, int], loose: int) -> set[str]:
    # Which packs go into new ones: `alive` are the sizes of those of their values that the index
    # still names, `loose` that of the values to pack in any case.
    again = {href for href, size in alive.items() if 2 * size < packs[href] - _END_BYTES}
    amount = loose + sum(alive[href] for href in again)
    for href in sorted(alive.keys() - again, key=lambda href: (alive[href], href)):
        if alive[href] >= min(2 * amount, _LARGE_BYTES):
            break
        again.add(href)
        amount += alive[href]
    return again


def _pack(
    folder: SiteFolder, digests: Mapping[str, FileDigest], keys: Iterable[str], packing: Packing
) -> dict[str, Place]:
    places: dict[str, Place] = {}
    pack = _Pack()
    for key in keys:
        value = _read(os.path.join(folder.data, key), digests[key])
        if value is None:
            continue
        if not pack.has_room_for(key, len(value)):
            places |= pack.finish(folder, packing)
            pack = _Pack()
        pack.add(key, value)
    return places | pack.finish(folder, packing)


def _read(path: str, digest: FileDigest) -> bytes | None:
    try:
        with open_regular(path) as file:
            value = file.read(digest.size + 1)  # bounded, since it may be growing
    except OSError:
        return None
    return value if hashlib.sha256(value).hexdigest() == digest.sha256 else None


class _Pack:
    """A pack in memory, being filled.  The same values make the same bytes."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        self._size = _END_BYTES
        self._offsets: dict[str, int] = {}

    def has_room_for(self, key: str, size: int) -> bool:
        return (
            len(self._offsets) < _MOST_MEMBERS
            and self._size + _member_size(key, size) <= MOST_PACK_BYTES
        )

    def add(self, key: str, value: bytes) -> None:
        member = zipfile.ZipInfo(key)  # its time is in 1980, the earliest of a ZIP file
        member.create_system = 3  # Unix, on every system
        member.external_attr = 0o100644 << 16
        self._archive.writestr(member, value)
        self._offsets[key] = self._file.tell() - len(value)
        self._size += _member_size(key, len(value))

    def finish(self, folder: SiteFolder, packing: Packing) -> dict[str, Place]:
        """Write the pack unless it is empty; return where its values are."""
        self._archive.close()
        if not self._offsets:
            return {}
        body = self._file.getvalue()
        document = NamedDocument.of(Role.PACK, body)
        if packing.writes:
            try:
                write_document(folder, document, body)
            except OSError as error:
                raise folder.write_error(error) from error
        return {key: Place(document.href, offset) for key, offset in self._offsets.items()}
