"""The survey of a publish: the files of a data folder, and their digests."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ...errors import StoreError
from ..folder.data_file import FileDigest, FoundFile
from ..folder.folder_files import Touched
from ..folder.folder_note import FolderNote, settled
from ..folder.notes import Notes, read_notes
from ..folder.scan import LeftOut, Scan, scan

if TYPE_CHECKING:
    from ..folder.folder_files import Listing
    from ..folder.hashing import Hashing
    from ..folder.last_publish import LastPublish
    from ..folder.site_folder import SiteFolder

__all__ = ["DataSurvey"]

_NOTHING = FolderNote()


class DataSurvey:
    """The files of a data folder, those that have changed, and their digests.

    Parameters
    ----------
    folder : SiteFolder
        The site.  Its data is scanned at once.
    hashing : Hashing
        Hashes the files that the notes do not know.
    published : collection of str or None
        The keys that are published already; None if they are those in the notes.
    last : LastPublish, optional
        The last publish, if the site is as it was left.
    paths : iterable of str, optional
        The paths below the data folder at which something has changed since then.  With
        both, only their folders are looked at, if that suffices.

    Attributes
    ----------
    found : Scan
        What the scan has found, without the files.
    notes : Notes
        The notes of the last publish.
    changed : list of FoundFile
        The files that are new or may have changed since then, in key order.
    gone : list of str
        The keys that are noted and no longer there, in order.
    digests : dict of FileDigest
        The digests so far, by key: of all files after `take_all`, and of those that have
        changed after `take_changed`.
    left_out : list of LeftOut
        The files that could not be hashed so far.
    hashed : int
        The number of files hashed so far.

    Raises
    ------
    StoreError
        As `scan` does.
    """

    def __init__(
        self,
        folder: SiteFolder,
        hashing: Hashing,
        published: Collection[str] | None,
        last: LastPublish | None = None,
        paths: Iterable[str] | None = None,
    ) -> None:
        self._hashing = hashing
        self.notes = read_notes(folder.notes)
        # Without notes all files are new, and hashed during the scan.  benchmark: publish-small
        self._is_first = not self.notes
        self._folders: set[str] = set()  # those that were looked at
        self._has_links = False
        self._only: Touched | None = None
        self.changed: list[FoundFile] = []
        self.gone: list[str] = []
        if last is not None and last.is_plain and paths is not None:
            self._only = Touched.by(paths, self.notes.folders)
        published = self.notes if published is None else published
        try:
            self.found = self._scan(folder, published)
        except StoreError:
            if self._only is None:
                raise
            self._only = None
            self.found = self._scan(folder, published)
        if self._only is not None and last is not None:
            only = self._only
            self.found.left_out += [
                one for one in last.left_out if only.known_above(one.path) not in only.folders
            ]
            self.found.left_out.sort()
        if self._only is None:
            for prefix in self.notes.folders.keys() - self._folders:
                self.gone += [prefix + name for name in self.notes.folders[prefix].name_list()]
        self.changed.sort()
        self.gone.sort()
        self.digests: dict[str, FileDigest] = {}
        self.left_out: list[LeftOut] = []
        self.hashed = 0

    def _scan(self, folder: SiteFolder, published: Collection[str]) -> Scan:
        for found in (self._folders, self.changed, self.gone):
            found.clear()
        return scan(folder.data, self._see, keeps_files=False, published=published, only=self._only)

    def _see(self, listing: Listing) -> None:
        self._has_links = self._has_links or listing.has_links
        if self._is_first:
            files = list(listing)
            self._hashing.add(files)
            self.changed += files
            return
        self._folders.add(listing.prefix)
        changed, gone = self.notes.folders.get(listing.prefix, _NOTHING).changes_to(listing)
        self.changed += changed
        self.gone += [listing.prefix + name for name in gone]

    @property
    def has_changes(self) -> bool:
        """Whether a file is new, gone, or in another state than was noted."""
        return bool(self.changed or self.gone)

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all files that were found, in order."""
        # No set: sorting is quick because most keys are in order.
        found = dict.fromkeys(self.notes)
        found.update(dict.fromkeys([file.key for file in self.changed]))
        for key in self.gone:
            del found[key]
        return sorted(found)

    def take_all(self) -> Iterator[tuple[str, FileDigest]]:
        """Yield each key with its digest, in key order; call it once."""
        outcomes, unchanged = self._outcomes(), self.notes.digests()
        for file in self.changed:
            unchanged.pop(file.key, None)
        for key in self.keys:
            digest = unchanged.get(key) or next(outcomes)[1]
            if digest is not None:
                self.digests[key] = digest
                yield key, digest
        for _ in outcomes:  # to the end of the progress
            pass

    def take_changed(self) -> Iterator[tuple[str, FileDigest | None]]:
        """Yield each key that has changed with its digest, in order; call it once.

        The digest is None for a file that is left out.
        """
        for key, digest in self._outcomes():
            if digest is not None:
                self.digests[key] = digest
            yield key, digest

    def _outcomes(self) -> Iterator[tuple[str, FileDigest | None]]:
        if not self._is_first:
            self._hashing.add(self.changed)
        for file, outcome in self._hashing.outcomes(self.changed):
            if isinstance(outcome, LeftOut):
                self.left_out.append(outcome)
                yield file.key, None
            else:
                self.hashed += 1
                yield file.key, outcome

    def notes_of_all(self, index: str) -> Notes:
        """Return what to note after `take_all`, with the sha256 of the new index."""
        return Notes().changed_by(self._settled(self.digests), index=index)

    def notes_of_changed(self, index: str) -> Notes:
        """Return what to note after `take_changed`, with the sha256 of the new index.

        Folders without a change stay as noted.
        """
        changes: dict[str, FileDigest | None] = dict.fromkeys(self.gone)
        changes.update(dict.fromkeys([file.key for file in self.changed]))
        changes.update(self._settled(self.digests))
        return self.notes.changed_by(changes, index=index)

    def _settled(self, digests: Mapping[str, FileDigest]) -> dict[str, FileDigest]:
        began_ns = self.found.began_ns
        return {key: settled(digest, began_ns) for key, digest in digests.items()}

    @property
    def is_plain(self) -> bool:
        """See `LastPublish.is_plain`."""
        has_failed = any(one.kind == "failed" for one in self.found.left_out)
        return not (self._has_links or self.left_out or has_failed or self.found.exempt)

    def all_left_out(self) -> list[LeftOut]:
        """Return what the scan and the hashing have left out, in the order of paths."""
        return sorted(self.left_out + self.found.left_out)
