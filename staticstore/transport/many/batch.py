"""Send many requests at once, and wait for their answers.

Any unexpected answer yields None; the caller repeats it with `Session.request`, which
follows redirects, retries, and explains what was wrong.  So carriers need none of that,
and can be fast.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import NotConnectedError, StoreError, TransportTimeout
from ...processes import fork_gate
from .carrier import Done, Outcome, SubmittedRequest
from .request import SizedAnswer, SizedRequest

if TYPE_CHECKING:
    from ..http.report import RequestReport
    from ..http.session import Session
    from ..http.template import RequestTemplate
    from ..http.wire import Wire
    from .carrier import Carrier

__all__ = ["Batch", "Carriers", "fastest_carrier", "fetch_all", "submit"]


@cache
def fastest_carrier() -> Callable[[Wire], Carrier]:
    """Return the fastest class of carriers that is installed."""
    try:
        with fork_gate().passing():
            from .curl import CurlCarrier
    except ImportError:
        from .threads import ThreadCarrier

        return ThreadCarrier
    return CurlCarrier


class Carriers:
    """The carriers of one session in one process, made when first needed.

    They are closed by `close`, when this object is garbage, and at the exit of the
    interpreter.  Any thread may use it.

    Parameters
    ----------
    wire : Wire
        The switch that cuts the session.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._made: dict[Callable[[Wire], Carrier], Carrier] = {}
        weakref.finalize(self, _end, self._made)

    def choose(self) -> Carrier:
        """Return the carrier for the next requests."""
        kind = fastest_carrier()
        if self._wire.limits:  # which are observed by our own sockets only
            from .threads import ThreadCarrier

            kind = ThreadCarrier
        with self._lock:
            if kind not in self._made:
                self._made[kind] = kind(self._wire)
            return self._made[kind]

    def close(self) -> None:
        """End all requests at once; idempotent, never blocks."""
        _close(self._made)


def _close(made: dict[Callable[[Wire], Carrier], Carrier]) -> None:
    for carrier in list(made.values()):
        carrier.close()


def _end(made: dict[Callable[[Wire], Carrier], Carrier]) -> None:
    # A thread that is within libcurl while the interpreter ends might crash it.
    _close(made)
    for carrier in list(made.values()):
        carrier.join(tuning.CARRIER_JOIN_SECONDS)


def submit(
    session: Session, requests: Sequence[SizedRequest], done: Done
) -> list[SubmittedRequest | None]:
    """Send requests by the carrier of a session; `done` is called for each.

    They are signed now, in this thread, which the authentication of the caller may block.

    Parameters
    ----------
    session : Session
        The session of a root.
    requests : sequence of SizedRequest
        The requests.
    done : callable
        As `Done`.

    Returns
    -------
    list of SubmittedRequest or None
        For each request what `Carrier.cancel` takes; None for those that are not sent, and
        for which `done` is not called: they have to be sent singly.

    Raises
    ------
    NotConnectedError
        The store was disconnected; `done` is called for none.
    """
    template = session.template() if requests else None
    if template is None:
        return [None] * len(requests)
    if template.signer is not None and template.signer.wants_challenge:
        with contextlib.suppress(StoreError):
            session.request("HEAD", requests[0].url_path, is_retried=False).close()
    takes_ranges = session.takes_ranges
    submitted = [
        _prepared(template, one, done) if takes_ranges or one.start is None else None
        for one in requests
    ]
    try:
        session.companion(Carriers).choose().submit([one for one in submitted if one is not None])
    except NotConnectedError:
        raise
    except (RuntimeError, OSError):  # no more threads or descriptors; the interpreter may end
        return [None] * len(requests)
    return submitted


def _prepared(
    template: RequestTemplate, request: SizedRequest, done: Done
) -> SubmittedRequest | None:
    if template.signer is None:
        return SubmittedRequest(template, request, done)
    fields = dict(request.fields or {})
    if request.start is not None:
        fields["Range"] = f"bytes={request.range}"
    try:
        signed = template.signer.signed(request.url_path, fields)
    except Exception:  # a single request raises it
        return None
    return None if signed is None else SubmittedRequest(template, request, done, signed)


class Batch:
    """Requests that were sent together, and their answers; for any thread.

    The thread that waits for an answer sends the signals `request_finished`.  In a forked
    child the requests are sent again.

    Parameters
    ----------
    session : Session
        The session of the root.
    requests : sequence of SizedRequest
        The requests; all answers are in memory together.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """

    def __init__(self, session: Session, requests: Sequence[SizedRequest]) -> None:
        self._session = session
        self._requests = requests
        self._send()

    def _send(self) -> None:
        self._pid = os.getpid()
        self._wire = self._session.wire
        self._outcomes: dict[SubmittedRequest, Outcome] = {}
        self._reports: deque[RequestReport] = deque()
        self._all_ended = threading.Event()
        # What threads wait for.
        self._awaited: dict[SubmittedRequest, threading.Event] = {}
        self._has_timed_out = False
        self._count: int | None = None
        self._submitted: list[SubmittedRequest | None] = []
        self._submitted = submit(self._session, self._requests, self._note)
        self._count = sum(one is not None for one in self._submitted)
        if len(self._outcomes) == self._count:  # they have ended already
            self._all_ended.set()

    def _note(self, one: SubmittedRequest) -> None:
        # In a thread of the carrier.
        if one.report is not None:
            self._reports.append(one.report)
        self._outcomes[one] = one.outcome
        if one in self._awaited:
            self._awaited[one].set()
        if len(self._outcomes) == self._count:
            self._all_ended.set()
        if isinstance(one.outcome, TransportTimeout) and not self._has_timed_out:
            self._has_timed_out = True  # do not wait again for each of the rest
            assert one.carrier is not None, "it was submitted"
            one.carrier.withdraw([other for other in self._submitted if other is not None])

    def answer(self, number: int) -> SizedAnswer | None:
        """Wait for an answer.

        Parameters
        ----------
        number : int
            That of the request, counted from 0.

        Returns
        -------
        SizedAnswer or None
            None if the answer is not a 200 of exactly the size, or a 206 with exactly the
            part; or if the request failed, for any reason.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        if self._pid != os.getpid():
            self._send()
        one = self._submitted[number]
        if one is None:
            return None
        if one not in self._outcomes:
            event = self._awaited.setdefault(one, threading.Event())
            if one not in self._outcomes:  # it may have ended just before
                self._wait(event)
            # Those that come in the next moment are taken together.
            self._all_ended.wait(tuning.BUNCH_SECONDS)
        if self._reports:
            self._report()
        outcome = self._outcomes[one]
        if isinstance(outcome, NotConnectedError):
            raise NotConnectedError(*outcome.args)
        return outcome if isinstance(outcome, SizedAnswer) else None

    def answers(self) -> Iterator[SizedAnswer | None]:
        """Wait for all answers, and yield them in the order of the requests, as `answer`."""
        if self._pid == os.getpid():
            self._wait(self._all_ended)
        return map(self.answer, range(len(self._requests)))

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(tuning.CUT_CHECK_SECONDS):
            if self._wire.is_cut and not event.is_set():
                raise NotConnectedError("the store was disconnected")

    def _report(self) -> None:
        with contextlib.suppress(IndexError):
            while self._reports:
                self._reports.popleft().finish()

    def close(self) -> None:
        """Give up all requests that have not ended."""
        if self._pid == os.getpid():
            for one in self._submitted:
                if one is not None and one not in self._outcomes:
                    one.cancel()
            self._report()


def fetch_all(session: Session, requests: Sequence[SizedRequest]) -> list[SizedAnswer | None]:
    """Send many requests, several at once, and return the answers in the same order.

    Parameters
    ----------
    session, requests
        As of `Batch`.

    Returns
    -------
    list of SizedAnswer or None
        As `Batch.answer`.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    batch = Batch(session, requests)
    try:
        return list(batch.answers())
    except NotConnectedError:  # for a canceled call, too
        batch.close()
        raise
