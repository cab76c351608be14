"""h5py: what reading HDF5 from a value that is opened costs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.values.cost import Cost, Read, Start, cost_of

h5py = pytest.importorskip("h5py")
numpy = pytest.importorskip("numpy")


def _hdf5() -> bytes:
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
    with h5py.File(file, "r") as opened:
        assert [opened[name].attrs["title"] for name in opened][7] == "group 7"


def _slices(file: Any) -> None:
    with h5py.File(file, "r") as opened:
        assert opened["g07/chunked"][60, 3] == 12_003 * 7
        assert opened["g12/whole"][60:70, 3][0] == 12_003 * 12


def _datasets(file: Any) -> None:
    with h5py.File(file, "r") as opened:
        assert [opened[name]["chunked"][...][0, 1] for name in opened][3] == 3


BEFORE: dict[str, tuple[Callable[[], bytes], Read, Cost]] = {
    "HDF5, attributes": (_hdf5, _titles, Cost(20, 688_128)),
    "HDF5, slices": (_hdf5, _slices, Cost(9, 360_448)),
    "HDF5, datasets": (_hdf5, _datasets, Cost(65, 4_784_128)),
}


@pytest.mark.parametrize("what", BEFORE)
def test_it_takes_no_more_requests_than_through_a_buffer(start: Start, what: str) -> None:
    """Hold the cost against that of the buffer that Python's own files have."""
    write, read, before = BEFORE[what]
    now = cost_of(start, write(), read)
    assert now.requests <= before.requests
    assert now.bytes <= 1.05 * before.bytes
