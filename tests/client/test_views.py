"""Views of stores: they read like a store, and notify like one."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    Changes,
    HTTPStatusError,
    JoinedStore,
    MountedStore,
    NotConnectedError,
    StaticStore,
    StoreError,
    TransportError,
    index_updated,
    key_set,
    key_updated,
    mirror,
    poll_failed,
    publish,
)
from staticstore.client.views import StoreView
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.sites import entry, write_index, write_site

ONE = {"maps/a.tif": b"a of one", "maps/b.tif": b"b of one", "note": b"one"}
TWO = {"maps/a.tif": b"a of two", "c": b"c of two"}


class Sites:
    """Two sites in folders, and a store for each that does not poll by itself."""

    def __init__(self, folder: Path) -> None:
        self.folders = [folder / "one", folder / "two"]
        for each, values in zip(self.folders, (ONE, TWO), strict=True):
            write_site(each, values)
        self.stores = [StaticStore(each, poll_interval=0) for each in self.folders]

    def write(self, number: int, entries: dict[str, Any]) -> None:
        """Write another index of a site."""
        write_index(self.folders[number], entries)

    def change(self, number: int, entries: dict[str, Any]) -> Changes:
        """Write another index of a site, and poll."""
        self.write(number, entries)
        return self.stores[number].update_index()


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    sites = Sites(tmp_path)
    for store in sites.stores:
        store.connect()
    yield sites
    for store in sites.stores:
        store.disconnect()


@pytest.fixture
def joined(sites: Sites) -> JoinedStore:
    return JoinedStore(sites.stores)


def lines(changes: Any) -> list[str]:
    return [f"{change.action} {change.key}" for change in changes]


# -- reading ----------------------------------------------------------------------------------


def test_of_a_joined_store_the_first_that_has_a_key_counts(joined: JoinedStore) -> None:
    assert list(joined) == ["c", "maps/a.tif", "maps/b.tif", "note"]
    assert joined.to_bytes("maps/a.tif") == b"a of one"
    assert joined.to_bytes("c") == b"c of two"


def test_a_value_has_the_key_of_the_view_and_the_url_of_its_site(sites: Sites) -> None:
    value = sites.stores[0].below("maps/")["a.tif"]
    assert value.key == "a.tif"
    assert value.url.endswith("/one/data/maps/a.tif")
    assert value.read() == b"a of one"


def test_a_value_of_a_view_reads_in_every_way(sites: Sites, tmp_path: Path) -> None:
    view = MountedStore({"m/": sites.stores[0].below("maps/"), "": sites.stores[1]})
    assert view["m/b.tif"].read() == b"b of one"
    assert view.get_data("m/b.tif").read() == b"b of one"
    assert view.get_data_range("m/b.tif", 0, 1).read() == b"b"
    assert view.get_ranges("m/b.tif", [(0, 1), (-3, None)]) == [b"b", b"one"]
    assert view.open("m/b.tif").read(4) == b"b of"
    assert [data.read() for data in view.multiget_data(["c", "m/a.tif"])] == [TWO["c"], b"a of one"]
    assert [value.key for value in view.multiget(["c", "m/a.tif"])] == ["c", "m/a.tif"]
    assert next(view.multiget_metadata(["c"], ["size"])) == {"size": len(TWO["c"])}
    view.to_file("m/b.tif", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"b of one"


def test_many_values_of_a_view_come_in_the_order_asked(sites: Sites) -> None:
    view = JoinedStore([sites.stores[0].below("maps/"), *sites.stores])
    keys = ["note", "c", "a.tif", "maps/a.tif", "c"]
    assert list(view.read_many(keys)) == [
        ("note", b"one"),
        ("c", TWO["c"]),
        ("a.tif", b"a of one"),
        ("maps/a.tif", b"a of one"),
        ("c", TWO["c"]),
    ]


def test_many_values_of_which_one_is_not_there_come_up_to_that(joined: JoinedStore) -> None:
    found = joined.read_many(["note", "c", "nowhere", "c"])
    assert [next(found)[0], next(found)[0]] == ["note", "c"]
    with pytest.raises(KeyError, match="nowhere"):
        next(found)


def test_h7_an_error_has_the_key_of_the_view(sites: Sites) -> None:
    view = MountedStore({"m/": sites.stores[0].below("maps/")})
    (sites.folders[0] / "data" / "maps" / "a.tif").unlink()
    for read in (lambda: view.to_bytes("m/a.tif"), lambda: list(view.read_many(["m/a.tif"]))):
        with pytest.raises(HTTPStatusError) as caught:
            read()
        assert caught.value.key == "m/a.tif"


@pytest.mark.parametrize("key", ["nowhere", "", "../a", 5, None, "maps/c"])
def test_a_missing_key_is_a_key_error(joined: JoinedStore, key: Any) -> None:
    assert key not in joined
    assert joined.get(key, "default") == "default"
    for call in (joined.__getitem__, joined.get_metadata, joined.to_bytes):
        with pytest.raises(KeyError) as caught:
            call(key)
        assert caught.value.args == (key,)


def test_a_mounted_store_hides_what_lies_below_a_longer_prefix(sites: Sites) -> None:
    view = MountedStore({"": sites.stores[0], "maps/": sites.stores[1]})
    assert list(view) == ["maps/c", "maps/maps/a.tif", "note"]
    assert "maps/b.tif" not in view


def test_a_mount_joined_with_another_store_falls_back_to_it(sites: Sites) -> None:
    view = JoinedStore([MountedStore({"maps/": sites.stores[1]}), sites.stores[0]])
    assert list(view) == ["maps/a.tif", "maps/b.tif", "maps/c", "maps/maps/a.tif", "note"]


def test_a_prefix_is_exactly_the_text(sites: Sites) -> None:
    assert list(sites.stores[0].below("ma")) == ["ps/a.tif", "ps/b.tif"]
    assert list(sites.stores[0].below("note")) == [""]
    assert list(sites.stores[0].below("")) == list(sites.stores[0])
    assert list(sites.stores[0].below("ma").below("ps/")) == ["a.tif", "b.tif"]


def test_a_store_may_be_a_member_twice(sites: Sites) -> None:
    store = sites.stores[0]
    view = MountedStore({"1/": store, "2/": store})
    assert len(view) == 2 * len(store)
    sites.write(0, {"new": {}})
    assert [change.key for change in view.update_index().set] == ["1/new", "2/new"]


def test_a_view_of_a_lazy_store_reads_parts_of_its_index(tmp_path: Path) -> None:
    (tmp_path / "data" / "maps").mkdir(parents=True)
    (tmp_path / "data" / "maps" / "a.tif").write_bytes(b"a")
    publish(tmp_path)
    with StaticStore(tmp_path, poll_interval=0, lazy=True) as store:
        view = store.below("maps/")
        assert view.to_bytes("a.tif") == b"a"
        assert view.info()["entries"] is None
        assert not view.update_index()
        assert view.info()["entries"] is None
        assert list(view) == ["a.tif"]
        found: list[Any] = []
        view.subscribe(found.append, initial=True)
        assert lines(found) == ["set a.tif"]


def test_a_view_is_made_a_table(joined: JoinedStore) -> None:
    pytest.importorskip("pyarrow")
    table = joined.to_arrow(["size"], where={"size": len(TWO["c"])})
    assert table.to_pylist() == [
        {"key": key, "size": 8} for key in ("c", "maps/a.tif", "maps/b.tif")
    ]


@pytest.mark.parametrize("seen", ["keys", "index", "query", "items"])
def test_what_was_read_belongs_to_the_snapshot_of_its_call(
    sites: Sites, joined: JoinedStore, seen: str
) -> None:
    calls: dict[str, Callable[[], Any]] = {
        "keys": joined.keys,
        "index": lambda: joined.index,
        "query": joined.query,
        "items": joined.items,
    }
    before = calls[seen]()
    sites.change(0, {"z": {}})
    assert len(list(before)) == 4
    assert len(joined) == 3


def test_the_snapshot_is_the_same_one_until_a_poll_finds_a_change(
    sites: Sites, joined: JoinedStore
) -> None:
    before = joined.index
    joined.update_index()
    assert joined.index is before
    changes = sites.change(0, {})
    assert changes
    assert joined.index is not before


def test_a_view_is_a_mapping_that_equals_only_itself(joined: JoinedStore, sites: Sites) -> None:
    assert joined
    assert joined == joined
    assert joined != JoinedStore(sites.stores)
    assert len({joined, JoinedStore(sites.stores)}) == 2


@pytest.mark.parametrize("wrong", [lambda: JoinedStore([]), lambda: MountedStore({})])
def test_a_view_of_nothing_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="at least one store"):
        wrong()


def test_what_is_no_store_and_no_prefix_is_refused(sites: Sites) -> None:
    with pytest.raises(TypeError, match="made of stores"):
        JoinedStore([sites.stores[0], "https://data.example.org/"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a prefix is text"):
        sites.stores[0].below(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a prefix is text"):
        MountedStore({5: sites.stores[0]})  # type: ignore[dict-item]


def test_stores_without_prefixes_cannot_be_mounted(sites: Sites) -> None:
    with pytest.raises(TypeError, match="a mapping from prefixes to stores, not list"):
        MountedStore(sites.stores)  # type: ignore[arg-type]


def test_a_view_cannot_be_mirrored(joined: JoinedStore, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="only a StaticStore"):
        mirror(joined, tmp_path / "copy")  # type: ignore[arg-type]


# -- connecting -------------------------------------------------------------------------------


def test_h1_a_view_is_connected_if_all_members_are(sites: Sites, joined: JoinedStore) -> None:
    assert joined.is_connected()
    sites.stores[1].disconnect()
    assert not joined.is_connected()
    for call in (lambda: joined["note"], lambda: len(joined), joined.update_index, joined.watch):
        with pytest.raises(NotConnectedError):
            call()
    assert len(joined.index) == 4
    assert joined.info()["stale"]
    assert "not connected" in repr(joined)


def test_connect_and_disconnect_are_passed_on(sites: Sites, joined: JoinedStore) -> None:
    joined.disconnect()
    assert not any(store.is_connected() for store in sites.stores)
    assert joined.connect() is joined
    assert all(store.is_connected() for store in sites.stores)


def test_a_with_block_disconnects_what_it_has_connected(sites: Sites) -> None:
    one, two = sites.stores
    two.disconnect()
    with JoinedStore([one, two]) as view:
        assert view.is_connected()
    assert one.is_connected()
    assert not two.is_connected()


def test_h3_if_a_member_cannot_be_connected_the_others_are_disconnected(
    sites: Sites, tmp_path: Path
) -> None:
    sites.stores[0].disconnect()
    with pytest.raises(TransportError):
        JoinedStore([sites.stores[0], StaticStore(tmp_path / "nowhere")]).connect()
    assert not sites.stores[0].is_connected()


def test_h2_update_index_polls_all_members_and_raises_the_first_error(
    sites: Sites, joined: JoinedStore
) -> None:
    heard: list[Any] = []
    joined.subscribe(heard.append)
    (sites.folders[0] / "index.json").unlink()
    sites.write(1, {"new": {}})
    with pytest.raises(StoreError):
        joined.update_index()
    assert lines(heard) == ["delete c", "set new"]


def test_info_is_that_of_the_members_together(sites: Sites, joined: JoinedStore) -> None:
    info = joined.info()
    assert info["entries"] == 4
    assert info["root_url"] is None
    assert [one["entries"] for one in info["members"]] == [3, 2]
    assert sites.stores[0].below("maps/").info()["root_url"].endswith("/one/")
    assert info.keys() == {*sites.stores[0].info(), "members"}
    assert JoinedStore([joined, sites.stores[1]]).info()["entries"] == 4


def test_the_description_is_that_of_the_only_site(joined: JoinedStore, tmp_path: Path) -> None:
    site = tmp_path / "described"
    (site / "data").mkdir(parents=True)
    (site / "about.toml").write_text('title = "Maps"\n')
    publish(site)
    with StaticStore(site, poll_interval=0) as store:
        assert store.below("maps/").about() == {"title": "Maps"}
    assert joined.about() is None


def test_a_notebook_shows_the_keys_of_a_view(joined: JoinedStore) -> None:
    assert "maps/b.tif" in joined._repr_html_()
    assert joined._ipython_key_completions_() == list(joined)


def test_h6_a_pickled_view_reads_in_its_own_connections(sites: Sites) -> None:
    view = MountedStore({"1/": sites.stores[0].below("maps/"), "": JoinedStore(sites.stores)})
    copy = pickle.loads(pickle.dumps(view))
    assert not copy.is_connected()
    assert copy.to_bytes("1/a.tif") == b"a of one"
    assert list(copy) == list(view)
    assert repr(copy) == repr(view)
    copy.disconnect()


def test_h6_a_pickled_value_of_a_view_reads_the_same_bytes(sites: Sites) -> None:
    value = MountedStore({"m/": sites.stores[0].below("maps/")})["m/a.tif"]
    copy = pickle.loads(pickle.dumps(value))
    assert (copy.key, copy.read(), copy.url) == ("m/a.tif", b"a of one", value.url)


# -- being notified -----------------------------------------------------------------------------


def test_what_is_hidden_changes_nothing_and_what_appears_is_an_update(
    sites: Sites, joined: JoinedStore
) -> None:
    heard: list[Any] = []
    joined.subscribe(heard.append)
    sites.change(1, {"maps/a.tif": {"v": 2}, "c": entry(TWO["c"])})
    assert heard == []
    sites.change(0, {"note": entry(b"one")})
    assert lines(heard) == ["update maps/a.tif", "delete maps/b.tif"]
    assert heard[0].metadata == {"v": 2}
    assert heard[0].previous == entry(b"a of one")


def test_what_appears_with_the_same_metadata_is_no_change(
    sites: Sites, joined: JoinedStore
) -> None:
    sites.change(1, {"note": entry(b"one")})
    heard: list[Any] = []
    joined.subscribe(heard.append)
    sites.change(0, {})
    assert lines(heard) == ["delete maps/a.tif", "delete maps/b.tif"]


def test_signals_have_the_view_as_their_sender(sites: Sites) -> None:
    view = sites.stores[0].below("maps/")
    heard: list[Any] = []

    def on_set(sender: object, **arguments: Any) -> None:
        heard.append((sender, arguments))

    def on_end(sender: object, changes: Changes) -> None:
        heard.append((sender, lines(changes), changes.index is view.index))

    with key_set.connected_to(on_set, view), index_updated.connected_to(on_end, view):
        sites.change(0, {**sites.stores[0].index, "maps/new": {"v": 1}, "other": {}})
    assert heard == [
        (view, {"key": "new", "metadata": {"v": 1}, "previous": None}),
        (view, ["set new"], True),
    ]


def test_a_poll_that_changes_nothing_of_a_view_sends_nothing(sites: Sites) -> None:
    view = sites.stores[0].below("maps/")
    heard: list[Any] = []

    def on_end(sender: object, changes: Changes) -> None:
        heard.append(changes)

    with index_updated.connected_to(on_end, sender=view):
        sites.change(0, {**sites.stores[0].index, "other": {}})
    assert heard == []


def test_one_poll_of_a_store_that_is_a_member_twice_is_one_delivery(sites: Sites) -> None:
    store = sites.stores[0]
    view = JoinedStore([store.below("maps/"), MountedStore({"1/": store, "2/": store})])
    heard: list[list[str]] = []
    view.subscribe(lambda changes: heard.append(lines(changes)), batch=True)
    sites.change(0, {**store.index, "maps/new": {}})
    assert heard == [["set 1/maps/new", "set 2/maps/new", "set new"]]


def test_h2_a_failed_poll_of_a_member_is_signaled_by_the_view(
    sites: Sites, joined: JoinedStore
) -> None:
    heard: list[object] = []

    def on_failure(sender: object, error: StoreError) -> None:
        heard.append(sender)

    (sites.folders[1] / "index.json").unlink()
    with poll_failed.connected_to(on_failure, sender=joined), pytest.raises(StoreError):
        sites.stores[1].update_index()
    assert heard == [joined]


def test_without_listeners_no_change_is_looked_for(
    sites: Sites, joined: JoinedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_diff(*_: object) -> Changes:
        raise AssertionError("nobody listens")

    monkeypatch.setattr("staticstore.client.following.live_view.diff", no_diff)
    assert sites.change(0, {"new": {}})
    assert "new" in joined


def test_conditions_and_actions_select_changes(sites: Sites, joined: JoinedStore) -> None:
    heard: list[Any] = []
    joined.subscribe(heard.append, where={"v": 1}, actions=("set",))
    sites.change(0, {"x": {"v": 1}, "y": {"v": 2}})
    assert lines(heard) == ["set x"]


def test_a_watch_of_a_view_yields_its_changes_and_ends_with_a_member(
    sites: Sites, joined: JoinedStore
) -> None:
    watch = joined.watch()
    sites.change(0, {**sites.stores[0].index, "new": {}})
    sites.stores[1].disconnect()
    assert lines(watch) == ["set new"]


def test_a_watch_of_a_view_takes_conditions(sites: Sites, joined: JoinedStore) -> None:
    watch = joined.watch(timeout=0, where={"v": 1})
    sites.change(0, {**sites.stores[0].index, "x": {"v": 1}, "y": {"v": 2}})
    assert lines(watch) == ["set x"]


def test_h1_while_a_member_is_away_nothing_is_delivered_and_afterwards_all(
    sites: Sites, joined: JoinedStore
) -> None:
    heard: list[Any] = []
    joined.subscribe(heard.append)
    sites.stores[1].disconnect()
    sites.change(0, {})
    assert heard == []
    sites.stores[1].connect()
    assert lines(heard) == ["update maps/a.tif", "delete maps/b.tif", "delete note"]


def test_a_handler_may_use_the_view_and_its_members(sites: Sites, joined: JoinedStore) -> None:
    heard: list[Any] = []

    def use(change: Any) -> None:
        heard.append((change.key, len(joined), joined.update_index(), len(sites.stores[0])))
        joined.subscribe(print).close()

    joined.subscribe(use)
    Call(lambda: sites.change(0, {**sites.stores[0].index, "new": {}})).result()
    assert [(key, count) for key, count, _, _ in heard] == [("new", 5)]


def test_a_subscription_of_a_handler_begins_after_what_the_handler_is_told(
    sites: Sites, joined: JoinedStore
) -> None:
    late: list[Any] = []
    joined.subscribe(lambda change: joined.subscribe(late.append))
    sites.change(0, {**sites.stores[0].index, "new": {}})
    assert late == []
    sites.change(1, {})
    assert lines(late) == ["delete c"]


def test_a_handler_of_a_member_may_make_a_view_and_subscribe(sites: Sites) -> None:
    late: list[Any] = []
    views: list[StoreView] = []

    def make(sender: object, **_: Any) -> None:
        views.append(JoinedStore(sites.stores))
        views[0].subscribe(late.append)

    with key_set.connected_to(make, sender=sites.stores[0]):
        sites.change(0, {**sites.stores[0].index, "new": {}})
    assert late == []
    sites.change(0, {"new": {"v": 1}, **{key: entry(ONE[key]) for key in ONE}})
    assert lines(late) == ["update new"]


def test_h4_two_threads_in_handlers_may_poll_the_members_of_each_other(
    sites: Sites, joined: JoinedStore
) -> None:
    """Each holds the turn of its store, and neither waits for that of the other."""
    meeting = threading.Barrier(2, timeout=TIMEOUT)

    def poll_all(sender: object, changes: Changes) -> None:
        meeting.wait()
        joined.update_index()

    for number, store in enumerate(sites.stores):
        index_updated.connect(poll_all, sender=store)
        sites.write(number, {"new": {}})
    calls = [Call(store.update_index) for store in sites.stores]
    assert all(len(call.result()) for call in calls)


def test_changes_of_two_threads_are_delivered_by_one_at_a_time(
    sites: Sites, joined: JoinedStore
) -> None:
    busy, most, keys = [0], [0], list[str]()

    def note(change: Any) -> None:
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        keys.append(change.key)
        busy[0] -= 1

    joined.subscribe(note)
    for number in range(2):
        sites.write(
            number, {**sites.stores[number].index, **{f"{number}{i}": {} for i in range(50)}}
        )
    for call in [Call(store.update_index) for store in sites.stores]:
        call.result()
    joined.update_index()
    assert most == [1]
    assert sorted(keys) == sorted(f"{number}{i}" for number in range(2) for i in range(50))


# -- lifetime -----------------------------------------------------------------------------------


def test_h5_members_do_not_keep_a_view_alive(sites: Sites) -> None:
    view = weakref.ref(sites.stores[0].below("maps/"))
    assert view() is None


def test_h5_a_subscription_keeps_its_view_alive_until_it_is_closed(sites: Sites) -> None:
    heard: list[Any] = []
    subscription = sites.stores[0].below("maps/").subscribe(heard.append)
    gc.collect()
    sites.change(0, {"maps/new": {}})
    assert lines(heard) == ["delete a.tif", "delete b.tif", "set new"]
    view = weakref.ref(JoinedStore([sites.stores[0].below("maps/")]))
    subscription.close()
    gc.collect()
    assert view() is None


def test_a_watch_keeps_its_view_alive_only_as_long_as_it_lives(sites: Sites) -> None:
    view = sites.stores[0].below("maps/")
    watch, reference = view.watch(timeout=0), weakref.ref(view)
    del view
    gc.collect()
    sites.change(0, {"maps/a.tif": {}})
    assert reference() is not None
    assert lines(watch) == ["update a.tif", "delete b.tif"]
    del watch
    gc.collect()
    assert reference() is None


def test_h5_stores_with_a_subscribed_view_are_garbage_when_nobody_holds_them(sites: Sites) -> None:
    store = StaticStore(sites.folders[0], poll_interval=3600).connect()
    store.below("maps/").subscribe(print)
    reference = weakref.ref(store)
    del store
    gc.collect()
    assert reference() is None


def test_a_cached_index_is_the_old_one_of_a_view_too(sites: Sites, tmp_path: Path) -> None:
    def opened() -> list[StaticStore]:
        return [StaticStore(each, poll_interval=0, cache=tmp_path / "cache") for each in folders]

    folders = sites.folders
    with JoinedStore(opened()):
        pass
    sites.write(0, {**sites.stores[0].index, "0": {}})
    sites.write(1, {**sites.stores[1].index, "1": {}})
    view, heard = JoinedStore(opened()), list[list[str]]()

    def on_end(sender: object, changes: Changes) -> None:
        heard.append(lines(changes))

    with index_updated.connected_to(on_end, sender=view), view:
        assert heard == [["set 0", "set 1"]]


def test_the_first_snapshot_of_a_view_sends_no_signals(tmp_path: Path) -> None:
    sites, heard = Sites(tmp_path), list[object]()
    view = JoinedStore(sites.stores)

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    with key_set.connected_to(hear, sender=view), key_updated.connected_to(hear, sender=view), view:
        assert len(view) == 4
    assert heard == []


def test_a_view_polls_over_http_like_its_members(site: MemorySite) -> None:
    site.write({"maps/a": entry(b"a")})
    site.files["data/maps/a"] = b"a"
    with site.open() as store:
        view = store.below("maps/")
        requests = len(site.server.requests)
        assert view["a"].metadata == entry(b"a")
        assert len(site.server.requests) == requests
        assert view.to_bytes("a") == b"a"
        assert site.requests("data/maps/a")


def test_a_view_reads_placed_values_and_tells_of_their_places(tmp_path: Path) -> None:
    write_index(tmp_path, {"a/b": {"placed": {"href": "data:,one"}}})
    with StaticStore(tmp_path, poll_interval=0) as store:
        below = store.below("a/")
        changes = below.watch(timeout=0)
        assert dict(below.read_many(["b"])) == {"b": b"one"}
        assert below["b"].open().read() == b"one"
        write_index(tmp_path, {"a/b": {"placed": {"href": "data:,two"}}})
        store.update_index()
        assert [change.key for change in changes] == ["b"]
        assert below["b"].read() == b"two"
