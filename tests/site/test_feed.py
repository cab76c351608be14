"""FAULTS F22: the feed of a site is valid, stable, and kept up by each publish that changes it."""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from staticstore import StaticStore, StoreError, mirror, publish, push, serve, verify_site
from staticstore.index.head import Head
from staticstore.site.documents.feed import Feed, entry_of_publish, is_our_feed, render_feed
from staticstore.site.feed import checked_feed_url
from staticstore.site.folder.site_folder import SiteFolder
from tests.servers import Nginx
from tests.site.feed_schema import feed_problems

URL = "https://data.example.org/site/"
HEAD = json.dumps(
    {
        "format": "staticstore-head/1",
        "lineage": "6f" * 16,
        "generation": 42,
        "published": "2026-11-20T12:00:00Z",
        "index": {
            "href": f"index/{'8c' * 32}.json",
            "size": 4,
            "sha256": "8c" * 32,
            "entries": 0,
            "sum": "0" * 32,
        },
        "changes": [],
    }
).encode()
ATOM = "{http://www.w3.org/2005/Atom}"

feedparser = pytest.importorskip("feedparser")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with two values."""
    folder = tmp_path / "site"
    (folder / "data").mkdir(parents=True)
    change(folder, "a.csv", "1")
    change(folder, "b.csv", "1")
    return folder


def change(site: Path, key: str, text: str) -> None:
    """Write a value."""
    (site / "data" / key).write_text(text)


def read(site: Path) -> Any:
    """Return the feed as a reader of feeds sees it, once it was found valid."""
    body = (site / "feed.atom").read_bytes()
    assert feed_problems(body) == []
    found = feedparser.parse(body)
    assert not found.bozo
    return found


def ids(site: Path) -> list[str]:
    return [entry.id for entry in read(site).entries]


def links(entry: Any) -> list[str]:
    return re.findall(r'<a href="([^"]*)"', entry.content[0].value)


def test_it_says_what_was_set_updated_and_deleted(site: Path) -> None:
    publish(site, feed=URL)
    change(site, "a.csv", "other")
    change(site, "c.csv", "1")
    (site / "data" / "b.csv").unlink()
    publish(site)
    second, first = read(site).entries
    assert first.title == "2 set, 0 updated, 0 deleted"
    assert second.title == "1 set, 1 updated, 1 deleted"
    assert links(second) == [f"{URL}data/c.csv", f"{URL}data/a.csv"]
    assert "<li>b.csv</li>" in second.content[0].value


def test_it_names_itself_and_the_site(site: Path) -> None:
    (site / "about.toml").write_text('title = "Ilvar"\ncontact = "Office of Maps"\n')
    publish(site, feed=URL)
    feed = read(site).feed
    assert (feed.title, feed.author) == ("Ilvar", "Office of Maps")
    assert {(one.rel, one.href) for one in feed.links} == {
        ("self", f"{URL}feed.atom"),
        ("alternate", URL),
    }


def test_its_time_is_that_of_the_publish(site: Path) -> None:
    publish(site, feed=URL)
    published = json.loads((site / "index.head.json").read_text())["published"]
    found = read(site)
    assert found.feed.updated == found.entries[0].updated == published


def test_of_sixty_publishes_the_last_fifty_are_kept(site: Path) -> None:
    seen = []
    for number in range(60):
        change(site, "a.csv", str(number) * (number + 1))
        publish(site, feed=URL if not number else None)
        seen.append(ids(site)[0])
    assert len(set(seen)) == 60
    assert ids(site) == seen[:-51:-1]


def test_a_publish_names_a_hundred_keys_and_counts_the_others(site: Path) -> None:
    for number in range(148):
        change(site, f"{number:03}.csv", "1")
    publish(site, feed=URL)
    (entry,) = read(site).entries
    assert entry.title == "150 set, 0 updated, 0 deleted"
    assert len(links(entry)) == 100
    assert "and 50 more" in entry.content[0].value


def test_a_publish_that_changes_nothing_writes_nothing(site: Path) -> None:
    publish(site, feed=URL)
    written = [path for path in site.glob("*.*") if path.is_file()]
    written.append(site / ".staticstore" / "feed.json")
    before = {path: path.stat().st_mtime_ns for path in written}
    publish(site)
    publish(site, feed=URL)
    (site / ".staticstore" / "last.json").unlink()  # so that all is looked at
    publish(site)
    assert {path: path.stat().st_mtime_ns for path in written} == before


def test_a_dry_run_writes_no_feed(site: Path) -> None:
    publish(site, feed=URL, dry_run=True)
    assert not (site / "feed.atom").exists()


def test_without_the_option_there_is_no_feed(site: Path) -> None:
    publish(site)
    assert not (site / "feed.atom").exists()


def test_a_feed_that_begins_later_has_no_entry_for_what_is_there(site: Path) -> None:
    publish(site)
    publish(site, feed=URL)
    assert ids(site) == []
    change(site, "c.csv", "1")
    publish(site)
    assert len(ids(site)) == 1


def test_false_removes_it_for_good(site: Path) -> None:
    publish(site, feed=URL)
    publish(site, feed=False)
    change(site, "c.csv", "1")
    publish(site)
    assert not (site / "feed.atom").exists()


def test_a_feed_that_was_deleted_is_written_again(site: Path) -> None:
    publish(site, feed=URL)
    (site / "feed.atom").unlink()
    publish(site)
    assert read(site).feed.id


def test_another_url_moves_all_links_and_keeps_the_ids(site: Path) -> None:
    publish(site, feed=URL)
    before = ids(site), read(site).feed.id
    publish(site, feed="https://other.example/x")
    (entry,) = read(site).entries
    assert (ids(site), read(site).feed.id) == before
    assert links(entry) == [f"https://other.example/x/data/{key}.csv" for key in "ab"]


def test_a_fresh_checkout_goes_on_with_the_feed(site: Path, tmp_path: Path) -> None:
    publish(site, feed=URL)
    first = ids(site)
    for path in sorted((site / ".staticstore").rglob("*"), reverse=True):
        path.unlink()
    (site / ".staticstore").rmdir()
    change(site, "c.csv", "1")
    publish(site)
    assert ids(site)[1:] == first


def test_a_publish_after_another_goes_on_with_its_feed(site: Path, tmp_path: Path) -> None:
    publish(site, feed=URL)
    fresh = tmp_path / "fresh"
    (fresh / "data").mkdir(parents=True)
    for key in ("a.csv", "b.csv", "c.csv"):
        change(fresh, key, "1")
    with serve(site, port=0) as server:
        publish(fresh, feed=URL, after=server.url)
    assert ids(fresh)[1:] == ids(site)
    assert read(fresh).entries[0].title.startswith("1 set, ")


def test_the_words_of_a_site_are_an_entry_too(site: Path) -> None:
    publish(site, feed=URL)
    (site / "about.toml").write_text('title = "Ilvar"\n')
    publish(site)
    found = read(site)
    assert found.feed.title == "Ilvar"
    assert found.entries[0].title == "0 set, 0 updated, 0 deleted"
    assert "says of itself has changed" in found.entries[0].content[0].value


def test_a_publish_that_was_interrupted_leaves_one_entry(site: Path) -> None:
    publish(site, feed=URL)
    head = (site / "index.head.json").read_bytes()
    index = (site / "index.json").read_bytes()
    change(site, "c.csv", "1")
    publish(site)
    second = ids(site)
    (site / "index.head.json").write_bytes(head)  # as before it was renamed
    (site / "index.json").unlink()
    (site / "index.json").write_bytes(index)
    change(site, "d.csv", "1")
    publish(site)
    assert ids(site) == second
    assert read(site).entries[0].title == "2 set, 0 updated, 0 deleted"


HOSTILE = [
    "a]]>b",
    "<script>alert(1)<",
    "&amp;",
    "caf\u00e9 100% #1?x=y",
    "\ufffe\uffff",
    "'\"",
    " x ",
]


def test_a_hostile_key_is_text(site: Path) -> None:
    for key in HOSTILE:
        change(site, key, "1")
    publish(site, feed=URL)
    change(site, "z.csv", "1")
    publish(site)  # reads it again
    content = read(site).entries[1].content[0].value
    assert links(read(site).entries[1])[:2] == [f"{URL}data/%20x%20", f"{URL}data/%26amp%3B"]
    shown = ["> x </a>", ">&amp;amp;</a>", ">a]]&gt;b</a>", ">&lt;script&gt;alert(1)&lt;</a>"]
    assert [text for text in shown if text not in content] == []
    body = (site / "feed.atom").read_text("utf-8")
    assert not re.search("[\ufffe\uffff]|<script|\\]\\]>", body)
    assert ">\\ufffe\\uffff</a>" in body
    assert f'"{URL}data/caf%C3%A9%20100%25%20%231%3Fx%3Dy"' in body


@pytest.mark.parametrize("key", ["\u202egnp.exe", "\u2066x", "\x07", "\x9b2J", "\ud800", "\u2028"])
def test_what_moves_text_or_is_no_xml_is_escaped(key: str) -> None:
    head = Head.parse(HEAD)
    changed: Any = {"set": [], "update": [], "delete": [key]}
    try:
        entry = entry_of_publish(URL, "data/", head, changed, has_new_about=False)
    except ValueError:  # such a key is in no index
        assert key in ("\x07", "\x9b2J", "\ud800")
        return
    body = render_feed(URL, None, head, None, entry)
    assert feed_problems(body) == []
    assert key.encode() not in body
    assert key.encode("unicode_escape").split(b"g")[0] in body


@pytest.mark.parametrize("name", ["text", "feed", "folder", "link"])
def test_a_feed_of_others_is_not_replaced(site: Path, tmp_path: Path, name: str) -> None:
    path = site / "feed.atom"
    if name == "folder":
        path.mkdir()
    elif name == "link":
        path.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").write_text("theirs")
    else:
        path.write_text({"text": "theirs", "feed": "<feed/>"}[name])
    with pytest.raises(StoreError, match="staticstore did not write it"):
        publish(site, feed=URL)
    assert not (site / "index.json").exists()


TAMPERED = {
    "a document type": ("<feed", '<!DOCTYPE feed [<!ENTITY a "aaaa">]><feed'),
    "unknown elements": ("<li>", "<li><script>alert(1)</script>"),
    "another scheme": (f'href="{URL}data/a.csv"', 'href="javascript:alert(1)"'),
    "another attribute": ("<ul", '<ul onclick="alert(1)"'),
    "a cut": ("</feed>", ""),
}


@pytest.mark.parametrize("change_", TAMPERED)
def test_what_others_wrote_into_it_is_left_out(site: Path, change_: str) -> None:
    publish(site, feed=URL)
    path = site / "feed.atom"
    old, new = TAMPERED[change_]
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    change(site, "c.csv", "1")
    publish(site)
    assert len(ids(site)) == 1
    assert "alert" not in path.read_text("utf-8")


def test_a_huge_feed_is_not_read(site: Path) -> None:
    publish(site, feed=URL)
    body = (site / "feed.atom").read_bytes()
    assert Feed.parse(body) is not None
    assert Feed.parse(body + b" " * (1 << 20)) is None


def test_long_keys_leave_out_the_oldest_publishes(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.site.documents.feed.MOST_FEED_BYTES", 1 << 18)
    folder = site / "data" / ("x" * 200) / ("y" * 200)
    folder.mkdir(parents=True)
    for number in range(16):
        for name in range(30):
            (folder / f"{name}{'z' * 200}").write_text(str(number) * (number + 1))
        publish(site, feed=URL)
    assert (site / "feed.atom").stat().st_size <= 1 << 18
    assert 5 < len(ids(site)) < 16


@pytest.mark.parametrize(
    "url",
    [
        "data.example.org",
        "/srv/site",
        "file:///srv/site",
        "ftp://data.example.org/",
        "https://ali:sesame@data.example.org/",
        "https://data.example.org/?sig=sesame",
        "",
        True,
        7,
    ],
)
def test_what_is_no_url_of_a_site_is_refused_without_secrets(site: Path, url: Any) -> None:
    with pytest.raises(ValueError, match="a feed needs") as raised:
        publish(site, feed=url)
    assert "sesame" not in str(raised.value)
    assert not (site / "index.json").exists()


def test_a_slash_is_added_to_the_url() -> None:
    assert checked_feed_url("HTTPS://data.example.org/a b") == "https://data.example.org/a%20b/"


def test_serve_and_nginx_serve_it(site: Path) -> None:
    import requests

    publish(site, feed=URL)
    with serve(site, port=0) as server:
        response = requests.get(server.url + "feed.atom", timeout=20)
    assert response.headers["Content-Type"].partition(";")[0] == "application/atom+xml"
    with Nginx(site) as nginx:
        assert requests.get(nginx.url + "feed.atom", timeout=20).content == response.content


def test_the_page_names_it(site: Path) -> None:
    link = '<link rel="alternate" type="application/atom+xml" href="feed.atom">'
    publish(site, browse=True)
    assert link not in (site / "index.html").read_text("utf-8")
    publish(site, feed=URL)
    assert link in (site / "index.html").read_text("utf-8")
    publish(site, feed=False)
    assert link not in (site / "index.html").read_text("utf-8")


def test_a_push_uploads_it_before_the_index(site: Path, tmp_path: Path) -> None:
    publish(site, feed=URL)
    report = push(site, tmp_path / "host")
    assert (tmp_path / "host" / "feed.atom").read_bytes() == (site / "feed.atom").read_bytes()
    assert report.uploaded.index("feed.atom") < report.uploaded.index("index.json")


def test_a_push_replaces_no_feed_of_others(
    site: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(site)
    push(site, tmp_path / "host")
    (tmp_path / "host" / "feed.atom").write_text("theirs")
    publish(site, feed=URL)
    push(site, tmp_path / "host")
    assert (tmp_path / "host" / "feed.atom").read_text() == "theirs"
    assert "feed.atom is not pushed" in caplog.text


def test_a_push_leaves_out_a_feed_of_others(site: Path, tmp_path: Path) -> None:
    publish(site)
    (site / "feed.atom").write_text("theirs")
    push(site, tmp_path / "host")
    assert not (tmp_path / "host" / "feed.atom").exists()


def test_a_mirror_leaves_it_out(site: Path, tmp_path: Path) -> None:
    publish(site, feed=URL)
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, tmp_path / "copy")
    assert not (tmp_path / "copy" / "feed.atom").exists()


def test_a_check_does_not_need_it(site: Path) -> None:
    publish(site, feed=URL)
    (site / "feed.atom").unlink()
    assert verify_site(site).wrong == []


def test_a_refused_publish_leaves_the_feed(site: Path) -> None:
    for number in range(30):
        change(site, f"{number}.csv", "1")
    publish(site, feed=URL)
    before = (site / "feed.atom").read_bytes()
    for path in (site / "data").iterdir():
        path.unlink()
    with pytest.raises(StoreError):
        publish(site)
    assert (site / "feed.atom").read_bytes() == before


def test_values_in_another_folder_are_linked_there(site: Path) -> None:
    (site / "data").rename(site / "rasters")
    publish(site, data="rasters", feed=URL)
    assert links(read(site).entries[0])[0] == f"{URL}rasters/a.csv"


def test_it_is_marked_as_ours(site: Path) -> None:
    publish(site, feed=URL)
    body = (site / "feed.atom").read_bytes()
    assert is_our_feed(body)
    assert ElementTree.fromstring(body).tag == f"{ATOM}feed"


def test_a_publish_just_before_is_not_lost(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site, feed=URL)
    locked = SiteFolder.locked

    def publish_first(folder: SiteFolder) -> AbstractContextManager[None]:
        monkeypatch.setattr(SiteFolder, "locked", locked)
        change(site, "c.csv", "1")
        publish(site)
        change(site, "d.csv", "1")
        return locked(folder)

    monkeypatch.setattr(SiteFolder, "locked", publish_first)
    publish(site)
    newest, before, _ = read(site).entries
    assert links(newest) == [f"{URL}data/d.csv"]
    assert links(before) == [f"{URL}data/c.csv"]
