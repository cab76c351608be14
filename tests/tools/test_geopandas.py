"""geopandas reads a site by URLs and files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.file_system_site import FilesOfSite, files_of_site

gpd = pytest.importorskip("geopandas")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesOfSite]:
    with files_of_site(
        tmp_path_factory.mktemp("site"), "maps/stations.geojson", "maps/soundings.parquet"
    ) as site:
        yield site


def test_a_geojson_file(site: FilesOfSite) -> None:
    with site.files.open("maps/stations.geojson") as file:
        assert gpd.read_file(file).equals(gpd.read_file(site.data / "maps/stations.geojson"))


def test_a_geoparquet_file_by_its_url(site: FilesOfSite) -> None:
    url = "staticstore://maps/soundings.parquet"
    found = gpd.read_parquet(url, storage_options=site.options)
    assert found.equals(gpd.read_parquet(site.data / "maps/soundings.parquet"))
