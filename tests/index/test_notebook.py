"""The HTML that notebooks show for a store, a value and changes."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from staticstore import Index, StaticStore, TransportError
from staticstore.index.notebook import MOST_ROWS
from tests.client.scene import MemorySite

KEY = "<script>alert(1)</script>"
TEXT = "<script>alert('\x1b[31m\u202e')</script>"


class Page(HTMLParser):
    """The tags and texts of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a.csv": {"size": 1500, "media_type": "text/csv"}, "b": {}}) as site:
        yield site


def page_of(shown: Any) -> Page:
    return Page(shown._repr_html_())


def test_a_store_shows_its_keys_and_their_sizes(site: MemorySite) -> None:
    with site.open() as store:
        texts = page_of(store).texts
    assert {"a.csv", "1.5 kB", "text/csv", "b"} <= set(texts)


def test_a_store_shows_the_age_of_its_index(site: MemorySite) -> None:
    with site.open() as store:
        assert "index confirmed just now" in page_of(store).texts


def test_a_store_shows_its_last_error(site: MemorySite) -> None:
    with site.open() as store:
        site.spoil(lambda request, wire: wire.response(503))
        with pytest.raises(TransportError):
            store.update_index()
        assert any("the host answered 503" in text for text in page_of(store).texts)


def test_a_store_shows_fifty_keys_and_counts_the_others(site: MemorySite) -> None:
    site.write({f"{number:03}": {} for number in range(120)})
    with site.open() as store:
        page = page_of(store)
    assert page.tags.count("tr") == 1 + MOST_ROWS
    assert "and 70 more" in page.texts


def test_a_snapshot_shows_fifty_keys_and_counts_the_others() -> None:
    page = page_of(Index.from_entries({f"{number:03}": {"size": 1500} for number in range(120)}))
    assert page.tags.count("tr") == 1 + MOST_ROWS
    assert {"Index: 120 keys", "000", "1.5 kB", "and 70 more"} <= set(page.texts)


def test_showing_makes_no_request(site: MemorySite) -> None:
    with site.open() as store:
        value, before = store["b"], len(site.server.requests)
        page_of(store), page_of(value), page_of(store.update_index())
    assert len(site.server.requests) == before + 1  # the update itself


def test_a_store_that_was_never_connected_can_be_shown(site: MemorySite) -> None:
    assert "not connected" in page_of(StaticStore(site.url)).texts[0]


def test_a_store_can_be_shown_after_it_was_disconnected(site: MemorySite) -> None:
    with site.open() as store:
        pass
    assert "a.csv" in page_of(store).texts


def test_a_value_shows_what_the_index_says(site: MemorySite) -> None:
    site.write({"a": {"size": 1500, "title": "A title"}})
    with site.open() as store:
        assert {"1.5 kB", "title", "A title"} <= set(page_of(store["a"]).texts)


def test_a_value_shows_no_secret(site: MemorySite) -> None:
    root = site.url.replace("http://", "http://ali:sesame@") + "?signature=secret"
    with StaticStore(root, poll_interval=0).connect(retries=0) as store:
        shown = store["b"]._repr_html_() + store._repr_html_()
    assert not {"sesame", "secret"} & set(shown.replace(":", " ").replace("=", " ").split())
    assert "sesame" not in shown
    assert "secret" not in shown


def test_changes_show_what_happened_to_which_key(site: MemorySite) -> None:
    with site.open() as store:
        site.write({"b": {"v": 1}, "c": {}})
        texts = page_of(store.update_index()).texts
    assert "Changes: 1 set, 1 update, 1 delete" in texts
    assert {"a.csv", "delete", "b", "update", "c", "set"} <= set(texts)


def test_empty_changes_can_be_shown(site: MemorySite) -> None:
    with site.open() as store:
        assert page_of(store.update_index()).tags == ["table", "caption"]


def test_everything_from_outside_is_shown_as_text(site: MemorySite) -> None:
    site.write({KEY: {TEXT: TEXT}})
    with site.open() as store:
        pages = [page_of(store), page_of(store[KEY])]
        site.write({})
        pages.append(page_of(store.update_index()))
    for page in pages:
        assert set(page.tags) <= {"table", "caption", "tr", "th", "td", "bdi", "p"}
        assert any(KEY in text for text in page.texts)
    assert pages[1].texts.count("<script>alert('\\x1b[31m\\u202e')</script>") == 2


def test_a_long_text_is_truncated(site: MemorySite) -> None:
    site.write({"a": {"title": "x" * 10_000}})
    with site.open() as store:
        assert len(store["a"]._repr_html_()) < 2000


@pytest.mark.parametrize("shown", ["store", "value", "changes", "change", "index"])
def test_a_plain_repr_has_one_line(site: MemorySite, shown: str) -> None:
    with site.open() as store:
        site.write({KEY: {}})
        changes = store.update_index()
        things = {
            "store": store,
            "value": store[KEY],
            "changes": changes,
            "change": changes[0],
            "index": store.index,
        }
        assert repr(things[shown]).isprintable()
