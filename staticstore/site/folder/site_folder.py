"""A site's folder: its places, how they are read and locked, and its links."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ...disk.atomic import is_link, remove_leftovers
from ...disk.file_system import read_regular
from ...errors import IndexFormatError, StoreError, path_text, quoted, reason_of
from ...index.head import DIGEST_FOLDERS, ENTRY_FOLDERS, Head, NamedDocument
from ...index.snapshot import Index
from ...trust.layout import TRUST_FOLDER
from .data_path import DATA_PATH, check_inside, checked_data_path, noted_data_path
from .withheld import is_hidden, path_below, withheld_key

__all__ = [
    "FolderIndex",
    "SiteFolder",
    "link_problem",
    "problems_of_links",
]

# What publish, mirror and push write into, beside the root and the data.
_WRITTEN = (
    *(*DIGEST_FOLDERS, *ENTRY_FOLDERS, TRUST_FOLDER),
    *(".staticstore", ".staticstore/incoming", ".staticstore/lock"),
)
# Of a scheme two letters at least: C: is a drive.  A `Path` has lost one of the slashes.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class FolderIndex(NamedTuple):
    """The index of a site's folder, as far as it can be read."""

    #: The bytes of ``index.json``; None if it is missing or cannot be read.
    body: bytes | None
    #: What they say, or else the index that the head names; empty if neither can be read.
    snapshot: Index
    #: Why ``index.json`` is not used; None if it is used or missing.
    problem: str | None = None


@dataclass(frozen=True)
class SiteFolder:
    """The places in a site's folder.  Nothing has to exist there.

    Attributes
    ----------
    root : Path
        The folder, as it was given.
    data_path : str
        The path from there to the values, with a slash at its end.
    """

    root: Path
    data_path: str = DATA_PATH

    @property
    def data(self) -> Path:
        """The values."""
        return self.root / self.data_path[:-1]

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
        """The publisher's own files, never served or copied."""
        return self.root / ".staticstore"

    @property
    def notes(self) -> Path:
        """The states and digests of files, as a publish or a mirror has left them."""
        return self.private / "notes"

    @property
    def mirror_note(self) -> Path:
        """What the origin of a copy said last."""
        return self.private / "mirror.json"

    @property
    def incoming(self) -> Path:
        """Values that a mirror has fetched, until they get their names."""
        return self.private / "incoming"

    @property
    def lock(self) -> Path:
        """The file that one publish, mirror or push at a time locks."""
        return self.private / "lock"

    @property
    def data_note(self) -> Path:
        """Where the values are, if not in ``data/``."""
        return self.private / "data.json"

    @classmethod
    def at(cls, site: str | os.PathLike[str], data_path: str = DATA_PATH) -> SiteFolder:
        """Return the folder at the path that a person has given.

        Raises
        ------
        StoreError
            It is a URL: as a path it would name a folder ``https:`` in the current one.
        """
        if _URL.match(text := os.fspath(site)):
            raise StoreError(
                "a folder of this machine is needed here, not a URL: 'staticstore mirror' copies "
                "a site into a folder, and 'staticstore push' uploads one into a bucket",
                url=text,
            )
        return cls(Path(site), data_path)

    @classmethod
    def of(
        cls, site: str | os.PathLike[str], data: str | os.PathLike[str] | None = None
    ) -> SiteFolder:
        """Return the folder of a site, with its values where they are noted or given.

        Raises
        ------
        StoreError
            `data` is no folder below it that may contain values, or the noted folder leads
            out of it by a link.
        """
        folder = cls.at(site)
        if data is not None:
            return cls(folder.root, checked_data_path(folder.root, data))
        data_path = noted_data_path(folder.data_note)
        check_inside(folder.root, data_path)
        return cls(folder.root, data_path)

    @classmethod
    def open(
        cls, site: str | os.PathLike[str], data: str | os.PathLike[str] | None = None
    ) -> SiteFolder:
        """Return the folder of a site that has data.

        Raises
        ------
        StoreError
            There is no such folder, or no data in it.
        """
        folder = cls.at(site)
        if os.path.isdir(folder.root):
            folder = cls.of(site, data)
        else:
            raise StoreError(
                f"there is no folder {quoted(str(folder.root))}: "
                "create it, and put the files to publish into a folder named data in it"
            )
        if not os.path.isdir(folder.data):
            raise StoreError(
                f"there is no folder {quoted(str(folder.data))}: "
                "create it, and put the files to publish into it, or name the folder of the site "
                "that contains them (data, --data)"
            )
        return folder

    def read_head(self) -> Head | None:
        """Read the head; None if there is none that can be read."""
        try:
            return Head.parse(read_regular(self.head))
        except (OSError, IndexFormatError):
            return None

    def read_document(self, document: NamedDocument) -> bytes | None:
        """Read a document that a head names; None unless its size and digest are right."""
        return _read_exactly(self.root / document.href, document)

    def has_document(self, document: NamedDocument, body: bytes) -> bool:
        """Return whether the file of a document has exactly these bytes."""
        try:
            return read_regular(self.root / document.href) == body
        except OSError:
            return False

    def index_of(
        self, head: Head, read: Callable[[NamedDocument], bytes | None] | None = None
    ) -> Index | None:
        """Return the index that a head names; None if it cannot be read.

        Parameters
        ----------
        head : Head
            The head.
        read : callable, optional
            What reads the index under its digest; by default `read_document`.  Where
            it returns None, ``index.json`` is tried.
        """
        body = (read or self.read_document)(head.index) or _read_exactly(self.index, head.index)
        try:
            return None if body is None else Index.parse(body)
        except IndexFormatError:
            return None

    def read_index(self) -> FolderIndex:
        """Read the index as far as possible: from ``index.json``, or as the head names it."""
        body = problem = None
        try:
            body = read_regular(self.index)
            return FolderIndex(body, Index.parse(body))
        except FileNotFoundError:
            pass
        except IndexFormatError as error:
            problem = str(error)
        except OSError as error:
            problem = f"it cannot be read: {reason_of(error)}"
        head = self.read_head()
        named = None if head is None else self.index_of(head)
        return FolderIndex(body, named or Index.from_entries({}), problem)

    def read_published(self, name: str) -> bytes:
        """Read a file of the root that every published site has.

        Raises
        ------
        StoreError
            It is missing, or cannot be read.
        """
        try:
            return read_regular(self.root / name)
        except FileNotFoundError:
            shown = quoted(str(self.root))
            raise StoreError(f"{shown} has no {name}: publish it first") from None
        except OSError as error:
            raise StoreError(f"{name} cannot be read: {reason_of(error)}") from error

    def tidy(self) -> None:
        """Remove the temporary files that a killed process left behind.

        Raises
        ------
        OSError
            One cannot be removed.
        """
        for name in ("", ".staticstore", *ENTRY_FOLDERS, TRUST_FOLDER, *DIGEST_FOLDERS):
            remove_leftovers(self.root / name)

    def check_links(self, *names: str) -> None:
        """Refuse to write through a link, which may lead anywhere.

        Parameters
        ----------
        *names : str
            Paths below the root that are written to, beside the site's own folders.

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

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the site's lock during the block: one publish, mirror or push at a time.

        The lock is the operating system's, so it ends with the process, even a killed
        one; the locked file stays.

        Raises
        ------
        StoreError
            Another process holds the lock; one of the site's own folders is a link;
            the lock file is not a plain file; or the folder cannot be written.
        """
        import filelock  # slow to import: it takes as long as all the rest of staticstore

        self.check_links()
        with contextlib.ExitStack() as held:
            is_new = not self.private.exists()
            try:
                self.private.mkdir(exist_ok=True)
                self._check_lock()
                held.enter_context(filelock.FileLock(self.lock).acquire(timeout=0))
            except filelock.Timeout as error:
                raise StoreError(
                    f"another publish, mirror or push is running on {quoted(str(self.root))}: "
                    "wait until it has ended"
                ) from error
            except (OSError, NotImplementedError) as error:
                raise self.write_error(error) from error
            try:
                yield
            except StoreError:
                if is_new:  # a refused run leaves nothing behind
                    self._remove_lock()
                raise

    def _check_lock(self) -> None:
        # Locking empties the file, and with it every other file that shares its inode.
        with contextlib.suppress(FileNotFoundError):
            status = self.lock.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise StoreError(
                    f"{quoted(str(self.lock))} is no plain file, but a link or a device: remove it"
                )

    def _remove_lock(self) -> None:
        with contextlib.suppress(OSError):
            if [path.name for path in self.private.iterdir()] == [self.lock.name]:
                self.lock.unlink()
                self.private.rmdir()

    def write_error(self, error: Exception) -> StoreError:
        """Return the error that says that the folder cannot be written, and why."""
        reason = reason_of(error) if isinstance(error, OSError) else "its file system has no locks"
        return StoreError(f"{quoted(str(self.root))} cannot be written: {reason}")


def _read_exactly(path: Path, document: NamedDocument) -> bytes | None:
    try:
        body = read_regular(path)
    except OSError:
        return None
    return body if document.describes(body) else None


def link_problem(root: str, data: str, path: str) -> str | None:
    """Return why the target of a path must not be published; None if it may be.

    Parameters
    ----------
    root, data : str
        The site's folder, and its data, which may be a link to another place.
    path : str
        A path below them.  All links in it are followed.
    """
    real, real_root, real_data = map(os.path.realpath, (path, root, data))
    if (below := path_below(real_root, real)) is not None:
        is_refused = is_hidden(below)
    elif (below := path_below(real_data, real)) is not None:
        is_refused = withheld_key(below) is not None
    else:
        return "a symbolic link leads out of the site"
    if not is_refused:
        return None
    return f"a symbolic link leads to {quoted(path_text(below))}, which is withheld"


def problems_of_links(root: str, data: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the keys whose files must not be published because of a link, and why.

    Notes
    -----
    Costs a system call for each key, and some for each folder.
    """
    real_data = os.path.realpath(data)
    folders: dict[str, str | None] = {"": None}
    problems: dict[str, str] = {}
    for key in keys:
        above = key.rpartition("/")[0]
        if above not in folders:
            path = os.path.join(real_data, *above.split("/"))
            has_links = os.path.realpath(path) != path
            folders[above] = link_problem(root, data, path) if has_links else None
        path = f"{data}/{key}"
        problem = folders[above] or (link_problem(root, data, path) if is_link(path) else None)
        if problem is not None:
            problems[key] = problem
    return problems
