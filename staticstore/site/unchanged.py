"""Whether anything has changed since the last publish: told by a scan, and no more.

A publish that changes nothing is what runs every few minutes.  The last one
has noted in ``.staticstore/last.json`` what it was given, what lay in the
folder, and what it reported; if all of that is still the same, that report is
the new one.  Whoever deletes the note loses nothing but time.
"""

from __future__ import annotations

import hashlib
import marshal
import time
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from ..index import codec
from ..transport.integrity import atomic_file
from ..transport.regular import read_regular
from .folder import SiteFolder
from .notes import SETTLED_NS
from .scan import Scan

__all__ = ["Look"]

_FORMAT = "staticstore-last/1"
# What a publish writes, beside the folders of what is named by its digest.
_FILES = ("index.json", "index.head.json", "index.html", ".nojekyll", ".staticstore/notes.json")
_FOLDERS = ("index", "changes", "blocks", "packs")


class Look(NamedTuple):
    """What a publish is given, and what its scan has found.

    A file that changes after the scan, whether or not the publish sees that,
    makes the next scan another.
    """

    folder: SiteFolder
    #: Digest of all that the index depends on beside the data.
    given: str
    #: Digest of the state of each file; None if some are so young that another change
    #: would not show.
    data: str | None

    @classmethod
    def at(cls, folder: SiteFolder, given: object, found: Scan) -> Look:
        """Sum up what the index depends on.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        given : object
            What the index depends on beside the data, such as JSON can say.
        found : Scan
            What lies in its data folder.
        """
        return cls(folder, hashlib.sha256(codec.encode(given)).hexdigest(), _state_of(found))

    def last_report(self) -> dict[str, Any] | None:
        """Return what the last publish reported, if nothing at all has changed since."""
        if self.data is None:
            return None
        try:
            last = codec.decode(read_regular(_note(self.folder)))
            if last["format"] != _FORMAT or time.time() >= (last["until"] or float("inf")):
                return None
            is_same = (last["given"], last["data"]) == (self.given, self.data)
            is_standing = is_same and last["site"] == _state_of_site(self.folder)
            report: dict[str, Any] = last["report"]
        except (OSError, IndexFormatError, LookupError, TypeError):
            return None
        return report if is_standing else None

    def note(self, report: object, until: float | None) -> None:
        """Note what was reported, if that can be believed next time.

        Parameters
        ----------
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
        if self.data is None:
            self.forget()
            return
        last = {
            "format": _FORMAT,
            "given": self.given,
            "data": self.data,
            "site": _state_of_site(self.folder),
            "until": until,
            "report": report,
        }
        with atomic_file(_note(self.folder)) as file:
            file.write(codec.encode(last) + b"\n")

    def forget(self) -> None:
        """Have the next publish look for itself.

        Raises
        ------
        OSError
            The note cannot be removed.
        """
        _note(self.folder).unlink(missing_ok=True)


def _note(folder: SiteFolder) -> Path:
    return folder.private / "last.json"


def _state_of(found: Scan) -> str | None:
    settled = found.began_ns - SETTLED_NS
    if any(file.mtime_ns >= settled for file in found.files):
        return None
    states = list(map(attrgetter("key", "size", "mtime_ns", "inode"), found.files))
    left_out = [tuple(one) for one in found.left_out]
    # Later versions write the same values in more ways than one.
    return hashlib.sha256(marshal.dumps((states, left_out), 2)).hexdigest()


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
