"""pandas reads a site by URLs and `storage_options`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.file_system_site import FilesOfSite, files_of_site

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesOfSite]:
    with files_of_site(
        tmp_path_factory.mktemp("site"), "tables/stations.csv", "tables/weather.parquet"
    ) as site:
        yield site


def test_read_csv_takes_a_url(site: FilesOfSite) -> None:
    table = pd.read_csv("staticstore://tables/stations.csv", storage_options=site.options)
    assert table.equals(pd.read_csv(site.data / "tables/stations.csv"))


def test_read_csv_takes_a_chain_without_options(site: FilesOfSite) -> None:
    pytest.importorskip("aiohttp")
    table = pd.read_csv(f"staticstore://tables/stations.csv::{site.url}")
    assert table.equals(pd.read_csv(site.data / "tables/stations.csv"))


def test_read_parquet_takes_a_url(site: FilesOfSite) -> None:
    pytest.importorskip("pyarrow")
    table = pd.read_parquet(
        "staticstore://tables/weather.parquet", columns=["rain"], storage_options=site.options
    )
    assert table.equals(pd.read_parquet(site.data / "tables/weather.parquet", columns=["rain"]))
