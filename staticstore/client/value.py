"""A value of a site: its bytes, read in every way."""

from __future__ import annotations

import contextlib
import copy
import io
import operator
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from .. import tuning
from .value_info import ValueInfo

if TYPE_CHECKING:
    from ..index.fields import Content
    from ..transport.values.remote_value import RemoteValue
    from ..transport.values.seekable import OpenedValue
    from ..transport.values.stream import ReadProgress, ValueReader
    from .access import Access

__all__ = ["URLValue", "copy_directly"]


class URLValue(ValueInfo):
    """One value: what the index says of it, and access to its bytes.

    Made by `StaticStore.get`; nothing is requested before it is needed.  A value belongs
    to its snapshot: reading it raises `IntegrityError` once the host has replaced it.
    Threads may share it, except for `data`, which is one stream.

    As a context manager it returns `data`, and closes it.

    A pickle of it contains no secret: it is read with the function that was given as
    ``auth`` to `connect`, if any.  All values of a site that are unpickled in one process
    share its connections.

    Attributes
    ----------
    key : str
        The key.
    """

    def __init__(
        self, key: str, metadata: dict[str, Any], content: Content, access: Access
    ) -> None:
        super().__init__(key, metadata, content, access)
        self._data: BinaryIO | None = None
        self._data_pid = 0  # the process that opened it
        self._remote: RemoteValue | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the snapshot says of the value, and how its site is reached."""
        return URLValue, (self.key, self._metadata, self._content, self._access)

    def __copy__(self) -> URLValue:
        """Return another value with its own `data`."""
        return URLValue(self.key, self.metadata, self._content, self._access)

    def __deepcopy__(self, memo: object) -> URLValue:
        """Return a copy, as `copy.copy` does."""
        return copy.copy(self)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Return the place of the value and what its entry says, for Dask's names of tasks."""
        place = self._access.settings.place, self._content.placed
        return type(self).__name__, place, self.key, self._metadata

    @property
    def remote_value(self) -> RemoteValue:
        """The value on its hosts, for reading many together."""
        if self._remote is None:
            self._remote = self._access.remote_value(self.key, self._content)
        return self._remote

    @property
    def data(self) -> BinaryIO:
        """The value as a stream, opened at first use, and again if closed or forked.

        Size and digest, if the index has them, are checked before the last piece is
        returned.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        """
        if self._data is None or self._data.closed or self._data_pid != os.getpid():
            self._data = self._open_cached() or self._open()
            self._data_pid = os.getpid()
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

        One request is made, now.  A host that ignores or refuses ranges sends the value
        from its beginning, and the bytes before `start` are discarded: correct, but
        expensive.

        Parameters
        ----------
        start : int, optional
            First byte, counted from 0; a negative one counts from the end.
        end : int, optional
            First byte after the part, as in a slice; ``None`` is the end.

        Returns
        -------
        BinaryIO
            The bytes ``value[start:end]``.  If that is empty, no request is made.  Close
            it, or use it in a ``with`` block.

        Raises
        ------
        TransportError
            The bytes could not be fetched, now or while the stream is read.
        IntegrityError
            The value has changed on the host since the index was read.

        Notes
        -----
        A part of a value cannot be checked against its digest.  A range of all bytes is
        checked as `data` is; so is a part cut out of the whole, unless reading stops
        before the end of a large value.  See RFC 9110, section 14.

        Examples
        --------
        >>> with sample_store["terrain/dem.tif"].range(0, 4) as head:
        ...     head.read()
        b'II*\x00'
        """
        from ..transport.values.ranges import checked_bounds, open_range

        stream = open_range(self.remote_value, *checked_bounds(start, end))
        answer = getattr(stream, "response", None)  # an empty range has none, nor has a copy
        if answer is not None and answer.status in (200, 206):
            self._answer = answer
        return stream

    def read(self, size: None = None) -> bytes:
        """Read the whole value, verified; it has no position, and takes no `size`.

        Returns
        -------
        bytes
            Exactly the bytes that the index describes.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        """
        if size is not None:
            raise TypeError("a value has no position: use value.range(0, n), value.open().read(n)")
        from ..transport.values.stream import copy_whole

        cache, content = self._access.cache, self._content
        data = cache.read(content.sha256, content.size)
        if data is not None:
            return data
        file = io.BytesIO()
        copy_whole(self.remote_value, file)
        data = file.getvalue()
        cache.put(content.sha256, data)
        return data

    def iterdata(
        self, buffer_size: int = 1 << 20, progress: ReadProgress | None = None
    ) -> Iterator[bytes]:
        """Iterate over the whole value in pieces; the last one comes once verified.

        Parameters
        ----------
        buffer_size : int, optional
            Bytes of a piece; the last one may be shorter.
        progress : callable, optional
            Called as ``progress(done, total)`` in bytes; the total is None if it is
            not known.

        Raises
        ------
        ValueError
            `buffer_size` is below 1.
        TransportError, IntegrityError
            While iterating: the bytes could not be fetched, or differ from the index.
        """
        if buffer_size < 1:
            raise ValueError(f"buffer_size is a number of bytes, 1 or more, not {buffer_size}")
        return self._pieces(buffer_size, progress)

    def _pieces(self, size: int, progress: ReadProgress | None) -> Iterator[bytes]:
        with contextlib.ExitStack() as stack:
            cached = self._open_cached()
            if cached is not None:
                stack.enter_context(cached)
                yield from _pieces_of(cached, size, _size_of(cached), progress)
                return
            stream = stack.enter_context(self._open())
            cache, content = self._access.cache, self._content
            keep = stack.enter_context(cache.writing(content.sha256, content.size))
            for piece in _pieces_of(stream, size, stream.raw.total, progress):
                keep(piece)
                yield piece

    def open(self, mode: str = "rb", *, cache_size: int = 8 << 20) -> OpenedValue:
        r"""Open the value as a seekable file, for zipfile, h5py, PIL, pyarrow and others.

        Nothing is requested now.  A read of 32 KiB or more requests just its bytes; a
        shorter one requests 32 KiB around them.  Sequential reads request twice as much
        each time, up to 64 MiB, and cost little more than a plain stream.  From a host
        that ignores ranges the whole value is fetched once, into a temporary file.

        Parameters
        ----------
        mode : str, optional
            ``"rb"``, for libraries that give one; any other is a `ValueError`.
        cache_size : int, optional
            Bytes to keep in memory, for being read again.

        Returns
        -------
        OpenedValue
            An `io.BufferedIOBase` with the attribute `size`, for one thread at a time.
            Reading it raises `TransportError` if bytes cannot be fetched, and
            `IntegrityError` once the host has replaced the value.  A pickle keeps its
            position.  Close it, or use it in a ``with`` block.

        Notes
        -----
        If all bytes are read in order, in any number of reads, they are verified: with a
        wrong digest, the read that reaches the end raises `IntegrityError`.  Single
        parts cannot be checked against the digest.

        Examples
        --------
        >>> with sample_store["terrain/dem.tif"].open() as file:
        ...     _ = file.seek(-4, 2)
        ...     len(file.read())
        4
        """
        from ..transport.values.seekable import OpenedValue

        if mode != "rb":
            hint = "text is io.TextIOWrapper(file), and a reader cannot write"
            raise ValueError(f"a value is opened with mode 'rb', not {mode!r}: {hint}")
        return OpenedValue(self, self.remote_value, operator.index(cache_size))

    def get_ranges(
        self,
        ranges: Iterable[tuple[int | None, int | None]],
        *,
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
    ) -> list[bytes]:
        r"""Read many parts of the value, in parallel.

        If they cover all bytes, they are checked against the digest.  If answers have
        different entity tags, or the host serves no ranges, the whole value is read,
        checked and cut.

        Parameters
        ----------
        ranges : iterable of (int or None, int or None)
            Start and end of each, as in a slice, in any order.
        max_gap : int, optional
            Most bytes between two ranges that share a request.  The gap is fetched too:
            by default a tenth of all bytes at most, for ranges at random places.
        max_size : int, optional
            Most bytes of a request that ranges share.

        Returns
        -------
        list of bytes
            In the order given; all are in memory together.

        Raises
        ------
        TransportError
            The bytes could not be fetched.
        IntegrityError
            The host has another value than the index describes.

        Examples
        --------
        >>> sample_store["terrain/dem.tif"].get_ranges([(0, 2), (2, 4)])
        [b'II', b'*\x00']
        """
        from ..transport.values.ranges import WantedRanges, checked_ranges, read_ranges

        wanted = WantedRanges(self.remote_value, checked_ranges(ranges))
        [found] = read_ranges([wanted], max_gap, max_size)
        return found

    def to_file(
        self,
        path: str | os.PathLike[str],
        progress: ReadProgress | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Copy the value into a file, verified, whole or not at all.

        The bytes are written to a hidden file in the same folder, which is renamed to
        `path` when it is complete, verified and synced.  An interrupted copy, even of a
        killed process, is resumed by the next call for the same value and path, if the
        digest in the index or a strong ETag binds the parts.  A value below 1 MiB is
        fetched again.

        Parameters
        ----------
        path : str or path
            The file; an existing one, or the target of a link, is replaced.  Bytes for a
            device or a FIFO, such as ``/dev/stdout``, are written once they are verified.
        progress : callable, optional
            Called as ``progress(done, total)`` in bytes.  An exception that it raises
            cancels the copy, and reaches the caller.
        sync : bool, optional
            Whether to wait until the bytes are on the disk.  If not, a power cut soon
            afterwards may leave an empty file.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        IsADirectoryError, FileNotFoundError
            The path is that of a folder, or its folder does not exist; before any request.
        OSError
            The file cannot be written; or it is a socket, a disk, or a FIFO without a reader.
        """
        self._to_file(path, progress, sync=sync, direct=False)

    def _to_file(
        self,
        path: str | os.PathLike[str],
        progress: ReadProgress | None,
        *,
        sync: bool,
        direct: bool,
    ) -> None:
        from ..disk.atomic import checked_place, destination
        from ..transport.values.download import download

        place = checked_place(path)
        cached = self._open_cached()
        if cached is None:
            download(self.remote_value, place, progress, sync=sync, direct=direct)
            self._access.cache.put_file(self.sha256, place)
        else:
            with cached, destination(place, sync=sync) as file:
                size = tuning.VALUE_PIECE_BYTES
                file.writelines(_pieces_of(cached, size, _size_of(cached), progress))

    def _open_cached(self) -> BinaryIO | None:
        return self._access.cache.open(self._content.sha256, self._content.size)

    def _open(self) -> ValueReader:
        from ..transport.values.stream import open_whole

        stream = open_whole(self.remote_value)
        self._answer = stream.response or self._answer
        return stream


def copy_directly(
    value: URLValue, path: str | os.PathLike[str], progress: ReadProgress | None = None
) -> None:
    """Copy a value into a file as `URLValue.to_file`, for the mirror.

    It does not wait for the disk, and writes a large value past the page cache.
    """
    value._to_file(path, progress, sync=False, direct=True)


def _pieces_of(
    file: BinaryIO, size: int, total: int | None, progress: ReadProgress | None
) -> Iterator[bytes]:
    done = 0
    while piece := file.read(size):
        done += len(piece)
        if progress is not None:
            progress(done, total)
        yield piece


def _size_of(file: BinaryIO) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
