"""What is measured, for ours and for the ancestor: run in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .indexes import entries, write_index

__all__ = ["CONTENDERS", "SUBJECTS"]

Store = Any


def _ours(root: str) -> Store:
    from staticstore import StaticStore

    return StaticStore(root, poll_interval=0).connect()


def _encore(root: str) -> Store:
    assert urllib.request  # encore uses it without importing it
    from encore.storage.static_url_store import StaticURLStore

    store = StaticURLStore(root, "data/", "index.json", poll=0)
    store.connect()
    return store


CONTENDERS: dict[str, Callable[[str], Store]] = {"ours": _ours, "encore": _encore}


def _connect(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Connect and look one key up."""
    key = next(iter(entries(1)))
    return _timed(lambda: connect().get_metadata(key))


def _unchanged(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Poll a site on which nothing has changed."""
    return _timed(connect().update_index)


def _changed(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Poll a site on which ten entries have changed, whole index downloaded."""
    store = connect()
    index = entries(count)
    for key in list(index)[:: count // 10]:
        index[key]["title"] = "changed"
    before = (site / "index.json").read_bytes(), (site / "index.json").stat().st_mtime
    write_index(site / "index.json", index)
    os.utime(site / "index.json", (before[1] + 2, before[1] + 2))
    try:
        return _timed(store.update_index)
    finally:
        (site / "index.json").write_bytes(before[0])


def _first_query(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Find one key in five, by a field that was not asked for before."""
    store = connect()
    return _timed(lambda: sum(1 for _ in store.query_keys(type="vector")))


def _query_one_in_five(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Find one key in five, again."""
    store = connect()
    list(store.query_keys(type="nothing"))
    return _timed(lambda: sum(1 for _ in store.query_keys(type="vector")))


def _query_unique(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Find one key by a unique value, again."""
    store = connect()
    list(store.query_keys(title="nothing"))
    return _timed(lambda: list(store.query_keys(title="Scene 7 of the Alps")))


def _query_entries(connect: Callable[[], Store], site: Path, count: int) -> float:
    """Find one entry in five, with its metadata."""
    store = connect()
    return _timed(lambda: sum(1 for _ in store.query(type="vector")))


SUBJECTS: dict[str, Callable[[Callable[[], Store], Path, int], float]] = {
    "connect": _connect,
    "unchanged": _unchanged,
    "changed": _changed,
    "first query": _first_query,
    "one in five": _query_one_in_five,
    "unique": _query_unique,
    "with metadata": _query_entries,
}


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Measure one subject for one contender, and print seconds and peak memory as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", choices=SUBJECTS)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("site", type=Path)
    parser.add_argument("root")
    parser.add_argument("count", type=int)
    asked = parser.parse_args()
    open_store = CONTENDERS[asked.contender]
    seconds = SUBJECTS[asked.subject](lambda: open_store(asked.root), asked.site, asked.count)
    print(json.dumps({"seconds": seconds, "peak": _peak_memory()}))


def _peak_memory() -> int:
    """Return the most memory that this process had, in bytes.

    Not `resource.getrusage`, which on Linux begins with what the parent had.
    """
    status = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) * 1024


if __name__ == "__main__":
    main()
