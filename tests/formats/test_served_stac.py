"""A catalog of STAC, and a data package, on a host: read, followed, and attacked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from staticstore import IndexFormatError, IntegrityError, StaticStore, StoreError
from tests.servers import RawServer, serve_files

from .stac_documents import sha256_multihash

Page = dict[str, Any]


def item(name: str, body: bytes, **asset: Any) -> Page:
    data = {"href": f"files/{name}.tif", "file:checksum": sha256_multihash(body), **asset}
    return {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": {"data": data}}


def page(*items: object, following: str | None = None) -> bytes:
    links = [] if following is None else [{"rel": "next", "href": following}]
    return json.dumps({"type": "FeatureCollection", "features": items, "links": links}).encode()


class Host:
    """Files, and the store of the first of them."""

    def __init__(self, server: RawServer, files: dict[str, bytes]) -> None:
        self.server, self.files = server, files

    def store(self, first: str = "items.json", form: str = "stac") -> StaticStore:
        return StaticStore(f"{self.server.url}{first}", format=form, poll_interval=0)


@pytest.fixture
def host() -> Iterator[Host]:
    files = {
        "items.json": page(item("a", b"1"), following="items-2.json"),
        "items-2.json": page(item("b", b"2"), item("c", b"3")),
        "files/a.tif": b"1",
        "files/b.tif": b"2",
        "files/c.tif": b"3",
    }
    with RawServer(serve_files(files)) as server:
        yield Host(server, files)


def test_pages_are_one_store_whose_values_are_verified(host: Host) -> None:
    with host.store() as store:
        assert {key: store[key].read() for key in store} == {
            "a/data": b"1",
            "b/data": b"2",
            "c/data": b"3",
        }
        host.files["files/b.tif"] = b"X"
        with pytest.raises(IntegrityError):
            store["b/data"].read()


def test_a_changed_page_is_told_as_changes_of_its_values(host: Host) -> None:
    with host.store() as store:
        host.files["items-2.json"] = page(item("b", b"other"), item("d", b"4"))
        changes = store.update_index()
        assert [change.key for change in changes.set] == ["d/data"]
        assert [change.key for change in changes.update] == ["b/data"]
        assert [change.key for change in changes.delete] == ["c/data"]


def test_pages_that_lead_in_a_circle_are_each_read_once(host: Host) -> None:
    host.files["items-2.json"] = page(item("b", b"2"), following="items.json")
    with host.store() as store:
        assert list(store) == ["a/data", "b/data"]
        assert store.info()["documents"] == 2


def test_a_redirected_first_page_is_where_it_is_found(host: Host) -> None:
    answers = serve_files(host.files).but(
        {"latest": lambda request, wire: wire.response(302, headers={"Location": "/items.json"})}
    )
    with RawServer(answers) as server, Host(server, host.files).store("latest") as store:
        assert store["a/data"].read() == b"1"
        assert len(store) == 3


def test_entries_that_attack_are_reported_and_the_rest_lives(host: Host) -> None:
    host.files["items.json"] = page(
        item("a", b"1"),
        item("..", b""),
        item("outside", b"", href="file:///etc/passwd"),
        item("bucket", b"", href="s3://bucket/a.tif"),
        item("password", b"", href="http://ali:secret@data.example.org/a.tif"),
        item("space", b"", href="a b.tif"),
        item("none", b"", href=None),
        {"type": "Feature", "id": "deep", "assets": {"data": {"href": "x", "n": [[[]]] * 3}}},
        5,
    )
    with host.store() as store:
        assert list(store) == ["a/data", "deep/data"]
        warnings = "\n".join(store.info()["warnings"])
    for name in ("../data", "outside", "bucket", "password", "space", "none", "no object"):
        assert name in warnings
    assert "items.json" in warnings
    assert "secret" not in warnings


@pytest.mark.parametrize("name", ["items.json", "items-2.json"])
def test_a_page_of_html_is_an_error_with_its_url(host: Host, name: str) -> None:
    host.files[name] = b"<!DOCTYPE html><p>Please log in</p>"
    with pytest.raises(StoreError, match=f"cannot be read in this format.*{name}"):
        host.store().connect()


def test_a_data_package_in_its_place_gets_a_hint(host: Host) -> None:
    host.files["items.json"] = b'{"resources": [{"name": "a", "path": "a.csv"}]}'
    with pytest.raises(IndexFormatError, match="it looks like one for format='datapackage'"):
        host.store().connect()


def test_the_values_of_a_data_package_are_verified_by_any_digest(host: Host) -> None:
    md5 = hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    host.files["datapackage.json"] = json.dumps(
        {
            "resources": [
                {"name": "a", "path": "files/a.tif", "hash": md5.upper(), "bytes": 1},
                {"name": "b", "path": f"{host.server.url}files/b.tif", "hash": f"md5:{md5}"},
                {"name": "inline", "data": [{"x": 1}]},
                {"name": "up", "path": "../secret"},
            ]
        }
    ).encode()
    with host.store("datapackage.json", "datapackage") as store:
        assert list(store) == ["b", "files/a.tif", "inline"]
        assert store["files/a.tif"].read() == b"1"
        assert store["inline"].read() == b'[{"x":1}]'
        with pytest.raises(IntegrityError):
            store["b"].read()
        assert any("../secret" in warning for warning in store.info()["warnings"])
