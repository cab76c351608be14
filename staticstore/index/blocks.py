"""The blocks of an index, and all other documents that a head names.

Where each block begins, and its digest, are listed.  So a part of an index can
be read and verified, or a new index be compared with an old one, without
fetching all of it.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import IndexFormatError
from . import codec
from .forms.piece import key_at, name_of
from .head import Head, NamedDocument, Role, parse_count, parse_sha256

if TYPE_CHECKING:
    from .forms.stored import RawChanges
    from .snapshot import Index

__all__ = [
    "MOST_STRETCH_BYTES",
    "BlockRoot",
    "Stretch",
    "block_files",
    "changed_block_files",
    "holding",
    "named_documents",
    "read_root",
]

_FORMAT = "staticstore-blocks/1"
# Sizes of a block and of a page, about.
_BLOCK_BYTES = 1 << 16
_PAGE_BYTES = 1 << 14
# A block ends when it has so many bytes, at the latest.
_MOST_BLOCK_BYTES = 1 << 20
#: No larger block or page is read: a full one, and a line of 1 MiB.
MOST_STRETCH_BYTES = 2 << 20
# Before the first line of an index: a brace and a newline.
_OPENING_BYTES = 2
_MOST_INDEX_BYTES = (1 << 63) - 1


class Stretch(NamedTuple):
    """A block of an index, or a page of the list of blocks: whole lines in a row."""

    #: The key of the first line.
    first: str
    #: Where it begins, in bytes.
    offset: int
    #: Bytes.
    size: int
    #: Lowercase hex.
    sha256: str

    @classmethod
    def parse(cls, fields: tuple[str, int, int, str]) -> Stretch:
        """Check the fields of a decoded stretch; raise ValueError if one is wrong."""
        first, offset, size, sha256 = fields
        return cls(first, parse_count(offset), parse_count(size), parse_sha256(sha256))

    @property
    def end(self) -> int:
        """Where it ends, in bytes."""
        return self.offset + self.size


class BlockRoot(NamedTuple):
    r"""The contents of ``blocks/<sha256>.json``: the place of the list, and its pages.

    Examples
    --------
    >>> root, lines = block_files(b'{\n"a":{},\n"b":{}\n}\n', None)
    >>> BlockRoot.parse(root.encode()) == root
    True
    >>> [block.first for block in root.blocks_of(lines, 0, 20)]
    ['a']
    """

    #: A block ends before each key whose CRC-32 is a multiple of it.
    modulus: int
    #: The list of blocks.
    lines: NamedDocument
    pages: tuple[Stretch, ...]

    @classmethod
    def parse(cls, body: bytes) -> BlockRoot:
        """Parse the bytes of a root; unknown fields are ignored.

        Raises
        ------
        IndexFormatError
            It is not a root, or its pages are not next to each other.
        """
        parsed = codec.decode_root(body)
        try:
            if parsed["format"] != _FORMAT:
                raise ValueError("another format")
            lines = NamedDocument.parse(parsed, Role.BLOCK_LIST)
            pages = tuple(map(Stretch.parse, parsed["pages"]))
            _check_order(pages, 0, lines.size)
            modulus = parse_count(parsed["modulus"])
            if not modulus:
                raise ValueError("the modulus is 0")
            return cls(modulus, lines, pages)
        except ValueError as error:
            raise IndexFormatError(f"not a root of blocks: {error}") from error

    def encode(self) -> bytes:
        """Write the root as JSON, with a newline at its end."""
        root = {"format": _FORMAT, "modulus": self.modulus, **self.lines.as_json()}
        return codec.encode({**root, "pages": [list(page) for page in self.pages]}) + b"\n"

    def blocks_of(self, page: bytes, start: int, end: int) -> tuple[Stretch, ...]:
        """Parse a page of the list of blocks, or the whole list.

        Parameters
        ----------
        page : bytes
            The lines.
        start, end : int
            The offsets of the index between which its blocks are.

        Raises
        ------
        IndexFormatError
            It is not such a page, or its blocks are not next to each other.
        """
        parsed = codec.decode_stretches(page)
        try:
            blocks = tuple(map(Stretch.parse, parsed))
            if blocks:
                _check_order(blocks, blocks[0].offset, blocks[-1].end)
            if any(block.offset < start or block.end > end for block in blocks):
                raise ValueError("a block is not in the index")
            return blocks
        except ValueError as error:
            raise IndexFormatError(f"not a list of blocks: {error}") from error


def named_documents(
    head: Head, read: Callable[[NamedDocument], bytes | None]
) -> Iterator[NamedDocument]:
    """Yield the documents that a head names, each after those that it leads to.

    A copy may be written in this order: the documents about the site, change
    files, the list of blocks, its root, the table, the index.  Packs are named by the
    index, not by the head.

    Parameters
    ----------
    head : Head
        The head.
    read : callable
        Takes a document; returns its bytes, verified, or None if they are not
        available.  Called for the root of the blocks only; without a valid
        root, the list of blocks is left out.

    Yields
    ------
    NamedDocument
        Its role says what it is, and how large it may be.

    Examples
    --------
    >>> head = Head("cd" * 16, 1, "", NamedDocument.of(Role.INDEX, b"{}"), 0)
    >>> [document.href[:9] for document in named_documents(head, lambda document: None)]
    ['index/441']
    """
    if head.about is not None:
        yield head.about
    for file in head.change_files:
        yield file.document
    if head.blocks is not None:
        root = read_root(head, read)
        if root is not None:
            yield root.lines
        yield head.blocks
    if head.table is not None:
        yield head.table
    yield head.index


def read_root(head: Head, read: Callable[[NamedDocument], bytes | None]) -> BlockRoot | None:
    """Return the root of the blocks of a head; None if it is missing or invalid."""
    body = None if head.blocks is None else read(head.blocks)
    try:
        return None if body is None else BlockRoot.parse(body)
    except IndexFormatError:
        return None


def holding(stretches: Sequence[Stretch], key: str) -> Stretch | None:
    """Return the only block or page that can hold a key, or None."""
    number = bisect_right(stretches, key, key=lambda stretch: stretch.first) - 1
    return stretches[number] if number >= 0 else None


def block_files(body: bytes, before: BlockRoot | None) -> tuple[BlockRoot, bytes]:
    """Cut an index in canonical form into blocks, and list them.

    Parameters
    ----------
    body : bytes
        The index, with at least one entry.
    before : BlockRoot or None
        The root of the previous index.  Its modulus stays unless it is far from
        the best one, since another modulus changes all blocks.

    Returns
    -------
    (BlockRoot, bytes)
        The root, and the list of blocks that it names.
    """
    modulus = _modulus(body.count(b"\n"), len(body), before)
    return _listed(list(_blocks(body[_OPENING_BYTES:-2], modulus, _OPENING_BYTES)), modulus)


def changed_block_files(
    before: BlockRoot, listed: bytes, index: Index, changed: RawChanges, size: int
) -> tuple[BlockRoot, bytes] | None:
    """Return what `block_files` does for an index with few changes, at their cost.

    Only the blocks with changes, and those that begin or end elsewhere because of them,
    are cut and hashed again.

    Parameters
    ----------
    before : BlockRoot
        The root of the previous index.
    listed : bytes
        The list of its blocks, verified.
    index : Index
        The index, in canonical form, with at least one entry.
    changed : mapping
        The keys whose lines are not the same in both; None for one that is gone.
    size : int
        The size of its document, in bytes.

    Returns
    -------
    (BlockRoot, bytes) or None
        None if another modulus is better, so that all blocks change, or if the list is
        damaged.
    """
    lines = index.lines()
    if lines is None or _modulus(len(index) + 2, size, before) != before.modulus:
        return None
    try:
        old = before.blocks_of(listed, 0, _MOST_INDEX_BYTES)
    except IndexFormatError:
        return None
    cuts = list(_cuts(old, changed, before.modulus))
    ends = [old[number].first for cut in cuts for number in cut if 0 < number < len(old)]
    texts = lines.cut(["", *ends])
    blocks: list[Stretch] = []
    at, done = _OPENING_BYTES, 0
    for start, end in cuts:
        for block in old[done:start]:
            blocks.append(block._replace(offset=at))
            at += block.size
        if start:
            next(texts)  # of the blocks that stay
        text = b"".join(next(texts))
        blocks += _blocks(text, before.modulus, at)
        at, done = at + len(text), end
    for block in old[done:]:
        blocks.append(block._replace(offset=at))
        at += block.size
    return _listed(blocks, before.modulus)


def _cuts(old: Sequence[Stretch], changed: RawChanges, modulus: int) -> Iterator[tuple[int, int]]:
    """Yield from which block to before which one to cut again."""
    touched: set[int] = set()
    for key, raw in changed.items():
        number = max(bisect_right(old, key, key=lambda block: block.first) - 1, 0)
        touched.add(number)
        if raw is None and number and old[number].first == key:
            touched.add(number - 1)  # with which the rest of the block is joined
    done = 0
    for start in sorted(touched):
        if start < done:
            continue
        done = start + 1
        # A block that is full ends before a line that has no room in it: another one may have.
        while start and not _is_boundary(old[start].first, modulus):
            start -= 1
        # To a block that begins where it does, whatever is before it.
        while done < len(old) and (done in touched or not _is_boundary(old[done].first, modulus)):
            done += 1
        yield start, done


def _is_boundary(key: str, modulus: int) -> bool:
    return zlib.crc32(key.encode()) % modulus == 0


def _listed(blocks: Sequence[Stretch], modulus: int) -> tuple[BlockRoot, bytes]:
    lines = [codec.encode(list(block)) + b"\n" for block in blocks]
    text = b"".join(lines)
    document = NamedDocument.of(Role.BLOCK_LIST, text)
    return BlockRoot(modulus, document, tuple(_pages(blocks, lines))), text


def _modulus(newlines: int, size: int, before: BlockRoot | None) -> int:
    # The power of two that makes blocks of half to all of the size wanted: the block of a
    # random key is twice as large as the mean, since larger blocks have more keys.
    keys_per_block = max(_BLOCK_BYTES * newlines / size, 1)
    best = 1 << math.floor(math.log2(keys_per_block))
    if before is not None and best // 2 <= before.modulus <= 2 * best:
        return before.modulus
    return best


def _blocks(text: bytes, modulus: int, offset: int) -> Iterator[Stretch]:
    """Cut whole lines, which begin at an offset of the index."""
    start = at = 0
    for line in text.split(b"\n")[:-1]:
        end = at + len(line) + 1
        name = line[1 : line.find(b'":{', 1)]  # as `name_of`, but faster.  benchmark: publish-small
        if b"\\" in name:
            name = name_of(line)
        is_first = zlib.crc32(name) % modulus == 0 or end - start > _MOST_BLOCK_BYTES
        if is_first and at > start:
            yield _stretch(key_at(text, start), offset + start, memoryview(text)[start:at])
            start = at
        at = end
    if at > start:
        yield _stretch(key_at(text, start), offset + start, memoryview(text)[start:at])


def _pages(blocks: Iterable[Stretch], lines: Iterable[bytes]) -> Iterator[Stretch]:
    text, first, start = b"", "", 0
    for block, line in zip(blocks, lines, strict=True):
        first = first if text else block.first
        text += line
        if len(text) >= _PAGE_BYTES:
            yield _stretch(first, start, text)
            start += len(text)
            text = b""
    if text:
        yield _stretch(first, start, text)


def _stretch(first: str, offset: int, text: bytes | memoryview) -> Stretch:
    return Stretch(first, offset, len(text), hashlib.sha256(text).hexdigest())


def _check_order(stretches: Sequence[Stretch], start: int, end: int) -> None:
    """Refuse stretches that are not next to each other, from one offset to another."""
    at, before = start, ""
    for stretch in stretches:
        if stretch.offset != at or not stretch.size or stretch.first <= before:
            raise ValueError("they are not next to each other")
        at, before = stretch.end, stretch.first
    if at != end:
        raise ValueError("they do not cover the whole")
