"""The places that a site is pushed to: a folder here, or a bucket in `cloud`."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ...disk.atomic import atomic_file, is_link, later_than, remove_leftovers
from ...disk.file_system import open_regular
from ...errors import StoreError, quoted, reason_of
from ...index.fields import key_to_path
from ..documents.root_files import write_git_files
from ..folder.data_path import write_data_path
from ..folder.site_folder import SiteFolder
from .cloud import MOST_READ_BYTES, CloudTarget, Served, too_large

__all__ = ["FolderTarget", "Target", "open_target"]

# `s3:bucket`, or rsync's `host:/folder`, must not become the name of a local folder.
# At least two characters: one is a drive of Windows.
_URL = re.compile(r"([^/\\:]{2,}):")


class Target(Protocol):
    """A place to write files to, each whole or not at all; thread-safe.

    Attributes
    ----------
    url : str
        For messages, without secrets.
    has_folders : bool
        Whether a file and a folder cannot have the same name.
    """

    url: str
    has_folders: bool

    def alone(self) -> AbstractContextManager[None]:
        """Lock out other pushes while the block lasts, where the host has locks."""
        ...

    def read(self, href: str, *, most_bytes: int = MOST_READ_BYTES) -> bytes | None:
        """Return the bytes of a file; None if there is none.

        Raises
        ------
        IndexFormatError
            It has more than `most_bytes`.
        """
        ...

    def write(self, href: str, size: int, pieces: Iterator[bytes], served: Served) -> None:
        """Write a file; if `pieces` raises, raise that and write nothing."""
        ...

    def remove(self, hrefs: Sequence[str]) -> None:
        """Remove files; those that do not exist are ignored."""
        ...


def open_target(
    url: str | os.PathLike[str],
    *,
    endpoint: str | None = None,
    region: str | None = None,
    anonymous: bool = False,
) -> Target:
    """Return the target at a URL or a path, without I/O.

    Parameters
    ----------
    url, endpoint, region, anonymous
        As in `push`.

    Raises
    ------
    StoreError
        There is no such kind of target, the options do not fit it, or the extra
        ``cloud`` is not installed.
    """
    text = os.fspath(url)
    match = _URL.match(text)
    is_file = match is not None and match[1].lower() == "file"
    if match is not None and not is_file:
        return CloudTarget(text, endpoint=endpoint, region=region, anonymous=anonymous)
    if endpoint is not None or region is not None or anonymous:
        raise StoreError("endpoint, region and anonymous are for buckets; the target is a folder")
    return FolderTarget(Path(url2pathname(urlsplit(text).path) if is_file else text))


class FolderTarget:
    """A folder of this machine, or one that is mounted here.

    Parameters
    ----------
    root : Path
        The folder; the first push makes it.
    """

    has_folders = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = quoted(str(root))
        self._cleared: set[Path] = set()
        self._clearing = threading.Lock()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock, which locks out publishers and mirrors as well."""
        folder = SiteFolder(self.root)
        try:
            self._check_links(folder.private)
            self._make_folders(self.root)
        except OSError as error:
            raise folder.write_error(error) from error
        with folder.locked():
            yield

    def read(self, href: str, *, most_bytes: int = MOST_READ_BYTES) -> bytes | None:
        """Return the bytes of a file; None if there is none."""
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
        """Write a file; the folder's own host decides how it is served."""
        path = self._path(href)
        try:
            self._make_folders(path.parent)
            self._clear(path.parent)
            with atomic_file(path, modified=later_than(path)) as file:
                for piece in pieces:
                    file.write(piece)
        except StoreError:  # raised by the pieces; some are also an OSError
            raise
        except OSError as error:
            raise self._unwritable(href, error) from error

    def remove(self, hrefs: Sequence[str]) -> None:
        """Remove files, and the folders that this leaves empty."""
        for href in hrefs:
            path = self._path(href)
            try:
                self._check_links(path.parent)
                path.unlink(missing_ok=True)
                while (path := path.parent) != self.root and not any(path.iterdir()):
                    path.rmdir()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue  # not a file any more
            except OSError as error:
                raise self._error("cannot be removed", href, error) from error

    def write_beside(self, data_path: str) -> None:
        """Write the files that keep git from altering the values, and note where these are."""
        folder = SiteFolder(self.root)
        try:
            write_git_files(folder)
            write_data_path(folder.data_note, data_path)
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
        # Each folder once, before its first file: removes what a killed push left there.
        with self._clearing:
            if folder not in self._cleared:
                remove_leftovers(folder)
                self._cleared.add(folder)

    def _check_links(self, folder: Path) -> None:
        # A link below the root may lead anywhere.
        while folder != self.root:
            if is_link(folder):
                raise StoreError(f"{quoted(str(folder))} is a link, and not written through")
            folder = folder.parent

    def _unwritable(self, href: str, error: OSError) -> StoreError:
        if isinstance(error, IsADirectoryError):
            what = "a folder is in its place"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            what = "a file is in the place of its folder"
        else:
            return self._error("cannot be written", href, error)
        return StoreError(
            f"{quoted(str(self.root / href))} cannot be written: {what}; "
            "if that is a value of an older index, push again with --delete to remove it"
        )

    def _error(self, what: str, href: str, error: OSError) -> StoreError:
        return StoreError(f"{quoted(str(self.root / href))} {what}: {reason_of(error)}")
