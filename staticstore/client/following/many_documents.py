"""Many documents of a foreign index: requested together, and bounded together."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from requests import Request

from ... import tuning
from ...errors import IndexFormatError, NotConnectedError, TransportTimeout
from ...transport.http.conditions import (
    GZIP_MAGIC,
    CodingError,
    checked_validators,
    codings_of,
    decoded,
)
from ...transport.http.wire import SizeLimit
from ...transport.many.batch import submit
from ...transport.many.carrier import SubmittedRequest, after_answers
from ...transport.many.request import SizedAnswer

if TYPE_CHECKING:
    from ...errors import StoreError
    from ...transport.http.wire import Deadline
    from .current_document import CurrentDocument

__all__ = ["Budget", "Received", "ask_many", "received"]

_PLAIN_URL = re.compile(r"https?://[a-z0-9.:-]+/[\w.~/?&=:-]*", re.ASCII)
_MOST_UNEXPECTED_ANSWERS = 8  # answers more than good ones


class Received(NamedTuple):
    """A document as it came, decoded."""

    #: The URL that answered, after redirects.
    url: str
    body: bytes
    #: Of the body, lowercase hex.
    sha256: str
    content_type: str | None
    #: Header fields of a conditional request.
    validators: Mapping[str, str]


def ask_many(
    documents: Iterable[CurrentDocument], deadline: Deadline, *, at_once: int
) -> Generator[tuple[CurrentDocument, SizedAnswer | None]]:
    """Request documents together, and yield each answer as it arrives.

    Close it to give up what is left.

    Parameters
    ----------
    documents : iterable of CurrentDocument
        The documents.
    deadline : Deadline
        When all must have ended.
    at_once : int
        How many to request at once, at most.

    Yields
    ------
    (CurrentDocument, SizedAnswer or None)
        A 200 that is not decoded, or a 304 to a condition; None if the document has to be
        asked for by `CurrentDocument.ask`.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    batch = _Batch(deadline)
    waiting = deque(documents)
    came: list[tuple[CurrentDocument, SizedAnswer | None]] = []
    try:
        while waiting or batch.running:
            if batch.is_hopeless:
                came += [(document, None) for document in waiting]
                waiting.clear()
            free = min(at_once - len(batch.running), len(waiting))
            came += batch.send([waiting.popleft() for _ in range(free)])
            yield from came  # meanwhile, others are under way
            came = list(batch.take()) if batch.running else []
        yield from came
    finally:
        batch.close()


class _Batch:
    def __init__(self, deadline: Deadline) -> None:
        self.running: dict[SubmittedRequest, CurrentDocument] = {}
        self._deadline = deadline
        self._ended: deque[SubmittedRequest] = deque()
        self._has_ended = threading.Event()
        self._unexpected = 0
        self._is_late = False

    @property
    def is_hopeless(self) -> bool:
        """Whether single requests would do better, or there is no time left."""
        return self._is_late or self._unexpected > _MOST_UNEXPECTED_ANSWERS

    def send(
        self, documents: list[CurrentDocument]
    ) -> Iterator[tuple[CurrentDocument, SizedAnswer | None]]:
        """Request documents; yield those that cannot be requested in this way."""
        most = tuning.CARRIED_DOCUMENT_BYTES
        for session, group in groupby(documents, key=lambda document: document.session):
            some = list(group)
            sent = submit(session, [document.request(most) for document in some], self._note)
            for document, one in zip(some, sent, strict=True):
                if one is None:
                    yield document, None
                else:
                    self.running[one] = document

    def _note(self, one: SubmittedRequest) -> None:
        # In a thread of the carrier.
        self._ended.append(one)
        after_answers(self._has_ended.set)

    def take(self) -> Iterator[tuple[CurrentDocument, SizedAnswer | None]]:
        """Wait for answers, and yield those that have come."""
        wire = next(iter(self.running.values())).session.wire
        while not self._has_ended.wait(max(0, min(tuning.CUT_CHECK_SECONDS, self._deadline.left))):
            if wire.is_cut:
                raise NotConnectedError("the store was disconnected")
            if self._deadline.left <= 0:
                self._is_late = True
                for one, document in self.running.items():
                    one.cancel()
                    yield document, None
                self.running.clear()
                return
        self._has_ended.clear()
        for one in self._drained():
            outcome = one.outcome
            if isinstance(outcome, NotConnectedError):
                raise NotConnectedError(*outcome.args)
            document = self.running.pop(one)
            answer = outcome if isinstance(outcome, SizedAnswer) else None
            if answer is None:
                self._unexpected += 1
                self._is_late |= isinstance(outcome, TransportTimeout)  # do not wait for each
            else:
                self._unexpected -= 1
                size = len(answer.body)
                self._deadline.note_received(size)
                if size and document.session.progress is not None:
                    document.session.progress(size, size)
            yield document, answer

    def _drained(self) -> list[SubmittedRequest]:
        ended = [self._ended.popleft() for _ in range(len(self._ended))]
        for one in ended:
            if one.report is not None:
                one.report.finish()
        return ended

    def close(self) -> None:
        """Give up all that is under way."""
        for one in self.running:
            one.cancel()
        self._drained()


def received(document: CurrentDocument, answer: SizedAnswer, limit: SizeLimit) -> Received | None:
    """Return the document of a 200, decoded; None for other codings than gzip.

    Parameters
    ----------
    document : CurrentDocument
        Which was requested.
    answer : SizedAnswer
        The answer.
    limit : SizeLimit
        The most bytes that it may have, decoded.

    Raises
    ------
    IndexFormatError
        It is larger, or compressed more than any text is.
    """
    fields, body, url = answer.headers or {}, answer.body, document.url
    codings = codings_of(fields.get("content-encoding"))
    if codings and codings not in (("gzip",), ("x-gzip",)):
        return None
    if codings and body.startswith(GZIP_MAGIC):  # else it is not coded, whatever is said
        pieces, size = [], 0
        try:
            for piece in decoded([body], codings):
                size += len(piece)
                limit.check(size, url)
                limit.check_ratio(size, len(body), url)
                pieces.append(piece)
        except CodingError:
            return None
        body = b"".join(pieces)
    limit.check(len(body), url)
    if _PLAIN_URL.fullmatch(url) is None or "/." in url:  # as it is after a single request
        url = str(Request("GET", url).prepare().url)
    etag, modified = fields.get("etag", "").strip(), fields.get("last-modified", "").strip()
    validators = checked_validators({"If-None-Match": etag, "If-Modified-Since": modified})
    sha256 = hashlib.sha256(body).hexdigest()
    return Received(url, body, sha256, fields.get("content-type"), validators)


class Budget:
    """The bytes of all documents, those that are being received included; thread-safe.

    Parameters
    ----------
    most_bytes : int
        The most that all may have together, decoded.
    sizes : mapping
        The bytes of those that are held, by URL.

    Attributes
    ----------
    error : StoreError or None
        Set once there are too many.
    """

    def __init__(self, most_bytes: int, sizes: Mapping[str, int]) -> None:
        self._most_bytes = most_bytes
        self._sizes = dict(sizes)
        self._total = sum(self._sizes.values())
        self._lock = threading.Lock()
        self.error: StoreError | None = None

    def limit(self, url: str) -> SizeLimit:
        """Return the limit of one document, which counts the bytes of the others, too."""
        limit = _SharedLimit(self._most_bytes, "the index", "max_index_bytes")
        limit.budget = self
        limit.document_url = url
        return limit

    def check(self, limit: SizeLimit, count: int, url: str) -> None:
        """Count the bytes of a document so far.

        Raises
        ------
        IndexFormatError
            All together have too many.
        """
        with self._lock:
            self._total += count - self._sizes.get(url, 0)
            self._sizes[url] = count
            total = self._total
        try:
            SizeLimit.check(limit, total, url)
        except IndexFormatError as error:
            self.error = error
            raise


class _SharedLimit(SizeLimit):
    # None in a copy with other bytes.
    budget: Budget | None = None
    document_url = ""

    def check(self, count: int, url: str) -> None:
        if self.budget is None:
            super().check(count, url)
        else:
            self.budget.check(self, count, self.document_url)
