"""A site that is published anew when its files change: with real files and real events."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, serve
from staticstore.errors import StoreError
from staticstore.site import watching
from staticstore.site.guards import RefusedError
from staticstore.site.publisher import PublishReport
from staticstore.site.watching import PublishTimer, publish_watching

from .sitefolder import fill, index_of, make_site, tree

PATIENCE = 20.0  # seconds

Outcome = PublishReport | StoreError


class Watched:
    """A site that is watched by a thread; its outcomes, one by one."""

    def __init__(self, site: Path, **options: Any) -> None:
        self._stop = threading.Event()
        self._outcomes: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, args=(site, options), daemon=True)
        self._thread.start()

    def _run(self, site: Path, options: dict[str, Any]) -> None:
        try:
            for outcome in publish_watching(site, stop=self._stop, **options):
                self._outcomes.put(outcome)
        except BaseException as error:
            self._outcomes.put(error)

    def next(self) -> Any:
        return self._outcomes.get(timeout=PATIENCE)

    def end(self) -> list[Any]:
        """End it; return what came that nobody has asked for."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        left = []
        while not self._outcomes.empty():
            left.append(self._outcomes.get())
        return left


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", {"a.txt": b"a"})


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    with ExitStack() as stack:

        def start(site: Path, **options: Any) -> Watched:
            watched = Watched(site, **options)
            stack.callback(watched.end)
            return watched

        yield start


@pytest.fixture
def publishes(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """What each publish came to, told or not."""
    made: list[Outcome] = []

    def noted(*arguments: Any) -> Outcome:
        made.append(outcome := original(*arguments))
        return outcome

    original = watching._publish
    monkeypatch.setattr(watching, "_publish", noted)
    return made


# With files


def test_the_site_is_published_at_once(site: Path, watch: Callable[..., Watched]) -> None:
    assert watch(site).next().set == ["a.txt"]


def test_a_new_file_is_published(site: Path, watch: Callable[..., Watched]) -> None:
    watched = watch(site)
    watched.next()
    fill(site / "data", {"folder/b.txt": b"b"})
    assert watched.next().set == ["folder/b.txt"]


@pytest.mark.parametrize("data", [None, "data", "data/sub"])
def test_a_site_of_a_relative_path_is_published(
    site: Path, watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch, data: str | None
) -> None:
    fill(site / "data", {"sub/b.txt": b"b"})
    monkeypatch.chdir(site.parent)
    assert watch(Path(site.name), data=data).next().set[-1:] == [
        "b.txt" if data == "data/sub" else "sub/b.txt"
    ]


def test_a_file_that_changes_is_published(site: Path, watch: Callable[..., Watched]) -> None:
    watched = watch(site)
    watched.next()
    (site / "data" / "a.txt").write_bytes(b"another value")
    assert watched.next().updated == ["a.txt"]


def test_a_file_that_is_removed_is_published(site: Path, watch: Callable[..., Watched]) -> None:
    fill(site / "data", {"b.txt": b"b"})
    watched = watch(site)
    watched.next()
    (site / "data" / "a.txt").unlink()
    assert watched.next().deleted == ["a.txt"]


def test_f13_what_is_refused_is_said_once_and_goes_on_when_it_is_mended(
    site: Path, watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[Outcome] = []
    again = threading.Event()

    def noted(*arguments: Any) -> Outcome:
        outcome = original(*arguments)
        if isinstance(outcome, RefusedError):
            refusals.append(outcome)
            if len(refusals) == 2:
                again.set()
        return outcome

    original = watching._publish
    monkeypatch.setattr(watching, "_publish", noted)
    watched = watch(site, rescan=0.2)
    watched.next()
    (site / "data" / "a.txt").rename(site / "a.txt")
    assert isinstance(watched.next(), RefusedError)
    assert again.wait(PATIENCE)
    (site / "a.txt").rename(site / "data" / "a.txt")
    assert isinstance(watched.next(), PublishReport)


def test_two_quick_changes_are_one_publish(
    site: Path, watch: Callable[..., Watched], publishes: list[Outcome]
) -> None:
    watched = watch(site)
    watched.next()
    fill(site / "data", {"b.txt": b"b"})
    fill(site / "data", {"c.txt": b"c"})
    assert watched.next().set == ["b.txt", "c.txt"]
    assert len(publishes) == 2


def test_metadata_that_appears_is_published(site: Path, watch: Callable[..., Watched]) -> None:
    watched = watch(site)
    watched.next()
    (site / "metadata.json").write_text('{"a.txt": {"title": "A"}}')
    assert watched.next().updated == ["a.txt"]


def test_metadata_elsewhere_that_is_replaced_is_published(
    site: Path, tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    file = tmp_path / "fields.json"
    file.write_text("{}")
    watched = watch(site, metadata=file)
    watched.next()
    (tmp_path / "new").write_text('{"a.txt": {"title": "A"}}')
    os.replace(tmp_path / "new", file)
    assert watched.next().updated == ["a.txt"]


def test_a_data_folder_that_is_replaced_is_watched_on(
    site: Path, watch: Callable[..., Watched]
) -> None:
    watched = watch(site)
    watched.next()
    fill(site / "new", {"b.txt": b"b"})
    os.rename(site / "data", site / "old")
    os.rename(site / "new", site / "data")
    # Between the two there may have been a publish that found no folder.
    while not isinstance(report := watched.next(), PublishReport):
        pass
    assert report.set == ["b.txt"]
    (site / "data" / "c.txt").write_bytes(b"c")
    assert watched.next().set == ["c.txt"]


def test_a_data_folder_behind_a_link_is_watched(
    tmp_path: Path, watch: Callable[..., Watched]
) -> None:
    (tmp_path / "site").mkdir()
    fill(tmp_path / "elsewhere", {"a.txt": b"a"})
    (tmp_path / "site" / "data").symlink_to(tmp_path / "elsewhere")
    watched = watch(tmp_path / "site")
    watched.next()
    (tmp_path / "elsewhere" / "b.txt").write_bytes(b"b")
    assert watched.next().set == ["b.txt"]


def test_what_the_publisher_writes_is_no_change(
    site: Path, watch: Callable[..., Watched], publishes: list[Outcome]
) -> None:
    watched = watch(site, pack=True)
    watched.next()
    before = tree(site)
    (site / "data" / "b.txt").write_bytes(b"b")
    watched.next()
    assert tree(site) != before
    (site / "data" / "c.txt").write_bytes(b"c")
    assert watched.next().set == ["c.txt"]
    assert len(publishes) == 3


def test_a_store_that_polls_the_served_site_sees_the_change(
    site: Path, watch: Callable[..., Watched]
) -> None:
    watched = watch(site)
    watched.next()
    seen = threading.Event()
    with serve(site, port=0) as server, StaticStore(server.url, poll_interval=0.2) as store:
        store.subscribe(lambda change: seen.set() if change.key == "b.txt" else None)
        (site / "data" / "b.txt").write_bytes(b"b")
        assert seen.wait(PATIENCE)
        assert store["b.txt"].read() == b"b"


def test_a_publish_that_fails_is_told_and_ends_nothing(
    site: Path, watch: Callable[..., Watched]
) -> None:
    watched = watch(site)
    watched.next()
    (site / "metadata.json").write_text("{")
    assert "metadata.json" in str(watched.next())
    assert list(index_of(site)) == ["a.txt"]
    (site / "metadata.json").write_text('{"a.txt": {"title": "A"}}')
    assert watched.next().updated == ["a.txt"]


def test_the_watch_begins_anew_when_something_can_be_read_that_could_not(
    site: Path, watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that cannot be read cannot be watched either; root can read them all."""
    begun: list[Path] = []

    def changes_below(data: Path, stop: threading.Event) -> Generator[set[str], None, None]:
        begun.append(data)
        return original(data, stop)

    original = watching._changes_below
    monkeypatch.setattr(watching, "_changes_below", changes_below)
    os.mkfifo(site / "data" / "odd")
    watched = watch(site)
    assert [path for path, _ in watched.next().failed] == ["odd"]
    (site / "data" / "odd").unlink()
    assert watched.next().failed == []
    fill(site / "data", {"b.txt": b"b"})
    assert watched.next().set == ["b.txt"]
    assert len(begun) == 2


def test_a_site_is_looked_through_even_if_nothing_is_told(
    site: Path, watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_is_data", lambda path: False)  # all events are lost
    watched = watch(site, rescan=0.3)
    watched.next()
    (site / "data" / "b.txt").write_bytes(b"b")
    assert watched.next().set == ["b.txt"]


def test_it_ends_when_it_is_told_to(site: Path, watch: Callable[..., Watched]) -> None:
    watched = watch(site)
    watched.next()
    assert watched.end() == []


def test_no_folder_is_an_error_at_the_start(site: Path) -> None:
    shutil.rmtree(site / "data")
    with pytest.raises(StoreError, match="there is no folder"):
        next(publish_watching(site))


def test_without_watchfiles_the_error_names_the_extra(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StoreError, match="the extra `watch` brings"):
        next(publish_watching(site))
    assert not (site / "index.json").exists()


# With a clock


def at_rest() -> PublishTimer:
    rest = PublishTimer(600.0)
    assert rest.is_due(changed=False, now=0.0)
    rest.published(failed=False, now=0.0)
    return rest


def due(rest: PublishTimer, changes: Callable[[float], bool], until: float) -> float | None:
    """Return when a publish is due, looking ten times a second."""
    for tick in range(1, round(until * 10)):
        if rest.is_due(changed=changes(tick / 10), now=tick / 10):
            return tick / 10
    return None


def test_files_are_at_rest_half_a_second_after_the_last_change() -> None:
    assert due(at_rest(), lambda now: now <= 2.0, 100.0) == 2.5


def test_constant_change_is_not_waited_for_longer_than_five_seconds() -> None:
    assert due(at_rest(), lambda now: True, 100.0) == 5.1


def test_nothing_is_due_while_nothing_changes() -> None:
    assert due(at_rest(), lambda now: False, 600.0) is None


def test_a_rescan_is_due_when_nothing_has_changed_for_long() -> None:
    assert due(at_rest(), lambda now: False, 700.0) == 600.0


def test_what_failed_is_tried_again_after_ten_seconds() -> None:
    rest = at_rest()
    rest.published(failed=True, now=0.0)
    assert due(rest, lambda now: False, 100.0) == 10.0
