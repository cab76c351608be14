"""Reading the heads of answers from bytes: FAULTS C18."""

from __future__ import annotations

import io
from http.client import HTTPMessage, RemoteDisconnected

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.transport.http.http1 import HeaderError, HeaderReader, Status


def read(
    head: bytes, *, method: str = "GET", is_reused: bool = False
) -> tuple[Status, HTTPMessage]:
    reader = HeaderReader(io.BytesIO(head), is_reused=is_reused)
    status = reader.status()
    return status, reader.fields(status.code, method)


def fields_of(*lines: bytes, method: str = "GET") -> list[tuple[str, str]]:
    return read(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]), method=method)[1].items()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK", ("HTTP/1.1", 200, "OK")),
        (b"HTTP/1.0 404 Not Found ", ("HTTP/1.0", 404, "Not Found")),
        (b"HTTP/1.1 200", ("HTTP/1.1", 200, "")),
        (b"HTTP/1.1  200\t R\xe9ussi", ("HTTP/1.1", 200, "Réussi")),
        (b"HTTP/1.1 101 Switching Protocols", ("HTTP/1.1", 101, "Switching Protocols")),
    ],
)
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n"])
def test_a_status_line_is_parsed(line: bytes, status: tuple[str, int, str], end: bytes) -> None:
    assert read(line + end + end)[0] == status


@pytest.mark.parametrize(
    "line",
    [b"", b"HTTP/1.1", b"HTTP/1.1 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 099 x", b"HTTP/2 200 OK",
     b"HTTP/1.1 2000 OK", b"ICY 200 OK", b"<html>", b"http/1.1 200 OK"],
)  # fmt: skip
def test_c18_an_invalid_status_line_is_an_error_that_quotes_it(line: bytes) -> None:
    with pytest.raises(HeaderError, match="is not HTTP/1"):
        read(line + b"\r\n\r\n")


def test_c18_on_a_reused_connection_an_invalid_line_may_belong_to_an_earlier_answer() -> None:
    with pytest.raises(RemoteDisconnected):
        read(b"more of a body\r\n", is_reused=True)


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        ([b"A: b"], [("A", "b")]),
        ([b"A:b", b"A:  c "], [("A", "b"), ("A", "c")]),
        ([b"A:"], [("A", "")]),
        ([b"A : b"], [("A", "b")]),
        ([b"A: b: c"], [("A", "b: c")]),
        ([b"A: b", b" c", b"\td"], [("A", "b c d")]),
        ([b"A: b\rc\0d"], [("A", "b c d")]),
        ([b"nothing", b"A: b"], [("A", "b")]),
        ([b"two words: x", b"A: b"], [("A", "b")]),
        ([b": x", b"A: b"], [("A", "b")]),
        ([b" folded", b"A: b"], [("A", "b")]),
        ([b"\xe9: x", b"A: \xe9"], [("A", "é")]),
    ],
)
def test_c18_invalid_lines_among_the_fields_are_skipped(
    lines: list[bytes], fields: list[tuple[str, str]]
) -> None:
    assert fields_of(*lines) == fields


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        ([b"content-length: 5"], [("Content-Length", "5")]),
        ([b"Content-Length: 5,5 , 005"], [("Content-Length", "5")]),
        ([b"Content-Length: 5", b"Content-Length: 5"], [("Content-Length", "5")]),
        ([b"Content-Length: 0"], [("Content-Length", "0")]),
        ([b"Transfer-Encoding: Chunked"], [("Transfer-Encoding", "chunked")]),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], [("Transfer-Encoding", "chunked")]),
        ([b"Transfer-Encoding: identity", b"Content-Length: 5"], [("Content-Length", "5")]),
    ],
)
def test_c18_one_field_determines_the_length_of_the_body(
    lines: list[bytes], fields: list[tuple[str, str]]
) -> None:
    assert fields_of(*lines) == fields


UNFRAMED = [
    [b"Content-Length: 5, 6"],
    [b"Content-Length: 5", b"Content-Length: 6"],
    [b"Content-Length: -5"],
    [b"Content-Length: +5"],
    [b"Content-Length: 5.0"],
    [b"Content-Length: 0x5"],
    [b"Content-Length: five"],
    [b"Content-Length:"],
    [b"Content-Length: " + b"9" * 30],
    [b"Transfer-Encoding: gzip"],
    [b"Transfer-Encoding: gzip, chunked"],
]


@pytest.mark.parametrize("lines", UNFRAMED)
def test_c18_fields_that_leave_the_length_of_the_body_unclear_are_an_error(
    lines: list[bytes],
) -> None:
    with pytest.raises(HeaderError, match=r"Content-Length|transfer coding"):
        fields_of(*lines)


@pytest.mark.parametrize("lines", UNFRAMED[:-2])
def test_c16_without_a_body_these_fields_are_left_out(lines: list[bytes]) -> None:
    assert fields_of(*lines, method="HEAD") == []


@pytest.mark.parametrize("line", [b"\r", b"\r\r"])
def test_c18_a_line_that_some_take_for_the_end_of_the_head_is_an_error(line: bytes) -> None:
    with pytest.raises(HeaderError, match="carriage returns alone"):
        fields_of(b"A: b", line, b"Content-Length: 5")


@pytest.mark.parametrize(
    "line", [b"Content-Length 5", b"transfer-encoding chunked", b"Content-Length"]
)
def test_c18_an_invalid_line_about_the_length_of_the_body_is_an_error(line: bytes) -> None:
    with pytest.raises(HeaderError, match="cannot be read"):
        fields_of(line)


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_c18_interim_answers_are_skipped_with_their_fields(status: int) -> None:
    interim = b"HTTP/1.1 %d x\r\nContent-Length: 9\r\nA: b\r\n\r\n" % status
    found = read(interim * 3 + b"HTTP/1.1 200 OK\r\nC: d\r\n\r\n")
    assert found[0].code == 200
    assert found[1].items() == [("C", "d")]


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 102 x\r\n\r\n" * 200, b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 2000,
     b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, b"HTTP/1.1 102 x\r\nA: " + b"b" * 70_000,
     b"HTTP/1.1 200 OK\r\n" + (b"A: " + b"b" * 60_000 + b"\r\n") * 9],
)  # fmt: skip
def test_c18_the_size_of_a_head_is_bounded(head: bytes) -> None:
    with pytest.raises(HeaderError, match="more than"):
        read(head)


@pytest.mark.parametrize("end", [b"", b"A: b", b"A: b\r\n", b"A: b\r\nContent-Le"])
def test_c18_a_truncated_head_is_a_broken_connection(end: bytes) -> None:
    with pytest.raises(ConnectionResetError, match="header fields"):
        read(b"HTTP/1.1 200 OK\r\n" + end)


@given(st.binary(), st.sampled_from(["GET", "HEAD"]))
def test_c18_any_bytes_raise_nothing_but_these_errors(text: bytes, method: str) -> None:
    try:
        message = read(b"HTTP/1.1 200 OK\r\n" + text, method=method)[1]
    except (HeaderError, ConnectionResetError):
        return
    assert all("\r" not in value and "\n" not in value for value in message.values())
