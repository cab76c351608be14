"""What carries many requests to one root, and hands each answer on as it comes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Union

from ... import tuning
from ...errors import NotConnectedError, StoreError, TransportError
from ...processes import most_files
from ...signals import request_finished
from ..http.report import new_report

if TYPE_CHECKING:
    from ..http.report import RequestReport
    from ..http.template import RequestTemplate, SignedRequest
    from ..http.wire import Wire
    from .request import SizedAnswer, SizedRequest

__all__ = [
    "Carrier",
    "ConnectionCount",
    "Done",
    "FollowingCalls",
    "Outcome",
    "SubmittedRequest",
    "after_answers",
    "answers_together",
]

_LOG = logging.getLogger("staticstore")

_CONNECTION_FILES = 4  # that a process may open, for each connection

#: What a request ends with: None is any answer but the expected one, or none at all, after
#: which `Session.request` says what is wrong.  An error is one after which it is not asked:
#: the store was disconnected, or the host was silent for too long.
Outcome = Union["SizedAnswer", StoreError, None]
#: Called once, with the request that has ended, by a thread of the carrier or by the one that
#: closes it.  It must not block: the answers of all other requests wait for it.
Done = Callable[["SubmittedRequest"], object]


_together = threading.local()


class FollowingCalls:
    """Calls that follow the answers which a thread hands on, made together.

    They wake other threads: if those were awake meanwhile, all would wait for each other.
    Used by one thread.

    Attributes
    ----------
    since : float or None
        When the first of them was to be made, by the monotonic clock; None if there are none.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self._calls: list[Callable[[], object]] = []

    def add(self, call: Callable[[], object]) -> None:
        """Make a call later; it must not raise."""
        if self.since is None:
            self.since = time.monotonic()
        self._calls.append(call)

    def make(self) -> None:
        """Make the calls."""
        calls, self._calls, self.since = self._calls, [], None
        for call in calls:
            call()


@contextlib.contextmanager
def answers_together() -> Iterator[FollowingCalls]:
    """Collect the calls of `after_answers` of this thread; those left are made at the end."""
    _together.following = following = FollowingCalls()
    try:
        yield following
    finally:
        _together.following = None
        following.make()


def after_answers(call: Callable[[], object]) -> None:
    """Make a call after the answers that this thread hands on together; else now.

    Parameters
    ----------
    call : callable
        Must not raise.
    """
    following: FollowingCalls | None = getattr(_together, "following", None)
    if following is None:
        call()
    else:
        following.add(call)


class SubmittedRequest:
    """A request that a carrier sends, and what it ends with.

    Parameters
    ----------
    template : RequestTemplate
        What it has in common with others.
    request : SizedRequest
        What is requested.
    done : callable
        As `Done`.
    signed : SignedRequest, optional
        The request with header fields of its own.

    Attributes
    ----------
    outcome : SizedAnswer, StoreError or None
        What it ended with, once `done` is called.
    carrier : Carrier or None
        What it was submitted to.
    report : RequestReport or None
        To be finished by the thread that takes the outcome: it calls handlers, which may
        take long.  None if nobody listens.
    """

    __slots__ = ("_done", "_open", "carrier", "outcome", "report", "request", "signed", "template")

    def __init__(
        self,
        template: RequestTemplate,
        request: SizedRequest,
        done: Done,
        signed: SignedRequest | None = None,
    ) -> None:
        self.template = template
        self.request = request
        self.signed = signed
        self.outcome: Outcome = None
        self.carrier: Carrier | None = None
        self.report: RequestReport | None = None
        self._done = done
        self._open = [True]  # taken by the first thread that ends it
        if request_finished.receivers:
            wire = template.wire
            self.report = new_report(wire.current, wire.owners, "GET", self.url)

    @property
    def url(self) -> str:
        """The URL, with the secrets of its query."""
        return self.template.root.url + self.request.url_path

    @property
    def target(self) -> tuple[str, str]:
        """The request target without its query, and that with its question mark."""
        if self.signed is not None:
            return self.signed.target, self.signed.query
        target, mark, query = (self.template.prefix + self.request.url_path).partition("?")
        return target, mark + query or self.template.query

    @property
    def headers(self) -> Mapping[str, str]:
        """All its header fields."""
        if self.signed is not None:
            return self.signed.headers
        headers = self.request.headers(self.template.headers)
        if self.request.start is None:
            return headers
        return {**headers, "Range": f"bytes={self.request.range}"}

    @property
    def has_ended(self) -> bool:
        """Whether it has an outcome, or was canceled."""
        return not self._open

    def end(self, outcome: Outcome, error: StoreError | None = None) -> None:
        """Set the outcome and call `done`; only the first call does.

        Parameters
        ----------
        outcome : SizedAnswer, StoreError or None
            As the attribute.
        error : StoreError, optional
            For the report, if the outcome does not say it.
        """
        if not self.give_up():
            return
        self.outcome = outcome
        if self.report is not None:
            self.report.end(outcome if isinstance(outcome, StoreError) else error)
        try:
            self._done(self)
        except Exception:
            _LOG.exception("what was to be done with an answer failed")

    def cancel(self) -> None:
        """Give it up: `done` is not called, unless it is being called already.

        If its answer is under way, the connection is closed.
        """
        if self.give_up() and self.carrier is not None:
            self.carrier.stop(self)
            if self.report is not None:
                self.report.finish(TransportError("the request was given up by the caller"))

    def give_up(self) -> bool:
        """Keep `done` from being called; return False if it has been or is being called."""
        try:
            return self._open.pop()
        except IndexError:
            return False


class ConnectionCount:
    """How many requests are sent at once: more while answers are slow to come.

    A host nearby answers a few connections as fast as many.  One that is far away, or
    limits each connection, answers more of them faster.

    Parameters
    ----------
    first, most : int
        At first, and at most; both are fewer in a process that may open few files.

    Attributes
    ----------
    most : int
        At most, as far as files can be opened.
    current : int
        At present.
    """

    def __init__(self, first: int, most: int) -> None:
        self.most = max(min(most, most_files() // _CONNECTION_FILES), 1)
        self._first = min(first, self.most)
        self._answered_at = 0.0
        self.current = self._first
        self._slow_answers = 0  # since the last prompt one

    def note_size(self, size: int) -> None:
        """Note that so many bytes are requested: one more if that takes long anywhere."""
        if size >= tuning.LONG_BODY_BYTES:
            self._add(1)

    def note_answer(self, waited: float) -> None:
        """Note an answer that was waited for so many seconds: one more if it was slow."""
        self._answered_at = time.monotonic()
        if waited > tuning.FAR_SECONDS:
            self._slow_answers += 1
            self._add(1)
        else:
            self._slow_answers = 0

    @property
    def is_far(self) -> bool:
        """Whether no answer is prompt; of many that are requested at once, the first is."""
        return self._slow_answers > self.most

    def note_wait(self) -> float:
        """Return for how long to wait for an answer at most; twice as many after that."""
        now = time.monotonic()
        if now - self._answered_at >= tuning.STALL_SECONDS:
            self._answered_at = now
            self._add(self.current)
        return self._answered_at + tuning.STALL_SECONDS - now

    def reset(self) -> None:
        """Begin anew: nothing has been requested."""
        self.current = self._first
        self._answered_at = time.monotonic()

    def _add(self, count: int) -> None:
        self.current = min(self.current + count, self.most)


class Carrier(ABC):
    """Sends many requests of one session at once, on connections that it keeps.

    It begins no thread before the first request, and follows neither redirects nor
    retries.  A slow answer holds up no other.  It belongs to one process, and lives until
    it is closed.  Any thread may use it.

    Parameters
    ----------
    wire : Wire
        The switch that cuts the session.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._pid = os.getpid()
        # Reentrant: the garbage collector may interrupt any thread, in here too, with a
        # finalizer that closes the carrier.
        self._lock = threading.RLock()
        self._waiting: deque[SubmittedRequest] = deque()
        self._running: set[SubmittedRequest] = set()
        self._is_closed = False

    def submit(self, requests: Sequence[SubmittedRequest]) -> None:
        """Send requests, in this order as far as there are connections.

        Returns at once; `done` of each is called as soon as it has ended.

        Raises
        ------
        NotConnectedError
            The carrier was closed; `done` is called for none.
        RuntimeError, OSError
            No thread can be started, or there are no more descriptors of files; `done` is
            called for none.
        """
        with self._lock:
            if self._is_closed or self._wire.cut.is_set():
                raise NotConnectedError("the store was disconnected")
            for one in requests:
                one.carrier = self
            self._waiting.extend(requests)
            try:
                self._begin()
            except (RuntimeError, OSError):
                for one in requests:
                    one.give_up()
                raise
        if self._is_closed:
            self.close()  # what has come since then

    def stop(self, request: SubmittedRequest) -> None:
        """Stop receiving the answer to a request that was given up."""
        if self._pid == os.getpid():
            with self._lock:
                if request in self._running:
                    self._stop(request)

    def withdraw(self, requests: Collection[SubmittedRequest]) -> None:
        """End those requests that have not been sent yet, with None."""
        with self._lock:
            those = set(requests)
            waiting = list(self._waiting)
            withdrawn = [one for one in waiting if one in those]
            self._waiting = deque(one for one in waiting if one not in those)
        for one in withdrawn:
            one.report = None  # it was never made
            one.end(None)

    def close(self) -> None:
        """End all requests with `NotConnectedError`, at once; idempotent, never blocks."""
        if self._pid != os.getpid():
            return  # of the parent, whose locks and connections these are
        with self._lock:
            self._is_closed = True
            ended = [*self._running, *self._waiting]
            self._waiting.clear()
            self._end()
        for one in ended:
            one.end(NotConnectedError("the store was disconnected"))

    @abstractmethod
    def join(self, seconds: float) -> None:
        """Wait for the threads to end, not longer than this; only after `close`."""

    # Called with the lock held.

    def _next(self, most: int) -> list[SubmittedRequest]:
        """Take the first requests that wait, to send them."""
        found: list[SubmittedRequest] = []
        with contextlib.suppress(IndexError):
            while len(found) < most:
                one = self._waiting.popleft()
                if not one.has_ended:
                    found.append(one)
        self._running.update(found)
        return found

    def _drop(self, request: SubmittedRequest) -> None:
        """End a request that cannot be sent together with others; without the lock."""
        with self._lock:
            self._running.discard(request)
        request.report = None  # it was never made
        request.end(None)

    @abstractmethod
    def _begin(self) -> None:
        """Begin to send what waits."""

    @abstractmethod
    def _stop(self, request: SubmittedRequest) -> None:
        """Stop receiving the answer to a request that is running."""

    @abstractmethod
    def _end(self) -> None:
        """End the threads."""
