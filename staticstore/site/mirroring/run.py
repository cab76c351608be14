"""One run of a mirror: survey the folder, fetch, write the index, tidy up."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import StoreError, quoted
from ..about import copy_about, remove_outdated
from ..documents.document_files import write_documents
from ..documents.packs import packs_of
from ..documents.root_files import write_git_files
from ..folder.data_file import FileDigest
from ..folder.notes import Notes, read_notes, write_notes
from ..folder.retention import files_below, remove_files, unnamed_files
from ..folder.site_folder import SiteFolder, link_problem, problems_of_links
from ..folder.withheld import may_be_withheld, withheld_key
from ..predecessor import Predecessor
from .fetching import Fetching, ProgressSum, ValueProgress
from .index_files import IndexFiles, files_of_part, files_of_whole, replacing_index
from .staging import Staging
from .survey import Survey, spelling_of, survey, unfit_keys

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ...index.fields import Content
    from ...transport.http.wire import RateLimit
    from ..folder.hashing import TotalProgress
    from ..guards import Guards

__all__ = ["MirrorRun"]

_LOG = logging.getLogger("staticstore.site")
# A file whose index says no time is dated this long before the run, so that any later
# change of it changes its time.
_BEFORE_SECONDS = 10.0


@dataclass
class MirrorRun:
    """One run; call `prepare`, `fetch` and `finish`, in this order.

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
    allowed : list of str
        Names that are not withheld.
    workers : int
        How many large values are fetched at once.
    verify : bool
        Whether to hash values that the notes say are right.
    delete : bool
        Whether to delete files that the index does not name.
    guards : Guards
        What is refused.
    limit : RateLimit or None
        The limit on what the store receives.

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
    survey: Survey = field(init=False, default_factory=Survey)
    fetched: list[str] = field(init=False, default_factory=list)
    failed: dict[str, str] = field(init=False, default_factory=dict)
    skipped: dict[str, str] = field(init=False, default_factory=dict)
    bytes: int = field(init=False, default=0)
    deleted: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Read the folder's index and notes."""
        self._is_whole = self.keys is None
        keys = list(self.origin.snapshot) if self.keys is None else self.keys
        self._contents: dict[str, Content] = self.origin.snapshot.contents_of(keys)
        # Entries are checked when first read; a bad one is left out.
        self._keys = [key for key in keys if key in self._contents]
        self._began_ns = time.time_ns()
        old = Predecessor.of_folder(self.folder)
        self._old_body, self._old_index = old.body, old.index
        self._old_count = len(old.index)  # for the guards
        self._old_notes = read_notes(self.folder.notes)
        self._wanted: list[str] = []
        # Files of the site's own words; None while unknown.
        self._about_names: frozenset[str] | None = None

    def prepare(self) -> None:
        """Survey the folder, and decide what to fetch; no value is written.

        Raises
        ------
        RefusedError
            A guard refuses.
        StoreError
            The site is a folder whose index is a link out of it.
        """
        self._check_origin()
        standing = self._skip_withheld()
        keys = [key for key in self._keys if key not in self.skipped or key in standing]
        self._check_part(len(keys))
        if self.delete:
            self._old_count = max(self._old_count, sum(1 for _ in files_below(self.folder.data)))
        self.guards.check_shrink("the mirror", self._old_count, len(keys))  # before hashing
        unfit = unfit_keys(keys, spelling_of(self.folder.private))
        fit = self._contents
        if unfit or len(keys) != len(self._contents):
            fit = {key: self._contents[key] for key in keys if key not in unfit}
        self.survey = survey(self.folder, fit, self._believed_notes(), clears=self.delete)
        self.failed = {
            key: reason
            for key, reason in (unfit | self.survey.refused).items()
            if key not in self.skipped
        }
        for key in standing & self.survey.kept.keys():
            reason = self.skipped.pop(key)
            _LOG.warning("%s stays, but would be skipped if it were new: %s", quoted(key), reason)
        missing = [key for key in self._keys if key not in self.survey.kept]
        missing = [key for key in missing if key not in self.failed and key not in self.skipped]
        self.skipped |= self._link_problems(missing)
        self._wanted = [key for key in missing if key not in self.skipped]
        self._check_lost()

    def _believed_notes(self) -> Notes:
        believed = Notes({}) if self.verify else self._old_notes
        if not self.known:
            return believed
        known = Notes.of(self.known, self._began_ns).digests
        return Notes({**believed.digests, **known})

    def _check_origin(self) -> None:
        for root in self.origin.values.folders:
            for name in (self.origin.index_path, "index.head.json"):
                if (problem := _problem_of_links_to(root, name)) is not None:
                    shown = quoted(os.path.join(root, name))
                    raise StoreError(f"nothing is copied, because of {shown}: {problem}")

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
            withheld_key(key, self.allowed) is not None or self._link_problems([key])
            for key in missing
        )

    def _link_problems(self, keys: list[str]) -> dict[str, str]:
        """Return the keys that a site in a folder has only through a link elsewhere."""
        problems: dict[str, str] = {}
        for root in self.origin.values.folders:
            data = f"{root}/{self.origin.values.data_path}".rstrip("/")
            if (problem := _problem_of_links_to(root, self.origin.values.data_path)) is not None:
                # A publisher may link data/ to another disk; a digest shows that it read the bytes.
                contents = self.origin.snapshot.contents_of(keys)
                known = {key for key, content in contents.items() if content.sha256 is not None}
                problems |= {key: problem for key in keys if key not in known}
            problems |= problems_of_links(root, data, keys)
        return problems

    def _check_lost(self) -> None:
        problems = self.skipped | self.failed
        if lost := {key: why for key, why in problems.items() if not self._is_as_before(key)}:
            key, reason = min(lost.items())
            why = f", since {len(lost)} could not be copied, such as {quoted(key)}: {reason}"
            left = len(self._keys) - len(lost)
            self.guards.check_shrink("the mirror", self._old_count, left, why=why)

    def _is_as_before(self, key: str) -> bool:
        return key in self._old_index and key in self.survey.occupied

    def fetch(self, progress: TotalProgress | None, value_progress: ValueProgress | None) -> None:
        """Fetch the missing values, and write the index and head that name them.

        Parameters
        ----------
        progress, value_progress : callable or None
            As in `mirror`.

        Raises
        ------
        RefusedError
            So many values failed that little would be left.  The index is unchanged;
            what was fetched is used by the next run.
        StoreError
            The host cannot be reached any more, or the store was disconnected.
        OSError
            The folder cannot be written.
        """
        self.folder.data.mkdir(exist_ok=True)
        if not self.folder.notes.exists():  # marks the folder as ours
            write_notes(self.folder.notes, self._old_notes)
        total = sum(self._contents[key].size or 0 for key in self._wanted)
        replacing = {key for key in self.survey.occupied if key in self._old_index}
        with Staging(self.folder, replacing, self.survey.covered) as staging:
            fetching = Fetching(
                self.origin,
                self._contents,
                staging,
                workers=self.workers,
                verify=self.verify,
                limit=self.limit,
                progress=ProgressSum(total, progress, value_progress),
                modified=self._began_ns / 1e9 - _BEFORE_SECONDS,
            )
            wanted = self._wanted
            if self._is_whole and not self.skipped:  # a pack may hold values that are skipped
                wanted = fetching.fetch_packs(self.folder, wanted)
            fetching.fetch(wanted)
            self.failed |= fetching.failed
            self.bytes = fetching.bytes
            self.fetched = staging.keys
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
        old_packs: frozenset[str] = frozenset()
        if files.body != self._old_body:
            old_packs = packs_of(self._old_index)
        with replacing_index(self.folder, files, self._old_body, old_packs):
            staging.replace()
        staging.sync_folders()

    def _index_files(self) -> IndexFiles:
        if self._is_whole and not self.failed and not self.skipped:
            packs = packs_of(self.origin.snapshot)
            return files_of_whole(self.folder, self.origin, packs, self._entries)
        return files_of_part(self.folder, self.origin, dict(self._entries()))

    def _entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        # A value that failed keeps its old entry, if its old file is there.
        for key in self._keys:
            if key not in self.failed and key not in self.skipped:
                yield key, self.origin.snapshot[key]
            elif self._is_as_before(key):
                yield key, self._old_index[key]

    def finish(self) -> None:
        """Delete files that the index does not name, if asked to, and note digests.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        if self.delete:
            named = {key: None for key, _ in self._entries()}
            self.deleted += remove_files(self.folder.data, unnamed_files(self.folder.data, named))
            if self._about_names is not None:
                remove_outdated(self.folder, self._about_names)
        digests, data = dict(self.survey.kept), os.fspath(self.folder.data)
        for key in self.fetched:
            sha256 = self._contents[key].sha256
            if sha256 is not None:
                with contextlib.suppress(OSError):
                    status = os.lstat(f"{data}/{key}")
                    digests[key] = FileDigest(
                        sha256, status.st_size, status.st_mtime_ns, status.st_ino
                    )
        notes = Notes.of(digests, self._began_ns)
        if notes != self._old_notes:
            write_notes(self.folder.notes, notes)


def _problem_of_links_to(root: str, path: str) -> str | None:
    path = path.rstrip("/")
    full = os.path.join(root, path)
    has_links = os.path.realpath(full) != os.path.join(os.path.realpath(root), path).rstrip("/")
    return link_problem(root, root, full) if has_links else None
