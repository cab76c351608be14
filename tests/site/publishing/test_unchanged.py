"""A publish that finds nothing changed looks at each file, and does nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore.site.folder import data_file, retention
from staticstore.site.publisher import PublishReport, publish
from staticstore.site.publishing.survey import DataSurvey

from ..sitefolder import THEN, fill, make_site

FILES = {"a.csv": b"x\n1\n", "b/c.bin": b"123"}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


class Readings:
    """Counts how often a publish goes on behind its scan."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in ("take_all", "take_changed"):
            monkeypatch.setattr(DataSurvey, name, self._counted(getattr(DataSurvey, name)))

    def _counted(self, take: Callable[[DataSurvey], Any]) -> Callable[[DataSurvey], Any]:
        def counted(survey: DataSurvey) -> Any:
            self.count += 1
            return take(survey)

        return counted


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    return Readings(monkeypatch)


def test_what_has_not_changed_is_not_read_through(site: Path, readings: Readings) -> None:
    publish(site)
    publish(site)
    assert readings.count == 1


def test_the_report_is_that_of_a_publish_that_changes_nothing(site: Path) -> None:
    fill(site / "data", {".env": b"secret"})
    publish(site, pack=True)
    quick = publish(site, pack=True)
    (site / ".staticstore" / "last.json").unlink()
    assert publish(site, pack=True) == quick
    assert isinstance(quick, PublishReport)
    assert quick.skipped[0][0] == ".env"


def _replace(path: Path, content: bytes) -> None:
    """Replace a file by one of the same size and time."""
    new = path.with_name("new")
    new.write_bytes(content)
    os.utime(new, ns=(path.stat().st_mtime_ns,) * 2)
    new.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda site: fill(site / "data", {"new": b""}),
    "a file less": lambda site: (site / "data" / "a.csv").unlink(),
    "another time": lambda site: os.utime(site / "data" / "a.csv", (THEN + 5, THEN + 5)),
    "another file, of the same size and time": lambda site: _replace(
        site / "data" / "a.csv", b"x\n2\n"
    ),
    "a file below": lambda site: _replace(site / "data" / "b" / "c.bin", b"321"),
    "a name": lambda site: (site / "data" / "b").rename(site / "data" / "d"),
    "metadata": lambda site: (site / "metadata.json").write_text('{"a.csv": {"type": "table"}}'),
    "the index": lambda site: _replace(site / "index.json", (site / "index.json").read_bytes()),
    "the head": lambda site: (site / "index.head.json").unlink(),
    "what the head names": lambda site: next((site / "index").iterdir()).unlink(),
    "the notes": lambda site: (site / ".staticstore" / "notes").write_bytes(b"{}"),
    "its own note": lambda site: (site / ".staticstore" / "last.json").write_bytes(b"[]"),
    "a part of its own note": lambda site: (site / ".staticstore" / "last.json").write_bytes(
        b'{"format": "staticstore-last/2"}'
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_has_it_read_through(site: Path, readings: Readings, change: str) -> None:
    publish(site)
    CHANGES[change](site)
    publish(site)
    assert readings.count == 2


@pytest.mark.parametrize("options", [{"pack": True}, {"browse": True}])
def test_other_options_have_it_read_through(
    site: Path, readings: Readings, options: dict[str, Any]
) -> None:
    publish(site)
    publish(site, **options)
    assert readings.count == 2


def test_a_file_that_is_still_young_has_it_read_through(site: Path, readings: Readings) -> None:
    (site / "data" / "young").write_bytes(b"1")
    publish(site)
    publish(site)
    assert readings.count == 2


def test_a_folder_with_nothing_in_it_changes_nothing(site: Path, readings: Readings) -> None:
    publish(site)
    (site / "data" / "new").mkdir()
    publish(site)
    assert readings.count == 1


def test_a_link_changes_nothing_as_long_as_it_leads_to_the_same(
    site: Path, readings: Readings
) -> None:
    (site / "data" / "link").symlink_to("a.csv")
    publish(site)
    publish(site)
    assert readings.count == 1


def test_a_link_that_leads_elsewhere_has_it_read_through(site: Path) -> None:
    fill(site / "data", {"other.csv": b"x\n2\n"})
    (site / "data" / "link").symlink_to("a.csv")
    publish(site)
    (site / "data" / "link").unlink()
    (site / "data" / "link").symlink_to("other.csv")
    assert publish(site).updated == ["link"]


def test_what_a_link_leads_to_is_looked_at(site: Path) -> None:
    (site / "data" / "link").symlink_to("a.csv")
    publish(site)
    _replace(site / "data" / "a.csv", b"x\n2\n")
    assert publish(site).updated == ["a.csv", "link"]


def test_a_file_that_could_not_be_read_is_read_the_next_time(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: str) -> Any:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(data_file, "open_descriptor", failing)
        assert publish(site).entries == 0
    assert publish(site).set == ["a.csv", "b/c.bin"]


def test_what_was_forgotten_is_removed_all_the_same(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site)
    fill(site / "data", {"new": b""})
    publish(site)
    assert len(list((site / "index").iterdir())) == 2
    monkeypatch.setattr(retention, "KEPT_SECONDS", -1.0)
    (site / ".staticstore" / "last.json").unlink()
    publish(site)
    assert len(list((site / "index").iterdir())) == 1


def test_until_something_has_to_be_removed_nothing_is_read_through(
    site: Path, readings: Readings
) -> None:
    publish(site)
    fill(site / "data", {"new": b""})
    publish(site)
    publish(site)
    assert readings.count == 2


def test_once_something_has_to_be_removed_it_is_read_through(
    site: Path, readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(site)
    fill(site / "data", {"new": b""})
    publish(site)
    later = time.time() + retention.KEPT_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    publish(site)
    assert readings.count == 3


def test_a_dry_run_notes_nothing(site: Path) -> None:
    publish(site, dry_run=True)
    assert not (site / ".staticstore").exists()


def test_a_file_that_cannot_be_read_is_reported_each_time(site: Path) -> None:
    (site / "data" / "bad\nname").write_bytes(b"")
    os.utime(site / "data" / "bad\nname", (THEN, THEN))
    assert publish(site).failed == publish(site).failed != []
