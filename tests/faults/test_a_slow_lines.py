"""A27: on a slow line an index has a second more for each 32 KiB, whichever way it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staticstore import StaticStore, TransportTimeout, publish, tuning
from tests.servers import RawServer, Request, Wire, serve_files

SECONDS = 0.3  # the deadline, which is over before what is slow has come
PACE = (120, 0.04)  # 3 kB a second


class Site:
    """A published site of 40 values; one changes.  All but the head comes slowly."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "data").mkdir()
        for number in range(40):
            (folder / "data" / f"{number:02}").touch()
        self.files: dict[str, bytes] = {}
        self.hidden: tuple[str, ...] = ()
        self.is_slow = False
        self.slow: set[str] = set()
        self.publish("first")

    def publish(self, title: str) -> None:
        publish(self._folder, metadata={"00": {"title": title * 200}})
        for path in self._folder.rglob("*"):
            name = path.relative_to(self._folder).as_posix()
            if path.is_file() and not name.startswith((".staticstore", "data")):
                self.files[name] = path.read_bytes()

    def __call__(self, request: Request, wire: Wire) -> None:
        name = request.path.removeprefix("/")
        shown = {
            path: body for path, body in self.files.items() if not path.startswith(self.hidden)
        }
        if self.is_slow and name in shown and name != "index.head.json":
            wire.pace = PACE
            self.slow.add(name.partition("/")[0])
        serve_files(shown)(request, wire)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def server(site: Site) -> Iterator[RawServer]:
    with RawServer(site, heads=True) as server:
        yield server


def whole(site: Site, url: str) -> None:
    with connected(url) as store:
        assert len(store) == 40


def by_changes(site: Site, url: str) -> None:
    updated(site, url)


def by_blocks(site: Site, url: str) -> None:
    site.hidden = (*site.hidden, "changes/")
    updated(site, url)


def in_parts(site: Site, url: str) -> None:
    with connected(url, lazy=True) as store:
        assert "17" in store


def connected(url: str, *, lazy: bool = False) -> StaticStore:
    store = StaticStore(url, poll_interval=0, lazy=lazy)
    return store.connect(index_deadline=SECONDS, retries=0)


def updated(site: Site, url: str) -> None:
    site.is_slow = False
    with connected(url) as store:
        site.publish("second")
        site.is_slow = True
        assert len(store.update_index()) == 1


WAYS: list[tuple[Callable[[Site, str], None], tuple[str, ...], set[str]]] = [
    (whole, ("index.head.json",), {"index.json"}),
    (whole, (), {"index"}),
    (by_changes, (), {"changes"}),
    (by_blocks, (), {"blocks", "index"}),
    (in_parts, (), {"blocks", "index"}),
]


@pytest.mark.parametrize(("read", "hidden", "slow"), WAYS)
def test_a27_a_slow_line_has_the_time_that_it_needs(
    site: Site,
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Site, str], None],
    hidden: tuple[str, ...],
    slow: set[str],
) -> None:
    monkeypatch.setattr(tuning, "SLOW_LINE_BYTES_A_SECOND", 200)
    monkeypatch.setattr(tuning, "BLOCKS_WORTHWHILE_BYTES", 0)
    monkeypatch.setattr(tuning, "BLOCKS_WORTHWHILE_PART", 2)
    site.is_slow, site.hidden = True, hidden or ("none",)
    read(site, server.url)
    assert site.slow == slow


@pytest.mark.parametrize(("read", "hidden"), [(read, hidden) for read, hidden, _ in WAYS])
def test_a27_a_line_that_is_slower_still_ends_at_the_deadline(
    site: Site,
    server: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Site, str], None],
    hidden: tuple[str, ...],
) -> None:
    monkeypatch.setattr(tuning, "BLOCKS_WORTHWHILE_BYTES", 0)
    monkeypatch.setattr(tuning, "BLOCKS_WORTHWHILE_PART", 2)
    site.is_slow, site.hidden = True, hidden or ("none",)
    with pytest.raises(TransportTimeout):
        read(site, server.url)
