"""One run of a mirror: survey the folder, fetch, write the index, tidy up."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from ...disk.file_system import read_regular
from ...errors import quoted
from ...index.hidden import hide
from ...index.snapshot import Index
from ..about import copy_about, remove_outdated
from ..documents.document_files import write_documents
from ..documents.root_files import write_git_files
from ..folder.data_file import FileDigest
from ..folder.folder_note import settled
from ..folder.notes import Notes, read_notes, write_notes
from ..folder.retention import files_below, named_by_entries, remove_files
from ..folder.site_folder import SiteFolder
from ..folder.withheld import may_be_withheld, withheld_key
from ..predecessor import Predecessor
from .copy_fetching import fetch_named
from .fetching import Fetching, ProgressSum, ValueProgress, check_index_links, link_problems
from .foreign_values import completed_contents, count_checks, unknown_values
from .index_files import IndexFiles, files_of_part, files_of_whole, replacing_index, room_for_index
from .staging import Staging
from .survey import Survey, doubtful_keys, spelling_of, survey, unfit_keys
from .trust_copy import TrustCopy

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ...index.fields import Content
    from ...transport.http.wire import RateLimit
    from ..folder.hashing import TotalProgress
    from ..guards import Guards

__all__ = ["MirrorRun"]

_LOG = logging.getLogger("staticstore.site")
_BEFORE_SECONDS = 10.0  # that a file without a time is dated back: any change changes its time


@dataclass
class MirrorRun:
    """One run: `prepare`, `fetch` and `finish`, in this order.

    Parameters
    ----------
    folder : SiteFolder
        The copy, locked.
    origin : SiteSnapshot
        The site.
    keys : list of str or None
        The keys to copy, in order; None for the whole site.
    was_whole : bool or None
        Whether the folder has a copy of the whole site; None if unknown.
    known : mapping of str to FileDigest
        Values that are right, though the folder's notes do not have them.
    allowed, workers, verify, delete, guards
        As `allow_names`, `workers`, `verify`, `delete` and `force` of `mirror`.
    limit : RateLimit or None
        The limit on what the store receives.
    signatures : TrustCopy

    Attributes
    ----------
    survey : Survey
        What the folder had.
    fetched : list of str
        The keys of the values fetched.
    failed : dict of str to str
        The keys that failed, and why.
    skipped : dict of str to str
        The keys not copied because of their name or a link, and why.
    bytes : int
        The sizes of the values fetched, summed.
    deleted : int
        How many files were deleted.
    has_room : bool
        Whether the disk has room for an index; else the copy stays as it is.
    """

    folder: SiteFolder
    origin: SiteSnapshot
    keys: list[str] | None
    _: KW_ONLY
    was_whole: bool | None
    known: Mapping[str, FileDigest]
    allowed: list[str]
    workers: int
    verify: bool
    delete: bool
    guards: Guards
    limit: RateLimit | None
    signatures: TrustCopy
    survey: Survey = field(init=False, default_factory=Survey)
    fetched: list[str] = field(init=False, default_factory=list)
    failed: dict[str, str] = field(init=False, default_factory=dict)
    skipped: dict[str, str] = field(init=False, default_factory=dict)
    bytes: int = field(init=False, default=0)
    deleted: int = field(init=False, default=0)
    has_room: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        """Read the folder's index."""
        self._began_ns = time.time_ns()
        self._is_whole = self.keys is None
        self._old_notes = read_notes(self.folder.notes)
        self._read_index()
        self._old_count = len(self._old_index)  # for the guards
        self._named_files = named_by_entries(self.origin.snapshot if self._is_whole else None)
        self._wanted: list[str] = []
        self._described: Mapping[str, Any] = {}
        self._unknown: dict[str, str] = {}
        self._files: list[str] = []  # below data/, if some may be deleted
        self._about_names: frozenset[str] | None = None

    def _read_index(self) -> None:
        try:
            body = read_regular(self.folder.index)
        except OSError:
            body = None
        self._sha256 = "" if body is None else hashlib.sha256(body).hexdigest()
        if self._sha256 == self.origin.sha256:
            self._old_body, self._old_index = body, self.origin.snapshot
        elif body and self._sha256 == self._old_notes.index:  # the notes vouch for it
            self._old_body, self._old_index = body, Index.parse(body, vouched_entries=0)
        else:
            old = Predecessor.of_folder(self.folder)
            self._old_body, self._old_index = old.body, old.index

    def _read_notes(self) -> None:
        # Which keys to look at, and what is noted of them.  The others are in `_settled`: they have
        # the file and the entry that the last run has left.  benchmark: mirror-again
        new, notes = self.origin.snapshot, self._old_notes
        doubtful = None
        can_skip = self._is_whole and not (self.verify or self.known or self.origin.is_foreign)
        if can_skip and notes.index == self._sha256 != "":
            doubtful = doubtful_keys(self.folder, notes, self._old_index, new)
        if doubtful is None:
            keys = list(new) if self.keys is None else self.keys
            self._noted = notes.digests()
            self._settled = Notes()
        else:
            keys = sorted(doubtful)
            self._noted = notes.digests(keys)
            self._settled = notes.changed_by(dict.fromkeys(keys), index=notes.index)
        if self.verify:
            self._noted = {}
        self._noted.update(self._as_settled(self.known))
        self._contents: dict[str, Content] = new.contents_of(keys)
        # Entries are checked when first read; a bad one is left out.
        self._keys = [key for key in keys if key in self._contents]
        contents = self._known_contents = self._contents
        if self.origin.is_foreign:
            self._known_contents = completed_contents(self._old_index, new, contents)
        # Then the copy has an index of its own: its values are below data/, with their digests.
        self._is_rewritten = self.origin.is_foreign or any(one.placed for one in contents.values())

    @property
    def verified_by(self) -> dict[str, int]:
        """By what the values fetched were verified: `MirrorReport.verified_by`."""
        return count_checks(self._contents, self.fetched)

    @property
    def kept(self) -> int:
        """How many values were right already."""
        return len(self._settled) + len(self.survey.kept)

    def prepare(self) -> None:
        """Survey the folder, and decide what to fetch; no value is written.

        Raises
        ------
        RefusedError
            A guard refuses.
        StoreError
            The site is a folder whose index is a link out of it.
        """
        check_index_links(self.origin)
        self._read_notes()
        standing = self._skip_withheld()
        keys = [key for key in self._keys if key not in self.skipped or key in standing]
        self._unknown = unknown_values(self.folder, self._old_index, self.origin)
        left = len(self._settled) + len(keys) + len(self._unknown)
        self._check_part(left)
        if self.delete:
            self._files = list(files_below(self.folder.data))
            self._old_count = max(self._old_count, len(self._files))
        self.guards.check_shrink("the mirror", self._old_count, left)  # before hashing
        unfit = {}
        if not self._settled:  # otherwise `doubtful_keys` has checked them
            unfit = unfit_keys(keys, spelling_of(self.folder.private))
        fit = self._known_contents
        if unfit or len(keys) != len(fit):
            fit = {key: fit[key] for key in keys if key not in unfit}
        self.survey = survey(self.folder, fit, self._noted, clears=self.delete)
        self.survey.occupied |= self._unknown.keys()
        refused = self._unknown | unfit | self.survey.refused
        self.failed = {key: why for key, why in refused.items() if key not in self.skipped}
        for key in standing & self.survey.kept.keys():
            reason = self.skipped.pop(key)
            _LOG.warning("%s stays, but would be skipped if it were new: %s", quoted(key), reason)
        missing = [key for key in self._keys if key not in self.survey.kept]
        missing = [key for key in missing if key not in self.failed and key not in self.skipped]
        self.skipped |= link_problems(self.origin, missing)
        self._wanted = [key for key in missing if key not in self.skipped]
        self._check_lost()

    def _skip_withheld(self) -> set[str]:
        """Skip keys withheld by their names; return those of them that the copy may keep."""
        if not may_be_withheld(self._keys):
            return set()
        standing = set()
        for key in self._keys:
            if (withheld := withheld_key(key, self.allowed)) is not None:
                names = " ".join(map(quoted, withheld.names))
                self.skipped[key] = f"{withheld.reason}; allow the name {names} to have it copied"
                if withheld.is_new and key in self._old_index:
                    standing.add(key)
        return standing

    def _check_part(self, left: int) -> None:
        if self._is_whole:
            return
        wanted = set(self._keys)
        if wanted.issuperset(self._old_index) or wanted.issuperset(self.origin.snapshot):
            return  # no entry is lost that a copy of the whole would keep
        if self._is_copy_of_whole():
            self.guards.refuse(
                "part",
                f"the folder has a copy of the whole site, of which {left} of "
                f"{len(self._old_index)} entries would be left: mirror a part into another folder",
            )

    def _is_copy_of_whole(self) -> bool:
        if self.was_whole is not None:
            return self.was_whole
        # Without a note: a copy of the whole has the origin's lineage, but a copy from
        # which keys were skipped has a lineage of its own.
        heads = (self.folder.read_head(), self.origin.head)
        own, lineage = (None if head is None else head.lineage for head in heads)
        if own == lineage:
            return True
        missing = (key for key in self.origin.snapshot if key not in self._old_index)
        return all(
            withheld_key(key, self.allowed) is not None or link_problems(self.origin, [key])
            for key in missing
        )

    def _check_lost(self) -> None:
        problems = self.skipped | self.failed
        if lost := {key: why for key, why in problems.items() if not self._is_as_before(key)}:
            key, reason = min(lost.items())
            why = f", since {len(lost)} could not be copied, such as {quoted(key)}: {reason}"
            left = len(self._settled) + len(self._keys) + len(self._unknown) - len(lost)
            self.guards.check_shrink("the mirror", self._old_count, left, why=why)

    def _is_as_before(self, key: str) -> bool:
        return key in self._old_index and key in self.survey.occupied

    def fetch(self, progress: TotalProgress | None, value_progress: ValueProgress | None) -> None:
        """Fetch the missing values, and write the index and head that name them: see `mirror`.

        Raises
        ------
        RefusedError
            Little would be left.
        StoreError
            The host cannot be reached any more, or the store was disconnected.
        OSError
            The folder cannot be written.
        """
        self.folder.data.mkdir(parents=True, exist_ok=True)
        if not self.folder.notes.exists():  # marks the folder as ours
            write_notes(self.folder.notes, self._old_notes, sync=True)
        replacing = {key for key in self.survey.occupied if key in self._old_index}
        with Staging(self.folder, replacing, self.survey.covered) as staging:
            room = room_for_index(self.folder, self.origin)
            with room if self._wanted else contextlib.nullcontext() as lack:
                if lack is not None:
                    self.failed |= dict.fromkeys(self._wanted, lack)
                    self.has_room = False
                    return
                total = sum(self._contents[key].size or 0 for key in self._wanted)
                fetching = Fetching(
                    self.origin,
                    self._contents,
                    staging,
                    workers=self.workers,
                    verify=self.verify,
                    limit=self.limit,
                    progress=ProgressSum(total, progress, value_progress),
                    modified=self._began_ns / 1e9 - _BEFORE_SECONDS,
                    describes=self._is_rewritten,
                )
                wanted = self._wanted
                # A pack may hold values that are skipped; an index of the copy's own names none.
                if self._is_whole and not (self.skipped or self._is_rewritten):
                    wanted = fetch_named(self.folder, self._named_files, fetching, wanted)
                fetching.fetch(wanted)
            self.failed |= fetching.failed
            self.bytes = fetching.bytes
            self.fetched = staging.keys
            self._described = fetching.described
            self._check_lost()
            self._write(staging)
            self.deleted = sum(self.survey.obstacles[place] for place in staging.removed)
            staging.clear(
                staging.path_for(key, self._contents[key].sha256) for key in fetching.failed
            )

    def _write(self, staging: Staging) -> None:
        self.folder.tidy()
        write_git_files(self.folder)
        staging.sync()
        if refused := dict(staging.check_places()):
            self.failed |= refused
            self.survey.occupied -= refused.keys()
            self.fetched = [key for key in self.fetched if key not in refused]
        files = self._index_files()
        if files.files is not None:
            write_documents(self.folder, files.files, files.body)
        self._about_names = copy_about(
            self.folder, self.origin.head, self.origin.read, self.origin.read_file
        )
        replaced = None if files.body == self._old_body else self._old_index
        if replaced is not None:
            self._sha256 = hashlib.sha256(files.body).hexdigest()
        old_files, signatures = named_by_entries(replaced).hrefs, self._signatures(files)
        with replacing_index(self.folder, files, self._old_body, old_files, signatures):
            staging.replace()
        staging.sync_folders()

    def _signatures(self, files: IndexFiles) -> TrustCopy:
        if not self._is_whole or self._is_rewritten:
            if self.signatures.files:
                _LOG.warning("some values are on other hosts: the copy has them, and is not signed")
            return TrustCopy({})  # it has a head of its own
        # After failures, the copy's stay until a run has none.
        return self.signatures if files.head == self.origin.head else TrustCopy(None)

    def _index_files(self) -> IndexFiles:
        if self._is_whole and not (self.failed or self.skipped or self._is_rewritten):
            return files_of_whole(self.folder, self.origin, self._named_files.hrefs, self._entries)
        return files_of_part(self.folder, self.origin, dict(self._entries()))

    def _entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        # A value that failed keeps its old entry, if its old file is there.
        new, kept = self.origin.snapshot, self.survey.kept
        # Many at once take a fifth of the time of each by itself.
        for key, entry in new.query() if self._settled else new.stored.entries_of(self._keys):
            if key not in self.failed and key not in self.skipped:
                hide(entry)
                if self._is_rewritten and (one := kept.get(key) or self._described.get(key)):
                    entry |= {"size": one.size, "sha256": one.sha256}
                yield key, entry
            elif self._is_as_before(key):
                yield key, self._old_index[key]
        yield from ((key, self._old_index[key]) for key in self._unknown)

    def _named(self) -> set[str]:
        """Return the keys of the copy's index."""
        gone = (key for key in (*self.failed, *self.skipped) if not self._is_as_before(key))
        return set(self._settled).union(self._keys, self._unknown).difference(gone)

    def finish(self) -> None:
        """Delete files that the index does not name, if asked to, and note digests.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        if not self.has_room:
            return
        if self.delete:
            unnamed = sorted(set(self._files).difference(self._named()))
            self.deleted += remove_files(self.folder.data, unnamed)
            if self._about_names is not None:
                remove_outdated(self.folder, self._about_names)
        digests, data = dict(self.survey.kept), os.fspath(self.folder.data)
        for key in self.fetched:
            sha256 = self._described.get(key, self._contents[key]).sha256
            if sha256 is not None:
                with contextlib.suppress(OSError):
                    digests[key] = FileDigest.of(sha256, os.lstat(f"{data}/{key}"))
        notes = self._settled.changed_by(self._as_settled(digests), index=self._sha256)
        if notes != self._old_notes:
            write_notes(self.folder.notes, notes)

    def _as_settled(self, digests: Mapping[str, FileDigest]) -> dict[str, FileDigest]:
        return {key: settled(digest, self._began_ns) for key, digest in digests.items()}
