"""A18, A22, A23, D11 for copies: what an origin said in earlier runs stands in the note."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import MirrorReport, StaticStore, TransportError, mirror, publish
from staticstore.index.head import Head
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.mirroring.index_files import MirrorNote, read_mirror_note
from tests.site.sitefolder import fill

Run = Callable[..., MirrorReport]


class States:
    """A folder in which one of several states of a site is put, as a host would show it."""

    def __init__(self, folder: Path) -> None:
        self.site = folder / "site"
        self._states = folder / "states"
        self._work = folder / "work"
        (self._work / "data").mkdir(parents=True)

    def publish(self, state: str, **values: str) -> None:
        for key, value in values.items():
            (self._work / "data" / key).write_text(value)
        publish(self._work)
        shutil.copytree(self._work, self._states / state)
        self.show(state)

    def show(self, state: str) -> None:
        shutil.rmtree(self.site, ignore_errors=True)
        shutil.copytree(self._states / state, self.site)

    def anew(self) -> None:
        """Have the next publish begin a lineage."""
        (self._work / "index.head.json").unlink()


@pytest.fixture
def states(tmp_path: Path) -> States:
    made = States(tmp_path)
    made.publish("old", a="1")
    made.publish("new", a="2", b="3")
    return made


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def run(states: States, copy: Path) -> Run:
    def run(**options: Any) -> MirrorReport:
        with StaticStore(states.site, poll_interval=0) as store:
            return mirror(store, copy, **options)

    return run


def value(copy: Path) -> str:
    return (copy / "data" / "a").read_text()


def head_of(site: Path) -> Head:
    return Head.parse((site / "index.head.json").read_bytes())


def test_a22_something_older_is_left_alone_four_times_and_followed_at_the_fifth(
    states: States, copy: Path, run: Run
) -> None:
    run()
    states.show("old")
    assert [(run().older, value(copy)) for _ in range(5)] == [
        *((number, "2") for number in range(1, 5)),
        (0, "1"),
    ]


def test_a22_an_edge_that_lags_behind_now_and_then_is_not_followed(
    states: States, copy: Path, run: Run
) -> None:
    run()
    for state in ["old", "old", "new"] * 4:
        states.show(state)
        run()
        assert value(copy) == "2"


def test_a22_without_heads_nothing_shows_what_is_older(
    states: States, copy: Path, run: Run
) -> None:
    (states.site / "index.head.json").unlink()
    run()
    states.show("old")
    (states.site / "index.head.json").unlink()
    index = states.site / "index.json"
    body = index.read_bytes()
    index.unlink()
    index.write_bytes(body)
    os.utime(index, (time.time() + 60, time.time() + 60))  # younger than what was there
    assert run().older == 0
    assert value(copy) == "1"


def test_a22_a_lineage_that_was_left_is_older(states: States, copy: Path, run: Run) -> None:
    run()
    states.anew()
    states.publish("anew", a="4")
    assert (run().older, value(copy)) == (0, "4")
    states.show("new")
    assert (run().older, value(copy)) == (1, "4")


def test_a22_what_is_ignored_changes_nothing_but_the_note(
    states: States, copy: Path, run: Run
) -> None:
    run()
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    states.show("old")
    run(delete=True)
    after = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    changed = {path.name for path in before if before[path] != after.get(path)}
    assert changed == {"mirror.json"}
    assert after.keys() == before.keys()


def test_a22_what_the_store_has_believed_is_followed_at_once(states: States, copy: Path) -> None:
    with StaticStore(states.site, poll_interval=0) as store:
        mirror(store, copy)
        states.show("old")
        for _ in range(5):
            store.update_index()
        assert mirror(store, copy).older == 0
    assert value(copy) == "1"


def test_a22_a_part_has_a_note_too(states: States, run: Run) -> None:
    run(globs=["a"])
    states.show("old")
    assert run(globs=["a"]).older == 1


@pytest.mark.parametrize("note", ["", "{}", "[]", '{"format": "staticstore-mirror/9"}', "\x00"])
def test_a_note_that_is_none_is_not_believed(
    states: States, copy: Path, run: Run, note: str
) -> None:
    run()
    (copy / ".staticstore" / "mirror.json").write_text(note)
    states.show("old")
    assert (run().older, value(copy)) == (0, "1")


@pytest.mark.parametrize("whole", [0, 1, "true", [], {}])
def test_a_note_with_a_field_of_another_type_is_none(copy: Path, run: Run, whole: object) -> None:
    run()
    note = copy / ".staticstore" / "mirror.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "whole": whole}))
    assert read_mirror_note(SiteFolder(copy)) == MirrorNote()


def test_a_publish_in_a_copy_begins_a_lineage(states: States, copy: Path, run: Run) -> None:
    run()
    origin = head_of(copy)
    fill(copy / "data", {"own": b"1"})
    publish(copy)
    own = head_of(copy)
    assert own.lineage != origin.lineage
    assert (own.generation, own.change_files) == (1, ())


def test_the_next_publish_there_goes_on_with_it(states: States, copy: Path, run: Run) -> None:
    run()
    fill(copy / "data", {"own": b"1"})
    publish(copy)
    own = head_of(copy)
    fill(copy / "data", {"more": b"1"})
    publish(copy)
    assert (head_of(copy).lineage, head_of(copy).generation) == (own.lineage, 2)


def test_a_publish_in_a_copy_that_finds_nothing_changed_leaves_it_one(copy: Path, run: Run) -> None:
    run()
    before = (copy / "index.head.json").read_bytes()
    publish(copy)
    assert (copy / "index.head.json").read_bytes() == before
    fill(copy / "data", {"own": b"1"})
    publish(copy)
    assert head_of(copy).lineage != Head.parse(before).lineage


def test_d11_no_index_of_another_root_changes_a_copy_that_is_there(
    states: States, copy: Path, tmp_path: Path
) -> None:
    shutil.copytree(states.site, tmp_path / "other")
    roots = [states.site, tmp_path / "other"]
    with StaticStore(roots, poll_interval=0) as store:
        mirror(store, copy)
    shutil.rmtree(states.site)
    with StaticStore(roots, poll_interval=0) as store, pytest.raises(TransportError):
        mirror(store, copy)
    assert value(copy) == "2"


def is_left_alone(run: Run) -> bool:
    """Run a mirror of a site whose head is gone."""
    try:
        run()
    except TransportError as error:
        return "the copy is left unchanged" in str(error)
    return False


def test_a23_an_absent_head_fails_two_runs_and_is_done_without_in_the_third(
    states: States, copy: Path, run: Run
) -> None:
    run()
    (states.site / "index.head.json").unlink()
    found = [(is_left_alone(run), (copy / "index.head.json").exists()) for _ in range(4)]
    assert found == [(True, True), (True, True), (False, False), (False, False)]


def test_a23_an_index_without_the_head_is_not_taken_at_once_though_it_is_newer(
    states: States, copy: Path, run: Run
) -> None:
    run()
    states.publish("newer", a="5")
    (states.site / "index.head.json").unlink()
    later = time.time() + 60
    os.utime(states.site / "index.json", (later, later))
    assert [(is_left_alone(run), value(copy)) for _ in range(3)] == [
        (True, "2"),
        (True, "2"),
        (False, "5"),
    ]


def test_a23_a_head_that_is_there_again_begins_the_count_anew(states: States, run: Run) -> None:
    run()
    for state in ("old", "new") * 3:
        states.show(state)
        if state == "old":
            (states.site / "index.head.json").unlink()
        assert is_left_alone(run) == (state == "old")


def test_a18_a_copy_that_lacks_a_value_does_not_go_on_with_the_lineage_it_copied(
    states: States, copy: Path, run: Run
) -> None:
    run()
    origin = head_of(copy)
    states.anew()
    states.publish("anew", a="4")
    (states.site / "data" / "a").unlink()
    assert run().failed
    assert head_of(copy).lineage not in (origin.lineage, head_of(states.site).lineage)
