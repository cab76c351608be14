"""What a site is pushed to, and a folder as such a target."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import IndexFormatError, StoreError, quoted
from ..index.keys import key_to_path
from ..transport.atomic import atomic_file, remove_leftovers
from ..transport.regular import open_regular
from .folder import SiteFolder, is_link, later_than, reason_of
from .root_files import write_git_files

__all__ = ["MOST_BYTES", "FolderTarget", "Served", "Target", "too_large"]

#: The most that is read of a file.
MOST_BYTES = 4 << 30


class Served(NamedTuple):
    """How a host shall serve a file."""

    media_type: str
    cache_control: str


class Target(Protocol):
    """A place that files can be written to, each whole or not at all; any thread may use it."""

    #: For texts; without secrets.
    url: str
    #: Whether no file can stand beside a folder of the same name.
    has_folders: bool

    def alone(self) -> AbstractContextManager[None]:
        """Keep other pushes away while the block lasts, where the host can do that."""
        ...

    def read(self, href: str, *, most_bytes: int = MOST_BYTES) -> bytes | None:
        """Return the bytes of a file, or None if there is none; raise if they are more."""
        ...

    def write(self, href: str, size: int, pieces: Iterator[bytes], served: Served) -> None:
        """Write a file; what `pieces` raises is raised, and the file then is not written."""
        ...

    def remove(self, hrefs: Sequence[str]) -> None:
        """Remove files, which may be gone already."""
        ...


def too_large(href: str, url: str) -> IndexFormatError:
    """Return the error that says that a file at a target is larger than it may be."""
    return IndexFormatError(f"{href} at {url} is too large")


class FolderTarget:
    """A folder of this machine, or one that is mounted here.

    Parameters
    ----------
    root : Path
        It is made by the first push.
    """

    has_folders = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = quoted(str(root))
        self._cleared: set[Path] = set()
        self._clearing = threading.Lock()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock while the block lasts, and so keep publishers away, too."""
        folder = SiteFolder(self.root)
        try:
            self._check_links(folder.private)
            self._make_folders(self.root)
        except OSError as error:
            raise folder.write_error(error) from error
        with folder.locked():
            yield

    def read(self, href: str, *, most_bytes: int = MOST_BYTES) -> bytes | None:
        """Return the bytes of a file, or None if there is none; raise if they are more."""
        try:
            with open_regular(self._path(href)) as file:
                if os.fstat(file.fileno()).st_size > most_bytes:
                    raise too_large(href, self.url)
                return file.readall()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._error("cannot be read", href, error) from error

    def write(self, href: str, size: int, pieces: Iterator[bytes], served: Served) -> None:
        """Write a file; how it is served is for the host to say."""
        path = self._path(href)
        try:
            self._make_folders(path.parent)
            self._clear(path.parent)
            with atomic_file(path, modified=later_than(path)) as file:
                for piece in pieces:
                    file.write(piece)
        except OSError as error:
            if isinstance(error, StoreError):  # of the pieces
                raise
            raise self._unwritable(href, error) from error

    def remove(self, hrefs: Sequence[str]) -> None:
        """Remove files, and the folders that become empty."""
        for href in hrefs:
            path = self._path(href)
            try:
                self._check_links(path.parent)
                path.unlink(missing_ok=True)
                while (path := path.parent) != self.root and not any(path.iterdir()):
                    path.rmdir()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue  # it is no file any more
            except OSError as error:
                raise self._error("cannot be removed", href, error) from error

    def write_git_files(self) -> None:
        """Keep git from changing what is pushed, where the folder is a checkout."""
        folder = SiteFolder(self.root)
        try:
            write_git_files(folder)
        except OSError as error:
            raise folder.write_error(error) from error

    def _path(self, href: str) -> Path:
        return self.root / key_to_path(href)

    def _make_folders(self, folder: Path) -> None:
        self._check_links(folder)
        missing = itertools.takewhile(lambda one: not one.is_dir(), (folder, *folder.parents))
        for one in reversed(list(missing)):  # mkdir(parents=True) recurses once per folder
            one.mkdir(exist_ok=True)

    def _clear(self, folder: Path) -> None:
        """Remove what a killed push left in a folder, before anything is written there."""
        with self._clearing:
            if folder not in self._cleared:
                remove_leftovers(folder)
                self._cleared.add(folder)

    def _check_links(self, folder: Path) -> None:
        """Refuse to go through a link below the root: it may lead anywhere."""
        while folder != self.root:
            if is_link(folder):
                raise StoreError(f"{quoted(str(folder))} is a link, and not written through")
            folder = folder.parent

    def _unwritable(self, href: str, error: OSError) -> StoreError:
        if isinstance(error, IsADirectoryError):
            what = "a folder stands in its place"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            what = "a file stands where its folder would be"
        else:
            return self._error("cannot be written", href, error)
        return StoreError(
            f"{quoted(str(self.root / href))} cannot be written: {what}; "
            "a push that deletes removes it, if it is a value of before"
        )

    def _error(self, what: str, href: str, error: OSError) -> StoreError:
        return StoreError(f"{quoted(str(self.root / href))} {what}: {reason_of(error)}")
