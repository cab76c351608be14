"""A site's folder: where things stand in it, and how its files are opened."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError, quoted

__all__ = [
    "NotRegularError",
    "SiteFolder",
    "open_regular",
    "path_text",
    "read_regular",
    "reason_of",
]

# Opening a FIFO without O_NONBLOCK waits for its writer, for ever if need be.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


class NotRegularError(OSError):
    """What stands there is no file: a folder, a FIFO, a device or a socket."""


@dataclass(frozen=True)
class SiteFolder:
    """The places in a site's folder; nothing is said of what stands there.

    Attributes
    ----------
    root : Path
        The folder, as it was given.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The values."""
        return self.root / "data"

    @property
    def index(self) -> Path:
        """The index."""
        return self.root / "index.json"

    @property
    def nojekyll(self) -> Path:
        """What makes GitHub Pages serve files whose names start with a dot or underscore."""
        return self.root / ".nojekyll"

    @property
    def private(self) -> Path:
        """The publisher's own things, never served or copied."""
        return self.root / ".staticstore"

    @property
    def notes(self) -> Path:
        """What the publisher hashed."""
        return self.private / "notes.json"

    @property
    def lock(self) -> Path:
        """What one publisher at a time holds."""
        return self.private / "lock"

    @classmethod
    def open(cls, site: str | os.PathLike[str]) -> SiteFolder:
        """Return the folder of a site that has data.

        Raises
        ------
        StoreError
            There is no such folder, or no ``data`` in it.
        """
        folder = cls(Path(site))
        if not os.path.isdir(folder.root):
            raise StoreError(
                f"there is no folder {quoted(str(folder.root))}: "
                "create it, and put the files to publish into a folder named data in it"
            )
        if not os.path.isdir(folder.data):
            raise StoreError(
                f"there is no folder {quoted(str(folder.data))}: "
                "create it, and put the files to publish into it"
            )
        return folder


def open_regular(path: str | os.PathLike[str]) -> int:
    """Open a file for reading without ever waiting for it.

    Returns
    -------
    int
        A file descriptor, the caller's to close.

    Raises
    ------
    NotRegularError
        It is a folder, a FIFO, a device or a socket.
    OSError
        It cannot be opened.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device that nobody drives
            raise NotRegularError(error.errno, "no regular file") from error
        raise
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    if not regular:
        os.close(descriptor)
        raise NotRegularError(errno.EINVAL, "no regular file")
    return descriptor


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Read a file whole; raise as `open_regular` does."""
    with open(open_regular(path), "rb") as file:
        return file.read()


def reason_of(error: OSError) -> str:
    """Say what the operating system said, without the path, which may hold anything."""
    return error.strerror or type(error).__name__


def path_text(path: str) -> str:
    r"""Return a path as a text that can be written everywhere: what is not UTF-8, escaped.

    Examples
    --------
    >>> path_text("caf\udce9.csv")
    'caf\\xe9.csv'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
