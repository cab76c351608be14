"""What lies in a data folder, and what its files are: found, looked up in the notes, or hashed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from .file_digest import Digest
from .folder import SiteFolder
from .found_file import FoundFile
from .hashing import Hashing
from .notes import Notes, read_notes
from .scan import LeftOut, scan
from .unchanged import Look

__all__ = ["Measured"]


class Measured:
    """What a data folder holds; its digests are known as soon as somebody takes them.

    Parameters
    ----------
    folder : SiteFolder
        The site, whose data is scanned at once.
    hashing : Hashing
        What hashes what the notes do not know.
    look : Look
        What sees the files, too.
    published : collection of str
        The keys that are published already.

    Attributes
    ----------
    look : Look
        The same.
    found : Scan
        What the scan has found.
    notes : Notes
        What the last publish has noted, once the digests are being taken.
    digests : dict of Digest
        By key; those that were taken so far.
    left_out : list of LeftOut
        What was left out when it was to be hashed, so far.
    hashed : int
        How many files were hashed so far.

    Raises
    ------
    StoreError
        As `scan` does.
    """

    def __init__(
        self, folder: SiteFolder, hashing: Hashing, look: Look, published: Collection[str]
    ) -> None:
        self._folder = folder
        self._hashing = hashing
        self.look = look
        # Where nothing is noted all files are new, and hashed while others are still found.
        self._is_first = not os.path.exists(folder.notes)
        self.found = scan(folder.data, self._see, published=published)
        self.notes = Notes({})
        self.digests: dict[str, Digest] = {}
        self.left_out: list[LeftOut] = []
        self.hashed = 0

    def _see(self, files: list[FoundFile]) -> None:
        self.look.see(files)
        if self._is_first:
            self._hashing.add(files)

    def take(self) -> Iterator[tuple[str, Digest]]:
        """Yield keys in order, and what their values are; once."""
        files = self.found.files
        noted: dict[str, Digest] = {}
        if not self._is_first:
            self.notes = read_notes(self._folder.notes)
            noted = {file.key: known for file in files if (known := self.notes.digest_of(file))}
            self._hashing.add([file for file in files if file.key not in noted])
        for file, outcome in self._hashing.outcomes(files, noted):
            if isinstance(outcome, LeftOut):
                self.left_out.append(outcome)
            else:
                self.hashed += file.key not in noted
                self.digests[file.key] = outcome
                yield file.key, outcome
