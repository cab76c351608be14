"""E3: readers see whole snapshots while the index changes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import Index, StaticStore, index_updated
from tests.client.scene import TIMEOUT, Call
from tests.sites import write_index

READERS = 32
CHANGES = 100


@pytest.fixture(autouse=True)
def frequent_thread_switches() -> Iterator[None]:
    """Let Python switch threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(interval)


def snapshot(generation: int) -> dict[str, dict[str, int]]:
    """Return entries that contain the generation, and keys that contain it, too."""
    keys = [f"always/{number}" for number in range(4)] + [f"only/{generation}"]
    return {key: {"generation": generation} for key in keys}


def generations(entries: Any) -> set[int]:
    """Return the generations in these entries, and in the key that contains one."""
    pairs = list(entries)
    assert len(pairs) == 5
    (key,) = [key for key, _ in pairs if key.startswith("only/")]
    return {metadata["generation"] for _, metadata in pairs} | {int(key.removeprefix("only/"))}


READS: list[Callable[[StaticStore], Any]] = [
    lambda store: store.query(),
    lambda store: [(key, value.metadata) for key, value in store.items()],
    lambda store: store.index.items(),
    lambda store: [(value.key, value.metadata) for value in store.values()],
    lambda store: _one_by_one(store.index),
    lambda store: [(change.key, change.metadata) for change in _initial(store)],
]


def _one_by_one(index: Index) -> list[Any]:
    return [(key, index[key]) for key in index]


def _initial(store: StaticStore) -> list[Any]:
    found: list[Any] = []
    with store.subscribe(found.append, initial=True):
        return found[:5]


def test_e3_32_reading_threads_see_only_whole_snapshots(tmp_path: Path) -> None:
    write_index(tmp_path, snapshot(0))
    done = threading.Event()
    mixed: list[set[int]] = []

    def read(store: StaticStore, reader: Callable[[StaticStore], Any]) -> int:
        rounds = 0
        while not done.is_set() or rounds == 0:
            found = generations(reader(store))
            if len(found) != 1:
                mixed.append(found)
            rounds += 1
            done.wait(0.005)
        return rounds

    with StaticStore(tmp_path, poll_interval=0).connect() as store:
        calls = [
            Call(lambda number=number: read(store, READS[number % len(READS)]))  # type: ignore[misc]
            for number in range(READERS)
        ]
        for generation in range(1, CHANGES + 1):
            write_index(tmp_path, snapshot(generation))
            assert len(store.update_index()) == 6
        done.set()
        rounds = [call.result() for call in calls]
    assert mixed == []
    assert min(rounds) >= 1


def test_e3_the_entries_of_a_snapshot_stay_as_long_as_it_is_referenced(tmp_path: Path) -> None:
    write_index(tmp_path, snapshot(0))
    with StaticStore(tmp_path, poll_interval=0).connect() as store:
        held, view = store.index, store.items()
        write_index(tmp_path, {})
        store.update_index()
        assert len(store) == 0
        assert generations(held.items()) == {0}
        assert generations((key, value.metadata) for key, value in view) == {0}


def test_e3_handlers_receive_only_whole_snapshots(tmp_path: Path) -> None:
    write_index(tmp_path, snapshot(0))
    received: list[set[int]] = []

    def hear(sender: object, *, changes: Any) -> None:
        received.append(generations(changes.index.items()))

    with StaticStore(tmp_path, poll_interval=0).connect() as store:
        start = threading.Barrier(5)
        done = threading.Event()

        def poll() -> None:
            start.wait(TIMEOUT)
            while not done.is_set():
                store.update_index()

        with index_updated.connected_to(hear, sender=store):
            calls = [Call(poll) for _ in range(4)]
            start.wait(TIMEOUT)
            for generation in range(1, 31):
                write_index(tmp_path, snapshot(generation))
            done.set()
            for call in calls:
                call.result()
            store.update_index()
    assert all(len(found) == 1 for found in received)
    assert received[-1] == {30}
