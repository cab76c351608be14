"""A site with packs, compressed copies, exports and expiry: what one publish makes of all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, StoreError, mirror, publish, push, verify_site
from staticstore.site.documents.exports import EXPORTS, rendered_pieces
from staticstore.site.publishing import plan as publish_plan
from tests.compressed import zstd

from .sitefolder import fill, index_of, make_site, tree

NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z
TEXT = b"id,name,value\n" + b"".join(b"%d,station,%d\n" % (n, n * n) for n in range(5000))
FILES = {
    "a.csv": TEXT,
    "b.csv": TEXT[:20_000],
    "late.csv": TEXT[::-1],
    "old.csv": TEXT[1000:],
    **{f"small/{number:02}": b"%d" % number for number in range(40)},
}
FIELDS = {"old.csv": {"until": "2026-05-01"}, "late.csv": {"until": "2026-06-01"}}
OPTIONS: dict[str, Any] = {
    "pack": True,
    "compress": "*.csv",
    "expire": "until",
    "also": sorted(EXPORTS),
    "metadata": FIELDS,
}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder, **OPTIONS)
    return folder


def exports(site: Path) -> dict[str, bytes]:
    paths = [site / export.file for export in EXPORTS.values()]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def rendered(site: Path) -> dict[str, bytes]:
    """Return all exports of the published entries, as if these had no copies and packs."""
    hidden = {"packed", "stored"}
    items = [
        (key, {name: value for name, value in entry.items() if name not in hidden})
        for key, entry in index_of(site).items()
    ]
    return {
        export.file: b"".join(rendered_pieces(export, "data/", None, items))
        for export in EXPORTS.values()
    }


def copies(site: Path) -> dict[str, Path]:
    return {
        key: site / "stored" / f"{entry['stored'][2]}.zst"
        for key, entry in index_of(site).items()
        if "stored" in entry
    }


def test_what_has_expired_is_in_no_export_and_no_copy(site: Path) -> None:
    assert list(copies(site)) == ["a.csv", "b.csv", "late.csv"]
    assert len(list((site / "stored").iterdir())) == 3
    assert all(b"a.csv" in body and b"old.csv" not in body for body in exports(site).values())


def test_exports_say_nothing_of_copies_and_packs(site: Path) -> None:
    assert exports(site) == rendered(site)


def test_an_entry_that_expires_leaves_exports_and_copies_together(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 10 * 86_400)
    report = publish(site, **OPTIONS)
    assert (report.deleted, report.expired) == (["late.csv"], ["late.csv", "old.csv"])
    assert list(copies(site)) == ["a.csv", "b.csv"]
    assert exports(site) == rendered(site)
    assert b"late.csv" not in b"".join(exports(site).values())


def test_few_changes_lead_to_what_a_publish_of_all_makes(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"a.csv": TEXT[:30_000], "old.csv": b"again", "new.csv": TEXT * 2}
    fill(site / "data", changes)
    (site / "data" / "b.csv").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(publish_plan, "plan_publish", None)  # no call
        report = publish(site, **OPTIONS)
    assert (report.set, report.updated, report.deleted) == (["new.csv"], ["a.csv"], ["b.csv"])
    assert report.expired == ["old.csv"]
    files = {key: value for key, value in {**FILES, **changes}.items() if key != "b.csv"}
    fresh = make_site(tmp_path / "fresh", files)
    publish(fresh, **OPTIONS)
    assert exports(site) == exports(fresh) == rendered(site)
    assert {key: path.name for key, path in copies(site).items()} == {
        key: path.name for key, path in copies(fresh).items()
    }
    assert verify_site(site).wrong == []


def test_a_publish_that_changes_nothing_writes_nothing(site: Path) -> None:
    before = tree(site)
    publish(site, **OPTIONS)
    assert tree(site) == before


def test_copies_and_exports_are_kept_where_only_expiry_is_asked_for(site: Path) -> None:
    before = copies(site), exports(site)
    assert publish(site, expire="until", metadata=FIELDS).compressed == 3
    assert (copies(site), exports(site)) == before


def test_a_damaged_copy_and_a_missing_export_are_named_and_made_again(site: Path) -> None:
    before = tree(site)
    copy, export = copies(site)["a.csv"], site / "items.json"
    copy.write_bytes(b"damaged")
    export.unlink()
    names = {f"stored/{copy.name}", "items.json"}
    assert {path for path, _ in verify_site(site).wrong} == names
    publish(site, **OPTIONS)
    assert verify_site(site).wrong == []
    assert {name: tree(site)[name][0] for name in names} == {
        name: before[name][0] for name in names
    }


def test_a_push_brings_copies_then_exports_then_the_index(site: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    uploaded = push(site, host).uploaded
    named = [f"stored/{path.name}" for path in copies(site).values()]
    places = [*map(uploaded.index, named), *map(uploaded.index, exports(site))]
    assert max(places[: len(named)]) < min(places[len(named) :])
    assert max(places) < uploaded.index("index.json")
    assert exports(host) == exports(site)
    assert "data/old.csv" not in uploaded
    assert push(site, host).uploaded == []


def test_a_push_of_few_changes_uploads_the_copy_and_the_exports(site: Path, tmp_path: Path) -> None:
    host = tmp_path / "host"
    push(site, host)
    fill(site / "data", {"a.csv": TEXT[:30_000]})
    publish(site, **OPTIONS)
    uploaded = set(push(site, host).uploaded)
    assert {one for one in uploaded if one.startswith(("data/", "stored/"))} == {
        "data/a.csv",
        f"stored/{copies(site)['a.csv'].name}",
    }
    assert uploaded >= exports(site).keys()
    assert zstd.decompress(copies(host)["a.csv"].read_bytes()) == TEXT[:30_000]


def test_a_push_uploads_nothing_that_has_expired_and_refuses_what_is_new(
    site: Path, tmp_path: Path
) -> None:
    """F26: a file that the last publish has not seen is no expired one."""
    host = tmp_path / "host"
    push(site, host)
    assert not (host / "data" / "old.csv").exists()
    fill(site / "data", {"new.csv": b"1"})
    with pytest.raises(StoreError, match=r"'data/new\.csv': it is not in the index"):
        push(site, host)


def test_a_push_with_delete_removes_what_expired_since_the_last(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "host"
    push(site, host)
    monkeypatch.setattr(time, "time", lambda: NOW + 10 * 86_400)
    publish(site, **OPTIONS)
    assert "data/late.csv" in push(site, host, delete=True).deleted
    assert exports(host) == exports(site)
    assert list(copies(host)) == ["a.csv", "b.csv"]


def test_a_mirror_has_the_copies_and_can_publish_with_exports(site: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, copy)
    assert copies(copy).keys() == copies(site).keys()
    assert verify_site(copy).wrong == []
    assert exports(copy) == {}
    publish(copy, also=OPTIONS["also"])
    assert exports(copy) == rendered(copy)
    assert copies(copy).keys() == copies(site).keys()
