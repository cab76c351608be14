"""What the readers of common formats cost through `open`, in requests and bytes."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from staticstore import StaticStore
from tests.servers import RawServer, Request, Wire
from tests.sites import index_of

Start = Callable[..., RawServer]
Read = Callable[[Any], object]

BLOCK = 1 << 15
VALUE = random.Random(1).randbytes(2_000_003)


class Cost(NamedTuple):
    """What the server was asked for, of the one value."""

    requests: int
    bytes: int


@pytest.fixture
def cost(start: Start) -> Callable[[bytes, Read], Cost]:
    def cost(value: bytes, read: Read) -> Cost:
        parts = parts_asked(start, value, read)
        return Cost(len(parts), sum(end - start for start, end in parts))

    return cost


Costs = Callable[[bytes, Read], Cost]


def parts_asked(start: Start, value: bytes, read: Read) -> list[tuple[int, int]]:
    """Read a value through `open`, and return the parts that the server was asked for."""

    def answer(request: Request, wire: Wire) -> None:
        if request.path != "/data/a":
            wire.response(200, index_of({"a": value}))
            return
        first, last, _ = slice(*(request.range or (0, None))).indices(len(value))
        fields = {"ETag": '"1"', "Content-Range": f"bytes {first}-{last - 1}/{len(value)}"}
        wire.response(206 if request.range else 200, value[first:last], fields)

    server = start(answer)
    with StaticStore(server.url, poll_interval=0) as store, store["a"].open() as file:
        read(file)
    asked = [one.range or (0, None) for one in server.requests if one.path == "/data/a"]
    return [(first, min(last or len(value), len(value))) for first, last in asked]


# -- one read, one request -----------------------------------------------------------------


def _reading(*reads: tuple[int, int]) -> Read:
    def read(file: Any) -> None:
        for position, count in reads:
            file.seek(position)
            assert file.read(count) == VALUE[position : position + count]

    return read


def _reading_into(*reads: tuple[int, int]) -> Read:
    def read(file: Any) -> None:
        for position, count in reads:
            file.seek(position)
            buffer = bytearray(count)
            assert file.readinto(buffer) == count
            assert buffer == VALUE[position : position + count]

    return read


@pytest.mark.parametrize("reading", [_reading, _reading_into])
@pytest.mark.parametrize("count", [BLOCK, 100_000, 262_145, 1_000_000])
@pytest.mark.parametrize("position", [0, 5 * BLOCK, 700_001])
def test_a_long_read_is_one_request_of_just_its_bytes(
    start: Start, reading: Callable[..., Read], count: int, position: int
) -> None:
    asked = parts_asked(start, VALUE, reading((position, count)))
    assert asked == [(position, position + count)]


def test_a_long_read_ends_where_the_value_does(start: Start) -> None:
    asked = parts_asked(start, VALUE, _reading((1_900_000, 500_000)))
    assert asked == [(1_900_000, len(VALUE))]


def test_long_reads_far_from_each_other_are_a_request_each(start: Start) -> None:
    reads = [(1_500_000, 300_000), (100, 50_000), (700_000, 600_000), (60_000, BLOCK)]
    asked = parts_asked(start, VALUE, _reading(*reads))
    assert asked == [(position, position + count) for position, count in reads]


def test_what_is_here_of_a_long_read_is_not_fetched_again(start: Start) -> None:
    asked = parts_asked(start, VALUE, _reading((700_000, 10), (700_000, 400_000)))
    end_of_first = -(-700_000 // BLOCK) * BLOCK
    assert asked == [(end_of_first - BLOCK, end_of_first), (end_of_first, 1_100_000)]


def test_a_long_read_is_not_fetched_twice(start: Start) -> None:
    asked = parts_asked(start, VALUE, _reading((700_001, 100_000), (5, 5), (700_001, 100_000)))
    assert asked == [(700_001, 800_001), (0, BLOCK)]


def test_a_short_read_over_two_blocks_is_one_request(start: Start) -> None:
    asked = parts_asked(start, VALUE, _reading((10 * BLOCK - 5, 10)))
    assert asked == [(9 * BLOCK, 11 * BLOCK)]


@pytest.mark.parametrize("size", [1000, 1 << 16, 100_000])
def test_reading_on_asks_for_twice_as_much_each_time(start: Start, size: int) -> None:
    def read(file: Any) -> None:
        while file.read(size):
            pass

    assert len(parts_asked(start, VALUE, read)) <= 7


# -- formats: no more requests than through the buffer of Python's own files ---------------


def _hdf5() -> bytes:
    h5py = pytest.importorskip("h5py")
    numpy = pytest.importorskip("numpy")
    written = io.BytesIO()
    with h5py.File(written, "w", libver="earliest") as file:
        for number in range(20):
            group = file.create_group(f"g{number:02}")
            group.attrs["title"] = f"group {number}"
            data = numpy.arange(40_000, dtype="f4").reshape(200, 200) * number
            group.create_dataset("chunked", data=data, chunks=(50, 200))
            group.create_dataset("whole", data=data)
    return written.getvalue()


def _titles(file: Any) -> None:
    import h5py

    with h5py.File(file, "r") as opened:
        assert [opened[name].attrs["title"] for name in opened][7] == "group 7"


def _slices(file: Any) -> None:
    import h5py

    with h5py.File(file, "r") as opened:
        assert opened["g07/chunked"][60, 3] == 12_003 * 7
        assert opened["g12/whole"][60:70, 3][0] == 12_003 * 12


def _datasets(file: Any) -> None:
    import h5py

    with h5py.File(file, "r") as opened:
        assert [opened[name]["chunked"][...][0, 1] for name in opened][3] == 3


def _zip(size: int) -> Callable[[], bytes]:
    def write() -> bytes:
        written = io.BytesIO()
        with zipfile.ZipFile(written, "w") as archive:
            for number in range(60):
                archive.writestr(f"{number:03}.bin", VALUE[number * 1000 :][:size])
        return written.getvalue()

    return write


def _some_members(file: Any) -> None:
    with zipfile.ZipFile(file) as archive:
        for number in (3, 17, 30, 31, 55):
            assert archive.read(f"{number:03}.bin")[:9] == VALUE[number * 1000 :][:9]


def _all_members(file: Any) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None


def _tiff(**options: Any) -> Callable[[], bytes]:
    def write() -> bytes:
        tifffile = pytest.importorskip("tifffile")
        numpy = pytest.importorskip("numpy")
        written = io.BytesIO()
        with tifffile.TiffWriter(written) as file:
            for number in range(5):
                page = numpy.arange(512 * 512, dtype="u2").reshape(512, 512) + number
                file.write(page, metadata=None, **options)
        return written.getvalue()

    return write


def _one_page(file: Any) -> None:
    import tifffile

    assert tifffile.imread(file, key=2)[0, 1] == 3


def _all_pages(file: Any) -> None:
    import tifffile

    with tifffile.TiffFile(file) as opened:
        assert [page.asarray()[0, 0] for page in opened.pages] == [0, 1, 2, 3, 4]


BEFORE: dict[str, tuple[Callable[[], bytes], Read, Cost]] = {
    "HDF5, attributes": (_hdf5, _titles, Cost(20, 688_128)),
    "HDF5, slices": (_hdf5, _slices, Cost(9, 360_448)),
    "HDF5, datasets": (_hdf5, _datasets, Cost(65, 4_784_128)),
    "zip of small members, some": (_zip(20_000), _some_members, Cost(9, 418_990)),
    "zip of small members, all": (_zip(20_000), _all_members, Cost(7, 1_231_196)),
    "zip of large members, some": (_zip(150_000), _some_members, Cost(13, 1_632_622)),
    "zip of large members, all": (_zip(150_000), _all_members, Cost(9, 9_032_412)),
    "TIFF of tiles, a page": (_tiff(tile=(128, 128)), _one_page, Cost(5, 1_605_632)),
    "TIFF of tiles, all pages": (_tiff(tile=(128, 128)), _all_pages, Cost(15, 6_032_384)),
    "TIFF of strips, a page": (_tiff(rowsperstrip=16), _one_page, Cost(4, 623_760)),
    "TIFF of strips, all pages": (_tiff(rowsperstrip=16), _all_pages, Cost(10, 3_545_584)),
}


@pytest.mark.parametrize("what", BEFORE)
def test_a_format_takes_no_more_requests_than_before(cost: Costs, what: str) -> None:
    write, read, before = BEFORE[what]
    now = cost(write(), read)
    assert now.requests <= before.requests
    assert now.bytes <= 1.05 * before.bytes


# -- Parquet -------------------------------------------------------------------------------


def _parquet(columns: int, rows: int, row_group_size: int, **options: Any) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    numpy = pytest.importorskip("numpy")
    chance = numpy.random.default_rng(1)
    table = pyarrow.table({f"c{number}": chance.random(rows) for number in range(columns)})
    written = io.BytesIO()
    parquet.write_table(table, written, row_group_size=row_group_size, **options)
    return written.getvalue()


def _column(file: Any) -> None:
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(file, columns=["c2"]).num_columns == 1


def _column_of_each_group(file: Any) -> None:
    import pyarrow.parquet

    opened = pyarrow.parquet.ParquetFile(file)
    for number in range(opened.num_row_groups):
        assert opened.read_row_group(number, columns=["c2"]).num_columns == 1


def _column_without_buffers(file: Any) -> None:
    import pyarrow.parquet

    opened = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
    assert opened.read(columns=["c2"]).num_columns == 1


class _Noted(io.BytesIO):
    """A file in memory that notes what is read of it."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self.counts: list[int] = []

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.counts.append(len(data))
        return data


PARQUET: dict[str, Callable[[], bytes]] = {
    "one group": lambda: _parquet(4, 400_000, 400_000, compression="none"),
    "groups": lambda: _parquet(4, 400_000, 50_000, compression="none"),
    "small groups": lambda: _parquet(4, 100_000, 6_000, compression="none"),
    "compressed": lambda: _parquet(4, 200_000, 40_000),
    "many columns": lambda: _parquet(30, 50_000, 20_000, use_dictionary=False),
}
WAYS = [_column, _column_of_each_group, _column_without_buffers]


@pytest.mark.parametrize("what", PARQUET)
@pytest.mark.parametrize("read", WAYS)
def test_a_parquet_column_costs_what_pyarrow_reads(cost: Costs, what: str, read: Read) -> None:
    value = PARQUET[what]()
    noted = _Noted(value)
    read(noted)
    now = cost(value, read)
    assert now.bytes <= 1.1 * sum(noted.counts)
    assert now.requests <= len(noted.counts) + 4
