"""A folder of files becomes a site: ``publish``.

What it writes, in this order, each file whole or not at all::

    packs/<sha256>.zip          copies of small values, if they are asked for
    .nojekyll, .gitattributes   if they are not there
    changes/<sha256>.jsonl      what has changed since the last head
    blocks/<sha256>.json[l]     where each stretch of the index begins, and its digest
    about/<sha256>.json         the site's own words, if there is an about.toml
    about.json                  the same, for people
    index/<sha256>.json         the index, for readers of the head
    index.json                  if its bytes change
    index.head.json             if it names another index
    index.html                  a page to browse the site, if it is asked for
    .staticstore/notes.json     if they change
    .staticstore/last.json      how all of this was left

Killed at any instant it leaves the old index or the new one, and the next run
comes to the same bytes as this one would have.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import quoted
from ..index.changes import Action, diff
from ..index.fields import Place
from ..index.head import Head
from ..index.snapshot import Index
from ..transport.atomic import remove_leftovers
from .about import SiteAbout, read_about, write_about
from .describing import described
from .file_digest import Digest
from .folder import SiteFolder
from .git_files import git_warnings, write_git_files
from .guards import Force, Guards
from .hashing import Hashing, Progress
from .history import (
    Step,
    forget,
    next_removal,
    next_step,
    remove_forgotten,
    taking_effect,
    write_documents,
)
from .lock import alone, unwritable
from .meant_keys import MeantKeys
from .measuring import Measured
from .metadata import Metadata, Source, find_metadata, read_metadata
from .notes import Notes, write_notes
from .packs import MOST_PACK_BYTES, PACK_BELOW, Packing, pack_values, standing_places
from .page import page_to_write, write_page
from .predecessor import Predecessor, PublishedAt
from .scan import LeftOut
from .stand_ins import unfinished
from .unchanged import Look
from .verify import VerifyReport, verify_site
from .withheld import Withheld

__all__ = ["PublishReport", "VerifyReport", "publish", "verify_site"]

# What makes of the same data the same index: to be raised when that changes.
_VERSION = 3
_LOG = logging.getLogger("staticstore.site")
_WARNINGS_KEPT = 100


@dataclass(frozen=True)
class PublishReport:
    """What a publish did, or with ``dry_run`` would have done.

    Attributes
    ----------
    generation : int
        Which generation of the site this is; one more for each that changed something.
    set, updated, deleted : list of str
        The keys that are new, have other metadata, or are gone; in key order.
    hashed : int
        How many files were hashed; the others stood still since last time.
    skipped : list of (str, str)
        Everything that was left out: its path below ``data/``, and why.
    failed : list of (str, str)
        Those of `skipped` that should have been published; secrets and litter
        are not among them.
    warnings : list of str
        What is not wrong, but hardly meant: secrets and unfinished files among
        the data, metadata for nothing, rules of git that change line ends.
    entries : int
        How many keys the index has.
    bytes : int
        The sizes of their values, summed.
    packed : int
        How many of them stand in a pack, too.
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


def publish(
    site: str | os.PathLike[str],
    *,
    metadata: Source | None = None,
    pack: bool = False,
    pack_below: int = PACK_BELOW,
    browse: bool = False,
    after: str | os.PathLike[str] | PublishedAt | None = None,
    force: Force = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> PublishReport:
    r"""Make a site of a folder: write the index of what lies in its ``data/``.

    Files are hashed only if they are new or may have changed since the last
    publish.  What has not changed is not written, and keeps its time.  What
    cannot be published is left out of the index and reported; the data itself
    is never touched.

    The site's own words are read from ``about.toml`` in its folder, if there is
    one: ``title``, ``description``, ``license``, ``homepage``, ``contact``,
    ``keywords``, ``version``, ``cite_as``.  With them go the digests of the files
    ``README`` and ``LICENSE`` (as they are, or ``.md``, ``.rst``, ``.txt``) and
    ``CITATION.cff``, each of 1 MiB at most; see `StaticStore.about`.

    Where there is none, a ``.nojekyll`` is written, for GitHub Pages, and a
    ``.gitattributes``, so that git changes no line ends.  Pointers of Git LFS
    are left out and reported, as is what operating systems and programs leave
    in folders.

    Parameters
    ----------
    site : path
        The site's folder, with a folder ``data`` in it (or a link to one).
    metadata : mapping or path, optional
        Fields by key or glob pattern, or a JSON, TOML or CSV file of such; see
        `read_metadata`.  By default ``metadata.json``, ``metadata.toml`` or
        ``metadata.csv`` in the site's folder, if there is one.
    pack : bool, optional
        Whether to copy small values into packs, so that many of them can be
        read at once.  The files in ``data/`` stay.  A site that has packs
        keeps them without it, less the values that change.
    pack_below : int, optional
        Values of fewer bytes are packed, empty ones excepted; 16 MiB at most.
    browse : bool, optional
        Whether to write ``index.html``, a page to look at the site with a
        browser.  A site that has one keeps it without.
    after : str, path or PublishedAt, optional
        Where the site is published: an http(s) URL, a folder, or a bucket as in
        `push`.  The publish goes on from the head that stands there, as from
        that of its own folder, so that a fresh checkout keeps the lineage.
        `PublishedAt` takes credentials, too.
    force : bool or iterable of str, optional
        What to do though it is rarely meant: ``"shrink"``, to leave no entry, or
        fewer than half of 20 or more; ``"lineage"``, to go on from `after` in a
        folder with a head of another lineage.  True is all of it.
    dry_run : bool, optional
        Whether to write nothing at all and only report.
    progress : callable, optional
        Called in this thread as ``progress(done, total)``, in bytes to hash.

    Returns
    -------
    PublishReport
        What changed, and what was left out.

    Raises
    ------
    StoreError
        There is no such folder or no ``data`` in it; links lead out of it; the
        metadata or ``about.toml`` cannot be used; an ``index.html`` stands there that is none of
        ours; another publish is running on the folder; or something cannot be
        written.  The old index then stands as it was.
    RefusedError
        It is what `force` is for; the name is in its `guard`.  A StoreError of
        `staticstore.site.guards`.  Nothing was written.
    TransportError, IndexFormatError, IntegrityError
        What stands at `after` cannot be read; nothing was written.
    ValueError
        `pack_below` is no such number, or `force` names something else.

    Notes
    -----
    The time is that of reading what is new or changed, on up to 8 threads, and
    of a system call for each file; what is packed is read once more.  From
    8,000 new files below 64 KiB on, they are read by a process for each core,
    where `sys.executable` is a Python that can be started.  Only one publish
    at a time works on a folder; readers need not wait for it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as site:
    ...     data = pathlib.Path(site, "data")
    ...     data.mkdir()
    ...     _ = (data / "a.csv").write_text("x\n1\n")
    ...     publish(site, metadata={"*.csv": {"type": "table"}}).set
    ['a.csv']
    """
    if type(pack_below) is not int or not 0 < pack_below <= MOST_PACK_BYTES:
        raise ValueError(f"pack_below is from 1 to {MOST_PACK_BYTES} bytes, not {pack_below!r}")
    guards = Guards(force)
    packing = Packing(pack_below, writes=not dry_run) if pack else None
    folder = SiteFolder.open(site)
    fields = read_metadata(find_metadata(folder.root) if metadata is None else metadata)
    about = read_about(folder)
    given = [_VERSION, fields.as_json(), pack and pack_below, browse, about.as_json()]
    published = None if after is None else _located(after).read()
    with contextlib.nullcontext() if dry_run else alone(folder), Hashing(progress) as hashing:
        look = Look(folder, given)
        report = _unchanged(look) if after is None else None
        if report is None:
            page = page_to_write(folder) if browse else None
            old = Predecessor.of_folder(folder)
            if after is not None:
                old = old.or_published(published, guards)
            data = Measured(folder, hashing, look, old.index)
            plan = _prepare(folder, data, fields, about, old, packing, guards)
            report = plan.report
            if not dry_run:
                _write(folder, old, plan, page)
    for warning in report.warnings:
        _LOG.warning("%s", warning)
    return report


def _located(after: str | os.PathLike[str] | PublishedAt) -> PublishedAt:
    return after if isinstance(after, PublishedAt) else PublishedAt(after)


def _unchanged(look: Look) -> PublishReport | None:
    """Return the report, if there is nothing to do."""
    last = look.last_report()
    if last is None:
        return None
    last |= {name: [tuple(one) for one in last[name]] for name in ("skipped", "failed")}
    return PublishReport(**last)


def _as_json(report: PublishReport) -> dict[str, Any]:
    """Return what a report is if nothing changes from then on."""
    return {**vars(report), "set": [], "updated": [], "deleted": [], "hashed": 0}


class _Plan(NamedTuple):
    """What shall stand there after the publish."""

    body: bytes
    #: What the site's head says then.
    head: Head
    #: None if the head names this index already.
    step: Step | None
    data: Measured
    notes: Notes
    #: The hrefs of the packs that the index names then, and of those that it names no more.
    packs: set[str]
    forgotten_packs: set[str]
    about: SiteAbout
    report: PublishReport


def _prepare(
    folder: SiteFolder,
    data: Measured,
    fields: Metadata,
    about: SiteAbout,
    old: Predecessor,
    packing: Packing | None,
    guards: Guards,
) -> _Plan:
    """Find out what shall stand there, and write the packs that the index will name."""

    def check_shrink() -> None:
        guards.check_shrink("the publish", len(old.index), len(data.digests))

    known = MeantKeys([file.key for file in data.found.files])
    fields = fields.meant_for(known)
    fields.check_size(known)
    digests: Iterable[tuple[str, Digest]] = data.take()
    places: dict[str, Place] = {}
    old_packs: dict[str, int] = {}
    if packing is not None or any(old.index.packed_entries()):
        digests = list(digests)  # on all of which it depends what stands where in a pack
        check_shrink()  # before a pack is written
        places, old_packs = standing_places(folder, old.index, data.digests, data.look.has_kept)
    if packing is not None:
        places = pack_values(folder, data.digests, places, old_packs, packing)
    packs = {place.href for place in places.values()}
    before = old.index.contents_of(file.key for file in data.found.files)
    index = described(digests, fields, before, places)
    check_shrink()
    left_out = sorted(data.left_out + data.found.left_out)
    keys = list(data.digests)
    changed = _changed(old.index, index, keys)
    body = index.canonical()
    before_head = old.head_before(body, about.document)
    head, step = next_step(
        folder, before_head, index, body, about=about.document, elsewhere=old.elsewhere
    )
    report = PublishReport(
        generation=head.generation,
        set=changed["set"],
        updated=changed["update"],
        deleted=changed["delete"],
        hashed=data.hashed,
        skipped=[(one.path, one.reason) for one in left_out],
        failed=[(one.path, one.reason) for one in left_out if one.kind == "failed"],
        warnings=[
            *old.warnings,
            *about.warnings,
            *_secret_warnings(left_out),
            *_spared_warnings(data.found.spared),
            *_unfinished_warnings(keys),
            *_bounded(fields.warnings(known)),
            *_bounded(iter(git_warnings(folder, keys))),
        ],
        entries=len(index),
        bytes=sum(digest.size for digest in data.digests.values()),
        packed=len(places),
    )
    notes = Notes.of(data.digests, data.found.began_ns)
    forgotten = old_packs.keys() - packs
    return _Plan(body, head, step, data, notes, packs, forgotten, about, report)


def _changed(old: Index, new: Index, keys: list[str]) -> dict[Action, list[str]]:
    """Return which of the new index's keys a publish sets and updates, and what it deletes."""
    changed: dict[Action, list[str]] = {"set": [], "update": [], "delete": []}
    if not len(old):  # there is nothing to compare, which would take as long as all the rest
        return changed | {"set": keys}
    for change in diff(old, new):
        changed[change.action].append(change.key)
    return changed


def _secret_warnings(left_out: list[LeftOut]) -> list[str]:
    secrets = [one for one in left_out if one.kind == "secret"]
    return _bounded(
        f"{quoted(one.path)} is not published: {one.reason}. "
        "Move it out of data/, for a web server may well hand it out"
        for one in secrets
    )


def _spared_warnings(spared: Mapping[str, Withheld]) -> list[str]:
    return _bounded(
        f"{quoted(key)} stays published, but would be left out if it were new: {why.reason}. "
        "Neither serve nor a new mirror hands it out: move it out of data/, and publish again, or "
        "give it another name"
        for key, why in sorted(spared.items())
    )


def _unfinished_warnings(keys: list[str]) -> list[str]:
    return _bounded(
        f"{quoted(key)} is published, but has the name of a temporary or unfinished file: move it "
        "out of data/, unless it is data"
        for key in unfinished(keys)
    )


def _bounded(warnings: Iterator[str]) -> list[str]:
    kept = [warning for _, warning in zip(range(_WARNINGS_KEPT), warnings, strict=False)]
    more = sum(1 for _ in warnings)
    return [*kept, f"and {more} more of this kind"] if more else kept


def _write(folder: SiteFolder, old: Predecessor, plan: _Plan, page: bytes | None) -> None:
    try:
        for place in (folder.root, folder.private, folder.packs):
            remove_leftovers(place)
        write_git_files(folder)
        if plan.step is not None:
            write_documents(folder, plan.step, plan.body)
        write_about(folder, plan.about.about)
        body = None if plan.body == old.body else plan.body
        with taking_effect(folder, plan.head, body=body, step=plan.step):
            forget(folder, plan.forgotten_packs)
        if old.head is None or old.head.lineage != plan.head.lineage:  # it is a copy no more
            folder.mirror_note.unlink(missing_ok=True)
        if page is not None:
            write_page(folder, page)
        remove_forgotten(folder, plan.head, plan.packs)
        if plan.notes != plan.data.notes or not folder.notes.exists():
            write_notes(folder.notes, plan.notes)
        _note(folder, plan)
    except OSError as error:
        raise unwritable(folder, error) from error


def _note(folder: SiteFolder, plan: _Plan) -> None:
    """Note how all was left, unless another try may read what could not be read now."""
    data = plan.data
    if any(one.kind == "failed" for one in data.left_out):
        data.look.forget()
    else:
        until = next_removal(folder, plan.head, plan.packs)
        data.look.note(data.found, _as_json(plan.report), until)
