"""pyarrow reads datasets of a site by its file system."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

ds = pytest.importorskip("pyarrow.dataset")

# Those of `site`.
FILES = ["tables/stations.csv", "tables/weather.parquet"]


def test_a_dataset_of_a_directory(site: FilesOfSite) -> None:
    found = ds.dataset("tables", filesystem=site.files, exclude_invalid_files=True)
    there = ds.dataset(site.data / "tables/weather.parquet")
    rain = ds.field("rain") > 5
    assert found.to_table(filter=rain).equals(there.to_table(filter=rain))


def test_a_dataset_of_one_key(site: FilesOfSite) -> None:
    found = ds.dataset("tables/weather.parquet", filesystem=site.files)
    assert found.to_table(columns=["rain"]).num_rows == 60_000


def test_info_is_that_of_a_folder(site: FilesOfSite) -> None:
    from pyarrow import fs

    there = fs.PyFileSystem(fs.FSSpecHandler(site.files))
    info = there.get_file_info("tables/stations.csv")
    path = site.data / "tables/stations.csv"
    assert (info.size, info.is_file) == (path.stat().st_size, True)
    assert int(info.mtime_ns / 1e9) == int(path.stat().st_mtime)
