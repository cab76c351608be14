"""Make a site of a folder of files: ``publish``.

It writes in this order, each file whole or not at all::

    packs/<sha256>.zip          copies of small values, if wanted
    stored/<sha256>.zst         compressed copies of values, if wanted
    .nojekyll, .gitattributes   if missing
    .staticstore/data.json      if the values are not in data/
    changes/<sha256>.jsonl      what has changed since the last head
    blocks/<sha256>.json[l]     where each block of the index begins, and its digest
    index/<sha256>.parquet      the index as a table, if wanted
    about/<sha256>.json         the site's own words, if there is an about.toml
    about.json                  the same, for people
    index/<sha256>.json         the index, for readers of the head
    registry.txt, SHA256SUMS,   the index in other forms, if wanted
    items.json, datapackage.json
    .staticstore/also.json      which of them there are, and their digests
    feed.atom                   what has changed, if wanted
    .staticstore/feed.json      the URL that it names
    trust/                      the signatures of the head, if wanted, except the timestamp
    index.json                  if its bytes change
    index.head.json             if it names another index
    trust/timestamp.json        says that the head is current, if wanted
    index.html                  a page to browse the site, if wanted or there already
    .staticstore/notes          if they change
    .staticstore/metadata       if it was parsed
    .staticstore/last.json      the state in which all of this was left

A publish that is killed at any moment leaves the old index or the new one, and the
next run comes to the same bytes.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from .about import read_about, write_about
from .documents.compression import CompressOption
from .documents.document_files import prepared_head, write_documents
from .documents.packs import PACK_BELOW_BYTES
from .documents.page import check_page, has_our_page, page_version, renew_page
from .documents.root_files import write_git_files
from .exports import ExportOption, SiteExports
from .feed import FeedOption, SiteFeed
from .folder.data_path import DATA_PATH, write_data_path
from .folder.hashing import Hashing, TotalProgress
from .folder.last_publish import LastPublish, PublishReport, digest_of_arguments
from .folder.notes import write_notes
from .folder.retention import forget, next_removal, remove_forgotten
from .folder.site_folder import SiteFolder
from .guards import Force, Guards
from .predecessor import Predecessor, PublishedAt
from .publishing.entry_files import EntryOptions
from .publishing.expiry import Expiry
from .publishing.metadata import GivenMetadata, Source, find_metadata
from .publishing.options import PublishOptions
from .publishing.plan import PublishPlan, plan_publish
from .publishing.signatures import Signatures
from .publishing.survey import DataSurvey
from .publishing.table_file import check_tables, with_table
from .publishing.update import plan_update
from .verify import VerifyReport, verify_site

if TYPE_CHECKING:
    from .signatures.key_folder import KeyFolder

__all__ = [
    "PublishOptions",
    "PublishReport",
    "VerifyReport",
    "publish",
    "publish_touched",
    "verify_site",
]

# To be raised when the same data makes another index.
_VERSION = 4
_LOG = logging.getLogger("staticstore.site")


def publish(
    site: str | os.PathLike[str],
    *,
    metadata: Source | None = None,
    pack: bool = False,
    pack_below: int = PACK_BELOW_BYTES,
    compress: CompressOption = None,
    expire: str | None = None,
    browse: bool = False,
    feed: FeedOption = None,
    parquet: bool | None = None,
    also: ExportOption = None,
    after: str | os.PathLike[str] | PublishedAt | None = None,
    data: str | os.PathLike[str] | None = None,
    sign: str | os.PathLike[str] | KeyFolder | None = None,
    unsign: bool = False,
    force: Force = False,
    dry_run: bool = False,
    progress: TotalProgress | None = None,
) -> PublishReport:
    r"""Publish a folder: write the index of the files in its ``data/``.

    Files are hashed only if they are new or may have changed since the last publish.
    What has not changed is not written, and keeps its time.  What cannot be published
    is left out of the index and reported.  The data itself is never changed.

    The site's own words are read from ``about.toml`` in its folder, if there is one:
    ``title``, ``description``, ``license``, ``homepage``, ``contact``, ``keywords``,
    ``version``, ``cite_as``.  They are published together with the digests of the
    files ``README`` and ``LICENSE`` (with or without ``.md``, ``.rst``, ``.txt``) and
    ``CITATION.cff``, of 1 MiB each at most; see `StaticStore.about`.

    If they are missing, a ``.nojekyll`` is written for GitHub Pages, and a
    ``.gitattributes`` so that git does not change line ends.  Pointers of Git LFS are
    left out and reported, and so is litter of operating systems and programs.

    Parameters
    ----------
    site : path
        The site's folder, with a folder ``data`` in it (or a link to one); see `data`.
    metadata : mapping or path, optional
        Fields by key or glob pattern, or a JSON, TOML or CSV file of such.  By
        default ``metadata.json``, ``metadata.toml`` or ``metadata.csv`` in the site's
        folder, if there is one.
    pack : bool, optional
        Whether to copy small values into packs, so that many of them can be read at
        once.  The files in ``data/`` stay.  Without it a site keeps the packs that it
        has, but not for values that change.
    pack_below : int, optional
        Values of fewer bytes are packed, except empty ones; by default 64 KiB, and
        16 MiB at most.
    compress : str, iterable of str or False, optional
        Patterns of keys, such as ``"*.csv"`` (`fnmatch.fnmatchcase` on whole keys), whose
        values get a compressed copy where that saves a tenth.  The files in ``data/`` stay;
        readers with the extra ``zstd`` fetch the copy.  By default what has a copy keeps
        one, and gets a new one when it changes; False ends that.
    expire : str, optional
        A field of the metadata.  Entries in which it has a date or a time that has passed
        are left out, and reported; a date passes with its day, in UTC, and a time without
        a zone is in UTC.  Without it, in each publish, no field removes anything.
    browse : bool, optional
        Whether to write ``index.html``, a page to browse the site.  A site that has
        one gets it anew with each publish, also without this.
    feed : str or False, optional
        The URL at which the site is published, to write ``feed.atom`` (RFC 4287): what the
        last 50 publishes set, updated and deleted, each with 100 keys at most and the counts.
        The next publishes keep it and remember the URL; False removes it.
    parquet : bool, optional
        Whether to write the index as a table, too: ``index/<sha256>.parquet``, which the
        head names, and which DuckDB, polars and Spark read by its URL.  By default a site
        that has a table gets a new one whenever its index changes; False ends that.
    also : iterable of str, optional
        Forms in which other programs read the index, to be written at each publish from now
        on: ``"pooch"`` (``registry.txt``), ``"sums"`` (``SHA256SUMS``), ``"stac"``
        (``items.json``) and ``"datapackage"`` (``datapackage.json``).  By default those that
        the site has are kept up; an empty list removes them.
    after : str, path or PublishedAt, optional
        Where the site is published: an http(s) URL, a folder, or a bucket as in
        `push`.  The publish continues from the head there, as from that of its own
        folder, so that a fresh checkout keeps the lineage; with `sign` from the head that
        is signed there.  `PublishedAt` takes credentials, too.
    data : str or path, optional
        The folder of the values, if it is not ``data``: one below the site's folder.  The
        next publish, and `serve`, `push` and `verify_site`, remember it; a store reads it
        with ``data_path="FOLDER/"``.
    sign : path or KeyFolder, optional
        The folder of the keys with which to sign, see `docs/trust.md`.  A signed site is not
        published without it, except with `unsign`.  Passphrases are in the file that the
        variable ``STATICSTORE_PASSPHRASE_FILE`` names, or as a `KeyFolder` says.
    unsign : bool, optional
        Whether to remove the signatures: readers that ask for them refuse the site then.
    force : bool or iterable of str, optional
        What to do although it is rarely meant: ``"shrink"``, to leave no entry, or
        fewer than half of 20 or more; ``"lineage"``, to continue from `after` in a
        folder with a head of another lineage, or to sign what continues an unsigned site.
        True means both.
    dry_run : bool, optional
        Whether to write nothing and only report.
    progress : callable, optional
        Called in this thread as ``progress(done, total)``, in bytes to hash.

    Returns
    -------
    PublishReport
        What changed, and what was left out.

    Raises
    ------
    StoreError
        There is no such folder or no data in it; links lead out of it; the
        metadata or ``about.toml`` cannot be used; pyarrow, which writes tables, or
        Zstandard, which compresses, is not installed; there is an ``index.html``, a
        ``feed.atom`` or a file of `also` that staticstore did not write; another publish
        is running on the folder; or something cannot be written; or the site is signed,
        and a key is missing or nothing says whether to sign.  The old index stays as it was.
    RefusedError
        A guard refuses, and `force` would allow it.  Nothing was written.
    TransportError, IndexFormatError, IntegrityError
        The site at `after` cannot be read; nothing was written.
    ValueError
        `pack_below` is out of range, `expire` is no field that one gives, `feed` is no
        http(s) URL or has a password or a query, or `also` or `force` has an unknown name.

    Notes
    -----
    The time is that of reading new and changed files, on up to 8 threads, of a system
    call for each file, and of writing the index; values that are packed or compressed
    are read once more.
    From 8,000 new files below 64 KiB on, they are read by a process for each core, if
    `sys.executable` is a Python that can be started.  Only one publish at a time works
    on a folder; readers do not wait for it.

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
    options = PublishOptions(
        metadata=metadata,
        pack=pack,
        pack_below=pack_below,
        compress=compress,
        expire=expire,
        browse=browse,
        feed=feed,
        parquet=parquet,
        also=also,
        after=after,
        data=data,
        sign=sign,
        unsign=unsign,
        force=force,
        dry_run=dry_run,
        progress=progress,
    )
    return publish_touched(site, None, options)


def publish_touched(
    site: str | os.PathLike[str], paths: Collection[str] | None, options: PublishOptions
) -> PublishReport:
    """Publish a folder, looking only at what is known to have changed; see `publish`.

    Parameters
    ----------
    site : path
        The site's folder.
    paths : collection of str or None
        The paths below ``data/`` at which something has changed since the last publish
        began, with slashes; None to look at all.
    options : PublishOptions
        As of `publish`.
    """
    packing, guards, dry_run = options.packing(), Guards(options.force), options.dry_run
    compressing = options.compressing()
    expiry = None if options.expire is None else Expiry(options.expire)
    folder = SiteFolder.open(site, options.data)
    signatures = Signatures.open(folder, options.sign, unsign=options.unsign, dry_run=dry_run)
    given = GivenMetadata(
        find_metadata(folder.root) if options.metadata is None else options.metadata,
        folder.private / "metadata",
    )
    about = read_about(folder)
    feed = SiteFeed.open(folder, options.feed)
    exports = SiteExports.open(folder, options.also)
    pack_below = options.pack and options.pack_below
    every = [_VERSION, given.digest, pack_below, options.browse, about.as_json()]
    every += [] if folder.data_path == DATA_PATH else [folder.data_path]
    every += [] if feed.url is None else [{"feed": feed.url}]
    every += [] if compressing.patterns is None else [{"compress": sorted(compressing.patterns)}]
    every += [] if expiry is None else [{"expire": expiry.field}]
    every += [{"also": exports.names}] if exports.names else []
    writes_page = options.browse or has_our_page(folder)
    every += [page_version()] if writes_page else []
    arguments = digest_of_arguments(every)
    after = options.after
    at_after = None
    if after is not None:
        signed_head = signatures.signed_head(guards)
        at_after = _located(after).read(with_feed=feed.url is not None, signed_head=signed_head)
    if at_after is not None:
        feed = replace(feed, published=at_after.feed)
    for head in (folder.read_head(), None if at_after is None else at_after.head):
        check_tables(options.parquet, head)
    lock = contextlib.nullcontext() if dry_run else folder.locked()
    with lock, Hashing(options.progress) as hashing:
        noted = last = LastPublish.read(folder)
        old: Predecessor | None = None
        published: Collection[str] | None = None  # as noted
        if last is not None and options.parquet not in (None, last.report.table is not None):
            last = None
        if after is not None or last is None or not last.is_current(folder, arguments):
            last, old = None, Predecessor.of_folder(folder)
            if after is not None:
                old = old.or_published(at_after, guards)
            published = old.index
        survey = DataSurvey(folder, hashing, published, last, paths)
        if last is not None and not survey.has_changes and last.is_quiet(survey.found):
            report = last.report
            signatures.renew()
        else:
            if writes_page:
                check_page(folder)
            exports.check()
            plan = None
            known = frozenset(() if noted is None else noted.incompressible)
            made = EntryOptions(packing, compressing, known)
            if last is not None:
                plan = plan_update(folder, survey, given, about, last, made, expiry)
            if plan is None:
                plan = plan_publish(
                    folder,
                    survey,
                    given,
                    about,
                    Predecessor.of_folder(folder) if old is None else old,
                    made,
                    expiry,
                    guards,
                    arguments,
                    lambda href: noted is not None and noted.is_unchanged(folder, href),
                )
            if not dry_run:
                plan = _write(
                    folder,
                    plan,
                    given,
                    feed,
                    exports,
                    signatures,
                    writes_page=writes_page,
                    parquet=options.parquet,
                )
            report = plan.report
    for warning in (*report.warnings, *signatures.warnings()):
        _LOG.warning("%s", warning)
    return report


def _located(after: str | os.PathLike[str] | PublishedAt) -> PublishedAt:
    return after if isinstance(after, PublishedAt) else PublishedAt(after)


def _write(
    folder: SiteFolder,
    plan: PublishPlan,
    given: GivenMetadata,
    feed: SiteFeed,
    exports: SiteExports,
    signatures: Signatures,
    *,
    writes_page: bool,
    parquet: bool | None,
) -> PublishPlan:
    try:
        folder.tidy()
        plan = with_table(folder, plan, parquet)
        write_git_files(folder)
        write_data_path(folder.data_note, folder.data_path)
        if plan.files is not None:
            write_documents(folder, plan.files, None if plan.is_new else plan.body)
        write_about(folder, plan.about.about)
        body = plan.body if plan.is_new else None
        signatures.prepare(plan.head, plan.files)
        with prepared_head(folder, plan.head, body=body, files=plan.files):
            forget(folder, plan.entry_files.forgotten)
            exports.write(plan)
            # Before the head: a publish that is killed between them writes the same entry again.
            feed.write(plan.head, plan.old_head, plan.report, plan.about.about)
        signatures.finish()
        if plan.old_head is None or plan.old_head.lineage != plan.head.lineage:
            folder.mirror_note.unlink(missing_ok=True)  # no longer a copy
        if writes_page:
            renew_page(folder)
        named = plan.entry_files.hrefs
        remove_forgotten(folder, plan.head, named)
        if plan.notes != plan.data.notes or not folder.notes.exists():
            write_notes(folder.notes, plan.notes)
        given.write_note()
        replace(plan.last, until=next_removal(folder, plan.head, named)).write(folder)
        return plan
    except OSError as error:
        raise folder.write_error(error) from error
