"""The parts of one value that were read last, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cachetools import LRUCache

__all__ = ["BLOCK", "BlockCache", "Piece"]

#: Bytes of a block, which is what a short read fetches at least.
BLOCK = 1 << 15


class Piece(NamedTuple):
    """Some bytes of a value, and where in it they begin."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Where the bytes end."""
        return self.start + len(self.data)


class BlockCache:
    """Pieces of a value, one for each block of 32 KiB; the least recently used are dropped.

    Parameters
    ----------
    size : int
        Bytes that are kept, rounded down to whole blocks; one block at least.
    """

    def __init__(self, size: int) -> None:
        self._pieces: LRUCache[int, Piece] = LRUCache(max(size // BLOCK, 1))

    def at(self, position: int) -> Piece | None:
        """Return a piece that has the byte at a position; None if there is none."""
        piece = self._pieces.get(position // BLOCK)
        return piece if piece is not None and piece.start <= position < piece.end else None

    def __iter__(self) -> Iterator[Piece]:
        """Iterate over the pieces, in any order."""
        return iter(list(self._pieces.values()))

    def keep(self, piece: Piece) -> None:
        """Take bytes in, block by block."""
        start = piece.start
        while start < piece.end:
            number = start // BLOCK
            end = min((number + 1) * BLOCK, piece.end)
            data = piece.data[start - piece.start : end - piece.start]
            self._pieces[number] = _joined(self._pieces.get(number), Piece(start, data))
            start = end


def _joined(held: Piece | None, new: Piece) -> Piece:
    """Return both pieces as one if they touch, else the new one."""
    if held is None or held.start > new.end or held.end < new.start:
        return new
    before = held.data[: max(new.start - held.start, 0)]
    after = held.data[new.end - held.start :] if new.end < held.end else b""
    return Piece(min(held.start, new.start), before + new.data + after)
