"""F12: a file found by a scan is hashed, packed and pushed, or reported if it was replaced."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, mirror, publish
from staticstore.site.folder import hash_process, hashing
from staticstore.site.folder.data_file import FileDigest, digest_of
from staticstore.site.folder.scan import scan
from staticstore.site.publisher import verify_site
from staticstore.site.push import push
from staticstore.site.pushing.source import verified_pieces

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links are made by administrators there")

SECRET = b"TOP SECRET of the publisher"
KEYS = ["a.txt", "sub/b.txt"]

Swap = Callable[[Path, Path], None]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder that is not part of any site."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_bytes(SECRET)
    return folder


@pytest.fixture
def site(tmp_path: Path) -> Path:
    data = tmp_path / "site/data"
    (data / "sub").mkdir(parents=True)
    for key in KEYS:
        (data / key).write_bytes(b"x" * len(SECRET))
    return tmp_path / "site"


def replace_file_by_link(data: Path, outside: Path) -> None:
    for key in KEYS:
        (data / key).unlink()
        (data / key).symlink_to(outside / Path(key).name)


def replace_file_by_link_to_link(data: Path, outside: Path) -> None:
    for key in KEYS:
        between = data.parent / f"between {Path(key).name}"
        between.symlink_to(outside / Path(key).name)
        (data / key).unlink()
        (data / key).symlink_to(between)


def replace_folder_by_link(data: Path, outside: Path) -> None:
    (data / "sub").rename(data.parent / "gone")
    (data / "sub").symlink_to(outside)


def replace_data_by_link(data: Path, outside: Path) -> None:
    (outside / "sub").mkdir()
    (outside / "sub/b.txt").write_bytes(SECRET)
    data.rename(data.parent / "gone")
    data.symlink_to(outside)


def replace_file_by_link_to_its_inode(data: Path, outside: Path) -> None:
    for key in KEYS:
        there = outside / f"new {Path(key).name}"
        (data / key).rename(there)
        there.write_bytes(SECRET)
        (data / key).symlink_to(there)


SWAPS: list[Swap] = [
    replace_file_by_link,
    replace_file_by_link_to_link,
    replace_file_by_link_to_its_inode,
    replace_folder_by_link,
    replace_data_by_link,
]


def once(action: Callable[[], None]) -> Callable[[], None]:
    """Return a function that acts on its first call; concurrent calls wait for it."""
    lock, done = threading.Lock(), list[None]()

    def act() -> None:
        with lock:
            if not done:
                done.append(None)
                action()

    return act


def before_hashing(patch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Act between the scan and the first digest."""
    act, real = once(action), digest_of

    def late(path: str, *arguments: Any, **options: Any) -> Any:
        act()
        return real(path, *arguments, **options)

    patch.setattr("staticstore.site.folder.hashing.digest_of", late)


def shows_secret(folder: Path) -> bool:
    return any(
        SECRET in path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and "data" not in path.parts
    )


@pytest.mark.parametrize("swap", SWAPS)
def test_f12_a_link_made_after_the_scan_is_reported(
    site: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    before_hashing(monkeypatch, lambda: swap(site / "data", outside))
    report = publish(site, pack=True)
    assert "sub/b.txt" in dict(report.skipped)
    assert "a link has taken its place" in dict(report.skipped)["sub/b.txt"]
    assert "sub/b.txt" not in json.loads((site / "index.json").read_bytes())
    assert not shows_secret(site)


@pytest.mark.parametrize("swap", SWAPS)
def test_f12_a_link_made_after_the_scan_is_reported_by_hash_processes(
    site: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    monkeypatch.setattr("staticstore.tuning.FILES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    act, real = once(lambda: swap(site / "data", outside)), hash_process.HashProcess.digests_of

    def late(self: hash_process.HashProcess, files: Any) -> Any:
        act()
        return real(self, files)

    monkeypatch.setattr(hash_process.HashProcess, "digests_of", late)
    assert "sub/b.txt" in dict(publish(site, pack=True).skipped)
    assert not shows_secret(site)


def test_f12_a_file_replaced_by_an_editor_is_hashed_in_its_new_state(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save() -> None:
        (site / "new").write_bytes(b"saved")
        os.replace(site / "new", site / "data/sub/b.txt")

    before_hashing(monkeypatch, save)
    assert publish(site).skipped == []
    with StaticStore(site, poll_interval=0) as store:
        assert store["sub/b.txt"].read() == b"saved"


def test_f12_on_a_file_system_that_renumbers_files_all_are_hashed(site: Path) -> None:
    files = [file._replace(inode=file.inode + 1) for file in scan(site / "data").files]
    outcomes = hashing.hash_files(files).values()
    assert [type(outcome) for outcome in outcomes] == [FileDigest, FileDigest]


def test_f12_a_folder_replaced_during_the_scan_is_reported(site: Path, outside: Path) -> None:
    act = once(lambda: replace_folder_by_link(site / "data", outside))
    found = scan(site / "data", lambda files: act())  # of data/ itself, before data/sub
    assert [file.key for file in found.files] == ["a.txt"]
    assert [(one.path, one.kind) for one in found.left_out] == [("sub", "failed")]


@pytest.mark.parametrize("swap", SWAPS)
def test_f12_a_check_reads_no_link_made_after_its_scan(
    site: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    for key in KEYS:
        (site / "data" / key).write_bytes(SECRET)
    publish(site)
    before_hashing(monkeypatch, lambda: swap(site / "data", outside))
    assert "sub/b.txt" in dict(verify_site(site).wrong)


@pytest.mark.parametrize("swap", SWAPS)
def test_f12_a_push_sends_nothing_through_a_link_made_after_the_publish(
    site: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    for key in KEYS:  # the same bytes, so that no digest differs
        (site / "data" / key).write_bytes(SECRET)
    publish(site)
    act, real = once(lambda: swap(site / "data", outside)), verified_pieces

    def late(upload: Any) -> Any:
        act()
        return real(upload)

    monkeypatch.setattr("staticstore.site.push.verified_pieces", late)
    report = push(site, str(tmp_path / "bucket"))
    assert "a link has taken its place" in dict(report.failed)["data/sub/b.txt"]
    assert not (tmp_path / "bucket/data/sub/b.txt").exists()


@pytest.mark.parametrize("swap", SWAPS)
def test_f12_a_mirror_keeps_no_link_made_after_its_survey(
    site: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap
) -> None:
    for key in KEYS:
        (site / "data" / key).write_bytes(SECRET)
    publish(site)
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, tmp_path / "copy")
        before_hashing(monkeypatch, lambda: swap(tmp_path / "copy/data", outside))
        report = mirror(store, tmp_path / "copy", verify=True)
    assert report.kept < len(KEYS)
    assert report.failed or not (tmp_path / "copy/data/sub/b.txt").is_symlink()
    assert (outside / "b.txt").read_bytes() == SECRET


def test_f12_a_link_made_during_the_scan_is_not_followed(
    site: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = site / "data/a.txt"
    real = os.stat

    def swap() -> None:
        file.unlink()
        file.symlink_to(outside / "a.txt")

    act = once(swap)

    def late(path: Any, **options: Any) -> os.stat_result:
        if path == "a.txt":  # by the open folder, which was read already
            act()
        return real(path, **options)

    monkeypatch.setattr(os, "stat", late)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, late})
    report = publish(site)
    assert "it was replaced during the scan" in dict(report.skipped)["a.txt"]
    assert "a.txt" not in json.loads((site / "index.json").read_bytes())


def test_f12_the_target_of_an_existing_link_may_change_meanwhile(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "data/c.txt").symlink_to("a.txt")

    def write() -> None:
        (site / "data/a.txt").write_bytes(b"more than before")

    before_hashing(monkeypatch, write)
    assert publish(site).skipped == []
    assert json.loads((site / "index.json").read_bytes())["c.txt"]["size"] == 16
