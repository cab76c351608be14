"""Values become whole files or none, and interrupted downloads are resumed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from staticstore import IntegrityError, StaticStore, TransportError
from staticstore.client.value import copy_directly
from staticstore.disk.part_file import PART_PATTERN
from tests.killing import killed
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of

VALUE = bytes(range(256)) * 12_000  # 3 MB
SIZE = len(VALUE)
SHA256 = hashlib.sha256(VALUE).hexdigest()
TAG = f'"{SHA256[:16]}"'

Start = Callable[..., RawServer]


def files(index: bytes | None = None, value: bytes = VALUE) -> dict[str, bytes]:
    described = index_of({"a": VALUE}) if index is None else index
    return {"index.json": described, "data/a": value}


def breaking(at: int, good: Answer) -> Answer:
    """Break off the first answer after some bytes, and serve well from then on."""
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) > 1:
            return good(request, wire)
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: {TAG}\r\n\r\n".encode())
        wire.send(VALUE[:at])
        return wire.close()

    return answer


def to_file(url: str, path: Path, **options: Any) -> None:
    with StaticStore(url, poll_interval=0).connect(retries=0) as store:
        store.to_file("a", path, **options)


def interrupted_download(
    start: Start, path: Path, at: int = 2_000_000, **options: Any
) -> RawServer:
    """Let a download break off; return the server, which serves well from then on."""
    good = serve_files(files(options.pop("index", None)), **options)
    server = start(good.but({"data/a": breaking(at, good)}))
    with pytest.raises(TransportError):
        to_file(server.url, path)
    assert not path.exists()
    return server


def requested_ranges(server: RawServer) -> list[tuple[int, int | None] | None]:
    return [request.range for request in server.requests if request.path == "/data/a"]


def part_of(path: Path) -> Path:
    """Return the part file of a download that broke off."""
    [part] = path.parent.glob(PART_PATTERN)
    return part


def note_of(path: Path) -> Path:
    return part_of(path).with_name(f"{part_of(path).name}.json")


def leftovers(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir() if one != path)


def test_an_interrupted_download_is_resumed_by_the_next_call(start: Start, tmp_path: Path) -> None:
    server = interrupted_download(start, tmp_path / "copy")
    part, note = part_of(tmp_path / "copy"), note_of(tmp_path / "copy")
    assert leftovers(tmp_path / "copy") == [part.name, note.name]
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE
    assert requested_ranges(server)[-1] == (2_000_000, None)
    assert leftovers(tmp_path / "copy") == []


@pytest.mark.parametrize("at", [1 << 20, 2_000_000])
def test_a_download_with_direct_io_is_resumed_too(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr("staticstore.tuning.DIRECT_BYTES", 0)
    good = serve_files(files())
    server = start(good.but({"data/a": breaking(at, good)}))
    with StaticStore(server.url, poll_interval=0).connect(retries=0) as store:
        value, path = store["a"], tmp_path / "file"
        with pytest.raises(TransportError):
            copy_directly(value, path)
        copy_directly(value, path)
    assert path.read_bytes() == VALUE
    assert requested_ranges(server)[-1] == (at, None)
    assert leftovers(path) == []


def test_a_download_that_breaks_at_its_beginning_leaves_nothing(
    start: Start, tmp_path: Path
) -> None:
    interrupted_download(start, tmp_path / "copy", at=0)
    assert leftovers(tmp_path / "copy") == []


def test_progress_continues_where_it_was(start: Start, tmp_path: Path) -> None:
    server = interrupted_download(start, tmp_path / "copy")
    steps: list[tuple[int, int | None]] = []
    to_file(server.url, tmp_path / "copy", progress=lambda *step: steps.append(step))
    assert steps[0][0] > 2_000_000
    assert steps[-1] == (SIZE, SIZE)


def test_a_strong_etag_allows_resuming_without_a_digest(start: Start, tmp_path: Path) -> None:
    server = interrupted_download(start, tmp_path / "copy", index=b'{"a": {}}')
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE
    assert requested_ranges(server)[-1] == (2_000_000, None)


def test_without_strong_etag_and_digest_the_download_restarts(start: Start, tmp_path: Path) -> None:
    good = serve_files(files(b'{"a": {}}'), etag="weak")

    def answer(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + VALUE[:999])
        wire.close()

    server = start(good.but({"data/a": answer}))
    with pytest.raises(TransportError):
        to_file(server.url, tmp_path / "copy")
    assert leftovers(tmp_path / "copy") == []


def test_a_changed_etag_restarts_the_download(start: Start, tmp_path: Path) -> None:
    interrupted_download(start, tmp_path / "copy", index=b'{"a": {}}')
    other = VALUE[::-1]
    server = start(serve_files(files(b'{"a": {}}', other)))
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == other


def test_another_key_with_the_same_etag_restarts_the_download(start: Start, tmp_path: Path) -> None:
    interrupted_download(start, tmp_path / "copy", index=b'{"a": {}}')
    other = VALUE[::-1]

    def answer(request: Request, wire: Wire) -> None:
        begin = request.range[0] if request.range else 0
        fields = {"ETag": TAG, "Content-Range": f"bytes {begin}-{SIZE - 1}/{SIZE}"}
        wire.response(206 if begin else 200, other[begin:], fields)

    server = start(serve_files({"index.json": b'{"b": {}}'}).but({"data/b": answer}))
    with StaticStore(server.url, poll_interval=0) as store:
        store.to_file("b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == other


def test_a_note_contains_no_secret(start: Start, tmp_path: Path) -> None:
    good = serve_files(files())
    server = start(good.but({"data/a": breaking(2_000_000, good)}))
    with pytest.raises(TransportError):
        to_file(f"{server.url}?sig=sesame", tmp_path / "copy")
    assert "sesame" not in note_of(tmp_path / "copy").read_text()


@pytest.mark.parametrize("note", [b"", b"[]", b'{"sha256": 5, "etag": {}}', b"{" * 100_000])
def test_an_invalid_note_restarts_the_download(start: Start, tmp_path: Path, note: bytes) -> None:
    server = interrupted_download(start, tmp_path / "copy", index=b'{"a": {}}')
    note_of(tmp_path / "copy").write_bytes(note)
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE


def test_a_changed_digest_in_the_index_restarts_the_download(start: Start, tmp_path: Path) -> None:
    interrupted_download(start, tmp_path / "copy")
    other = VALUE[::-1]
    server = start(serve_files({"index.json": index_of({"a": other}), "data/a": other}))
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == other
    assert requested_ranges(server) == [None]


def test_a_damaged_part_restarts_the_download(start: Start, tmp_path: Path) -> None:
    server = interrupted_download(start, tmp_path / "copy")
    with part_of(tmp_path / "copy").open("r+b") as part:
        part.write(b"damaged")
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE
    assert requested_ranges(server)[-1] is None


@pytest.mark.parametrize("length", [0, 1, SIZE - 1])
def test_a_part_of_any_length_is_resumed(start: Start, tmp_path: Path, length: int) -> None:
    server = interrupted_download(start, tmp_path / "copy")
    part_of(tmp_path / "copy").write_bytes(VALUE[:length])
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE


def test_c8_a_complete_part_needs_no_request(start: Start, tmp_path: Path) -> None:
    server = interrupted_download(start, tmp_path / "copy")
    part_of(tmp_path / "copy").write_bytes(VALUE)
    before = len(requested_ranges(server))
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE
    assert len(requested_ranges(server)) == before


@pytest.mark.parametrize("there", [VALUE, VALUE + b"!"])
def test_c8_a_416_completes_a_complete_part_and_restarts_any_other(
    start: Start, tmp_path: Path, there: bytes
) -> None:
    index = json.dumps({"a": {"sha256": SHA256}}).encode()
    server = interrupted_download(start, tmp_path / "copy", index=index)
    part_of(tmp_path / "copy").write_bytes(there)
    to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE
    assert requested_ranges(server)[1:] == (
        [(SIZE, None)] if there == VALUE else [(SIZE + 1, None), None, None]
    )


def test_a_wrong_value_leaves_no_file(start: Start, tmp_path: Path) -> None:
    server = start(serve_files(files(value=VALUE[::-1])))
    with pytest.raises(IntegrityError):
        to_file(server.url, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [245, 246, 250, 251, 255])
def test_a_file_name_may_have_the_maximum_length(start: Start, tmp_path: Path, length: int) -> None:
    path = tmp_path / ("n" * length)
    to_file(start(serve_files(files())).url, path)
    assert path.read_bytes() == VALUE
    assert leftovers(path) == []


def test_a_part_that_another_process_is_writing_is_not_touched(
    start: Start, tmp_path: Path
) -> None:
    server = interrupted_download(start, tmp_path / "copy")
    before = part_of(tmp_path / "copy").read_bytes()
    with part_of(tmp_path / "copy").open("r+b") as held:
        assert filelock.lock_descriptor(held.fileno(), blocking=False)
        to_file(server.url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUE
    assert part_of(tmp_path / "copy").read_bytes() == before


@pytest.mark.parametrize("value", [VALUE, b"small"])
@pytest.mark.parametrize("sync", [True, False])
def test_a_file_is_synced_unless_sync_is_false(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool, value: bytes
) -> None:
    server = start(serve_files({"index.json": index_of({"a": value}), "data/a": value}))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    to_file(server.url, tmp_path / "copy", sync=sync)
    assert bool(synced) == sync


def test_kill_9_at_any_moment_leaves_the_whole_file_or_a_resumable_part(
    start: Start, memory_path: Path
) -> None:
    server = start(serve_files(files()))
    survived = killed("tests.transport.values.killed_download", server.url, "a", memory_path)
    assert survived > 50
    with StaticStore(server.url, poll_interval=0) as store:
        for number in range(survived + 1):
            path = memory_path / str(number) / "copy"
            assert not path.exists() or path.read_bytes() == VALUE
            store.to_file("a", path)
            assert path.read_bytes() == VALUE
            assert leftovers(path) == []
    assert any(part is not None for part in requested_ranges(server))


def test_without_file_locks_no_part_is_left(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, *, blocking: bool) -> bool:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(filelock, "lock_descriptor", no_locks)
    server = start(serve_files(files()))
    to_file(server.url, tmp_path / "copy")
    assert leftovers(tmp_path / "copy") == []
