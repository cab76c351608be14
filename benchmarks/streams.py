"""How the peers read one value as a stream, each in the best documented way.

Each takes a URL and a function that takes the pieces; a piece is valid only until the
function returns.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["PEERS", "PIECE", "Stream", "Take"]

PIECE = 1 << 20  # bytes

Take = Callable[[Any], object]
Stream = Callable[[str, Take], object]


def _raw_socket(url: str, take: Take) -> None:
    parts = urlsplit(url)
    buffer = memoryview(bytearray(PIECE))
    with socket.create_connection((parts.hostname, parts.port)) as line:
        line.sendall(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(PIECE)
        take(head.partition(b"\r\n\r\n")[2])
        while count := line.recv_into(buffer):
            take(buffer[:count])


def _requests(url: str, take: Take) -> None:
    import requests

    with requests.get(url, stream=True) as answer:
        for piece in answer.iter_content(PIECE):
            take(piece)


def _requests_raw(url: str, take: Take) -> None:
    import requests

    buffer = memoryview(bytearray(PIECE))
    with requests.get(url, stream=True, headers={"Accept-Encoding": "identity"}) as answer:
        while count := answer.raw.readinto(buffer):
            take(buffer[:count])


def _urllib3(url: str, take: Take) -> None:
    import urllib3

    with urllib3.PoolManager() as pool:
        answer = pool.request("GET", url, preload_content=False)
        for piece in answer.stream(PIECE):
            take(piece)
        answer.release_conn()


def _obstore(url: str, take: Take) -> None:
    import obstore
    from obstore.store import HTTPStore

    root, _, path = url.rpartition("/")
    store = HTTPStore.from_url(root, client_options={"allow_http": True, "timeout": "300s"})
    for piece in obstore.get(store, path).stream(min_chunk_size=PIECE):
        take(piece)


def _obstore_async(url: str, take: Take) -> None:
    import obstore
    from obstore.store import HTTPStore

    root, _, path = url.rpartition("/")
    store = HTTPStore.from_url(root, client_options={"allow_http": True, "timeout": "300s"})

    async def read() -> None:
        answer = await obstore.get_async(store, path)
        async for piece in answer.stream(min_chunk_size=PIECE):
            take(piece)

    asyncio.run(read())


def _aiohttp(url: str, take: Take) -> None:
    import aiohttp

    async def read() -> None:
        async with (
            aiohttp.ClientSession(read_bufsize=PIECE) as session,
            session.get(url) as answer,
        ):
            async for piece in answer.content.iter_any():
                take(piece)

    asyncio.run(read())


def _fsspec(url: str, take: Take) -> None:
    import fsspec

    with fsspec.filesystem("http").open(url, block_size=0) as file:
        while piece := file.read(10 * PIECE):
            take(piece)


def _pycurl(url: str, take: Take) -> None:
    import pycurl

    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.BUFFERSIZE, 10 * PIECE)  # the most there is
    handle.setopt(pycurl.WRITEFUNCTION, take)
    handle.perform()
    handle.close()


#: By their names in the report.
PEERS: dict[str, Stream] = {
    "raw socket": _raw_socket,
    "requests": _requests,
    "requests, raw": _requests_raw,
    "urllib3": _urllib3,
    "obstore": _obstore,
    "obstore, async": _obstore_async,
    "aiohttp": _aiohttp,
    "fsspec": _fsspec,
    "pycurl": _pycurl,
}
