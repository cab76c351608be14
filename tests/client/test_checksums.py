"""Digests other than sha256, which foreign indexes have: they tell of accidents, and no more."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, StaticStore, TransportError
from staticstore.index.fields import Content
from tests.engines import ENGINES, sending_by
from tests.servers import Request, Wire, serve_files

VALUES = {"a": b"first" * 400, "b": b"second" * 400}


@pytest.fixture(autouse=True)
def has_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read entries as those of a foreign index."""
    of = Content.of

    def of_foreign(entry: Mapping[str, Any], **options: bool) -> Content:
        return of(entry, has_checksums=True)

    monkeypatch.setattr(Content, "of", of_foreign)


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., StaticStore]:
    def connect(root: Any, **options: Any) -> StaticStore:
        store = StaticStore(root, poll_interval=0, **options)
        stack.callback(store.disconnect)
        return store.connect(timeout=(5, 5), retries=0)

    return connect


def entries_of(name: str, values: Mapping[str, bytes] = VALUES) -> dict[str, Any]:
    """Return entries with sizes and digests of a kind."""
    return {
        key: {"size": len(value), name: hashlib.new(name, value).hexdigest()}
        for key, value in values.items()
    }


def site_of(name: str, served: Mapping[str, bytes] = VALUES, **fields: Any) -> Any:
    files = {f"data/{key}": value for key, value in served.items()}
    entries = {key: {**one, **fields} for key, one in entries_of(name).items()}
    return serve_files({**files, "index.json": json.dumps(entries).encode()})


READS: dict[str, Callable[[StaticStore, Path], bytes]] = {
    "read": lambda store, _: store["a"].read(),
    "data": lambda store, _: store["a"].data.read(),
    "open": lambda store, _: store["a"].open().read(),
    "range": lambda store, _: store["a"].range(0).read(),
    "get_ranges": lambda store, _: b"".join(store["a"].get_ranges([(0, 9), (9, None)])),
    "read_many": lambda store, _: dict(store.read_many("ab"))["a"],
    "read_async": lambda store, _: asyncio.run(store.read_async("a")),
    "to_file": lambda store, folder: _to_file(store, folder),
}


def _to_file(store: StaticStore, folder: Path) -> bytes:
    store.to_file("a", folder / "a")
    return (folder / "a").read_bytes()


@pytest.mark.parametrize("name", ["sha512", "sha1", "md5"])
@pytest.mark.parametrize("read", READS)
def test_the_bytes_are_compared_with_the_digest(
    start: Callable[..., Any],
    connect: Callable[..., StaticStore],
    tmp_path: Path,
    name: str,
    read: str,
) -> None:
    site = start(site_of(name))
    store = connect(site.url)
    assert store["a"].digest == f"{name}:{hashlib.new(name, VALUES['a']).hexdigest()}"
    assert READS[read](store, tmp_path) == VALUES["a"]
    site.answer = site_of(name, dict.fromkeys(VALUES, b"other" * 400))
    with pytest.raises(IntegrityError, match=f"another {name} than the index says"):
        READS[read](connect(site.url), tmp_path)


def test_a_checksum_names_no_file_of_the_cache(
    start: Callable[..., Any], connect: Callable[..., StaticStore], tmp_path: Path
) -> None:
    site = start(site_of("md5"))
    store = connect(site.url, cache=tmp_path, memory=1 << 20)
    for _ in range(2):
        assert store["a"].read() == VALUES["a"]
    assert [one.target for one in site.requests].count("/data/a") == 2
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("a")]


def test_a_checksum_lets_no_copy_answer(
    start: Callable[..., Any], connect: Callable[..., StaticStore]
) -> None:
    site, copy = start(site_of("sha1")), start(site_of("sha1"))
    store = connect([site.url, copy.url])
    site.stop()
    with pytest.raises(TransportError):
        store["a"].read()
    assert copy.requests == []


def test_a_checksum_binds_no_parts(
    start: Callable[..., Any], connect: Callable[..., StaticStore], tmp_path: Path
) -> None:
    """Without an entity tag an interrupted read begins again."""
    files = serve_files(
        {"index.json": json.dumps(entries_of("md5")).encode(), "data/a": VALUES["a"]}, etag=None
    )

    def cut(request: Request, wire: Wire) -> None:
        if request.target == "/data/a":
            asked.append(request.range)
        if request.target == "/data/a" and len(asked) == 1:
            length = {"Content-Length": str(len(VALUES["a"]))}
            wire.response(200, VALUES["a"][:100], headers=length)
            wire.close()
        else:
            files(request, wire)

    asked: list[Any] = []
    store = StaticStore(start(cut).url, poll_interval=0).connect(retries=1, timeout=(5, 5))
    assert store["a"].read() == VALUES["a"]
    store.disconnect()
    assert asked == [None, None]
