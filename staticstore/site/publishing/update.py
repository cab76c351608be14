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
from ...index.snapshot import Index
from ..documents.head_files import PiecedBody, States, changed_head, has_next_generation
from ..folder.withheld import unfinished
from .plan import PublishPlan, bounded_warnings, data_warnings, entry_of, last_publish, report_of
from .text_files import KeySearch

if TYPE_CHECKING:
    from ...index.head import Head
    from ..about import SiteAbout
    from ..folder.data_file import FileDigest
    from ..folder.last_publish import LastPublish
    from ..folder.site_folder import SiteFolder
    from ..guards import Guards
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
    guards: Guards,
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
    guards : Guards
        What is refused.

    Returns
    -------
    PublishPlan or None
        None if all files have to be looked at; none was taken from `data` then.

    Raises
    ------
    RefusedError
        Too few entries would be left.
    StoreError
        The metadata cannot be used.
    """
    if not _are_few(data, last):
        return None
    found = _read_old(folder, last)
    if found is None:
        return None
    head, old_body, old = found
    is_new_key = {file.key for file in data.changed if old.raw(file.key) is None}
    has_other_keys = bool(given and (is_new_key or data.gone))
    if has_other_keys and not _means_the_same(data, given):
        return None
    of_metadata = last.metadata_warnings
    if has_other_keys:
        known = KeySearch(data.keys)
        given.read().check_size(known)
        of_metadata = bounded_warnings(given.read().warnings(known))
    changed = dict(sorted(_changed_entries(data, old, given).items()))
    index = Index(old.stored.folded(changed)) if changed else old
    guards.check_shrink("the publish", len(old), len(index))
    body = PiecedBody(index.document()) if changed else PiecedBody([old_body])
    new_head, files = changed_head(folder, head, old, index, changed, body)
    set_keys = [key for key in changed if old.raw(key) is None]
    gone = {key for key, raw in changed.items() if raw is None}
    temporary = sorted({*last.unfinished, *unfinished(set_keys)} - gone)
    actions: dict[Action, list[str]] = {
        "set": set_keys,
        "update": [
            key
            for key, raw in changed.items()
            if raw is not None and old.raw(key) is not None and old.differs(index, key)
        ],
        "delete": [key for key in changed if key in gone],
    }
    warnings = [*about.warnings, *data_warnings(data, temporary), *of_metadata]
    report = report_of(
        new_head.generation,
        data,
        actions,
        warnings,
        entries=len(index),
        size=last.report["bytes"] + _size_of(index, changed) - _size_of(old, changed),
        packed=0,
    )
    return PublishPlan(
        body=body,
        is_new=bool(changed),
        head=new_head,
        old_head=head,
        files=files,
        data=data,
        notes=data.notes_of_changed(),
        last=last_publish(
            last.given,
            new_head,
            data,
            report,
            metadata_warnings=of_metadata,
            unfinished=temporary,
            has_git_rules=False,
        ),
        packs=set(),
        forgotten_packs=set(),
        about=about,
        report=report,
    )


def _are_few(data: DataSurvey, last: LastPublish) -> bool:
    count, entries = len(data.changed) + len(data.gone), last.report["entries"]
    has_rules = last.has_git_rules or any(file.key.endswith(_GIT_RULES) for file in data.changed)
    is_small = count <= entries * tuning.UPDATED_MOST_PART and count < entries
    return is_small and not has_rules and not last.report["packed"]


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


def _means_the_same(data: DataSurvey, given: GivenMetadata) -> bool:
    """Return whether metadata for one key cannot mean another, in another Unicode form."""
    texts = "\n".join(data.keys + data.gone)
    return given.read().is_composed and unicodedata.is_normalized("NFC", texts)


def _changed_entries(data: DataSurvey, old: Index, given: GivenMetadata) -> States:
    """Return the raw entries that differ from the old index; None for one that is gone."""
    changed: States = {key: None for key in data.gone if key in old}
    for key, digest in data.take_changed():
        raw = old.raw(key)
        new = None if digest is None else _raw_entry(key, digest, raw, given)
        if new != (None if raw is None else bytes(raw)):
            changed[key] = new
    return changed


def _raw_entry(key: str, digest: FileDigest, raw: codec.Raw | None, given: GivenMetadata) -> bytes:
    before = None
    if raw is None:
        fields = given.read().fields_of(key)
    else:
        entry = codec.decode(raw)
        before = Content.of(entry)
        fields = {name: entry[name] for name in entry.keys() - PUBLISHER_FIELDS}
    line = canonical_line(key, entry_of(key, digest, fields, before, None))
    return line.removeprefix(codec.encode(key) + b":")


def _size_of(index: Index, changed: States) -> int:
    return sum(content.size or 0 for content in index.contents_of(changed).values())
