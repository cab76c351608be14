"""Files written past the page cache have the bytes that were written, however they came."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import pytest

from staticstore.disk.part_file import DirectFile

_PIECE = 1 << 20


@pytest.fixture
def pages() -> memoryview:
    """A piece that begins where a page does."""
    memory = mmap.mmap(-1, _PIECE)
    memory.write(os.urandom(_PIECE))
    return memoryview(memory)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def _is_direct(file: DirectFile) -> bool:
    import fcntl

    return bool(fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_DIRECT)


@pytest.mark.parametrize("end", [0, 1, 4095, 4096, 5000])
def test_whole_blocks_and_a_rest_are_all_written(path: Path, pages: memoryview, end: int) -> None:
    with DirectFile(path, "w") as file:
        file.go_direct()
        for piece in (pages, pages, pages[:end]):
            assert file.write(piece) == len(piece)
    assert path.read_bytes() == bytes(pages) * 2 + bytes(pages[:end])


def test_what_stands_anywhere_in_memory_is_written(path: Path, pages: memoryview) -> None:
    with DirectFile(path, "w") as file:
        file.go_direct()
        file.write(pages[1:4097])
        file.write(pages)
    assert path.read_bytes() == bytes(pages[1:4097]) + bytes(pages)


def test_after_a_short_piece_the_rest_follows(path: Path, pages: memoryview) -> None:
    with DirectFile(path, "w") as file:
        file.go_direct()
        file.write(pages[:10])
        file.write(pages)
    assert path.read_bytes() == bytes(pages[:10]) + bytes(pages)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this way")
def test_only_whole_blocks_go_past_the_cache(path: Path, pages: memoryview) -> None:
    with DirectFile(path, "w") as file:
        file.go_direct()
        if not _is_direct(file):
            pytest.skip("this file system has no such way")
        file.write(pages)
        assert _is_direct(file)
        file.write(pages[:100])
        assert not _is_direct(file)
