"""From an older index to the current one by the blocks that differ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from ..errors import IndexFormatError, IntegrityError
from ..index.blocks import BlockRoot, Stretch
from ..index.head import Head
from ..index.lines import Lines
from ..index.snapshot import Index
from ..transport.session import Session
from .documents import exactly, part

__all__ = ["by_blocks"]

T = TypeVar("T")
Buffer = bytes | memoryview

# The way costs less than the whole index as long as all that is fetched is
# less than this part of it.
_WORTHWHILE = 1 / 2
# A smaller index is fetched whole: one request in the place of three and more.
_WORTHWHILE_ABOVE = 1 << 18  # bytes
_WORKERS = 2  # a digest lets other threads run


def by_blocks(session: Session, index: Index, head: Head, deadline: float) -> Index | None:
    """Return the index that a head names, fetching only the blocks that an older one lacks.

    Each block is held against its digest, those that are here already too.

    Parameters
    ----------
    session : Session
        The way to the site.
    index : Index
        The older one.
    head : Head
        What names the current one.
    deadline : float
        When all must be over, by `time.monotonic`.

    Returns
    -------
    Index or None
        None where there is no such way, or it would cost as much as the whole.

    Raises
    ------
    TransportError
        Something could not be had.
    """
    lines = index.lines()
    if lines is None or not len(lines):
        return None
    try:
        blocks = _blocks_of(session, head, deadline)
        lacking = _lacking(lines, blocks) if blocks else []
        if not blocks or sum(block.size for block, _, _ in lacking) > head.index.size * _WORTHWHILE:
            return None
        changes: dict[str, bytes | None] = {}
        warnings: list[str] = []
        for block, start, end in lacking:
            fetched = part(session, head.index, block, deadline)
            if fetched is None:
                return None
            new = Index.parse(b"{\n%b\n}\n" % fetched.removesuffix(b"\n").removesuffix(b","))
            warnings += new.warnings
            changes.update(_changes_in(lines, new, start, end))
    except (IndexFormatError, IntegrityError):
        return None
    return index.changed_by(changes, [*index.warnings, *warnings])


def _blocks_of(session: Session, head: Head, deadline: float) -> tuple[Stretch, ...]:
    """Fetch the list of the blocks of an index; empty if there is none that is worth its bytes."""
    most = head.index.size * _WORTHWHILE
    if head.index.size < _WORTHWHILE_ABOVE or head.blocks is None or head.blocks.size > most:
        return ()
    found = exactly(session, head.blocks, deadline)
    if found is None:
        return ()
    root = BlockRoot.parse(bytes(found.body))
    found = exactly(session, root.lines, deadline) if root.lines.size <= most else None
    if found is None:
        return ()
    blocks = root.blocks_of(bytes(found.body), 2, head.index.size - 2)
    if not blocks or (blocks[0].offset, blocks[-1].end) != (2, head.index.size - 2):
        raise IndexFormatError("the blocks are not all of the index")
    return blocks


def _lacking(lines: Lines, blocks: tuple[Stretch, ...]) -> list[tuple[Stretch, str, str | None]]:
    """Return the blocks that do not stand in some lines, and between which keys they belong."""
    # What stands before the first block belongs to it, so that it goes.
    starts = ["", *(block.first for block in blocks[1:])]
    ends = [*starts[1:], None]
    stands = _in_parallel(_is_block, list(zip(lines.cut(starts), blocks, strict=True)))
    return [
        (block, start, end)
        for block, start, end, is_there in zip(blocks, starts, ends, stands, strict=True)
        if not is_there
    ]


def _in_parallel(is_it: Callable[[T], bool], things: Sequence[T]) -> list[bool]:
    from concurrent.futures import ThreadPoolExecutor  # seldom needed

    share = len(things) // _WORKERS + 1
    shares = [things[start : start + share] for start in range(0, len(things), share)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [
            one for found in pool.map(lambda some: list(map(is_it, some)), shares) for one in found
        ]


def _is_block(pair: tuple[Sequence[Buffer], Stretch]) -> bool:
    text, block = pair
    if sum(map(len, text)) != block.size:
        return False
    digest = hashlib.sha256()
    for one in text:
        digest.update(one)
    return digest.hexdigest() == block.sha256


def _changes_in(
    lines: Lines, new: Index, start: str, end: str | None
) -> Iterator[tuple[str, bytes | None]]:
    """Yield what makes of the lines between two keys those of a block."""
    for key in lines.keys_between(start, end):
        if key not in new:
            yield key, None
    for key in new:
        raw = bytes(new.raw(key) or b"")
        if raw != lines.get(key):
            yield key, raw
