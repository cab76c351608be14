"""Documents of a site that a head names, each held against its digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import IndexFormatError, IntegrityError
from ..index.blocks import MOST_STRETCH_BYTES
from ..transport.fetched import SizeLimit

if TYPE_CHECKING:
    from ..index.blocks import Stretch
    from ..index.head import Document
    from ..transport.fetched import Fetched
    from ..transport.session import Session

__all__ = ["ABSENT", "exactly", "fetched", "missing", "part"]

#: What says that a document is not there; S3 answers 403 to whom may not list.
ABSENT = frozenset({403, 404, 410})


def fetched(session: Session, path: str, deadline: float, limit: SizeLimit) -> Fetched | None:
    """Fetch a document as the host has it now; None if it is not there.

    Raises
    ------
    IndexFormatError
        It is larger than `limit`.
    """
    return session.fetch(
        quote(path, safe="/"),
        headers={"Accept-Encoding": "gzip, deflate"},
        deadline=deadline,
        limit=limit,
        absent=ABSENT,
    )


def exactly(
    session: Session,
    document: Document,
    deadline: float,
    max_bytes: int,
    *,
    path: str | None = None,
) -> Fetched | None:
    """Fetch a document that is the one that was named; None if it is not there, or too large.

    Parameters
    ----------
    session : Session
        The way to a root.
    document : Document
        What was named; its size is the host's word, and bounds nothing above `max_bytes`.
    deadline : float
        When all must be over, by `time.monotonic`.
    max_bytes : int
        The most that it may have where its role sets no lower bound.
    path : str, optional
        Where it stands, if that is not under its digest.

    Raises
    ------
    IntegrityError
        Another stands in its place.
    """
    if document.size > min(max_bytes, document.role.most_bytes or max_bytes):
        return None
    try:
        limit = SizeLimit(document.size, document.href)
        found = fetched(session, path or document.href, deadline, limit)
    except IndexFormatError as error:
        raise _another(session, document, f"more than {document.size} bytes") from error
    if found is not None and found.sha256 != document.sha256:
        raise _another(session, document, found.sha256)
    return found


def part(session: Session, document: Document, stretch: Stretch, deadline: float) -> bytes | None:
    """Fetch a stretch of a document that is the one that was named; None if it cannot be had.

    Raises
    ------
    IntegrityError
        Another stands in its place.
    """
    if stretch.size > MOST_STRETCH_BYTES:
        return None
    found = session.fetch_part(
        quote(document.href, safe="/"),
        stretch.offset,
        stretch.end,
        deadline=deadline,
        absent=ABSENT,
    )
    if found is not None and hashlib.sha256(found).hexdigest() != stretch.sha256:
        raise _another(session, document, hashlib.sha256(found).hexdigest())
    return found


def missing(session: Session, document: Document) -> IntegrityError:
    """Return the error that says that a document is nowhere."""
    return _another(session, document, "nothing")


def _another(session: Session, document: Document, actual: str) -> IntegrityError:
    return IntegrityError(
        f"{document.href} is not what the head of the site says",
        expected=document.sha256,
        actual=actual,
        url=session.root.url,
    )
