"""From an older index to the current one by the blocks that differ."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ..errors import IndexFormatError, IntegrityError, quoted
from ..index.blocks import BlockRoot, Stretch
from ..index.head import Head
from ..index.lines import Lines, taken_apart
from ..index.snapshot import Index
from ..transport.session import Session
from .documents import exactly, part

__all__ = ["by_blocks"]

# Whole lines, where they lie.
Text = Sequence[bytes | memoryview]
_Pair = tuple[Stretch, Text]

# The way costs less than the whole index as long as all that is fetched is
# less than this part of it.
_WORTHWHILE = 1 / 2
# A smaller index is fetched whole: one request in the place of three and more.
_WORTHWHILE_ABOVE = 1 << 18  # bytes
_AT_ONCE = 256  # blocks that one of them gets
_WORKERS = 2  # a digest lets other threads run


def by_blocks(
    session: Session, index: Index, head: Head, deadline: float, max_bytes: int
) -> Index | None:
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
    max_bytes : int
        The most that an index may have.

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
    changes: dict[str, bytes | None] = {}
    warnings = list(index.warnings)
    try:
        blocks = _blocks_of(session, head, deadline, max_bytes)
        lacking = _lacking(lines, blocks) if blocks else []
        if not blocks or sum(block.size for block, _ in lacking) > head.index.size * _WORTHWHILE:
            return None
        for block, old in lacking:
            new = part(session, head.index, block, deadline)
            if new is None:
                return None
            found, problems = _changes_between(b"".join(old), new)
            changes |= found
            warnings += problems
    except (IndexFormatError, IntegrityError):
        return None
    return index.changed_by(changes, warnings)


def _blocks_of(
    session: Session, head: Head, deadline: float, max_bytes: int
) -> tuple[Stretch, ...]:
    """Fetch the list of the blocks of an index; empty if there is none that is worth its bytes."""
    most = int(min(head.index.size, max_bytes) * _WORTHWHILE)
    if head.index.size < _WORTHWHILE_ABOVE or head.blocks is None:
        return ()
    found = exactly(session, head.blocks, deadline, most)
    if found is None:
        return ()
    root = BlockRoot.parse(bytes(found.body))
    found = exactly(session, root.lines, deadline, most)
    if found is None:
        return ()
    blocks = root.blocks_of(bytes(found.body), 2, head.index.size - 2)
    if not blocks or (blocks[0].offset, blocks[-1].end) != (2, head.index.size - 2):
        raise IndexFormatError("the blocks are not all of the index")
    return blocks


def _lacking(lines: Lines, blocks: Sequence[Stretch]) -> list[_Pair]:
    """Return the blocks that do not stand in some lines, and what stands there instead."""
    from concurrent.futures import ThreadPoolExecutor  # seldom needed

    # What stands before the first block belongs to it, so that it goes.
    texts = lines.cut(["", *(block.first for block in blocks[1:])])
    # All are cut before any is hashed: who hashes asks for the interpreter again and again.
    pairs = list(zip(blocks, texts, strict=True))
    shares = [pairs[start : start + _AT_ONCE] for start in range(0, len(pairs), _AT_ONCE)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [pair for found in pool.map(_without_blocks, shares) for pair in found]


def _without_blocks(pairs: list[_Pair]) -> list[_Pair]:
    return [pair for pair in pairs if not _is_block(*pair)]


def _is_block(block: Stretch, text: Text) -> bool:
    if sum(map(len, text)) != block.size:
        return False
    digest = hashlib.sha256()
    for one in text:
        digest.update(one)
    return digest.hexdigest() == block.sha256


def _changes_between(old: bytes, new: bytes) -> tuple[dict[str, bytes | None], list[str]]:
    """Return what makes of some lines others, and what is wrong with those."""
    before, after = _lines_of(old), _lines_of(new)
    changes: dict[str, bytes | None] = {taken_apart(line)[0]: None for line in before - after}
    problems: list[str] = []
    for line in after - before:
        key, raw, problem = taken_apart(line)
        if problem is None:
            changes[key] = raw
        else:
            problems.append(f"{quoted(key)} is left out: {problem}")
    return changes, problems


def _lines_of(text: bytes) -> set[bytes]:
    return {line.removesuffix(b",") for line in text.split(b"\n") if line}
