"""One value of a site, and the values of one snapshot."""

from __future__ import annotations

import contextlib
import copy
import io
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import quoted
from ..index.fields import Facts
from ..index.keys import key_to_url_path
from ..index.query import selected, selection

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from ..index.snapshot import Index
    from ..transport.parts import Target
    from ..transport.response import Response
    from ..transport.session import Session
    from ..transport.stream import Progress, ValueReader
    from .cache import ValueCache
    from .lazy import LazyIndex

__all__ = ["URLValue", "Values"]

_COPIED = 1 << 20  # bytes; what is copied from the cache at once


class URLValue:
    """One value: what the index says of it, and the way to its bytes.

    Made by `StaticStore.get`; nothing is requested before it is needed.  A
    value is of its snapshot: what the host has replaced since is an
    `IntegrityError` when it is read.  It may be shared by threads, but for
    `data`, which is one stream.

    As a context manager it gives `data` and closes it.

    Attributes
    ----------
    key : str
        The key.
    """

    def __init__(
        self,
        target: Target,
        metadata: dict[str, Any],
        facts: Facts,
        cache: ValueCache | None = None,
    ) -> None:
        self.key = target.key
        self._target = target
        self._metadata = metadata
        self._facts = facts
        self._cache = cache
        self._data: BinaryIO | None = None
        self._answer: Response | None = None

    @property
    def url(self) -> str:
        """Where the value is, for this store's own requests.

        A query of the root URL, which may be a secret, is part of it; user and
        password are not.
        """
        return self._target.url

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata, a copy of the caller's own."""
        return copy.deepcopy(self._metadata)

    @property
    def size(self) -> int | None:
        """Size in bytes: from the index, else from the host; None if that does not say.

        Where the index does not say, one HEAD request is made, once.
        """
        if self._facts.size is not None:
            return self._facts.size
        answer = self._host_answer()
        return answer.content_length if answer.content_encoding is None else None

    @property
    def modified(self) -> datetime | None:
        """When the content was published, in UTC: from the index, else from the host, or None."""
        if self._facts.modified is not None:
            return self._facts.modified
        return self._host_answer().last_modified

    @property
    def media_type(self) -> str | None:
        """The MIME type: from the index, else from the host, or None."""
        if self._facts.media_type is not None:
            return self._facts.media_type
        return self._host_answer().header("Content-Type")

    @property
    def etag(self) -> str | None:
        """The host's entity tag, or None; a HEAD request, once, if nothing was read yet."""
        return self._host_answer().etag

    @property
    def sha256(self) -> str | None:
        """The digest that the index gives, lowercase hex, or None."""
        return self._facts.sha256

    @property
    def data(self) -> BinaryIO:
        """The value as a stream, opened at first use, and anew once it was closed.

        Size and digest, where the index has them, are checked before the last
        piece is given.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be had, or are others than the index says.
        """
        if self._data is None or self._data.closed:
            self._data = self._cached() or self._open()
        return self._data

    def __enter__(self) -> BinaryIO:
        """Return `data`."""
        return self.data

    def __exit__(self, *error: object) -> None:
        """Close `data`."""
        if self._data is not None:
            self._data.close()

    def range(self, start: int | None = None, end: int | None = None) -> BinaryIO:
        r"""Open part of the value as a stream.

        One request is made, now.  From a host that ignores ranges the value is
        read from its beginning and the bytes before `start` thrown away: right,
        but not cheap.

        Parameters
        ----------
        start : int, optional
            First byte wanted, counting from 0; negative counts from the end.
        end : int, optional
            First byte not wanted, as in a slice.  ``None`` means to the end.

        Returns
        -------
        BinaryIO
            The bytes of ``value[start:end]``, perhaps none (for which nothing
            is requested).  Close it, or use it in a ``with`` block.

        Raises
        ------
        TransportError
            The bytes could not be had, now or while the stream is read.
        IntegrityError
            The value has changed on the host since the index was read.

        Notes
        -----
        Part of a value cannot be checked against its digest; `read` can.
        See RFC 9110, section 14.

        Examples
        --------
        >>> with sample_store["terrain/dem.tif"].range(0, 4) as head:
        ...     head.read()
        b'II*\x00'
        """
        from ..transport.stream import open_range

        return open_range(self._target, _index(start), _index(end))

    def read(self) -> bytes:
        """Read the whole value, verified.

        Returns
        -------
        bytes
            Never others than the index describes.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be had, or are others than the index says.
        """
        from ..transport.stream import copy_whole

        data = None if self._cache is None else self._cache.read(self.sha256, self._facts.size)
        if data is not None:
            return data
        file = io.BytesIO()
        copy_whole(self._target, file)
        data = file.getvalue()
        if self._cache is not None:
            self._cache.put(self.sha256, data)
        return data

    def iterdata(
        self, buffer_size: int = 1 << 20, progress: Progress | None = None
    ) -> Iterator[bytes]:
        """Iterate over the whole value in pieces.

        The last piece comes once all have proved right.

        Parameters
        ----------
        buffer_size : int, optional
            Size of a piece in bytes; the last may be smaller.
        progress : callable, optional
            Called as ``progress(done, total)`` in bytes; the total is None if
            nobody knows it.

        Raises
        ------
        ValueError
            `buffer_size` is below 1.
        TransportError, IntegrityError
            While iterating: the bytes could not be had, or are others.
        """
        if buffer_size < 1:
            raise ValueError(f"buffer_size is a number of bytes, 1 or more, not {buffer_size}")
        return self._pieces(buffer_size, progress)

    def _pieces(self, size: int, progress: Progress | None) -> Iterator[bytes]:
        from ..transport.stream import pieces

        with contextlib.ExitStack() as stack:
            cached = self._cached()
            if cached is not None:
                yield from _cached_pieces(stack.enter_context(cached), size, progress)
                return
            stream, keep = stack.enter_context(self._open()), None
            if self._cache is not None:
                keep = stack.enter_context(self._cache.writing(self.sha256, self._facts.size))
            for piece in pieces(stream, size, progress):
                if keep is not None:
                    keep(piece)
                yield piece

    def to_file(self, path: str | os.PathLike[str], progress: Progress | None = None) -> None:
        """Copy the value into a file, verified, whole or not at all.

        The bytes go to a temporary file in the same folder, which takes the
        name `path` when all of them are there, right, and on the disk.

        Parameters
        ----------
        path : str or path
            Where to; what stood there is replaced.
        progress : callable, optional
            Called as ``progress(done, total)`` in bytes.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be had, or are others than the index says.
        OSError
            The file cannot be written.
        """
        from pathlib import Path

        from ..transport.integrity import atomic_file
        from ..transport.stream import copy_whole

        with atomic_file(Path(path)) as file:
            cached = self._cached()
            if cached is None:
                copy_whole(self._target, file, progress)
            else:
                with cached:
                    file.writelines(_cached_pieces(cached, _COPIED, progress))
        if self._cache is not None:
            self._cache.put_file(self.sha256, Path(path))

    def _cached(self) -> BinaryIO | None:
        """Open the value in the cache, if it is there, verified already."""
        return None if self._cache is None else self._cache.open(self.sha256, self._facts.size)

    def _open(self) -> ValueReader:
        from ..transport.stream import open_whole

        stream = open_whole(self._target)
        self._answer = stream.response
        return stream

    def _host_answer(self) -> Response:
        """Return the header fields of an answer of the host, from a HEAD if there was none."""
        if self._answer is None:
            target = self._target
            self._answer = target.session.request("HEAD", target.url_path, key=self.key)
            self._answer.close()
        return self._answer

    def __repr__(self) -> str:
        """Show the key."""
        return f"<URLValue: {quoted(self.key)}>"


class Values(Mapping[str, URLValue]):
    """The values of one snapshot: what it lists stays what it gives, whatever polls bring."""

    def __init__(
        self,
        index: Index | LazyIndex,
        session: Session,
        data_path: str,
        cache: ValueCache | None = None,
    ) -> None:
        self.index = index
        self._session = session
        self._data_path = data_path
        self._cache = cache

    def __getitem__(self, key: str) -> URLValue:
        """Return a value; nothing is requested."""
        from ..transport.parts import Target

        metadata = self.index[key]
        facts = Facts.of(metadata)
        url_path = key_to_url_path(self._data_path, key)
        target = Target(self._session, url_path, key, facts.size, facts.sha256)
        return URLValue(target, metadata, facts, self._cache)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self.index)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self.index)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""
        return key in self.index

    def metadata(self, key: str, select: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the metadata of a key, or the fields of it that are wanted."""
        return selected(self.index[key], selection(select))


def _cached_pieces(file: BinaryIO, size: int, progress: Progress | None) -> Iterator[bytes]:
    """Read a file of the cache to its end, and tell how far it has come."""
    total, done = file.seek(0, io.SEEK_END), 0
    file.seek(0)
    while piece := file.read(size):
        done += len(piece)
        if progress is not None:
            progress(done, total)
        yield piece


def _index(bound: int | None) -> int | None:
    return None if bound is None else operator.index(bound)
