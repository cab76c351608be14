"""Files are opened without ever waiting for them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore.disk.file_system import NotRegularError, open_regular, read_regular
from tests.transport.conftest import Call

VALUE = b"0123456789"


def test_a_regular_file_is_opened_unbuffered(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(VALUE)
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as file:
            assert (file.read(), file.mode, file.closefd) == (VALUE, "rb", True)
    with open_regular(str(tmp_path / "a")) as file:
        file.seek(5)
        assert file.read(2) == b"56"


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with all that is no file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        yield tmp_path


@pytest.mark.parametrize("thing", ["folder", "fifo", "device", "socket"])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(things: Path, thing: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotRegularError):
        Call(lambda: open_regular(things / thing)).result()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("thing", ["nothing", "dangling"])
def test_what_is_not_there_is_not_found(things: Path, thing: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(things / thing)


def test_a_fifo_that_somebody_writes_to_is_not_read(things: Path) -> None:
    reader = os.open(things / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(things / "fifo", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(writer, b"x")
        with pytest.raises(NotRegularError):
            open_regular(things / "fifo")
        assert os.read(reader, 10) == b"x"
    finally:
        os.close(reader)
        os.close(writer)


def test_other_failures_are_os_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        open_regular(tmp_path / "a")


def test_a_file_that_is_no_longer_open_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(VALUE)

    def fail(descriptor: int) -> os.stat_result:
        raise OSError(5, "Input/output error")

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fail)
        with pytest.raises(OSError, match="Input/output error"):
            open_regular(tmp_path / "a")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_is_read_whole(things: Path) -> None:
    (things / "a").write_bytes(VALUE * 100_000)
    assert read_regular(things / "a") == VALUE * 100_000
    with pytest.raises(NotRegularError):
        read_regular(things / "fifo")
