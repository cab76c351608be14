"""Typed uses of the public names: read by the type checker, and never run.

What a caller may write must stay accepted, and what a call returns must stay
of its type; `assert_type` says which.
"""

from __future__ import annotations

import asyncio
import io
import json
import tkinter
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, assert_type

from requests.auth import HTTPDigestAuth

from staticstore import (
    Change,
    Changes,
    Index,
    IntegrityError,
    JoinedStore,
    MirrorReport,
    MountedStore,
    PublishReport,
    StaticStore,
    StoreError,
    Subscription,
    URLValue,
    key_set,
    mirror,
    publish,
    serve,
)
from staticstore.formats import Document, Entry, Link
from staticstore.interop.desktop import asyncio_dispatch, qt_dispatch, tk_dispatch
from staticstore.transport.values.seekable import OpenedValue


def connecting(root: Path) -> None:
    assert_type(StaticStore(root).connect(), StaticStore)
    StaticStore("https://data.example.org/", poll_interval=0).connect(("ali", "open sesame"))
    StaticStore("https://data.example.org/").connect(lambda: ("ali", "open sesame"))
    StaticStore(root, cache=True, max_cache_bytes=1 << 30)
    StaticStore(root, cache=root / "cache", memory=1 << 20)
    StaticStore("https://data.example.org/", origins=["https://cdn.example.org"])
    StaticStore(root).connect({"username": "ali", "password": "sesame"}, proxies={})
    StaticStore(root).connect(HTTPDigestAuth("ali", "sesame"), headers={"X-Api-Key": "1"})
    bucket = StaticStore("s3://bucket/prefix", endpoint="https://minio.example", region="eu")
    bucket.connect({"access_key_id": "ali", "secret_access_key": "sesame", "expires_at": None})
    bucket.connect(anonymous=True)
    bucket.connect("instance")
    assert_type(bucket.sign("key", expires=60), str)
    assert_type(bucket["key"].sign(), str)
    StaticStore(root).connect("netrc", verify="ca.pem", cert=("a.pem", "a.key"), timeout=3.0)
    with StaticStore(root, data_path="d/", index_path="i.json") as store:
        assert_type(store, StaticStore)


def viewing(store: StaticStore, other: StaticStore) -> None:
    joined = JoinedStore([store, other.below("terrain/")])
    mounted = MountedStore({"": joined, "maps/": store})
    assert_type(joined.connect(), JoinedStore)
    with mounted as view:
        assert_type(view, MountedStore)
        assert_type(view["key"], URLValue)
        assert_type(view.index, Index)
        assert_type(view.update_index(), Changes)
        assert_type(view.below("maps/").subscribe(print, type="raster"), Subscription)


def reading(store: StaticStore) -> None:
    assert_type(store["key"], URLValue)
    assert_type(list(store), list[str])
    assert_type(dict(store), dict[str, URLValue])
    assert_type(store.get_data("key"), BinaryIO)
    assert_type(store.open("key"), OpenedValue)
    assert_type(store.get_data_range("key", 1, -1), BinaryIO)
    assert_type(store.get_metadata("key", ["title"]), dict[str, Any])
    assert_type(store.to_bytes("key"), bytes)
    assert_type(store.query(["title"], type="raster"), Iterator[tuple[str, dict[str, Any]]])
    assert_type(store.query_keys(size=lambda size: size > 1), Iterator[str])
    assert_type(store.query_keys(sort=["-size"], limit=5, where={"size": 1}), Iterator[str])
    assert_type(store.count(type="raster"), int)
    assert_type(store.index.prefixes("terrain/"), Iterator[str])
    assert_type(store.glob("*.tif"), Iterator[str])
    assert_type(store.multiget(["key"]), Iterator[URLValue])
    assert_type(store.index, Index)
    store.to_file("key", "path", progress=lambda done, total: print(done, total))
    store["key"].to_file(Path("path"), sync=False)
    assert_type(store.read_many(["key"]), Iterator[tuple[str, bytes]])
    assert_type(store.multiget_data(["key"]), Iterator[BinaryIO])
    assert_type(store.get_ranges("key", [(0, 5), (None, -3)], max_gap=0), list[bytes])
    assert_type(store.get_ranges_many([("key", 0, 5), ("other", None, -3)]), list[bytes])
    with store["key"].open(cache_size=1 << 20) as file:
        assert_type(file, OpenedValue)
        json.load(file)
        zipfile.ZipFile(file).close()
        io.TextIOWrapper(file).close()
        assert_type(file.size, int)
    with store["key"] as data:
        assert_type(data, BinaryIO)
    for piece in store["key"].iterdata(1 << 16):
        assert_type(piece, bytes)


async def awaiting(store: StaticStore, view: JoinedStore) -> None:
    async with StaticStore("https://data.example.org/").connect_async(retries=2) as connected:
        assert_type(connected, StaticStore)
    async with StaticStore("https://data.example.org/") as entered, view as entered_view:
        assert_type(entered, StaticStore)
        assert_type(entered_view, JoinedStore)
    assert_type(await store.connect_async(("ali", "open sesame")), StaticStore)
    assert_type(await view.connect_async(), JoinedStore)
    assert_type(await store.read_async("key"), bytes)
    assert_type(await store.head_async("key"), URLValue)
    assert_type(await store.get_range_async("key", 1, -1), bytes)
    assert_type(await store.get_ranges_async("key", [(0, 5), (None, -3)], max_gap=0), list[bytes])
    assert_type(await store.get_ranges_many_async([("key", 0, None)]), list[bytes])
    assert_type(await view.update_index_async(), Changes)
    await store.to_file_async("key", Path("path"), lambda done, total: print(done, total))
    async for key, data in store.read_many_async(["key"]):
        assert_type((key, data), tuple[str, bytes])
    async for change in store.watch_async(timeout=5, type="raster"):
        assert_type(change, Change)

    async def callback(change: Change) -> None: ...

    assert_type(store.subscribe(callback), Subscription)
    await asyncio.create_task(store.read_async("key"))


def following(store: StaticStore) -> None:
    def callback(change: Change) -> None:
        assert_type(change.metadata, dict[str, Any] | None)

    assert_type(store.subscribe(callback, actions=["set"], type="raster"), Subscription)

    def batch_callback(changes: Changes) -> None:
        assert_type(changes.index, Index)

    store.subscribe(batch_callback, batch=True, initial=True, dispatch=qt_dispatch())
    store.subscribe(callback, dispatch=tk_dispatch(tkinter.Tk()))
    store.subscribe(callback, dispatch=asyncio.get_running_loop().call_soon_threadsafe)

    async def coroutine(change: Change) -> None:
        await asyncio.sleep(0)

    store.subscribe(coroutine, dispatch=asyncio_dispatch())
    assert_type(store.update_index(), Changes)
    assert_type(store.update_index().set, tuple[Change, ...])
    assert_type(next(store.watch(timeout=1)), Change)
    assert_type(next(store.watch(where={"size": 5}, type="raster")), Change)

    @key_set.connect_via(store)
    def handler(sender: StaticStore, *, key: str, metadata: Any, previous: Any) -> None: ...


def failing(error: StoreError) -> None:
    assert_type(error.key, str | None)
    assert_type(error.status, int | None)
    if isinstance(error, IntegrityError):
        print(error.expected, error.actual)


def publishing(site: Path) -> None:
    assert_type(publish(site, metadata={"*.tif": {"type": "raster"}}), PublishReport)
    publish(str(site), metadata=site / "fields.toml", dry_run=True)
    publish(site, pack=True, pack_below=1 << 12, browse=True)
    publish(site, compress=["*.csv", "*.geojson"], expire="valid_until")
    publish(site, compress=False)
    publish(site, after="https://data.example.org/site/", force={"shrink", "lineage"})
    with serve(site, port=0, auth=("ali", "sesame")) as server:
        assert_type(server.url, str)


def reading_others(document: Document) -> Iterator[Entry | Link]:
    assert_type(document.note, str | None)
    yield Entry("a.tif", {"size": 5}, href="../a.tif")
    yield Entry("b.tif", b'{"size": 5}')
    yield Link("more.json", leaf=True)


def formats() -> None:
    StaticStore("https://data.example.org/SHA256SUMS", format="sums", origins="own")
    StaticStore("https://data.example.org/index.json", format=reading_others)


def mirroring(store: StaticStore, copy: Path) -> None:
    report = mirror(store, copy, workers=4, delete=True, globs=["*.tif"], type="raster")
    mirror(store, copy, force=["part"])
    mirror(store, copy, limit_rate=2e6, value_progress=lambda key, done, total: None)
    assert_type(report, MirrorReport)
    assert_type(report.failed, list[tuple[str, str]])
    assert_type(report.verified_by, dict[str, int])
