"""UPath of universal_pathlib walks a site."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.file_system_site import FilesOfSite, files_of_site

upath = pytest.importorskip("upath")

# It says of each file system that it does not bring that it may not be tested.
pytestmark = pytest.mark.filterwarnings("ignore:UPath .staticstore. filesystem")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesOfSite]:
    with files_of_site(
        tmp_path_factory.mktemp("site"), "tables/stations.csv", "tables/weather.parquet"
    ) as site:
        yield site


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
