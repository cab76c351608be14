"""Files reach the disk whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from staticstore.disk.atomic import (
    TEMPORARY_PATTERN,
    atomic_file,
    remove_leftovers,
    write_unsynced,
)
from staticstore.disk.file_system import sync_folder
from tests.transport.conftest import Call

VALUE = b"0123456789"


def test_a_file_is_written_under_its_name(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as file:
        file.write(VALUE)
    assert (tmp_path / "a").read_bytes() == VALUE
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_until_the_block_ends_there_is_only_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_file(path) as file:
        file.write(VALUE)
        file.flush()
        assert path.read_bytes() == b"old"
        (other,) = [other for other in tmp_path.iterdir() if other != path]
        assert other.match(TEMPORARY_PATTERN)
    assert path.read_bytes() == VALUE


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_failure_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], old: bytes | None
) -> None:
    path = tmp_path / "a"
    if old is not None:
        path.write_bytes(old)
    with pytest.raises(error), atomic_file(path) as file:
        file.write(VALUE)
        raise error
    assert [other.read_bytes() for other in tmp_path.iterdir()] == ([old] if old else [])


@pytest.mark.parametrize("step", ["fsync", "replace", "utime"])
def test_a_disk_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space"), atomic_file(tmp_path / "a", modified=0) as file:
        file.write(VALUE)
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_synced_before_it_takes_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        size = os.fstat(descriptor).st_size
        steps.append("folder" if is_folder else f"file of {size}")
        fsync(descriptor)

    def noted_replace(source: Any, target: Any) -> None:
        steps.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    with atomic_file(tmp_path / "a") as file:
        file.write(VALUE)
    assert steps == ["file of 10", "replace", "folder"]


def test_where_a_folder_cannot_be_synced_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        sync_folder(tmp_path)
    assert synced == []
    sync_folder(tmp_path)
    assert len(synced) == 1


@pytest.mark.parametrize("target", ["file", "folder", "nowhere"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(target)
    with atomic_file(link) as file:
        file.write(VALUE)
    assert not link.is_symlink()
    assert link.read_bytes() == VALUE
    assert (tmp_path / "file").read_bytes() == b"old"
    assert list((tmp_path / "folder").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("old", [None, 0o400])
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(
    tmp_path: Path, mask: int, mode: int, old: int | None
) -> None:
    path = tmp_path / "a"
    if old is not None:
        path.touch(old)
    before = os.umask(mask)
    try:
        with atomic_file(path) as file:
            file.write(VALUE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("modified", [0.0, 1_700_000_000.0, 1_700_000_000.25])
def test_the_time_is_set(tmp_path: Path, modified: float) -> None:
    with atomic_file(tmp_path / "a", modified=modified) as file:
        file.write(VALUE)
    assert (tmp_path / "a").stat().st_mtime == modified
    assert (tmp_path / "a").read_bytes() == VALUE


@pytest.mark.parametrize("place", ["missing/a", "file/a"])
def test_without_a_folder_there_is_an_os_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with (
        pytest.raises(OSError, match=r"No such file|Not a directory"),
        atomic_file(tmp_path / place),
    ):
        pytest.fail("there is nowhere to write to")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"), atomic_file(tmp_path / "a") as file:
        file.write(VALUE)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("path", [Path("/"), Path(".")])
def test_what_has_no_name_is_a_folder(path: Path) -> None:
    with pytest.raises(IsADirectoryError), atomic_file(path):
        pytest.fail("there is nowhere to write to")


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    with atomic_file(path) as file:
        file.write(VALUE)
    assert path.read_bytes() == VALUE


def test_many_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path, ready = tmp_path / "a", threading.Barrier(16)

    def write(number: int) -> None:
        with atomic_file(path) as file:
            file.write(bytes([number]) * 5000)
            ready.wait(10)
            file.write(bytes([number]) * 5000)

    calls = [Call(lambda number=number: write(number)) for number in range(16)]  # type: ignore[misc]
    for call in calls:
        call.result(10)
    written = path.read_bytes()
    assert written == written[:1] * 10_000
    assert [other.name for other in tmp_path.iterdir()] == ["a"]


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".staticstore-0123456789abcdef.tmp").touch()
    (tmp_path / ".staticstore-killed.tmp").touch()
    kept = ["a", ".staticstore", ".staticstore-x.txt", "x.staticstore-y.tmp", "y.tmp"]
    for name in kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


# -- small files, in few system calls


def test_a_small_file_is_whole_and_has_its_time(tmp_path: Path) -> None:
    path, temporary = tmp_path / "value", tmp_path / "temporary"
    path.write_bytes(b"old")
    write_unsynced(str(path), b"new", modified=1234.5, temporary=str(temporary))
    assert path.read_bytes() == b"new"
    assert path.stat().st_mtime == 1234.5
    assert list(tmp_path.iterdir()) == [path]


def test_a_small_file_goes_on_where_a_write_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    write_unsynced(str(tmp_path / "a"), b"12345", modified=0, temporary=str(tmp_path / "b"))
    assert (tmp_path / "a").read_bytes() == b"12345"


@pytest.mark.parametrize("call", ["write", "utime", "replace"])
def test_a_small_file_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "value"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_unsynced(str(path), b"new", modified=0, temporary=str(tmp_path / "temporary"))
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"value": b"old"}


def test_where_descriptors_have_no_times_names_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "supports_fd", set())
    write_unsynced(str(tmp_path / "a"), b"1", modified=99.0, temporary=str(tmp_path / "b"))
    assert (tmp_path / "a").stat().st_mtime == 99.0
