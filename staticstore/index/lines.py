"""An index in canonical form as it came: lines that are searched, compared and replaced."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache

from ..errors import IndexFormatError
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
    count : int, optional
        How many lines they have; counted when it is first needed if not given.
    is_checked : bool, optional
        Whether each line is known to be a good entry in canonical form.  If
        not, what is read is checked first, and any call may raise
        `IndexFormatError`: `UncheckedLines` goes another way then.
    """

    def __init__(
        self, pieces: Iterable[Piece], count: int | None = None, *, is_checked: bool = True
    ) -> None:
        self._pieces = list(pieces)
        self._firsts = [piece.first for piece in self._pieces]
        self._count = count
        self._is_checked = is_checked
        # Whether all that stands between the lines' ends is known to be entries, and their keys
        # to rise: so all of them are those of the document.
        self._is_in_order = is_checked
        super().__init__()
        # Never waited for: in a forked child it may be held for good, and so guard what was half
        # changed at the fork.  Without it a look-up does without what is kept.
        self._lock = threading.Lock()
        self._raws: LRUCache[str, bytes] = LRUCache(_MOST_RAWS)

    @property
    def is_checked(self) -> bool:
        """Whether each line is known to be a good entry in canonical form."""
        return self._is_checked

    def get(self, key: str) -> bytes | None:
        """Return the raw entry of a key, or None."""
        if not self._lock.acquire(False):
            return self._find(key)
        try:
            raw = self._raws.get(key)
            if raw is None and (raw := self._find(key)) is not None:
                self._raws[key] = raw
            return raw
        finally:
            self._lock.release()

    def piece_number(self, key: str) -> int:
        """Return the number of the piece in which a key stands, if it stands in any."""
        return max(bisect_right(self._firsts, key) - 1, 0)

    def _find(self, key: str) -> bytes | None:
        if not self._pieces:
            return None
        number = self.piece_number(key)
        piece = self._pieces[number]
        try:
            raw = piece.find(key)
        except UnicodeEncodeError:  # half of a surrogate pair, which no key can have
            return None
        if not (self._is_checked or piece.is_checked):
            keys = self._read(number, Piece.keys)
            piece.check_lines()
            # A key that is there and not found is written in another way.
            if key in keys if raw is None else line_problem(key, raw):
                raise IndexFormatError("a line is not in canonical form")
        return raw

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""
        return isinstance(key, str) and self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        for number in range(len(self._pieces)):
            yield from self._read(number, Piece.keys)

    def __len__(self) -> int:
        """Count the keys."""
        if self._count is None:
            self._count = sum(piece.count() for piece in self._pieces)
        return self._count

    def has_at_least(self, count: int) -> bool:
        """Tell whether there are so many keys; each piece has one."""
        return len(self._pieces) >= count or len(self) >= count

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries; see `Stored`."""
        for number in range(len(self._pieces)):
            yield from self._read(number, Piece.entries).items()

    def entries_of(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode the entries of some keys; see `Stored`."""
        for number, some in groupby(keys, self.piece_number):
            wanted = list(some)
            if len(wanted) < _FEW:
                yield from ((key, codec.decode(raw)) for key in wanted if (raw := self.get(key)))
            else:
                entries = self._read(number, Piece.entries)
                yield from ((key, entries[key]) for key in wanted if key in entries)

    def contents_of(self, keys: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Tell what some entries say of the bytes of their values; see `Stored`."""
        for number, some in groupby(keys if self._pieces else (), self.piece_number):
            wanted = list(some)
            if len(wanted) < _FEW:
                raws = ((key, self.get(key)) for key in wanted)
                yield from ((key, Content.of(codec.decode(raw))) for key, raw in raws if raw)
            else:
                contents = self._read(number, Piece.contents)
                yield from ((key, contents[key]) for key in wanted if key in contents)

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and the values of a field; see `Stored`."""
        decode, count = codec.field_decoder(field), 0
        for number, piece in enumerate(self._pieces):
            values = self._read(number, lambda piece: piece.values(decode))
            count += len(values)
            yield from zip(piece.keys(), values, strict=True)
        self._end_of_order(count)

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
            self._read(number, Piece.keys)
            pieces += self._pieces[number].changed_by({key: after.get(key) for key in some})
            kept = number + 1
        pieces += self._pieces[kept:]
        count = len(self) + len(after) - len(before)
        lines = Lines(pieces, count, is_checked=self._is_checked)
        lines.groups.follow(self.groups, before, after)
        return lines

    def differing_keys(self, other: Stored) -> Iterable[str]:
        """Return the keys whose lines may not be the same bytes; see `Stored`."""
        return self.prove(other) if isinstance(other, Lines) else keys_that_differ(self, other)

    def prove(self, new: Lines) -> set[str]:
        """Return the keys whose lines may not be the same bytes in newer lines.

        Equal stretches are passed over in large steps; the time is that of
        comparing memory, and some microseconds for each difference.  All lines
        that differ are checked, so that the newer ones are checked if these are.

        Raises
        ------
        IndexFormatError
            One of the lines is not in canonical form, or not in order.
        """
        are_checked = self._is_checked, new._is_checked
        keys = set(differing_keys(self._pieces, new._pieces, are_checked=are_checked))
        if self._is_checked and not new._is_checked:
            new._become_checked()
        return keys

    # -- lines that were not checked ---------------------------------------------------

    def checking(self) -> Iterator[None]:
        """Check each piece, one a step; see `Stored`."""
        if self._is_checked:
            return
        for number, piece in enumerate(self._pieces):
            if not piece.is_checked:
                self._check_ends(number, piece.check())
                piece.is_checked = True
                yield
        self._become_checked()

    def check_order(self) -> None:
        """Check that there are as many entries as lines, and that all keys rise."""
        if not self._is_in_order:
            numbers = range(len(self._pieces))
            self._end_of_order(sum(len(self._read(number, Piece.keys)) for number in numbers))

    def _end_of_order(self, count: int) -> None:
        if count != len(self):
            raise IndexFormatError("a line of the index is not one entry")
        self._is_in_order = True

    def _become_checked(self) -> None:
        for piece in self._pieces:
            piece.is_checked = True
        self._is_checked = self._is_in_order = True

    def _read(self, number: int, what: Callable[[Piece], T]) -> T:
        """Ask a piece, and check how its keys follow those of its neighbors."""
        piece = self._pieces[number]
        found = what(piece)
        if not self._is_in_order:
            self._check_ends(number, piece.keys())
        return found

    def _check_ends(self, number: int, keys: Sequence[str]) -> None:
        following = self._firsts[number + 1 : number + 2]
        if keys[0] != self._firsts[number] or (following and keys[-1] >= following[0]):
            raise IndexFormatError("the lines of the index are not in order")

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
