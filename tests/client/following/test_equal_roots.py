"""Equal roots: the first that answers serves, and the newest index wins."""

from __future__ import annotations

import pickle
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
)
from staticstore.errors import HTTPStatusError, NotConnectedError
from tests.client.following.conftest import VALUES, Host, HostedSite
from tests.client.scene import Call
from tests.servers import Answer, Request, Wire
from tests.sites import index_of

# The index


def test_the_first_root_serves_the_index_and_the_values(hosted: HostedSite, copy: Host) -> None:
    with hosted.open() as store:
        assert store.to_bytes("a.txt") == VALUES["a.txt"]
    assert [request.path for request in copy.server.requests] == ["/index.head.json"]


def test_a_first_root_that_is_down_is_skipped(hosted: HostedSite, first: Host) -> None:
    first.server.stop()
    with hosted.open() as store:
        assert {key: store.to_bytes(key) for key in store} == VALUES


def test_a_silent_first_root_is_skipped(hosted: HostedSite, first: Host) -> None:
    first.server.answer = lambda request, wire: wire.stall()
    with Call(hosted.open).result() as store:
        assert len(store) == 3


def test_a_first_root_that_refuses_the_password_is_skipped(hosted: HostedSite, first: Host) -> None:
    first.server.answer = lambda request, wire: wire.response(401)
    with hosted.open() as store:
        assert len(store) == 3


def test_a_first_root_with_a_bad_index_is_skipped(hosted: HostedSite, first: Host) -> None:
    index = next(name for name in first.files if name.startswith("index/"))
    first.spoil(index, b"{]")
    first.spoil("index.json", b"{]")
    with hosted.open() as store:
        assert len(store) == 3


def test_a_skipped_root_is_named_in_the_warnings(hosted: HostedSite, first: Host) -> None:
    first.server.stop()
    with hosted.open() as store:
        (warning,) = store.info()["warnings"]
    assert warning.startswith(f"{first.url} is passed over: ")


@pytest.mark.usefixtures("immediate_retry")
def test_a_root_that_is_back_is_no_longer_in_the_warnings(hosted: HostedSite, first: Host) -> None:
    first.server.stop()
    with hosted.open() as store:
        first.server.start()
        store.update_index()
        assert store.info()["warnings"] == []


@pytest.mark.usefixtures("immediate_retry")
def test_a_failed_root_is_retried(hosted: HostedSite, first: Host) -> None:
    first.server.stop()
    with hosted.open() as store:
        first.server.start()
        hosted.publish(first, **{"c.txt": b"new"})
        assert [change.key for change in store.update_index()] == ["c.txt"]


def test_a_root_that_has_just_failed_is_not_requested(hosted: HostedSite, first: Host) -> None:
    first.server.answer = lambda request, wire: wire.response(503)
    with hosted.open() as store:
        before = len(first.server.requests)
        store.update_index()
        store.to_bytes("a.txt")
    assert len(first.server.requests) == before


def test_the_highest_generation_wins_whichever_root_has_it(hosted: HostedSite, copy: Host) -> None:
    hosted.publish(copy, **{"c.txt": b"new"})
    with hosted.open() as store:
        assert "c.txt" in store
        assert store.info()["generation"] == 2


def test_changes_come_from_the_first_root_that_has_them(hosted: HostedSite, copy: Host) -> None:
    with hosted.open() as store:
        seen: list[Change] = []
        store.subscribe(seen.append)
        hosted.publish(copy, **{"c.txt": b"new"})
        store.update_index()
    assert [change.key for change in seen] == ["c.txt"]


@pytest.mark.usefixtures("immediate_retry")
def test_an_outdated_root_does_not_replace_a_newer_index(hosted: HostedSite, first: Host) -> None:
    hosted.publish(first, **{"c.txt": b"new"})
    with hosted.open() as store:
        first.server.stop()
        assert not store.update_index()
        assert store.info()["generation"] == 2


def test_an_outdated_root_serves_while_no_other_does(hosted: HostedSite, first: Host) -> None:
    hosted.publish(first, **{"c.txt": b"new"})
    first.server.stop()
    with hosted.open() as store:
        assert sorted(store) == sorted(VALUES)


def test_a_root_of_another_lineage_is_not_trusted(
    hosted: HostedSite, copy: Host, tmp_path: Path
) -> None:
    other = HostedSite(tmp_path / "other")
    for number in range(3):
        other.publish(copy, **{"foreign.txt": b"%d" % number})
    with hosted.open() as store:
        assert sorted(store) == sorted(VALUES)
    for host in other.hosts:
        host.server.stop()


@pytest.mark.usefixtures("immediate_retry")
def test_a_root_of_another_lineage_is_not_trusted_even_if_the_first_is_down(
    hosted: HostedSite, first: Host, copy: Host, tmp_path: Path
) -> None:
    other = HostedSite(tmp_path / "other")
    with hosted.open() as store:
        other.publish(copy, **{"foreign.txt": b"1"})
        first.server.stop()
        with pytest.raises(TransportError):
            store.update_index()
        assert sorted(store) == sorted(VALUES)
    for host in other.hosts:
        host.server.stop()


def test_if_all_are_down_the_error_is_that_of_the_first_root(
    hosted: HostedSite, first: Host
) -> None:
    for host in hosted.hosts:
        host.server.stop()
    with pytest.raises(TransportError) as caught:
        hosted.open()
    assert str(caught.value.url).startswith(first.url)


def test_a_poll_that_fails_at_all_roots_is_signaled_once(hosted: HostedSite) -> None:
    errors: list[Exception] = []

    def note(store: StaticStore, error: Exception) -> None:
        errors.append(error)

    with hosted.open() as store:
        poll_failed.connect(note, sender=store)
        for host in hosted.hosts:
            host.server.stop()
        with pytest.raises(TransportError):
            store.update_index()
    assert len(errors) == 1


def test_a_temporary_failure_of_all_roots_is_retried(hosted: HostedSite) -> None:
    for host in hosted.hosts:
        host.server.answer = _once(503, host)
    with hosted.store().connect(retries=2) as store:
        assert len(store) == 3


def _once(status: int, host: Host) -> Any:
    def answer(request: Request, wire: Wire) -> None:
        host.server.answer = host.good
        wire.response(status)

    return answer


def test_disconnecting_ends_the_wait_for_all_roots(hosted: HostedSite) -> None:
    with hosted.open() as store:
        for host in hosted.hosts:
            host.server.answer = lambda request, wire: wire.stall()
        waiting = Call(store.update_index)
        while not all(len(host.server.requests) > 1 for host in hosted.hosts):
            pass
        store.disconnect()
        with pytest.raises(NotConnectedError):
            waiting.result()


def test_without_heads_the_first_that_answers_serves(
    hosted: HostedSite, first: Host, copy: Host
) -> None:
    for host in hosted.hosts:
        del host.files["index.head.json"]
    copy.files["index.json"] = index_of({"other": b""})
    with hosted.open() as store:
        assert len(store) == 3
    first.server.stop()
    with hosted.open() as store:
        assert list(store) == ["other"]


def test_a17_without_heads_they_are_looked_for_at_every_tenth_poll(hosted: HostedSite) -> None:
    for host in hosted.hosts:
        del host.files["index.head.json"]
    with hosted.open() as store:
        for _ in range(30):
            store.update_index()
    assert [len(host.requests("index.head.json")) for host in hosted.hosts] == [1 + 3] * 2


def test_without_heads_nothing_is_fetched_twice(hosted: HostedSite, first: Host) -> None:
    for host in hosted.hosts:
        del host.files["index.head.json"]
    with hosted.open() as store:
        assert not store.update_index()
    assert "If-None-Match" in first.requests("index.json")[-1].headers


def test_the_index_is_fetched_from_one_root(hosted: HostedSite) -> None:
    with hosted.open():
        pass
    names = [name for name in hosted.hosts[0].files if name.startswith("index/")]
    assert [len(host.requests(names[0])) for host in hosted.hosts] == [1, 0]


def test_heads_are_requested_conditionally_with_their_own_tags(hosted: HostedSite) -> None:
    with hosted.open() as store:
        store.update_index()
    for host in hosted.hosts:
        assert "If-None-Match" in host.requests("index.head.json")[1].headers


def test_a_cached_index_is_used_while_all_are_down(hosted: HostedSite, tmp_path: Path) -> None:
    with hosted.open(cache=tmp_path / "cache"):
        pass
    for host in hosted.hosts:
        host.server.stop()
    with hosted.open(cache=tmp_path / "cache") as store:
        assert store.info()["stale"]
        assert len(store) == 3


# Values


def test_a_wrong_value_is_fetched_from_another_root(hosted: HostedSite, first: Host) -> None:
    first.spoil("data/a.txt", b"VALUE OF A")
    with hosted.open() as store:
        assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_a_missing_value_is_fetched_from_another_root(hosted: HostedSite, first: Host) -> None:
    first.spoil("data/a.txt", None)
    with hosted.open() as store:
        assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_for_a_value_that_no_root_has_the_error_is_that_of_the_first(hosted: HostedSite) -> None:
    for host in hosted.hosts:
        host.spoil("data/a.txt", None)
    with hosted.open() as store, pytest.raises(HTTPStatusError, match="404"):
        store.to_bytes("a.txt")


def test_values_come_from_another_root_once_the_first_is_down(
    hosted: HostedSite, first: Host
) -> None:
    with hosted.open() as store:
        first.server.stop()
        assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_a_value_of_an_old_snapshot_comes_from_a_root_that_still_has_it(
    hosted: HostedSite, first: Host
) -> None:
    with hosted.open() as store:
        value = store["a.txt"]
        hosted.publish(first, **{"a.txt": b"VALUE OF A"})
        store.update_index()
        assert value.read() == VALUES["a.txt"]


def test_an_outdated_root_serves_values_that_are_still_right(
    hosted: HostedSite, first: Host
) -> None:
    hosted.publish(first, **{"a.txt": b"VALUE OF A"})
    with hosted.open() as store:
        first.server.stop()
        assert store.to_bytes("b.txt") == VALUES["b.txt"]


def test_an_outdated_root_serves_no_changed_value(hosted: HostedSite, first: Host) -> None:
    hosted.publish(first, **{"a.txt": b"VALUE OF A"})
    with hosted.open() as store:
        first.server.stop()
        with pytest.raises(TransportError):
            store.to_bytes("a.txt")


def test_no_part_comes_from_an_outdated_root(hosted: HostedSite, first: Host, copy: Host) -> None:
    hosted.publish(first, **{"a.txt": b"VALUE OF A"})
    with hosted.open() as store:
        first.server.stop()
        with pytest.raises(TransportError):
            store["a.txt"].range(0, 5)
    assert not [one for one in copy.requests("data/a.txt") if "Range" in one.headers]


def test_a_part_comes_from_another_root_of_the_same_index(hosted: HostedSite, first: Host) -> None:
    with hosted.open() as store:
        first.server.stop()
        with store["a.txt"].range(0, 5) as part:
            assert part.read() == b"value"


def test_many_parts_come_from_another_root_of_the_same_index(
    hosted: HostedSite, first: Host
) -> None:
    with hosted.open() as store:
        first.server.stop()
        assert store.get_ranges("a.txt", [(0, 5), (-1, None)]) == [b"value", b"a"]


def test_many_values_come_from_another_root(hosted: HostedSite, first: Host) -> None:
    with hosted.open() as store:
        first.server.stop()
        assert dict(store.read_many(sorted(VALUES))) == VALUES


def test_each_of_many_values_comes_from_a_root_that_has_it_right(
    hosted: HostedSite, first: Host, copy: Host
) -> None:
    first.spoil("data/a.txt", b"VALUE OF A")
    copy.spoil("data/b.txt", None)
    with hosted.open() as store:
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


def test_a_broken_stream_continues_at_another_root(
    hosted: HostedSite, first: Host, copy: Host
) -> None:
    first.server.answer = first.good.but({"data/large.bin": _breaking(first, 500_000)})
    with hosted.store().connect(retries=1) as store, store["large.bin"] as stream:
        assert stream.read() == VALUES["large.bin"]
    (request,) = copy.requests("data/large.bin")
    assert request.range == (500_000, None)


def test_a_broken_download_continues_at_another_root(
    hosted: HostedSite, first: Host, copy: Host, tmp_path: Path
) -> None:
    first.server.answer = first.good.but({"data/large.bin": _breaking(first, 500_000)})
    with hosted.store().connect(retries=1) as store:
        store.to_file("large.bin", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == VALUES["large.bin"]
    (request,) = copy.requests("data/large.bin")
    assert request.range == (500_000, None)
    (request,) = copy.requests("data/large.bin")
    assert request.range == (500_000, None)


def test_an_open_file_continues_at_another_root(hosted: HostedSite, first: Host) -> None:
    with hosted.open() as store, store["large.bin"].open() as file:
        assert file.read(10) == VALUES["large.bin"][:10]
        first.server.stop()
        file.seek(1_000_000)
        assert file.read(10) == VALUES["large.bin"][1_000_000:1_000_010]


def test_an_open_file_reads_a_single_version(hosted: HostedSite, first: Host) -> None:
    with hosted.open() as store, store["large.bin"].open() as file:
        file.read(10)
        first.spoil("data/large.bin", VALUES["large.bin"][::-1])
        file.seek(1_000_000)
        assert file.read(10) == VALUES["large.bin"][1_000_000:1_000_010]


def test_an_open_file_whose_version_no_root_has_is_an_error(hosted: HostedSite) -> None:
    with hosted.open() as store, store["large.bin"].open() as file:
        file.read(10)
        for host in hosted.hosts:
            host.spoil("data/large.bin", VALUES["large.bin"][::-1])
        file.seek(1_000_000)
        with pytest.raises(IntegrityError):
            file.read(10)


def test_a_size_missing_from_the_index_comes_from_any_root_that_knows_it(
    hosted: HostedSite, first: Host
) -> None:
    for host in hosted.hosts:
        del host.files["index.head.json"]
        host.files["index.json"] = b'{"a.txt": {}}'
    with hosted.open() as store:
        first.spoil("data/a.txt", None)
        with pytest.raises(HTTPStatusError):
            store["a.txt"].read()  # without a digest, another root may have another value


def test_mirroring_a_site_with_several_roots_needs_only_one_of_them(
    hosted: HostedSite, first: Host, tmp_path: Path
) -> None:
    with hosted.open() as store:
        first.spoil("data/a.txt", None)
        report = mirror(store, tmp_path / "mirrored")
    assert (report.fetched, report.failed) == (3, [])


# Lazy stores


def test_a_lazy_store_looks_up_keys_at_any_working_root(hosted: HostedSite, first: Host) -> None:
    with hosted.open(lazy=True) as store:
        first.server.stop()
        assert store["a.txt"].read() == VALUES["a.txt"]


def test_a_lazy_store_fetches_the_whole_index_from_any_working_root(
    hosted: HostedSite, first: Host
) -> None:
    with hosted.open(lazy=True) as store:
        first.server.stop()
        assert sorted(store) == sorted(VALUES)


def test_a_lazy_store_follows_the_newest_head(hosted: HostedSite, copy: Host) -> None:
    with hosted.open(lazy=True) as store:
        hosted.publish(copy, **{"c.txt": b"new"})
        store.update_index()
        assert store["c.txt"].read() == b"new"


# Credentials, and invalid roots


def test_the_password_is_sent_only_to_the_first_root(
    hosted: HostedSite, first: Host, copy: Host
) -> None:
    store = hosted.store()
    with store.connect(("ali", "sesame"), headers={"X-Api-Key": "secret"}, retries=0):
        store.to_bytes("a.txt")
    assert all(
        {"Authorization", "X-Api-Key"} <= one.headers.keys() for one in first.server.requests
    )
    for request in copy.server.requests:
        assert not {"authorization", "x-api-key"} & {name.lower() for name in request.headers}


def test_another_root_has_its_own_password_in_its_url(hosted: HostedSite, copy: Host) -> None:
    roots = [hosted.roots[0], copy.url.replace("http://", "http://ali:sesame@")]
    with StaticStore(roots, poll_interval=0, equal_roots=True).connect(retries=0):
        pass
    assert copy.server.requests[0].headers["Authorization"].startswith("Basic ")


def test_a_folder_can_be_one_of_the_roots(hosted: HostedSite, first: Host) -> None:
    first.server.stop()
    roots = [first.url, str(hosted.folder)]
    with StaticStore(roots, poll_interval=0).connect(retries=0) as store:
        assert dict(store.read_many(sorted(VALUES))) == VALUES


def test_a_pickle_contains_all_roots(hosted: HostedSite, first: Host) -> None:
    again = pickle.loads(pickle.dumps(hosted.store()))
    first.server.stop()
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
    hosted: HostedSite, first: Host, copy: Host
) -> None:
    def give(host: Host, body: bytes, date: str) -> None:
        del host.files["index.head.json"]
        fields = {"Last-Modified": date}
        plain: Answer = lambda request, wire: wire.response(200, body, fields)  # noqa: E731
        host.server.answer = host.good.but({"index.json": plain})

    give(first, index_of(VALUES | {"new": b""}), "Fri, 20 Nov 2026 12:00:00 GMT")
    give(copy, index_of(VALUES), "Thu, 19 Nov 2026 12:00:00 GMT")
    with hosted.open() as store:
        first.server.stop()
        store.update_index()
        with store["a.txt"].range(0, 5) as part:
            assert part.read() == b"value"
    assert [one.headers.get("Range") for one in copy.requests("data/a.txt")] == [None]


def test_the_newest_head_wins_even_if_the_first_root_has_none(
    hosted: HostedSite, first: Host, copy: Host
) -> None:
    with hosted.open() as store:
        hosted.publish(copy, **{"new.txt": b"1"})
        del first.files["index.head.json"]
        assert [change.key for change in store.update_index()] == ["new.txt"]
