"""Single requests, with credentials, proxies, bounds and redirects."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from ...errors import (
    AuthorizationError,
    InnerAddressError,
    NotConnectedError,
    StoreError,
    TransportError,
    checked_number,
    raise_alone,
)
from ...processes import PerProcess
from .adapter import BoundedAdapter, Perimeter
from .arguments import (
    SessionOptions,
    authentication,
    checked_cert,
    checked_headers,
    checked_proxies,
    checked_timeout,
    checked_verify,
    is_fixed,
    renewed,
)
from .cancellation import this_call
from .failures import OF_LIBRARIES, OUTSIDE, ElsewhereError, mapped, raise_mapped, status_error
from .local_adapters import local_adapter
from .response import Response, check_status
from .root import (
    MOST_REDIRECTS,
    REDIRECT_STATUSES,
    Root,
    origin_of,
    redirect_target,
)
from .template import PeerCheck, Request, RequestTemplate, Signer, field_text, is_of_requests
from .wire import Bounds, Deadline, Wire

if TYPE_CHECKING:
    from ..buckets.location import BucketLocation

__all__ = ["OwnConnections", "Sender"]

T = TypeVar("T")

_HTTP = ("http", "https")
_LEAST_TIMEOUT_SECONDS = 0.001
# The environment variables that say what proxies there are; elsewhere the system may, too.
_PROXY_VARIABLES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"),
)
_HAS_ALL_IN_VARIABLES = sys.platform not in ("darwin", "win32")
# What the schemes of requests raise for a malformed challenge.
_OF_A_BAD_CHALLENGE = (LookupError, TypeError, ValueError, AttributeError)


class _Where(NamedTuple):
    """What an error names."""

    key: str | None
    url: str


class OwnConnections(NamedTuple):
    """The connections of one process: a forked child makes its own."""

    wire: Wire
    requests_session: requests.Session


class Sender:
    """A sender of single requests to one root, without retries.

    Secrets go to the root's own origin only.  No cookies are kept.  Thread-safe.

    Parameters
    ----------
    root : Root
        Where the site is.
    options : SessionOptions
        How requests are made; checked here.
    wires : PerProcess of Wire
        The sockets.

    Attributes
    ----------
    root : Root
        The root; another one once a bucket was followed to its region.
    auth : AuthBase or None
        What signs the requests to it.
    """

    def __init__(self, root: Root, options: SessionOptions, wires: PerProcess[Wire]) -> None:
        self.root = root
        self._wires = wires
        try:
            self.auth = authentication(options.auth, root, anonymous=options.anonymous)
        except AuthorizationError as error:  # there are no credentials
            if options.hint is not None:
                error.args = (f"{error.args[0]}; {options.hint}",)
            raise
        self._proxies = None if options.proxies is None else checked_proxies(options.proxies)
        self._headers = checked_headers(options.headers or {})
        self._verify = checked_verify(options.verify, root.origin.scheme)
        self._cert = checked_cert(options.cert)
        self._connect_timeout, self._silence = checked_timeout(options.timeout)
        self._min_rate = checked_number(options.min_rate, "min_rate", least=0)
        self.perimeter = options.perimeter or Perimeter(options.origins, root.origin)
        self._is_root = root.origin == self.perimeter.origin
        self._own = self._new_own()
        self._known_template: RequestTemplate | None = None
        self._known_proxies: tuple[object, dict[str, str]] = (None, {})  # for these variables
        self._moving = PerProcess(threading.Lock)
        self._has_moved = False

    @property
    def own(self) -> OwnConnections:
        """The connections of this process."""
        own = self._own
        if own.wire.pid != os.getpid():  # of threads that get here at once, any may win
            # Only the parent goes on counting requests under a nonce of the host.
            self.auth = renewed(self.auth)
            own = self._own = self._new_own()
        return own

    def _new_own(self) -> OwnConnections:
        wire = self._wires.get()
        session = requests.Session()
        session.trust_env = False  # netrc and proxies are looked up here, on request
        session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": "staticstore", "Accept": "*/*"}
        )
        session.adapters.clear()
        if self.root.is_local:
            # Mounted only here, so that no redirect of a host can reach a file.
            session.mount(*local_adapter(self.root.url))
        else:
            adapter = BoundedAdapter(wire)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
        return OwnConnections(wire, session)

    def close(self) -> None:
        """Release the connections; idempotent."""
        self.own.requests_session.close()

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
        for _ in range(2):
            root = self.root
            try:
                return self._send(request, root)
            except ElsewhereError as elsewhere:
                region, error = elsewhere.region, elsewhere.error
            if not self._follow_bucket(root, region):
                break
        raise error

    def _follow_bucket(self, root: Root, region: str) -> bool:
        """Follow a bucket to the region that its host has named, once; return whether it did."""
        from ..buckets.refusals import moved  # seldom needed

        with self._moving.get():
            is_first = self.root is root and not self._has_moved
            if is_first and (found := moved(root, self.auth, region)) is not None:
                (self.root, self.auth), self._has_moved = found, True
            return self.root is not root  # or another thread has done it

    def _send(self, request: Request, root: Root) -> Response:
        url = root.join(request.url_path)
        seen, trusted, wants_cookie = {url}, True, False
        for _ in range(MOST_REDIRECTS + 1):
            response = self._send_once(request, url, trusted=trusted)
            if trusted and root.bucket is not None:
                self._check_bucket(response, request, root.bucket)
            location = response.header("Location")
            if response.status not in REDIRECT_STATUSES or location is None:
                if response.status not in request.answers:
                    check_status(response, request.key, trusted=trusted)
                return response
            response.close()
            url = redirect_target(url, location, request.key)
            trusted = root.shares_origin(url)
            wants_cookie = wants_cookie or response.header("Set-Cookie") is not None
            if wants_cookie and url in seen:
                break
            seen.add(url)
        if wants_cookie:
            message = "the host redirects in a circle and wants a cookie back, but none are kept"
        else:
            message = f"more than {MOST_REDIRECTS} redirects"
        raise TransportError(message, key=request.key, url=url)

    @staticmethod
    def _check_bucket(response: Response, request: Request, bucket: BucketLocation) -> None:
        from ..buckets.refusals import check_bucket  # seldom needed

        check_bucket(
            response,
            bucket,
            key=request.key,
            has_body=request.method != "HEAD",
            answers=request.answers,
        )

    def _send_once(self, request: Request, url: str, *, trusted: bool) -> Response:
        wire, session = self.own
        where = _Where(request.key, url)
        if wire.cut.is_set() or this_call.cut.is_set():
            raise NotConnectedError("the store is not connected", key=where.key, url=url)
        prepared = self._mapped(lambda: self._prepared(session, request, url, trusted), where)
        if trusted and self.auth is not None:
            call = functools.partial(prepared.prepare_auth, self.auth, url)
            self._in_scheme(call, type(self.auth).__call__, where)
        options = self._mapped(lambda: self._options(prepared, request, trusted), where)
        # Not `requests.Session.send`: it reads the body of a redirect, however
        # long, even with `allow_redirects=False`.
        adapter = session.get_adapter(url)
        current, answer = wire.current, None
        current.report = None
        try:
            answer = self._mapped(lambda: adapter.send(prepared, **options), where)
            for hook in prepared.hooks["response"]:
                call = functools.partial(hook, answer, **options)
                answer = self._in_scheme(call, hook, where, answer.status_code) or answer
        except BaseException as error:
            if answer is not None:
                answer.close()
            if current.report is not None:
                current.report.finish(error if isinstance(error, StoreError) else None)
            raise
        if self.root.bucket is not None:
            answer.url = url  # which a signer may have given a secret query
        received, current.answer = current.answer, None
        report, current.report = current.report, None
        return Response(answer, wire, key=where.key, answer=received, report=report)

    def _prepared(
        self, session: requests.Session, request: Request, url: str, trusted: bool
    ) -> requests.PreparedRequest:
        own = self._headers if trusted else {}
        fields = {"Accept-Encoding": "identity", **own, **request.headers}
        return session.prepare_request(requests.Request(request.method, url, headers=fields))

    def _options(
        self, prepared: requests.PreparedRequest, request: Request, trusted: bool
    ) -> dict[str, Any]:
        """Return the arguments for the adapter, and set the bounds on the answer."""
        url = str(prepared.url)
        proxies = self._proxies_for(url)
        current = self.own.wire.current
        current.answer = None
        current.bounds = Bounds(
            self._silence,
            request.deadline,
            self._min_rate if request.deadline is None else 0,  # which the deadline replaces
            self._peer_check(url, proxies, trusted=trusted),
        )
        return {
            "stream": True,
            "proxies": proxies,
            "verify": self._verify,
            "cert": self._cert if trusted else None,
            "timeout": self._timeout(request.deadline),
        }

    # Not the context manager of `failures`, since these run for each request.
    def _mapped(self, call: Callable[[], T], where: _Where) -> T:
        try:
            return call()
        except OUTSIDE as error:
            raise_mapped(error, self.own.wire, key=where.key, url=where.url)

    def _in_scheme(
        self, call: Callable[[], T], scheme: object, where: _Where, status: int = 401
    ) -> T:
        """Call a method or hook of an authentication scheme."""
        try:
            return call()
        except Exception as error:
            is_callers = not is_of_requests(scheme)
            if isinstance(error, _OF_A_BAD_CHALLENGE) and not is_callers:
                self.auth = renewed(self.auth)
                raise_alone(status_error(status, key=where.key, url=where.url), error)
            # What else the caller's own scheme raises is the caller's.
            if isinstance(error, (*OF_LIBRARIES, InnerAddressError) if is_callers else OUTSIDE):
                raise_mapped(error, self.own.wire, key=where.key, url=where.url)
            raise

    def _proxies_for(self, url: str) -> dict[str, str]:
        if self._proxies is not None:
            return self._proxies
        host = self.root.host_url
        if not (url.startswith(host) and _HAS_ALL_IN_VARIABLES):
            return self._proxies_of_environment(url)
        # What `get_environ_proxies` looks at, all variables, takes long for many small reads.
        variables = (host, *map(os.environ.get, _PROXY_VARIABLES))
        if self._known_proxies[0] != variables:
            self._known_proxies = variables, self._proxies_of_environment(url)
        return self._known_proxies[1]

    def _proxies_of_environment(self, url: str) -> dict[str, str]:
        proxy = select_proxy(url, get_environ_proxies(url))
        if proxy is None:
            return {}
        try:
            return checked_proxies({urlsplit(url).scheme: proxy})
        except ValueError as error:
            raise_alone(StoreError(f"in the environment, {error}"))

    def _peer_check(self, url: str, proxies: Mapping[str, str], trusted: bool) -> PeerCheck | None:
        if self.root.is_local:
            return None
        is_root = trusted and self._is_root
        if not proxies or select_proxy(url, proxies) is None:
            return functools.partial(self.perimeter.check, url=url, is_root=is_root)
        # The connection has the proxy's address, so check the host in the URL, now.
        self.perimeter.check(origin_of(url).host, url, is_root)
        return None

    def _timeout(self, deadline: Deadline | None) -> tuple[float, float]:
        if deadline is None:
            return self._connect_timeout, self._silence
        left = max(deadline.left, _LEAST_TIMEOUT_SECONDS)
        return min(self._connect_timeout, left), min(self._silence, left)

    def template(self) -> RequestTemplate | None:
        """Return what all requests to the root have in common; the same object if nothing changed.

        None if the root is a folder or behind a SOCKS proxy.
        """
        root, auth = self.root, self.auth
        proxies = {} if root.is_local else self._proxies_for(root.url)
        (wire, session), known = self.own, self._known_template
        if known is not None and known.is_of(root, wire, auth) and known.proxies is proxies:
            return known
        proxy = select_proxy(root.url, proxies)
        if root.is_local or urlsplit(proxy or "http:").scheme not in _HTTP:
            return None
        if known is not None and known.is_of(root, wire, auth) and known.proxy == proxy:
            return known
        with mapped(wire, key=None, url=root.url):
            request = Request("GET", "", {})
            prepared = self._prepared(session, request, root.join(""), trusted=True)
            adapter = session.get_adapter(root.url)
            assert isinstance(adapter, BoundedAdapter), "only a folder has another"
            # requests has turned another host than one in ASCII into IDNA.
            sent = root if root.url.isascii() else Root(str(prepared.url))
            signer = None
            if auth is not None and is_fixed(auth):
                prepared.prepare_auth(auth, root.url)
            elif auth is not None:
                signer = Signer(auth, prepared, sent, adapter, proxies)
            prefix, query = adapter.target(prepared, proxies)
            self._known_template = RequestTemplate(
                root=root,
                join=sent.join,
                wire=wire,
                headers={name: field_text(value) for name, value in prepared.headers.items()},
                auth=auth,
                signer=signer,
                proxies=proxies,
                proxy=proxy,
                verify=self._verify,
                cert=self._cert,
                timeout=self._timeout(None),
                min_rate=self._min_rate,
                check_peer=self._peer_check(str(prepared.url), proxies, trusted=True),
                pool=adapter.get_connection_with_tls_context(
                    prepared, self._verify, proxies=proxies, cert=self._cert
                ),
                prefix=prefix,
                query=query,
            )
        return self._known_template
