"""A14, A21: the sum verifies the result of change files and blocks at the cost of the change."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from staticstore import IndexFormatError, StaticStore, StoreError, publish
from staticstore.index.changes import changed_sum, sum_of_document, sum_text
from staticstore.index.head import Head, NamedDocument, Role
from staticstore.index.snapshot import Index
from staticstore.site.verify import verify_site
from tests.index.strategies import entries
from tests.servers import RawServer, serve_files

LIE = b'{"key":"a.txt","metadata":{"size":5}}\n'


class Site:
    """A folder that is published, and a host that serves another head or change file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.server = RawServer(serve_files(self.files), heads=True)
        (folder / "data").mkdir(parents=True)
        self.publish(**{f"many{number:03}": "x" for number in range(300)}, a="1")

    def publish(self, **values: str) -> None:
        for name, value in values.items():
            (self.folder / "data" / f"{name}.txt").write_text(value)
        publish(self.folder)
        self.files.clear()
        for path in self.folder.rglob("*"):
            if path.is_file() and ".staticstore" not in path.parts:
                self.files[path.relative_to(self.folder).as_posix()] = path.read_bytes()

    @property
    def head(self) -> Head:
        return Head.parse(self.files["index.head.json"])

    def change_head(self, **fields: Any) -> None:
        """Change fields of the index in the head."""
        said = json.loads(self.files["index.head.json"])
        said["index"] |= fields
        self.files["index.head.json"] = json.dumps(said).encode()

    def forge_change_file(self, body: bytes = LIE) -> None:
        """Serve a change file with the right digest and other content."""
        said = json.loads(self.files["index.head.json"])
        document = NamedDocument.of(Role.CHANGES, body)
        said["changes"][-1] |= {**document.as_json(), "count": body.count(b"\n")}
        self.files[document.href] = body
        self.files["index.head.json"] = json.dumps(said).encode()

    def requested_paths(self) -> list[str]:
        return [request.path.lstrip("/") for request in self.server.requests]


@pytest.fixture
def site(tmp_path: Path, stack: ExitStack) -> Site:
    made = Site(tmp_path / "site")
    stack.enter_context(made.server)
    return made


def connected(site: Site, stack: ExitStack, **options: Any) -> StaticStore:
    store = StaticStore(site.server.url, poll_interval=0, **options).connect(retries=0)
    stack.callback(store.disconnect)
    return store


LIES = {
    "another entry": LIE,
    "one more entry": b'{"key":"a.txt","metadata":{"size":1}}\n{"key":"zz","metadata":{}}\n',
    "one entry less": b'{"key":"a.txt","metadata":null}\n',
    "other white space": b'{"key":"a.txt","metadata":{ }}\n',
}


@pytest.mark.parametrize("lie", LIES)
def test_a21_after_a_wrong_change_file_the_whole_index_is_fetched(
    site: Site, stack: ExitStack, lie: str
) -> None:
    store = connected(site, stack)
    site.publish(a="2")
    site.forge_change_file(LIES[lie])
    store.update_index()
    assert store.index.canonical() == site.files["index.json"]
    assert "lead to another index" in " ".join(store.info()["warnings"])


def test_a21_a_right_change_file_is_the_only_download(site: Site, stack: ExitStack) -> None:
    store = connected(site, stack)
    for value in ("2", "3", "4"):
        site.publish(a=value)
        before = len(site.requested_paths())
        store.update_index()
        assert site.requested_paths()[before:] == [
            "index.head.json",
            site.head.change_files[-1].document.href,
        ]
        assert store.index.canonical() == site.files["index.json"]


def test_a21_after_two_wrong_sums_in_a_row_the_sum_is_ignored(
    site: Site, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.HASHED_INDEX_BYTES", 0)
    store = connected(site, stack)
    whole = []
    for value in "23456":
        site.publish(a=value)
        site.change_head(sum=f"{int(value):032x}")
        before = len(site.requested_paths())
        store.update_index()
        whole.append(site.head.index.href in site.requested_paths()[before:])
        assert store.index.canonical() == site.files["index.json"]
    assert whole == [True, True, False, False, False]


@pytest.mark.parametrize("cache", [True, False])
def test_a21_without_a_sum_a_small_index_is_hashed(
    site: Site, stack: ExitStack, tmp_path: Path, cache: bool
) -> None:
    store = connected(site, stack, cache=tmp_path / "cache" if cache else None)
    site.publish(a="2")
    site.change_head(sum=None)
    site.forge_change_file()
    store.update_index()
    assert store.index.canonical() == site.files["index.json"]


def test_a21_without_a_sum_a_large_index_is_hashed_when_it_is_cached(
    site: Site, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.HASHED_INDEX_BYTES", 0)
    store = connected(site, stack, cache=tmp_path / "cache")
    site.publish(a="2")
    site.change_head(sum=None)
    site.forge_change_file()
    store.update_index()
    assert store.index.canonical() == site.files["index.json"]
    again = connected(site, stack, cache=tmp_path / "cache")
    assert again.index.canonical() == site.files["index.json"]


@pytest.mark.parametrize("wrong", ["", "0" * 31, "G" * 32, "0" * 33, 5, [], True])
def test_a19_a_head_with_an_invalid_sum_is_invalid(site: Site, wrong: object) -> None:
    site.change_head(sum=wrong)
    with pytest.raises(StoreError):
        Head.parse(site.files["index.head.json"])


@pytest.mark.parametrize("entries", [0, 5, 2**63 - 1])
def test_a19_a_false_number_of_entries_is_a_warning_and_is_not_used(
    site: Site, stack: ExitStack, entries: int
) -> None:
    site.change_head(entries=entries)
    store = connected(site, stack)
    assert len(store) == len(list(store)) == 301
    assert f"counts {entries} entries where the index has 301" in store.info()["warnings"][0]


def test_a19_a_false_number_in_a_change_file_is_a_warning(site: Site, stack: ExitStack) -> None:
    store = connected(site, stack)
    site.publish(a="2")
    said = json.loads(site.files["index.head.json"])
    said["changes"][-1]["count"] = 77
    site.files["index.head.json"] = json.dumps(said).encode()
    store.update_index()
    assert "has 1 keys where the head says 77" in " ".join(store.info()["warnings"])


# The publisher


def test_the_publisher_updates_the_sum(site: Site) -> None:
    for value in ("2", "3"):
        site.publish(a=value)
        assert site.head.sum == sum_text(sum_of_document(site.files["index.json"]))


def test_a_wrong_sum_is_found_by_check(site: Site) -> None:
    site.change_head(sum="0" * 32)
    (site.folder / "index.head.json").write_bytes(site.files["index.head.json"])
    assert verify_site(site.folder).wrong == [
        ("index.head.json", "its sum is not that of the index: publish the site again")
    ]


@given(entries, entries)
def test_an_updated_sum_is_that_of_the_new_document(
    old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]
) -> None:
    before, after = Index.from_entries(old), Index.from_entries(new)
    changes = [
        (key, _bytes(before.raw(key)), _bytes(after.raw(key)))
        for key in before.keys_of_other_bytes(after)
    ]
    total = changed_sum(sum_of_document(before.canonical()), changes)
    assert total == sum_of_document(after.canonical())


def _bytes(raw: Any) -> bytes | None:
    return None if raw is None else bytes(raw)


# Bounds (A8)


def test_a8_change_files_are_bounded_by_the_size_of_the_index(site: Site, stack: ExitStack) -> None:
    store = connected(site, stack)
    site.publish(a="2")
    site.forge_change_file(b'{"key":"a.txt","metadata":{"x":"' + b"x" * 10**6 + b'"}}\n')
    site.change_head(size=10**12)
    site.files.pop(f"index/{site.head.index.sha256}.json")
    before = len(site.requested_paths())
    with pytest.raises(StoreError):
        store.update_index()
    assert not [path for path in site.requested_paths()[before:] if path.startswith("changes/")]


def test_a8_changes_do_not_make_an_index_larger_than_allowed(site: Site, stack: ExitStack) -> None:
    store = StaticStore(site.server.url, poll_interval=0)
    stack.callback(store.disconnect)
    store.connect(retries=0, max_index_bytes=len(site.files["index.json"]) + 50)
    site.publish(a="22", b="2")
    site.change_head(size=len(site.files["index.json"]) - 200)
    with pytest.raises(IndexFormatError, match="the index is larger than max_index_bytes"):
        store.update_index()
    assert "b.txt" not in store


def test_the_size_of_the_index_is_kept_up_to_date(site: Site, stack: ExitStack) -> None:
    store = connected(site, stack)
    for value in ("22", "333"):
        site.publish(a=value, **{value: "x"})
        store.update_index()
        assert store._live.held.size == len(site.files["index.json"])
