"""frictionless accepts the data packages that we export, and reads the same as our form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from staticstore import publish
from staticstore.formats import Document, Entry
from staticstore.formats.datapackage import read
from tests.site.sitefolder import fill, make_site

frictionless = pytest.importorskip("frictionless")

FILES = {
    "prices/a.csv": b"id,price\n1,2.5\n2,3.5\n",
    "Größe 100%.csv": b"id,size\n1,2\n",
    "map.tif": b"II*\x00",
}
METADATA: dict[str, dict[str, Any]] = {
    "prices/*": {"title": "Prices", "type": "table of prices", "schema": 5, "fields": ["id"]},
    "map.tif": {"type": "raster", "bbox": [8, 46, 10, 47], "format": 5, "sources": "us"},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = make_site(tmp_path / "site", FILES)
    (site / "about.toml").write_text(
        'title = "Ilvar"\ndescription = "Maps"\nlicense = "CC-BY-4.0"\ncontact = "Office"\n'
        'homepage = "https://example.org/"\nkeywords = ["snow"]\nversion = "2"\n'
    )
    publish(site, metadata=METADATA, also=["datapackage"])
    return site


def test_it_accepts_an_export_and_its_digests(site: Path) -> None:
    report = frictionless.validate(str(site / "datapackage.json"))
    assert report.flatten(["title", "note"]) == []
    assert len(report.tasks) == len(FILES)


def test_it_notices_another_value_by_the_digest(site: Path) -> None:
    fill(site / "data", {"prices/a.csv": b"id,price\n1,2.5\n2,9.5\n"})
    report = frictionless.validate(str(site / "datapackage.json"))
    assert {title for (title,) in report.flatten(["title"])} == {"Hash Count Error"}


def test_it_reads_the_paths_sizes_and_digests_that_our_form_reads(site: Path) -> None:
    body = (site / "datapackage.json").read_bytes()
    package = frictionless.Package(json.loads(body), basepath=str(site))
    document = Document("https://data.example.org/datapackage.json", body, None, None)
    entries = {one.key: one.metadata for one in read(document) if isinstance(one, Entry)}
    assert {one.path for one in package.resources} == entries.keys()
    for one in package.resources:
        metadata = entries[one.path]
        assert isinstance(metadata, dict)
        assert (one.bytes, one.hash) == (metadata["size"], f"sha256:{metadata['sha256']}")
