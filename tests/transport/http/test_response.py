"""Header fields of an answer that are accepted, and reading its body."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from staticstore import NotConnectedError, TransportError
from staticstore.transport.http.response import ContentRange, Response
from staticstore.transport.http.wire import Wire
from tests.servers import Request
from tests.servers import Wire as ServerWire
from tests.transport.conftest import SessionAt, Start


def answer_with(headers: Mapping[str, str], status: int = 200) -> Response:
    """Return an answer with these header fields."""
    foreign = requests.Response()
    foreign.status_code = status
    foreign.headers = CaseInsensitiveDict(headers)
    foreign.url = "https://data.example/data/a"
    return Response(foreign, Wire(), key="a", answer=None)


def test_header_fields_are_stripped_and_found_in_any_case() -> None:
    answer = answer_with({"X-Word": "  said\t"})
    assert answer.header("x-word") == "said"
    assert answer.header("X-Other") is None


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0", 0),
        ("1000", 1000),
        (" 1000 ", 1000),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, None),
        ("9" * 5000, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("1e3", None),
        ("0x10", None),
        ("1_000", None),
        ("10, 10", None),
        ("\u0663", None),  # a digit of another script
        ("²", None),
    ],
)
def test_a_valid_content_length_is_a_number_and_others_are_none(
    text: str, length: int | None
) -> None:
    assert answer_with({"Content-Length": text}).content_length == length


def test_a_missing_content_length_is_none() -> None:
    assert answer_with({}).content_length is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-0/1", ContentRange(0, 1, 1)),
        ("bytes 5-9/100", ContentRange(5, 10, 100)),
        ("BYTES 5-9/100", ContentRange(5, 10, 100)),
        ("bytes 5-9/*", ContentRange(5, 10, None)),
        ("bytes 5-99/100", ContentRange(5, 100, 100)),
        ("bytes 5-100/100", None),
        ("bytes 9-5/100", None),
        ("bytes 9-5/*", None),
        ("bytes */100", None),
        ("bytes 5-9", None),
        ("bytes 5-9/", None),
        ("bytes 5-/100", None),
        ("bytes -5/100", None),
        ("bytes=5-9/100", None),
        ("items 5-9/100", None),
        ("bytes 5-9/100, 20-30/100", None),
        ("bytes 5-9/100x", None),
        (f"bytes 5-9/{'9' * 19}", None),
        ("", None),
    ],
)
def test_a_valid_content_range_is_half_open_and_others_are_none(
    text: str, expected: ContentRange | None
) -> None:
    assert answer_with({"Content-Range": text}, 206).content_range == expected


@pytest.mark.parametrize(
    ("text", "codings"),
    [
        ("identity", ()),
        ("Identity, identity", ()),
        ("", ()),
        ("gzip", ("gzip",)),
        (" GZIP ", ("gzip",)),
        ("br", ("br",)),
        ("gzip, gzip", ("gzip", "gzip")),
        ("aws-chunked", ()),
        ("aws-chunked,gzip", ("gzip",)),
        ("UTF-8", ()),
        ("none", ()),
        ("binary", ()),
    ],
)
def test_c19_content_codings_are_lowercase_and_other_labels_are_dropped(
    text: str, codings: tuple[str, ...]
) -> None:
    assert answer_with({"Content-Encoding": text}).codings == codings


@pytest.mark.parametrize(
    ("text", "etag", "strong"),
    [
        ('"x"', '"x"', '"x"'),
        ('""', '""', '""'),
        ('"!#~é"', '"!#~é"', '"!#~é"'),
        ('W/"x"', 'W/"x"', None),
        ("x", "x", None),
        ('"x', '"x', None),
        ('"a"b"', '"a"b"', None),
        ('"a b"', '"a b"', None),
        ("", None, None),
    ],
)
def test_only_a_strong_etag_binds_parts(text: str, etag: str | None, strong: str | None) -> None:
    answer = answer_with({"ETag": text})
    assert (answer.etag, answer.strong_etag) == (etag, strong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fri, 20 Nov 2026 12:00:00 GMT", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 12:00:00", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 12:00:00 -0000", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("Fri, 20 Nov 2026 13:00:00 +0100", datetime(2026, 11, 20, 12, tzinfo=UTC)),
        ("yesterday", None),
        ("", None),
        ("0", None),
        ("Fri, 32 Nov 2026 12:00:00 GMT", None),
        ("Fri, 20 Nov 2026 25:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
    ],
)
def test_last_modified_is_an_aware_utc_time_or_none(text: str, expected: datetime | None) -> None:
    found = answer_with({"Last-Modified": text}).last_modified
    assert found == expected
    assert found is None or found.tzinfo is UTC


_dates = st.from_regex(
    r"\A[A-Z][a-z]{2}, [0-9]{1,25} [A-Z][a-z]{2} [0-9]{1,25} [0-9]{1,25}:[0-9]{1,25}:[0-9]{1,25} "
    r"([+-][0-9]{1,25}|GMT)\Z"
)


@settings(deadline=None)
@given(st.text() | _dates)
def test_any_header_field_is_parsed_without_an_exception(text: str) -> None:
    names = ["Content-Length", "Content-Range", "Content-Encoding", "ETag", "Last-Modified"]
    answer = answer_with(dict.fromkeys(names, text))
    assert answer.content_length is None or answer.content_length >= 0
    assert answer.content_range is None or answer.content_range.start < answer.content_range.end
    assert answer.strong_etag in (None, text.strip())
    assert answer.last_modified is None or answer.last_modified.tzinfo is UTC
    assert "identity" not in answer.codings


# -- bodies ----------------------------------------------------------------------------

BODY = bytes(range(256)) * 40


def read_all(answer: Response, size: int, *, decode: bool) -> list[bytes]:
    return list(iter(lambda: answer.read(size, decode=decode), b""))


@responses.activate
def test_a_body_is_read_in_pieces(session_at: SessionAt) -> None:
    responses.get("https://data.example/a", body=BODY)
    answer = session_at("https://data.example/").request("GET", "a")
    pieces = read_all(answer, 1000, decode=False)
    assert [len(piece) for piece in pieces] == [1000] * 10 + [240]
    assert b"".join(pieces) == BODY


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("GZip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY, wbits=-15)),
        ("identity", BODY),
        ("", BODY),
    ],
)
@responses.activate
def test_a_content_coding_is_decoded_on_request(
    session_at: SessionAt, coding: str, body: bytes
) -> None:
    responses.get("https://data.example/a", body=body, headers={"Content-Encoding": coding})
    session = session_at("https://data.example/")
    decoded = read_all(session.request("GET", "a"), 1000, decode=True)
    assert b"".join(decoded) == BODY
    assert max(len(piece) for piece in decoded) <= 1000
    assert b"".join(read_all(session.request("GET", "a"), 1000, decode=False)) == body


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "x, BR"])
@responses.activate
def test_an_unexpected_coding_is_refused(session_at: SessionAt, coding: str) -> None:
    responses.get("https://data.example/a", body=BODY, headers={"Content-Encoding": coding})
    answer = session_at("https://data.example/").request("GET", "a", key="a")
    with pytest.raises(TransportError, match="not asked for") as caught:
        answer.read(10, decode=True)
    assert (caught.value.key, caught.value.url) == ("a", "https://data.example/a")


@pytest.mark.parametrize("label", ["gzip, gzip", "Identity, GZIP, none,gzip", "x-gzip,gzip"])
@responses.activate
def test_c19_several_codings_are_decoded(session_at: SessionAt, label: str) -> None:
    body = gzip.compress(gzip.compress(BODY))
    responses.get("https://data.example/a", body=body, headers={"Content-Encoding": label})
    answer = session_at("https://data.example/").request("GET", "a", key="a")
    assert b"".join(read_all(answer, 1000, decode=True)) == BODY


@pytest.mark.parametrize("body", [BODY, gzip.compress(BODY)[:10] + BODY])
@responses.activate
def test_damaged_encoded_data_is_a_transport_error(session_at: SessionAt, body: bytes) -> None:
    responses.get("https://data.example/a", body=body, headers={"Content-Encoding": "gzip"})
    answer = session_at("https://data.example/").request("GET", "a", key="a")
    with pytest.raises(TransportError) as caught:
        read_all(answer, 1000, decode=True)
    assert caught.value.key == "a"


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_body_that_breaks_off_is_a_transport_error(
    start: Start, session_at: SessionAt, then: str
) -> None:
    def answer(request: Request, wire: ServerWire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345")
        {"close": wire.close, "reset": wire.reset}[then]()

    body = session_at(start(answer).url).request("GET", "a", key="a")
    with pytest.raises(TransportError, match=r"broke|reset") as caught:
        read_all(body, 100, decode=False)
    assert (caught.value.key, caught.value.status) == ("a", None)


def test_a_connection_is_reused_only_if_its_answer_was_read_to_the_end(
    start: Start, session_at: SessionAt
) -> None:
    server = start(lambda request, wire: wire.response(200, BODY))
    session = session_at(server.url)
    read = session.request("GET", "a")
    read_all(read, 1000, decode=False)
    read.close()
    half = session.request("GET", "a")
    half.read(1000)
    half.close()
    half.close()
    session.request("GET", "a").close()
    assert [request.connection for request in server.requests] == [0, 0, 1]


@pytest.mark.parametrize("host", ["file", "http"])
def test_after_the_session_is_closed_nothing_can_be_read(
    start: Start, session_at: SessionAt, tmp_path: Any, host: str
) -> None:
    (tmp_path / "a").write_bytes(BODY)
    server = start(lambda request, wire: wire.response(200, BODY))
    session = session_at(server.url if host == "http" else tmp_path.as_uri())
    with closing(session.request("GET", "a", key="a")) as answer:
        assert answer.read(10) == BODY[:10]
        session.close()
        with pytest.raises(NotConnectedError) as caught:
            answer.read(10)
    assert caught.value.key == "a"
