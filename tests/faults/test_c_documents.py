"""FAULTS C17 to C19: hosts that spoil a head, or the documents that it names."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from staticstore import StaticStore, publish
from tests.servers import Answer, RawServer, Request, Wire, serve_files

VALUES = {f"v/{number:04}.txt": b"%d " % number * 20 for number in range(60)}
NEW = b"new"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A site with a head, blocks and packs, before and after a change."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "data" / "v").mkdir(parents=True)
    for key, value in VALUES.items():
        (folder / "data" / key).write_bytes(value)
    publish(folder, pack=True)
    before = _files(folder)
    (folder / "data" / "v" / "0001.txt").write_bytes(NEW)
    publish(folder, pack=True)
    return before, _files(folder)


def _files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


Served = Callable[[Callable[[dict[str, bytes]], Answer]], tuple[dict[str, bytes], RawServer]]


@pytest.fixture
def served(site: tuple[dict[str, bytes], dict[str, bytes]]) -> Iterator[Served]:
    """Serve the older site with a script; its files may change."""
    with ExitStack() as stack:

        def serve(
            answering: Callable[[dict[str, bytes]], Answer],
        ) -> tuple[dict[str, bytes], RawServer]:
            files = dict(site[0])
            return files, stack.enter_context(RawServer(answering(files), heads=True))

        yield serve


def check(files: dict[str, bytes], newer: dict[str, bytes], server: RawServer) -> None:
    """Read such a site in every way, and follow a change of it."""
    lazy = StaticStore(server.url, poll_interval=0, lazy=True)
    with lazy.connect(retries=0, timeout=(5, 5)):
        assert lazy["v/0023.txt"].read() == VALUES["v/0023.txt"]
        assert list(lazy) == list(VALUES)
    store = StaticStore(server.url, poll_interval=0)
    with store.connect(retries=0, timeout=(5, 5)):
        assert dict(store.read_many(VALUES)) == VALUES
        files.update(newer)
        assert [change.key for change in store.update_index()] == ["v/0001.txt"]
        assert store["v/0001.txt"].read() == NEW


LABELS: dict[str, Callable[[bytes], bytes]] = {
    "aws-chunked": bytes,
    "UTF-8": bytes,
    "none": bytes,
    "br": bytes,
    "zstd": bytes,
    "gzip": bytes,
    "deflate": bytes,
    "Gzip": gzip.compress,
    "Deflate": zlib.compress,
    "gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    "aws-chunked, gzip": gzip.compress,
}


@pytest.mark.parametrize(
    ("label", "length"), [*((label, True) for label in LABELS), ("br", False), ("Gzip", False)]
)
def test_c19_a_site_on_a_host_that_mislabels_or_encodes_everything_can_be_read(
    site: tuple[dict[str, bytes], dict[str, bytes]], served: Served, label: str, length: bool
) -> None:
    def answering(files: dict[str, bytes]) -> Answer:
        def answer(request: Request, wire: Wire) -> None:
            body = files.get(request.path.removeprefix("/"))
            if body is None:
                return wire.response(404)
            return wire.response(
                200, LABELS[label](body), {"Content-Encoding": label}, length=length
            )

        return answer

    files, server = served(answering)
    check(files, site[1], server)


@pytest.mark.parametrize("status", [400, 403, 405, 412, 416, 417, 431, 501])
def test_c17_a_site_on_a_host_that_refuses_ranges_and_conditions_can_be_read(
    site: tuple[dict[str, bytes], dict[str, bytes]], served: Served, status: int
) -> None:
    def answering(files: dict[str, bytes]) -> Answer:
        good = serve_files(files)

        def answer(request: Request, wire: Wire) -> None:
            if {"Range", "If-None-Match"} & set(request.headers):
                return wire.response(status)
            return good(request, wire)

        return answer

    files, server = served(answering)
    check(files, site[1], server)


@pytest.mark.parametrize("status", [102, 103])
def test_c18_a_site_on_a_host_that_sends_interim_answers_can_be_read(
    site: tuple[dict[str, bytes], dict[str, bytes]], served: Served, status: int
) -> None:
    def answering(files: dict[str, bytes]) -> Answer:
        good = serve_files(files)

        def answer(request: Request, wire: Wire) -> None:
            wire.send(b"HTTP/1.1 %d Interim\r\nContent-Length: 7\r\n\r\n" % status)
            good(request, wire)

        return answer

    files, server = served(answering)
    check(files, site[1], server)


@pytest.mark.parametrize("folder", ["changes/", "index/", "blocks/"])
@pytest.mark.parametrize(
    ("label", "coded"),
    [
        ("gzip", lambda body: gzip.compress(body)[:-9]),
        ("br", lambda body: b"\x8b\x00" + body[::-1]),
    ],
)
def test_c19_a_document_that_cannot_be_decoded_counts_as_wrong(
    site: tuple[dict[str, bytes], dict[str, bytes]],
    served: Served,
    folder: str,
    label: str,
    coded: Callable[[bytes], bytes],
) -> None:
    def answering(files: dict[str, bytes]) -> Answer:
        plain = serve_files(files)

        def answer(request: Request, wire: Wire) -> None:
            path = request.path.lstrip("/")
            if path.startswith(folder) and path in files:
                wire.response(200, coded(files[path]), {"Content-Encoding": label})
            else:
                plain(request, wire)

        return answer

    files, server = served(answering)
    with StaticStore(server.url, poll_interval=0).connect(retries=0, timeout=(5, 5)) as store:
        files.update(site[1])
        assert [change.key for change in store.update_index()] == ["v/0001.txt"]
