"""The attacks that the specification of TUF names (section 1.5.2), and some of our own.

In each a store has read the site, or has not; then the host is an attacker's.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, StaticStore, TrustError
from tests.trust.conftest import Opened
from tests.trust_sites import SignedSite, new_key

EXPIRED = timedelta(days=-1)


def refusal(store: StaticStore) -> str:
    """Return why a poll is refused, and check that the store keeps what it had."""
    before = store.index
    with pytest.raises(TrustError) as caught:
        store.update_index()
    assert store.index is before
    assert store.info()["last_error"] == str(caught.value)
    return caught.value.reason


# Rollback


def test_rollback_of_all_documents(site: SignedSite, opened: Opened) -> None:
    old = site.copy()
    site.publish({"a.txt": b"two"})
    store = opened()
    site.restore(old)
    assert refusal(store) == "rollback"


def test_rollback_of_the_timestamp(site: SignedSite, opened: Opened) -> None:
    old = site.copy()["timestamp.json"]
    site.write_timestamp()
    store = opened()
    site.restore({"timestamp.json": old})
    assert refusal(store) == "rollback"


def test_rollback_of_the_snapshot_by_the_timestamp(site: SignedSite, opened: Opened) -> None:
    """Who has the renew key names an old snapshot."""
    site.publish({"a.txt": b"two"})
    store = opened()
    site.write_timestamp(snapshot=1)
    assert refusal(store) == "rollback"


def test_rollback_of_the_targets_by_the_snapshot(site: SignedSite, opened: Opened) -> None:
    """Who has the renew key names old targets."""
    site.publish({"a.txt": b"two"})
    store = opened()
    site.versions["targets"] = 1
    site.write_snapshot()
    site.write_timestamp()
    assert refusal(store) == "rollback"


def test_rollback_is_remembered_by_the_cache(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    old = site.copy()
    site.publish({"a.txt": b"two"})
    opened(cache=tmp_path / "cache").disconnect()
    site.restore(old)
    with pytest.raises(TrustError) as caught:
        opened(cache=tmp_path / "cache")
    assert caught.value.reason == "rollback"


def test_rollback_is_remembered_over_a_disconnect(site: SignedSite, opened: Opened) -> None:
    old = site.copy()
    site.publish({"a.txt": b"two"})
    store = opened()
    store.disconnect()
    site.restore(old)
    with pytest.raises(TrustError) as caught:
        store.connect()
    assert caught.value.reason == "rollback"


# Freeze


def test_freeze_with_state(
    site: SignedSite, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that runs refuses what has expired since, and says so."""
    site.lives["timestamp"] = timedelta(seconds=0)
    store = opened()
    site.write_timestamp()
    assert refusal(store) == "expired"
    assert store["a.txt"].read() == b"one"
    assert store.info()["stale"]


def test_freeze_without_state(site: SignedSite, opened: Opened) -> None:
    site.lives["timestamp"] = EXPIRED
    site.write_timestamp()
    with pytest.raises(TrustError) as caught:
        opened()
    assert caught.value.reason == "expired"


@pytest.mark.parametrize("role", ["root", "targets", "snapshot"])
def test_freeze_of_any_role(site: SignedSite, opened: Opened, role: str) -> None:
    site.lives[role] = EXPIRED
    if role == "root":
        site.write_root()
    site.sign()
    with pytest.raises(TrustError) as caught:
        opened()
    assert caught.value.reason == "expired"


# Keys


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_an_unknown_key(site: SignedSite, opened: Opened, role: str) -> None:
    store = opened()
    site.keys[role] = [new_key()]
    site.publish({"a.txt": b"evil"})
    assert refusal(store) == "unsigned"


def test_a_next_root_by_a_stranger(site: SignedSite, opened: Opened) -> None:
    store = opened()
    stranger = SignedSite(site.root.parent / "stranger")
    stranger.write_root()
    site.restore({"2.root.json": (stranger.trust / "2.root.json").read_bytes()})
    assert refusal(store) == "unsigned"


def test_too_few_root_signatures(site: SignedSite, opened: Opened) -> None:
    store = opened()
    site.write_root(signers=site.keys["root"][:1])
    assert refusal(store) == "unsigned"


def test_one_signature_twice_is_one_signature(site: SignedSite, opened: Opened) -> None:
    store = opened()
    site.write_root(signers=site.keys["root"][:1] * 2)
    path = site.trust / "2.root.json"
    document = json.loads(path.read_bytes())
    document["signatures"] *= 2
    path.write_text(json.dumps(document))
    assert refusal(store) in ("unsigned", "mismatch")


def test_a_renew_key_that_signs_targets(site: SignedSite, opened: Opened) -> None:
    store = opened()
    site.keys["targets"] = site.keys["timestamp"]
    site.publish({"a.txt": b"evil"})
    assert refusal(store) == "unsigned"


def test_one_of_three_root_keys_lost(site: SignedSite, opened: Opened) -> None:
    store = opened()
    kept = site.keys["root"][:2]
    site.keys["root"] = [*kept, new_key()]
    site.write_root(signers=kept)
    site.publish({"a.txt": b"two"})
    assert store.update_index()


@pytest.mark.parametrize("role", ["root", "targets", "timestamp"])
def test_rotation_of_every_key(site: SignedSite, opened: Opened, role: str) -> None:
    store = opened()
    old = site.keys["root"]
    site.keys[role] = [new_key() for _ in site.keys[role]]
    if role == "timestamp":
        site.keys["snapshot"] = site.keys[role]
    site.write_root(signers=[*old, *(site.keys["root"] if role == "root" else ())])
    site.publish({"a.txt": b"two"})
    assert store.update_index()
    assert opened()["a.txt"].read() == b"two"


def test_the_key_from_before_a_rotation_counts_no_more(site: SignedSite, opened: Opened) -> None:
    store = opened()
    old = site.keys["targets"]
    site.keys["targets"] = [new_key()]
    site.write_root()
    site.publish({"a.txt": b"two"})
    assert store.update_index()
    site.keys["targets"] = old
    site.publish({"a.txt": b"evil"})
    assert refusal(store) == "unsigned"


def test_an_expired_root_renewed(site: SignedSite, opened: Opened) -> None:
    """The pinned root may have expired long ago: only the last one counts."""
    site.lives["root"] = EXPIRED
    site.write_root()
    site.lives["root"] = timedelta(days=1)
    site.write_root()
    assert opened()["a.txt"].read() == b"one"


def test_more_rotations_than_are_followed_at_once(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """32 are followed, and noted, so that each further try goes further."""
    for _ in range(40):
        site.keys["timestamp"] = site.keys["snapshot"] = [new_key()]
        site.write_root()
    site.sign()
    with pytest.raises(TrustError) as caught:
        opened(cache=tmp_path / "cache")
    assert caught.value.reason == "unsigned"
    assert opened(cache=tmp_path / "cache")["a.txt"].read() == b"one"
    assert opened(cache=tmp_path / "cache")["a.txt"].read() == b"one"


@pytest.mark.parametrize("version", [1, 3])
def test_a_next_root_of_another_version(site: SignedSite, opened: Opened, version: int) -> None:
    """It is signed by the right keys, but is not the next one."""
    store = opened()
    for _ in range(2):
        site.write_root()
    site.restore({"2.root.json": site.copy()[f"{version}.root.json"]})
    assert refusal(store) == "rollback"


# Mix-and-match


def test_mix_and_match_of_a_snapshot(site: SignedSite, opened: Opened) -> None:
    """An old snapshot under the name of the new one."""
    store = opened()
    old = site.copy()["1.snapshot.json"]
    site.publish({"a.txt": b"two"})
    site.restore({"2.snapshot.json": old})
    assert refusal(store) == "mismatch"


def test_a_snapshot_of_other_bytes_than_the_timestamp_says(
    site: SignedSite, opened: Opened
) -> None:
    store = opened()
    site.publish({"a.txt": b"two"})
    site.write_timestamp(hashes=True)
    site.versions["snapshot"] -= 1
    site.lives["snapshot"] *= 2
    site.write_snapshot()
    assert refusal(store) == "mismatch"


def test_mix_and_match_of_targets(site: SignedSite, opened: Opened) -> None:
    store = opened()
    old = site.copy()["1.targets.json"]
    site.publish({"a.txt": b"two"})
    site.restore({"2.targets.json": old})
    assert refusal(store) == "mismatch"


def test_mix_and_match_of_a_head(site: SignedSite, opened: Opened) -> None:
    store = opened()
    heads = {path.name: path.read_bytes() for path in site.trust.glob("*.index.head.json")}
    site.publish({"a.txt": b"two"})
    (new,) = {path.name for path in site.trust.glob("*.index.head.json")} - heads.keys()
    site.restore(dict.fromkeys([new], *heads.values()))
    assert refusal(store) == "mismatch"


def test_a_document_of_another_role(site: SignedSite, opened: Opened) -> None:
    store = opened()
    site.restore({"timestamp.json": site.copy()["1.snapshot.json"]})
    assert refusal(store) in ("mismatch", "unsigned")


# Fast-forward


def test_fast_forward_and_the_way_out_of_it(site: SignedSite, opened: Opened) -> None:
    """Versions that a stolen renew key has raised count no more once it is replaced."""
    store = opened()
    honest = dict(site.versions)
    site.versions |= {"timestamp": 10**12, "snapshot": 10**12}
    site.write_snapshot()
    site.write_timestamp()
    store.update_index()
    site.versions = honest
    site.keys["timestamp"] = site.keys["snapshot"] = [new_key()]
    site.write_root()
    site.publish({"a.txt": b"two"})
    assert store.update_index()


# What is missing, or no document


@pytest.mark.parametrize(
    "name", ["timestamp.json", "2.snapshot.json", "2.targets.json", "*.index.head.json"]
)
def test_a_site_that_lost_a_document(site: SignedSite, opened: Opened, name: str) -> None:
    store = opened()
    site.publish({"a.txt": b"two"})
    for path in site.trust.glob(name):
        path.unlink()
    assert refusal(store) == "missing"


def test_a_site_that_lost_its_signatures(site: SignedSite, opened: Opened) -> None:
    store = opened()
    for path in site.trust.iterdir():
        path.unlink()
    site.publish({"a.txt": b"evil"}, sign=False)
    assert refusal(store) == "missing"


def test_a_site_that_never_was_signed(site: SignedSite, opened: Opened, tmp_path: Path) -> None:
    from staticstore import publish

    (tmp_path / "plain" / "data").mkdir(parents=True)
    (tmp_path / "plain" / "data" / "a.txt").write_bytes(b"evil")
    publish(tmp_path / "plain")
    with pytest.raises(TrustError) as caught:
        opened(tmp_path / "plain")
    assert caught.value.reason == "missing"


def test_an_unsigned_head_beside_signed_ones(site: SignedSite, opened: Opened) -> None:
    store = opened()
    site.publish({"a.txt": b"evil"}, sign=False)
    assert not store.update_index()
    with pytest.raises(IntegrityError):
        store["a.txt"].read()


GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "text": b"not found",
    "a page": b"<!DOCTYPE html><title>Not found</title>",
    "no object": b"[]",
    "another object": b'{"error": 404}',
    "deep": b"[" * 60_000,
    "no signatures": b'{"signed": {"_type": "timestamp"}, "signatures": []}',
    "other types": b'{"signed": [], "signatures": {}}',
    "a long number": b'{"signed": {"version": ' + b"9" * 60_000 + b'}, "signatures": []}',
    "not UTF-8": b'{"signed": "\xff", "signatures": []}',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_timestamp_of_garbage(site: SignedSite, opened: Opened, what: str) -> None:
    store = opened()
    site.restore({"timestamp.json": GARBAGE[what]})
    assert refusal(store) in ("missing", "mismatch", "unsigned")


@pytest.mark.parametrize("what", ["empty", "text", "a page", "no object", "another object", "deep"])
def test_a_page_in_the_place_of_the_next_root_is_none(
    site: SignedSite, opened: Opened, what: str
) -> None:
    site.restore({"2.root.json": GARBAGE[what]})
    assert opened()["a.txt"].read() == b"one"


def test_endless_documents_are_cut_off(site: SignedSite, opened: Opened) -> None:
    store = opened()
    body = site.copy()["timestamp.json"]
    site.restore({"timestamp.json": body + b" " * (64 << 10)})
    assert refusal(store) == "mismatch"


def test_signed_targets_without_a_head(site: SignedSite, opened: Opened) -> None:
    from tuf.api.metadata import Targets

    store = opened()
    site.versions["targets"] += 1
    targets = Targets(version=site.versions["targets"], expires=_later())
    site.write(f"{site.versions['targets']}.targets.json", targets, site.keys["targets"])
    site.write_snapshot()
    site.write_timestamp()
    assert refusal(store) == "missing"


def test_a_version_that_is_no_name(site: SignedSite, opened: Opened) -> None:
    """Who has the renew key names a version that would be a path, were it used as one."""
    store = opened()
    site.versions["snapshot"] = 10**40
    site.write_timestamp()
    assert refusal(store) == "missing"


def _later() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


# Below a right head


def _flip(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha257"))


def test_a_forged_index_below_a_right_head(site: SignedSite, opened: Opened) -> None:
    for path in [site.root / "index.json", *site.root.glob("index/*.json")]:
        path.chmod(0o644)
        _flip(path)
    with pytest.raises(IntegrityError):
        opened()


def test_a_forged_change_file_below_a_right_head(site: SignedSite, opened: Opened) -> None:
    site.publish({f"{n:03}.txt": b"%d" % n for n in range(200)})
    store = opened()
    site.publish({"a.txt": b"two"})
    (changes,) = (one for one in site.root.glob("changes/*") if b"a.txt" in one.read_bytes()[:20])
    changes.write_bytes(changes.read_bytes().replace(b'"size":3', b'"size":4'))
    assert [change.metadata["size"] for change in store.update_index() if change.metadata] == [3]


def test_a_forged_block_below_a_right_head(site: SignedSite, opened: Opened) -> None:
    site.publish({f"{n:05}.txt": b"%d" % n for n in range(2_000)})
    store = opened(lazy=True)
    for path in [site.root / "index.json", *site.root.glob("index/*.json")]:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b'"00001.txt"', b'"0000x.txt"'))
    with pytest.raises(IntegrityError):
        store.exists("00001.txt")


def test_a_forged_pack_below_a_right_head(tmp_path: Path) -> None:
    site = SignedSite(tmp_path / "site")
    site.publish({f"{n}.txt": b"value %d" % n for n in range(50)}, pack=True)
    for path in [*site.root.glob("packs/*"), *site.root.glob("data/*")]:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b"value", b"eeeee"))
    with (
        StaticStore(site.root, trust=site.pinned, poll_interval=0) as store,
        pytest.raises(IntegrityError),
    ):
        list(store.read_many(store))
