"""F15: what a head names and is gone, or was altered, is written again or no longer named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror, publish
from staticstore.index.head import Head
from staticstore.site.publisher import verify_site

from ..sitefolder import fill, make_site, tree

# Enough entries that a change file is below a quarter of the index.
FILES = {f"{number:02}.txt": b"%d" % number * 50 for number in range(40)}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site with documents of all kinds."""
    site = make_site(tmp_path / "site", FILES)
    publish(site, pack=True)
    for value in (b"another value", b"and one more"):
        fill(site / "data", {"00.txt": value})
        publish(site, pack=True)
    assert head_of(site).change_files
    return site


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body[: len(body) // 2])


def _alter(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.unlink()
    path.write_bytes(body)


DAMAGE = {"gone": _remove, "truncated": _truncate, "altered": _alter}
PATTERNS = (
    "index/*.json",
    "blocks/*.json",
    "blocks/*.jsonl",
    "changes/*.jsonl",
    "packs/*.zip",
)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_f15_a_publish_that_changes_nothing_makes_up_for_it(
    site: Path, pattern: str, damage: Callable[[Path], None]
) -> None:
    before = head_of(site)
    for path in list(site.glob(pattern)):
        damage(path)
    report = publish(site, pack=True)
    assert (report.set, report.updated, report.deleted) == ([], [], [])
    assert verify_site(site).wrong == []
    assert head_of(site).lineage == before.lineage


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_f15_an_index_json_alone_is_written_again_as_it_was(
    site: Path, damage: Callable[[Path], None]
) -> None:
    before, head = (site / "index.json").read_bytes(), head_of(site)
    damage(site / "index.json")
    for path in (site / "data").iterdir():
        os.utime(path)  # as after a checkout
    report = publish(site, pack=True)
    assert (report.set, report.updated, report.deleted) == ([], [], [])
    assert ((site / "index.json").read_bytes(), head_of(site)) == (before, head)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_f15_so_does_one_with_a_young_file_whose_look_is_not_believed(
    site: Path, pattern: str
) -> None:
    os.utime(site / "data" / "00.txt")
    publish(site, pack=True)
    for path in list(site.glob(pattern)):
        _alter(path)
    publish(site, pack=True)
    assert verify_site(site).wrong == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_f15_a_publish_that_changes_something_does_so_too(site: Path, pattern: str) -> None:
    for path in list(site.glob(pattern)):
        path.unlink()
    fill(site / "data", {"new.txt": b"new"})
    assert publish(site, pack=True).set == ["new.txt"]
    assert verify_site(site).wrong == []


@pytest.mark.parametrize("pattern", ["index/*", "blocks/*"])
def test_f15_what_can_be_made_again_leaves_the_head_as_it_was(site: Path, pattern: str) -> None:
    before = tree(site)["index.head.json"]
    for path in list(site.glob(pattern)):
        path.unlink()
    publish(site, pack=True)
    assert tree(site)["index.head.json"] == before


@pytest.mark.parametrize("folder", ["index", "blocks", "changes"])
def test_f15_it_is_written_again_along_with_other_words(site: Path, folder: str) -> None:
    before = head_of(site)
    shutil.rmtree(site / folder)
    (site / "about.toml").write_text('title = "Ilvar"\n')
    assert publish(site, pack=True).generation == before.generation + 1
    assert (head_of(site).index, head_of(site).sum) == (before.index, before.sum)
    assert verify_site(site).wrong == []


def test_a_false_sum_is_put_right_by_the_next_publish(site: Path) -> None:
    before = head_of(site)
    (site / "index.head.json").write_bytes(replace(before, sum="0" * 32).encode())
    assert [path for path, _ in verify_site(site).wrong] == ["index.head.json"]
    publish(site, pack=True)
    assert head_of(site) == before


def test_a_false_sum_is_not_carried_along(site: Path) -> None:
    (site / "index.head.json").write_bytes(replace(head_of(site), sum="1" * 32).encode())
    fill(site / "data", {"another": b"1"})
    publish(site, pack=True)
    assert verify_site(site).wrong == []


def test_f15_a_change_file_that_is_gone_is_no_longer_named(site: Path) -> None:
    before = head_of(site)
    shutil.rmtree(site / "changes")
    publish(site, pack=True)
    head = head_of(site)
    assert (head.change_files, head.generation, head.index) == ((), before.generation, before.index)


def test_f15_packs_are_dropped_by_a_publish_that_does_not_pack(site: Path) -> None:
    shutil.rmtree(site / "packs")
    publish(site)
    assert verify_site(site).wrong == []


def test_packs_that_stood_still_are_not_hashed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def noted(path: Path, href: str) -> bool:
        hashed.append(href)
        return True

    monkeypatch.setattr("staticstore.site.documents.packs._has_its_digest", noted)
    fill(site / "data", {"new.txt": b"new"})
    publish(site, pack=True)
    assert hashed == []


@pytest.mark.parametrize("pattern", [*PATTERNS, "index.head.json", "index.json"])
@pytest.mark.parametrize("damage", [_remove, _truncate], ids=["gone", "truncated"])
def test_f15_a_mirror_fetches_it_again(
    site: Path, tmp_path: Path, pattern: str, damage: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, copy)
        for path in list(copy.glob(pattern)):
            damage(path)
        mirror(store, copy)
    assert verify_site(copy).wrong == []
    assert head_of(copy) == head_of(site)
    packs = {path.name: path.read_bytes() for path in (copy / "packs").iterdir()}
    assert packs.items() <= {p.name: p.read_bytes() for p in (site / "packs").iterdir()}.items()
