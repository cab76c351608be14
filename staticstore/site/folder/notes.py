"""The publisher's notes: digests of files, and the state after the last publish.

Both are in ``.staticstore``, and only publishers read them: ``notes.json``, so that
unchanged files are not hashed again, and ``last.json``, so that a publish that
changes nothing ends after a scan.  Deleting them costs nothing but time.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import re
import time
from collections.abc import Collection, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError
from ...index import codec
from ...index.codec import SHA256
from ...index.head import DIGEST_FOLDERS
from ..documents.root_files import GIT_FILES
from .bulk_notes import BULK_NOTES_NAME, read_bulk_notes
from .data_file import FileDigest, FoundFile
from .scan import Scan, scan

if TYPE_CHECKING:
    from .site_folder import SiteFolder

__all__ = ["Notes", "QuickCheck", "read_notes", "write_notes"]

_NOTES_FORMAT = "staticstore-notes/1"
_LAST_FORMAT = "staticstore-last/1"
# A file that changed less than two seconds before a scan may change again without a new time:
# clocks of file systems are coarse, FAT's most, with two seconds.
_SETTLED_NANOSECONDS = 2_000_000_000
# What a publish writes, beside packs and documents that the head names.
_WRITTEN_FILES = (
    "about.json",
    "index.json",
    "index.head.json",
    "index.html",
    *GIT_FILES,
    ".staticstore/notes.json",
)


class Notes(NamedTuple):
    """The digests of files, and the state in which they were hashed.

    Examples
    --------
    >>> file = FoundFile("a", "data/a", size=3, mtime_ns=5, inode=7)
    >>> Notes({"a": FileDigest("ab" * 32, 3, 5, 7)}).digest_of(file).sha256[:4]
    'abab'
    >>> Notes({"a": FileDigest("ab" * 32, 3, 5, 8)}).digest_of(file) is None
    True
    """

    digests: Mapping[str, FileDigest]

    def digest_of(self, file: FoundFile) -> FileDigest | None:
        """Return the digest of a file; None unless its size, time and inode are as noted."""
        return self.digest_in_state(file.key, file.size, file.mtime_ns, file.inode)

    def digest_in_state(self, key: str, *state: int) -> FileDigest | None:
        """Return the digest of a key's file; None unless this state is noted.

        Parameters
        ----------
        key : str
            The key.
        *state : int
            The size in bytes, the modification time in nanoseconds, and the inode.
        """
        noted = self.digests.get(key)
        return None if noted is None or noted[1:] != state else noted

    @classmethod
    def of(cls, digests: Mapping[str, FileDigest], began_ns: int) -> Notes:
        """Note those digests that the next publish can rely on.

        A file that was younger than two seconds when the scan began, or has a time in
        the future, may change again without a new time, and is left out.

        Parameters
        ----------
        digests : mapping
            From keys to digests.
        began_ns : int
            When the scan began, nanoseconds since 1970.
        """
        latest = began_ns - _SETTLED_NANOSECONDS
        return cls({key: found for key, found in digests.items() if found.mtime_ns < latest})


def read_notes(path: Path) -> Notes:
    """Read the notes; those that are missing, damaged or of another format are empty.

    Without notes, those of a mirror are read, which are beside them.
    """
    if not path.exists():
        return Notes(read_bulk_notes(path.with_name(BULK_NOTES_NAME)).digests())
    files = _read_json(path, _NOTES_FORMAT).get("files")
    if not isinstance(files, dict):
        return Notes({})
    is_sha256 = re.compile(SHA256).match
    digests: dict[str, FileDigest] = {}
    for key, row in files.items():  # without a call for each row.  benchmark: mirror-again
        if isinstance(row, list) and len(row) == 4:
            sha256, size, mtime_ns, inode = row
            are_numbers = type(size) is type(mtime_ns) is type(inode) is int
            if are_numbers and isinstance(sha256, str) and is_sha256(sha256):
                digests[key] = FileDigest(sha256, size, mtime_ns, inode)
    return Notes(digests)


def write_notes(path: Path, notes: Notes) -> None:
    """Write the notes, whole or not at all.

    Raises
    ------
    OSError
        They cannot be written.
    """
    with atomic_file(path) as file:
        file.write(codec.encode({"format": _NOTES_FORMAT, "files": notes.digests}))


def _read_json(path: Path, form: str) -> dict[str, Any]:
    with contextlib.suppress(OSError, IndexFormatError):
        note = codec.decode(read_regular(path))
        if isinstance(note, dict) and note.get("format") == form:
            return note
    return {}


class QuickCheck:
    """Finds out by a scan alone whether anything changed since the last publish.

    The last publish has noted its arguments, the state of all files, and its report.
    If nothing differs, its report is that of the new publish, too.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    given : object
        What the index depends on beside the data, as JSON values.
    """

    def __init__(self, folder: SiteFolder, given: object) -> None:
        self._folder = folder
        self._given = hashlib.sha256(codec.encode(given)).hexdigest()
        self._states = _States()
        self._last = _read_json(_note_of(folder), _LAST_FORMAT)

    def see(self, files: list[FoundFile]) -> None:
        """Record the files of a folder during a scan.

        A file that changes after the scan makes the next check fail, whether or not
        the publish notices the change.
        """
        self._states.see(files)

    def last_report(self) -> dict[str, Any] | None:
        """Return the report of the last publish; None if anything has changed since.

        Raises
        ------
        StoreError
            As `scan` does.
        """
        last = self._last
        try:
            is_known = last["given"] == self._given and last["data"] is not None
            is_in_time = time.time() < (last["until"] or float("inf"))
            is_unchanged = is_known and is_in_time and last["site"] == _state_of_site(self._folder)
            data, report, exempt = last["data"], last["report"], last["spared"]
        except (OSError, LookupError, TypeError):
            return None
        return report if is_unchanged and data == _state_of_data(self._folder, exempt) else None

    def is_unchanged(self, href: str) -> bool:
        """Return whether a file is in the state in which the last publish left it."""
        folder, _, _ = href.rpartition("/")
        with contextlib.suppress(OSError, LookupError, TypeError):
            state = _state_of_file(self._folder.root / href)
            return any(noted[0] == folder and state in noted for noted in self._last["site"])
        return False

    def note(self, found: Scan, report: object, until: float | None) -> None:
        """Note a report, and the state of the site.

        Parameters
        ----------
        found : Scan
            The scan of this publish.
        report : object
            What `last_report` returns from now on, as JSON values.
        until : float or None
            When a publish has work to do even if nothing has changed, in seconds
            since 1970.

        Raises
        ------
        OSError
            The note cannot be written.
        """
        last = {
            "format": _LAST_FORMAT,
            "given": self._given,
            # None if files may change again without a new time.
            "data": self._states.of(found),
            "spared": sorted(found.exempt),
            "site": _state_of_site(self._folder),
            "until": until,
            "report": report,
        }
        with atomic_file(_note_of(self._folder)) as file:
            file.write(codec.encode(last) + b"\n")

    def forget(self) -> None:
        """Remove the note, so that the next publish does all its work.

        Raises
        ------
        OSError
            The note cannot be removed.
        """
        _note_of(self._folder).unlink(missing_ok=True)


def _note_of(folder: SiteFolder) -> Path:
    return folder.private / "last.json"


class _States:
    """A digest of the states of all files, in the order of the scan."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._latest_ns = 0  # modification time, since 1970

    def see(self, files: list[FoundFile]) -> None:
        if not files:  # an empty folder changes nothing
            return
        states = list(map(attrgetter("key", "size", "mtime_ns", "inode"), files))
        # Later versions of marshal encode the same values in more than one way.
        self._digest.update(marshal.dumps(states, 2))
        self._latest_ns = max(self._latest_ns, *map(attrgetter("mtime_ns"), files))

    def of(self, found: Scan) -> str | None:
        # None if a file is so young that it may change again without a new time.
        if self._latest_ns >= found.began_ns - _SETTLED_NANOSECONDS:
            return None
        digest = self._digest.copy()
        digest.update(marshal.dumps([tuple(one) for one in found.left_out], 2))
        return digest.hexdigest()


def _state_of_data(folder: SiteFolder, published: Collection[str]) -> str | None:
    states = _States()
    return states.of(scan(folder.data, states.see, keeps_files=False, published=published))


def _state_of_site(folder: SiteFolder) -> list[list[object]]:
    found: list[list[object]] = []
    for name in _WRITTEN_FILES:
        try:
            found.append(_state_of_file(folder.root / name))
        except FileNotFoundError:
            found.append([name])
    for name in (*DIGEST_FOLDERS, folder.packs.name):
        place = folder.root / name
        if place.is_dir():
            found.append([name, *sorted(map(_state_of_file, place.iterdir()))])
    return found


def _state_of_file(path: Path) -> list[object]:
    status = path.lstat()
    return [path.name, status.st_size, status.st_mtime_ns, status.st_ino]
