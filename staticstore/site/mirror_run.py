"""One run of a mirror: what is there, what is fetched, and what is said then."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..client.origin import Origin
from ..errors import IndexFormatError, StoreError, quoted
from ..index.fields import Content
from ..index.snapshot import Index
from ..transport.integrity import remove_leftovers
from ..transport.rate import RateLimit
from ..transport.regular import read_regular
from .about_copy import copy_about, remove_outdated
from .exposure import link_problem, problems_of_links
from .fetching import Fetching, Told, ValueProgress
from .file_digest import Digest
from .folder import SiteFolder
from .git_files import write_git_files
from .guards import Guards
from .hashing import Progress
from .history import index_of, read_head, reader_of
from .index_files import Said, about_to_say, of_a_part, of_the_whole, write_named
from .notes import Notes, read_notes, write_notes
from .packs import packs_of
from .pruning import files_below, remove_files, unnamed_files
from .staging import Staging
from .survey import Ground, spelling_of, survey, unfit_keys
from .withheld import may_be_withheld, withheld_key

__all__ = ["MirrorRun"]

_LOG = logging.getLogger("staticstore.site")
# So long before now a file without a time of its own was changed, says its time.
_PAST = 10.0  # seconds


class MirrorRun:
    """Looks what is there, fetches what is not, says so, and tidies up, in this order.

    Parameters
    ----------
    folder : SiteFolder
        The copy, locked.
    origin : Origin
        The site.
    keys : list of str or None
        What to copy of it, in order; None for the whole.
    was_whole : bool or None
        Whether the folder has a copy of the whole; None if that is not noted.
    known : mapping
        Values that are known to be right, though the notes do not know them.
    allowed : list of str
        Names that are not withheld.
    workers : int
        How many large values are fetched at once.
    verify : bool
        Whether to hash what the notes speak well of.
    delete : bool
        Whether to remove files that the index does not name.
    guards : Guards
        What is refused.
    limit : RateLimit or None
        How fast the store may receive.

    Attributes
    ----------
    ground : Ground
        What was there.
    fetched : list of str
        The keys of what has come.
    failed : dict
        From the keys of what has not, to the reasons.
    skipped : dict
        From the keys of what is not copied because of its name or a link, to the reasons.
    bytes : int
        The sizes of what has come, summed.
    deleted : int
        How many files were removed.
    """

    def __init__(
        self,
        folder: SiteFolder,
        origin: Origin,
        keys: list[str] | None,
        *,
        was_whole: bool | None,
        known: Mapping[str, Digest],
        allowed: list[str],
        workers: int,
        verify: bool,
        delete: bool,
        guards: Guards,
        limit: RateLimit | None,
    ) -> None:
        self.folder = folder
        self.origin = origin
        self.is_whole = keys is None
        self.was_whole = was_whole
        wanted = list(origin.snapshot) if keys is None else keys
        self.contents: dict[str, Content] = origin.snapshot.contents_of(wanted)
        # An entry may prove to be none only when it is looked at.
        self.keys = [key for key in wanted if key in self.contents]
        self.allowed = allowed
        self.workers = workers
        self.limit = limit
        self.verify = verify
        self.delete = delete
        self.guards = guards
        self.began_ns = time.time_ns()
        self.old_body, self.old_index = _old_index(folder)
        # How many values there are, as the guards count.
        self.before = len(self.old_index)
        self.old_notes = read_notes(folder.notes)
        self.believed = Notes({}) if verify else self.old_notes
        if known:
            found = Notes.of(known, self.began_ns).digests
            self.believed = Notes({**self.believed.digests, **found})
        self.ground = Ground()
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.wanted: list[str] = []
        self.fetched: list[str] = []
        self.bytes = 0
        self.deleted = 0
        # Of the files that belong to the site's own words; None while that is not known.
        self.about_names: frozenset[str] | None = None

    def look(self) -> None:
        """Find out what stands there, and what cannot; nothing is written yet.

        Raises
        ------
        RefusedError
            It would do what one rarely means, and that is not forced.
        StoreError
            The site is a folder whose index is a link to what is none of it.
        """
        self._check_origin()
        standing = self._skip_withheld()
        keys = [key for key in self.keys if key not in self.skipped or key in standing]
        self._check_part(len(keys))
        if self.delete:
            self.before = max(self.before, sum(1 for _ in files_below(self.folder.data)))
        self.guards.check_shrink("the mirror", self.before, len(keys))  # before much is hashed
        self.failed = unfit_keys(keys, spelling_of(self.folder.private))
        fit = {key: self.contents[key] for key in keys if key not in self.failed}
        self.ground = survey(self.folder, fit, self.believed, clears=self.delete)
        self.failed = {
            key: reason
            for key, reason in (self.failed | self.ground.refused).items()
            if key not in self.skipped
        }
        for key in standing & self.ground.kept.keys():
            reason = self.skipped.pop(key)
            _LOG.warning("%s stays, but would be skipped if it were new: %s", quoted(key), reason)
        refused = self.failed.keys() | self.skipped.keys()
        kept = self.ground.kept
        self.wanted = self._skip_links(
            [key for key in self.keys if key not in kept and key not in refused]
        )
        self._check_lost()

    def _check_part(self, left: int) -> None:
        if self.is_whole:
            return
        wanted = set(self.keys)
        if wanted.issuperset(self.old_index) or wanted.issuperset(self.origin.snapshot):
            return  # it loses nothing, or no more than a copy of the whole does
        if self._is_copy_of_whole():
            self.guards.refuse(
                "part",
                f"the folder has a copy of the whole site, of which {left} of "
                f"{len(self.old_index)} entries would be left: mirror a part into another folder",
            )

    def _is_copy_of_whole(self) -> bool:
        """Return whether the folder has all of the site that a mirror copies."""
        if self.was_whole is not None:
            return self.was_whole
        # Without a note: of the origin's lineage are only copies of the whole, but
        # without what was skipped a copy has a lineage of its own.
        head, said = read_head(self.folder), self.origin.head
        if head is None or said is None:
            has_its_lineage = head is said
        else:
            has_its_lineage = head.lineage == said.lineage
        if has_its_lineage:
            return True
        missing = (key for key in self.origin.snapshot if key not in self.old_index)
        return all(
            withheld_key(key, self.allowed) is not None or self._link_problems([key])
            for key in missing
        )

    def _check_lost(self) -> None:
        """Refuse an index of which little is left because values cannot be had or written."""
        problems = self.skipped | self.failed
        if lost := {key: why for key, why in problems.items() if not self._is_as_before(key)}:
            key, reason = min(lost.items())
            why = f", since {len(lost)} could not be copied, such as {quoted(key)}: {reason}"
            left = len(self.keys) - len(lost)
            self.guards.check_shrink("the mirror", self.before, left, why=why)

    def _check_origin(self) -> None:
        """Refuse a folder whose index is a link to what is none of it.

        Raises
        ------
        StoreError
            It is one.
        """
        for root in self.origin.values.folders:
            for name in (self.origin.index_path, "index.head.json"):
                if (problem := _problem_of_links_to(root, name)) is not None:
                    shown = quoted(os.path.join(root, name))
                    raise StoreError(f"nothing is copied, because of {shown}: {problem}")

    def _skip_withheld(self) -> set[str]:
        """Skip what is withheld by its name; return what of it the copy has all the same."""
        if not may_be_withheld(self.keys):
            return set()
        standing = set()
        for key in self.keys:
            if (withheld := withheld_key(key, self.allowed)) is not None:
                names = " ".join(map(quoted, withheld.names))
                self.skipped[key] = f"{withheld.reason}; allow the name {names} to have it copied"
                if withheld.is_new and key in self.old_index:
                    standing.add(key)
        return standing

    def _skip_links(self, keys: list[str]) -> list[str]:
        """Skip what a folder has only by a link to elsewhere; return the other keys."""
        self.skipped |= self._link_problems(keys)
        return [key for key in keys if key not in self.skipped]

    def _link_problems(self, keys: list[str]) -> dict[str, str]:
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

    def fetch(self, progress: Progress | None, value_progress: ValueProgress | None) -> None:
        """Fetch what is not there, and write what the site says then.

        Raises
        ------
        RefusedError
            So much could not be had that little would be left, and that is not forced.
            The index stays; what has come waits for the next run.
        StoreError
            The host cannot be reached any more, or the store was disconnected.
        OSError
            The folder cannot be written.
        """
        self.folder.data.mkdir(exist_ok=True)
        if not self.folder.notes.exists():  # from now on the folder is known as ours
            write_notes(self.folder.notes, self.old_notes)
        total = sum(self.contents[key].size or 0 for key in self.wanted)
        replacing = {key for key in self.ground.occupied if key in self.old_index}
        with Staging(self.folder, replacing, self.ground.covered) as arrivals:
            fetching = Fetching(
                self.origin,
                self.contents,
                arrivals,
                workers=self.workers,
                verify=self.verify,
                limit=self.limit,
                told=Told(total, progress, value_progress),
                modified=self.began_ns / 1e9 - _PAST,
            )
            # A pack may hold copies of what is skipped.
            has_packs = self.is_whole and not self.skipped
            wanted = self.wanted
            fetching.fetch(fetching.fetch_packs(self.folder, wanted) if has_packs else wanted)
            self.failed |= fetching.failed
            self.bytes = fetching.bytes
            self.fetched = arrivals.keys
            self._check_lost()
            self._write(arrivals)
            self.deleted = sum(self.ground.obstacles[place] for place in arrivals.removed)
            arrivals.clear(
                arrivals.path_for(key, self.contents[key].sha256) for key in fetching.failed
            )

    def _is_as_before(self, key: str) -> bool:
        return key in self.old_index and key in self.ground.occupied

    def _write(self, arrivals: Staging) -> None:
        for place in (self.folder.root, self.folder.private, self.folder.packs):
            remove_leftovers(place)
        write_git_files(self.folder)
        arrivals.sync()
        if refused := dict(arrivals.make_ready()):
            self.failed |= refused
            self.ground.occupied -= refused.keys()
            self.fetched = [key for key in self.fetched if key not in refused]
        said = self._said()
        write_named(self.folder, said)
        self.about_names = copy_about(self.folder, self.origin)
        old_packs: frozenset[str] = frozenset()
        if said.body != self.old_body:
            old_packs = packs_of(self.old_index)
        with about_to_say(self.folder, said, self.old_body, old_packs):
            arrivals.replace()
        arrivals.sync_folders()

    def _said(self) -> Said:
        if self.is_whole and not self.failed and not self.skipped:
            packs = packs_of(self.origin.snapshot)
            return of_the_whole(self.folder, self.origin, packs, self._entries)
        return of_a_part(self.folder, self.origin, dict(self._entries()))

    def _entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what is there; of what did not come, what was there before and still is."""
        for key in self.keys:
            if key not in self.failed and key not in self.skipped:
                yield key, self.origin.snapshot[key]
            elif self._is_as_before(key):
                yield key, self.old_index[key]

    def finish(self) -> None:
        """Delete what is not named, and note what is right."""
        if self.delete:
            named = {key: None for key, _ in self._entries()}
            self.deleted += remove_files(self.folder.data, unnamed_files(self.folder.data, named))
            if self.about_names is not None:
                remove_outdated(self.folder, self.about_names)
        digests, data = dict(self.ground.kept), os.fspath(self.folder.data)
        for key in self.fetched:
            sha256 = self.contents[key].sha256
            if sha256 is not None:
                with contextlib.suppress(OSError):
                    status = os.lstat(f"{data}/{key}")
                    digests[key] = Digest(sha256, status.st_size, status.st_mtime_ns, status.st_ino)
        notes = Notes.of(digests, self.began_ns)
        if notes != self.old_notes:
            write_notes(self.folder.notes, notes)


def _problem_of_links_to(root: str, path: str) -> str | None:
    """Say why a path below a site's root may not be read; None if no link leads out of it."""
    path = path.rstrip("/")
    full = os.path.join(root, path)
    has_links = os.path.realpath(full) != os.path.join(os.path.realpath(root), path).rstrip("/")
    return link_problem(root, root, full) if has_links else None


def _old_index(folder: SiteFolder) -> tuple[bytes | None, Index]:
    """Return the index that the folder has, as far as it can be read."""
    body = None
    try:
        body = read_regular(folder.index)
        return body, Index.parse(body)
    except (OSError, IndexFormatError):
        head = read_head(folder)
        named = None if head is None else index_of(folder, head, reader_of(folder))
        return body, named or Index.from_entries({})
