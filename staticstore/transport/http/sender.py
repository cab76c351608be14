"""Single requests, with credentials, proxies, bounds and redirects."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from ...errors import NotConnectedError, StoreError, TransportError, checked_number, raise_alone
from ...processes import PerProcess
from ..many.request import RequestTemplate
from .adapter import BoundedAdapter, FileAdapter
from .arguments import (
    NO_AUTH,
    SessionOptions,
    authentication,
    checked_cert,
    checked_headers,
    checked_proxies,
    checked_timeout,
    checked_verify,
    is_fixed,
    is_of_requests,
    renewed,
)
from .bounds import Bounds, Deadline
from .failures import FOREIGN, OF_LIBRARIES, mapped, status_error
from .response import Response
from .root import MOST_REDIRECTS, REDIRECT_STATUSES, Root, origin_of, redirect_target
from .wire import Perimeter, Wire

__all__ = ["Request", "Sender"]

_HTTP = ("http", "https")
_LEAST_TIMEOUT_SECONDS = 0.001


class Request(NamedTuple):
    """A request for something below a root."""

    #: GET or HEAD.
    method: str
    #: Quoted path below the root.
    url_path: str
    headers: Mapping[str, str]
    #: When all must be over.
    deadline: Deadline | None = None
    #: For errors.
    key: str | None = None
    #: Statuses that are answers, not errors.
    answers: frozenset[int] = frozenset()


class Sender:
    """A sender of single requests to one root, without retries.

    Secrets go to the root's own origin only.  No cookies are kept.  Any thread
    may use it.

    Parameters
    ----------
    root : Root
        Where the site is.
    options : SessionOptions
        How requests are made; checked here.
    wires : PerProcess of Wire
        The sockets.
    """

    def __init__(self, root: Root, options: SessionOptions, wires: PerProcess[Wire]) -> None:
        self._root = root
        self._wires = wires
        self.auth = authentication(options.auth, root)
        self._proxies = None if options.proxies is None else checked_proxies(options.proxies)
        self._headers = checked_headers(options.headers or {})
        self._verify = checked_verify(options.verify, root.origin.scheme)
        self._cert = checked_cert(options.cert)
        self._connect_timeout, self._silence = checked_timeout(options.timeout)
        self._min_rate = checked_number(options.min_rate, "min_rate", least=0)
        self._perimeter = Perimeter(options.origins)
        self._requests_sessions = PerProcess(
            self._new_requests_session, after_fork=self._requests_session_after_fork
        )

    @property
    def requests_session(self) -> requests.Session:
        """The session of requests in this process."""
        return self._requests_sessions.get()

    def _requests_session_after_fork(self, parents: requests.Session) -> requests.Session:
        # Only the parent goes on counting requests under a nonce of the host.
        self.auth = renewed(self.auth)
        return self._new_requests_session()

    def _new_requests_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # netrc and proxies are looked up here, on request
        session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": "staticstore", "Accept": "*/*"}
        )
        session.adapters.clear()
        if self._root.is_local:
            # Mounted only here, so that no redirect of a host can reach a file.
            session.mount("file://", FileAdapter())
        else:
            adapter = BoundedAdapter(self._wires.get())
            session.mount("https://", adapter)
            session.mount("http://", adapter)
        return session

    def close(self) -> None:
        """Release the connections; idempotent."""
        self.requests_session.close()

    def send(self, request: Request) -> Response:
        """Send a request, follow redirects, and return the answer, its body not yet read.

        Raises
        ------
        HTTPStatusError
            The status is 400 or more, but not 416 and not one of `answers`.
        TransportError
            The host could not be reached, was too slow, or redirects where it must not.
        NotConnectedError
            The session was closed.
        """
        url = self._root.join(request.url_path)
        seen, wants_cookie = {url}, False
        for _ in range(MOST_REDIRECTS + 1):
            response = self._send_once(request, url)
            location = response.header("Location")
            if response.status not in REDIRECT_STATUSES or location is None:
                if response.status not in request.answers:
                    self._check_status(response, url, request.key)
                return response
            response.close()
            url = redirect_target(url, location, request.key)
            wants_cookie = wants_cookie or response.header("Set-Cookie") is not None
            if wants_cookie and url in seen:
                break
            seen.add(url)
        if wants_cookie:
            message = "the host redirects in a circle and wants a cookie back, but none are kept"
        else:
            message = f"more than {MOST_REDIRECTS} redirects"
        raise TransportError(message, key=request.key, url=url)

    def _check_status(self, response: Response, url: str, key: str | None) -> None:
        if response.status < 400 or response.status == 416:
            return
        response.close()
        error = status_error(
            response.status, key=key, url=response.url, retry_after=response.header("Retry-After")
        )
        if response.status == 401 and not self._root.shares_origin(url):
            error.args = (
                "the host redirected to another origin, which answered 401 Unauthorized: user and"
                " password are sent to the origin of the root only",
            )
        raise error

    def _send_once(self, request: Request, url: str) -> Response:
        wire, key = self._wires.get(), request.key
        if wire.cut.is_set():
            raise NotConnectedError("the store is not connected", key=key, url=url)
        trusted = self._root.shares_origin(url)
        # A deadline replaces the least rate.
        min_rate = self._min_rate if request.deadline is None else 0
        with mapped(wire, key=key, url=url):
            prepared = self._prepared(request.method, url, request.headers, trusted=trusted)
        if trusted:
            with self._authenticating(type(self.auth).__call__, key=key, url=url):
                prepared.prepare_auth(self.auth, url)
        with mapped(wire, key=key, url=url):
            proxies = self._proxies_for(str(prepared.url))
            check_peer = self._peer_check(str(prepared.url), proxies, is_root=trusted)
        options: dict[str, Any] = {
            "stream": True,
            "proxies": proxies,
            "verify": self._verify,
            "cert": self._cert if trusted else None,
            "timeout": self._timeout(request.deadline),
        }
        with wire.bounded(Bounds(self._silence, request.deadline, min_rate, check_peer)):
            answer = self._exchange(prepared, options, key=key, url=url)
        return Response(answer, wire, key=key, answer=wire.take_answer())

    def _prepared(
        self, method: str, url: str, headers: Mapping[str, str], *, trusted: bool
    ) -> requests.PreparedRequest:
        own = self._headers if trusted else {}
        return self.requests_session.prepare_request(
            requests.Request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **own, **headers},
                auth=NO_AUTH,
            )
        )

    def _exchange(
        self,
        prepared: requests.PreparedRequest,
        options: dict[str, Any],
        *,
        key: str | None,
        url: str,
    ) -> requests.Response:
        # Not `requests.Session.send`: it reads the body of a redirect, however
        # long, even with `allow_redirects=False`.
        with mapped(self._wires.get(), key=key, url=url):
            answer = self.requests_session.get_adapter(url).send(prepared, **options)
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
        # Errors that the caller's own scheme raises are the caller's, except
        # those that the libraries below raise in it.
        is_own = not is_of_requests(call)
        foreign = OF_LIBRARIES if is_own else FOREIGN
        with mapped(self._wires.get(), key=key, url=url, foreign=foreign):
            try:
                yield
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                if is_own:
                    raise
                # The schemes of requests raise these for a malformed challenge.
                self.auth = renewed(self.auth)
                raise_alone(status_error(status, key=key, url=url), error)

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self._proxies is not None:
            return self._proxies
        proxy = select_proxy(url, get_environ_proxies(url))
        try:
            return checked_proxies({} if proxy is None else {urlsplit(url).scheme: proxy})
        except ValueError as error:
            raise_alone(StoreError(f"in the environment, {error}"))

    def _peer_check(
        self, url: str, proxies: Mapping[str, str], *, is_root: bool
    ) -> Callable[[str], None] | None:
        if self._root.is_local:
            return None
        if not proxies or select_proxy(url, proxies) is None:
            return functools.partial(self._perimeter.check, url=url, is_root=is_root)
        # The connection has the proxy's address, so check the host in the URL, now.
        self._perimeter.check(origin_of(url).host, url, is_root)
        return None

    def _timeout(self, deadline: Deadline | None) -> tuple[float, float]:
        if deadline is None:
            return self._connect_timeout, self._silence
        left = max(deadline.left, _LEAST_TIMEOUT_SECONDS)
        return min(self._connect_timeout, left), min(self._silence, left)

    def template(self) -> RequestTemplate | None:
        """Return what all requests to the root have in common.

        None if the root is a folder or behind a SOCKS proxy, or if the
        authentication depends on each request and answer.
        """
        proxies = {} if self._root.is_local else self._proxies_for(self._root.url)
        proxy = select_proxy(self._root.url, proxies)
        is_http = urlsplit(proxy or "http:").scheme in _HTTP
        if self._root.is_local or not is_fixed(self.auth) or not is_http:
            return None
        wire = self._wires.get()
        with mapped(wire, key=None, url=self._root.url):
            prepared = self._prepared("GET", self._root.join(""), {}, trusted=True)
            prepared.prepare_auth(self.auth, self._root.url)
            adapter = self.requests_session.get_adapter(self._root.url)
            assert isinstance(adapter, BoundedAdapter), "only a folder has another"
            target = adapter.request_url(prepared, proxies)
            return RequestTemplate(
                root=self._root,
                wire=wire,
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
                query=wire.take_query(),
            )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
