"""The credentials of Google: service accounts, and what gcloud and workloads have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AuthorizationError, StoreError, raise_alone
from .credential import BucketCredential
from .sigv4 import GOOGLE_RSA, Scope, presigned

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .location import BucketLocation

__all__ = ["GoogleCredential", "gcloud_file"]

_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_only"]


class GoogleCredential(BucketCredential):
    """Credentials of google-auth, which renews their token.

    The token of a service account is signed here, without a request.

    Parameters
    ----------
    credentials : google.auth.credentials.Credentials
        With the scopes that reading needs.
    """

    exposes_secret = True
    _what = "these credentials"
    _instead = "connect with a service account, or with an HMAC key"

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> GoogleCredential:
        """Return those of a file: of a service account, a user of gcloud, or a workload.

        Raises
        ------
        StoreError
            It cannot be read, or google-auth is not installed.
        """
        auth = _google_auth()
        try:
            found, _ = auth.load_credentials_from_file(os.fspath(path), scopes=_SCOPES)
        except Exception:  # whose message may quote the file
            raise_alone(StoreError(f"{os.fspath(path)!r} is no file of Google credentials"))
        return cls(_signing_itself(found))

    @classmethod
    def of_mapping(cls, fields: Mapping[str, Any]) -> GoogleCredential:
        """Return those of the contents of such a file.

        Raises
        ------
        StoreError
            They are not complete, or google-auth is not installed.
        """
        auth = _google_auth()
        try:
            found, _ = auth.load_credentials_from_dict(dict(fields), scopes=_SCOPES)
        except Exception:
            raise_alone(StoreError("the Google credentials given are not complete"))
        return cls(_signing_itself(found))

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add a token, renewed if it nears its end."""
        if not self._credentials.valid:
            from google.auth.exceptions import GoogleAuthError
            from google.auth.transport.requests import Request

            try:
                self._credentials.refresh(Request())
            except GoogleAuthError as error:
                text = "Google gives no token for these credentials: " + type(error).__name__
                raise_alone(AuthorizationError(text, url=bucket.url))
        request.headers["Authorization"] = f"Bearer {self._credentials.token}"

    def signed_url(self, url: str, bucket: BucketLocation, seconds: int, at: datetime) -> str:
        """Return a URL signed with the key of a service account."""
        if not hasattr(self._credentials, "signer"):
            return super().signed_url(url, bucket, seconds, at)
        scope = Scope(GOOGLE_RSA, self._credentials.signer_email, "auto", at)
        return presigned(scope, lambda text: self._credentials.sign_bytes(text).hex(), url, seconds)


def gcloud_file() -> Path | None:
    """Return the file with the user's application default credentials of gcloud, if any."""
    if named := os.environ.get("CLOUDSDK_CONFIG"):
        folder = Path(named)
    elif os.name == "nt":
        folder = Path(os.environ.get("APPDATA", ""), "gcloud")
    else:
        folder = Path(os.environ.get("HOME") or ".", ".config", "gcloud")
    path = folder / "application_default_credentials.json"
    return path if path.is_file() else None


def _google_auth() -> Any:
    try:
        import google.auth
    except ImportError as error:
        text = "this needs the package `google-auth`, which the extra `cloud` brings"
        raise StoreError(text) from error
    return google.auth


def _signing_itself(credentials: Any) -> Any:
    # A service account signs its own tokens: nobody has to be asked for them.
    own = getattr(credentials, "with_always_use_jwt_access", None)
    return credentials if own is None else own(True)
