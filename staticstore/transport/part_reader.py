"""Reads a value at any place, by as few requests as serve the reads."""

from __future__ import annotations

import io
import os
from typing import Any

from ..errors import IntegrityError, TransportError
from .blocks import BLOCK, BlockCache, Piece
from .integrity import OrderedVerifier
from .parts import Part, Target, ask, first_right
from .readings import IN_MEMORY
from .response import Response
from .spool import size_on_host, spooled
from .stream import ValueStream, copy_whole

__all__ = ["PartReader"]

# Reading on from where the last part ended doubles what is asked for, up to this;
# so no more is fetched without need than was read.
_MOST_AHEAD = 1 << 26  # bytes
# One long read does not yet tell that the next one follows it.
_MOST_AFTER_ONE = 1 << 22  # bytes
# Parts up to this are read at once and kept; larger ones are streamed past the cache.
_KEPT = 1 << 18  # bytes


class PartReader:
    """Fetches the parts of one value, and verifies the bytes if all are read in order.

    For one thread at a time.  In a forked child it opens its own connections.

    Parameters
    ----------
    target : Target
        The value.
    cache_size : int
        Bytes of the value that are kept in memory, for being read again.
    """

    def __init__(self, target: Target, cache_size: int) -> None:
        self._target = target
        self._size = target.size
        self._cache_size = cache_size
        # The last part, even if the cache is too small for it.
        self._last = Piece(0, b"")
        # Where it ended, or the one that is being read does, and how much to read ahead.
        self._end_of_last = 0
        self._ahead = BLOCK
        self._seen: tuple[str | None, ...] | None = None
        self._failure: IntegrityError | None = None
        self._start_in_process()

    def _start_in_process(self) -> None:
        """Set what belongs to one process: a connection, an open file, a thread that hashes.

        And the cache, which another thread may have been changing at the time of a fork.
        """
        self._process = os.getpid()
        self._blocks = BlockCache(self._cache_size)
        # A part that is being read, and the place in the value that it has come to.
        self._stream: ValueStream | None = None
        self._stream_at = 0
        # The whole value, where the host gives no parts.
        self._spool: Any = None
        self._order = OrderedVerifier(self._target.verifier())

    @property
    def size(self) -> int:
        """Bytes of the value: from the index, else from the host."""
        if self._size is None:
            self._check()
            self._size = size_on_host(self._target)
            if self._size is None:
                self._take_whole()
            self._target = self._target._replace(size=self._size)
        assert self._size is not None, "a whole value has a size"
        return self._size

    @property
    def keeps_whole(self) -> bool:
        """Whether the whole value is kept here, or will be once it was read."""
        return self._spool is not None or (self._size is not None and self._size <= _KEPT)

    def read_whole(self) -> bytes:
        """Read the whole value by one request, verified before it is returned, and not kept."""
        self._check()
        file = io.BytesIO()
        self._size = copy_whole(self._target, file)
        return file.getvalue()

    def readinto(self, position: int, buffer: memoryview, wanted: int) -> int:
        """Read bytes at a position; return how many, perhaps fewer than the buffer takes.

        Parameters
        ----------
        position : int
            Where, before the end of the value.
        buffer : memoryview
            Where to put them; no longer than what is left of the value.
        wanted : int
            Bytes that the caller reads from there on, by this call and further ones.

        Raises
        ------
        TransportError
            They could not be had.
        IntegrityError
            The host has another value, as far as that can be known by now.
        """
        piece = self._piece(position, wanted)
        if piece is None:
            return self._next(position, buffer)
        data = memoryview(piece.data)[position - piece.start :][: len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def piece(self, position: int, wanted: int) -> Piece:
        """Return bytes among which is the one at a position; see `readinto`."""
        piece = self._piece(position, wanted)
        if piece is None:
            buffer = memoryview(bytearray(min(BLOCK, self.size - position)))
            count = self._next(position, buffer)
            piece = Piece(position, bytes(buffer[:count]))
        return piece

    def close(self) -> None:
        """Give up what was fetched and not read."""
        if self._process == os.getpid():
            self._end_stream()
            self._order.close()
        if self._spool is not None:
            self._spool.close()

    def _check(self) -> None:
        if self._process != os.getpid():
            # The parent reads on from that connection, and at its place of that file: not even
            # the end of an object touches them here.
            self._inherited = self._stream, self._spool
            self._start_in_process()
        if self._failure is not None:
            raise self._failure

    def _piece(self, position: int, wanted: int) -> Piece | None:
        """Return what is in memory at a position, or None if `_next` gives it."""
        self._check()
        piece = self._held(position)
        is_next = self._stream is not None and self._stream_at == position
        if piece is None and self._spool is None and not is_next:
            self._fetch(position, wanted)
            piece = self._held(position)
        if piece is not None:
            self._verify(piece.start, piece.data)
        return piece

    def _held(self, position: int) -> Piece | None:
        if self._last.start <= position < self._last.end:
            return self._last
        return self._blocks.at(position)

    def _next(self, position: int, buffer: memoryview) -> int:
        """Read from the whole value, or the next bytes of the part that is being read."""
        if self._spool is not None:
            self._spool.seek(position)
            count: int = self._spool.readinto(buffer)
        else:
            count = self._next_of_stream(buffer)
        self._verify(position, buffer[:count])
        return count

    def _next_of_stream(self, buffer: memoryview) -> int:
        assert self._stream is not None, "a part is being read"
        try:
            count = self._stream.readinto(buffer)
        except BaseException:  # an interrupt, too, after which its position is unknown
            self._end_stream()
            raise
        self._stream_at += count
        if not count or self._stream_at >= self._end_of_last:
            self._end_stream()
        return count

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _verify(self, start: int, data: bytes | memoryview) -> None:
        """Hash what continues what was read in order, and check the digest at the end."""
        if not self._order.take(start, data):
            return
        while (after := self._held(self._order.position)) is not None:
            self._order.take(*after)
        if self._order.position == self.size:
            try:
                self._order.finish()
            except IntegrityError as error:
                self._failure = error
                raise

    def _fetch(self, position: int, wanted: int) -> None:
        """Ask for a part that has the byte at a position: hold it, or begin to stream it.

        The whole value is taken instead if that is small, or if the host gives no parts.
        """
        self._end_stream()
        start, end, ahead = self._window(position, wanted)
        if start == 0:
            self._order.close()
            self._order = OrderedVerifier(self._target.verifier())
        if start == 0 and end == self.size <= IN_MEMORY:
            self._take_whole()
            return
        stream = self._open(start, end)
        if stream is None:
            return
        self._end_of_last, self._ahead = end, ahead
        if end - start > _KEPT:
            self._stream, self._stream_at = stream, start
            return
        with stream:
            self._last = Piece(start, stream.readall())
        self._blocks.keep(self._last)

    def _window(self, position: int, wanted: int) -> tuple[int, int, int]:
        """Return start and end of a part to ask for, and how much that is read ahead.

        A read of a block or more is one request for just its bytes; a shorter one takes the
        blocks in which it is.  Either takes more where the last part is read on from its end.
        """
        is_short = wanted < BLOCK
        start, end = position, position + wanted
        if position == self._end_of_last and (position or is_short):
            ahead = max(min(2 * self._ahead, _MOST_AHEAD), min(wanted, _MOST_AFTER_ONE))
            if ahead > wanted:
                end = _whole_blocks(position + ahead)
        elif is_short:
            start, end, ahead = position - position % BLOCK, _whole_blocks(end), BLOCK
        else:
            ahead = min(wanted, _MOST_AFTER_ONE)
        return start, min(end, self.size), ahead

    def _open(self, start: int, end: int) -> ValueStream | None:
        """Open a part; None if the whole value was taken instead.

        Raises
        ------
        IntegrityError
            The host has another value than at the last part.
        """

        def asked(target: Target) -> tuple[Target, Part]:
            return target, ask(target, start, end)

        # What was right once is asked for in the same way from then on.
        if self._seen is None or self._target.is_elsewhere:
            before = self._target
            self._target, part = first_right(before, asked)
            if self._target.session is not before.session:
                self._seen = None  # the tags of another host are others
        else:
            _, part = asked(self._target)
        if not part.is_partial:
            part.close()
            self._take_whole()
            return None
        seen = _identity(part.response)
        if self._seen not in (None, seen):
            part.close()
            self._take_replaced(seen)
            return None
        self._seen = seen
        return ValueStream(self._target, part, start, end, None)

    def _take_whole(self) -> None:
        """Read the value whole, verified, to cut the parts out of it from now on.

        Raises
        ------
        IntegrityError
            Also if parts of another version were given before.
        """
        self._spool, self._size = spooled(self._target)
        if not all(map(self._is_of_whole, (self._last, *self._blocks))):
            self._failure = self._target.changed(
                "the host has replaced the value while it was read"
            )
            raise self._failure

    def _take_replaced(self, seen: tuple[str | None, ...]) -> None:
        """Take the value whole, where its digest tells whether it was replaced.

        Two servers behind one name may have different tags for the same bytes.
        """
        replaced = self._replaced(seen)
        if self._target.sha256 is None:
            raise replaced
        try:
            self._take_whole()
        except (IntegrityError, TransportError) as error:
            raise replaced from error

    def _replaced(self, seen: tuple[str | None, ...] | None = None) -> IntegrityError:
        return self._target.changed(
            "the host has replaced the value while it was read", expected=self._seen, actual=seen
        )

    def _is_of_whole(self, piece: Piece) -> bool:
        self._spool.seek(piece.start)
        return bool(self._spool.read(len(piece.data)) == piece.data)


def _whole_blocks(end: int) -> int:
    return -(-end // BLOCK) * BLOCK


def _identity(response: Response) -> tuple[str | None, ...]:
    """Return what two answers have in common if they are of one version of a value."""
    return response.etag, response.header("Last-Modified")
