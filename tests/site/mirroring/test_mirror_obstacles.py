"""F13: a folder that no mirror made.  F14: a file that becomes a folder, and the reverse."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from staticstore import Index, MirrorReport, StaticStore, mirror, publish, push
from staticstore.site.guards import RefusedError
from staticstore.site.publisher import verify_site

from ..sitefolder import fill, index_of, make_site, tree

FILES = {"a.csv": b"x\n1\n", "b/c.bin": b"123", "d.txt": b"4"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = make_site(tmp_path / "site", FILES)
    publish(site, pack=True)
    return site


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


def copied(site: Path, copy: Path, **options: Any) -> MirrorReport:
    with StaticStore(site, poll_interval=0) as store:
        return mirror(store, copy, **options)


def republish(site: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(site / "data")
    make = site / "data"
    make.mkdir()
    fill(make, files)
    publish(site, pack=True)


# A folder that no mirror made


@pytest.mark.parametrize(
    "mine",
    [
        "data/a.csv",
        "data/b/c.bin",
        "data/mine.csv",
        "data/b/deep/mine.csv",
        "index.json",
        "index.head.json",
        f"index/{'0' * 64}.json",
        f"packs/{'0' * 64}.zip",
        f"about/{'0' * 64}.json",
        "changes",
    ],
)
@pytest.mark.parametrize("delete", [False, True])
def test_f13_files_that_no_mirror_made_are_not_replaced(
    site: Path, copy: Path, mine: str, delete: bool
) -> None:
    fill(copy, {mine: b"my only copy"})
    before = tree(copy)
    with pytest.raises(RefusedError, match="is no mirror") as caught:
        copied(site, copy, delete=delete)
    assert repr(mine) in str(caught.value)
    assert tree(copy) == before
    assert not (copy / ".staticstore").exists()


def test_f13_it_is_still_refused_after_it_was_refused(site: Path, copy: Path) -> None:
    fill(copy / "data", {"a.csv": b"mine"})
    for _ in range(2):
        with pytest.raises(RefusedError):
            copied(site, copy)


@pytest.mark.parametrize(
    ("folder", "suffix"),
    [
        ("index", "json"),
        ("blocks", "json"),
        ("blocks", "jsonl"),
        ("changes", "jsonl"),
        ("packs", "zip"),
        ("about", "json"),
    ],
)
def test_f13_files_of_others_that_are_named_by_their_digest_are_not_removed(
    site: Path, copy: Path, folder: str, suffix: str
) -> None:
    mine = f"{folder}/{hashlib.sha256(b'my only copy').hexdigest()}.{suffix}"
    fill(copy, {mine: b"my only copy"})
    with pytest.raises(RefusedError, match=mine):
        copied(site, copy, delete=True)
    assert (copy / mine).read_bytes() == b"my only copy"


def test_f13_what_the_origin_names_by_its_digest_is_no_obstacle(site: Path, copy: Path) -> None:
    for folder in ("index", "blocks", "packs"):
        shutil.copytree(site / folder, copy / folder)
    assert copied(site, copy).failed == []
    assert verify_site(copy).wrong == []


def test_f13_the_lock_of_a_publish_that_was_cut_short_makes_no_folder_ours(
    site: Path, copy: Path
) -> None:
    fill(copy, {"data/a.csv": b"mine", ".staticstore/lock": b""})
    with pytest.raises(RefusedError, match="is no mirror"):
        copied(site, copy)
    assert (copy / "data" / "a.csv").read_bytes() == b"mine"


def test_f13_such_a_folder_can_be_forced(site: Path, copy: Path) -> None:
    fill(copy, {"data/a.csv": b"mine", "index.json": b"mine", "index.head.json": b"mine"})
    copied(site, copy, force={"folder"})
    assert verify_site(copy).wrong == []


def test_f13_files_with_the_right_bytes_are_no_obstacle(site: Path, copy: Path) -> None:
    shutil.copytree(site / "data", copy / "data")
    shutil.copy(site / "index.json", copy)
    report = copied(site, copy)
    assert (report.fetched, report.kept) == (0, 3)


def test_f13_a_checkout_of_an_older_copy_is_a_copy(site: Path, copy: Path) -> None:
    copied(site, copy)
    shutil.rmtree(copy / ".staticstore")
    republish(site, {**FILES, "a.csv": b"another"})
    assert copied(site, copy).fetched == 1
    assert verify_site(copy).wrong == []


def test_f13_what_was_changed_in_such_a_checkout_is_an_obstacle(site: Path, copy: Path) -> None:
    copied(site, copy)
    shutil.rmtree(copy / ".staticstore")
    fill(copy / "data", {"a.csv": b"changed by hand"})
    with pytest.raises(RefusedError, match=r"'data/a\.csv'"):
        copied(site, copy)


def test_f13_what_a_mirror_does_not_write_is_no_obstacle(site: Path, copy: Path) -> None:
    fill(copy, {"README.md": b"mine", ".git/config": b"mine", "index/mine.html": b"mine"})
    before = tree(copy)
    copied(site, copy, delete=True)
    assert before.items() <= tree(copy).items()


@pytest.mark.parametrize("note", ["notes", "notes.json", "last.json", "mirror.json"])
def test_a_folder_that_was_published_or_mirrored_is_ours(site: Path, copy: Path, note: str) -> None:
    copied(site, copy)
    (copy / ".staticstore" / "notes").rename(copy / ".staticstore" / note)
    (copy / "data" / "a.csv").write_bytes(b"changed by hand")
    copied(site, copy)
    assert (copy / "data" / "a.csv").read_bytes() == FILES["a.csv"]


def test_f1_a_first_mirror_that_broke_off_goes_on_though_the_site_has_changed(
    site: Path, copy: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copied(site, copy, progress=stop)
    fill(copy / "data", {"a.csv": FILES["a.csv"]})
    republish(site, {**FILES, "a.csv": b"another"})
    assert copied(site, copy).failed == []


# A file becomes a folder, and the reverse

TURNS = [
    (["x"], ["x/in"]),
    (["x/in"], ["x"]),
    (["a/b/c"], ["a"]),
    (["a"], ["a/b/c"]),
    (["a/b"], ["a/b/c", "a/b/d/e", "a/c"]),
    (["a/b/c", "a/b/d/e", "a/c"], ["a/b"]),
    (["p", "q/in", "r"], ["p/in", "q", "r/in/deep"]),
    (["b/x/in", "b/y"], ["b/x", "b/y/in"]),
]


def turned(site: Path, keys: list[str]) -> None:
    republish(site, {**FILES, **{key: b"value of " + key.encode() for key in keys}})


@pytest.mark.parametrize(("first", "then"), TURNS)
def test_f14_a_mirror_does_it_in_one_run(
    site: Path, copy: Path, first: list[str], then: list[str]
) -> None:
    turned(site, first)
    copied(site, copy, delete=True)
    turned(site, then)
    report = copied(site, copy, delete=True)
    assert (report.failed, report.kept, report.deleted) == ([], 3, len(first))
    assert (copy / "index.head.json").read_bytes() == (site / "index.head.json").read_bytes()
    assert verify_site(copy) == verify_site(site)
    assert not (copy / ".staticstore" / "incoming").exists()


@pytest.mark.parametrize(("first", "then"), TURNS)
def test_f14_a_push_does_it_in_one_run(
    site: Path, tmp_path: Path, first: list[str], then: list[str]
) -> None:
    turned(site, first)
    push(site, tmp_path / "host", delete=True)
    turned(site, then)
    report = push(site, tmp_path / "host", delete=True)
    assert report.failed == []
    assert {f"data/{key}" for key in first} <= set(report.deleted)
    checked = verify_site(tmp_path / "host")
    assert (checked.wrong, checked.extra) == ([], [])


@pytest.mark.parametrize(("first", "then"), TURNS[:2])
def test_f14_without_delete_it_fails_for_that_key_and_says_why(
    site: Path, copy: Path, tmp_path: Path, first: list[str], then: list[str]
) -> None:
    turned(site, first)
    copied(site, copy)
    push(site, tmp_path / "host")
    turned(site, then)
    (failed,) = copied(site, copy).failed
    (stayed,) = push(site, tmp_path / "host").failed
    assert (failed[0], stayed[0]) == (then[0], f"data/{then[0]}")
    assert "place" in failed[1]
    assert "place" in stayed[1]
    assert (copy / "data" / first[0]).is_file()
    assert copied(site, copy, delete=True).failed == []
    assert push(site, tmp_path / "host", delete=True).failed == []
    assert verify_site(copy).wrong == verify_site(tmp_path / "host").wrong == []


def test_f14_a_folder_with_a_link_in_it_is_not_removed(
    site: Path, copy: Path, tmp_path: Path
) -> None:
    turned(site, ["x/in"])
    copied(site, copy)
    fill(tmp_path / "elsewhere", {"mine": b"mine"})
    (copy / "data" / "x" / "link").symlink_to(tmp_path / "elsewhere")
    turned(site, ["x"])
    report = copied(site, copy, delete=True)
    assert report.failed == [("x", "a folder is in its place")]
    assert (copy / "data" / "x" / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "mine").exists()


def test_f14_a_link_in_the_way_is_not_removed(site: Path, copy: Path, tmp_path: Path) -> None:
    copied(site, copy)
    (tmp_path / "elsewhere").mkdir()
    (copy / "data" / "x").symlink_to(tmp_path / "elsewhere")
    turned(site, ["x/in"])
    (failed,) = copied(site, copy, delete=True).failed
    assert failed[0] == "x/in"
    assert not list((tmp_path / "elsewhere").iterdir())


def test_f14_a_value_that_cannot_be_had_comes_with_the_next_run(site: Path, copy: Path) -> None:
    turned(site, ["x"])
    copied(site, copy)
    turned(site, ["x/in"])
    hidden = [site / "packs", site / "data" / "x"]
    for path in hidden:
        path.rename(path.with_suffix(".hidden"))
    report = copied(site, copy, delete=True)
    assert "x/in" in dict(report.failed)
    assert verify_site(copy).wrong == []
    for path in hidden:
        path.with_suffix(".hidden").rename(path)
    assert copied(site, copy, delete=True).failed == []
    assert verify_site(copy) == verify_site(site)


def test_f14_a_push_cut_short_between_is_made_up_for_if_the_change_is_taken_back(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "host"
    turned(site, ["x"])
    push(site, host, delete=True)
    turned(site, ["x/in"])

    def broken(upload: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("staticstore.site.push.verified_pieces", broken)
        with pytest.raises(KeyboardInterrupt):
            push(site, host, delete=True)
    assert not (host / "data" / "x").exists()
    turned(site, ["x"])
    push(site, host, delete=True)
    assert verify_site(host).wrong == []
    assert "x" in index_of(host)


def test_f1_a_mirror_cut_short_at_any_move_is_made_up_for_by_the_next(
    site: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned(site, ["x/in", "x/more", "y"])
    copied(site, copy)
    turned(site, ["x", "y/in"])
    for count in itertools.count():
        left = itertools.count(-count)

        def move(original: Callable[..., None], *paths: object, left: Iterator[int] = left) -> None:
            if not next(left):
                raise KeyboardInterrupt
            original(*paths)

        torn = Path(shutil.copytree(copy, tmp_path / str(count)))
        with monkeypatch.context() as patched:
            for name in ("replace", "rename"):
                patched.setattr(os, name, partial(move, getattr(os, name)))
            with contextlib.suppress(KeyboardInterrupt):
                copied(site, torn, delete=True)
                break
        assert len(Index.parse((torn / "index.json").read_bytes())) in (5, 6)  # it is a site
        assert copied(site, torn, delete=True).failed == []
        assert verify_site(torn) == verify_site(site)
        assert not (torn / ".staticstore" / "incoming").exists()
    assert count > 10
