"""Each recipe prints what the page shows, and those that read a part cost a part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from staticstore import StaticStore, publish, serve
from tests.cookbook.recipes import PAGE, RECIPES, Recipe, make_files
from tests.servers import Nginx

# What libraries deprecate in each other is not ours to mend.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{name}")
    for name in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
] + [pytest.mark.filterwarnings("ignore:UPath .staticstore. filesystem")]

# How much of a file is sent at most, and by how many requests.  The files of the tests are
# small: of large ones it is a much smaller part.
PARTS = {
    "pandas-parquet": (0.8, 25),
    "pyarrow-parquet": (0.45, 13),
    "pyarrow-row-group": (0.1, 2),
    "pyarrow-dataset": (0.1, 2),
    "pyarrow-feather": (0.35, 4),
    "pyarrow-orc": (0.5, 4),
    "polars-pyarrow": (0.8, 25),
    "duckdb": (0.45, 13),
    "xarray-day": (0.2, 3),
    "xarray-point": (0.3, 3),
    "h5py": (0.45, 5),
    "zarr-zip": (0.3, 3),
    "numpy": (0.12, 2),
    "scipy": (0.15, 2),
    "astropy": (0.12, 2),
    "rasterio-window": (0.85, 6),
    "rasterio-overview": (0.3, 3),
    "tifffile-page": (0.1, 9),
    "tifffile-window": (0.85, 6),
    "geopandas-parquet": (0.2, 3),
    "soundfile": (0.5, 2),
    "wave": (0.4, 2),
    "fsspec-pandas": (0.8, 25),
    "fsspec-pyarrow": (0.8, 25),
    "fsspec-xarray": (0.2, 3),
    "fsspec-duckdb": (0.8, 25),
    "fsspec-rasterio": (0.85, 6),
    "zipfile": (0.25, 3),
    "tarfile": (0.6, 10),
}


def test_every_example_of_the_page_is_a_recipe() -> None:
    assert PAGE.count("```python\n") == len(RECIPES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with the files of all recipes whose libraries are installed."""
    folder = tmp_path_factory.mktemp("cookbook")
    list(make_files(folder, sorted({key for one in RECIPES.values() for key in one.keys})))
    publish(folder)
    return folder


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with serve(site, port=0) as server:
        yield server.url


@pytest.fixture(scope="module")
def nginx(site: Path) -> Iterator[Nginx]:
    with Nginx(site) as server:
        yield server


@pytest.fixture
def recipe(request: pytest.FixtureRequest, site: Path) -> Recipe:
    """The recipe of a name; skipped if a library that it needs is not installed."""
    recipe = RECIPES[request.param]
    for library in recipe.libraries:
        pytest.importorskip(library)
    for key in recipe.keys:
        if not (site / "data" / key).exists():
            pytest.skip(f"the library that writes {key} is not installed")
    return recipe


# Those that show what happens behind a server that compresses.
COMPRESSED = [name for name in RECIPES if name.startswith("compressed")]


@pytest.mark.parametrize(
    "recipe", [name for name in RECIPES if name not in COMPRESSED], indirect=True
)
def test_a_recipe_prints_what_the_page_shows(
    recipe: Recipe, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with StaticStore(url, poll_interval=0) as store:
        assert recipe.run(store, url) == recipe.shown


@pytest.fixture(scope="module")
def compressing(site: Path) -> Iterator[Nginx]:
    with Nginx(site, gzip=True) as server:
        yield server


@pytest.mark.parametrize(
    "recipe", [*COMPRESSED, "xarray-day", "rasterio-window", "zipfile"], indirect=True
)
def test_a_recipe_prints_what_the_page_shows_behind_a_server_that_compresses(
    recipe: Recipe, compressing: Nginx
) -> None:
    with StaticStore(compressing.url, poll_interval=0) as store:
        assert recipe.run(store, compressing.url) == recipe.shown


def test_fsspec_cannot_seek_behind_a_server_that_compresses(compressing: Nginx) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open(f"{compressing.url}data/model/heights.npy").open() as file:
        file.seek(100_000)
        with pytest.raises(ValueError, match="doesn't appear to support range requests"):
            file.read(4)


def test_fsspec_reads_ranges_where_it_accepts_no_compression(compressing: Nginx) -> None:
    fsspec = pytest.importorskip("fsspec")
    plain = {"headers": {"Accept-Encoding": "identity"}}
    files = fsspec.filesystem("http", client_kwargs=plain, skip_instance_cache=True)
    url = f"{compressing.url}data/tables/stations.csv"
    assert files.cat_file(url, start=100, end=112) == b"Ridge Hut,8."


@pytest.mark.parametrize("recipe", PARTS, indirect=True)
def test_a_recipe_reads_a_part_of_its_file(recipe: Recipe, site: Path, nginx: Nginx) -> None:
    before = len(nginx.requests())
    with StaticStore(nginx.url, poll_interval=0) as store:
        recipe.run(store, nginx.url)
    sent = [one.sent for one in nginx.requests()[before:] if "/data/" in unquote(one.target)]
    share, requests = PARTS[recipe.name]
    size = sum((site / "data" / key).stat().st_size for key in recipe.keys)
    assert sum(sent) < share * size
    assert len(sent) <= requests
