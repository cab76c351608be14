"""A store that reads an index in a format of others: live, verified, and within bounds."""

from __future__ import annotations

import asyncio
import hashlib
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    IndexFormatError,
    IntegrityError,
    JoinedStore,
    StaticStore,
    TransportError,
    TransportTimeout,
    key_deleted,
    key_set,
    key_updated,
    mirror,
)
from staticstore.client.following import document_tree
from staticstore.formats import Document, Entry, Link
from tests.client.scene import TIMEOUT
from tests.servers import RawServer, Request, Wire, serve_files
from tests.servers.files import Files


def sums_of(**values: bytes) -> bytes:
    """Return a list of checksums; the names have no dots."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in values.items())
    return "".join(lines).encode()


def tree(document: Document) -> Iterator[Entry | Link | str]:
    """Read a document of the tests: what `node` writes."""
    said = json.loads(document.body)
    for key, fields in said.get("entries", {}).items():
        yield Entry(key, fields, said.get("hrefs", {}).get(key))
    for href in said.get("links", ()):
        yield Link(href)
    for href in said.get("leaves", ()):
        yield Link(href, document.note, leaf=True)
    yield from said.get("warnings", ())


def node(**said: Any) -> bytes:
    """Return a document of the form `tree`."""
    return json.dumps(said).encode()


class Host:
    """Files on a server, and the paths that were asked for."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.good: Files = serve_files(files)
        self.server = RawServer(self.good, heads=True)

    def url(self, path: str = "") -> str:
        """Return the URL of a file."""
        return self.server.url + path

    def asked(self) -> list[str]:
        """Return the targets of the requests since the last call."""
        targets = [request.target for request in self.server.requests]
        new, self._seen = targets[self._seen :], len(targets)
        return new

    _seen = 0

    def answer(self, **answers: Any) -> None:
        """Answer some paths, without dots, by a status or a script."""
        scripts = {
            f"{path}": self._status(said) if isinstance(said, int) else said
            for path, said in answers.items()
        }
        self.server.answer = self.good.but(scripts)

    @staticmethod
    def _status(status: int) -> Callable[[Request, Wire], None]:
        return lambda request, wire: wire.response(status)


@pytest.fixture
def host(stack: Any) -> Callable[..., Host]:
    """Start a host with files."""

    def start(**files: bytes) -> Host:
        found = Host(dict(files))
        stack.enter_context(found.server)
        return found

    return start


@pytest.fixture
def connect(stack: Any) -> Callable[..., StaticStore]:
    """Connect a store that does not poll by itself."""

    def connect(url: str, format: Any = "sums", **options: Any) -> StaticStore:
        store = StaticStore(url, format=format, poll_interval=0, **options)
        stack.callback(store.disconnect)
        return store.connect(retries=0, timeout=(5, 5))

    return connect


def poll(store: StaticStore) -> None:
    """Poll as the poller does, which asks for a part of the leaves."""
    live = store._live_index
    live._update(live.connected())


Connect = Callable[..., StaticStore]
Start = Callable[..., Host]

# One document


def test_a_list_of_checksums_is_a_store(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one", b=b"two"), a=b"one", b=b"two")
    store = connect(one.url("SHA256SUMS"))
    assert dict(store.read_many(["a", "b"])) == {"a": b"one", "b": b"two"}
    assert store["a"].sha256 == hashlib.sha256(b"one").hexdigest()


def test_connecting_costs_one_request(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    connect(one.url("SHA256SUMS"))
    assert one.asked() == ["/SHA256SUMS"]


def test_a_poll_that_finds_nothing_costs_one_request(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    store = connect(one.url("SHA256SUMS"))
    before = store.index
    assert not store.update_index()
    assert len(one.asked()) == 2
    assert "If-None-Match" in one.server.requests[-1].headers
    assert store.index is before


def test_a_change_sends_the_signals_of_its_keys(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one", b=b"two"))
    store = connect(one.url("SHA256SUMS"))
    heard: list[tuple[str, str]] = []
    one.files["SHA256SUMS"] = sums_of(b=b"2", c=b"three")

    def hear(name: str) -> Callable[..., None]:
        return lambda sender, *, key, metadata, previous: heard.append((name, key))

    of = {"set": hear("set"), "update": hear("update"), "delete": hear("delete")}
    with (
        key_set.connected_to(of["set"], sender=store),
        key_updated.connected_to(of["update"], sender=store),
        key_deleted.connected_to(of["delete"], sender=store),
    ):
        store.update_index()
    assert sorted(heard) == [("delete", "a"), ("set", "c"), ("update", "b")]


def test_a_subscription_hears_of_a_poll_in_the_background(host: Start, stack: Any) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    store = StaticStore(one.url("SHA256SUMS"), format="sums", poll_interval=0.01)
    stack.enter_context(store)
    changes = store.watch(timeout=TIMEOUT)
    one.files["SHA256SUMS"] = sums_of(a=b"one", b=b"two")
    assert next(changes).key == "b"


def test_a_tampered_value_is_refused(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"), a=b"evil")
    with pytest.raises(IntegrityError):
        connect(one.url("SHA256SUMS")).to_bytes("a")


@pytest.mark.parametrize("name", ["sha512", "sha1", "md5"])
def test_other_digests_are_held_against_the_bytes(name: str, host: Start, connect: Connect) -> None:
    digest = hashlib.new(name, b"one").hexdigest().upper()
    one = host(list=f"a {name}:{digest}\n".encode(), a=b"one")
    store = connect(one.url("list"), "pooch")
    assert store.to_bytes("a") == b"one"
    one.files["a"] = b"two"
    with pytest.raises(IntegrityError, match=name):
        store.to_bytes("a")


def test_other_digests_are_plain_metadata_without_a_format(host: Start, stack: Any) -> None:
    index = json.dumps({"a": {"md5": "0" * 32}}).encode()
    one = host(**{"index.json": index, "data/a": b"one"})
    assert stack.enter_context(StaticStore(one.url(), poll_interval=0)).to_bytes("a") == b"one"


def test_a_value_with_a_url_of_its_own_is_read_from_there(host: Start, connect: Connect) -> None:
    other = host(x=b"one")
    digest = hashlib.sha256(b"one").hexdigest()
    one = host(list=f"a {digest} {other.url('x')}\n".encode())
    store = connect(one.url("list"), "pooch")
    assert store["a"].url == other.url("x")
    assert store["a"].metadata == {"sha256": digest}
    assert dict(store.read_many(["a"])) == {"a": b"one"}


def test_a_password_is_for_the_host_of_the_first_document_alone(host: Start, stack: Any) -> None:
    other = host(x=b"one")
    digest = hashlib.sha256(b"one").hexdigest()
    one = host(list=f"a {digest} {other.url('x')}\nb {digest}\n".encode(), b=b"one")
    store = StaticStore(one.url("list"), format="pooch", poll_interval=0)
    stack.callback(store.disconnect)
    store.connect(("ali", "sesame"), headers={"X-Key": "k"})
    assert len(dict(store.read_many(["a", "b"]))) == 2
    assert store.to_bytes("a") == b"one"
    assert all("Authorization" in request.headers for request in one.server.requests)
    secrets = {"Authorization", "X-Key"}
    assert not any(secrets & set(request.headers) for request in other.server.requests)


def test_only_named_origins_are_followed_if_asked(host: Start, connect: Connect) -> None:
    other = host(x=b"one")
    one = host(list=f"a {'ab' * 32} {other.url('x')}\n".encode())
    store = connect(one.url("list"), "pooch", origins="own")
    with pytest.raises(TransportError, match="another origin"):
        store.to_bytes("a")
    assert not other.asked()


def test_a_first_document_that_is_redirected_has_its_values_there(
    host: Start, connect: Connect
) -> None:
    other = host(**{"deep/SHA256SUMS": sums_of(a=b"one"), "deep/a": b"one"})
    one = host()
    one.answer(SHA256SUMS=lambda _, wire: wire.response(
        302, headers={"Location": other.url("deep/SHA256SUMS")}
    ))  # fmt: skip
    store = connect(one.url("SHA256SUMS"))
    assert store["a"].url == other.url("deep/a")
    assert store.to_bytes("a") == b"one"


def test_a_query_is_of_the_first_document_alone(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"), a=b"one")
    store = connect(one.url("SHA256SUMS?v=1"))
    assert store.to_bytes("a") == b"one"
    assert one.asked() == ["/SHA256SUMS?v=1", "/a"]


def test_a_document_in_a_folder_is_read_from_there(tmp_path: Path, connect: Connect) -> None:
    (tmp_path / "SHA256SUMS").write_bytes(sums_of(a=b"one"))
    (tmp_path / "a").write_bytes(b"one")
    assert connect(str(tmp_path / "SHA256SUMS")).to_bytes("a") == b"one"


@pytest.mark.parametrize(
    "href", ["../secret", "/etc/passwd", "%2e%2e/secret", "file:///etc/passwd"]
)
def test_a_document_in_a_folder_leads_out_of_it_nowhere(
    href: str, tmp_path: Path, connect: Connect
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "list").write_text(f"a {'ab' * 32} {href}\n")
    store = connect(str(tmp_path / "in" / "list"), "pooch")
    with pytest.raises((TransportError, KeyError)):
        store.to_bytes("a")


def test_an_html_page_instead_of_a_document_is_an_error(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=b"<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(IndexFormatError) as caught:
        connect(one.url("SHA256SUMS"))
    assert caught.value.url == one.url("SHA256SUMS")
    assert "which begins '<!DOCTYPE html>" in str(caught.value)


def test_a_document_of_a_known_form_gets_a_hint_without_a_format(host: Start) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    store = StaticStore(one.url(), index_path="SHA256SUMS", poll_interval=0)
    with pytest.raises(IndexFormatError, match="it looks like one for format='sums'"):
        store.connect()


def test_a_bad_document_does_not_replace_a_good_one(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    store = connect(one.url("SHA256SUMS"))
    one.files["SHA256SUMS"] = b"<html>"
    with pytest.raises(IndexFormatError):
        store.update_index()
    assert list(store) == ["a"]
    assert store.info()["stale"]


def test_what_is_left_out_is_a_warning_with_the_url(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=b"%b  ../x\n%b  a\n" % (b"ab" * 32, b"ab" * 32))
    store = connect(one.url("SHA256SUMS"))
    assert list(store) == ["a"]
    (warning,) = store.info()["warnings"]
    assert warning.startswith(f"{one.url('SHA256SUMS')}: '../x' is left out")


def test_info_has_the_format_and_the_number_of_documents(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    info = connect(one.url("SHA256SUMS")).info()
    assert (info["format"], info["documents"], info["root_url"]) == ("sums", 1, one.url())


def test_a_wrong_password_is_an_authorization_error(host: Start, connect: Connect) -> None:
    one = host()
    one.answer(SHA256SUMS=401)
    with pytest.raises(AuthorizationError):
        connect(one.url("SHA256SUMS"))


# What does not go together


@pytest.mark.parametrize(
    "options", [{"lazy": True}, {"equal_roots": True}, {"data_path": "x/"}, {"index_path": "y"}]
)
def test_what_does_not_go_with_a_format_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cannot be combined with format"):
        StaticStore("https://data.example.org/SHA256SUMS", format="sums", **options)


def test_several_roots_do_not_go_with_a_format() -> None:
    roots = ["https://a.example.org/SHA256SUMS", "https://b.example.org/SHA256SUMS"]
    with pytest.raises(ValueError, match="several roots"):
        StaticStore(roots, format="sums")


def test_an_unknown_format_is_refused_before_anything_is_requested() -> None:
    with pytest.raises(ValueError, match="no format is named 'zip'"):
        StaticStore("https://data.example.org/x", format="zip")


# Many documents


def test_documents_are_fetched_each_once(host: Start, connect: Connect) -> None:
    one = host(
        first=node(links=["left", "right"]),
        left=node(links=["right", "first", "deep/end"]),
        right=node(links=["deep/end#part", "./left"]),
        **{"deep/end": node(entries={"k": {}}), "deep/k": b"v"},
    )
    store = connect(one.url("first"), tree)
    assert sorted(one.asked()) == ["/deep/end", "/first", "/left", "/right"]
    assert store.info()["documents"] == 4
    assert store.to_bytes("k") == b"v"


def test_of_a_key_that_is_there_twice_the_last_in_breadth_counts(
    host: Start, connect: Connect
) -> None:
    one = host(
        first=node(links=["a", "b"], entries={"k": {"n": 0}}),
        a=node(links=["deep"], entries={"k": {"n": 1}}),
        b=node(entries={"k": {"n": 2}}),
        deep=node(entries={"k": {"n": 3}}),
    )
    assert connect(one.url("first"), tree).get_metadata("k") == {"n": 3}


def test_only_the_document_that_has_changed_is_sent_again(host: Start, connect: Connect) -> None:
    one = host(first=node(links=["a", "b"]), a=node(entries={"x": {}}), b=node(entries={"y": {}}))
    store = connect(one.url("first"), tree)
    one.files["b"] = node(entries={"y": {}, "z": {}})
    assert [change.key for change in store.update_index()] == ["z"]
    assert list(store) == ["x", "y", "z"]


def test_a_dead_document_counts_as_it_was_and_is_reported(host: Start, connect: Connect) -> None:
    one = host(first=node(links=["a", "b"]), a=node(entries={"x": {}}), b=node(entries={"y": {}}))
    store = connect(one.url("first"), tree)
    one.answer(a=503)
    assert not store.update_index()
    assert list(store) == ["x", "y"]
    assert any(one.url("a") in text for text in store.info()["warnings"])
    one.server.answer = one.good
    store.update_index()
    assert not store.info()["warnings"]


def test_a_document_that_never_said_anything_fails_the_poll(host: Start, connect: Connect) -> None:
    one = host(first=node(links=["a", "b"]), a=node())
    with pytest.raises(TransportError, match="1 of 3 documents") as caught:
        connect(one.url("first"), tree)
    assert caught.value.status == 404


def test_a_leaf_that_never_said_anything_is_left_out(host: Start, connect: Connect) -> None:
    one = host(first=node(leaves=["a", "b"]), a=node(entries={"x": {}}))
    one.answer(b=503)
    store = connect(one.url("first"), tree)
    assert list(store) == ["x"]
    assert any(one.url("b") in text for text in store.info()["warnings"])


def test_a_leaf_that_is_gone_is_deleted(host: Start, connect: Connect) -> None:
    one = host(first=node(leaves=["a", "b"]), a=node(entries={"x": {}}), b=node(entries={"y": {}}))
    store = connect(one.url("first"), tree)
    del one.files["b"]
    assert [(change.action, change.key) for change in store.update_index()] == [("delete", "y")]


def test_a_leaf_that_fails_keeps_what_it_said(host: Start, connect: Connect) -> None:
    one = host(first=node(leaves=["a", "b"]), a=node(entries={"x": {}}), b=node(entries={"y": {}}))
    store = connect(one.url("first"), tree)
    one.answer(b=503)
    assert not store.update_index()
    assert list(store) == ["x", "y"]


def test_a_poll_fails_if_more_than_half_cannot_be_had(host: Start, connect: Connect) -> None:
    one = host(first=node(leaves=["a", "b"]), a=node(entries={"x": {}}), b=node(entries={"y": {}}))
    store = connect(one.url("first"), tree)
    one.answer(a=503, b=503)
    message = "2 of 3 documents of the index cannot be read, one of them because the host answered"
    with pytest.raises(TransportError, match=message):
        store.update_index()
    assert list(store) == ["x", "y"]


def test_a_document_that_was_never_read_is_named_with_the_reason(
    host: Start, connect: Connect
) -> None:
    one = host(first=node(links=["a"]))
    with pytest.raises(TransportError, match="1 of 2 documents of the index cannot be read: the"):
        connect(one.url("first"), tree)


def test_a_poll_asks_for_a_part_of_the_leaves_in_turn(host: Start, connect: Connect) -> None:
    names = [f"leaf{number}" for number in range(48)]
    leaves = {name: node(entries={name: {}}) for name in names}
    one = host(first=node(leaves=names), **leaves)
    store = connect(one.url("first"), tree)
    one.asked()
    asked: list[str] = []
    for _ in range(24):
        poll(store)
        new = one.asked()
        assert len(new) == 3
        asked += new
    assert sorted(set(asked)) == sorted(["/first", *(f"/{name}" for name in names)])


def test_update_index_asks_for_all_leaves(host: Start, connect: Connect) -> None:
    names = [f"leaf{number}" for number in range(48)]
    one = host(first=node(leaves=names), **{name: node() for name in names})
    store = connect(one.url("first"), tree)
    one.asked()
    store.update_index()
    assert len(one.asked()) == 49


def test_a_new_leaf_is_asked_for_at_once(host: Start, connect: Connect) -> None:
    names = [f"leaf{number}" for number in range(48)]
    one = host(first=node(leaves=names), **{name: node(entries={name: {}}) for name in names})
    store = connect(one.url("first"), tree)
    one.files |= {"first": node(leaves=[*names, "new"]), "new": node(entries={"new": {}})}
    poll(store)
    assert "new" in store


def test_a_link_that_is_refused_is_reported(host: Start, connect: Connect) -> None:
    one = host(first=node(links=["file:///etc/passwd"], entries={"x": {}}))
    store = connect(one.url("first"), tree)
    assert "a link is not followed" in store.info()["warnings"][0]


def test_a_link_to_another_origin_gets_no_password(host: Start, stack: Any) -> None:
    other = host(doc=node(entries={"x": {}}))
    one = host(first=node(links=[other.url("doc")]))
    store = StaticStore(one.url("first"), format=tree, poll_interval=0)
    stack.callback(store.disconnect)
    store.connect(("ali", "sesame"))
    assert list(store) == ["x"]
    assert not any("Authorization" in request.headers for request in other.server.requests)


def test_the_note_of_a_link_is_passed_on(host: Start, connect: Connect) -> None:
    def read(document: Document) -> Iterator[Entry | Link]:
        if document.note is None:
            yield Link("second", "page 2")
        else:
            yield Entry("k", {"note": document.note, "type": document.media_type})

    one = host(first=b"", second=b"")
    found = connect(one.url("first"), read).get_metadata("k")
    assert found == {"note": "page 2", "type": "application/octet-stream"}


# Bounds


def endless(depth: bool) -> Callable[[Document], Iterator[Link]]:
    def read(document: Document) -> Iterator[Link]:
        number = int(document.url.rpartition("=")[2]) + 1
        path = "x/" * number if depth else ""
        yield Link(f"/{path}?n={number}")

    return read


def answer_all(request: Request, wire: Wire) -> None:
    wire.response(200, b"page")


def test_documents_that_lead_deeper_and_deeper_are_refused(host: Start, connect: Connect) -> None:
    one = host()
    one.server.answer = answer_all
    with pytest.raises(IndexFormatError, match="more than 64 deep"):
        connect(one.url("?n=0"), endless(depth=True))
    assert len(one.asked()) == 65


def test_a_cursor_that_never_ends_is_refused(
    host: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_tree, "_MOST_DOCUMENTS", 100)
    one = host()
    one.server.answer = answer_all
    with pytest.raises(IndexFormatError, match="more than 100 documents"):
        connect(one.url("?n=0"), endless(depth=False))
    assert len(one.asked()) == 100


def test_all_documents_together_are_bounded(host: Start, stack: Any) -> None:
    body = node(entries={"k" * 1000: {}})
    names = [f"d{number}" for number in range(30)]
    one = host(first=node(links=names), **dict.fromkeys(names, body))
    store = StaticStore(one.url("first"), format=tree, poll_interval=0)
    with pytest.raises(IndexFormatError, match="max_index_bytes=10000"):
        store.connect(max_index_bytes=10_000)
    assert len(one.asked()) < 30


def test_documents_that_are_fetched_again_do_not_count_twice(host: Start, stack: Any) -> None:
    one = host(first=node(links=["a"]), a=node(entries={"k" * 5000: {}}))
    store = StaticStore(one.url("first"), format=tree, poll_interval=0)
    stack.callback(store.disconnect)
    store.connect(max_index_bytes=8000)
    for number in range(3):
        one.files["a"] = node(entries={"k" * 5000: {"n": number}})
        assert store.update_index()


def test_all_documents_together_have_a_deadline(host: Start, stack: Any) -> None:
    one = host(first=node(links=["a", "b"]), a=node())
    one.answer(b=lambda _, wire: wire.stall())
    store = StaticStore(one.url("first"), format=tree, poll_interval=0)
    with pytest.raises(TransportTimeout):
        store.connect(index_deadline=0.3, retries=0)


# Entries as they came


def raw_form(document: Document) -> Iterator[Entry]:
    for line in document.body.splitlines():
        key, _, text = line.partition(b" ")
        yield Entry(key.decode(), text)


def test_entries_stay_byte_for_byte(host: Start, connect: Connect) -> None:
    text = b'{ "n" : 1.0 ,"t":"\\u00e9"}'
    store = connect(host(list=b"a " + text).url("list"), raw_form)
    assert store.index.raw("a") == text


@pytest.mark.parametrize(
    "text", [b"7", b'{"n":1e999}', b'{"n":}', b'{"t":"\xff"}', b"{}{}", b"[" * 200 + b"]" * 200]
)
def test_an_entry_that_cannot_be_read_is_left_out(
    text: bytes, host: Start, connect: Connect
) -> None:
    one = host(list=b"a {}\nbad " + text + b"\nz {}")
    store = connect(one.url("list"), raw_form)
    assert list(store) == ["a", "z"]
    assert any("'bad' is left out" in text for text in store.info()["warnings"])


MANY = 1000


@pytest.fixture
def many(host: Start, connect: Connect) -> StaticStore:
    """So many entries that they are checked in the background, one of them bad."""
    lines = [b'k%d {"n":%d}' % (number, number) for number in range(MANY)]
    lines[500] = b'k500 {"n":1e999}'
    return connect(host(list=b"\n".join(lines)).url("list"), raw_form)


def test_many_entries_are_checked_when_they_are_looked_up(many: StaticStore) -> None:
    assert many.get_metadata("k7") == {"n": 7}
    assert "k500" not in many


def test_many_entries_are_checked_before_a_query(many: StaticStore) -> None:
    assert len(list(many.query())) == MANY - 1
    assert list(many.query_keys(n=7)) == ["k7"]


def test_many_entries_are_checked_before_an_iteration(many: StaticStore) -> None:
    assert "k500" not in list(many)
    assert len(many) == MANY - 1


def test_many_entries_may_be_checked_step_by_step(many: StaticStore) -> None:
    assert not many.index.is_checked
    assert sum(1 for _ in many.index.checking()) > 1
    assert many.index.is_checked
    assert any("'k500' is left out" in text for text in many.info()["warnings"])


def test_a_poll_checks_only_what_has_changed(host: Start, connect: Connect) -> None:
    lines = [b'k%d {"n":%d}' % (number, number) for number in range(MANY)]
    one = host(list=b"\n".join(lines))
    store = connect(one.url("list"), raw_form)
    store.index.checked()
    lines[7] = b'k7 {"n":"seven"}'
    one.files["list"] = b"\n".join(lines)
    assert [change.key for change in store.update_index()] == ["k7"]
    assert store.index.is_checked


def test_changes_are_found_in_entries_that_are_not_checked(host: Start, connect: Connect) -> None:
    lines = [b'k%d {"n":%d}' % (number, number) for number in range(MANY)]
    one = host(list=b"\n".join(lines))
    store = connect(one.url("list"), raw_form)
    lines[7] = b'k7 {"n":"seven"}'
    lines.append(b"new {}")
    one.files["list"] = b"\n".join(lines)
    assert [change.key for change in store.update_index()] == ["k7", "new"]
    assert not store.index.is_checked


# The store around it


def test_a_cache_serves_when_the_host_is_down(host: Start, stack: Any, tmp_path: Path) -> None:
    one = host(list=f"a md5:{hashlib.md5(b'one').hexdigest()}\n".encode(), a=b"two")
    options: dict[str, Any] = {"format": "pooch", "poll_interval": 0, "cache": tmp_path / "cache"}
    with StaticStore(one.url("list"), **options):
        pass
    one.answer(list=503)
    store = StaticStore(one.url("list"), **options)
    stack.callback(store.disconnect)
    store.connect(retries=0)
    assert list(store) == ["a"]
    assert store.info()["stale"]
    with pytest.raises(IntegrityError, match="md5"):
        store.to_bytes("a")


def test_a_cached_index_of_one_document_is_asked_for_conditionally(
    host: Start, tmp_path: Path
) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"))
    options: dict[str, Any] = {"format": "sums", "poll_interval": 0, "cache": tmp_path / "cache"}
    for _ in range(2):
        with StaticStore(one.url("SHA256SUMS"), **options) as store:
            assert list(store) == ["a"]
            assert store.info()["documents"] == 1
    assert "If-None-Match" in one.server.requests[-1].headers


def test_a_store_and_its_values_are_pickled(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"), a=b"one")
    store = connect(one.url("SHA256SUMS"))
    value = pickle.loads(pickle.dumps(store["a"]))
    again = pickle.loads(pickle.dumps(store))
    assert value.read() == again.to_bytes("a") == b"one"
    assert again.info()["format"] == "sums"


def test_a_function_is_pickled_by_its_name(host: Start, connect: Connect) -> None:
    one = host(first=node(entries={"a": {}}), a=b"one")
    store = pickle.loads(pickle.dumps(connect(one.url("first"), tree)))
    assert store.to_bytes("a") == b"one"


def test_a_view_joins_a_site_and_a_foreign_index(host: Start, connect: Connect) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"), a=b"one")
    two = host(first=node(entries={"b": {}}, hrefs={"b": "c"}), c=b"two")
    joined = JoinedStore([connect(one.url("SHA256SUMS")), connect(two.url("first"), tree)])
    assert dict(joined.read_many(["a", "b"])) == {"a": b"one", "b": b"two"}


def test_a_foreign_index_can_be_awaited(host: Start) -> None:
    one = host(SHA256SUMS=sums_of(a=b"one"), a=b"one")

    async def read() -> tuple[bytes, list[str]]:
        store = StaticStore(one.url("SHA256SUMS"), format="sums", poll_interval=0)
        async with store.connect_async():
            data = await store.read_async("a")
            one.files["SHA256SUMS"] = sums_of(a=b"one", b=b"two")
            return data, [change.key for change in await store.update_index_async()]

    assert asyncio.run(read()) == (b"one", ["b"])


def test_a_disconnected_store_connects_again_without_signals(host: Start, connect: Connect) -> None:
    one = host(first=node(links=["a"]), a=node(entries={"x": {}}))
    store = connect(one.url("first"), tree)
    store.disconnect()
    store.connect()
    assert list(store) == ["x"]
    assert not store.update_index()


# Mirrors


def test_a_mirror_of_a_foreign_index_is_a_site(
    host: Start, connect: Connect, stack: Any, tmp_path: Path
) -> None:
    digest = hashlib.md5(b"one").hexdigest()
    other = host(x=b"two")
    one = host(list=f"a md5:{digest}\nb {'a' * 8} {other.url('x')}\n".encode(), a=b"one")
    report = mirror(connect(one.url("list"), "pooch"), tmp_path / "copy")
    assert not [path for path in one.asked() if path.startswith("/trust/")]
    assert report.verified_by == {"md5": 1, "nothing": 1}
    copy = stack.enter_context(StaticStore(tmp_path / "copy", poll_interval=0))
    assert dict(copy.read_many(["a", "b"])) == {"a": b"one", "b": b"two"}
    expected = {"md5": digest, "size": 3, "sha256": hashlib.sha256(b"one").hexdigest()}
    assert copy.get_metadata("a") == expected
    assert copy.info()["generation"] == 1
    assert "placed" not in (tmp_path / "copy" / "index.json").read_text()


def test_the_next_mirror_asks_only_for_what_has_changed(
    host: Start, connect: Connect, tmp_path: Path
) -> None:
    def registry(**values: bytes) -> bytes:
        lines = (f"{k} md5:{hashlib.md5(v).hexdigest()}\n" for k, v in values.items())
        return "".join(lines).encode()

    one = host(list=registry(a=b"one", b=b"two"), a=b"one", b=b"two")
    store = connect(one.url("list"), "pooch")
    mirror(store, tmp_path / "copy")
    one.files |= {"list": registry(a=b"one", b=b"2"), "b": b"2"}
    store.update_index()
    one.asked()
    report = mirror(store, tmp_path / "copy")
    assert (report.fetched, report.kept) == (1, 1)
    assert [target for target in one.asked() if target != "/list"] == ["/b"]
    assert (tmp_path / "copy" / "data" / "b").read_bytes() == b"2"


def test_a_changed_file_of_a_mirror_is_fetched_again(
    host: Start, connect: Connect, tmp_path: Path
) -> None:
    digest = hashlib.md5(b"one").hexdigest()
    store = connect(host(list=f"a md5:{digest}\n".encode(), a=b"one").url("list"), "pooch")
    mirror(store, tmp_path / "copy")
    (tmp_path / "copy" / "data" / "a").write_bytes(b"bad")
    assert mirror(store, tmp_path / "copy").fetched == 1
    assert (tmp_path / "copy" / "data" / "a").read_bytes() == b"one"


def test_values_without_any_mark_are_fetched_by_every_mirror(
    host: Start, connect: Connect, tmp_path: Path
) -> None:
    one = host(first=node(entries={"a": {"title": "A"}}), a=b"one")
    store = connect(one.url("first"), tree)
    mirror(store, tmp_path / "copy")
    one.files["a"] = b"two"
    mirror(store, tmp_path / "copy")
    assert (tmp_path / "copy" / "data" / "a").read_bytes() == b"two"


def test_documents_are_at_so_many_origins_at_most(
    host: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions without end would take all memory."""
    monkeypatch.setattr(document_tree, "_MOST_ORIGINS", 2)
    other, third = host(a=node(entries={"a": {}})), host(b=node(entries={"b": {}}))
    links = ["c", other.url("a"), third.url("b"), other.url("a") + "?x"]
    one = host(first=node(links=links), c=node(entries={"c": {}}))
    store = connect(one.url("first"), tree)
    assert list(store) == ["a", "c"]
    (warning,) = store.info()["warnings"]
    assert warning.endswith("a link is not followed: the index has documents at 2 origins already")
    assert not third.asked()


def test_a_document_whose_entries_grow_beyond_the_bound_is_refused_before_they_take_memory(
    host: Start,
) -> None:
    """An item of STAC repeats its properties in each of its assets."""
    made = []

    def growing(document: Document) -> Iterator[Entry]:
        for number in range(1000):
            made.append(number)
            yield Entry(f"a{number}", b'{"x":"%b"}' % (document.body * 1000))

    one = host(first=b"x" * 1000)
    store = StaticStore(one.url("first"), format=growing, poll_interval=0)
    with pytest.raises(IndexFormatError, match="max_index_bytes"):
        store.connect(max_index_bytes=3_000_000)
    assert len(made) < 10
