"""Dask reads a site by URLs, in threads and in processes."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.tools.file_system_site import FilesOfSite

pytest.importorskip("dask")

# What libraries deprecate in each other is not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword"),
]

# Those of `site`.
FILES = ["tables/stations.csv", "tables/weather.parquet"]


def test_a_bag_of_lines(site: FilesOfSite) -> None:
    import dask.bag

    lines = dask.bag.read_text("staticstore://tables/*.csv", storage_options=site.options)
    assert (
        "".join(lines.compute(scheduler="threads"))
        == (site.data / "tables/stations.csv").read_text()
    )


def test_a_data_frame_of_a_csv_file(site: FilesOfSite) -> None:
    frame = pytest.importorskip("dask.dataframe")
    url = "staticstore://tables/stations.csv"
    table = frame.read_csv(url, storage_options=site.options, blocksize=60)
    assert table["elevation"].max().compute(scheduler="threads") == 512


def test_a_data_frame_of_columns(site: FilesOfSite) -> None:
    frame = pytest.importorskip("dask.dataframe")
    url = "staticstore://tables/weather.parquet"
    table = frame.read_parquet(url, columns=["rain"], storage_options=site.options)
    assert table["rain"].max().compute(scheduler="threads") == pytest.approx(10.62)


def test_other_processes(site: FilesOfSite) -> None:
    import dask.bag

    lines = dask.bag.read_text("staticstore://tables/*.csv", storage_options=site.options)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert lines.count().compute(scheduler="processes", pool=pool) == 4
