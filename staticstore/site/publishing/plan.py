"""Plan a publish: survey the data, and make the new index, head and report."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import quoted
from ...index.changes import Action, diff
from ...index.fields import Content, Place, parse_time, time_text
from ...index.snapshot import Index
from ..documents.head_files import HeadFiles, next_head
from ..documents.packs import Packing, pack_values, unchanged_places
from ..documents.root_files import git_warnings
from ..folder.data_file import FileDigest, FoundFile, media_type_of
from ..folder.notes import Notes, QuickCheck, read_notes
from ..folder.scan import LeftOut, scan
from ..folder.withheld import unfinished
from .text_files import KeySearch

if TYPE_CHECKING:
    from ...index.head import Head
    from ..about import SiteAbout
    from ..folder.hashing import Hashing
    from ..folder.site_folder import SiteFolder
    from ..guards import Guards
    from ..predecessor import Predecessor
    from .metadata import Metadata

__all__ = ["DataSurvey", "PublishPlan", "PublishReport", "plan_publish"]

_MOST_WARNINGS = 100  # of one kind
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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

    def __repr__(self) -> str:
        """Count what the lists name."""
        return (
            f"<PublishReport: generation {self.generation}, {len(self.set)} set, "
            f"{len(self.updated)} updated, {len(self.deleted)} deleted, {self.entries} entries, "
            f"{len(self.skipped)} skipped, {len(self.failed)} failed>"
        )


class DataSurvey:
    """The files of a data folder and their digests, noted or hashed.

    Parameters
    ----------
    folder : SiteFolder
        The site.  Its data is scanned at once.
    hashing : Hashing
        Hashes the files that the notes do not know.
    check : QuickCheck
        Records the files, too.
    published : collection of str
        The keys that are published already.

    Attributes
    ----------
    check : QuickCheck
        The same.
    found : Scan
        What the scan has found.
    notes : Notes
        The notes of the last publish; empty until `take` has begun.
    digests : dict of FileDigest
        The digests so far, by key.
    left_out : list of LeftOut
        The files that could not be hashed so far.
    hashed : int
        The number of files hashed so far.

    Raises
    ------
    StoreError
        As `scan` does.
    """

    def __init__(
        self,
        folder: SiteFolder,
        hashing: Hashing,
        check: QuickCheck,
        published: Collection[str],
    ) -> None:
        self._folder = folder
        self._hashing = hashing
        self.check = check
        # Without notes all files are new, and hashed during the scan.  benchmark: publish-small
        self._is_first = not any(map(os.path.exists, (folder.notes, folder.bulk_notes)))
        self.found = scan(folder.data, self._see, published=published)
        self.notes = Notes({})
        self.digests: dict[str, FileDigest] = {}
        self.left_out: list[LeftOut] = []
        self.hashed = 0

    def _see(self, files: list[FoundFile]) -> None:
        self.check.see(files)
        if self._is_first:
            self._hashing.add(files)

    def take(self) -> Iterator[tuple[str, FileDigest]]:
        """Yield each key with its digest, in key order; call it once."""
        files = self.found.files
        noted: dict[str, FileDigest] = {}
        if not self._is_first:
            self.notes = read_notes(self._folder.notes)
            noted = {file.key: known for file in files if (known := self.notes.digest_of(file))}
            self._hashing.add([file for file in files if file.key not in noted])
        for file, outcome in self._hashing.outcomes(files, noted):
            if isinstance(outcome, LeftOut):
                self.left_out.append(outcome)
            else:
                self.hashed += file.key not in noted
                self.digests[file.key] = outcome
                yield file.key, outcome

    def all_left_out(self) -> list[LeftOut]:
        """Return what the scan and the hashing have left out, in the order of paths."""
        return sorted(self.left_out + self.found.left_out)


class PublishPlan(NamedTuple):
    """The site as it will be after the publish."""

    #: The new index.
    body: bytes
    head: Head
    #: None if the head and its documents stay.
    files: HeadFiles | None
    data: DataSurvey
    notes: Notes
    #: The hrefs of the packs that the new index names, and of those that it no longer names.
    packs: set[str]
    forgotten_packs: set[str]
    about: SiteAbout
    report: PublishReport


def plan_publish(
    folder: SiteFolder,
    data: DataSurvey,
    fields: Metadata,
    about: SiteAbout,
    old: Predecessor,
    packing: Packing | None,
    guards: Guards,
) -> PublishPlan:
    """Plan a publish.  New packs are written already: the index needs their digests.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked unless it is a dry run.
    data : DataSurvey
        Its data, whose digests are taken here.
    fields : Metadata
        The metadata that the publisher gives.
    about : SiteAbout
        The site's own words.
    old : Predecessor
        The site from which the publish continues.
    packing : Packing or None
        Which values to pack; None to make no new packs.
    guards : Guards
        What is refused.

    Raises
    ------
    RefusedError
        Too few entries would be left.
    StoreError
        Patterns give too long fields to too many keys, or a pack cannot be written.
    """

    def check_shrink() -> None:
        guards.check_shrink("the publish", len(old.index), len(data.digests))

    known = KeySearch([file.key for file in data.found.files])
    fields = fields.spelled_as(known)
    fields.check_size(known)
    digests: Iterable[tuple[str, FileDigest]] = data.take()
    places: dict[str, Place] = {}
    old_packs: dict[str, int] = {}
    if packing is not None or any(old.index.packed_entries()):
        digests = list(digests)  # the place of a value in a pack depends on all of them
        check_shrink()  # before a pack is written
        places, old_packs = unchanged_places(
            folder, old.index, data.digests, data.check.is_unchanged
        )
    if packing is not None:
        places = pack_values(folder, data.digests, places, old_packs, packing)
    packs = {place.href for place in places.values()}
    # Of a first publish nothing is asked.  benchmark: publish-small
    known_before = data.found.files if len(old.index) else []
    before = old.index.contents_of(file.key for file in known_before)
    index = Index.from_items(  # takes the digests while other files are still hashed
        (key, _entry(key, digest, fields, before.get(key), places.get(key)))
        for key, digest in digests
    )
    check_shrink()
    body = index.canonical()
    before_head = old.head_before(body, about.document)
    head, files = next_head(
        folder, before_head, index, body, about=about.document, elsewhere=old.elsewhere
    )
    warnings = [
        *old.warnings,
        *about.warnings,
        *_data_warnings(data),
        *_bounded(fields.warnings(known)),
        *_bounded(iter(git_warnings(folder, list(data.digests)))),
    ]
    report = _report(head.generation, data, old.index, index, len(places), warnings)
    notes = Notes.of(data.digests, data.found.began_ns)
    forgotten = old_packs.keys() - packs
    return PublishPlan(body, head, files, data, notes, packs, forgotten, about, report)


def _entry(
    key: str, digest: FileDigest, fields: Metadata, before: Content | None, place: Place | None
) -> Mapping[str, Any]:
    entry = fields.fields_of(key)
    entry["size"] = digest.size
    entry["sha256"] = digest.sha256
    if (modified := _modified(digest, before)) is not None:
        entry["modified"] = modified
    if (media_type := media_type_of(key)) is not None:
        entry["media_type"] = media_type
    if place is not None:
        entry["packed"] = [place.href, place.offset]
    return entry


def _modified(digest: FileDigest, before: Content | None) -> str | None:
    # When this content was first published, from the old index if that has it: a fresh checkout
    # gives the same files new times, but has to publish the same index.
    if before is not None and before.sha256 == digest.sha256:
        modified = before.modified
        if modified is not None and parse_time(modified) is not None:
            return modified
    return _text_of(digest.mtime_ns // 1_000_000_000)


@functools.lru_cache(maxsize=1024)  # files that were made together have few times
def _text_of(seconds: int) -> str | None:
    try:
        return time_text(_EPOCH + timedelta(seconds=seconds))
    except OverflowError:  # a year outside of the calendar
        return None


def _report(
    generation: int, data: DataSurvey, old: Index, new: Index, packed: int, warnings: list[str]
) -> PublishReport:
    left_out = data.all_left_out()
    changed: dict[Action, list[str]] = {"set": [], "update": [], "delete": []}
    if not len(old):  # a comparison would take as long as all the rest
        changed["set"] = list(data.digests)
    else:
        for change in diff(old, new):
            changed[change.action].append(change.key)
    return PublishReport(
        generation=generation,
        set=changed["set"],
        updated=changed["update"],
        deleted=changed["delete"],
        hashed=data.hashed,
        skipped=[(one.path, one.reason) for one in left_out],
        failed=[(one.path, one.reason) for one in left_out if one.kind == "failed"],
        warnings=warnings,
        entries=len(new),
        bytes=sum(digest.size for digest in data.digests.values()),
        packed=packed,
    )


def _data_warnings(data: DataSurvey) -> list[str]:
    secrets = (
        f"{quoted(one.path)} is not published: {one.reason}. "
        "Move it out of data/: a web server may serve it all the same"
        for one in data.all_left_out()
        if one.kind == "secret"
    )
    exempted = (
        f"{quoted(key)} stays published, but would be left out if it were new: "
        f"{withheld.reason}. Neither serve nor a new mirror gives it to readers: move it out "
        "of data/, and publish again, or give it another name"
        for key, withheld in sorted(data.found.exempt.items())
    )
    temporary = (
        f"{quoted(key)} is published, but has the name of a temporary or unfinished file: "
        "move it out of data/, unless it is data"
        for key in unfinished(data.digests)
    )
    return [*_bounded(secrets), *_bounded(exempted), *_bounded(temporary)]


def _bounded(warnings: Iterator[str]) -> list[str]:
    kept = [warning for _, warning in zip(range(_MOST_WARNINGS), warnings, strict=False)]
    more = sum(1 for _ in warnings)
    return [*kept, f"and {more} more of this kind"] if more else kept
