"""The body of an answer whose label may be wrong: received whole, and read in the right way."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from ..errors import IntegrityError, StoreError, TransportError
from .coding import DECODABLE, GZIP_MAGIC, decoded
from .failures import CodingError
from .integrity import Verifier
from .response import Response

__all__ = ["IN_MEMORY", "right_reading"]

#: Bytes of a value that is read whole and held in memory; a larger one is held on the disk.
IN_MEMORY = 1 << 23
_PIECE_BYTES = 1 << 20
_SLACK_BYTES = 1 << 20  # by which a coding makes longer what cannot be compressed


def right_reading(
    response: Response, new_verifier: Callable[[], Verifier], key: str
) -> tuple[BinaryIO, int]:
    """Receive a body with a content coding, and return the value in a file, and its size.

    It is read as sent, and with the codings undone, one after another: what
    the index says of the value decides.  If that is nothing, as many codings are
    undone as can be, unless the bytes are evidently not coded.

    Parameters
    ----------
    response : Response
        The answer, its body not yet read.
    new_verifier : callable
        Makes what each reading is held against.
    key : str
        For errors.

    Raises
    ------
    IntegrityError, TransportError
        No reading is right.
    """
    codings = response.codings
    failure: StoreError | None = None
    found: BinaryIO | None = None
    files = [sent := _spool()]
    try:
        _receive(response, sent, new_verifier())
        for count in _layers(sent, codings, new_verifier()):
            pieces = decoded(_pieces_of(sent), codings[len(codings) - count :])
            file = _spool() if count else sent
            files.append(file)
            try:
                size = _verify(pieces, new_verifier(), file if count else None)
                file.seek(0)
                found = file
                return file, size
            except IntegrityError as error:
                failure = error
            except CodingError as error:
                # A label over plain bytes says nothing of why those are not the right ones.
                if failure is None or not DECODABLE.issuperset(codings):
                    message = f"the host used a content coding that cannot be undone: {error}"
                    failure = TransportError(message, key=key, url=response.url)
        assert failure is not None, "there is a reading at least"
        raise failure
    finally:
        for file in files:
            if file is not found:
                file.close()


def _layers(file: BinaryIO, codings: Sequence[str], verifier: Verifier) -> Iterable[int]:
    """Return how many codings to undo, in the order in which that is tried."""
    if verifier.sha256 is None and verifier.size == file.seek(0, os.SEEK_END):
        return range(len(codings), -1, -1)  # bytes as sent are right at last, whatever they are
    if verifier.size is not None or verifier.sha256 is not None:
        return range(len(codings) + 1)
    return range(len(codings), 0, -1) if _is_coded(file, codings) else [0]


def _receive(response: Response, file: BinaryIO, verifier: Verifier) -> None:
    most = None if verifier.size is None else verifier.size + verifier.size // 8 + _SLACK_BYTES
    buffer = memoryview(bytearray(_PIECE_BYTES))
    while count := response.readinto(buffer):
        file.write(buffer[:count])
        if most is not None and file.tell() > most:
            raise verifier.size_error(f"more than {verifier.size}")


def _is_coded(file: BinaryIO, codings: Sequence[str]) -> bool:
    """Return whether bytes may be coded as the label says."""
    if codings[-1] == "deflate":
        try:
            for _ in decoded(_pieces_of(file), codings[-1:]):
                break
        except CodingError:
            return False
        return True
    file.seek(0)
    return codings[-1] not in DECODABLE or file.read(2) == GZIP_MAGIC


def _verify(pieces: Iterator[bytes], verifier: Verifier, file: BinaryIO | None) -> int:
    """Hold pieces against the index, and write them to a file if there is one."""
    with contextlib.closing(verifier):
        for piece in pieces:
            verifier.feed(piece)
            if file is not None:
                file.write(piece)
        verifier.finish()
        return verifier.count


def _pieces_of(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _spool() -> Any:
    return tempfile.SpooledTemporaryFile(IN_MEMORY)
