"""Packs: what is packed, when it is packed again, and what a pack is."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staticstore.client.store import StaticStore
from staticstore.errors import StoreError
from staticstore.index.snapshot import Index
from staticstore.site.documents import packs
from staticstore.site.publisher import publish, verify_site
from staticstore.site.publishing import entry_files

from ..sitefolder import THEN, fill, index_of, make_site, tree

FILES = {"a.csv": b"x\n1\n", "b/é.bin": b"\x00\xff" * 40, "c": b"third"}
DAY = 24 * 3600


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


def place_of(site: Path, key: str) -> tuple[str, int]:
    href, offset = index_of(site)[key]["packed"]
    return href, offset


def packed_keys(site: Path) -> list[str]:
    return [key for key, entry in index_of(site).items() if "packed" in entry]


def named_packs(site: Path) -> set[str]:
    return {entry["packed"][0] for entry in index_of(site).values() if "packed" in entry}


def only_pack(site: Path) -> Path:
    (href,) = named_packs(site)
    return site / href


def grow_old(site: Path) -> None:
    """Let a day pass for all packs."""
    for path in (site / "packs").iterdir():
        os.utime(path, (time.time() - DAY - 60,) * 2)


# What is packed


def test_a_value_stands_where_its_entry_says(site: Path) -> None:
    assert publish(site, pack=True).packed == 3
    for key, value in FILES.items():
        href, offset = place_of(site, key)
        assert (site / href).read_bytes()[offset : offset + len(value)] == value


def test_the_files_of_the_values_stay(site: Path) -> None:
    before = tree(site / "data")
    publish(site, pack=True)
    assert tree(site / "data") == before


def test_nothing_is_packed_unless_it_is_asked_for(site: Path) -> None:
    assert publish(site).packed == 0
    assert not (site / "packs").exists()


def test_values_of_64_kib_and_empty_ones_are_not_packed(site: Path) -> None:
    fill(site / "data", {"empty": b"", "large": bytes(1 << 16), "small": bytes((1 << 16) - 1)})
    publish(site, pack=True)
    assert packed_keys(site) == [*sorted(FILES), "small"]


def test_which_values_are_small_can_be_set(site: Path) -> None:
    publish(site, pack=True, pack_below=5)
    assert packed_keys(site) == ["a.csv"]
    assert publish(site, pack=True, pack_below=6).packed == 2
    assert publish(site, pack=True, pack_below=5).packed == 1


@pytest.mark.parametrize("below", [0, -1, (1 << 24) + 1, 5.0, True])
def test_a_bound_that_is_none_is_an_error(site: Path, below: Any) -> None:
    with pytest.raises(ValueError, match="pack_below is from 1 to 16777216 bytes"):
        publish(site, pack=True, pack_below=below)
    assert not (site / "index.json").exists()


def test_a_value_that_would_overfill_a_pack_is_not_packed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "MOST_PACK_BYTES", 170)  # the longest takes 172
    fill(site / "data", {"longer": bytes(63)})
    publish(site, pack=True)
    assert packed_keys(site) == ["a.csv", "c"]


def test_a_name_that_no_zip_file_can_hold_is_not_packed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "_MOST_NAME_BYTES", 7)  # é takes two
    publish(site, pack=True)
    assert packed_keys(site) == ["a.csv", "c"]


def test_a_site_without_small_values_gets_no_packs(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"empty": b""})
    assert publish(site, pack=True).packed == 0
    assert not (site / "packs").exists()


# A pack


def test_a_pack_carries_its_digest_in_its_name(site: Path) -> None:
    publish(site, pack=True)
    assert hashlib.sha256(only_pack(site).read_bytes()).hexdigest() == only_pack(site).stem


def test_a_pack_is_a_zip_file_of_the_values_in_key_order(site: Path) -> None:
    publish(site, pack=True)
    with zipfile.ZipFile(only_pack(site)) as pack:
        assert pack.namelist() == sorted(FILES)
        assert {one.compress_type for one in pack.infolist()} == {zipfile.ZIP_STORED}
        assert {key: pack.read(key) for key in FILES} == FILES


def test_the_same_values_make_the_same_pack(site: Path, tmp_path: Path) -> None:
    publish(site, pack=True)
    other = make_site(tmp_path / "other", FILES)
    for path in (other / "data").rglob("*"):
        os.utime(path, (THEN + 77, THEN + 77))
        path.chmod(0o700)
    publish(other, pack=True)
    assert only_pack(other).read_bytes() == only_pack(site).read_bytes()


def test_no_pack_is_larger_than_it_may_be(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MOST_PACK_BYTES", 2000)
    fill(site / "data", {f"{number:02}": bytes(300) for number in range(20)})
    publish(site, pack=True)
    assert len(named_packs(site)) == 5
    assert all((site / href).stat().st_size <= 2000 for href in named_packs(site))
    assert verify_site(site).wrong == []


def test_no_pack_has_more_members_than_it_may(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_MOST_MEMBERS", 2)
    publish(site, pack=True)
    assert len(named_packs(site)) == 2


# A publish that packs


def test_packing_again_writes_nothing(site: Path) -> None:
    publish(site, pack=True)
    before = tree(site)
    publish(site, pack=True)
    assert tree(site) == before


def test_packing_alone_is_a_generation_in_which_nothing_changed(site: Path) -> None:
    publish(site)
    report = publish(site, pack=True)
    assert report.generation == 2
    assert report.set == report.updated == report.deleted == []


def test_a_reader_is_told_nothing_of_packing(site: Path) -> None:
    publish(site)
    with StaticStore(str(site), poll_interval=0) as store:
        publish(site, pack=True)
        assert not store.update_index()
        assert store.info()["generation"] == 2
        assert "packed" not in store.get_metadata("c")


def test_a_dry_run_says_what_packing_would_do_and_writes_nothing(site: Path) -> None:
    publish(site)
    before = tree(site)
    foreseen = publish(site, pack=True, dry_run=True)
    assert tree(site) == before
    assert publish(site, pack=True) == foreseen


def test_a_publish_without_packing_keeps_what_is_packed(site: Path) -> None:
    publish(site, pack=True)
    before = tree(site)
    publish(site)
    assert tree(site) == before


def test_a_value_that_changes_is_no_longer_packed(site: Path) -> None:
    publish(site, pack=True)
    fill(site / "data", {"c": b"another"})
    assert publish(site).packed == 2
    assert packed_keys(site) == ["a.csv", "b/é.bin"]


def test_other_metadata_leaves_a_value_packed(site: Path) -> None:
    publish(site, pack=True)
    place = place_of(site, "c")
    publish(site, metadata={"*": {"type": "x"}})
    assert place_of(site, "c") == place


def _shorten(pack: Path) -> None:
    os.truncate(pack, pack.stat().st_size - 1)


def _empty(pack: Path) -> None:
    pack.write_bytes(b"")


def _make_fifo(pack: Path) -> None:
    pack.unlink()
    os.mkfifo(pack)


@pytest.mark.parametrize("damage", [Path.unlink, _shorten, _empty, _make_fifo])
def test_a_pack_that_is_gone_or_cut_short_is_named_no_more(site: Path, damage: Any) -> None:
    publish(site, pack=True)
    damage(only_pack(site))
    assert publish(site).packed == 0


@pytest.mark.parametrize("damage", [Path.unlink, _shorten, _empty, _make_fifo])
def test_a_pack_that_is_gone_or_cut_short_is_made_anew(site: Path, damage: Any) -> None:
    publish(site, pack=True)
    body = (site / "index.json").read_bytes()
    damage(only_pack(site))
    publish(site, pack=True)
    assert (site / "index.json").read_bytes() == body
    assert verify_site(site).wrong == []


@pytest.mark.parametrize(
    "packed",
    [["packs/../data/c", 0], ["/etc/passwd", 0], ["data/c", 0], ["packs/x.zip", 0]],
    ids=repr,
)
def test_a_place_that_is_in_no_pack_is_not_believed(site: Path, packed: list[Any]) -> None:
    publish(site)
    entries = {key: {**entry, "packed": packed} for key, entry in index_of(site).items()}
    (site / "index.json").write_bytes(Index.from_entries(entries).canonical())
    assert publish(site).packed == 0


def test_a_place_beyond_the_end_of_its_pack_is_not_believed(site: Path) -> None:
    publish(site, pack=True)
    entries = index_of(site)
    entries["c"]["packed"][1] = only_pack(site).stat().st_size - 4
    (site / "index.json").write_bytes(Index.from_entries(entries).canonical())
    assert publish(site).packed == 2


# When values are packed again


def test_a_new_value_is_packed_by_itself_if_a_pack_is_much_larger(site: Path) -> None:
    fill(site / "data", {"much": bytes(10_000)})
    publish(site, pack=True)
    (first,) = named_packs(site)
    fill(site / "data", {"new": b"1"})
    publish(site, pack=True)
    assert first in named_packs(site)
    assert place_of(site, "new")[0] != first


def test_a_new_value_is_packed_with_those_of_a_pack_that_is_not_much_larger(site: Path) -> None:
    publish(site, pack=True)
    (first,) = named_packs(site)
    fill(site / "data", {"new": bytes(300)})
    publish(site, pack=True)
    assert named_packs(site).isdisjoint({first})
    assert len(named_packs(site)) == 1


def test_many_publishes_of_one_new_value_make_few_packs_and_copy_little(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = 0
    real = packs._Pack.add

    def counted(self: Any, key: str, value: bytes) -> None:
        nonlocal copied
        copied += 1
        real(self, key, value)

    monkeypatch.setattr(packs._Pack, "add", counted)
    count = 40
    for number in range(count):
        fill(site / "data", {f"{number:03}": bytes(500)})
        publish(site, pack=True)
        assert len(packed_keys(site)) == number + 1 + len(FILES)
        assert len(named_packs(site)) <= 1 + math.log2(number + 1 + len(FILES))
    assert copied <= count * math.log2(count)


def test_a_large_pack_is_not_packed_again_with_others(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "_LARGE_BYTES", 300)
    publish(site, pack=True)
    (first,) = named_packs(site)
    fill(site / "data", {"new": bytes(5000)})
    publish(site, pack=True)
    assert first in named_packs(site)


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """A site with a pack of six values that take as many bytes in it."""
    site = make_site(tmp_path / "six", {f"{number}": bytes(100) for number in range(6)})
    publish(site, pack=True)
    return site


def remove_values(site: Path, count: int) -> None:
    for number in range(count):
        (site / "data" / f"{number}").unlink()


def test_a_pack_of_which_half_is_dead_stays(six: Path) -> None:
    pack = only_pack(six)
    remove_values(six, 3)
    publish(six, pack=True)
    assert only_pack(six) == pack


def test_a_pack_of_which_more_than_half_is_dead_is_packed_again(six: Path) -> None:
    remove_values(six, 4)
    publish(six, pack=True)
    with zipfile.ZipFile(only_pack(six)) as pack:
        assert pack.namelist() == ["4", "5"]


def test_without_packing_a_pack_stays_however_much_is_dead(six: Path) -> None:
    pack = only_pack(six)
    remove_values(six, 5)
    publish(six)
    assert only_pack(six) == pack


# Packs that nothing names


def test_a_pack_that_nothing_names_stays_for_a_day(six: Path) -> None:
    old = only_pack(six)
    grow_old(six)
    remove_values(six, 6)
    publish(six, pack=True, force={"shrink"})
    publish(six, pack=True)
    assert old.is_file()
    grow_old(six)
    publish(six, pack=True)
    assert not old.exists()


def test_a_pack_that_is_named_stays(six: Path) -> None:
    grow_old(six)
    publish(six)
    assert only_pack(six).is_file()


def test_a_publish_that_changes_something_removes_what_was_forgotten_long_ago(six: Path) -> None:
    old = only_pack(six)
    remove_values(six, 6)
    publish(six, force={"shrink"})
    grow_old(six)
    fill(six / "data", {"new": b"1"})
    publish(six)
    assert not old.exists()


def test_what_else_lies_among_the_packs_stays(six: Path) -> None:
    (six / "packs" / "mine.zip").write_bytes(b"mine")
    grow_old(six)
    publish(six)
    assert (six / "packs" / "mine.zip").exists()


def test_a_pack_that_is_written_again_is_young(six: Path) -> None:
    old = only_pack(six)
    remove_values(six, 6)
    publish(six, pack=True, force={"shrink"})
    grow_old(six)
    fill(six / "data", {f"{number}": bytes(100) for number in range(6)})
    publish(six, pack=True)
    assert only_pack(six) == old
    assert old.stat().st_mtime > time.time() - 60


# What goes wrong


def _replace_before_packing(monkeypatch: pytest.MonkeyPatch, replace: Any) -> None:
    """Let something happen to the data between hashing and packing."""

    def replacing(*arguments: Any) -> Any:
        replace()
        return packs.unchanged_places(*arguments)

    monkeypatch.setattr(entry_files, "unchanged_places", replacing)


@pytest.mark.parametrize("value", [b"other", b"longer than before", b""])
def test_f4_a_file_that_changes_before_it_is_packed_is_not(
    site: Path, monkeypatch: pytest.MonkeyPatch, value: bytes
) -> None:
    def change() -> None:
        fill(site / "data", {"c": value})
        os.utime(site / "data" / "c", (THEN + 1, THEN + 1))

    with monkeypatch.context() as patched:
        _replace_before_packing(patched, change)
        publish(site, pack=True)
    assert packed_keys(site) == ["a.csv", "b/é.bin"]
    assert [key for key, _ in verify_site(site).wrong] == ["c"]
    publish(site, pack=True)
    assert verify_site(site).wrong == []


def _vanish(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("happens", [_vanish, _make_fifo])
def test_f4_what_vanishes_or_becomes_a_fifo_is_not_packed(
    site: Path, monkeypatch: pytest.MonkeyPatch, happens: Any
) -> None:
    _replace_before_packing(monkeypatch, lambda: happens(site / "data" / "c"))
    assert publish(site, pack=True).packed == 2


def test_f2_packs_that_cannot_be_written_are_an_error(site: Path) -> None:
    publish(site)
    before = tree(site)
    (site / "packs").write_bytes(b"mine")
    with pytest.raises(StoreError, match="cannot be written"):
        publish(site, pack=True)
    (site / "packs").unlink()
    assert tree(site) == before


# Whatever happens


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "pack", "publish", "lose"]),
        st.sampled_from([f"{number}" for number in range(12)]),
        st.integers(0, 400),
    ),
    max_size=30,
)


@given(steps)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_packs_are_right_and_stay_when_nothing_does(
    monkeypatch: pytest.MonkeyPatch, history: list[tuple[str, str, int]]
) -> None:
    monkeypatch.setattr(packs, "MOST_PACK_BYTES", 1000)
    monkeypatch.setattr(packs, "_LARGE_BYTES", 500)
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder, "site"), {})
        for number, (action, key, size) in enumerate(history):
            path = site / "data" / key
            if action == "write":
                fill(site / "data", {key: bytes([number]) * size})
                os.utime(path, (THEN + number,) * 2)
            elif action == "remove":
                path.unlink(missing_ok=True)
            elif action == "lose" and (site / "packs").exists():
                for pack in sorted((site / "packs").iterdir())[:1]:
                    pack.unlink()
            elif action == "publish":
                publish(site, force={"shrink"})
                assert verify_site(site).wrong == []
            elif action == "pack":
                publish(site, pack=True, pack_below=300, force={"shrink"})
                assert_well_packed(site)
                before = tree(site)
                publish(site, pack=True, pack_below=300, force={"shrink"})
                assert tree(site) == before


def assert_well_packed(site: Path) -> None:
    """Hold packs against what they promise."""
    assert verify_site(site).wrong == []
    index: Mapping[str, Any] = index_of(site)
    assert packed_keys(site) == [key for key in index if 0 < index[key]["size"] < 300]
    for href in named_packs(site):
        assert (site / href).stat().st_size <= 1000
        with zipfile.ZipFile(site / href) as pack:
            assert pack.testzip() is None
            assert pack.namelist() == sorted(pack.namelist())
            takes = {one.filename: 78 + one.file_size for one in pack.infolist()}
        alive = [key for key in takes if index.get(key, {}).get("packed", [""])[0] == href]
        assert 2 * sum(takes[key] for key in alive) + 20 >= sum(takes.values())
