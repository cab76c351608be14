"""Documents that a head names, each held against its digest, from whichever root has them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import IndexFormatError, IntegrityError, TransportError
from ..index.blocks import MOST_STRETCH_BYTES
from ..transport.failures import cannot_be_decoded
from ..transport.response import Absent, SizeLimit
from ..transport.sources import anywhere

if TYPE_CHECKING:
    from ..index.blocks import Stretch
    from ..index.head import Document, Role
    from ..transport.beginnings import PartFolder
    from ..transport.response import Fetched
    from ..transport.session import Session

__all__ = ["ABSENT", "FAILED", "Documents", "explained"]

_EXCERPT_CHARACTERS = 80

#: Statuses that say that a document is not there: S3 answers 403 to whom may not
#: list, and a host that knows no such path answers in many words.
ABSENT = frozenset({400, 401, 403, 404, 405, 406, 409, 410, 451, 501})
#: What a host may answer, too, to paths of a kind that it has never served.
FAILED = frozenset(range(500, 600))
_GONE = frozenset({404, 410})


class Documents:
    """The documents of a site that are named by their digests; any thread may read them.

    Parameters
    ----------
    sessions : sequence of Session
        The ways to all roots, in the order in which they are asked.
    deadline : float
        When all must be over, by `time.monotonic`.
    max_bytes : int
        The most that a document may have where its role sets no lower bound.
    served : set of Role
        What the host has given before, of which a failure is none of the site; added to.
    parts : PartFolder, optional
        Where the beginnings of documents stay that break off.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        deadline: float,
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
        document: Document,
        *,
        path: str | None = None,
        max_bytes: int | None = None,
        parts: PartFolder | None = None,
    ) -> Fetched | None:
        """Fetch a document; None if no root has it, or if it is too large.

        Parameters
        ----------
        document : Document
            What was named; its size is the host's word, and no bound.
        path : str, optional
            Where it stands, if that is not under its digest: the last way, whose
            refusal is an error.
        max_bytes : int, optional
            The most that it may have, if that is less than usual.
        parts : PartFolder, optional
            Where its beginning stays if it breaks off, if that is elsewhere than usual.

        Raises
        ------
        IntegrityError
            Another stands in its place.
        TransportError
            It could not be had.
        """
        most = min(self._max_bytes, document.role.most_bytes or self._max_bytes)
        if document.size > (most if max_bytes is None else min(most, max_bytes)):
            return None
        limit = SizeLimit(document.size, document.href)
        absent = self._absent(document) if path is None else _GONE

        def fetch_exactly(session: Session) -> Fetched | None:
            place, has_begun = path or document.href, bool(beginning.body)
            try:
                found = fetched(session, place, self._deadline, limit, absent, beginning)
                if found is None or document.is_of(len(found.body), found.sha256):
                    return found
                problem = _another(session, document, found.sha256)
            except IndexFormatError as error:
                problem = _another(session, document, f"more than {document.size} bytes")
                problem.__cause__ = error
            except TransportError as error:
                if not cannot_be_decoded(error):
                    raise
                problem = _another(session, document, "what cannot be decoded")
                problem.__cause__ = error
            beginning.clear()
            if has_begun:  # what came before may have been wrong
                return fetch_exactly(session)
            raise problem

        with PartialDocument(document.sha256, document.size, parts or self._parts) as beginning:
            found = anywhere(self._sessions, fetch_exactly, self._deadline)
        if found is not None and path is None:
            self._served.add(document.role)
        return found

    def _absent(self, document: Document) -> frozenset[int]:
        return ABSENT if document.role in self._served else ABSENT | FAILED

    def read(self, document: Document, parts: PartFolder | None = None) -> bytes | None:
        """Return the bytes of a document as `fetch` does."""
        found = self.fetch(document, parts=parts)
        return None if found is None else bytes(found.body)

    def read_stretch(self, document: Document, stretch: Stretch) -> bytes | None:
        """Return whole lines of a document; None if no root gives parts of it.

        Raises
        ------
        IntegrityError
            Others stand in their place.
        TransportError
            They could not be had.
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
                raise _another(session, document, hashlib.sha256(found).hexdigest())
            return found

        return anywhere(self._sessions, read_exactly, self._deadline)

    def read_current(self, path: str, limit: SizeLimit) -> Fetched | None:
        """Fetch a document that changes as the first root has it now; None if it has none.

        Raises
        ------
        IndexFormatError
            It is larger than `limit`.
        TransportError
            It could not be had.
        """
        return fetched(self._sessions[0], path, self._deadline, limit, ABSENT)

    @property
    def url(self) -> str:
        """The root that is asked first, for errors."""
        return self._sessions[0].root.url

    def missing(self, document: Document) -> IntegrityError:
        """Return the error that says that a document is nowhere."""
        return _another(self._sessions[0], document, "nothing")


def fetched(
    session: Session,
    path: str,
    deadline: float,
    limit: SizeLimit,
    absent: frozenset[int],
    beginning: PartialDocument | None = None,
) -> Fetched | None:
    """Fetch a document as a host has it now; None if it is not there."""
    found = session.fetch(
        quote(path, safe="/"),
        headers={"Accept-Encoding": "gzip, deflate"},
        deadline=deadline,
        limit=limit,
        absent=absent,
        beginning=beginning,
    )
    return None if isinstance(found, Absent) else found


def _another(session: Session, document: Document, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{document.href} is not what the head of the site says",
        expected=document.sha256,
        actual=actual,
        url=session.root.url,
    )


def explained(error: IndexFormatError, fetched: Fetched) -> str:
    """Return the text of an error, and what the host has sent in the place of a document."""
    excerpt = ascii(
        fetched.body[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")[:_EXCERPT_CHARACTERS]
    )
    content_type = fetched.response.header("Content-Type")
    sent = "a document of no type" if content_type is None else ascii(content_type)
    return f"{error}; the host sent {sent}, which begins {excerpt}"
