"""Requests to one root, whose answers are passed on as they come."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import NotConnectedError, TransportTimeout
from ...transport.many.batch import submit
from ...transport.many.request import SizedAnswer, SizedRequest

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ...transport.many.carrier import SubmittedRequest
    from .calls import AsyncCalls

__all__ = ["Found", "Requests", "Take"]

#: Called with what was found for a number, by any thread: a result, or why there is none.
Found = Callable[[int, object], object]
#: Takes an answer; None if it was not as expected, or there was none.  Must not block.
Take = Callable[[SizedAnswer | None], object]


class Requests:
    """Sends requests together; each is canceled with the last of its numbers.

    Parameters
    ----------
    session : Session
        The session of the root.
    calls : AsyncCalls
        The threads that take large answers.
    failed : callable
        Called with a number and an exception: the store was disconnected, or a `Take` raised.
    is_slow : bool, optional
        Whether to take all answers in threads, since that reads or writes files.
    """

    def __init__(
        self,
        session: Session,
        calls: AsyncCalls,
        failed: Found,
        *,
        is_slow: bool = False,
    ) -> None:
        self._session = session
        self._calls = calls
        self._failed = failed
        self._is_slow = is_slow
        self._lock = threading.Lock()
        self._unsent: list[_Shared] = []
        self._sent: list[SubmittedRequest] = []
        # By the identity of what was requested, until it has ended.
        self._shared: dict[int, _Shared] = {}
        self._of_number: defaultdict[int, list[_Shared]] = defaultdict(list)
        self._has_timed_out = False

    def add(self, request: SizedRequest, numbers: Iterable[int], take: Take) -> None:
        """Add a request for some numbers, which `send` sends."""
        shared = _Shared(request, set(numbers), take)
        self._unsent.append(shared)
        for number in shared.numbers:
            self._of_number[number].append(shared)

    def send(self) -> None:
        """Send what was added; `Take` is called by any thread, perhaps by this one.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        unsent, self._unsent = self._unsent, []
        for shared in unsent:
            self._shared[id(shared.request)] = shared
        submitted = submit(self._session, [one.request for one in unsent], self._note)
        self._sent += [one for one in submitted if one is not None]
        for shared, one in zip(unsent, submitted, strict=True):
            if one is None:
                del self._shared[id(shared.request)]
                self._take(shared, None)
                continue
            shared.submitted = one
            if not shared.numbers:  # canceled meanwhile
                self._drop(shared, one)
        self._forget()

    def _drop(self, shared: _Shared, one: SubmittedRequest) -> None:
        one.cancel()
        self._shared.pop(id(shared.request), None)

    def _forget(self) -> None:
        # What was sent refers to this: without these, a store would be garbage only later.
        if not self._shared:
            self._sent.clear()
            self._of_number.clear()

    def cancel(self, number: int) -> None:
        """Cancel the requests that are for no other number."""
        for shared in self._of_number.pop(number, ()):
            shared.numbers.discard(number)
            if not shared.numbers and shared.submitted is not None:
                self._drop(shared, shared.submitted)
        self._forget()

    def _note(self, one: SubmittedRequest) -> None:
        # In a thread of the carrier, which must not be held up.
        shared = self._shared.pop(id(one.request), None)
        if shared is None:  # it is being canceled
            return
        if isinstance(one.outcome, TransportTimeout):
            self._withdraw(one)
        is_large = one.request.size > tuning.TAKEN_AT_ONCE_BYTES
        self._forget()
        if self._is_slow or is_large or one.report is not None:
            with contextlib.suppress(RuntimeError):  # no thread can be started
                self._calls.quick.submit(lambda: self._end(shared, one))
                return
        self._end(shared, one)

    def _withdraw(self, one: SubmittedRequest) -> None:
        with self._lock:
            has_timed_out, self._has_timed_out = self._has_timed_out, True
        if not has_timed_out and one.carrier is not None:
            one.carrier.withdraw(self._sent)  # do not wait again for each of the rest

    def _end(self, shared: _Shared, one: SubmittedRequest) -> None:
        if one.report is not None:
            one.report.finish()
        outcome = one.outcome
        if isinstance(outcome, NotConnectedError):
            for number in list(shared.numbers):
                self._failed(number, NotConnectedError(*outcome.args))
        else:
            one.outcome = None  # the others of the batch may take long yet
            self._take(shared, outcome if isinstance(outcome, SizedAnswer) else None)

    def _take(self, shared: _Shared, answer: SizedAnswer | None) -> None:
        try:
            shared.take(answer)
        except BaseException as error:
            for number in list(shared.numbers):
                self._failed(number, error)


class _Shared:
    # A request, and the numbers that it is for.

    __slots__ = ("numbers", "request", "submitted", "take")

    def __init__(self, request: SizedRequest, numbers: set[int], take: Take) -> None:
        self.request = request
        self.numbers = numbers
        self.take = take
        self.submitted: SubmittedRequest | None = None
