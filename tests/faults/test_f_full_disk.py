"""F2: a mirror onto a disk that is too small leaves a site, and says what is missing."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from staticstore import StaticStore, StoreError, mirror, publish
from staticstore.disk.atomic import temporary_in
from staticstore.disk.space import is_full, reserved
from staticstore.site.mirroring.staging import Staging
from staticstore.site.publisher import verify_site
from tests.commands.conftest import Run, cli

__all__ = ["cli"]

VALUE = bytes(20_000)
COUNT = 300  # of values: 6 MB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount(place, "size=4m")
    yield place
    subprocess.run(["umount", place], check=True)


def mount(place: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A site of 20 small values."""
    data = tmp_path / "origin" / "data"
    data.mkdir(parents=True)
    for number in range(20):
        (data / f"old-{number:02}").write_bytes(b"old")
    publish(data.parent)
    return data.parent


def grow(origin: Path) -> None:
    for number in range(COUNT):
        (origin / "data" / f"{number:03}").write_bytes(VALUE + str(number).encode())
    for number in range(20):
        (origin / "data" / f"old-{number:02}").write_bytes(VALUE + b"new")
    publish(origin)


def test_f2_what_does_not_fit_is_reported_and_comes_once_it_does(
    cli: Run, origin: Path, disk: Path
) -> None:
    assert cli("mirror", origin, disk / "copy").code == 0
    grow(origin)
    for _ in range(2):  # also if it is full from the beginning
        ended = cli("mirror", origin, disk / "copy")
        assert ended.code == 8
        assert "No space left on device" in ended.text
        assert " failed: " in ended.lines[-1]
        assert not verify_site(disk / "copy").wrong
    with StaticStore(disk / "copy", poll_interval=0) as copy:
        assert 20 <= len(copy) < COUNT
    mount(disk, "remount,size=20m")
    assert cli("mirror", origin, disk / "copy").code == 0
    assert (disk / "copy" / "index.json").read_bytes() == (origin / "index.json").read_bytes()
    assert not verify_site(disk / "copy").wrong


def test_f2_a_disk_without_any_room_leaves_the_copy_as_it_is(
    cli: Run, origin: Path, disk: Path
) -> None:
    assert cli("mirror", origin, disk / "copy").code == 0
    before = {path: path.read_bytes() for path in (disk / "copy").rglob("*") if path.is_file()}
    (origin / "data" / "old-00").write_bytes(VALUE)
    (origin / "data" / "old-01").unlink()
    publish(origin)
    with pytest.raises(OSError, match="No space left"):
        (disk / "other").write_bytes(bytes(5_000_000))
    ended = cli("mirror", origin, disk / "copy", "--delete", "--json")
    assert ended.code == 8
    assert [failed["key"] for failed in ended.records[0]["failed"]] == ["old-00"]
    after = {path: path.read_bytes() for path in (disk / "copy").rglob("*") if path.is_file()}
    assert after == before
    (disk / "other").unlink()
    assert cli("mirror", origin, disk / "copy").code == 0
    assert (disk / "copy" / "index.json").read_bytes() == (origin / "index.json").read_bytes()


def test_f2_room_that_a_killed_run_has_reserved_is_freed(
    cli: Run, origin: Path, disk: Path
) -> None:
    assert cli("mirror", origin, disk / "copy").code == 0
    (origin / "data" / "old-00").write_bytes(VALUE)
    publish(origin)
    with pytest.raises(OSError, match="No space left"):
        temporary_in(disk / "copy" / ".staticstore").write_bytes(bytes(5_000_000))
    assert cli("mirror", origin, disk / "copy").code == 0
    assert not verify_site(disk / "copy").wrong


def test_f2_a_new_copy_that_does_not_fit_is_a_site(origin: Path, disk: Path) -> None:
    grow(origin)
    with StaticStore(origin, poll_interval=0) as store:
        report = mirror(store, disk / "copy")
    assert report.failed
    assert report.fetched > 100
    assert not verify_site(disk / "copy").wrong
    assert not list((disk / "copy").rglob("*.tmp"))


def test_f2_a_disk_that_is_full_at_the_last_moment_leaves_the_old_copy_and_no_litter(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Staging) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    copy = tmp_path / "copy"
    with StaticStore(origin, poll_interval=0) as store:
        mirror(store, copy)
        (origin / "data" / "old-00").write_bytes(b"new")
        publish(origin)
        store.update_index()
        monkeypatch.setattr(Staging, "replace", fails)
        with pytest.raises(StoreError, match="No space left on device"):
            mirror(store, copy)
    assert (copy / "data" / "old-00").read_bytes() == b"old"
    assert not verify_site(copy).wrong
    assert not list(copy.rglob("*.tmp"))


def test_f2_room_is_reserved_for_a_while(disk: Path) -> None:
    with reserved(disk, 3_000_000):
        with pytest.raises(OSError, match="No space left") as caught:
            (disk / "x").write_bytes(bytes(3_000_000))
        assert is_full(caught.value)
    (disk / "x").write_bytes(bytes(3_000_000))
    assert [path.name for path in disk.iterdir()] == ["x"]


def test_f2_room_that_is_not_there_leaves_nothing(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), reserved(disk, 5_000_000):
        pass
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, errno.EFBIG])
def test_f2_where_no_room_can_be_reserved_the_block_runs_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(descriptor: int, start: int, size: int) -> None:
        raise OSError(code, "unsupported")

    monkeypatch.setattr("os.posix_fallocate", fails)
    with reserved(tmp_path, 100):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
