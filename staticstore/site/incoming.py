"""The folder of what a mirror fetches, until it is whole: ``.staticstore/incoming``.

What is in it is verified, and takes its place later; so it is the user's own, and
closed to others.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from functools import partial
from pathlib import Path

from ..errors import StoreError
from ..transport.part_file import PartFolder
from ..transport.regular import NotOwnError, foreign_part, open_regular
from .folder import SiteFolder, is_link

__all__ = ["opened_incoming", "parts_of", "sha256_of"]


def opened_incoming(folder: SiteFolder) -> Path:
    """Return the folder, made anew if it is not the user's own.

    Raises
    ------
    StoreError
        A link stands where it is written.
    OSError
        It cannot be made, or somebody else's cannot be removed.
    """
    folder.check_links()
    place = folder.incoming
    if os.path.lexists(place) and foreign_part(place.lstat()) is not None:
        shutil.rmtree(place)
    place.mkdir(mode=0o700, exist_ok=True)
    if (reason := foreign_part(place.lstat())) is not None:
        raise NotOwnError(errno.EPERM, f"{place.name} {reason}")
    return place


def parts_of(folder: SiteFolder, *, keeps: bool = False) -> PartFolder:
    """Return where the beginnings of a site's documents stay that break off; see `PartFolder`."""
    return PartFolder(partial(_opened_for_parts, folder), keeps=keeps)


def _opened_for_parts(folder: SiteFolder, makes: bool) -> Path:
    if makes:
        try:
            folder.private.mkdir(parents=True, exist_ok=True)
            return opened_incoming(folder)
        except StoreError as error:
            raise NotOwnError(errno.ELOOP, str(error)) from error
    place = folder.incoming
    if is_link(folder.private) or (foreign_part(place.lstat()) is not None):
        raise NotOwnError(errno.EPERM, f"{place.name} is somebody else's")
    return place


def sha256_of(path: Path) -> str | None:
    """Return the digest of a file in that folder; None if there is none of the user's own."""
    try:
        # Whatever the permissions of new files are: nobody else comes into this folder.
        if foreign_part(path.lstat(), is_sheltered=True) is not None:
            return None
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
