"""Send many requests at once, by threads or, if installed, by libcurl.

Any unexpected answer yields None; the caller retries it with `Session.request`,
which follows redirects, retries, and explains what was wrong.  So this code needs
none of that, and can be fast.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from urllib3 import Timeout

from ... import tuning
from ...errors import NotConnectedError, StoreError, TransportError, TransportTimeout
from ...signals import request_finished
from ..http.failures import mapped
from ..http.report import new_report
from ..http.response import allowance
from ..http.wire import Bounds, Wire
from .request import SizedAnswer, SizedRequest, accepted, refusal

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..http.sender import RequestTemplate
    from ..http.session import Session

    # A way to send many requests; see `fetch_all`.
    _Engine = Callable[[RequestTemplate, Sequence[SizedRequest]], list[SizedAnswer | None]]

__all__ = ["by_threads", "engine", "fetch_all", "requests_at_once"]


def fetch_all(session: Session, requests: Sequence[SizedRequest]) -> list[SizedAnswer | None]:
    """Send many requests, several at once, and return the answers in the same order.

    Parameters
    ----------
    session : Session
        The session of the root.
    requests : sequence of SizedRequest
        The requests; all answers are in memory together.

    Returns
    -------
    list of SizedAnswer or None
        None where an answer is not a 200 of exactly the size, or a 206 with
        exactly the part; or where a request failed, for any reason.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    template = session.template()
    is_refused = not session.takes_ranges and any(one.start is not None for one in requests)
    if template is None or is_refused or not requests:
        return [None] * len(requests)
    # A limited rate is observed by our own sockets only.
    if len(requests) <= tuning.FEW_REQUESTS or template.wire.limits:
        return by_threads(template, requests)
    return engine()(template, requests)


@cache
def engine() -> _Engine:
    """Return the fastest engine that is installed."""
    try:
        from .curl import by_curl
    except ImportError:
        return by_threads
    return by_curl


def by_threads(
    template: RequestTemplate, requests: Sequence[SizedRequest]
) -> list[SizedAnswer | None]:
    """Send many requests from threads, on connections of urllib3's pool."""
    if len(requests) == 1:
        with contextlib.suppress(TransportTimeout):
            return [_fetch(template, requests[0])]
        return [None]
    from ...workers import Workers

    found: list[SizedAnswer | None] = [None] * len(requests)
    numbered = iter(list(enumerate(requests)))  # threads can share the iterator of a list
    workers: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()

    def add_worker() -> None:
        if next(others, None):
            workers.put(pool.submit(work))

    def work() -> None:
        for number, request in numbered:
            began = time.monotonic()
            if request.size >= tuning.LONG_BODY_BYTES:
                add_worker()
            try:
                found[number] = _fetch(template, request)
            except TransportTimeout:
                list(numbered)  # do not wait again for each of the rest
            if time.monotonic() - began > tuning.FAR_SECONDS:
                add_worker()

    most = requests_at_once(template.wire, min(tuning.MANY_THREADS, len(requests)))
    others = iter(range(1, most))
    with Workers(most, "staticstore fetch") as pool:
        workers.put(pool.submit(work))
        while not workers.empty():
            workers.get().result()
    return found


def requests_at_once(wire: Wire, most: int) -> int:
    """Return how many requests to send at once, at most: fewer at a limited rate."""
    return min([most, *(limit.requests for limit in wire.limits)])


def _fetch(template: RequestTemplate, request: SizedRequest) -> SizedAnswer | None:
    headers = dict(template.headers)
    if request.start is not None:
        headers["Range"] = f"bytes={request.range}"
    wire = template.wire
    current = wire.current
    current.bounds = Bounds(template.timeout[1], None, template.min_rate, template.check_peer)
    current.query = template.query
    report, url = None, template.root.url + request.url_path
    if request_finished.receivers:
        report = new_report(current, wire.store, "GET", url)
    try:
        with mapped(wire, key=None, url=None):
            response = template.pool.urlopen(
                "GET",
                template.prefix + request.url_path,
                headers=headers,
                redirect=False,
                assert_same_host=False,  # a proxy is asked by whole URLs
                retries=False,
                preload_content=False,
                timeout=Timeout(*template.timeout),
            )
            if report is not None:
                report.answered(response.status, response)
            # A response that was read to its end has returned its connection.
            current.allowance = allowance(request.size)
            with contextlib.closing(response):
                if request.start is not None and response.status == 200:
                    if report is not None:
                        report.finish()
                    return None  # the whole: do not read as far as the part
                body = response.read(request.size + 1, decode_content=False)
                if report is not None and response.length_remaining and len(body) <= request.size:
                    report.finish(TransportError(f"the connection broke after {len(body)} bytes"))
    except StoreError as error:
        if report is not None:
            report.finish(error)
        if isinstance(error, NotConnectedError | TransportTimeout):
            raise
        return None
    finally:
        current.allowance = None
    if report is not None:
        report.finish(refusal(response.status, url))
    return accepted(request, response.status, response.headers, body)
