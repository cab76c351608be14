"""The packs and compressed copies of a publish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ...index.fields import Content
from ..documents.compression import Compressing, Copies, counted, known_copies, with_copies
from ..documents.packs import (
    Packing,
    PackState,
    changed_places,
    has_loose_values,
    pack_states,
    pack_values,
    unchanged_places,
)
from ..folder.retention import copies_of, named_by_entries

if TYPE_CHECKING:
    from ...index.hidden import CompressedCopy, Place
    from ...index.snapshot import Index
    from ..folder.data_file import FileDigest
    from ..folder.last_publish import LastPublish
    from ..folder.site_folder import SiteFolder

__all__ = ["EntryFiles", "EntryOptions"]


class EntryOptions(NamedTuple):
    """Which packs and compressed copies to make."""

    #: None to make no new packs.
    packing: Packing | None
    compressing: Compressing
    #: The sha256 of values of which a compressed copy would save too little.
    incompressible: frozenset[str] = frozenset()

    def concern(self, old: Index) -> bool:
        """Return whether there are such files, or will be, given the last index."""
        is_wanted = self.packing is not None or bool(self.compressing.patterns)
        return is_wanted or bool(named_by_entries(old).hrefs)


class EntryFiles(NamedTuple):
    """The packs and compressed copies of a site after a publish; all are written.

    Of few changes, `places` and `copies` have what may have changed, None for a value that
    is in no such file.
    """

    #: By key.
    places: Mapping[str, Place | None]
    copies: Mapping[str, CompressedCopy | None]
    #: The packs that the index names, by href.
    packs: dict[str, PackState]
    #: How many values each copy that the index names is of, by href.
    copy_counts: dict[str, int]
    incompressible: frozenset[str] = frozenset()
    #: Whether a value that was to be in one is in none, since its file has changed.
    has_loose: bool = False
    warnings: tuple[str, ...] = ()
    #: The hrefs that the last index named, and this one does not.
    forgotten: frozenset[str] = frozenset()

    @property
    def hrefs(self) -> set[str]:
        """The hrefs of all that the index names."""
        return {*self.packs, *self.copy_counts}

    @classmethod
    def of_all(
        cls,
        folder: SiteFolder,
        old: Index,
        values: Mapping[str, FileDigest],
        options: EntryOptions,
        is_unchanged: Callable[[str], bool],
    ) -> EntryFiles:
        """Make what is missing for all values of a site.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        old : Index
            Its last index.
        values : mapping
            The digests of the values, by key.
        options : EntryOptions
            What to make.
        is_unchanged : callable
            Returns whether the file at an href is as the last publish left it; others
            are hashed.

        Raises
        ------
        StoreError
            A file cannot be written.
        """
        places, old_packs = unchanged_places(folder, old, values, is_unchanged)
        had = copies_of(old)
        copies = with_copies(
            folder,
            values,
            had,
            known_copies(old.contents_of(had).values()),
            options.compressing,
            options.incompressible,
            is_unchanged,
        )
        packing, is_loose = options.packing, False
        if packing is not None:
            places = pack_values(folder, values, places, old_packs, packing)
            is_loose = has_loose_values(values, places, packing)
        files = cls(
            places,
            copies.of,
            pack_states(folder, places, values),
            counted(copies.of.values()),
            copies.incompressible,
            is_loose or not copies.is_complete,
            (*copies.warnings, *options.compressing.warnings(values)),
        )
        before = old_packs.keys() | counted(had.values()).keys()
        return files._replace(forgotten=frozenset(before - files.hrefs))

    @classmethod
    def of_changed(
        cls,
        folder: SiteFolder,
        old: Index,
        last: LastPublish,
        changed: Mapping[str, FileDigest | None],
        options: EntryOptions,
    ) -> EntryFiles:
        """Do what `of_all` does, after few changes of a site that is as it was left.

        Parameters
        ----------
        folder, old, options
            As in `of_all`.
        last : LastPublish
            What the last publish has noted.
        changed : mapping
            The digests of the values that may have changed, by key; None for one that is
            gone.
        """
        places: Mapping[str, Place | None] = {}
        packs = last.packs
        if options.packing is not None or packs:
            places, packs = changed_places(folder, old, packs, changed, options.packing)
        copies, counts = Copies({}), last.copies
        values = {key: digest for key, digest in changed.items() if digest is not None}
        if options.compressing.patterns or counts:
            before = old.contents_of(changed)
            copies = with_copies(
                folder,
                values,
                [key for key, content in before.items() if content.compressed is not None],
                known_copies(before.values()),
                options.compressing,
                options.incompressible,
                lambda href: href in last.copies,
            )
            counts = _recounted(counts, before.values(), copies.of.values())
        is_loose = _has_loose(values, changed, places, options.packing)
        files = cls(
            places,
            {key: copies.of.get(key) for key in values},
            packs,
            counts,
            options.incompressible | copies.incompressible,
            is_loose or not copies.is_complete,
            copies.warnings,
        )
        named = last.packs.keys() | last.copies.keys()
        return files._replace(forgotten=frozenset(named - files.hrefs))


def _recounted(
    counts: Mapping[str, int], before: Iterable[Content], after: Iterable[CompressedCopy]
) -> dict[str, int]:
    found = Counter(counts)
    found.subtract(content.compressed.href for content in before if content.compressed is not None)
    found.update(copy.href for copy in after)
    return {href: count for href, count in found.items() if count > 0}


def _has_loose(
    values: Mapping[str, FileDigest],
    changed: Mapping[str, FileDigest | None],
    places: Mapping[str, Place | None],
    packing: Packing | None,
) -> bool:
    if packing is None:
        return False
    placed = {key: place for key, place in places.items() if place is not None}
    is_any_moved = len(placed.keys() - changed.keys()) < len(places.keys() - changed.keys())
    return is_any_moved or has_loose_values(values, placed, packing)
