"""Errors by the names that obspec knows, since it tells errors apart by their names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..errors import AuthorizationError, HTTPStatusError, StoreError

__all__ = [
    "NotFoundError",
    "NotModifiedError",
    "NotSupportedError",
    "PermissionDeniedError",
    "PreconditionError",
    "UnauthenticatedError",
    "by_obspec_names",
]


class NotFoundError(StoreError, FileNotFoundError):
    """The index lacks the key, or the host lacks its value (404, 410)."""


class UnauthenticatedError(AuthorizationError):
    """The server or proxy wants credentials, or other ones: 401, 407."""


class PermissionDeniedError(AuthorizationError):
    """The credentials do not suffice: 403."""


class PreconditionError(StoreError):
    """The value is not the one that ``if_match`` or ``if_unmodified_since`` wants."""


class NotModifiedError(StoreError):
    """The value is the one that ``if_none_match`` or ``if_modified_since`` excludes."""


class NotSupportedError(StoreError):
    """A site cannot do this."""


_BY_STATUS: dict[int | None, type[StoreError]] = {
    401: UnauthenticatedError,
    403: PermissionDeniedError,
    404: NotFoundError,
    407: UnauthenticatedError,
    410: NotFoundError,
}


@contextlib.contextmanager
def by_obspec_names() -> Iterator[None]:
    """Raise the refusals of a host in the block by the names that obspec knows."""
    try:
        yield
    except HTTPStatusError as error:
        kind = _BY_STATUS.get(error.status)
        if kind is None:
            raise
        named = kind(*error.args, key=error.key, url=error.url, status=error.status)
        raise named from error
