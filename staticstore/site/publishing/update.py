"""Plan a publish in which few files have changed: all other lines stay as they are.

A site that is as the last publish left it, with the same metadata and options, has the
right line for each file in its noted state.  So only changed files are hashed and
described, and their lines are put in place of the old ones.  The result is that of
`plan_publish`, byte for byte.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

from ... import tuning
from ...disk.file_system import read_regular
from ...errors import IndexFormatError
from ...index import codec
from ...index.changes import Action
from ...index.fields import PUBLISHER_FIELDS, Content, canonical_line
from ...index.forms.parsing import canonical_lines_of
from ...index.hidden import Place
from ...index.snapshot import Index
from ..documents.head_files import PiecedBody, States, changed_head, has_next_generation
from ..documents.packs import Packing, changed_places, has_loose_values
from ..folder.data_file import FileDigest
from ..folder.withheld import unfinished
from .plan import PublishPlan, bounded_warnings, data_warnings, entry_of, last_publish, report_of
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
    packing: Packing | None,
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
    packing : Packing or None
        Which values to pack; None to make no new packs.

    Returns
    -------
    PublishPlan or None
        None if all files have to be looked at; none was taken from `data` then.

    Raises
    ------
    StoreError
        The metadata cannot be used, or a pack cannot be written.
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
    places, packs = dict[str, Place | None](), last.packs
    if packing is not None or packs:
        places, packs = changed_places(folder, old, packs, digests, packing)
    changed = _changed_entries(digests, places, old, given)
    index = Index(old.stored.folded(changed)) if changed else old
    body = PiecedBody(index.document()) if changed else PiecedBody([old_body])
    new_head, files = changed_head(folder, head, old, index, changed, body)
    actions = _actions(changed, old, index)
    temporary = {*last.unfinished, *unfinished(actions["set"])}
    temporary_keys = sorted(temporary.difference(actions["delete"]))
    warnings = [*about.warnings, *data_warnings(data, temporary_keys), *of_metadata]
    report = report_of(
        new_head.generation,
        data,
        actions,
        warnings,
        entries=len(index),
        size=last.report.bytes + _size_of(index, changed) - _size_of(old, changed),
        packed=sum(state.values for state in packs.values()),
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
            packs=packs,
            has_loose_values=packing is not None and _has_loose(digests, places, packing),
        ),
        packs=set(packs),
        forgotten_packs=last.packs.keys() - packs,
        about=about,
        report=report,
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
    # Wrong numbers would get past the guards; an unknown pack cannot be counted.
    contents = old.contents_of([*(file.key for file in data.changed), *data.gone])
    hrefs = {content.place.href for content in contents.values() if content.place is not None}
    return len(old) == last.report.entries and hrefs <= last.packs.keys()


def _means_the_same(data: DataSurvey, given: GivenMetadata) -> bool:
    """Return whether metadata for one key cannot mean another, in another Unicode form."""
    texts = "\n".join(data.keys + data.gone)
    return given.read().is_composed and unicodedata.is_normalized("NFC", texts)


def _changed_entries(
    digests: Mapping[str, FileDigest | None],
    places: Mapping[str, Place | None],
    old: Index,
    given: GivenMetadata,
) -> States:
    """Return the raw entries that differ from the old index; None for one that is gone."""
    changed: States = {}
    for key in sorted({*digests, *places}):
        raw = old.raw(key)
        digest = digests.get(key)
        new = None
        if digest is not None or key not in digests:
            new = _raw_entry(key, digest, places.get(key), raw, given)
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
    key: str, digest: FileDigest | None, place: Place | None, raw: Raw | None, given: GivenMetadata
) -> bytes:
    entry = {} if raw is None else codec.decode(raw)
    if digest is None:  # only the place has changed
        entry.pop("packed", None)
        if place is not None:
            entry["packed"] = [place.href, place.offset]
    else:
        fields = {name: entry[name] for name in entry.keys() - PUBLISHER_FIELDS}
        before = None if raw is None else Content.of(entry)
        if raw is None:
            fields = given.read().fields_of(key)
        entry = entry_of(key, digest, fields, before, place)
    line = canonical_line(key, entry)
    return line.removeprefix(codec.encode(key) + b":")


def _has_loose(
    digests: Mapping[str, FileDigest | None], places: Mapping[str, Place | None], packing: Packing
) -> bool:
    placed = {key: place for key, place in places.items() if place is not None}
    found = {key: digest for key, digest in digests.items() if digest is not None}
    is_any_moved = len(placed.keys() - digests.keys()) < len(places.keys() - digests.keys())
    return is_any_moved or has_loose_values(found, placed, packing)


def _size_of(index: Index, changed: States) -> int:
    return sum(content.size or 0 for content in index.contents_of(changed).values())
