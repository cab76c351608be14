"""One value of a site, and the values of one snapshot."""

from __future__ import annotations

import contextlib
import copy
import io
import operator
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import TransportError, quoted
from ..index.fields import Content, parse_media_type, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from ..transport.remote_value import RemoteValue
    from ..transport.response import Response
    from ..transport.seekable import OpenedValue
    from ..transport.stream import ByteProgress, ValueReader
    from .kept import KeptValues
    from .reach import Reach
    from .settings import Settings

__all__ = ["URLValue"]


class URLValue:
    """One value: what the index says of it, and the way to its bytes.

    Made by `StaticStore.get`; nothing is requested before it is needed.  A
    value is of its snapshot: what the host has replaced since is an
    `IntegrityError` when it is read.  It may be shared by threads, but for
    `data`, which is one stream.

    As a context manager it gives `data` and closes it.

    It can be pickled, and is read where it is unpickled: by the function that was given
    as ``auth`` to `connect`, if any, for a pickle carries no secret.  All values of a
    site that are unpickled in one process share its connections.

    Attributes
    ----------
    key : str
        The key.
    """

    def __init__(
        self,
        target: RemoteValue,
        metadata: dict[str, Any],
        content: Content,
        kept: KeptValues,
        settings: Settings,
        *,
        reach: Reach | None = None,
        alike: tuple[str, ...] = (),
    ) -> None:
        self.key = target.key
        self._given = target
        # What leads to a value from a pickle, and the roots that have the index it is from.
        self._reach = reach
        self._alike = alike
        self._metadata = metadata
        self._content = content
        self._kept = kept
        self._settings = settings
        self._data: BinaryIO | None = None
        self._data_pid = 0  # the process that opened it
        self._answer: Response | None = None
        self._size: int | None = None
        self._has_asked_size = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the snapshot says of the value, and how its site is reached."""
        given: Any = self._given  # may be without a session
        alike = self._alike
        if self._reach is None:
            sources = given.sources
            sessions = (given.session,) if sources is None else sources.alike
            alike = tuple(session.root.url for session in sessions)
        bare = given._replace(session=None, sources=None)
        return _unpickled, (bare, self._metadata, self._content, self._settings, alike)

    def __copy__(self) -> URLValue:
        """Return another value with a `data` of its own, by the same connection."""
        return URLValue(
            self._given,
            self.metadata,
            self._content,
            self._kept,
            self._settings,
            reach=self._reach,
            alike=self._alike,
        )

    @property
    def _target(self) -> RemoteValue:
        if self._reach is None:
            return self._given
        sources = self._reach.sources(self._alike)
        return self._given._replace(
            session=sources.session, sources=None if sources.is_one else sources
        )

    def __deepcopy__(self, memo: object) -> URLValue:
        """Copy: what a value is made of never changes."""
        return copy.copy(self)

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

        Where the index does not say, one HEAD request is made, once.  If that
        says nothing, or 0, which some hosts say of all, a byte is asked for.
        """
        if self._content.size is not None:
            return self._content.size
        answer = self._host_answer()
        if not (answer.whole_size or answer.codings or self._has_asked_size):
            self._size = self._asked_size()
            self._has_asked_size = True
        return answer.whole_size or self._size

    @property
    def modified(self) -> datetime | None:
        """When the content was published, in UTC: from the index, else from the host, or None.

        The host is asked by a HEAD request, once, and if it refuses that by one for a byte.
        """
        modified = parse_time(self._content.modified)
        return self._host_answer().last_modified if modified is None else modified

    @property
    def media_type(self) -> str | None:
        """The MIME type: from the index, else from the host, or None."""
        said = parse_media_type(self._metadata.get("media_type"))
        return self._host_answer().header("Content-Type") if said is None else said

    @property
    def etag(self) -> str | None:
        """The host's entity tag, or None; a HEAD request, once, if nothing was read yet."""
        return self._host_answer().etag

    @property
    def sha256(self) -> str | None:
        """The digest that the index gives, lowercase hex, or None."""
        return self._content.sha256

    @property
    def data(self) -> BinaryIO:
        """The value as a stream, opened at first use, and anew once it was closed.

        A forked child opens one of its own.

        Size and digest, where the index has them, are checked before the last
        piece is given.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be had, or are others than the index says.
        """
        if self._data is None or self._data.closed or self._data_pid != os.getpid():
            self._data = self._opened_kept() or self._open()
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

        One request is made, now.  From a host that ignores or refuses ranges the
        value is read from its beginning and the bytes before `start` thrown away:
        right, but not cheap.

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
        Part of a value cannot be checked against its digest.  A range of all bytes
        is checked, as `data` is, and so is what is cut out of the whole because the
        host gives no parts, unless reading ends before a large value does.
        See RFC 9110, section 14.

        Examples
        --------
        >>> with sample_store["terrain/dem.tif"].range(0, 4) as head:
        ...     head.read()
        b'II*\x00'
        """
        from ..transport.ranges import open_range

        stream = open_range(self._target, _index(start), _index(end))
        answer = getattr(stream, "response", None)
        if answer is not None and answer.status in (200, 206):
            self._answer = answer
        return stream

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

        data = self._kept.read(self.sha256, self._content.size)
        if data is not None:
            return data
        file = io.BytesIO()
        copy_whole(self._target, file)
        data = file.getvalue()
        self._kept.put(self.sha256, data)
        return data

    def iterdata(
        self, buffer_size: int = 1 << 20, progress: ByteProgress | None = None
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

    def _pieces(self, size: int, progress: ByteProgress | None) -> Iterator[bytes]:
        with contextlib.ExitStack() as stack:
            kept = self._opened_kept()
            if kept is not None:
                stack.enter_context(kept)
                yield from _pieces_of(kept, size, _size_of(kept), progress)
                return
            stream = stack.enter_context(self._open())
            keep = stack.enter_context(self._kept.writing(self.sha256, self._content.size))
            for piece in exact_pieces(stream.raw, size, progress):
                keep(piece)
                yield piece

    def open(self, *, cache_size: int = 8 << 20) -> OpenedValue:
        r"""Open the value as a file that can be sought, for zipfile, h5py, PIL, pyarrow and so on.

        Nothing is requested now.  A read of 32 KiB or more is one request for
        just its bytes; a shorter one fetches 32 KiB around it.  Reading on from
        the end of what was fetched fetches twice as much each time, up to 64 MiB,
        and so costs little more than a plain stream.  From a host that ignores
        ranges the value is fetched whole, once, into a temporary file.

        Parameters
        ----------
        cache_size : int, optional
            Bytes that are kept in memory, for being read again.

        Returns
        -------
        OpenedValue
            An `io.BufferedIOBase` with the attribute `size`, for one thread at a
            time.  It raises `TransportError` for bytes that could not be had, and
            `IntegrityError` once the host has replaced the value.  It can be
            pickled, position and all.  Close it, or use it in a ``with`` block.

        Notes
        -----
        Who reads all bytes in order, in however many reads, has them verified:
        if the digest is wrong, the read that reaches the end raises
        `IntegrityError`.  Single parts cannot be checked against it.

        Examples
        --------
        >>> with sample_store["terrain/dem.tif"].open() as file:
        ...     _ = file.seek(-4, 2)
        ...     len(file.read())
        4
        """
        from ..transport.seekable import OpenedValue

        return OpenedValue(self, self._target, operator.index(cache_size))

    def get_ranges(
        self,
        ranges: Iterable[tuple[int | None, int | None]],
        *,
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
    ) -> list[bytes]:
        r"""Read many parts of the value, in parallel.

        If they leave no byte out, they are checked against the digest.  Where
        answers have different entity tags, or the host gives no parts, the value is
        read whole, checked, and cut.

        Parameters
        ----------
        ranges : iterable of (int or None, int or None)
            Start and end of each, as in a slice, in any order.
        max_gap : int, optional
            Bytes between two ranges up to which one request fetches both, gap
            and all.  With the default at most a tenth of the bytes is fetched
            in vain where ranges are spread at random.
        max_size : int, optional
            Bytes up to which ranges share a request.

        Returns
        -------
        list of bytes
            In the order given.  All of them are in memory together.

        Raises
        ------
        TransportError
            The bytes could not be had.
        IntegrityError
            The host has another value than the index says.

        Examples
        --------
        >>> sample_store["terrain/dem.tif"].get_ranges([(0, 2), (2, 4)])
        [b'II', b'*\x00']
        """
        from ..transport.ranges import read_ranges

        wanted = [(_index(start), _index(end)) for start, end in ranges]
        return read_ranges(self._target, wanted, operator.index(max_gap), operator.index(max_size))

    def to_file(
        self,
        path: str | os.PathLike[str],
        progress: ByteProgress | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Copy the value into a file, verified, whole or not at all.

        The bytes go to a hidden file in the same folder, which takes the name
        `path` when all of them are there, right, and on the disk.  If that breaks
        off, by a kill too, the next call for the same value and path goes on where
        it ended (of a value below 1 MiB it begins anew), as long as the digest of
        the index or a strong ETag of the host says that both are parts of one value.

        Parameters
        ----------
        path : str or path
            Where to; a file or a link to one is replaced.  Into a device or a FIFO,
            such as ``/dev/stdout``, the bytes are written once they are verified.
        progress : callable, optional
            Called as ``progress(done, total)`` in bytes.  What it raises ends the
            copying, so that it can be cancelled, and reaches the caller.
        sync : bool, optional
            Whether to wait until the disk has the bytes.  If not, a power cut
            soon afterwards may leave an empty file under the name.

        Raises
        ------
        TransportError, IntegrityError
            The bytes could not be had, or are others than the index says.
        OSError
            The file cannot be written; or it is a socket, a disk, or a FIFO without a reader.
        """
        self._to_file(path, progress, sync=sync, direct=False)

    def _to_file(
        self,
        path: str | os.PathLike[str],
        progress: ByteProgress | None,
        *,
        sync: bool,
        direct: bool,
    ) -> None:
        """Copy the value as `to_file` does; `direct` as in `download`."""
        from pathlib import Path

        from ..transport.atomic import destination
        from ..transport.download import download
        from ..transport.stream import PIECE_BYTES

        kept = self._opened_kept()
        if kept is None:
            download(self._target, Path(path), progress, sync=sync, direct=direct)
            self._kept.put_file(self.sha256, Path(path))
        else:
            with kept, destination(Path(path), sync=sync) as file:
                file.writelines(_pieces_of(kept, PIECE_BYTES, _size_of(kept), progress))

    def _opened_kept(self) -> BinaryIO | None:
        """Open the value where it was kept, verified already; None if it was not."""
        return self._kept.open(self.sha256, self._content.size)

    def _open(self) -> ValueReader:
        from ..transport.stream import open_whole

        stream = open_whole(self._target)
        self._answer = stream.response
        return stream

    def _host_answer(self) -> Response:
        """Return the header fields of an answer of the host, from a HEAD if there was none."""
        if self._answer is None:
            from ..transport.answers import ask_head

            self._answer = ask_head(self._target)
        return self._answer

    def _asked_size(self) -> int | None:
        """Return the size as an answer to a GET has it; None if that says nothing either."""
        from ..transport.answers import ask_size

        try:
            return ask_size(self._target)
        except TransportError:  # a HEAD was answered all the same
            return None

    def __repr__(self) -> str:
        """Show the key."""
        return f"<URLValue: {quoted(self.key)}>"

    def _repr_html_(self) -> str:
        """Show in a notebook what the index says; without I/O."""
        from .shown import value_html

        return value_html(repr(self)[1:-1], self.url, self._metadata)


def _unpickled(
    bare: RemoteValue,
    metadata: dict[str, Any],
    content: Content,
    settings: Settings,
    alike: tuple[str, ...],
) -> URLValue:
    from .reach import Reach  # seldom needed

    reach = Reach.of(settings)
    return URLValue(bare, metadata, content, reach.kept, settings, reach=reach, alike=alike)


def _pieces_of(
    file: BinaryIO, size: int, total: int | None, progress: ByteProgress | None
) -> Iterator[bytes]:
    """Read a file to its end, and report the progress."""
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


def _index(bound: int | None) -> int | None:
    return None if bound is None else operator.index(bound)
