"""The cost of reads of a value through `open`, in requests and bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.values.cost import Read, Start, requested_parts

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
def test_a_long_read_is_one_request_for_exactly_its_bytes(
    start: Start, reading: Callable[..., Read], count: int, position: int
) -> None:
    asked = requested_parts(start, VALUE, reading((position, count)))
    assert asked == [(position, position + count)]


def test_a_long_read_ends_at_the_end_of_the_value(start: Start) -> None:
    asked = requested_parts(start, VALUE, _reading((1_900_000, 500_000)))
    assert asked == [(1_900_000, len(VALUE))]


def test_distant_long_reads_are_one_request_each(start: Start) -> None:
    reads = [(1_500_000, 300_000), (100, 50_000), (700_000, 600_000), (60_000, BLOCK)]
    asked = requested_parts(start, VALUE, _reading(*reads))
    assert asked == [(position, position + count) for position, count in reads]


def test_bytes_of_a_long_read_that_are_there_are_not_fetched_again(start: Start) -> None:
    asked = requested_parts(start, VALUE, _reading((700_000, 10), (700_000, 400_000)))
    end_of_first = -(-700_000 // BLOCK) * BLOCK
    assert asked == [(end_of_first - BLOCK, end_of_first), (end_of_first, 1_100_000)]


def test_a_long_read_is_not_fetched_twice(start: Start) -> None:
    asked = requested_parts(start, VALUE, _reading((700_001, 100_000), (5, 5), (700_001, 100_000)))
    assert asked == [(700_001, 800_001), (0, BLOCK)]


def test_a_short_read_across_two_blocks_is_one_request(start: Start) -> None:
    asked = requested_parts(start, VALUE, _reading((10 * BLOCK - 5, 10)))
    assert asked == [(9 * BLOCK, 11 * BLOCK)]


@pytest.mark.parametrize("size", [1000, 1 << 16, 100_000])
def test_sequential_reads_request_twice_as_much_each_time(start: Start, size: int) -> None:
    def read(file: Any) -> None:
        while file.read(size):
            pass

    assert len(requested_parts(start, VALUE, read)) <= 7


# -- reads that leave a sequence, and return to it ---------------------------------------------

# The second one reads ahead.
SEQUENCE = ((0, 300_000), (300_000, 300_000))
SEQUENCE_ASKED = [(0, 300_000), (300_000, 28 * BLOCK)]


def test_a_short_read_elsewhere_does_not_end_a_sequence(start: Start) -> None:
    reads = [*SEQUENCE, (1_900_000, 10), (600_000, 300_000)]
    asked = requested_parts(start, VALUE, _reading(*reads))
    assert asked == [*SEQUENCE_ASKED, (57 * BLOCK, 58 * BLOCK)]


def test_two_short_reads_elsewhere_end_a_sequence(start: Start) -> None:
    reads = [*SEQUENCE, (1_900_000, 10), (1_600_000, 10), (600_000, 100_000)]
    asked = requested_parts(start, VALUE, _reading(*reads))
    assert asked[-1] == (600_000, 700_000)


def test_short_reads_elsewhere_become_a_sequence(start: Start) -> None:
    reads = [*SEQUENCE, *((position, 1000) for position in range(1_600_000, 1_900_000, 1000))]
    asked = requested_parts(start, VALUE, _reading(*reads))
    assert len(asked) <= len(SEQUENCE_ASKED) + 5


def test_a_short_gap_in_a_sequence_is_read_over(start: Start) -> None:
    reads = [*SEQUENCE, (620_000, 100_000)]
    assert requested_parts(start, VALUE, _reading(*reads)) == SEQUENCE_ASKED


def test_a_gap_that_was_read_over_is_in_memory(start: Start) -> None:
    reads = [*SEQUENCE, (620_000, 100_000), (601_000, 1000), (720_000, 50_000)]
    assert requested_parts(start, VALUE, _reading(*reads)) == SEQUENCE_ASKED


def test_a_long_gap_in_a_sequence_is_not_read_over(start: Start) -> None:
    reads = [*SEQUENCE, (600_000 + BLOCK + 1, 100_000)]
    asked = requested_parts(start, VALUE, _reading(*reads))
    assert asked == [*SEQUENCE_ASKED, (600_000 + BLOCK + 1, 700_000 + BLOCK + 1)]
