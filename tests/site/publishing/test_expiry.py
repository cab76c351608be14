"""Entries that expire: which, when, and what a mistake costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from staticstore.index.fields import time_text
from staticstore.site.guards import RefusedError
from staticstore.site.publisher import publish
from staticstore.site.publishing import plan as publish_plan
from staticstore.site.publishing.expiry import Expiry

from ..sitefolder import fill, index_of, make_site, tree

FILES = {"a.txt": b"a", "b.txt": b"b", "c.txt": b"c"}
NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    _at(monkeypatch, NOW)


def _at(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(time, "time", lambda: now)


def fields(**until: Any) -> dict[str, dict[str, Any]]:
    return {f"{key}.txt": {"until": value} for key, value in until.items()}


def test_an_entry_whose_time_has_passed_is_left_out(site: Path) -> None:
    metadata = fields(a="2026-05-28T20:26:40Z", b="2030-01-01")
    report = publish(site, expire="until", metadata=metadata)
    assert list(index_of(site)) == ["b.txt", "c.txt"]
    assert report.expired == ["a.txt"]
    assert (report.entries, report.bytes) == (2, 2)


def test_the_file_stays(site: Path) -> None:
    before = tree(site / "data")
    publish(site, expire="until", metadata=fields(a="2020-01-01"))
    assert tree(site / "data") == before


@pytest.mark.parametrize(
    ("until", "has_expired"),
    [
        ("2026-05-27", True),
        ("2026-05-28", False),  # to the end of the day, in UTC
        ("2026-05-28T20:26:39Z", True),
        ("2026-05-28T20:26:41", False),
        ("2026-05-28T22:26:40+02:00", True),
        ("2026-05-28T20:26:40.5Z", False),
        ("", False),
        ("never", False),
        (20200101, False),
        (None, False),
        ({"until": "2020-01-01"}, False),
    ],
)
def test_times_are_compared_as_in_queries(until: Any, has_expired: bool) -> None:
    expired = Expiry("until").among(["a.txt"], lambda key: {"until": until}).keys
    assert ("a.txt" in expired) is has_expired


def test_a_field_in_an_object_is_reached(site: Path) -> None:
    metadata = {"a.txt": {"valid": {"until": "2020-01-01"}}}
    assert publish(site, expire="valid.until", metadata=metadata).expired == ["a.txt"]


def test_without_it_no_field_removes_anything(site: Path) -> None:
    metadata = fields(a="2020-01-01")
    publish(site, expire="until", metadata=metadata)
    report = publish(site, metadata=metadata)
    assert (report.set, report.expired) == (["a.txt"], [])


def test_a_published_entry_is_deleted_when_its_time_comes(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = fields(a="2026-06-01", b="2030-01-01")
    publish(site, expire="until", metadata=metadata)
    _at(monkeypatch, NOW + 10 * 86_400)
    report = publish(site, expire="until", metadata=metadata)
    assert (report.deleted, report.expired) == (["a.txt"], ["a.txt"])
    again = publish(site, expire="until", metadata=metadata)
    assert (again.deleted, again.expired) == ([], ["a.txt"])


def test_few_changes_leave_out_what_has_expired(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(site / "data", {f"{number}.dat": b"%d" % number for number in range(50)})
    metadata = fields(a="2020-01-01") | {"late*": {"until": "2020-01-01"}}
    publish(site, expire="until", metadata=metadata)
    monkeypatch.setattr(publish_plan, "plan_publish", None)
    fill(site / "data", {"a.txt": b"changed", "b.txt": b"changed", "late.txt": b"late"})
    report = publish(site, expire="until", metadata=metadata)
    assert (report.set, report.updated) == ([], ["b.txt"])
    assert report.expired == ["a.txt", "late.txt"]
    (site / "data" / "a.txt").unlink()
    assert publish(site, expire="until", metadata=metadata).expired == ["late.txt"]


def test_an_entry_whose_time_is_prolonged_comes_back(site: Path) -> None:
    publish(site, expire="until", metadata=fields(a="2020-01-01"))
    assert publish(site, expire="until", metadata=fields(a="2030-01-01")).set == ["a.txt"]


def test_a_mistake_that_would_delete_nearly_all_is_refused(site: Path) -> None:
    """F8: the guard of shrinking sites."""
    fill(site / "data", {f"{number}.dat": b"%d" % number for number in range(50)})
    publish(site)
    before = tree(site)
    with pytest.raises(RefusedError, match="entries"):
        publish(site, expire="made", metadata={"*": {"made": "2020-01-01"}})
    assert tree(site) == before
    report = publish(site, expire="made", metadata={"*.dat": {"made": "2020-01-01"}}, force=True)
    assert report.entries == 3


@pytest.mark.parametrize("field", ["", "modified", "size", "stored"])
def test_a_field_that_nobody_gives_is_an_error(site: Path, field: str) -> None:
    with pytest.raises(ValueError, match="a field of your metadata"):
        publish(site, expire=field)


def test_a_field_that_no_entry_has_is_warned_of(site: Path) -> None:
    """F26: it is probably misspelled."""
    (warning,) = publish(site, expire="untill", metadata=fields(a="2020-01-01")).warnings
    assert "nothing expires: no key has the field 'untill': did you mean 'until'?" in warning
    (warning,) = publish(site, expire="x", metadata=fields(a="2020-01-01")).warnings
    assert warning == "nothing expires: no key has the field 'x'"


def test_a_value_that_is_no_time_is_warned_of(site: Path) -> None:
    (warning,) = publish(site, expire="until", metadata=fields(a="soon", b="2020-01-01")).warnings
    assert '"a.txt"' in warning or "a.txt" in warning
    assert "neither a date nor a time" in warning
    assert list(index_of(site)) == ["a.txt", "c.txt"]


def test_the_epoch_is_that_of_unix() -> None:
    assert Expiry("until").end_of({"until": time_text(_utc(NOW))}) == NOW


def _utc(seconds: float) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


def test_an_expired_value_is_in_no_pack_and_has_no_copy(site: Path) -> None:
    fill(site / "data", {"a.txt": b"x" * 5000})
    report = publish(site, expire="until", metadata=fields(a="2020-01-01"), pack=True, compress="*")
    assert (report.packed, report.compressed) == (2, 0)
