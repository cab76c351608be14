"""Compressed copies: what gets one, when it is made again, and when it goes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, push
from staticstore.errors import StoreError
from staticstore.site.documents import compression
from staticstore.site.publisher import publish, verify_site
from staticstore.site.publishing import plan as publish_plan
from tests.compressed import zstd

from ..sitefolder import THEN, fill, index_of, make_site, tree

TEXT = b"id,name,value\n" + b"".join(b"%d,station,%d\n" % (n, n * n) for n in range(30_000))
NOISE = hashlib.shake_256(b"noise").digest(100_000)
FILES = {"a.csv": TEXT, "b/é.csv": TEXT[:5000], "c.bin": NOISE, "d.txt": TEXT[::-1], "e.csv": b""}
DAY = 24 * 3600


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


def copies(site: Path) -> dict[str, Any]:
    return {key: entry["stored"] for key, entry in index_of(site).items() if "stored" in entry}


def path_of(site: Path, key: str) -> Path:
    return site / "stored" / f"{copies(site)[key][2]}.zst"


def files(site: Path) -> set[str]:
    return {path.name for path in (site / "stored").iterdir()}


def grow_old(site: Path) -> None:
    """Let a day pass for all copies."""
    for path in (site / "stored").iterdir():
        os.utime(path, (time.time() - DAY - 60,) * 2)


# What is compressed


def test_a_copy_is_what_its_entry_says(site: Path) -> None:
    assert publish(site, compress="*.csv").compressed == 2
    assert set(copies(site)) == {"a.csv", "b/é.csv"}
    for key, (coding, size, sha256) in copies(site).items():
        copy = path_of(site, key).read_bytes()
        assert (coding, size, sha256) == ("zstd", len(copy), hashlib.sha256(copy).hexdigest())
        assert zstd.decompress(copy) == FILES[key]


def test_nothing_is_compressed_unless_it_is_asked_for(site: Path) -> None:
    assert publish(site).compressed == 0
    assert not (site / "stored").exists()


def test_the_files_of_the_values_stay(site: Path) -> None:
    before = tree(site / "data")
    publish(site, compress="*")
    assert tree(site / "data") == before


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("csv", ": did you mean '*.csv'?"),
        (".csv", ": did you mean '*.csv'?"),
        ("*.CSV", ": did you mean '*.csv'?"),
        ("b", ": did you mean 'b/*'?"),
        ("b/", ": did you mean 'b/*'?"),
        ("*.tif", ""),
    ],
)
def test_a_pattern_that_matches_no_key_is_warned_of(site: Path, pattern: str, hint: str) -> None:
    warning = f"no key matches '{pattern}', so nothing is compressed by it{hint}"
    assert publish(site, compress=["d*", pattern]).warnings == [warning]
    assert publish(site, compress=["d*", pattern]).warnings == [warning]  # nothing has changed


def test_what_is_no_pattern_is_an_error_with_an_example(site: Path) -> None:
    with pytest.raises(TypeError, match=r"such as \['\*\.csv'\], not True"):
        publish(site, compress=True)  # type: ignore[arg-type]


def test_several_patterns_are_joined(site: Path) -> None:
    publish(site, compress=["a.*", "d*"])
    assert set(copies(site)) == {"a.csv", "d.txt"}


def test_what_does_not_save_a_tenth_gets_no_copy(site: Path) -> None:
    publish(site, compress="*")
    assert "c.bin" not in copies(site)
    assert files(site) == {f"{sha256}.zst" for _, _, sha256 in copies(site).values()}


def test_values_of_the_same_bytes_share_a_copy(site: Path) -> None:
    fill(site / "data", {"again.csv": TEXT})
    assert publish(site, compress="*.csv").compressed == 3
    assert path_of(site, "a.csv") == path_of(site, "again.csv")


def test_every_tool_of_zstandard_reads_a_copy(site: Path) -> None:
    if (tool := shutil.which("zstd")) is None:
        pytest.skip("there is no zstd")
    publish(site, compress="*.csv")
    done = subprocess.run([tool, "-dc", path_of(site, "a.csv")], capture_output=True, check=True)
    assert done.stdout == TEXT


def test_each_frame_has_256_kib_and_its_size(site: Path) -> None:
    publish(site, compress="*.csv")
    copy = path_of(site, "a.csv").read_bytes()
    info = zstd.get_frame_info(copy)
    first = copy[: zstd.get_frame_size(copy)]
    assert (info.decompressed_size, zstd.decompress(first)) == (1 << 18, TEXT[: 1 << 18])


# Patterns


@pytest.mark.parametrize("option", [3, [3], b"*.csv"])
def test_what_is_no_pattern_is_an_error(site: Path, option: Any) -> None:
    with pytest.raises(TypeError, match=r"patterns of keys|not iterable"):
        publish(site, compress=option)
    assert not (site / "index.json").exists()


def test_without_the_extra_nothing_begins(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F25: and the message names it."""
    monkeypatch.setattr(compression, "find_zstd", lambda: None)
    with pytest.raises(StoreError, match="the extra `zstd`"):
        publish(site, compress="*.csv")
    assert not (site / "index.json").exists()


def test_without_the_extra_copies_stay_and_new_ones_are_missed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, compress="*")
    monkeypatch.setattr(compression, "find_zstd", lambda: None)
    fill(site / "data", {"a.csv": TEXT * 2})
    report = publish(site)
    assert "a.csv" not in copies(site)
    assert "d.txt" in copies(site)
    assert any("`zstd`" in warning for warning in report.warnings)


# Later publishes


def test_a_publish_that_changes_nothing_writes_nothing(site: Path) -> None:
    publish(site, compress="*.csv")
    before = tree(site)
    publish(site, compress="*.csv")
    assert tree(site) == before


def test_copies_are_kept_without_being_asked_for(site: Path) -> None:
    publish(site, compress="*.csv")
    before = copies(site)
    assert publish(site).compressed == 2
    assert copies(site) == before


def test_a_value_that_changes_gets_a_new_copy(site: Path) -> None:
    publish(site, compress="*.csv")
    fill(site / "data", {"a.csv": TEXT[:100_000]})
    assert publish(site).updated == ["a.csv"]
    assert zstd.decompress(path_of(site, "a.csv").read_bytes()) == TEXT[:100_000]


def test_a_new_value_gets_a_copy_if_asked_for(site: Path) -> None:
    publish(site, compress="*.csv")
    fill(site / "data", {"f.csv": TEXT * 2, "g.csv": TEXT * 3})
    publish(site, compress="*.csv")
    assert {"f.csv", "g.csv"} <= set(copies(site))
    fill(site / "data", {"h.csv": TEXT * 4})
    publish(site)
    assert "h.csv" not in copies(site)


def test_a_renamed_value_keeps_its_copy(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site, compress="*.csv")
    before = path_of(site, "a.csv")
    monkeypatch.setattr(compression, "_compress", None)  # no call
    (site / "data" / "a.csv").rename(site / "data" / "z.csv")
    publish(site)
    assert path_of(site, "z.csv") == before


def test_an_unchanged_value_is_not_compressed_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, compress="*")
    monkeypatch.setattr(compression, "_compress", None)
    publish(site, compress=["*", "x"])  # looks at all entries
    publish(site, compress=["*", "x"], metadata={"*": {"title": "A"}})
    assert publish(site).compressed == 3


def test_a_change_costs_what_has_changed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site / "data", {f"{number}.dat": b"%d" % number for number in range(50)})
    publish(site, compress="*.csv")
    monkeypatch.setattr(publish_plan, "plan_publish", None)
    fill(site / "data", {"a.csv": TEXT[:100_000], "new.csv": TEXT[:90_000]})
    report = publish(site, compress="*.csv")
    assert report.compressed == 3
    assert verify_site(site).wrong == []


def test_few_changes_lead_to_the_bytes_of_a_publish_of_all(site: Path, tmp_path: Path) -> None:
    fill(site / "data", {f"{number}.dat": b"%d" % number for number in range(50)})
    changes = {"a.csv": TEXT[:100_000], "d.txt": NOISE[:5000], "new.csv": TEXT}
    publish(site, compress="*")
    fill(site / "data", changes)
    publish(site, compress="*")
    fresh = make_site(tmp_path / "fresh", {**FILES, **changes})
    fill(fresh / "data", {f"{number}.dat": b"%d" % number for number in range(50)})
    publish(fresh, compress="*")
    assert (site / "index.json").read_bytes() == (fresh / "index.json").read_bytes()


def test_the_copies_end_when_that_is_asked_for(site: Path) -> None:
    publish(site, compress="*.csv")
    assert publish(site, compress=False).compressed == 0
    assert copies(site) == {}
    assert len(files(site)) == 2  # for a day


def test_a_copy_is_removed_a_day_after_it_was_forgotten(site: Path) -> None:
    publish(site, compress="*.csv")
    old = path_of(site, "a.csv")
    fill(site / "data", {"a.csv": TEXT[:100_000]})
    publish(site)
    assert old.exists()
    grow_old(site)
    publish(site)
    assert not old.exists()
    assert verify_site(site).wrong == []


def test_a_copy_of_two_values_stays_as_long_as_one_is_there(site: Path) -> None:
    fill(site / "data", {f"{number}.dat": b"%d" % number for number in range(50)})
    fill(site / "data", {"again.csv": TEXT})
    publish(site, compress="*.csv")
    (site / "data" / "again.csv").unlink()
    publish(site)
    grow_old(site)
    fill(site / "data", {"1.dat": b"new"})
    publish(site)
    assert path_of(site, "a.csv").exists()


def test_a_copy_that_is_gone_or_damaged_is_made_again(site: Path) -> None:
    publish(site, compress="*.csv")
    first, second = path_of(site, "a.csv"), path_of(site, "b/é.csv")
    body = first.read_bytes()
    first.write_bytes(body[:-1])
    second.unlink()
    assert {path for path, _ in verify_site(site).wrong} == {
        f"stored/{first.name}",
        f"stored/{second.name}",
    }
    publish(site)
    assert first.read_bytes() == body
    assert verify_site(site).wrong == []


def test_a_file_that_changes_meanwhile_gets_no_copy(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F12: what was scanned is published, and the next publish makes the copy."""
    pieces = compression._pieces

    def change_first(path: str, size: int) -> Any:
        if path.endswith("a.csv"):
            fill(site / "data", {"a.csv": TEXT[:-1]})
        return pieces(path, size)

    monkeypatch.setattr(compression, "_pieces", change_first)
    publish(site, compress="*.csv")
    assert set(copies(site)) == {"b/é.csv"}
    monkeypatch.undo()
    publish(site, compress="*.csv")
    assert zstd.decompress(path_of(site, "a.csv").read_bytes()) == TEXT[:-1]


def test_a_dry_run_writes_nothing_and_counts(site: Path) -> None:
    before = tree(site)
    assert publish(site, compress="*.csv", dry_run=True).compressed == 2
    assert tree(site) == before


def test_a_link_in_the_place_of_the_folder_is_refused(site: Path, tmp_path: Path) -> None:
    """F7: nothing is written through it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (site / "stored").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="symbolic link"):
        publish(site, compress="*.csv")
    assert list(elsewhere.iterdir()) == []


def test_packs_and_copies_go_together(site: Path) -> None:
    publish(site, compress="*.csv", pack=True)
    entry = index_of(site)["b/é.csv"]
    assert "packed" in entry
    assert "stored" in entry
    assert verify_site(site).wrong == []


# Verification


def test_a_copy_of_another_value_is_found(site: Path) -> None:
    publish(site, compress="*.csv")
    index = index_of(site)
    first, second = index["a.csv"], index["b/é.csv"]
    first["stored"], second["stored"] = second["stored"], first["stored"]
    (site / "index.json").unlink()  # it is also the index under its digest
    (site / "index.json").write_text(json.dumps(index), "utf-8")
    wrong = [reason for path, reason in verify_site(site).wrong if path.startswith("stored/")]
    assert len(wrong) == 2
    assert all("do not hold the value" in reason for reason in wrong)


def test_a_reader_reads_what_was_published(site: Path, tmp_path: Path) -> None:
    publish(site, compress="*")
    push(site, tmp_path / "host")
    assert files(tmp_path / "host") == files(site)
    with StaticStore(tmp_path / "host") as store:
        assert dict(store.read_many(FILES)) == FILES


def test_the_index_does_not_depend_on_the_time(site: Path, tmp_path: Path) -> None:
    publish(site, compress="*")
    other = make_site(tmp_path / "other", FILES)
    for key in FILES:
        os.utime(other / "data" / key, (THEN, THEN))
    publish(other, compress="*")
    assert (site / "index.json").read_bytes() == (other / "index.json").read_bytes()
