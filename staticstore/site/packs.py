"""Packs: copies of many small values in one file, so that they can be read at once.

A pack is ``packs/<sha256>.zip``, whose members are values under their keys, in
key order.  They are stored and not compressed: what stands at the offset that
the index gives is the value, and any tool for ZIP files opens the pack.

Every small value is packed by the publish that finds it.  That packs them
together with what is alive in packs that are not much larger, so that packs
double in size until they are large: there are few of them, and a value is
copied a few times at most, however often a site is published.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..index.fields import PACK_HREF, Place, place_of
from ..index.head import Document, Role
from ..index.snapshot import Index
from ..transport.regular import open_regular
from .file_digest import Digest
from .folder import SiteFolder
from .history import write_document
from .lock import unwritable

__all__ = [
    "MOST_PACK_BYTES",
    "PACK_BELOW",
    "Packing",
    "pack_digest",
    "pack_size",
    "pack_values",
    "packs_of",
    "standing_places",
]

#: Values below this size are packed, in bytes.
PACK_BELOW = 1 << 16
#: No pack is larger, in bytes.
MOST_PACK_BYTES = 1 << 24

_LARGE = MOST_PACK_BYTES // 2  # bytes alive from which a pack is not packed again with others
_MOST_MEMBERS = 65_534  # more would need ZIP64, which not every tool opens
_MOST_NAME_BYTES = 65_535  # its length stands in two bytes

# What a ZIP file has beside names and values, in bytes: for each member a header
# before it and one in the directory, and a record at the end.
_HEADERS = 30 + 46
_END = 22
_END_MARK = b"PK\x05\x06"


class Packing(NamedTuple):
    """What is to be packed."""

    #: Values of fewer bytes are.
    below: int
    #: Whether packs are written, or only thought of.
    writes: bool


def pack_digest(href: str) -> str | None:
    """Return the sha256 that the place of a pack says; None if it is none of a pack."""
    match = re.match(PACK_HREF, href)
    return None if match is None else match[1]


def packs_of(index: Index) -> frozenset[str]:
    """Return the hrefs of the packs that an index names."""
    places = (place_of(entry["packed"]) for _, entry in index.packed_entries())
    return frozenset(place.href for place in places if place is not None)


def standing_places(
    folder: SiteFolder,
    index: Index,
    digests: Mapping[str, Digest],
    has_kept: Callable[[str], bool],
) -> tuple[dict[str, Place], dict[str, int]]:
    """Return where values that have not changed stand, in packs that still do.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    index : Index
        What it says so far.
    digests : mapping
        From keys to what the values are now.
    has_kept : callable
        Returns whether the pack at an href is as it was left; else it is hashed.

    Returns
    -------
    places : dict of Place
        By key.
    packs : dict of int
        The sizes of all packs that the index names, in bytes, by href; 0 for one
        that is not there, or is damaged.
    """
    places: dict[str, Place] = {}
    packs: dict[str, int] = {}
    for key, entry in index.packed_entries():
        place, sha256 = place_of(entry["packed"]), entry.get("sha256")
        if place is None or not isinstance(sha256, str):  # it is not ours
            continue
        if place.href not in packs:
            path = folder.root / place.href
            is_whole = has_kept(place.href) or _has_its_digest(path, place.href)
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
    """Return how many bytes a pack has; 0 if none is there, or a part of one."""
    try:
        with open_regular(path) as file:
            start = file.seek(-_END, os.SEEK_END)
            record = file.read(_END)
    except OSError:
        return 0
    directory_size, directory = (int.from_bytes(record[at : at + 4], "little") for at in (12, 16))
    is_whole = record.startswith(_END_MARK) and directory + directory_size == start
    return start + _END if is_whole else 0


def pack_values(
    folder: SiteFolder,
    digests: Mapping[str, Digest],
    places: Mapping[str, Place],
    packs: Mapping[str, int],
    packing: Packing,
) -> dict[str, Place]:
    """Pack the small values that stand in no pack.

    Packs of which more than half is dead are packed again, and so are small
    ones, if there is something to add to them.  A value whose bytes are no
    longer those of its digest is not packed.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    digests : mapping
        From keys to what the values are.
    places, packs : mapping
        Where values stand so far; see `standing_places`.
    packing : Packing
        What is to be packed.

    Returns
    -------
    dict of Place
        From the keys of all values that stand in packs then.

    Raises
    ------
    StoreError
        A pack cannot be written.

    Notes
    -----
    Holds one pack at a time in memory, of 16 MiB at most.
    """
    sizes = {
        key: _member_size(key, digest.size)
        for key, digest in digests.items()
        if 0 < digest.size < packing.below and _fits(key, digest.size)
    }
    kept = {key: place for key, place in places.items() if key in sizes}
    alive: dict[str, int] = {}
    for key, place in kept.items():
        alive[place.href] = alive.get(place.href, 0) + sizes[key]
    loose = sum(size for key, size in sizes.items() if key not in kept)
    again = _packed_again(packs, alive, loose)
    kept = {key: place for key, place in kept.items() if place.href not in again}
    return kept | _pack(folder, digests, sorted(sizes.keys() - kept.keys()), packing)


def _fits(key: str, size: int) -> bool:
    return (
        len(key.encode()) <= _MOST_NAME_BYTES and _END + _member_size(key, size) <= MOST_PACK_BYTES
    )


def _member_size(key: str, size: int) -> int:
    """Return how many bytes a value takes in a pack: once itself, and twice its name."""
    return _HEADERS + 2 * len(key.encode()) + size


def _packed_again(packs: Mapping[str, int], alive: Mapping[str, int], loose: int) -> set[str]:
    """Return the packs whose values are to stand in new packs.

    Parameters
    ----------
    packs : mapping
        The sizes of packs.
    alive : mapping
        How many of their bytes are those of values that an entry names.
    loose : int
        How many bytes are to be packed anyway.
    """
    again = {href for href, size in alive.items() if 2 * size < packs[href] - _END}
    amount = loose + sum(alive[href] for href in again)
    for href in sorted(alive.keys() - again, key=lambda href: (alive[href], href)):
        if alive[href] >= min(2 * amount, _LARGE):
            break
        again.add(href)
        amount += alive[href]
    return again


def _pack(
    folder: SiteFolder, digests: Mapping[str, Digest], keys: Iterable[str], packing: Packing
) -> dict[str, Place]:
    """Copy values into new packs, and return where they stand."""
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


def _read(path: str, digest: Digest) -> bytes | None:
    """Read a value; None if it is no longer what was hashed."""
    try:
        with open_regular(path) as file:
            value = file.read(digest.size + 1)  # a file may have grown without bounds
    except OSError:
        return None
    return value if hashlib.sha256(value).hexdigest() == digest.sha256 else None


class _Pack:
    """A pack that is being filled, in memory: the same values make the same bytes."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._archive = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        self._size = _END
        self._offsets: dict[str, int] = {}

    def has_room_for(self, key: str, size: int) -> bool:
        """Tell whether a value can be added."""
        return (
            len(self._offsets) < _MOST_MEMBERS
            and self._size + _member_size(key, size) <= MOST_PACK_BYTES
        )

    def add(self, key: str, value: bytes) -> None:
        """Add a value."""
        member = zipfile.ZipInfo(key)  # of 1980, the oldest time there is in a ZIP file
        member.create_system = 3  # Unix, on every system
        member.external_attr = 0o100644 << 16
        self._archive.writestr(member, value)
        self._offsets[key] = self._file.tell() - len(value)
        self._size += _member_size(key, len(value))

    def finish(self, folder: SiteFolder, packing: Packing) -> dict[str, Place]:
        """Write the pack, if there is anything in it, and return where its values stand."""
        self._archive.close()
        if not self._offsets:
            return {}
        body = self._file.getvalue()
        document = Document.of(Role.PACK, body)
        if packing.writes:
            try:
                write_document(folder, document, body)
            except OSError as error:
                raise unwritable(folder, error) from error
        return {key: Place(document.href, offset) for key, offset in self._offsets.items()}
