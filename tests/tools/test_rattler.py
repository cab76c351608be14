"""py-rattler reads the same channels: the same packages, digests, sizes and URLs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest

from staticstore.formats import Document, Entry, conda
from tests.formats.channels import compressed, package, repodata, shards_of
from tests.formats.walk import walk
from tests.servers import PythonServer
from tests.site.sitefolder import fill

rattler = pytest.importorskip("rattler")

BASE = "https://conda.example.org/channel/"
URL = f"{BASE}linux-64/repodata.json"

Found = dict[str, tuple[str, str, str, int]]


def theirs(records: Iterable[Any]) -> Found:
    return {one.file_name: (one.url, one.sha256.hex(), one.md5.hex(), one.size) for one in records}


def ours(entries: Mapping[str, tuple[Any, str]]) -> Found:
    found: Found = {}
    for key, (raw, url) in entries.items():
        record = raw if isinstance(raw, Mapping) else json.loads(bytes(raw))
        found[key] = (url, record["sha256"], record["md5"], record["size"])
    return found


def read(body: bytes) -> Found:
    entries = [e for e in conda.read(Document(URL, body, None, None)) if isinstance(e, Entry)]
    places = {e.key: urljoin(URL, quote(e.key) if e.href is None else e.href) for e in entries}
    return ours({entry.key: (entry.metadata, places[entry.key]) for entry in entries})


def read_by_rattler(body: bytes, folder: Path) -> Found:
    path = folder / "repodata.json"
    path.write_bytes(body)
    sparse = rattler.SparseRepoData(rattler.Channel(BASE), "linux-64", path)
    return theirs(sparse.load_all_records(rattler.PackageFormatSelection.BOTH))


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"info": {"subdir": "linux-64", "base_url": "https://files.example.org/pool/linux-64"}},
        {"info": {"subdir": "linux-64", "base_url": "../../files/"}},
        {"info": {"subdir": "linux-64", "base_url": "/files"}},
        {"info": {"subdir": "linux-64", "base_url": "https://files.example.org"}},
        {"packages": {}},
        {"repodata_version": 2, "unknown": [{}]},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_channel_has_the_same_packages_with_the_same_urls(
    others: dict[str, Any], indent: int | None, tmp_path: Path
) -> None:
    body = json.dumps(repodata(50, **others), indent=indent).encode()
    assert read(body) == read_by_rattler(body, tmp_path)


def test_versions_with_an_epoch_have_the_same_urls(tmp_path: Path) -> None:
    _, record = package(1)
    name = "package-1-1!2.0+local-0.conda"
    index = {"info": {}, "packages.conda": {name: {**record, "version": "1!2.0+local"}}}
    body = json.dumps(index).encode()
    url = {name: found[0] for name, found in read(body).items()}
    # Some quote what others do not: it is the same path.
    [theirs_] = [quote(found[0], safe=":/%") for found in read_by_rattler(body, tmp_path).values()]
    assert url == {name: theirs_}


@pytest.mark.parametrize("info", [{}, {"base_url": "../files/", "shards_base_url": "./shards/"}])
def test_shards_have_the_same_packages_with_the_same_urls(
    info: dict[str, str], tmp_path: Path
) -> None:
    index = repodata(20)
    made = shards_of(index, **info)
    before = f"channel/linux-64/{info.get('shards_base_url', '')}".replace("/./", "/")
    site = {
        "channel/linux-64/repodata_shards.msgpack.zst": made.listed,
        **{f"{before}{name}": body for name, body in made.shards.items()},
    }
    fill(tmp_path / "site", site)

    async def query(channel: str) -> Found:
        gateway = rattler.Gateway(
            cache_dir=tmp_path / "cache", default_config=rattler.SourceConfig(sharded_enabled=True)
        )
        names = sorted({record["name"] for record in index["packages.conda"].values()})
        found = await gateway.query([channel], ["linux-64"], names, recursive=False)
        return theirs(record for records in found for record in records)

    with PythonServer(tmp_path / "site") as server:
        found = ours(walk(conda.read, f"{server.url}channel/linux-64/repodata_shards.msgpack.zst"))
        expected = asyncio.run(query(f"{server.url}channel"))
    kept = {name: value for name, value in found.items() if name.endswith(".conda")}
    assert kept == expected
    assert len(found) == 20


def test_a_compressed_channel_has_the_same_packages(tmp_path: Path) -> None:
    body = json.dumps(repodata(20)).encode()
    assert read(compressed(body)) == read_by_rattler(body, tmp_path)
