"""What all requests to a root have in common, and how each of many is signed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from requests.auth import AuthBase, HTTPDigestAuth
from requests.hooks import default_hooks

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .adapter import BoundedAdapter
    from .root import Root
    from .wire import Deadline, Wire

__all__ = [
    "PeerCheck",
    "Request",
    "RequestTemplate",
    "SignedRequest",
    "Signer",
    "field_lines",
    "field_text",
    "is_of_requests",
]

_SPLITTING = re.compile(r"[\r\n\0]")


class PeerCheck(Protocol):
    """Checks the address of a connection: `Perimeter.check`, for one URL."""

    def __call__(self, address: str, *, is_connected: bool = True) -> None:
        """Raise `InnerAddressError` if there may be no connection to it."""


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


class SignedRequest(NamedTuple):
    """A request with header fields of its own."""

    url: str
    #: With credentials.
    headers: Mapping[str, str]
    #: The request target (RFC 9112, section 3.2) without its query, and the query.
    target: str
    query: str


class Signer:
    """Calls an authentication of requests for each of many requests.

    An authentication that looks at answers by functions of its own signs nothing
    here: only a single request shows it the answer.  Those of requests look at
    refusals alone, after which the request is repeated singly.

    Parameters
    ----------
    auth : AuthBase
        The authentication.
    base : PreparedRequest
        A request with all other header fields.
    root : Root
        The root, as its URL is sent; a request that is signed for another origin is sent
        singly.
    adapter : BoundedAdapter
        Knows the targets of requests.
    proxies : mapping
        As in requests.
    """

    def __init__(
        self,
        auth: AuthBase,
        base: PreparedRequest,
        root: Root,
        adapter: BoundedAdapter,
        proxies: Mapping[str, str],
    ) -> None:
        self._auth = auth
        self._base = base
        self._root = root
        self._adapter = adapter
        self._proxies = proxies

    def signed(self, url_path: str, fields: Mapping[str, str]) -> SignedRequest | None:
        """Return a request with its signature; None if it has to be sent singly.

        Parameters
        ----------
        url_path : str
            Quoted path below the root.
        fields : mapping
            Header fields of this request alone.

        Raises
        ------
        Exception
            Whatever the authentication raises.
        """
        prepared = self._called(self._root.join(url_path), fields)
        url = str(prepared.url)
        if not self._is_ready(prepared) or not self._root.shares_origin(url):
            return None
        target, query = self._adapter.target(prepared, self._proxies)
        headers = {name: field_text(value) for name, value in prepared.headers.items()}
        return SignedRequest(url, headers, target, query)

    @property
    def wants_challenge(self) -> bool:
        """Whether a single request has to come first, in this thread.

        Digest authentication can sign nothing before the host has challenged it, and
        keeps the challenge for the thread that saw it.
        """
        if not isinstance(self._auth, HTTPDigestAuth):
            return False
        prepared = self._called(self._root.join(""), {})
        return not self._is_ready(prepared)

    def _called(self, url: str, fields: Mapping[str, str]) -> PreparedRequest:
        prepared = self._base.copy()
        prepared.hooks = default_hooks()
        prepared.url = url
        prepared.headers.update(fields)
        prepared.prepare_auth(self._auth, url)
        return prepared

    @staticmethod
    def _is_ready(prepared: PreparedRequest) -> bool:
        hooks = prepared.hooks["response"]
        return not hooks or (
            all(map(is_of_requests, hooks)) and "Authorization" in prepared.headers
        )


class RequestTemplate(NamedTuple):
    """What all requests to the own origin of a root have in common."""

    root: Root
    #: Takes a quoted path below the root, and returns its URL as it is sent.
    join: Callable[[str], str]
    wire: Wire
    #: With credentials, unless each request is signed.
    headers: Mapping[str, str]
    auth: AuthBase | None
    #: Signs each request; None if the same credentials serve for all.
    signer: Signer | None
    #: Among which the proxy was chosen.
    proxies: Mapping[str, str]
    #: URL, with credentials.
    proxy: str | None
    verify: bool | str
    cert: str | tuple[str, str] | None
    #: To connect, and between two reads, in seconds.
    timeout: tuple[float, float]
    #: Bytes per second.
    min_rate: float
    #: As in `Bounds`; None through a proxy.
    check_peer: PeerCheck | None
    #: The connections that single requests use, too.
    pool: Any
    #: What precedes the path below the root in the target of a request.
    prefix: str
    #: What follows it.
    query: str

    def is_of(self, root: Root, wire: Wire, auth: AuthBase | None) -> bool:
        """Return whether it was made for these."""
        return self.root is root and self.wire is wire and self.auth is auth


def is_of_requests(call: object) -> bool:
    """Return whether requests itself defines a method or hook, not a subclass."""
    return getattr(call, "__module__", None) == AuthBase.__module__


def field_text(value: str | bytes) -> str:
    """Return the value of a header field as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def field_lines(headers: Mapping[str, str]) -> bytes:
    r"""Return header fields as they are sent (RFC 9112, section 5).

    Raises
    ------
    ValueError
        A value is more than one line, or has characters that no field can have.

    Examples
    --------
    >>> field_lines({"Accept": "*/*", "X-Empty": ""})
    b'Accept: */*\r\nX-Empty: \r\n'
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any(_SPLITTING.search(line) for line in lines):
        raise ValueError("a header field of several lines")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
