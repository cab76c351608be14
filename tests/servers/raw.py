"""A server that misbehaves on purpose: a script of the test decides about every byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from .wire import Answer, ClientGone, Request, Wire

_NO_HEAD = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class RawServer:
    """Listens on loopback and lets `answer(request, wire)` answer each request.

    Connections are served at the same time, each in a thread of its own, and
    kept alive until the client or the script closes them.  `answer` may be
    replaced while the server runs.

    An exception of a script, or a script that does not answer at all, is raised
    again by `stop`, or at the end of the ``with`` block.

    Parameters
    ----------
    answer : callable
        The script.
    ssl_context : ssl.SSLContext, optional
        Use TLS.
    heads : bool, optional
        Whether the script also answers requests for a head of the index.  If not,
        this is the host of a site without one: the server answers them itself, and
        such requests are not among those that it reports.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        heads: bool = False,
    ) -> None:
        self.answer = answer
        self.heads = heads
        self.host = host
        self.port = 0
        self._ssl_context = ssl_context
        self._lock = threading.Lock()
        self._seen: list[Request] = []
        self._errors: list[BaseException] = []
        self._connections = 0
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        """The server's root URL, with a final slash."""
        scheme = "https" if self._ssl_context else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/"

    @property
    def requests(self) -> list[Request]:
        """The requests received so far, in order."""
        with self._lock:
            return list(self._seen)

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        return self._connections

    def start(self) -> Self:
        """Start listening; after `stop`, again at the same port."""
        if self._listener is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            self._listener = socket.create_server(
                (self.host, self.port), family=family, backlog=128
            )
            self.port = self._listener.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=[self._listener], daemon=True)
            self._threads = [thread]
            thread.start()
        return self

    def stop(self) -> None:
        """End all connections, and raise the exceptions of the script."""
        self._end()
        errors, self._errors = self._errors, []
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise BaseExceptionGroup("the server's script failed", errors)

    def _end(self) -> None:
        if self._listener is None:
            return
        with self._lock:
            listener, self._listener = self._listener, None
            for connection in (listener, *self._open):
                # Wakes the threads that wait for it.  Not by the method of an SSLSocket, which
                # would remove the TLS layer under a thread that is using it.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10.0)
            if thread.is_alive():
                self._errors.append(RuntimeError("a script waits for something but its wire"))
        listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # stopped
            if self._ssl_context:
                try:
                    connection = self._ssl_context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                except OSError:
                    continue  # gone before it was accepted
            with self._lock:
                if self._listener is None:
                    connection.close()
                    return
                thread = threading.Thread(
                    target=self._serve, args=[connection, self._connections], daemon=True
                )
                self._connections += 1
                self._open.add(connection)
                self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._converse(connection, number)
        except ClientGone:
            pass
        except BaseException as error:  # raised again by `stop`
            with self._lock:
                self._errors.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _converse(self, connection: socket.socket, number: int) -> None:
        reader = _Reader(connection)
        if isinstance(connection, ssl.SSLSocket):
            reader.handshake(connection)
        while (head := reader.head()) is not None:
            line, *fields = head.decode("latin-1").split("\r\n")
            method, target, version = line.split(" ")
            pairs = [field.partition(":")[::2] for field in fields]
            headers = tuple((name, value.strip()) for name, value in pairs)
            length = next((int(v) for k, v in headers if k.lower() == "content-length"), 0)
            body = reader.exactly(length)
            if target.partition("?")[0].endswith("/index.head.json") and not self.heads:
                connection.sendall(_NO_HEAD)
                continue
            with self._lock:
                seen = len(self._seen)
                request = Request(method, target, version, headers, body, seen, number)
                self._seen.append(request)
            wire = Wire(connection, request)
            self.answer(request, wire)
            if not wire.used:
                raise RuntimeError(f"the script did not answer {method} {target}")
            if wire.closed:
                return

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except BaseException as failure:
            if error is None:
                raise
            # The failure of the test is to be shown; this one may be its cause.
            error.add_note(f"the server's script failed as well: {failure!r}")


class _Reader:
    """Reads requests from a connection; a client that goes away is `ClientGone`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._held = b""

    def handshake(self, connection: ssl.SSLSocket) -> None:
        try:
            connection.do_handshake()
        except OSError as error:
            raise ClientGone from error

    def head(self) -> bytes | None:
        """Read up to the empty line; None if the client has ended the connection."""
        while b"\r\n\r\n" not in self._held:
            if len(self._held) > 1 << 16:
                raise ValueError("a request's head of more than 64 KiB")
            if not self._more():
                return None
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        return head

    def exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            if not self._more():
                raise ClientGone
        data, self._held = self._held[:count], self._held[count:]
        return data

    def _more(self) -> bool:
        try:
            data = self._connection.recv(1 << 16)
        except OSError as error:
            raise ClientGone from error
        self._held += data
        return bool(data)
