"""What `ObspecStore.get` returns, and the options that it takes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from .. import tuning
from ..index.fields import parse_media_type
from .obspec_errors import (
    NotModifiedError,
    NotSupportedError,
    PreconditionError,
    by_obspec_names,
)

if TYPE_CHECKING:
    from ..client.value import URLValue
    from .snapshot_reading import SnapshotReading

__all__ = ["ByteStream", "GetResult", "ObjectMeta", "checked_range"]

_Bytes = bytes  # which is a method of the class below
# Those of obspec.
_OPTIONS = {
    "head",
    "if_match",
    "if_modified_since",
    "if_none_match",
    "if_unmodified_since",
    "range",
    "version",
}


class ObjectMeta(TypedDict):
    """What is known of a value, as obspec has it."""

    #: The key, below the prefix of the store.
    path: str
    #: When the content was published; the beginning of 1970 if neither index nor host says it.
    last_modified: datetime
    #: In bytes.
    size: int
    #: The digest in the index, quoted; else the entity tag of the host, or None.
    e_tag: str | None
    #: None: a site has no versions.
    version: str | None


class GetResult:
    """A value or a part of it, not requested yet; made by `ObspecStore.get`.

    Iterating over it, with ``for`` or ``async for``, is iterating over `stream`.

    Attributes
    ----------
    meta : ObjectMeta
        What is known of the value.
    range : (int, int)
        The first byte, and the first one behind the part.
    """

    def __init__(
        self,
        site: SnapshotReading,
        value: URLValue,
        meta: ObjectMeta,
        options: Mapping[str, Any],
    ) -> None:
        if unknown := sorted(options.keys() - _OPTIONS):
            text = f"no such option: {unknown[0]!r}; there are {', '.join(sorted(_OPTIONS))}"
            raise TypeError(text)
        _check_conditions(meta, options)
        self.meta = meta
        self.range = (0, 0) if options.get("head") else _wanted_range(options, meta["size"])
        self._site = site
        self._value = value

    @property
    def attributes(self) -> dict[str, str]:
        """``Content-Type``, if the index says it."""
        media_type = parse_media_type(self._value.metadata.get("media_type"))
        return {} if media_type is None else {"Content-Type": media_type}

    @property
    def _is_whole(self) -> bool:
        return self.range == (0, self.meta["size"])

    def buffer(self) -> bytes:
        """Read all bytes; verified, if they are those of the whole value.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        """
        with by_obspec_names():
            return self._value.read() if self._is_whole else self._value.get_ranges([self.range])[0]

    async def buffer_async(self) -> bytes:
        """Read all bytes, as `buffer`."""
        key = self._value.key
        with by_obspec_names():
            if self._is_whole:
                return await self._site.read_async(key)
            return await self._site.get_range_async(key, *self.range)

    def bytes(self) -> _Bytes:
        """Read all bytes, as `buffer`; obstore has this name for it."""
        return self.buffer()

    async def bytes_async(self) -> _Bytes:
        """Read all bytes, as `buffer`; obstore has this name for it."""
        return await self.buffer_async()

    def stream(self, min_chunk_size: int | None = None) -> ByteStream:
        """Iterate over the bytes in pieces, with ``for`` or ``async for``.

        Parameters
        ----------
        min_chunk_size : int, optional
            Bytes of a piece, 1 MiB by default; the last one may be shorter.

        Returns
        -------
        ByteStream
            The pieces.  The last one of a whole value comes once all are verified.

        Raises
        ------
        ValueError
            `min_chunk_size` is below 1.
        """
        if min_chunk_size is None:
            min_chunk_size = tuning.VALUE_PIECE_BYTES
        if min_chunk_size < 1:
            raise ValueError(f"min_chunk_size is 1 or more bytes, not {min_chunk_size}")
        if self._is_whole:
            pieces = self._value.iterdata(min_chunk_size)
        else:
            pieces = _pieces(self._value, self.range, min_chunk_size)
        return ByteStream(self._site, pieces)

    def __iter__(self) -> Iterator[_Bytes]:
        """Iterate over `stream`."""
        return self.stream()

    def __aiter__(self) -> AsyncIterator[_Bytes]:
        """Iterate over `stream`."""
        return self.stream()


class ByteStream(Iterator[bytes], AsyncIterator[bytes]):
    """The pieces of a value, to be iterated over once, with ``for`` or ``async for``.

    Raises, while iterating, `TransportError` and `IntegrityError` as `URLValue.iterdata`.
    """

    def __init__(self, site: SnapshotReading, pieces: Iterator[bytes]) -> None:
        self._site = site
        self._pieces = pieces

    def __next__(self) -> bytes:
        """Return the next piece."""
        with by_obspec_names():
            return next(self._pieces)

    async def __anext__(self) -> bytes:
        """Return the next piece, without blocking the event loop."""
        with by_obspec_names():
            piece = await self._site.called(lambda: next(self._pieces, None))
        if piece is None:
            raise StopAsyncIteration
        return piece


def _pieces(value: URLValue, part: tuple[int, int], size: int) -> Iterator[bytes]:
    with value.range(*part) as stream:
        while piece := stream.read(size):
            yield piece


def _wanted_range(options: Mapping[str, Any], size: int) -> tuple[int, int]:
    wanted = options.get("range")
    if wanted is None:
        return 0, size
    if not isinstance(wanted, Mapping):
        start, end = wanted
        return checked_range(start, end, size)
    if "suffix" in wanted:
        if wanted["suffix"] < 0:
            raise ValueError(f"a suffix is 0 or more bytes, not {wanted['suffix']}")
        return max(0, size - wanted["suffix"]), size
    return checked_range(wanted["offset"], size, size)


def checked_range(start: int, end: int, size: int | None) -> tuple[int, int]:
    """Return the bounds of a part within a value.

    Raises
    ------
    ValueError
        The part is empty, or begins behind the end.
    """
    if not 0 <= start < end or (size is not None and start >= size):
        whole = "" if size is None else f" of a value of {size} bytes"
        raise ValueError(f"there is no range from {start} to {end}{whole}")
    return start, end if size is None else min(end, size)


def _check_conditions(meta: ObjectMeta, options: Mapping[str, Any]) -> None:
    # RFC 9110, 13.1: a condition with a tag comes before one with a time.
    if options.get("version") is not None:
        raise NotSupportedError("a site has no versions of values", key=meta["path"])
    tag, time = meta["e_tag"], meta["last_modified"]
    if (wanted := options.get("if_match")) is not None:
        if not _matches(tag, wanted):
            raise PreconditionError(f"{tag} does not match {wanted}", key=meta["path"])
    elif (least := options.get("if_unmodified_since")) is not None and time > least:
        raise PreconditionError(f"modified at {time}, after {least}", key=meta["path"])
    if (known := options.get("if_none_match")) is not None:
        if _matches(tag, known):
            raise NotModifiedError(f"{tag} matches {known}", key=meta["path"])
    elif (since := options.get("if_modified_since")) is not None and time <= since:
        raise NotModifiedError(f"modified at {time}, not after {since}", key=meta["path"])


def _matches(tag: str | None, wanted: str) -> bool:
    known = {one.strip().removeprefix("W/") for one in wanted.split(",")}
    return "*" in known or (tag is not None and tag.removeprefix("W/") in known)
