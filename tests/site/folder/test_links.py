"""F7, F11: nothing is written through a link, nor copied from where one leads out of a site."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror, publish, verify_site
from staticstore.errors import StoreError
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.guards import RefusedError
from staticstore.site.mirroring.staging import Staging
from staticstore.site.push import push
from tests.sites import write_site

from ..sitefolder import THEN, fill, index_of, make_site, tree

FILES = {"a.csv": b"x\n1\n", "b/c/d.bin": b"\0\1\2", "large.bin": b"large" * 250_000}
PRECIOUS = b"precious"

# Folders and files that publishers, mirrors and pushes write.
FOLDERS = [".staticstore", "index", "blocks", "changes", "packs"]
IN_FOLDERS = [
    ".staticstore/lock",
    ".staticstore/notes",
    ".staticstore/last.json",
    ".staticstore/push.json",
    ".staticstore/probe-\u00e9",
]
IN_ROOT = ["index.json", "index.head.json", ".nojekyll", "index.html"]

#: Writes from a site into a folder.
Writer = Callable[[Path, Path], object]


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a site that has all that a site can have."""
    site = make_site(tmp_path_factory.mktemp("origin"), {"old": b"1"})
    publish(site)
    fill(site / "data", FILES | {f"many/{number}": b"" for number in range(30)})
    publish(site, pack=True)
    fill(site / "data", {"newer": b"3"})
    publish(site, pack=True)
    return site


@pytest.fixture
def site(origin: Path, tmp_path: Path) -> Path:
    """Copy it, to be changed."""
    return Path(shutil.copytree(origin, tmp_path / "site"))


def by_publish(origin: Path, target: Path) -> None:
    many = {f"many/{number}": b"" for number in range(30)}
    fill(target / "data", many | {"a.csv": FILES["a.csv"], "b/c/d.bin": FILES["b/c/d.bin"]})
    publish(target, pack=True)
    fill(target / "data", {"again": b""})
    publish(target, pack=True)
    (target / "data" / "again").unlink()


def by_mirror(origin: Path, target: Path) -> None:
    with StaticStore(origin, poll_interval=0) as store:
        mirror(store, target, delete=True, force=True)


def by_push(origin: Path, target: Path) -> None:
    push(origin, target, delete=True, force=True)


WRITERS = pytest.mark.parametrize("write", [by_publish, by_mirror, by_push])


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Make a folder that is none of the site's."""
    folder = tmp_path / "victim"
    fill(folder, {"file": PRECIOUS, "folder/file": PRECIOUS})
    os.utime(folder / "folder", (THEN, THEN))
    return folder


def is_untouched(victim: Path) -> bool:
    found = {path.relative_to(victim).as_posix(): path for path in victim.rglob("*")}
    if found.keys() != {"file", "folder", "folder/file"}:
        return False
    files = (found["file"], found["folder/file"])
    return all(path.stat().st_mtime == THEN for path in found.values()) and all(
        path.read_bytes() == PRECIOUS for path in files
    )


def attempt(write: Writer, origin: Path, target: Path) -> None:
    """Write, or refuse to and write no index: both are right."""
    try:
        write(origin, target)
    except StoreError:
        assert not list(target.glob("index/*"))


# What is written is not written through a link


@WRITERS
@pytest.mark.parametrize("place", FOLDERS)
def test_f7_a_folder_of_a_site_that_is_a_link_is_refused(
    origin: Path, tmp_path: Path, victim: Path, write: Writer, place: str
) -> None:
    target = make_site(tmp_path / "target", {})
    (target / place).symlink_to(victim / "folder")
    with pytest.raises(StoreError, match="link, and no"):
        write(origin, target)
    assert is_untouched(victim)
    assert not (target / "index.json").exists()


@WRITERS
@pytest.mark.parametrize("place", [*IN_FOLDERS, *IN_ROOT])
def test_f7_a_file_of_a_site_that_is_a_link_is_replaced_or_refused(
    origin: Path, tmp_path: Path, victim: Path, write: Writer, place: str
) -> None:
    for leads_to in ("file", "nothing"):
        target = make_site(tmp_path / leads_to, {})
        (target / place).parent.mkdir(exist_ok=True)
        (target / place).symlink_to(victim / leads_to)
        attempt(write, origin, target)
        assert is_untouched(victim)


@pytest.mark.parametrize("write", [by_mirror, by_push])
@pytest.mark.parametrize("place", ["data", "data/b", "data/b/c", "data/a.csv", "data/large.bin"])
def test_f7_no_value_is_written_through_a_link(
    origin: Path, tmp_path: Path, victim: Path, write: Writer, place: str
) -> None:
    target = tmp_path / "target"
    (target / place).parent.mkdir(parents=True)
    leads_to = "file" if "." in place else "folder"
    (target / place).symlink_to(victim / leads_to)
    attempt(write, origin, target)
    assert is_untouched(victim)


@pytest.mark.parametrize("write", [by_mirror, by_push])
@pytest.mark.parametrize("place", ["data/old-folder", "data/b/old-folder"])
def test_f7_nothing_is_deleted_through_a_link(
    origin: Path, tmp_path: Path, victim: Path, write: Writer, place: str
) -> None:
    target = tmp_path / "target"
    write(origin, target)
    (target / place).symlink_to(victim / "folder")
    (target / f"{place}.txt").symlink_to(victim / "file")
    write(origin, target)
    assert is_untouched(victim)


@WRITERS
@pytest.mark.parametrize("kind", ["index", "packs", "changes", "blocks"])
def test_f7_a_link_to_what_would_be_written_is_replaced(
    origin: Path, tmp_path: Path, victim: Path, write: Writer, kind: str
) -> None:
    """What stands under its digest and is right keeps its bytes, but not as somebody's file."""
    target = make_site(tmp_path / "target", {"old": b"1"})
    publish(target)
    write(origin, target)
    (target / "index.head.json").unlink()
    (target / "index.json").unlink()
    shutil.rmtree(target / ".staticstore")
    linked = list((target / kind).iterdir())
    assert linked
    for path in linked:
        (victim / path.name).write_bytes(path.read_bytes())
        os.utime(victim / path.name, (THEN, THEN))
        path.unlink()
        path.symlink_to(victim / path.name)
    write(origin, target)
    assert all((victim / path.name).stat().st_mtime == THEN for path in linked)
    assert index_of(target)


def test_f7_a_link_in_place_of_what_a_killed_run_has_left_is_not_taken(
    site: Path, tmp_path: Path, victim: Path
) -> None:
    copy = tmp_path / "copy"
    (copy / ".staticstore" / "incoming").mkdir(parents=True)
    sha256 = index_of(site)["large.bin"]["sha256"]
    with Staging(SiteFolder(copy), set()) as arrivals:
        left = arrivals.path_for("large.bin", sha256)
    fill(victim, {"large": FILES["large.bin"]})
    left.symlink_to(victim / "large")
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, copy)
        mirror(store, copy)
    assert not (copy / "data" / "large.bin").is_symlink()
    assert (victim / "large").stat().st_mtime == THEN


def test_data_of_a_site_may_be_a_link_to_another_disk(tmp_path: Path) -> None:
    fill(tmp_path / "disk", FILES)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "data").symlink_to(tmp_path / "disk")
    publish(tmp_path / "site")
    assert push(tmp_path / "site", tmp_path / "host").failed == []
    with StaticStore(tmp_path / "site", poll_interval=0) as store:
        report = mirror(store, tmp_path / "copy")
    assert (report.fetched, report.skipped) == (3, [])
    assert verify_site(tmp_path / "copy").wrong == []


# What only a link has is not copied


@pytest.fixture
def shared(tmp_path: Path, victim: Path) -> Path:
    """Make a site on a shared drive, with links in it."""
    site = tmp_path / "shared"
    write_site(site, {"a": b"1", "sub/b": b"2"}, lambda key, value: {})
    (site / "data" / "outward").symlink_to(victim / "file")
    (site / "data" / "folder").symlink_to(victim / "folder")
    (site / "data" / "twice").symlink_to("outward")
    (site / "data" / "inside").symlink_to("a")
    (site / "data" / "inner").symlink_to("sub")
    (site / ".staticstore").mkdir()
    (site / ".staticstore" / "notes").write_bytes(PRECIOUS)
    (site / "data" / "notes").symlink_to("../.staticstore/notes")
    (site / "data" / ".env").write_bytes(PRECIOUS)
    (site / "data" / "settings").symlink_to(".env")
    keys = [
        "a",
        "folder/file",
        "inner/b",
        "inside",
        "notes",
        "outward",
        "settings",
        "sub/b",
        "twice",
    ]
    (site / "index.json").write_text(str({key: {} for key in keys}).replace("'", '"'))
    return site


def test_f11_a_mirror_does_not_copy_what_a_link_leads_to_out_of_a_site(
    shared: Path, tmp_path: Path
) -> None:
    with StaticStore(shared, poll_interval=0) as store:
        report = mirror(store, tmp_path / "copy")
        again = mirror(store, tmp_path / "copy")
    outward = "a symbolic link leads out of the site"
    assert (
        report.skipped
        == again.skipped
        == [
            ("folder/file", outward),
            ("notes", "a symbolic link leads to '.staticstore/notes', which is withheld"),
            ("outward", outward),
            ("settings", "a symbolic link leads to 'data/.env', which is withheld"),
            ("twice", outward),
        ]
    )
    assert list(index_of(tmp_path / "copy")) == ["a", "inner/b", "inside", "sub/b"]
    copied = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert not any(PRECIOUS in path.read_bytes() for path in copied)


def test_f8_what_only_a_link_has_does_not_count_as_left(tmp_path: Path, victim: Path) -> None:
    site, copy = tmp_path / "many", tmp_path / "copy"
    write_site(site, {f"{number:02}": b"1" for number in range(20)}, lambda key, value: {})
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, copy)
    for number in range(11):
        (site / "data" / f"{number:02}").unlink()
        (site / "data" / f"{number:02}").symlink_to(victim / "file")
        (copy / "data" / f"{number:02}").unlink()
    before = tree(copy)
    with (
        StaticStore(site, poll_interval=0) as store,
        pytest.raises(
            RefusedError, match=r"would leave 9 of 20 entries.*a symbolic link leads out"
        ),
    ):
        mirror(store, copy)
    assert tree(copy) == before


def test_reading_what_a_link_leads_to_is_the_readers_own(shared: Path) -> None:
    with StaticStore(shared, poll_interval=0) as store:
        assert store["outward"].read() == store["folder/file"].read() == PRECIOUS


def test_f11_a_push_does_not_upload_what_a_link_leads_to_out_of_a_site(
    site: Path, tmp_path: Path, victim: Path
) -> None:
    (site / "data" / "a.csv").unlink()
    (site / "data" / "a.csv").symlink_to(victim / "file")
    with pytest.raises(StoreError, match="symbolic links lead out of"):
        push(site, tmp_path / "host")
    assert not (tmp_path / "host" / "data").exists()


@pytest.mark.parametrize("name", ["index.html", ".nojekyll"])
def test_f11_a_push_does_not_upload_a_linked_page(
    site: Path, tmp_path: Path, victim: Path, name: str
) -> None:

    (site / name).unlink(missing_ok=True)
    (site / name).symlink_to(victim / "file")
    with pytest.raises(StoreError, match="a symbolic link leads out of the site"):
        push(site, tmp_path / "host")


@pytest.mark.parametrize("name", ["index.json", "index.head.json"])
def test_f11_a_mirror_does_not_copy_a_linked_index(
    site: Path, tmp_path: Path, victim: Path, name: str
) -> None:
    """What is a JSON object elsewhere, such as credentials, would be copied as an index."""
    shutil.move(site / name, victim / name)
    (site / name).symlink_to(victim / name)
    with (
        StaticStore(site, poll_interval=0) as store,
        pytest.raises(StoreError, match="a symbolic link leads out of the site"),
    ):
        mirror(store, tmp_path / "copy")


@pytest.mark.parametrize(("link", "data_path"), [("data", "data/"), ("above", "above/folder/")])
def test_f11_a_mirror_copies_nothing_without_a_digest_from_a_linked_data_folder(
    tmp_path: Path, victim: Path, link: str, data_path: str
) -> None:
    site, copy = tmp_path / "shared", tmp_path / "copy"
    site.mkdir()
    (site / link).symlink_to(victim / "folder" if link == "data" else victim)
    (site / "index.json").write_text('{"file":{}}')
    with StaticStore(site, data_path=data_path, poll_interval=0) as store:
        report = mirror(store, copy)
    assert report.skipped == [("file", "a symbolic link leads out of the site")]
    assert not (copy / "data" / "file").exists()


def test_f11_a_mirror_does_not_copy_an_index_below_a_linked_folder(
    tmp_path: Path, victim: Path
) -> None:
    site = tmp_path / "shared"
    write_site(site, {"a": b"1"})
    shutil.move(site / "index.json", victim / "settings.json")
    (site / "sub").symlink_to(victim)
    with (
        StaticStore(site, index_path="sub/settings.json", poll_interval=0) as store,
        pytest.raises(StoreError, match="a symbolic link leads out of the site"),
    ):
        mirror(store, tmp_path / "copy")
