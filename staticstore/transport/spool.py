"""A value that is read whole for the sake of its parts."""

from __future__ import annotations

import tempfile
from typing import Any, BinaryIO

from ..errors import TransportError
from .parts import Target, ask, first_right
from .readings import IN_MEMORY
from .response import Response
from .stream import copy_whole

__all__ = ["head", "size_on_host", "spooled"]


def head(target: Target) -> Response:
    """Return the header fields of a value; a host that refuses a HEAD is asked for a byte."""

    def asked(target: Target) -> Response:
        fields = dict(target.fields)
        try:
            return target.session.request(
                "HEAD", target.url_path, headers=fields, key=target.key, repeats=False
            )
        except TransportError as error:
            if error.status in (401, 407):  # which a GET is answered with, too
                raise
            part = ask(target, 0, 1)
        if part.response.status == 416:  # of which the fields are those of a refusal
            part = ask(target, 0, None)
        return part.response

    response = first_right(target, asked)
    response.close()
    return response


def size_on_host(target: Target) -> int | None:
    """Ask the host for the size of a value; None if it does not say.

    By a request for its first byte: what a HEAD says of it is wrong on some hosts.
    """

    def asked(target: Target) -> int | None:
        part = ask(target, 0, 1)
        if part.is_partial:
            part.skip_to(1)  # so that the connection serves the next request, too
        part.close()
        return part.total

    return first_right(target, asked)


def spooled(target: Target) -> tuple[BinaryIO, int]:
    """Read a value whole, verified, into a file that vanishes when it is closed; and its size.

    Up to 8 MiB stay in memory.
    """
    spool: Any = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 -- the caller's
    try:
        return spool, copy_whole(target, spool)
    except BaseException:
        spool.close()
        raise
