"""The bytes of an ``index.json`` become entries: fast in canonical form, rightly in any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import IndexFormatError
from .entries import Stored
from .general import parse_any
from .lines import Lines
from .piece import PIECE_SIZE, Piece, key_at
from .unchecked_lines import UncheckedLines

__all__ = ["parse", "written_lines"]

# Below this, checking everything takes less time than anybody notices.
_SMALL = 1 << 20  # bytes


def parse(
    body: bytes | bytearray, *, is_vouched: bool, newlines: int | None, before: Stored | None
) -> tuple[Stored, tuple[str, ...]]:
    """Parse the bytes of an index, and say what was left out.

    Parameters
    ----------
    body : bytes or bytearray
        The document, which never changes again.
    is_vouched : bool
        Whether a digest vouches for the bytes; lines may then be checked later.
    newlines : int or None
        How many there are in the document, if they were counted already.
    before : Stored or None
        Older entries: checked ones with the same bytes need no check.

    Raises
    ------
    IndexFormatError
        It is no index.
    """
    known = None if before is None or not before.is_checked else before.checked()
    if body.startswith(b'{\n"') and body.endswith(b"}\n}\n"):
        try:
            return _lines(body, is_vouched, newlines, known), ()
        except IndexFormatError:  # in another form, or in doubt
            pass
    return parse_any(body, known)


def written_lines(lines: list[bytes]) -> Lines:
    """Return the index of some lines that were written in canonical form, keys rising."""
    body = b"{\n" + b",\n".join(lines) + b"\n}\n"
    pieces = [Piece(body, *cut, key_at(body, cut[0])) for cut in _cuts(body)] if lines else []
    for piece in pieces:
        piece.is_checked = True
    return Lines(pieces, len(lines))


def _lines(
    body: bytes | bytearray, is_vouched: bool, newlines: int | None, before: Stored | None
) -> Stored:
    """Return the lines of an index in canonical form; raise if it may be in another."""
    if len(body) > _SMALL:
        count = None if newlines is None else newlines - 2
        if is_vouched:
            return UncheckedLines(body, list(_located(body)), count)
        if isinstance(before, Lines):
            lines = Lines(_located(body), count, is_checked=False)
            before.prove(lines)
            return lines
    return Lines(_checked(body))


def _cuts(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield where pieces of whole lines begin and end."""
    start, last = 2, len(body) - 2
    while start < last:
        end = body.find(b"\n", min(start + PIECE_SIZE, last - 1)) + 1
        yield start, end
        start = end


def _located(body: bytes | bytearray) -> Iterator[Piece]:
    """Find out with which key each piece begins, and look at nothing else."""
    before = ""
    for start, end in _cuts(body):
        first = key_at(body, start)
        if first <= before:
            raise IndexFormatError("the lines of the index are not in order")
        yield Piece(body, start, end, first)
        before = first


def _checked(body: bytes | bytearray) -> Iterable[Piece]:
    before = ""
    for start, end in _cuts(body):
        piece = Piece(body, start, end, "")
        keys = piece.check()
        if keys[0] <= before:
            raise IndexFormatError("the lines of the index are not in order")
        piece.first, before, piece.is_checked = keys[0], keys[-1], True
        yield piece
