"""Buckets as push targets, through obstore: S3 and its like, Google, Azure."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ... import tuning
from ...errors import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    StoreError,
    TransportError,
    TransportTimeout,
    raise_alone,
    without_secrets,
)
from ...transport.buckets.location import SCHEMES, endpoint_from_environment
from ...transport.buckets.profile import aws_settings

__all__ = ["MOST_READ_BYTES", "CloudTarget", "Served", "too_large"]

#: No larger file is read from a target.
MOST_READ_BYTES = 4 << 30

_MOST_PARTS = 9_000  # S3 allows 10,000

# obstore's messages quote URLs and answers, which may hold secrets: only these are shown.
_STATUS = re.compile(r"status code: ([1-5]\d\d)\b")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal", "metadata/identity")


class Served(NamedTuple):
    """How a host serves a file: two of its response headers."""

    media_type: str
    cache_control: str


def too_large(href: str, url: str) -> IndexFormatError:
    """Return the error for a file at a target that exceeds its bound."""
    return IndexFormatError(f"{href} at {url} is too large")


class CloudTarget:
    """A bucket, or a prefix in one; a `Target`.

    Credentials are found where other programs find them: in the environment, for
    S3 in the files of AWS's own tools (keys only), for Google in those of gcloud.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``, ``gs://…`` or ``az://container/prefix``.
    endpoint : str, optional
        The URL of a host that speaks the protocol of S3 or Azure.
    region : str, optional
        The region of an S3 bucket.
    anonymous : bool, optional
        Whether to send no credentials.
    """

    has_folders = False

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        anonymous: bool = False,
    ) -> None:
        self.url = without_secrets(url)
        scheme = _checked_scheme(url)
        if endpoint is not None and scheme == "gs":
            raise StoreError("only s3:// and az:// take an endpoint", url=url)
        if region is not None and scheme != "s3":
            raise StoreError("only s3:// takes a region", url=url)
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            text = "this target needs the package `obstore`, which the extra `cloud` brings"
            raise StoreError(text, url=url) from error
        settings: dict[str, Any] = aws_settings(os.environ) if scheme == "s3" else {}
        if region is not None:
            settings["region"] = region
        if endpoint is not None:
            settings["endpoint"] = endpoint
        if anonymous:
            settings["skip_signature"] = True
        client = {
            "connect_timeout": timedelta(seconds=tuning.CLOUD_CONNECT_SECONDS),
            "timeout": timedelta(seconds=tuning.CLOUD_REQUEST_SECONDS),
            "allow_http": (endpoint or endpoint_from_environment(scheme) or "").startswith("http:"),
        }
        self._obstore = obstore
        try:
            self._store: Any = from_url(
                url,
                config=settings,
                client_options=client,
                retry_config={
                    "max_retries": tuning.CLOUD_RETRIES,
                    "retry_timeout": timedelta(seconds=tuning.CLOUD_RETRY_SECONDS),
                },
            )
        except Exception as error:
            raise_alone(_unusable(error, url))

    def alone(self) -> AbstractContextManager[None]:
        """Do nothing: these hosts have no locks."""
        return nullcontext()

    def read(self, href: str, *, most_bytes: int = MOST_READ_BYTES) -> bytes | None:
        """Return the bytes of a file; None if there is none."""
        try:
            found = self._obstore.get(self._store, href)
            if found.meta["size"] > most_bytes:
                raise too_large(href, self.url)
            return bytes(found.bytes())
        except StoreError:
            raise
        except Exception as error:
            mapped = self._mapped(error, href, "read")
            if isinstance(error, FileNotFoundError) and "Bucket" not in str(mapped):
                return None
            raise_alone(mapped)

    def write(self, href: str, size: int, pieces: Iterator[bytes], served: Served) -> None:
        """Write a file with one request, or a large one in parallel parts."""
        content: Any = pieces if size > tuning.CLOUD_PART_BYTES else b"".join(pieces)
        try:
            self._obstore.put(
                self._store,
                href,
                content,
                attributes={
                    "Content-Type": served.media_type,
                    "Cache-Control": served.cache_control,
                },
                use_multipart=size > tuning.CLOUD_PART_BYTES,
                chunk_size=max(tuning.CLOUD_PART_BYTES, math.ceil(size / _MOST_PARTS)),
                max_concurrency=tuning.CLOUD_PARALLEL_PARTS,
            )
        except StoreError:  # raised by the pieces
            raise
        except Exception as error:
            raise_alone(self._mapped(error, href, "written"))

    def remove(self, hrefs: Sequence[str]) -> None:
        """Remove files, many with one request where the host allows that."""
        try:
            self._obstore.delete(self._store, list(hrefs))
        except FileNotFoundError:
            # Some hosts report one that does not exist; remove the others one by one.
            for href in hrefs if len(hrefs) > 1 else ():
                self.remove([href])
        except Exception as error:
            raise_alone(self._mapped(error, hrefs[0], "removed"))

    def _mapped(self, error: Exception, href: str, what: str) -> StoreError:
        text = str(error)
        code = _CODE.search(text)
        reason = f"{href} could not be {what}" + (f": {code[1]}" if code else "")
        known = {"PermissionDeniedError": 403, "UnauthenticatedError": 401}
        found = _STATUS.search(text)
        status = known.get(type(error).__name__) or (int(found[1]) if found else None)
        if "redirect without LOCATION" in text:  # S3: the bucket is in another region
            status = 301
        if any(mark in text for mark in _NO_CREDENTIALS):
            return AuthorizationError(f"{reason}: no credentials were found", url=self.url)
        if status in (401, 403, 407):
            return AuthorizationError(f"{reason} ({status})", url=self.url, status=status)
        if status is not None:
            return HTTPStatusError(f"{reason} ({status})", url=self.url, status=status)
        if "kind: Timeout" in text or "timed out" in text:
            return TransportTimeout(f"{reason}: the host did not answer in time", url=self.url)
        if "kind: Connect" in text:
            return TransportError(f"{reason}: the host cannot be reached", url=self.url)
        if isinstance(error, OSError) and error.strerror:
            return TransportError(f"{reason}: {error.strerror}", url=self.url)
        return TransportError(reason, url=self.url)


def _checked_scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise_alone(StoreError("the target is not a valid URL", url=url))
    if parts.scheme not in SCHEMES:
        raise StoreError(
            "a target is a folder, or a URL that begins with s3://, gs:// or az://", url=url
        )
    if "@" in parts.netloc or parts.query or parts.fragment or not parts.netloc:
        raise StoreError("the URL of a target has only a bucket and a prefix", url=url)
    return parts.scheme


def _unusable(error: Exception, url: str) -> StoreError:
    if "MissingAccount" in str(error):
        return StoreError("set AZURE_STORAGE_ACCOUNT_NAME to the owner of the container", url=url)
    return StoreError(
        "the target cannot be used: check its URL, the options and the environment", url=url
    )
