"""A credential for a bucket: what signs requests, and URLs to hand on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING

from ...errors import StoreError
from ..http.template import field_text
from .sigv4 import AWS, GOOGLE, Scope, presigned, signed

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .location import BucketLocation

__all__ = ["AccessKey", "Anonymous", "BearerToken", "BucketCredential"]


class BucketCredential(ABC):
    """What signs requests to a bucket; immutable, and its repr shows no secret.

    Attributes
    ----------
    expires_at : datetime or None
        When it has to be replaced, if ever; aware.
    is_fixed : bool
        Whether every request gets the same fields.
    exposes_secret : bool
        Whether those who see a request can use the credential.
    """

    expires_at: datetime | None = None
    is_fixed = False
    exposes_secret = False

    @abstractmethod
    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add the signature to a request, at a time in UTC."""

    def signed_url(self, url: str, bucket: BucketLocation, seconds: int, at: datetime) -> str:
        """Return a URL that anybody may GET for a time.

        Raises
        ------
        StoreError
            The credential cannot do that.
        """
        raise StoreError(f"a URL cannot be signed with {self._what}: {self._instead}", url=url)

    _what = "these credentials"
    _instead = "connect with a key"

    def __repr__(self) -> str:
        """Show no secret."""
        return f"<{type(self).__name__}>"


class Anonymous(BucketCredential):
    """No credential: the bucket is public."""

    is_fixed = True
    _what = "anonymous=True"
    _instead = "connect with credentials, or hand on the URL of the value"

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add nothing."""


class AccessKey(BucketCredential):
    """A key of S3, or an HMAC key of Google.

    Parameters
    ----------
    identity, secret : str
        The two parts of the key.
    token : str, optional
        The session token of temporary credentials.
    expires_at : datetime, optional
        When these expire.
    """

    def __init__(
        self,
        identity: str,
        secret: str,
        token: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        self._identity = identity
        self._secret = secret
        self._token = token
        self.expires_at = expires_at

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add the header fields of Signature Version 4."""
        scope = self._scope(bucket, at)
        sign = scope.with_secret(self._secret)
        fields = {name: field_text(value) for name, value in request.headers.items()}
        new = signed(scope, sign, str(request.method), str(request.url), fields, self._token)
        request.headers.update(new)

    def signed_url(self, url: str, bucket: BucketLocation, seconds: int, at: datetime) -> str:
        """Return a URL with Signature Version 4 in its query."""
        scope = self._scope(bucket, at)
        return presigned(scope, scope.with_secret(self._secret), url, seconds, self._token)

    def _scope(self, bucket: BucketLocation, at: datetime) -> Scope:
        dialect, region = (GOOGLE, "auto") if bucket.scheme == "gs" else (AWS, bucket.region)
        return Scope(dialect, self._identity, region, at)


class BearerToken(BucketCredential):
    """An OAuth token of Google or Microsoft.

    Parameters
    ----------
    token : str
        The token.
    expires_at : datetime, optional
        When it expires.
    """

    exposes_secret = True
    _what = "a token"
    _instead = "connect with a key or, for Google, with a service account"

    def __init__(self, token: str, expires_at: datetime | None = None) -> None:
        self._token = token
        self.expires_at = expires_at

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
