"""The arguments of `connect` that concern requests, checked beforehand."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..errors import StoreError

if TYPE_CHECKING:
    from .auth import Credentials
    from .root import Origins

__all__ = [
    "SessionOptions",
    "checked_cert",
    "checked_headers",
    "checked_number",
    "checked_proxies",
    "checked_retries",
    "checked_timeout",
    "checked_verify",
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
    #: As in `StaticStore`: those that are named may have inner addresses.
    origins: Origins = "own"
    #: Appended to the message of an `AuthorizationError`.
    hint: str | None = None

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


def checked_number(value: float, name: str, *, least: float) -> float:
    """Return a number of bytes or seconds, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e18:
        raise ValueError(f"{name} must be a number, {least} or more, not {value!r}")
    return value


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
