"""A site's folder: where things stand in it, and how its files are opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError, quoted

__all__ = ["SiteFolder", "is_link", "path_text", "reason_of"]

# What publishers, mirrors and pushes write into, beside the root and the data.
_WRITTEN = (
    "about",
    "index",
    "blocks",
    "changes",
    "packs",
    ".staticstore",
    ".staticstore/incoming",
    ".staticstore/lock",
)
_is_junction = getattr(os.path, "isjunction", None)  # from Python 3.12 on


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
    def head(self) -> Path:
        """Which index is current."""
        return self.root / "index.head.json"

    @property
    def packs(self) -> Path:
        """Copies of many small values in one file."""
        return self.root / "packs"

    @property
    def page(self) -> Path:
        """What a browser shows."""
        return self.root / "index.html"

    @property
    def private(self) -> Path:
        """The publisher's own things, never served or copied."""
        return self.root / ".staticstore"

    @property
    def notes(self) -> Path:
        """What the publisher hashed."""
        return self.private / "notes.json"

    @property
    def mirror_note(self) -> Path:
        """What the origin of a copy said last."""
        return self.private / "mirror.json"

    @property
    def incoming(self) -> Path:
        """Values that a mirror fetches, until they are whole and have their turn."""
        return self.private / "incoming"

    @property
    def lock(self) -> Path:
        """What one publisher at a time holds."""
        return self.private / "lock"

    def check_links(self, *names: str) -> None:
        """Refuse to write through a link: it may lead anywhere.

        Parameters
        ----------
        *names : str
            What stands below the root and is written into, beside the site's own folders.

        Raises
        ------
        StoreError
            One of them is a symbolic link.
        """
        for name in (*names, *_WRITTEN):
            if is_link(self.root / name):
                raise StoreError(
                    f"{quoted(str(self.root / name))} is a symbolic link, and nothing is written "
                    "through one: replace it by what it leads to, or remove it"
                )

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


def is_link(path: str | os.PathLike[str]) -> bool:
    """Return whether a symbolic link stands at a path, or a junction of Windows."""
    return os.path.islink(path) or (_is_junction is not None and _is_junction(path))


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
