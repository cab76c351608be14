"""What a head names: one walk for the publisher, the mirror, the push and their checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..errors import IndexFormatError
from .blocks import BlockRoot
from .head import Document, Head

__all__ = ["named_documents", "read_root"]


def named_documents(head: Head, read: Callable[[Document], bytes | None]) -> Iterator[Document]:
    """Yield the documents that a head names, each after those that it leads to.

    So a copy may be written in this order: the site's own words, change files, the
    list of the blocks and its root, the index.  Packs are named by the index, not by the head.

    Parameters
    ----------
    head : Head
        The head.
    read : callable
        Returns the bytes of a document, held against its digest, or None if they
        cannot be had.  Called for the root of the blocks alone: where it is
        missing, or is none, the list that it names is left out.

    Yields
    ------
    Document
        Its role says what it is, and how large it may be.

    Examples
    --------
    >>> from staticstore.index.head import Role
    >>> head = Head("cd" * 16, 1, "", Document.of(Role.INDEX, b"{}"), 0)
    >>> [document.href[:9] for document in named_documents(head, lambda document: None)]
    ['index/441']
    """
    if head.about is not None:
        yield head.about
    for span in head.spans:
        yield span.document
    if head.blocks is not None:
        root = read_root(head, read)
        if root is not None:
            yield root.lines
        yield head.blocks
    yield head.index


def read_root(head: Head, read: Callable[[Document], bytes | None]) -> BlockRoot | None:
    """Return the root of the blocks that a head names; None if there is none, or no good one."""
    body = None if head.blocks is None else read(head.blocks)
    try:
        return None if body is None else BlockRoot.parse(body)
    except IndexFormatError:
        return None
