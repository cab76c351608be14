"""A process that hashes small files, and what becomes of that when it does not."""

from __future__ import annotations

import io
import marshal
import os
import sys
from pathlib import Path

import pytest

from staticstore.site.folder.data_file import FoundFile, digest_of
from staticstore.site.folder.hash_process import HashProcess, answer, process_count

from ..programs import a_python
from ..sitefolder import fill


def found(path: Path) -> FoundFile:
    return FoundFile.of(path.name, str(path), path.stat())


def filled(tmp_path: Path, **files: bytes) -> list[FoundFile]:
    fill(tmp_path, files)
    return [found(tmp_path / name) for name in files]


@pytest.mark.parametrize(
    ("files", "cores", "expected"),
    [(7_999, 8, 0), (8_000, 8, 2), (16_000, 8, 4), (10**6, 4, 4), (10**6, 64, 8), (10**6, 1, 0)],
)
def test_the_number_of_processes_grows_with_files_and_cores(
    monkeypatch: pytest.MonkeyPatch, files: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert process_count(files) == expected


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/usr/bin/python3.11", 2),
        ("C:/Python/Pythonw.exe", 2),
        ("/opt/pypy3", 2),
        ("/usr/bin/qgis", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_a_program_in_which_python_is_embedded_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, program: str | None, expected: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "executable", program)
    assert process_count(10**6) == expected


def test_d13_a_process_gets_no_secret_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STATICSTORE_AUTH", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "A", "PYTHON_TOKEN"):
        monkeypatch.setenv(name, "open-sesame")
    program = a_python(tmp_path, f"env > '{tmp_path}/environment'")
    monkeypatch.setattr(sys, "executable", program)
    with HashProcess() as process:
        assert process.digests_of(filled(tmp_path, x=b"x")) == [None]
    inherited = (tmp_path / "environment").read_text()
    assert f"PATH={os.environ['PATH']}" in inherited
    assert "sesame" not in inherited


def test_a_frozen_program_is_not_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert process_count(10**6) == 0


def test_its_digests_are_those_that_are_taken_here(tmp_path: Path) -> None:
    files = filled(tmp_path, empty=b"", small=b"abc", larger=b"x" * 3_000_000)
    with HashProcess() as process:
        assert process.digests_of(files) == [digest_of(file.path) for file in files]


def test_it_answers_again_and_again(tmp_path: Path) -> None:
    (file,) = filled(tmp_path, a=b"1")
    with HashProcess() as process:
        assert [process.digests_of([file]) for _ in range(3)] == [[digest_of(file.path)]] * 3


def test_it_leaves_what_there_is_more_to_say_of(tmp_path: Path) -> None:
    key, good = filled(tmp_path, key=b"-----BEGIN EC PRIVATE KEY-----", good=b"1")
    os.mkfifo(tmp_path / "fifo")
    gone = key._replace(path=str(tmp_path / "gone"))
    bad = [key, gone, found(tmp_path / "fifo"), found(tmp_path)]
    with HashProcess() as process:
        assert process.digests_of([*bad, good]) == [None, None, None, None, digest_of(good.path)]


def test_f12_it_leaves_what_was_replaced(tmp_path: Path) -> None:
    (file,) = filled(tmp_path, a=b"1")
    fill(tmp_path, {"b": b"1"})
    os.replace(tmp_path / "b", tmp_path / "a")
    with HashProcess() as process:
        assert process.digests_of([file]) == [None]


def test_a_path_that_is_no_text_is_read(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    (file,) = filled(tmp_path / os.fsdecode(b"\xff"), a=b"1")
    with HashProcess() as process:
        assert process.digests_of([file]) == [digest_of(file.path)]


def test_it_ends_with_the_block() -> None:
    with HashProcess() as process:
        running = process._process
        assert running is not None
    assert running.returncode is not None


def test_one_that_died_knows_nothing_any_more(tmp_path: Path) -> None:
    (file,) = filled(tmp_path, a=b"1")
    with HashProcess() as process:
        assert process._process is not None
        process._process.kill()
        assert [process.digests_of([file]) for _ in range(2)] == [[None], [None]]


def test_one_that_cannot_be_started_knows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with HashProcess() as process:
        assert process.digests_of(filled(tmp_path, a=b"1")) == [None]


@pytest.mark.parametrize("script", ["exit 1", "echo hello; cat", "echo staticstore; cat", "cat"])
def test_what_does_not_greet_as_it_should_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(sys, "executable", a_python(tmp_path, script))
    with HashProcess() as process:
        assert process.digests_of(filled(tmp_path, a=b"1")) == [None]


def test_one_that_says_nothing_can_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", a_python(tmp_path, "exec sleep 600"))
    silent = HashProcess()
    silent.kill()
    with silent:
        assert silent.digests_of(filled(tmp_path, a=b"1")) == [None]


def test_it_finds_its_modules_where_they_were_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = filled(tmp_path, a=b"1")
    # Without the packages that were installed.
    monkeypatch.setattr(sys, "executable", a_python(tmp_path, f'exec {sys.executable} -I -S "$@"'))
    with HashProcess() as process:
        assert process.digests_of([file]) == [digest_of(file.path)]


def test_its_life_is_a_greeting_and_answers_until_nobody_asks(tmp_path: Path) -> None:
    (file,) = filled(tmp_path, a=b"1")
    digest = digest_of(file.path)
    assert digest is not None
    gone = file._replace(path="gone")
    request = marshal.dumps([tuple(file), tuple(gone)])
    expected = marshal.dumps([(*digest,), None])
    answers = io.BytesIO()
    answer(io.BytesIO(len(request).to_bytes(4, "big") + request), answers)
    greeting, _, rest = answers.getvalue().partition(b"\n")
    assert (greeting, marshal.loads(rest[4:])) == (b"staticstore hashes", marshal.loads(expected))
