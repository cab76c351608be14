"""What an entry must be, before it gets into a snapshot."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from itertools import islice, repeat
from typing import TYPE_CHECKING

from ..errors import IndexFormatError
from . import codec
from .keys import are_keys_beyond_doubt, key_problem

if TYPE_CHECKING:
    import msgspec

__all__ = ["are_beyond_doubt", "entry_problem"]

# Far more than any metadata has, and far less than Python's recursion limit, so
# that comparing or copying an entry can never overflow the stack.
_DEEPEST = 100
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
# Entries looked at without a chance for other threads: a millisecond or two.
_AT_ONCE = 2048


def are_beyond_doubt(entries: Mapping[str, msgspec.Raw]) -> bool:
    """Tell, fast, that all entries are in order; False where one needs a closer look.

    As thorough as `entry_problem`, which takes twice the time and says what
    is wrong: each entry is decoded, for msgspec checks only the syntax of what
    it leaves raw.
    """
    keys, values = iter(entries), iter(entries.values())
    while some_keys := list(islice(keys, _AT_ONCE)):
        raws = list(islice(values, _AT_ONCE))
        texts = list(map(bytes, raws))
        if not (
            all(map(bytes.startswith, texts, repeat(b"{")))
            and max(map(bytes.count, texts, repeat(b"["))) <= _DEEPEST // 2
            and max(map(bytes.count, texts, repeat(b"{"))) <= _DEEPEST // 2
            and are_keys_beyond_doubt(some_keys)
        ):
            return False
        try:
            deque(map(codec.decode, raws), maxlen=0)
        except IndexFormatError:
            return False
    return True


def entry_problem(key: str, raw: msgspec.Raw) -> str | None:
    """Say why an entry must be left out; raise if the whole index must be refused.

    Raises
    ------
    IndexFormatError
        A number overflows, a text is not UTF-8, or it is nested too deeply.
    """
    try:
        _check_depth(raw)
        metadata = codec.decode(raw)
    except IndexFormatError as error:
        raise IndexFormatError(f"the entry cannot be read: {error}", key=key) from error
    if problem := key_problem(key):
        return problem
    return None if isinstance(metadata, dict) else "its metadata is no JSON object"


def _check_depth(raw: msgspec.Raw) -> None:
    """Refuse JSON that is nested too deeply, without recursion."""
    text = bytes(raw)
    if text.count(b"[") + text.count(b"{") <= _DEEPEST:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_TEXT.sub(b"", text)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _DEEPEST:
            raise IndexFormatError("nested too deeply")
