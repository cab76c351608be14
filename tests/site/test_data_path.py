"""A site whose values are in a folder that is not called data: by every door."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import requests

from staticstore import StaticStore, StoreError, mirror, publish, push, serve, verify_site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with files to publish in rasters/2024."""
    folder = tmp_path / "site"
    (folder / "rasters" / "2024").mkdir(parents=True)
    (folder / "rasters" / "2024" / "a.txt").write_text("a")
    (folder / "rasters" / "2024" / "b.html").write_text("<p>")
    return folder


def names(folder: Path) -> set[str]:
    """Return the names in a folder."""
    return {path.name for path in folder.iterdir()}


# -- publishing ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["rasters/2024", "rasters/2024/", "./rasters/2024", "{}"])
def test_a_folder_is_published_where_it_is(site: Path, form: str) -> None:
    data = form.format(site / "rasters" / "2024")
    assert publish(site, data=data).set == ["a.txt", "b.html"]
    with StaticStore(site, poll_interval=0, data_path="rasters/2024/") as store:
        assert store.to_bytes("a.txt") == b"a"
    assert names(site / "rasters" / "2024") == {"a.txt", "b.html"}


def test_the_next_publish_remembers_the_folder(site: Path) -> None:
    publish(site, data="rasters/2024")
    (site / "rasters" / "2024" / "c.txt").write_text("c")
    assert publish(site).set == ["c.txt"]


def test_data_is_published_again_when_it_is_named(site: Path) -> None:
    publish(site, data="rasters/2024")
    (site / "data").mkdir()
    (site / "data" / "a.txt").write_text("other")
    (site / "data" / "b.html").write_text("<p>")
    assert publish(site, data="data").updated == ["a.txt"]
    assert publish(site).updated == []
    assert not (site / ".staticstore" / "data.json").exists()


def test_a_dry_run_remembers_nothing(site: Path) -> None:
    publish(site, data="rasters/2024", dry_run=True)
    with pytest.raises(StoreError, match=r"name the folder of the site that contains them"):
        publish(site)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("..", "not below"),
        ("rasters/../../x", "not below"),
        ("/", "not below"),
        (".", "publish the folder above it"),
        ("index", "one that staticstore writes"),
        ("Packs/x", "one that staticstore writes"),
        (".git", "writes or hides"),
        ("missing", "there is no folder"),
        ("rasters/2024/a.txt", "there is no folder"),
        ("link", "leads out of the site by a symbolic link"),
        ("rasters/up", "leads out of the site by a symbolic link"),
    ],
)
def test_what_cannot_hold_the_values_is_refused(site: Path, data: str, reason: str) -> None:
    """F5."""
    os.symlink(site.parent, site / "link")
    os.symlink("../..", site / "rasters" / "up")
    before = names(site)
    with pytest.raises(StoreError, match=reason):
        publish(site, data=data)
    assert names(site) == before


@pytest.mark.parametrize("note", ["[]", '{"data": "../", "format": "staticstore-data/1"}', "{"])
def test_a_note_that_cannot_be_used_is_ignored(site: Path, note: str) -> None:
    publish(site, data="rasters/2024")
    (site / ".staticstore" / "data.json").write_text(note)
    with pytest.raises(StoreError, match=r"there is no folder .*data"):
        publish(site)


def test_a_noted_folder_that_became_a_link_out_of_the_site_is_refused(
    site: Path, tmp_path: Path
) -> None:
    publish(site, data="rasters/2024")
    (site / "rasters").rename(tmp_path / "outside")
    (site / "rasters").symlink_to(tmp_path / "outside")
    for door in (publish, verify_site, serve):
        with pytest.raises(StoreError, match="leads out of the site"):
            door(site)


@pytest.mark.parametrize("name", ["ind\u200cex", "Packs. ", "\uff54rust"])
def test_a_folder_that_some_systems_take_for_one_of_ours_is_refused(site: Path, name: str) -> None:
    (site / name).mkdir()
    with pytest.raises(StoreError, match="rename it"):
        publish(site, data=name)


def test_a_page_that_was_written_before_finds_the_values(site: Path) -> None:
    (site / "rasters" / "2024").rename(site / "data")
    publish(site, browse=True)
    (site / "data").rename(site / "my data")
    publish(site, data="my data")
    page = (site / "index.html").read_text()
    assert 'data-path="my data/"' in page
    assert '<a href="my%20data/a.txt">' in page


# -- the other doors -------------------------------------------------------------------------


def test_it_is_verified(site: Path) -> None:
    publish(site, data="rasters/2024")
    assert verify_site(site).wrong == []
    (site / "rasters" / "2024" / "a.txt").write_text("x")
    assert [key for key, _ in verify_site(site).wrong] == ["a.txt"]
    assert [key for key, _ in verify_site(site, data="rasters/2024").wrong] == ["a.txt"]


def test_it_is_served_and_its_values_are_sandboxed(site: Path) -> None:
    publish(site, data="rasters/2024")
    with serve(site, port=0) as server:
        answer = requests.get(f"{server.url}rasters/2024/b.html", timeout=10)
        assert answer.headers["Content-Security-Policy"] == "sandbox"
        with StaticStore(server.url, poll_interval=0, data_path="rasters/2024/") as store:
            assert store.to_bytes("b.html") == b"<p>"


def test_a_mirror_has_the_values_where_the_site_has_them(site: Path, tmp_path: Path) -> None:
    publish(site, data="rasters/2024")
    with serve(site, port=0) as server:
        with StaticStore(server.url, poll_interval=0, data_path="rasters/2024/") as store:
            mirror(store, tmp_path / "copy")
            assert mirror(store, tmp_path / "copy").kept == 2
        roots = [server.url, str(tmp_path / "copy")]
    with StaticStore(roots, poll_interval=0, data_path="rasters/2024/") as store:
        assert store.to_bytes("a.txt") == b"a"
    assert verify_site(tmp_path / "copy").wrong == []


def test_a_mirror_writes_through_no_link_above_the_values(site: Path, tmp_path: Path) -> None:
    publish(site, data="rasters/2024")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "copy" / "rasters")
    with (
        StaticStore(site, poll_interval=0, data_path="rasters/2024/") as store,
        pytest.raises(StoreError, match="rasters' is a symbolic link"),
    ):
        mirror(store, tmp_path / "copy")
    assert names(tmp_path / "elsewhere") == set()


@pytest.mark.parametrize("data", ["data", "rasters/2024"])
def test_the_folder_of_a_mirror_may_be_a_link(site: Path, tmp_path: Path, data: str) -> None:
    (site / "data").mkdir()
    (site / "data" / "a.txt").write_text("a")
    publish(site, data=data)
    (tmp_path / "copy").mkdir()
    os.symlink(tmp_path / "copy", tmp_path / "link")
    with StaticStore(site, poll_interval=0, data_path=f"{data}/") as store:
        mirror(store, tmp_path / "link")
    assert (tmp_path / "copy" / data / "a.txt").read_text() == "a"


def test_a_pushed_site_has_the_values_where_the_site_has_them(site: Path, tmp_path: Path) -> None:
    publish(site, data="rasters/2024")
    assert "rasters/2024/a.txt" in push(site, tmp_path / "target").uploaded
    assert push(site, tmp_path / "target").uploaded == []
    assert verify_site(tmp_path / "target").wrong == []


def test_a_push_deletes_what_is_gone_from_that_folder(site: Path, tmp_path: Path) -> None:
    publish(site, data="rasters/2024")
    push(site, tmp_path / "target")
    (site / "rasters" / "2024" / "b.html").unlink()
    publish(site)
    assert push(site, tmp_path / "target", delete=True).deleted == ["rasters/2024/b.html"]


def test_a_push_to_a_site_with_the_values_elsewhere_is_refused(site: Path, tmp_path: Path) -> None:
    publish(site, data="rasters/2024")
    push(site, tmp_path / "target")
    (site / "rasters" / "2024").rename(site / "data")
    publish(site, data="data")
    with pytest.raises(StoreError, match=r"are in rasters/2024/, and those of this site in data/"):
        push(site, tmp_path / "target")
