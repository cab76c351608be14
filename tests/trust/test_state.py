"""What was seen of a signed site, in the folder of the cache: shared, damaged, not there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from staticstore import IntegrityError, StaticStore, StoreError, TransportError, TrustError
from tests.servers import RawServer, serve_files
from tests.trust.conftest import Opened
from tests.trust_sites import SignedSite

GARBAGE: dict[str, bytes] = {
    "empty": b"",
    "text": b"garbage",
    "half": b'{"format":"staticstore-trust/1","roots":[',
    "other types": b'{"format":"staticstore-trust/1","roots":7,"timestamp":[]}',
    "another format": b'{"format":"staticstore-trust/9"}',
    "no documents": b'{"format":"staticstore-trust/1","roots":["a","b"],"timestamp":"c",'
    b'"snapshot":"d","targets":"e","head":"f"}',
    "a version of the future": b'{"format":"staticstore-trust/1","roots":[],"timestamp":'
    b'"{\\"signed\\":{\\"version\\":999999999999}}","snapshot":"","targets":"","head":""}',
}


def state_of(cache: Path) -> Path:
    """Return the file of the state."""
    (found,) = cache.glob("indexes/*/trust.json")
    return found


@pytest.mark.parametrize("what", GARBAGE)
def test_a_state_of_garbage_is_none(
    site: SignedSite, opened: Opened, tmp_path: Path, what: str
) -> None:
    store = opened(cache=tmp_path / "cache")
    state_of(tmp_path / "cache").write_bytes(GARBAGE[what])
    site.publish({"a.txt": b"two"})
    assert store.update_index()
    assert opened(cache=tmp_path / "cache")["a.txt"].read() == b"two"
    assert json.loads(state_of(tmp_path / "cache").read_bytes())["timestamp"]


def test_a_state_of_garbage_makes_no_store_go_back(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    old = site.copy()
    site.publish({"a.txt": b"two"})
    store = opened(cache=tmp_path / "cache")
    state_of(tmp_path / "cache").write_bytes(GARBAGE["a version of the future"])
    site.restore(old)
    with pytest.raises(TrustError) as caught:
        store.update_index()
    assert caught.value.reason == "rollback"


def test_what_another_process_has_seen_counts(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    store = opened(cache=tmp_path / "cache")
    old = site.copy()
    site.publish({"a.txt": b"two"})
    opened(cache=tmp_path / "cache").disconnect()
    site.restore(old)
    with pytest.raises(TrustError) as caught:
        store.update_index()
    assert caught.value.reason == "rollback"


def test_four_threads_share_a_state(site: SignedSite, opened: Opened, tmp_path: Path) -> None:
    stores = [opened(cache=tmp_path / "cache") for _ in range(4)]
    problems: list[BaseException] = []
    together = threading.Barrier(4)

    def poll(store: StaticStore) -> None:
        try:
            for _ in range(5):
                together.wait()
                store.update_index()
        except BaseException as error:
            problems.append(error)

    for number in range(3):
        site.publish({"a.txt": b"%d" % number})
        threads = [threading.Thread(target=poll, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []
    assert {store["a.txt"].read() for store in stores} == {b"2"}


def test_two_processes_share_a_state(site: SignedSite, tmp_path: Path) -> None:
    code = f"""
from staticstore import StaticStore
for _ in range(10):
    with StaticStore({str(site.root)!r}, trust={str(site.pinned)!r}, poll_interval=0,
                     cache={str(tmp_path / "cache")!r}) as store:
        store.update_index()
        assert store["a.txt"].read() == b"one"
        assert not [one for one in store.info()["warnings"]], store.info()["warnings"]
"""
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [one.wait() for one in running] == [0, 0]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_a_state_that_cannot_be_written_is_in_memory(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_bytes(b"no folder")
    old = site.copy()
    site.publish({"a.txt": b"two"})
    store = opened(cache=tmp_path / "cache")
    assert any("in memory only" in text for text in store.info()["warnings"])
    site.restore(old)
    with pytest.raises(TrustError) as caught:
        store.update_index()
    assert caught.value.reason == "rollback"


def test_without_a_cache_the_state_is_in_memory(opened: Opened, tmp_path: Path) -> None:
    assert any("in memory only" in text for text in opened().info()["warnings"])
    store = opened(cache=tmp_path / "cache")
    assert not any("in memory only" in text for text in store.info()["warnings"])


def test_a_state_has_no_other_reader(opened: Opened, tmp_path: Path) -> None:
    opened(cache=tmp_path / "cache")
    assert state_of(tmp_path / "cache").stat().st_mode & 0o077 == 0


# A start without the host


def test_a_cached_index_was_verified_when_it_came(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    with RawServer(serve_files(site.files())) as server:
        opened(server.url, cache=tmp_path / "cache").disconnect()
        server.stop()
        store = opened(server.url, cache=tmp_path / "cache")
        info = store.info()
        server.start()
    assert list(store) == ["a.txt"]
    assert (info["trust"], info["stale"]) == ("signed", True)


def test_a_cached_index_that_somebody_has_forged_does_not_count(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """With a right note beside it: whoever can write here still has no key."""
    opened(cache=tmp_path / "cache").disconnect()
    (note,) = tmp_path.glob("cache/indexes/*/note.json")
    said = json.loads(note.read_bytes().partition(b"\n")[2])
    (site.root / "data" / "a.txt").write_bytes(b"TWO")
    body = (note.parent / "index.json").read_bytes()
    right, wrong = (hashlib.sha256(one).hexdigest().encode() for one in (b"one", b"TWO"))
    forged = body.replace(right, wrong)
    (note.parent / "index.json").write_bytes(forged)
    said["sha256"] = hashlib.sha256(forged).hexdigest()
    line = json.dumps(said).encode()
    note.write_bytes(hashlib.sha256(line).hexdigest().encode() + b"\n" + line)
    with pytest.raises(IntegrityError):
        opened(cache=tmp_path / "cache")["a.txt"].read()


def test_no_note_says_how_long_signatures_hold(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    server = RawServer(serve_files(site.files()))
    with server:
        store = opened(server.url, cache=tmp_path / "cache")
        right = store.info()["trust_expires"]
        store.disconnect()
    (note,) = tmp_path.glob("cache/indexes/*/note.json")
    said = json.loads(note.read_bytes().partition(b"\n")[2])
    line = json.dumps({**said, "expires": said["expires"] * 2}).encode()
    note.write_bytes(hashlib.sha256(line).hexdigest().encode() + b"\n" + line)
    assert opened(server.url, cache=tmp_path / "cache").info()["trust_expires"] == right


def test_without_a_folder_for_temporary_files_a_poll_fails(
    site: SignedSite, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    site.write_timestamp()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match="temporary files"):
        store.update_index()
    assert store["a.txt"].read() == b"one"


def test_a_full_disk_is_a_poll_that_fails(
    site: SignedSite, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_bytes(path: Path, body: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = opened()
    site.write_timestamp()
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(StoreError, match="No space left"):
        store.update_index()


def test_a_cached_index_without_signatures_does_not_count(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    with RawServer(serve_files(site.files())) as server:
        StaticStore(server.url, cache=tmp_path / "cache", poll_interval=0).connect().disconnect()
        server.stop()
        with pytest.raises(TransportError):
            opened(server.url, cache=tmp_path / "cache")
        server.start()


def test_a_cached_index_of_another_root_document_does_not_count(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    other = SignedSite(tmp_path / "other")
    with RawServer(serve_files(site.files())) as server:
        opened(server.url, cache=tmp_path / "cache").disconnect()
        server.stop()
        with pytest.raises(TransportError):
            opened(server.url, cache=tmp_path / "cache", trust=other.pinned)
        server.start()


def test_a_cache_does_not_hide_that_signatures_are_refused(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    opened(cache=tmp_path / "cache").disconnect()
    (site.trust / "timestamp.json").unlink()
    with pytest.raises(TrustError) as caught:
        opened(cache=tmp_path / "cache")
    assert caught.value.reason == "missing"


# Nothing of python-tuf without it


def test_nothing_of_tuf_is_imported_without_trust(site: SignedSite) -> None:
    code = f"""
import sys
from staticstore import StaticStore
from staticstore.client.access import import_all
with StaticStore({str(site.root)!r}, poll_interval=0) as store:
    import_all()
    assert store.index
print(sorted(name for name in sys.modules if name.partition(".")[0] in ("tuf", "securesystemslib")))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
