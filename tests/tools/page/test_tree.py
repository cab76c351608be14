"""The tree of folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.server import SiteServer, serve
from tests.tools.page.browsing import Look, expect, shown_rows, write_site

if TYPE_CHECKING:
    from playwright.sync_api import Page

INDEX = {
    "a/b/one.txt": {"size": 1000},
    "a/b/two.txt": {"size": 500},
    "a/three.txt": {"size": 20},
    "c10/four.txt": {},
    "c2/five.txt": {"size": 7},
    "six.txt": {"size": 3},
}
CLOSED = ["a/ 3", "c2/ 1", "c10/ 1", "six.txt"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    with serve(write_site(tmp_path_factory.mktemp("site"), INDEX), port=0) as server:
        yield server


def current(page: Page) -> str:
    name: str = page.evaluate(
        """() => {
            const id = page.view.getAttribute("aria-activedescendant");
            return document.getElementById(id).firstElementChild.textContent;
        }"""
    )
    return name


def test_a_button_shows_folders_with_their_counts_and_sizes(tree: SiteServer, look: Look) -> None:
    page = look(tree.url)
    page.get_by_role("button", name="Tree").click()
    assert shown_rows(page) == CLOSED
    assert page.locator(".folder .size").all_inner_texts() == ["1.5 kB", "7 bytes", "0 bytes"]
    expect(page.get_by_role("treegrid")).to_have_count(1)
    page.get_by_role("button", name="List").click()
    assert len(shown_rows(page)) == len(INDEX)


def test_a_click_opens_and_closes_a_folder(tree: SiteServer, look: Look) -> None:
    page = look(tree.url + "?view=tree")
    page.get_by_text("a/").click()
    assert shown_rows(page) == ["a/ 3", "b/ 2", "three.txt", *CLOSED[1:]]
    page.get_by_text("a/").click()
    assert shown_rows(page) == CLOSED


def test_arrows_open_and_close_folders(tree: SiteServer, look: Look) -> None:
    page = look(tree.url + "?view=tree")
    for key, name in [
        ("ArrowDown", "a/ 3"),
        ("ArrowRight", "a/ 3"),
        ("ArrowRight", "b/ 2"),
        ("Enter", "b/ 2"),
        ("ArrowRight", "one.txt"),
        ("ArrowRight", "one.txt"),
        ("ArrowLeft", "b/ 2"),
        ("ArrowLeft", "b/ 2"),
        ("ArrowLeft", "a/ 3"),
        ("ArrowLeft", "a/ 3"),
    ]:
        page.keyboard.press(key)
        assert current(page) == name, key
    assert shown_rows(page) == CLOSED


def test_rows_say_their_level_and_their_place(tree: SiteServer, look: Look) -> None:
    page = look(tree.url + "?view=tree&open=a/")
    told = page.locator(".row").evaluate_all(
        "rows => rows.map(row => [row.ariaRowIndex, row.ariaLevel, row.ariaPosInSet,"
        " row.ariaSetSize, row.ariaExpanded].join(' '))"
    )
    assert told[:4] == ["2 1 1 4 true", "3 2 1 2 false", "4 2 2 2 ", "5 1 2 4 false"]
    assert page.locator("#view").get_attribute("aria-rowcount") == "7"


def test_a_search_opens_the_folders_of_what_it_found(tree: SiteServer, look: Look) -> None:
    page = look(tree.url + "?view=tree")
    page.fill("#search", "two")
    assert shown_rows(page) == ["a/ 1", "b/ 1", "two.txt"]
    page.get_by_text("b/").click()
    assert shown_rows(page) == ["a/ 1", "b/ 1"]
    page.fill("#search", "one")
    assert shown_rows(page) == ["a/ 1", "b/ 1", "one.txt"]
    page.keyboard.press("Escape")
    assert shown_rows(page) == CLOSED


def test_a_link_opens_the_folders_of_its_value(tree: SiteServer, look: Look) -> None:
    page = look(tree.url + "?view=tree#a/b/one.txt")
    expect(page.locator(".row[aria-selected=true] .key")).to_have_text("one.txt")


def test_what_is_open_stands_in_the_address(tree: SiteServer, look: Look) -> None:
    page = look(tree.url + "?view=tree")
    page.get_by_text("a/").click()
    assert page.url.endswith("?view=tree&open=a/")
    assert shown_rows(look(page.url)) == shown_rows(page)


@pytest.mark.parametrize("sort", ["-key", "size"])
def test_folders_sort_by_name_or_by_size(tree: SiteServer, look: Look, sort: str) -> None:
    page = look(f"{tree.url}?view=tree&sort={sort}")
    assert shown_rows(page) == ["c10/ 1", "c2/ 1", "a/ 3", "six.txt"]


def test_a_key_of_many_levels_is_a_tree_of_few(tmp_path: Path, look: Look) -> None:
    key = "a/" * 5000 + "end"
    with serve(write_site(tmp_path / "site", {key: {}}), port=0) as server:
        page = look(server.url + "?view=tree&q=end")
        assert page.evaluate("state.rows.length") == 33
