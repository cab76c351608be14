"""A15, A16, A22, A23, A25: older answers are not taken for new ones, but not ignored forever.

Sites are written by a real publisher; a host serves one of several states of it: a
server of ours, Python's own, or nginx.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, StoreError, TransportError, publish
from staticstore.index.freshness import Freshness
from staticstore.index.head import Head, NamedDocument, Role
from tests.servers import Answer, Nginx, RawServer, Request, Wire

POLLS_UNTIL_BELIEVED = 5
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Edge:
    """A host that serves one of several states of a site, with modification times."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states: dict[str, dict[str, tuple[bytes, float]]] = {}
        self.state = ""
        self.absent: set[str] = set()
        self.validators: tuple[str, ...] = ("ETag", "Last-Modified")
        self.by_order = False
        self.server = RawServer(self._answer, heads=True)
        self.asked: list[Request] = []
        (folder / "data").mkdir(parents=True)

    def publish(self, state: str, **values: str | None) -> None:
        """Publish values, None to delete one, and store the result as a state."""
        for key, value in values.items():
            path = self.folder / "data" / key
            path.unlink(missing_ok=True)
            if value is not None:
                path.write_text(value)
        publish(self.folder)
        self.states[state] = {
            path.relative_to(self.folder).as_posix(): (path.read_bytes(), path.stat().st_mtime)
            for path in self.folder.rglob("*")
            if path.is_file()
        }
        self.state = state

    def touch(self, state: str, seconds: float) -> None:
        """Make a state younger by some seconds."""
        files = self.states[state]
        self.states[state] = {name: (body, time + seconds) for name, (body, time) in files.items()}

    def change_head(self, state: str, **fields: Any) -> None:
        """Change fields of the head of a state."""
        body, modified = self.states[state]["index.head.json"]
        head = json.dumps({**json.loads(body), **fields}).encode()
        self.states[state]["index.head.json"] = head, modified

    def headless(self) -> None:
        for files in self.states.values():
            files.pop("index.head.json", None)

    def _answer(self, request: Request, wire: Wire) -> None:
        self.asked.append(request)
        name = request.path.removeprefix("/")
        if name in self.absent or name not in self.states[self.state]:
            wire.response(404)
            return
        body, seconds = self.states[self.state][name]
        modified = datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)
        fields = {
            "ETag": f'"{hash(body):x}"',
            "Last-Modified": format_datetime(modified, usegmt=True),
        }
        fields = {name: fields[name] for name in self.validators}
        if self._is_known(request, fields, modified):
            wire.response(304, headers=fields)
        elif asked := request.headers.get("Range"):
            start, _, last = asked.removeprefix("bytes=").partition("-")
            fields["Content-Range"] = f"bytes {start}-{last}/{len(body)}"
            wire.response(206, body[int(start) : int(last) + 1], fields)
        else:
            wire.response(200, body, fields)

    def _is_known(self, request: Request, fields: dict[str, str], modified: datetime) -> bool:
        since = request.headers.get("If-Modified-Since")
        if self.by_order and since is not None:
            return modified <= datetime.strptime(since, "%a, %d %b %Y %H:%M:%S GMT").replace(
                tzinfo=UTC
            )
        tag = request.headers.get("If-None-Match")
        if tag is not None:
            return tag == fields.get("ETag")
        return since is not None and since == fields.get("Last-Modified")


@pytest.fixture
def edge(tmp_path: Path, stack: ExitStack) -> Edge:
    """A host with an old and a new state, which serves the new one."""
    made = Edge(tmp_path / "site")
    made.publish("old", a="1", gone="x")
    made.publish("new", a="2", gone=None, come="y")
    made.touch("new", 60)
    stack.enter_context(made.server)
    return made


@pytest.fixture
def store(edge: Edge, stack: ExitStack) -> StaticStore:
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    return store


def polled(store: StaticStore) -> list[str] | str:
    """Poll; return the keys that changed, or "failed"."""
    try:
        return [f"{change.action} {change.key}" for change in store.update_index()]
    except TransportError:
        return "failed"


BACK = ["update a", "delete come", "set gone"]


# Older answers


@pytest.mark.parametrize("heads", [True, False], ids=["head", "plain"])
def test_a22_a_restored_backup_is_accepted_the_fifth_time(
    edge: Edge, stack: ExitStack, heads: bool
) -> None:
    if not heads:
        edge.headless()
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    edge.state = "old"
    assert [polled(store) for _ in range(6)] == [[]] * 4 + [BACK, []]
    assert "went back" in " ".join(store.info()["warnings"])
    assert not store.info()["stale"]


@pytest.mark.parametrize("heads", [True, False], ids=["head", "plain"])
@pytest.mark.parametrize("pattern", ["on", "oon", "ooon", "oooon", "nno"])
def test_a16_an_outdated_edge_changes_nothing(
    edge: Edge, stack: ExitStack, heads: bool, pattern: str
) -> None:
    if not heads:
        edge.headless()
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    said = []
    for letter in pattern * 10:
        edge.state = {"o": "old", "n": "new"}[letter]
        said.append(polled(store))
    assert said == [[]] * len(said)


@pytest.mark.parametrize("heads", [True, False], ids=["head", "plain"])
@pytest.mark.parametrize("validators", [("ETag", "Last-Modified"), ("Last-Modified",), ("ETag",)])
@pytest.mark.parametrize("by_order", [True, False], ids=["order", "equality"])
def test_a22_a_backup_is_accepted_whatever_validators_the_host_has(
    edge: Edge, stack: ExitStack, heads: bool, validators: tuple[str, ...], by_order: bool
) -> None:
    edge.validators, edge.by_order = validators, by_order
    if not heads:
        edge.headless()
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    edge.state = "old"
    for _ in range(40):
        store.update_index()
    assert dict(store.index.items())["a"] != {}
    assert "gone" in store


@pytest.mark.parametrize("heads", [True, False], ids=["head", "plain"])
@pytest.mark.parametrize("by_order", [True, False], ids=["order", "equality"])
def test_a22_a_run_once_a_day_accepts_it_in_the_end_too(
    edge: Edge, tmp_path: Path, heads: bool, by_order: bool
) -> None:
    edge.validators, edge.by_order = ("Last-Modified",), by_order
    if not heads:
        edge.headless()

    def run() -> list[str]:
        options: dict[str, Any] = {"poll_interval": 0, "cache": tmp_path / "cache"}
        with StaticStore(edge.server.url, **options).connect(retries=0) as store:
            return list(store)

    assert run() == ["a", "come"]
    edge.state = "old"
    assert [run() for _ in range(6)] == [["a", "come"]] * 4 + [["a", "gone"]] * 2


def test_a22_a_generation_far_ahead_is_accepted_and_the_right_ones_are_accepted_again(
    edge: Edge, store: StaticStore
) -> None:
    edge.publish("bad", a="evil")
    edge.change_head("bad", generation=2**62)
    assert polled(store) == ["update a"]
    edge.publish("right", a="3")
    assert [polled(store) for _ in range(5)] == [[]] * 4 + [["update a"]]
    edge.publish("next", a="4")
    assert polled(store) == ["update a"]


def test_a15_the_same_generation_with_another_index_is_older(
    edge: Edge, store: StaticStore
) -> None:
    generation = store.info()["generation"]
    edge.publish("forged", a="evil")
    edge.change_head("forged", generation=generation)
    assert [polled(store) for _ in range(4)] == [[]] * 4


def test_a23_an_abandoned_lineage_is_older(edge: Edge, store: StaticStore) -> None:
    (edge.folder / "index.head.json").unlink()
    edge.publish("anew", a="5")
    assert polled(store) == ["update a"]
    said = []
    for state in ["new", "anew", "new", "new", "anew"] * 4:
        edge.state = state
        said.append(polled(store))
    assert said == [[]] * len(said)
    edge.state = "new"
    assert [polled(store) for _ in range(5)] == [[]] * 4 + [["update a"]]


# Absent heads


def test_a23_a_head_that_is_missing_once_is_not_forgotten(edge: Edge, store: StaticStore) -> None:
    for _ in range(3):
        edge.absent, edge.state = {"index.head.json"}, "old"
        assert polled(store) == "failed"
        edge.absent = set()
        assert polled(store) == []
    edge.state = "new"
    assert polled(store) == []
    assert store.info()["generation"] == 2


def test_a23_an_old_edge_without_a_head_does_not_revert_anything(
    edge: Edge, store: StaticStore
) -> None:
    edge.absent, edge.state = {"index.head.json"}, "old"
    assert [polled(store) for _ in range(6)] == ["failed"] * 2 + [[]] * 4
    assert polled(store) == BACK


def test_a23_a_younger_index_without_a_head_is_accepted_the_third_time(
    edge: Edge, store: StaticStore
) -> None:
    edge.publish("younger", a="3")
    edge.touch("younger", 3600)
    edge.absent = {"index.head.json"}
    assert [polled(store) for _ in range(4)] == ["failed", "failed", ["update a"], []]
    assert store.info()["generation"] is None


def test_a23_afterwards_an_older_head_of_the_lineage_is_still_older(
    edge: Edge, store: StaticStore
) -> None:
    edge.publish("younger", a="3")
    edge.touch("younger", 3600)
    edge.absent = {"index.head.json"}
    for _ in range(3):
        polled(store)
    edge.absent, edge.state = set(), "old"
    assert [polled(store) for _ in range(4)] == [[]] * 4


def test_a23_failed_polls_of_a_run_once_a_day_are_counted(edge: Edge, tmp_path: Path) -> None:
    edge.publish("younger", a="3")
    edge.touch("younger", 3600)
    edge.state = "new"

    def run() -> bool:
        options: dict[str, Any] = {"poll_interval": 0, "cache": tmp_path / "cache"}
        with StaticStore(edge.server.url, **options).connect(retries=0) as store:
            return bool(store.info()["stale"])

    run()
    edge.absent, edge.state = {"index.head.json"}, "younger"
    assert [run() for _ in range(3)] == [True, True, False]


# Real servers


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(params=["python", "nginx"])
def served(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> tuple[str, Path]:
    site = tmp_path / "plain"
    site.mkdir()
    if request.param == "nginx":
        return stack.enter_context(Nginx(site)).url, site
    handler = functools.partial(_Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/", site


def put(site: Path, entries: dict[str, Any], seconds: float) -> None:
    path = site / "index.json"
    path.write_text(json.dumps(entries))
    os.utime(path, (NOON.timestamp() + seconds, NOON.timestamp() + seconds))


def test_a22_a_restored_index_with_its_old_time_is_accepted_in_the_end(
    served: tuple[str, Path], stack: ExitStack
) -> None:
    url, site = served
    put(site, {"a": {}, "b": {}}, 0)
    store = StaticStore(url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    put(site, {"a": {}}, -1000)
    polls = 0
    while "b" in store and polls < 60:
        store.update_index()
        polls += 1
    assert POLLS_UNTIL_BELIEVED <= polls <= 24 + POLLS_UNTIL_BELIEVED


def test_a22_a_restored_site_is_accepted_in_the_end(
    served: tuple[str, Path], tmp_path: Path, stack: ExitStack
) -> None:
    url, site = served
    (site / "data").mkdir()
    (site / "data" / "a").write_text("1")
    publish(site)
    shutil.copytree(site, tmp_path / "backup")
    (site / "data" / "b").write_text("2")
    publish(site)
    store = StaticStore(url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    for path in sorted(site.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    shutil.copytree(tmp_path / "backup", site, dirs_exist_ok=True)
    for _ in range(24 + POLLS_UNTIL_BELIEVED):
        store.update_index()
    assert list(store) == ["a"]


# Conditions


@pytest.mark.parametrize("status", [400, 412, 413, 431, 501])
@pytest.mark.parametrize("heads", [True, False], ids=["head", "plain"])
def test_a25_a_refused_conditional_request_is_repeated_without_the_condition(
    edge: Edge, stack: ExitStack, status: int, heads: bool
) -> None:
    if not heads:
        edge.headless()
    answer = edge.server.answer

    def refuse(request: Request, wire: Wire) -> None:
        if {"If-None-Match", "If-Modified-Since"} & set(request.headers):
            wire.response(status)
        else:
            answer(request, wire)

    edge.server.answer = refuse
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    edge.publish("next", a="3")
    edge.touch("next", 3600)
    if not heads:
        edge.headless()
    assert polled(store) == ["update a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETag", '"' + "x" * 60_000 + '"'),
        ("ETag", "no quotes"),
        ("ETag", '"a"b"'),
        ("ETag", 'w/"lower"'),
        ("ETag", '"tab\there"'),
        ("Last-Modified", "yesterday"),
        ("Last-Modified", "Friday, 20-Nov-26 12:00:00 GMT"),
        ("Last-Modified", "Fri, 20 Nov 2026 12:00:00 GMT, x"),
        ("Last-Modified", "Fri, 20 Nov 2026 12:00:00 +0000"),
    ],
)
def test_a25_an_invalid_validator_is_not_sent_back(
    edge: Edge, stack: ExitStack, name: str, value: str
) -> None:
    answer: Answer = lambda request, wire: wire.response(  # noqa: E731
        200 if request.path == "/index.json" else 404, b"{}", {name: value}
    )
    edge.server.answer = answer
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    store.update_index()
    asked = edge.server.requests[-1].headers
    assert not {"If-None-Match", "If-Modified-Since"} & set(asked)


def test_a25_a_weak_etag_is_a_validator(edge: Edge, stack: ExitStack) -> None:
    edge.server.answer = lambda request, wire: wire.response(
        200 if request.path == "/index.json" else 404, b"{}", {"ETag": 'W/"x"'}
    )
    store = StaticStore(edge.server.url, poll_interval=0).connect(retries=0)
    stack.callback(store.disconnect)
    store.update_index()
    assert edge.server.requests[-1].headers["If-None-Match"] == 'W/"x"'


# The class itself


def head_of(lineage: str, generation: int, index: bytes = b"{}") -> Head:
    published = (NOON + timedelta(hours=generation)).isoformat().replace("+00:00", "Z")
    return Head(lineage * 32, generation, published, NamedDocument.of(Role.INDEX, index), 0)


def test_freshness_is_restored_from_its_note() -> None:
    freshness = Freshness()
    freshness.know_head(head_of("a", 5))
    freshness.know_head(head_of("b", 1))
    freshness.accepts_head(head_of("a", 5))
    freshness.tolerates_absence()
    assert Freshness.parse(json.loads(json.dumps(freshness.as_json()))) == Freshness(
        head=head_of("b", 1),
        left="a" * 32,
        sha256=head_of("b", 1).index.sha256,
        older=1,
        absent=1,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"older": -1},
        {"older": "1"},
        {"absent": None},
        {"head": "{}"},
        {"head": 5},
        {"left": 5},
        {"sha256": "x"},
        {"modified": "yesterday"},
    ],
)
def test_an_invalid_note_is_ignored(change: dict[str, Any]) -> None:
    said = {**Freshness().as_json(), **change}
    with pytest.raises((LookupError, TypeError, ValueError, AttributeError, StoreError)):
        Freshness.parse(said)


@pytest.mark.parametrize(
    ("modified", "is_older"),
    [(None, True), (timedelta(hours=5), True), (timedelta(hours=5, seconds=1), False)],
)
def test_an_index_without_a_head_is_older_unless_it_is_proven_younger(
    modified: timedelta | None, is_older: bool
) -> None:
    freshness = Freshness()
    freshness.know_head(head_of("a", 5))
    time = None if modified is None else NOON + modified
    assert freshness.accepts_index("0" * 64, time) is not is_older


def test_repeated_older_answers_are_counted() -> None:
    freshness = Freshness()
    freshness.know_head(head_of("a", 5))
    freshness.repeat(of_head=True)
    assert freshness.older == 0
    freshness.accepts_head(head_of("a", 4))
    freshness.repeat(of_head=True)
    assert freshness.older == 2
    assert freshness.is_doubtful


# Lazy stores


def lazily(edge: Edge, stack: ExitStack, **options: Any) -> StaticStore:
    store = StaticStore(edge.server.url, poll_interval=0, lazy=True, **options)
    stack.callback(store.disconnect)
    return store.connect(retries=0)


@pytest.fixture
def reverted(edge: Edge, stack: ExitStack) -> StaticStore:
    """A lazy store whose host has reverted to the old state and lost the files of the new one."""
    store = lazily(edge, stack)
    assert "come" in store
    edge.state = "old"
    return store


@pytest.mark.parametrize("want", [list, len, lambda store: list(store.query())])
def test_a15_a_lazy_store_that_fetches_the_whole_index_does_not_go_back(
    reverted: StaticStore, want: Callable[[StaticStore], object]
) -> None:
    for _ in range(3):
        try:
            want(reverted)
        except StoreError:
            pass
        else:
            assert want is len  # what the head says, without a request
    assert reverted.info()["generation"] == 2


def test_a15_nor_does_a_lazy_store_go_back_after_a_disconnect(reverted: StaticStore) -> None:
    reverted.disconnect()
    reverted.connect(retries=0)
    assert reverted.info()["generation"] == 2


def test_a15_a_current_lazy_store_can_be_read_after_a_disconnect(
    edge: Edge, stack: ExitStack
) -> None:
    store = lazily(edge, stack)
    assert "come" in store
    store.disconnect()
    store.connect(retries=0)
    assert "a" in store


def test_a15_a_lazy_store_uses_the_freshness_in_its_cache(
    edge: Edge, stack: ExitStack, tmp_path: Path
) -> None:
    with StaticStore(edge.server.url, poll_interval=0, cache=tmp_path / "cache"):
        pass
    edge.state = "old"
    store = lazily(edge, stack, cache=tmp_path / "cache")
    assert "come" in store
    assert store.info()["generation"] == 2


def test_a_failed_first_poll_is_not_a_success(edge: Edge, stack: ExitStack, tmp_path: Path) -> None:
    options: dict[str, Any] = {"poll_interval": 0, "cache": tmp_path / "cache"}
    with StaticStore(edge.server.url, **options).connect(retries=0) as store:
        before = store.info()["last_success"]
    edge.absent = {"index.head.json"}
    for _ in range(2):
        with StaticStore(edge.server.url, **options).connect(retries=0) as store:
            assert abs((store.info()["last_success"] - before).total_seconds()) < 0.5
