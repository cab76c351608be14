"""The seek table of a compressed copy: what is read, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.transport.values.seek_table import SeekTable, table_bytes

SIZES = [100, 200, 50]
TABLE = SeekTable(SIZES, 1000, 2500)
TEXT = TABLE.encode()
COPY = sum(SIZES) + len(TEXT)


def text_of(
    fields: Sequence[tuple[int, ...]], *, flags: int = 0, magic: int = 0x8F92EAB1, count: int = -1
) -> bytes:
    body = b"".join(struct.pack(f"<{len(one)}I", *one) for one in fields)
    footer = struct.pack("<IBI", len(fields) if count < 0 else count, flags, magic)
    return struct.pack("<II", 0x184D2A5E, len(body) + len(footer)) + body + footer


def test_a_table_is_read_as_it_was_written() -> None:
    table = SeekTable.parse(TEXT, COPY, 2500)
    assert (len(table), table.frame_bytes, table.held_by(2)) == (3, 1000, 500)
    assert table.place_of(table.frames(999, 1001)) == (0, 300)
    assert table.place_of(table.frames(2000, 2500)) == (300, 350)


def test_what_is_before_the_table_is_ignored() -> None:
    assert len(SeekTable.parse(b"frames" + TEXT, COPY, 2500)) == 3


def test_a_table_with_checksums_is_read() -> None:
    fields = [(size, 1000, 7) for size in SIZES[:2]]
    text = text_of(fields, flags=0x80)
    assert len(text) == table_bytes(2, has_checksums=True)
    assert len(SeekTable.parse(text, 300 + len(text), 2000)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(0, 1000), (300, 1000)],  # a frame without bytes
        [(100, 1000), (200, 0)],  # one that holds none
        [(100, 1000), (200, 1001)],  # the last holds more
        [(50, 1000), (50, 500), (200, 500)],  # of different sizes, so that offsets may be wrong
        [(100, 9 << 20), (200, 1)],  # larger than the window of the decoder
        [(100, 1000), (201, 1000)],  # more bytes than the copy has
        [(100, 1000), (200, 999)],  # fewer than the value has
        [(100, 0xFFFFFFFF), (200, 0xFFFFFFFF)],
    ],
)
def test_a_table_that_contradicts_the_sizes_is_refused(fields: list[tuple[int, int]]) -> None:
    text = text_of(fields)
    with pytest.raises(ValueError, match="seek table"):
        SeekTable.parse(text, 300 + len(text), 2000)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x" * 100,
        TEXT[:-1],
        TEXT[1:],
        text_of([(300, 2000)], magic=0x8F92EAB2),
        text_of([(300, 2000)], flags=0x04),  # reserved
        text_of([(300, 2000)], count=2),
        text_of([(300, 2000)], count=0xFFFFFFFF),  # 32 GiB
        b"\x50" + text_of([(300, 2000)])[1:],  # another skippable frame
    ],
)
def test_what_is_no_table_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="seek table"):
        SeekTable.parse(text, 300 + len(text), 2000)


@given(st.binary(max_size=200), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_random_bytes_raise_nothing_else(text: bytes, copy: int, size: int) -> None:
    with pytest.raises(ValueError, match="seek table"):
        SeekTable.parse(text + TEXT[-9:], copy, size)
