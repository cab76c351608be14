"""Files that browsers cannot show: what their metadata says, and the Python that opens them."""

from __future__ import annotations

import contextlib
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.site.sitefolder import make_site
from tests.tools.page.browsing import choose, expect, looking

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def of_tifffile() -> bytes:
    numpy, tifffile = pytest.importorskip("numpy"), pytest.importorskip("tifffile")
    body = io.BytesIO()
    tifffile.imwrite(body, numpy.zeros((3, 4), "u1"))
    return body.getvalue()


def of_pyarrow() -> bytes:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    body = io.BytesIO()
    parquet.write_table(pyarrow.table({"rain": [1, 2, 3]}), body)
    return body.getvalue()


def of_h5py() -> bytes:
    h5py = pytest.importorskip("h5py")
    body = io.BytesIO()
    with h5py.File(body, "w") as file:
        file["rain"] = [1, 2, 3]
    return body.getvalue()


def of_xarray() -> bytes:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    body: bytes = xarray.Dataset({"rain": ("x", [1, 2, 3])}).to_netcdf(engine="h5netcdf")
    return bytes(body)


def of_numpy() -> bytes:
    numpy = pytest.importorskip("numpy")
    body = io.BytesIO()
    numpy.save(body, numpy.zeros(3))
    return body.getvalue()


def of_zipfile() -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("rain.txt", "1")
    return body.getvalue()


Names = Mapping[str, Any]
# The ending, what makes a file, and whether what its lines leave is what was in it.
FORMATS: dict[str, tuple[str, Callable[[], bytes], Callable[[Names, str], bool]]] = {
    "TIFF": (".tif", of_tifffile, lambda names, _: names["image"].shape == (3, 4)),
    "Parquet": (".parquet", of_pyarrow, lambda names, _: names["table"].num_rows == 3),
    "netCDF": (".nc", of_xarray, lambda names, _: names["data"]["rain"].sum() == 6),
    "HDF5": (".h5", of_h5py, lambda _, printed: printed == "['rain']\n"),
    "NumPy": (".npy", of_numpy, lambda names, _: names["array"].shape == (3,)),
    "ZIP": (".zip", of_zipfile, lambda _, printed: printed == "['rain.txt']\n"),
    "gzip": (".gz", lambda: gzip.compress(b"rain"), lambda names, _: names["data"] == b"rain"),
}
STEM = 'it\'s a "key" \\ with é 日本 100%'


@pytest.fixture(scope="module")
def files(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One window on a site with a file of each format whose library is here."""
    made = {}
    for ending, make, _ in FORMATS.values():
        with contextlib.suppress(pytest.skip.Exception):
            made[f"{STEM}{ending}"] = make()
    site = make_site(tmp_path_factory.mktemp("files") / "site", made)
    (site / "data").rename(site / "my data")
    publish(site, browse=True, data="my data")
    with serve(site, port=0) as server, looking(browser) as look:
        yield look(server.url)


@pytest.mark.parametrize("name", FORMATS)
def test_the_lines_of_python_open_the_value(
    files: Page, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    ending, make, is_right = FORMATS[name]
    make()  # skips the test without the library
    choose(files, f"{STEM}{ending}")
    expect(files.locator(".format h3")).to_have_text(name)
    names: dict[str, Any] = {}
    exec(files.locator(".format pre").inner_text(), names)
    names["store"].disconnect()
    assert is_right(names, capsys.readouterr().out)


METADATA: dict[str, dict[str, Any]] = {
    "dem.tif": {"title": "Heights", "units": "m", "bands": 1, "crs": "EPSG:4326", "shape": [3, 4]},
    "cube.nc": {"variables": {"t2m": "K", "<b>": {"a": 1}}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    keys = ["dem.tif", "cube.nc", "a/b.zarr/zarr.json", "a/b.zarr/c/0/0", "v2/.zarray", "x.bin"]
    root = tmp_path_factory.mktemp("formats") / "site"
    site = make_site(root, {**dict.fromkeys(keys, b"{}"), "x.bin": b"\0"})
    publish(site, browse=True, metadata=METADATA)
    with serve(site, port=0) as server:
        yield server


@pytest.fixture(scope="module")
def page(browser: Browser, server: SiteServer) -> Iterator[Page]:
    """One window for the tests that only look."""
    with looking(browser) as look:
        yield look(server.url)


def test_the_telling_fields_come_first_and_once(page: Page) -> None:
    choose(page, "dem.tif")
    facts = page.locator(".facts tr").all_inner_texts()
    assert facts == ["crs\tEPSG:4326", "shape\t3, 4", "bands\t1", "units\tm"]
    others = page.locator("#preview dt").all_inner_texts()
    assert others == ["media_type", "modified", "size", "title"]


def test_f10_an_object_is_a_line_for_each_member_and_text(page: Page) -> None:
    choose(page, "cube.nc")
    expect(page.locator(".facts td")).to_have_text('<b>: {"a":1}\nt2m: K')


@pytest.mark.parametrize(
    ("key", "group"),
    [("a/b.zarr/zarr.json", "a/b.zarr"), ("a/b.zarr/c/0/0", "a/b.zarr"), ("v2/.zarray", "v2")],
)
def test_a_file_of_a_zarr_group_names_the_group(
    server: SiteServer, page: Page, key: str, group: str
) -> None:
    choose(page, key)
    expect(page.locator(".format pre")).to_have_text(
        f'import zarr\n\ndata = zarr.open("{server.url}data/{group}", mode="r")'
    )


def test_other_files_get_no_lines(page: Page) -> None:
    choose(page, "x.bin")
    expect(page.locator("#preview .path")).to_have_text("x.bin")
    assert page.locator(".format").count() == 0
