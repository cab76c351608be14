"""Comparing bytes with the size and digest in the index, and hashing them."""

from __future__ import annotations

import hashlib

import pytest

from staticstore import IntegrityError
from staticstore.transport.values.verifier import Hasher, Verifier

VALUE = b"0123456789"
SHA256 = hashlib.sha256(VALUE).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def verify(size: int | None, sha256: str | None, *pieces: bytes) -> Verifier:
    verifier = Verifier(size, sha256, key="a", url="https://data.example/data/a?sig=sesame")
    for piece in pieces:
        verifier.feed(piece)
    verifier.finish()
    return verifier


@pytest.mark.parametrize("size", [10, None])
@pytest.mark.parametrize("sha256", [SHA256, None])
@pytest.mark.parametrize("pieces", [[VALUE], [VALUE[:3], b"", VALUE[3:]]])
def test_the_right_bytes_pass_however_they_are_divided(
    size: int | None, sha256: str | None, pieces: list[bytes]
) -> None:
    assert verify(size, sha256, *pieces).count == 10


def test_an_empty_value_is_verified_too() -> None:
    verify(0, hashlib.sha256().hexdigest())
    with pytest.raises(IntegrityError):
        verify(0, SHA256)


@pytest.mark.parametrize("size", [11, 0])
def test_a_different_size_is_an_integrity_error(size: int) -> None:
    with pytest.raises(IntegrityError, match=f"where the index says {size}") as caught:
        verify(size, SHA256, VALUE)
    assert (caught.value.expected, caught.value.key) == (size, "a")
    assert caught.value.url == "https://data.example/data/a?…"


def test_missing_bytes_are_counted() -> None:
    with pytest.raises(IntegrityError, match="has 4 bytes where the index says 10") as caught:
        verify(10, None, VALUE[:4])
    assert (caught.value.expected, caught.value.actual) == (10, 4)


def test_the_first_extra_byte_is_an_integrity_error() -> None:
    verifier = Verifier(10, SHA256)
    verifier.feed(VALUE)
    with pytest.raises(IntegrityError, match="has more than 10 bytes"):
        verifier.feed(b"!")


@pytest.mark.parametrize("size", [10, None])
def test_a_different_digest_is_an_integrity_error(size: int | None) -> None:
    with pytest.raises(IntegrityError, match="another sha256") as caught:
        verify(size, OTHER, VALUE)
    assert (caught.value.expected, caught.value.actual) == (OTHER, SHA256)
    assert caught.value.key == "a"


def test_without_size_and_digest_any_bytes_pass() -> None:
    assert verify(None, None, VALUE).count == 10


# -- Hasher -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 20) - 1, (1 << 20) + 1, 3 << 20])
@pytest.mark.parametrize("is_lent", [False, True])
def test_a_hasher_counts_newlines_while_hashing(size: int, is_lent: bool) -> None:
    body = (b"\n" + bytes(range(256)) * 300)[:70_001] * (size // 70_001 + 1)
    body = body[:size]
    with Hasher(counts_newlines=True) as hasher:
        at = 0
        if is_lent:
            for buffer in hasher.buffers(1 << 17):
                piece = body[at : at + len(buffer)]
                buffer[: len(piece)] = piece
                hasher.update(buffer[: len(piece)])
                at += len(piece)
                if not piece:
                    break
        else:
            for at in range(0, size, 99_999):
                hasher.update(body[at : at + 99_999])
        assert hasher.newlines == body.count(b"\n")
        assert hasher.hexdigest() == hashlib.sha256(body).hexdigest()


def test_a_hasher_counts_newlines_only_on_request() -> None:
    with Hasher() as hasher:
        hasher.update(b"\n\n")
        assert hasher.newlines == 0
