"""F18: folders that cannot be synced and times that cannot be set are skipped with one warning."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, StoreError, mirror, publish
from staticstore.disk import file_system
from staticstore.site.folder.retention import forget
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import verify_site
from staticstore.site.push import push

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")

fsync, utime = os.fsync, os.utime


@pytest.fixture(autouse=True)
def not_warned_yet() -> Iterator[None]:
    """Begin each test like a process that has given no warning."""
    file_system._warn.cache_clear()
    yield
    file_system._warn.cache_clear()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "data/sub").mkdir(parents=True)
    (site / "data/small").write_bytes(b"x" * 100)
    (site / "data/sub/large").write_bytes(bytes(range(256)) * 8_000)
    return site


def syncs_no_folders(patch: pytest.MonkeyPatch, code: int) -> None:
    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    patch.setattr(os, "fsync", sync)


def opens_no_folders(patch: pytest.MonkeyPatch, code: int) -> None:
    open_ = os.open

    def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
        # As where a folder may be written, but not read; a scan uses O_DIRECTORY.
        if flags == os.O_RDONLY and os.path.isdir(path):
            raise OSError(code, os.strerror(code))
        return open_(path, flags, *more, **options)

    patch.setattr(os, "open", opened)


def sets_no_times(patch: pytest.MonkeyPatch, code: int) -> None:
    def refused(path: Any, times: Any = None, **options: Any) -> None:
        raise OSError(code, os.strerror(code))

    patch.setattr(os, "utime", refused)


def sets_no_permissions(patch: pytest.MonkeyPatch, code: int) -> None:
    def refused(path: Any, mode: int, **options: Any) -> None:
        raise OSError(code, os.strerror(code))

    patch.setattr(os, "chmod", refused)
    patch.setattr(os, "supports_fd", {*os.supports_fd, refused})


Lack = Callable[[pytest.MonkeyPatch, int], None]

LACKS: list[tuple[Lack, int]] = [
    (syncs_no_folders, errno.EINVAL),
    (syncs_no_folders, errno.ENOTSUP),
    (syncs_no_folders, errno.EACCES),
    (syncs_no_folders, errno.ENOSYS),
    (opens_no_folders, errno.EACCES),
    (sets_no_times, errno.EPERM),
    (sets_no_times, errno.ENOTSUP),
    (sets_no_permissions, errno.EPERM),
]
lacking = pytest.mark.parametrize(("lack", "code"), LACKS)


@lacking
def test_f18_everything_that_writes_works_without_it(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack: Lack, code: int
) -> None:
    lack(monkeypatch, code)
    assert publish(site, pack=True, browse=True).skipped == []
    assert verify_site(site).wrong == []
    with StaticStore(site, poll_interval=0, cache=tmp_path / "cache") as store:
        store.to_file("small", tmp_path / "out")
        store.to_file("sub/large", tmp_path / "large")
        assert mirror(store, tmp_path / "copy").failed == []
        (site / "data/small").write_bytes(b"y" * 100)
        assert publish(site, pack=True).updated == ["small"]
        store.update_index()
        report = mirror(store, tmp_path / "copy", delete=True)
        assert (report.failed, report.fetched) == ([], 1)
    assert push(site, str(tmp_path / "pushed")).failed == []
    assert verify_site(tmp_path / "copy").wrong == verify_site(tmp_path / "pushed").wrong == []


@pytest.mark.parametrize(("lack", "code"), [LACKS[0], LACKS[5]])
def test_f18_the_warning_is_given_once(
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    lack: Lack,
    code: int,
) -> None:
    lack(monkeypatch, code)
    with caplog.at_level(logging.WARNING):
        publish(site, pack=True)
        with StaticStore(site, poll_interval=0) as store:
            mirror(store, tmp_path / "copy")
    said = [text for text in caplog.messages if text.startswith("the file system at ")]
    assert len(said) == 1
    assert os.strerror(code) in said[0]


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("lack", [syncs_no_folders, sets_no_times])
def test_f18_a_disk_that_fails_is_an_error(
    site: Path, monkeypatch: pytest.MonkeyPatch, lack: Lack, code: int
) -> None:
    with monkeypatch.context() as patch:
        lack(patch, code)
        with pytest.raises(StoreError, match=os.strerror(code)):
            publish(site)


def test_f18_forgotten_documents_stay_a_day_even_if_no_time_can_be_set(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site)
    [document] = (site / "blocks").glob("*.json")
    utime(document, (1, 1))
    sets_no_times(monkeypatch, errno.EPERM)
    began = time.time()
    forget(SiteFolder(site), [f"blocks/{document.name}"])
    assert document.stat().st_mtime >= began - 1
