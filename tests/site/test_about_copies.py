"""F11: the site's own words are carried along, and no name and no file of others is touched."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from staticstore import StaticStore, StoreError, TransportError, mirror, publish, push, verify_site
from staticstore.disk.atomic import atomic_file
from staticstore.index.about import ABOUT_NAME
from staticstore.index.head import Head, NamedDocument, Role
from staticstore.site.documents import root_files
from staticstore.site.documents.root_files import OwnFiles
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.pushing.target import FolderTarget
from staticstore.site.server import SiteServer, serve
from tests.servers import RawServer, serve_files

from .sitefolder import THEN, make_site, tree

README = b"# Ilvar\n"
WORDS = b'title = "Ilvar"\n'


def write(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    os.utime(path, (THEN, THEN))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", {"a.csv": b"x\n1\n", "b/c.bin": b"123"})
    write(folder / "about.toml", WORDS)
    write(folder / "README.md", README)
    write(folder / "LICENSE", b"CC0")
    publish(folder)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def say(site: Path, **files: bytes) -> None:
    """Publish other words: files by their names, with an underscore for the dot."""
    for name, body in files.items():
        write(site / name.replace("_", "."), body)
    publish(site)


def words_of(root: Path) -> dict[str, Any] | None:
    with StaticStore(root, poll_interval=0) as store:
        return store.about()


def mirrored(site: Path, copy: Path, **options: Any) -> None:
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, copy, **options)


# A mirror


def test_f11_ones_own_readme_beside_a_copy_is_passed_over_by_the_check(
    site: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy.mkdir()
    write(copy / "README.md", b"notes of one's own")
    mirrored(site, copy)
    caplog.clear()
    assert verify_site(copy).wrong == []
    assert "'README.md' is left out" in caplog.text


def test_f11_ones_own_readme_beside_a_copy_is_passed_over_by_a_push(
    site: Path, copy: Path, tmp_path: Path
) -> None:
    copy.mkdir()
    write(copy / "README.md", b"notes of one's own")
    mirrored(site, copy)
    push(copy, tmp_path / "host")
    assert not (tmp_path / "host" / "README.md").exists()
    assert (tmp_path / "host" / "LICENSE").read_bytes() == b"CC0"


def test_a_readme_that_is_gone_from_a_copy_is_wrong(site: Path, copy: Path) -> None:
    mirrored(site, copy)
    (copy / "README.md").unlink()
    assert verify_site(copy).wrong == [("README.md", "there is no such file")]


def test_a_readme_of_before_that_a_mirror_wrote_is_wrong_in_its_copy(
    site: Path, copy: Path
) -> None:
    mirrored(site, copy)
    say(site, README_md=b"other")
    mirrored(site, copy)
    write(copy / "README.md", README)
    assert verify_site(copy).wrong == [("README.md", "it is not the file that about.json names")]


def test_a_changed_readme_of_a_site_that_is_no_copy_is_wrong(site: Path) -> None:
    write(site / "README.md", b"changed")
    assert verify_site(site).wrong == [("README.md", "it is not the file that about.json names")]


def test_a_mirror_carries_all_of_it(site: Path, copy: Path) -> None:
    mirrored(site, copy)
    for name in (ABOUT_NAME, "README.md", "LICENSE", "index.head.json"):
        assert (copy / name).read_bytes() == (site / name).read_bytes()
    assert words_of(copy) == words_of(site)
    assert not verify_site(copy).wrong


def test_a_mirror_of_a_part_carries_all_of_it(site: Path, copy: Path) -> None:
    mirrored(site, copy, globs="*.csv")
    assert words_of(copy) == words_of(site)
    assert (copy / "README.md").read_bytes() == README
    assert head_of(copy).lineage != head_of(site).lineage


@pytest.mark.parametrize("globs", [(), "*.csv"])
def test_a_second_mirror_takes_over_what_has_changed(
    site: Path, copy: Path, globs: str | tuple[str, ...]
) -> None:
    mirrored(site, copy, globs=globs)
    say(site, README_md=b"another", about_toml=b'title = "Other"\n')
    mirrored(site, copy, globs=globs)
    assert (copy / "README.md").read_bytes() == b"another"
    assert words_of(copy) == words_of(site)
    assert not verify_site(copy).wrong


def test_a_second_mirror_changes_nothing(site: Path, copy: Path) -> None:
    mirrored(site, copy)
    before = tree(copy)
    mirrored(site, copy)
    assert tree(copy) == before


def test_what_a_site_takes_back_goes_by_delete(site: Path, copy: Path) -> None:
    mirrored(site, copy)
    write(copy / "README.txt", b"mine")
    (site / "about.toml").unlink()
    publish(site)
    mirrored(site, copy)
    assert (copy / "README.md").exists()
    mirrored(site, copy, delete=True)
    assert not [name for name in (ABOUT_NAME, "README.md", "LICENSE") if (copy / name).exists()]
    assert (copy / "README.txt").read_bytes() == b"mine"


def test_a_site_without_a_head_has_no_words(site: Path, copy: Path) -> None:
    (site / "index.head.json").unlink()
    mirrored(site, copy)
    assert not (copy / ABOUT_NAME).exists()
    assert not (copy / "README.md").exists()


@pytest.mark.parametrize("name", ["README.md", ABOUT_NAME])
def test_a_file_of_somebody_else_in_a_copy_stays(
    site: Path, copy: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    copy.mkdir()
    write(copy / name, b"mine")
    mirrored(site, copy)
    assert (copy / name).read_bytes() == b"mine"
    assert f"{name} is not copied" in caplog.text
    assert (copy / "LICENSE").read_bytes() == b"CC0"


def test_a_file_does_not_become_ours_because_a_host_names_its_digest(
    site: Path, copy: Path
) -> None:
    copy.mkdir()
    write(copy / "README.md", README)
    mirrored(site, copy)
    say(site, README_md=b"theirs")
    mirrored(site, copy)
    assert (copy / "README.md").read_bytes() == README


def test_a_file_of_ours_that_somebody_has_edited_stays(site: Path, copy: Path) -> None:
    mirrored(site, copy)
    write(copy / "README.md", b"edited")
    say(site, README_md=b"theirs")
    mirrored(site, copy, delete=True)
    assert (copy / "README.md").read_bytes() == b"edited"


@pytest.mark.parametrize("name", ["README.md", ABOUT_NAME])
def test_no_write_passes_a_link(site: Path, copy: Path, tmp_path: Path, name: str) -> None:
    copy.mkdir()
    write(tmp_path / "outside", b"outside")
    (copy / name).symlink_to(tmp_path / "outside")
    mirrored(site, copy)
    assert (copy / name).is_symlink()
    assert (tmp_path / "outside").read_bytes() == b"outside"


def test_a_folder_that_is_a_link_is_refused(site: Path, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    copy.mkdir()
    (copy / "about").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="is a symbolic link"):
        mirrored(site, copy)
    assert not list((tmp_path / "outside").iterdir())


def test_a_folder_in_place_of_a_file_stays(site: Path, copy: Path) -> None:
    (copy / "README.md").mkdir(parents=True)
    mirrored(site, copy)
    assert (copy / "README.md").is_dir()
    assert (copy / "LICENSE").read_bytes() == b"CC0"


def test_a_write_that_broke_off_leaves_no_file_of_others(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SiteFolder(site)
    OwnFiles(folder).write("README.txt", b"first")

    with monkeypatch.context() as disk:

        def only_notes(path: Path, **options: Any) -> Any:
            if path.name == "README.txt":
                raise OSError(5, "Input/output error")
            return atomic_file(path, **options)

        disk.setattr(root_files, "atomic_file", only_notes)
        with pytest.raises(OSError, match="Input/output"):
            OwnFiles(folder).write("README.txt", b"second")
    assert OwnFiles(folder).write("README.txt", b"third")
    assert (site / "README.txt").read_bytes() == b"third"


@pytest.mark.parametrize("note", [b"", b"[]", b'{"format":"staticstore-written/1","files":[1]}'])
def test_a_note_that_cannot_be_read_makes_no_file_ours(site: Path, copy: Path, note: bytes) -> None:
    mirrored(site, copy)
    (copy / ".staticstore" / "written.json").write_bytes(note)
    say(site, README_md=b"theirs")
    mirrored(site, copy)
    assert (copy / "README.md").read_bytes() == README


# A mirror of a host that lies


class Host:
    """A host with a published site, of which a test bends the words."""

    def __init__(self, site: Path) -> None:
        self.files = {
            path.relative_to(site).as_posix(): path.read_bytes()
            for path in site.rglob("*")
            if path.is_file()
        }

    def say(self, said: Any) -> None:
        """Name other words in the head."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        document = NamedDocument.of(Role.ABOUT, body)
        head = Head.parse(self.files["index.head.json"])
        self.files["index.head.json"] = Head(**{**vars(head), "about": document}).encode()
        self.files[document.href] = body


@pytest.fixture
def host(site: Path) -> Host:
    return Host(site)


@pytest.fixture
def server(host: Host, start: Callable[..., RawServer]) -> RawServer:
    return start(serve_files(host.files), heads=True)


def mirrored_from(server: RawServer, copy: Path) -> None:
    with StaticStore(server.url, poll_interval=0) as store:
        mirror(store, copy)


@pytest.mark.parametrize(
    "name", ["README.php", "../README.md", "README.md/x", ".git/config", "index.html", "data/x"]
)
def test_a_name_that_is_not_on_the_list_is_neither_asked_for_nor_written(
    host: Host, server: RawServer, copy: Path, name: str
) -> None:
    body = b"<?php evil();"
    host.files[name] = body
    file = {"size": len(body), "sha256": NamedDocument.of(Role.ABOUT, body).sha256}
    host.say({"title": "Evil", "files": {name: file}})
    mirrored_from(server, copy)
    assert not [request for request in server.requests if name in request.path]
    assert body not in [path.read_bytes() for path in copy.parent.rglob("*") if path.is_file()]


@pytest.mark.parametrize("body", [None, b"", b"another", b"x" * (2 << 20)])
def test_a_file_that_is_not_as_described_is_not_written(
    host: Host, server: RawServer, copy: Path, body: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    if body is None:
        del host.files["README.md"]
    else:
        host.files["README.md"] = body
    mirrored_from(server, copy)
    assert not (copy / "README.md").exists()
    assert (copy / "LICENSE").exists()
    assert "README.md is not copied" in caplog.text


@pytest.mark.parametrize("said", [b"<html>", b"[]", b"\xff", {"title": 5, "files": "README.md"}])
def test_words_that_cannot_be_read_stop_no_mirror(
    host: Host, server: RawServer, copy: Path, said: Any
) -> None:
    host.say(said)
    mirrored_from(server, copy)
    assert not (copy / "README.md").exists()
    assert (copy / "data" / "a.csv").exists()


def test_words_that_are_not_there_as_named_are_not_copied(
    host: Host, server: RawServer, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    about = Head.parse(host.files["index.head.json"]).about
    assert about is not None
    host.files[about.href] = b'{"title":"Evil"}\n'
    mirrored_from(server, copy)
    assert not (copy / "about").exists()
    assert not (copy / ABOUT_NAME).exists()
    assert "not there as its head says" in caplog.text


def test_what_stands_there_is_not_fetched_again(server: RawServer, copy: Path) -> None:
    mirrored_from(server, copy)
    before = len(server.requests)
    mirrored_from(server, copy)
    again = [request.path for request in server.requests[before:]]
    assert not [path for path in again if "about" in path or "README" in path]


# A push


def break_line(line: pytest.MonkeyPatch, at: str) -> None:
    write_file = FolderTarget.write

    def broken(self: FolderTarget, href: str, *rest: Any) -> None:
        if href == at:
            raise TransportError("the line broke")
        write_file(self, href, *rest)

    line.setattr(FolderTarget, "write", broken)


def test_a_push_brings_all_of_it(site: Path, copy: Path) -> None:
    report = push(site, copy)
    assert (copy / "README.md").read_bytes() == README
    assert words_of(copy) == words_of(site)
    assert report.uploaded.index(ABOUT_NAME) < report.uploaded.index("index.head.json")
    assert not verify_site(copy).wrong
    assert not (copy / "about.toml").exists()


def test_a_second_push_uploads_nothing(site: Path, copy: Path) -> None:
    push(site, copy)
    assert push(site, copy).uploaded == []


def test_a_push_brings_words_that_changed_alone(site: Path, copy: Path) -> None:
    push(site, copy)
    say(site, README_md=b"another")
    document = head_of(site).about
    assert document is not None
    assert set(push(site, copy).uploaded) == {
        document.href,
        ABOUT_NAME,
        "README.md",
        "index.head.json",
    }
    assert (copy / "README.md").read_bytes() == b"another"


@pytest.mark.parametrize("name", ["README.md", ABOUT_NAME])
def test_a_file_of_somebody_else_at_the_target_stays(
    site: Path, copy: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    copy.mkdir()
    write(copy / name, b"mine")
    for _ in range(2):
        push(site, copy, force=True)
        say(site, about_toml=b'title = "Other"\n')
    assert (copy / name).read_bytes() == b"mine"
    assert f"{name} is not pushed" in caplog.text
    assert (copy / "LICENSE").read_bytes() == b"CC0"


@pytest.mark.parametrize("name", ["README.md", "LICENSE"])
@pytest.mark.parametrize("broken_at", [None, "index.head.json"])
def test_f11_a_file_of_somebody_else_stays_though_it_had_our_bytes(
    site: Path,
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken_at: str | None,
) -> None:
    theirs = (site / name).read_bytes()
    copy.mkdir()
    write(copy / name, theirs)
    with monkeypatch.context() as line:
        if broken_at is not None:
            break_line(line, broken_at)
        with contextlib.suppress(TransportError):
            push(site, copy, force=True)
    write(site / name, b"another")
    publish(site)
    push(site, copy)
    assert (copy / name).read_bytes() == theirs
    (site / name).unlink()
    publish(site)
    push(site, copy, delete=True)
    assert (copy / name).read_bytes() == theirs


def test_f11_a_file_of_somebody_else_that_is_gone_gives_its_name_back(
    site: Path, copy: Path
) -> None:
    copy.mkdir()
    write(copy / "README.md", README)
    push(site, copy, force=True)
    (copy / "README.md").unlink()
    for words in (b"second", b"third"):
        say(site, README_md=words)
        push(site, copy)
        assert (copy / "README.md").read_bytes() == words


def test_a8_a_file_at_the_target_that_is_too_large_to_be_ours_stays(site: Path, copy: Path) -> None:
    copy.mkdir()
    write(copy / "README.md", b"")
    os.truncate(copy / "README.md", 5 << 30)  # which takes no room
    push(site, copy, force=True)
    assert (copy / "README.md").stat().st_size == 5 << 30
    assert words_of(copy) == words_of(site)


def test_a_push_that_broke_off_leaves_no_file_of_others(
    site: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(site, copy)
    say(site, README_md=b"second")
    with monkeypatch.context() as line:
        break_line(line, "index.head.json")
        with pytest.raises(TransportError):
            push(site, copy)
    assert (copy / "README.md").read_bytes() == b"second"
    say(site, README_md=b"third")
    push(site, copy)
    assert (copy / "README.md").read_bytes() == b"third"


def test_what_a_site_takes_back_is_deleted_from_the_target(site: Path, copy: Path) -> None:
    push(site, copy)
    (site / "LICENSE").unlink()
    publish(site)
    assert "LICENSE" in push(site, copy, delete=True).deleted
    assert not (copy / "LICENSE").exists()
    assert (copy / "README.md").exists()


def test_a_file_that_changed_since_the_publish_is_not_pushed(site: Path, copy: Path) -> None:
    write(site / "README.md", b"another")
    with pytest.raises(StoreError, match=r"'README\.md': it is not the file"):
        push(site, copy)


def test_a_mirrors_copy_that_lacks_a_file_can_be_pushed(
    site: Path, copy: Path, tmp_path: Path
) -> None:
    mirrored(site, copy)
    (copy / "README.md").unlink()
    push(copy, tmp_path / "host")
    assert words_of(tmp_path / "host") == words_of(site)


# A server


@pytest.fixture
def served(site: Path) -> Iterator[SiteServer]:
    write(site / "CITATION.cff", b"cff-version: 1.2.0\n")
    with serve(site, port=0) as running:
        yield running


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "CITATION.cff"])
def test_the_files_are_served_as_text(served: SiteServer, name: str) -> None:
    answer = requests.get(served.url + name, timeout=10)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["about.toml", "ABOUT.toml", "%61bout.toml", "data/link"])
def test_what_the_publisher_reads_is_not_served(site: Path, served: SiteServer, name: str) -> None:
    (site / "data" / "link").symlink_to("../about.toml")
    assert requests.get(served.url + name, timeout=10).status_code == 404


def test_a_value_of_such_a_name_is_served_as_what_it_is(site: Path, served: SiteServer) -> None:
    write(site / "data" / "README.md", README)
    write(site / "data" / "about.toml", WORDS)
    answer = requests.get(served.url + "data/README.md", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/markdown")
    assert requests.get(served.url + "data/about.toml", timeout=10).content == WORDS
