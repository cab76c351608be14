"""What an entry must be, before it gets into a snapshot."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from ..errors import IndexFormatError
from . import codec
from .keys import are_keys, key_problem

if TYPE_CHECKING:
    import msgspec

__all__ = ["DEEPEST", "are_beyond_doubt", "check_depth", "entry_problem", "line_problem"]

#: Far more than any metadata has, and far less than Python's recursion limit, so
#: that comparing or copying an entry can never overflow the stack.
DEEPEST = 100
# Brackets that follow each other, or a text, perhaps without its end.  The quantifiers are
# possessive: the engine would keep a way back for each character of a long text otherwise.
_BRACKETS_OR_TEXT = rb'(?s)[\[{]++|[\]}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_QUOTE = ord('"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Entries decoded at once.
_AT_ONCE = 64


def are_beyond_doubt(entries: Mapping[str, msgspec.Raw]) -> bool:
    """Tell, fast, that all entries are in order; False where one needs a closer look.

    As thorough as `entry_problem`, which takes longer and says what is wrong:
    each entry is decoded, for msgspec checks only the syntax of what
    it leaves raw.
    """
    keys, values = iter(entries), iter(entries.values())
    while some_keys := list(islice(keys, _AT_ONCE)):
        joined = b",".join(islice(values, _AT_ONCE))
        if not are_keys(some_keys):
            return False
        try:
            check_depth(joined, len(some_keys))
            codec.decode_objects(b"[%b]" % joined)
        except IndexFormatError:
            return False
    return True


def entry_problem(key: str, raw: msgspec.Raw | bytes) -> str | None:
    """Say why an entry must be left out; raise if the whole index must be refused.

    Raises
    ------
    IndexFormatError
        A number overflows, a text is not UTF-8, or it is nested too deeply.
    """
    try:
        check_depth(bytes(raw), 1)
        metadata = codec.decode(raw)
    except IndexFormatError as error:
        raise IndexFormatError(f"the entry cannot be read: {error}", key=key) from error
    if problem := key_problem(key):
        return problem
    return None if isinstance(metadata, dict) else "its metadata is no JSON object"


def line_problem(key: str, raw: msgspec.Raw | bytes) -> str | None:
    """Say why an entry must be left out of an index that is in use already."""
    try:
        return entry_problem(key, raw)
    except IndexFormatError as error:
        return str(error)


def check_depth(text: bytes, count: int) -> None:
    """Refuse JSON that is nested too deeply, without recursion.

    Parameters
    ----------
    text : bytes
        JSON values with commas between them, perhaps with names.
    count : int
        How many of them have brackets, at least.

    Raises
    ------
    IndexFormatError
        One of them is nested more than a hundred deep.
    """
    if text.count(b"[") + text.count(b"{") - count < DEEPEST:
        return
    brackets = text.translate(None, _NO_BRACKETS)
    for _ in range(DEEPEST // 2):  # each time one level less, or two
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if not brackets:
            return
    depth = 0
    for found in re.finditer(_BRACKETS_OR_TEXT, text):
        first, length = text[found.start()], found.end() - found.start()
        if first == _QUOTE:
            continue
        depth += length if first in b"[{" else -length
        if depth > DEEPEST:
            raise IndexFormatError("nested too deeply")
