"""A8, A13 to A18: heads, change files and indexes that do not match.

A real publisher makes the sites; a server in memory serves its files, or what the
test puts in their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    StaticStore,
    StoreError,
    TransportError,
    poll_failed,
    publish,
)
from staticstore.index.head import Head, NamedDocument, Role
from tests.servers import Answer, RawServer, Request, Wire, serve_files

MANY = {f"{number:03}.txt": b"value %d" % number for number in range(200)}


class Site:
    """A folder that is published repeatedly, and served by a host that may misbehave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.server = RawServer(serve_files(self.files), heads=True)
        (folder / "data").mkdir(parents=True)
        for key, value in MANY.items():
            (folder / "data" / key).write_bytes(value)
        self.publish()

    def publish(self, **values: bytes) -> Head:
        """Write values, named without their ending, publish, and serve the result."""
        for name, value in values.items():
            (self.folder / "data" / f"{name}.txt").write_bytes(value)
        publish(self.folder)
        self.upload()
        return self.head

    def upload(self) -> None:
        self.files.clear()
        for path in self.folder.rglob("*"):
            if path.is_file() and ".staticstore" not in path.parts:
                self.files[path.relative_to(self.folder).as_posix()] = path.read_bytes()

    @property
    def head(self) -> Head:
        return Head.parse((self.folder / "index.head.json").read_bytes())

    def requested_paths(self) -> list[str]:
        """Return the paths of the requests so far."""
        return [request.path.lstrip("/") for request in self.server.requests]

    def answer(self, path: str, instead: Answer, *more: str) -> None:
        """Answer requests for some paths with a script."""
        self.server.answer = serve_files(self.files).but(dict.fromkeys([path, *more], instead))


@pytest.fixture
def site(tmp_path: Path, stack: ExitStack) -> Site:
    made = Site(tmp_path / "site")
    stack.enter_context(made.server)
    return made


@pytest.fixture
def store(site: Site, stack: ExitStack) -> StaticStore:
    store = StaticStore(site.server.url, poll_interval=0)
    stack.callback(store.disconnect)
    return store.connect(retries=0, timeout=(5, 5))


def polled_changes(store: StaticStore) -> list[tuple[str, str]]:
    """Poll, and return the changes that were signaled."""
    return [(change.action, change.key) for change in store.update_index()]


def with_status(status: int) -> Answer:
    return lambda request, wire: wire.response(status, b"no")


def with_body(body: bytes, content_type: str = "text/html") -> Answer:
    return lambda request, wire: wire.response(200, body, {"Content-Type": content_type})


# -- following a head -------------------------------------------------------------------


def test_the_head_is_requested_and_then_the_index_that_it_names(
    site: Site, store: StaticStore
) -> None:
    assert site.requested_paths() == ["index.head.json", site.head.index.href]


def test_the_generation_is_that_of_the_head(site: Site, store: StaticStore) -> None:
    site.publish(new=b"1")
    store.update_index()
    assert store.info()["generation"] == 2


def test_a_poll_without_changes_is_one_request(site: Site, store: StaticStore) -> None:
    before = len(site.requested_paths())
    assert polled_changes(store) == []
    assert site.requested_paths()[before:] == ["index.head.json"]


def test_a_poll_without_changes_gets_no_body(site: Site, store: StaticStore) -> None:
    store.update_index()
    assert "If-None-Match" in site.server.requests[-1].headers


def test_a_change_costs_the_head_and_the_change_file(site: Site, store: StaticStore) -> None:
    head, before = site.publish(new=b"1"), len(site.requested_paths())
    assert polled_changes(store) == [("set", "new.txt")]
    assert site.requested_paths()[before:] == [
        "index.head.json",
        head.change_files[0].document.href,
    ]


def test_missed_generations_are_read_from_change_files(site: Site, store: StaticStore) -> None:
    for number in range(6):
        site.publish(**{f"new{number}": b"1"})
    before = len(site.requested_paths())
    assert len(polled_changes(store)) == 6
    assert site.head.index.href not in site.requested_paths()[before:]


def test_a_snapshot_made_from_changes_has_the_digest_that_the_head_names(
    site: Site, store: StaticStore
) -> None:
    site.publish(new=b"1")
    (site.folder / "data" / "007.txt").unlink()
    site.publish()
    store.update_index()
    assert store.index.canonical() == site.files["index.json"]


def test_a_change_that_was_undone_between_two_polls_is_no_change(
    site: Site, store: StaticStore
) -> None:
    site.publish(new=b"1")
    (site.folder / "data" / "new.txt").unlink()
    site.publish()
    assert polled_changes(store) == []


def test_changes_larger_than_the_index_are_not_fetched(site: Site, store: StaticStore) -> None:
    site.publish(**{key.removesuffix(".txt"): b"all are others" for key in MANY})
    before = len(site.requested_paths())
    assert len(polled_changes(store)) == len(MANY)
    assert site.requested_paths()[before:] == ["index.head.json", site.head.index.href]


# -- A8 -----------------------------------------------------------------------------------


def test_a8_an_index_that_is_too_large_by_its_head_is_not_fetched(site: Site) -> None:
    store = StaticStore(site.server.url, poll_interval=0)
    with pytest.raises(IndexFormatError, match="max_index_bytes=100"):
        store.connect(max_index_bytes=100)
    assert site.requested_paths() == ["index.head.json"]


def test_a8_an_index_longer_than_its_head_declares_is_refused(site: Site) -> None:
    site.answer(site.head.index.href, with_body(b"{" + b" " * 10**6), "index.json")
    with pytest.raises(IntegrityError):
        StaticStore(site.server.url, poll_interval=0).connect(retries=0)


# -- A13 ----------------------------------------------------------------------------------


def test_a13_an_index_that_the_head_does_not_name_is_an_integrity_error(
    site: Site, store: StaticStore
) -> None:
    head = site.publish(**{key.removesuffix(".txt"): b"all are others" for key in MANY})
    site.answer(head.index.href, with_body(b"{}"), "index.json")
    with pytest.raises(IntegrityError) as caught:
        store.update_index()
    assert caught.value.expected == head.index.sha256


def test_a13_the_head_is_requested_once_more(site: Site, store: StaticStore) -> None:
    head = site.publish(**{key.removesuffix(".txt"): b"all are others" for key in MANY})
    site.answer(head.index.href, with_body(b"{}"), "index.json")
    before = len(site.requested_paths())
    with pytest.raises(IntegrityError):
        store.update_index()
    assert site.requested_paths()[before:] == ["index.head.json", head.index.href, "index.json"] * 2


def test_a13_the_old_snapshot_stays_and_the_failure_is_signaled(
    site: Site, store: StaticStore
) -> None:
    head = site.publish(**{key.removesuffix(".txt"): b"all are others" for key in MANY})
    site.answer(head.index.href, with_body(b"{}"), "index.json")
    failures: list[StoreError] = []

    def failed(sender: object, error: StoreError) -> None:
        failures.append(error)

    before = store.index
    with poll_failed.connected_to(failed, sender=store), pytest.raises(IntegrityError):
        store.update_index()
    assert store.index is before
    assert len(failures) == 1


def test_a13_a_head_that_is_right_the_second_time_is_followed(
    site: Site, store: StaticStore
) -> None:
    old_head = site.files["index.head.json"]
    site.publish(**{key.removesuffix(".txt"): b"all are others" for key in MANY})
    new_head, right = site.files["index.head.json"], json.loads(site.files["index.head.json"])
    nowhere = NamedDocument(Role.INDEX, right["index"]["size"], "0" * 64)
    wrong = {**right, "index": {**right["index"], **nowhere.as_json()}}
    heads = iter([json.dumps(wrong).encode(), new_head])
    assert old_head != new_head
    site.answer("index.head.json", lambda request, wire: wire.response(200, next(heads)))
    assert len(polled_changes(store)) == len(MANY)


# -- A14 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instead",
    [
        *(with_status(status) for status in (400, 401, 403, 404, 405, 406, 410, 451, 500, 503)),
        with_body(b""),
        with_body(b"<html>"),
        with_body(b'{"key":"new.txt","metadata":{}}\n'),
        with_body(b"x" * 10**6),
    ],
)
def test_a14_without_its_change_file_the_whole_index_is_fetched(
    site: Site, store: StaticStore, instead: Answer
) -> None:
    head = site.publish(new=b"1")
    site.answer(head.change_files[0].document.href, instead)
    assert polled_changes(store) == [("set", "new.txt")]
    assert store.index.canonical() == site.files["index.json"]


@pytest.mark.parametrize("status", [500, 503])
def test_a24_a_failing_change_file_of_a_site_that_had_some_is_a_failed_poll(
    site: Site, store: StaticStore, status: int
) -> None:
    site.publish(new=b"1")
    store.update_index()
    head = site.publish(newer=b"2")
    site.answer(head.change_files[-1].document.href, with_status(status))
    with pytest.raises(HTTPStatusError):
        store.update_index()
    site.answer("nothing", with_status(404))
    assert polled_changes(store) == [("set", "newer.txt")]


@pytest.mark.parametrize("status", [401, 403])
def test_a17_if_index_json_is_refused_too_its_error_is_raised(site: Site, status: int) -> None:
    site.answer(site.head.index.href, with_status(status), "index.json")
    with pytest.raises(AuthorizationError) as caught:
        StaticStore(site.server.url, poll_interval=0).connect(retries=0)
    assert str(caught.value.url).endswith("/index.json")


# -- A15 ----------------------------------------------------------------------------------


@pytest.fixture
def lagging(site: Site, store: StaticStore) -> StaticStore:
    """A store that has seen the second generation, and whose host serves the first again."""
    old = dict(site.files)
    site.publish(new=b"1")
    store.update_index()
    site.files.clear()
    site.files.update(old)
    return store


def test_a15_a_lower_generation_is_ignored(lagging: StaticStore) -> None:
    assert polled_changes(lagging) == []
    assert "new.txt" in lagging


def test_a15_older_answers_are_counted(lagging: StaticStore) -> None:
    for _ in range(3):
        lagging.update_index()
    assert "3 times" in lagging.info()["warnings"][-1]


def test_a15_an_older_answer_is_not_a_failure(lagging: StaticStore) -> None:
    lagging.update_index()
    assert lagging.info()["last_error"] is None


def test_a15_the_next_generation_is_followed(site: Site, lagging: StaticStore) -> None:
    lagging.update_index()
    site.publish(newer=b"2")
    assert polled_changes(lagging) == [("set", "newer.txt")]


# -- A16 ----------------------------------------------------------------------------------


@pytest.fixture
def edges(site: Site, stack: ExitStack) -> tuple[StaticStore, Callable[[str], None]]:
    """A store on a host without a head, and a function to select the old or the new index."""
    dates = {"old": "Fri, 20 Nov 2026 12:00:00 GMT", "new": "Fri, 20 Nov 2026 12:00:09 GMT"}
    bodies = {"old": b'{"a": {}}', "new": b'{"a": {}, "b": {}}'}
    now = ["new"]

    def answer(request: Request, wire: Wire) -> None:
        if request.path == "/index.json":
            wire.response(200, bodies[now[0]], {"Last-Modified": dates[now[0]]})
        else:
            wire.response(404, b"")

    site.server.answer = answer
    store = StaticStore(site.server.url, poll_interval=0)
    stack.callback(store.disconnect)
    store.connect(retries=0)

    def select(edge: str) -> None:
        now[0] = edge

    return store, select


def test_a16_an_older_index_is_ignored_four_times(
    edges: tuple[StaticStore, Callable[[str], None]],
) -> None:
    store, select = edges
    select("old")
    assert [polled_changes(store) for _ in range(4)] == [[]] * 4


def test_a16_the_fifth_older_index_in_a_row_is_accepted_with_a_warning(
    edges: tuple[StaticStore, Callable[[str], None]],
) -> None:
    store, select = edges
    select("old")
    for _ in range(4):
        store.update_index()
    assert polled_changes(store) == [("delete", "b")]
    assert "went back to an older index" in store.info()["warnings"][-1]


def test_a16_from_the_second_time_on_the_store_is_stale_and_bypasses_caches(
    site: Site, edges: tuple[StaticStore, Callable[[str], None]]
) -> None:
    store, select = edges
    select("old")
    store.update_index()
    assert not store.info()["stale"]
    store.update_index()
    assert store.info()["stale"]
    store.update_index()
    sent = site.server.requests[-1].headers
    assert sent["Cache-Control"] == "no-cache"
    assert "If-Modified-Since" not in sent


def test_a16_alternating_old_and_new_answers_change_nothing(
    edges: tuple[StaticStore, Callable[[str], None]],
) -> None:
    store, select = edges
    said = []
    for edge in ["old", "old", "new"] * 4:
        select(edge)
        said += polled_changes(store)
    assert said == []


# -- A17 ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instead",
    [
        with_status(403),
        with_status(404),
        with_status(410),
        with_body(b"<!DOCTYPE html>" + b" " * 10_000),
        with_body(b"<!DOCTYPE html>"),
        with_body(b'{"a": {}}', "application/json"),
        with_body(b'{"format": "staticstore-head/7"}', "application/json"),
        with_body(b""),
    ],
)
def test_a17_an_invalid_head_counts_as_absent(site: Site, instead: Answer) -> None:
    site.answer("index.head.json", instead)
    with StaticStore(site.server.url, poll_interval=0).connect(retries=0) as store:
        assert len(store) == len(MANY)
        assert store.info()["generation"] is None


@pytest.mark.parametrize(
    "instead",
    [
        *(with_status(status) for status in (400, 401, 403, 404, 405, 406, 410, 451, 500, 503)),
        with_status(204),
        with_body(b"<html>"),
        with_body(b"{}"),
        with_body(b"{" + b" " * 10**6),
    ],
)
def test_a17_without_the_index_under_its_digest_index_json_is_used(
    site: Site, instead: Answer
) -> None:
    site.answer(site.head.index.href, instead)
    with StaticStore(site.server.url, poll_interval=0).connect(retries=0) as store:
        assert store.info()["generation"] == 1


@pytest.mark.parametrize("status", [500, 502, 503, 599])
def test_a17_a_failing_head_that_was_never_there_counts_as_absent(site: Site, status: int) -> None:
    site.answer("index.head.json", with_status(status))
    with StaticStore(site.server.url, poll_interval=0).connect(retries=0) as store:
        assert store.info()["generation"] is None


@pytest.mark.parametrize("status", [408, 425, 429])
def test_a24_a_host_that_asks_for_patience_is_a_failed_poll(site: Site, status: int) -> None:
    site.answer("index.head.json", with_status(status))
    with pytest.raises(HTTPStatusError) as caught:
        StaticStore(site.server.url, poll_interval=0).connect(retries=0)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a24_a_failing_head_that_was_there_before_is_a_failed_poll(
    site: Site, store: StaticStore, status: int
) -> None:
    site.answer("index.head.json", with_status(status))
    for _ in range(5):
        with pytest.raises(HTTPStatusError):
            store.update_index()
    assert "index.json" not in site.requested_paths()


def test_a17_a_head_is_looked_for_again_at_every_tenth_poll(site: Site) -> None:
    site.answer("index.head.json", with_status(404))
    with StaticStore(site.server.url, poll_interval=0).connect(retries=0) as store:
        for _ in range(30):
            store.update_index()
    assert site.requested_paths().count("index.head.json") == 1 + 3


def test_a17_a_new_head_is_followed_without_fetching_the_index(site: Site) -> None:
    site.answer("index.head.json", with_status(404))
    with StaticStore(site.server.url, poll_interval=0).connect(retries=0) as store:
        site.answer("nothing", with_status(404))
        site.publish(new=b"1")
        for _ in range(10):
            store.update_index()
        assert store.info()["generation"] == 2
        assert "new.txt" in store


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 409, 410, 451, 501])
def test_a23_after_two_failed_polls_a_missing_head_is_accepted(
    site: Site, store: StaticStore, status: int
) -> None:
    site.publish(new=b"1")
    now = format_datetime(datetime.now(UTC) + timedelta(seconds=9), usegmt=True)
    site.server.answer = serve_files(site.files).but(
        {
            "index.head.json": with_status(status),
            "index.json": lambda request, wire: wire.response(
                200, site.files["index.json"], {"Last-Modified": now}
            ),
        }
    )
    for _ in range(2):
        with pytest.raises(TransportError):
            store.update_index()
    assert polled_changes(store) == [("set", "new.txt")]


def test_a23_a_head_that_is_back_is_followed(site: Site, store: StaticStore) -> None:
    site.answer("index.head.json", with_status(404))
    with pytest.raises(TransportError):
        store.update_index()
    site.answer("nothing", with_status(404))
    site.publish(new=b"1")
    assert polled_changes(store) == [("set", "new.txt")]


# -- A18 ----------------------------------------------------------------------------------


def test_a18_for_another_lineage_the_whole_index_is_fetched(site: Site, store: StaticStore) -> None:
    (site.folder / "index.head.json").unlink()
    head, before = site.publish(new=b"1"), len(site.requested_paths())
    assert head.generation == 1
    assert polled_changes(store) == [("set", "new.txt")]
    assert site.requested_paths()[before:] == ["index.head.json", head.index.href]
