"""A relay between a client and a server on loopback that counts, delays, and can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import struct
import threading
from concurrent.futures import Future
from typing import ClassVar, Self


class Relay:
    """Forwards bytes between its own `port` and that of a server.

    `sent` counts the bytes from clients to the server, `received` those to
    the clients, and `connections` the connections so far.

    Parameters
    ----------
    server_port : int
        The port of the server.
    delay : float
        Seconds added to each round trip; the first one of a connection opens it,
        as in a real network.  It can be changed while the relay runs.
    rate : float, optional
        The most bytes a second to the client, on each connection by itself.
    """

    #: What waits for sockets and times; select(2) alone does not round times up to milliseconds.
    selector: ClassVar[type[selectors.BaseSelector]] = selectors.DefaultSelector

    def __init__(self, server_port: int, *, delay: float = 0.0, rate: float | None = None) -> None:
        self.server_port = server_port
        self.delay = delay
        self.rate = rate
        self.host = "127.0.0.1"
        self.port = 0
        self.sent = 0
        self.received = 0
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The root URL of a plain HTTP server, through the relay."""
        return f"http://{self.host}:{self.port}/"

    def start(self) -> Self:
        """Start listening; after `stop`, again at the same port."""
        if self._thread is None:
            started: Future[None] = Future()
            self._thread = threading.Thread(target=self._run, args=[started], daemon=True)
            self._thread.start()
            started.result(timeout=10.0)
        return self

    def cut(self) -> None:
        """Reset all connections, on both sides, and keep listening."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(timeout=10.0)

    def stop(self) -> None:
        """Cut all connections and stop listening."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            self._loop.call_soon_threadsafe(self._stopped.set)
            thread.join(timeout=10.0)

    def _run(self, started: Future[None]) -> None:
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._listen(started))

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(self.selector())

    async def _listen(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        try:
            server = await asyncio.start_server(self._connect, self.host, self.port)
        except OSError as error:
            self._thread = None
            started.set_exception(error)
            return
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            started.set_result(None)
            await self._stopped.wait()
            server.close()
            await self._cut()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Only the end of the relay cancels, and Python 3.11 would report that on stderr.
        with contextlib.suppress(asyncio.CancelledError):
            await self._join(reader, writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._forget, writer)
            self._writers.add(writer)
            await asyncio.sleep(self.delay)
            try:
                upstream, onward = await asyncio.open_connection(self.host, self.server_port)
            except OSError:
                return
            stack.callback(self._forget, onward)
            self._writers.add(onward)
            try:
                async with asyncio.TaskGroup() as directions:
                    directions.create_task(self._pass(reader, onward, up=True))
                    directions.create_task(self._pass(upstream, writer, up=False))
            except* OSError:  # one end was reset, so the other is reset too
                _reset(writer)
                _reset(onward)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        """Forward in one direction, until its end."""
        free_at = 0.0
        while data := await reader.read(1 << 16):
            self.count(data, up=up)
            if up:
                await asyncio.sleep(self.delay)
            elif self.rate is not None:
                # Idle time is not saved up.
                free_at = max(free_at, self._loop.time()) + len(data) / self.rate
                await asyncio.sleep(free_at - self._loop.time())
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    def count(self, data: bytes, *, up: bool) -> None:
        """Count forwarded bytes, up to the server or down to the client."""
        if up:
            self.sent += len(data)
        else:
            self.received += len(data)

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


def _reset(writer: asyncio.StreamWriter) -> None:
    line: socket.socket = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
