"""The credentials of Google: service accounts, and those of users of gcloud."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AuthorizationError, StoreError, quoted, raise_alone
from ...processes import fork_gate
from .credential import BucketCredential
from .sigv4 import GOOGLE_RSA, Scope, presigned

if TYPE_CHECKING:
    from requests import PreparedRequest

    from .location import BucketLocation

__all__ = ["GoogleCredential", "gcloud_file"]

_TOKEN_SECONDS = 30
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
        """Return those of a file: of a service account, or of a user of gcloud.

        Raises
        ------
        StoreError
            It cannot be read or used, or google-auth is not installed.
        """
        shown = quoted(os.fspath(path))
        try:
            fields = json.loads(Path(path).read_bytes())
        except (OSError, ValueError):  # whose message may quote the file
            raise_alone(StoreError(f"{shown} is no file of Google credentials"))
        return cls.of_mapping(fields, shown)

    @classmethod
    def of_mapping(cls, fields: Any, name: str = "service_account_key") -> GoogleCredential:
        """Return those of the contents of such a file.

        Raises
        ------
        StoreError
            They are not complete, or of another kind, or google-auth is not installed.
        """
        try:
            with fork_gate().passing():
                from google.oauth2 import credentials, service_account
        except ImportError as error:
            text = "this needs the package `google-auth`, which the extra `cloud` brings"
            raise StoreError(text) from error
        kind = fields.get("type") if isinstance(fields, Mapping) else None
        try:
            if kind == "service_account":
                account = service_account.Credentials.from_service_account_info(
                    fields, scopes=_SCOPES, always_use_jwt_access=True
                )
                return cls(account)  # which signs its own tokens
            if kind == "authorized_user":
                return cls(credentials.Credentials.from_authorized_user_info(fields, _SCOPES))
        except Exception:
            raise_alone(StoreError(f"the Google credentials in {name} are not complete"))
        raise StoreError(
            f"the Google credentials in {name} are neither of a service account nor of a user: "
            "give a function as auth, such as obstore's GoogleCredentialProvider"
        )

    def sign(self, request: PreparedRequest, bucket: BucketLocation, at: datetime) -> None:
        """Add a token, renewed if it nears its end."""
        if not self._credentials.valid:
            from google.auth.exceptions import GoogleAuthError
            from google.auth.transport.requests import Request

            try:
                self._credentials.refresh(partial(Request(), timeout=_TOKEN_SECONDS))
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
    """Return the file of gcloud's application default credentials, if any."""
    if named := os.environ.get("CLOUDSDK_CONFIG"):
        folder = Path(named)
    elif os.name == "nt":
        folder = Path(os.environ.get("APPDATA", ""), "gcloud")
    else:
        folder = Path(os.environ.get("HOME") or ".", ".config", "gcloud")
    path = folder / "application_default_credentials.json"
    return path if path.is_file() else None
