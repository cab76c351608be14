"""Plan a publish: make the new index of all files, the head and the report."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import quoted
from ...index.changes import Action, diff
from ...index.fields import Content, parse_time, time_text
from ...index.snapshot import Index
from ..documents.head_files import HeadFiles, PiecedBody, States, next_head
from ..documents.root_files import git_warnings, has_git_rules
from ..folder.data_file import FileDigest, media_type_of
from ..folder.last_publish import LastPublish, PublishReport
from ..folder.withheld import unfinished
from .entry_files import EntryFiles, EntryOptions
from .expiry import Expired, Expiry
from .text_files import KeySearch

if TYPE_CHECKING:
    from ...index.head import Head
    from ..about import SiteAbout
    from ..folder.notes import Notes
    from ..folder.site_folder import SiteFolder
    from ..guards import Guards
    from ..predecessor import Predecessor
    from .metadata import GivenMetadata
    from .survey import DataSurvey

__all__ = [
    "PublishPlan",
    "add_files",
    "bounded_warnings",
    "data_warnings",
    "entry_of",
    "last_publish",
    "plan_publish",
    "report_of",
]

_MOST_WARNINGS = 100  # of one kind
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PublishPlan(NamedTuple):
    """The site as it will be after the publish."""

    #: The new index.
    body: bytes | PiecedBody
    #: Whether ``index.json`` has other bytes so far.
    is_new: bool
    head: Head
    old_head: Head | None
    #: None if the head and its documents stay.
    files: HeadFiles | None
    data: DataSurvey
    notes: Notes
    #: What to note of this publish.
    last: LastPublish
    #: The packs and compressed copies that the new index names.
    entry_files: EntryFiles
    about: SiteAbout
    report: PublishReport
    #: The raw entries that differ from the old head's index; None if all may differ.
    changed: States | None = None


def plan_publish(
    folder: SiteFolder,
    data: DataSurvey,
    given: GivenMetadata,
    about: SiteAbout,
    old: Predecessor,
    options: EntryOptions,
    expiry: Expiry | None,
    guards: Guards,
    arguments: str,
    is_unchanged: Callable[[str], bool],
) -> PublishPlan:
    """Plan a publish of all files.

    New packs and compressed copies are written already: the index needs their digests.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked unless it is a dry run.
    data : DataSurvey
        Its data, whose digests are taken here.
    given : GivenMetadata
        The metadata that the publisher gives.
    about : SiteAbout
        The site's own words.
    old : Predecessor
        The site from which the publish continues.
    options : EntryOptions
        Which packs and compressed copies to make.
    expiry : Expiry or None
        When entries expire.
    guards : Guards
        What is refused.
    arguments : str
        The digest of what the index depends on beside the data.
    is_unchanged : callable
        Returns whether the pack or copy at an href is as the last publish left it.

    Raises
    ------
    RefusedError
        Too few entries would be left.
    StoreError
        Patterns give too long fields to too many keys, or a pack or copy cannot be written.
    """
    known = KeySearch(data.keys)
    fields = given.read().spelled_as(known)
    fields.check_size(known)
    expired = Expired() if expiry is None else expiry.among(data.keys, fields.fields_of)

    def values() -> Mapping[str, FileDigest]:  # once all are hashed
        gone, digests = expired.keys, data.digests
        return {key: digests[key] for key in digests if key not in gone} if gone else digests

    def check_shrink() -> None:
        guards.check_shrink("the publish", len(old.index), len(values()))

    digests: Iterable[tuple[str, FileDigest]] = data.take_all()
    if expired.keys:
        digests = (pair for pair in digests if pair[0] not in expired.keys)
    made = EntryFiles({}, {}, {}, {})
    if options.concern(old.index):
        digests = list(digests)  # the place of a value in a pack depends on all of them
        check_shrink()  # before a pack is written
        made = EntryFiles.of_all(folder, old.index, dict(digests), options, is_unchanged)
    # Of a first publish nothing is asked.  benchmark: publish-small
    before = old.index.contents_of(data.keys if len(old.index) else [])
    index = Index.from_items(  # takes the digests while other files are still hashed
        (key, entry_of(key, digest, fields.fields_of(key), before.get(key), made))
        for key, digest in digests
    )
    check_shrink()
    body = index.canonical()
    before_head = old.head_before(body, about.document)
    head, files = next_head(
        folder, before_head, index, body, about=about.document, elsewhere=old.elsewhere
    )
    of_metadata = bounded_warnings(fields.warnings(known))
    of_git = list(git_warnings(folder, list(data.digests)))
    published = values()
    temporary = unfinished(published)
    of_metadata += expired.warnings
    warnings = [
        *made.warnings,
        *about.warnings,
        *data_warnings(data, temporary),
        *of_metadata,
        *bounded_warnings(iter(of_git)),
    ]
    changed: dict[Action, list[str]] = {"set": [], "update": [], "delete": []}
    if not len(old.index):  # a comparison would take as long as all the rest
        changed["set"] = list(published)
    else:
        for change in diff(old.index, index):
            changed[change.action].append(change.key)
    report = report_of(
        head.generation,
        data,
        changed,
        [*old.warnings, *warnings],
        entries=len(index),
        size=sum(digest.size for digest in published.values()),
        made=made,
        expired=sorted(expired.keys.intersection(data.digests)),
    )
    last = last_publish(
        arguments,
        head,
        data,
        report,
        warnings=warnings,
        metadata_warnings=of_metadata,
        unfinished=temporary,
        has_git_rules=has_git_rules(folder, data.digests),
        made=made,
        expires=expired.following,
    )
    return PublishPlan(
        body=body,
        is_new=body != old.body,
        head=head,
        old_head=old.head,
        files=files,
        data=data,
        notes=data.notes_of_all(head.index.sha256),
        last=last,
        entry_files=made,
        about=about,
        report=report,
    )


def entry_of(
    key: str,
    digest: FileDigest,
    fields: Mapping[str, Any],
    before: Content | None,
    files: EntryFiles,
) -> dict[str, Any]:
    """Return the entry of a file.

    Parameters
    ----------
    key : str
        Its key.
    digest : FileDigest
        Its digest.
    fields : mapping
        The metadata that the publisher gives.
    before : Content or None
        What the old entry says of its bytes.
    files : EntryFiles
        The packs and compressed copies that have it, too.
    """
    entry = dict(fields)
    entry["size"] = digest.size
    entry["sha256"] = digest.sha256
    if (modified := _modified(digest, before)) is not None:
        entry["modified"] = modified
    if (media_type := media_type_of(key)) is not None:
        entry["media_type"] = media_type
    add_files(entry, key, files)
    return entry


def add_files(entry: dict[str, Any], key: str, files: EntryFiles) -> None:
    """Put into an entry which packs and compressed copies have its value, too."""
    if (place := files.places.get(key)) is not None:
        entry["packed"] = [place.href, place.offset]
    if (copy := files.copies.get(key)) is not None:
        entry["stored"] = copy.as_json()


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


def report_of(
    generation: int,
    data: DataSurvey,
    changed: Mapping[Action, list[str]],
    warnings: list[str],
    *,
    entries: int,
    size: int,
    made: EntryFiles,
    expired: list[str],
) -> PublishReport:
    """Return the report of a publish; `size` is that of all values, in bytes."""
    left_out = data.all_left_out()
    return PublishReport(
        generation=generation,
        set=changed["set"],
        updated=changed["update"],
        deleted=changed["delete"],
        hashed=data.hashed,
        skipped=[(one.path, one.reason) for one in left_out],
        failed=[(one.path, one.reason) for one in left_out if one.kind == "failed"],
        warnings=warnings,
        entries=entries,
        bytes=size,
        packed=sum(state.values for state in made.packs.values()),
        compressed=sum(made.copy_counts.values()),
        expired=expired,
    )


def last_publish(
    arguments: str,
    head: Head,
    data: DataSurvey,
    report: PublishReport,
    *,
    warnings: list[str],
    metadata_warnings: list[str],
    unfinished: list[str],
    has_git_rules: bool,
    made: EntryFiles,
    expires: float | None,
) -> LastPublish:
    """Return what to note of a publish; see `LastPublish`."""
    unchanged = replace(report, set=[], updated=[], deleted=[], hashed=0, warnings=warnings)
    return LastPublish(
        given=arguments,
        index=head.index.sha256,
        left_out=data.all_left_out(),
        exempt=sorted(data.found.exempt),
        report=unchanged,
        metadata_warnings=metadata_warnings,
        unfinished=unfinished,
        has_git_rules=has_git_rules,
        packs=made.packs,
        has_loose_values=made.has_loose,
        copies=made.copy_counts,
        incompressible=sorted(made.incompressible),
        expires=expires,
        is_plain=data.is_plain,
    )


def data_warnings(data: DataSurvey, temporary: Iterable[str]) -> list[str]:
    """Return the warnings of a data folder: secrets, and files that may not be data.

    Parameters
    ----------
    data : DataSurvey
        The survey.
    temporary : iterable of str
        The keys with names of unfinished files, in order.
    """
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
    half_written = (
        f"{quoted(key)} is published, but has the name of a temporary or unfinished file: "
        "move it out of data/, unless it is data"
        for key in temporary
    )
    every = (secrets, exempted, half_written)
    return [warning for kind in every for warning in bounded_warnings(kind)]


def bounded_warnings(warnings: Iterator[str]) -> list[str]:
    """Return the first hundred warnings of a kind, and the number of the others."""
    kept = [warning for _, warning in zip(range(_MOST_WARNINGS), warnings, strict=False)]
    more = sum(1 for _ in warnings)
    return [*kept, f"and {more} more of this kind"] if more else kept
