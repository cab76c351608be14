"""The seek table at the end of a compressed copy: where its frames are.

It is that of the seekable format of Zstandard (``contrib/seekable_format`` of its
sources): a skippable frame with the sizes of all frames before it, compressed and not,
so that any decoder of Zstandard passes over it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import accumulate

__all__ = ["FRAME_BYTES", "MOST_TABLE_BYTES", "SeekTable", "table_bytes"]

#: Bytes of a value in each frame of the copies that are published.
FRAME_BYTES = 1 << 18
#: No larger table is read: that of a value of 500 GB in such frames.
MOST_TABLE_BYTES = 16 << 20
# The most that one frame may hold, as the window of the decoder.
_MOST_FRAME_BYTES = 8 << 20

# Little-endian, as all of Zstandard: a mark and the size of the rest; and the number of frames, a
# byte of flags, and another mark.
_HEADER = struct.Struct("<4sI")
_FOOTER = struct.Struct("<IB4s")
_SKIPPABLE_MAGIC = b"\x5e\x2a\x4d\x18"
_SEEKABLE_MAGIC = b"\xb1\xea\x92\x8f"
# Bits of the flags.
_HAS_CHECKSUMS = 0x80
_RESERVED = 0x7C


def table_bytes(count: int, *, has_checksums: bool = False) -> int:
    """Return the size of a seek table in bytes.

    Examples
    --------
    >>> table_bytes(400)
    3217
    """
    return _HEADER.size + count * (12 if has_checksums else 8) + _FOOTER.size


class SeekTable:
    """Where the frames of a compressed copy are, and what they hold; immutable.

    All frames hold the same number of bytes of the value, except for the last one, which
    may hold fewer.

    Parameters
    ----------
    sizes : sequence of int
        The compressed sizes of the frames, in bytes.
    frame_bytes : int
        The bytes of the value in each frame, but the last.
    size : int
        The size of the value in bytes.
    """

    def __init__(self, sizes: Sequence[int], frame_bytes: int, size: int) -> None:
        self.frame_bytes = frame_bytes
        self.size = size
        self._starts = array("Q", accumulate(sizes, initial=0))

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._starts) - 1

    @classmethod
    def parse(cls, text: bytes, copy_size: int, size: int) -> SeekTable:
        """Read the seek table of a copy.

        Parameters
        ----------
        text : bytes
            The last bytes of the copy: at least the table.
        copy_size, size : int
            The sizes of the copy and of the value, in bytes.

        Raises
        ------
        ValueError
            It is no such table, or it contradicts these sizes.

        Examples
        --------
        >>> table = SeekTable([10, 20], 8, 9)
        >>> SeekTable.parse(table.encode(), 30 + len(table.encode()), 9).frames(8, 9)
        range(1, 2)
        """
        length = cls.claimed_bytes(text)
        if length is None or length > len(text):
            raise ValueError("the copy ends with no seek table")
        text = text[-length:]
        count, flags, _ = _FOOTER.unpack_from(text, length - _FOOTER.size)
        if _HEADER.unpack_from(text) != (_SKIPPABLE_MAGIC, length - _HEADER.size):
            raise ValueError("the seek table is in no skippable frame")
        fields = array("I", text[_HEADER.size : -_FOOTER.size])
        if sys.byteorder == "big":
            fields.byteswap()
        step = 3 if flags & _HAS_CHECKSUMS else 2
        sizes, held = fields[::step], fields[1::step]
        if not count or not all(sizes) or sum(sizes) + length != copy_size:
            raise ValueError("the frames of the seek table are not those of the copy")
        frame = held[0]
        is_uniform = held[:-1].count(frame) == count - 1 and 0 < held[-1] <= frame
        if not is_uniform or frame > _MOST_FRAME_BYTES or sum(held) != size:
            raise ValueError("the frames of the seek table do not hold the value")
        return cls(sizes, frame, size)

    @staticmethod
    def claimed_bytes(text: bytes) -> int | None:
        """Return the size of the table as its last bytes claim it; None if it is none."""
        if len(text) < _FOOTER.size:
            return None
        count, flags, magic = _FOOTER.unpack(text[-_FOOTER.size :])
        if magic != _SEEKABLE_MAGIC or flags & _RESERVED:
            return None
        length = table_bytes(count, has_checksums=bool(flags & _HAS_CHECKSUMS))
        return length if length <= MOST_TABLE_BYTES else None

    def encode(self) -> bytes:
        """Return the bytes of the table."""
        sizes = [end - start for start, end in zip(self._starts, self._starts[1:], strict=False)]
        held = [self.frame_bytes] * len(sizes)
        held[-1] = self.size - self.frame_bytes * (len(sizes) - 1)
        fields = [field for pair in zip(sizes, held, strict=True) for field in pair]
        body = struct.pack(f"<{len(fields)}I", *fields)
        rest = len(body) + _FOOTER.size
        footer = _FOOTER.pack(len(sizes), 0, _SEEKABLE_MAGIC)
        return _HEADER.pack(_SKIPPABLE_MAGIC, rest) + body + footer

    def frames(self, start: int, end: int) -> range:
        """Return the numbers of the frames that hold the bytes ``value[start:end]``."""
        return range(start // self.frame_bytes, -(-end // self.frame_bytes))

    def place_of(self, frames: range) -> tuple[int, int]:
        """Return where some frames in a row start and end in the copy, in bytes."""
        return self._starts[frames.start], self._starts[frames.stop]

    def held_by(self, frame: int) -> int:
        """Return how many bytes of the value a frame holds."""
        return min(self.frame_bytes, self.size - frame * self.frame_bytes)
