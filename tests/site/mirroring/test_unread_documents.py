"""Mirrors of a foreign index of which a document cannot be read: nothing counts as deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staticstore import MirrorReport, StaticStore, mirror

ITEMS = ("a", "b", "c")


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A static catalog of STAC, with a document for each item."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    for name in ITEMS:
        asset = {"href": f"{name}.txt"}
        item = {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": {"data": asset}}
        (folder / f"{name}.json").write_text(json.dumps(item))
        (folder / f"{name}.txt").write_text(name)
    links = [{"rel": "item", "href": f"{name}.json"} for name in ITEMS]
    top = {"type": "Catalog", "stac_version": "1.0.0", "id": "top", "links": links}
    (folder / "catalog.json").write_text(json.dumps(top))
    return folder


def copied(catalog: Path, copy: Path, *, delete: bool = True) -> MirrorReport:
    """Mirror as another process would."""
    with StaticStore(catalog / "catalog.json", format="stac", poll_interval=0) as store:
        return mirror(store, copy, delete=delete)


@pytest.mark.parametrize("delete", [False, True])
def test_the_values_of_a_document_that_cannot_be_read_stay(
    catalog: Path, tmp_path: Path, delete: bool, caplog: pytest.LogCaptureFixture
) -> None:
    copied(catalog, tmp_path / "copy")
    item = (catalog / "b.json").read_bytes()
    (catalog / "b.json").write_text("<html>")
    report = copied(catalog, tmp_path / "copy", delete=delete)
    ((key, reason),) = report.failed
    assert (key, report.deleted) == ("b/data", 0)
    assert "a document of the index cannot be read" in reason
    assert "the index may lack entries: a document" in caplog.text
    with StaticStore(tmp_path / "copy") as copy:
        assert dict(copy.read_many(copy)) == {f"{name}/data": name.encode() for name in ITEMS}
    (catalog / "b.json").write_bytes(item)
    assert copied(catalog, tmp_path / "copy").failed == []


def test_the_values_of_a_document_that_is_gone_are_deleted(catalog: Path, tmp_path: Path) -> None:
    copied(catalog, tmp_path / "copy")
    (catalog / "b.json").unlink()
    report = copied(catalog, tmp_path / "copy")
    assert (report.failed, report.deleted) == ([], 1)
    with StaticStore(tmp_path / "copy") as copy:
        assert list(copy) == ["a/data", "c/data"]


def test_a_value_whose_file_is_gone_as_well_is_not_named(catalog: Path, tmp_path: Path) -> None:
    copied(catalog, tmp_path / "copy")
    (catalog / "b.json").write_text("<html>")
    (tmp_path / "copy/data/b/data").unlink()
    copied(catalog, tmp_path / "copy")
    with StaticStore(tmp_path / "copy") as copy:
        assert list(copy) == ["a/data", "c/data"]
