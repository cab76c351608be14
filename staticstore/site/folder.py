"""A site's folder: where things stand in it, and how its files are opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError, quoted

__all__ = ["SiteFolder", "path_text", "reason_of"]


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
    def incoming(self) -> Path:
        """Values that a mirror fetches, until they are whole and have their turn."""
        return self.private / "incoming"

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
