"""Whether anything has changed since the last publish: told by a scan, and no more.

A publish that changes nothing is what runs every few minutes.  The last one
has noted in ``.staticstore/last.json`` what it was given, what lay in the
folder, and what it reported; if all of that is still the same, that report is
the new one.  Whoever deletes the note loses nothing but time.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import time
from collections.abc import Collection
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..errors import IndexFormatError
from ..index import codec
from ..transport.atomic import atomic_file
from ..transport.regular import read_regular
from .folder import SiteFolder
from .found_file import FoundFile
from .git_files import GIT_FILES
from .notes import SETTLED_NS
from .scan import Scan, scan

__all__ = ["Look"]

_FORMAT = "staticstore-last/1"
# What a publish writes, beside the folders of what is named by its digest.
_FILES = (
    "about.json",
    "index.json",
    "index.head.json",
    "index.html",
    *GIT_FILES,
    ".staticstore/notes.json",
)
_FOLDERS = ("about", "index", "changes", "blocks", "packs")


class Look:
    """What a publish is given, and what its scan sees.

    A file that changes after the scan, whether or not the publish sees that,
    makes the next scan another.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    given : object
        What the index depends on beside the data, such as JSON can say.
    """

    def __init__(self, folder: SiteFolder, given: object) -> None:
        self._folder = folder
        self._given = hashlib.sha256(codec.encode(given)).hexdigest()
        self._states = _States()
        self._last = _read_note(folder)

    def see(self, files: list[FoundFile]) -> None:
        """Take note of the files of a folder: what a scan calls."""
        self._states.see(files)

    def last_report(self) -> dict[str, Any] | None:
        """Return what the last publish reported, if nothing at all has changed since.

        Raises
        ------
        StoreError
            As `scan` does.
        """
        last = self._last
        try:
            is_known = last["given"] == self._given and last["data"] is not None
            is_in_time = time.time() < (last["until"] or float("inf"))
            is_standing = is_known and is_in_time and last["site"] == _state_of_site(self._folder)
            data, report, spared = last["data"], last["report"], last["spared"]
        except (OSError, LookupError, TypeError):
            return None
        return report if is_standing and data == _state_of_data(self._folder, spared) else None

    def has_kept(self, href: str) -> bool:
        """Return whether a file is in the state in which the last publish left it."""
        folder, _, _ = href.rpartition("/")
        with contextlib.suppress(OSError, LookupError, TypeError):
            state = _state_of_file(self._folder.root / href)
            return any(noted[0] == folder and state in noted for noted in self._last["site"])
        return False

    def note(self, found: Scan, report: object, until: float | None) -> None:
        """Note what was reported, and how the site was left.

        Parameters
        ----------
        found : Scan
            What was seen.
        report : object
            What `last_report` shall return, such as JSON can say.
        until : float or None
            When a publish has something to do even if nothing has changed, in
            seconds since 1970.

        Raises
        ------
        OSError
            It cannot be written.
        """
        last = {
            "format": _FORMAT,
            "given": self._given,
            # None if they may change once more without showing it.
            "data": self._states.of(found),
            "spared": sorted(found.spared),
            "site": _state_of_site(self._folder),
            "until": until,
            "report": report,
        }
        with atomic_file(_note(self._folder)) as file:
            file.write(codec.encode(last) + b"\n")

    def forget(self) -> None:
        """Have the next publish look for itself.

        Raises
        ------
        OSError
            The note cannot be removed.
        """
        _note(self._folder).unlink(missing_ok=True)


def _note(folder: SiteFolder) -> Path:
    return folder.private / "last.json"


def _read_note(folder: SiteFolder) -> dict[str, Any]:
    with contextlib.suppress(OSError, IndexFormatError):
        last = codec.decode(read_regular(_note(folder)))
        if isinstance(last, dict) and last.get("format") == _FORMAT:
            return last
    return {}


class _States:
    """A digest of the states of all files, as a scan comes to them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._latest = 0  # modification time, nanoseconds since 1970

    def see(self, files: list[FoundFile]) -> None:
        if not files:  # nor does a folder with nothing in it change anything
            return
        states = list(map(attrgetter("key", "size", "mtime_ns", "inode"), files))
        # Later versions of the form write the same values in more ways than one.
        self._digest.update(marshal.dumps(states, 2))
        self._latest = max(self._latest, max(file.mtime_ns for file in files))

    def of(self, found: Scan) -> str | None:
        """Return it; None if a file is so young that another change would not show."""
        if self._latest >= found.began_ns - SETTLED_NS:
            return None
        digest = self._digest.copy()
        digest.update(marshal.dumps([tuple(one) for one in found.left_out], 2))
        return digest.hexdigest()


def _state_of_data(folder: SiteFolder, published: Collection[str]) -> str | None:
    """Scan, and keep nothing but a digest."""
    states = _States()
    return states.of(scan(folder.data, states.see, keeps_files=False, published=published))


def _state_of_site(folder: SiteFolder) -> list[list[object]]:
    """Return the states of all that a publish writes."""
    found: list[list[object]] = []
    for name in _FILES:
        try:
            found.append(_state_of_file(folder.root / name))
        except FileNotFoundError:
            found.append([name])
    for name in _FOLDERS:
        place = folder.root / name
        if place.is_dir():
            found.append([name, *sorted(map(_state_of_file, place.iterdir()))])
    return found


def _state_of_file(path: Path) -> list[object]:
    status = path.lstat()
    return [path.name, status.st_size, status.st_mtime_ns, status.st_ino]
