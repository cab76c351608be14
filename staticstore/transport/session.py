"""One session of requests below one root."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from ..errors import (
    AuthorizationError,
    NotConnectedError,
    StoreError,
    TransportError,
    raise_alone,
)
from ..processes import PerProcess
from .arguments import (
    checked_cert,
    checked_headers,
    checked_number,
    checked_proxies,
    checked_retries,
    checked_timeout,
    checked_verify,
)
from .auth import (
    NO_AUTH,
    Credentials,
    authentication,
    is_fixed,
    is_of_requests,
    renewed,
    sends_password,
)
from .failures import FIELD_REFUSED, FOREIGN, OF_LIBRARIES, mapped, status_error
from .fetched import Absent, Fetched, SizeLimit, read_bounded, use_up
from .perimeter import Perimeter
from .redirects import MOST_HOPS, REDIRECTS, next_hop
from .response import Response
from .retries import once, retrying
from .root import Origins, Root, origin_of
from .sockets import BoundedAdapter, Bounds, Wire

if TYPE_CHECKING:
    from .part_file import PartialDocument
    from .request import RequestTemplate

__all__ = ["Session"]

T = TypeVar("T")

_HTTP = ("http", "https")
_NO_RANGES = 300.0  # seconds for which a host that refused one is not asked for parts
_REST = 30.0  # seconds for which others are asked in the place of a host that failed
# Statuses below 500 that say nothing of what was asked for.
_UNFIT = frozenset({401, 407, 429})


class Session:
    """Requests to one site, with its credentials, proxies, retries and bounds.

    It may be shared by threads.  Nothing of it is ever shown: not the
    credentials, not the header fields.  No cookies are kept.

    Parameters
    ----------
    root : Root
        Where the site is.
    auth, proxies, headers, verify, cert
        As in `StaticStore.connect`.
    timeout : (float, float)
        Longest time to connect and longest silence, in seconds.
    retries : int
        How often a request is repeated after a failure that may heal.
    min_rate : float
        The least bytes a second of a body, averaged over the longest silence.
    origins : "own", "any" or sequence of str, optional
        As in `StaticStore`: those that are named may have inner addresses.
    wires : PerProcess of Wire, optional
        Those of the sessions of other roots, so that all are cut together.
    is_alone : bool, optional
        Whether there is no other root to ask.  If there is, a request that
        failed is not repeated here: `repeated` does it, once all have failed.
    hint : str, optional
        What to add to the message of an `AuthorizationError`.

    Raises
    ------
    TypeError, ValueError
        An argument is not what it should be.
    StoreError
        A file that an argument names is not there.
    """

    def __init__(
        self,
        root: Root,
        *,
        auth: Credentials = None,
        proxies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: str | tuple[str, str] | None = None,
        timeout: float | tuple[float, float] = (5.0, 30.0),
        retries: int = 4,
        min_rate: float = 1024,
        origins: Origins = "own",
        wires: PerProcess[Wire] | None = None,
        is_alone: bool = True,
        hint: str | None = None,
    ) -> None:
        self.root = root
        self.wires = wires or PerProcess(Wire, after_fork=Wire.after_fork)
        self.retries = checked_retries(retries)
        self._auth = authentication(auth, root)
        self._proxies = None if proxies is None else checked_proxies(proxies)
        self._headers = checked_headers(headers or {})
        self._verify = checked_verify(verify, root.origin.scheme)
        self._cert = checked_cert(cert)
        self._connect_timeout, self._silence = checked_timeout(timeout)
        self._min_rate = checked_number(min_rate, "min_rate", least=0)
        self._perimeter = Perimeter(origins)
        self._is_alone = is_alone
        self._hint = hint
        self._failed_at: float | None = None
        self._refused_range_at: float | None = None
        self._requests_sessions = PerProcess(
            self._new_requests_session, after_fork=self._requests_session_after_fork
        )

    @property
    def wire(self) -> Wire:
        """The sockets of this process."""
        return self.wires.get()

    @property
    def _requests(self) -> requests.Session:
        return self._requests_sessions.get()

    def _requests_session_after_fork(self, parents: requests.Session) -> requests.Session:
        # The count of requests under a nonce of the host's goes on in the parent.
        self._auth = renewed(self._auth)
        return self._new_requests_session()

    def _new_requests_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # netrc and proxies are looked up here, on request
        session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": "staticstore", "Accept": "*/*"}
        )
        session.adapters.clear()
        if self.root.is_local:
            # Only then, so that no redirect of a host can ever reach a file.
            from .local import FileAdapter

            session.mount("file://", FileAdapter())
        else:
            adapter = BoundedAdapter(self.wire)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
        return session

    @property
    def exposes_password(self) -> bool:
        """Whether a password goes over plain http to another machine."""
        origin = self.root.origin
        return (
            origin.scheme == "http" and sends_password(self._auth) and not _is_loopback(origin.host)
        )

    @property
    def is_failing(self) -> bool:
        """Whether the host has failed a moment ago, so that others are asked first."""
        failed_at = self._failed_at
        return failed_at is not None and time.monotonic() - failed_at < _REST

    @property
    def takes_ranges(self) -> bool:
        """Whether parts may be asked for: not for a while after one was refused."""
        refused_at = self._refused_range_at
        return refused_at is None or time.monotonic() - refused_at >= _NO_RANGES

    def note_refused_range(self) -> None:
        """Note that the host gave a value whole after it had refused a part of it."""
        self._refused_range_at = time.monotonic()

    def close(self) -> None:
        """Cut every connection and wake every wait; idempotent, never blocks."""
        self.wire.close()
        self._requests.close()

    def request(
        self,
        method: str,
        url_path: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        key: str | None = None,
        repeats: bool = True,
    ) -> Response:
        """Send a request and return the answer, its body not yet read.

        Redirects are followed, failures that may heal are tried again after a
        wait that grows, with jitter, or that the host asked for.

        Parameters
        ----------
        method : {"GET", "HEAD"}
            What to ask.
        url_path : str
            Quoted path below the root.
        headers : mapping, optional
            Range, validators and the like.
        deadline : float, optional
            When all must be over, by `time.monotonic`.
        key : str, optional
            For errors.
        repeats : bool, optional
            Whether to try again at all.

        Returns
        -------
        Response
            With a status below 400, or 416.  Close it.

        Raises
        ------
        HTTPStatusError
            The host said no.
        TransportError
            It could not be reached, was too slow, or redirected in a way that is refused.
        NotConnectedError
            The session was closed.
        """
        attempt = functools.partial(self._follow, method, url_path, headers or {}, deadline, key)
        return self._retrying(attempt, deadline, repeats=repeats)

    def fetch(
        self,
        url_path: str,
        *,
        headers: Mapping[str, str],
        deadline: float,
        limit: SizeLimit,
        absent: frozenset[int] = frozenset(),
        beginning: PartialDocument | None = None,
    ) -> Fetched | Absent:
        """Get a document whole; one that breaks is tried again.

        Content codings are undone.  The least rate does not hold here, since
        the deadline does.

        Parameters
        ----------
        url_path, headers, deadline
            As in `request`.
        limit : SizeLimit
            The most that the body may have, decoded.
        absent : frozenset of int, optional
            Statuses that say that there is no such document, and are no errors.
        beginning : PartialDocument, optional
            What has come of it before, from which it goes on; without one it begins
            at the start each time.

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

        def attempt() -> Fetched | Absent:
            response = self._rest(url_path, headers, deadline, absent, beginning)
            if response is None:
                response = self._follow("GET", url_path, headers, deadline, None, absent)
            try:
                if response.status in absent:
                    use_up(response)
                    return Absent(response.status, response.url)
                return read_bounded(response, limit, beginning)
            finally:
                response.close()

        return self._retrying(attempt, deadline)

    def _rest(
        self,
        url_path: str,
        headers: Mapping[str, str],
        deadline: float,
        absent: frozenset[int],
        beginning: PartialDocument | None,
    ) -> Response | None:
        """Ask for what is missing of a document; None where it has to be asked for whole."""
        if beginning is None or not beginning.body:
            return None
        start = len(beginning.body)
        fields = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={start}-"}
        response = self._follow("GET", url_path, fields, deadline, None, absent | FIELD_REFUSED)
        given = response.content_range
        if (
            response.status == 206
            and not response.codings
            and given is not None
            and given.start == start
            and given.total in (None, given.end)
        ):
            return response
        beginning.clear()
        if response.status == 200:
            return response
        use_up(response)
        response.close()
        return None

    def fetch_part(
        self, url_path: str, start: int, end: int, *, deadline: float, absent: frozenset[int]
    ) -> bytes | None:
        """Get a part of a document; one that breaks is tried again from its start.

        Parameters
        ----------
        url_path, deadline, absent
            As in `fetch`.
        start, end : int
            From which byte to which, the latter not included.

        Returns
        -------
        bytes or None
            The part; None if there is no such document, or if the host gives
            no parts of it, in whatever words it refuses them.

        Raises
        ------
        HTTPStatusError, TransportError, NotConnectedError
            As in `request`.
        """
        headers = {"Range": f"bytes={start}-{end - 1}"}
        none = absent | FIELD_REFUSED

        def attempt() -> bytes | None:
            response = self._follow("GET", url_path, headers, deadline, None, none)
            with contextlib.closing(response):
                if response.status in none:
                    use_up(response)
                    return None
                given = response.content_range
                if (
                    response.status != 206
                    or given is None
                    or (given.start, given.end) != (start, end)
                ):
                    return None
                if response.codings:
                    return None
                limit = SizeLimit(end - start, "a part of a document")
                part = bytes(read_bounded(response, limit).body)
                return part if len(part) == end - start else None

        return self._retrying(attempt, deadline)

    def template(self) -> RequestTemplate | None:
        """Return what many requests have in common; None where each has something of its own.

        That is so where the root is a folder, behind a SOCKS proxy, and with
        an authentication that looks at each request and answer.
        """
        from .request import RequestTemplate  # seldom needed

        proxies = {} if self.root.is_local else self._proxies_for(self.root.url)
        proxy = select_proxy(self.root.url, proxies)
        is_http = urlsplit(proxy or "http:").scheme in _HTTP
        if self.root.is_local or not is_fixed(self._auth) or not is_http:
            return None
        with mapped(self.wire, key=None, url=self.root.url):
            prepared = self._prepared("GET", self.root.join(""), {}, trusted=True)
            prepared.prepare_auth(self._auth, self.root.url)
            adapter = self._requests.get_adapter(self.root.url)
            assert isinstance(adapter, BoundedAdapter), "only folders have another one"
            target = adapter.request_url(prepared, proxies)
            return RequestTemplate(
                root=self.root,
                wire=self.wire,
                headers={name: _text(value) for name, value in prepared.headers.items()},
                proxy=proxy,
                verify=self._verify,
                cert=self._cert,
                timeout=self._timeout(None),
                min_rate=self._min_rate,
                check_peer=self._peer_check(str(prepared.url), proxies, is_root=True),
                pool=adapter.get_connection_with_tls_context(
                    prepared, self._verify, proxies=proxies, cert=self._cert
                ),
                prefix=target,
                query=self.wire.take_query(),
            )

    def repeated(self, attempt: Callable[[], T], deadline: float | None = None) -> T:
        """Make an attempt, and others after failures that may heal, each after a longer wait."""
        return retrying(attempt, retries=self.retries, deadline=deadline, sleep=self._sleep)

    def _retrying(
        self, attempt: Callable[[], T], deadline: float | None, *, repeats: bool = True
    ) -> T:
        is_repeated = repeats and self._is_alone
        try:
            result = self.repeated(attempt, deadline) if is_repeated else once(attempt)
        except TransportError as error:
            if error.status is None or error.status in _UNFIT or error.status >= 500:
                self._failed_at = time.monotonic()
            if self._hint is not None and isinstance(error, AuthorizationError):
                error.args = (f"{error.args[0]}; {self._hint}",)
            raise
        self._failed_at = None
        return result

    def _sleep(self, seconds: float) -> None:
        self.wire.cut.wait(seconds)

    def _follow(
        self,
        method: str,
        url_path: str,
        headers: Mapping[str, str],
        deadline: float | None,
        key: str | None,
        answers: frozenset[int] = frozenset(),
    ) -> Response:
        """Ask once, and follow redirects; secrets go to the root's own origin only."""
        url = self.root.join(url_path)
        seen, wants_cookie = {url}, False
        for _ in range(MOST_HOPS + 1):
            response = self._send(method, url, headers, deadline, key)
            location = response.header("Location")
            if response.status not in REDIRECTS or location is None:
                return (
                    response if response.status in answers else self._believed(response, url, key)
                )
            response.close()
            url = next_hop(url, location, key)
            wants_cookie = wants_cookie or response.header("Set-Cookie") is not None
            if wants_cookie and url in seen:
                break
            seen.add(url)
        if wants_cookie:
            message = "the host redirects in a circle and wants a cookie back, but none are kept"
        else:
            message = f"more than {MOST_HOPS} redirects"
        raise TransportError(message, key=key, url=url)

    def _believed(self, response: Response, url: str, key: str | None) -> Response:
        """Return an answer that says yes, or a 416; raise for any other."""
        if response.status < 400 or response.status == 416:
            return response
        response.close()
        error = status_error(
            response.status, key=key, url=response.url, retry_after=response.header("Retry-After")
        )
        if response.status == 401 and not self.root.shares_origin(url):
            error.args = (
                "the host redirected to another origin, which answered 401 Unauthorized: user and"
                " password are sent to the origin of the root only",
            )
        raise error

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        deadline: float | None,
        key: str | None,
    ) -> Response:
        wire = self.wire
        if wire.cut.is_set():
            raise NotConnectedError("the store is not connected", key=key, url=url)
        trusted = self.root.shares_origin(url)
        min_rate = self._min_rate if deadline is None else 0
        with mapped(wire, key=key, url=url):
            prepared = self._prepared(method, url, headers, trusted=trusted)
        if trusted:
            with self._authenticating(type(self._auth).__call__, key=key, url=url):
                prepared.prepare_auth(self._auth, url)
        with mapped(wire, key=key, url=url):
            proxies = self._proxies_for(str(prepared.url))
            check_peer = self._peer_check(str(prepared.url), proxies, is_root=trusted)
        with wire.bounded(Bounds(self._silence, deadline, min_rate, check_peer)):
            options: dict[str, Any] = {
                "stream": True,
                "proxies": proxies,
                "verify": self._verify,
                "cert": self._cert if trusted else None,
                "timeout": self._timeout(deadline),
            }
            answer = self._exchange(prepared, options, key=key, url=url)
        return Response(answer, wire, key=key, answer=wire.take_answer())

    def _prepared(
        self, method: str, url: str, headers: Mapping[str, str], *, trusted: bool
    ) -> requests.PreparedRequest:
        """Prepare a request but for its authentication, with the user's fields for the root."""
        own = self._headers if trusted else {}
        return self._requests.prepare_request(
            requests.Request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **own, **headers},
                auth=NO_AUTH,
            )
        )

    def _peer_check(
        self, url: str, proxies: Mapping[str, str], *, is_root: bool
    ) -> Callable[[str], None] | None:
        """Return what judges the address that a connection has.

        Through a proxy that is the proxy's, so the host that is written is judged, now.
        """
        if self.root.is_local:
            return None
        if not proxies or select_proxy(url, proxies) is None:
            return functools.partial(self._perimeter.check, url=url, is_root=is_root)
        self._perimeter.check(origin_of(url).host, url, is_root)
        return None

    def _exchange(
        self,
        prepared: requests.PreparedRequest,
        options: dict[str, Any],
        *,
        key: str | None,
        url: str,
    ) -> requests.Response:
        """Send a prepared request and let the authentication answer what comes back.

        Not by `requests.Session.send`: that reads the body of a redirect,
        however long it is, also where it is told not to follow.
        """
        with mapped(self.wire, key=key, url=url):
            answer = self._requests.get_adapter(url).send(prepared, **options)
        try:
            for hook in prepared.hooks["response"]:
                with self._authenticating(hook, key=key, url=url, status=answer.status_code):
                    answer = hook(answer, **options) or answer
        except BaseException:
            answer.close()
            raise
        return answer

    @contextlib.contextmanager
    def _authenticating(
        self, call: object, *, key: str | None, url: str, status: int = 401
    ) -> Iterator[None]:
        """Turn what a part of an authentication scheme raises into a StoreError.

        What the caller's own class raises is the caller's, but for what the
        libraries below raised in it.
        """
        is_own = not is_of_requests(call)
        with mapped(self.wire, key=key, url=url, foreign=OF_LIBRARIES if is_own else FOREIGN):
            try:
                yield
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                if is_own:
                    raise
                # The schemes of requests stumble over a challenge that makes no sense.
                self._auth = renewed(self._auth)
                raise_alone(status_error(status, key=key, url=url), error)

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self._proxies is not None:
            return self._proxies
        proxy = select_proxy(url, get_environ_proxies(url))
        try:
            return checked_proxies({} if proxy is None else {urlsplit(url).scheme: proxy})
        except ValueError as error:
            raise_alone(StoreError(f"as the environment has it, {error}"))

    def _timeout(self, deadline: float | None) -> tuple[float, float]:
        if deadline is None:
            return self._connect_timeout, self._silence
        left = max(deadline - time.monotonic(), 0.001)
        return min(self._connect_timeout, left), min(self._silence, left)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
