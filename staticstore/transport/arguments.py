"""What `connect` takes, checked before anything is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from ..errors import StoreError

__all__ = [
    "checked_cert",
    "checked_headers",
    "checked_retries",
    "checked_timeout",
    "checked_verify",
]

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


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the user's header fields, none of which the store sends itself."""
    for name in headers:
        if _OWN_HEADERS.fullmatch(name):
            raise ValueError(f"the store sends the header field {name!r} itself")
    return dict(headers)


def checked_verify(verify: bool | str | os.PathLike[str]) -> bool | str:
    """Return what requests shall hold certificates against."""
    if verify is True:
        # As requests does it, which is told here to leave the environment alone.
        environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        return environment or True
    return verify if verify is False else _existing(verify, "verify")


def checked_cert(cert: str | tuple[str, str] | None) -> str | tuple[str, str] | None:
    """Return the client certificate, whose files are there."""
    if cert is None:
        return None
    if isinstance(cert, tuple | list):
        certificate, private_key = cert
        return _existing(certificate, "cert"), _existing(private_key, "cert")
    return _existing(cert, "cert")


def _existing(path: str | os.PathLike[str], argument: str) -> str:
    if not os.path.exists(path):
        raise StoreError(f"{argument} names a file that is not there: {os.fspath(path)!r}")
    return os.fspath(path)
