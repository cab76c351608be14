"""A piece of a canonical index: whole lines, searched without parsing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import IndexFormatError
from .. import codec
from ..fields import Content, are_keys, place_problem

if TYPE_CHECKING:
    from ..codec import FieldDecoder

__all__ = ["Piece", "checked_key", "key_at", "name_of", "with_commas"]

_COMMA = ord(",")
# How an entry in canonical form says where its value is.
_PLACED = b'"placed":{"href":"'


class Piece:
    """Some lines of an index in canonical form, never changed.

    The bytes stay in the document that they came in, which pieces share.

    Parameters
    ----------
    text : bytes or bytearray
        What holds the lines; never changed.  There is a newline before each line.
    start, end : int
        Where the first line begins and the last one ends, in bytes.
    first : str
        The key of the first line.
    https_only : bool, optional
        As of `href_problem`; an entry that is refused makes the lines not canonical.
    """

    __slots__ = (
        "_has_only_lines",
        "_keys",
        "end",
        "first",
        "https_only",
        "is_checked",
        "start",
        "text",
    )

    def __init__(
        self,
        text: bytes | bytearray,
        start: int,
        end: int,
        first: str,
        *,
        https_only: bool = False,
    ) -> None:
        self.text = text
        self.start = start
        self.end = end
        self.first = first
        self.https_only = https_only
        #: Whether each line is known to be a valid entry in canonical form.
        self.is_checked = False
        self._has_only_lines = False
        self._keys: tuple[str, ...] = ()

    @classmethod
    def of_entries(cls, entries: Mapping[str, bytes]) -> Iterator[Piece]:
        """Write raw entries, in key order, into new pieces."""
        lines = [b"%b:%b,\n" % (codec.encode(key), raw) for key, raw in entries.items()]
        return cls._of_lines(b"".join([b"\n", *lines]), is_checked=True)

    @classmethod
    def _of_lines(
        cls, text: bytes, *, is_checked: bool, https_only: bool = False
    ) -> Iterator[Piece]:
        """Cut lines, with a newline before and a comma after each, into pieces."""
        start, size = 1, tuning.INDEX_PIECE_BYTES
        while start < len(text):
            # Leave no small piece at the end: after many changes there would be many.
            has_two = len(text) - start >= 2 * size
            end = text.index(b"\n", start + size) + 1 if has_two else len(text)
            piece = cls(text, start, end, key_at(text, start), https_only=https_only)
            piece.is_checked = is_checked
            yield piece
            start = end

    def count(self) -> int:
        """Count the lines."""
        return self.text.count(b"\n", self.start, self.end)

    def find(self, key: str) -> bytes | None:
        """Return the raw entry of a key; None if no line begins with it."""
        needle = b"\n" + codec.encode(key) + b":{"
        found = self.text.find(needle, self.start - 1, self.end)
        if found < 0:
            return None
        start = found + len(needle) - 1
        end = self.text.index(b"\n", start) - 1
        return bytes(self.text[start : end if self.text[end] == _COMMA else end + 1])

    def members(self) -> bytes:
        """Return the lines as one JSON object."""
        return b"{%b}" % bytes(self.text[self.start : self.end - 1]).removesuffix(b",")

    def check(self) -> list[str]:
        """Check that all lines are valid entries in canonical form; return their keys.

        Raises
        ------
        IndexFormatError
            They are not.
        """
        members = self.members()
        decoded = codec.decode_entries(members)
        keys = list(decoded)
        if not keys or codec.member_lines(decoded) != members[1:-1] or not self._are_ordered(keys):
            raise IndexFormatError("the lines of the index are not in canonical form")
        codec.check_depth(members[1:-1], len(keys))
        self._check_places()
        return keys

    def _check_places(self) -> None:
        if self.text.find(_PLACED, self.start, self.end) >= 0:
            for entry in codec.decode_entries(self.members()).values():
                if problem := place_problem(entry, https_only=self.https_only):
                    raise IndexFormatError(f"an entry is refused: {problem}")

    def _are_ordered(self, keys: list[str]) -> bool:
        """Return whether these are valid keys in order, and the text ends as a line does."""
        # The last line of a document has no comma, and "}\n" follows it.
        ending = b"}\n" if self.end == len(self.text) - 2 else b"},\n"
        is_whole = self.text.endswith(ending, self.start, self.end)
        return is_whole and keys == sorted(keys) and are_keys(keys)

    def keys(self) -> tuple[str, ...]:
        """Return the keys in order.

        Raises
        ------
        IndexFormatError
            The lines are not what they should be.
        """
        return self._keys or self._keep(codec.keys_of_entries(self.members()))

    def entries(self) -> dict[str, dict[str, Any]]:
        """Decode all entries; raises as `keys`."""
        members = self.members()
        decoded = codec.decode_entries(members)
        self._keep(decoded)
        if not self.is_checked:
            codec.check_depth(members[1:-1], len(decoded))
        return decoded

    def contents(self) -> dict[str, Content]:
        """Decode what all entries say of the bytes of their values; raises as `keys`."""
        try:
            contents = codec.decode_contents(self.members())
        except IndexFormatError:  # a field of an entry is plain metadata
            return {key: Content.of(entry) for key, entry in self.entries().items()}
        self._keep(contents)
        return contents

    def values(self, decode: FieldDecoder) -> list[Any]:
        """Decode one field of all entries, None where it is missing; raises as `keys`."""
        keys, values = decode(self.members())
        self._keep(keys)
        return values

    def _keep(self, found: Iterable[str]) -> tuple[str, ...]:
        """Keep the keys of the decoded members, after a check that they are in order."""
        if not self._keys:
            keys = list(found)
            if not self.is_checked and (keys[:1] != [self.first] or not self._are_ordered(keys)):
                raise IndexFormatError("the lines of the index are not in order")
            if not self.is_checked:
                self._check_places()
            # A tuple: the garbage collector passes over one that holds only texts.
            self._keys = tuple(keys)
        return self._keys

    def check_lines(self) -> None:
        """Check that each line is one member, so that `find` is right; raises as `keys`."""
        if self.is_checked or self._has_only_lines:
            return
        # With as many opening braces as members, no member holds another object and no text
        # a brace.  Nor does a text hold a newline, so that a brace before one ends a member.
        count, place = len(self.keys()), (self.start, self.end)
        is_last = self.end == len(self.text) - 2
        if (
            self.text.count(b"{", *place) != count
            or self.text.count(b"},\n", *place) != count - is_last
        ):
            self.check()
        self._has_only_lines = True

    def changed_by(self, changes: Mapping[str, bytes | None]) -> Iterator[Piece]:
        """Write the lines anew, with some changes.

        Parameters
        ----------
        changes : mapping
            From keys, in order, to raw entries in canonical form; None for a
            key that is deleted.
        """
        parts: list[bytes | memoryview] = [b"\n"]
        at = self.start
        for key, raw in changes.items():
            start, end = self.place_of(key)
            parts += with_commas(self.text, at, start)
            if raw is not None:
                parts.append(b"%b:%b,\n" % (codec.encode(key), raw))
            at = end
        parts += with_commas(self.text, at, self.end)
        lines, is_checked = b"".join(parts), self.is_checked
        return self._of_lines(lines, is_checked=is_checked, https_only=self.https_only)

    def place_of(self, key: str) -> tuple[int, int]:
        """Return start and end of the line of a key; without one, its place twice.

        Raises
        ------
        IndexFormatError
            The lines are not what they should be.
        """
        newline = self._newline_before(key)
        if newline >= 0:
            return newline + 1, self.text.index(b"\n", newline + 1) + 1
        keys = self.keys()
        following = bisect_left(keys, key)
        is_last = following == len(keys)
        start = self.end if is_last else self._newline_before(keys[following]) + 1
        return start, start

    def _newline_before(self, key: str) -> int:
        return self.text.find(b"\n%b:{" % codec.encode(key), self.start - 1, self.end)


def checked_key(text: bytes | bytearray, start: int, *, https_only: bool = False) -> str:
    """Return the key of a line, after checking that it is a valid canonical entry.

    Raises
    ------
    IndexFormatError
        It is not.
    """
    end = text.index(b"\n", start) + 1
    (key,) = Piece(text, start, end, "", https_only=https_only).check()
    return key


def key_at(text: bytes | bytearray, start: int) -> str:
    """Return the key of a line, decoded, without looking at the rest of the line.

    Raises
    ------
    IndexFormatError
        The line does not begin as in canonical form.
    """
    name = text[start : text.find(b'":{', start + 1) + 1]
    if b"\\" not in name and name.startswith(b'"'):
        try:
            return name[1:-1].decode()
        except UnicodeDecodeError as error:
            raise IndexFormatError(f"a key is not UTF-8: {error}") from error
    line = bytes(text[start : text.find(b"\n", start)]).removesuffix(b",")
    keys = list(codec.split(b"{%b}" % line))
    if not keys or not line.startswith(codec.encode(keys[0]) + b":{"):
        raise IndexFormatError("a line is not in canonical form")
    return keys[0]


def name_of(line: bytes) -> bytes:
    """Return the key of a line in UTF-8; raises as `key_at`."""
    name = line[1 : line.find(b'":{', 1)]
    return key_at(line + b"\n", 0).encode() if b"\\" in name else name


def with_commas(text: bytes | bytearray, start: int, end: int) -> Iterator[bytes | memoryview]:
    """Yield whole lines with a comma after each; the last line of an index has none."""
    if start < end:
        is_complete = text.endswith(b",\n", start, end)
        yield memoryview(text)[start : end if is_complete else end - 1]
        if not is_complete:
            yield b",\n"
