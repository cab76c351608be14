"""What one root says now: its head, or its index where it has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import IndexFormatError, TransportError
from ..index.head import HEAD_PATH, MOST_HEAD_BYTES, Head
from ..transport.failures import FIELD_REFUSED
from ..transport.response import Absent, Fetched, SizeLimit
from .documents import ABSENT, FAILED, explained
from .held import Sighting

if TYPE_CHECKING:
    from ..transport.session import Session

__all__ = ["RootReader"]

# Servers whose validators are made of size and whole seconds (nginx, Apache,
# Caddy) miss a change within the same second, so that now and then a document
# is asked for as if none were held, counted in requests.
_UNCONDITIONAL_EVERY = 24
_NO_CACHE = {"Cache-Control": "no-cache"}


class RootReader:
    """Asks one root for the two documents that change, conditionally where that is right.

    Only one poll at a time may use it.

    Parameters
    ----------
    session : Session
        The way to the root.
    index_path : str
        Where the index stands, relative to the root, not quoted.
    max_bytes : int
        The most that an index may have.

    Attributes
    ----------
    sha256 : str or None
        The digest of the index that stands there, as far as is known.
    """

    def __init__(self, session: Session, index_path: str, max_bytes: int) -> None:
        self.session = session
        self.sha256: str | None = None
        self._index_path = index_path
        self._index_limit = SizeLimit(max_bytes, "the index", "max_index_bytes")
        self._count = 0
        # By the path of the document that they are the validators of.
        self._validators: dict[str, Mapping[str, str]] = {}

    def recall(self, validators: Mapping[str, str], *, of_head: bool) -> None:
        """Take over what was held before this root was asked for anything."""
        # A date alone is compared by order on some hosts, which never give an older file then.
        if not self._count and "If-None-Match" in validators:
            self.confirm(validators, of_head=of_head)

    def forget(self) -> None:
        """Ask without conditions next time, since nothing is held."""
        self._validators = {}

    def confirm(self, validators: Mapping[str, str], *, of_head: bool) -> None:
        """Note which document is held now, so that the next request for it is conditional."""
        self._validators = {HEAD_PATH if of_head else self._index_path: validators}

    def head(
        self, deadline: float, *, is_known: bool, is_doubtful: bool
    ) -> Sighting | Absent | None:
        """Ask for the head.

        Parameters
        ----------
        deadline : float
            When all must be over, by `time.monotonic`.
        is_known : bool
            Whether there was one before, so that a host that fails has not none.
        is_doubtful : bool
            Whether caches and conditions are to be avoided.

        Returns
        -------
        Sighting, Absent or None
            None if it has not changed.

        Raises
        ------
        TransportError
            It could not be had.
        """
        absent = ABSENT if is_known else ABSENT | FAILED
        limit = SizeLimit(MOST_HEAD_BYTES, "the head")
        try:
            found = self._current(HEAD_PATH, deadline, limit, absent, is_doubtful=is_doubtful)
        except IndexFormatError as error:
            return Absent(200, error.url or self.session.root.url, str(error.args[0]))
        if not isinstance(found, Fetched):
            return found
        try:
            return Sighting(Head.parse(bytes(found.body)), found.response.validators)
        except IndexFormatError as error:  # a page from a host that answers every path
            return Absent(200, found.response.url, explained(error, found))

    def index(self, deadline: float, *, is_doubtful: bool) -> Fetched | None:
        """Ask for the index; None if it has not changed.

        Raises
        ------
        TransportError
            It could not be had.
        IndexFormatError
            It is too large.
        """
        none: frozenset[int] = frozenset()
        found = self._current(
            self._index_path, deadline, self._index_limit, none, is_doubtful=is_doubtful
        )
        assert not isinstance(found, Absent), "what is not there is an error here"
        return found

    def _current(
        self,
        path: str,
        deadline: float,
        limit: SizeLimit,
        absent: frozenset[int],
        *,
        is_doubtful: bool,
    ) -> Fetched | Absent | None:
        """Fetch a document that changes; None if the validators are still those of it."""
        self._count += 1
        is_conditional = not is_doubtful and self._count % _UNCONDITIONAL_EVERY != 0
        conditions = self._validators.get(path, {}) if is_conditional else {}
        first = conditions or (_NO_CACHE if is_doubtful else {})
        for fields in (first, _NO_CACHE):
            refused = FIELD_REFUSED if fields is conditions else frozenset()
            found = self._get(path, fields, deadline, limit, absent | refused)
            if isinstance(found, Absent):
                if found.status not in refused:
                    return found
            elif found.response.status == 200:
                return found
            elif found.response.status == 304 and fields is conditions:
                return None
            # Not what was asked for: a cache that is confused, perhaps.
        status, url = _status_of(found)
        raise TransportError(
            f"the host answered {status} to a request for the whole index", url=url, status=status
        )

    def _get(
        self,
        path: str,
        fields: Mapping[str, str],
        deadline: float,
        limit: SizeLimit,
        absent: frozenset[int],
    ) -> Fetched | Absent:
        return self.session.fetch(
            quote(path, safe="/"),
            headers={"Accept-Encoding": "gzip, deflate", **fields},
            deadline=deadline,
            limit=limit,
            absent=absent,
        )


def _status_of(found: Fetched | Absent) -> tuple[int, str]:
    answer = found if isinstance(found, Absent) else found.response
    return answer.status, answer.url
