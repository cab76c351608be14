"""An index in canonical form as it came: lines that are searched, compared and replaced."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache

from ..errors import IndexFormatError, quoted
from . import codec
from .checks import line_problem
from .entries import Stored, keys_that_differ
from .fields import Content
from .piece import Piece, with_commas
from .resync import differing_keys

if TYPE_CHECKING:
    import msgspec

__all__ = ["Lines", "taken_apart"]

T = TypeVar("T")
# A text, and from where to where.
_Run = tuple[bytes | bytearray, int, int]

# So many entries of a piece are decoded by themselves, more of them with all others.
_FEW = 8
_MOST_RAWS = 4096  # entries that are asked for often, kept beside the lines


class Lines(Stored):
    """Entries as lines in canonical form, in pieces that are shared with changed ones.

    A piece is found by its first key and searched for the line; nothing is
    parsed before it is asked for.

    Parameters
    ----------
    pieces : iterable of Piece
        In key order.
    count : int
        How many lines they have.
    is_checked : bool, optional
        Whether each line is known to be a good entry.  Where it is not, a
        line is checked when it is first decoded, and a bad one is left out.
    """

    def __init__(self, pieces: Iterable[Piece], count: int, *, is_checked: bool = True) -> None:
        self._pieces = list(pieces)
        self._firsts = [piece.first for piece in self._pieces]
        self._count = count
        #: Whether each line is known to be a good entry.
        self.is_checked = is_checked
        self._problems: dict[str, None] = {}
        super().__init__()
        self._lock = threading.Lock()
        self._raws: LRUCache[str, bytes] = LRUCache(_MOST_RAWS)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was found wrong in lines when they were first decoded, and left out."""
        return tuple(self._problems)

    def get(self, key: str) -> bytes | None:
        """Return the raw entry of a key, or None."""
        with self._lock:
            raw = self._raws.get(key)
        if raw is None and (raw := self._find(key)) is not None:
            with self._lock:
                self._raws[key] = raw
        return raw

    def piece_number(self, key: str) -> int:
        """Return the number of the piece in which a key stands, if it stands in any."""
        return max(bisect_right(self._firsts, key) - 1, 0)

    def _find(self, key: str) -> bytes | None:
        if not self._pieces:
            return None
        number = self.piece_number(key)
        if not self.is_checked:
            self._of_piece(number, Piece.keys)
        try:
            raw = self._pieces[number].find(key)
        except UnicodeEncodeError:  # half of a surrogate pair, which no key can have
            return None
        if raw is None or self.is_checked or line_problem(key, raw) is None:
            return raw
        self._mend(number, self._pieces[number])
        return self._pieces[number].find(key)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""
        return isinstance(key, str) and self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        for number in range(len(self._pieces)):
            yield from self._of_piece(number, Piece.keys)

    def __len__(self) -> int:
        """Count the keys."""
        return self._count

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries; see `Stored`."""
        for number in range(len(self._pieces)):
            yield from self._of_piece(number, Piece.entries).items()

    def entries_of(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode the entries of some keys; see `Stored`."""
        for number, some in groupby(keys, self.piece_number):
            wanted = list(some)
            if len(wanted) < _FEW:
                yield from ((key, codec.decode(raw)) for key in wanted if (raw := self.get(key)))
            else:
                entries = self._of_piece(number, Piece.entries)
                yield from ((key, entries[key]) for key in wanted if key in entries)

    def contents_of(self, keys: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Tell what some entries say of the bytes of their values; see `Stored`."""
        for number, some in groupby(keys, self.piece_number):
            wanted = list(some)
            if len(wanted) < _FEW:
                raws = ((key, self.get(key)) for key in wanted)
                yield from ((key, Content.of(codec.decode(raw))) for key, raw in raws if raw)
            else:
                contents = self._of_piece(number, Piece.contents)
                yield from ((key, contents[key]) for key in wanted if key in contents)

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and the values of a field; see `Stored`."""
        decode = codec.field_decoder(field)
        for number in range(len(self._pieces)):
            values = self._of_piece(number, lambda piece: piece.values(decode))
            yield from zip(self._pieces[number].keys(), values, strict=True)

    def changed_by(self, changes: Mapping[str, msgspec.Raw | bytes | None]) -> Lines:
        """Return lines of which some are others; pieces without any are shared.  See `Stored`."""
        keys = sorted(changes)
        before = {key: raw for key in keys if (raw := self.get(key)) is not None}
        # Written anew, for what comes from another form may have a newline in it.
        after = {
            key: codec.encode(codec.decode(raw))
            for key in keys
            if (raw := changes[key]) is not None
        }
        pieces: list[Piece] = []
        kept = 0
        for number, some in groupby(keys, self.piece_number):
            pieces += self._pieces[kept:number]
            if not self._pieces:
                pieces += Piece.of_entries(after)
                break
            self._of_piece(number, Piece.keys)
            pieces += self._pieces[number].changed_by({key: after.get(key) for key in some})
            kept = number + 1
        pieces += self._pieces[kept:]
        lines = Lines(pieces, len(self) + len(after) - len(before), is_checked=self.is_checked)
        lines._problems = self._problems
        lines.groups.follow(self.groups, before, after)
        return lines

    def differing_keys(self, other: Stored) -> Iterable[str]:
        """Return the keys whose lines may not be the same bytes; see `Stored`.

        Equal stretches are passed over in large steps; the time is that of
        comparing memory, and some microseconds for each difference.
        """
        if not isinstance(other, Lines):
            return keys_that_differ(self, other)
        try:
            return set(differing_keys(self._pieces, other._pieces))
        except IndexFormatError:
            for lines in (self, other):
                for _ in lines:  # what cannot be read is left out
                    pass
            return set(differing_keys(self._pieces, other._pieces))

    def cut(self, starts: Sequence[str]) -> Iterator[list[bytes | memoryview]]:
        """Yield the text as in a document, cut before some keys; nothing of it is copied.

        Parameters
        ----------
        starts : sequence of str
            In order; the text before the first of them belongs to it.

        Raises
        ------
        IndexFormatError
            A line at which it should be cut is not what it should be.
        """
        for number, runs in enumerate(self._runs(starts), start=1):
            text = [one for run in runs for one in with_commas(*run)]
            if text and number == len(starts):  # the last line of a document has no comma
                text[-1:] = [text[-1][:-2], b"\n"]
            yield text

    def _runs(self, starts: Sequence[str]) -> Iterator[list[_Run]]:
        """Yield where the text between keys lies: pieces that follow each other as one."""
        runs: list[_Run] = []
        current = 1
        for piece, following in zip_longest(self._pieces, self._firsts[1:]):
            at = piece.start
            while current < len(starts) and (following is None or starts[current] < following):
                place, _ = piece.place_of(starts[current])
                yield _joined(runs, (piece.text, at, place))
                runs, at, current = [], place, current + 1
            runs = _joined(runs, (piece.text, at, piece.end))
        yield runs
        yield from ([] for _ in starts[current:])

    def canonical(self) -> bytes:
        """Write the lines as a document; see `Stored`."""
        return b"".join(self.document())

    def document(self) -> Iterator[bytes | memoryview]:
        """Give the lines where they lie, between braces; see `Stored`."""
        return iter([b"{\n", *next(self.cut([""])), b"}\n"])

    # -- lines that were not checked ---------------------------------------------------

    def _of_piece(self, number: int, what: Callable[[Piece], T]) -> T:
        """Ask a piece, which is mended first if its lines are not what they should be."""
        piece = self._pieces[number]
        try:
            found = what(piece)
            if not self.is_checked:
                self._check_end(number, piece.keys())
            return found
        except IndexFormatError:
            self._mend(number, piece)
            return what(self._pieces[number])

    def _check_end(self, number: int, keys: tuple[str, ...]) -> None:
        following = self._firsts[number + 1 : number + 2]
        if keys and following and keys[-1] >= following[0]:
            raise IndexFormatError("the lines of the index are not in order")

    def _mend(self, number: int, piece: Piece) -> None:
        """Put in place of a piece one without the lines that are bad, and report those."""
        first, following = self._firsts[number], self._firsts[number + 1 : number + 2]
        entries: dict[str, bytes] = {}
        before = ""
        problems: list[str] = []
        for line in piece.lines():
            key, raw, problem = taken_apart(line)
            is_in_order = before < key and first <= key and (not following or key < following[0])
            if problem is None and is_in_order:
                entries[key] = raw
                before = key
            else:
                problems.append(f"{quoted(key)} is left out: {problem or 'it is not in order'}")
        with self._lock:
            if self._pieces[number] is piece:  # or another thread has mended it
                self._pieces[number] = Piece.of_all(entries, first)
                self._count -= len(problems)
                self._problems.update(dict.fromkeys(problems))


def _joined(runs: list[_Run], run: _Run) -> list[_Run]:
    """Add a stretch of text to others, to the last of them if it follows that."""
    if runs and runs[-1][0] is run[0] and runs[-1][2] == run[1]:
        runs[-1] = run[0], runs[-1][1], run[2]
    else:
        runs.append(run)
    return runs


def taken_apart(line: bytes) -> tuple[str, bytes, str | None]:
    """Return key and raw entry of a line, and what is wrong with it."""
    try:
        ((key, raw),) = codec.split(b"{%b}" % line).items()
    except (IndexFormatError, ValueError):
        return line[:80].decode("utf-8", "replace"), b"", "the line is no entry"
    return key, bytes(raw), line_problem(key, bytes(raw))
