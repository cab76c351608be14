"""Channels, buckets and listings on a server that changes: a store follows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest

from staticstore import IndexFormatError, IntegrityError, StaticStore, StoreError
from tests.formats.buckets import listing, made
from tests.formats.channels import compressed, package, repodata, shards_of, value_of
from tests.formats.listings import nginx
from tests.servers import RawServer, Request, Wire, serve_files

FOLDER = "channel/linux-64"
SHARDS = f"{FOLDER}/repodata_shards.msgpack.zst"


class Host:
    """Files on a server, by their paths; answers to queries by their targets."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self._good = serve_files(self.files)
        self.server = RawServer(self._answer, heads=True)

    def _answer(self, request: Request, wire: Wire) -> None:
        target = request.target.removeprefix("/")
        if target in self.redirects:
            wire.response(302, headers={"Location": self.redirects[target]})
        elif "?" in target and target in self.files:
            wire.response(200, self.files[target])
        else:
            self._good(request, wire)

    def asked(self) -> int:
        """Return how many requests there were."""
        return len(self.server.requests)


Connect = Callable[..., StaticStore]


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    with found.server:
        yield found


@pytest.fixture
def connect(host: Host) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connected(format: str, target: str) -> StaticStore:
            store = StaticStore(f"{host.server.url}{target}", format=format, poll_interval=0)
            stack.callback(store.disconnect)
            return store.connect(retries=0, timeout=(5, 5))

        yield connected


def changes(store: StaticStore) -> dict[str, list[str]]:
    found = store.update_index()
    kinds = {"set": found.set, "update": found.update, "delete": found.delete}
    return {kind: [one.key for one in some] for kind, some in kinds.items() if some}


# Conda


def channel(host: Host, count: int, *, removed: tuple[int, ...] = (), **others: Any) -> list[str]:
    """Put a channel on the host; return the names of its packages."""
    names = [package(number)[0] for number in range(count)]
    index = repodata(count, removed=[names[number] for number in removed], **others)
    host.files[f"{FOLDER}/repodata.json"] = json.dumps(index).encode()
    host.files |= {f"{FOLDER}/{name}": value_of(number) for number, name in enumerate(names)}
    return [name for number, name in enumerate(names) if number not in removed]


def test_a_channel_is_a_store(host: Host, connect: Connect) -> None:
    names = channel(host, 12)
    store = connect("conda", f"{FOLDER}/repodata.json")
    assert sorted(store) == sorted(names)
    assert dict(store.read_many(names)) == {n: value_of(i) for i, n in enumerate(names)}
    assert [key for key, _ in store.query(name="package-7")] == [names[7]]


def test_a_compressed_channel_is_a_store(host: Host, connect: Connect) -> None:
    [name, *_] = channel(host, 3)
    host.files[f"{FOLDER}/repodata.json.zst"] = compressed(host.files[f"{FOLDER}/repodata.json"])
    assert connect("conda", f"{FOLDER}/repodata.json.zst").to_bytes(name) == value_of(0)


@pytest.mark.parametrize("padding", [0, 100_000])
def test_a_compressed_channel_counts_as_it_is_decompressed(host: Host, padding: int) -> None:
    """A44: by `max_index_bytes`, also what becomes no entry."""
    body = json.dumps(repodata(200)).encode() + b" " * padding
    host.files[f"{FOLDER}/repodata.json.zst"] = compressed(body)
    most = len(body) - 1
    url = f"{host.server.url}{FOLDER}/repodata.json.zst"
    store = StaticStore(url, format="conda", poll_interval=0)
    with pytest.raises(IndexFormatError, match="max_index_bytes"):
        store.connect(retries=0, timeout=(5, 5), max_index_bytes=most)


def test_packages_come_and_go(host: Host, connect: Connect) -> None:
    before = channel(host, 4)
    store = connect("conda", f"{FOLDER}/repodata.json")
    after = channel(host, 6, removed=(1,))
    assert changes(store) == {"set": sorted(set(after) - set(before)), "delete": [before[1]]}
    assert changes(store) == {}


def test_a_poll_of_a_channel_that_has_not_changed_is_one_request(
    host: Host, connect: Connect
) -> None:
    channel(host, 4)
    store = connect("conda", f"{FOLDER}/repodata.json")
    before = host.asked()
    store.update_index()
    assert host.asked() == before + 1


def test_a_package_that_was_tampered_with_is_refused(host: Host, connect: Connect) -> None:
    [name, *_] = channel(host, 3)
    store = connect("conda", f"{FOLDER}/repodata.json")
    host.files[f"{FOLDER}/{name}"] = value_of(0).swapcase()
    with pytest.raises(IntegrityError):
        store.to_bytes(name)


def test_packages_are_where_the_base_url_says(host: Host, connect: Connect) -> None:
    [name, *_] = channel(host, 3, info={"base_url": "../../pool"})
    host.files = {f"pool/{path.rpartition('/')[2]}": body for path, body in host.files.items()}
    host.files[f"{FOLDER}/repodata.json"] = host.files["pool/repodata.json"]
    host._good = serve_files(host.files)
    assert connect("conda", f"{FOLDER}/repodata.json").to_bytes(name) == value_of(0)


def test_a_base_url_elsewhere_needs_origins(host: Host, connect: Connect) -> None:
    [name, *_] = channel(host, 1, info={"base_url": "https://127.0.0.1:9/pool"})
    store = connect("conda", f"{FOLDER}/repodata.json")
    assert store[name].url == f"https://127.0.0.1:9/pool/{name}"


def test_a_redirected_channel_has_its_packages_there(host: Host, connect: Connect) -> None:
    [name, *_] = channel(host, 3)
    host.redirects["old/repodata.json"] = f"/{FOLDER}/repodata.json"
    assert connect("conda", "old/repodata.json").to_bytes(name) == value_of(0)


def shards(host: Host, count: int) -> dict[str, bytes]:
    """Put a channel in shards on the host; return their targets."""
    channel(host, count)
    found = shards_of(repodata(count), shards_base_url="./shards/")
    host.files[SHARDS] = found.listed
    targets = {f"{FOLDER}/shards/{name}": body for name, body in found.shards.items()}
    host.files |= targets
    return targets


def test_shards_are_a_store(host: Host, connect: Connect) -> None:
    shards(host, 12)
    store = connect("conda", SHARDS)
    names = [package(number)[0] for number in range(12)]
    assert sorted(store) == sorted(names)
    assert dict(store.read_many(names)) == {n: value_of(i) for i, n in enumerate(names)}


def test_a_new_shard_is_fetched_at_the_next_poll(host: Host, connect: Connect) -> None:
    shards(host, 4)
    store = connect("conda", SHARDS)
    shards(host, 5)
    live = store._live_index
    before = host.asked()
    live._update(live.connected())  # as the poller does
    assert package(4)[0] in store
    # The list, the new shard, and the one whose turn it is.
    assert host.asked() <= before + 3


def test_a_shard_with_other_bytes_is_left_out_and_reported(host: Host, connect: Connect) -> None:
    """A45."""
    first, *others = shards(host, 4)
    host.files[first] = host.files[others[0]]
    store = connect("conda", SHARDS)
    assert len(store) == 3
    assert any(first in text for text in store.info()["warnings"])


def test_a_page_in_the_place_of_a_channel_is_an_error(host: Host, connect: Connect) -> None:
    host.files[f"{FOLDER}/repodata.json"] = b"<html>Sign in</html>"
    with pytest.raises(IndexFormatError, match=r"linux-64/repodata\.json"):
        connect("conda", f"{FOLDER}/repodata.json")


# Buckets


def bucket(host: Host, *pages: dict[str, bytes], prefix: str = "maps/") -> str:
    """Put the pages of a listing on the host, and its objects; return the first target."""
    first = f"?list-type=2&prefix={quote(prefix, safe='')}"
    target = first
    for number, objects in enumerate(pages):
        more = {"IsTruncated": "true", "NextContinuationToken": f"page {number}"}
        is_last = number == len(pages) - 1
        rows = [
            made(prefix + name, len(body), ETag=f"&quot;{hash(body)}&quot;")
            for name, body in objects.items()
        ]
        host.files[target] = listing(rows, **({} if is_last else more))
        host.files |= {prefix + name: body for name, body in objects.items()}
        target = f"{first}&continuation-token=page%20{number}"
    return first


def test_a_bucket_is_a_store(host: Host, connect: Connect) -> None:
    values = [{"a.txt": b"1", "b c.txt": b"22"}, {"d/e.txt": b"333"}]
    store = connect("s3", bucket(host, *values))
    assert dict(store.read_many(["a.txt", "b c.txt", "d/e.txt"])) == {**values[0], **values[1]}
    assert store.info()["documents"] == 2


def test_objects_come_go_and_change(host: Host, connect: Connect) -> None:
    store = connect("s3", bucket(host, {"a": b"1", "b": b"2"}, {"c": b"3"}))
    bucket(host, {"a": b"1", "b": b"other"}, {"d": b"4"})
    assert changes(store) == {"set": ["d"], "update": ["b"], "delete": ["c"]}
    assert store.to_bytes("b") == b"other"


def test_a_new_page_is_followed(host: Host, connect: Connect) -> None:
    store = connect("s3", bucket(host, {"a": b"1"}))
    bucket(host, {"a": b"1"}, {"b": b"2"})
    assert changes(store) == {"set": ["b"]}


def test_an_object_of_another_size_is_refused(host: Host, connect: Connect) -> None:
    store = connect("s3", bucket(host, {"a": b"12345"}))
    host.files["maps/a"] = b"123"
    with pytest.raises(IntegrityError):
        store.to_bytes("a")


def test_a_page_that_fails_counts_as_it_was(host: Host, connect: Connect) -> None:
    first = bucket(host, {"a": b"1"}, {"b": b"2"}, {"c": b"3"})
    store = connect("s3", first)
    del host.files[f"{first}&continuation-token=page%201"]
    assert changes(store) == {}
    assert any("page" in text or "404" in text for text in store.info()["warnings"])


def test_pages_in_a_circle_are_each_read_once(host: Host, connect: Connect) -> None:
    first = bucket(host, {"a": b"1"}, {"b": b"2"})
    second = f"{first}&continuation-token=page%200"
    again = {"IsTruncated": "true", "NextContinuationToken": "page 0"}
    host.files[second] = listing([made("maps/b", 1)], **again)
    assert sorted(connect("s3", first)) == ["a", "b"]


def test_a_doctype_in_a_later_page_replaces_nothing(host: Host, connect: Connect) -> None:
    first = bucket(host, {"a": b"1"}, {"b": b"2"})
    store = connect("s3", first)
    hostile = b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult/>'
    host.files[f"{first}&continuation-token=page%200"] = hostile
    assert changes(store) == {}
    assert any("DOCTYPE" in text for text in store.info()["warnings"])


def test_names_that_are_no_keys_are_reported_and_the_rest_lives(
    host: Host, connect: Connect
) -> None:
    target = bucket(host, {"a": b"1", "../b": b"2", "/c": b"3", "d//e": b"4", "f\u202eg": b"5"})
    store = connect("s3", target)
    assert list(store) == ["a"]
    assert len(store.info()["warnings"]) == 4


# Listings


def folder(host: Host, values: dict[str, bytes], below: str = "pub/") -> None:
    """Put the listings of a folder and those in it on the host, and its files."""
    rows: dict[str, int | None] = {}
    for name, body in values.items():
        first, slash, _ = name.partition("/")
        if not slash:
            rows[name] = len(body)
            host.files[below + name] = body
        elif first not in rows:
            rows[first] = None
            inner = {n.partition("/")[2]: b for n, b in values.items() if n.startswith(f"{first}/")}
            folder(host, inner, f"{below}{first}/")
    host.files[below] = nginx(rows).encode()


TREE = {"a.txt": b"1", "sub dir/b.txt": b"22", "sub dir/deep/c#.txt": b"333"}


def test_folders_are_a_store(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    store = connect("autoindex", "pub/")
    assert dict(store.read_many(sorted(TREE))) == TREE
    assert store.info()["documents"] == 3


def test_files_and_folders_come_go_and_change(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    store = connect("autoindex", "pub/")
    folder(host, {"a.txt": b"1", "sub dir/b.txt": b"longer", "new/d.txt": b"4"})
    assert changes(store) == {
        "set": ["new/d.txt"],
        "update": ["sub dir/b.txt"],
        "delete": ["sub dir/deep/c#.txt"],
    }


def test_a_folder_that_lists_itself_is_read_once(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    host.files["pub/"] = host.files["pub/"].replace(b'"../"', b'"./"')
    assert sorted(connect("autoindex", "pub/")) == sorted(TREE)


def test_folders_that_never_end_are_refused(host: Host, connect: Connect) -> None:
    """As behind a symbolic link to a folder above."""
    for depth in range(70):
        host.files[f"pub/{'x/' * depth}"] = nginx({"x": None, "a.txt": 1}).encode()
    with pytest.raises(StoreError, match="deep"):
        connect("autoindex", "pub/")


def test_a_folder_with_a_page_of_its_own_is_reported(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    host.files["pub/sub dir/"] = b"<html><title>Welcome</title></html>"
    store = connect("autoindex", "pub/")
    assert list(store) == ["a.txt"]
    assert any("sub%20dir/" in text for text in store.info()["warnings"])


def test_a_folder_that_fails_counts_as_it_was(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    store = connect("autoindex", "pub/")
    del host.files["pub/sub dir/deep/"]
    assert changes(store) == {}


def test_a_listing_that_is_cut_short_deletes_nothing(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    store = connect("autoindex", "pub/")
    host.files["pub/"] = host.files["pub/"][:150]
    assert changes(store) == {}
    assert any("cut short" in text for text in store.info()["warnings"])


def test_a_file_of_another_size_than_listed_is_refused(host: Host, connect: Connect) -> None:
    folder(host, TREE)
    store = connect("autoindex", "pub/")
    host.files["pub/a.txt"] = b""
    with pytest.raises(IntegrityError):
        store.to_bytes("a.txt")
