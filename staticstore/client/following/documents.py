"""The documents of a site: those named by a digest, and the two that change."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from ...disk.part_file import PartialDocument
from ...errors import (
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    TransportError,
    quoted,
)
from ...formats import Document, known_form
from ...index.blocks import MOST_STRETCH_BYTES
from ...index.head import HEAD_PATH, MOST_HEAD_BYTES, Head
from ...transport.http.document import Absent, Fetched
from ...transport.http.failures import cannot_be_decoded
from ...transport.http.wire import Deadline, SizeLimit
from ...transport.location import form_of_name
from ...transport.values.remote_value import anywhere
from .current_document import DOCUMENT_FIELDS, CurrentDocument

if TYPE_CHECKING:
    from ...disk.part_file import PartFolder
    from ...index.blocks import Stretch
    from ...index.freshness import Freshness
    from ...index.head import NamedDocument, Role
    from ...transport.http.session import Session

__all__ = [
    "ABSENT",
    "FAILED",
    "Documents",
    "RootReader",
    "Sighting",
    "excerpt_of",
    "with_excerpt",
    "with_hint",
]

_EXCERPT_CHARACTERS = 80

#: A document with one of these statuses is not there.  S3 answers 403 to clients that may
# not list, and a host that does not know such a path answers with many statuses.
ABSENT = frozenset({400, 401, 403, 404, 405, 406, 409, 410, 451, 501})
#: So is one with a 5xx, from a host that has never served a document of its kind.
FAILED = frozenset(range(500, 600))
_GONE = frozenset({404, 410})


class Documents:
    """The documents of a site that are named by a digest, from any root; thread-safe.

    Parameters
    ----------
    sessions : sequence of Session
        One for each root, in the order in which they are asked.
    deadline : Deadline
        When all reads must have ended.
    max_bytes : int
        The limit for documents whose role sets no lower one.
    served : set of Role
        The roles of which the host has served a document before: for these a 5xx is a
        failure, not an absence.  Updated here.
    parts : PartFolder, optional
        Where interrupted documents are kept.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        deadline: Deadline,
        max_bytes: int,
        served: set[Role],
        parts: PartFolder | None = None,
    ) -> None:
        self._sessions = tuple(sessions)
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._served = served
        self._parts = parts

    def fetch(
        self,
        document: NamedDocument,
        *,
        path: str | None = None,
        max_bytes: int | None = None,
        parts: PartFolder | None = None,
    ) -> Fetched | None:
        """Fetch a document; None if no root has it, or if it is too large.

        Parameters
        ----------
        document : NamedDocument
            Which one.  Its size is the host's claim, and not used as a limit.
        path : str, optional
            Where it is, if not under its digest.  This is the last resort: a refusal
            there is an error.
        max_bytes : int, optional
            A lower limit than usual.
        parts : PartFolder, optional
            Where the document is kept if interrupted, if not in the usual folder.

        Raises
        ------
        IntegrityError
            The host has another document in its place.
        TransportError
            The document could not be fetched.
        """
        most = min(self._max_bytes, document.role.most_bytes or self._max_bytes)
        if document.size > (most if max_bytes is None else min(most, max_bytes)):
            return None
        limit = SizeLimit(document.size, document.href)
        absent = self._absent(document) if path is None else _GONE

        def fetch_exactly(session: Session) -> Fetched | None:
            place, is_resumed = path or document.href, bool(beginning.body)
            try:
                found = _get(session, place, self._deadline, limit, absent, beginning=beginning)
                if isinstance(found, Absent):
                    return None
                if document.is_of(len(found.body), found.sha256):
                    return found
                problem = _mismatch(session, document, found.sha256)
            except IndexFormatError as error:
                problem = _mismatch(session, document, f"more than {document.size} bytes")
                problem.__cause__ = error
            except TransportError as error:
                if not cannot_be_decoded(error):
                    raise
                problem = _mismatch(session, document, "what cannot be decoded")
                problem.__cause__ = error
            beginning.clear()
            if is_resumed:  # the part from before may be the wrong one: start over
                return fetch_exactly(session)
            raise problem

        with PartialDocument(document.sha256, document.size, parts or self._parts) as beginning:
            found = anywhere(self._sessions, fetch_exactly, self._deadline)
        if found is not None and path is None:
            self._served.add(document.role)
        return found

    def _absent(self, document: NamedDocument) -> frozenset[int]:
        return ABSENT if document.role in self._served else ABSENT | FAILED

    def read(self, document: NamedDocument, parts: PartFolder | None = None) -> bytes | None:
        """Return the bytes of a document; see `fetch`."""
        found = self.fetch(document, parts=parts)
        return None if found is None else bytes(found.body)

    def read_stretch(self, document: NamedDocument, stretch: Stretch) -> bytes | None:
        """Return some lines of a document; None if no root serves ranges of it.

        Raises
        ------
        IntegrityError
            The lines have another digest.
        TransportError
            The lines could not be fetched.
        """
        if stretch.size > MOST_STRETCH_BYTES:
            return None

        def read_exactly(session: Session) -> bytes | None:
            found = session.fetch_part(
                quote(document.href, safe="/"),
                stretch.offset,
                stretch.end,
                deadline=self._deadline,
                absent=self._absent(document),
            )
            if found is not None and hashlib.sha256(found).hexdigest() != stretch.sha256:
                raise _mismatch(session, document, hashlib.sha256(found).hexdigest())
            return found

        return anywhere(self._sessions, read_exactly, self._deadline)

    def read_current(self, path: str, limit: SizeLimit) -> bytes | None:
        """Return a document that changes, from the first root; None if it has none.

        Raises
        ------
        IndexFormatError
            The document is larger than `limit`.
        TransportError
            The document could not be fetched.
        """
        found = _get(self._sessions[0], path, self._deadline, limit, ABSENT)
        return None if isinstance(found, Absent) else bytes(found.body)

    def report(self, done: int, total: int) -> None:
        """Report how many bytes of stretches were fetched, to whoever waits for them."""
        if (progress := self._sessions[0].progress) is not None:
            progress(done, total)

    @property
    def url(self) -> str:
        """The root that is asked first, for errors."""
        return self._sessions[0].root.url

    def missing(self, document: NamedDocument) -> IntegrityError:
        """Return the error for a document that no root has."""
        return _mismatch(self._sessions[0], document, "nothing")


class Sighting(NamedTuple):
    """A head, and the header fields of a conditional request for it."""

    head: Head
    validators: Mapping[str, str]


class RootReader:
    """Asks one root for its head and its index, conditionally where possible.

    Only one poll at a time may use it.

    Parameters
    ----------
    session : Session
        The session of the root.
    index_path : str
        Path of the index below the root, not quoted.
    max_bytes : int
        The most bytes that an index may have.
    freshness : Freshness
        What the root has said before; also an attribute.
    """

    def __init__(
        self, session: Session, index_path: str, max_bytes: int, freshness: Freshness
    ) -> None:
        self.session = session
        self.freshness = freshness
        self._index_path = index_path
        self._index_limit = SizeLimit(max_bytes, "the index", "max_index_bytes")
        self._head = CurrentDocument(session, HEAD_PATH)
        self._index = CurrentDocument(session, quote(index_path, safe="/"))

    def recall(self, validators: Mapping[str, str], *, of_head: bool) -> None:
        """Use the validators of a document from before the first request to this root."""
        # Some hosts compare a date alone by order, and would never give an older file.
        is_first = not self._head.requests and not self._index.requests
        if is_first and "If-None-Match" in validators:
            self.confirm(validators, of_head=of_head)

    def forget(self) -> None:
        """Make the next request unconditional."""
        self._head.validators = self._index.validators = {}

    def confirm(self, validators: Mapping[str, str], *, of_head: bool) -> None:
        """Set the validators of the document that is held, for the next request."""
        self.forget()
        document = self._head if of_head else self._index
        document.validators = validators

    def head(
        self, deadline: Deadline, *, is_known: bool, is_doubtful: bool
    ) -> Sighting | Absent | None:
        """Ask for the head; None if it has not changed.

        Parameters
        ----------
        deadline : Deadline
            When the request must have ended.
        is_known : bool
            Whether the root had a head before, so that a 5xx is a failure.
        is_doubtful : bool
            Whether to bypass caches and send no conditions.

        Raises
        ------
        TransportError
            The head could not be fetched.
        """
        absent = ABSENT if is_known else ABSENT | FAILED
        limit = SizeLimit(MOST_HEAD_BYTES, "the head")
        try:
            found = self._head.ask(deadline, limit, absent, is_doubtful=is_doubtful)
        except IndexFormatError as error:
            return Absent(200, error.url or self.session.root.url, str(error.args[0]))
        if not isinstance(found, Fetched):
            return found
        try:
            return Sighting(Head.parse(bytes(found.body)), found.response.validators)
        except IndexFormatError as error:  # a page from a host that answers every path
            return Absent(200, found.response.url, with_excerpt(error, found))

    def index(self, deadline: Deadline, *, is_doubtful: bool) -> Fetched | None:
        """Ask for the index; None if it has not changed.

        Raises
        ------
        TransportError
            The index could not be fetched.
        IndexFormatError
            The index is too large.
        """
        try:
            found = self._index.ask(deadline, self._index_limit, is_doubtful=is_doubtful)
        except HTTPStatusError as error:
            if error.status == 404:
                error.args = (self._no_index(error.args[0]),)
            raise
        assert not isinstance(found, Absent), "an index that is not there is an error"
        return found

    def _no_index(self, problem: str) -> str:
        root = self.session.root
        if root.folder is not None and not os.path.isdir(root.folder):
            is_there = os.path.exists(root.folder)
            problem = "this is no folder" if is_there else "there is no such folder"
        text = f"{problem}: the root of a site is where 'staticstore publish' wrote"
        name = unquote(urlsplit(root.url).path.rstrip("/").rpartition("/")[2])
        hint = ""
        if (form := form_of_name(name)) is not None:
            what = f"{quoted(name)} is an index in another form"
            hint = f"; if {what}, give its format, {form!r}"
        return f"{text} {self._index_path}{hint}"


def _get(
    session: Session,
    path: str,
    deadline: Deadline,
    limit: SizeLimit,
    absent: frozenset[int],
    *,
    beginning: PartialDocument | None = None,
) -> Fetched | Absent:
    return session.fetch(
        quote(path, safe="/"),
        headers=DOCUMENT_FIELDS,
        deadline=deadline,
        limit=limit,
        absent=absent,
        beginning=beginning,
    )


def _mismatch(session: Session, document: NamedDocument, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{document.href} is not what the head of the site says",
        expected=document.sha256,
        actual=actual,
        url=session.root.url,
    )


def excerpt_of(content_type: str | None, body: bytes | bytearray) -> str:
    """Return what the host has sent: its type, and how it begins."""
    start = body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")[:_EXCERPT_CHARACTERS]
    sent = "a document of no type" if content_type is None else ascii(content_type)
    return f"the host sent {sent}, which begins {start!a}"


def with_excerpt(error: IndexFormatError, fetched: Fetched) -> str:
    """Return the text of an error, and the beginning of what the host has sent."""
    return f"{error}; {excerpt_of(fetched.response.header('Content-Type'), fetched.body)}"


def with_hint(text: str, fetched: Fetched) -> str:
    """Add the format that a document looks like, if others publish such indexes, to a text."""
    form = known_form(Document(fetched.response.url, bytes(fetched.body), None, None))
    return text if form is None else f"{text}; it looks like one for format={form!r}"
