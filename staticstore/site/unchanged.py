"""Whether anything has changed since the last publish: told by a look at each file, and no more.

A publish that changes nothing is what runs every few minutes.  The last one
has noted in ``.staticstore/last.json`` what it was given, what lay in the
folder, and what it reported; if all of that is still the same, that report is
the new one.  Whoever deletes the note loses nothing but time.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from ..index import codec
from ..transport.integrity import atomic_file
from ..transport.regular import read_regular
from .folder import SiteFolder
from .notes import SETTLED_NS

__all__ = ["Look"]

_FORMAT = "staticstore-last/1"
# What a publish writes, beside the folders of what is named by its digest.
_FILES = ("index.json", "index.head.json", "index.html", ".nojekyll", ".staticstore/notes.json")
_FOLDERS = ("index", "changes", "blocks", "packs")


class Look(NamedTuple):
    """What a publish is given, and what lay in the data folder before it began.

    A file that changes after the look, whether or not the publish sees that,
    makes the next look another.
    """

    folder: SiteFolder
    #: Digest of all that the index depends on beside the data.
    given: str
    #: Digest of the state of each file; None where that cannot be told, or not yet.
    data: str | None

    @classmethod
    def at(cls, folder: SiteFolder, given: object) -> Look:
        """Look at each file of a data folder, without opening any.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        given : object
            What the index depends on beside the data, such as JSON can say.

        Notes
        -----
        Costs a system call for each file: 0.3 s for 100,000 of them.
        """
        return cls(folder, hashlib.sha256(codec.encode(given)).hexdigest(), _state_of(folder.data))

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
            _note(self.folder).unlink(missing_ok=True)
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


def _note(folder: SiteFolder) -> Path:
    return folder.private / "last.json"


def _state_of(data: Path) -> str | None:
    """Return a digest of name, size, time and inode of each file; None if some cannot be believed.

    That is so of links, which would have to be followed; of what cannot be
    read; and of files so young that another change would not show.
    """
    settled = time.time_ns() - SETTLED_NS
    digest = hashlib.sha256()
    places = [os.fspath(data)]
    try:
        while places:
            place = places.pop()
            states, folders = _look_into(place)
            if any(not stat.S_ISREG(state[1]) or state[3] >= settled for state in states):
                return None
            places += (f"{place}/{name}" for name in folders)
            digest.update(marshal.dumps((place, folders, states), 2))
    except OSError:
        return None
    return digest.hexdigest()


_State = tuple[str, int, int, int, int]


def _look_into(place: str) -> tuple[list[_State], list[str]]:
    """Return the states of what is in a folder, and the names of the folders there."""
    states, folders = [], []
    for name, status in _statuses(place):
        if stat.S_ISDIR(status.st_mode):
            folders.append(name)
        else:
            numbers = status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino
            states.append((name, *numbers))
    return sorted(states), sorted(folders)


def _statuses(place: str) -> Iterable[tuple[str, os.stat_result]]:
    """Yield each name in a folder, and what the system says of it."""
    if os.listdir not in os.supports_fd or os.stat not in os.supports_dir_fd:  # Windows
        for name in os.listdir(place):
            yield name, os.stat(os.path.join(place, name), follow_symlinks=False)
        return
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in os.listdir(descriptor):  # half as dear as by whole paths
            yield name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    finally:
        os.close(descriptor)


def _state_of_site(folder: SiteFolder) -> list[list[object]]:
    """Return the states of all that a publish writes."""
    found: list[list[object]] = []
    for name in _FILES:
        try:
            status = os.stat(folder.root / name, follow_symlinks=False)
        except FileNotFoundError:
            found.append([name])
        else:
            found.append([name, status.st_size, status.st_mtime_ns, status.st_ino])
    for name in _FOLDERS:
        place = folder.root / name
        if place.is_dir():
            found.append([name, *map(list, _look_into(os.fspath(place))[0])])
    return found
