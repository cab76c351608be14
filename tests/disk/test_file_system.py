"""What has been asked to go to the disk when `sync_files` returns."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from staticstore.disk import file_system
from staticstore.disk.file_system import sync_files

MANY = 100
EXT4 = 0xEF53
NFS = 0x6969
RECENT = "6.1.0-18-amd64"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's")


class Disk:
    """Notes the files that are synced one by one, and the file systems that are synced whole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[int] = []
        self.whole = 0
        self.kind = EXT4
        self.answer = 0
        self.release = RECENT
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            self.files.append(os.fstat(descriptor).st_ino)
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", noted)
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=self.release))
        monkeypatch.setattr(ctypes, "CDLL", lambda name: self)

    def statfs(self, path: bytes, status: Any) -> int:
        """Say which file system it is; the C library has this name."""
        status[0] = self.kind
        return 0

    def syncfs(self, descriptor: int) -> int:
        """Sync it; the C library has this name."""
        self.whole += 1
        return self.answer


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk with ext4, under a kernel of today."""
    return Disk(monkeypatch)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Many files in two folders."""
    made = []
    for number in range(MANY):
        path = tmp_path / f"{number % 2}" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        made.append(str(path))
    return made


def inodes(paths: list[str]) -> list[int]:
    return [os.stat(path).st_ino for path in paths]


@on_linux
def test_many_files_take_one_call(disk: Disk, paths: list[str]) -> None:
    sync_files(paths)
    assert (disk.whole, disk.files) == (1, [])


def test_few_files_are_synced_one_by_one(disk: Disk, paths: list[str]) -> None:
    sync_files(paths[:10])
    assert (disk.whole, disk.files) == (0, inodes(paths[:10]))


def test_no_files_take_no_call(disk: Disk) -> None:
    sync_files([])
    assert (disk.whole, disk.files) == (0, [])


def test_a_network_is_not_believed_to_have_synced_all(disk: Disk, paths: list[str]) -> None:
    disk.kind = NFS
    sync_files(paths)
    assert (disk.whole, disk.files) == (0, inodes(paths))


@pytest.mark.parametrize("release", ["5.7.19", "5.7-rc1", "4.18.0-553.el8", "a release"])
def test_an_old_kernel_would_not_tell_of_errors_and_is_not_believed(
    disk: Disk, paths: list[str], release: str
) -> None:
    disk.release = release
    sync_files(paths)
    assert (disk.whole, disk.files) == (0, inodes(paths))


@on_linux
@pytest.mark.parametrize("release", ["5.8-rc1", "5.10", "6.18.44-fc"])
def test_any_later_kernel_is_believed(disk: Disk, paths: list[str], release: str) -> None:
    disk.release = release
    sync_files(paths)
    assert disk.files == []


def test_what_could_not_be_synced_whole_is_synced_one_by_one(disk: Disk, paths: list[str]) -> None:
    disk.answer = -1
    sync_files(paths)
    assert disk.files == inodes(paths)


def test_a_python_without_ctypes_syncs_one_by_one(
    disk: Disk, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    sync_files(paths)
    assert (disk.whole, disk.files) == (0, inodes(paths))


def test_another_system_syncs_one_by_one(
    disk: Disk, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    sync_files(paths)
    assert (disk.whole, disk.files) == (0, inodes(paths))


@on_linux
def test_each_file_system_is_asked_what_it_is(
    disk: Disk, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One folder is on a disk, the other one on a share."""
    stat = os.stat
    monkeypatch.setattr(
        os, "stat", lambda path: SimpleNamespace(st_dev=int(os.path.basename(path)))
    )
    monkeypatch.setattr(
        disk,
        "statfs",
        lambda path, status: status.__setitem__(0, NFS if path.endswith(b"1") else EXT4) or 0,
    )
    sync_files(paths)
    assert disk.files == [stat(path).st_ino for path in paths[1::2]]


def test_a_file_that_is_gone_is_an_error(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sync_files([str(tmp_path / "gone")])


@on_linux
def test_the_kind_is_what_the_system_says(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = int(subprocess.check_output(["stat", "-f", "-c", "%t", tmp_path]), 16)
    monkeypatch.setattr(file_system, "_SYNCFS_TYPES", {kind})
    monkeypatch.setattr(os, "fsync", lambda descriptor: pytest.fail("it was not believed"))
    sync_files(paths)
