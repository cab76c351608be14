"""What the last publish left: its arguments, its report, and the state of the site.

It is in ``.staticstore/last.json``.  If a site is still as it was left, a publish that
finds no change ends after its scan, and one that finds few has to look at those alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError, path_text
from ...index import codec
from ...index.head import DIGEST_FOLDERS, ENTRY_FOLDERS
from ..documents.compression import is_copy_href
from ..documents.exports import EXPORTS
from ..documents.feed import FEED_NAME
from ..documents.packs import PackState, pack_digest
from ..documents.root_files import GIT_FILES
from .scan import LeftOut

if TYPE_CHECKING:
    from .scan import Scan
    from .site_folder import SiteFolder

__all__ = ["LastPublish", "PublishReport", "digest_of_arguments"]

_FORMAT = "staticstore-last/4"
# What a publish writes, beside files that are named by their digests.
_WRITTEN_FILES = (
    "about.json",
    FEED_NAME,
    *(export.file for export in EXPORTS.values()),
    "index.json",
    "index.head.json",
    "index.html",
    *GIT_FILES,
    ".staticstore/notes",
)


def digest_of_arguments(given: object) -> str:
    """Return a digest of what an index depends on beside the data, as JSON values."""
    return hashlib.sha256(codec.encode(given)).hexdigest()


@dataclass(frozen=True, repr=False)
class PublishReport:
    """What a publish did, or with ``dry_run`` would have done.

    Attributes
    ----------
    generation : int
        The generation of the site; each publish that changes something adds one.
    set, updated, deleted : list of str
        The keys that are new, have other metadata, or are gone; in key order.
    hashed : int
        The number of files that were hashed; the others have not changed since the
        last publish.
    skipped : list of (str, str)
        All that was left out: each path below ``data/``, and why.
    failed : list of (str, str)
        Those of `skipped` that should have been published: all but secrets and litter.
    warnings : list of str
        Probable mistakes: secrets and unfinished files among the data, metadata that
        matches no file, rules of git that change line ends.
    entries : int
        The number of keys in the index.
    bytes : int
        The sizes of their values, summed.
    packed : int
        The number of values that are in a pack, too.
    table : str or None
        The path of the index as a Parquet file, below the site's folder; None without one.
    compressed : int
        The number of values that have a compressed copy.
    expired : list of str
        The keys of files that are left out because the time in their field `expire` has
        passed; in key order.
    """

    generation: int
    set: list[str]
    updated: list[str]
    deleted: list[str]
    hashed: int
    skipped: list[tuple[str, str]]
    failed: list[tuple[str, str]]
    warnings: list[str]
    entries: int
    bytes: int
    packed: int
    table: str | None = None
    compressed: int = 0
    expired: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """Count what the lists name."""
        return (
            f"<PublishReport: generation {self.generation}, {len(self.set)} set, "
            f"{len(self.updated)} updated, {len(self.deleted)} deleted, {self.entries} entries, "
            f"{len(self.skipped)} skipped, {len(self.failed)} failed>"
        )


@dataclass(frozen=True)
class LastPublish:
    """What is known of the last publish.

    Attributes
    ----------
    given : str
        The digest of its arguments; see `digest_of_arguments`.
    index : str
        The sha256 of the index, lowercase hex.
    left_out : list of LeftOut
        What its scan and its hashing have left out.
    exempt : list of str
        The keys with withheld names that stayed, because they were published already.
    report : PublishReport
        That of a publish that changes nothing from then on.
    metadata_warnings : list of str
        Those of its warnings that concern the metadata.
    unfinished : list of str
        The keys with names of unfinished files, in order.
    has_git_rules : bool
        Whether there are rules of git that change line ends.
    packs : dict of PackState
        The packs that the index names, by href.
    has_loose_values : bool
        Whether a value that is to be packed is in no pack, or one that is to be compressed
        has no copy, since its file has changed.
    copies : dict of int
        How many values each compressed copy that the index names is of, by href.
    incompressible : list of str
        The sha256 of values of which a compressed copy would save too little.
    expires : float or None
        When the next entry expires, in seconds since 1970; None if none does.
    is_plain : bool
        Whether a change in one folder can matter only there: no link was followed, and all
        that was left out was left out by its name.
    until : float or None
        When a publish has work to do even if nothing has changed, in seconds since 1970.
    """

    given: str
    index: str
    left_out: list[LeftOut]
    exempt: list[str]
    report: PublishReport
    metadata_warnings: list[str]
    unfinished: list[str]
    has_git_rules: bool
    packs: dict[str, PackState]
    has_loose_values: bool
    copies: dict[str, int]
    incompressible: list[str]
    expires: float | None
    is_plain: bool
    until: float | None = None
    site: list[Any] = field(default_factory=list, repr=False)

    @classmethod
    def read(cls, folder: SiteFolder) -> LastPublish | None:
        """Read what the last publish noted; None if that is missing or damaged."""
        import msgspec  # slow to import

        with contextlib.suppress(OSError, IndexFormatError, msgspec.ValidationError):
            note = codec.decode(read_regular(_path(folder)))
            if isinstance(note, dict) and note.get("format") == _FORMAT:
                last = msgspec.convert(note, cls)
                # They become paths.
                are_packs = all(map(pack_digest, last.packs))
                return last if are_packs and all(map(is_copy_href, last.copies)) else None
        return None

    @classmethod
    def expired_keys(cls, folder: SiteFolder, index: str) -> frozenset[str]:
        """Return the keys that the publish of an index left out because they had expired.

        Parameters
        ----------
        folder : SiteFolder
            The site.
        index : str
            The sha256 of the index, lowercase hex; none are known of one that is not the last.
        """
        last = cls.read(folder)
        return frozenset(last.report.expired if last is not None and last.index == index else ())

    def is_current(self, folder: SiteFolder, given: str) -> bool:
        """Return whether the site is as it was left, nothing has expired, and `given` is equal."""
        try:
            is_in_time = self.expires is None or time.time() < self.expires
            return is_in_time and self.given == given and self.site == _state_of_site(folder)
        except OSError:
            return False

    def is_quiet(self, found: Scan) -> bool:
        """Return whether a publish that finds no changed file has nothing to do.

        Parameters
        ----------
        found : Scan
            What else its scan has found.
        """
        has_failed = any(one.kind == "failed" for one in self.left_out)
        is_in_time = self.until is None or time.time() < self.until
        is_the_same = found.left_out == self.left_out and sorted(found.exempt) == self.exempt
        return is_in_time and is_the_same and not has_failed

    def is_unchanged(self, folder: SiteFolder, href: str) -> bool:
        """Return whether a file is in the state in which the last publish left it."""
        above, _, _ = href.rpartition("/")
        with contextlib.suppress(OSError, LookupError, TypeError):
            state = _state_of_file(folder.root / href)
            return any(noted[0] == above and state in noted for noted in self.site)
        return False

    def write(self, folder: SiteFolder) -> None:
        """Note this publish, and the state of the site now.

        Raises
        ------
        OSError
            The note cannot be written.
        """
        note = {"format": _FORMAT, **vars(self), "site": _state_of_site(folder)}
        with atomic_file(_path(folder)) as file:
            file.write(codec.encode(note) + b"\n")


def _path(folder: SiteFolder) -> Path:
    return folder.private / "last.json"


def _state_of_site(folder: SiteFolder) -> list[list[object]]:
    found: list[list[object]] = []
    for name in _WRITTEN_FILES:
        try:
            found.append(_state_of_file(folder.root / name))
        except FileNotFoundError:
            found.append([name])
    for name in (*DIGEST_FOLDERS, *ENTRY_FOLDERS):
        place = folder.root / name
        if place.is_dir():
            found.append([name, *sorted(map(_state_of_file, place.iterdir()))])
    return found


def _state_of_file(path: Path) -> list[object]:
    status = path.lstat()
    return [path_text(path.name), status.st_size, status.st_mtime_ns, status.st_ino]
