"""One contract, on every kind of host: what a store promises does not depend on where a site is."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import staticstore
from staticstore import Change, HTTPStatusError, IntegrityError, NotConnectedError, StaticStore
from tests.contract.conftest import Backend
from tests.sites import entry, write_index, write_site

TEXT = b"station;temperature\n" + b"Ilvar;11.5\n" * 20_000  # compresses well, 220 kB
VALUES = {
    "terrain/dem.tif": bytes(range(256)) * 300,
    "tables/weather.csv": TEXT,
    "empty": b"",
    "100% + ?#;&=é/日本 [x]~.txt": b"a name with everything",
}
# Where there are no ranges; and of a folder nothing is gained by them.
WITHOUT_PACKS = ("file", "http.server", "nginx no ranges")
TYPES = {"terrain/dem.tif": "raster", "tables/weather.csv": "table"}


def describe(key: str, value: bytes) -> dict[str, Any]:
    return entry(value, type=TYPES.get(key, "other"), title=key.upper(), nested={"list": [1, 2.5]})


@pytest.fixture
def store(backend: Backend) -> Any:
    write_site(backend.folder, VALUES, describe)
    with backend.open() as connected:
        yield connected


def test_the_keys_are_those_of_the_index_in_key_order(store: StaticStore) -> None:
    assert list(store) == sorted(VALUES)
    assert len(store) == len(VALUES)


def test_metadata_is_what_the_index_says(store: StaticStore) -> None:
    for key, value in VALUES.items():
        assert store.get_metadata(key) == describe(key, value)


def test_metadata_is_a_deep_copy(store: StaticStore) -> None:
    store.get_metadata("empty")["nested"]["list"].append("mine")
    store["empty"].metadata["nested"]["list"].append("mine")
    next(store.query())[1]["nested"]["list"].append("mine")
    assert store.get_metadata("empty") == describe("empty", b"")


def test_query_selects_and_compares(store: StaticStore) -> None:
    found = list(store.query(select=["title", "missing"], type="raster"))
    assert found == [("terrain/dem.tif", {"title": "TERRAIN/DEM.TIF"})]


@pytest.mark.parametrize("key", VALUES)
def test_a_value_is_read_whole(store: StaticStore, key: str) -> None:
    assert store[key].read() == store.to_bytes(key) == VALUES[key]


@pytest.mark.parametrize("key", VALUES)
def test_a_value_is_streamed(store: StaticStore, key: str) -> None:
    with store.get_data(key) as stream:
        assert stream.read() == VALUES[key]


def test_a_stream_is_a_file(store: StaticStore) -> None:
    with io.TextIOWrapper(store.get_data("tables/weather.csv")) as lines:
        assert next(lines) == "station;temperature\n"


def test_a_value_comes_in_pieces_with_progress(store: StaticStore) -> None:
    told: list[tuple[int, int | None]] = []
    pieces = list(
        store["tables/weather.csv"].iterdata(
            100_000, lambda done, total: told.append((done, total))
        )
    )
    assert [len(piece) for piece in pieces] == [100_000, 100_000, len(TEXT) - 200_000]
    assert told == [(100_000, len(TEXT)), (200_000, len(TEXT)), (len(TEXT), len(TEXT))]


BOUNDS = [
    (0, 4),
    (1, 3),
    (None, 3),
    (70_000, 70_001),
    (-5, None),
    (None, -5),
    (-10, -3),
    (3, 3),
    (5, 3),
    (0, 10**9),
    (10**9, None),
    (None, None),
]


@pytest.mark.parametrize(("start", "end"), BOUNDS)
@pytest.mark.parametrize("key", ["terrain/dem.tif", "tables/weather.csv", "empty"])
def test_a_range_is_the_slice(
    store: StaticStore, key: str, start: int | None, end: int | None
) -> None:
    with store.get_data_range(key, start, end) as stream:
        assert stream.read() == VALUES[key][start:end]


@pytest.mark.parametrize(("start", "end"), BOUNDS)
def test_a_range_is_the_slice_where_the_index_gives_no_size(
    backend: Backend, start: int | None, end: int | None
) -> None:
    write_site(backend.folder, {"a.csv": TEXT}, lambda key, value: {})
    with backend.open() as store, store["a.csv"].range(start, end) as stream:
        assert stream.read() == TEXT[start:end]


def test_size_modified_and_media_type_come_from_the_host_where_the_index_is_silent(
    backend: Backend,
) -> None:
    write_site(backend.folder, {"a.csv": TEXT}, lambda key, value: {})
    with backend.open() as store:
        value = store["a.csv"]
        assert value.size == len(TEXT)
        assert isinstance(value.modified, datetime)
        assert value.modified.tzinfo is not None


def test_to_file_writes_the_value(store: StaticStore, tmp_path: Path) -> None:
    store.to_file("tables/weather.csv", tmp_path / "weather.csv")
    assert (tmp_path / "weather.csv").read_bytes() == TEXT
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["weather.csv"]


def test_an_unchanged_index_is_no_change(store: StaticStore) -> None:
    before = store.index
    assert not store.update_index()
    assert store.index is before


def test_changes_are_found_signaled_and_returned(backend: Backend, store: StaticStore) -> None:
    heard: list[tuple[str, str]] = []

    def on_set(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
        assert previous is None
        heard.append(("set", key))

    def on_update(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
        assert (previous["title"], metadata["title"]) == ("EMPTY", "new")
        heard.append(("update", key))

    def on_delete(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
        assert metadata is None
        heard.append(("delete", key))

    entries = {key: describe(key, value) for key, value in VALUES.items()}
    entries["empty"]["title"] = "new"
    del entries["terrain/dem.tif"]
    with (
        staticstore.key_set.connected_to(on_set, sender=store),
        staticstore.key_updated.connected_to(on_update, sender=store),
        staticstore.key_deleted.connected_to(on_delete, sender=store),
    ):
        write_index(backend.folder, {**entries, "new": {}})
        changes = store.update_index()
    expected = [("update", "empty"), ("set", "new"), ("delete", "terrain/dem.tif")]
    assert heard == expected
    assert [(change.action, change.key) for change in changes] == expected
    assert list(store) == list(changes.index)


def test_a_poll_by_itself_finds_a_change(backend: Backend) -> None:
    write_site(backend.folder, VALUES, describe)
    store = backend.store(poll_interval=0.05)
    with store.connect(**backend.connect):
        changes = store.watch(timeout=20)
        write_index(backend.folder, {"new": {"type": "raster"}})
        found = [next(changes) for _ in range(len(VALUES) + 1)]
    assert Change("new", None, b'{"type": "raster"}') in found


def test_a_key_that_the_index_lacks_is_a_key_error(store: StaticStore) -> None:
    for missing in ("nowhere", "../index.json", "", 5):
        assert missing not in store
        with pytest.raises(KeyError):
            store[missing]  # type: ignore[index]


def test_a_value_that_the_host_lacks_is_a_404_with_its_key(backend: Backend) -> None:
    write_index(backend.folder, {"gone": {"size": 4}})
    with backend.open() as store:
        with pytest.raises(HTTPStatusError, match="older") as caught:
            store["gone"].read()
        assert (caught.value.status, caught.value.key) == (404, "gone")


@pytest.mark.parametrize("new", [b"other bytes!", b"longer than it was", b"short"])
def test_a_value_that_was_replaced_is_an_integrity_error(
    backend: Backend, new: bytes, tmp_path: Path
) -> None:
    write_site(backend.folder, {"a": b"right bytes!"})
    with backend.open() as store:
        (backend.folder / "data/a").write_bytes(new)
        with pytest.raises(IntegrityError):
            store.to_bytes("a")
        with pytest.raises(IntegrityError):
            store.to_file("a", tmp_path / "a")
        assert not (tmp_path / "a").exists()


def test_after_disconnect_only_index_info_and_repr_answer(store: StaticStore) -> None:
    store.disconnect()
    assert len(store.index) == len(VALUES)
    assert store.info()["entries"] == len(VALUES)
    assert "not connected" in repr(store)
    for call in (lambda: store["empty"], lambda: len(store), store.update_index, store.query):
        with pytest.raises(NotConnectedError):
            call()


def test_a_store_connects_again(backend: Backend, store: StaticStore) -> None:
    store.disconnect()
    store.connect(**backend.connect)
    assert store.to_bytes("tables/weather.csv") == TEXT


@pytest.fixture
def published(backend: Backend) -> Backend:
    """A site with all that `publish` writes for fast readers."""
    for key, value in VALUES.items():
        path = backend.folder / "data" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    staticstore.publish(backend.folder, metadata={"*.tif": {"type": "raster"}})
    return backend


def test_a_lazy_store_gives_what_a_whole_one_gives(published: Backend) -> None:
    with published.open(lazy=True) as lazy, published.open() as whole:
        for key, value in VALUES.items():
            assert lazy.get_metadata(key) == whole.get_metadata(key)
            assert lazy.to_bytes(key) == value
        assert "missing" not in lazy
        assert list(lazy.query(type="raster")) == list(whole.query(type="raster"))


def test_a_published_change_is_followed(published: Backend) -> None:
    with published.open() as store:
        (published.folder / "data" / "new.txt").write_bytes(b"new")
        staticstore.publish(published.folder, metadata={"*.tif": {"type": "raster"}})
        assert [(one.action, one.key) for one in store.update_index()] == [("set", "new.txt")]
        assert store.info()["generation"] == 2
        assert store.index.canonical() == (published.folder / "index.json").read_bytes()


def test_many_values_come_in_the_order_asked(store: StaticStore) -> None:
    keys = [*sorted(VALUES, reverse=True), "empty", "terrain/dem.tif"]
    assert list(store.read_many(keys)) == [(key, VALUES[key]) for key in keys]


def test_many_values_of_which_one_is_not_there_come_up_to_that(store: StaticStore) -> None:
    found = store.read_many(["empty", "terrain/dem.tif", "nowhere", "empty"])
    assert [next(found)[0], next(found)[0]] == ["empty", "terrain/dem.tif"]
    with pytest.raises(KeyError, match="nowhere"):
        next(found)


def test_a_value_of_many_that_is_another_is_an_integrity_error(
    backend: Backend, store: StaticStore
) -> None:
    (backend.folder / "data" / "tables" / "weather.csv").write_bytes(TEXT.replace(b"11", b"12"))
    found = store.read_many(["terrain/dem.tif", "tables/weather.csv"])
    assert next(found)[1] == VALUES["terrain/dem.tif"]
    with pytest.raises(IntegrityError) as caught:
        next(found)
    assert caught.value.key == "tables/weather.csv"


def test_many_values_come_from_packs(backend: Backend) -> None:
    values = {f"{number:03}.txt": bytes([number % 251]) * number for number in range(1, 300)}
    for key, value in values.items():
        (backend.folder / "data" / key).write_bytes(value)
    staticstore.publish(backend.folder, pack=True)
    with backend.open() as store:
        if backend.name not in WITHOUT_PACKS:  # only there, then
            for key in values:
                (backend.folder / "data" / key).unlink()
        assert dict(store.read_many(values)) == values


def test_what_a_pack_no_longer_has_right_is_read_by_itself(backend: Backend) -> None:
    values = {f"{number:03}.txt": bytes([number]) * 100 for number in range(20)}
    for key, value in values.items():
        (backend.folder / "data" / key).write_bytes(value)
    staticstore.publish(backend.folder, pack=True)
    (pack,) = (backend.folder / "packs").iterdir()
    body = bytearray(pack.read_bytes())
    body[body.index(b"\7" * 100)] ^= 1
    pack.write_bytes(body)
    with backend.open() as store:
        assert dict(store.read_many(values)) == values


@pytest.mark.parametrize("ranges", [[], [(0, 5)], [(-9, None), (0, 9), (7, 3), (50_000, 50_500)]])
def test_ranges_are_those_of_slices(
    store: StaticStore, ranges: list[tuple[int | None, int | None]]
) -> None:
    for key, value in VALUES.items():
        assert store.get_ranges(key, ranges) == [value[slice(*one)] for one in ranges]
    parts = [(key, *one) for one in ranges for key in VALUES]
    assert store.get_ranges_many(parts) == [VALUES[key][a:b] for key, a, b in parts]


def test_a_value_is_a_file_that_can_be_sought(store: StaticStore) -> None:
    with store["terrain/dem.tif"].open() as file, io.BytesIO(VALUES["terrain/dem.tif"]) as same:
        for offset, whence, count in [(-10, 2, 20), (5, 0, 70_000), (-3, 1, 3), (0, 0, -1)]:
            assert file.seek(offset, whence) == same.seek(offset, whence)
            assert file.read(count) == same.read(count)


def test_the_streams_of_many_values_come_in_the_order_asked(store: StaticStore) -> None:
    found = []
    for stream in store.multiget_data(VALUES):
        with stream:
            found.append(stream.read())
    assert found == list(VALUES.values())
