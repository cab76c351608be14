"""polars reads files that the file system opens, and knows no URLs of fsspec."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

pl = pytest.importorskip("polars")

# Those of `site`.
FILES = ["tables/stations.csv", "tables/weather.parquet"]


def test_a_csv_file(site: FilesOfSite) -> None:
    with site.files.open("tables/stations.csv") as file:
        assert pl.read_csv(file).equals(pl.read_csv(site.data / "tables/stations.csv"))


def test_columns_of_a_parquet_file(site: FilesOfSite) -> None:
    with site.files.open("tables/weather.parquet") as file:
        assert pl.read_parquet(file, columns=["rain"])["rain"].max() == pytest.approx(10.62)


def test_a_dataset_of_pyarrow_is_scanned(site: FilesOfSite) -> None:
    ds = pytest.importorskip("pyarrow.dataset")
    found = pl.scan_pyarrow_dataset(ds.dataset("tables/weather.parquet", filesystem=site.files))
    assert found.select(pl.col("rain").max()).collect().item() == pytest.approx(10.62)


def test_its_own_reader_of_urls_finds_nothing(site: FilesOfSite) -> None:
    """If it does one day, the cookbook has to say so."""
    url = "staticstore://tables/weather.parquet"
    with pytest.raises(FileNotFoundError):
        pl.scan_parquet(url, storage_options=site.options).collect()
