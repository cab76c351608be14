"""How the peers fetch many values or ranges, each in the best documented way.

Each is a client that has connected before, and then fetches what it is given with a
limited number of requests at once.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import itertools
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = [
    "Client",
    "Fetch",
    "Piece",
    "aiohttp_client",
    "fsspec_client",
    "http_client",
    "obstore_client",
    "obstore_threads",
    "pycurl_client",
    "requests_client",
    "urllib3_client",
]


class Piece(NamedTuple):
    """A value or a range of one: the path below the root, and half-open offsets."""

    path: str
    start: int = 0
    end: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Header fields of a request for it."""
        return {} if self.end is None else {"Range": f"bytes={self.start}-{self.end - 1}"}


#: Returns what was fetched, in the order requested, as bytes-like objects.
Fetch = Callable[[Sequence[Piece]], Sequence[Any]]
#: Connects to a root URL, for so many requests at once.
Client = Callable[[str, int], AbstractContextManager[Fetch]]

_FIRST = [Piece("index.json")]


@contextmanager
def obstore_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by obstore in asyncio: one call for a range, two for a whole value."""
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(root, client_options={"allow_http": True})

    async def one(piece: Piece) -> Any:
        if piece.end is not None:
            return await obstore.get_range_async(
                store, piece.path, start=piece.start, end=piece.end
            )
        answer = await obstore.get_async(store, piece.path)
        return answer.bytes()  # a small value has arrived by now; `bytes_async` is slower

    with asyncio.Runner() as runner:
        yield _connected(lambda pieces: runner.run(_at_once(one, pieces, at_once)))


@contextmanager
def obstore_threads(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch whole values by obstore in threads."""
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(root, client_options={"allow_http": True})

    def one(piece: Piece) -> Any:
        return obstore.get(store, piece.path).bytes()

    with ThreadPoolExecutor(at_once) as threads:
        yield _connected(lambda pieces: list(threads.map(one, pieces)))


@contextmanager
def aiohttp_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by aiohttp, whose connector limits the number of requests at once."""
    import aiohttp

    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(root, connector=aiohttp.TCPConnector(limit=at_once))

    async def one(piece: Piece) -> bytes:
        async with session.get(piece.path, headers=piece.headers) as answer:
            body: bytes = await answer.read()
            return body

    async def all_of(pieces: Sequence[Piece]) -> list[bytes]:
        return await asyncio.gather(*map(one, pieces))

    with asyncio.Runner() as runner:
        session = runner.run(open_session())
        yield _connected(lambda pieces: runner.run(all_of(pieces)))
        runner.run(session.close())


@contextmanager
def fsspec_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by fsspec."""
    import fsspec

    files = fsspec.filesystem("http")

    def fetch(pieces: Sequence[Piece]) -> Sequence[Any]:
        urls = [root + piece.path for piece in pieces]
        if pieces[0].end is None:
            found = files.cat(urls, batch_size=at_once)
            return [found[url] for url in urls] if isinstance(found, dict) else [found]
        starts, ends = [piece.start for piece in pieces], [piece.end for piece in pieces]
        bodies: list[bytes] = files.cat_ranges(urls, starts, ends, batch_size=at_once)
        return bodies

    yield _connected(fetch)


@contextmanager
def requests_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by requests, in threads that share a session with a connection for each."""
    import requests
    from requests.adapters import HTTPAdapter

    def one(piece: Piece) -> bytes:
        return session.get(root + piece.path, headers=piece.headers).content

    with requests.Session() as session, ThreadPoolExecutor(at_once) as threads:
        session.mount("http://", HTTPAdapter(pool_maxsize=at_once))
        yield _connected(lambda pieces: list(threads.map(one, pieces)))


@contextmanager
def urllib3_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by urllib3, in threads that share a pool with a connection for each."""
    import urllib3

    def one(piece: Piece) -> bytes:
        return pool.request("GET", root + piece.path, headers=piece.headers).data

    with urllib3.PoolManager(maxsize=at_once) as pool, ThreadPoolExecutor(at_once) as threads:
        yield _connected(lambda pieces: list(threads.map(one, pieces)))


@contextmanager
def http_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by the standard library, in threads with one connection each."""
    parts, own = urlsplit(root), threading.local()
    opened: list[http.client.HTTPConnection] = []

    def connect() -> None:
        own.connection = http.client.HTTPConnection(parts.netloc)
        opened.append(own.connection)

    def one(piece: Piece) -> bytes:
        own.connection.request("GET", parts.path + piece.path, headers=piece.headers)
        answer: bytes = own.connection.getresponse().read()
        return answer

    with ThreadPoolExecutor(at_once, initializer=connect) as threads:
        yield _connected(lambda pieces: list(threads.map(one, pieces)))
    for connection in opened:
        connection.close()


@contextmanager
def pycurl_client(root: str, at_once: int) -> Iterator[Fetch]:
    """Fetch by libcurl's multi interface, with handles that are reused."""
    import pycurl

    multi = pycurl.CurlMulti()
    idle = [pycurl.Curl() for _ in range(at_once)]

    def begin(piece: Piece) -> io.BytesIO:
        handle, body = idle.pop(), io.BytesIO()
        handle.setopt(pycurl.URL, root + piece.path)
        handle.setopt(pycurl.WRITEDATA, body)
        if piece.end is not None:
            handle.setopt(pycurl.RANGE, f"{piece.start}-{piece.end - 1}")
        multi.add_handle(handle)
        return body

    def fetch(pieces: Sequence[Piece]) -> list[bytes]:
        waiting, bodies = iter(pieces), list[io.BytesIO]()
        while True:
            bodies.extend(map(begin, itertools.islice(waiting, len(idle))))
            multi.perform()
            _, done, failed = multi.info_read()
            assert not failed, failed
            for handle in done:
                multi.remove_handle(handle)
                idle.append(handle)
            if len(idle) == at_once and len(bodies) == len(pieces):
                return [body.getvalue() for body in bodies]
            if not done:
                multi.select(1.0)

    yield _connected(fetch)
    for handle in idle:
        handle.close()
    multi.close()


def _connected(fetch: Fetch) -> Fetch:
    """Fetch something once, so that everything is imported and a connection is open."""
    fetch(_FIRST)
    return fetch


async def _at_once(
    one: Callable[[Piece], Awaitable[Any]], pieces: Sequence[Piece], count: int
) -> list[Any]:
    """Await all of them, so many at once."""
    found: list[Any] = [None] * len(pieces)
    waiting = iter(enumerate(pieces))

    async def work() -> None:
        for number, piece in waiting:
            found[number] = await one(piece)

    await asyncio.gather(*(work() for _ in range(count)))
    return found
