"""A value that is read whole for the sake of its parts."""

from __future__ import annotations

import tempfile
from typing import Any, BinaryIO

from .parts import Target, first_right
from .response import Response
from .stream import copy_whole

__all__ = ["head", "size_on_host", "spooled"]

_IN_MEMORY = 1 << 23  # bytes


def head(target: Target) -> Response:
    """Return the header fields of a value, of which no byte is asked for."""

    def asked(target: Target) -> Response:
        return target.session.request("HEAD", target.url_path, key=target.key)

    response = first_right(target, asked)
    response.close()
    return response


def size_on_host(target: Target) -> int | None:
    """Ask the host for the size of a value; None if it does not say."""
    response = head(target)
    return response.content_length if response.content_encoding is None else None


def spooled(target: Target) -> tuple[BinaryIO, int]:
    """Read a value whole, verified, into a file that vanishes when it is closed; and its size.

    Up to 8 MiB stay in memory.
    """
    spool: Any = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 -- the caller's
    try:
        return spool, copy_whole(target, spool)
    except BaseException:
        spool.close()
        raise
