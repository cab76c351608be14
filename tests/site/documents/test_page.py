"""The page to browse a site: when it is written, and what never stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from staticstore.errors import StoreError
from staticstore.site.documents.page import render_page
from staticstore.site.publisher import publish

from ..sitefolder import make_site, tree


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", {"tables/rain.csv": b"day,rain\n2026-01-01,1.5\n"})


def test_the_page_is_written_if_it_is_asked_for(site: Path) -> None:
    publish(site)
    assert not (site / "index.html").exists()
    publish(site, browse=True)
    assert (site / "index.html").read_bytes() == render_page()


def test_a_page_that_is_the_same_is_not_written(site: Path) -> None:
    publish(site, browse=True)
    before = tree(site)
    publish(site, browse=True)
    assert tree(site) == before


def test_an_older_page_of_ours_is_replaced(site: Path) -> None:
    older = b"<!DOCTYPE html>\n<!-- staticstore-page/0: as it was once -->\n"
    (site / "index.html").write_bytes(older)
    publish(site)
    assert (site / "index.html").read_bytes() == older
    publish(site, browse=True)
    assert (site / "index.html").read_bytes() == render_page()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("theirs", [b"", b"<!DOCTYPE html>\n<p>Welcome to staticstore-page/1:</p>"])
def test_a_page_of_somebody_else_stays(site: Path, theirs: bytes, dry_run: bool) -> None:
    (site / "index.html").write_bytes(theirs)
    with pytest.raises(StoreError, match="staticstore did not write it"):
        publish(site, browse=True, dry_run=dry_run)
    assert (site / "index.html").read_bytes() == theirs
    assert not (site / "index.json").exists()


def test_a_folder_in_place_of_the_page_stays(site: Path) -> None:
    (site / "index.html").mkdir()
    with pytest.raises(StoreError, match="it is no file"):
        publish(site, browse=True)


def test_a_dry_run_writes_no_page(site: Path) -> None:
    publish(site, browse=True, dry_run=True)
    assert not (site / "index.html").exists()


def test_the_page_names_no_other_host() -> None:
    hosts = set(re.findall(rb"https?://[^\s'\"/]+", render_page()))
    assert hosts == {b"http://www.w3.org"}  # the name of SVG


def test_the_page_never_makes_markup_of_a_string() -> None:
    forbidden = rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\("
    assert not re.search(forbidden, render_page())
