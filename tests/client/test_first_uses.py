"""What people type first works, or says what to type instead."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import HTTPStatusError, StaticStore, mirror, publish, push, serve, verify_site

TEXT = b"first line\nsecond line\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of 300 values."""
    folder = tmp_path / "site"
    (folder / "data" / "many").mkdir(parents=True)
    (folder / "data" / "text.txt").write_bytes(TEXT)
    for number in range(299):
        (folder / "data" / "many" / f"{number:03}.txt").touch()
    publish(folder)
    return folder


@pytest.fixture
def store(site: Path) -> Iterator[StaticStore]:
    """A store of that site."""
    with StaticStore(site, poll_interval=0) as connected:
        yield connected


# -- values ----------------------------------------------------------------------------------


def test_a_store_opens_a_value_as_a_file(store: StaticStore) -> None:
    with store.open("text.txt") as file:
        file.seek(6)
        assert file.readline() == b"line\n"


def test_a_value_is_opened_with_the_mode_of_a_file(store: StaticStore) -> None:
    with store.open("text.txt", "rb") as file, store["text.txt"].open("rb") as other:
        assert file.read() == other.read() == TEXT


@pytest.mark.parametrize("mode", ["r", "w", "wb", "r+b"])
def test_a_value_is_opened_with_no_other_mode(store: StaticStore, mode: str) -> None:
    with pytest.raises(ValueError, match=f"mode 'rb', not '{re.escape(mode)}'"):
        store.open("text.txt", mode)


def test_a_store_opens_no_value_that_it_lacks(store: StaticStore) -> None:
    with pytest.raises(KeyError):
        store.open("no.txt")


def test_read_takes_no_size_and_says_what_does(store: StaticStore) -> None:
    value: Any = store["text.txt"]
    with pytest.raises(TypeError, match=r"value\.range\(0, n\), value\.open\(\)\.read\(n\)"):
        value.read(10)


@pytest.mark.parametrize(
    "name", ["seek", "tell", "readline", "readlines", "readinto", "close", "closed"]
)
def test_a_value_is_no_file_and_says_how_to_get_one(store: StaticStore, name: str) -> None:
    with pytest.raises(
        AttributeError, match=rf"no attribute '{name}': use value\.open\(\)\.{name}$"
    ):
        getattr(store["text.txt"], name)


def test_a_value_is_not_iterated_and_says_what_is(store: StaticStore) -> None:
    value: Any = store["text.txt"]
    with pytest.raises(TypeError, match=r"value\.open\(\) or \.iterdata\(\)"):
        list(value)


def test_another_attribute_of_a_value_is_missing_without_a_hint(store: StaticStore) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        store["text.txt"].nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("read", "to_bytes(key)"),
        ("to_bytes_async", "read_async(key)"),
        ("download", "to_file(key, path)"),
    ],
)
def test_a_method_of_others_says_what_it_is_called_here(
    store: StaticStore, name: str, meant: str
) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(store, name)
    assert str(caught.value) == f"'StaticStore' object has no attribute {name!r}: use {meant}"


def test_another_attribute_of_a_store_is_missing_without_a_hint(store: StaticStore) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        store.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    "read",
    [
        "read_many",
        "read_many_async",
        "multiget",
        "multiget_data",
        "multiget_metadata",
    ],
)
def test_a_single_key_is_not_read_as_letters(store: StaticStore, read: str) -> None:
    with pytest.raises(TypeError, match=re.escape("a list of keys: ['text.txt']")):
        getattr(store, read)("text.txt")


def _awaited(store: StaticStore, name: str, *arguments: Any) -> Any:
    """Call a method, or its twin that is awaited."""
    called = getattr(store, name)(*arguments)
    if not name.endswith("_async"):
        return called

    async def main() -> Any:
        return await called

    return asyncio.run(main())


@pytest.mark.parametrize("twin", ["", "_async"])
@pytest.mark.parametrize("ranges", [(0, 4), [0, 4], [(0, 4, 1)], ["abc"]])
def test_ranges_that_are_no_pairs_are_refused(store: StaticStore, twin: str, ranges: Any) -> None:
    with pytest.raises(TypeError, match=r"a list of \(start, end\), not of"):
        _awaited(store, f"get_ranges{twin}", "text.txt", ranges)


@pytest.mark.parametrize("twin", ["", "_async"])
@pytest.mark.parametrize("ranges", [[("text.txt", (0, 4))], [("text.txt", 0)], "ab"])
def test_ranges_of_many_values_that_have_another_form_are_refused(
    store: StaticStore, twin: str, ranges: Any
) -> None:
    with pytest.raises(TypeError, match=r"a list of \(key, start, end\), not of"):
        _awaited(store, f"get_ranges_many{twin}", ranges)


@pytest.mark.parametrize("twin", ["", "_async"])
def test_a_bound_that_is_no_whole_number_is_refused(store: StaticStore, twin: str) -> None:
    with pytest.raises(TypeError, match="whole numbers of bytes, or None, not '0' and 4"):
        _awaited(store, f"get_ranges{twin}", "text.txt", [("0", 4)])


def test_rows_of_an_array_are_ranges(store: StaticStore) -> None:
    numpy = pytest.importorskip("numpy")
    ranges = numpy.array([[0, 5], [6, 10]])
    assert store.get_ranges("text.txt", ranges) == [b"first", b"line"]
    assert _awaited(store, "get_ranges_async", "text.txt", ranges) == [b"first", b"line"]


@pytest.mark.parametrize("name", ["read_async", "get_ranges_async"])
def test_what_is_awaited_is_a_method_of_the_store(store: StaticStore, name: str) -> None:
    with pytest.raises(AttributeError, match=r"_async are those of the store$"):
        getattr(store["text.txt"], name)


def test_a_folder_without_an_index_is_told_apart_from_a_site(tmp_path: Path) -> None:
    with pytest.raises(HTTPStatusError, match="where 'staticstore publish' wrote index"):
        StaticStore(tmp_path, poll_interval=0).connect()


# -- completion of keys in IPython -------------------------------------------------------------


def test_ipython_completes_keys_of_stores_and_snapshots(store: StaticStore) -> None:
    assert store._ipython_key_completions_() == list(store)
    assert store.index._ipython_key_completions_() == list(store)


def test_ipython_gets_keys_up_to_a_bound(
    store: StaticStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.COMPLETED_INDEX_KEYS", 2)
    assert store._ipython_key_completions_() == ["many/000.txt", "many/001.txt"]


def test_ipython_makes_no_store_whole_and_connects_none(site: Path) -> None:
    with serve(site, port=0) as server:
        store = StaticStore(server.url, poll_interval=0, lazy=True)
        assert store._ipython_key_completions_() == []
        with store:
            assert store["text.txt"].size == len(TEXT)
            assert store._ipython_key_completions_() == []


# -- how things are shown ----------------------------------------------------------------------


def test_reports_are_shown_in_a_line_of_counts(site: Path, tmp_path: Path) -> None:
    (site / "data" / "more.txt").write_text("more")
    assert repr(publish(site)) == (
        "<PublishReport: generation 2, 1 set, 0 updated, 0 deleted, 301 entries, "
        "0 skipped, 0 failed>"
    )
    assert repr(verify_site(site)) == "<VerifyReport: 301 checked, 0 wrong, 0 extra>"
    with StaticStore(site, poll_interval=0) as store:
        shown = repr(mirror(store, tmp_path / "copy"))
    assert shown.startswith(
        "<MirrorReport: 301 fetched, 0 kept, 0 deleted, 0 failed, 0 skipped, 27 bytes, "
    )
    shown = repr(push(site, tmp_path / "target"))
    assert shown.startswith("<PushReport: ")
    assert len(shown) < 100
