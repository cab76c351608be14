"""Documents that are published compressed by Zstandard, such as ``repodata.json.zst``."""

from __future__ import annotations

from ..zstd import find_zstd

__all__ = ["decompressed", "is_compressed"]

_MAGIC = b"\x28\xb5\x2f\xfd"
# As with a content coding: so much is taken from any document, and beyond it so many times the
# compressed bytes.
_ANY_BYTES = 64 << 20
_MOST_RATIO = 500
_MOST_BYTES = 1 << 30
_MOST_FRAMES = 64  # the rest of the document is copied for each


def is_compressed(body: bytes) -> bool:
    """Return whether a document begins as a frame of Zstandard (RFC 8878, 3.1.1)."""
    return body.startswith(_MAGIC)


def decompressed(body: bytes, most_bytes: int = _MOST_BYTES) -> bytes:
    """Decompress a document.

    Parameters
    ----------
    body : bytes
        One frame, or several.
    most_bytes : int, optional
        The most bytes that it may have then.

    Returns
    -------
    bytes
        Beyond 64 MiB, at most 500 times the bytes of `body`.

    Raises
    ------
    ValueError
        It is not whole, or too large, or Python is older than 3.14 and the extra ``zstd``
        is not installed.
    """
    zstd = find_zstd()
    if zstd is None:
        raise ValueError("it is compressed: that needs the extra `zstd`, or Python 3.14")
    left = min(most_bytes, max(_ANY_BYTES, _MOST_RATIO * len(body)))
    pieces: list[bytes] = []
    while body:
        if len(pieces) == _MOST_FRAMES:
            raise ValueError(f"it is compressed in more than {_MOST_FRAMES} frames")
        frame = zstd.ZstdDecompressor()
        try:
            pieces.append(frame.decompress(body, left + 1))
        except zstd.ZstdError as error:
            raise ValueError(f"it cannot be decompressed: {error}") from error
        left -= len(pieces[-1])
        if left < 0:
            raise ValueError("it is too large, decompressed")
        if not frame.eof:
            raise ValueError("it is cut short")
        body = frame.unused_data
    return b"".join(pieces)
