"""Compressed copies for tests, right ones and wrong ones."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

from staticstore.transport.values.seek_table import FRAME_BYTES, SeekTable
from tests.sites import entry

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports import zstd

__all__ = ["VALUE", "copy_of", "described", "frames_of", "href_of", "skippable", "zstd"]

#: About 1 MB that compress to an eighth; four frames.
VALUE = b"".join(
    b'{"id":%d,"at":[%d.5,%d.25]},' % (one, one * 7919 % 1000, one * 104729 % 999)
    for one in range(32_000)
)


def frames_of(value: bytes, size: int = FRAME_BYTES) -> list[bytes]:
    """Compress a value, some bytes in each frame, as it is published."""
    options = {zstd.CompressionParameter.checksum_flag: 1}
    starts = range(0, len(value), size)
    return [zstd.compress(value[at : at + size], options=options) for at in starts]


def copy_of(value: bytes, frames: Sequence[bytes] | None = None, size: int = FRAME_BYTES) -> bytes:
    """Return a compressed copy with a seek table, as a publisher makes it."""
    frames = frames_of(value, size) if frames is None else frames
    table = SeekTable([len(frame) for frame in frames], size, len(value))
    return b"".join(frames) + table.encode()


def skippable(body: bytes, size: int | None = None) -> bytes:
    """Return a skippable frame, which perhaps says another size than it has."""
    return struct.pack("<II", 0x184D2A50, len(body) if size is None else size) + body


def href_of(copy: bytes) -> str:
    """Return where a copy is."""
    return f"stored/{hashlib.sha256(copy).hexdigest()}.zst"


def described(value: bytes, copy: bytes, **fields: Any) -> dict[str, Any]:
    """Return the entry of a value with a copy."""
    stored = ["zstd", len(copy), hashlib.sha256(copy).hexdigest()]
    return {**entry(value), "stored": stored, **fields}
