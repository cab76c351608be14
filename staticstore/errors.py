"""The tree of errors that staticstore raises.

::

    StoreError                               .key .url .status, None where unknown
    ├── NotConnectedError (RuntimeError)     used before connect or after disconnect
    ├── InvalidKeyError (ValueError)         the key can never name a value
    ├── IndexFormatError (ValueError)        the index cannot be read
    ├── IntegrityError                       the bytes differ from what the index says
    │   └── TrustError                       the signatures of the site are not right
    ├── RefusedError                         a guard refused; force overrides it
    └── TransportError (OSError)             the bytes could not be read
        ├── TransportTimeout (TimeoutError)  the server was silent too long
        └── HTTPStatusError                  the server refused
            └── AuthorizationError           401, 403 or 407

Two of them ask for two decisions of a reader: an `IntegrityError` means that the site
is wrong, a `TransportError` that reading it failed and may be retried.  A key
that is not in the index is a plain `KeyError`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit, urlunsplit

__all__ = [
    "AuthorizationError",
    "ForeignError",
    "HTTPStatusError",
    "IndexFormatError",
    "InnerAddressError",
    "IntegrityError",
    "InvalidKeyError",
    "NotConnectedError",
    "StoreError",
    "TransportError",
    "TransportTimeout",
    "TrustError",
    "TrustReason",
    "causes_of",
    "checked_number",
    "path_text",
    "quoted",
    "quoted_begin",
    "raise_alone",
    "reason_of",
    "unforeseen_as_refusal",
    "without_secrets",
]


class StoreError(Exception):
    """The base of all errors that staticstore raises for what happens outside it.

    Errors can be pickled, so they cross process boundaries.

    Parameters
    ----------
    message : str
        What happened, and what to do.
    key : str, optional
        The key concerned.
    url : str, optional
        The URL concerned.  User, password and query are removed from it, so
        that no secret gets into a text.
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
        """Return the message, then key and URL as far as they are known."""
        details = []
        if self.key is not None:
            details.append(f"key {quoted(self.key)}")
        if self.url is not None:
            details.append(self.url)
        message = str(self.args[0]) if self.args else ""
        return f"{message} ({', '.join(details)})" if details else message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle message and attributes; keyword arguments are all optional."""
        return type(self), self.args, self.__dict__


class NotConnectedError(StoreError, RuntimeError):
    """The store was used before `connect` or after `disconnect`."""


class InvalidKeyError(StoreError, ValueError):
    """The text can never name a value."""


class IndexFormatError(StoreError, ValueError):
    """The index cannot be read; the snapshot before it is kept."""


class IntegrityError(StoreError):
    """The bytes differ from what the index says.

    Parameters
    ----------
    message : str
        What differs.
    expected, actual : object, optional
        What the index says and what arrived: sizes in bytes, or lowercase hex digests.
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


#: Why signatures are refused.
TrustReason = Literal["unsigned", "expired", "rollback", "mismatch", "missing"]


class TrustError(IntegrityError):
    """The signatures of the site are not those that the pinned root document asks for.

    The snapshot before it is kept.

    Parameters
    ----------
    message : str
        Which document is refused, and why.
    reason : str
        ``"unsigned"``: too few keys that count have signed it.  ``"expired"``: it was not
        signed again in time.  ``"rollback"``: it is older than what was seen before.
        ``"mismatch"``: it is not the one that was signed.  ``"missing"``: it is not there.
    key, url, status
        As in `StoreError`.
    """

    reason: TrustReason

    def __init__(
        self,
        message: str,
        *,
        reason: TrustReason = "mismatch",
        key: str | None = None,
        url: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, key=key, url=url, status=status)
        self.reason = reason


class TransportError(StoreError, OSError):
    """The bytes could not be read; a later attempt may succeed."""


class TransportTimeout(TransportError, TimeoutError):
    """The server was silent or too slow for too long."""


class HTTPStatusError(TransportError):
    """The server refused; ``status`` has the HTTP status code.

    Parameters
    ----------
    message : str
        What the server answered.
    retry_after : float, optional
        The wait that it asks for, in seconds; up to 120 are honored.
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
    """The server or proxy wants other credentials: 401, 403 or 407."""


class ForeignError(Exception):
    """A substitute for an error of a library, as the cause of ours.

    The errors of requests, urllib3 and others refer to the request with all its
    header fields, to pools with the credentials for a proxy, and to whole URLs.
    Error reporters follow causes and record all attributes, secrets included.

    Parameters
    ----------
    message : str
        The types, and the message of the operating system.
    kinds : tuple of type, optional
        The types of the error and of its causes, the innermost last.
    """

    def __init__(self, message: str, kinds: tuple[type[BaseException], ...] = ()) -> None:
        super().__init__(message)
        self.kinds = kinds

    @classmethod
    def of(cls, error: BaseException) -> ForeignError:
        """Return a substitute for an error that does not refer to it."""
        causes = list(causes_of(error))
        kinds = tuple(map(type, causes))
        names = " from ".join(kind.__qualname__ for kind in kinds)
        said = [cause.strerror for cause in causes if isinstance(cause, OSError)]
        known = [text for text in said if isinstance(text, str)]
        return cls(": ".join([names, *known[-1:]]), kinds)


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the innermost last.

    urllib3 and requests nest errors in three ways: as `reason`, as an argument,
    and as cause or context.
    """
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        nested = (getattr(current, "reason", None), *current.args)
        current = next((item for item in nested if isinstance(item, BaseException)), None) or (
            # Only `from None` makes the context a cause: otherwise it is whatever
            # error the caller was handling, perhaps an unrelated one.
            current.__context__
            if current.__suppress_context__ and current.__cause__ is None
            else current.__cause__
        )


def raise_alone(error: Exception, foreign: BaseException | None = None) -> NoReturn:
    """Raise our error without a reference to the one being handled.

    ``raise … from None`` hides that one only from tracebacks.

    Parameters
    ----------
    error : Exception
        Our error.
    foreign : BaseException, optional
        The error of a library; a `ForeignError` replaces it as the cause.
    """
    try:
        raise error from (None if foreign is None else ForeignError.of(foreign))
    finally:
        error.__context__ = None
        del error  # its traceback refers to this frame: a reference cycle


def without_secrets(url: str) -> str:
    """Return the URL without user, password, query and fragment.

    A query can contain a signature as good as a password, so it becomes ``?…``; of a
    ``data:`` URL only the beginning is left.
    """
    if url[:5].lower() == "data:":
        return f"{quoted(url.partition(',')[0][:80])[1:-1]},…"
    try:
        parts = urlsplit(url)
    except ValueError:  # for example an unclosed bracket in a host's Location
        return "…"
    host = parts.netloc.rpartition("@")[2]
    shown = urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))
    return shown if shown.isprintable() else quoted(shown)


class InnerAddressError(Exception):
    """A connection must not be used.

    It is not an `OSError` or anything else that urllib3 and requests know, so
    that they let it pass unchanged.
    """


def quoted(text: str) -> str:
    """Return `text` quoted, control characters and terminal escapes escaped."""
    return repr(text) if text.isprintable() else ascii(text)


def quoted_begin(text: str) -> str:
    """Return `text` quoted as by `quoted`; of a long one only its first hundred characters."""
    return quoted(text if len(text) <= 100 else f"{text[:100]}…")


@contextlib.contextmanager
def unforeseen_as_refusal(what: str) -> Iterator[None]:
    """Raise `IndexFormatError` for any error in the block.

    The block reads a document of a host.  A defect of ours that the document
    triggers must end as a bad document does: the old snapshot is kept, and the
    failure is reported.
    """
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        raise IndexFormatError(f"{what}: {type(error).__name__}") from error


def checked_number(value: float, name: str, *, least: float) -> float:
    """Return a number of bytes or seconds, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e18:
        raise ValueError(f"{name} must be a number, {least} or more, not {value!r}")
    return value


def reason_of(error: OSError) -> str:
    """Return the message of an OSError without the path, which may contain anything."""
    return error.strerror or type(error).__name__


def path_text(path: str) -> str:
    r"""Return a path as printable text: bytes that are not UTF-8 are escaped.

    Examples
    --------
    >>> path_text("caf\udce9.csv")
    'caf\\xe9.csv'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")
