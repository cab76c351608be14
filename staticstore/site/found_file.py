"""A file that a scan found, and whether what has its name later is still that file."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

__all__ = ["FoundFile"]


class FoundFile(NamedTuple):
    """A file to publish, as it was when it was found."""

    key: str
    #: Where it is opened; a link's own place, not its target's.
    path: str
    #: Bytes.
    size: int
    #: Modification time, nanoseconds since 1970.
    mtime_ns: int
    inode: int
    #: Of its file system; None if that is not known.
    device: int | None = None

    @classmethod
    def of(cls, key: str, path: str, status: os.stat_result) -> FoundFile:
        """Describe a file by its status."""
        return cls(key, path, status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)

    def is_same(self, status: os.stat_result) -> bool:
        """Return whether an opened file is the one that was found."""
        return status.st_ino == self.inode and self.device in (None, status.st_dev)

    def found_again(self) -> FoundFile | None:
        """Return the file that has the name now; None if there is none, or a link leads to it.

        An editor replaces a file by a new one, and some file systems number their
        files anew; but a link may lead to what was never meant to be published.
        """
        data = self.path.removesuffix(self.key.replace("/", os.sep))
        try:
            status = _status_without_links(data, self.key)
        except OSError:
            return None
        return FoundFile.of(self.key, self.path, status) if stat.S_ISREG(status.st_mode) else None


def _status_without_links(data: str, key: str) -> os.stat_result:
    """Return the status of what a key names below a folder; raise where a link leads on."""
    *above, name = key.split("/")
    if os.open not in os.supports_dir_fd:  # Windows
        place = os.path.join(os.path.realpath(data), *above, name)
        if os.path.realpath(place) != place:
            raise NotADirectoryError
        return os.lstat(place)
    flags = os.O_RDONLY | os.O_DIRECTORY
    folder = os.open(data, flags)
    try:
        for segment in above:
            below = os.open(segment, flags | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)
