"""Bounds on the answer to a request, and the time that a document takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ... import tuning

__all__ = ["Bounds", "Deadline", "DocumentProgress", "allowance"]

#: Called as ``progress(done, total)``, in bytes as they are sent; the total may be unknown.
DocumentProgress = Callable[[int, int | None], object]

# Bytes that may be received for each byte read (chunks of one byte take six), and in
# addition: the head of a chunk, trailers at the end.
_RECEIVED_BYTES_PER_BYTE = 8
_RECEIVED_BESIDE_BYTES = 1 << 20


class Deadline:
    """The time that documents may take together; the more bytes come, the longer.

    A slow line is not a dead one: each 32 KiB that were received add a second.  Any
    thread may use it.

    Parameters
    ----------
    seconds : float
        The time without what bytes add.
    grows : bool, optional
        Whether bytes add to it.
    """

    def __init__(self, seconds: float, *, grows: bool = True) -> None:
        self._at = time.monotonic() + seconds
        self._grows = grows
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """The seconds that are left; below 0 once it has passed."""
        return self._at - time.monotonic()

    def note_received(self, count: int) -> None:
        """Add the time of some bytes that were received."""
        if self._grows and count:
            with self._lock:
                self._at += count / tuning.SLOW_LINE_BYTES_A_SECOND

    def within(self, seconds: float) -> Deadline:
        """Return this, or a new one if more than so many seconds are left."""
        return self if self.left <= seconds else Deadline(seconds)


def allowance(size: int) -> int:
    """Return how many bytes may be received to read `size`; see `Wire.allowing`."""
    return _RECEIVED_BYTES_PER_BYTE * size + _RECEIVED_BESIDE_BYTES


class Bounds(NamedTuple):
    """Bounds on the answer to one request: time, rate and peer; all times in seconds.

    Parameters
    ----------
    silence : float
        The longest time without a byte.  The head of the answer must arrive
        whole within this time.
    deadline : Deadline, optional
        When the whole answer must have arrived.
    min_rate : float, optional
        The least bytes a second of a body, averaged over `silence`; time in
        which the caller does not read is not counted.
    check_peer : callable, optional
        Called with the address at the other end of the connection before
        anything is sent on it; raises if it must not be used.
    """

    silence: float
    deadline: Deadline | None = None
    min_rate: float = 0
    check_peer: Callable[[str], None] | None = None
