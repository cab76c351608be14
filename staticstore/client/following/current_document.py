"""A document that may change under its URL, requested conditionally."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import TransportError
from ...transport.http.document import Absent, Fetched
from ...transport.http.failures import FIELD_REFUSED
from ...transport.many.request import SizedRequest

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ...transport.http.wire import Deadline, SizeLimit

__all__ = ["DOCUMENT_FIELDS", "CurrentDocument"]

#: The header fields of every request for a document.
DOCUMENT_FIELDS = {"Accept-Encoding": "gzip, deflate"}

_NO_CACHE = {"Cache-Control": "no-cache"}


class CurrentDocument:
    """Requests one document that may change, conditionally where possible.

    For one caller at a time.

    Parameters
    ----------
    session : Session
        The session of the root.
    url_path : str
        Quoted path below the root.

    Attributes
    ----------
    session : Session
        As given.
    validators : mapping
        Header fields of a conditional request; empty for none.
    requests : int
        How often the document was asked for.
    """

    def __init__(self, session: Session, url_path: str) -> None:
        self.session = session
        self._url_path = url_path
        self.validators: Mapping[str, str] = {}
        self.requests = 0

    @property
    def url(self) -> str:
        """Where it is requested."""
        return self.session.root.join(self._url_path)

    def request(self, most_bytes: int) -> SizedRequest:
        """Return a request for a carrier; on any bad answer, call `ask`.

        Parameters
        ----------
        most_bytes : int
            The most that the body may have, as it is sent.
        """
        fields = {**DOCUMENT_FIELDS, **self._conditions()}
        return SizedRequest(self._url_path, most_bytes, fields=fields)

    def _conditions(self) -> Mapping[str, str]:
        # Of the next request.
        is_due = (self.requests + 1) % tuning.UNCONDITIONAL_EVERY_REQUESTS == 0
        return {} if is_due else self.validators

    def ask(
        self,
        deadline: Deadline,
        limit: SizeLimit,
        absent: frozenset[int] = frozenset(),
        *,
        is_doubtful: bool = False,
    ) -> Fetched | Absent | None:
        """Ask for the document; None if it has not changed.

        Parameters
        ----------
        deadline : Deadline
            When the request must have ended.
        limit : SizeLimit
            The most bytes that the document may have.
        absent : frozenset of int, optional
            Statuses that mean that there is no such document.
        is_doubtful : bool, optional
            Whether to bypass caches and send no conditions.

        Raises
        ------
        TransportError
            The document could not be fetched.
        IndexFormatError
            It is too large.
        """
        conditions = {} if is_doubtful else self._conditions()
        self.requests += 1
        first = conditions or (_NO_CACHE if is_doubtful else {})
        for fields in (first, _NO_CACHE):
            refused = FIELD_REFUSED if fields is conditions else frozenset()
            found = self.session.fetch(
                self._url_path,
                headers={**DOCUMENT_FIELDS, **fields},
                deadline=deadline,
                limit=limit,
                absent=absent | refused,
            )
            if isinstance(found, Absent):
                if found.status not in refused:
                    return found
                status, url = found.status, found.url
            elif found.response.status == 200:
                return found
            elif found.response.status == 304 and fields is conditions:
                return None
            else:  # not what was asked for: a confused cache, perhaps
                status, url = found.response.status, found.response.url
        raise TransportError(
            f"the host answered {status} to a request for the whole index", url=url, status=status
        )
