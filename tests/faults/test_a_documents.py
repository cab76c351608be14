"""A8, A19, A20, A26: documents with the right digest whose content is not as it should be."""

from __future__ import annotations

import gc
import hashlib
import json
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from staticstore import (
    Index,
    IndexFormatError,
    StaticStore,
    StoreError,
    index_updated,
    poll_failed,
)
from staticstore.client.following.current_index import IndexCheck
from staticstore.index.codec import MOST_LEVELS, check_depth
from tests.servers import RawServer, serve_files

TIMEOUT = 10.0
GOOD = [f'"k{n:03}":{{"n":{n}}}' for n in range(120)]


def lines(*texts: str) -> bytes:
    """Write a document in canonical form."""
    return ("{\n" + ",\n".join(texts) + "\n}\n").encode()


def general(body: bytes) -> dict[str, Any]:
    """Return what any JSON parser makes of a document."""
    return dict(Index.parse(b" " + body).items())


BLANK = lines(*GOOD).replace(b",\n", b",\n\n", 1)
UNSORTED = lines(*GOOD[60:], *GOOD[:60])
NESTED = lines(*GOOD[:20], '"k019x":{"z":{}', *GOOD[20:100], '"zz":{}}', *GOOD[100:])
TWICE = lines(*GOOD[:50], '"k010":{"n":-1}', *GOOD[50:])
SPACES = lines(*GOOD[:50], '"k0505": {}', *GOOD[51:])
ODD = {"blank": BLANK, "unsorted": UNSORTED, "nested": NESTED, "twice": TWICE, "spaces": SPACES}
OVERFLOW = lines(*GOOD, '"l":{"n":1e999}')


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small documents have many pieces, and be checked after the swap like large ones."""
    monkeypatch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", 100)
    monkeypatch.setattr("staticstore.tuning.CHECKED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("staticstore.tuning.CHECK_DELAY_SECONDS", 0)


class Site:
    """A site whose head names any given document with the right digest."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.generation = 0
        self.server = RawServer(serve_files(self.files), heads=True)

    def put(self, body: bytes, *, entries: int = 7, changes: Any = ()) -> bytes:
        """Replace the index, and the head by one that names it."""
        self.generation += 1
        self.files["index.json"] = body
        document = {**self.document("index", "json", body), "entries": entries}
        head = {
            "format": "staticstore-head/1",
            "lineage": "ab" * 16,
            "generation": self.generation,
            "index": document,
            "changes": list(changes),
        }
        self.files["index.head.json"] = json.dumps(head).encode()
        return body

    def document(self, folder: str, ending: str, body: bytes) -> dict[str, Any]:
        sha256 = hashlib.sha256(body).hexdigest()
        href = f"{folder}/{sha256}.{ending}"
        self.files[href] = body
        return {"href": href, "size": len(body), "sha256": sha256}

    def change(self, old: bytes, key: str, metadata: Any) -> dict[str, Any]:
        """Write a change file that follows an index."""
        line = json.dumps({"key": key, "metadata": metadata}, separators=(",", ":"))
        document = self.document("changes", "jsonl", f"{line}\n".encode())
        return {**document, "count": 1, "from": [hashlib.sha256(old).hexdigest()[:16]]}


@pytest.fixture
def site(stack: ExitStack) -> Site:
    site = Site()
    stack.enter_context(site.server)
    return site


Connect = Callable[[], StaticStore]


@pytest.fixture
def connect(site: Site, stack: ExitStack) -> Connect:
    def connect() -> StaticStore:
        store = StaticStore(site.server.url, poll_interval=0)
        stack.callback(store.disconnect)
        return store.connect(retries=0, timeout=(5, 5))

    return connect


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let no check begin before this event is set."""
    gate, run = threading.Event(), IndexCheck.run

    def held_back(check: IndexCheck) -> None:
        gate.wait(TIMEOUT)
        run(check)

    monkeypatch.setattr(IndexCheck, "run", held_back)
    yield gate
    gate.set()


def checked(store: StaticStore) -> StaticStore:
    """Wait for the check that follows the swap, if there is one."""
    check = store._live._current._check
    if check is not None:
        check.join(TIMEOUT)
        assert not check.is_alive()
    return store


def followed_entries(store: StaticStore, stack: ExitStack) -> dict[str, Any]:
    """Return the entries of a store, and keep them up to date by its signals alone."""
    followed = dict(store.index.items())

    def follow(changes: Any) -> None:
        for change in changes:
            assert (change.key in followed) == (change.action != "set")
            followed[change.key] = change.metadata
            if change.action == "delete":
                del followed[change.key]

    stack.enter_context(
        index_updated.connected_to(lambda sender, changes: follow(changes), sender=store)
    )
    return followed


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_a20_in_the_end_a_store_equals_what_json_says(
    site: Site, connect: Connect, body: bytes
) -> None:
    site.put(body)
    store = checked(connect())
    assert dict(store.index.items()) == general(body)
    assert len(store) == len(general(body)) == store.info()["entries"]


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_a19_a20_listing_a_store_immediately_yields_what_json_says(
    site: Site, connect: Connect, gate: threading.Event, body: bytes
) -> None:
    site.put(body, entries=2**63 - 1)
    store = connect()
    assert list(store) == sorted(general(body))
    assert len(store) == len(general(body))


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
@pytest.mark.parametrize("is_checked", [True, False])
def test_a20_a_poll_is_announced_as_json_says(
    site: Site, connect: Connect, stack: ExitStack, body: bytes, is_checked: bool
) -> None:
    site.put(lines(*GOOD))
    if not is_checked:
        gate = stack.enter_context(_DelayedCheck())
    store = connect()
    if is_checked:
        checked(store)
    followed = followed_entries(store, stack)
    site.put(body)
    store.update_index()
    assert followed == dict(store.index.items()) == general(body)
    if not is_checked:
        gate.set()
    assert dict(checked(store).index.items()) == general(body)
    assert followed == general(body)


class _DelayedCheck(ExitStack):
    def __enter__(self) -> Any:
        gate, run = threading.Event(), IndexCheck.run
        patch = self.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(IndexCheck, "run", lambda check: (gate.wait(TIMEOUT), run(check)))
        self.callback(gate.set)
        return gate


# A changed key of each: of two lines with one key the first, and an entry that is not an object.
CHANGED = {"blank": "k110", "unsorted": "k110", "nested": "k050", "twice": "k010", "spaces": "k110"}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("way", ["whole", "change file", "change file, by signals"])
def test_a20_the_result_of_changes_to_a_doubtful_document_is_fetched_whole(
    site: Site, connect: Connect, stack: ExitStack, gate: threading.Event, name: str, way: str
) -> None:
    old, key = ODD[name], CHANGED[name]
    site.put(old)
    store = connect()
    followed = followed_entries(store, stack) if way.endswith("signals") else None
    line = f'"{key}":{{"n":{int(key[1:])}}}'
    new = old.replace(line.encode(), f'"{key}":{{"n":7}}'.encode())
    site.put(new, changes=[] if way == "whole" else [site.change(old, key, {"n": 7})])
    store.update_index()
    gate.set()
    assert dict(checked(store).index.items()) == general(new)
    assert followed is None or followed == general(new)


def test_a20_a_snapshot_in_use_stays_unchanged(site: Site, connect: Connect) -> None:
    site.put(lines(*GOOD))
    store = checked(connect())
    before, said = store.index, general(lines(*GOOD))
    site.put(TWICE)
    store.update_index()
    assert dict(before.items()) == said
    assert dict(store.index.items()) == general(TWICE)


def test_a20_an_invalid_index_is_refused_after_the_swap(
    site: Site, connect: Connect, gate: threading.Event, stack: ExitStack
) -> None:
    site.put(OVERFLOW)
    store, failures = connect(), list[StoreError]()
    stack.enter_context(
        poll_failed.connected_to(lambda sender, error: failures.append(error), sender=store)
    )
    gate.set()
    checked(store)
    assert [type(error) for error in failures] == [IndexFormatError]
    assert store.info()["last_error"] == str(failures[0])
    with pytest.raises(IndexFormatError):
        store["k001"]
    assert "121 keys" in repr(store)


def test_a20_a_refused_index_stays_refused_until_another_one_arrives(
    site: Site, connect: Connect, stack: ExitStack
) -> None:
    site.put(OVERFLOW)
    store = checked(connect())
    with pytest.raises(IndexFormatError):
        store.update_index()
    assert store.info()["last_error"]
    site.put(lines(*GOOD))
    assert len(store.update_index().set) == len(GOOD)
    assert store.info()["last_error"] is None
    assert dict(checked(store).index.items()) == general(lines(*GOOD))


@pytest.mark.parametrize("is_checked", [True, False])
def test_a20_a_refused_index_never_replaces_a_good_one(
    site: Site, connect: Connect, gate: threading.Event, is_checked: bool
) -> None:
    site.put(lines(*GOOD))
    store = connect()
    if is_checked:
        gate.set()
        checked(store)
    before = store.index
    site.put(OVERFLOW)
    with pytest.raises(IndexFormatError):
        store.update_index()
    assert store.index is before


def test_e1_a20_disconnect_ends_a_check(
    site: Site, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.CHECK_PAUSE_SECONDS", TIMEOUT)
    site.put(lines(*GOOD))
    store = connect()
    store.disconnect()
    checked(store)
    assert not store.index.is_checked


def test_e1_a20_an_interrupted_check_continues_with_the_next_connection(
    site: Site, connect: Connect
) -> None:
    site.put(lines(*GOOD))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staticstore.tuning.CHECK_PAUSE_SECONDS", TIMEOUT)
        store = connect()
        store.disconnect()
        checked(store)
    store.connect(retries=0)
    assert checked(store).index.is_checked


def test_a20_a_check_does_not_keep_its_store_alive(
    site: Site, connect: Connect, gate: threading.Event
) -> None:
    site.put(lines(*GOOD))
    store = StaticStore(site.server.url, poll_interval=0).connect(retries=0)
    reference, check = weakref.ref(store), store._live._current._check
    assert check is not None
    del store
    gc.collect()
    assert reference() is None
    gate.set()
    check.join(TIMEOUT)
    assert not check.is_alive()


@pytest.mark.parametrize("where", ["parse", "changed_by"])
@pytest.mark.parametrize("error", [RuntimeError, KeyError, StopIteration, RecursionError])
def test_a26_an_unexpected_exception_in_a_poll_is_a_failed_poll(
    site: Site,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    stack: ExitStack,
    where: str,
    error: type[Exception],
) -> None:
    old = site.put(lines(*GOOD))
    store, failures = checked(connect()), list[StoreError]()
    stack.enter_context(
        poll_failed.connected_to(lambda sender, error: failures.append(error), sender=store)
    )
    before = store.index

    def fail(*arguments: Any, **options: Any) -> Any:
        raise error("unforeseen")

    monkeypatch.setattr(Index, where, fail)
    site.put(
        lines(*GOOD[1:]), entries=119, changes=[site.change(old, "k000", None)][: where != "parse"]
    )
    with pytest.raises(StoreError, match=error.__name__):
        store.update_index()
    assert [type(one) for one in failures] == [IndexFormatError]
    assert store.info()["last_error"] == str(failures[0])
    assert store.index is before


N = 100_000
DEEP_OR_NOT: dict[str, tuple[Callable[[], bytes], bool]] = {
    "in a text": (lambda: b'{"b":"' + b"[" * N + b'"}', False),
    "in a text with escapes": (lambda: b'{"b":"[' + b"\\\\[" * N + b'"}', False),
    "behind escaped quotes": (lambda: b'{"b":"' + b'\\"[' * N + b'"}', False),
    "in many texts": (lambda: b'{"b":[' + b",".join([b'"["'] * N) + b"]}", False),
    "in an unterminated text": (lambda: b'{"b":"' + b'\\"[' * N, False),
    "side by side": (lambda: b"[" + b"[[[]]]" * N + b"]", False),
    "closed": (lambda: b"]" * N, False),
    "as deep as allowed": (lambda: b"[" * MOST_LEVELS + b'"["' * N + b"]" * MOST_LEVELS, False),
    "too deep": (lambda: b"[" * (MOST_LEVELS + 1) + b'"["' * N + b"]" * (MOST_LEVELS + 1), True),
    "too deep behind a text": (lambda: b'"' + b"\\\\]" * N + b'"' + b"{[" * MOST_LEVELS, True),
    "open": (lambda: b"[" * N, True),
}


@pytest.mark.parametrize(("text", "is_deep"), DEEP_OR_NOT.values(), ids=DEEP_OR_NOT)
def test_a8_checking_the_depth_takes_at_most_twice_the_memory_of_the_text(
    text: Callable[[], bytes], is_deep: bool
) -> None:
    body = text()
    tracemalloc.start()
    try:
        if is_deep:
            with pytest.raises(IndexFormatError):
                check_depth(body, 0)
        else:
            check_depth(body, 0)
        assert tracemalloc.get_traced_memory()[1] <= 2 * len(body) + (1 << 16)
    finally:
        tracemalloc.stop()


FORMS = {
    "lines": lambda site: site.put(lines(*GOOD)),
    "another form": lambda site: site.put(b" " + lines(*GOOD)),
    "no head": lambda site: site.files.update({"index.json": lines(*GOOD)}),
}
NO_KEYS = [5, b"k001", None, ("k001",), [], {}, "\ud800"]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
@pytest.mark.parametrize("is_lazy", [False, True])
def test_an_invalid_key_is_a_key_error_in_every_form_of_the_index(
    site: Site, stack: ExitStack, form: Callable[[Site], Any], key: Any, is_lazy: bool
) -> None:
    form(site)
    store = StaticStore(site.server.url, poll_interval=0, lazy=is_lazy)
    stack.callback(store.disconnect)
    store.connect(retries=0)
    assert key not in store
    assert not store.exists(key)
    assert store.get(key, "none") == "none"
    for call in (
        store.get,
        store.__getitem__,
        store.get_metadata,
        store.get_data,
        store.to_bytes,
        lambda one: list(store.multiget([one])),
        lambda one: list(store.multiget_data([one])),
        lambda one: list(store.multiget_metadata([one])),
        lambda one: list(store.read_many([one])),
    ):
        with pytest.raises(KeyError):
            call(key)
