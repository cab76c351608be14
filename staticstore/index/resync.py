"""Where two indexes in canonical form differ, found without decoding what is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import codec
from .piece import Piece

__all__ = ["differing_keys"]

# Bytes that are compared at once: after a difference few, then ever more.
_SMALLEST = 1 << 9
_LARGEST = 1 << 18
# A difference is narrowed down to so many bytes, and then to a line.
_NARROW = 1 << 6


def differing_keys(old: Sequence[Piece], new: Sequence[Piece]) -> Iterator[str]:
    """Yield the keys of lines that do not stand in both, some perhaps twice.

    Lines are compared as bytes, equal stretches in steps of up to a quarter
    of a mebibyte; at a difference the decoded keys say which side goes on.

    Raises
    ------
    IndexFormatError
        A line that differs is none of an index in canonical form.
    """
    mine, theirs = _Cursor(old), _Cursor(new)
    step = _LARGEST
    while mine.left and theirs.left:
        size = min(step, mine.left, theirs.left)
        if mine.equals(theirs, 0, size):
            mine.skip(size)
            theirs.skip(size)
            step = min(2 * step, _LARGEST)
            continue
        size = _equal_bytes(mine, theirs, size)
        size -= mine.to_beginning_of_line(size)
        mine.skip(size)
        theirs.skip(size)
        yield from _at_difference(mine, theirs)
        step = _SMALLEST
    yield from mine.keys_left()
    yield from theirs.keys_left()


def _equal_bytes(mine: _Cursor, theirs: _Cursor, size: int) -> int:
    """Return how many bytes are equal, or a few less, of `size` which are not."""
    equal = 0
    while size - equal > _NARROW:
        half = (equal + size) // 2
        if mine.equals(theirs, equal, half):
            equal = half
        else:
            size = half
    return equal


def _at_difference(mine: _Cursor, theirs: _Cursor) -> Iterator[str]:
    """Go over the next line of the side whose key comes first, or over both."""
    my_line, their_line = mine.line(), theirs.line()
    my_key, their_key = _key_of(my_line), _key_of(their_line)
    if my_key <= their_key:
        mine.skip_line()
    if their_key <= my_key:
        theirs.skip_line()
    if my_key != their_key or my_line != their_line:
        yield min(my_key, their_key)


def _key_of(line: bytes) -> str:
    """Return the key of a line, decoded: a quote sorts after a space, and lines otherwise."""
    return next(iter(codec.split(b"{%b}" % line)))


class _Cursor:
    """A place in some pieces."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._stretches = _stretches(pieces)
        self.left = 0
        self._next_stretch()

    def _next_stretch(self) -> None:
        stretch = next(self._stretches, None)
        if stretch is not None:
            self._text, self._at, end = stretch
            self.left = end - self._at

    def equals(self, other: _Cursor, start: int, end: int) -> bool:
        """Tell whether the same bytes stand here and there, from one offset to another."""
        if self._text is other._text and self._at == other._at:
            return True
        theirs = memoryview(other._text)[other._at + start : other._at + end]
        return self._text.startswith(theirs, self._at + start)

    def skip(self, count: int) -> None:
        """Go on by so many bytes, which are left."""
        self._at += count
        self.left -= count
        if not self.left:
            self._next_stretch()

    def to_beginning_of_line(self, offset: int) -> int:
        """Return by how many bytes an offset from here is behind the beginning of its line."""
        place = self._at + offset
        return place - (self._text.rfind(b"\n", 0, place) + 1)

    def line(self) -> bytes:
        """Return the line that begins here, without what separates it from the next."""
        return bytes(self._text[self._at : self._text.index(b"\n", self._at)]).removesuffix(b",")

    def skip_line(self) -> None:
        """Go on to the next line."""
        self.skip(self._text.index(b"\n", self._at) + 1 - self._at)

    def keys_left(self) -> Iterator[str]:
        """Yield the keys of all lines from here on."""
        while self.left:
            yield _key_of(self.line())
            self.skip_line()


def _stretches(pieces: Sequence[Piece]) -> Iterator[tuple[bytes | bytearray, int, int]]:
    """Yield text, start and end of pieces, those that follow each other as one."""
    text: bytes | bytearray = b""
    start = end = 0
    for piece in pieces:
        if piece.text is text and piece.start == end and end - start < _LARGEST:
            end = piece.end
            continue
        if end > start:
            yield text, start, end
        text, start, end = piece.text, piece.start, piece.end
    if end > start:
        yield text, start, end
