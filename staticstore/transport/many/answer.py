"""Answers of HTTP/1.1 to GET, put together from bytes as they come.

Nothing is received here: a connection asks for a buffer, and says how many bytes it has put
into it.  A head in the usual form is read by two searches; any other one by `HeaderReader`,
as those of single requests are.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable
from http.client import RemoteDisconnected

from ... import tuning
from ..http.http1 import (
    MOST_HEAD_BYTES,
    MOST_INTERIM_ANSWERS,
    WITHOUT_BODY,
    HeaderError,
    HeaderReader,
    allowance,
)

__all__ = ["IncomingAnswer", "new_scratch"]

_MOST_CHUNK_LINE_BYTES = 1 << 12
_MOST_LENGTH_DIGITS = 15
_LARGE_BYTES = 1 << 20
_LARGEST_KEPT_BYTES = (1 << 25) - (1 << 13)  # with what it is kept in, at most 32 MiB

_HEAD_END = re.compile(rb"\n\r{0,2}\n")
_HEAD_END_BYTES = 4  # at most
_USUAL_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d)[ \r]")
# One search takes less time than one for each field (benchmark: async-ranges).
_FIELDS, _DOCUMENT_FIELDS = (
    re.compile(
        rb"\n(connection|content-(?:encoding|length|range)|etag|transfer-encoding%s)"
        rb"[ \t]*:[ \t]*([^\r\n]*)" % more,
        re.IGNORECASE,
    )
    for more in (b"", b"|content-type|last-modified")
)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")


@functools.cache
def _memory_maker() -> Callable[[int], bytes]:
    """Return a function that makes the memory of a large body, whose bytes may be anything.

    `bytes` would set them to zero, which takes a fifth of the time to receive them.  A block of
    32 MiB is freed first, so that glibc keeps what such bodies free for the next ones: it
    returns larger blocks than the largest that was freed so far to the system (mallopt(3),
    M_MMAP_THRESHOLD), and fresh memory costs a page fault for each 4 KiB.
    """
    bytes(_LARGEST_KEPT_BYTES)  # never touched
    try:
        import ctypes

        make = ctypes.pythonapi["PyBytes_FromStringAndSize"]
    except (ImportError, AttributeError):  # a Python without it
        return bytes
    make.argtypes, make.restype = (ctypes.c_void_p, ctypes.c_ssize_t), ctypes.py_object
    return functools.partial(make, None)


def new_scratch() -> memoryview:
    """Return memory for the bytes of any number of answers, which are received in turn."""
    return memoryview(bytearray(tuning.CURL_BUFFER_BYTES))


class IncomingAnswer:
    """One answer, as far as it has come.

    Parameters
    ----------
    scratch : memoryview
        Of `new_scratch`; `received` takes out of it what was received into it.
    most : int
        The most bytes of a body.
    is_document : bool
        Whether its type and time are wanted, too.

    Attributes
    ----------
    status : int
        The status code; 0 until the head has come.
    fields : dict of str to str
        Header fields, at least those about the content, by their names in lower case.
    is_complete : bool
        Whether all of it has come.
    is_last : bool
        Whether the connection serves no other answer.
    count : int
        How many bytes have come, of head and body.
    """

    __slots__ = (
        "_body",
        "_chunks",
        "_field_search",
        "_heads",
        "_interim_answers",
        "_interim_bytes",
        "_left",
        "_most",
        "_room",
        "_scratch",
        "_whole",
        "count",
        "fields",
        "is_complete",
        "is_last",
        "status",
    )

    def __init__(self, scratch: memoryview, most: int, *, is_document: bool) -> None:
        self._scratch = scratch
        self._most = most
        self._field_search = _DOCUMENT_FIELDS if is_document else _FIELDS
        self.status = self.count = 0
        self.fields: dict[str, str] = {}
        self.is_complete = self.is_last = False
        self._heads: bytearray | None = None  # if one has come in part, or is an interim one
        self._interim_answers = self._interim_bytes = 0  # of these heads, that were read
        self._body: io.BytesIO | None = None  # unless it has come at once
        self._whole = b""
        self._room: memoryview | None = None  # of the body, if its length is known
        self._left: int | None = None  # bytes of the body; None until the connection ends
        self._chunks: _Chunks | None = None

    @property
    def buffer(self) -> memoryview:
        """Where to receive the next bytes."""
        return self._scratch if self._room is None else self._room

    @property
    def body_bytes(self) -> int:
        """How many bytes of the body have come."""
        if self._room is not None:
            assert self._body is not None, "it has the room"
            return self._body.getbuffer().nbytes - len(self._room)
        return len(self._whole) if self._body is None else self._body.tell()

    def received(self, count: int) -> None:
        """Take bytes that were put into `buffer`; none means that the connection has ended.

        Raises
        ------
        HeaderError
            It is not HTTP/1, or its head does not say where the body ends.
        ConnectionError
            The connection has ended too early.
        ValueError
            There are more bytes than are wanted.
        """
        self.count += count
        if not count:
            self._end()
        elif self._room is not None:
            self._room = self._room[count:]
            if not self._room:
                self._finish()
        elif self.status:
            self._take(self._scratch[:count])
        else:
            self._take_heads(count)

    def body(self) -> bytes:
        """Return the body, which has come; without a copy, once."""
        assert self.is_complete, "its memory has other bytes yet"
        if self._body is None:
            return self._whole
        self._body.truncate()
        return self._body.getvalue()

    # -- head --------------------------------------------------------------------

    def _take_heads(self, count: int) -> None:
        scratch, heads = self._scratch, self._heads
        if heads is None:
            found = _HEAD_END.search(scratch, 0, count)
            if found is not None:
                end = found.end()
                head = scratch[:end].tobytes()
                if self._read_head(head):
                    self._begin_body(scratch[end:count])
                    return
                self._pass_interim(end)
            self._heads = bytearray(scratch[:count])
            known = self._interim_bytes
        else:
            known = max(len(heads) - _HEAD_END_BYTES, self._interim_bytes)
            heads += scratch[:count]
        self._search_heads(known)

    def _search_heads(self, known: int) -> None:
        # Not from the beginning: a host may send single bytes.
        heads = self._heads
        assert heads is not None, "something has come"
        while (found := _HEAD_END.search(heads, known)) is not None:
            known = found.end()
            if self._read_head(bytes(heads[self._interim_bytes : known])):
                rest, self._heads = bytes(heads[known:]), None
                self._begin_body(memoryview(rest))
                return
            self._pass_interim(known)
        if len(heads) > MOST_HEAD_BYTES:
            raise HeaderError("the host sent too many bytes of header fields")

    def _pass_interim(self, end: int) -> None:
        self._interim_bytes = end
        self._interim_answers += 1
        if self._interim_answers > MOST_INTERIM_ANSWERS:
            raise HeaderError(f"the host sent more than {MOST_INTERIM_ANSWERS} interim answers")

    def _read_head(self, head: bytes) -> bool:
        """Read a head; return False if it is an interim one."""
        return self._read_usual_head(head) or self._read_unusual_head(head)

    def _read_usual_head(self, head: bytes) -> bool:
        """Read a head if nothing in it can be read in two ways, and it gives the length."""
        status = _USUAL_STATUS.match(head)
        # Folded lines, and returns or line feeds that may end a line or not.
        if status is None or b"\n " in head or b"\n\t" in head:
            return False
        if not head.count(b"\r") == head.count(b"\r\n") == head.count(b"\n"):
            return False
        found = self._field_search.findall(head)
        fields = {
            name.decode().lower(): value.decode("latin-1").rstrip(" \t") for name, value in found
        }
        length = fields.get("content-length", "")
        is_framed = length.isdecimal() and length.isascii() and len(length) <= _MOST_LENGTH_DIGITS
        if not is_framed or "transfer-encoding" in fields or len(fields) < len(found):
            return False
        self.fields = fields
        self.is_last = "close" in fields.get("connection", "").lower()
        self.status, self._left = int(status[1]), int(length)
        return True

    def _read_unusual_head(self, head: bytes) -> bool:
        reader = HeaderReader(io.BytesIO(head))
        try:
            status = reader.status()
        except RemoteDisconnected:
            return False
        message = reader.fields(status.code, "GET")
        for name, value in message.items():
            name = name.lower()
            before = self.fields.get(name)
            self.fields[name] = value if before is None else f"{before}, {value}"
        said, is_old = self.fields.get("connection", "").lower(), status.version != "HTTP/1.1"
        self.is_last = "close" in said or (is_old and "keep-alive" not in said)
        self.status = status.code
        length = self.fields.get("content-length")
        if "transfer-encoding" in self.fields:
            self._chunks = _Chunks()
        elif length is not None:
            self._left = int(length)
        elif status.code not in WITHOUT_BODY and not self.is_last:
            # The host may keep the connection, which would be waited for in vain.
            raise HeaderError("the head does not say where the body ends")
        return True

    # -- body --------------------------------------------------------------------

    def _begin_body(self, rest: memoryview) -> None:
        if self.status in WITHOUT_BODY:
            self._left, self._chunks = 0, None
        length = self._left
        if length is None:
            self._body = io.BytesIO()
            if rest:
                self._take(rest)
            return
        if length > self._most:
            raise ValueError(f"the body has {length} bytes")
        if length <= len(rest):
            self._whole = rest[:length].tobytes()
            self.is_last = self.is_last or length < len(rest)  # what follows is no answer
            self.is_complete = True
        elif length <= tuning.ROOM_MADE_BYTES:
            make = _memory_maker() if length >= _LARGE_BYTES else bytes
            # Its bytes are the answer's, without a copy: nothing else holds them.
            self._body = io.BytesIO(make(length))  # benchmark: zarr-large
            self._room = self._body.getbuffer()
            self._room[: len(rest)] = rest
            self._room = self._room[len(rest) :]
        else:
            self._body = io.BytesIO()
            self._take(rest)

    def _take(self, data: memoryview) -> None:
        body = self._body
        assert body is not None, "the body has begun"
        if self._chunks is not None:
            self._chunks.take(data, body)
            is_endless = self.count > allowance(self._most)
        else:
            if self._left is not None:
                self.is_last = self.is_last or len(data) > self._left
                data = data[: self._left]
                self._left -= len(data)
            body.write(data)
            is_endless = False
        if is_endless or body.tell() > self._most:
            raise ValueError("there are more bytes than are wanted")
        if self._left == 0 or (self._chunks is not None and self._chunks.has_ended):
            self.is_last = self.is_last or (self._chunks is not None and self._chunks.has_more)
            self._finish()

    def _finish(self) -> None:
        self._room = None
        if self._body is not None:
            self._body.seek(0, io.SEEK_END)
        self.is_complete = True

    def _end(self) -> None:
        self.is_last = True
        if not self.status or self._left is not None or self._chunks is not None:
            raise ConnectionError("the connection ended too early")
        self._finish()


class _Chunks:
    """Decodes the chunked coding (RFC 9112, section 7.1), of which nothing but data is kept."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._left = 0  # bytes of the chunk
        self._is_after_data = self._is_in_trailers = False
        self.has_ended = False
        #: Whether bytes follow that belong to no answer.
        self.has_more = False

    def take(self, data: memoryview, body: io.BytesIO) -> None:
        """Decode bytes as they come.

        Raises
        ------
        HeaderError
            They are no chunks.
        """
        while data and not self.has_ended:
            if self._left:
                piece = data[: self._left]
                body.write(piece)
                self._left -= len(piece)
                self._is_after_data = not self._left
                data = data[len(piece) :]
            else:
                data = self._take_line(data)
        self.has_more = len(data) > 0

    def _take_line(self, data: memoryview) -> memoryview:
        some = data[:_MOST_CHUNK_LINE_BYTES].tobytes()
        end = some.find(b"\n") + 1
        self._line += some[:end] if end else some
        if len(self._line) > _MOST_CHUNK_LINE_BYTES:
            raise HeaderError("the host sent too long a line between chunks")
        if end:
            line = bytes(self._line)
            self._line.clear()
            self._read_line(line)
        return data[end or len(some) :]

    def _read_line(self, line: bytes) -> None:
        is_empty = line in (b"\r\n", b"\n")
        if self._is_in_trailers:
            self.has_ended = is_empty
        elif self._is_after_data:
            if not is_empty:
                raise HeaderError("a chunk has more bytes than it says")
            self._is_after_data = False
        elif (size := _CHUNK_SIZE.fullmatch(line)) is None:
            raise HeaderError("the host sent a chunk without a size")
        else:
            self._left = int(size[1], 16)
            self._is_in_trailers = not self._left
