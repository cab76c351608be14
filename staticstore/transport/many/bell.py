"""Waking a thread that waits for sockets."""

from __future__ import annotations

import contextlib
import math
import select
import socket
from collections.abc import Collection

__all__ = ["Bell", "ready_files"]

_MOST_SELECTED_FILES = 1024  # FD_SETSIZE of most systems


class Bell:
    """Wakes the one thread that waits for it and for sockets.

    Any thread may ring; only the one that waits may close it.
    """

    def __init__(self) -> None:
        self._receiving, self._sending = socket.socketpair()
        self._receiving.setblocking(False)
        self._is_rung = False

    def ring(self) -> None:
        """Wake the thread, or keep it from waiting next time; after `close`, do nothing."""
        if not self._is_rung:
            self._is_rung = True
            with contextlib.suppress(OSError):  # the thread has ended
                self._sending.send(b"!")

    def wait(
        self, readable: Collection[int], writable: Collection[int], seconds: float | None
    ) -> Collection[int]:
        """Wait until it is rung, or a socket is ready, or the time is over.

        Parameters
        ----------
        readable, writable : collection of int
            File descriptors of the sockets to receive and to send on.
        seconds : float or None
            The longest time; None for no end.

        Returns
        -------
        collection of int
            The descriptors that are ready, perhaps among others.
        """
        number = self._receiving.fileno()
        ready = ready_files([number, *readable], writable, seconds)
        if number in ready:
            # In this order: the byte of a ring in between would be lost, and no later one
            # would send another.
            self._receiving.recv(64)
            self._is_rung = False
        return ready

    def close(self) -> None:
        """Close its own sockets."""
        self._receiving.close()
        self._sending.close()


def ready_files(
    readable: Collection[int], writable: Collection[int], seconds: float | None
) -> Collection[int]:
    """Wait for sockets, and return those that are ready; parameters as of `Bell.wait`."""
    most = max((*readable, *writable), default=0)
    if most < _MOST_SELECTED_FILES or not hasattr(select, "poll"):
        received, sendable, _ = select.select(readable, writable, (), seconds)  # benchmark: many
        return received + sendable
    poll = select.poll()
    for one in readable:
        poll.register(one, select.POLLIN)
    for one in writable:
        poll.register(one, select.POLLOUT | (select.POLLIN if one in readable else 0))
    found = poll.poll(None if seconds is None else math.ceil(seconds * 1e3))
    return [one for one, _ in found]
