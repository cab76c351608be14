"""A8: the reader bounds every document, in decoded bytes, before it uses much memory."""

from __future__ import annotations

import gzip
import json
import shutil
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import IndexFormatError, StaticStore, StoreError, mirror, publish
from staticstore.index.blocks import BlockRoot
from staticstore.index.head import Head, NamedDocument, Role
from staticstore.transport.http import wire
from tests.servers import Answer, RawServer, Wire, serve_files

MOST = 1 << 20  # bytes of an index
DECODED = 48 << 20
BOMB = gzip.compress(bytes(DECODED), 9)
HUGE = 2**61
# What a store needs anyway: pieces of a mebibyte, a few of them at a time.
ALLOWED = 12 << 20


class Site:
    """A published site whose host serves documents that are larger than they should be."""

    def __init__(self, folder: Path, own: Path) -> None:
        self.folder = folder
        self._own = own  # a copy, made before anything is changed
        self.files: dict[str, bytes] = {}
        self.bombs: set[str] = set()
        self.good = serve_files(self.files)
        self.server = RawServer(self._answer, heads=True)
        self.upload()

    def publish(self, **values: str) -> None:
        if self.folder != self._own:
            self.folder = Path(shutil.copytree(self.folder, self._own))
        for name, value in values.items():
            (self.folder / "data" / name).write_text(value)
        publish(self.folder, pack=True)
        self.upload()

    def upload(self) -> None:
        self.files.clear()
        for path in self.folder.rglob("*"):
            if path.is_file() and ".staticstore" not in path.parts:
                self.files[path.relative_to(self.folder).as_posix()] = path.read_bytes()

    def _answer(self, request: Any, wire: Wire) -> None:
        if request.path.removeprefix("/") in self.bombs:
            wire.response(200, BOMB, {"Content-Encoding": "gzip"})
        else:
            self.good(request, wire)

    @property
    def head(self) -> Head:
        return Head.parse(self.files["index.head.json"])

    def bomb(self, document: NamedDocument, size: int = HUGE) -> None:
        """Serve a bomb instead of a document, whose head declares the largest possible size."""
        self.bombs.add(document.href)
        for name in ("index.head.json", document.href):
            text = self.files["index.head.json"].decode()
            if name == "index.head.json":
                said = json.loads(text)
                for one in (said["index"], said["blocks"], *said["changes"]):
                    if one["sha256"] == document.sha256:
                        one["size"] = size
                self.files["index.head.json"] = json.dumps(said).encode()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "site"
    (folder / "data").mkdir(parents=True)
    for number in range(1000):
        (folder / "data" / f"many{number:04}").write_text("x")
    publish(folder, pack=True)
    return folder


@pytest.fixture
def site(published: Path, tmp_path: Path, stack: ExitStack) -> Site:
    made = Site(published, tmp_path / "site")
    stack.enter_context(made.server)
    return made


Connect = Callable[..., StaticStore]


@pytest.fixture
def connect(site: Site, stack: ExitStack) -> Connect:
    def connect(**options: Any) -> StaticStore:
        store = StaticStore(site.server.url, poll_interval=0, **options)
        stack.callback(store.disconnect)
        return store.connect(max_index_bytes=MOST, retries=0)

    return connect


def peak_of(call: Callable[[], object]) -> int:
    """Make a call, ignoring our own errors; return the peak of the memory in bytes."""
    tracemalloc.start()
    try:
        call()
    except StoreError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("path", ["index.head.json", "index.json"])
def test_a_current_document_is_bounded(site: Site, connect: Connect, path: str) -> None:
    if path == "index.json":
        del site.files["index.head.json"]
    site.bombs.add(path)
    assert peak_of(connect) < ALLOWED


def test_the_index_under_its_digest_is_bounded(site: Site, connect: Connect) -> None:
    site.bomb(site.head.index)
    with pytest.raises(IndexFormatError, match=f"the index is larger than max_index_bytes={MOST}"):
        connect()
    assert f"/{site.head.index.href}" not in [request.path for request in site.server.requests]


def test_an_index_larger_than_its_head_declares_is_bounded(site: Site, connect: Connect) -> None:
    site.bombs |= {site.head.index.href, "index.json"}
    assert peak_of(connect) < ALLOWED


def test_change_files_are_bounded(site: Site, connect: Connect) -> None:
    store = connect()
    site.publish(new="1")
    site.bomb(site.head.change_files[-1].document)
    assert peak_of(store.update_index) < ALLOWED
    assert "new" in store


def test_change_files_are_bounded_together(site: Site, connect: Connect) -> None:
    store = connect()
    size = len(site.files["index.json"])
    site.publish(new="1")
    for span in site.head.change_files:
        site.bomb(span.document, size=size - 1)
    assert peak_of(store.update_index) < ALLOWED
    assert "new" in store


def test_the_root_of_the_blocks_is_bounded(site: Site, connect: Connect) -> None:
    assert site.head.blocks is not None
    site.bomb(site.head.blocks)
    store = connect(lazy=True)
    assert peak_of(lambda: store["many0000"]) < ALLOWED
    assert store["many0000"].size == 1


@pytest.mark.parametrize("what", ["page", "block"])
def test_a_page_and_a_block_are_bounded(
    site: Site, connect: Connect, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    assert site.head.blocks is not None
    root = json.loads(site.files[site.head.blocks.href])
    if what == "page":
        root["pages"] = [["many0000", 0, DECODED, "0" * 64]]
        root["size"] = DECODED
    else:
        line = json.dumps(["many0000", 2, DECODED, "0" * 64]).encode() + b"\n"
        document = NamedDocument.of(Role.BLOCK_LIST, line)
        root |= document.as_json()
        root["pages"] = [["many0000", 0, len(line), document.sha256]]
        site.files[document.href] = line
    _replace_root(site, json.dumps(root).encode())
    site.server.answer = _with_a_part_of_zeros(site)
    store = connect(lazy=True)
    assert peak_of(lambda: store["many0000"]) < ALLOWED


def _replace_root(site: Site, body: bytes) -> None:
    document = NamedDocument.of(Role.BLOCK_ROOT, body)
    site.files[document.href] = body
    said = json.loads(site.files["index.head.json"])
    said["blocks"] = document.as_json()
    site.files["index.head.json"] = json.dumps(said).encode()


def _with_a_part_of_zeros(site: Site) -> Answer:
    """Return any requested part, however large it is."""

    def answer(request: Any, wire: Wire) -> None:
        asked = request.headers.get("Range", "")
        start, _, last = asked.removeprefix("bytes=").partition("-")
        if asked and int(last) - int(start) >= DECODED - 1:
            size = int(last) + 1 - int(start)
            wire.response(206, bytes(size), {"Content-Range": f"bytes {start}-{last}/{HUGE}"})
        else:
            site.good(request, wire)

    return answer


def test_documents_that_a_mirror_fetches_are_bounded(
    site: Site, connect: Connect, tmp_path: Path
) -> None:
    store = connect()
    assert site.head.blocks is not None
    site.bombs |= {site.head.blocks.href, *(name for name in site.files if name[:6] == "packs/")}
    assert peak_of(lambda: mirror(store, tmp_path / "copy")) < 3 * ALLOWED
    assert len(list((tmp_path / "copy" / "data").iterdir())) == 1000


def test_data_compressed_more_than_any_text_is_refused(
    site: Site, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_SURELY_NO_BOMB_BYTES", 4 << 20)
    del site.files["index.head.json"]
    site.bombs.add("index.json")
    store = StaticStore(site.server.url, poll_interval=0)
    with pytest.raises(IndexFormatError, match="compressed more than 500 to 1"):
        store.connect(retries=0)


def test_the_error_names_what_was_too_large(site: Site, connect: Connect) -> None:
    store = connect()
    site.files["index.head.json"] = b"{" + b" " * 5000 + b"}"
    with pytest.raises(StoreError, match="the head is larger than 4096 bytes"):
        store.update_index()


@pytest.mark.parametrize("where", ["unknown", "pages"])
def test_nesting_in_a_root_of_blocks_takes_no_memory(where: str) -> None:
    nested = b"[" + b"[]," * (1 << 20) + b"[]]"
    fields = b'"format":"staticstore-blocks/1","modulus":1,"href":"","size":0,"sha256":"",'
    other = b'"pages":[],' if where == "unknown" else b""
    body = b'{%b%b"%b":%b}' % (fields, other, where.encode(), nested)
    assert peak_of(lambda: BlockRoot.parse(body)) < 1 << 20


def test_nesting_in_a_list_of_blocks_takes_no_memory() -> None:
    root = BlockRoot(1, NamedDocument.of(Role.BLOCK_LIST, b""), ())
    page = b"[" + b"[]," * (1 << 20) + b"[]]\n"
    assert peak_of(lambda: root.blocks_of(page, 0, 10)) < 1 << 20
