"""rasterio reads a site by `opener`."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

rasterio = pytest.importorskip("rasterio")

# Those of `site`.
FILES = ["terrain/dem.tif"]


@pytest.mark.parametrize("is_function", [False, True], ids=["file system", "function"])
def test_a_window(site: FilesOfSite, is_function: bool) -> None:
    window = ((100, 120), (300, 340))
    opener = site.files.open if is_function else site.files
    with (
        rasterio.open("terrain/dem.tif", opener=opener) as found,
        rasterio.open(site.data / "terrain/dem.tif") as there,
    ):
        assert (found.read(1, window=window) == there.read(1, window=window)).all()
