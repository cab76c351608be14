"""What a publish goes on from: the site as it stands in the folder, or as it is published.

A fresh checkout, in CI for instance, has the data and not the head.  With the
head, the index and the change files of the published site it goes on with the
same lineage.  All of that is untrusted: bounded, and held against its digest.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import AuthorizationError, IndexFormatError, IntegrityError, StoreError, raise_alone
from ..index.changes import parse_change_lines, sum_of_document, sum_text
from ..index.head import HEAD_PATH, MOST_HEAD_BYTES, Document, Head
from ..index.snapshot import Index
from ..transport.regular import read_regular
from .folder import SiteFolder, reason_of
from .guards import Guards

if TYPE_CHECKING:
    from ..transport.auth import Credentials

__all__ = ["Predecessor", "PublishedAt", "PublishedSite"]

_CLOUD = re.compile(r"(?:s3|gs|az)://")
_RETRIES = 2  # of a request
_SECONDS = 300.0  # that one document may take
_MOST_INDEX_BYTES = 1 << 30
_ABSENT = frozenset({404, 410})  # 403 may be a matter of credentials

#: Returns the bytes at an href, None if there are none, or raises if they are more than so many.
_Read = Callable[[str, int], bytes | None]


@dataclass(frozen=True)
class PublishedSite:
    """What a published site says, as far as a publish needs it."""

    #: Without secrets.
    url: str
    head: Head
    index: Index
    #: The index, the root of its blocks, and the newest change files.
    documents: Mapping[Document, bytes]


@dataclass(frozen=True)
class PublishedAt:
    """Where a site is published, and how it is reached.

    Parameters
    ----------
    location : str or path
        An http(s) or ``file:`` URL, a path, or the URL of a bucket as in `push`.
    auth, proxies, verify : optional
        As in `StaticStore.connect`, for http(s).
    endpoint, region, anonymous : optional
        As in `push`, for buckets.
    """

    location: str | os.PathLike[str]
    auth: Credentials = field(default=None, repr=False, kw_only=True)
    proxies: Mapping[str, str] | None = field(default=None, repr=False, kw_only=True)
    verify: bool | str | os.PathLike[str] = field(default=True, kw_only=True)
    endpoint: str | None = field(default=None, kw_only=True)
    region: str | None = field(default=None, kw_only=True)
    anonymous: bool = field(default=False, kw_only=True)

    def read(self) -> PublishedSite | None:
        """Read what is published there.

        Returns
        -------
        PublishedSite or None
            None if there is no head.

        Raises
        ------
        TransportError
            The host cannot be asked.
        IndexFormatError
            What stands there as head or index is none, or too large.
        IntegrityError
            The index is not the one that the head names.
        StoreError
            The location is none.
        """
        with self._opened() as (url, read):
            body = read(HEAD_PATH, MOST_HEAD_BYTES)
            if body is None:
                return None
            try:
                head = Head.parse(body)
            except IndexFormatError as error:
                raise IndexFormatError(f"{HEAD_PATH} is no head: {error}", url=url) from error
            index_body = _index_body(read, head, url)
            index = Index.parse(index_body)
            if head.sum not in (None, sum_text(sum_of_document(index.canonical()))):
                head = replace(head, sum=None)  # a false one would be carried along for ever
            documents = _documents(read, head, len(index_body))
            if not _lead_to(index, head, documents):
                documents = {}
            return PublishedSite(url, head, index, {head.index: index_body, **documents})

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[str, _Read]]:
        if _CLOUD.match(os.fspath(self.location)):
            from .targets import open_target

            target = open_target(
                self.location,
                endpoint=self.endpoint,
                region=self.region,
                anonymous=self.anonymous,
            )
            yield target.url, lambda href, most: target.read(href, most_bytes=most)
            return
        from ..transport.arguments import SessionOptions
        from ..transport.response import Absent, SizeLimit
        from ..transport.root import Root
        from ..transport.session import Session

        try:
            root = Root(self.location)
        except ValueError as error:
            raise_alone(StoreError(str(error)))
        options = SessionOptions(self.auth, self.proxies, verify=self.verify, retries=_RETRIES)
        session = Session(root, options)

        def read(href: str, most: int) -> bytes | None:
            found = session.fetch(
                href,
                headers={"Accept-Encoding": "gzip, deflate", "Cache-Control": "no-cache"},
                deadline=time.monotonic() + _SECONDS,
                limit=SizeLimit(most, href),
                absent=_ABSENT,
            )
            return None if isinstance(found, Absent) else bytes(found.body)

        with contextlib.closing(session):
            yield root.url, read


def _index_body(read: _Read, head: Head, url: str) -> bytes:
    most = min(head.index.size, _MOST_INDEX_BYTES)
    for href in (head.index.href, "index.json"):
        body = _had(read, href, most)
        if body is not None and head.index.describes(body):
            return body
    raise IntegrityError(
        "the index that the head names is not there: publish without --after begins anew",
        expected=head.index.sha256,
        url=url,
    )


def _documents(read: _Read, head: Head, most: int) -> dict[Document, bytes]:
    """Return the root of the blocks and the newest change files, which may have `most` bytes."""
    found: dict[Document, bytes] = {}
    for document in (*([head.blocks] if head.blocks else []), *_newest(head)):
        left = most - sum(map(len, found.values()))
        if document.size > min(left, document.role.most_bytes or left):
            break
        body = _had(read, document.href, document.size)
        if body is None or not document.describes(body):
            break
        found[document] = body
    return found


def _had(read: _Read, href: str, most: int) -> bytes | None:
    """Return the bytes at an href; None also if they are too many, or S3 may not list."""
    try:
        return read(href, most)
    except (AuthorizationError, IndexFormatError):
        return None


def _lead_to(index: Index, head: Head, documents: Mapping[Document, bytes]) -> bool:
    """Return whether the change files lead to the index, as far as they say."""
    states: dict[str, bytes | None] = {}
    try:
        for span in head.change_files:
            if span.document in documents:
                states |= parse_change_lines(documents[span.document])
    except IndexFormatError:
        return False
    return all(index.raw(key) == raw for key, raw in states.items())


def _newest(head: Head) -> Iterator[Document]:
    return (span.document for span in reversed(head.change_files))


@dataclass(frozen=True)
class Predecessor:
    """The site that a publish goes on from."""

    #: The bytes of the folder's ``index.json``; None if there is none.
    body: bytes | None
    #: None where a lineage begins.
    head: Head | None
    index: Index
    warnings: list[str]
    #: Whether the folder is a mirror's.
    is_copy: bool = False
    #: What the head names and the folder lacks.
    elsewhere: Mapping[Document, bytes] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: SiteFolder) -> Predecessor:
        """Return the site as it stands in its folder."""
        body, index, problem = folder.read_index()
        warnings = [f"the old index.json: {warning}" for warning in index.warnings]
        if problem is not None:
            warnings = [f"the old index.json is replaced: {problem}"]
        is_copy = os.path.lexists(folder.mirror_note)
        return cls(body, folder.read_head(), index, warnings, is_copy)

    def head_before(self, body: bytes, about: Document | None) -> Head | None:
        """Return the head from which one of this index goes on; None if a lineage begins.

        Only the origin of a copy counts the generations of its lineage.
        """
        head = self.head
        if head is not None and self.is_copy:
            is_the_same = head.index.describes(body) and head.about == about
            return head if is_the_same else None
        return head

    def or_published(self, site: PublishedSite | None, guards: Guards) -> Predecessor:
        """Return the published site, unless there is none, or the folder's own is a later one.

        Raises
        ------
        RefusedError
            The folder has a head of another lineage.
        """
        if site is None:
            warning = "no site is published there to go on from: is the URL right?"
            return replace(self, warnings=[*self.warnings, warning])
        if self.head is not None:
            if self.head.lineage != site.head.lineage:
                guards.refuse(
                    "lineage",
                    f"the folder has a head of another lineage than {site.url}: "
                    f"remove {HEAD_PATH} from the folder to go on from there",
                )
            elif self.head.generation > site.head.generation or self.head.index == site.head.index:
                return self
        return replace(
            self, head=site.head, index=site.index, is_copy=False, elsewhere=site.documents
        )
