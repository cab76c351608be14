"""The site that a publish continues: that of its folder, or a published one.

A fresh checkout, in CI for instance, has the data but no head.  With the head, the
index and the change files of the published site it continues the same lineage.
These are untrusted: their size is bounded, and their digests are verified.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .. import tuning
from ..errors import AuthorizationError, IndexFormatError, IntegrityError, StoreError, raise_alone
from ..index.changes import parse_change_lines
from ..index.head import HEAD_PATH, MOST_HEAD_BYTES, Head, NamedDocument
from ..index.snapshot import Index
from ..trust.layout import MOST_DOCUMENT_BYTES, TIMESTAMP_NAME, trust_path
from .documents.feed import FEED_NAME, MOST_FEED_BYTES

if TYPE_CHECKING:
    from ..transport.http.arguments import Credentials
    from .folder.site_folder import SiteFolder
    from .guards import Guards

__all__ = ["Predecessor", "PublishedAt", "PublishedSite", "ReadSignedHead"]

_MOST_INDEX_BYTES = 1 << 30
_ABSENT = frozenset({404, 410})  # not 403, which wrong credentials may cause

# Returns the bytes at an href, or None if there are none; raises if they exceed the bound.
_Read = Callable[[str, int], bytes | None]
#: Returns the bytes of a signed head by what reads a file in ``trust/``, or None.
ReadSignedHead = Callable[[Callable[[str], bytes | None]], bytes | None]


@dataclass(frozen=True)
class PublishedSite:
    """What a publish needs of a published site."""

    #: Without secrets.
    url: str
    head: Head
    index: Index
    #: The bytes of the index, the root of its blocks and the newest change files.
    documents: Mapping[NamedDocument, bytes]
    #: Its feed, if it was asked for and is there.
    feed: bytes | None = None


@dataclass(frozen=True)
class PublishedAt:
    """The location of a published site, and how to reach it.

    Parameters
    ----------
    location : str or path
        An http(s) or ``file:`` URL, a path, or the URL of a bucket, as of `StaticStore`.
    auth, proxies, headers, verify, cert, timeout, anonymous : optional
        As in `StaticStore.connect`.
    endpoint, region : str, optional
        For buckets, as of `StaticStore`.
    """

    location: str | os.PathLike[str]
    auth: Credentials = field(default=None, repr=False, kw_only=True)
    proxies: Mapping[str, str] | None = field(default=None, repr=False, kw_only=True)
    headers: Mapping[str, str] | None = field(default=None, repr=False, kw_only=True)
    verify: bool | str | os.PathLike[str] = field(default=True, kw_only=True)
    cert: str | tuple[str, str] | None = field(default=None, kw_only=True)
    timeout: float | tuple[float, float] = field(default=(5.0, 30.0), kw_only=True)
    endpoint: str | None = field(default=None, kw_only=True)
    region: str | None = field(default=None, kw_only=True)
    anonymous: bool = field(default=False, kw_only=True)

    def read(
        self, *, with_feed: bool = False, signed_head: ReadSignedHead | None = None
    ) -> PublishedSite | None:
        """Read the published site.

        Parameters
        ----------
        with_feed : bool, optional
            Whether to read its feed, too.
        signed_head : callable, optional
            Called with what reads a file of its ``trust/``; returns the bytes of the signed
            head, which then count in place of the published one, or None.

        Returns
        -------
        PublishedSite or None
            None if there is no head.

        Raises
        ------
        TransportError
            The host cannot be reached.
        IndexFormatError
            The head or the index cannot be parsed, or is too large.
        IntegrityError
            The index that the head names is not there; or `signed_head` raises it.
        StoreError
            The location is invalid.
        """
        with self._opened() as (url, read):

            def read_trust(name: str) -> bytes | None:
                return _read_if_allowed(read, trust_path(name), MOST_DOCUMENT_BYTES)

            body = read(HEAD_PATH, MOST_HEAD_BYTES)
            if signed_head is not None and (body is not None or read_trust(TIMESTAMP_NAME)):
                signed = signed_head(read_trust)
                body = body if signed is None else signed
            if body is None:
                return None
            try:
                head = Head.parse(body)
            except IndexFormatError as error:
                raise IndexFormatError(f"{HEAD_PATH} is no head: {error}", url=url) from error
            index_body = _index_body(read, head, url)
            index = Index.parse(index_body)
            documents = _documents(read, head, len(index_body))
            if not _agree(documents, head, index):
                documents = {}  # readers would follow those of the new head to another index
            documents = {head.index: index_body, **documents}
            feed = _read_if_allowed(read, FEED_NAME, MOST_FEED_BYTES) if with_feed else None
            return PublishedSite(url, head, index, documents, feed)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[str, _Read]]:
        from ..transport.http.arguments import SessionOptions
        from ..transport.http.document import Absent
        from ..transport.http.root import roots_of
        from ..transport.http.session import open_sessions
        from ..transport.http.wire import Deadline, SizeLimit

        options = SessionOptions(
            self.auth,
            self.proxies,
            self.headers,
            self.verify,
            self.cert,
            self.timeout,
            retries=tuning.PREDECESSOR_RETRIES,
            anonymous=self.anonymous,
        )
        try:
            roots = roots_of(self.location, endpoint=self.endpoint, region=self.region)
        except ValueError as error:
            raise_alone(StoreError(str(error)))
        [session] = open_sessions(roots, options)

        def read(href: str, most: int) -> bytes | None:
            found = session.fetch(
                href,
                headers={"Accept-Encoding": "gzip, deflate", "Cache-Control": "no-cache"},
                deadline=Deadline(tuning.PREDECESSOR_DOCUMENT_SECONDS),
                limit=SizeLimit(most, href),
                absent=_ABSENT,
            )
            return None if isinstance(found, Absent) else bytes(found.body)

        with contextlib.closing(session):
            yield session.root.shown, read


def _index_body(read: _Read, head: Head, url: str) -> bytes:
    most = min(head.index.size, _MOST_INDEX_BYTES)
    for href in (head.index.href, "index.json"):
        body = _read_if_allowed(read, href, most)
        if body is not None and head.index.describes(body):
            return body
    raise IntegrityError(
        "the index that the head names is not there: publish without --after for a new lineage",
        expected=head.index.sha256,
        url=url,
    )


def _documents(read: _Read, head: Head, most: int) -> dict[NamedDocument, bytes]:
    # The root of the blocks and the newest change files, `most` bytes in all.  The first one that
    # is missing ends them: change files lead on from one to the next.
    found: dict[NamedDocument, bytes] = {}
    wanted = [] if head.blocks is None else [head.blocks]
    wanted += [file.document for file in reversed(head.change_files)]
    for document in wanted:
        left = most - sum(map(len, found.values()))
        if document.size > min(left, document.role.most_bytes or left):
            break
        body = _read_if_allowed(read, document.href, document.size)
        if body is None or not document.describes(body):
            break
        found[document] = body
    return found


def _read_if_allowed(read: _Read, href: str, most: int) -> bytes | None:
    # S3 answers 403 to what does not exist, unless the credentials allow to list.
    try:
        return read(href, most)
    except (AuthorizationError, IndexFormatError):
        return None


def _agree(documents: Mapping[NamedDocument, bytes], head: Head, index: Index) -> bool:
    # Whether the final state of each key in the change files is that of the index.
    states: dict[str, bytes | None] = {}
    try:
        for file in head.change_files:
            if file.document in documents:
                states |= parse_change_lines(documents[file.document])
    except IndexFormatError:
        return False
    return all(index.raw(key) == raw for key, raw in states.items())


@dataclass(frozen=True)
class Predecessor:
    """The site that a publish continues, or an empty one if there is none."""

    #: The bytes of the folder's ``index.json``; None if there is none.
    body: bytes | None
    #: None if a new lineage begins.
    head: Head | None
    index: Index
    warnings: list[str]
    #: Whether the folder is a mirror's copy.
    is_copy: bool = False
    #: The documents that the head names and the folder lacks.
    elsewhere: Mapping[NamedDocument, bytes] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: SiteFolder) -> Predecessor:
        """Return the site of a folder; an empty one if its index cannot be read."""
        body, index, problem = folder.read_index()
        warnings = [f"the old index.json: {warning}" for warning in index.warnings]
        if problem is not None:
            warnings = [f"the old index.json is replaced: {problem}"]
        is_copy = os.path.lexists(folder.mirror_note)
        return cls(body, folder.read_head(), index, warnings, is_copy)

    def head_before(self, body: bytes, about: NamedDocument | None) -> Head | None:
        """Return the head before that of a new index; None if a new lineage begins.

        Parameters
        ----------
        body : bytes
            The new index.
        about : NamedDocument or None
            The new document of the site's own words.
        """
        head = self.head
        if head is not None and self.is_copy:
            # Only the origin of a copy counts the generations of its lineage: a copy whose index
            # differs by now begins its own.
            is_the_same = head.index.describes(body) and head.about == about
            return head if is_the_same else None
        return head

    def or_published(self, site: PublishedSite | None, guards: Guards) -> Predecessor:
        """Return the published site, or this one if it is newer or there is no other.

        Parameters
        ----------
        site : PublishedSite or None
            The published site, if there is one.
        guards : Guards
            What is refused.

        Raises
        ------
        RefusedError
            The folder has a head of another lineage.
        """
        if site is None:
            warning = "there is no published site to continue: check the URL"
            return replace(self, warnings=[*self.warnings, warning])
        if self.head is not None:
            if self.head.lineage != site.head.lineage:
                guards.refuse(
                    "lineage",
                    f"the folder has a head of another lineage than {site.url}: "
                    f"remove {HEAD_PATH} from the folder to continue the published site",
                )
            elif self.head.generation > site.head.generation or self.head.index == site.head.index:
                return self
        return replace(
            self, head=site.head, index=site.index, is_copy=False, elsewhere=site.documents
        )
