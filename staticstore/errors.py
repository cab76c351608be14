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
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

__all__ = [
    "AuthorizationError",
    "ForeignError",
    "HTTPStatusError",
    "IndexFormatError",
    "IntegrityError",
    "InvalidKeyError",
    "NotConnectedError",
    "StoreError",
    "TransportError",
    "TransportTimeout",
    "causes_of",
    "quoted",
    "raise_alone",
    "unforeseen_as_refusal",
    "without_secrets",
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


class ForeignError(Exception):
    """Stands as a cause for what a library raised: which types, and what the system said.

    The errors of requests, urllib3 and their like refer to the request with all
    its header fields, to pools with the credentials for a proxy, and to whole
    URLs.  What reports errors follows causes and writes down all attributes.

    Parameters
    ----------
    message : str
        What is known.
    kinds : tuple of type, optional
        The types of the error and of its causes, the innermost last.
    """

    def __init__(self, message: str, kinds: tuple[type[BaseException], ...] = ()) -> None:
        super().__init__(message)
        self.kinds = kinds

    @classmethod
    def of(cls, error: BaseException) -> ForeignError:
        """Return what stands for an error, and does not refer to it."""
        causes = list(causes_of(error))
        kinds = tuple(map(type, causes))
        names = " from ".join(kind.__qualname__ for kind in kinds)
        said = [cause.strerror for cause in causes if isinstance(cause, OSError)]
        known = [text for text in said if isinstance(text, str)]
        return cls(": ".join([names, *known[-1:]]), kinds)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Walk from an error to its innermost cause: urllib3 and requests nest them in three ways."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        nested = (getattr(current, "reason", None), *current.args)
        current = next((item for item in nested if isinstance(item, BaseException)), None) or (
            # The context of what was not raised `from None` is what the caller
            # is handling, perhaps an error of long ago.
            current.__context__
            if current.__suppress_context__ and current.__cause__ is None
            else current.__cause__
        )


def raise_alone(error: Exception, foreign: BaseException | None = None) -> NoReturn:
    """Raise an error of ours while another is being handled, with no reference to that one.

    ``raise … from None`` hides it from tracebacks alone.

    Parameters
    ----------
    error : Exception
        What to raise.
    foreign : BaseException, optional
        What was raised by others; a `ForeignError` stands for it as the cause.
    """
    try:
        raise error from (None if foreign is None else ForeignError.of(foreign))
    finally:
        error.__context__ = None
        del error  # or its traceback would keep it alive


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
