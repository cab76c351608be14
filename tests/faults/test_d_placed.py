"""FAULTS A29, D10, D19: what an entry may say of where its value is, and what is sent there.

The sites are two servers on loopback, which are two origins.  What counts is what each of
them got, not only what the store said.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, StaticStore, StoreError, TransportError, mirror
from staticstore.transport.http import adapter
from staticstore.transport.http.wire import is_inner
from tests.engines import ENGINES, sending_by
from tests.servers import (
    Certificates,
    Files,
    RawServer,
    Request,
    Wire,
    serve_files,
    write_certificates,
)
from tests.sites import entry

KEYS = [f"v{number}" for number in range(6)]
VALUES = {key: key.encode() * 500 for key in KEYS}
SECRET = "hush-sesame"
OURS: dict[str, Any] = {
    "auth": ("ali", SECRET),
    "headers": {"X-Api-Key": SECRET, "Cookie": f"session={SECRET}"},
}
SHOWN = (SECRET, base64.b64encode(f"ali:{SECRET}".encode()).decode())
LIMITS: dict[str, Any] = {"timeout": (5, 5), "retries": 0, "proxies": {}}


def site_of(entries: dict[str, Any], **files: bytes) -> Files:
    """Return the answers of a site with these entries."""
    return serve_files({"index.json": json.dumps(entries).encode(), **files})


def placed_at(href: str, value: bytes = VALUES["v0"], **fields: Any) -> dict[str, Any]:
    """Return an entry of a value that is at `href`."""
    return entry(value, placed={"href": href}, **fields)


def without_secret(server: RawServer) -> bool:
    """Return whether a server got none of the secrets."""
    texts = [
        text
        for one in server.requests
        for text in (one.target, *itertools.chain.from_iterable(one.header_list))
    ]
    return not any(secret in text for secret in SHOWN for text in texts)


@pytest.fixture
def other(start: Callable[..., RawServer]) -> RawServer:
    """Return another origin, which has the values."""
    return start(serve_files({f"far/{key}": value for key, value in VALUES.items()}))


@pytest.fixture
def root(start: Callable[..., RawServer], other: RawServer) -> RawServer:
    """Return a site whose values are all at the other origin."""
    entries = {key: placed_at(f"{other.url}far/{key}", VALUES[key]) for key in KEYS}
    return start(site_of(entries))


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., StaticStore]:
    """Connect a store that does not poll by itself, with secrets."""

    def connect(root: Any, **options: Any) -> StaticStore:
        store = StaticStore(root, poll_interval=0, **options)
        stack.callback(store.disconnect)
        return store.connect(**OURS, **LIMITS)

    return connect


# -- every way of reading ------------------------------------------------------------------


def _to_file(store: StaticStore, folder: Path) -> bytes:
    store.to_file("v0", folder / "v0")
    return (folder / "v0").read_bytes()


def _mirrored(store: StaticStore, folder: Path) -> bytes:
    report = mirror(store, folder / "copy")
    if report.failed:
        raise TransportError(report.failed[0][1])
    return (folder / "copy/data/v0").read_bytes()


def _fsspec(store: StaticStore, folder: Path) -> bytes:
    fsspec = pytest.importorskip("fsspec")
    from staticstore.interop.fsspec import StaticStoreFileSystem

    url, origins = store.info()["root_url"], store._options["origins"]
    options = {"auth": OURS["auth"], "headers": OURS["headers"], "origins": origins}
    fsspec.register_implementation("staticstore", StaticStoreFileSystem, clobber=True)
    system = fsspec.filesystem("staticstore", root=url, skip_instance_cache=True, **options)
    found: bytes = system.cat_ranges(["v0", "v0"], [0, 500], [500, 1000])[1]
    whole: bytes = system.cat(["v0", "v1"])["v0"]
    return found + whole[len(found) :]


def _zarr(store: StaticStore, folder: Path) -> bytes:
    pytest.importorskip("zarr")
    from zarr.core.buffer import default_buffer_prototype

    from staticstore.interop.zarr import ZarrStore

    async def read() -> bytes:
        found = await ZarrStore(store).get("v0", default_buffer_prototype())
        assert found is not None
        return bytes(found.to_bytes())

    return asyncio.run(read())


READS: dict[str, Callable[[StaticStore, Path], bytes]] = {
    "read": lambda store, _: store["v0"].read(),
    "data": lambda store, _: store["v0"].data.read(),
    "iterdata": lambda store, _: b"".join(store["v0"].iterdata()),
    "range": lambda store, _: store["v0"].range(0, 5).read() + store["v0"].range(5).read(),
    "open": lambda store, _: store["v0"].open().read(),
    "get_ranges": lambda store, _: b"".join(store["v0"].get_ranges([(0, 5), (5, None)])),
    "get_ranges_many": lambda store, _: b"".join(
        store.get_ranges_many([("v0", 0, 500), ("v1", 0, 3), ("v0", 500, None)])[::2]
    ),
    "read_many": lambda store, _: dict(store.read_many(KEYS))["v0"],
    "multiget_data": lambda store, _: next(iter(store.multiget_data(["v0"]))).read(),
    "read_async": lambda store, _: asyncio.run(store.read_async("v0")),
    "get_range_async": lambda store, _: asyncio.run(_in_two(store)),
    "get_ranges_async": lambda store, _: b"".join(
        asyncio.run(store.get_ranges_async("v0", [(0, 7), (7, None)]))
    ),
    "to_file": _to_file,
    "mirror": _mirrored,
    "fsspec": _fsspec,
    "zarr": _zarr,
    "unpickled": lambda store, _: pickle.loads(pickle.dumps(store["v0"])).read(),
}


async def _in_two(store: StaticStore) -> bytes:
    parts = [store.get_range_async("v0", *bounds) for bounds in [(0, 9), (9, None)]]
    return b"".join(await asyncio.gather(*parts))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


@pytest.mark.parametrize("read", READS)
@pytest.mark.usefixtures("engine")
def test_d19_no_secret_is_sent_to_another_origin_by_any_way_of_reading(
    root: RawServer,
    other: RawServer,
    connect: Callable[..., StaticStore],
    read: str,
    tmp_path: Path,
) -> None:
    store = connect(root.url, origins=[other.url])
    assert READS[read](store, tmp_path) == VALUES["v0"]
    assert other.requests
    assert without_secret(other)
    known = {"/index.json", "/index.head.json", "/", "/trust/timestamp.json"}
    assert {one.target for one in root.requests} <= known


@pytest.mark.parametrize("read", READS)
@pytest.mark.usefixtures("engine")
def test_d19_another_origin_that_is_not_named_is_never_asked(
    root: RawServer,
    other: RawServer,
    connect: Callable[..., StaticStore],
    read: str,
    tmp_path: Path,
) -> None:
    store = connect(root.url)
    with pytest.raises(StoreError, match="to the store's origins"):
        READS[read](store, tmp_path)
    assert other.requests == []


def test_d19_the_error_names_the_origin_to_add(
    root: RawServer, other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    with pytest.raises(TransportError) as caught:
        connect(root.url)["v0"].read()
    assert f"add 'http://127.0.0.1:{other.port}' to the store's origins" in str(caught.value)
    assert caught.value.key == "v0"


def test_d19_a_refused_value_holds_up_no_other(
    start: Callable[..., RawServer], other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    entries = {"a": placed_at(f"{other.url}far/v0"), "b": entry(b"here")}
    store = connect(start(site_of(entries, **{"data/b": b"here"})).url)

    async def read() -> list[Any]:
        calls = [store.read_async(key) for key in "ab"]
        calls += [store.get_range_async(key, 0, 2) for key in "ab"]
        return await asyncio.gather(*calls, return_exceptions=True)

    kinds = [type(found) for found in asyncio.run(read())]
    assert kinds == [TransportError, bytes, TransportError, bytes]


def test_d19_any_lets_the_site_lead_to_every_public_origin(
    root: RawServer, connect: Callable[..., StaticStore]
) -> None:
    assert dict(connect(root.url, origins="any").read_many(KEYS)) == VALUES


def test_d19_the_url_of_a_refused_value_is_shown(
    root: RawServer, other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    assert connect(root.url)["v0"].url == f"{other.url}far/v0"


def test_d19_a_redirect_back_to_the_site_has_no_secret(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    """Whatever passed another origin may have been made up there."""

    def back(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": f"{site.url}data/v0"})

    other = start(back)
    site = start(site_of({"v0": placed_at(f"{other.url}far")}, **{"data/v0": VALUES["v0"]}))
    store = connect(site.url, origins=[other.url])
    assert store["v0"].read() == VALUES["v0"]
    [asked] = [one for one in site.requests if one.target == "/data/v0"]
    assert "Authorization" not in asked.headers
    assert "X-Api-Key" not in asked.headers


def test_d19_a_401_of_another_origin_says_that_it_gets_no_credentials(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    other = start(lambda _, wire: wire.response(401, headers={"WWW-Authenticate": "Basic"}))
    site = start(site_of({"v0": placed_at(f"{other.url}far")}))
    with pytest.raises(StoreError, match="to the origin of the first root only"):
        connect(site.url, origins=[other.url])["v0"].read()
    assert without_secret(other)


def test_d19_a_failing_other_origin_does_not_make_the_site_fail(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    other = start(lambda _, wire: wire.response(503))
    entries = {"far": placed_at(f"{other.url}far"), "near": entry(b"here")}
    store = connect(start(site_of(entries, **{"data/near": b"here"})).url, origins=[other.url])
    with pytest.raises(TransportError):
        store["far"].read()
    assert not store._values().access.session.is_failing
    assert store["near"].read() == b"here"


# -- the root's own origin -----------------------------------------------------------------


@pytest.mark.parametrize(
    "href", ["shared/x", "/shared/x", "./a/../shared/x", "?", "//host/shared/x"]
)
@pytest.mark.parametrize("read", ["read", "range", "read_many", "get_ranges", "read_async"])
@pytest.mark.usefixtures("engine")
def test_d19_secrets_are_sent_to_places_of_the_own_origin(
    start: Callable[..., RawServer],
    connect: Callable[..., StaticStore],
    href: str,
    read: str,
    tmp_path: Path,
) -> None:
    files = {"shared/x": VALUES["v0"], "site/shared/x": VALUES["v0"]}
    server = start(serve_files(files))
    href = href.replace("//host", f"//127.0.0.1:{server.port}").replace("?", "/shared/x?v=1")
    entries = {"v0": placed_at(href), "v1": placed_at(href)}
    files["site/index.json"] = json.dumps(dict.fromkeys(KEYS, placed_at(href)) | entries).encode()
    store = connect(f"{server.url}site/")
    assert READS[read](store, tmp_path) == VALUES["v0"]
    [target] = {one.target for one in server.requests if "shared" in one.target}
    assert target == ("/site/" if href[0] in "s." else "/") + "shared/x" + ("?v=1" * ("?" in href))
    basic = "Basic " + SHOWN[1]
    assert {one.headers.get("Authorization") for one in server.requests} == {basic}


def test_d19_a_query_of_the_root_goes_to_its_origin_only(
    start: Callable[..., RawServer], other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    entries = {
        "far": placed_at(f"{other.url}far/v0"),
        "near": placed_at("/elsewhere"),
        "signed": placed_at("/elsewhere?own=1"),
    }
    site = start(site_of(entries, elsewhere=VALUES["v0"]))
    store = connect(f"{site.url}?sig={SECRET}", origins=[other.url])
    assert {data for _, data in store.read_many(entries)} == {VALUES["v0"]}
    assert without_secret(other)
    targets = {one.target for one in site.requests if "elsewhere" in one.target}
    assert targets == {f"/elsewhere?sig={SECRET}", "/elsewhere?own=1"}


# -- what is no place ----------------------------------------------------------------------

REFUSED = [
    "javascript:alert(1)",
    "file:///etc/passwd",
    "ftp://other.example/x",
    "x" * 3000,
    "https://ali:sesame@other.example/x",
    "//ali@other.example/x",
    "https://other.example\\@evil.example/x",
    "\\\\other.example\\share",
    "a b",
    "a\tb",
    "a\nb",
    "a\u2028b",
    "a\u202eb",
    "http:x",
    "https:///x",
    "https://other.example:99999/x",
    "https://[::1/x",
    "https://127%2e0.0.1/x",
    "C:/windows",
    "data:" + "x" * 70_000 + ",",
    "data:no-comma",
    "data:;base64,a%%%",
]


@pytest.mark.parametrize("href", REFUSED, ids=lambda href: href[:24])
@pytest.mark.parametrize("form", ["any JSON", "canonical"])
def test_a29_an_entry_with_a_refused_place_is_left_out_and_reported(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore], href: str, form: str
) -> None:
    entries = {"bad": {"placed": {"href": href}}, "good": {"title": "A"}}
    indent = None if form == "canonical" else 1
    files = {"index.json": json.dumps(entries, indent=indent).encode()}
    if form == "canonical":
        lines = [f'"{key}":{_compact(one)}' for key, one in entries.items()]
        files["index.json"] = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
    store = connect(start(serve_files(files)).url, origins="any")
    assert list(store) == ["good"]
    [warning] = store.info()["warnings"]
    assert warning.startswith("'bad' is left out: its ")


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def test_a29_places_below_https_may_not_be_at_http(
    start: Callable[..., RawServer], stack: ExitStack, tmp_path: Path
) -> None:
    certificates: Certificates = write_certificates(tmp_path)
    context = certificates.context(certificates.server)
    entries = {
        "down": placed_at("http://other.example/x"),
        "case": placed_at("HTTP://other.example/x"),
        "same": placed_at("//other.example/x"),
    }
    server = stack.enter_context(RawServer(site_of(entries), ssl_context=context))
    store = StaticStore(server.url, poll_interval=0, origins="any")
    stack.callback(store.disconnect)
    store.connect(**LIMITS, verify=certificates.authority)
    assert list(store) == ["same"]
    assert [text.partition(" ")[0] for text in store.info()["warnings"]] == ["'down'", "'case'"]
    assert "leads from https to http" in store.info()["warnings"][0]


@pytest.mark.parametrize(
    "placed",
    ["../x", ["../x", 0], {"href": "x", "more": 1}, {"href": 5}, {}, None, {"HREF": "x"}],
    ids=repr,
)
def test_a29_any_other_shape_is_plain_metadata(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore], placed: Any
) -> None:
    site = start(site_of({"v0": entry(b"here", placed=placed)}, **{"data/v0": b"here"}))
    store = connect(site.url)
    assert store.get_metadata("v0")["placed"] == placed
    assert store["v0"].read() == b"here"
    assert list(store.query_keys(placed=placed)) == ["v0"]


def test_a29_the_place_is_not_part_of_the_metadata(
    root: RawServer, connect: Callable[..., StaticStore]
) -> None:
    store = connect(root.url)
    assert set(store.get_metadata("v0")) == {"size", "sha256"}
    assert all("placed" not in metadata for _, metadata in store.query())
    assert list(store.query_keys(where={"placed.href": store["v0"].url})) == []
    assert list(store.index.field_values("placed.href")) == [(key, None) for key in KEYS]


@pytest.mark.parametrize("fields", [{}, {"sha256": hashlib.sha256(b"x").hexdigest()}], ids=len)
def test_a29_a_change_of_the_place_alone_is_an_update_only_without_a_digest(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore], fields: dict[str, str]
) -> None:
    files = {"index.json": json.dumps({"a": {**fields, "placed": {"href": "x"}}}).encode()}
    store = connect(start(serve_files(files)).url)
    files["index.json"] = json.dumps({"a": {**fields, "placed": {"href": "y"}}}).encode()
    changes = store.update_index()
    assert [change.action for change in changes] == ([] if fields else ["update"])
    assert store["a"].url.endswith("/y")


# -- a folder ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "href",
    [
        "../secret",
        "%2e%2e/secret",
        "a/%2e%2e/%2e%2e/secret",
        "..%2fsecret",
        "%2Fetc/passwd",
        "//other.example/x",
        "///etc/passwd",
        "/etc/passwd",
        "a%5c..%5c..%5csecret",
        "a%00b",
        "link/secret",
    ],
)
def test_d19_a_folder_leads_to_no_file_elsewhere(
    tmp_path: Path, connect: Callable[..., StaticStore], href: str
) -> None:
    site = tmp_path / "site"
    (site / "a").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (site / "link").symlink_to(tmp_path)
    (site / "index.json").write_text(json.dumps({"v": {"placed": {"href": href}}}))
    with pytest.raises(StoreError, match=r"refused|origins"):
        connect(site)["v"].read()


def test_d19_a_folder_may_lead_to_its_own_files(
    tmp_path: Path, connect: Callable[..., StaticStore]
) -> None:
    (tmp_path / "shared é").mkdir()
    (tmp_path / "shared é/a+b").write_bytes(VALUES["v0"])
    entries = {"v0": placed_at("shared%20%C3%A9/a+b"), "v1": placed_at("./shared%20é/a%2Bb")}
    (tmp_path / "index.json").write_text(json.dumps(entries))
    store = connect(tmp_path)
    assert {data for _, data in store.read_many(entries)} == {VALUES["v0"]}
    assert store["v1"].open().read() == VALUES["v0"]


def test_d19_a_folder_may_lead_to_a_named_origin(
    tmp_path: Path, other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    entries = {"v0": placed_at(f"{other.url}far/v0")}
    (tmp_path / "index.json").write_text(json.dumps(entries))
    assert connect(tmp_path, origins=[other.url])["v0"].read() == VALUES["v0"]
    assert without_secret(other)
    with pytest.raises(TransportError, match="inner address"):
        connect(tmp_path, origins="any")["v0"].read()


# -- data: ---------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [name for name in READS if name not in ("fsspec", "zarr")])
@pytest.mark.parametrize("is_whole", [True, False], ids=["described", "bare"])
def test_d19_a_value_in_its_url_needs_no_request(
    start: Callable[..., RawServer],
    connect: Callable[..., StaticStore],
    read: str,
    is_whole: bool,
    tmp_path: Path,
) -> None:
    href = "data:text/plain;base64," + base64.b64encode(VALUES["v0"]).decode()
    one = placed_at(href) if is_whole else {"placed": {"href": href}}
    site = start(site_of(dict.fromkeys(KEYS, one)))
    store = connect(site.url)
    before = len(site.requests)
    assert READS[read](store, tmp_path) == VALUES["v0"]
    # A mirror looks for a newer index; without a head there are no signatures.
    assert len(site.requests) == before + (1 if read == "mirror" else 0)


def test_d19_a_value_in_its_url_is_verified(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    store = connect(start(site_of({"v0": placed_at("data:,other", b"value")})).url)
    with pytest.raises(IntegrityError) as caught:
        store["v0"].read()
    assert caught.value.url == "data:,…"


def test_d19_a_value_in_its_url_says_size_and_media_type(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    store = connect(start(site_of({"v0": {"placed": {"href": "data:text/csv,a%2Cb"}}})).url)
    assert (store["v0"].size, store["v0"].media_type) == (3, "text/csv")
    assert store["v0"].url == "data:text/csv,a%2Cb"


def test_d19_a_redirect_to_a_data_url_is_refused(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    other = start(lambda _, wire: wire.response(302, headers={"Location": "data:,x"}))
    site = start(site_of({"v0": {"placed": {"href": f"{other.url}x"}}}))
    with pytest.raises(TransportError, match="refused: the host redirects to data:"):
        connect(site.url, origins="any")["v0"].read()


# -- inner addresses -----------------------------------------------------------------------


@pytest.fixture
def public_site(
    monkeypatch: pytest.MonkeyPatch, stack: ExitStack
) -> Callable[[dict[str, Any]], RawServer]:
    """Start a site at an address that counts as public."""

    def is_inner_but_one(address: str) -> bool:
        return address != "127.0.0.2" and is_inner(address)

    monkeypatch.setattr(adapter, "is_inner", is_inner_but_one)
    return lambda entries: stack.enter_context(RawServer(site_of(entries), host="127.0.0.2"))


@pytest.mark.parametrize("read", [name for name in READS if name != "unpickled"])
@pytest.mark.usefixtures("engine")
def test_d10_a_place_at_an_inner_address_is_never_asked_by_any_way_of_reading(
    public_site: Callable[..., RawServer],
    other: RawServer,
    connect: Callable[..., StaticStore],
    read: str,
    tmp_path: Path,
) -> None:
    entries = {key: placed_at(f"{other.url}far/{key}", VALUES[key]) for key in KEYS}
    store = connect(public_site(entries).url, origins="any")
    with pytest.raises(StoreError, match=r"leads to the inner address 127\.0\.0\.1"):
        READS[read](store, tmp_path)
    assert other.requests == []


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.1", "2130706433"])
def test_d10_it_is_refused_under_any_name(
    public_site: Callable[..., RawServer],
    other: RawServer,
    connect: Callable[..., StaticStore],
    host: str,
) -> None:
    entries = {"v0": placed_at(f"http://{host}:{other.port}/far/v0")}
    store = connect(public_site(entries).url, origins="any")
    with pytest.raises(TransportError, match="the inner address "):
        store["v0"].read()
    assert other.requests == []


def test_d10_a_named_place_may_be_at_an_inner_address(
    public_site: Callable[..., RawServer], other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    entries = {"v0": placed_at(f"{other.url}far/v0")}
    store = connect(public_site(entries).url, origins=[other.url])
    assert store["v0"].read() == VALUES["v0"]


def test_d10_a_redirect_of_a_place_to_an_inner_address_is_refused(
    public_site: Callable[..., RawServer],
    other: RawServer,
    stack: ExitStack,
    connect: Callable[..., StaticStore],
) -> None:
    def to_other(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": f"{other.url}far/v0"})

    between = stack.enter_context(RawServer(to_other, host="127.0.0.2"))
    store = connect(public_site({"v0": placed_at(f"{between.url}x")}).url, origins="any")
    with pytest.raises(TransportError, match=r"the inner address 127\.0\.0\.1"):
        store["v0"].read()
    assert between.requests
    assert other.requests == []


def test_d10_in_another_process_the_root_is_asked_first(
    root: RawServer, other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    """A pickle does not say whether its site is public: the first connection does."""
    value = pickle.loads(pickle.dumps(connect(root.url, origins="any")["v0"]))
    before = len(root.requests)
    assert value.read() == VALUES["v0"]
    assert [one.method for one in root.requests[before:]] == ["HEAD"]


def test_d10_in_another_process_a_public_site_leads_to_no_inner_address(
    public_site: Callable[..., RawServer], other: RawServer, connect: Callable[..., StaticStore]
) -> None:
    store = connect(public_site({"v0": placed_at(f"{other.url}far/v0")}).url, origins="any")
    value = pickle.loads(pickle.dumps(store["v0"]))
    with pytest.raises(TransportError, match=r"the inner address 127\.0\.0\.1"):
        value.read()
    assert other.requests == []


# -- copies, caches and packs --------------------------------------------------------------


def test_d11_a_copy_has_a_placed_value_under_its_key_if_its_digest_says_so(
    root: RawServer,
    other: RawServer,
    start: Callable[..., RawServer],
    connect: Callable[..., StaticStore],
) -> None:
    copy = start(serve_files({f"data/{key}": value for key, value in VALUES.items()}))
    store = connect([root.url, copy.url], origins=[other.url])
    other.stop()
    assert store["v0"].read() == VALUES["v0"]
    assert store["v1"].range(2, 4).read() == VALUES["v1"][2:4]


def test_d11_a_copy_is_not_asked_for_a_placed_value_without_a_digest(
    other: RawServer, start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    copy = start(serve_files({"data/v0": VALUES["v0"]}))
    site = start(site_of({"v0": {"placed": {"href": f"{other.url}far/v0"}}}))
    store = connect([site.url, copy.url], origins=[other.url])
    other.stop()
    with pytest.raises(TransportError):
        store["v0"].read()
    assert not any("data" in one.target for one in copy.requests)


def test_d19_a_placed_value_is_cached_by_its_digest(
    root: RawServer, other: RawServer, connect: Callable[..., StaticStore], tmp_path: Path
) -> None:
    store = connect(root.url, origins=[other.url], cache=tmp_path / "cache")
    assert dict(store.read_many(KEYS)) == VALUES
    before = len(other.requests)
    assert store["v0"].read() == VALUES["v0"]
    assert dict(store.read_many(KEYS)) == VALUES
    assert len(other.requests) == before


def test_d19_a_placed_value_may_also_be_packed(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    pack = b"--" + VALUES["v0"] + VALUES["v1"]
    href = f"packs/{hashlib.sha256(pack).hexdigest()}.zip"
    entries = {
        "v0": placed_at("http://127.0.0.1:9/x", packed=[href, 2]),
        "v1": placed_at("http://127.0.0.1:9/x", VALUES["v1"], packed=[href, 2 + 1000]),
    }
    store = connect(start(site_of(entries, **{href: pack})).url)
    assert dict(store.read_many(entries)) == {key: VALUES[key] for key in entries}


def test_d19_a_wrong_value_elsewhere_is_an_integrity_error(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    other = start(serve_files({"x": b"v0" * 499 + b"no"}))
    site = start(site_of({"v0": placed_at(f"{other.url}x")}))
    store = connect(site.url, origins=[other.url])
    with pytest.raises(IntegrityError):
        dict(store.read_many(["v0"]))


def test_d19_a_mirror_is_an_ordinary_site(
    other: RawServer,
    start: Callable[..., RawServer],
    connect: Callable[..., StaticStore],
    tmp_path: Path,
) -> None:
    entries = {
        "v0": placed_at(f"{other.url}far/v0", title="A"),
        "v1": {"placed": {"href": f"{other.url}far/v1"}},
        "v2": entry(b"here"),
        "v3": {"placed": {"href": "data:,v3"}},
    }
    site = start(site_of(entries, **{"data/v2": b"here"}))
    store = connect(site.url, origins=[other.url])
    report = mirror(store, tmp_path)
    assert (report.fetched, report.failed) == (4, [])
    assert json.loads((tmp_path / "index.json").read_bytes()) == {
        "v0": entry(VALUES["v0"], title="A"),
        "v1": entry(VALUES["v1"]),
        "v2": entry(b"here"),
        "v3": entry(b"v3"),
    }
    copy = connect(tmp_path)
    assert dict(copy.read_many(copy)) == {
        "v0": VALUES["v0"],
        "v1": VALUES["v1"],
        "v2": b"here",
        "v3": b"v3",
    }
    again = mirror(store, tmp_path)
    assert (again.fetched, again.kept) == (2, 2)  # what has no digest is fetched again
