"""Whatever happens to the members of a view, its signals lead to what it shows."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from staticstore import (
    Change,
    Changes,
    JoinedStore,
    MountedStore,
    StaticStore,
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    publish,
)
from staticstore.client.views import StoreView
from tests.sites import write_index

Picture = dict[str, dict[str, Any]]

KEYS = ["a", "b", "x/a", "x/b", "x/y/a", "x/y/b", "xa"]
numbers = st.integers(0, 2)
entries = st.dictionaries(st.sampled_from(KEYS), st.fixed_dictionaries({"v": numbers}), max_size=5)


def applied(picture: Picture, key: str, metadata: Any, previous: Any) -> None:
    """Apply a change to a picture, which has to fit."""
    assert picture.get(key) == previous
    if metadata is None:
        del picture[key]
    else:
        picture[key] = metadata


class Listener:
    """The pictures of a view, made from nothing but what it tells."""

    def __init__(self, view: StoreView) -> None:
        self.view = view
        self.pictures: dict[str, Picture] = {}
        self.some: Picture = {}
        for name in ("signals", "batch signals", "subscription", "batch subscription"):
            self.pictures[name] = dict(view.index)
        self.pictures["initial"], self.pictures["initial batch"] = {}, {}
        for signal in (key_set, key_updated, key_deleted):
            signal.connect(self._on_key, sender=view)
        index_updated.connect(self._on_index, sender=view)
        view.subscribe(lambda change: self._apply("subscription", [change]))
        view.subscribe(lambda changes: self._apply("batch subscription", changes), batch=True)
        view.subscribe(lambda change: self._apply("initial", [change]), initial=True)
        view.subscribe(
            lambda changes: self._apply("initial batch", changes), initial=True, batch=True
        )
        view.subscribe(self._on_some, initial=True, v=1)

    def _on_key(self, view: object, *, key: str, metadata: Any, previous: Any) -> None:
        assert view is self.view
        applied(self.pictures["signals"], key, metadata, previous)

    def _on_index(self, view: object, *, changes: Changes) -> None:
        assert view is self.view
        assert changes
        self._apply("batch signals", changes)
        assert self.pictures["batch signals"] == dict(changes.index)

    def _apply(self, name: str, changes: Any) -> None:
        for change in changes:
            applied(self.pictures[name], change.key, change.metadata, change.previous)

    def _on_some(self, change: Change) -> None:
        assert 1 in [one["v"] for one in (change.metadata, change.previous) if one is not None]
        if change.metadata is not None and change.metadata["v"] == 1:
            self.some[change.key] = change.metadata
        else:
            del self.some[change.key]

    def check(self) -> None:
        """Compare all pictures with what the view shows."""
        shown = dict(self.view.index)
        for name, picture in self.pictures.items():
            assert picture == shown, name
        assert self.some == dict(self.view.query(v=1))


class Views(RuleBasedStateMachine):
    """Two written sites and a published one, views of them, and a listener to each view."""

    @initialize(first=st.lists(entries, min_size=2, max_size=2))
    def begin(self, first: list[Picture]) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.folders = [folder / name for name in "abc"]
        for each in self.folders:
            (each / "data").mkdir(parents=True)
        for number, index in enumerate(first):
            self.write(number, index)
        self.publish({})
        self.stores = [StaticStore(each, poll_interval=0) for each in self.folders]
        a, b, c = self.stores
        mounted = MountedStore({"": a, "x/": b, "x/y/": c.below("x/")})
        views: list[StoreView] = [
            a.below("x/"),
            JoinedStore([a, b, c]),
            mounted,
            JoinedStore([mounted, c.below("x"), a]),
            MountedStore({"m/": JoinedStore([b, a]), "m/x/": b, "": a.below("x/").below("y")}),
        ]
        for store in self.stores:
            self.stack.enter_context(store)
        self.listeners = [Listener(view) for view in views]

    @rule(number=st.integers(0, 1), new=entries)
    def write(self, number: int, new: Picture) -> None:
        write_index(self.folders[number], new)

    @rule(sizes=st.dictionaries(st.sampled_from(KEYS), numbers, max_size=4))
    def publish(self, sizes: dict[str, int]) -> None:
        data = self.folders[2] / "data"
        shutil.rmtree(data)
        data.mkdir()
        for key, size in sizes.items():
            (data / key).parent.mkdir(parents=True, exist_ok=True)
            (data / key).write_bytes(bytes(size))
        publish(self.folders[2], metadata={key: {"v": sizes[key]} for key in sizes}, force=True)

    @rule(number=numbers)
    def poll(self, number: int) -> None:
        if self.stores[number].is_connected():
            self.stores[number].update_index()

    @rule(position=st.integers(0, 4))
    def poll_a_view(self, position: int) -> None:
        view = self.listeners[position].view
        if not view.is_connected():
            return
        before, watch = dict(view.index), view.watch(timeout=0)
        changes = view.update_index()
        for picture in (dict(before), dict(before)):
            for change in changes:
                applied(picture, change.key, change.metadata, change.previous)
            assert picture == dict(view.index) == dict(changes.index)
        for change in watch:
            applied(before, change.key, change.metadata, change.previous)
        assert before == dict(view.index)

    @rule(number=numbers)
    def disconnect(self, number: int) -> None:
        self.stores[number].disconnect()

    @rule(number=numbers)
    def connect(self, number: int) -> None:
        if not self.stores[number].is_connected():
            self.stores[number].connect()

    @rule(away=numbers, number=st.integers(0, 1), new=entries)
    def change_while_another_is_away(self, away: int, number: int, new: Picture) -> None:
        self.disconnect(away)
        self.write(number, new)
        self.poll(number)
        self.connect(away)

    @invariant()
    def every_picture_is_right(self) -> None:
        for listener in getattr(self, "listeners", ()):
            if listener.view.is_connected():
                listener.check()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            for number in range(3):
                self.connect(number)
            self.every_picture_is_right()
            self.stack.close()


TestViews = Views.TestCase
TestViews.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
