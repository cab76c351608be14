"""A scan of a data folder: its files and their keys, and what is left out and why."""

from __future__ import annotations

import bisect
import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Literal, NamedTuple

from ...errors import StoreError, path_text, quoted, reason_of
from ...index.fields import are_keys, key_problem
from .data_file import FoundFile
from .folder_files import Listing, Touched
from .withheld import Withheld, may_be_withheld, path_below, withheld_key

__all__ = ["FoundFile", "LeftOut", "Scan", "scan"]

_MOST_NAMED_LINKS = 20
_PLAIN = re.compile(r"[\w/-]*", re.ASCII)
_TYPE_BITS = stat.S_IFMT(0xFFFF)
_is_junction = getattr(os.DirEntry, "is_junction", None)  # from Python 3.12 on

#: Called with the files of a folder.
Found = Callable[[Listing], object]


class LeftOut(NamedTuple):
    """Something in the data folder that is not published."""

    #: Relative to the data folder, with slashes.
    path: str
    reason: str
    #: ``"failed"``: it should have been published.
    kind: Literal["secret", "litter", "failed"]


@dataclass
class Scan:
    """What a scan found in a data folder.

    Attributes
    ----------
    began_ns : int
        When the scan began, nanoseconds since 1970.
    files : list of FoundFile
        In key order.
    left_out : list of LeftOut
        In the order of their paths.
    exempt : dict of Withheld
        By key: files with withheld names that stay, because they are published already.
    """

    began_ns: int
    files: list[FoundFile] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    exempt: dict[str, Withheld] = field(default_factory=dict)


class _Place(NamedTuple):
    """A folder to be scanned."""

    path: str
    #: Its path below the data folder, with a slash at its end; empty for the data folder.
    prefix: str
    #: Its device and inode.
    identity: tuple[int, int]
    #: Device and inode of it and of the folders above, to find circles of links.
    above: frozenset[tuple[int, int]]
    #: Whether its name is withheld, so that only the published files in it stay.
    is_withheld: bool = False
    #: Whether it was reached through a link.
    is_linked: bool = False
    #: Whether all below it is new.
    is_new: bool = False


def scan(
    data: str | os.PathLike[str],
    found: Found | None = None,
    *,
    keeps_files: bool = True,
    published: Collection[str] = (),
    exempts: Callable[[Withheld], bool] = attrgetter("is_new"),
    only: Touched | None = None,
) -> Scan:
    """Scan a data folder without opening a file.

    Symbolic links are followed if they stay inside; `data` may be one itself.
    Nothing is written, and nothing in the folder can block the scan.

    Parameters
    ----------
    data : path
        The folder.
    found : callable, optional
        Called with the files of each folder, roughly in key order, during the scan.
    keeps_files : bool, optional
        Whether the returned scan has the files, too.
    published : collection of str, optional
        The keys that are published already.
    exempts : callable, optional
        Returns whether a withheld name stays if it is published already; by
        default if earlier versions published such names.
    only : Touched, optional
        The folders to look at; by default all.

    Returns
    -------
    Scan
        The files, and what is left out: secrets and litter by their names, links
        that lead nowhere or in a circle, special files, what cannot be read, and
        names that cannot be keys.

    Raises
    ------
    StoreError
        Links lead out of the folder, and web servers would follow them; the error
        names them.  Or the folder itself cannot be read.

    Notes
    -----
    Costs a system call for each entry, and about 400 bytes of memory.
    """
    walk = _Walk(os.fspath(data), found, published, exempts, keeps_files=keeps_files)
    walk.only = only
    try:
        walk.run()
    except OSError as error:
        raise StoreError(f"{_shown(walk.data)} cannot be read: {reason_of(error)}") from error
    if walk.outward:
        named = "; ".join(walk.outward[:_MOST_NAMED_LINKS])
        more = len(walk.outward) - _MOST_NAMED_LINKS
        raise StoreError(
            f"nothing is published, because symbolic links lead out of {_shown(walk.data)}: {named}"
            f"{f'; and {more} more' if more > 0 else ''}. "
            "Replace each by a copy of what it leads to, or remove it"
        )
    walk.found.files.sort()
    walk.found.left_out.sort()
    return walk.found


class _Walk:
    """A walk through a data folder, depth first and without recursion."""

    def __init__(
        self,
        data: str,
        report: Found | None,
        published: Collection[str],
        exempts: Callable[[Withheld], bool],
        *,
        keeps_files: bool,
    ) -> None:
        self.data = data
        self._report = report
        self._published = published
        self._exempts = exempts
        self._keeps_files = keeps_files
        self.real_root = os.path.realpath(data)
        self.found = Scan(time.time_ns())
        self.outward: list[str] = []
        self._todo: list[_Place] = []
        self._exempt_folders: set[str] = set()
        self.only: Touched | None = None

    def run(self) -> None:
        """Walk; raise OSError if the data folder itself cannot be read."""
        folders = [""] if self.only is None else sorted(self.only.folders, reverse=True)
        self._todo += map(self._place_of, folders)
        while self._todo:
            place = self._todo.pop()
            try:
                with _opened(place.path) as descriptor:
                    if descriptor is None or _identity(os.fstat(descriptor)) == place.identity:
                        self._visit_all(place, descriptor)
                    else:
                        self._fail(place.prefix.rstrip("/"), "it was replaced during the scan")
            except OSError as error:
                if not place.prefix:
                    raise
                self._fail(place.prefix.rstrip("/"), f"it cannot be read: {reason_of(error)}")

    def _place_of(self, prefix: str) -> _Place:
        # By its real path: a link that replaces it later leads to other files.
        path, identity = self.real_root, _identity(os.stat(self.real_root))
        above = {identity}
        for name in prefix.split("/")[:-1]:
            path = os.path.join(path, name)
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            identity = _identity(status)
            above.add(identity)
        return _Place(path, prefix, identity, frozenset(above))

    def _visit_all(self, place: _Place, descriptor: int | None) -> None:
        names, links = _listed(place.path if descriptor is None else descriptor)
        listing = Listing(place.prefix, place.path, place.identity[0], is_linked=place.is_linked)
        folders_before = len(self._todo)
        # One check of all names is faster than one for each.  The whole key matters only below
        # a folder with special characters in its name.  benchmark: publish-again
        checked = names
        if not _PLAIN.fullmatch(place.prefix):
            checked = [place.prefix + name for name in names]
        may_be_refused = place.is_withheld or may_be_withheld(checked) or not are_keys(checked)
        above = "" if descriptor is not None else listing.path
        find, add_name, add_state = os.stat, listing.names.append, listing.states.extend
        is_plain = not links
        for name in names:
            if may_be_refused and self._is_refused(listing, name):
                continue
            is_link = not is_plain and name in links
            try:
                # By the open folder it costs half as much as by the whole path.  A link that
                # has replaced it since the listing is not followed.  benchmark: publish-again
                status = find(above + name, dir_fd=descriptor, follow_symlinks=is_link)
            except OSError as error:
                self._report_unseen(listing, name, error, is_link=is_link)
                continue
            is_file = status.st_mode & _TYPE_BITS == stat.S_IFREG
            if not is_file or is_link or status.st_dev != listing.device:
                self._visit(listing, name, status, place, is_link=is_link)
                continue
            # Not `Listing.add`, which takes longer than all the rest.  benchmark: publish-again
            try:
                add_state((status.st_size, status.st_mtime_ns, status.st_ino))
            except OverflowError:
                del listing.states[3 * len(listing) :]
                listing.add(name, status)
            else:
                add_name(name)
        self._todo[folders_before:] = reversed(self._todo[folders_before:])  # popped from the end
        if self._keeps_files:
            self.found.files += listing
        if self._report is not None:
            self._report(listing)

    def _is_refused(self, listing: Listing, name: str) -> bool:
        key = listing.prefix + name
        withheld = withheld_key(f"{key}/" if os.path.isdir(listing.path + name) else key)
        if withheld is not None and not self._is_exempt(key, withheld):
            self._leave_out(key, withheld)
        elif problem := key_problem(key):
            self._fail(key, f"its name cannot be a key: {problem}")
        else:
            return False
        return True

    def _is_exempt(self, key: str, withheld: Withheld) -> bool:
        # Published already, or a folder with published files in it.
        if not self._exempts(withheld):
            return False
        if self._first_published(key) == key:
            self.found.exempt[key] = withheld
            return True
        if not self._first_published(f"{key}/").startswith(f"{key}/"):
            return False
        self._exempt_folders.add(key)
        return True

    def _first_published(self, text: str) -> str:
        """Return the first published key from a text on; an empty one if there is none."""
        # Withheld names may be as many as all others: macOS puts a file beside each.
        at = bisect.bisect_left(self._published_in_order, text)
        return next(iter(self._published_in_order[at : at + 1]), "")

    @cached_property
    def _published_in_order(self) -> list[str]:
        return sorted(self._published)

    def _report_unseen(self, listing: Listing, name: str, error: OSError, *, is_link: bool) -> None:
        # The target may be unreadable, but whether it is inside is still known.
        key = listing.prefix + name
        dangling = error.errno in (errno.ENOENT, errno.ELOOP)
        if not is_link or dangling or self._may_follow(listing.path + name, key):
            self._fail(key, _why_not(error, is_link=is_link))

    def _visit(
        self,
        listing: Listing,
        name: str,
        status: os.stat_result,
        place: _Place,
        *,
        is_link: bool,
    ) -> None:
        path, key = listing.path + name, listing.prefix + name
        if is_link and not self._may_follow(path, key):
            return
        if stat.S_ISREG(status.st_mode):
            listing.add(name, status, is_link=is_link)
        elif stat.S_ISDIR(status.st_mode):
            self._enter(path, key, status, place, is_linked=is_link or place.is_linked)
        elif stat.S_ISLNK(status.st_mode):
            self._fail(key, "it was replaced during the scan")
        else:
            self._fail(key, "it is not a regular file, but a FIFO, a device or a socket")

    def _enter(
        self, path: str, key: str, status: os.stat_result, place: _Place, *, is_linked: bool
    ) -> None:
        identity = _identity(status)
        if self.only is not None and not place.is_new and f"{key}/" in self.only.known:
            return
        if identity in place.above:
            self._fail(key, "the link leads back to a folder that it is in")
        else:
            is_withheld = place.is_withheld or key in self._exempt_folders
            above = place.above | {identity}
            is_new = self.only is not None
            prefix = f"{key}/"
            self._todo.append(_Place(path, prefix, identity, above, is_withheld, is_linked, is_new))

    def _may_follow(self, path: str, key: str) -> bool:
        target = os.path.realpath(path)
        below = path_below(self.real_root, target)
        if below is None:
            self.outward.append(f"{_shown(key)} -> {_shown(target)}")
            return False
        withheld = withheld_key(f"{below}/" if os.path.isdir(target) else below)
        if withheld is None:
            return True
        if self._first_published(key) == key and self._is_exempt(key, withheld):
            return True
        self._leave_out(key, withheld, f"it leads to {_shown(below)}: ")
        return False

    def _leave_out(self, key: str, withheld: Withheld, how: str = "") -> None:
        reason = how + withheld.reason
        self.found.left_out.append(LeftOut(path_text(key), reason, withheld.kind))

    def _fail(self, key: str, reason: str) -> None:
        self.found.left_out.append(LeftOut(path_text(key), reason, "failed"))


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int | None]:
    """Open a folder for calls with ``dir_fd``; None on systems without them."""
    if os.scandir not in os.supports_fd or os.stat not in os.supports_dir_fd:  # Windows
        yield None
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _listed(folder: str | int) -> tuple[list[str], set[str]]:
    """Return all names in a folder, in order, and which of them are links."""
    names: list[str] = []
    links: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            names.append(entry.name)
            # Windows has junctions beside links.
            if entry.is_symlink() or (_is_junction is not None and _is_junction(entry)):
                links.add(entry.name)
    names.sort()
    return names, links


def _why_not(error: OSError, *, is_link: bool) -> str:
    if error.errno == errno.ELOOP:
        return "the link leads in a circle"
    if error.errno == errno.ENOENT:
        return "the link leads nowhere" if is_link else "it vanished during the scan"
    return f"it cannot be read: {reason_of(error)}"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _shown(path: str) -> str:
    return quoted(path_text(path))
