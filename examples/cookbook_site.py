"""Make a site with one file of each kind that docs/cookbook.md reads: ``cookbook_site.py FOLDER``.

A file is left out, with a line, if the library that writes it is not installed.  ``--large``
makes the large ones as large as they are in practice, for ``python -m benchmarks.cookbook``;
further arguments are the keys to make, instead of all.  They contain the same at each run.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import sqlite3
import tarfile
import wave
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from staticstore import publish

STATIONS = [
    ("S1", "Old Harbor", 8.43, 54.17, 3),
    ("S2", "North Mill", 8.61, 54.31, 41),
    ("S3", "Ridge Hut", 8.72, 54.26, 512),
]
#: Makes a file: its path, and whether it is to be large.
Make = Callable[[Path, bool], object]


def _field(days: int, rows: int, columns: int) -> Any:
    """Return the temperature of each day in a grid, one day after the other."""
    import numpy

    chance = numpy.random.default_rng(1)
    north, east = numpy.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    relief = 25 * numpy.cos(3 * north) + 5 * numpy.sin(20 * east) * numpy.sin(9 * north)
    for day in range(days):
        weather = relief - 10 * numpy.cos(day / 58) + chance.normal(0, 0.4, (rows, columns))
        yield numpy.round(weather, 2).astype("f4")


def _netcdf(
    chunks: Callable[[int, int, int], tuple[int, int, int]], day: int | None = None
) -> Make:
    """Return what makes a year, or one day of it, in chunks of a shape."""

    def make(path: Path, large: bool) -> None:
        import netCDF4
        import numpy

        days, rows, columns = (365, 310, 620) if large else (365, 24, 36)
        days = days if day is None else 1
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("time", None)
            file.createDimension("lat", rows)
            file.createDimension("lon", columns)
            time = file.createVariable("time", "i4", ("time",))
            time.units = "days since 2025-01-01"
            time[:] = numpy.arange(days) + (day or 0)
            file.createVariable("lat", "f8", ("lat",))[:] = numpy.linspace(90, -90, rows)
            file.createVariable("lon", "f8", ("lon",))[:] = numpy.linspace(0, 359, columns)
            shape = chunks(days, rows, columns)
            values = file.createVariable(
                "t2m", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=shape
            )
            fields = _field(days, rows, columns)
            if shape[0] == 1:
                for number, field in enumerate(fields):
                    values[number] = field
            else:
                values[:] = numpy.stack(list(fields))

    return make


def _classic(path: Path, large: bool) -> None:
    from scipy.io import netcdf_file

    with netcdf_file(path, "w") as file:
        file.createDimension("time", 365)
        file.createVariable("level", "f4", ("time",))[:] = range(365)


def _hdf5(path: Path, large: bool) -> None:
    import h5py
    import numpy

    side = 1024 if large else 64
    with h5py.File(path, "w") as file:
        for number in range(20):
            group = file.create_group(f"run{number:02}")
            group.attrs["wind"] = f"{2 * number} m/s"
            heights = numpy.arange(side * side, dtype="f4").reshape(side, side) * number
            group.create_dataset("height", data=heights, chunks=(side // 8, side))


def _cog(path: Path, large: bool) -> None:
    import rasterio
    from rasterio.shutil import copy
    from rasterio.transform import from_origin

    side = 8192 if large else 1024
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            width=side,
            height=side,
            count=1,
            dtype="float32",
            crs="EPSG:4326",
            transform=from_origin(8, 55, 1 / side, 1 / side),
        ) as written:
            written.write(next(_field(1, side, side)), 1)
        copy(memory.name, path, driver="COG", compress="deflate", overview_resampling="average")


def _pages(path: Path, large: bool) -> None:
    import numpy
    import tifffile

    side = 1024 if large else 256
    with tifffile.TiffWriter(path) as file:
        for number in range(40):
            page = (numpy.arange(side * side) // 7 + number).astype("u2").reshape(side, side)
            file.write(page, contiguous=False, metadata=None, tile=(128, 128))


def _picture(path: Path, large: bool) -> None:
    from PIL import Image

    Image.linear_gradient("L").resize((4000, 3000) if large else (400, 300)).save(path)


def _sound(path: Path, large: bool) -> None:
    seconds = 1200 if large else 20
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        for second in range(seconds):
            file.writeframes(bytes([second % 256, second % 100]) * 8000)


def _table(rows: int) -> Any:
    import numpy
    import pyarrow

    chance = numpy.random.default_rng(1)
    hours = numpy.datetime64("2025-01-01T00", "s") + numpy.arange(rows) * numpy.timedelta64(60, "s")
    columns = {
        "time": hours,
        "station": pyarrow.array([one[0] for one in STATIONS]).take(numpy.arange(rows) * 3 // rows),
        "temperature": numpy.round(chance.normal(9, 6, rows), 2),
        "wind": numpy.round(chance.gamma(2, 2, rows), 2),
        "rain": numpy.round(chance.gamma(0.4, 1, rows), 2),
        "pressure": numpy.round(chance.normal(1013, 8, rows), 3),
    }
    return pyarrow.table(columns)


def _parquet(path: Path, large: bool) -> None:
    from pyarrow import parquet

    rows = 4_800_000 if large else 60_000
    parquet.write_table(_table(rows), path, row_group_size=rows // 24)


def _feather(path: Path, large: bool) -> None:
    from pyarrow import feather

    feather.write_feather(_table(2_400_000 if large else 30_000), path, compression="lz4")


def _orc(path: Path, large: bool) -> None:
    from pyarrow import orc

    orc.write_table(_table(2_400_000 if large else 30_000), path)


def _rows() -> str:
    lines = (f"{a},{b},{c},{d},{e}" for a, b, c, d, e in STATIONS)
    return "\n".join(["station,name,longitude,latitude,elevation", *lines, ""])


def _excel(path: Path, large: bool) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in [_rows().split("\n")[0].split(","), *STATIONS]:
        book.active.append(row)
    book.properties.created = book.properties.modified = datetime(2025, 1, 1)
    book.save(path)


def _geojson(path: Path, large: bool) -> None:
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [east, north]},
            "properties": {"station": station, "name": name, "elevation": elevation},
        }
        for station, name, east, north, elevation in STATIONS
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _geoparquet(path: Path, large: bool) -> None:
    import geopandas
    import numpy

    count = 1_000_000 if large else 20_000
    north = numpy.random.default_rng(1).random(count)
    east = numpy.arange(count) / count  # a row group is a strip from north to south
    points = geopandas.points_from_xy(8 + east, 54 + north, crs="EPSG:4326")
    frame = geopandas.GeoDataFrame({"number": numpy.arange(count), "depth": east}, geometry=points)
    frame.to_parquet(path, write_covering_bbox=True, row_group_size=count // 10)


def _sqlite(path: Path, large: bool) -> None:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("create table stations (station, name, longitude, latitude, elevation)")
        database.executemany("insert into stations values (?, ?, ?, ?, ?)", STATIONS)
    database.close()


def _log(day: int, large: bool) -> bytes:
    start = datetime(2025, 1, 1) + timedelta(days=day)
    lines = 200_000 if large else 2_000
    return "".join(f"{start} #{i:06} level {i * i % 97}\n" for i in range(lines)).encode()


def _zip(path: Path, large: bool) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for day in range(30):
            member = zipfile.ZipInfo(f"day{day + 1:02}.log")
            archive.writestr(member, _log(day, large), zipfile.ZIP_DEFLATED)


def _tar(path: Path, large: bool) -> None:
    with tarfile.open(path, "w") as archive:
        for day in range(8):
            member, text = tarfile.TarInfo(f"day{day + 1:02}.log"), _log(day, large)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))


def _tar_gzip(path: Path, large: bool) -> None:
    _tar(path, large)
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def _gzip(path: Path, large: bool) -> None:
    path.write_bytes(gzip.compress(_log(0, large), mtime=0))


def _zstd(path: Path, large: bool) -> None:
    import zstandard

    path.write_bytes(zstandard.compress(_log(0, large)))


def _array(path: Path, large: bool) -> None:
    import numpy

    side = 4096 if large else 512
    numpy.save(path, numpy.arange(side * side, dtype="f4").reshape(side, side))


def _fits(path: Path, large: bool) -> None:
    import numpy
    from astropy.io import fits

    side = 4096 if large else 512
    sky = numpy.arange(side * side, dtype="f4").reshape(side, side)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(sky, name="SCI")]).writeto(path, overwrite=True)


def _matlab(path: Path, large: bool) -> None:
    import numpy
    from scipy.io import savemat

    side = 2048 if large else 256
    savemat(path, {"a": numpy.ones((side, side)), "tide": numpy.arange(12.0).reshape(3, 4)})


def _zarr(store: Any, large: bool) -> None:
    import zarr

    days, rows, columns = (60, 310, 620) if large else (60, 24, 36)
    array = zarr.create_array(
        store,
        name="t2m",
        shape=(days, rows, columns),
        chunks=(1, rows, columns),
        dtype="f4",
        dimension_names=("time", "lat", "lon"),
    )
    for day, field in enumerate(_field(days, rows, columns)):
        array[day] = field


def _zarr_zip(path: Path, large: bool) -> None:
    import zarr

    files = zarr.storage.MemoryStore()
    _zarr(files, large)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in sorted(files._store_dict.items()):
            archive.writestr(zipfile.ZipInfo(name), data.to_bytes())


FILES: dict[str, Make] = {
    "tables/stations.csv": lambda path, large: path.write_text(_rows()),
    "tables/stations.xlsx": _excel,
    "tables/weather.parquet": _parquet,
    "tables/weather.feather": _feather,
    "tables/weather.orc": _orc,
    "tables/stations.sqlite": _sqlite,
    "tables/stations.jsonl": lambda path, large: path.write_text(
        "".join(json.dumps({"station": one[0], "elevation": one[4]}) + "\n" for one in STATIONS)
    ),
    "climate/by-day.nc": _netcdf(lambda days, rows, columns: (1, rows, columns)),
    "climate/by-point.nc": _netcdf(lambda days, rows, columns: (days, 10, 10)),
    "climate/days/001.nc": _netcdf(lambda *shape: shape, day=0),
    "climate/days/002.nc": _netcdf(lambda *shape: shape, day=1),
    "climate/days/003.nc": _netcdf(lambda *shape: shape, day=2),
    "climate/cube.zarr.zip": _zarr_zip,
    "climate/cube.zarr": lambda path, large: _zarr(str(path), large),
    "climate/tide.nc": _classic,
    "climate/tide.mat": _matlab,
    "model/runs.h5": _hdf5,
    "model/heights.npy": _array,
    "terrain/dem.tif": _cog,
    "terrain/pages.tif": _pages,
    "maps/stations.geojson": _geojson,
    "maps/soundings.parquet": _geoparquet,
    "photos/harbor.png": _picture,
    "sounds/rain.wav": _sound,
    "sky/field.fits": _fits,
    "logs/days.zip": _zip,
    "logs/days.tar": _tar,
    "logs/days.tar.gz": _tar_gzip,
    "logs/day.log.gz": _gzip,
    "logs/day.log.zst": _zstd,
}


def make_files(folder: Path, keys: list[str], *, large: bool = False) -> Iterator[str]:
    """Write the files of some keys below ``data/``; yield a line for each that is left out."""
    for key in keys:
        path = folder / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            FILES[key](path, large)
        except ModuleNotFoundError as error:
            yield f"{key} is left out: {error.name} is not installed"


def main() -> None:
    """Make the site, and publish it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("keys", nargs="*", default=list(FILES))
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    for line in make_files(asked.folder, asked.keys, large=asked.large):
        print(line)
    print(publish(asked.folder))


if __name__ == "__main__":
    main()
