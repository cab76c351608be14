"""``publish(parquet=True)``: the index as a Parquet file, which the head names; F21."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, mirror, publish, push, serve
from staticstore.errors import IndexFormatError, StoreError
from staticstore.index.head import Head, NamedDocument, Role
from staticstore.index.snapshot import Index
from staticstore.site.publisher import verify_site
from staticstore.site.watching import publish_watching

from ..sitefolder import fill, make_site, tree

pytest.importorskip("pyarrow")
from pyarrow import parquet

FILES = {f"{number:02}.txt": b"%d" % number * 50 for number in range(40)}
METADATA: dict[str, dict[str, Any]] = {
    "*": {"type": "text", "bbox": [8, 46, 10.5, 48]},
    "07.txt": {"title": "Seven"},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


def _head(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def _table(site: Path) -> Path:
    table = _head(site).table
    assert table is not None
    return site / table.href


def test_the_head_names_a_table_of_the_index(site: Path) -> None:
    report = publish(site, metadata=METADATA, parquet=True)
    path = _table(site)
    assert report.table == f"index/{path.name}"
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
    expected = Index.parse((site / "index.json").read_bytes()).to_arrow()
    assert parquet.read_table(path).equals(expected)


def test_the_same_index_is_the_same_table(tmp_path: Path) -> None:
    sites = [make_site(tmp_path / name, FILES) for name in ("one", "two")]
    for one in sites:
        publish(one, metadata=METADATA, parquet=True)
    assert len({_table(one).name for one in sites}) == 1


def test_an_empty_index_has_an_empty_table(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {})
    publish(site, parquet=True)
    assert parquet.read_table(_table(site)).to_pydict() == {"key": []}


@pytest.mark.parametrize("changed", [1, 30])
def test_a_site_with_a_table_gets_a_new_one_with_each_index(site: Path, changed: int) -> None:
    publish(site, parquet=True)
    old = _table(site)
    fill(site / "data", dict.fromkeys(list(FILES)[:changed], b"new"))
    assert publish(site).table == f"index/{_table(site).name}"
    assert _table(site) != old
    assert parquet.read_table(_table(site))["size"].to_pylist()[0] == 3


@pytest.mark.parametrize("again", [None, True])
def test_a_publish_without_changes_writes_nothing(site: Path, again: bool | None) -> None:
    publish(site, parquet=True)
    before = tree(site)
    assert publish(site, parquet=again).table == f"index/{_table(site).name}"
    assert tree(site) == before


def test_a_publish_without_changes_imports_no_pyarrow(site: Path) -> None:
    publish(site, parquet=True)
    script = (
        "import sys, staticstore\n"
        "report = staticstore.publish(sys.argv[1])\n"
        "assert report.table is not None\n"
        "assert 'pyarrow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, site], check=True)


def test_another_table_of_the_same_index_keeps_the_generation(site: Path) -> None:
    publish(site)
    assert publish(site, parquet=True).generation == 1
    assert publish(site, parquet=False).generation == 1


def test_a_site_without_a_table_gets_none(site: Path) -> None:
    assert publish(site).table is None
    assert b"table" not in (site / "index.head.json").read_bytes()


def test_the_last_table_is_removed_after_a_day(site: Path) -> None:
    publish(site, parquet=True)
    path = _table(site)
    assert publish(site, parquet=False).table is None
    assert _head(site).table is None
    assert path.exists()
    os.utime(path, (time.time() - 25 * 3600,) * 2)
    publish(site)
    assert not path.exists()


def test_a_table_that_is_gone_is_written_again(site: Path) -> None:
    publish(site, parquet=True)
    path = _table(site)
    path.unlink()
    assert ("index/" + path.name, "there is no such file") in verify_site(site).wrong
    publish(site)
    assert verify_site(site).wrong == []


def test_a_damaged_table_is_found_by_a_check(site: Path) -> None:
    publish(site, parquet=True)
    path = _table(site)
    path.write_bytes(b"X" + path.read_bytes()[1:])
    assert verify_site(site).wrong == [
        (f"index/{path.name}", "its sha256 is not the published one")
    ]


def test_a_dry_run_writes_no_table(site: Path) -> None:
    publish(site, parquet=True, dry_run=True)
    assert not (site / "index").exists()


def test_a_field_of_mixed_kinds_is_warned_of(site: Path) -> None:
    metadata: dict[str, dict[str, Any]] = {"00.txt": {"n": 1}, "01.txt": {"n": "x"}}
    report = publish(site, metadata=metadata, parquet=True)
    assert "'n' becomes JSON text: n is a number and a text" in "".join(report.warnings)


def test_an_index_with_too_many_fields_for_a_table_is_refused_and_stays_as_it_was(
    site: Path,
) -> None:
    publish(site)
    before = tree(site)
    fields = {f"f{number}": number for number in range(10_001)}
    with pytest.raises(StoreError, match="10000 different fields; publish without one") as caught:
        publish(site, metadata={"07.txt": fields}, parquet=True)
    assert "--no-parquet" in str(caught.value)
    assert tree(site)["index.json"] == before["index.json"]


def test_a_table_of_deeply_nested_values_can_be_read(site: Path) -> None:
    value: Any = 1
    for _ in range(90):
        value = [value]
    publish(site, metadata={"07.txt": {"deep": value}}, parquet=True)
    column = parquet.read_table(_table(site)).column("deep").to_pylist()
    assert [json.loads(text) for text in column if text is not None] == [value]


@pytest.mark.parametrize("had_one", [False, True])
def test_without_pyarrow_nothing_begins(
    site: Path, had_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if had_one:
        publish(site, parquet=True)
        fill(site / "data", {"new.txt": b"new"})
    before = tree(site)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StoreError, match="which the extra `arrow` brings"):
        publish(site, parquet=None if had_one else True)
    assert tree(site) == before


def test_without_pyarrow_the_table_can_be_given_up(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site, parquet=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert publish(site, parquet=False).table is None


def test_a_fresh_checkout_keeps_the_table(site: Path, tmp_path: Path) -> None:
    publish(site, parquet=True)
    fresh = make_site(tmp_path / "fresh", {**FILES, "new.txt": b"new"})
    publish(fresh, after=site)
    assert parquet.read_table(_table(fresh)).num_rows == len(FILES) + 1


def test_watching_writes_tables(site: Path) -> None:
    pytest.importorskip("watchfiles")
    outcomes = publish_watching(site, parquet=True)
    first = next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert not isinstance(first, StoreError)
    assert first.table is not None


def test_groups_of_rows_are_sorted_and_have_statistics(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.TABLE_GROUP_ROWS", 16)
    publish(site, parquet=True)
    found = parquet.ParquetFile(_table(site)).metadata
    groups = [found.row_group(number).column(0) for number in range(found.num_row_groups)]
    assert [group.statistics.min for group in groups] == ["00.txt", "16.txt", "32.txt"]
    assert all(group.has_column_index and group.has_offset_index for group in groups)
    assert {group.compression for group in groups} == {"ZSTD"}


# What carries it


def test_a_mirror_has_the_table(site: Path, tmp_path: Path) -> None:
    publish(site, parquet=True)
    with serve(site, port=0) as server, StaticStore(server.url, poll_interval=0) as store:
        mirror(store, tmp_path / "copy")
    assert _table(tmp_path / "copy").read_bytes() == _table(site).read_bytes()


def test_a_mirror_of_a_part_names_no_table(site: Path, tmp_path: Path) -> None:
    publish(site, metadata=METADATA, parquet=True)
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, tmp_path / "copy", title="Seven")
    assert _head(tmp_path / "copy").table is None


def test_a_push_brings_the_table_and_removes_old_ones(site: Path, tmp_path: Path) -> None:
    publish(site, parquet=True)
    target = tmp_path / "target"
    push(site, target)
    old = _table(target)
    assert old.read_bytes() == _table(site).read_bytes()
    publish(site, parquet=False)
    push(site, target)
    assert _head(target).table is None
    note = json.loads((target / ".staticstore" / "push.json").read_bytes())
    assert f"index/{old.name}" in note["forgotten"]


def test_info_has_the_url_of_the_table(site: Path) -> None:
    publish(site)
    with serve(site, port=0) as server, StaticStore(server.url, poll_interval=0) as store:
        assert "table" not in store.info()
        publish(site, parquet=True)
        store.update_index()
        url = store.info()["table"]
        assert url == f"{server.url}index/{_table(site).name}"


# What the head says


def _head_with(table: Any) -> bytes:
    head = Head("cd" * 16, 1, "", NamedDocument.of(Role.INDEX, b"{}"), 0)
    return json.dumps({**json.loads(head.encode()), "table": table}).encode()


def test_a_head_says_the_same_again() -> None:
    table = NamedDocument.of(Role.TABLE, b"PAR1")
    assert Head.parse(_head_with(table.as_json())).table == table


@pytest.mark.parametrize(
    "table",
    [
        {"href": "index/x.parquet", "size": 1, "sha256": "ab" * 32},
        {"href": f"index/{'ab' * 32}.parquet", "size": -1, "sha256": "ab" * 32},
        {"href": f"../index/{'ab' * 32}.parquet", "size": 1, "sha256": "ab" * 32},
        "index.parquet",
        [],
    ],
)
def test_a_head_with_another_href_is_no_head(table: Any) -> None:
    with pytest.raises(IndexFormatError):
        Head.parse(_head_with(table))


def test_a_head_with_a_table_stays_within_its_bound(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.index.head.MOST_HEAD_BYTES", 1_100)
    publish(site, parquet=True)
    for number in range(4):
        fill(site / "data", {f"{number:02}.txt": b"new"})
        publish(site)
        assert len((site / "index.head.json").read_bytes()) < 1_100
    assert verify_site(site).wrong == []
