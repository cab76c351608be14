"""Decompression within bounds: each attack ends in an error, or with the value."""

from __future__ import annotations

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.zstd import DecompressionError, decompress_file, decompressed, may_decompress
from tests.compressed import VALUE, copy_of, frames_of, skippable, zstd

COPY = copy_of(VALUE)
MIB = 1 << 20


def _without_size() -> bytes:
    compressor = zstd.ZstdCompressor()
    return bytes(compressor.compress(VALUE) + compressor.flush())


def _with_dictionary() -> bytes:
    samples = [VALUE[at : at + 500] for at in range(0, 200_000, 500)]
    return bytes(zstd.compress(VALUE, zstd_dict=zstd.train_dict(samples, 4096)))


def test_frames_in_a_row_are_undone() -> None:
    assert decompressed(b"".join(frames_of(VALUE)), len(VALUE)) == VALUE


def test_a_seek_table_and_other_skippable_frames_are_passed_over() -> None:
    copy = skippable(b"before") + COPY + skippable(b"")
    assert decompressed(copy, len(VALUE)) == VALUE


def test_a_frame_without_its_content_size_is_undone() -> None:
    assert zstd.get_frame_info(_without_size()).decompressed_size is None
    assert decompressed(_without_size(), len(VALUE)) == VALUE


def test_a_value_is_written_into_a_file() -> None:
    target = io.BytesIO()
    decompress_file(io.BytesIO(COPY), target, len(VALUE))
    assert target.getvalue() == VALUE


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        (COPY + b"garbage", "Unknown frame descriptor"),
        (b"garbage" + COPY, "Unknown frame descriptor"),
        (b"<html>" * 1000, "Unknown frame descriptor"),
        (COPY[:-1], "cut short"),
        (COPY[: len(COPY) // 2], "cut short|less than the value"),
        (frames_of(VALUE)[0], "less than the value"),
        (b"", "less than the value"),
        (COPY + COPY, "more than the value"),
        (COPY + skippable(b"x", 0xFFFFFFFF), "cut short"),  # 4 GiB
        (skippable(b"x", 0xFFFFFFFF) + COPY, "cut short"),
        (_with_dictionary(), "[Dd]ictionary"),
        (zstd.compress(b"") * 100_000 + COPY, "too many frames"),
        (skippable(b"") * 100_000 + COPY, "too many frames"),
    ],
)
def test_what_is_not_the_value_is_refused(copy: bytes, reason: str) -> None:
    with pytest.raises(DecompressionError, match=reason):
        decompressed(copy, len(VALUE))


def test_a_window_of_more_than_8_mib_is_refused() -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    wide = compressor.compress(VALUE) + compressor.flush()
    with pytest.raises(DecompressionError, match="too much memory"):
        decompressed(wide, len(VALUE))


def test_a_bomb_costs_no_more_than_the_size_of_the_value() -> None:
    bomb = zstd.compress(bytes(256 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(DecompressionError, match="more than the value"):
            decompressed(bomb, MIB)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_a_checksum_that_is_wrong_is_found() -> None:
    options = {zstd.CompressionParameter.checksum_flag: 1}
    frame = zstd.compress(VALUE, options=options)
    with pytest.raises(DecompressionError, match="checksum"):
        decompressed(frame[:-1] + bytes([frame[-1] ^ 1]), len(VALUE))


@given(st.binary(max_size=400))
def test_random_bytes_raise_nothing_else(text: bytes) -> None:
    with pytest.raises(DecompressionError):
        decompressed(frames_of(VALUE[:100])[0][:20] + text, 10_000)


def test_a_copy_that_would_grow_beyond_measure_is_not_read() -> None:
    assert may_decompress(500 * MIB, 1000 * MIB)
    assert may_decompress(100, 64 * MIB)
    assert not may_decompress(100_000, 65 * MIB)
