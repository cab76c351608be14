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
from ...index.hidden import Place
from ...index.snapshot import Index
from ..documents.head_files import HeadFiles, PiecedBody, next_head
from ..documents.packs import (
    Packing,
    PackState,
    has_loose_values,
    pack_states,
    pack_values,
    unchanged_places,
)
from ..documents.root_files import git_warnings, has_git_rules
from ..folder.data_file import FileDigest, media_type_of
from ..folder.last_publish import LastPublish, PublishReport
from ..folder.withheld import unfinished
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
    #: The hrefs of the packs that the new index names, and of those that it no longer names.
    packs: set[str]
    forgotten_packs: set[str]
    about: SiteAbout
    report: PublishReport


def plan_publish(
    folder: SiteFolder,
    data: DataSurvey,
    given: GivenMetadata,
    about: SiteAbout,
    old: Predecessor,
    packing: Packing | None,
    guards: Guards,
    arguments: str,
    is_unchanged: Callable[[str], bool],
) -> PublishPlan:
    """Plan a publish of all files.  New packs are written already: the index needs their digests.

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
    packing : Packing or None
        Which values to pack; None to make no new packs.
    guards : Guards
        What is refused.
    arguments : str
        The digest of what the index depends on beside the data.
    is_unchanged : callable
        Returns whether the pack at an href is as the last publish left it.

    Raises
    ------
    RefusedError
        Too few entries would be left.
    StoreError
        Patterns give too long fields to too many keys, or a pack cannot be written.
    """

    def check_shrink() -> None:
        guards.check_shrink("the publish", len(old.index), len(data.digests))

    known = KeySearch(data.keys)
    fields = given.read().spelled_as(known)
    fields.check_size(known)
    digests: Iterable[tuple[str, FileDigest]] = data.take_all()
    places: dict[str, Place] = {}
    old_packs: dict[str, int] = {}
    if packing is not None or any(old.index.packed_entries()):
        digests = list(digests)  # the place of a value in a pack depends on all of them
        check_shrink()  # before a pack is written
        places, old_packs = unchanged_places(folder, old.index, data.digests, is_unchanged)
    if packing is not None:
        places = pack_values(folder, data.digests, places, old_packs, packing)
    packs = {place.href for place in places.values()}
    # Of a first publish nothing is asked.  benchmark: publish-small
    before = old.index.contents_of(data.keys if len(old.index) else [])
    index = Index.from_items(  # takes the digests while other files are still hashed
        (key, entry_of(key, digest, fields.fields_of(key), before.get(key), places.get(key)))
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
    temporary = unfinished(data.digests)
    warnings = [
        *about.warnings,
        *data_warnings(data, temporary),
        *of_metadata,
        *bounded_warnings(iter(of_git)),
    ]
    changed: dict[Action, list[str]] = {"set": [], "update": [], "delete": []}
    if not len(old.index):  # a comparison would take as long as all the rest
        changed["set"] = list(data.digests)
    else:
        for change in diff(old.index, index):
            changed[change.action].append(change.key)
    report = report_of(
        head.generation,
        data,
        changed,
        [*old.warnings, *warnings],
        entries=len(index),
        size=sum(digest.size for digest in data.digests.values()),
        packed=len(places),
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
        packs=pack_states(folder, places, data.digests),
        has_loose_values=packing is not None and has_loose_values(data.digests, places, packing),
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
        packs=packs,
        forgotten_packs=old_packs.keys() - packs,
        about=about,
        report=report,
    )


def entry_of(
    key: str,
    digest: FileDigest,
    fields: Mapping[str, Any],
    before: Content | None,
    place: Place | None,
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
    place : Place or None
        Its place in a pack.
    """
    entry = dict(fields)
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


def report_of(
    generation: int,
    data: DataSurvey,
    changed: Mapping[Action, list[str]],
    warnings: list[str],
    *,
    entries: int,
    size: int,
    packed: int,
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
        packed=packed,
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
    packs: dict[str, PackState],
    has_loose_values: bool,
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
        packs=packs,
        has_loose_values=has_loose_values,
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
