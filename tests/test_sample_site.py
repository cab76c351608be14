"""The sample site of the project is what its script and the publisher produce."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from conftest import SAMPLE_SITE
from staticstore import Index, publish, verify_site

INDEX = Index.parse((SAMPLE_SITE / "index.json").read_bytes())


def test_publishing_again_finds_no_changes(sample_site: Path) -> None:
    before = (sample_site / "index.json").read_bytes()
    report = publish(sample_site)
    assert not report.set
    assert not report.updated
    assert not report.deleted
    assert not report.skipped
    assert (sample_site / "index.json").read_bytes() == before


def test_the_index_describes_the_values(sample_site: Path) -> None:
    report = verify_site(sample_site)
    assert not report.wrong
    assert not report.extra


def test_the_script_produces_the_same_bytes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = SAMPLE_SITE / "make_sample.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    monkeypatch.syspath_prepend(str(SAMPLE_SITE))
    runpy.run_path(str(script), run_name="__main__")
    shutil.copy(SAMPLE_SITE / "index.json", tmp_path)
    assert not verify_site(tmp_path).wrong
    made, kept = (folder / "metadata.toml" for folder in (tmp_path, SAMPLE_SITE))
    assert made.read_bytes() == kept.read_bytes()


def test_it_has_a_dozen_values_of_three_types_and_one_key_that_is_not_ascii() -> None:
    assert len(INDEX) >= 12
    assert {metadata["type"] for metadata in INDEX.values()} == {"raster", "vector", "table"}
    assert any(not key.isascii() for key in INDEX)
    assert sum(metadata["size"] for metadata in INDEX.values()) < 1_000_000


@pytest.mark.parametrize("key", list(INDEX.query_keys(type="raster")))
def test_a_raster_can_be_opened_and_has_the_size_in_its_metadata(key: str) -> None:
    metadata = INDEX[key]
    with Image.open(SAMPLE_SITE / "data" / key) as image:
        image.load()
        assert image.size == (metadata["width"], metadata["height"])


@pytest.mark.parametrize("key", list(INDEX.query_keys(type="vector")))
def test_a_vector_has_the_number_of_features_in_its_metadata(key: str) -> None:
    collection = json.loads((SAMPLE_SITE / "data" / key).read_bytes())
    assert len(collection["features"]) == INDEX[key]["features"]


@pytest.mark.parametrize("key", list(INDEX.query_keys(type="table")))
def test_a_table_has_the_number_of_rows_in_its_metadata(key: str) -> None:
    with (SAMPLE_SITE / "data" / key).open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert len(rows) == INDEX[key]["rows"]
    assert len(header) == INDEX[key]["columns"]
