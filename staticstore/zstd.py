"""Decompress Zstandard within bounds on memory, output and frames.

Python has it from 3.14 on; before that, the extra ``zstd`` brings the same module.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
from typing import Any, BinaryIO

from .processes import fork_gate

__all__ = [
    "Decompression",
    "DecompressionError",
    "decompress_file",
    "decompressed",
    "decompressed_copy",
    "find_zstd",
    "frame_decompressor",
    "may_decompress",
]

# RFC 8878, section 3.1.1.1.2: decoders are recommended to support 8 MiB at least.
_MOST_WINDOW_BYTES = 8 << 20
# As of indexes: more than that is read as it is.
_SURELY_NO_BOMB_BYTES = 64 << 20
_MOST_RATIO = 500
# Each frame costs time, however short it is.
_LEAST_FRAME_BYTES = 1 << 12
_MORE_FRAMES = 16
_PIECE_BYTES = 1 << 17
_WRITTEN_BYTES = 1 << 20


class DecompressionError(ValueError):
    """The bytes are not the compressed form of the value."""


def may_decompress(copy_size: int, size: int) -> bool:
    """Return whether a copy is shorter than its value, and no decompression bomb.

    Examples
    --------
    >>> may_decompress(12, 100), may_decompress(100, 100), may_decompress(1 << 20, 1 << 40)
    (True, False, False)
    """
    return copy_size < size <= max(_SURELY_NO_BOMB_BYTES, _MOST_RATIO * copy_size)


@functools.cache
def find_zstd() -> Any | None:
    """Return the module that compresses and decompresses; None if there is none.

    Examples
    --------
    >>> zstd = find_zstd()
    >>> zstd is None or zstd.decompress(zstd.compress(b"abc"))
    b'abc'
    """
    with fork_gate().passing():
        for name in ("compression.zstd", "backports.zstd"):
            with contextlib.suppress(ImportError):
                return importlib.import_module(name)
    return None


def frame_decompressor(zstd: Any) -> Any:
    """Return a decompressor of one frame, which refuses a window above 8 MiB.

    Parameters
    ----------
    zstd : module
        As of `find_zstd`.
    """
    most = _MOST_WINDOW_BYTES.bit_length() - 1
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: most})


class Decompression:
    """Decompress some frames as their bytes arrive.

    For one thread.  Memory holds the window of one frame, of 8 MiB at most, beside what
    is put in and taken out.

    Parameters
    ----------
    size : int
        How many bytes all frames hold; more are an error, and so are fewer.

    Attributes
    ----------
    left : int
        How many bytes have not been taken out yet.
    """

    def __init__(self, size: int) -> None:
        zstd = find_zstd()
        assert zstd is not None, "callers have looked for it"
        self._zstd = zstd
        self.left = size
        self._frames_left = size // _LEAST_FRAME_BYTES + _MORE_FRAMES
        self._frame: Any = None
        self._rest = b""

    @property
    def is_between_frames(self) -> bool:
        """Whether all output is of frames that have ended, checksums included."""
        return self._frame is None

    def feed(self, piece: bytes | memoryview) -> None:
        """Put the next compressed bytes in, once `read` has returned none."""
        self._rest = bytes(piece)

    def read(self, most: int) -> bytes:
        """Return up to `most` bytes; none once all input is used up.

        Raises
        ------
        DecompressionError
            The bytes are no frames, need a dictionary or a larger window, are too many
            frames, or hold more than they should.
        """
        while self._rest or (self._frame is not None and not self._frame.needs_input):
            if self._frame is None:
                self._frame = self._next_frame()
            try:
                # One byte more than may come shows that there are too many.
                data: bytes = self._frame.decompress(self._rest, min(most, self.left + 1))
            except self._zstd.ZstdError as error:
                raise DecompressionError(str(error)) from error
            self._rest = b""
            if self._frame.eof:
                self._rest, self._frame = self._frame.unused_data, None
            if len(data) > self.left:
                raise DecompressionError("it holds more than the value")
            if data:
                self.left -= len(data)
                return data
        return b""

    def _next_frame(self) -> Any:
        self._frames_left -= 1
        if self._frames_left < 0:
            raise DecompressionError("it has too many frames")
        return frame_decompressor(self._zstd)

    def finish(self) -> None:
        """Check that all that was put in were whole frames, and that they held all bytes.

        Raises
        ------
        DecompressionError
            A frame is cut short, or bytes are missing.
        """
        if self._frame is not None:
            raise DecompressionError("its last frame is cut short")
        if self.left:
            raise DecompressionError(f"it holds {self.left} bytes less than the value")


def decompressed(frames: bytes | memoryview, size: int) -> bytes:
    """Return the bytes that some frames in memory hold: exactly `size`.

    Raises
    ------
    DecompressionError
        They do not, or are no frames; see `Decompression`.
    """
    found, data, view = Decompression(size), bytearray(), memoryview(frames)
    for start in range(0, len(view), _PIECE_BYTES):
        found.feed(view[start : start + _PIECE_BYTES])
        while piece := found.read(size + 1):
            data += piece
    found.finish()
    return bytes(data)


def decompress_file(source: BinaryIO, target: BinaryIO, size: int) -> str:
    """Write what the frames in a file hold into another; return its sha256.

    Raises
    ------
    DecompressionError
        As of `decompressed`.
    """
    found, hasher = Decompression(size), hashlib.sha256()
    while piece := source.read(_PIECE_BYTES):
        found.feed(piece)
        while data := found.read(_WRITTEN_BYTES):
            hasher.update(data)
            target.write(data)
    found.finish()
    return hasher.hexdigest()


def decompressed_copy(copy: bytes, sha256: str | None, size: int) -> bytes | None:
    """Return the value of a whole compressed copy, to be compared with its digest.

    Parameters
    ----------
    copy : bytes
        The copy.
    sha256 : str or None
        Its digest, lowercase hex; None if it was verified already.
    size : int
        The size of the value, in bytes.

    Returns
    -------
    bytes or None
        `size` bytes; None if the copy has another digest, or does not hold so many.
    """
    if sha256 is not None and hashlib.sha256(copy).hexdigest() != sha256:
        return None
    try:
        return decompressed(copy, size)
    except DecompressionError:
        return None
