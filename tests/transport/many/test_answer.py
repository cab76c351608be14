"""Answers that are put together from bytes as they come."""

from __future__ import annotations

import io
import os
import platform
import subprocess
import sys
from http.client import HTTPException

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore.transport.http.http1 import HeaderReader
from staticstore.transport.many import answer
from staticstore.transport.many.answer import IncomingAnswer, new_scratch

BODY = bytes(range(256)) * 2
LONG = bytes(1 << 16)
CODED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def head(*fields: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join((status, *fields, b"", b""))


def sized(body: bytes = BODY) -> bytes:
    return head(b"Content-Length: %d" % len(body), b'ETag: "a"') + body


def read(data: bytes, *sizes: int, most: int = 1 << 22, ends: bool = False) -> IncomingAnswer:
    """Receive some bytes in pieces of these sizes, and the rest; then perhaps the end."""
    answer = IncomingAnswer(new_scratch(), most, is_document=True)
    pieces = iter(sizes)
    while data and not answer.is_complete:
        buffer = answer.buffer
        count = min(next(pieces, len(data)), len(data), len(buffer))
        buffer[:count] = data[:count]
        answer.received(count)
        data = data[count:]
    if ends and not answer.is_complete:
        answer.received(0)
    return answer


def summary(answer: IncomingAnswer) -> tuple[object, ...]:
    assert answer.is_complete
    return answer.status, answer.fields, answer.body(), answer.is_last


ANSWERS = {
    "of a length": sized(),
    "long": sized(LONG),
    "empty": sized(b""),
    "chunked": CODED + b"5;x=1\r\n01234\r\n3 \r\n567\r\n0\r\nTrailer: a\r\n\r\n",
    "after interim ones": head(status=b"HTTP/1.1 103 Early Hints") * 2 + sized(),
    "lines end with line feeds": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "lines end with two returns": b"HTTP/1.1 200 OK\r\r\nContent-Length: 3\r\r\n\r\r\nabc",
    "a folded line": head(b"X: a", b" b", b"Content-Length: 3") + b"abc",
    "a line without a colon": head(b"nonsense", b"Content-Length: 3") + b"abc",
    "not modified": head(b"Content-Length: 9", status=b"HTTP/1.1 304 Not Modified"),
    "no content": head(status=b"HTTP/1.1 204 No Content"),
}


@pytest.mark.parametrize("name", ANSWERS)
@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 40), max_size=60))
def test_it_does_not_matter_in_which_pieces_an_answer_comes(name: str, sizes: list[int]) -> None:
    data = ANSWERS[name]
    assert summary(read(data, *sizes)) == summary(read(data))


def test_each_byte_may_come_by_itself() -> None:
    data = ANSWERS["after interim ones"]
    assert summary(read(data, *[1] * len(data))) == summary(read(data))


def test_each_head_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred long ones before an answer would take seconds otherwise."""
    spent = []
    before = HeaderReader._spend

    def spend(self: HeaderReader, line: bytes) -> None:
        spent.append(len(line))
        before(self, line)

    monkeypatch.setattr(HeaderReader, "_spend", spend)
    interim = head(*[b"X: a"] * 200, status=b"HTTP/1.1 103 Early Hints") * 100
    assert read(interim + sized(), *[1] * (2 * len(interim))).body() == BODY
    assert sum(spent) == len(interim)


def test_the_body_of_a_known_length_is_the_answers() -> None:
    assert read(sized(LONG), 100).body() == LONG


def test_a_chunked_body_is_decoded() -> None:
    assert read(ANSWERS["chunked"]).body() == b"01234567"


def test_a_body_of_no_length_ends_with_the_connection() -> None:
    answer = read(head(b"Connection: close") + BODY, ends=True)
    assert (answer.body(), answer.is_last) == (BODY, True)


def test_fields_are_those_of_the_final_answer() -> None:
    interim = head(b"Content-Length: 7", status=b"HTTP/1.1 102 Processing")
    assert read(interim + sized()).fields == {"content-length": str(len(BODY)), "etag": '"a"'}


FIELDS = [
    b"Content-Length: 3",
    b"content-length:3",
    b"Content-Length : 3",
    b"Content-Length: 4",
    b"Content-Length: 3, 3",
    b"Content-Length: +3",
    b"Content-Length: \xb2",
    b"Content-Length: 0000000000000000003",
    b"Content-Length: 3\rX",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: gzip",
    b"\rTransfer-Encoding: chunked",
    b" Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Content-Encoding: br",
    b'ETag: "a"',
    b"X: a\nContent-Length: 4",
    b"X: a",
]


@given(st.lists(st.sampled_from(FIELDS), max_size=5))
def test_the_short_way_to_read_a_head_reads_what_the_long_one_reads(fields: list[bytes]) -> None:
    """What one takes for the end of the body, the other must not take for its middle."""
    data = head(*fields)
    short, long = (IncomingAnswer(new_scratch(), 9, is_document=True) for _ in range(2))
    if not short._read_usual_head(data):
        return
    assert long._read_unusual_head(data)
    assert (short.status, short._left, short.is_last) == (200, long._left, long.is_last)
    assert long._chunks is None
    assert short.fields.items() <= long.fields.items()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-x\r\n\r\n",
        head(status=b"HTTP/2 200"),
        head(status=b"HTTP/1.1 101 Switching Protocols"),
        head(b"X: a"),  # no end is said, and the host may keep the connection
        head(b"Content-Length: 3", b"Content-Length: 4") + b"abcd",
        head(b"Content-Length: -3") + b"abcd",
        head(b"Transfer-Encoding: gzip, chunked"),
        head(b"X: " + b"a" * (1 << 18)),
        head(b"X: a") + b"a" * (1 << 19),
        head(status=b"HTTP/1.1 100 Continue") * 101,
        CODED + b"-1\r\n\r\n",
        CODED + b"x\r\n\r\n",
        CODED + b"3\r\nabcd\r\n0\r\n\r\n",
        CODED + b"3;" + b"a" * (1 << 13),
        CODED + b"ffffffffffffffff\r\n",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(HTTPException):
        read(data, *[100] * 10_000)


@pytest.mark.parametrize(
    "data",
    [
        sized(b"a" * 11),
        CODED + b"b\r\n" + b"a" * 11,
        CODED + b"1;%b\r\na\r\n" % (b"x" * 4000) * 200,
        CODED + b"0\r\n" + b"Trailer: a\r\n" * 100_000,
        head(b"Connection: close") + b"a" * 11,
    ],
)
def test_more_bytes_than_are_wanted_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes"):
        read(data, most=10)


@pytest.mark.parametrize("end", [0, 9, 40, 60])
def test_an_answer_that_is_cut_short_is_refused(end: int) -> None:
    with pytest.raises(ConnectionError):
        read(sized()[:end], ends=True)


def test_chunks_that_are_cut_short_are_refused() -> None:
    with pytest.raises(ConnectionError):
        read(ANSWERS["chunked"][:-2], ends=True)


@pytest.mark.parametrize(
    ("data", "is_last"),
    [
        (sized(), False),
        (sized() + b"H", True),  # which answers nothing
        (ANSWERS["chunked"], False),
        (ANSWERS["chunked"] + b"H", True),
        (head(b"Connection: Close", b"Content-Length: 0"), True),
        (head(b"Content-Length: 0", status=b"HTTP/1.0 200 OK"), True),
        (head(b"Connection: keep-alive", b"Content-Length: 0", status=b"HTTP/1.0 200 OK"), False),
    ],
)
def test_a_connection_is_kept_only_if_the_next_answer_is_safe(data: bytes, is_last: bool) -> None:
    assert read(data).is_last is is_last


def test_the_long_way_is_that_of_single_requests() -> None:
    data = head(b"Content-Length: 3, 3", b'ETag: "a"')
    reader = HeaderReader(io.BytesIO(data))
    message = reader.fields(reader.status().code, "GET")
    answer = read(data + b"abc")
    assert answer.fields == {name.lower(): value for name, value in message.items()}


@pytest.mark.parametrize("has_ctypes", [True, False])
def test_a_large_body_has_the_bytes_that_came(
    has_ctypes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_ctypes:
        monkeypatch.setitem(sys.modules, "ctypes", None)
    monkeypatch.setattr(answer, "_memory_maker", answer._memory_maker.__wrapped__)
    body = bytes(range(256)) * (1 << 12)
    assert read(sized(body), 100, 1 << 19).body() == body


_RECEIVE_LARGE_BODIES = """
import resource
from staticstore.transport.many.answer import IncomingAnswer, new_scratch

HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Length: 4194304\\r\\n\\r\\n"
scratch = new_scratch()


def receive():
    answer = IncomingAnswer(scratch, 1 << 22, is_document=False)
    answer.buffer[: len(HEAD)] = HEAD
    answer.received(len(HEAD))
    room = answer.buffer
    room[:] = bytes(len(room))
    answer.received(len(room))
    del room
    return answer.body()


def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


[receive() for _ in range(4)]
before = pages()
[receive() for _ in range(4)]
print((pages() - before) * resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about the memory of glibc")
def test_the_memory_of_a_large_body_is_used_for_the_next_ones() -> None:
    # Dask sets MALLOC_TRIM_THRESHOLD_ in processes that start workers.
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MALLOC_")}
    program = [sys.executable, "-c", _RECEIVE_LARGE_BODIES]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 << 22  # taken from the system, which is 8 << 22 without that
