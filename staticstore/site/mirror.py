"""Copy a site, verified, into a folder that is then a site again: ``mirror``.

What it writes, in this order, each file whole or not at all::

    .staticstore/incoming/      staged values: partial ones, and replacements of others
    packs/<sha256>.zip          the origin's packs
    stored/<sha256>.zst         its compressed copies
    data/<key>                  values that the folder's index does not name yet
    changes/, blocks/, about/, index/   what the new head names
    about.json, README, LICENSE, CITATION.cff   the site's own words, never over foreign files
    data/<key>                  the replacements, all renamed within a moment
    trust/                      the origin's signatures, of the whole, byte for byte
    index.json
    index.head.json             the origin's own, or that of a part
    trust/timestamp.json
    index.html                  our page, if wanted or there already
    .staticstore/notes          states and digests of values: the next run looks only at changes

All values are on the disk before the index that names them.  A mirror that is
killed at any instant leaves a site, and the next run resumes.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..client.store import StaticStore, site_snapshot
from ..errors import StoreError, checked_number, path_text, quoted
from ..index.freshness import BELIEVED_ANSWERS
from ..transport.http.wire import LEAST_BYTES_A_SECOND, RateLimit
from .documents.page import check_page, has_our_page, renew_page
from .folder.data_path import DATA_PATH, fits, write_data_path
from .folder.site_folder import SiteFolder
from .guards import Force, Guards, NothingMatchesError, first_few, foreign_files, is_ours
from .mirroring.index_files import follows, note_origin, read_mirror_note, write_mirror_note
from .mirroring.run import MirrorRun
from .mirroring.trust_copy import TrustCopy, with_signed_head

if TYPE_CHECKING:
    from ..client.site_snapshot import SiteSnapshot
    from ..index.snapshot import Index
    from ..query.conditions import Where
    from .folder.data_file import FileDigest
    from .folder.hashing import TotalProgress
    from .mirroring.fetching import ValueProgress

__all__ = ["MirrorReport", "mirror"]

_LOG = logging.getLogger("staticstore.site")


@dataclass(frozen=True, repr=False)
class MirrorReport:
    """What a mirror did.

    Attributes
    ----------
    fetched, kept : int
        How many values were fetched, and how many were right already.
    deleted : int
        How many files were deleted that the index does not name.
    failed : list of (str, str)
        The keys that could not be fetched or written, and why; in key order.
    bytes : int
        The sizes of the values fetched, summed.
    seconds : float
        How long it took.
    generation : int or None
        The generation of the origin that was copied; None if it counts none.
    newer : bool
        Whether the origin has another index by now; the next run copies that.
    skipped : list of (str, str)
        The keys that are not copied, and why, in key order: `publish` withholds
        such names, or a link leads elsewhere.  Without them the copy is a site of
        its own.
    older : int
        How many runs in a row the origin has answered with something older than
        the copy has; such runs change nothing.  The fifth such answer is followed.
    verified_by : dict of str to int
        What the values fetched were held against: how many by ``"sha256"``, and of a foreign
        index also by ``"sha512"``, ``"sha1"``, ``"md5"``, ``"size"`` or ``"nothing"``.
    """

    fetched: int
    kept: int
    deleted: int
    failed: list[tuple[str, str]]
    bytes: int
    seconds: float
    generation: int | None
    newer: bool
    skipped: list[tuple[str, str]] = field(default_factory=list)
    older: int = 0
    verified_by: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Count what the lists name."""
        return (
            f"<MirrorReport: {self.fetched} fetched, {self.kept} kept, {self.deleted} deleted, "
            f"{len(self.failed)} failed, {len(self.skipped)} skipped, {self.bytes} bytes, "
            f"{self.seconds:.1f} s>"
        )


def mirror(
    store: StaticStore,
    directory: str | os.PathLike[str],
    *,
    workers: int = 8,
    delete: bool = False,
    force: Force = False,
    verify: bool = False,
    browse: bool = False,
    limit_rate: float | None = None,
    progress: TotalProgress | None = None,
    value_progress: ValueProgress | None = None,
    globs: Iterable[str] = (),
    allow_names: Iterable[str] = (),
    where: Where | None = None,
    **equals: Any,
) -> MirrorReport:
    """Copy a site, or a part of it, verified, into a folder that is a site again.

    Values that the folder has, and that are right, are not fetched again; interrupted
    downloads are resumed.  Each value is verified against its size and digest, and is
    on the disk before the index that names it is written.  A copy of the whole site
    has the origin's index and head byte for byte, so that readers may use either, and its
    signatures, which are verified if the store has `trust`.  A part has a head of its own,
    and so has the copy of a foreign index (`format`): an ordinary site, with size and sha256
    of each value, in which the next run keeps what has not changed.  What the origin says
    without signatures is compared with what it said in earlier runs: an older index is
    ignored four times, and then followed.

    Values that cannot be fetched or written are reported, and the rest is copied; the
    index of the copy keeps their old entries, if their old files are there.  So do values
    that a foreign index lacks while one of its documents cannot be read.  Keys that
    `publish` would withhold, such as ``.git/config``, are skipped: the host chooses its
    keys, and such a file could take effect where the copy is.

    Parameters
    ----------
    store : StaticStore
        The site, connected.  One snapshot of it is copied, even if polls find others.
    directory : path
        The folder of the copy; made if missing.
    workers : int, optional
        How many large values are fetched at once.
    delete : bool, optional
        Whether to delete the files in ``data/`` that the index does not name.
    force : bool or iterable of str, optional
        The guards to override: ``"shrink"`` refuses to leave no entry, or fewer than
        half of 20 or more; ``"part"`` to copy a part over a copy of the whole;
        ``"folder"`` to replace files that no mirror or publish has made.  True
        overrides all.
    verify : bool, optional
        Whether to hash every file, also those that have not changed.
    browse : bool, optional
        Whether to write ``index.html``, a page to browse the copy: this version's own,
        never the site's, which could run anything.  A copy that has one gets it anew
        with each run, also without this.
    limit_rate : float, optional
        How many bytes a second the store receives at most while this runs, 1024
        or more, over all its requests.  The index, which it has already, and a site
        in a folder are not slowed.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes to fetch, by any thread,
        one at a time.
    value_progress : callable, optional
        Called as ``value_progress(key, done, total)``, in bytes, for each value
        above 1 MiB while it is fetched, by any thread; with None as `done` at its end.
    globs : iterable of str, optional
        Copy only keys that match one of these shell patterns, as in `Index.glob`.
    allow_names : iterable of str, optional
        Names that are copied although they are withheld (``".htaccess"``, or
        with ``*`` and ``?`` as in shell patterns), or whole keys.
    where, **equals
        As in `StaticStore.query`: copy only what matches.

    Returns
    -------
    MirrorReport

    Raises
    ------
    StoreError
        The folder cannot be written, or a link is in the place of something to be
        written; another mirror or publish is running on it; `browse` would replace an
        ``index.html`` that staticstore did not write.  Or the site is a folder whose
        index is a link out of it.  The copy is unchanged.
    RefusedError
        A guard refuses, and `force` would allow it; or the site has no such keys;
        one of several patterns that matches none is a warning in the log.
    NotConnectedError
        The store is not connected, or was disconnected while this ran.
    TransportError
        The host cannot be reached any more: many values in a row failed for that.
        What was fetched is used by the next run.  Or the site's head is absent, which
        it was not at the last run: the third run in a row goes without it.
    ValueError
        `workers` is below 1, or `limit_rate` below 1024, or `force` names an
        unknown guard.

    Notes
    -----
    Where a copy of the whole site has not changed, it costs a system call for each value
    and a comparison of two indexes: twice the time of ``find``.  At most 64 MiB are in
    memory, beside the index, some hundred bytes for each value, and one pack, of 16 MiB
    at most, for each worker.
    Replacements are renamed a moment before the index; a reader of the copy in that
    moment gets an `IntegrityError`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as copy:
    ...     report = mirror(sample_store, copy, type="table")
    ...     report.fetched, report.failed, mirror(sample_store, copy, type="table").kept
    (3, [], 3)
    """
    if type(workers) is not int or workers < 1:
        raise ValueError(f"workers must be an integer of 1 or more, not {workers!r}")
    if limit_rate is not None:
        checked_number(limit_rate, "limit_rate", least=LEAST_BYTES_A_SECOND)
    guards = Guards(force)
    began = time.monotonic()
    patterns = [globs] if isinstance(globs, str) else list(globs)
    allowed = [allow_names] if isinstance(allow_names, str) else list(allow_names)
    origin = site_snapshot(store)
    if origin.pinned is not None:  # the copy gets the signatures that the last poll has verified
        store.update_index()
        origin = site_snapshot(store)
    keys, signatures, asked = None, TrustCopy(None), None
    if patterns or where or equals:
        keys = _selected(origin.snapshot, patterns, where, equals)
    is_whole = keys is None or len(keys) == len(origin.snapshot)
    data_path = origin.values.data_path
    folder = SiteFolder.at(directory, data_path if fits(data_path) else DATA_PATH)
    folder.check_links(*itertools.accumulate(folder.data_path[:-1].split("/"), "{}/{}".format))
    try:
        if keys is None and not origin.is_foreign:
            asked = read_mirror_note(folder).asked
            origin, signatures, asked = with_signed_head(origin, folder, asked)
        elif origin.pinned is not None and not is_whole:
            _LOG.warning(
                "the copy of a part is verified now, but has no signatures: read it without a "
                "root file (trust, --trust), or mirror the whole site"
            )
        known = {} if is_ours(folder) else _known_values(folder, origin, guards)
        if keys == []:
            shown = first_few(list(map(quoted, patterns))) if patterns else "the conditions"
            guards.refuse(
                "shrink",
                f"none of the {len(origin.snapshot)} keys of the site matches {shown}",
                NothingMatchesError,
            )
        folder.root.mkdir(parents=True, exist_ok=True)
        with folder.locked(), _limited(origin, limit_rate) as limit:
            if browse:
                check_page(folder)
            note = read_mirror_note(folder)
            if not follows(folder, note, origin):
                return _ignored(origin, note.origin.older, time.monotonic() - began)
            run = MirrorRun(
                folder,
                origin,
                keys,
                was_whole=note.whole,
                known=known,
                allowed=allowed,
                workers=workers,
                verify=verify,
                delete=delete,
                guards=guards,
                limit=limit,
                signatures=signatures,
            )
            run.prepare()
            if note.whole not in (None, is_whole):  # unknown until this run ends
                write_mirror_note(folder, replace(note, whole=None))
            run.fetch(progress, value_progress)
            run.finish()
            if run.has_room:
                write_data_path(folder.data_note, folder.data_path)
                note_origin(note, origin, whole=is_whole)
                note.asked = asked
                write_mirror_note(folder, note)
                if browse or has_our_page(folder):
                    renew_page(folder)
    except StoreError:
        raise
    except OSError as error:
        raise folder.write_error(error) from error
    newer = bool(run.fetched) and _has_newer(store, origin)
    if newer:
        _LOG.warning("the site changed during the copy: run the mirror again to get what is new")
    return MirrorReport(
        fetched=len(run.fetched),
        kept=run.kept,
        deleted=run.deleted,
        skipped=sorted(run.skipped.items()),
        failed=sorted(run.failed.items()),
        bytes=run.bytes,
        seconds=time.monotonic() - began,
        generation=None if origin.head is None else origin.head.generation,
        newer=newer,
        verified_by=run.verified_by,
    )


def _ignored(origin: SiteSnapshot, older: int, seconds: float) -> MirrorReport:
    _LOG.warning(
        "the site's index is older than the copy's, which stays: answer %d of %d needed to go back",
        older,
        BELIEVED_ANSWERS,
    )
    generation = None if origin.head is None else origin.head.generation
    return MirrorReport(0, 0, 0, [], 0, seconds, generation, newer=False, older=older)


def _selected(
    index: Index, globs: list[str], where: Where | None, equals: Mapping[str, Any]
) -> list[str]:
    found = {pattern: set(index.glob(pattern)) for pattern in globs}
    unmatched = [quoted(pattern) for pattern, keys in found.items() if not keys]
    if len(unmatched) < len(found):  # otherwise nothing is copied, and the error says so
        for pattern in unmatched:
            _LOG.warning("no key of the site matches %s", pattern)
    matching = set[str]().union(*found.values())
    keys = index.query_keys(where=where, **equals)
    return [key for key in keys if not globs or key in matching]


def _limited(origin: SiteSnapshot, rate: float | None) -> AbstractContextManager[RateLimit | None]:
    return contextlib.nullcontext() if rate is None else origin.session.wire.limited(rate)


def _known_values(
    folder: SiteFolder, origin: SiteSnapshot, guards: Guards
) -> dict[str, FileDigest]:
    """Return the right values of a folder that is not ours; refuse to replace others."""
    foreign, values = foreign_files(folder, origin.snapshot, origin.head, sha256=origin.sha256)
    if foreign:
        named = first_few([quoted(path_text(path)) for path in foreign])
        guards.refuse(
            "folder",
            f"{quoted(str(folder.root))} is no mirror, and this one would replace or delete "
            f"files there: {named}; mirror into an empty folder",
        )
    return values


def _has_newer(store: StaticStore, origin: SiteSnapshot) -> bool:
    with contextlib.suppress(StoreError):
        store.update_index()
        return site_snapshot(store).sha256 != origin.sha256
    return False
