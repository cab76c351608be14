"""What `connect` takes, checked before anything is sent."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..errors import StoreError

__all__ = [
    "checked_cert",
    "checked_headers",
    "checked_number",
    "checked_proxies",
    "checked_retries",
    "checked_timeout",
    "checked_verify",
]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Visible characters, with white space only between them (RFC 9110, section 5.5).
_VISIBLE = r"[\x21-\x7e\x80-\xff]"
_FIELD_VALUE = re.compile(rf"(?:{_VISIBLE}(?:[\t\x20]*{_VISIBLE})*)?")
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# What the store says itself; a value of the user's would make answers wrong.
_OWN_HEADERS = re.compile(
    "accept-encoding|connection|content-length|host|if-.*|proxy-authorization|range|te"
    "|transfer-encoding",
    re.IGNORECASE,
)


def checked_retries(retries: int) -> int:
    """Return how often to try again."""
    if type(retries) is not int or retries < 0:
        raise ValueError(f"retries is a number of attempts, 0 or more, not {retries!r}")
    return retries


def checked_timeout(timeout: float | tuple[float, float]) -> tuple[float, float]:
    """Return the longest time to connect and the longest silence, in seconds."""
    pair = timeout if isinstance(timeout, tuple | list) else (timeout, timeout)
    if len(pair) != 2 or not all(
        isinstance(seconds, int | float) and 0 < seconds < 1e6 for seconds in pair
    ):
        raise ValueError("timeout is (connect, read), in seconds above 0; every wait has an end")
    return float(pair[0]), float(pair[1])


def checked_number(value: float, name: str, *, least: float) -> float:
    """Return a number of bytes or seconds that is not below `least`, and is one at all."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e18:
        raise ValueError(f"{name} is a number, {least} or more, not {value!r}")
    return value


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's header fields, none of which the store sends itself."""
    _check_mapping(headers, "headers")
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!a} is no name of a header field (RFC 9110, section 5.1)")
        if _OWN_HEADERS.fullmatch(name):
            raise ValueError(f"the store sends the header field {name!r} itself")
        if not isinstance(value, str) or not _FIELD_VALUE.fullmatch(value):
            # Without the value, which may be a secret.
            raise ValueError(f"the value of the header field {name!r} cannot be sent")
    return dict(headers)


def checked_proxies(proxies: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies, each of which is a URL with a host."""
    _check_mapping(proxies, "proxies")
    for name, url in proxies.items():
        if name == "no_proxy" or not url:
            continue
        try:
            url.encode()  # or no header field can hold its user and password
            parts = urlsplit(url if "://" in url else f"http://{url}")
            usable = parts.scheme in _PROXY_SCHEMES and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            # Without the URL, which may hold a password.
            raise ValueError(f"the proxy for {name!r} is no URL such as http://proxy.example:3128")
    return dict(proxies)


def checked_verify(verify: bool | str | os.PathLike[str], scheme: str) -> bool | str:
    """Return what requests shall hold certificates against, at a root of this scheme."""
    if verify is True and scheme == "https":
        # As requests does it, which is told here to leave the environment alone.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if path := os.environ.get(name):
                return _authority(path, name)
    return verify if isinstance(verify, bool) else _authority(verify, "verify")


def _authority(path: str | os.PathLike[str], named_by: str) -> str:
    """Return a file or folder of certificates, once it has proved to be one."""
    existing = _existing(path, named_by)
    if os.path.isfile(existing):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(existing)
        except (ssl.SSLError, OSError) as error:
            raise StoreError(f"{named_by} names a file that holds no certificates") from error
    return existing


def checked_cert(cert: str | tuple[str, str] | None) -> str | tuple[str, str] | None:
    """Return the client certificate, whose files are there."""
    if cert is None:
        return None
    if isinstance(cert, tuple | list):
        if len(cert) != 2:
            raise ValueError("cert is a file, or the certificate's and the private key's")
        certificate, private_key = cert
        return _existing(certificate, "cert"), _existing(private_key, "cert")
    return _existing(cert, "cert")


def _check_mapping(value: object, name: str) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is a mapping from names to texts, not {type(value).__name__}")


def _existing(path: str | os.PathLike[str], named_by: str) -> str:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{named_by} names a file, and is not {type(path).__name__}")
    if not os.path.exists(path):
        raise StoreError(f"{named_by} names a file that is not there: {os.fspath(path)!r}")
    return os.fspath(path)
