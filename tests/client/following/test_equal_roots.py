"""Equal roots: the first that answers serves, and the newest index wins."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    Change,
    IntegrityError,
    StaticStore,
    TransportError,
    mirror,
    poll_failed,
    publish,
)
from staticstore.errors import HTTPStatusError, NotConnectedError
from tests.client.scene import Call
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of

VALUES = {"a.txt": b"value of a", "b.txt": b"value of b", "large.bin": bytes(range(256)) * 8000}


class Host:
    """A server with a copy of a site."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.good = serve_files(self.files)
        self.server = RawServer(self.good, heads=True).start()

    @property
    def url(self) -> str:
        return self.server.url

    def copy(self, folder: Path) -> None:
        """Serve all files that are in a folder now."""
        self.files.clear()
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not name.startswith("."):
                self.files[name] = path.read_bytes()

    def requests(self, path: str) -> list[Request]:
        return [one for one in self.server.requests if one.path == f"/{path}"]

    def spoil(self, path: str, body: bytes | None) -> None:
        """Serve another value for a path, or none."""
        if body is None:
            del self.files[path]
        else:
            self.files[path] = body


class Site:
    """A folder that is published, and hosts with copies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir(parents=True)
        self.hosts = [Host(), Host()]
        self.publish(*self.hosts, **VALUES)

    def publish(self, *hosts: Host, **values: bytes) -> None:
        """Publish values, and copy them only to the given hosts."""
        for key, value in values.items():
            (self.folder / "data" / key).write_bytes(value)
        publish(self.folder)
        for host in hosts:
            host.copy(self.folder)

    @property
    def roots(self) -> list[str]:
        return [host.url for host in self.hosts]

    def store(self, **options: Any) -> StaticStore:
        return StaticStore(self.roots, poll_interval=0, equal_roots=True, **options)

    def open(self, **options: Any) -> StaticStore:
        return self.store(**options).connect(retries=0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    for host in made.hosts:
        host.server.stop()


@pytest.fixture
def origin(site: Site) -> Host:
    return site.hosts[0]


@pytest.fixture
def copy(site: Site) -> Host:
    return site.hosts[1]


@pytest.fixture
def immediate_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry a failed root immediately."""
    monkeypatch.setattr("staticstore.tuning.FAILED_ROOT_SECONDS", 0.0)


# The index


def test_the_first_root_serves_the_index_and_the_values(site: Site, copy: Host) -> None:
    with site.open() as store:
        assert store.to_bytes("a.txt") == VALUES["a.txt"]
    assert [request.path for request in copy.server.requests] == ["/index.head.json"]


def test_a_first_root_that_is_down_is_skipped(site: Site, origin: Host) -> None:
    origin.server.stop()
    with site.open() as store:
        assert {key: store.to_bytes(key) for key in store} == VALUES


def test_a_silent_first_root_is_skipped(site: Site, origin: Host) -> None:
    origin.server.answer = lambda request, wire: wire.stall()
    with Call(site.open).result() as store:
        assert len(store) == 3


def test_a_first_root_that_refuses_the_password_is_skipped(site: Site, origin: Host) -> None:
    origin.server.answer = lambda request, wire: wire.response(401)
    with site.open() as store:
        assert len(store) == 3


def test_a_first_root_with_a_bad_index_is_skipped(site: Site, origin: Host) -> None:
    index = next(name for name in origin.files if name.startswith("index/"))
    origin.spoil(index, b"{]")
    origin.spoil("index.json", b"{]")
    with site.open() as store:
        assert len(store) == 3


def test_a_skipped_root_is_named_in_the_warnings(site: Site, origin: Host) -> None:
    origin.server.stop()
    with site.open() as store:
        (warning,) = store.info()["warnings"]
    assert warning.startswith(f"{origin.url} is passed over: ")


@pytest.mark.usefixtures("restless")
def test_a_root_that_is_back_is_no_longer_in_the_warnings(site: Site, origin: Host) -> None:
    origin.server.stop()
    with site.open() as store:
        origin.server.start()
        store.update_index()
        assert store.info()["warnings"] == []


@pytest.mark.usefixtures("restless")
def test_a_failed_root_is_retried(site: Site, origin: Host) -> None:
    origin.server.stop()
    with site.open() as store:
        origin.server.start()
        site.publish(origin, **{"c.txt": b"new"})
        assert [change.key for change in store.update_index()] == ["c.txt"]


def test_a_root_that_has_just_failed_is_not_requested(site: Site, origin: Host) -> None:
    origin.server.answer = lambda request, wire: wire.response(503)
    with site.open() as store:
        before = len(origin.server.requests)
        store.update_index()
        store.to_bytes("a.txt")
    assert len(origin.server.requests) == before


def test_the_highest_generation_wins_whichever_root_has_it(site: Site, copy: Host) -> None:
    site.publish(copy, **{"c.txt": b"new"})
    with site.open() as store:
        assert "c.txt" in store
        assert store.info()["generation"] == 2


def test_changes_come_from_the_first_root_that_has_them(site: Site, copy: Host) -> None:
    with site.open() as store:
        seen: list[Change] = []
        store.subscribe(seen.append)
        site.publish(copy, **{"c.txt": b"new"})
        store.update_index()
    assert [change.key for change in seen] == ["c.txt"]


@pytest.mark.usefixtures("restless")
def test_an_outdated_root_does_not_replace_a_newer_index(site: Site, origin: Host) -> None:
    site.publish(origin, **{"c.txt": b"new"})
    with site.open() as store:
        origin.server.stop()
        assert not store.update_index()
        assert store.info()["generation"] == 2


def test_an_outdated_root_serves_while_no_other_does(site: Site, origin: Host) -> None:
    site.publish(origin, **{"c.txt": b"new"})
    origin.server.stop()
    with site.open() as store:
        assert sorted(store) == sorted(VALUES)


def test_a_root_of_another_lineage_is_not_trusted(site: Site, copy: Host, tmp_path: Path) -> None:
    other = Site(tmp_path / "other")
    for number in range(3):
        other.publish(copy, **{"foreign.txt": b"%d" % number})
    with site.open() as store:
        assert sorted(store) == sorted(VALUES)
    for host in other.hosts:
        host.server.stop()


@pytest.mark.usefixtures("restless")
def test_a_root_of_another_lineage_is_not_trusted_even_if_the_first_is_down(
    site: Site, origin: Host, copy: Host, tmp_path: Path
) -> None:
    other = Site(tmp_path / "other")
    with site.open() as store:
        other.publish(copy, **{"foreign.txt": b"1"})
        origin.server.stop()
        with pytest.raises(TransportError):
            store.update_index()
        assert sorted(store) == sorted(VALUES)
    for host in other.hosts:
        host.server.stop()


def test_if_all_are_down_the_error_is_that_of_the_first_root(site: Site, origin: Host) -> None:
    for host in site.hosts:
        host.server.stop()
    with pytest.raises(TransportError) as caught:
        site.open()
    assert str(caught.value.url).startswith(origin.url)


def test_a_poll_that_fails_at_all_roots_is_signaled_once(site: Site) -> None:
    errors: list[Exception] = []

    def note(store: StaticStore, error: Exception) -> None:
        errors.append(error)

    with site.open() as store:
        poll_failed.connect(note, sender=store)
        for host in site.hosts:
            host.server.stop()
        with pytest.raises(TransportError):
            store.update_index()
    assert len(errors) == 1


def test_a_temporary_failure_of_all_roots_is_retried(site: Site) -> None:
    for host in site.hosts:
        host.server.answer = _once(503, host)
    with site.store().connect(retries=2) as store:
        assert len(store) == 3


def _once(status: int, host: Host) -> Any:
    def answer(request: Request, wire: Wire) -> None:
        host.server.answer = host.good
        wire.response(status)

    return answer


def test_disconnecting_ends_the_wait_for_all_roots(site: Site) -> None:
    with site.open() as store:
        for host in site.hosts:
            host.server.answer = lambda request, wire: wire.stall()
        waiting = Call(store.update_index)
        while not all(len(host.server.requests) > 1 for host in site.hosts):
            pass
        store.disconnect()
        with pytest.raises(NotConnectedError):
            waiting.result()


def test_without_heads_the_first_that_answers_serves(site: Site, origin: Host, copy: Host) -> None:
    for host in site.hosts:
        del host.files["index.head.json"]
    copy.files["index.json"] = index_of({"other": b""})
    with site.open() as store:
        assert len(store) == 3
    origin.server.stop()
    with site.open() as store:
        assert list(store) == ["other"]


def test_a17_without_heads_they_are_looked_for_at_every_tenth_poll(site: Site) -> None:
    for host in site.hosts:
        del host.files["index.head.json"]
    with site.open() as store:
        for _ in range(30):
            store.update_index()
    assert [len(host.requests("index.head.json")) for host in site.hosts] == [1 + 3] * 2


def test_without_heads_nothing_is_fetched_twice(site: Site, origin: Host) -> None:
    for host in site.hosts:
        del host.files["index.head.json"]
    with site.open() as store:
        assert not store.update_index()
    assert "If-None-Match" in origin.requests("index.json")[-1].headers


def test_the_index_is_fetched_from_one_root(site: Site) -> None:
    with site.open():
        pass
    names = [name for name in site.hosts[0].files if name.startswith("index/")]
    assert [len(host.requests(names[0])) for host in site.hosts] == [1, 0]


def test_heads_are_requested_conditionally_with_their_own_tags(site: Site) -> None:
    with site.open() as store:
        store.update_index()
    for host in site.hosts:
        assert "If-None-Match" in host.requests("index.head.json")[1].headers


def test_a_cached_index_is_used_while_all_are_down(site: Site, tmp_path: Path) -> None:
    with site.open(cache=tmp_path / "cache"):
        pass
    for host in site.hosts:
        host.server.stop()
    with site.open(cache=tmp_path / "cache") as store:
        assert store.info()["stale"]
        assert len(store) == 3


# Values


def test_a_wrong_value_is_fetched_from_another_root(site: Site, origin: Host) -> None:
    origin.spoil("data/a.txt", b"VALUE OF A")
    with site.open() as store:
        assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_a_missing_value_is_fetched_from_another_root(site: Site, origin: Host) -> None:
    origin.spoil("data/a.txt", None)
    with site.open() as store:
        assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_for_a_value_that_no_root_has_the_error_is_that_of_the_first(site: Site) -> None:
    for host in site.hosts:
        host.spoil("data/a.txt", None)
    with site.open() as store, pytest.raises(HTTPStatusError, match="404"):
        store.to_bytes("a.txt")


def test_values_come_from_another_root_once_the_first_is_down(site: Site, origin: Host) -> None:
    with site.open() as store:
        origin.server.stop()
        assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_a_value_of_an_old_snapshot_comes_from_a_root_that_still_has_it(
    site: Site, origin: Host
) -> None:
    with site.open() as store:
        value = store["a.txt"]
        site.publish(origin, **{"a.txt": b"VALUE OF A"})
        store.update_index()
        assert value.read() == VALUES["a.txt"]


def test_an_outdated_root_serves_values_that_are_still_right(site: Site, origin: Host) -> None:
    site.publish(origin, **{"a.txt": b"VALUE OF A"})
    with site.open() as store:
        origin.server.stop()
        assert store.to_bytes("b.txt") == VALUES["b.txt"]


def test_an_outdated_root_serves_no_changed_value(site: Site, origin: Host) -> None:
    site.publish(origin, **{"a.txt": b"VALUE OF A"})
    with site.open() as store:
        origin.server.stop()
        with pytest.raises(TransportError):
            store.to_bytes("a.txt")


def test_no_part_comes_from_an_outdated_root(site: Site, origin: Host, copy: Host) -> None:
    site.publish(origin, **{"a.txt": b"VALUE OF A"})
    with site.open() as store:
        origin.server.stop()
        with pytest.raises(TransportError):
            store["a.txt"].range(0, 5)
    assert not [one for one in copy.requests("data/a.txt") if "Range" in one.headers]


def test_a_part_comes_from_another_root_of_the_same_index(site: Site, origin: Host) -> None:
    with site.open() as store:
        origin.server.stop()
        with store["a.txt"].range(0, 5) as part:
            assert part.read() == b"value"


def test_many_parts_come_from_another_root_of_the_same_index(site: Site, origin: Host) -> None:
    with site.open() as store:
        origin.server.stop()
        assert store.get_ranges("a.txt", [(0, 5), (-1, None)]) == [b"value", b"a"]


def test_many_values_come_from_another_root(site: Site, origin: Host) -> None:
    with site.open() as store:
        origin.server.stop()
        assert dict(store.read_many(sorted(VALUES))) == VALUES


def test_each_of_many_values_comes_from_a_root_that_has_it_right(
    site: Site, origin: Host, copy: Host
) -> None:
    origin.spoil("data/a.txt", b"VALUE OF A")
    copy.spoil("data/b.txt", None)
    with site.open() as store:
        assert dict(store.read_many(["a.txt", "b.txt"])) == {
            key: VALUES[key] for key in ["a.txt", "b.txt"]
        }


def _breaking(host: Host, at: int) -> Any:
    """Send the beginning of the large value, and then stop."""

    def answer(request: Request, wire: Wire) -> None:
        value = VALUES["large.bin"]
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(value) + value[:at])
        host.server.answer = lambda request, wire: wire.reset()
        wire.reset()

    return answer


def test_a_broken_stream_continues_at_another_root(site: Site, origin: Host, copy: Host) -> None:
    origin.server.answer = origin.good.but({"data/large.bin": _breaking(origin, 500_000)})
    with site.store().connect(retries=1) as store, store["large.bin"] as stream:
        assert stream.read() == VALUES["large.bin"]
    (request,) = copy.requests("data/large.bin")
    assert request.range == (500_000, None)


def test_a_broken_download_continues_at_another_root(
    site: Site, origin: Host, copy: Host, tmp_path: Path
) -> None:
    origin.server.answer = origin.good.but({"data/large.bin": _breaking(origin, 500_000)})
    with site.store().connect(retries=1) as store:
        store.to_file("large.bin", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUES["large.bin"]
    (request,) = copy.requests("data/large.bin")
    assert request.range == (500_000, None)
    (request,) = copy.requests("data/large.bin")
    assert request.range == (500_000, None)


def test_an_open_file_continues_at_another_root(site: Site, origin: Host) -> None:
    with site.open() as store, store["large.bin"].open() as file:
        assert file.read(10) == VALUES["large.bin"][:10]
        origin.server.stop()
        file.seek(1_000_000)
        assert file.read(10) == VALUES["large.bin"][1_000_000:1_000_010]


def test_an_open_file_reads_a_single_version(site: Site, origin: Host) -> None:
    with site.open() as store, store["large.bin"].open() as file:
        file.read(10)
        origin.spoil("data/large.bin", VALUES["large.bin"][::-1])
        file.seek(1_000_000)
        assert file.read(10) == VALUES["large.bin"][1_000_000:1_000_010]


def test_an_open_file_whose_version_no_root_has_is_an_error(site: Site) -> None:
    with site.open() as store, store["large.bin"].open() as file:
        file.read(10)
        for host in site.hosts:
            host.spoil("data/large.bin", VALUES["large.bin"][::-1])
        file.seek(1_000_000)
        with pytest.raises(IntegrityError):
            file.read(10)


def test_a_size_missing_from_the_index_comes_from_any_root_that_knows_it(
    site: Site, origin: Host
) -> None:
    for host in site.hosts:
        del host.files["index.head.json"]
        host.files["index.json"] = b'{"a.txt": {}}'
    with site.open() as store:
        origin.spoil("data/a.txt", None)
        with pytest.raises(HTTPStatusError):
            store["a.txt"].read()  # without a digest, another root may have another value


def test_mirroring_a_site_with_several_roots_needs_only_one_of_them(
    site: Site, origin: Host, tmp_path: Path
) -> None:
    with site.open() as store:
        origin.spoil("data/a.txt", None)
        report = mirror(store, tmp_path / "mirrored")
    assert (report.fetched, report.failed) == (3, [])


# Lazy stores


def test_a_lazy_store_looks_up_keys_at_any_working_root(site: Site, origin: Host) -> None:
    with site.open(lazy=True) as store:
        origin.server.stop()
        assert store["a.txt"].read() == VALUES["a.txt"]


def test_a_lazy_store_fetches_the_whole_index_from_any_working_root(
    site: Site, origin: Host
) -> None:
    with site.open(lazy=True) as store:
        origin.server.stop()
        assert sorted(store) == sorted(VALUES)


def test_a_lazy_store_follows_the_newest_head(site: Site, copy: Host) -> None:
    with site.open(lazy=True) as store:
        site.publish(copy, **{"c.txt": b"new"})
        store.update_index()
        assert store["c.txt"].read() == b"new"


# Credentials, and invalid roots


def test_the_password_is_sent_only_to_the_first_root(site: Site, origin: Host, copy: Host) -> None:
    store = site.store()
    with store.connect(("ali", "sesame"), headers={"X-Api-Key": "secret"}, retries=0):
        store.to_bytes("a.txt")
    assert all(
        {"Authorization", "X-Api-Key"} <= one.headers.keys() for one in origin.server.requests
    )
    for request in copy.server.requests:
        assert not {"authorization", "x-api-key"} & {name.lower() for name in request.headers}


def test_another_root_has_its_own_password_in_its_url(site: Site, copy: Host) -> None:
    roots = [site.roots[0], copy.url.replace("http://", "http://ali:sesame@")]
    with StaticStore(roots, poll_interval=0, equal_roots=True).connect(retries=0):
        pass
    assert copy.server.requests[0].headers["Authorization"].startswith("Basic ")


def test_a_folder_can_be_one_of_the_roots(site: Site, origin: Host) -> None:
    origin.server.stop()
    roots = [origin.url, str(site.folder)]
    with StaticStore(roots, poll_interval=0).connect(retries=0) as store:
        assert dict(store.read_many(sorted(VALUES))) == VALUES


def test_a_pickle_contains_all_roots(site: Site, origin: Host) -> None:
    again = pickle.loads(pickle.dumps(site.store()))
    origin.server.stop()
    with again.connect(retries=0) as store:
        assert len(store) == 3


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ([], "at least one"),
        (["http://example.org/a", "http://example.org/a/"], "given twice"),
        (["http://example.org/", "ftp://example.org/"], "not ftp:"),
    ],
)
def test_invalid_roots_are_refused(roots: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        StaticStore(roots)


def test_a_root_that_is_not_a_string_is_refused() -> None:
    with pytest.raises(TypeError, match="str or a path"):
        StaticStore(5)  # type: ignore[arg-type]


def test_without_heads_no_part_comes_from_a_root_with_an_older_index(
    site: Site, origin: Host, copy: Host
) -> None:
    def give(host: Host, body: bytes, date: str) -> None:
        del host.files["index.head.json"]
        fields = {"Last-Modified": date}
        plain: Answer = lambda request, wire: wire.response(200, body, fields)  # noqa: E731
        host.server.answer = host.good.but({"index.json": plain})

    give(origin, index_of(VALUES | {"new": b""}), "Fri, 20 Nov 2026 12:00:00 GMT")
    give(copy, index_of(VALUES), "Thu, 19 Nov 2026 12:00:00 GMT")
    with site.open() as store:
        origin.server.stop()
        store.update_index()
        with store["a.txt"].range(0, 5) as part:
            assert part.read() == b"value"
    assert [one.headers.get("Range") for one in copy.requests("data/a.txt")] == [None]


def test_the_newest_head_wins_even_if_the_first_root_has_none(
    site: Site, origin: Host, copy: Host
) -> None:
    with site.open() as store:
        site.publish(copy, **{"new.txt": b"1"})
        del origin.files["index.head.json"]
        assert [change.key for change in store.update_index()] == ["new.txt"]
