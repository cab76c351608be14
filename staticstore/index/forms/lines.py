"""Lines of a canonical index: searched, compared and changed without parsing."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache

from ... import tuning
from ...errors import IndexFormatError
from .. import codec
from ..fields import Content, line_problem
from .compare import differing_keys
from .field_indexes import FieldIndexes
from .piece import Piece, with_commas
from .stored import Stored
from .value_groups import young_collected

if TYPE_CHECKING:
    from .stored import RawChanges

__all__ = ["Lines", "split_line"]
T = TypeVar("T")
# A text, and where in it a run of lines begins and ends.
_Run = tuple[bytes | bytearray, int, int]


class Lines(Stored):
    """The lines of a canonical index, in pieces that changed indexes share.

    A piece is found by its first key, and searched for the line; nothing is
    parsed before it is needed.

    Parameters
    ----------
    pieces : iterable of Piece
        In key order.
    count : int, optional
        The number of lines; counted at first use if not given.
    is_checked : bool, optional
        Whether each line is known to be a valid entry in canonical form.  If
        not, what is read is checked first, and any call may raise
        `IndexFormatError`; `UncheckedLines` then parses the whole document.
    """

    #: Whether each line is known to be a valid entry in canonical form.
    is_checked: bool = False

    def __init__(
        self, pieces: Iterable[Piece], count: int | None = None, *, is_checked: bool = True
    ) -> None:
        super().__init__()
        self.field_indexes = FieldIndexes(self, Lines.values_of, Lines.__iter__, Lines._value_runs)
        self._pieces = list(pieces)
        self._firsts = [piece.first for piece in self._pieces]
        self._count = count
        self.is_checked = is_checked
        # Whether the lines are known to be as many entries, their keys in order.
        self._is_in_order = is_checked
        # Never waited for, since a forked child may find it held forever.  Without it, a look-up
        # does not use `_raws`, which may be half changed.
        self._lock = threading.Lock()
        self._raws: LRUCache[str, bytes] = LRUCache(tuning.FOUND_ENTRIES)

    def get(self, key: str) -> bytes | None:
        """See `Stored`."""
        if not self._lock.acquire(False):
            return self._find(key)
        try:
            raw = self._raws.get(key)
            if raw is None and (raw := self._find(key)) is not None:
                self._raws[key] = raw
            return raw
        finally:
            self._lock.release()

    def _piece_number(self, key: str) -> int:
        """Return the number of the piece that has a key, if any has."""
        return max(bisect_right(self._firsts, key) - 1, 0)

    def _find(self, key: str) -> bytes | None:
        if not self._pieces:
            return None
        number = self._piece_number(key)
        piece = self._pieces[number]
        try:
            raw = piece.find(key)
        except UnicodeEncodeError:  # half of a surrogate pair: not a key
            return None
        if not (self.is_checked or piece.is_checked):
            keys = self._read(number, Piece.keys)
            piece.check_lines()
            # A key that is there and was not found is written in another way.
            if key in keys if raw is None else line_problem(key, raw, https_only=piece.https_only):
                raise IndexFormatError("a line is not in canonical form")
        return raw

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        for number in range(len(self._pieces)):
            yield from self._read(number, Piece.keys)

    def keys_from(self, start: str) -> Iterator[str]:
        """See `Stored`."""
        if not self._pieces:
            return
        number = self._piece_number(start)
        keys = self._read(number, Piece.keys)
        yield from islice(keys, bisect_left(keys, start), None)
        for following in range(number + 1, len(self._pieces)):
            yield from self._read(following, Piece.keys)

    def __len__(self) -> int:
        """Count the keys."""
        if self._count is None:
            self._count = sum(piece.count() for piece in self._pieces)
        return self._count

    def has_at_least(self, count: int) -> bool:
        """See `Stored`; each piece has at least one key."""
        return len(self._pieces) >= count or len(self) >= count

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        for number in range(len(self._pieces)):
            yield from self._read(number, Piece.entries).items()

    def entries_of(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        return self._some(keys, Piece.entries, codec.decode)

    def contents_of(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """See `Stored`."""
        return self._some(keys, Piece.contents, lambda raw: Content.of(codec.decode(raw)))

    def _some(
        self,
        keys: Sequence[str],
        read: Callable[[Piece], Mapping[str, T]],
        decode: Callable[[bytes], T],
    ) -> Iterator[tuple[str, T]]:
        few, at = tuning.DECODED_SINGLY_ENTRIES, 0
        while self._pieces and at < len(keys):
            number = self._piece_number(keys[at])
            following = self._firsts[number + 1 : number + 2]
            end = bisect_left(keys, following[0], at) if following else len(keys)
            wanted = keys[at : max(end, at + 1)]  # of lines that are not in order, at least one
            at += len(wanted)
            if len(wanted) < few:
                yield from ((key, decode(raw)) for key in wanted if (raw := self.get(key)))
            else:
                found = self._read(number, read)
                yield from ((key, found[key]) for key in wanted if key in found)

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """See `Stored`."""
        for piece, values in self._values_by_piece(field):
            yield from zip(piece.keys(), values, strict=True)

    def _value_runs(self, field: str) -> Iterator[list[Any]]:
        return (values for _, values in self._values_by_piece(field))

    def _values_by_piece(self, field: str) -> Iterator[tuple[Piece, list[Any]]]:
        decode, count = codec.field_decoder(field), 0
        runs = (
            self._read(number, lambda piece: piece.values(decode))
            for number in range(len(self._pieces))
        )
        for piece, values in zip(self._pieces, young_collected(runs), strict=True):
            count += len(values)
            yield piece, values
        self._end_of_order(count)

    def folded(self, changes: RawChanges) -> Lines:
        """Write pieces with changes anew and share the others; see `Stored`."""
        keys = sorted(changes)
        before = {key: raw for key in keys if (raw := self.get(key)) is not None}
        # Encoded anew: a raw entry from another form may have a newline in it.
        after = {
            key: codec.encode(codec.decode(raw))
            for key in keys
            if (raw := changes[key]) is not None
        }
        pieces: list[Piece] = []
        done = 0
        for number, some in groupby(keys, self._piece_number):
            pieces += self._pieces[done:number]
            if not self._pieces:
                pieces += Piece.of_entries(after)
                break
            self._read(number, Piece.keys)
            pieces += self._pieces[number].changed_by({key: after.get(key) for key in some})
            done = number + 1
        pieces += self._pieces[done:]
        count = len(self) + len(after) - len(before)
        lines = Lines(pieces, count, is_checked=self.is_checked)
        lines.field_indexes.follow(self.field_indexes, before, after)
        return lines

    def keys_that_may_differ(self, other: Stored) -> Iterable[str]:
        """Return the keys whose lines may be different bytes; see `Stored`.

        The cost is that of comparing memory, and some microseconds for each
        difference.  All lines that differ are checked, so that the other lines
        are checked afterwards if these are.

        Raises
        ------
        IndexFormatError
            One of the lines is not in canonical form, or not in order.
        """
        if not isinstance(other, Lines):
            return super().keys_that_may_differ(other)
        are_checked = self.is_checked, other.is_checked
        keys = set(differing_keys(self._pieces, other._pieces, are_checked=are_checked))
        if self.is_checked and not other.is_checked:
            other._become_checked()
        return keys

    # -- lines that are not checked yet ------------------------------------------------

    def checking(self) -> Iterator[None]:
        """Check each piece, one a step; see `Stored`."""
        if self.is_checked:
            return
        for number, piece in enumerate(self._pieces):
            if not piece.is_checked:
                self._check_ends(number, piece.check())
                piece.is_checked = True
                yield
        self._become_checked()

    def check_order(self) -> None:
        """Check that there are as many entries as lines, and that their keys are in order."""
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
        self.is_checked = self._is_in_order = True

    def _read(self, number: int, read: Callable[[Piece], T]) -> T:
        """Read a piece, and check the order of its keys and those of its neighbors."""
        piece = self._pieces[number]
        found = read(piece)
        if not self._is_in_order:
            self._check_ends(number, piece.keys())
        return found

    def _check_ends(self, number: int, keys: Sequence[str]) -> None:
        following = self._firsts[number + 1 : number + 2]
        if keys[0] != self._firsts[number] or (following and keys[-1] >= following[0]):
            raise IndexFormatError("the lines of the index are not in order")

    # -- writing -----------------------------------------------------------------------

    def lines(self) -> Lines:
        """See `Stored`."""
        return self

    def cut(self, starts: Sequence[str]) -> Iterator[list[bytes | memoryview]]:
        """Yield the text as in a document, cut before some keys, without copying it.

        Parameters
        ----------
        starts : sequence of str
            In order; the text before the first key is part of the first cut.

        Raises
        ------
        IndexFormatError
            A line before which to cut is not what it should be.
        """
        for number, runs in enumerate(self._runs(starts), start=1):
            text = [one for run in runs for one in with_commas(*run)]
            if text and number == len(starts):  # the last line of a document has no comma
                text[-1:] = [text[-1][:-2], b"\n"]
            yield text

    def _runs(self, starts: Sequence[str]) -> Iterator[list[_Run]]:
        """Yield where the text from key to key is; pieces next to each other are joined."""
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
        """See `Stored`."""
        return b"".join(self.document())

    def document(self) -> Iterator[bytes | memoryview]:
        """Write the lines between braces, without copying them; see `Stored`."""
        return iter([b"{\n", *next(self.cut([""])), b"}\n"])


def _joined(runs: list[_Run], run: _Run) -> list[_Run]:
    if runs and runs[-1][0] is run[0] and runs[-1][2] == run[1]:
        runs[-1] = run[0], runs[-1][1], run[2]
    else:
        runs.append(run)
    return runs


def split_line(line: bytes, *, https_only: bool = False) -> tuple[str, bytes, str | None]:
    """Return the key and the raw entry of a line, and what is wrong with it, or None."""
    try:
        ((key, raw),) = codec.split(b"{%b}" % line).items()
    except (IndexFormatError, ValueError):
        return line[:80].decode("utf-8", "replace"), b"", "the line is not an entry"
    return key, bytes(raw), line_problem(key, bytes(raw), https_only=https_only)
