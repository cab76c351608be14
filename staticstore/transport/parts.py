"""What a host answers when it is asked for a value, or for a part of it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, TypeVar

from ..errors import HTTPStatusError, IntegrityError, TransportError
from .coding import DECODABLE
from .failures import FIELD_REFUSED, may_heal, was_dropped
from .integrity import Verifier
from .readings import right_reading
from .response import Response
from .session import Session
from .sources import PASSED_OVER, Sources, from_any, least_failing

__all__ = ["FilePart", "Part", "Target", "ask", "first_right"]

T = TypeVar("T")

_SKIPPED = 1 << 20  # bytes thrown away at once
_NO_CACHE = (("Cache-Control", "no-cache"),)
# What a cache may remember of a value that was not there yet.
_REMEMBERED = frozenset({403, 404, 410})
# A value up to this size is read whole and verified before a part of it is given, if the
# host gives no parts: it comes sooner than the next request.
_VERIFIED_FIRST_BYTES = 1 << 20


class Target(NamedTuple):
    """A value on a host, and what the index says of it."""

    session: Session
    #: Quoted path below the root.
    url_path: str
    key: str
    size: int | None
    sha256: str | None
    #: Header fields that keep caches from answering.
    fields: tuple[tuple[str, str], ...] = ()
    #: Where else it can be had; None at a site with one root.
    sources: Sources | None = None

    @property
    def url(self) -> str:
        """The URL of the value, for errors."""
        return self.session.root.join(self.url_path)

    def verifier(self) -> Verifier:
        """Return what holds a whole read against the index."""
        return Verifier(self.size, self.sha256, key=self.key, url=self.url)

    @property
    def says_nothing(self) -> bool:
        """Whether the index says nothing that the bytes could be held against."""
        return self.size is None and self.sha256 is None

    def changed(
        self, message: str, *, expected: object = None, actual: object = None
    ) -> IntegrityError:
        """Return the error that says that the host has another value than the index."""
        return IntegrityError(message, expected=expected, actual=actual, key=self.key, url=self.url)

    def everywhere(self, *, whole: bool) -> list[Target]:
        """Return this target and the same value at other roots, those last that are failing.

        Parameters
        ----------
        whole : bool
            Whether it is read whole, so that its digest tells whether it is right.
        """
        if self.sources is None:
            return [self]
        is_told = whole and self.sha256 is not None
        others = self.sources.alike + (self.sources.unlike if is_told else ())
        sessions = tuple(dict.fromkeys((self.session, *others)))
        return [
            self if session is self.session else self._replace(session=session, fields=())
            for session in least_failing(sessions)
        ]

    @property
    def is_of_a_copy(self) -> bool:
        """Whether it is read from a root of which a digest alone tells what is right."""
        return self.sources is not None and self.session in self.sources.unlike

    def read_already(self) -> Target | None:
        """Return the value as it was read whole before, while the root of its parts is failing."""
        wholes = None if self.sources is None else self.sources.wholes
        if wholes is None or not self.session.is_failing or not wholes.has(self.sha256):
            return None
        return self.read_whole()

    def read_whole(self) -> Target | None:
        """Read the value whole from any root, so that parts can be cut out of it.

        None if no root gives it, or if it is too large for that.
        """
        if self.sources is None or self.sources.wholes is None or not self.sources.unlike:
            return None
        with contextlib.suppress(*PASSED_OVER):
            here = self.verified()
            return None if here is self else here
        return None

    def verified(self) -> Target:
        """Return the value as it was read whole and verified; itself if it is too large for that.

        Raises
        ------
        TransportError, IntegrityError
            No root gives it.
        """
        wholes = None if self.sources is None else self.sources.wholes
        return self if wholes is None else wholes.target_of(self) or self

    @property
    def is_elsewhere(self) -> bool:
        """Whether other roots have the same value, by its digest."""
        return self.sources is not None and self.sha256 is not None

    def fresher(self) -> Iterator[Target]:
        """Yield ways around a cache that gives an old value, the most polite first.

        The query changes nothing on a static host, but no cache has an answer
        for it yet.  It is not added to one of the root, which may be signed.
        """
        if self.session.root.is_local:
            return
        yield self._replace(fields=_NO_CACHE)
        if self.sha256 is not None and not self.session.root.has_query:
            url_path = f"{self.url_path}?sha256={self.sha256}"
            yield self._replace(url_path=url_path, fields=_NO_CACHE)


def first_right(target: Target, read: Callable[[Target], T], *, whole: bool = False) -> T:
    """Read a value from the first root that gives the one of the index.

    Each root is asked past all caches, too, if it gives another one or has none.

    Parameters
    ----------
    target : Target
        The value.
    read : callable
        Reads it; gives None where another root shall be asked.
    whole : bool, optional
        Whether it is read whole, so that its digest tells whether it is right.

    Raises
    ------
    IntegrityError
        It is another one; what the first attempt raised.
    TransportError
        It could not be had.
    """
    if target.sources is None:
        return _past_caches(target, read)
    read_one = functools.partial(_past_caches, read=read)

    def attempt() -> T:
        here = None if whole else target.read_already()
        if here is not None:
            return read(here)
        try:
            return from_any(target.everywhere(whole=whole), read_one)
        except PASSED_OVER:
            here = None if whole else target.read_whole()
            if here is None:
                raise
            return read(here)

    return target.session.repeated(attempt)


def _past_caches(target: Target, read: Callable[[Target], T]) -> T:
    """Read a value; where it is not the one of the index, or absent, again, past all caches."""
    try:
        return read(target)
    except (IntegrityError, HTTPStatusError) as error:
        if isinstance(error, HTTPStatusError) and error.status not in _REMEMBERED:
            raise
        for fresher in target.fresher():
            with contextlib.suppress(IntegrityError, TransportError):
                return read(fresher)
        raise error


class Part:
    """An answer whose next byte is byte `position` of the value.

    Attributes
    ----------
    total : int or None
        Size of the whole value, as this answer has it.
    is_verified : bool
        Whether it is the whole value, which was held against the index already.
    """

    is_verified = False

    def __init__(
        self,
        response: Response,
        position: int,
        total: int | None,
        *,
        decode: bool = False,
        is_empty: bool = False,
    ) -> None:
        self.response = response
        self.position = position
        self.total = total
        self._decode = decode
        self._is_empty = is_empty

    @property
    def is_partial(self) -> bool:
        """Whether the host has given no more than was asked for."""
        return self.response.status != 200

    def must_be_verified(self, target: Target) -> bool:
        """Whether it has to be read whole, and verified, before a part of it is given.

        A page from a portal, or another version, has the status 200, too.  If its
        length is the right one, a reader of the whole verifies it; a large value is
        not read whole for the sake of a few bytes.
        """
        if self.is_partial or self.is_verified or target.says_nothing:
            return False
        if self._decode or self.response.content_length is None:
            return True
        return target.sha256 is not None and (self.total or 0) <= _VERIFIED_FIRST_BYTES

    def readinto(self, buffer: memoryview) -> int:
        """Read what comes next into a buffer; return how many bytes, 0 at the end of the answer."""
        if self._is_empty:
            return 0
        count = self.response.readinto(buffer, decode=self._decode)
        self.position += count
        return count

    def skip_to(self, position: int) -> None:
        """Read and throw away what comes before `position`."""
        if self.position < position:
            buffer = memoryview(bytearray(min(position - self.position, _SKIPPED)))
            while self.position < position and self.readinto(buffer[: position - self.position]):
                pass

    def close(self) -> None:
        """Close the answer."""
        self.response.close()


class FilePart(Part):
    """The whole value in a file, held against what the index says of it."""

    is_verified = True

    def __init__(self, response: Response, file: BinaryIO, size: int) -> None:
        super().__init__(response, 0, size)
        self._file = file

    def readinto(self, buffer: memoryview) -> int:
        """Read what comes next into a buffer; return how many bytes, 0 at the end."""
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def skip_to(self, position: int) -> None:
        """Go on at `position`, also before what was read."""
        self.position = self._file.seek(position)

    def close(self) -> None:
        """Close the answer and remove the file."""
        super().close()
        self._file.close()


def ask(target: Target, start: int, end: int | None, if_range: str | None = None) -> Part:
    """Ask for the bytes from `start` on; what comes may begin before it.

    A partial answer that is not exactly what was asked for is not believed,
    nor is one with a content coding, whose offsets would be those of the coded
    bytes: the whole is asked for instead, as it is if a part is refused.
    """
    if (start > 0 or end is not None) and target.session.takes_ranges:
        last = "" if end is None else str(end - 1)
        headers = {"Range": f"bytes={start}-{last}"}
        if if_range is not None:
            headers["If-Range"] = if_range
        try:
            response = _get(target, headers)
        except TransportError as error:
            if not _may_be_of_range(target, error):
                raise
            # What was repeated and failed is asked for once more, and no oftener.
            whole = _whole(target, repeats=(error.status or 500) < 500)
            if error.status in FIELD_REFUSED:  # what failed may have failed by chance
                target.session.note_refused_range()
            return whole
        part = _believed_part(target, response, start, end)
        if part is not None:
            return part
    return _whole(target)


def _may_be_of_range(target: Target, error: TransportError) -> bool:
    """Return whether a plain request may succeed where one with a Range field failed."""
    if error.status in FIELD_REFUSED or error.status in (404, 410):
        return True
    # What may heal was repeated in the same form so far.
    is_failure = (error.status or 0) >= 500 and may_heal(error)
    return target.session.retries > 0 and (is_failure or was_dropped(error))


def _whole(target: Target, *, repeats: bool = True) -> Part:
    response = _get(target, {}, repeats=repeats)
    if response.status != 200:
        response.close()
        raise TransportError(
            f"the host answered {response.status} to a request for the whole",
            key=target.key,
            url=target.url,
            status=response.status,
        )
    return _whole_part(target, response)


def _get(target: Target, headers: dict[str, str], *, repeats: bool = True) -> Response:
    headers.update(target.fields)
    return target.session.request(
        "GET", target.url_path, headers=headers, key=target.key, repeats=repeats
    )


def _believed_part(target: Target, response: Response, start: int, end: int | None) -> Part | None:
    """Take an answer to a range request, or close it and return None."""
    if response.status == 200:
        return _whole_part(target, response)
    said = response.content_range
    if (
        response.status == 206
        and said is not None
        and not response.codings
        and said.start == start
        and target.size in (None, said.total)
        and _is_wanted_end(said.end, said.total, end)
        and response.content_length in (None, said.end - said.start)
    ):
        return Part(response, start, said.total)
    response.close()
    if response.status == 416 and response.unsatisfied_total == start == (target.size or start):
        return Part(response, start, start, is_empty=True)  # all of the value comes before
    return None


def _is_wanted_end(got: int, total: int | None, wanted: int | None) -> bool:
    if total is None:
        return got == wanted
    return got == (total if wanted is None else min(wanted, total))


def _whole_part(target: Target, response: Response) -> Part:
    """Take an answer that holds the whole value, coded or not."""
    length = response.content_length
    is_other = target.size is not None and length not in (None, target.size)
    if response.codings:
        # Of another length it can only be in that coding: what is large is decoded as it comes.
        is_large = (target.size or 0) > _VERIFIED_FIRST_BYTES
        is_decodable = len(response.codings) == 1 and response.codings[0] in DECODABLE
        if is_other and is_large and is_decodable:
            return Part(response, 0, target.size, decode=True)
        return _settled_part(target, response)
    if is_other:
        response.close()
        raise target.changed(
            "the host has a value of another size than the index says",
            expected=target.size,
            actual=length,
        )
    return Part(response, 0, target.size if length is None else length)


def _settled_part(target: Target, response: Response) -> Part:
    """Read an answer whose label may be wrong; one that breaks is read anew."""
    given = [response]

    def attempt() -> Part:
        answer = given.pop() if given else _get(target, {})
        try:
            return FilePart(answer, *right_reading(answer, target.verifier, target.key))
        finally:
            answer.close()

    return target.session.repeated(attempt)
