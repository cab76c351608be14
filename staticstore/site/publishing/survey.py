"""The survey of a publish: the files of a data folder, and their digests."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from ..folder.data_file import FileDigest, FoundFile
from ..folder.notes import FolderChange, FolderNote, folder_notes, read_folder_notes
from ..folder.scan import LeftOut, scan

if TYPE_CHECKING:
    from ..folder.folder_files import Listing
    from ..folder.hashing import Hashing
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
    published : collection of str
        The keys that are published already; those with withheld names suffice.

    Attributes
    ----------
    found : Scan
        What the scan has found, without the files.
    notes : dict of FolderNote
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

    def __init__(self, folder: SiteFolder, hashing: Hashing, published: Collection[str]) -> None:
        self._hashing = hashing
        self.notes = read_folder_notes(folder.notes)
        # Without notes all files are new, and hashed during the scan.  benchmark: publish-small
        self._is_first = not self.notes
        self._folders: dict[str, FolderChange | None] = {}  # None for one without a change
        self.changed: list[FoundFile] = []
        self.found = scan(folder.data, self._see, keeps_files=False, published=published)
        self.changed.sort()
        self.digests: dict[str, FileDigest] = {}
        self.left_out: list[LeftOut] = []
        self.hashed = 0

    def _see(self, listing: Listing) -> None:
        if self._is_first:
            files = list(listing)
            self._hashing.add(files)
            self.changed += files
            return
        change = FolderChange.between(self.notes.get(listing.prefix, _NOTHING), listing)
        self._folders[listing.prefix] = change
        if change is not None:
            self.changed += change.files.values()

    @property
    def has_changes(self) -> bool:
        """Whether a file is new, gone, or in another state than was noted."""
        return bool(self.changed or self.gone)

    @cached_property
    def gone(self) -> list[str]:
        """The keys that are noted and no longer there, in order."""
        gone = []
        for prefix, note in self.notes.items():
            change = self._folders.get(prefix)
            if change is not None:
                gone += [prefix + name for name in change.gone]
            elif prefix not in self._folders:
                gone += [prefix + name for name in note.name_list()]
        return sorted(gone)

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all files that were found, in order."""
        if self._is_first:
            return [file.key for file in self.changed]
        return sorted(
            prefix + name for prefix, note in self._found.items() for name in note.name_list()
        )

    @property
    def _found(self) -> dict[str, FolderNote]:
        return {
            prefix: self.notes[prefix]
            if change is None
            else FolderNote(change.names, change.states, change.digests)
            for prefix, change in self._folders.items()
            if change is not None or prefix in self.notes
        }

    def _unchanged(self) -> dict[str, FileDigest]:
        digests: dict[str, FileDigest] = {}
        for prefix, note in self._found.items():
            change = self._folders[prefix]
            digests.update(note.files(prefix, () if change is None else change.files))
        return digests

    def take_all(self) -> Iterator[tuple[str, FileDigest]]:
        """Yield each key with its digest, in key order; call it once."""
        outcomes, unchanged = self._outcomes(), self._unchanged()
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

    def notes_of_all(self) -> dict[str, FolderNote]:
        """Return what to note after `take_all`."""
        return folder_notes(self.digests, self.found.began_ns)

    def notes_of_changed(self) -> dict[str, FolderNote]:
        """Return what to note after `take_changed`; folders without a change stay as noted."""
        notes = {prefix: note for prefix, note in self.notes.items() if prefix in self._folders}
        for prefix, change in self._folders.items():
            if change is not None:
                notes[prefix] = change.note(self.digests, self.found.began_ns)
        return {prefix: note for prefix, note in notes.items() if note.names}

    def all_left_out(self) -> list[LeftOut]:
        """Return what the scan and the hashing have left out, in the order of paths."""
        return sorted(self.left_out + self.found.left_out)
