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
    #: Whether a link led to it already, from inside of the data folder.
    is_linked: bool = False

    @classmethod
    def of(
        cls, key: str, path: str, status: os.stat_result, *, is_linked: bool = False
    ) -> FoundFile:
        """Describe a file by its status."""
        size, mtime_ns = status.st_size, status.st_mtime_ns
        return cls(key, path, size, mtime_ns, status.st_ino, status.st_dev, is_linked)

    def is_same(self, status: os.stat_result) -> bool:
        """Return whether an opened file is the one that was found, and as it was.

        The inode of a file that is removed may be that of the next one that is
        made, so it says little alone.  Where a link leads to the file, it has to do.
        """
        is_as_it_was = (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)
        return (
            status.st_ino == self.inode
            and self.device in (None, status.st_dev)
            and (is_as_it_was or self.is_linked)
        )

    def found_again(self) -> FoundFile | None:
        """Return the file that has the name now; None if there is none, or a link leads to it.

        An editor replaces a file by a new one, and some file systems number their
        files anew; but a link may lead to what was never meant to be published.
        """
        # With a slash at its end, a link would be followed.
        data = self.path.removesuffix(self.key.replace("/", os.sep)).rstrip(os.sep) or os.sep
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
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    folder = os.open(data, flags)
    try:
        for segment in above:
            below = os.open(segment, flags, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    finally:
        os.close(folder)
