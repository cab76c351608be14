"""A publish of few changes writes, byte for byte, what a publish of all files would."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staticstore.errors import StoreError
from staticstore.site.documents import head_files
from staticstore.site.folder import data_file
from staticstore.site.publisher import PublishOptions, publish, publish_touched, verify_site
from staticstore.site.publishing import metadata
from staticstore.site.publishing.survey import DataSurvey
from tests.killing import Instants, killed
from tests.memory import memory_folder

from ..killed_update import change
from ..sitefolder import THEN, fill, index_of, make_site

# Plain keys, and those with meanings of their own: unfinished, withheld, of git, of other forms.
KEYS = [f"{folder}{number}.tif" for folder in ("", "a/", "a/b/", "c/") for number in range(7)]
KEYS += ["a.tif", "a/x.part", "c/.env", "c/.jj", "é", "e\u0301", "K", "\u212a"]
TEXTS = [*KEYS[:12], "é", "K", "*.tif", "a/*", "nothing", "*"]
Rules = dict[str, dict[str, Any]]

rules = st.dictionaries(
    st.sampled_from(TEXTS),
    st.dictionaries(st.sampled_from(["title", "n"]), st.sampled_from(["x", "ü", '"']), min_size=1),
    max_size=6,
)
edits = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(KEYS), st.binary(max_size=2)),
    st.tuples(st.just("touch"), st.sampled_from(KEYS), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.sampled_from(KEYS)),
    st.tuples(st.just("rename"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
)
changes = st.one_of(
    st.lists(edits, min_size=1, max_size=4),
    st.tuples(st.tuples(st.just("give"), st.sampled_from(["", "json", "toml", "csv"]), rules)),
)
# What is changed before a publish; whether it packs; and the system call at which it is killed.
publishes = st.lists(
    st.tuples(
        changes,
        st.sampled_from([False, False, False, True]),
        st.one_of(st.none(), st.none(), st.integers(0, 70)),
    ),
    min_size=2,
    max_size=12,
)


@pytest.fixture(autouse=True)
def _as_in_large_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small indexes have many pieces and blocks, and each change count as a small one."""
    monkeypatch.setattr("staticstore.tuning.UPDATED_MOST_PART", 1)
    monkeypatch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", 300)
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 400)
    monkeypatch.setattr("staticstore.index.blocks._MOST_BLOCK_BYTES", 900)
    monkeypatch.setattr(head_files, "_now", lambda: "2026-01-01T00:00:00Z")
    monkeypatch.setattr(
        "secrets.token_hex", lambda size=8: os.urandom(8).hex() if size == 8 else "ab" * 16
    )


class Publisher:
    """Makes the same site twice: as it is, and without what is noted."""

    def __init__(self, folder: Path) -> None:
        self.sites = [make_site(folder / name, {}) for name in ("noted", "anew", "touched")]
        # Where something has changed since the last publish; None if not known.
        self.touched: set[str] | None = None
        self.time = THEN
        self.metadata: Rules | None = None
        for number, key in enumerate(KEYS[:25]):
            self.write(key, b"%d" % number)

    def write(self, key: str, value: bytes) -> None:
        self.time += 1
        self.touch_path(key)
        for site in self.sites:
            path = site / "data" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
            os.utime(path, (self.time, self.time))

    def touch_path(self, key: str) -> None:
        if self.touched is not None:
            self.touched.add(key)

    def touch(self, key: str, seconds: int) -> None:
        self.touch_path(key)
        for site in self.sites:
            if (site / "data" / key).exists():
                os.utime(site / "data" / key, (THEN + seconds, THEN + seconds))

    def remove(self, key: str) -> None:
        self.touch_path(key)
        for site in self.sites:
            (site / "data" / key).unlink(missing_ok=True)

    def rename(self, key: str, other: str) -> None:
        self.touch_path(key)
        self.touch_path(other)
        for site in self.sites:
            if (site / "data" / key).exists():
                (site / "data" / other).parent.mkdir(parents=True, exist_ok=True)
                (site / "data" / key).rename(site / "data" / other)

    def give(self, kind: str, given: Rules) -> None:
        self.metadata = None if kind else given
        for site in self.sites:
            for name in ("json", "toml", "csv"):
                (site / f"metadata.{name}").unlink(missing_ok=True)
            if kind:
                text = _FORMS[kind](given)
                (site / f"metadata.{kind}").write_text(text, "utf-8")

    def publish(self, *, pack: bool) -> None:
        noted, anew, touched = self.sites
        for name in ("notes", "last.json"):
            (anew / ".staticstore" / name).unlink(missing_ok=True)
        first, second = (
            publish(site, metadata=self.metadata, pack=pack, force=True) for site in (noted, anew)
        )
        options = PublishOptions(metadata=self.metadata, pack=pack, force=True)
        third = publish_touched(touched, self.touched, options)
        assert replace(first, hashed=0) == replace(second, hashed=0) == replace(third, hashed=0)
        assert _published(noted) == _published(anew) == _published(touched)
        self.touched = set()

    def kill(self, number: int, *, pack: bool) -> None:
        child = os.fork()
        if not child:
            try:
                os.cpu_count = lambda: 1
                Instants(number).count()
                publish(self.sites[0], metadata=self.metadata, pack=pack, force=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)


def _toml(given: Rules) -> str:
    return "".join(
        f"[{json.dumps(key, ensure_ascii=False)}]\n"
        + "".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items()
        )
        for key, fields in given.items()
    )


def _csv(given: Rules) -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    rows = [[key, fields.get("title", ""), fields.get("n", "")] for key, fields in given.items()]
    return "key,title,n\n" + "".join(",".join(map(cell, row)) + "\n" for row in rows)


def _published(site: Path) -> dict[str, bytes]:
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file() and not {"data", ".staticstore"} & set(path.parts)
    }


_FORMS: dict[str, Callable[[Rules], str]] = {"json": json.dumps, "toml": _toml, "csv": _csv}


@given(publishes)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_history_writes_what_publishes_from_nothing_would(
    history: list[tuple[list[Any], bool, int | None]],
) -> None:
    with memory_folder() as folder:
        publisher = Publisher(Path(folder))
        publisher.publish(pack=False)
        for edits, pack, killed_at in history:
            for action, *arguments in edits:
                getattr(publisher, action)(*arguments)
            if killed_at is not None:
                publisher.kill(killed_at, pack=pack)
            publisher.publish(pack=pack)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Make a site of thirty files, published."""
    files = {f"{'a/' * (number % 3 == 0)}f{number:02}": b"%d" % number for number in range(30)}
    site = make_site(tmp_path / "site", files)
    publish(site)
    return site


def test_f1_an_update_killed_at_any_instant_is_completed_by_the_next_run(
    site: Path, memory_path: Path
) -> None:
    """With packs here, and without them in `test_exports`."""
    publish(site, pack=True)
    old = (site / "index.json").read_bytes()
    survived = killed("tests.site.killed_update", site, memory_path, "pack")
    assert survived >= 20
    change(site)
    (site / ".staticstore" / "notes").unlink()
    publish(site, pack=True)
    new = (site / "index.json").read_bytes()
    seen = []
    for number in range(survived + 1):
        copy = memory_path / str(number)
        seen.append((copy / "index.json").read_bytes())
        publish(copy, pack=True)
        assert (copy / "index.json").read_bytes() == new
        assert verify_site(copy).wrong == []
    assert seen == sorted(seen, key=[old, new].index)
    assert set(seen) == {old, new}


class Taken:
    """Counts the publishes that looked at all files, and at those that have changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all = self.changed = 0
        take_all, take_changed = DataSurvey.take_all, DataSurvey.take_changed

        def count_all(survey: DataSurvey) -> Any:
            self.all += 1
            return take_all(survey)

        def count_changed(survey: DataSurvey) -> Any:
            self.changed += 1
            return take_changed(survey)

        monkeypatch.setattr(DataSurvey, "take_all", count_all)
        monkeypatch.setattr(DataSurvey, "take_changed", count_changed)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    return Taken(monkeypatch)


def test_after_a_few_changes_only_those_are_looked_at(site: Path, taken: Taken) -> None:
    change(site)
    report = publish(site)
    assert (report.set, report.updated, report.deleted) == (["new"], ["f01"], ["a/f03"])
    assert (report.hashed, taken.all, taken.changed) == (2, 0, 1)


def test_a_file_of_the_same_content_with_another_time_changes_nothing(site: Path) -> None:
    before = (site / "index.head.json").read_bytes()
    os.utime(site / "data" / "f01", (THEN + 9, THEN + 9))
    assert publish(site).hashed == 1
    assert (site / "index.head.json").read_bytes() == before
    assert publish(site).hashed == 0


def test_the_fields_of_a_new_file_are_not_parsed_again(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "metadata.csv").write_text("key,title\nnew,The new one\nf01,Another\n")
    publish(site)

    def parse(text: str, name: str) -> Any:
        raise AssertionError("it is parsed")

    monkeypatch.setitem(metadata._PARSERS, ".csv", parse)
    fill(site / "data", {"new": b"1"})
    assert publish(site).warnings == []
    assert index_of(site)["new"]["title"] == "The new one"


def test_damaged_parsed_metadata_is_parsed_again(site: Path) -> None:
    (site / "metadata.csv").write_text("key,title\nnew,The new one\nf01,Another\n")
    publish(site)
    note = site / ".staticstore" / "metadata"
    note.write_bytes(note.read_bytes().replace(b"The new one", b"An old one "))
    fill(site / "data", {"new": b"1"})
    publish(site)
    assert index_of(site)["new"]["title"] == "The new one"


def test_without_metadata_none_is_noted(site: Path) -> None:
    (site / "metadata.csv").write_text("key,title\nf01,Another\n")
    publish(site)
    (site / "metadata.csv").unlink()
    publish(site)
    assert not (site / ".staticstore" / "metadata").exists()


def test_f6_a_private_key_among_few_changes_is_left_out(site: Path) -> None:
    fill(site / "data", {"f01": b"-----BEGIN PRIVATE KEY-----\nMIIE\n"})
    report = publish(site)
    assert report.deleted == ["f01"]
    assert [path for path, _ in report.skipped] == ["f01"]
    assert "f01" not in index_of(site)
    assert publish(site).skipped == report.skipped


def test_f2_a_file_that_failed_is_tried_again_without_looking_at_all(
    site: Path, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: str) -> Any:
        raise OSError(5, "Input/output error")

    fill(site / "data", {"new": b"1"})
    with monkeypatch.context() as disk:
        disk.setattr(data_file, "open_descriptor", failing)
        assert [path for path, _ in publish(site).failed] == ["new"]
    assert publish(site).set == ["new"]
    assert taken.all == 0


@pytest.mark.parametrize("name", ["index.json", "index.head.json", "blocks", ".staticstore/notes"])
def test_f15_a_site_that_is_not_as_it_was_left_is_made_anew(
    site: Path, taken: Taken, name: str
) -> None:
    path = site / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    fill(site / "data", {"f01": b"other"})
    publish(site)
    assert taken.all == 1
    assert verify_site(site).wrong == []


def test_an_index_of_other_bytes_in_the_same_state_is_not_continued(
    site: Path, taken: Taken
) -> None:
    status = (site / "index.json").stat()
    with (site / "index.json").open("r+b") as file:
        file.write(b"{ ")
    os.utime(site / "index.json", ns=(status.st_atime_ns, status.st_mtime_ns))
    fill(site / "data", {"f01": b"other"})
    publish(site)
    assert taken.all == 1
    assert verify_site(site).wrong == []


# Where something was touched


def test_only_the_folder_of_a_touched_path_is_looked_at(site: Path) -> None:
    fill(site / "data", {"f01": b"other", "a/f03": b"other"})
    assert publish_touched(site, {"f01"}, PublishOptions()).updated == ["f01"]
    assert publish_touched(site, {"a/f03"}, PublishOptions()).updated == ["a/f03"]


def test_a_young_file_that_is_not_looked_at_again_keeps_its_entry(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "data" / "a" / "f03").write_bytes(b"young")
    publish(site)
    entry = index_of(site)["a/f03"]
    monkeypatch.setattr("staticstore.tuning.UPDATED_MOST_PART", 0)  # all entries are made anew
    fill(site / "data", {"f01": b"changed"})
    assert publish_touched(site, {"f01"}, PublishOptions()).updated == ["f01"]
    assert index_of(site)["a/f03"] == entry


def test_all_of_a_new_folder_is_looked_at(site: Path) -> None:
    fill(site / "data", {"new/b/c": b"1", "new/.env": b"1"})
    report = publish_touched(site, {"new/b/c"}, PublishOptions())
    assert report.set == ["new/b/c"]
    assert [path for path, _ in report.skipped] == ["new/.env"]
    fill(site / "data", {"f01": b"other"})
    assert publish_touched(site, {"f01"}, PublishOptions()).skipped == report.skipped
    shutil.rmtree(site / "data" / "new")
    assert publish_touched(site, {"new"}, PublishOptions()).skipped == []


def test_a_folder_that_is_gone_is_noticed(site: Path) -> None:
    shutil.rmtree(site / "data" / "a")
    report = publish_touched(site, {"a"}, PublishOptions(force=True))
    assert report.deleted == [f"a/f{number:02}" for number in range(0, 30, 3)]


def test_a_folder_that_became_a_link_is_followed_as_by_a_publish_of_all(site: Path) -> None:
    (site / "data" / "a").rename(site / "data" / "b")
    (site / "data" / "a").symlink_to("b")
    publish_touched(site, {"a/f03"}, PublishOptions(force=True))
    assert index_of(site)["a/f03"]["sha256"] == index_of(site)["b/f03"]["sha256"]


def test_with_links_all_is_looked_at(site: Path) -> None:
    (site / "data" / "link").symlink_to("f01")
    publish(site)
    fill(site / "data", {"f01": b"other"})
    assert publish_touched(site, {"f01"}, PublishOptions()).updated == ["f01", "link"]


def test_f5_a_new_link_out_of_the_folder_stops_the_publish(site: Path) -> None:
    (site / "data" / "out").symlink_to("/etc")
    with pytest.raises(StoreError, match="lead out"):
        publish_touched(site, {"out"}, PublishOptions())
