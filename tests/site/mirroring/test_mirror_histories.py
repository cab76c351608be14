"""Whatever happened to site and copy before, a mirror writes what one into an empty folder writes.

F1: some runs are killed: from some system call on, none that changes a file is made any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staticstore import MirrorReport, StaticStore, mirror, publish
from tests.killing import CALLS
from tests.memory import memory_folder

from ..sitefolder import THEN, tree

KEYS = ["a", "a/b", "b", "b/c/d", "b/c/e", "b/f", "c", 'd "é', "e/f", "zz/z"]
NOTES = Path(".staticstore", "notes")
CHANGING_CALLS = {*CALLS, "link", "rename", "rmdir", "open"}

keys = st.sampled_from(KEYS)
steps = st.lists(
    st.fixed_dictionaries(
        {
            # None removes a value; the others are written, some with the same size.
            "edits": st.dictionaries(keys, st.none() | st.binary(max_size=2), max_size=4),
            "pack": st.booleans(),
            "titles": st.dictionaries(keys, st.sampled_from(["x", "y"]), max_size=2),
            "damage": st.lists(
                st.tuples(st.sampled_from(["rewrite", "touch", "remove", "folder", "extra"]), keys)
                | st.tuples(
                    st.sampled_from(["no notes", "old notes", "cut notes", "publish"]), st.just("")
                ),
                max_size=2,
            ),
            "killed": st.none() | st.integers(0, 120),
        }
    ),
    min_size=2,
    max_size=5,
)


class KilledError(BaseException):
    """The process is gone: no cleanup can change a file any more."""


@contextlib.contextmanager
def killed_at(instant: int) -> Iterator[None]:
    """Let the system calls that change files fail from some number on."""
    left = instant

    def counted(call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError
            return call(*arguments, **options)

        return wrapper

    with contextlib.ExitStack() as patches:
        for name in CHANGING_CALLS:
            call = getattr(os, name)
            patches.enter_context(mock.patch.object(os, name, counted(call)))
        with contextlib.suppress(KilledError):
            yield


def edit(site: Path, step: dict[str, Any], time: int) -> None:
    """Change the values of a site, and publish them."""
    for key, value in step["edits"].items():
        path = site / "data" / key
        if value is None:
            if path.is_file():
                path.unlink()
            continue
        for above in path.relative_to(site / "data").parents:
            if (site / "data" / above).is_file():
                (site / "data" / above).unlink()
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
        os.utime(path, (time, time))
    metadata = {key: {"title": title} for key, title in step["titles"].items()}
    publish(site, metadata=metadata, pack=step["pack"], force=True)


def damage(copy: Path, kind: str, key: str, old_notes: list[bytes]) -> None:
    path, notes = copy / "data" / key, copy / NOTES
    if kind == "rewrite" and path.is_file():
        path.write_bytes(path.read_bytes()[::-1] + b"!")
    elif kind == "touch" and path.is_file():
        os.utime(path)
    elif kind == "remove" and path.is_file():
        path.unlink()
    elif kind == "folder" and path.is_file():
        path.unlink()
        path.mkdir()
        (path / "foreign").write_bytes(b"foreign")
    elif kind == "extra" and path.parent.is_dir():
        path.with_name("extra").write_bytes(b"extra")
    elif kind == "no notes":
        notes.unlink(missing_ok=True)
    elif kind == "old notes" and old_notes and notes.parent.is_dir():
        notes.write_bytes(old_notes[0])
    elif kind == "cut notes" and notes.exists():
        notes.write_bytes(notes.read_bytes()[:-5])
    elif kind == "publish" and (copy / "data").is_dir():
        publish(copy, force=True)


def copied(site: Path, copy: Path) -> MirrorReport:
    with StaticStore(site, poll_interval=0) as store:
        return mirror(store, copy, delete=True, force=True)


def files(root: Path) -> dict[str, bytes]:
    found = {name: body for name, (body, _) in tree(root).items()}
    return {name: body for name, body in found.items() if not name.startswith(".staticstore/")}


@pytest.fixture(autouse=True)
def _as_in_large_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticstore.tuning.SURVEY_BATCH_FILES", 2)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # of killed runs
@given(steps)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_mirror_writes_what_a_first_one_writes(history: list[dict[str, Any]]) -> None:
    with memory_folder() as folder:
        site, copy = Path(folder, "site"), Path(folder, "copy")
        (site / "data").mkdir(parents=True)
        old_notes: list[bytes] = []
        for number, step in enumerate(history):
            edit(site, step, THEN + number)
            for kind, key in step["damage"]:
                damage(copy, kind, key, old_notes)
            if step["killed"] is not None:
                with killed_at(step["killed"]):
                    copied(site, copy)
            report = copied(site, copy)
            first = copied(site, Path(folder, f"first-{number}"))
            assert report.failed == []
            assert report.fetched + report.kept == first.fetched
            expected, found = files(Path(folder, f"first-{number}")), files(copy)
            assert expected.items() <= found.items()
            # What earlier heads and indexes named stays for a day.
            more = found.keys() - expected.keys()
            named_before = re.compile(r"(index|blocks|changes|packs|stored)/[0-9a-f]{64}\.\w+")
            assert all(map(named_before.fullmatch, more)), more
            old_notes.append((copy / NOTES).read_bytes())
            assert copied(site, copy).kept == first.fetched
