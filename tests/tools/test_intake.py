"""intake reads a site by URLs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.file_system_site import FilesOfSite, files_of_site

pytest.importorskip("intake")
pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesOfSite]:
    with files_of_site(tmp_path_factory.mktemp("site"), "tables/stations.csv") as site:
        yield site


def test_a_reader_of_a_csv_file(site: FilesOfSite) -> None:
    from intake.readers import datatypes, readers

    data = datatypes.CSV("staticstore://tables/stations.csv", storage_options=site.options)
    assert readers.PandasCSV(data).read()["elevation"].max() == 512
