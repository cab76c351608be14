"""An index in canonical form, if its digest is right about it: read before all is checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import IndexFormatError
from ..processes import PerProcess
from .entries import Entries, Stored
from .field_groups import FieldGroups
from .general import parse_any
from .lines import Lines

if TYPE_CHECKING:
    import msgspec

    from .fields import Content
    from .piece import Piece

__all__ = ["UncheckedLines", "lines_of"]

T = TypeVar("T")
_AT_ONCE = 256  # entries decoded at once


class UncheckedLines(Stored):
    """A document of lines that were located and not checked; it becomes one of two things.

    If all turn out to be in canonical form, they stay what they are.  As soon
    as one does not, be it in `checking` or because it is read, the whole document is
    parsed as any JSON, once, and gives all answers from then on.

    A look-up checks the 16 KiB in which its key stands.  A query and an iteration
    first check that all 16 KiB are whole entries whose keys rise, so that they
    say what any JSON parser says.  So only what a look-up said can turn out wrong, until
    the check ends: if the document holds, far from that key, an object that
    spans more than 16 KiB, or the same key again.

    Parameters
    ----------
    body : bytes or bytearray
        The document, which never changes again.
    pieces : list of Piece
        Where its lines stand.
    count : int or None
        How many lines there are, if they were counted already.
    """

    def __init__(self, body: bytes | bytearray, pieces: list[Piece], count: int | None) -> None:
        self._body: bytes | bytearray = body
        #: What gives the answers; entries if the document was parsed as any JSON.
        self._answers: Lines | Entries = Lines(pieces, count, is_checked=False)
        # Those of the lines are built from all of them, before any key is given out.
        self.groups = self._answers.groups
        self._problems: tuple[str, ...] = ()
        self._refusal: str | None = None
        self._parsing = PerProcess(threading.Lock)

    # -- the check ---------------------------------------------------------------------

    @property
    def is_checked(self) -> bool:
        """Whether it is decided what the document is; also by newer lines: `Lines.prove`."""
        return self._answers.is_checked

    def checking(self) -> Iterator[None]:
        """Check the lines, 16 KiB a step; see `Stored`.

        Raises
        ------
        IndexFormatError
            The document is no index.
        """
        try:
            for _ in self._answers.checking():
                if self.is_checked:
                    return
                yield
                self.groups.wait()  # its pass would wait for the interpreter after each step
        except IndexFormatError:
            self._parsed()

    def checked(self) -> Stored:
        """Return what the document is, all of it checked; see `Stored`."""
        for _ in self.checking():
            pass
        return self._parsed()

    def _parsed(self) -> Entries | Lines:
        """Parse the whole document as any JSON, unless it is decided what it is."""
        with self._parsing.get():
            if self._refusal is None and not self.is_checked:
                try:
                    entries, self._problems = parse_any(self._body)
                except IndexFormatError as error:
                    self._refusal = str(error)
                    self.groups = FieldGroups(self.values_of)  # which raises
                else:
                    self._answers, self.groups, self._body = entries, entries.groups, b""
            if self._refusal is not None:
                raise IndexFormatError(self._refusal)
            return self._answers

    @property
    def lines(self) -> Lines | None:
        """The lines, unless they are known not to be in canonical form."""
        answers = self._answers
        return answers if self._refusal is None and isinstance(answers, Lines) else None

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out when the document was parsed; see `Stored`."""
        return self._problems

    @property
    def refusal(self) -> str | None:
        """Why the document is no index, once that is found; see `Stored`."""
        return self._refusal

    # -- reading -----------------------------------------------------------------------

    def _ask(self, ask: Callable[[Stored], T]) -> T:
        """Ask the lines, as long as they are beyond doubt; else the document as any JSON."""
        if self._refusal is None:
            try:
                return ask(self._answers)
            except IndexFormatError:
                pass
        return ask(self._parsed())

    def _all(self, read: Callable[[Stored], Iterator[T]]) -> Iterator[T]:
        """Read all entries, after a check that there are no others, and that the keys rise."""
        stored = self._ask(_in_order)
        try:
            yield from read(stored)
        except IndexFormatError:
            # A number overflows, say: the keys are right, and this is no index in any form.
            self._parsed()
            raise

    def get(self, key: str) -> msgspec.Raw | bytes | None:
        """Return the raw entry of a key, or None."""
        if self._refusal is None:  # as `_ask`, for what is asked most often
            try:
                return self._answers.get(key)
            except IndexFormatError:
                pass
        return self._parsed().get(key)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key."""
        return isinstance(key, str) and self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return self._all(iter)

    def __len__(self) -> int:
        """Count the keys: before the check, the lines."""
        return len(self._answers)

    def has_at_least(self, count: int) -> bool:
        """Tell whether there are so many keys; see `Stored`."""
        return self._answers.has_at_least(count)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries; see `Stored`."""
        return self._all(lambda one: one.items())

    def entries_of(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode the entries of some keys; see `Stored`."""
        rest = iter(keys)
        while some := list(islice(rest, _AT_ONCE)):
            yield from self._ask(partial(_entries_of, keys=some))

    def contents_of(self, keys: Iterable[str]) -> Iterator[tuple[str, Content]]:
        """Tell what some entries say of the bytes of their values; see `Stored`."""
        wanted = list(keys)
        return iter(self._ask(lambda one: list(one.contents_of(wanted))))

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and the values of a field; see `Stored`."""
        return self._all(lambda one: one.values_of(field))

    def keys_with(self, field: str, value: Hashable) -> Sequence[str]:
        """Return the keys of the entries whose field has a value; see `Stored`."""
        try:
            return self.groups.keys(field, value)
        except IndexFormatError:
            return self._parsed().keys_with(field, value)

    def changed_by(self, changes: Mapping[str, msgspec.Raw | bytes | None]) -> Stored:
        """Return entries of which some are others; see `Stored`."""
        return self.checked().changed_by(changes)

    def differing_keys(self, other: Stored) -> Iterable[str]:
        """Return the keys whose raw entries may not be the same bytes; see `Stored`."""
        return self.checked().differing_keys(other)

    def canonical(self) -> bytes:
        """Write the entries as a document in canonical form; see `Stored`."""
        return self.checked().canonical()

    def document(self) -> Iterator[bytes | memoryview]:
        """Give the document as it came; see `Stored`."""
        body = self._body
        if self.lines is not None:
            return iter([memoryview(body)])
        return self._parsed().document()


def lines_of(stored: Stored) -> Lines | None:
    """Return entries as lines in canonical form, checked or not; None if they are in another."""
    if isinstance(stored, UncheckedLines):
        return stored.lines
    return stored if isinstance(stored, Lines) else None


def _entries_of(stored: Stored, keys: list[str]) -> list[tuple[str, dict[str, Any]]]:
    return list(stored.entries_of(keys))


def _in_order(stored: Stored) -> Stored:
    if isinstance(stored, Lines):
        stored.check_order()
    return stored
