"""Content codings (RFC 9110, section 8.4): what a label means, and undoing it.

Hosts label what they have not compressed, and leave unlabeled what they have:
`aws-chunked`, which S3 keeps of an upload, `UTF-8` and `none` of people who
took the field for another.  So a label is a hint, and what the index or the
head says of the bytes decides between the readings.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

from urllib3.exceptions import DecodeError

__all__ = ["GZIP_MAGIC", "UNDONE", "CodingError", "codings_of", "undone"]

#: What can be undone.
UNDONE = frozenset({"gzip", "x-gzip", "deflate"})
#: What a body in gzip begins with.
GZIP_MAGIC = b"\x1f\x8b"
# What is a content coding by IANA's list, but cannot be undone here.
_OTHERS = frozenset({"br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"})
_MOST_CODINGS = 5
_PIECE_BYTES = 1 << 20


class CodingError(DecodeError):
    """Bytes are not coded as their label says; it says why, for people."""


def codings_of(field: str | None) -> tuple[str, ...]:
    """Return the content codings that a field names, in the order in which they were applied.

    Labels that are no content coding are left out, `identity` too.

    Examples
    --------
    >>> codings_of("aws-chunked, GZIP"), codings_of("UTF-8"), codings_of(None)
    (('gzip',), (), ())
    """
    names = (name.strip().lower() for name in (field or "").split(","))
    return tuple(name for name in names if name in UNDONE or name in _OTHERS)


def undone(pieces: Iterable[bytes], codings: Sequence[str]) -> Iterator[bytes]:
    """Yield bytes with codings undone, the last one first, in bounded pieces.

    Raises
    ------
    CodingError
        They are not coded so, or cut short.
    """
    if len(codings) > _MOST_CODINGS:
        raise CodingError(f"{len(codings)} content codings at once")
    for coding in reversed(codings):
        if coding not in UNDONE:
            raise CodingError(f"{coding} was not asked for")
        pieces = _undone(pieces, coding)
    yield from pieces


def _undone(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    decoder, members = None, 0
    try:
        for piece in pieces:
            left = piece
            while left:
                if decoder is None:
                    if members and (coding == "deflate" or not left.startswith(GZIP_MAGIC[:1])):
                        return  # padding, which other clients ignore
                    decoder = zlib.decompressobj(_window_bits(coding, left))
                    members += 1
                text = decoder.decompress(left, _PIECE_BYTES)
                if text:
                    yield text
                left = decoder.unconsumed_tail
                while len(text) == _PIECE_BYTES and not left and not decoder.eof:
                    if text := decoder.decompress(b"", _PIECE_BYTES):
                        yield text
                if decoder.eof:
                    left, decoder = decoder.unused_data, None
    except zlib.error as error:
        raise CodingError(f"it is no {coding}") from error
    if decoder is not None:
        raise CodingError(f"the {coding} is cut short")


def _window_bits(coding: str, text: bytes) -> int:
    """Return what zlib calls the format; deflate has two in practice (RFC 1950 and 1951)."""
    if coding != "deflate":
        return 16 + zlib.MAX_WBITS
    is_zlib = text[0] & 15 == 8 and (len(text) == 1 or (text[0] << 8 | text[1]) % 31 == 0)
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
