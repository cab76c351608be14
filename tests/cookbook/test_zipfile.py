"""Python's zipfile: what reading from a value that is opened costs."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore
from tests.servers import Nginx
from tests.transport.values.cost import Cost, Read, Start, cost_of

VALUE = random.Random(1).randbytes(1_000_003)


def test_the_directory_of_a_zip_of_a_gigabyte_costs_less_than_200_kb(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a.zip"
    path.parent.mkdir()
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        for number in range(500):
            with archive.open(f"{number:04}.bin", "w") as member:
                member.write(b"")
        # Holes, which take no room on the disk.
        with archive.open("large.bin", "w", force_zip64=True) as member:
            file.seek(1 << 30)
            member.write(b"end")
        archive.start_dir = file.tell()
    with Nginx(tmp_path) as nginx:
        (tmp_path / "index.json").write_bytes(b'{"a.zip": {"size": %d}}' % path.stat().st_size)
        with (
            StaticStore(nginx.url, poll_interval=0) as store,
            store["a.zip"].open() as value,
            zipfile.ZipFile(value) as archive,
        ):
            assert len(archive.namelist()) == 501
        sent = [one.sent for one in nginx.requests() if one.target.endswith("a.zip")]
    assert sum(sent) < 200_000


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


BEFORE: dict[str, tuple[Callable[[], bytes], Read, Cost]] = {
    "zip of small members, some": (_zip(20_000), _some_members, Cost(9, 418_990)),
    "zip of small members, all": (_zip(20_000), _all_members, Cost(7, 1_231_196)),
    "zip of large members, some": (_zip(150_000), _some_members, Cost(13, 1_632_622)),
    "zip of large members, all": (_zip(150_000), _all_members, Cost(9, 9_032_412)),
}


@pytest.mark.parametrize("what", BEFORE)
def test_it_takes_no_more_requests_than_through_a_buffer(start: Start, what: str) -> None:
    """Hold the cost against that of the buffer that Python's own files have."""
    write, read, before = BEFORE[what]
    now = cost_of(start, write(), read)
    assert now.requests <= before.requests
    assert now.bytes <= 1.05 * before.bytes
