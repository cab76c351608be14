"""geopandas reads a site by URLs and files."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

gpd = pytest.importorskip("geopandas")

# Those of `site`.
FILES = ["maps/stations.geojson", "maps/soundings.parquet"]


def test_a_geojson_file(site: FilesOfSite) -> None:
    with site.files.open("maps/stations.geojson") as file:
        assert gpd.read_file(file).equals(gpd.read_file(site.data / "maps/stations.geojson"))


def test_a_geoparquet_file_by_its_url(site: FilesOfSite) -> None:
    url = "staticstore://maps/soundings.parquet"
    found = gpd.read_parquet(url, storage_options=site.options)
    assert found.equals(gpd.read_parquet(site.data / "maps/soundings.parquet"))
