"""An index in any form: taken apart as JSON, each member checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import quoted
from . import codec
from .checks import are_beyond_doubt, entry_problem
from .entries import Entries

if TYPE_CHECKING:
    import msgspec

    from .entries import Stored

__all__ = ["parse_any"]

_WARNINGS_KEPT = 100


def parse_any(
    body: bytes | bytearray, before: Stored | None = None
) -> tuple[Entries, tuple[str, ...]]:
    """Parse any JSON object, and say what was left out.

    Parameters
    ----------
    body : bytes or bytearray
        The document, which never changes again.
    before : Stored, optional
        Older entries, checked: those with the same bytes need no check.

    Raises
    ------
    IndexFormatError
        It is no index.
    """
    found = codec.split(body)
    entries = Entries(found)
    doubtful: Mapping[str, msgspec.Raw] = found
    if isinstance(before, Entries):
        doubtful = {key: found[key] for key in entries.compare_with(before) if key in found}
    if are_beyond_doubt(doubtful):
        return entries, ()
    kept, refused = _one_by_one(found)
    return Entries(kept), tuple(refused)


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
