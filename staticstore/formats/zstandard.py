"""Documents that are published compressed by Zstandard, such as ``repodata.json.zst``."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from .. import tuning
from ..zstd import find_zstd, frame_decompressor
from . import Document

__all__ = ["BoundedDocument", "decompressed", "is_compressed"]

_MAGIC = b"\x28\xb5\x2f\xfd"
# As with a content coding: so much is taken from any document, and beyond it so many times the
# compressed bytes.
_ANY_BYTES = 64 << 20
_MOST_RATIO = 500
_MOST_BYTES = 1 << 30  # of a document that says no other bound
_MOST_FRAMES = 64  # the rest of the document is copied for each


class BoundedDocument(Document):
    """A document of which a form may make only so many bytes.

    Attributes
    ----------
    check_size : callable
        Called with the bytes so far; raises if they are too many.
    """

    check_size: Callable[[int], object]

    @classmethod
    def of(cls, document: Document, check_size: Callable[[int], object]) -> BoundedDocument:
        """Return the same document with a bound."""
        bounded = cls(*document)
        bounded.check_size = check_size
        return bounded


def is_compressed(body: bytes) -> bool:
    """Return whether a document begins as a frame of Zstandard (RFC 8878, 3.1.1)."""
    return body.startswith(_MAGIC)


def decompressed(document: Document, most_bytes: int | None = None) -> bytes:
    """Decompress a document.

    Parameters
    ----------
    document : Document
        One frame, or several; a `BoundedDocument` is checked after each MiB.
    most_bytes : int, optional
        The most bytes that it may have then.

    Returns
    -------
    bytes
        Beyond 64 MiB, at most 500 times the bytes of the document.

    Raises
    ------
    ValueError
        It is not whole, or too large, or needs a window of more than 8 MiB; or Python is
        older than 3.14 and the extra ``zstd`` is not installed.
    """
    zstd = find_zstd()
    if zstd is None:
        raise ValueError("it is compressed: that needs the extra `zstd`, or Python 3.14")
    body, grown, check_size = document.body, io.BytesIO(), None
    if isinstance(document, BoundedDocument):
        check_size = document.check_size
    most = max(_ANY_BYTES, _MOST_RATIO * len(body))
    if most_bytes is not None or check_size is None:
        most = min(most, _MOST_BYTES if most_bytes is None else most_bytes)
    for _ in range(_MOST_FRAMES):
        frame = frame_decompressor(zstd)
        while not frame.eof:
            grown.write(_piece(zstd, frame, body))
            body, size = b"", grown.tell()
            if check_size is not None:
                check_size(size)
            if size > most:
                raise ValueError("it is too large, decompressed")
            if frame.needs_input and not frame.eof:
                raise ValueError("it is cut short")
        body = frame.unused_data
        if not body:
            return grown.getvalue()  # without a copy
    raise ValueError(f"it is compressed in more than {_MOST_FRAMES} frames")


def _piece(zstd: Any, frame: Any, body: bytes) -> bytes:
    try:
        piece: bytes = frame.decompress(body, tuning.DOCUMENT_PIECE_BYTES)
    except zstd.ZstdError as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    return piece
