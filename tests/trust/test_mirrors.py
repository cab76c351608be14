"""Copies of a signed site: byte for byte, and read under the same root document."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from staticstore import StaticStore, TrustError, mirror
from staticstore.index.head import Head, NamedDocument, Role
from tests.trust.conftest import Opened
from tests.trust_sites import SignedSite, new_key


def plain(root: Path) -> StaticStore:
    """Connect a store that knows nothing of signatures."""
    return StaticStore(root, poll_interval=0).connect()


def signatures(root: Path) -> dict[str, bytes]:
    """Return the files of ``trust/``."""
    return {path.name: path.read_bytes() for path in (root / "trust").glob("*")}


@pytest.mark.parametrize("verified", [True, False])
def test_a_mirror_is_byte_for_byte(
    site: SignedSite, opened: Opened, tmp_path: Path, verified: bool
) -> None:
    site.keys["targets"] = [new_key()]
    site.write_root()
    site.publish({"a.txt": b"two"})
    with opened() if verified else plain(site.root) as store:
        mirror(store, tmp_path / "copy")
    named = signatures(site.root)
    assert signatures(tmp_path / "copy").items() <= named.items()
    assert (tmp_path / "copy/index.head.json").read_bytes() == (
        site.root / "index.head.json"
    ).read_bytes()
    assert opened(tmp_path / "copy")["a.txt"].read() == b"two"


def test_a_mirror_of_a_mirror_is_read_under_the_same_root(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    mirror(opened(), tmp_path / "one")
    mirror(opened(tmp_path / "one"), tmp_path / "two")
    assert opened(tmp_path / "two")["a.txt"].read() == b"one"


def test_compressed_copies_are_carried_with_the_signatures(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    site.publish({"a.csv": b"1,2\n" * 500}, compress="*.csv")
    mirror(opened(), tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy/stored").iterdir()] == [
        path.name for path in (site.root / "stored").iterdir()
    ]
    assert opened(tmp_path / "copy")["a.csv"].read() == b"1,2\n" * 500


def test_a_second_mirror_carries_what_is_new(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    store = opened()
    mirror(store, tmp_path / "copy")
    reader = opened(tmp_path / "copy")
    site.publish({"a.txt": b"two"})
    store.update_index()
    mirror(store, tmp_path / "copy")
    assert [change.key for change in reader.update_index()] == ["a.txt"]


def test_a_renewed_timestamp_is_carried(site: SignedSite, opened: Opened, tmp_path: Path) -> None:
    store = opened()
    mirror(store, tmp_path / "copy")
    site.write_timestamp()
    mirror(store, tmp_path / "copy")
    name = "timestamp.json"
    assert signatures(tmp_path / "copy")[name] == signatures(site.root)[name]


def test_a_mirror_during_a_publish_has_the_signed_head(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """The head is newer than what is signed until the timestamp is written."""
    site.publish({"b.txt": b"new"}, sign=False)
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
    assert list(opened(tmp_path / "copy")) == ["a.txt"]
    assert list(plain(tmp_path / "copy")) == ["a.txt"]


def test_a_copy_of_a_site_that_is_signed_no_more_is_not_signed(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
        for path in site.trust.iterdir():
            path.unlink()
        mirror(store, tmp_path / "copy")
    assert signatures(tmp_path / "copy") == {}


@pytest.mark.parametrize("verified", [True, False])
def test_t21_a_copy_of_a_site_with_new_keys_has_no_root_documents_of_the_old_ones(
    site: SignedSite, opened: Opened, tmp_path: Path, verified: bool
) -> None:
    site.write_root()
    site.sign()
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
    shutil.rmtree(site.trust)
    site.begin()
    site.publish({"a.txt": b"two"})
    with opened() if verified else plain(site.root) as store:
        mirror(store, tmp_path / "copy")
    assert "2.root.json" not in signatures(tmp_path / "copy")
    assert opened(tmp_path / "copy")["a.txt"].read() == b"two"


def age(root: Path, days: int) -> None:
    """Date back all files of a site."""
    for path in root.rglob("*"):
        then = path.stat().st_mtime - days * 86400
        os.utime(path, (then, then))


def test_t20_what_signatures_lead_to_stays_for_a_day_after_it_was_replaced(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
        named = [*(tmp_path / "copy").glob("trust/*"), *(tmp_path / "copy").glob("index/*")]
        age(tmp_path / "copy", 7)
        site.publish({"a.txt": b"two"})
        store.update_index()
        mirror(store, tmp_path / "copy")
    assert [path for path in named if not path.exists()] == []


def test_t20_what_signatures_lead_to_stays_for_a_day_after_a_killed_mirror(
    site: SignedSite, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed between head and timestamp, and the next run comes a week later."""
    copy = tmp_path / "copy"
    with plain(site.root) as store:
        mirror(store, copy)
        named = [*copy.glob("trust/*"), *copy.glob("index/*"), *copy.glob("blocks/*")]
        old = signatures(copy)["timestamp.json"]
        for key in ("b.txt", "c.txt"):
            site.publish({key: b"new"})
            store.update_index()
            mirror(store, copy)
            (copy / "trust" / "timestamp.json").write_bytes(old)
            assert list(opened(copy)) == ["a.txt"]
            age(copy, 7)
        mirror(store, copy)
    assert [path for path in named if not path.exists()] == []
    assert list(opened(copy)) == ["a.txt", "b.txt", "c.txt"]


def test_t20_what_signatures_lead_to_stays_while_the_signatures_do(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """A value fails for many days, so that the copy has an index of its own."""
    copy = tmp_path / "copy"
    with plain(site.root) as store:
        mirror(store, copy)
        site.publish({"b.txt": b"two", "c.txt": b"three"})
        (site.root / "data" / "b.txt").unlink()
        store.update_index()
        for _ in range(3):
            assert [key for key, _ in mirror(store, copy).failed] == ["b.txt"]
            age(copy, 7)
            assert list(opened(copy)) == ["a.txt"]


def test_a_copy_of_values_that_are_elsewhere_is_not_signed(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """The copy has the values, and says so in an index of its own."""
    body = b'{\n"b.txt":{"placed":{"href":"data/a.txt"}}\n}\n'
    head = Head("ab" * 16, 1, "2026-11-20T12:00:00Z", NamedDocument.of(Role.INDEX, body), 1)
    (site.root / "index.json").write_bytes(body)
    (site.root / "index.head.json").write_bytes(head.encode())
    site.sign()
    mirror(opened(), tmp_path / "copy")
    assert signatures(tmp_path / "copy") == {}
    assert plain(tmp_path / "copy")["b.txt"].read() == b"one"


def test_a_part_has_no_signatures_and_says_so(
    site: SignedSite, opened: Opened, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.publish({"b.txt": b"two"})
    mirror(opened(), tmp_path / "copy", globs=["b.txt"])
    assert signatures(tmp_path / "copy") == {}
    assert "the copy of a part is verified now, but has no signatures" in caplog.text


def test_forged_signatures_are_not_copied(site: SignedSite, opened: Opened, tmp_path: Path) -> None:
    store = opened()
    body = signatures(site.root)["1.targets.json"].replace(b"sha256", b"sha25x")
    right = signatures(site.root)
    site.restore({"1.targets.json": body})
    mirror(store, tmp_path / "copy")
    assert signatures(tmp_path / "copy") == right


def test_an_older_state_that_is_served_after_the_poll_is_not_copied(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """It may have been signed by a key that was stolen, and replaced since."""
    old = site.copy()
    site.publish({"a.txt": b"two"})
    store = opened()
    site.restore(old)
    with pytest.raises(TrustError) as caught:
        mirror(store, tmp_path / "copy")
    assert caught.value.reason == "rollback"
    assert signatures(tmp_path / "copy") == {}


def test_the_copy_is_the_memory_of_a_mirror_without_a_cache(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    old = site.files()
    site.publish({"a.txt": b"two"})
    mirror(opened(), tmp_path / "copy")
    before = signatures(tmp_path / "copy")
    for name, body in old.items():
        (site.root / name).write_bytes(body)
    with pytest.raises(TrustError) as caught:
        mirror(opened(), tmp_path / "copy")
    assert caught.value.reason == "rollback"
    assert signatures(tmp_path / "copy") == before
    assert (tmp_path / "copy" / "data" / "a.txt").read_bytes() == b"two"


@pytest.mark.parametrize("verifies", [False, True])
def test_a_site_that_is_signed_anew_replaces_the_root_documents_of_its_copy(
    site: SignedSite, opened: Opened, tmp_path: Path, verifies: bool
) -> None:
    """With keys that have nothing to do with those before, and fewer root documents."""
    site.write_root()
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
    again = SignedSite(tmp_path / "again")
    with opened(again.root, trust=again.pinned) if verifies else plain(again.root) as store:
        mirror(store, tmp_path / "copy", force=True)
    assert signatures(again.root).items() <= signatures(tmp_path / "copy").items()
    assert "2.root.json" not in signatures(tmp_path / "copy")
    assert list(opened(tmp_path / "copy", trust=again.pinned)) == ["a.txt"]


def test_half_of_the_signatures_is_not_copied(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
        before = signatures(tmp_path / "copy")
        site.publish({"a.txt": b"two"})
        (site.trust / "2.targets.json").unlink()
        store.update_index()
        mirror(store, tmp_path / "copy")
    assert signatures(tmp_path / "copy") == before


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"signed": {"meta": {"snapshot.json": {"version": "../../a"}}}}']
)
def test_no_name_is_made_of_what_a_host_says(site: SignedSite, tmp_path: Path, body: bytes) -> None:
    site.restore({"timestamp.json": body.replace(b"}}}}", b'}}}, "signatures": []}')})
    with plain(site.root) as store:
        mirror(store, tmp_path / "copy")
    assert signatures(tmp_path / "copy") == {}
    assert list(plain(tmp_path / "copy")) == ["a.txt"]
