"""Parse an ``index.json``: fast in canonical form, correctly in any."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ... import tuning
from ...errors import IndexFormatError
from ...processes import PerProcess
from ..fields import are_keys, canonical_lines
from .entries import Entries, parse_any
from .field_indexes import FieldIndexes
from .lines import Lines
from .piece import Piece, key_at
from .search import search
from .stored import Stored

if TYPE_CHECKING:
    from ...query.conditions import Conditions
    from ...query.sort_order import SortOrder
    from ..codec import Raw
    from ..fields import Content
    from .search import Matches
    from .stored import RawChanges

__all__ = ["UncheckedLines", "build", "canonical_lines_of", "parse"]

T = TypeVar("T")


def parse(
    body: bytes | bytearray,
    *,
    is_vouched: bool,
    newlines: int | None,
    before: Stored | None,
    https_only: bool = False,
) -> tuple[Stored, tuple[str, ...]]:
    """Parse the bytes of an index.

    Parameters
    ----------
    body : bytes or bytearray
        The document; it must never change again.
    is_vouched : bool
        Whether a digest vouches for the bytes, so that lines may be checked later.
    newlines : int or None
        The number of newlines in the document, if they were counted already.
    before : Stored or None
        Older entries: if they are checked, those with the same bytes are not
        checked again.
    https_only : bool, optional
        As of `Index.parse`.

    Returns
    -------
    (Stored, tuple of str)
        The entries, and a warning for each one that was left out.

    Raises
    ------
    IndexFormatError
        It is not an index.
    """
    valid = None if before is None or not before.is_checked else before.checked()
    if body.startswith(b'{\n"') and body.endswith(b"}\n}\n"):
        try:
            return _parse_lines(body, is_vouched, newlines, valid, https_only), ()
        except IndexFormatError:  # it only looks like canonical form
            pass
    return parse_any(body, valid, https_only=https_only)


def build(items: Iterable[tuple[str, Mapping[str, Any]]]) -> Stored:
    """Build entries of keys, in order, and their metadata: `Index.from_items`."""
    keys: list[str] = []
    lines: list[bytes] = []
    remaining = iter(items)
    while batch := list(islice(remaining, tuning.UNCHECKED_BATCH_ENTRIES)):
        keys += [key for key, _ in batch]
        lines.append(canonical_lines(batch))
    body = b"{\n" + b",\n".join(lines) + b"\n}\n"
    # Each line ends with the brace of its object, and the document with one more: JSON escapes
    # a newline in a text.
    are_objects = body.count(b"}\n") + body.count(b"},\n") == len(keys) + 1
    if are_objects and are_keys(keys) and all(map(operator.lt, keys, islice(keys, 1, None))):
        places = _places(body) if keys else ()
        pieces = [Piece(body, start, end, key_at(body, start)) for start, end in places]
        for piece in pieces:
            piece.is_checked = True
        return Lines(pieces, len(keys))
    # Not canonical, or not valid: parsed as any other document, it says why.
    stored, warnings = parse(body, is_vouched=False, newlines=None, before=None)
    if warnings:
        raise IndexFormatError(warnings[0])
    return stored


def canonical_lines_of(body: bytes) -> Lines:
    """Return the lines of a document that `Index.canonical` has written, without a check.

    Raises
    ------
    IndexFormatError
        It is not canonical, as far as that is noticed.
    """
    if not (body.startswith(b'{\n"') and body.endswith(b"}\n}\n")):
        raise IndexFormatError("the index is not in canonical form")
    return Lines(_pieces(body, False, checks=False))


def _parse_lines(
    body: bytes | bytearray,
    is_vouched: bool,
    newlines: int | None,
    before: Stored | None,
    https_only: bool,
) -> Stored:
    if len(body) > tuning.CHECKED_AT_ONCE_BYTES:
        count = None if newlines is None else newlines - 2  # the lines with the outer braces
        if is_vouched:
            pieces = list(_pieces(body, https_only, checks=False))
            return UncheckedLines(body, pieces, count, https_only=https_only)
        if isinstance(before, Lines):
            pieces = list(_pieces(body, https_only, checks=False))
            lines = Lines(pieces, count, is_checked=False)
            before.keys_that_may_differ(lines)  # checks all lines that are new
            return lines
    return Lines(_pieces(body, https_only, checks=True))


def _places(body: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Yield where each piece of whole lines begins and ends."""
    # Between "{\n" and "}\n".
    start, last, size = 2, len(body) - 2, tuning.INDEX_PIECE_BYTES
    while start < last:
        end = body.find(b"\n", min(start + size, last - 1)) + 1
        yield start, end
        start = end


def _pieces(body: bytes | bytearray, https_only: bool, *, checks: bool) -> Iterator[Piece]:
    """Yield the pieces; without `checks`, only the first key of each is read."""
    last_key = ""
    for start, end in _places(body):
        piece = Piece(body, start, end, "", https_only=https_only)
        keys = piece.check() if checks else [key_at(body, start)]
        if keys[0] <= last_key:
            raise IndexFormatError("the lines of the index are not in order")
        piece.first, last_key, piece.is_checked = keys[0], keys[-1], checks
        yield piece


class UncheckedLines(Stored):
    """A document whose lines were located but not checked.

    If all turn out to be in canonical form, they stay `Lines`.  As soon as
    one does not, in `checking` or because it is read, the whole document is
    parsed as any JSON, once, and all answers come from these `Entries`.

    A look-up checks the piece of 16 KiB that has its key.  A query and an
    iteration first check that all pieces are whole entries with keys in
    order, so that they find what any JSON parser finds.  So only the result of
    a look-up can turn out wrong before the check ends: if the document holds,
    far from that key, an object that spans more than 16 KiB, or the key again.

    Parameters
    ----------
    body : bytes or bytearray
        The document; it must never change again.
    pieces : list of Piece
        Where its lines are.
    count : int or None
        The number of lines, if they were counted already.
    https_only : bool, optional
        As of `Index.parse`.
    """

    #: See `Stored`.
    problems: tuple[str, ...] = ()
    refusal: str | None = None

    def __init__(
        self,
        body: bytes | bytearray,
        pieces: list[Piece],
        count: int | None,
        *,
        https_only: bool = False,
    ) -> None:
        self._body: bytes | bytearray = body
        self._https_only = https_only
        # What gives the answers: entries, once the document was parsed as any JSON.
        self._answers: Lines | Entries = Lines(pieces, count, is_checked=False)
        # An index of a field reads all lines, and so checks their order, before it answers.
        self.field_indexes = self._answers.field_indexes
        self._parsing = PerProcess(threading.Lock)

    # -- the check ---------------------------------------------------------------------

    @property
    def is_checked(self) -> bool:
        """Whether the document's form is known, also by a comparison with checked lines."""
        return self._answers.is_checked

    def checking(self) -> Iterator[None]:
        """Check the lines, 16 KiB a step; see `Stored`."""
        try:
            for _ in self._answers.checking():
                if self.is_checked:
                    return
                yield
                # Let a first query finish: it would wait for the interpreter after each step.
                self.field_indexes.wait()
        except IndexFormatError:
            self._parsed()

    def checked(self) -> Stored:
        """Return the `Lines` or `Entries` that the document is; see `Stored`."""
        for _ in self.checking():
            pass
        return self._parsed()

    def _parsed(self) -> Entries | Lines:
        """Parse the document as any JSON, unless it is checked, parsed or refused already."""
        with self._parsing.get():
            if self.refusal is None and not self.is_checked:
                try:
                    https_only = self._https_only
                    entries, self.problems = parse_any(self._body, https_only=https_only)
                except IndexFormatError as error:
                    self.refusal = str(error)
                    kind = UncheckedLines  # which raises
                    self.field_indexes = FieldIndexes(self, kind.values_of, kind.__iter__)
                else:
                    self._answers, self._body = entries, b""
                    self.field_indexes = entries.field_indexes
            if self.refusal is not None:
                raise IndexFormatError(self.refusal)
            return self._answers

    # -- reading -----------------------------------------------------------------------

    def _ask(self, ask: Callable[[Stored], T]) -> T:
        """Ask the lines if they can answer, else the document parsed as any JSON."""
        if self.refusal is None:
            try:
                return ask(self._answers)
            except IndexFormatError:
                pass
        return ask(self._parsed())

    def _all(self, read: Callable[[Stored], Iterator[T]]) -> Iterator[T]:
        """Read all entries, after a check that their keys are in order."""
        stored = self._ask(_in_order)
        try:
            yield from read(stored)
        except IndexFormatError:
            # The keys are right: a number overflows, say, and this is not an index in any form.
            self._parsed()
            raise

    def get(self, key: str) -> Raw | None:
        """See `Stored`."""
        if self.refusal is None:  # as `_ask`, but faster (benchmark: parsing)
            try:
                return self._answers.get(key)
            except IndexFormatError:
                pass
        return self._parsed().get(key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return self._all(iter)

    def keys_from(self, start: str) -> Iterator[str]:
        """See `Stored`."""
        return self._all(lambda one: one.keys_from(start))

    def __len__(self) -> int:
        """Count the keys; before the check, the lines."""
        return len(self._answers)

    def has_at_least(self, count: int) -> bool:
        """See `Stored`."""
        return self._answers.has_at_least(count)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        return self._all(lambda one: one.items())

    def entries_of(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        count = tuning.UNCHECKED_BATCH_ENTRIES
        for start in range(0, len(keys), count):
            yield from self._some_entries(keys[start : start + count])

    def _some_entries(self, keys: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
        return self._ask(lambda one: list(one.entries_of(keys)))

    def contents_of(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """See `Stored`."""
        return iter(self._ask(lambda one: list(one.contents_of(keys))))

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """See `Stored`."""
        return self._all(lambda one: one.values_of(field))

    def keys_with(self, field: str, value: Hashable) -> Sequence[str]:
        """See `Stored`."""
        try:
            return self.field_indexes.keys(field, value)
        except IndexFormatError:
            return self._parsed().keys_with(field, value)

    def search(self, conditions: Conditions, order: SortOrder | None) -> Matches:
        """See `Stored`."""
        try:
            return search(self.field_indexes, conditions, order)
        except IndexFormatError:
            return self._parsed().search(conditions, order)

    # -- other entries, and writing ----------------------------------------------------

    def folded(self, changes: RawChanges) -> Stored:
        """See `Stored`."""
        return self.checked().folded(changes)

    def keys_that_may_differ(self, other: Stored) -> Iterable[str]:
        """See `Stored`."""
        return self.checked().keys_that_may_differ(other)

    def lines(self) -> Lines | None:
        """See `Stored`."""
        answers = self._answers
        return answers if self.refusal is None and isinstance(answers, Lines) else None

    def canonical(self) -> bytes:
        """See `Stored`."""
        return self.checked().canonical()

    def document(self) -> Iterator[bytes | memoryview]:
        """Write the document as it came; see `Stored`."""
        body = self._body
        if self.lines() is not None:
            return iter([memoryview(body)])
        return self._parsed().document()


def _in_order(stored: Stored) -> Stored:
    if isinstance(stored, Lines):
        stored.check_order()
    return stored
