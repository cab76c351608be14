"""The bytes of an ``index.json`` become entries: fast in canonical form, rightly in any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import IndexFormatError, quoted
from . import codec
from .checks import are_beyond_doubt, check_depth, entry_problem
from .entries import Entries, Stored
from .keys import are_keys
from .lines import Lines
from .piece import PIECE_SIZE, Piece, key_at

if TYPE_CHECKING:
    import msgspec

__all__ = ["parse"]

_WARNINGS_KEPT = 100
# Below this, checking everything takes less time than anybody notices.
_SMALL = 1 << 20  # bytes


def parse(
    body: bytes | bytearray, count: int | None, before: Stored | None
) -> tuple[Stored, list[str]]:
    """Parse the bytes of an index, and say what was left out.

    Parameters
    ----------
    body : bytes or bytearray
        The document; nobody changes it from now on.
    count : int or None
        How many entries it has, if a digest vouches for it; its lines may then be checked later.
    before : Stored or None
        Entries that were checked: what is the same bytes there needs no check.

    Raises
    ------
    IndexFormatError
        It is no index.
    """
    if body.startswith(b'{\n"') and body.endswith(b"}\n}\n"):
        lines = _lines(body, count, before if isinstance(before, Lines) else None)
        if lines is not None:
            return lines, []
    found = codec.split(body)
    entries = Entries(found)
    doubtful: Mapping[str, msgspec.Raw] = found
    if isinstance(before, Entries):
        doubtful = {key: found[key] for key in entries.compare_with(before) if key in found}
    if are_beyond_doubt(doubtful):
        return entries, []
    kept, refused = _one_by_one(found)
    return Entries(kept), refused


def _lines(body: bytes | bytearray, count: int | None, before: Lines | None) -> Lines | None:
    """Return the lines of an index in canonical form; None if it is in another, or in doubt."""
    try:
        if len(body) > _SMALL:
            if count is not None:
                return Lines(_located(body), count, is_checked=False)
            if before is not None and before.is_checked:
                return _checked_where_it_differs(body, before)
        pieces = list(_checked(body, _cuts(body)))
    except IndexFormatError:
        return None
    return Lines(pieces, body.count(b"\n") - 2)


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
            raise IndexFormatError(_DOUBT)
        yield Piece(body, start, end, first)
        before = first


def _checked(body: bytes | bytearray, cuts: Iterable[tuple[int, int]]) -> Iterator[Piece]:
    """Check that each line is an entry in canonical form, as good as any that is let through."""
    before = ""
    for start, end in cuts:
        piece = Piece(body, start, end, "")
        members = piece.members()
        decoded = codec.decode_entries(members)
        keys = list(decoded)
        if (
            not keys
            or codec.member_lines(decoded) != members[1:-1]
            or not keys[0] > before
            or keys != sorted(keys)
            or not are_keys(keys)
            or not body.endswith(b"},\n" if end < len(body) - 2 else b"}\n", start, end)
        ):
            raise IndexFormatError(_DOUBT)
        check_depth(members[1:-1], len(keys))
        piece.first, before, piece.is_checked = keys[0], keys[-1], True
        yield piece


def _checked_where_it_differs(body: bytes | bytearray, before: Lines) -> Lines | None:
    """Check the lines that other lines, which were checked, do not have."""
    pieces = list(_located(body))
    lines = Lines(pieces, 0)
    keys = before.differing_keys(lines)
    doubtful: set[int] = set()
    for key in keys:
        number = lines.piece_number(key)
        doubtful |= {max(number - 1, 0), number, min(number + 1, len(pieces) - 1)}
    for one in _neighbors(sorted(doubtful)):
        for _ in _checked(body, ((pieces[number].start, pieces[number].end) for number in one)):
            pass
    gone = sum(key not in lines for key in keys)
    new = sum(key not in before for key in keys)
    return Lines(pieces, len(before) + new - gone)


def _neighbors(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield numbers in rows that have no gap."""
    row: list[int] = []
    for number in numbers:
        if row and number != row[-1] + 1:
            yield row
            row = []
        row.append(number)
    if row:
        yield row


def _one_by_one(
    found: Mapping[str, msgspec.Raw],
) -> tuple[dict[str, msgspec.Raw], list[str]]:
    entries: dict[str, msgspec.Raw] = {}
    refused: list[str] = []
    for key, raw in found.items():
        if problem := entry_problem(key, raw):
            refused.append(f"{quoted(key)} is left out: {problem}")
        else:
            entries[key] = raw
    if len(refused) > _WARNINGS_KEPT:
        more = len(refused) - _WARNINGS_KEPT
        refused[_WARNINGS_KEPT:] = [f"{more} more entries are left out"]
    return entries, refused


_DOUBT = "the index is not in canonical form beyond doubt"
