"""UPath of universal_pathlib walks a site."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

upath = pytest.importorskip("upath")

# It says of each file system that it does not bring that it may not be tested.
pytestmark = pytest.mark.filterwarnings("ignore:UPath .staticstore. filesystem")

# Those of `site`.
FILES = ["tables/stations.csv", "tables/weather.parquet"]


def test_a_path_is_read(site: FilesOfSite) -> None:
    path = upath.UPath("staticstore://tables/stations.csv", **site.options)
    assert path.read_text() == (site.data / "tables/stations.csv").read_text()
    assert path.stat().st_size == (site.data / "tables/stations.csv").stat().st_size


def test_paths_are_listed(site: FilesOfSite) -> None:
    root = upath.UPath("staticstore://", **site.options)
    assert [path.name for path in (root / "tables").iterdir()] == [
        "stations.csv",
        "weather.parquet",
    ]
    assert [path.path for path in root.glob("**/*.csv")] == ["tables/stations.csv"]
    assert (root / "tables").is_dir()


def test_nothing_is_written(site: FilesOfSite) -> None:
    path = upath.UPath("staticstore://tables/stations.csv", **site.options)
    with pytest.raises(OSError, match="cannot be written"):
        path.write_text("")
