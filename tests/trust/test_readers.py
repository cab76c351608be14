"""Reading a signed site over HTTP: what it costs, from several roots, and in every way."""

from __future__ import annotations

import asyncio
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    JoinedStore,
    StaticStore,
    TrustError,
    poll_failed,
    request_finished,
)
from staticstore.interop.fsspec import StaticStoreFileSystem
from tests.servers import RawServer, requiring_password, serve_files
from tests.trust.conftest import Opened
from tests.trust_sites import SignedSite, new_key


@pytest.fixture
def host(site: SignedSite) -> Iterator[RawServer]:
    """Serve the site as it is now."""
    with RawServer(Served(site)) as server:
        yield server


class Served:
    """Answer with the files of a site as they are."""

    def __init__(self, site: SignedSite) -> None:
        self._site = site
        self._files: dict[str, bytes] = {}
        self._answer = serve_files(self._files)

    def __call__(self, *arguments: Any) -> Any:
        self._files.clear()
        self._files.update(self._site.files())
        return self._answer(*arguments)


def paths(server: RawServer) -> list[str]:
    """Return the paths that were asked for."""
    return [request.path for request in server.requests]


def asked_by(call: Callable[[], object], server: RawServer) -> list[str]:
    """Return the paths that a call asks for."""
    before = len(server.requests)
    call()
    return paths(server)[before:]


def test_a_poll_that_finds_nothing_asks_for_the_next_root_and_the_timestamp(
    opened: Opened, host: RawServer
) -> None:
    store = opened(host.url)
    asked = asked_by(store.update_index, host)
    assert asked == ["/trust/2.root.json", "/trust/timestamp.json"]
    assert host.requests[-1].headers.get("If-None-Match")


def test_a_poll_that_finds_nothing_receives_few_bytes(opened: Opened, host: RawServer) -> None:
    store = opened(host.url)
    received = 0

    def count(_: object, **report: Any) -> None:
        nonlocal received
        received += report["bytes"]

    with request_finished.connected_to(count):
        store.update_index()
    assert received <= 600


def test_a_publish_costs_four_more_requests(
    site: SignedSite, opened: Opened, host: RawServer
) -> None:
    store = opened(host.url)
    site.publish({"a.txt": b"two"})
    asked = asked_by(store.update_index, host)
    assert len(asked) == 6
    assert asked[:4] == [
        *["/trust/2.root.json", "/trust/timestamp.json"],
        *["/trust/2.snapshot.json", "/trust/2.targets.json"],
    ]
    assert asked[4].endswith(".index.head.json")
    assert asked[5].startswith(("/changes/", "/index/"))


def test_neither_head_nor_index_is_asked_for(opened: Opened, host: RawServer) -> None:
    opened(host.url).update_index()
    assert not {"/index.head.json", "/index.json"}.intersection(paths(host))


def test_a_renewed_timestamp_moves_the_expiry_and_announces_nothing(
    site: SignedSite, opened: Opened
) -> None:
    store = opened()
    before = store.info()["trust_expires"]
    site.lives["timestamp"] *= 2
    site.write_timestamp()
    assert not store.update_index()
    assert store.info()["trust_expires"] > before


def test_an_expiry_that_is_near_is_warned_of(site: SignedSite, opened: Opened) -> None:
    site.lives["timestamp"] /= 4
    site.write_timestamp()
    assert any("renew" in text for text in opened().info()["warnings"])


def test_what_is_refused_is_announced_and_the_snapshot_stays(
    site: SignedSite, opened: Opened
) -> None:
    store = opened()
    errors: list[Exception] = []

    def note(_: object, error: Exception) -> None:
        errors.append(error)

    poll_failed.connect(note, sender=store)
    (site.trust / "timestamp.json").unlink()
    with pytest.raises(TrustError):
        store.update_index()
    assert [type(error) for error in errors] == [TrustError]
    assert store["a.txt"].read() == b"one"


def test_an_older_generation_that_is_signed_later_counts(site: SignedSite, opened: Opened) -> None:
    """A restored backup that is signed again is current at once: generations do not count."""
    store = opened()
    old = (site.root / "index.head.json").read_bytes()
    site.publish({"b.txt": b"two"})
    store.update_index()
    site.write_targets(old)
    site.write_snapshot()
    site.write_timestamp()
    assert [change.action for change in store.update_index()] == ["delete"]


# A lazy store, coroutines, views, pickles, fsspec


def test_a_lazy_store_looks_up_below_the_signed_head(
    site: SignedSite, opened: Opened, host: RawServer
) -> None:
    site.publish({f"{n:04}.txt": b"%d" % n for n in range(500)})
    store = opened(host.url, lazy=True)
    assert store["0400.txt"].read() == b"400"
    assert not {"/index.head.json", "/index.json"}.intersection(paths(host))
    assert store.info()["trust"] == "signed"
    site.publish({"0400.txt": b"new"})
    store.update_index()
    assert store["0400.txt"].read() == b"new"
    assert store.info()["entries"] == len(list(store))
    assert store.info()["trust"] == "signed"


def test_a_store_reads_in_an_event_loop(site: SignedSite, host: RawServer) -> None:
    async def read() -> bytes:
        store = StaticStore(host.url, trust=site.pinned, poll_interval=0)
        async with store.connect_async():
            return await store.read_async("a.txt")

    assert asyncio.run(read()) == b"one"


def test_a_view_says_who_is_signed(site: SignedSite, opened: Opened) -> None:
    view = JoinedStore([opened(), opened()])
    info = view.info()
    assert info["trust"] == "signed"
    assert info["trust_expires"] == info["members"][0]["trust_expires"]


def test_a_pickle_carries_the_root_document(site: SignedSite, opened: Opened) -> None:
    text = pickle.dumps(opened())
    pinned = site.pinned.read_bytes()
    site.pinned.unlink()
    store = pickle.loads(text)
    assert store["a.txt"].read() == b"one"
    assert store.info()["trust"] == "signed"
    assert pinned in text


def test_fsspec_takes_the_root_document(site: SignedSite, host: RawServer) -> None:
    files = StaticStoreFileSystem(host.url, trust=str(site.pinned))
    site.pinned.rename(site.pinned.with_name("elsewhere"))
    again = StaticStoreFileSystem.from_json(files.to_json())
    assert again.cat_file("a.txt") == files.cat_file("a.txt") == b"one"


# Several roots


def test_the_newest_valid_timestamp_counts(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    shutil.copytree(site.root, tmp_path / "old")
    site.publish({"a.txt": b"two"})
    store = opened([tmp_path / "old", site.root])
    assert store["a.txt"].read() == b"two"
    assert store.info()["source"].endswith("/site/")
    assert not store.info()["stale"]


def test_a_timestamp_of_a_replaced_key_is_not_newer(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """The versions of another renew key may begin anew, and its thief signs high ones."""
    site.versions["timestamp"] = 50
    site.write_timestamp()
    shutil.copytree(site.root, tmp_path / "old")
    site.keys["snapshot"] = site.keys["timestamp"] = [new_key()]
    site.write_root()
    site.versions["timestamp"] = 1
    site.publish({"a.txt": b"two"})
    assert opened([tmp_path / "old", site.root])["a.txt"].read() == b"two"


def test_a_root_that_lies_is_passed_over(site: SignedSite, opened: Opened, tmp_path: Path) -> None:
    stranger = SignedSite(tmp_path / "stranger", {"a.txt": b"evil"})
    store = opened([stranger.root, site.root])
    assert store["a.txt"].read() == b"one"
    assert any("passed over" in text for text in store.info()["warnings"])


def test_no_root_is_right(site: SignedSite, opened: Opened, tmp_path: Path) -> None:
    roots = [SignedSite(tmp_path / name).root for name in ("one", "two")]
    with pytest.raises(TrustError) as caught:
        opened(roots)
    assert caught.value.reason == "unsigned"


# Hosts


def test_a_host_that_answers_every_path_with_a_page(site: SignedSite, opened: Opened) -> None:
    page = b"<!DOCTYPE html>" + b"<p>Not found</p>" * 10_000
    files = dict.fromkeys(["trust/2.root.json"], page)
    with RawServer(serve_files({**files, **site.files()})) as server:
        assert opened(server.url)["a.txt"].read() == b"one"


def test_a_host_that_refuses_credentials(site: SignedSite, opened: Opened) -> None:
    answer = requiring_password(serve_files(site.files()), "ali", "secret")
    with RawServer(answer) as server:
        with pytest.raises(AuthorizationError):
            opened(server.url)
        store = StaticStore(server.url, trust=site.pinned, poll_interval=0)
        assert store.connect(("ali", "secret"))["a.txt"].read() == b"one"
        store.disconnect()


def test_endless_documents_are_cut_off(site: SignedSite, opened: Opened) -> None:
    endless = {"trust/timestamp.json": b" " * (1 << 20)}
    with (
        RawServer(serve_files({**site.files(), **endless})) as server,
        pytest.raises(TrustError, match="larger than 65536 bytes"),
    ):
        opened(server.url)


# Arguments


@pytest.mark.parametrize(
    ("trust", "error"),
    [(b"{}", ValueError), (b"", ValueError), (7, TypeError), (b" " * 70_000, ValueError)],
)
def test_what_is_no_root_document_is_refused_at_once(
    site: SignedSite, trust: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        StaticStore(site.root, trust=trust)


def test_a_document_of_another_role_is_no_root(site: SignedSite) -> None:
    with pytest.raises(ValueError, match="no root file"):
        StaticStore(site.root, trust=site.trust / "timestamp.json")


def test_a_root_document_that_its_keys_have_not_signed(site: SignedSite) -> None:
    body = site.pinned.read_bytes().replace(b'"threshold": 2', b'"threshold": 3')
    assert body != site.pinned.read_bytes() or b'"threshold":2' in body
    body = body.replace(b'"threshold":2', b'"threshold":3')
    with pytest.raises(ValueError, match="no root file"):
        StaticStore(site.root, trust=body)


def test_another_index_is_not_signed(site: SignedSite) -> None:
    with pytest.raises(ValueError, match="index_path"):
        StaticStore(site.root, trust=site.pinned, index_path="other.json")


def test_an_index_of_others_is_not_signed(site: SignedSite) -> None:
    with pytest.raises(ValueError, match="trust cannot be combined with format"):
        StaticStore("https://data.example.org/SHA256SUMS", format="sums", trust=site.pinned)
