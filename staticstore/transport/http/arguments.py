"""The arguments of `connect` that concern requests, checked beforehand."""

from __future__ import annotations

import contextlib
import copy
import netrc
import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import urlsplit

from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from ...errors import StoreError, raise_alone
from .root import is_loopback
from .template import is_of_requests

if TYPE_CHECKING:
    from .adapter import Perimeter
    from .root import Origins, Root
    from .wire import DocumentProgress


__all__ = [
    "Credentials",
    "SessionOptions",
    "authentication",
    "called",
    "checked_cert",
    "checked_headers",
    "checked_proxies",
    "checked_retries",
    "checked_timeout",
    "checked_verify",
    "exposes_password",
    "is_fixed",
    "options_elsewhere",
    "own_options",
    "renewed",
]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Visible characters, white space only between them (RFC 9110, section 5.5).
_VISIBLE = r"[\x21-\x7e\x80-\xff]"
_FIELD_VALUE = re.compile(rf"(?:{_VISIBLE}(?:[\t\x20]*{_VISIBLE})*)?")
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# The store sends these itself; a user's value would make answers wrong.
_OWN_HEADERS = re.compile(
    "accept-encoding|connection|content-length|host|if-.*|proxy-authorization|range|te"
    "|transfer-encoding",
    re.IGNORECASE,
)


class SessionOptions(NamedTuple):
    """How the requests of a session are made; not checked yet.

    Those without a comment are as in `StaticStore.connect`.
    """

    auth: Credentials = None
    proxies: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    verify: bool | str | os.PathLike[str] = True
    cert: str | tuple[str, str] | None = None
    timeout: float | tuple[float, float] = (5.0, 30.0)
    retries: int = 4
    min_rate: float = 1024
    anonymous: bool = False
    #: As in `StaticStore`: those that are named may have inner addresses.
    origins: Origins = "own"
    #: That of the root, where its entries lead to the session; None for the root's own.
    perimeter: Perimeter | None = None
    #: Appended to the message of an `AuthorizationError`.
    hint: str | None = None
    #: Called as ``progress(done, total)``, in bytes, while a document is fetched.
    progress: DocumentProgress | None = None

    def __repr__(self) -> str:
        """Show no secret."""
        return "<SessionOptions>"


def checked_retries(retries: int) -> int:
    """Return how often to retry."""
    if type(retries) is not int or retries < 0:
        raise ValueError(f"retries must be an int, 0 or more, not {retries!r}")
    return retries


def checked_timeout(timeout: float | tuple[float, float]) -> tuple[float, float]:
    """Return the longest time to connect and the longest silence, in seconds."""
    pair = timeout if isinstance(timeout, tuple | list) else (timeout, timeout)
    if len(pair) != 2 or not all(
        isinstance(seconds, int | float) and 0 < seconds < 1e6 for seconds in pair
    ):
        raise ValueError("timeout must be (connect, read), each in seconds above 0 and finite")
    return float(pair[0]), float(pair[1])


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's header fields; the store sends none of them itself."""
    _check_mapping(headers, "headers")
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!a} cannot name a header field (RFC 9110, section 5.1)")
        if _OWN_HEADERS.fullmatch(name):
            raise ValueError(f"the store sends the header field {name!r} itself")
        if not isinstance(value, str) or not _FIELD_VALUE.fullmatch(value):
            # Without the value, which may be a secret.
            raise ValueError(f"the value of the header field {name!r} cannot be sent")
    return dict(headers)


def checked_proxies(proxies: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies, each a URL with a host."""
    _check_mapping(proxies, "proxies")
    for name, url in proxies.items():
        if name == "no_proxy" or not url:
            continue
        try:
            url.encode()  # a header field has to hold its user and password
            parts = urlsplit(url if "://" in url else f"http://{url}")
            usable = parts.scheme in _PROXY_SCHEMES and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            # Without the URL, which may hold a password.
            raise ValueError(
                f"the proxy for {name!r} must be a URL such as http://proxy.example:3128"
            )
    return dict(proxies)


def checked_verify(verify: bool | str | os.PathLike[str], scheme: str) -> bool | str:
    """Return what to verify certificates with, for a root of this scheme."""
    if verify is True and scheme == "https":
        # As requests does, which ignores the environment here.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if path := os.environ.get(name):
                return _authority(path, name)
    return verify if isinstance(verify, bool) else _authority(verify, "verify")


def _authority(path: str | os.PathLike[str], named_by: str) -> str:
    existing = _existing(path, named_by)
    if os.path.isfile(existing):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(existing)
        except (ssl.SSLError, OSError) as error:
            raise StoreError(f"{named_by} names a file that holds no certificates") from error
    return existing


def checked_cert(cert: str | tuple[str, str] | None) -> str | tuple[str, str] | None:
    """Return the client certificate, whose files exist."""
    if cert is None:
        return None
    if isinstance(cert, tuple | list):
        if len(cert) != 2:
            raise ValueError("cert must be a file, or (certificate file, private key file)")
        certificate, private_key = cert
        return _existing(certificate, "cert"), _existing(private_key, "cert")
    return _existing(cert, "cert")


def _check_mapping(value: object, name: str) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of str to str, not {type(value).__name__}")


def _existing(path: str | os.PathLike[str], named_by: str) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{named_by} must be a path, not {type(path).__name__}")
    if not os.path.exists(path):
        raise StoreError(f"{named_by} names a file that does not exist: {os.fspath(path)!r}")
    return os.fspath(path)


#: The argument ``auth`` of `connect`.
Credentials = (
    tuple[str, str]
    | Mapping[str, object]
    | AuthBase
    | Literal["netrc", "instance"]
    | Callable[[], tuple[str, str] | Mapping[str, object] | AuthBase | Literal["netrc"] | None]
    | None
)

_FORMS = '(user, password), a mapping, an AuthBase, "netrc" or a function that returns one of these'


def called(auth: Credentials) -> Credentials:
    """Return the result of a function given as ``auth``; anything else unchanged."""
    return auth if isinstance(auth, AuthBase) or not callable(auth) else auth()


def authentication(auth: Credentials, root: Root, *, anonymous: bool = False) -> AuthBase | None:
    """Return the authentication of requests to the root's origin, or None.

    Parameters
    ----------
    auth : (str, str), mapping, AuthBase, "netrc" or None
        User and password; a mapping with ``username`` and ``password``; an
        authentication of requests; the user's netrc file; or the user and
        password of the root URL.  Not a function: see `called`.  For a bucket as in
        `bucket_authentication`.
    root : Root
        The root.
    anonymous : bool, optional
        Whether to send none to a bucket.

    Raises
    ------
    TypeError, ValueError
        It has another form, or lacks something.
    StoreError
        The netrc file has no entry for the host.
    """
    if isinstance(auth, AuthBase):
        return auth
    if root.bucket is not None:
        from ..buckets.credentials import bucket_authentication  # seldom needed

        return bucket_authentication(auth, root.bucket, anonymous=anonymous)
    if auth is None:
        return None if root.userinfo is None else _basic(*root.userinfo)
    if isinstance(auth, str):
        if auth != "netrc":
            raise ValueError(f"auth must be {_FORMS}")
        return None if root.is_local else _basic(*_netrc_entry(root.origin.host))
    if isinstance(auth, Mapping):
        if missing := {"username", "password"} - auth.keys():
            raise ValueError(f"the mapping for auth lacks {' and '.join(sorted(missing))}")
        return _basic(auth["username"], auth["password"])
    if isinstance(auth, tuple | list) and len(auth) == 2:
        return _basic(*auth)
    raise TypeError(f"auth must be {_FORMS}")


def own_options(options: SessionOptions, roots: Sequence[Root]) -> SessionOptions:
    """Return the options for the first of the roots; a function as ``auth`` is called.

    For a bucket it is called by what signs the requests, and again when that expires.

    Raises
    ------
    ValueError
        No credentials were to be sent to a bucket, and there are some, or no bucket.
    """
    if options.anonymous and options.auth is not None:
        raise ValueError("with anonymous=True no credentials are sent: leave out auth")
    if options.anonymous and not any(root.bucket for root in roots):
        raise ValueError("anonymous is for roots in buckets: s3://, gs:// or az://")
    if roots[0].bucket is not None:
        return options
    return options._replace(auth=called(options.auth))


def options_elsewhere(options: SessionOptions, root: Root, first: Root) -> SessionOptions:
    """Return the options for another root than the first: no host gets the secret of another.

    The user and password are those of its own URL, or of its own entry in the netrc
    file if ``auth`` is ``"netrc"``.  Explicit credentials for a bucket are also for other
    buckets at the same host or provider.
    """
    shares_origin = not root.is_local and root.shares_origin(first.url)
    if shares_origin and (root.bucket is None) == (first.bucket is None):
        return options
    auth: Credentials = None
    if root.bucket is not None:
        auth = options.auth if root.bucket.shares_credentials(first.bucket) else None
    elif options.auth == "netrc" and first.bucket is None:
        with contextlib.suppress(StoreError):
            auth = _basic(*_netrc_entry(root.origin.host))
    return options._replace(auth=auth, headers=None, cert=None)


def exposes_password(auth: AuthBase | None, root: Root) -> bool:
    """Return whether a password, or a token, goes over plain http to another machine."""
    is_readable = isinstance(auth, HTTPBasicAuth) or getattr(auth, "exposes_secret", False)
    return root.origin.scheme == "http" and is_readable and not is_loopback(root.origin.host)


def is_fixed(auth: AuthBase | None) -> bool:
    """Return whether every request gets the same fields, regardless of answers."""
    if auth is None or getattr(auth, "is_fixed", False):
        return True
    return isinstance(auth, HTTPBasicAuth) and is_of_requests(type(auth).__call__)


def renewed(auth: AuthBase | None) -> AuthBase | None:
    """Return the same credentials, without the challenge of a host.

    Digest authentication keeps the last challenge; a malformed one would fail
    every request from then on.
    """
    if not isinstance(auth, HTTPDigestAuth):
        return auth
    again = copy.copy(auth)
    HTTPDigestAuth.__init__(again, auth.username, auth.password)
    return again


def _basic(user: object, password: object) -> HTTPBasicAuth:
    if not isinstance(user, str) or not isinstance(password, str):
        raise TypeError("user and password must be str")
    if ":" in user:
        raise ValueError("a user name must not contain a colon (RFC 7617, section 2)")
    # Bytes, since requests encodes str as Latin-1; browsers and servers use UTF-8.
    try:
        return HTTPBasicAuth(user.encode(), password.encode())
    except UnicodeEncodeError:  # which contains the secret
        raise_alone(ValueError("user and password must be valid Unicode, without lone surrogates"))


def _netrc_entry(host: str) -> tuple[str, str]:
    # For exactly this host: a `default` entry would give a password to any host.
    for name in _netrc_files():
        try:
            entry = netrc.netrc(name).hosts.get(host)
        except FileNotFoundError:
            continue
        except (netrc.NetrcParseError, OSError, UnicodeError) as error:
            # The parser's message may quote the token it failed at: a password.
            raise_alone(StoreError(f"{name} cannot be read: {type(error).__name__}"))
        if host != "default" and entry is not None:
            return entry[0], entry[2] or ""
    raise StoreError(f"no netrc file has an entry for the host {host!r}")


def _netrc_files() -> list[str]:
    if named := os.environ.get("NETRC"):
        return [os.path.expanduser(named)]
    try:
        return [str(Path.home() / name) for name in (".netrc", "_netrc")]
    except RuntimeError:
        raise StoreError(
            "there is no home folder with a netrc file: set NETRC to the path of one"
        ) from None
