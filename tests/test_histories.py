"""All ways from one index to another lead to the same snapshot and send the same signals."""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staticstore import StaticStore, publish
from tests.servers import RawServer, serve_files

KEYS = [f"{number:02}" for number in range(30)]
# Files that a reader's host lacks.
WITHHELD = {"blocks": ("changes/",), "whole": ("changes/", "blocks/")}
Told = list[tuple[str, str, Any, Any]]

# Actions of a publisher between two polls: write, remove, pack, lose its head.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(KEYS), st.binary(max_size=3)),
        st.tuples(st.just("remove"), st.sampled_from(KEYS), st.just(b"")),
        st.tuples(st.just("publish"), st.just(""), st.just(b"")),
        st.tuples(st.just("pack"), st.just(""), st.just(b"")),
        st.tuples(st.just("anew"), st.just(""), st.just(b"")),
        st.tuples(st.just("look"), st.just(""), st.just(b"")),
        st.tuples(st.just("stale"), st.just(""), st.just(b"")),
    ),
    max_size=40,
)


class Reader:
    """A store that reads from a host, and the changes that were signaled to it."""

    def __init__(self, stack: ExitStack, way: str) -> None:
        self.way = way
        self.files: dict[str, bytes] = {}
        self.server = stack.enter_context(RawServer(serve_files(self.files), heads=True))
        self.store = StaticStore(self.server.url, poll_interval=0)
        stack.callback(self.store.disconnect)
        self.received: Told = []

    def serve(self, files: dict[str, bytes]) -> None:
        """Serve the files of a site, as far as this reader's host has them."""
        self.files.clear()
        for path, body in files.items():
            if self.way == "plain" and path != "index.json":
                continue
            if self.way == "other form" and path == "index.json":
                self.files[path] = json.dumps(json.loads(body), indent=1).encode()
            elif self.way != "other form" and not path.startswith(WITHHELD.get(self.way, ())):
                self.files[path] = body

    def look(self) -> None:
        """Poll, and record the changes."""
        if not self.store.is_connected():
            self.store.connect(retries=0)
            return
        self.received += [
            (change.action, change.key, change.metadata, change.previous)
            for change in self.store.update_index()
        ]


@pytest.fixture(autouse=True)
def _as_in_large_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small indexes have many pieces and blocks, and be followed like large ones."""
    monkeypatch.setattr("staticstore.tuning.CHECKED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", 300)
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 400)
    monkeypatch.setattr("staticstore.tuning.BLOCKS_WORTHWHILE_BYTES", 0)
    monkeypatch.setattr("staticstore.tuning.BLOCKS_WORTHWHILE_PART", 1)


@given(steps)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_all_ways_signal_the_same_changes(history: list[tuple[str, str, bytes]]) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "data").mkdir()
        for key in KEYS:
            (folder / "data" / key).write_bytes(b"0")
        ways = ("changes", "blocks", "whole", "plain", "other form")
        readers = [Reader(stack, way) for way in ways]
        served: list[dict[str, bytes]] = []

        def look() -> None:
            publish(folder)
            served.append(_files_of(folder))
            for reader in readers:
                reader.serve(served[-1])
                reader.look()

        look()
        for action, key, value in history:
            if action == "write":
                (folder / "data" / key).write_bytes(b"written" + value)
            elif action == "remove":
                (folder / "data" / key).unlink(missing_ok=True)
            elif action in ("publish", "pack"):
                publish(folder, pack=action == "pack")
            elif action == "anew":
                (folder / "index.head.json").unlink()
                publish(folder)
            elif action == "look":
                look()
            else:
                for reader in readers[:3]:  # an old edge: those with a head detect it
                    reader.serve(served[0])
                    if _lineage(served[0]) == _lineage(served[-1]):
                        reader.look()
                    reader.serve(served[-1])
        look()
        body = served[-1]["index.json"]
        for reader in readers:
            assert dict(reader.store.index) == {
                key: {field: said for field, said in entry.items() if field != "packed"}
                for key, entry in json.loads(body).items()
            }
            assert reader.store.index.canonical() == body
            assert reader.received == readers[0].received
            assert not [change for change in reader.received if change[2] == change[3]]


def _lineage(files: dict[str, bytes]) -> str:
    return str(json.loads(files["index.head.json"])["lineage"])


def _files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"data", ".staticstore"} & set(path.parts)
    }
