"""xarray opens a site by URLs: netCDF 4 and zarr."""

from __future__ import annotations

import pytest

from tests.tools.file_system_site import FilesOfSite

xr = pytest.importorskip("xarray")

# Those of `site`.
FILES = ["climate/by-day.nc", "climate/cube.zarr"]


def test_a_netcdf_file_by_its_url(site: FilesOfSite) -> None:
    pytest.importorskip("h5netcdf")
    url = "staticstore://climate/by-day.nc"
    there = xr.open_dataset(site.data / "climate/by-day.nc", engine="h5netcdf")
    with there, xr.open_dataset(url, engine="h5netcdf", storage_options=site.options) as found:
        assert found.isel(time=3).equals(there.isel(time=3))


def test_a_netcdf_file_as_a_file(site: FilesOfSite) -> None:
    pytest.importorskip("h5netcdf")
    there = xr.open_dataset(site.data / "climate/by-day.nc", engine="h5netcdf")
    with site.files.open("climate/by-day.nc") as file, there:
        assert xr.open_dataset(file, engine="h5netcdf").isel(time=3).equals(there.isel(time=3))


def test_a_zarr_group(site: FilesOfSite) -> None:
    pytest.importorskip("zarr")
    url, options = "staticstore://climate/cube.zarr", {"consolidated": False}
    found = xr.open_zarr(url, storage_options=site.options, **options)
    assert found.equals(xr.open_zarr(str(site.data / "climate/cube.zarr"), **options))
