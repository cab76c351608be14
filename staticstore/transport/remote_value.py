"""A value on the hosts that have it, and the order in which they are asked for it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from ..errors import HTTPStatusError, IntegrityError, TransportError
from .session import Session
from .sources import PASSED_OVER, Sources, from_any, least_failing
from .verifier import Verifier

__all__ = ["RemoteValue", "first_right"]

T = TypeVar("T")

_NO_CACHE = (("Cache-Control", "no-cache"),)
# What a cache may have stored before the value was published.
_STORED_STATUSES = frozenset({403, 404, 410})


class RemoteValue(NamedTuple):
    """A value on a host, and what the index says of it."""

    session: Session
    #: Quoted path below the root.
    url_path: str
    key: str
    #: Bytes; None if the index does not say.
    size: int | None
    #: Lowercase hex; None if the index does not say.
    sha256: str | None
    #: Header fields that keep caches from answering.
    fields: tuple[tuple[str, str], ...] = ()
    #: All roots that have it; None at a site with one root.
    sources: Sources | None = None

    @property
    def url(self) -> str:
        """The URL of the value, for errors."""
        return self.session.root.join(self.url_path)

    def verifier(self) -> Verifier:
        """Return a new verifier for a read of the whole value."""
        return Verifier(self.size, self.sha256, key=self.key, url=self.url)

    @property
    def is_undescribed(self) -> bool:
        """Whether the index says neither size nor digest."""
        return self.size is None and self.sha256 is None

    def changed(
        self, message: str, *, expected: object = None, actual: object = None
    ) -> IntegrityError:
        """Return the error for a host that has another value than the index says."""
        return IntegrityError(message, expected=expected, actual=actual, key=self.key, url=self.url)

    def replaced(self, *, expected: object = None, actual: object = None) -> IntegrityError:
        """Return the error for a host that replaced the value between two requests."""
        message = "the host has replaced the value while it was read"
        return self.changed(message, expected=expected, actual=actual)

    @property
    def is_of_a_copy(self) -> bool:
        """Whether the root has another snapshot, so that only the digest identifies it."""
        return self.sources is not None and self.session in self.sources.unlike

    def read_already(self) -> RemoteValue | None:
        """Return the local copy of a value that was read whole, if the host is failing."""
        wholes = None if self.sources is None else self.sources.wholes
        if wholes is None or not self.session.is_failing or not wholes.has(self.sha256):
            return None
        return self.read_whole()

    def read_whole(self) -> RemoteValue | None:
        """Read the value whole from any root, and return the local copy, to read parts of.

        None if no root has it, or if it is too large.
        """
        if self.sources is None or not self.sources.unlike:
            return None
        with contextlib.suppress(*PASSED_OVER):
            here = self.verified()
            return None if here is self else here
        return None

    def verified(self) -> RemoteValue:
        """Return a verified local copy, read now if need be; itself if it is too large.

        Raises
        ------
        TransportError, IntegrityError
            No root has it.
        """
        wholes = None if self.sources is None else self.sources.wholes
        return self if wholes is None else wholes.target_of(self) or self

    @property
    def is_elsewhere(self) -> bool:
        """Whether other roots have the same value, by its digest."""
        return self.sources is not None and self.sha256 is not None

    def fresher(self) -> Iterator[RemoteValue]:
        """Yield requests that bypass a cache with an old value, the most polite first.

        A static host ignores the query, and no cache has an answer for it yet.
        None is added to a query of the root, which may be signed.
        """
        if self.session.root.is_local:
            return
        yield self._replace(fields=_NO_CACHE)
        if self.sha256 is not None and not self.session.root.has_query:
            url_path = f"{self.url_path}?sha256={self.sha256}"
            yield self._replace(url_path=url_path, fields=_NO_CACHE)


def first_right(value: RemoteValue, read: Callable[[RemoteValue], T], *, whole: bool = False) -> T:
    """Read a value from the first root that has the one of the index.

    A root that has another value, or none, is asked again past all caches.

    Parameters
    ----------
    value : RemoteValue
        The value.
    read : callable
        Reads it at one root; returns None to have the next root asked.
    whole : bool, optional
        Whether it is read whole, so that its digest can be checked: then roots of
        another snapshot are asked, too.

    Raises
    ------
    TransportError, IntegrityError
        No root has it; what the first attempt raised.
    """
    sources = value.sources
    if sources is None:
        return _past_caches(value, read)
    read_one = functools.partial(_past_caches, read=read)

    def attempt() -> T:
        here = None if whole else value.read_already()
        if here is not None:
            return read(here)
        try:
            return from_any(_at_each_root(value, sources, whole=whole), read_one)
        except PASSED_OVER:
            here = None if whole else value.read_whole()
            if here is None:
                raise
            return read(here)

    return value.session.repeated(attempt)


def _at_each_root(value: RemoteValue, sources: Sources, *, whole: bool) -> list[RemoteValue]:
    is_verified = whole and value.sha256 is not None
    others = sources.alike + (sources.unlike if is_verified else ())
    sessions = tuple(dict.fromkeys((value.session, *others)))
    return [
        value if session is value.session else value._replace(session=session, fields=())
        for session in least_failing(sessions)
    ]


def _past_caches(value: RemoteValue, read: Callable[[RemoteValue], T]) -> T:
    try:
        return read(value)
    except (IntegrityError, HTTPStatusError) as error:
        if isinstance(error, HTTPStatusError) and error.status not in _STORED_STATUSES:
            raise
        for fresher in value.fresher():
            with contextlib.suppress(IntegrityError, TransportError):
                return read(fresher)
        raise error
