"""How the index is requested, repeatedly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from staticstore import HTTPStatusError, Index, IndexFormatError, StaticStore, TransportError
from staticstore.client.following.follower import SiteFollower as Follower
from staticstore.client.following.index_reader import Held
from staticstore.index.freshness import Freshness
from staticstore.transport.http.arguments import SessionOptions
from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from tests.client.scene import MemorySite
from tests.servers import Request, Wire, serve_files

CONDITIONS = {"If-None-Match", "If-Modified-Since"}


@pytest.fixture
def session(site: MemorySite) -> Iterator[Session]:
    site.write({"a": {"v": 1}})
    opened = Session(Root(site.url), SessionOptions(retries=0))
    yield opened
    opened.close()


def follower_of(session: Session, index_path: str = "index.json") -> Follower:
    return Follower([session], index_path, freshness=Freshness(), max_bytes=1 << 20, seconds=10.0)


@pytest.fixture
def follower(session: Session) -> Follower:
    return follower_of(session)


def fetch(follower: Follower, held: Held | None = None) -> Held:
    fetched = follower.fetch(held)
    assert fetched is not None
    return fetched


def conditions(site: MemorySite) -> list[set[str]]:
    """Return which validators each request had."""
    return [CONDITIONS & set(request.headers) for request in site.requests()]


def test_the_first_request_is_unconditional(site: MemorySite, follower: Follower) -> None:
    assert fetch(follower).index == {"a": {"v": 1}}
    assert conditions(site) == [set()]


def test_the_validators_of_the_current_index_are_sent(site: MemorySite, follower: Follower) -> None:
    held = fetch(follower)
    assert follower.fetch(held) is None
    second = site.requests()[1]
    assert second.headers["If-None-Match"] == held.validators["If-None-Match"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"etag": None}, {"If-Modified-Since"}),
        ({"dates": False}, {"If-None-Match"}),
        ({}, {"If-None-Match"}),
        ({"etag": "weak"}, {"If-None-Match"}),
        ({"etag": None, "dates": False}, set()),
    ],
    ids=str,
)
def test_an_etag_is_sent_or_a_date_if_there_is_none(
    site: MemorySite, follower: Follower, options: dict[str, Any], expected: set[str]
) -> None:
    site.server.answer = serve_files(site.files, **options)
    held = fetch(follower)
    again = follower.fetch(held)
    assert again is None or again.index is held.index
    assert conditions(site) == [set(), expected]


def test_a_changed_index_is_fetched(site: MemorySite, follower: Follower) -> None:
    held = fetch(follower)
    site.write({"b": {}})
    new = fetch(follower, held)
    assert list(new.index) == ["b"]
    assert new.validators != held.validators


def test_the_same_bytes_without_validators_are_not_parsed_again(
    site: MemorySite, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.server.answer = serve_files(site.files, etag=None, dates=False)
    held = fetch(follower)

    def parse(body: bytes) -> Index:
        raise AssertionError("parsed again")

    monkeypatch.setattr(Index, "parse", parse)
    again = follower.fetch(held)
    assert again is None or again.index is held.index


def test_new_validators_of_the_same_bytes_are_used_from_then_on(
    site: MemorySite, follower: Follower
) -> None:
    # The file was touched: with the old validators it would be sent whole every time.
    tags = itertools.count()

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, site.files["index.json"], {"ETag": f'"{next(tags)}"'})

    site.spoil(answer)
    held: Held | None = None
    for _ in range(3):
        held = follower.fetch(held) or held
    assert [request.headers.get("If-None-Match") for request in site.requests()] == [
        None,
        '"0"',
        '"1"',
    ]


def test_a12_every_24th_request_is_unconditional(site: MemorySite, follower: Follower) -> None:
    held = fetch(follower)
    for _ in range(50):
        held = follower.fetch(held) or held
    unconditional = [number for number, sent in enumerate(conditions(site)) if not sent]
    assert len(unconditional) >= 3
    gaps = [later - earlier for earlier, later in itertools.pairwise(unconditional)]
    assert max(gaps) <= 24


def test_a12_a_change_that_the_validators_hide_is_found_eventually(
    site: MemorySite, follower: Follower
) -> None:
    blind = {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}

    def answer(request: Request, wire: Wire) -> None:
        if "If-Modified-Since" in request.headers:
            wire.response(304, headers=blind)
        else:
            wire.response(200, site.files["index.json"], blind)

    site.spoil(answer)
    held = fetch(follower)
    site.write({"b": {}})
    for _ in range(24):
        held = follower.fetch(held) or held
    assert list(held.index) == ["b"]


@pytest.mark.parametrize("status", [203, 204, 206, 304, 416])
def test_a11_an_unrequested_status_is_followed_by_one_unconditional_request(
    site: MemorySite, follower: Follower, status: int
) -> None:
    answers = iter([status])

    def answer(request: Request, wire: Wire) -> None:
        if (first := next(answers, None)) is not None:
            wire.response(first, b"{}" if first in (203, 206) else b"")
        else:
            wire.response(200, site.files["index.json"])

    site.spoil(answer)
    assert list(fetch(follower).index) == ["a"]
    assert len(site.requests()) == 2
    assert conditions(site)[1] == set()
    assert site.requests()[1].headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("status", [203, 204, 206, 304, 416])
def test_a11_a_second_unrequested_status_is_a_transport_error(
    site: MemorySite, follower: Follower, status: int
) -> None:
    site.spoil(lambda request, wire: wire.response(status))
    with pytest.raises(TransportError, match=str(status)) as caught:
        follower.fetch(None)
    assert caught.value.status == status
    assert len(site.requests()) == 2


def test_the_error_for_an_invalid_index_has_its_type_and_beginning(
    site: MemorySite, follower: Follower
) -> None:
    body = b"<html>\x1b[31m\n" + b"x" * 1000
    site.spoil(lambda request, wire: wire.response(200, body, {"Content-Type": "text/html"}))
    with pytest.raises(IndexFormatError) as caught:
        follower.fetch(None)
    text = str(caught.value)
    assert text.isprintable()
    assert "'text/html'" in text
    assert "<html>\\x1b[31m\\n" + "x" * 68 + "'" in text
    assert (caught.value.status, caught.value.url) == (200, f"{site.url}index.json")


def test_the_error_for_a_binary_body_shows_it_too(site: MemorySite, follower: Follower) -> None:
    site.spoil(lambda request, wire: wire.response(200, b"\xff\xfe\x00" * 200))
    with pytest.raises(IndexFormatError, match="no type") as caught:
        follower.fetch(None)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("status", [404, 410, 500, 503])
def test_a9_an_error_status_is_an_http_status_error(
    site: MemorySite, follower: Follower, status: int
) -> None:
    held = fetch(follower)
    site.spoil(lambda request, wire: wire.response(status))
    with pytest.raises(HTTPStatusError) as caught:
        follower.fetch(held)
    assert caught.value.status == status


def test_the_path_of_the_index_is_quoted(site: MemorySite, session: Session) -> None:
    site.files["in dex/100%.json"] = b"{}"
    fetch(follower_of(session, "in dex/100%.json"))
    assert site.server.requests[-1].target == "/in%20dex/100%25.json"


def test_the_index_may_be_compressed(site: MemorySite, follower: Follower) -> None:
    fetch(follower)
    assert site.requests()[0].headers["Accept-Encoding"] == "gzip, deflate"


def test_a_store_polls_conditionally(site: MemorySite) -> None:
    with site.open() as store:
        index = store.index
        for _ in range(3):
            assert not store.update_index()
        assert store.index is index
    assert conditions(site) == [set(), *[{"If-None-Match"}] * 3]


def test_a_custom_index_path_is_used(site: MemorySite) -> None:
    site.files["other.json"] = b'{"b": {}}'
    with StaticStore(site.url, index_path="other.json", poll_interval=0) as store:
        assert list(store) == ["b"]
    assert site.requests() == []
