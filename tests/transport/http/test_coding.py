"""Decoding content codings in bounded pieces: FAULTS A8, C19."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from staticstore.transport.http.conditions import CodingError, decoded

TEXT = bytes(range(256)) * 50


def raw_deflate(text: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(text) + coder.flush()


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


CODED = {
    "gzip": (["gzip"], gzip.compress(TEXT)),
    "two members": (["x-gzip"], gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])),
    "padded": (["gzip"], gzip.compress(TEXT) + b"\0" * 9),
    "zlib": (["deflate"], zlib.compress(TEXT)),
    "twice": (["deflate", "gzip"], gzip.compress(zlib.compress(TEXT))),
}


@pytest.mark.parametrize("size", [2, 7, 1 << 20])
@pytest.mark.parametrize(("codings", "body"), CODED.values(), ids=CODED)
def test_content_codings_are_decoded(codings: list[str], body: bytes, size: int) -> None:
    assert b"".join(decoded(pieces(body, size), codings)) == TEXT


def test_raw_deflate_is_decoded() -> None:
    assert b"".join(decoded(pieces(raw_deflate(TEXT), 100), ["deflate"])) == TEXT


@pytest.mark.parametrize("codings", [["gzip"], ["gzip", "gzip"]])
def test_a8_a_gzip_bomb_is_decoded_in_small_pieces(codings: list[str]) -> None:
    body = gzip.compress(bytes(20 << 20))
    for _ in codings[1:]:
        body = gzip.compress(body)
    sizes = [len(piece) for piece in decoded([body], codings)]
    assert sum(sizes) == 20 << 20
    assert max(sizes) <= 1 << 20


@pytest.mark.parametrize(("codings", "body"), list(CODED.values())[:4], ids=list(CODED)[:4])
def test_c2_truncated_data_is_an_error(codings: list[str], body: bytes) -> None:
    body = body.rstrip(b"\0")[:-9]
    with pytest.raises(CodingError, match="cut short"):
        list(decoded(pieces(body, 100), codings))


@pytest.mark.parametrize(
    ("codings", "problem"),
    [(["gzip"], "not gzip"), (["deflate"], "not deflate"), (["br"], "br was not asked for"),
     (["gzip"] * 6, "6 content codings")],
)  # fmt: skip
def test_c19_data_that_is_not_encoded_is_an_error(codings: list[str], problem: str) -> None:
    with pytest.raises(CodingError, match=problem):
        list(decoded([b"\xff" * 100], codings))


@pytest.mark.parametrize("codings", [[], ["gzip"], ["deflate"], ["gzip", "gzip"]])
def test_an_empty_body_stays_empty(codings: list[str]) -> None:
    assert list(decoded([], codings)) == []
