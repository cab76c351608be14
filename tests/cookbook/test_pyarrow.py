"""pyarrow: what reading Parquet from a value that is opened costs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.values.cost import Read, Start, cost_of

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
numpy = pytest.importorskip("numpy")


def _parquet(columns: int, rows: int, row_group_size: int, **options: Any) -> bytes:
    chance = numpy.random.default_rng(1)
    table = pyarrow.table({f"c{number}": chance.random(rows) for number in range(columns)})
    written = io.BytesIO()
    parquet.write_table(table, written, row_group_size=row_group_size, **options)
    return written.getvalue()


def _column(file: Any) -> None:
    assert parquet.read_table(file, columns=["c2"]).num_columns == 1


def _column_of_each_group(file: Any) -> None:
    opened = parquet.ParquetFile(file)
    for number in range(opened.num_row_groups):
        assert opened.read_row_group(number, columns=["c2"]).num_columns == 1


def _column_without_buffers(file: Any) -> None:
    opened = parquet.ParquetFile(file, pre_buffer=False)
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
def test_a_parquet_column_costs_what_pyarrow_reads(start: Start, what: str, read: Read) -> None:
    value = PARQUET[what]()
    noted = _Noted(value)
    read(noted)
    now = cost_of(start, value, read)
    assert now.bytes <= 1.1 * sum(noted.counts)
    assert now.requests <= len(noted.counts) + 4
