"""DuckDB reads a site by its registered file system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.file_system_site import FilesOfSite

duckdb = pytest.importorskip("duckdb")

# Those of `site`.
FILES = ["tables/stations.csv", "tables/weather.parquet"]


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
