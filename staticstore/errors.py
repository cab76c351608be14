"""Everything that can go wrong, as one tree.

::

    StoreError                               .key .url .status, None where unknown
    ├── NotConnectedError (RuntimeError)     used before connect or after disconnect
    ├── InvalidKeyError (ValueError)         the key can never name a value
    ├── IndexFormatError (ValueError)        the index is no document we can read
    ├── IntegrityError                       the bytes are not those the index describes
    └── TransportError (OSError)             the bytes could not be had
        ├── TransportTimeout (TimeoutError)  the server was silent too long
        └── HTTPStatusError                  the server answered, and said no
            └── AuthorizationError           401, 403 or 407

Two families ask for two decisions: an `IntegrityError` says that the site
lied, a `TransportError` that the way to it failed and may be tried again.
A key that the index does not have is a plain `KeyError`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = [
    "AuthorizationError",
    "HTTPStatusError",
    "IndexFormatError",
    "IntegrityError",
    "InvalidKeyError",
    "NotConnectedError",
    "StoreError",
    "TransportError",
    "TransportTimeout",
    "unforeseen_as_refusal",
]


class StoreError(Exception):
    """Base of every error that staticstore raises for what happens outside of it.

    Errors can be pickled, so that they cross process boundaries.

    Parameters
    ----------
    message : str
        What was wrong, and what to do about it.
    key : str, optional
        The key concerned.
    url : str, optional
        The URL concerned.  User, password and query are removed from it here,
        so that no secret can get into a text.
    status : int, optional
        The HTTP status code received.
    """

    key: str | None
    url: str | None
    status: int | None

    def __init__(
        self,
        message: str,
        *,
        key: str | None = None,
        url: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.url = None if url is None else without_secrets(url)
        self.status = status

    def __str__(self) -> str:
        """Give the message, then key and URL as far as they are known."""
        details = []
        if self.key is not None:
            details.append(f"key {quoted(self.key)}")
        if self.url is not None:
            details.append(self.url)
        message = str(self.args[0]) if self.args else ""
        return f"{message} ({', '.join(details)})" if details else message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and attributes: keyword arguments are all optional."""
        return type(self), self.args, self.__dict__


class NotConnectedError(StoreError, RuntimeError):
    """The store is used before `connect` or after `disconnect`."""


class InvalidKeyError(StoreError, ValueError):
    """The text can never name a value."""


class IndexFormatError(StoreError, ValueError):
    """The index is no document that can be read; the one held before is kept."""


class IntegrityError(StoreError):
    """The bytes are not those that the index describes.

    Parameters
    ----------
    message : str
        What differs.
    expected, actual : object, optional
        What the index says and what came: sizes in bytes, or lowercase hex digests.
    key, url, status
        As in `StoreError`.
    """

    expected: object
    actual: object

    def __init__(
        self,
        message: str,
        *,
        expected: object = None,
        actual: object = None,
        key: str | None = None,
        url: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, key=key, url=url, status=status)
        self.expected = expected
        self.actual = actual


class TransportError(StoreError, OSError):
    """The bytes could not be had; trying again later may help."""


class TransportTimeout(TransportError, TimeoutError):
    """The server was silent, or too slow, for too long."""


class HTTPStatusError(TransportError):
    """The server answered, and said no; ``status`` says how.

    Parameters
    ----------
    message : str
        What the server said.
    retry_after : float, optional
        Seconds after which it wants to be asked again; up to 120 are waited for.
    key, url, status
        As in `StoreError`.
    """

    retry_after: float | None

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        key: str | None = None,
        url: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, key=key, url=url, status=status)
        self.retry_after = retry_after


class AuthorizationError(HTTPStatusError):
    """The server or the proxy wants other credentials: 401, 403 or 407."""


def without_secrets(url: str) -> str:
    """Return the URL without user, password, query and fragment.

    A query can carry a signature that is as good as a password, so ``?…``
    stands for it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # such as an unclosed bracket in the Location that a host sent
        return "…"
    host = parts.netloc.rpartition("@")[2]
    shown = urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))
    return shown if shown.isprintable() else quoted(shown)


def quoted(text: str) -> str:
    """Return `text` quoted, with control characters and terminal escapes as backslash escapes."""
    return repr(text) if text.isprintable() else ascii(text)


@contextlib.contextmanager
def unforeseen_as_refusal(what: str) -> Iterator[None]:
    """Raise `IndexFormatError` for whatever goes wrong in the block with a host's document.

    A defect of ours that a document brings to light must end as other bad
    documents do: the old snapshot is kept, and people are told.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise IndexFormatError(f"{what}: {type(error).__name__}") from error
