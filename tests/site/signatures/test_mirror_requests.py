"""How often a mirror asks a site without signatures for them, and that it finds the first ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror, publish, serve
from staticstore.index import codec
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.mirroring.index_files import read_mirror_note
from staticstore.site.signatures.key_folder import KeyFolder
from tests.servers import Nginx, RawServer, serve_files
from tests.site.sitefolder import fill


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def mirrored(url: str, copy: Path) -> None:
    """Mirror as a timer does, in a new store each time."""
    with StaticStore(url, poll_interval=0) as store:
        mirror(store, copy)


def asked(web: Nginx) -> int:
    """Return how often a file of ``trust/`` was asked for."""
    return sum("/trust/" in request.target for request in web.requests())


def test_a_first_mirror_asks_once_for_signatures_and_one_of_a_new_head_again(
    site: Path, copy: Path
) -> None:
    publish(site)
    with Nginx(site) as web:
        mirrored(web.url, copy)
        mirrored(web.url, copy)
        assert asked(web) == 1
        fill(site / "data", {"new.txt": b"new"})
        publish(site)
        mirrored(web.url, copy)
        mirrored(web.url, copy)
        assert asked(web) == 2


def test_a_day_later_it_asks_again(site: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site)
    with Nginx(site) as web:
        mirrored(web.url, copy)
        now = time.time() + 25 * 3600
        monkeypatch.setattr(time, "time", lambda: now)
        mirrored(web.url, copy)
        assert asked(web) == 2


def test_a_site_without_a_head_is_not_asked_for_signatures(copy: Path) -> None:
    with RawServer(serve_files({"index.json": b'{"a": {}}', "data/a": b"a"})) as server:
        mirrored(server.url, copy)
        assert [one.path for one in server.requests if "/trust/" in one.path] == []


def test_a_host_that_does_not_say_when_its_head_changes_is_asked_each_time(
    site: Path, copy: Path
) -> None:
    publish(site)
    paths = (path for path in site.rglob("*") if path.is_file())
    files = {path.relative_to(site).as_posix(): path.read_bytes() for path in paths}
    with RawServer(serve_files(files, etag=None, dates=False), heads=True) as server:
        for times in (1, 2):
            mirrored(server.url, copy)
            assert [one.path for one in server.requests].count("/trust/timestamp.json") == times


def test_the_first_signatures_of_an_unchanged_site_are_carried_at_once(
    site: Path, copy: Path, keys: KeyFolder
) -> None:
    generation = publish(site).generation
    with serve(site, port=0) as server:
        mirrored(server.url, copy)
        assert publish(site, sign=keys).generation == generation
        mirrored(server.url, copy)
    trust = keys.path / "1.root.json"
    with StaticStore(copy, trust=trust, poll_interval=0) as store:
        assert list(store) == ["a.csv", "b/c.bin"]


@pytest.mark.parametrize("noted", [7, ["a", True], {"a": 1}])
def test_f18_a_damaged_note_of_when_it_asked_is_none(site: Path, copy: Path, noted: object) -> None:
    publish(site)
    with Nginx(site) as web:
        mirrored(web.url, copy)
        note = copy / ".staticstore" / "mirror.json"
        fields = codec.decode(note.read_bytes())
        note.write_bytes(codec.encode({**fields, "unsigned": noted}))
        assert read_mirror_note(SiteFolder(copy)).whole
        mirrored(web.url, copy)
        assert asked(web) == 2
