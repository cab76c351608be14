"""What reads of a value through `open` cost, in requests and bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.values.cost import Read, Start, parts_asked

BLOCK = 1 << 15
VALUE = random.Random(1).randbytes(2_000_003)


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
