"""tifffile: what reading from a value that is opened costs."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.values.cost import Cost, Read, Start, cost_of

tifffile = pytest.importorskip("tifffile")
numpy = pytest.importorskip("numpy")


def _tiff(**options: Any) -> Callable[[], bytes]:
    def write() -> bytes:
        written = io.BytesIO()
        with tifffile.TiffWriter(written) as file:
            for number in range(5):
                page = numpy.arange(512 * 512, dtype="u2").reshape(512, 512) + number
                file.write(page, metadata=None, **options)
        return written.getvalue()

    return write


def _one_page(file: Any) -> None:
    assert tifffile.imread(file, key=2)[0, 1] == 3


def _all_pages(file: Any) -> None:
    with tifffile.TiffFile(file) as opened:
        assert [page.asarray()[0, 0] for page in opened.pages] == [0, 1, 2, 3, 4]


BEFORE: dict[str, tuple[Callable[[], bytes], Read, Cost]] = {
    "TIFF of tiles, a page": (_tiff(tile=(128, 128)), _one_page, Cost(5, 1_605_632)),
    "TIFF of tiles, all pages": (_tiff(tile=(128, 128)), _all_pages, Cost(15, 6_032_384)),
    "TIFF of strips, a page": (_tiff(rowsperstrip=16), _one_page, Cost(4, 623_760)),
    "TIFF of strips, all pages": (_tiff(rowsperstrip=16), _all_pages, Cost(10, 3_545_584)),
}


@pytest.mark.parametrize("what", BEFORE)
def test_it_takes_no_more_requests_than_through_a_buffer(start: Start, what: str) -> None:
    """Hold the cost against that of the buffer that Python's own files have."""
    write, read, before = BEFORE[what]
    now = cost_of(start, write(), read)
    assert now.requests <= before.requests
    assert now.bytes <= 1.05 * before.bytes
