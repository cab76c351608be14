"""The destination of a push: what a target has, and the note of earlier pushes."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import IndexFormatError
from ...index import codec
from ...index.about import ABOUT_NAME, MOST_ABOUT_BYTES, MOST_FILE_BYTES, About
from ...index.blocks import named_documents
from ...index.fields import key_problem
from ...index.head import Head, NamedDocument, Role
from ...index.snapshot import Index
from ...trust.layout import (
    TIMESTAMP_NAME,
    TRUST_FOLDER,
    is_trust_name,
    target_name,
    trust_path,
)
from ..documents.exports import EXPORTS
from ..folder.data_path import DATA_PATH, fits
from ..folder.retention import entry_files_of
from .source import PushSource, Upload

if TYPE_CHECKING:
    from .target import Target

__all__ = ["NOTE", "AboutChanges", "PushDestination", "PushNote"]

_LOG = logging.getLogger("staticstore.site")

#: The note's place at a target.
NOTE = ".staticstore/push.json"
_FORMAT = "staticstore-push/1"
_DIGEST_NAMED = re.compile(
    r"(packs|stored|changes|blocks|index|about)/[0-9a-f]{64}\.(zip|zst|jsonl|json|parquet)"
)
_EXPORTS = frozenset(export.file for export in EXPORTS.values())
_TOO_LARGE = "too large"  # in place of the digest of a file larger than any of ours


class PushNote(NamedTuple):
    """What the index at a target does not say of the files beside it."""

    #: Keys whose values an interrupted push may have replaced.
    overwritten: frozenset[str] = frozenset()
    #: Keys whose values may be there though the index does not name them.
    left: frozenset[str] = frozenset()
    #: Files named by their digest that nothing names now, and since when (seconds since 1970).
    forgotten: Mapping[str, int] = MappingProxyType({})
    #: Complete files that no index names yet, and their sha256.
    stored: Mapping[str, str] = MappingProxyType({})
    #: Names of the site's own words (`about`) that belong to another author's files.
    foreign: frozenset[str] = frozenset()
    #: Where the values are.
    data: str = DATA_PATH
    #: The index in other forms, as pushes have written it: the sha256 of each file by its name,
    #: or an empty text for one that an interrupted push may have written.
    also: Mapping[str, str] = MappingProxyType({})
    #: The signatures of the last push, except the timestamp: their hrefs and sha256.
    signed: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def parse(cls, body: bytes) -> PushNote:
        """Parse a note.

        Raises
        ------
        IndexFormatError
            It is not a note.
        """
        fields = codec.decode(body)
        if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
            raise IndexFormatError(f"{NOTE} at the target is no note of a push")
        data = fields.get("data")
        return cls(
            _keys(fields.get("overwritten")),
            _keys(fields.get("left")),
            _times(fields.get("forgotten")),
            _digests(fields.get("stored")),
            _keys(fields.get("foreign")),
            data if isinstance(data, str) and fits(data) else DATA_PATH,
            {name: one for name, one in _digests(fields.get("also")).items() if name in _EXPORTS},
            {href: one for href, one in _digests(fields.get("signed")).items() if _signs(href)},
        )

    def encode(self) -> bytes:
        """Return the note as JSON."""
        fields = {
            "format": _FORMAT,
            "overwritten": sorted(self.overwritten),
            "left": sorted(self.left),
            "forgotten": dict(sorted(self.forgotten.items())),
            "stored": dict(sorted(self.stored.items())),
            "foreign": sorted(self.foreign),
            **({} if self.data == DATA_PATH else {"data": self.data}),
            **({"also": dict(sorted(self.also.items()))} if self.also else {}),
            **({"signed": dict(sorted(self.signed.items()))} if self.signed else {}),
        }
        return codec.encode(fields) + b"\n"


def _keys(fields: Any) -> frozenset[str]:
    keys = fields if isinstance(fields, list) else []
    return frozenset(key for key in keys if key_problem(key) is None)


def _signs(href: str) -> bool:
    name = href.removeprefix(f"{TRUST_FOLDER}/")
    return name != href and name != TIMESTAMP_NAME and is_trust_name(name)


def _times(fields: Any) -> dict[str, int]:
    times = fields if isinstance(fields, dict) else {}
    return {
        href: since
        for href, since in times.items()
        if isinstance(since, int) and (_DIGEST_NAMED.fullmatch(href) or _signs(href))
    }


def _digests(fields: Any) -> dict[str, str]:
    digests = fields if isinstance(fields, dict) else {}
    return {href: sha256 for href, sha256 in digests.items() if isinstance(sha256, str)}


@dataclass(frozen=True)
class PushDestination:
    """A snapshot of the site at a target; empty if there is none."""

    index: Index
    #: The bytes of ``index.json`` and of the head; None where there is none.
    body: bytes | None
    head: Head | None
    head_body: bytes | None
    #: The hrefs of the documents that the head names and the target has.
    documents: frozenset[str]
    note: PushNote
    #: Whether the target has a head, or the note of a push.
    is_known: bool
    #: The bytes of the page and other files for the host, by name.
    beside: dict[str, bytes | None]
    about: AboutChanges
    #: The names of exports at which the target has files that no push wrote.
    foreign_exports: frozenset[str]
    #: The bytes of the timestamp that is signed; None where there is none.
    timestamp: bytes | None

    @classmethod
    def read(cls, target: Target, site: PushSource) -> PushDestination:
        """Read what a target has of a site, with one request for each of a few files.

        Parameters
        ----------
        target : Target
            The target.
        site : PushSource
            The site to push.

        Raises
        ------
        TransportError
            The target cannot be read.
        IndexFormatError
            The index, head or note there cannot be parsed: it may belong to another program.
        """
        body, head_body = target.read("index.json"), target.read("index.head.json")
        note_body = target.read(NOTE)
        try:
            head = None if head_body is None else Head.parse(head_body)
            note = PushNote() if note_body is None else PushNote.parse(note_body)
            index = _read_index(body, head, target)
            documents = _read_documents(head, target, site)
            if index is None and head is not None:
                documents -= {head.index.href}  # upload it again
            timestamp = None
            is_strange = note_body is None and body is not None
            if site.trust or note.signed or is_strange:
                timestamp = target.read(trust_path(TIMESTAMP_NAME))
            if timestamp is not None:
                documents |= note.signed.keys()
            return cls(
                Index.from_entries({}) if index is None else index,
                body,
                head,
                head_body,
                documents,
                note,
                head_body is not None or note_body is not None,
                {name: target.read(name) for name in site.beside},
                AboutChanges.compare(target, head, note, site),
                _foreign_exports(target, note, site),
                timestamp,
            )
        except IndexFormatError as error:
            raise IndexFormatError(
                f"the files at {target.url} are no site of ours, and not overwritten: {error}"
            ) from error

    def lacking(self, site: PushSource) -> list[str]:
        """Return the keys of a site whose values the target does not have, in order."""
        wanted = site.index.contents_of(list(site.index))
        there = self.index.contents_of(wanted)
        return [
            key
            for key, content in wanted.items()
            if self.note.stored.get(site.folder.data_path + key) != content.sha256
            and (
                key in self.note.overwritten
                or key not in there
                or (there[key].size, there[key].sha256) != (content.size, content.sha256)
            )
        ]

    def named(self) -> set[str]:
        """Return the hrefs of the files named by their digest that index and head name."""
        return {*entry_files_of(self.index), *self.documents}

    def has(self, upload: Upload) -> bool:
        """Return whether the target has a file that never changes under its name."""
        href, sha256 = upload.href, upload.sha256
        if self.note.stored.get(href) == sha256:
            return True
        if _signs(href):  # of other keys, it has the same name
            return self.timestamp is not None and self.note.signed.get(href) == sha256
        return href in self.named()

    @property
    def lags(self) -> bool:
        """Whether an interrupted push has left the timestamp of an older head."""
        if self.timestamp is None or self.head_body is None or not self.note.signed:
            return False
        return trust_path(target_name(_sha256(self.head_body))) not in self.note.signed

    def keys_beside(self, keys: Iterable[str]) -> frozenset[str]:
        """Return the keys, other than `keys`, whose values the target has."""
        return (self.note.left | frozenset(self.index)).difference(keys)


def _foreign_exports(target: Target, note: PushNote, site: PushSource) -> frozenset[str]:
    new = (one for one in site.exports if one.href not in note.also)
    foreign = {one.href for one in new if _digest_at(target, one.href) not in (None, one.sha256)}
    for name in sorted(foreign):
        _LOG.warning("%s is not pushed: the target has one that no push wrote", name)
    return frozenset(foreign)


def _read_index(body: bytes | None, head: Head | None, target: Target) -> Index | None:
    # If index.json is lost, the head names the same bytes under their digest.
    if body is None and head is not None:
        named = target.read(head.index.href)
        body = named if named is not None and head.index.describes(named) else None
    return None if body is None else Index.parse(body)


def _read_documents(head: Head | None, target: Target, site: PushSource) -> frozenset[str]:
    unusable: set[NamedDocument] = set()

    def read(document: NamedDocument) -> bytes | None:
        if document == site.head.blocks:
            return site.block_root
        body = target.read(document.href)
        if body is not None and document.describes(body):
            return body
        unusable.add(document)  # upload it again
        return None

    named = [] if head is None else list(named_documents(head, read))
    return frozenset(document.href for document in named if document not in unusable)


class AboutChanges(NamedTuple):
    """What a push changes of ``about.json`` and the files that belong to it."""

    #: What to write, by name.
    lacking: Mapping[str, bytes] = MappingProxyType({})
    #: Files of earlier pushes that no longer belong to the site.
    outdated: tuple[str, ...] = ()
    #: The names that belong to another author's files, whatever bytes these have.
    foreign: frozenset[str] = frozenset()

    @classmethod
    def compare(
        cls, target: Target, head: Head | None, note: PushNote, site: PushSource
    ) -> AboutChanges:
        """Compare the files at a target with those of a site.

        Nothing is read if both heads name the same document.

        A file is ours if an about document that an earlier push brought there names
        its digest, and the note does not call it foreign.  Others are never
        replaced; a warning is logged if they differ from the site's.

        Parameters
        ----------
        target : Target
            The target.
        head : Head or None
            Its head.
        note : PushNote
            Its note.
        site : PushSource
            The site to push.

        Raises
        ------
        TransportError
            The target cannot be read.
        """
        there = None if head is None else head.about
        if site.head.about == there:
            return cls(foreign=note.foreign)
        ours = _pushed_digests(target, there, note)
        lacking, others = {}, set(note.foreign)
        for name, body in site.about.items():
            standing = _digest_at(target, name)
            is_ours = standing in ours[name] and name not in note.foreign
            if standing == _sha256(body):
                # The pushed document will name these bytes, though another author wrote them.
                others.update(() if is_ours else (name,))
            elif standing is None or is_ours:
                lacking[name] = body
                others.discard(name)
            else:
                _LOG.warning("%s is not pushed: the target has one that no push wrote", name)
        gone = sorted(ours.keys() - site.about - others)
        outdated = [name for name in gone if _digest_at(target, name) in ours[name]]
        return cls(lacking, tuple(outdated), frozenset(others))


def _pushed_digests(
    target: Target, named: NamedDocument | None, note: PushNote
) -> defaultdict[str, set[str]]:
    """Return the digests that pushes gave to files, by their names."""
    digests = defaultdict[str, set[str]](set)
    for sha256 in _about_documents(named, note):
        try:
            href = NamedDocument(Role.ABOUT, 0, sha256).href
            body = target.read(href, most_bytes=MOST_ABOUT_BYTES)
            if body is None or _sha256(body) != sha256:
                continue
            digests[ABOUT_NAME].add(sha256)
            files = About.parse(body).files
        except IndexFormatError:
            continue
        for name, file in files.items():
            digests[name].add(file.sha256)
    return digests


def _about_documents(named: NamedDocument | None, note: PushNote) -> Iterator[str]:
    if named is not None:
        yield named.sha256
    for href in note.forgotten:  # also by a push that was interrupted
        folder, _, name = href.partition("/")
        if folder == Role.ABOUT.folder:
            yield name.partition(".")[0]


def _digest_at(target: Target, name: str) -> str | None:
    try:
        body = target.read(name, most_bytes=MOST_FILE_BYTES)
    except IndexFormatError:
        return _TOO_LARGE
    return None if body is None else _sha256(body)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
