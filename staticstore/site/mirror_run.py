"""One run of a mirror: what is there, what is fetched, and what is said then."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..client.origin import Origin
from ..errors import IndexFormatError, quoted
from ..index.fields import Content
from ..index.snapshot import Index
from ..transport.integrity import atomic_file, remove_leftovers
from ..transport.rate import RateLimit
from ..transport.regular import read_regular
from .arrivals import Arrivals
from .carrying import Said, about_to_say, of_a_part, of_the_whole, write_named
from .fetching import Fetching, Told, ValueProgress
from .file_digest import Digest
from .folder import SiteFolder
from .guards import Guards
from .hashing import Progress
from .history import read_head
from .landing import Ground, spelling_of, survey, unfit_keys
from .notes import Notes, read_notes, write_notes
from .packs import packs_of
from .pruning import files_below, remove_files, unnamed_files

__all__ = ["MirrorRun"]

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
    known : mapping
        Values that are known to be right, though the notes do not know them.
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
        known: Mapping[str, Digest],
        workers: int,
        verify: bool,
        delete: bool,
        guards: Guards,
        limit: RateLimit | None,
    ) -> None:
        self.folder = folder
        self.origin = origin
        self.is_whole = keys is None
        wanted = list(origin.snapshot) if keys is None else keys
        self.contents: dict[str, Content] = origin.snapshot.contents_of(wanted)
        # An entry may prove to be none only when it is looked at.
        self.keys = [key for key in wanted if key in self.contents]
        self.workers = workers
        self.limit = limit
        self.verify = verify
        self.delete = delete
        self.guards = guards
        self.began_ns = time.time_ns()
        self.old_body, self.old_index = _old_index(folder)
        self.old_notes = read_notes(folder.notes)
        self.believed = Notes({}) if verify else self.old_notes
        if known:
            found = Notes.of(known, self.began_ns).digests
            self.believed = Notes({**self.believed.digests, **found})
        self.ground = Ground()
        self.failed: dict[str, str] = {}
        self.fetched: list[str] = []
        self.bytes = 0
        self.deleted = 0

    def check(self) -> None:
        """Refuse what one rarely means; nothing is written.

        Raises
        ------
        RefusedError
            It is not forced.
        """
        if not self.is_whole and len(self.old_index) and self._is_copy_of_whole():
            self.guards.refuse(
                "part",
                f"the folder has a copy of the whole site, of which {len(self.keys)} of "
                f"{len(self.old_index)} entries would be left: mirror a part into another folder",
            )
        before = len(self.old_index)
        if self.delete:
            before = max(before, sum(1 for _ in files_below(self.folder.data)))
        self.guards.check_shrink("the mirror", before, len(self.keys))

    def _is_copy_of_whole(self) -> bool:
        """Return whether the folder has an index of the whole site: a part has its own lineage."""
        head, said = read_head(self.folder), self.origin.head
        if head is None or said is None:
            has_its_lineage = head is said
        else:
            has_its_lineage = head.lineage == said.lineage
        return has_its_lineage or all(key in self.old_index for key in self.origin.snapshot)

    def look(self) -> None:
        """Find out what stands there, and what cannot."""
        self.folder.data.mkdir(exist_ok=True)
        if not self.folder.notes.exists():  # from now on the folder is known as ours
            write_notes(self.folder.notes, self.old_notes)
        self.failed = unfit_keys(self.keys, spelling_of(self.folder.private))
        fit = {key: self.contents[key] for key in self.keys if key not in self.failed}
        self.ground = survey(self.folder, fit, self.believed, clears=self.delete)
        self.failed |= self.ground.refused

    def fetch(self, progress: Progress | None, value_progress: ValueProgress | None) -> None:
        """Fetch what is not there, and write what the site says then."""
        kept = self.ground.kept
        wanted = [key for key in self.keys if key not in kept and key not in self.failed]
        total = sum(self.contents[key].size or 0 for key in wanted)
        replacing = {key for key in self.ground.occupied if key in self.old_index}
        with Arrivals(self.folder, replacing, self.ground.covered) as arrivals:
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
            left = fetching.fetch_packs(self.folder, wanted) if self.is_whole else wanted
            fetching.fetch(left)
            self.failed |= fetching.failed
            self.bytes = fetching.bytes
            self.fetched = arrivals.keys
            self._check_failed()
            self._write(arrivals)
            self.deleted = sum(self.ground.obstacles[place] for place in arrivals.removed)
            arrivals.clear(
                arrivals.path_for(key, self.contents[key].sha256) for key in fetching.failed
            )

    def _check_failed(self) -> None:
        """Refuse an index of which little is left because the values could not be had."""
        lost = {key: why for key, why in self.failed.items() if not self._is_as_before(key)}
        if lost:
            key, reason = min(lost.items())
            why = f", since {len(lost)} could not be copied, such as {quoted(key)}: {reason}"
            left = len(self.keys) - len(lost)
            self.guards.check_shrink("the mirror", len(self.old_index), left, why=why)

    def _is_as_before(self, key: str) -> bool:
        return key in self.old_index and key in self.ground.occupied

    def _write(self, arrivals: Arrivals) -> None:
        for place in (self.folder.root, self.folder.private, self.folder.packs):
            remove_leftovers(place)
        if not os.path.lexists(self.folder.nojekyll):
            with atomic_file(self.folder.nojekyll):
                pass
        arrivals.sync()
        if refused := dict(arrivals.make_ready()):
            self.failed |= refused
            self.ground.occupied -= refused.keys()
            self.fetched = [key for key in self.fetched if key not in refused]
        said = self._said()
        write_named(self.folder, said)
        old_packs: frozenset[str] = frozenset()
        if said.body != self.old_body:
            old_packs = packs_of(self.old_index)
        with about_to_say(self.folder, said, self.old_body, old_packs):
            arrivals.replace()
        arrivals.sync_folders()

    def _said(self) -> Said:
        if self.is_whole and not self.failed:
            packs = packs_of(self.origin.snapshot)
            return of_the_whole(self.folder, self.origin, packs, self._entries)
        return of_a_part(self.folder, self.origin, dict(self._entries()))

    def _entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what is there; of what failed, what was there before and still is."""
        for key in self.keys:
            if key not in self.failed:
                yield key, self.origin.snapshot[key]
            elif self._is_as_before(key):
                yield key, self.old_index[key]

    def finish(self) -> None:
        """Delete what is not named, and note what is right."""
        if self.delete:
            named = {key: None for key, _ in self._entries()}
            self.deleted += remove_files(self.folder.data, unnamed_files(self.folder.data, named))
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


def _old_index(folder: SiteFolder) -> tuple[bytes | None, Index]:
    """Return the index that the folder has, as far as it can be read."""
    try:
        body = read_regular(folder.index)
        return body, Index.parse(body)
    except (OSError, IndexFormatError):
        return None, Index.from_entries({})
