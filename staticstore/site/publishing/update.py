"""Plan a publish in which few files have changed: all other lines stay as they are.

A site that is as the last publish left it, with the same metadata and options, has the
right line for each file in its noted state.  So only changed files are hashed and
described, and their lines are put in place of the old ones.  The result is that of
`plan_publish`, byte for byte.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...disk.file_system import read_regular
from ...errors import IndexFormatError
from ...index import codec
from ...index.changes import Action
from ...index.fields import PUBLISHER_FIELDS, Content, canonical_line
from ...index.forms.parsing import canonical_lines_of
from ...index.snapshot import Index
from ..documents.head_files import PiecedBody, States, changed_head, has_next_generation
from ..folder.data_file import FileDigest
from ..folder.withheld import unfinished
from .entry_files import EntryFiles, EntryOptions
from .expiry import Expired, Expiry
from .plan import (
    PublishPlan,
    add_files,
    bounded_warnings,
    data_warnings,
    entry_of,
    last_publish,
    report_of,
)
from .text_files import KeySearch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...index.codec import Raw
    from ...index.head import Head
    from ..about import SiteAbout
    from ..folder.last_publish import LastPublish
    from ..folder.site_folder import SiteFolder
    from .metadata import GivenMetadata
    from .survey import DataSurvey

__all__ = ["plan_update"]

_GIT_RULES = ".gitattributes"


def plan_update(
    folder: SiteFolder,
    data: DataSurvey,
    given: GivenMetadata,
    about: SiteAbout,
    last: LastPublish,
    options: EntryOptions,
    expiry: Expiry | None,
) -> PublishPlan | None:
    """Plan a publish at the cost of what has changed, if that is possible.

    Parameters
    ----------
    folder : SiteFolder
        The site, as the last publish left it.
    data : DataSurvey
        Its data.
    given : GivenMetadata
        The metadata that the publisher gives, the same as in the last publish.
    about : SiteAbout
        The site's own words, the same, too.
    last : LastPublish
        What the last publish has noted.
    options : EntryOptions
        Which packs and compressed copies to make.
    expiry : Expiry or None
        When entries expire; none has since the last publish.

    Returns
    -------
    PublishPlan or None
        None if all files have to be looked at; none was taken from `data` then.

    Raises
    ------
    StoreError
        The metadata cannot be used, or a pack or copy cannot be written.
    """
    if not _are_few(data, last) or last.has_loose_values:
        return None
    found = _read_old(folder, last)
    if found is None:
        return None
    head, old_body, old = found
    if not _fits_index(last, data, old):
        return None
    is_new_key = {file.key for file in data.changed if old.raw(file.key) is None}
    has_other_keys = bool(given and (is_new_key or data.gone))
    if has_other_keys and not _means_the_same(data, given):
        return None
    of_metadata = last.metadata_warnings
    if has_other_keys:
        known = KeySearch(data.keys)
        given.read().check_size(known)
        of_metadata = bounded_warnings(given.read().warnings(known))
    digests: dict[str, FileDigest | None] = dict.fromkeys(data.gone)
    digests.update(data.take_changed())
    expired = Expired() if expiry is None else _expired(expiry, digests, old, given)
    still_out = set(last.report.expired).difference(digests)
    alive = {key: None if key in expired.keys else one for key, one in digests.items()}
    made = EntryFiles.of_changed(folder, old, last, alive, options)
    changed = _changed_entries(alive, made, old, given)
    index = Index(old.stored.folded(changed)) if changed else old
    body = PiecedBody(index.document()) if changed else PiecedBody([old_body])
    new_head, files = changed_head(folder, head, old, index, changed, body)
    actions = _actions(changed, old, index)
    temporary = {*last.unfinished, *unfinished(actions["set"])}
    temporary_keys = sorted(temporary.difference(actions["delete"]))
    warnings = [*made.warnings, *about.warnings, *data_warnings(data, temporary_keys), *of_metadata]
    report = report_of(
        new_head.generation,
        data,
        actions,
        warnings,
        entries=len(index),
        size=last.report.bytes + _size_of(index, changed) - _size_of(old, changed),
        made=made,
        expired=sorted(still_out | expired.keys),
    )
    return PublishPlan(
        body=body,
        is_new=bool(changed),
        head=new_head,
        old_head=head,
        files=files,
        data=data,
        notes=data.notes_of_changed(new_head.index.sha256),
        last=last_publish(
            last.given,
            new_head,
            data,
            report,
            warnings=warnings,
            metadata_warnings=of_metadata,
            unfinished=temporary_keys,
            has_git_rules=False,
            made=made,
            expires=min(filter(None, (last.expires, expired.following)), default=None),
        ),
        entry_files=made,
        about=about,
        report=report,
        changed=changed,
    )


def _are_few(data: DataSurvey, last: LastPublish) -> bool:
    count, entries = len(data.changed) + len(data.gone), last.report.entries
    has_rules = last.has_git_rules or any(file.key.endswith(_GIT_RULES) for file in data.changed)
    is_small = count <= entries * tuning.UPDATED_MOST_PART and count < entries
    return is_small and not has_rules


def _read_old(folder: SiteFolder, last: LastPublish) -> tuple[Head, bytes, Index] | None:
    """Read the head and the index that the last publish wrote; None unless they are those."""
    head = folder.read_head()
    if head is None or head.index.sha256 != last.index or not has_next_generation(head):
        return None
    if folder.mirror_note.exists():  # only the origin of a copy continues its lineage
        return None
    try:
        body = read_regular(folder.index)
        if hashlib.sha256(body).hexdigest() != last.index:
            return None
        return head, body, Index(canonical_lines_of(body))
    except (OSError, IndexFormatError):
        return None


def _fits_index(last: LastPublish, data: DataSurvey, old: Index) -> bool:
    # Wrong numbers would get past the guards; an unknown pack or copy cannot be counted.
    contents = old.contents_of([*(file.key for file in data.changed), *data.gone]).values()
    packs = {content.place.href for content in contents if content.place is not None}
    copies = {content.compressed.href for content in contents if content.compressed is not None}
    are_known = packs <= last.packs.keys() and copies <= last.copies.keys()
    return are_known and len(old) == last.report.entries


def _means_the_same(data: DataSurvey, given: GivenMetadata) -> bool:
    """Return whether metadata for one key cannot mean another, in another Unicode form."""
    texts = "\n".join(data.keys + data.gone)
    return given.read().is_composed and unicodedata.is_normalized("NFC", texts)


def _expired(
    expiry: Expiry, digests: Mapping[str, FileDigest | None], old: Index, given: GivenMetadata
) -> Expired:
    def metadata_of(key: str) -> Mapping[str, Any]:
        return old[key] if key in old else given.read().fields_of(key)

    keys = (key for key, digest in digests.items() if digest is not None)
    return expiry.among(keys, metadata_of)


def _changed_entries(
    digests: Mapping[str, FileDigest | None],
    made: EntryFiles,
    old: Index,
    given: GivenMetadata,
) -> States:
    """Return the raw entries that differ from the old index; None for one that is gone."""
    changed: States = {}
    for key in sorted({*digests, *made.places}):
        raw = old.raw(key)
        digest = digests.get(key)
        new = None
        if digest is not None or key not in digests:
            new = _raw_entry(key, digest, made, raw, given)
        if new != (None if raw is None else bytes(raw)):
            changed[key] = new
    return changed


def _actions(changed: States, old: Index, index: Index) -> dict[Action, list[str]]:
    actions: dict[Action, list[str]] = {"set": [], "update": [], "delete": []}
    for key, raw in changed.items():
        if raw is None:
            actions["delete"].append(key)
        elif old.raw(key) is None:
            actions["set"].append(key)
        elif old.differs(index, key):
            actions["update"].append(key)
    return actions


def _raw_entry(
    key: str, digest: FileDigest | None, made: EntryFiles, raw: Raw | None, given: GivenMetadata
) -> bytes:
    entry = {} if raw is None else codec.decode(raw)
    if digest is None:  # only the place has changed
        entry.pop("packed", None)
        add_files(entry, key, made)
    else:
        fields = {name: entry[name] for name in entry.keys() - PUBLISHER_FIELDS}
        before = None if raw is None else Content.of(entry)
        if raw is None:
            fields = given.read().fields_of(key)
        entry = entry_of(key, digest, fields, before, made)
    line = canonical_line(key, entry)
    return line.removeprefix(codec.encode(key) + b":")


def _size_of(index: Index, changed: States) -> int:
    return sum(content.size or 0 for content in index.contents_of(changed).values())
