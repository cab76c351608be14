"""Content codings (RFC 9110, section 8.4): reading their labels and decoding.

Labels are unreliable.  Some hosts label what they have not compressed or leave
compressed bytes unlabeled; S3 keeps `aws-chunked` from an upload, and people
write `UTF-8` or `none` into the field.  A label is only a hint; what the index
or the head says of the bytes decides between the readings.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

from .failures import CodingError

__all__ = ["DECODABLE", "GZIP_MAGIC", "codings_of", "decoded"]

#: The codings that can be decoded.
DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})
#: The first bytes of a body in gzip.
GZIP_MAGIC = b"\x1f\x8b"
# The other content codings of IANA's list.
_OTHERS = frozenset({"br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"})
_MOST_CODINGS = 5
_PIECE_BYTES = 1 << 20


def codings_of(field: str | None) -> tuple[str, ...]:
    """Return the content codings that a field names, in the order they were applied.

    `identity` and labels that are not content codings are left out.

    Examples
    --------
    >>> codings_of("aws-chunked, GZIP"), codings_of("UTF-8"), codings_of(None)
    (('gzip',), (), ())
    """
    if not field:
        return ()
    names = (name.strip().lower() for name in field.split(","))
    return tuple(name for name in names if name in DECODABLE or name in _OTHERS)


def decoded(pieces: Iterable[bytes], codings: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes decoded, the last coding first, in pieces of up to 1 MiB.

    Raises
    ------
    CodingError
        They are coded otherwise, or cut short.
    """
    if len(codings) > _MOST_CODINGS:
        raise CodingError(f"{len(codings)} content codings at once")
    for coding in reversed(codings):
        if coding not in DECODABLE:
            raise CodingError(f"{coding} was not asked for")
        pieces = _decoded(pieces, coding)
    yield from pieces


def _decoded(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
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
        raise CodingError(f"the bytes are not {coding}") from error
    if decoder is not None:
        raise CodingError(f"the {coding} is cut short")


def _window_bits(coding: str, text: bytes) -> int:
    # Hosts send two formats by the name of deflate (RFC 1950 and 1951).
    if coding != "deflate":
        return 16 + zlib.MAX_WBITS
    is_zlib = text[0] & 15 == 8 and (len(text) == 1 or (text[0] << 8 | text[1]) % 31 == 0)
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
