"""pystac reads the same assets of STAC as ours, and its schemas accept what we export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, publish, serve
from staticstore.formats import Document, Entry
from staticstore.formats.stac import read
from tests.formats.stac_documents import catalog_files, item, pages
from tests.servers import PythonServer
from tests.site.sitefolder import make_site

pystac = pytest.importorskip("pystac")

# Fields as publishers have them, right and wrong.
METADATA: dict[str, dict[str, Any]] = {
    "box.tif": {"bbox": [8.1, 46, 10, 47.5], "datetime": "2024-05-01T10:00:00Z", "gsd": 10},
    "crossing.tif": {"bbox": [170, -20, -170, -10], "license": "CC-BY-4.0"},
    "point.tif": {"bbox": [8, 46, 400, 8, 46, 500], "keywords": ["snow"], "instruments": ["msi"]},
    "span.tif": {"start_datetime": "2024-05-01T00:00:00Z", "end_datetime": "2024-06-01T00:00:00Z"},
    "half a span.tif": {"start_datetime": "2024-05-01T00:00:00Z"},
    "day.tif": {"datetime": "2024-05-01"},
    "wrong.tif": {
        "bbox": [600_000, 5_200_000, 610_000, 5_210_000],
        "datetime": "yesterday",
        "start_datetime": "2024",
        "end_datetime": 5,
        "created": "2024-05-01",
        "updated": None,
        "title": 7,
        "description": "",
        "keywords": "snow",
        "license": "see the file",
        "providers": [{"url": "x"}],
        "gsd": -1,
        "platform": ["a"],
        "bands": [{"name": 5}],
        "data_type": "real",
        "nodata": "none",
        "statistics": {},
        "unit": 5,
        "roles": "data",
        "mission": {},
        "type": "raster",
    },
    "plain": {},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = make_site(tmp_path_factory.mktemp("site"), {key: key.encode() for key in METADATA})
    publish(site, metadata=METADATA, also=["stac"])
    return site


def test_its_schemas_accept_each_item_of_an_export(site: Path) -> None:
    jsonschema, referencing = pytest.importorskip("jsonschema"), pytest.importorskip("referencing")
    local = pytest.importorskip("pystac.validation.local_validator")
    schemas = local.get_local_schema_cache()
    resources = [(url, referencing.Resource.from_contents(one)) for url, one in schemas.items()]
    validator = jsonschema.Draft7Validator(
        schemas["https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"],
        registry=referencing.Registry().with_resources(resources),
        format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
    )
    features = json.loads((site / "items.json").read_bytes())["features"]
    assert len(features) == len(METADATA)
    for feature in features:
        problems = [error.message for error in validator.iter_errors(feature)]
        assert problems == [], feature["id"]


def test_it_reads_an_export_with_digests_and_places(site: Path) -> None:
    with serve(site, port=0) as server:
        found = pystac.ItemCollection.from_dict(json.loads((site / "items.json").read_bytes()))
        for one in found:
            asset = one.assets["data"]
            file = pystac.extensions.file.FileExtension.ext(asset)
            with StaticStore(server.url, poll_interval=0) as store:
                value = store[one.id]
                assert (file.checksum, file.size) == (f"1220{value.sha256}", value.size)
                assert server.url + asset.href == value.url


def test_our_form_reads_an_export_to_the_same_store(site: Path) -> None:
    with (
        serve(site, port=0) as server,
        StaticStore(server.url, poll_interval=0) as store,
        StaticStore(f"{server.url}items.json", format="stac", poll_interval=0) as exported,
    ):
        assert list(exported) == list(store)
        for key in store:
            assert exported[key].sha256 == store[key].sha256
            assert exported[key].read() == store[key].read()


def places_of(body: bytes) -> dict[tuple[str, str], str | None]:
    """Return where the assets of a document are, as our form reads them."""
    found = read(Document("https://data.example.org/page.json", body, None, None))
    entries = [one for one in found if isinstance(one, Entry)]
    return {(one.key.split("/")[-2], one.key.split("/")[-1]): one.href for one in entries}


@pytest.mark.parametrize("version", ["1.1.0", "1.0.0", "1.0.0-rc.2", "0.9.0", "0.8.1"])
def test_it_reads_the_same_assets_of_an_item_of_any_version(version: str) -> None:
    made = item(7, version=version)
    found = pystac.Item.from_dict(json.loads(json.dumps(made)))
    expected = {(found.id, name): asset.href for name, asset in found.assets.items()}
    assert places_of(json.dumps(made).encode()) == expected


def test_it_reads_the_same_assets_of_a_page() -> None:
    (page,) = pages(30, 30)
    found = pystac.ItemCollection.from_dict(json.loads(page))
    expected = {(one.id, name): asset.href for one in found for name, asset in one.assets.items()}
    assert len(expected) == 30 * 12
    assert places_of(page) == expected


def test_it_reads_the_same_values_of_a_static_catalog(tmp_path: Path) -> None:
    for path, body in catalog_files(3, 5):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    with PythonServer(tmp_path) as server:
        url = f"{server.url}catalog.json"
        expected = {}
        for one in pystac.Catalog.from_file(str(tmp_path / "catalog.json")).get_items(
            recursive=True
        ):
            for name, asset in one.assets.items():
                place = Path(asset.get_absolute_href()).relative_to(tmp_path)
                expected[f"{one.collection_id}/{one.id}/{name}"] = f"{server.url}{place.as_posix()}"
        with StaticStore(url, format="stac", poll_interval=0) as store:
            assert {key: store[key].url for key in store} == expected
            assert len(expected) == 30
