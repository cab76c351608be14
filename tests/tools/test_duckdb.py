"""DuckDB reads a site by its registered file system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.file_system_site import FilesOfSite, files_of_site

duckdb = pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesOfSite]:
    with files_of_site(
        tmp_path_factory.mktemp("site"), "tables/stations.csv", "tables/weather.parquet"
    ) as site:
        yield site


@pytest.fixture
def database(site: FilesOfSite) -> Iterator[Any]:
    with duckdb.connect() as database:
        database.register_filesystem(site.files)
        yield database


def test_a_csv_file(database: Any) -> None:
    query = "select max(elevation) from 'staticstore://tables/stations.csv'"
    assert database.sql(query).fetchall() == [(512,)]


def test_parquet_files_by_a_pattern(database: Any) -> None:
    query = "select count(*) from read_parquet('staticstore://tables/*.parquet') where rain > 5"
    path = database.sql(
        "select count(*) from 'staticstore://tables/weather.parquet' where rain > 5"
    )
    assert database.sql(query).fetchall() == path.fetchall()
