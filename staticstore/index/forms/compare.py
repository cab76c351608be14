"""Find where two indexes in canonical form differ, without decoding what is equal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from ... import tuning
from ...errors import IndexFormatError
from .piece import Piece, checked_key, key_at

__all__ = ["differing_keys"]


def differing_keys(
    old: Sequence[Piece], new: Sequence[Piece], *, are_checked: tuple[bool, bool] = (False, False)
) -> Iterator[str]:
    """Yield the keys of lines that are not in both, some perhaps twice.

    Lines are compared as bytes, up to 256 KiB at once.  At a difference the
    decoded keys say which side goes on.

    On a side that is not checked yet, each line that differs is checked, and
    that its key comes after all before it.  So if one side is in canonical
    form, and all keys have been yielded, the other is too.

    Parameters
    ----------
    old, new : sequence of Piece
        All lines of each side.
    are_checked : (bool, bool), optional
        Whether each side is known to be in canonical form.

    Raises
    ------
    IndexFormatError
        A line that differs is not in canonical form, or not in order.
    """
    mine, theirs = map(_Cursor, (old, new), are_checked)
    least, most = tuning.COMPARED_LEAST_BYTES, tuning.COMPARED_MOST_BYTES
    step = most
    passed, is_behind = "", False
    while mine.left and theirs.left:
        size = min(step, mine.left, theirs.left)
        is_equal = mine.equals(theirs, 0, size)
        if not is_equal:
            size = _equal_bytes(mine, theirs, size)
        size -= mine.to_start_of_line(size)
        if size:
            mine.skip(size)
            theirs.skip(size)
            is_behind = True
        if is_equal:  # larger steps, even beyond the most if the line is longer than a step
            step = min(2 * step, most) if size else 2 * step
            continue
        if is_behind:
            passed, is_behind = mine.key_before(passed), False
        my_key, their_key = mine.key_after(passed), theirs.key_after(passed)
        passed = min(my_key, their_key)
        if my_key != their_key or mine.line() != theirs.line():
            yield passed
        for side, key in ((mine, my_key), (theirs, their_key)):
            if key == passed:
                side.skip_line()
        step = least
    yield from mine.keys_left()
    yield from theirs.keys_left()


def _equal_bytes(mine: _Cursor, theirs: _Cursor, size: int) -> int:
    """Return how many of `size` bytes, of which one differs, are equal; or a few less."""
    equal, narrow = 0, tuning.COMPARED_NARROW_BYTES
    while size - equal > narrow:
        half = (equal + size) // 2
        if mine.equals(theirs, equal, half):
            equal = half
        else:
            size = half
    return equal


class _Cursor:
    """A position in the text of some pieces."""

    def __init__(self, pieces: Sequence[Piece], is_checked: bool) -> None:
        https_only = any(piece.https_only for piece in pieces)
        self._key_at = key_at if is_checked else partial(checked_key, https_only=https_only)
        self._runs = _runs(pieces)
        #: Bytes to the end of the current run; 0 at the end of all.
        self.left = 0
        # Where the last line that was passed ends.
        self._passed: tuple[bytes | bytearray, int] = b"", 0
        self._next_run()

    def _next_run(self) -> None:
        run = next(self._runs, None)
        if run is not None:
            self._text, self._at, end = run
            self.left = end - self._at

    def equals(self, other: _Cursor, start: int, end: int) -> bool:
        """Compare the bytes between two offsets from here with those of another cursor."""
        if self._text is other._text and self._at == other._at:
            return True
        theirs = memoryview(other._text)[other._at + start : other._at + end]
        return self._text.startswith(theirs, self._at + start)

    def skip(self, count: int) -> None:
        """Go on by some of the bytes that are left."""
        self._at += count
        self.left -= count
        self._passed = self._text, self._at
        if not self.left:
            self._next_run()

    def to_start_of_line(self, offset: int) -> int:
        """Return how many bytes an offset from here is after the start of its line."""
        place = self._at + offset
        return place - (self._text.rfind(b"\n", 0, place) + 1)

    def line(self) -> bytes:
        """Return the line that begins here, without its comma and newline."""
        return bytes(self._text[self._at : self._text.index(b"\n", self._at)]).removesuffix(b",")

    def skip_line(self) -> None:
        """Go on to the next line."""
        self.skip(self._text.index(b"\n", self._at) + 1 - self._at)

    def key_before(self, passed: str) -> str:
        """Return the key of the last line that was passed, after a check of its order."""
        text, end = self._passed
        return self._in_order(text, text.rfind(b"\n", 0, end - 1) + 1, passed) if end else passed

    def key_after(self, passed: str) -> str:
        """Return the key of the line that begins here, after a check of its order."""
        return self._in_order(self._text, self._at, passed)

    def _in_order(self, text: bytes | bytearray, start: int, passed: str) -> str:
        key = self._key_at(text, start)
        if key <= passed:  # decoded, since lines sort otherwise: a quote is after a space
            raise IndexFormatError("the lines of the index are not in order")
        return key

    def keys_left(self) -> Iterator[str]:
        """Yield the keys of all lines from here on."""
        passed = self.key_before("")
        while self.left:
            yield (passed := self.key_after(passed))
            self.skip_line()


def _runs(pieces: Sequence[Piece]) -> Iterator[tuple[bytes | bytearray, int, int]]:
    """Yield text, start and end of pieces; pieces next to each other are joined."""
    text: bytes | bytearray = b""
    start = end = 0
    most = tuning.COMPARED_MOST_BYTES
    for piece in pieces:
        if piece.text is text and piece.start == end and end - start < most:
            end = piece.end
            continue
        if end > start:
            yield text, start, end
        text, start, end = piece.text, piece.start, piece.end
    if end > start:
        yield text, start, end
