"""A value on the hosts that have it, and the order in which they are asked for it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from ...errors import HTTPStatusError, IndexFormatError, IntegrityError, TransportError
from .verifier import Verifier

if TYPE_CHECKING:
    from ..http.session import Session
    from ..http.wire import Deadline
    from ..many.request import ByteRange

__all__ = [
    "PASSED_OVER",
    "CompressedWay",
    "RemoteValue",
    "Sources",
    "Wholes",
    "anywhere",
    "first_right",
    "from_any",
    "least_failing",
]

T = TypeVar("T")

_NO_CACHE = (("Cache-Control", "no-cache"),)
# What a cache may have stored before the value was published.
_STORED_STATUSES = frozenset({403, 404, 410})
#: The failures of one root that another root makes up for.
PASSED_OVER = (IntegrityError, IndexFormatError, TransportError)


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
    #: Another digest, as of `Content`; only without a sha256.
    checksum: str | None = None
    #: Quoted path of a placed value below other roots, which are copies; None for any other
    #: value, whose path is the same below all roots.
    copy_path: str | None = None
    #: Header fields that keep caches from answering.
    fields: tuple[tuple[str, str], ...] = ()
    #: All roots that have it; None at a site with one root.
    sources: Sources | None = None
    #: The store, kept alive until the value has been read.
    store: object = None
    #: Its compressed copy, if it is to be read by that; None to read the value itself.
    compressed: CompressedWay | None = None

    @property
    def url(self) -> str:
        """The URL of the value, for errors."""
        return self.session.root.join(self.url_path)

    def verifier(self) -> Verifier:
        """Return a new verifier for a read of the whole value."""
        return Verifier(self.size, self.sha256, key=self.key, url=self.url, checksum=self.checksum)

    @property
    def is_undescribed(self) -> bool:
        """Whether the index says neither size nor digest."""
        return self.size is None and not self.has_digest

    @property
    def has_digest(self) -> bool:
        """Whether the index says a digest of the whole value, of any kind."""
        return self.sha256 is not None or self.checksum is not None

    @property
    def plain(self) -> RemoteValue:
        """The value itself, not read by its compressed copy."""
        return self if self.compressed is None else self._replace(compressed=None)

    def for_parts(self, ranges: Sequence[ByteRange]) -> RemoteValue:
        """Return it as some parts of it are to be read: by the copy, if that is shorter."""
        compressed = self.compressed
        is_shorter = compressed is not None and compressed.is_shorter(self, ranges)
        return self if is_shorter else self.plain

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
        """Return the local copy of a value that was read whole, if all its hosts are failing."""
        sources = self.sources
        if sources is None or sources.wholes is None or not sources.wholes.has(self.sha256):
            return None
        are_failing = all(session.is_failing for session in sources.alike)
        return self.read_whole() if are_failing else None

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
        if self.sha256 is not None and not self.session.root.query and "?" not in self.url_path:
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

    return value.session.retried(attempt)


def _at_each_root(value: RemoteValue, sources: Sources, *, whole: bool) -> list[RemoteValue]:
    is_verified = whole and value.sha256 is not None
    others = sources.alike + (sources.unlike if is_verified else ())
    if value.copy_path is not None and not is_verified:
        others = ()  # only its digest would identify it there
    sessions = tuple(dict.fromkeys((value.session, *others)))
    path = value.url_path if value.copy_path is None else value.copy_path
    return [
        value
        if session is value.session
        else value._replace(session=session, url_path=path, fields=())
        for session in least_failing(sessions)
    ]


def _past_caches(value: RemoteValue, read: Callable[[RemoteValue], T]) -> T:
    if (compressed := value.compressed) is not None:
        if not compressed.is_failing(value.session):
            try:
                found = read(value)
            except (IntegrityError, TransportError):  # whatever is wrong with the copy
                compressed.note(value.session, failed=True)
            else:
                compressed.note(value.session, failed=False)
                return found
        value = value.plain
    try:
        return read(value)
    except (IntegrityError, HTTPStatusError) as error:
        if isinstance(error, HTTPStatusError) and error.status not in _STORED_STATUSES:
            raise
        for fresher in value.fresher():
            with contextlib.suppress(IntegrityError, TransportError):
                return read(fresher)
        raise error


Way = TypeVar("Way")


class CompressedWay(Protocol):
    """A value's compressed copy, to read the value by: `compression.CompressedReads`.

    Any thread may use it.  What is wrong with the copy raises IntegrityError or
    TransportError.
    """

    def ask(self, value: RemoteValue, start: int, end: int | None) -> Any:
        """Request the bytes from `start` to `end`, as `answers.ask` does."""
        ...

    def is_shorter(self, value: RemoteValue, ranges: Sequence[ByteRange]) -> bool:
        """Return whether fewer bytes are fetched for some parts than without the copy."""
        ...

    def is_for_short_reads(self, value: RemoteValue) -> bool:
        """Return whether the copy is so short that it suits reads at any offset."""
        ...

    def read_parts(self, value: RemoteValue, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Read parts, in order and not overlapping."""
        ...

    def is_failing(self, session: Session) -> bool:
        """Return whether the copy, or several others, failed at a root a short time ago."""
        ...

    def note(self, session: Session, *, failed: bool) -> None:
        """Note whether the value could be read by its copy."""
        ...


class Wholes(Protocol):
    """Values read whole to serve parts of them: `copies.WholeValues`.

    Any thread may use it.
    """

    def has(self, sha256: str | None) -> bool:
        """Return whether the value with that digest was read before."""
        ...

    def target_of(self, target: Any) -> Any | None:
        """Return the value's copy as a target; None if it is too large."""
        ...


class Sources(NamedTuple):
    """The sessions of all roots, in the order of their preference."""

    #: Roots with the same snapshot: parts of values can be read from them.
    alike: tuple[Session, ...]
    #: Others, behind it or ahead: only whole values, verified by their digests.
    unlike: tuple[Session, ...] = ()
    #: Values that were read whole from these.
    wholes: Wholes | None = None

    @property
    def is_one(self) -> bool:
        """Whether there is a single root."""
        return len(self.alike) + len(self.unlike) == 1

    @property
    def session(self) -> Session:
        """The session of the first root that is not failing."""
        return self.alike[0] if len(self.alike) == 1 else least_failing(self.alike)[0]


def least_failing(sessions: Sequence[Session]) -> list[Session]:
    """Order sessions: healthy first, each group in order of preference."""
    return sorted(sessions, key=lambda session: session.is_failing)


def anywhere(
    sessions: Sequence[Session], read: Callable[[Session], T], deadline: Deadline | None = None
) -> T:
    """Read from the first root that succeeds, and retry if all fail for now.

    Parameters
    ----------
    sessions : sequence of Session
        Those of all roots, at least one.
    read : callable
        Reads from one of them.
    deadline : Deadline, optional
        When all must be over.

    Raises
    ------
    IntegrityError, TransportError
        The first root's error, if all fail.
    """
    if len(sessions) == 1:
        return read(sessions[0])
    return sessions[0].retried(lambda: from_any(least_failing(sessions), read), deadline)


def from_any(ways: Sequence[Way], read: Callable[[Way], T]) -> T:
    """Read from the first root that gives neither an error nor None.

    Raises
    ------
    IntegrityError, IndexFormatError, TransportError
        The first root's error, if all fail.
    """
    first, *others = ways

    def read_elsewhere() -> T | None:
        for other in others:
            with contextlib.suppress(*PASSED_OVER):
                found = read(other)
                if found is not None:
                    return found
        return None

    try:
        found = read(first)
    except PASSED_OVER:
        elsewhere = read_elsewhere()
        if elsewhere is None:
            raise
        return elsewhere
    if found is not None:
        return found
    elsewhere = read_elsewhere()
    return found if elsewhere is None else elsewhere
