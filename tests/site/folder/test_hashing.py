"""Digests of files, also of those that do not stand still."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore.site.folder import data_file, hashing
from staticstore.site.folder.data_file import FileDigest, FoundFile, digest_of
from staticstore.site.folder.hash_process import HashProcess
from staticstore.site.folder.hashing import Hashing, hash_files
from staticstore.site.folder.scan import LeftOut, scan

from ..programs import a_python
from ..sitefolder import fill


def found(tmp_path: Path, **files: bytes) -> list[FoundFile]:
    fill(tmp_path, files)
    return scan(tmp_path).files


def on_read(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Do something between the two looks at a file: the first bytes have been read."""
    real = data_file.holds_private_key

    def acting(first_bytes: bytes) -> bool:
        action()
        return real(first_bytes)

    monkeypatch.setattr(data_file, "holds_private_key", acting)


def test_digests_are_those_of_the_bytes(tmp_path: Path) -> None:
    files = {"empty": b"", "small": b"abc", "large": os.urandom(2_500_000)}
    outcomes = hash_files(found(tmp_path, **files))
    assert {key: outcome[0] for key, outcome in outcomes.items()} == {
        key: hashlib.sha256(value).hexdigest() for key, value in files.items()
    }


def test_nothing_to_hash_calls_nobody() -> None:
    def progress(done: int, total: int) -> None:
        pytest.fail("there is nothing to tell")

    assert hash_files([], progress=progress) == {}


def test_progress_never_falls_and_ends_at_the_total(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    threads: set[int] = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.get_ident())

    files = {f"f{n}": bytes(n * 100_000) for n in range(15)} | {"gone": b"x" * 10}
    todo = found(tmp_path, **files)
    (tmp_path / "gone").unlink()
    hash_files(todo, progress=progress)
    total = sum(map(len, files.values()))
    assert told == sorted(told)
    assert told[-1] == (total, total)
    assert threads == {threading.get_ident()}


def test_what_progress_raises_ends_the_hashing(tmp_path: Path) -> None:
    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_files(found(tmp_path, a=b"1" * 3_000_000, b=b"2"), progress=interrupted)
    assert not [t for t in threading.enumerate() if t.name.startswith("staticstore-hash")]


def test_an_interrupt_ends_the_reading_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"x" * 5)
    with Hashing() as interrupted:
        on_read(monkeypatch, interrupted._stop.set)
        interrupted.add(todo)
        ((_, outcome),) = interrupted.outcomes(todo)
    assert isinstance(outcome, LeftOut)


def test_the_end_of_the_block_ends_what_is_still_to_do(tmp_path: Path) -> None:
    with Hashing() as left_early:
        left_early.add(found(tmp_path, **{f"f{n}": bytes(70_000) for n in range(50)}))
    assert not [t for t in threading.enumerate() if t.name.startswith("staticstore-hash")]


def test_what_is_added_later_is_hashed_too(tmp_path: Path) -> None:
    files = found(tmp_path, a=b"1", b=b"2" * 100_000, c=b"3")
    with Hashing() as several:
        for file in files:
            several.add([file])
        outcomes = [outcome for _, outcome in several.outcomes(files)]
    assert outcomes == [digest_of(file.path) for file in files]


def test_waiting_for_threads_goes_on_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = threading.Event()
    monkeypatch.setattr("staticstore.tuning.WAIT_SECONDS", 0.001)

    def wait() -> None:
        slow.wait(0.02)

    on_read(monkeypatch, wait)
    assert isinstance(hash_files(found(tmp_path, a=b"1"))["a"], FileDigest)


def test_f4_a_file_that_changes_while_hashed_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"before")
    changes = iter([b"meanwhile"])

    def change() -> None:
        for value in changes:
            (tmp_path / "a").write_bytes(value)
            break

    on_read(monkeypatch, change)
    outcome = hash_files(todo)["a"]
    assert isinstance(outcome, FileDigest)
    assert outcome.sha256 == hashlib.sha256(b"meanwhile").hexdigest()
    assert outcome.size == len(b"meanwhile")


def test_f4_a_file_that_shrinks_while_hashed_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"x" * 10)
    monkeypatch.setattr("staticstore.tuning.HASHED_PIECE_BYTES", 4)

    def shrink() -> None:
        if (tmp_path / "a").stat().st_size > 3:
            os.truncate(tmp_path / "a", 3)

    on_read(monkeypatch, shrink)
    outcome = hash_files(todo)["a"]
    assert outcome[0] == hashlib.sha256(b"xxx").hexdigest()


def test_f4_a_file_that_never_stands_still_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"0", b=b"1")
    count = 0

    def grow() -> None:
        nonlocal count
        count += 1
        with (tmp_path / "a").open("ab") as file:
            file.write(b"+")

    real = digest_of

    def growing(path: str, *rest: Any, **options: Any) -> FileDigest | None:
        if path.endswith("a"):
            on_read(monkeypatch, grow)
        else:
            on_read(monkeypatch, lambda: None)
        return real(path, *rest, **options)

    monkeypatch.setattr(hashing, "digest_of", growing)
    outcomes = hash_files(todo)
    assert outcomes["a"] == LeftOut("a", "it changed while it was hashed, 3 times", "failed")
    assert count >= 3


def test_f4_a_file_that_grows_faster_than_it_is_read_does_not_hold_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"x" * 10)
    monkeypatch.setattr("staticstore.tuning.HASHED_PIECE_BYTES", 4)
    pieces = 0

    class Growing:
        """A digest that takes so long that the file grows meanwhile."""

        def __init__(self, piece: bytes) -> None:
            self.update(piece)

        def update(self, piece: bytes) -> None:
            nonlocal pieces
            pieces += 1
            with (tmp_path / "a").open("ab") as file:
                file.write(b"y" * 5)

    monkeypatch.setattr(hashlib, "sha256", Growing)
    assert isinstance(hash_files(todo)["a"], LeftOut)
    assert pieces < 100


def test_f4_a_file_that_is_replaced_while_hashed_is_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"old")
    fill(tmp_path / "new", {"a": b"new"})  # the same size and the same time

    def replace() -> None:
        if (tmp_path / "new" / "a").exists():
            os.replace(tmp_path / "new" / "a", tmp_path / "a")

    on_read(monkeypatch, replace)
    outcome = hash_files(todo)["a"]
    assert outcome[0] == hashlib.sha256(b"new").hexdigest()


def test_f4_a_file_that_vanishes_before_or_while_it_is_hashed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"1", b=b"2")
    (tmp_path / "a").unlink()
    on_read(monkeypatch, lambda: (tmp_path / "b").unlink())
    reason = "it vanished before it was hashed"
    assert hash_files(todo) == {k: LeftOut(k, reason, "failed") for k in ("a", "b")}


def test_f4_a_file_that_becomes_a_fifo_does_not_block(tmp_path: Path) -> None:
    todo = found(tmp_path, a=b"1")
    (tmp_path / "a").unlink()
    os.mkfifo(tmp_path / "a")
    assert hash_files(todo)["a"][1] == "it cannot be read: not a regular file"


def test_f2_a_file_that_cannot_be_read_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = found(tmp_path, a=b"1", b=b"2")
    real: Any = os.open

    def failing(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path).endswith("a"):
            raise OSError(5, "Input/output error")
        descriptor: int = real(path, *arguments, **options)
        return descriptor

    monkeypatch.setattr(os, "open", failing)
    outcomes = hash_files(todo)
    assert outcomes["a"] == LeftOut("a", "it cannot be read: Input/output error", "failed")
    assert isinstance(outcomes["b"], FileDigest)


def test_f6_a_private_key_is_found_when_it_is_read(tmp_path: Path) -> None:
    todo = found(tmp_path, server=b"-----BEGIN EC PRIVATE KEY-----\nabc")
    assert hash_files(todo) == {"server": LeftOut("server", "it holds a private key", "secret")}


def test_a_defect_in_a_thread_is_not_kept_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(first_bytes: bytes) -> bool:
        raise MemoryError

    monkeypatch.setattr(data_file, "holds_private_key", broken)
    with pytest.raises(MemoryError):
        hash_files(found(tmp_path, a=b"1"))


# By processes


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few files hashed as if they were thousands."""
    monkeypatch.setattr("staticstore.tuning.FILES_PER_PROCESS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr("staticstore.tuning.HASHED_BATCH_FILES", 2)


MANY = {f"f{n}": bytes([n]) * n for n in range(7)} | {
    "large": b"x" * 100_000,
    "server": b"-----BEGIN EC PRIVATE KEY-----\nabc",
    "gone": b"",
}


def many(tmp_path: Path) -> tuple[list[FoundFile], dict[str, FileDigest | LeftOut]]:
    """Make files of all kinds, and tell what becomes of them."""
    todo = found(tmp_path, **MANY)
    (tmp_path / "gone").unlink()
    expected: dict[str, FileDigest | LeftOut] = {
        "server": LeftOut("server", "it holds a private key", "secret"),
        "gone": LeftOut("gone", "it vanished before it was hashed", "failed"),
    }
    for file in todo:
        if file.key not in expected:
            known = digest_of(file.path)
            assert known is not None
            expected[file.key] = known
    return todo, expected


@pytest.mark.usefixtures("processes")
def test_processes_come_to_the_same_outcomes(tmp_path: Path) -> None:
    todo, expected = many(tmp_path)
    assert hash_files(todo) == expected


@pytest.mark.usefixtures("processes")
def test_the_progress_of_processes_ends_at_the_total(tmp_path: Path) -> None:
    todo, _ = many(tmp_path)
    told: list[tuple[int, int]] = []
    hash_files(todo, progress=lambda done, total: told.append((done, total)))
    total = sum(file.size for file in todo)
    assert told == sorted(told)
    assert told[-1] == (total, total)


@pytest.mark.usefixtures("processes")
def test_small_files_are_left_to_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = found(tmp_path, a=b"1", b=b"2", c=b"3")
    expected = {file.key: digest_of(file.path) for file in todo}
    monkeypatch.setattr(hashing, "digest_of", lambda *_: pytest.fail("it was hashed here"))
    assert hash_files(todo) == expected


@pytest.mark.usefixtures("processes")
def test_without_processes_that_start_the_outcomes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo, expected = many(tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert hash_files(todo) == expected


@pytest.mark.usefixtures("processes")
def test_with_processes_that_die_the_outcomes_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo, expected = many(tmp_path)
    real = HashProcess.digests_of

    def dying(self: HashProcess, files: list[FoundFile]) -> list[FileDigest | None]:
        if self._process is not None:
            self._process.kill()
        return real(self, files)

    monkeypatch.setattr(HashProcess, "digests_of", dying)
    assert hash_files(todo) == expected


@pytest.mark.usefixtures("processes")
def test_what_progress_raises_ends_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[HashProcess] = []
    real = HashProcess.__enter__

    def entering(self: HashProcess) -> HashProcess:
        started.append(self)
        return real(self)

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(HashProcess, "__enter__", entering)
    with pytest.raises(KeyboardInterrupt):
        hash_files(found(tmp_path, **MANY), progress=interrupted)
    assert [process._process for process in started] == [None, None]


@pytest.mark.usefixtures("processes")
def test_the_end_of_the_block_ends_processes_that_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", a_python(tmp_path, "exec sleep 600"))
    with Hashing() as left_early:
        left_early.add(found(tmp_path, **MANY))
    assert not [t for t in threading.enumerate() if t.name.startswith("staticstore-hash")]


def test_a_process_that_is_started_behind_the_end_of_the_block_ends_at_once() -> None:
    ended = Hashing()
    with ended:
        pass
    ended._hash_in_process(ended._small)
    assert [process._process for process in ended._processes] == [None]
