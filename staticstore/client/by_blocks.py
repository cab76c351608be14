"""From an older index to the current one by the blocks that differ."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import IndexFormatError, quoted, unforeseen_as_refusal
from ..index.blocks import Stretch, read_root
from ..index.head import Head
from ..index.lines import Lines, split_line
from ..index.piece import Piece, key_at
from .documents import Documents
from .held import Held

__all__ = ["Difference", "by_blocks"]

# Whole lines, where they lie.
Text = Sequence[bytes | memoryview]
_Pair = tuple[Stretch, Text]


class Difference(NamedTuple):
    """What makes of an older index the current one."""

    #: The raw entry of each key that is new or another, None for one that is gone.
    states: dict[str, bytes | None]
    #: What is wrong with lines that are new.
    warnings: list[str]


# The way costs less than the whole index as long as all that is fetched is
# less than this part of it.
_WORTHWHILE = 1 / 2
# A smaller index is fetched whole: one request in the place of three and more.
_WORTHWHILE_ABOVE = 1 << 18  # bytes
_AT_ONCE = 256  # blocks that one of them gets
_WORKERS = 2  # a digest lets other threads run


def by_blocks(documents: Documents, held: Held, head: Head) -> Difference | None:
    """Return what makes of an older index the one that a head names, by the blocks that differ.

    Each block is held against its digest, those that are here already too.

    Parameters
    ----------
    documents : Documents
        What the head names.
    held : Held
        The older one.
    head : Head
        What names the current one.

    Returns
    -------
    Difference or None
        None where there is no such way, or it would cost as much as the whole.

    Raises
    ------
    TransportError
        Something could not be had.
    IntegrityError, IndexFormatError
        Something is not what it should be.
    """
    lines = held.index.lines()
    if lines is None or not len(lines):
        return None
    blocks = _blocks_of(documents, head)
    with unforeseen_as_refusal("the index cannot be compared with its blocks"):
        lacking = _lacking(lines, blocks) if blocks else []
    if not blocks or sum(block.size for block, _ in lacking) > head.index.size * _WORTHWHILE:
        return None
    difference = Difference({}, list(held.index.warnings))
    for block, old in lacking:
        new = documents.read_stretch(head.index, block)
        if new is None:
            return None
        with unforeseen_as_refusal("a block of the index cannot be read"):
            found, problems = _changes_between(b"".join(old), new)
        difference.states.update(found)
        difference.warnings.extend(problems)
    return difference


def _blocks_of(documents: Documents, head: Head) -> tuple[Stretch, ...]:
    """Fetch the list of the blocks of an index; empty if there is none that is worth its bytes."""
    most = int(head.index.size * _WORTHWHILE)
    if head.index.size < _WORTHWHILE_ABOVE or head.blocks is None or head.blocks.size > most:
        return ()
    root = read_root(head, documents.read)
    if root is None or root.lines.size > most:
        return ()
    text = documents.read(root.lines)
    if text is None:
        return ()
    blocks = root.blocks_of(text, 2, head.index.size - 2)
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
    _check_lines(new)
    before, after = _lines_of(old), _lines_of(new)
    changes: dict[str, bytes | None] = {split_line(line)[0]: None for line in before - after}
    problems: list[str] = []
    for line in after - before:
        key, raw, problem = split_line(line)
        if problem is None:
            changes[key] = raw
        else:
            problems.append(f"{quoted(key)} is left out: {problem}")
    return changes, problems


def _check_lines(block: bytes) -> None:
    """Refuse a block in which a line is not one entry, or a key stands twice: for the whole."""
    text = b"\n%b,\n" % block.removesuffix(b"\n").removesuffix(b",")
    piece = Piece(text, 1, len(text), key_at(text, 1))
    piece.keys()
    piece.check_lines()


def _lines_of(text: bytes) -> set[bytes]:
    return {line.removesuffix(b",") for line in text.split(b"\n") if line}
