"""The page to browse a site: when it is written, and what never stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import staticstore
from staticstore import StaticStore, mirror
from staticstore.errors import StoreError
from staticstore.site.documents.page import is_our_page, page_of, render_page, shortened
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import publish

from ..sitefolder import fill, make_site, tree


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", {"tables/rain.csv": b"day,rain\n2026-01-01,1.5\n"})


def test_the_page_is_written_if_it_is_asked_for(site: Path) -> None:
    publish(site)
    assert not (site / "index.html").exists()
    publish(site, browse=True)
    assert (site / "index.html").read_bytes() == page_of(SiteFolder(site))


def test_a_page_that_is_the_same_is_not_written(site: Path) -> None:
    publish(site, browse=True)
    before = tree(site)
    publish(site, browse=True)
    assert tree(site) == before


OLDER = b"<!DOCTYPE html>\n<!-- staticstore-page/0: as it was once -->\n"


def test_an_older_page_of_ours_is_replaced_by_every_publish(site: Path) -> None:
    publish(site)
    (site / "index.html").write_bytes(OLDER)
    publish(site, dry_run=True)
    assert (site / "index.html").read_bytes() == OLDER
    publish(site)
    assert (site / "index.html").read_bytes() == page_of(SiteFolder(site))


@pytest.mark.parametrize("is_update", [False, True])
def test_a_publish_without_the_option_renews_the_page(site: Path, is_update: bool) -> None:
    if is_update:  # of few files, so that only their lines are looked at
        fill(site / "data", {f"{number}.txt": b"" for number in range(20)})
    publish(site, browse=True)
    publish(site)
    fill(site / "data", {"new.txt": b"new"})
    publish(site)
    page = (site / "index.html").read_bytes()
    assert b'<a href="data/new.txt">' in page
    assert page == page_of(SiteFolder(site))


def test_a_page_of_somebody_else_is_no_matter_without_the_option(site: Path) -> None:
    (site / "index.html").write_bytes(b"<p>Welcome")
    publish(site)
    assert (site / "index.html").read_bytes() == b"<p>Welcome"


def test_a_link_to_a_page_of_ours_stays_without_the_option(site: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(OLDER)
    (site / "index.html").symlink_to(tmp_path / "page.html")
    publish(site)
    assert (tmp_path / "page.html").read_bytes() == OLDER
    assert (site / "index.html").is_symlink()


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


def copied(site: Path, directory: Path, *, browse: bool = False) -> None:
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, directory, browse=browse)


def test_a_mirror_has_a_page_if_it_is_asked_for_and_renews_it_from_then_on(
    site: Path, tmp_path: Path
) -> None:
    publish(site, browse=True)
    copy = tmp_path / "copy"
    copied(site, copy)
    assert not (copy / "index.html").exists()
    copied(site, copy, browse=True)
    fill(site / "data", {"new.txt": b"new"})
    publish(site)
    copied(site, copy)
    assert (copy / "index.html").read_bytes() == (site / "index.html").read_bytes()


def test_a_mirror_never_takes_the_page_of_the_site(site: Path, tmp_path: Path) -> None:
    publish(site)
    (site / "index.html").write_bytes(b"<script>alert(1)</script>")
    copied(site, tmp_path / "copy", browse=True)
    assert is_our_page((tmp_path / "copy" / "index.html").read_bytes())


def test_a_mirror_replaces_no_page_of_somebody_else(site: Path, tmp_path: Path) -> None:
    publish(site)
    copied(site, tmp_path / "copy")
    (tmp_path / "copy" / "index.html").write_bytes(b"<p>Welcome")
    with pytest.raises(StoreError, match="staticstore did not write it"):
        copied(site, tmp_path / "copy", browse=True)
    assert (tmp_path / "copy" / "index.html").read_bytes() == b"<p>Welcome"


def test_the_page_is_small_with_all_keys_of_its_first_screen(tmp_path: Path) -> None:
    files = {f"region-{i % 9}/tile-{i:04}.csv": b"" for i in range(300)}
    site = make_site(tmp_path / "site", files)
    publish(site, browse=True)
    page = (site / "index.html").read_bytes()
    assert page.count(b"<li>") == 200
    assert len(page) < 110_000


PARTS = sorted((Path(staticstore.__file__).parent / "site/documents/browse").glob("*/*"))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_of_the_page_has_a_limited_number_of_lines(part: Path) -> None:
    assert len(part.read_text("utf-8").splitlines()) <= 300


def test_each_part_is_joined() -> None:
    page = render_page().decode()
    assert [part.name for part in PARTS if shortened(part.read_text("utf-8")) not in page] == []


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_shortening_changes_no_text_of_several_lines(part: Path) -> None:
    for text in re.findall("`[^`]*`", part.read_text("utf-8")):
        assert "\n" not in text or shortened(text).rstrip("\n") == text


def test_script_and_style_are_the_same_for_all_sites(site: Path) -> None:
    publish(site, browse=True)
    policy = re.compile(rb'Content-Security-Policy" content="([^"]+)"')
    found = [policy.findall(page) for page in (render_page(), page_of(SiteFolder(site)))]
    assert len(found[0]) == 1
    assert found[0] == found[1]


def test_the_page_names_no_other_host() -> None:
    hosts = set(re.findall(rb"https?://[^\s'\"/]+", render_page()))
    assert hosts == {b"http://www.w3.org"}  # the name of SVG
    assert not re.search(rb"(src|href)=[\"']?(https?:)?//", render_page())


def test_the_page_never_makes_markup_of_a_string() -> None:
    forbidden = rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\("
    assert not re.search(forbidden, render_page())


def test_no_element_has_a_style_or_a_handler_of_its_own() -> None:
    elements = re.sub(rb"(?s)<(style|script)>.*?</\1>", b"", render_page())
    assert not re.search(rb"<[^>]*\s(style|on\w+)=", elements)
