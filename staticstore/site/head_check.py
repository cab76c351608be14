"""Whether a site's head, and all that it names, is what its readers will believe."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..errors import IndexFormatError
from ..index.about import About
from ..index.blocks import BlockRoot
from ..index.changes import parse_change_lines, sum_of_document, sum_text
from ..index.head import MOST_HEAD_BYTES, Document, Head
from ..index.snapshot import Index
from ..transport.regular import read_regular
from .folder import SiteFolder, reason_of

__all__ = ["head_problems"]

_Problems = Iterator[tuple[str, str]]


def head_problems(folder: SiteFolder, index: Index, body: bytes) -> _Problems:
    """Yield what is wrong with the head of a site and with the files that it names.

    Nothing is, where there is no head: ``index.json`` and the data are a site.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    index : Index
        What ``index.json`` says.
    body : bytes
        Its bytes.

    Yields
    ------
    (str, str)
        The path of a file below the root, and what is wrong with it.
    """
    name = folder.head.name
    try:
        said = read_regular(folder.head)
        head = Head.parse(said)
    except FileNotFoundError:
        return
    except OSError as error:
        yield name, f"it cannot be read: {reason_of(error)}"
        return
    except IndexFormatError as error:
        yield name, str(error)
        return
    if len(said) > MOST_HEAD_BYTES:
        yield name, f"it has more than {MOST_HEAD_BYTES} bytes"
    if head.index.sha256 != hashlib.sha256(body).hexdigest():
        yield name, "it names another index than index.json: publish the site again"
    elif head.entries != len(index):
        yield name, f"it counts {head.entries} entries where the index has {len(index)}"
    elif head.sum not in (None, sum_text(sum_of_document(index.canonical()))):
        yield name, "its sum is not that of the index: publish the site again"
    yield from _document_problems(folder, head)


def _document_problems(folder: SiteFolder, head: Head) -> _Problems:
    indexed = _read(folder, head.index)
    if isinstance(indexed, str):
        yield head.index.href, indexed
    for span in head.change_files:
        changes = _read(folder, span.document)
        try:
            if isinstance(changes, str):
                yield span.document.href, changes
            else:
                parse_change_lines(changes)
        except IndexFormatError as error:
            yield span.document.href, str(error)
    if head.about is not None:
        yield from _about_problems(folder, head.about)
    if head.blocks is not None:
        yield from _block_problems(folder, head.blocks, indexed)


def _about_problems(folder: SiteFolder, document: Document) -> _Problems:
    said = _read(folder, document)
    try:
        if isinstance(said, str):
            yield document.href, said
        else:
            About.parse(said)
    except IndexFormatError as error:
        yield document.href, str(error)


def _block_problems(folder: SiteFolder, root: Document, indexed: bytes | str) -> _Problems:
    """Yield what is wrong with the blocks, which are held against the index that the head names."""
    said = _read(folder, root)
    if isinstance(said, str):
        yield root.href, said
        return
    try:
        blocks = BlockRoot.parse(said)
    except IndexFormatError as error:
        yield root.href, str(error)
        return
    lines = _read(folder, blocks.lines)
    if isinstance(lines, str):
        yield blocks.lines.href, lines
        return
    if isinstance(indexed, str):
        return  # it has been told
    try:
        found = blocks.blocks_of(lines, 2, len(indexed) - 2)
    except IndexFormatError as error:
        yield blocks.lines.href, str(error)
        return
    if not found or (found[0].offset, found[-1].end) != (2, len(indexed) - 2):
        yield blocks.lines.href, "its blocks do not cover the index"
    for page in blocks.pages:
        if _sha256(lines[page.offset : page.end]) != page.sha256:
            yield root.href, f"the page at {page.offset} has another sha256"
    for block in found:
        if _sha256(indexed[block.offset : block.end]) != block.sha256:
            yield blocks.lines.href, f"the block at {block.offset} has another sha256"


def _read(folder: SiteFolder, document: Document) -> bytes | str:
    """Return the bytes of a file, or what is wrong with it."""
    try:
        body = read_regular(folder.root / document.href)
    except FileNotFoundError:
        return "there is no such file"
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"
    if len(body) != document.size:
        return f"it has {len(body)} bytes where {document.size} were published"
    if _sha256(body) != document.sha256:
        return "its sha256 is another than was published"
    return body


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
