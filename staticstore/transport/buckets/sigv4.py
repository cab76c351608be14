"""Signature Version 4 of AWS and Google, in header fields or a URL.

Pure: no clock, no network.  See AWS, "Create a signed AWS API request", and Google,
"V4 signing process": they differ in names only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

__all__ = ["AWS", "EMPTY_SHA256", "GOOGLE", "GOOGLE_RSA", "Dialect", "Scope", "presigned", "signed"]

#: The digest of the body of a GET or HEAD.
EMPTY_SHA256 = hashlib.sha256().hexdigest()
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Dialect(NamedTuple):
    """The names of a provider."""

    algorithm: str
    #: Of its header fields.
    prefix: str
    service: str
    #: The end of a scope.
    terminator: str
    #: What precedes the secret; empty where the key is no secret of this scheme.
    secret_prefix: str


AWS = Dialect("AWS4-HMAC-SHA256", "X-Amz-", "s3", "aws4_request", "AWS4")
GOOGLE = Dialect("GOOG4-HMAC-SHA256", "X-Goog-", "storage", "goog4_request", "GOOG4")
GOOGLE_RSA = GOOGLE._replace(algorithm="GOOG4-RSA-SHA256", secret_prefix="")


class Scope(NamedTuple):
    """Whose signature is valid where and when."""

    dialect: Dialect
    #: The public part of a key, or the address of a service account.
    identity: str
    region: str
    #: Aware, in UTC.
    at: datetime

    @property
    def time(self) -> str:
        """The time, as ``20261129T120000Z``."""
        return self.at.strftime("%Y%m%dT%H%M%SZ")

    @property
    def text(self) -> str:
        """The scope of a credential."""
        names = (self.time[:8], self.region, self.dialect.service, self.dialect.terminator)
        return "/".join(names)

    def with_secret(self, secret: str) -> Callable[[bytes], str]:
        """Return what signs a text with a key derived from a secret."""

        def sign(text: bytes) -> str:
            key = (self.dialect.secret_prefix + secret).encode()
            for part in self.text.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            return hmac.digest(key, text, "sha256").hex()

        return sign


def signed(
    scope: Scope,
    sign: Callable[[bytes], str],
    method: str,
    url: str,
    fields: Mapping[str, str],
    token: str | None = None,
) -> dict[str, str]:
    """Return the header fields that sign a request without a body.

    Parameters
    ----------
    scope : Scope
        The identity and the time.
    sign : callable
        Signs a text; returns hex.
    method, url : str
        The request, the URL as it is sent.
    fields : mapping
        The header fields of the request; those of the provider's prefix are signed, too.
    token : str, optional
        The session token of temporary credentials.

    Examples
    --------
    The first example in Amazon's description of the header ``Authorization``:

    >>> from datetime import UTC
    >>> at = datetime(2013, 5, 24, tzinfo=UTC)
    >>> scope = Scope(AWS, "AKIAIOSFODNN7EXAMPLE", "us-east-1", at)
    >>> sign = scope.with_secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    >>> url = "https://examplebucket.s3.amazonaws.com/?lifecycle"
    >>> signed(scope, sign, "GET", url, {})["Authorization"][-64:]
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'
    """
    prefix = scope.dialect.prefix
    new = {f"{prefix}Content-SHA256": EMPTY_SHA256, f"{prefix}Date": scope.time}
    if token is not None:
        new[f"{prefix}Security-Token"] = token
    every = {name.lower(): value for name, value in {**fields, **new}.items()}
    bound = {name: every[name] for name in every if name.startswith(prefix.lower())}
    bound["host"] = _host(url)
    names = ";".join(sorted(bound))
    signature = sign(_text(scope, method, url, _query(url), bound, EMPTY_SHA256))
    new["Authorization"] = (
        f"{scope.dialect.algorithm} Credential={scope.identity}/{scope.text}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return new


def presigned(
    scope: Scope, sign: Callable[[bytes], str], url: str, seconds: int, token: str | None = None
) -> str:
    """Return a URL that anybody may GET until it expires.

    Parameters
    ----------
    scope, sign, url, token
        As of `signed`; the URL without a query.
    seconds : int
        From the time of the scope on.
    """
    prefix = scope.dialect.prefix
    query = {
        f"{prefix}Algorithm": scope.dialect.algorithm,
        f"{prefix}Credential": f"{scope.identity}/{scope.text}",
        f"{prefix}Date": scope.time,
        f"{prefix}Expires": str(seconds),
        f"{prefix}SignedHeaders": "host",
    }
    if token is not None:
        query[f"{prefix}Security-Token"] = token
    canonical = _joined([(name, value.encode()) for name, value in query.items()])
    fields = {"host": _host(url)}
    signature = sign(_text(scope, "GET", url, canonical, fields, "UNSIGNED-PAYLOAD"))
    return f"{url}?{canonical}&{prefix}Signature={signature}"


def _text(
    scope: Scope, method: str, url: str, query: str, fields: Mapping[str, str], digest: str
) -> bytes:
    path = quote(unquote_to_bytes(urlsplit(url).path) or b"/", safe="/~")
    lines = [f"{name}:{' '.join(fields[name].split())}" for name in sorted(fields)]
    canonical = "\n".join(
        [method, path, query, *lines, "", ";".join(sorted(fields)), digest]
    ).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    return "\n".join([scope.dialect.algorithm, scope.time, scope.text, digest]).encode()


def _query(url: str) -> str:
    pairs = [pair.partition("=") for pair in urlsplit(url).query.split("&") if pair]
    return _joined([(name, unquote_to_bytes(value)) for name, _, value in pairs])


def _joined(pairs: list[tuple[str, bytes]]) -> str:
    quoted = [(quote(unquote_to_bytes(name), safe="~"), quote(v, safe="~")) for name, v in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(quoted))


def _host(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))
