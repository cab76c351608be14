"""The sum of an index: told along with its head, and carried along with each change.

It is the sum, modulo 2**128, of the first 16 bytes of the sha256 of each
canonical line (from the first quote of the key to the last brace), big-endian.
So a reader that applies changes finds out at their cost whether they have led
to the index that the head names.  It tells of accidents, not of attacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from . import codec

__all__ = ["changed_sum", "sum_of_document", "sum_text"]

_MODULUS = 1 << 128


def sum_of_document(body: bytes) -> int:
    r"""Return the sum of an index in canonical form.

    Notes
    -----
    A million entries take about a second.

    Examples
    --------
    >>> sum_text(sum_of_document(b'{\n"a":{}\n}\n'))
    '25cd1c169a4e7d0c14414be0a760fa58'
    """
    lines = body[2:-2].split(b"\n")[:-1]
    return _sum_of_lines(line.removesuffix(b",") for line in lines)


def changed_sum(total: int, changes: Iterable[tuple[str, bytes | None, bytes | None]]) -> int:
    """Return the sum of an index after some changes.

    Parameters
    ----------
    total : int
        The sum before.
    changes : iterable of (str, bytes or None, bytes or None)
        Keys, and their raw entries in canonical form before and after; None for
        one that is not there.
    """
    gone, come = [], []
    for key, before, after in changes:
        name = codec.encode(key)
        if before is not None:
            gone.append(name + b":" + before)
        if after is not None:
            come.append(name + b":" + after)
    return (total + _sum_of_lines(come) - _sum_of_lines(gone)) % _MODULUS


def _sum_of_lines(lines: Iterable[bytes]) -> int:
    return sum(int.from_bytes(sha256(line).digest()[:16]) for line in lines) % _MODULUS


def sum_text(total: int) -> str:
    """Write a sum as a head does: 32 hex digits."""
    return f"{total:032x}"
