"""Write PNG pictures (ISO/IEC 15948, RFC 2083), each byte of them our own choice.

The pixels are not compressed (stored blocks of RFC 1951, section 3.2.4): what
zlib makes of them differs from version to version.
"""

import struct
from collections.abc import Sequence
from zlib import adler32, crc32

Color = tuple[int, int, int]

_GRAY, _INDEXED = 0, 3


def gray_png(width: int, values: Sequence[int], title: str) -> bytes:
    """Return a picture of gray values from 0 (black) to 255 (white), row by row."""
    return _png(width, 8, _GRAY, values, [_text("Title", title)])


def indexed_png(width: int, values: Sequence[int], palette: Sequence[Color], title: str) -> bytes:
    """Return a picture of colors by their number in a palette of at most 256."""
    depth = 4 if len(palette) <= 16 else 8
    colors = b"".join(bytes(color) for color in palette)
    return _png(width, depth, _INDEXED, values, [_chunk(b"PLTE", colors), _text("Title", title)])


def _png(width: int, depth: int, kind: int, values: Sequence[int], chunks: list[bytes]) -> bytes:
    """Return the whole file: signature, header, further chunks, pixels, end."""
    height = len(values) // width
    rows = bytearray()
    for start in range(0, len(values), width):
        rows.append(0)  # this row is not filtered
        rows += _packed(values[start : start + width], depth)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"".join([
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", header),
        *chunks,
        _chunk(b"IDAT", _stored(bytes(rows))),
        _chunk(b"IEND", b""),
    ])  # fmt: skip


def _packed(row: Sequence[int], depth: int) -> bytes:
    """Return a row of pixels, one or two in a byte, the left one in the high bits."""
    if depth == 8:
        return bytes(row)
    return bytes(left << 4 | right for left, right in zip(row[::2], row[1::2], strict=True))


def _chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and its checksum."""
    checksum = crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def _text(keyword: str, text: str) -> bytes:
    """Return a chunk of text, which is Latin-1."""
    return _chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))


def _stored(content: bytes) -> bytes:
    """Return a zlib stream (RFC 1950) of blocks that are stored as they are."""
    parts = [b"\x78\x01"]
    for start in range(0, len(content), 0xFFFF):
        block = content[start : start + 0xFFFF]
        last = start + 0xFFFF >= len(content)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", adler32(content))])
