"""Reads the signed head of a root: ``trust/`` in the place of ``index.head.json``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from ...errors import IndexFormatError, TrustError
from ...index.freshness import Freshness
from ...index.head import Head
from ...transport.http.document import Absent
from ...transport.http.failures import status_error
from ...transport.http.wire import SizeLimit
from ...trust.layout import TIMESTAMP_NAME, root_version, trust_path
from .current_document import CurrentDocument
from .documents import ABSENT, FAILED, RootReader, Sighting

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ...transport.http.wire import Deadline
    from ...trust.documents import VerifiedHead
    from ..cache.trust_state import TrustedSite

__all__ = ["SignedRootReader"]


class SignedRootReader(RootReader):
    """Asks one root for its signed head, by the workflow of TUF.

    Only one poll at a time may use it.

    Parameters
    ----------
    session : Session
        The session of the root.
    site : TrustedSite
        What is known of the site.
    """

    def __init__(self, session: Session, site: TrustedSite) -> None:
        # Of its own, and empty: signed heads are not compared with what was known before.
        super().__init__(session, "index.json", 0, Freshness())
        self._site = site
        # That to which the validators belong.
        self._timestamp = b""
        self._current = CurrentDocument(session, trust_path(TIMESTAMP_NAME))
        # What the host answered to the last request for a next root document, if it failed.
        self._unread_root: Absent | None = None
        #: The head that was verified last.
        self.signed: VerifiedHead | None = None

    def recall(self, validators: Mapping[str, str], *, of_head: bool) -> None:
        """Do nothing: validators are of use only beside the document that they belong to."""

    def forget(self) -> None:
        """Make the next request unconditional."""
        self._current.validators = {}

    def confirm(self, validators: Mapping[str, str], *, of_head: bool) -> None:
        """Do nothing; see `recall`."""

    def head(self, deadline: Deadline, *, is_known: bool, is_doubtful: bool) -> Sighting:
        """Ask for the head, by the documents that are signed.

        Parameters
        ----------
        deadline : Deadline
            When all requests must have ended.
        is_known : bool
            Not used.
        is_doubtful : bool
            Whether to bypass caches and send no conditions.

        Raises
        ------
        TrustError
            The signatures are not right.
        TransportError
            A document could not be fetched.
        IndexFormatError
            What is signed is no head.
        """
        self._unread_root = None
        try:
            signed = self._site.verify(partial(self._read, deadline, is_doubtful))
            head = Head.parse(signed.body)
        except (TrustError, IndexFormatError) as error:
            error.url = error.url or self.session.root.shown + trust_path("")
            unread = self._unread_root
            if unread is not None and isinstance(error, TrustError) and error.reason == "unsigned":
                # Perhaps by keys that it names: the host fails, which is no wrong signature.
                raise status_error(unread.status, key=None, url=unread.url) from error
            raise
        self.signed = signed
        return Sighting(head, {})

    def _read(
        self, deadline: Deadline, is_doubtful: bool, name: str, most_bytes: int
    ) -> bytes | None:
        # Whoever can make the next root document unreadable could also answer 404.
        is_root = root_version(name) is not None
        absent = ABSENT | FAILED if is_root else ABSENT
        limit = SizeLimit(most_bytes, name)
        document = (
            self._current
            if name == TIMESTAMP_NAME
            else CurrentDocument(self.session, trust_path(name))
        )
        try:
            found = document.ask(deadline, limit, absent, is_doubtful=is_doubtful)
        except IndexFormatError as error:
            if is_root:
                return None
            raise TrustError(str(error.args[0]), reason="mismatch", url=error.url) from None
        if isinstance(found, Absent):
            if found.status in (401, 403) and not is_root:
                raise status_error(found.status, key=None, url=found.url)
            if is_root and found.status in FAILED:
                self._unread_root = found
            return None
        if found is None:
            return self._timestamp
        if name == TIMESTAMP_NAME:
            self._timestamp = bytes(found.body)
            document.validators = found.response.validators
        return bytes(found.body)
