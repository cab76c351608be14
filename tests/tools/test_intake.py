"""intake reads a site by URLs."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

pytest.importorskip("intake")
pytest.importorskip("pandas")

# Those of `site`.
FILES = ["tables/stations.csv"]


def test_a_reader_of_a_csv_file(site: FilesOfSite) -> None:
    from intake.readers import datatypes, readers

    data = datatypes.CSV("staticstore://tables/stations.csv", storage_options=site.options)
    assert readers.PandasCSV(data).read()["elevation"].max() == 512
