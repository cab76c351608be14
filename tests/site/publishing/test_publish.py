"""Publishing: what the index says, what is written, and what is not."""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staticstore.errors
from staticstore.disk.atomic import TEMPORARY_PATTERN
from staticstore.errors import StoreError
from staticstore.index.snapshot import Index
from staticstore.site.folder import data_file, hashing
from staticstore.site.folder.data_file import FileDigest, FoundFile, digest_of
from staticstore.site.folder.hashing import Hashing
from staticstore.site.publisher import publish, verify_site
from tests.killing import killed

from ..sitefolder import THEN, fill, index_of, make_site, tree

HERE = Path(__file__).parent
# Other processes find the package where this one did.
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(staticstore.errors.__file__).parents[1])}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", {"a.csv": b"x\n1\n", "b/c.bin": b"123"})


# The index


def test_an_entry_says_what_can_be_measured(site: Path) -> None:
    publish(site)
    assert index_of(site) == {
        "a.csv": {
            "size": 4,
            "sha256": hashlib.sha256(b"x\n1\n").hexdigest(),
            "modified": "2026-01-02T03:04:05Z",
            "media_type": "text/csv",
        },
        "b/c.bin": {
            "size": 3,
            "sha256": hashlib.sha256(b"123").hexdigest(),
            "modified": "2026-01-02T03:04:05Z",
        },
    }


def test_the_index_is_canonical(site: Path) -> None:
    publish(site, metadata={"*": {"title": "Zürich", "a": 1}})
    body = (site / "index.json").read_bytes()
    assert Index.parse(body).canonical() == body
    assert body.startswith(b'{\n"a.csv":{"a":1,"media_type":"text/csv","modified":')
    assert "Zürich".encode() in body


def test_the_report_says_what_was_done(site: Path) -> None:
    report = publish(site)
    assert report.generation == 1
    assert report.set == ["a.csv", "b/c.bin"]
    assert report.updated == report.deleted == report.warnings == []
    assert report.skipped == report.failed == []
    assert (report.hashed, report.entries, report.bytes) == (2, 2, 7)


def test_the_next_report_says_what_changed(site: Path) -> None:
    publish(site)
    fill(site / "data", {"a.csv": b"y\n2\n3\n", "d": b""})
    (site / "data" / "b" / "c.bin").unlink()
    report = publish(site)
    assert (report.set, report.updated, report.deleted) == (["d"], ["a.csv"], ["b/c.bin"])
    assert report.hashed == 2


def test_an_empty_data_folder_publishes_an_empty_index(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {})
    assert publish(site).entries == 0
    assert (site / "index.json").read_bytes() == b"{\n}\n"


def test_metadata_is_found_in_the_site(site: Path) -> None:
    (site / "metadata.toml").write_text('["*.csv"]\ntype = "table"\n')
    publish(site)
    assert index_of(site)["a.csv"]["type"] == "table"


def test_metadata_that_is_given_replaces_what_is_found(site: Path) -> None:
    (site / "metadata.toml").write_text('["*.csv"]\ntype = "table"\n')
    (site / "metadata.json").write_text("not looked at")
    publish(site, metadata={"a.csv": {"title": "x"}})
    assert "type" not in index_of(site)["a.csv"]
    assert index_of(site)["a.csv"]["title"] == "x"


def test_an_error_in_the_metadata_leaves_everything_as_it_was(site: Path) -> None:
    before = tree(site)
    with pytest.raises(StoreError, match="written by the publisher"):
        publish(site, metadata={"a.csv": {"size": 1}})
    assert tree(site) == before


def test_metadata_for_nothing_is_warned_of(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = publish(site, metadata={"none.csv": {}})
    assert report.warnings == ["metadata: 'none.csv' is no file in data/"]
    assert caplog.record_tuples == [("staticstore.site", logging.WARNING, report.warnings[0])]


def test_of_very_many_warnings_a_hundred_are_given(site: Path) -> None:
    warnings = publish(site, metadata={f"n{n}": {} for n in range(103)}).warnings
    assert len(warnings) == 101
    assert warnings[-1] == "and 3 more of this kind"


def test_another_metadata_updates_the_entry_without_hashing(site: Path) -> None:
    publish(site)
    report = publish(site, metadata={"a.csv": {"title": "x"}})
    assert (report.updated, report.hashed) == (["a.csv"], 0)


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.text("ab.*?", min_size=1, max_size=4),
        st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), min_size=1),
        max_size=4,
    )
)
def test_metadata_by_globs_equals_a_plain_scan(rules: dict[str, dict[str, int]]) -> None:
    keys = ["a", "b", "a.b", "sub/a", "sub/b.a"]
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder, "site"), dict.fromkeys(keys, b""))
        publish(site, metadata=rules)
        index = Index.parse((site / "index.json").read_bytes())
    for key in keys:
        expected: dict[str, int] = {}
        for text, fields in rules.items():
            if text != key and fnmatch.fnmatchcase(key, text):
                expected |= fields
        expected |= rules.get(key, {})
        assert {f: v for f, v in index[key].items() if f in "xy"} == expected


def test_modified_stays_as_long_as_the_content(site: Path) -> None:
    publish(site)
    os.utime(site / "data" / "a.csv", (THEN + 60, THEN + 60))
    assert publish(site).updated == []
    fill(site / "data", {"a.csv": b"other"})
    os.utime(site / "data" / "a.csv", (THEN + 90, THEN + 90))
    publish(site)
    assert index_of(site)["a.csv"]["modified"] == "2026-01-02T03:05:35Z"


def test_a_modified_that_is_no_time_is_not_kept(site: Path) -> None:
    publish(site)
    index = (site / "index.json").read_text()
    (site / "index.json").write_text(index.replace("2026-01-02T03:04:05Z", "yesterday"))
    assert publish(site).updated == ["a.csv", "b/c.bin"]
    assert index_of(site)["a.csv"]["modified"] == "2026-01-02T03:04:05Z"


def test_a_file_of_a_year_that_no_calendar_has_gets_no_time(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_that_year(path: str, *rest: Any, **options: Any) -> FileDigest | None:
        found = digest_of(path, *rest, **options)
        return found and found._replace(mtime_ns=10**30)

    monkeypatch.setattr(hashing, "digest_of", of_that_year)
    publish(site)
    assert "modified" not in index_of(site)["a.csv"]


def test_a_time_before_1970_is_written(site: Path) -> None:
    os.utime(site / "data" / "a.csv", (-1.5, -1.5))
    publish(site)
    assert index_of(site)["a.csv"]["modified"] == "1969-12-31T23:59:58Z"


def test_a_fresh_checkout_publishes_the_same_index(site: Path, tmp_path: Path) -> None:
    publish(site, metadata={"*": {"t": 1}})
    copy = tmp_path / "copy"
    shutil.copytree(site, copy, ignore=shutil.ignore_patterns(".staticstore"))
    for path in copy.rglob("*"):
        os.utime(path, (THEN + 999, THEN + 999))
    report = publish(copy, metadata={"*": {"t": 1}})
    assert (copy / "index.json").read_bytes() == (site / "index.json").read_bytes()
    assert (copy / "index.json").stat().st_mtime == THEN + 999
    assert report.hashed == 2


def test_processes_publish_the_same_index(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site)
    copy = tmp_path / "copy"
    shutil.copytree(site / "data", copy / "data")
    monkeypatch.setattr("staticstore.tuning.FILES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    publish(copy)
    assert (copy / "index.json").read_bytes() == (site / "index.json").read_bytes()


def test_a_new_site_is_hashed_while_it_is_still_scanned(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[list[str]] = []
    real = Hashing.add

    def adding(self: Hashing, files: list[FoundFile]) -> None:
        added.append([file.key for file in files])
        real(self, files)

    monkeypatch.setattr(Hashing, "add", adding)
    publish(site)
    assert added == [["a.csv"], ["b/c.bin"]]


# What is written


def test_an_unchanged_site_is_not_written_and_not_hashed(site: Path) -> None:
    publish(site)
    before = tree(site)
    report = publish(site)
    assert tree(site) == before
    assert report.hashed == 0
    assert report.set == report.updated == report.deleted == []


def test_a_young_file_is_hashed_again_until_it_is_old_enough(site: Path) -> None:
    young = site / "data" / "young"
    young.write_bytes(b"1")
    assert publish(site).hashed == 3
    before = tree(site)
    assert publish(site).hashed == 1
    assert tree(site) == before
    os.utime(young, (THEN, THEN))
    assert publish(site).hashed == 1
    assert publish(site).hashed == 0


def test_a_change_that_shows_no_other_size_or_time_is_seen_by_the_inode(site: Path) -> None:
    publish(site)
    fill(site, {"new": b"y\n2\n"})
    os.replace(site / "new", site / "data" / "a.csv")
    assert publish(site).updated == ["a.csv"]


def test_damaged_notes_cost_time_and_nothing_else(site: Path) -> None:
    publish(site)
    body = (site / "index.json").read_bytes()
    (site / ".staticstore" / "notes").write_bytes(b"\x00")
    assert publish(site).hashed == 2
    assert (site / "index.json").read_bytes() == body
    assert publish(site).hashed == 0


def test_a_dry_run_writes_nothing_at_all(site: Path) -> None:
    before = tree(site)
    report = publish(site, dry_run=True)
    assert report.set == ["a.csv", "b/c.bin"]
    assert sorted(path.name for path in site.iterdir()) == ["data"]
    assert tree(site) == before


def test_notes_that_cannot_be_read_are_none(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site)
    real: Any = os.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("/notes"):
            raise PermissionError(13, "Permission denied")
        descriptor: int = real(path, *arguments, **options)
        return descriptor

    monkeypatch.setattr(os, "open", refusing)
    assert publish(site, dry_run=True).hashed == 2


def test_a_dry_run_says_what_a_run_would(site: Path) -> None:
    publish(site)
    fill(site / "data", {"a.csv": b"other", "d": b""})
    before = tree(site)
    foreseen = publish(site, dry_run=True)
    assert tree(site) == before
    assert publish(site) == foreseen


def test_a_hand_written_index_becomes_canonical_without_being_a_change(site: Path) -> None:
    publish(site)
    body = (site / "index.json").read_bytes()
    (site / "index.json").write_bytes(body.replace(b'":', b'" : '))
    report = publish(site)
    assert (site / "index.json").read_bytes() == body
    assert report.set == report.updated == report.deleted == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
def test_an_old_index_that_is_none_is_replaced_with_a_warning(site: Path, body: bytes) -> None:
    (site / "index.json").write_bytes(body)
    report = publish(site)
    assert report.set == ["a.csv", "b/c.bin"]
    assert report.warnings[0].startswith("the old index.json is replaced: ")
    assert len(index_of(site)) == 2


def test_an_entry_of_the_old_index_that_is_none_is_warned_of(site: Path) -> None:
    (site / "index.json").write_bytes(b'{"../x": {}, "gone": {}}')
    report = publish(site)
    assert report.deleted == ["gone"]
    assert "'../x' is left out" in report.warnings[0]


def test_f4_an_old_index_that_is_a_fifo_does_not_block(site: Path) -> None:
    os.mkfifo(site / "index.json")
    assert publish(site).warnings == [
        "the old index.json is replaced: it cannot be read: not a regular file"
    ]
    assert len(index_of(site)) == 2


def test_a12_the_time_of_the_index_rises_by_a_whole_second(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: THEN + 0.25)
    publish(site)
    assert (site / "index.json").stat().st_mtime == THEN + 0.25
    fill(site / "data", {"a.csv": b"y\n2\n"})
    os.utime(site / "data" / "a.csv", (THEN, THEN - 60))
    assert publish(site).updated == ["a.csv"]
    assert (site / "index.json").stat().st_mtime == THEN + 1
    monkeypatch.setattr(time, "time", lambda: THEN + 7.5)
    fill(site / "data", {"a.csv": b"y\n2\n3\n"})
    publish(site)
    assert (site / "index.json").stat().st_mtime == THEN + 7.5


def test_a12_the_time_rises_even_above_one_of_the_future(site: Path) -> None:
    (site / "index.json").write_bytes(b"{}")
    future = time.time() + 10_000
    os.utime(site / "index.json", (future, future))
    publish(site)
    assert (site / "index.json").stat().st_mtime >= int(future) + 1


def test_nojekyll_is_written_once_and_never_over_another(site: Path) -> None:
    (site / ".nojekyll").write_bytes(b"mine")
    publish(site)
    assert (site / ".nojekyll").read_bytes() == b"mine"
    (site / ".nojekyll").unlink()
    publish(site)
    assert (site / ".nojekyll").read_bytes() == b""


def test_an_index_that_is_a_link_is_replaced_and_not_written_through(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.json").write_bytes(b"{}")
    (site / "index.json").symlink_to(tmp_path / "other.json")
    publish(site)
    assert not (site / "index.json").is_symlink()
    assert (tmp_path / "other.json").read_bytes() == b"{}"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        publish(tmp_path / "none")
    (tmp_path / "data").symlink_to("nowhere")
    with pytest.raises(StoreError, match="there is no folder"):
        publish(tmp_path)


def test_data_may_be_a_link_to_elsewhere(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"a": b"1"})
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "data").symlink_to(tmp_path / "elsewhere")
    assert publish(str(tmp_path / "site")).set == ["a"]


def test_progress_tells_the_bytes_to_hash(site: Path) -> None:
    told: list[tuple[int, int]] = []
    publish(site, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)
    told.clear()
    publish(site, progress=lambda done, total: told.append((done, total)))
    assert told == []


# What goes wrong


@pytest.mark.parametrize("more", [False, True], ids=["plain", "packs and copies"])
def test_f1_killed_at_any_instant_the_site_is_whole_and_the_next_run_converges(
    site: Path, memory_path: Path, more: bool
) -> None:
    def publish_so(folder: Path) -> None:
        publish(folder, pack=more, compress="*" if more else None)

    fill(site / "data", {"long.txt": b"long" * 1000})
    publish_so(site)
    old = (site / "index.json").read_bytes()
    fill(site / "data", {"a.csv": b"new", "d.json": b"{}", "long.txt": b"longer" * 1000})
    (site / "data" / "b" / "c.bin").unlink()
    (site / ".nojekyll").unlink()
    shutil.copytree(site, memory_path / "reference")
    publish_so(memory_path / "reference")
    new = (memory_path / "reference" / "index.json").read_bytes()
    assert new != old

    survived = killed("tests.site.killed_publish", site, memory_path / "killed", "more" * more)
    assert survived >= 25
    seen = []
    for number in range(survived + 1):
        copy = memory_path / "killed" / str(number)
        seen.append((copy / "index.json").read_bytes())
        assert not wrong_packs(copy)
        publish_so(copy)
        assert (copy / "index.json").read_bytes() == new
        assert not wrong_packs(copy)
        assert not [p for p in copy.rglob("*.tmp") if "data" not in p.parts]
        assert publish(copy).hashed == 0
    assert seen == sorted(seen, key=[old, new].index)
    assert set(seen) == {old, new}


def wrong_packs(site: Path) -> list[tuple[str, str]]:
    """Return what is wrong with packs and copies that the index names, and half-written ones."""
    folders = ("packs/", "stored/")
    wrong = [found for found in verify_site(site).wrong if found[0].startswith(folders)]
    for path in [*site.glob("packs/*.zip"), *site.glob("stored/*.zst")]:
        if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
            wrong.append((path.name, "half-written"))
    return wrong


def test_f1_leftovers_of_a_killed_run_are_removed(site: Path) -> None:
    (site / ".staticstore").mkdir()
    leftovers = [site / ".staticstore-0a.tmp", site / ".staticstore" / ".staticstore-0b.tmp"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    publish(site, dry_run=True)
    assert all(leftover.exists() for leftover in leftovers)
    publish(site)
    assert not any(leftover.exists() for leftover in leftovers)


def test_an_interrupt_leaves_no_lock_and_nothing_half_written(site: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(site, progress=interrupted)
    assert not (site / "index.json").exists()
    assert publish(site).hashed == 2


def test_f2_what_cannot_be_read_is_reported_and_the_others_are_published(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Any = os.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("c.bin"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        descriptor: int = real(path, *arguments, **options)
        return descriptor

    monkeypatch.setattr(os, "open", refusing)
    report = publish(site)
    assert report.set == ["a.csv"]
    assert report.failed == report.skipped
    assert report.failed == [("b/c.bin", "it cannot be read: Permission denied")]
    assert report.hashed == 1


class FullDisk:
    """A file that takes some bytes and then no more."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> FullDisk:
        self._file.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)

    def write(self, body: bytes) -> int:
        self._file.write(body[: len(body) // 2])
        self._file.flush()
        raise OSError(errno.ENOSPC, "No space left on device")

    def writelines(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))


def test_f2_a_full_disk_leaves_the_old_index(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(site)
    before = tree(site)
    fill(site / "data", {"a.csv": b"new"})
    with monkeypatch.context() as patched:
        real: Any = os.fdopen
        patched.setattr(os, "fdopen", lambda *arguments: FullDisk(real(*arguments)))
        with pytest.raises(StoreError, match="cannot be written: No space left") as caught:
            publish(site)
    assert isinstance(caught.value.__cause__, OSError)
    after = tree(site)
    del before["data/a.csv"], after["data/a.csv"]
    assert after == before
    assert publish(site).updated == ["a.csv"]


@pytest.mark.parametrize("call", ["mkdir", "replace", "fsync"])
def test_f2_a_folder_that_cannot_be_written_is_an_error_and_stays(
    site: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = tree(site)

    def refusing(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, refusing)
        with pytest.raises(StoreError, match="cannot be written: Read-only file system"):
            publish(site)
    assert tree(site) == before


def test_f2_an_index_that_cannot_be_replaced_is_an_error(site: Path) -> None:
    (site / "index.json").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        publish(site)


def test_f3_a_file_system_without_locks_is_an_error(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def refusing(*arguments: Any, **options: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", refusing)
    with pytest.raises(StoreError, match="its file system has no locks"):
        publish(site)


def test_f3_a_second_publisher_says_so_and_ends(site: Path) -> None:
    with subprocess.Popen(
        [sys.executable, HERE.parent / "held_publish.py", site],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "running\n"
        with pytest.raises(StoreError, match="another publish, mirror or push is running"):
            publish(site)
        assert not (site / "index.json").exists()
        assert publish(site, dry_run=True).entries == 2
        first.communicate("\n" * 5, timeout=30)
    assert first.returncode == 0
    assert len(index_of(site)) == 2


def test_f4_what_changes_all_the_time_is_reported(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site)
    times = iter(range(1, 100))

    def touch(first_bytes: bytes) -> bool:
        if first_bytes == b"changing":
            os.utime(site / "data" / "a.csv", (THEN, THEN + next(times)))
        return False

    fill(site / "data", {"a.csv": b"changing"})
    monkeypatch.setattr(data_file, "holds_private_key", touch)
    report = publish(site)
    assert report.failed == [("a.csv", "it changed while it was hashed, 3 times")]
    assert report.deleted == ["a.csv"]
    assert report.hashed == 0


def test_f4_what_is_no_file_is_reported_as_failed(site: Path) -> None:
    os.mkfifo(site / "data" / "pipe")
    (site / "data" / "dangling").symlink_to("nowhere")
    report = publish(site)
    assert [path for path, _ in report.failed] == ["dangling", "pipe"]
    assert report.entries == 2


def test_f5_a_link_out_of_the_tree_publishes_nothing(site: Path, tmp_path: Path) -> None:
    publish(site)
    before = tree(site)
    (tmp_path / "passwd").write_bytes(b"")
    (site / "data" / "x").symlink_to(tmp_path / "passwd")
    with pytest.raises(StoreError, match="'x' -> "):
        publish(site)
    (site / "data" / "x").unlink()
    assert tree(site) == before


def test_f6_secrets_are_left_out_with_a_warning(site: Path) -> None:
    fill(
        site / "data",
        {
            ".env": b"PASSWORD=1",
            ".git/config": b"",
            "server.txt": b"-----BEGIN PRIVATE KEY-----\n",
            ".DS_Store": b"",
            ".zattrs": b"{}",
        },
    )
    report = publish(site)
    assert sorted(index_of(site)) == [".zattrs", "a.csv", "b/c.bin"]
    assert [path for path, _ in report.skipped] == [".DS_Store", ".env", ".git", "server.txt"]
    assert report.failed == []
    assert [warning.split(" ", 1)[0] for warning in report.warnings] == [
        "'.env'",
        "'.git'",
        "'server.txt'",
    ]


def test_f6_a_published_file_that_becomes_a_key_is_withdrawn(site: Path) -> None:
    publish(site)
    fill(site / "data", {"a.csv": b"PuTTY-User-Key-File-3: x"})
    assert publish(site).deleted == ["a.csv"]


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    """Whatever a test does to a publish, no temporary file remains."""
    yield
    assert not list((tmp_path / "site").glob(TEMPORARY_PATTERN))
