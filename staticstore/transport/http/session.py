"""The session of a root: its requests with retries, and the state of its host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ... import tuning
from ...errors import AuthorizationError, TransportError
from ...processes import PerProcess
from .arguments import (
    SessionOptions,
    checked_retries,
    exposes_password,
    options_elsewhere,
    own_options,
)
from .document import Absent, Fetched, read_bounded
from .failures import FIELD_REFUSED, backoff, may_heal, was_dropped
from .response import Response
from .sender import Sender
from .template import Request
from .wire import Deadline, SizeLimit, Wire

if TYPE_CHECKING:
    from ...disk.part_file import PartialDocument
    from .root import Root
    from .template import RequestTemplate

__all__ = ["Session", "open_sessions"]

T = TypeVar("T")

# Statuses below 500 that say nothing about the requested document.
_UNFIT_STATUSES = frozenset({401, 407, 429})


class Session:
    """Requests to one root, with its credentials, proxies, retries and bounds.

    Any thread may use it.  It shows neither credentials nor header fields, and
    keeps no cookies.

    Parameters
    ----------
    root : Root
        Where the site is.
    options : SessionOptions, optional
        How requests are made.
    wires : PerProcess of Wire, optional
        Those of the sessions of other roots, so that all are cut together.
    is_alone : bool, optional
        Whether the site has no other root.  If it has, a failed request is not
        retried here, but by `retried` once all roots have failed.

    Attributes
    ----------
    progress : callable or None
        As in `SessionOptions`.

    Raises
    ------
    TypeError, ValueError
        An option is wrong.
    StoreError
        A file that an option names does not exist.
    """

    def __init__(
        self,
        root: Root,
        options: SessionOptions | None = None,
        *,
        wires: PerProcess[Wire] | None = None,
        is_alone: bool = True,
    ) -> None:
        options = options or SessionOptions()
        self.wires = wires or PerProcess(Wire, after_fork=Wire.after_fork)
        self.retries = checked_retries(options.retries)
        self.progress = options.progress
        #: How requests are made; with secrets.
        self.options = options
        self._sender = Sender(root, options, self.wires)
        self._companions: PerProcess[dict[Any, Any]] = PerProcess(dict)
        self.is_alone = is_alone
        self._hint = options.hint
        self._failed_at: float | None = None
        self._refused_range_at: float | None = None

    @property
    def root(self) -> Root:
        """Where the site is; elsewhere once a bucket was followed to its region."""
        return self._sender.root

    @property
    def wire(self) -> Wire:
        """The sockets of this process."""
        return self.wires.get()

    @property
    def sender(self) -> Sender:
        """What sends the requests, without retries; it has the credentials."""
        return self._sender

    @property
    def exposes_password(self) -> bool:
        """Whether a password goes over plain http to another machine."""
        return exposes_password(self._sender.auth, self.root)

    @property
    def is_failing(self) -> bool:
        """Whether the host failed a moment ago, so that others are asked first."""
        failed_at = self._failed_at
        return failed_at is not None and time.monotonic() - failed_at < tuning.FAILED_ROOT_SECONDS

    @property
    def takes_ranges(self) -> bool:
        """Whether to send range requests: not for a while after one was refused."""
        refused_at = self._refused_range_at
        return refused_at is None or time.monotonic() - refused_at >= tuning.NO_RANGES_SECONDS

    def note_refused_range(self) -> None:
        """Note that the host refused a range of a value, and then sent the whole."""
        self._refused_range_at = time.monotonic()

    def close(self) -> None:
        """Cut every connection and wake every wait; idempotent, never blocks."""
        self.wire.close()
        for companion in list(self._companions.get().values()):
            companion.close()
        self._sender.close()

    def request(
        self,
        method: str,
        url_path: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
        key: str | None = None,
        is_retried: bool = True,
    ) -> Response:
        """Send a request and return the answer, its body not yet read.

        Redirects are followed.  Failures that may heal are retried after a wait
        that grows, with jitter, or that the host asked for.

        Parameters
        ----------
        method : {"GET", "HEAD"}
            Of the request.
        url_path : str
            Quoted path below the root.
        headers : mapping, optional
            Range, validators and the like.
        deadline : Deadline, optional
            When all must be over.
        key : str, optional
            For errors.
        is_retried : bool, optional
            Whether to retry.

        Returns
        -------
        Response
            With a status below 400, or 416.  Close it.

        Raises
        ------
        HTTPStatusError
            The host refused.
        TransportError
            The host could not be reached, was too slow, or redirects where it must not.
        NotConnectedError
            The session was closed.
        """
        request = Request(method, url_path, headers or {}, deadline, key)
        return self._noting_failure(
            lambda: self._sender.send(request), deadline, is_retried=is_retried
        )

    def fetch(
        self,
        url_path: str,
        *,
        headers: Mapping[str, str],
        deadline: Deadline,
        limit: SizeLimit,
        absent: frozenset[int] = frozenset(),
        beginning: PartialDocument | None = None,
    ) -> Fetched | Absent:
        """Get a whole document, decoded; retry if it breaks off.

        The least rate does not apply, since the deadline does.

        Parameters
        ----------
        url_path, headers, deadline
            As in `request`.
        limit : SizeLimit
            The most that the body may have, decoded.
        absent : frozenset of int, optional
            Statuses that mean that there is no such document, and are not errors.
        beginning : PartialDocument, optional
            The bytes of earlier attempts, which are resumed; without it each
            attempt begins at the start.

        Returns
        -------
        Fetched or Absent
            The latter if there is no such document.

        Raises
        ------
        HTTPStatusError, TransportError, NotConnectedError
            As in `request`.
        IndexFormatError
            The body is larger than `limit`, or compressed more than any text is.
        """
        request = Request("GET", url_path, headers, deadline, answers=absent)

        def attempt() -> Fetched | Absent:
            response = self._resumed(request, beginning) or self._sender.send(request)
            with contextlib.closing(response):
                if response.status in absent:
                    _use_up(response)
                    return Absent(response.status, response.url)
                return read_bounded(response, limit, beginning, self.progress)

        return self._noting_failure(attempt, deadline)

    def _resumed(self, request: Request, beginning: PartialDocument | None) -> Response | None:
        # None means that the document has to be requested whole.
        if beginning is None or not beginning.body:
            return None
        start = len(beginning.body)
        fields = {**request.headers, "Accept-Encoding": "identity", "Range": f"bytes={start}-"}
        answers = request.answers | FIELD_REFUSED
        response = self._sender.send(request._replace(headers=fields, answers=answers))
        if response.is_part(start):
            return response
        beginning.clear()
        if response.status == 200:
            return response
        _use_up(response)
        response.close()
        return None

    def fetch_part(
        self, url_path: str, start: int, end: int, *, deadline: Deadline, absent: frozenset[int]
    ) -> bytes | None:
        """Get a part of a document; retry from its start if it breaks off.

        Parameters
        ----------
        url_path, deadline, absent
            As in `fetch`.
        start, end : int
            The bytes ``[start:end]``.

        Returns
        -------
        bytes or None
            The part; None if there is no such document, or if the host gives
            no part of it, whatever status it refuses with.

        Raises
        ------
        HTTPStatusError, TransportError, NotConnectedError
            As in `request`.
        """
        headers = {"Range": f"bytes={start}-{end - 1}"}
        refusals = absent | FIELD_REFUSED
        request = Request("GET", url_path, headers, deadline, answers=refusals)

        def attempt() -> bytes | None:
            with contextlib.closing(self._sender.send(request)) as response:
                if response.status in refusals:
                    _use_up(response)
                    return None
                if not response.is_part(start, end):
                    return None
                limit = SizeLimit(end - start, "a part of a document")
                part = bytes(read_bounded(response, limit).body)
                return part if len(part) == end - start else None

        return self._noting_failure(attempt, deadline)

    def signed_url(self, url_path: str, seconds: int) -> str:
        """Return a URL in a bucket that anybody may GET; see `buckets.signer.signed_url`."""
        from ..buckets.signer import signed_url  # seldom needed

        return signed_url(self.root, self._sender.auth, url_path, seconds)

    def template(self) -> RequestTemplate | None:
        """Return what all requests have in common; None if they differ.

        See `Sender.template`.
        """
        return self._sender.template()

    def companion(self, make: Callable[[Wire], T]) -> T:
        """Return the object of its kind that lives as long as the session, in this process.

        `make` makes it, and the session closes it by its method ``close``.
        """
        companions = self._companions.get()
        if make not in companions:
            companions.setdefault(make, make(self.wire))
        found: T = companions[make]
        return found

    def retried(self, attempt: Callable[[], T], deadline: Deadline | None = None) -> T:
        """Make an attempt, and repeat it after failures that may heal.

        The waits grow exponentially, with jitter, and by the Retry-After of the
        host.  An idle connection that the host has closed is replaced at once.

        Parameters
        ----------
        attempt : callable
            What to do.
        deadline : Deadline, optional
            When all must be over.

        Raises
        ------
        StoreError
            From the last attempt.
        """
        wire = self._sender.own.wire
        before = wire.current.attempt
        try:
            for number in range(self.retries):
                wire.current.attempt = number + 1
                try:
                    return attempt()
                except TransportError as error:
                    if not may_heal(error):
                        raise
                    seconds = backoff(number, error)
                    if deadline is not None and seconds >= deadline.left:
                        raise
                wire.rest(seconds)
            wire.current.attempt = self.retries + 1
            return attempt()
        finally:
            wire.current.attempt = before

    def _noting_failure(
        self, attempt: Callable[[], T], deadline: Deadline | None, *, is_retried: bool = True
    ) -> T:
        """Make an attempt, retry it if that is wanted, and note whether the host fails."""
        try:
            if is_retried and self.is_alone:
                result = self.retried(attempt, deadline)
            else:
                result = self._once(attempt)
        except TransportError as error:
            if error.status is None or error.status in _UNFIT_STATUSES or error.status >= 500:
                self._failed_at = time.monotonic()
            if self._hint is not None and isinstance(error, AuthorizationError):
                error.args = (f"{error.args[0]}; {self._hint}",)
            raise
        self._failed_at = None
        return result

    def _once(self, attempt: Callable[[], T]) -> T:
        # Repeated only if an idle connection was closed, and then at once.
        try:
            return attempt()
        except TransportError as error:
            if not was_dropped(error):
                raise
        current = self.wire.current
        current.attempt += 1
        try:
            return attempt()
        finally:
            current.attempt -= 1


def _use_up(response: Response) -> None:
    # So that the connection can serve another request.
    if (response.content_length or 0) <= tuning.USED_UP_BYTES:
        with contextlib.suppress(TransportError):
            response.read(tuning.USED_UP_BYTES)


def open_sessions(roots: Sequence[Root], options: SessionOptions) -> list[Session]:
    """Open a session for each root; secrets go to the first one's origin only.

    Raises
    ------
    TypeError, ValueError, StoreError
        As `Session`.
    """
    own = own_options(options, roots)
    wires = PerProcess(Wire, after_fork=Wire.after_fork)
    sessions = []
    for root in roots:
        of_root = own if root is roots[0] else options_elsewhere(own, root, roots[0])
        sessions.append(Session(root, of_root, wires=wires, is_alone=len(roots) == 1))
    return sessions
