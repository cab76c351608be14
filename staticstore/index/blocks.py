"""The blocks of an index: where each stretch of it begins, and its digest.

So a part of an index can be read, and a new index be compared with an old
one, without fetching the whole.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from . import codec
from .head import Document, Role, parse_count, parse_sha256
from .piece import key_at, name_of

__all__ = ["MOST_STRETCH_BYTES", "BlockRoot", "Stretch", "block_files", "holding"]

_FORMAT = "staticstore-blocks/1"
_BLOCK_SIZE = 1 << 16  # bytes, about
_PAGE_SIZE = 1 << 14  # bytes, about
# A block ends when it has so many bytes, at the latest.
_MOST_BLOCK_BYTES = 1 << 20
#: No block or page is read that is larger, in bytes: a full one, and a line of a mebibyte.
MOST_STRETCH_BYTES = 2 << 20
_BEGINNING = 2  # bytes before the first line of an index


class Stretch(NamedTuple):
    """Whole lines that follow each other, of an index or of the list of its blocks."""

    #: The key of the first line.
    first: str
    #: Where it begins, in bytes.
    offset: int
    #: Bytes.
    size: int
    #: Lowercase hex.
    sha256: str

    @property
    def end(self) -> int:
        """Where it ends, in bytes."""
        return self.offset + self.size


class BlockRoot(NamedTuple):
    r"""What ``blocks/<sha256>.json`` says: where the list of blocks stands, and each page of it.

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
    lines: Document
    pages: tuple[Stretch, ...]

    @classmethod
    def parse(cls, body: bytes) -> BlockRoot:
        """Parse the bytes of a root; fields that are not known are ignored.

        Raises
        ------
        IndexFormatError
            It is no root, or its pages do not follow each other.
        """
        said = codec.decode_root(body)
        try:
            if said["format"] != _FORMAT:
                raise ValueError("another format")
            lines = Document.parse(said, Role.BLOCK_LIST)
            pages = tuple(map(_stretch, said["pages"]))
            _check_order(pages, 0, lines.size)
            modulus = parse_count(said["modulus"])
            if not modulus:
                raise ValueError("a modulus by which nothing can be divided")
            return cls(modulus, lines, pages)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise IndexFormatError(f"no root of blocks: {error}") from error

    def encode(self) -> bytes:
        """Write the root as JSON, with a newline at its end."""
        said = {"format": _FORMAT, "modulus": self.modulus, **self.lines.as_json()}
        return codec.encode({**said, "pages": [list(page) for page in self.pages]}) + b"\n"

    def blocks_of(self, page: bytes, start: int, end: int) -> tuple[Stretch, ...]:
        """Parse a page of the list of blocks, or all of it.

        Parameters
        ----------
        page : bytes
            The lines.
        start, end : int
            Between which offsets of the index its blocks are.

        Raises
        ------
        IndexFormatError
            It is none, or its blocks do not follow each other.
        """
        try:
            blocks = tuple(map(_stretch, codec.decode_stretches(page)))
            if blocks:
                _check_order(blocks, blocks[0].offset, blocks[-1].end)
            if any(block.offset < start or block.end > end for block in blocks):
                raise ValueError("a block is not in the index")
            return blocks
        except (LookupError, TypeError, ValueError) as error:
            raise IndexFormatError(f"no list of blocks: {error}") from error


def holding(stretches: Sequence[Stretch], key: str) -> Stretch | None:
    """Return the stretch in which a key stands, if it stands anywhere; None if in none."""
    number = bisect_right(stretches, key, key=lambda stretch: stretch.first) - 1
    return stretches[number] if number >= 0 else None


def block_files(body: bytes, before: BlockRoot | None) -> tuple[BlockRoot, bytes]:
    """Cut an index in canonical form into blocks, and list them.

    Parameters
    ----------
    body : bytes
        The index, with one entry at least.
    before : BlockRoot or None
        The root of the index before, whose modulus stays as long as it is not
        far from the best: another one cuts all blocks anew.

    Returns
    -------
    (BlockRoot, bytes)
        The root, and the list of blocks that it names.
    """
    modulus = _modulus(body, before)
    blocks = list(_blocks(body, modulus))
    lines = [codec.encode(list(block)) + b"\n" for block in blocks]
    text = b"".join(lines)
    document = Document.of(Role.BLOCK_LIST, text)
    return BlockRoot(modulus, document, tuple(_pages(blocks, lines))), text


def _modulus(body: bytes, before: BlockRoot | None) -> int:
    """Return the power of two that makes blocks of half the size that is wanted to all of it.

    The block in which a key stands is twice as large as the mean: the larger
    one is, the more keys it has.
    """
    in_a_block = max(_BLOCK_SIZE * body.count(b"\n") / len(body), 1)
    best = 1 << math.floor(math.log2(in_a_block))
    if before is not None and best // 2 <= before.modulus <= 2 * best:
        return before.modulus
    return best


def _blocks(body: bytes, modulus: int) -> Iterator[Stretch]:
    start = at = _BEGINNING
    for line in body[_BEGINNING:-2].split(b"\n")[:-1]:
        is_full = at + len(line) + 1 - start > _MOST_BLOCK_BYTES
        if at > start and (is_full or zlib.crc32(name_of(line)) % modulus == 0):
            yield _measured(body, start, at)
            start = at
        at += len(line) + 1
    yield _measured(body, start, at)


def _measured(body: bytes, start: int, end: int) -> Stretch:
    digest = hashlib.sha256(memoryview(body)[start:end]).hexdigest()
    return Stretch(key_at(body, start), start, end - start, digest)


def _pages(blocks: Iterable[Stretch], lines: Iterable[bytes]) -> Iterator[Stretch]:
    text, first, start = b"", "", 0
    for block, line in zip(blocks, lines, strict=True):
        first = first if text else block.first
        text += line
        if len(text) >= _PAGE_SIZE:
            yield Stretch(first, start, len(text), hashlib.sha256(text).hexdigest())
            start += len(text)
            text = b""
    if text:
        yield Stretch(first, start, len(text), hashlib.sha256(text).hexdigest())


def _stretch(said: Any) -> Stretch:
    first, offset, size, sha256 = said
    if not isinstance(first, str):
        raise TypeError("a key is no text")
    return Stretch(first, parse_count(offset), parse_count(size), parse_sha256(sha256))


def _check_order(stretches: Sequence[Stretch], start: int, end: int) -> None:
    """Refuse stretches that do not follow each other from one offset to another."""
    at, before = start, ""
    for stretch in stretches:
        if stretch.offset != at or not stretch.size or stretch.first <= before:
            raise ValueError("they do not follow each other")
        at, before = stretch.end, stretch.first
    if at != end:
        raise ValueError("they do not cover the whole")
