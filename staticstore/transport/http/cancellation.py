"""Calls that are canceled, with their connections, while they wait."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

__all__ = ["Cancellation", "cut_when_canceled", "shut_down", "this_call"]

T = TypeVar("T")


class Cancellation:
    """Makes one call, which any thread may cancel; its requests end then.

    Only the socket that the call waits for at that moment is cut: any other that it has used
    may be idle, or serve another call by now.

    Attributes
    ----------
    event : threading.Event
        Set once it is canceled.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def run(self, call: Callable[[], T]) -> T:
        """Make the call in this thread.

        Raises
        ------
        NotConnectedError
            It was canceled while it waited for a host, or before it asked one.
        """
        before = this_call.cancellation, this_call.cut
        this_call.cancellation, this_call.cut = self, self.event
        try:
            return call()
        finally:
            this_call.cancellation, this_call.cut = before

    def cancel(self) -> None:
        """Cut what the call waits for, and let it request nothing more; idempotent."""
        self.event.set()
        with self._lock:
            if self._socket is not None:
                shut_down(self._socket)

    @contextlib.contextmanager
    def waiting_for(self, sock: socket.socket) -> Iterator[None]:
        """Have `cancel` cut a socket during the block.

        Raises
        ------
        ConnectionAbortedError
            It was canceled before.
        """
        with self._lock:
            if self.event.is_set():
                raise ConnectionAbortedError("canceled")
            before, self._socket = self._socket, sock
        try:
            yield
        finally:
            with self._lock:
                self._socket = before


class _ThisCall(threading.local):
    # Of a call that cannot be canceled.
    cancellation: Cancellation | None = None
    cut = threading.Event()


#: What this thread does: its `Cancellation`, if it has one, and the event that it sets.
#: requests and urllib3 stand between a call and its sockets, and pass nothing on.
this_call = _ThisCall()

_UNCUT = contextlib.nullcontext()


def cut_when_canceled(sock: socket.socket) -> contextlib.AbstractContextManager[None]:
    """Cut a socket if this thread's call is canceled during the block."""
    cancellation = this_call.cancellation
    return _UNCUT if cancellation is None else cancellation.waiting_for(sock)


def shut_down(sock: socket.socket) -> None:
    """End current and future reads and writes of a socket in all threads."""
    # Not `SSLSocket.shutdown`: it would drop the TLS layer under a thread that
    # reads, which might then take ciphertext for data.
    with contextlib.suppress(OSError):  # not connected yet, or no longer
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
