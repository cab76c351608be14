"""The authentication of requests to a bucket: each is signed anew."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from requests.auth import AuthBase

from ...errors import StoreError
from ...processes import PerProcess

if TYPE_CHECKING:
    from requests import PreparedRequest

    from ..http.root import Root
    from .credential import BucketCredential
    from .location import BucketLocation

__all__ = ["BucketSigner", "signed_url"]

_LOG = logging.getLogger("staticstore")
_RENEWED_BEFORE_SECONDS = 60


class BucketSigner(AuthBase):
    """Signs requests to one bucket; thread-safe, and shows no secret.

    Parameters
    ----------
    bucket : BucketLocation
        The bucket.
    find : callable
        Returns a credential; called now, and again before that expires.

    Attributes
    ----------
    is_fixed, exposes_secret : bool
        As of `BucketCredential`.
    """

    def __init__(self, bucket: BucketLocation, find: Callable[[], BucketCredential]) -> None:
        self._bucket = bucket
        self._find = find
        self._credential = find()
        self._renewing = PerProcess(threading.Lock)  # a fork may copy it held
        self.is_fixed = self._credential.is_fixed
        self.exposes_secret = self._credential.exposes_secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign a request, whose header fields are complete."""
        request.headers.update(self._bucket.fields)
        now = datetime.now(UTC)
        self._current(now).sign(request, self._bucket, now)
        return request

    def for_bucket(self, bucket: BucketLocation) -> BucketSigner:
        """Return what signs requests to another bucket with the same credentials."""
        other = copy.copy(self)
        other._bucket = bucket
        return other

    def signed_url(self, url: str, seconds: int) -> str:
        """Return a URL below the root, without a query, that anybody may GET for a time."""
        now = datetime.now(UTC)
        return self._current(now).signed_url(url, self._bucket, seconds, now)

    def _current(self, now: datetime) -> BucketCredential:
        current = self._credential
        if current.expires_at is None:
            return current
        left = current.expires_at - now
        if left > timedelta(seconds=_RENEWED_BEFORE_SECONDS):
            return current
        # One thread renews it; others go on with it as long as it is valid.
        renewing = self._renewing.get()
        if renewing.acquire(blocking=False):
            try:
                self._credential = current = self._find()
            except Exception as error:
                if left <= timedelta(0):
                    raise
                # It is still valid, and the next request tries again.
                _LOG.warning(
                    "credentials for %s not renewed: %s", self._bucket, type(error).__name__
                )
            finally:
                renewing.release()
        elif left <= timedelta(0):
            current = self._find()
        return current

    def __repr__(self) -> str:
        """Show the bucket, and no secret."""
        return f"<BucketSigner: {self._bucket}>"


def signed_url(root: Root, auth: AuthBase | None, url_path: str, seconds: int) -> str:
    """Return a URL below a root that anybody may GET for a time.

    Raises
    ------
    StoreError
        The root is no bucket, or its credentials cannot sign a URL.
    """
    url = root.join(url_path)
    if root.bucket is None:
        raise StoreError("only a site in a bucket (s3:, gs: or az:) has signed URLs", url=url)
    if not isinstance(auth, BucketSigner):
        raise StoreError("an authentication of your own cannot sign a URL", url=url)
    return auth.signed_url(url, seconds)
