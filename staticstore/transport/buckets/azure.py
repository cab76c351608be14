"""Azure's own credentials: account keys and shared access signatures."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from ...errors import StoreError, raise_alone
from ..http.template import field_text
from .credential import BucketCredential

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .location import BucketLocation

__all__ = ["AccountKey", "SharedAccess"]

# The fields whose values a signature of Shared Key binds, in its order; the date is in x-ms-date.
_BOUND = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "If-Modified-Since",
    "If-Match",
    "If-None-Match",
    "If-Unmodified-Since",
    "Range",
)
_OF_AZURE = "x-ms-"


class AccountKey(BucketCredential):
    """The key of a storage account; see Microsoft, "Authorize with Shared Key".

    Parameters
    ----------
    key : str
        In Base64.
    account : str, optional
        The account, if the endpoint does not name it.

    Raises
    ------
    StoreError
        The key is not in Base64.
    """

    def __init__(self, key: str, account: str | None = None) -> None:
        try:
            self._key = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            raise_alone(StoreError("the key of a storage account is text in Base64"))
        self._account = account

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add the header fields of Shared Key."""
        account = self._account or bucket.account
        fields = request.headers
        fields["x-ms-date"] = format_datetime(at, usegmt=True)
        own = {name.lower(): field_text(value) for name, value in fields.items()}
        url = urlsplit(str(request.url))
        lines = [str(request.method), *(own.get(name.lower(), "") for name in _BOUND)]
        lines += [f"{name}:{own[name].strip()}" for name in sorted(own) if name[:5] == _OF_AZURE]
        lines.append(f"/{account}{url.path}")
        query = sorted(parse_qsl(url.query, keep_blank_values=True))
        lines += [f"{name.lower()}:{value}" for name, value in query]
        fields["Authorization"] = f"SharedKey {account}:{self._signature(lines)}"

    def signed_url(self, url: str, bucket: BucketLocation, seconds: int, at: datetime) -> str:
        """Return a URL with a shared access signature for this value alone."""
        account = self._account or bucket.account
        # That of an emulator begins with the account, in the path of its endpoint.
        path = unquote(urlsplit(url).path.removeprefix(urlsplit(bucket.endpoint or "").path))
        expiry = (at + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        version = bucket.fields["x-ms-version"]
        protocol = "https" if url.startswith("https:") else "https,http"
        lines = ["r", "", expiry, f"/blob/{account}{path}", "", "", protocol, version, "b"]
        signature = self._signature([*lines, *[""] * 7])
        query = {
            "sv": version,
            "se": expiry,
            "sr": "b",
            "sp": "r",
            "spr": protocol,
            "sig": signature,
        }
        return f"{url}?{urlencode(query)}"

    def _signature(self, lines: list[str]) -> str:
        text = "\n".join(lines).encode()
        return base64.b64encode(hmac.digest(self._key, text, "sha256")).decode()


class SharedAccess(BucketCredential):
    """A shared access signature: the query that each URL has.

    Parameters
    ----------
    query : str
        With or without its question mark.
    expires_at : datetime, optional
        When it expires.
    """

    exposes_secret = True
    _what = "a shared access signature"
    _instead = "connect with the key of the account"

    def __init__(self, query: str, expires_at: datetime | None = None) -> None:
        self._query = query.removeprefix("?")
        self.expires_at = expires_at

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Append the query to the URL that is sent."""
        url = str(request.url)
        request.url = f"{url}{'&' if '?' in url else '?'}{self._query}"
