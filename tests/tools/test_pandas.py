"""pandas reads a site by URLs and `storage_options`."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

pd = pytest.importorskip("pandas")

# Those of `site`.
FILES = ["tables/stations.csv", "tables/weather.parquet"]


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
