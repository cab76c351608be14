"""A copy that follows its site: what is copied, yielded, waited for and raised."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror, publish
from staticstore.errors import NotConnectedError, StoreError, TransportError
from staticstore.site.guards import RefusedError
from staticstore.site.mirror import MirrorReport
from staticstore.site.watching import mirror_watching

from .sitefolder import fill, make_site

Outcomes = Iterator[MirrorReport | StoreError]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", {"a.txt": b"1", "b.txt": b"2"})
    publish(folder)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def store(site: Path) -> Iterator[StaticStore]:
    with StaticStore(site, poll_interval=0.05) as connected:
        yield connected


def report_of(outcomes: Outcomes) -> MirrorReport:
    outcome = next(outcomes)
    assert isinstance(outcome, MirrorReport), outcome
    return outcome


def swap(path: Path, body: bytes) -> None:
    """Replace a file in one step."""
    path.with_suffix(".new").write_bytes(body)
    path.with_suffix(".new").replace(path)


def test_each_change_is_copied(store: StaticStore, site: Path, copy: Path) -> None:
    outcomes = mirror_watching(store, partial(mirror, store, copy))
    assert report_of(outcomes).fetched == 2
    fill(site / "data", {"b.txt": b"22"})
    publish(site)
    report = report_of(outcomes)
    assert (report.fetched, report.kept, report.generation) == (1, 1, 2)


def test_values_that_failed_are_retried(store: StaticStore, site: Path, copy: Path) -> None:
    (site / "data" / "b.txt").rename(site / "b.txt")
    outcomes = mirror_watching(store, partial(mirror, store, copy), retry=0.0)
    assert [key for key, _ in report_of(outcomes).failed] == ["b.txt"]
    (site / "b.txt").rename(site / "data" / "b.txt")
    assert report_of(outcomes).fetched == 1


def test_a_site_that_breaks_is_yielded_once_and_waited_for(
    store: StaticStore, site: Path, copy: Path
) -> None:
    outcomes = mirror_watching(store, partial(mirror, store, copy))
    report_of(outcomes)
    saved = {path: path.read_bytes() for path in site.glob("index*.json")}
    for path in saved:
        swap(path, b"<html>")
    outcome, failures = next(outcomes), list[str]()
    for path, body in saved.items():
        swap(path, body)
    fill(site / "data", {"b.txt": b"22"})
    publish(site)
    while isinstance(outcome, StoreError):
        failures.append(str(outcome))
        outcome = next(outcomes)
    assert outcome.fetched == 1
    assert 1 <= len(set(failures)) == len(failures)


def test_a_refusal_is_yielded_once_and_waited_for(
    store: StaticStore, site: Path, copy: Path
) -> None:
    fill(copy / "data", {"mine.txt": b"mine"})
    outcomes = mirror_watching(store, partial(mirror, store, copy), retry=0.0)
    assert isinstance(next(outcomes), RefusedError)
    threading.Timer(0.3, (copy / "data" / "mine.txt").unlink).start()
    assert report_of(outcomes).fetched == 2


def test_a_first_copy_that_can_never_be_made_is_raised(store: StaticStore, copy: Path) -> None:
    copy.write_bytes(b"a file")
    with pytest.raises(StoreError, match="cannot be written") as caught:
        next(mirror_watching(store, partial(mirror, store, copy)))
    assert not isinstance(caught.value, TransportError | RefusedError)


def test_a_disconnect_ends_the_wait(store: StaticStore, copy: Path) -> None:
    outcomes = mirror_watching(store, partial(mirror, store, copy))
    report_of(outcomes)
    threading.Timer(0.2, store.disconnect).start()
    with pytest.raises(NotConnectedError):
        next(outcomes)


def test_stop_ends_the_iteration(store: StaticStore, copy: Path) -> None:
    stop = threading.Event()
    outcomes = mirror_watching(store, partial(mirror, store, copy), stop=stop)
    report_of(outcomes)
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    assert list(outcomes) == []
    assert time.monotonic() - began < 5.0


def test_changes_while_the_caller_is_busy_lead_to_one_run(
    store: StaticStore, site: Path, copy: Path
) -> None:
    stop = threading.Event()
    outcomes = mirror_watching(store, partial(mirror, store, copy), stop=stop)
    report_of(outcomes)
    for number in range(3):
        fill(site / "data", {f"{number}.txt": b"new"})
        publish(site)
        store.update_index()
    assert report_of(outcomes).fetched == 3
    threading.Timer(0.3, stop.set).start()
    assert list(outcomes) == []
