"""The list as a file."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore import StaticStore
from staticstore.site.server import SiteServer, serve
from tests.tools.page.browsing import Look, write_site

if TYPE_CHECKING:
    from playwright.sync_api import Page

INDEX = {
    "b,1.csv": {"title": 'He said "no"', "size": 2, "n": -5, "ok": True, "list": [1, "ä"]},
    "=cmd|' /C calc'!A0": {"title": "+1\n2", "size": 3, "n": 2.5, "none": None},
    "10": {"title": "@sum", "size": 1, "__proto__": {"x": 1}},
    "2": {"title": "\tx", "size": 9, "only": "\N{FULLWIDTH EQUALS SIGN}1"},
}


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    with serve(write_site(tmp_path_factory.mktemp("site"), INDEX), port=0) as server:
        yield server


def saved(page: Page, name: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.click(f"#{name}")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_csv_has_all_fields_of_the_list_as_filtered_and_sorted(
    listed: SiteServer, look: Look
) -> None:
    page = look(listed.url + "?q=size:<5&sort=-size")
    name, body = saved(page, "csv")
    assert re.fullmatch(r"127\.0\.0\.1.*\d{4}-\d\d-\d\d\.csv", name)
    assert body.startswith(b"\xef\xbb\xbfkey,title,size,__proto__,list,n,none,ok\r\n")
    rows = list(csv.DictReader(body.decode("utf-8-sig").splitlines(keepends=True)))
    assert [row["size"] for row in rows] == ["3", "2", "1"]
    assert rows[1] == {
        "key": "b,1.csv",
        "title": 'He said "no"',
        "size": "2",
        "__proto__": "",
        "list": '[1,"ä"]',
        "n": "-5",
        "none": "",
        "ok": "true",
    }


def test_f10_no_cell_of_the_csv_is_a_formula(listed: SiteServer, look: Look) -> None:
    _, body = saved(look(listed.url), "csv")
    rows = list(csv.DictReader(body.decode("utf-8-sig").splitlines(keepends=True)))
    texts = {row["key"]: row["title"] for row in rows}
    assert texts["'=cmd|' /C calc'!A0"] == "'+1\n2"
    assert (texts["10"], texts["2"]) == ("'@sum", "'\tx")
    assert rows[0]["only"] == "'\N{FULLWIDTH EQUALS SIGN}1"


def test_json_is_an_index_in_the_order_of_the_list(
    listed: SiteServer, look: Look, tmp_path: Path
) -> None:
    name, body = saved(look(listed.url + "?q=-key:csv&sort=-size"), "json")
    assert name.endswith(".json")
    assert list(json.loads(body)) == ["2", "=cmd|' /C calc'!A0", "10"]
    (tmp_path / "index.json").write_bytes(body)
    with StaticStore(tmp_path) as store:
        assert {key: dict(store.get_metadata(key)) for key in store} == {
            key: INDEX[key] for key in INDEX if key != "b,1.csv"
        }


def test_20_000_entries_are_saved(large_server: SiteServer, look: Look) -> None:
    page = look(large_server.url)
    assert len(json.loads(saved(page, "json")[1])) == 20_000
    assert saved(page, "csv")[1].count(b"\r\n") == 20_001


def test_an_empty_list_cannot_be_saved(listed: SiteServer, look: Look) -> None:
    page = look(listed.url)
    page.fill("#search", "nothing like it")
    assert page.locator("#csv").is_disabled()
    assert page.locator("#json").is_disabled()
