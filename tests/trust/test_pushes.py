"""Pushes of a signed site: the timestamp last, the other signatures before the head."""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from staticstore import RefusedError, StoreError, TrustError, push
from staticstore.site.pushing.destination import NOTE
from staticstore.site.pushing.source import PushSource
from staticstore.site.pushing.target import FolderTarget
from tests.trust.conftest import Opened
from tests.trust_sites import SignedSite


def test_a_pushed_site_is_read_under_its_root(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    push(site.root, tmp_path / "host")
    assert opened(tmp_path / "host")["a.txt"].read() == b"one"


def test_the_timestamp_is_last_and_the_signatures_before_the_head(
    site: SignedSite, tmp_path: Path
) -> None:
    uploaded = push(site.root, tmp_path / "host").uploaded
    assert uploaded[-1] == "trust/timestamp.json"
    others = [path for path in uploaded if path.startswith("trust/")][:-1]
    assert len(others) == 4
    assert max(map(uploaded.index, others)) < uploaded.index("index.json")


def test_a_second_push_uploads_what_is_new(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    push(site.root, tmp_path / "host")
    store = opened(tmp_path / "host")
    assert push(site.root, tmp_path / "host").uploaded == []
    site.write_timestamp()
    assert push(site.root, tmp_path / "host").uploaded == ["trust/timestamp.json"]
    site.publish({"a.txt": b"two"})
    uploaded = push(site.root, tmp_path / "host").uploaded
    assert "trust/1.root.json" not in uploaded
    assert store.update_index()


def test_all_but_the_timestamp_may_be_cached_for_ever(site: SignedSite) -> None:
    uploads = PushSource.open(site.root).signatures()
    assert {one.served.cache_control for one in uploads} == {"public, max-age=31536000, immutable"}
    assert {one.served.media_type for one in uploads} == {"application/json"}


def test_a_site_that_is_half_signed_is_not_pushed(site: SignedSite, tmp_path: Path) -> None:
    site.publish({"a.txt": b"two"}, sign=False)
    with pytest.raises(StoreError, match="--sign"):
        push(site.root, tmp_path / "host")


@pytest.mark.parametrize("delete", [False, True])
def test_t19_a_site_that_is_not_signed_does_not_replace_a_signed_one_unless_forced(
    site: SignedSite, opened: Opened, tmp_path: Path, delete: bool
) -> None:
    pinned, host = site.pinned.read_bytes(), tmp_path / "host"
    push(site.root, host)
    store = opened(host, trust=pinned)
    shutil.rmtree(site.trust)
    with pytest.raises(RefusedError, match="is signed, and the folder is not") as caught:
        push(site.root, host, delete=delete)
    assert caught.value.guard == "lineage"
    assert not store.update_index()
    forced = push(site.root, host, delete=delete, dry_run=True, force={"lineage"})
    assert forced.deleted == ["trust/timestamp.json"]
    assert push(site.root, host, delete=delete, force={"lineage"}).deleted == forced.deleted
    with pytest.raises(TrustError) as refused:
        store.update_index()
    assert refused.value.reason == "missing"
    assert push(site.root, host, delete=delete).deleted == []


def test_t19_a_push_that_ends_before_it_has_removed_the_timestamp_is_mended_by_the_next(
    site: SignedSite, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, pinned = tmp_path / "host", site.pinned.read_bytes()
    push(site.root, host)
    site.publish({"b.txt": b"two"})
    shutil.rmtree(site.trust)
    cut_off(monkeypatch, "remove", site.root, host)
    assert list(opened(host, trust=pinned)) == ["a.txt"]
    push(site.root, host, force={"lineage"})
    assert not (host / "trust" / "timestamp.json").exists()


def test_t19_a_signed_site_that_came_there_by_other_means_is_not_replaced_either(
    site: SignedSite, tmp_path: Path
) -> None:
    shutil.copytree(site.root, tmp_path / "host")
    shutil.rmtree(site.trust)
    with pytest.raises(RefusedError, match="is signed"):
        push(site.root, tmp_path / "host")


def test_t19_a_site_with_other_keys_replaces_all_root_documents_if_forced(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    site.write_root()
    site.sign()
    host = tmp_path / "host"
    push(site.root, host)
    shutil.rmtree(site.trust)
    site.begin()
    site.sign()
    with pytest.raises(RefusedError, match=r"with other keys \(trust/1\.root\.json,"):
        push(site.root, host)
    report = push(site.root, host, force={"lineage"})
    assert "trust/1.root.json" in report.uploaded
    assert report.deleted == ["trust/2.root.json"]
    assert opened(host)["a.txt"].read() == b"one"


def test_t20_what_signatures_lead_to_stays_for_a_day_after_an_interrupted_push(
    site: SignedSite, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "host"
    push(site.root, host)
    old = {path for path in host.glob("[!.]*/*.json*") if path.name != "timestamp.json"}
    site.publish({"b.txt": b"two"})
    cut_off(monkeypatch, "trust/timestamp.json", site.root, host)
    assert list(opened(host)) == ["a.txt"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7 * 86400)
    site.publish({"c.txt": b"three"})
    push(site.root, host, delete=True)
    assert [path for path in old if not path.exists()] == []
    monkeypatch.setattr(time, "time", lambda: now + 9 * 86400)
    push(site.root, host, delete=True)
    assert {path.name for path in old if path.exists()} == {"1.root.json"}


def cut_off(
    monkeypatch: pytest.MonkeyPatch, href: str, site: Path, host: Path, *, time: int = 1
) -> None:
    """Push, and end before a file is written for the first or a later time, or any is removed."""
    write, times = FolderTarget.write, itertools.count(1)

    def cut(self: FolderTarget, path: str, *arguments: Any) -> None:
        if path == href and next(times) == time:
            raise KeyboardInterrupt
        write(self, path, *arguments)

    with monkeypatch.context() as cutting:
        cutting.setattr(FolderTarget, "write", cut)
        if href == "remove":
            cutting.setattr(FolderTarget, "remove", lambda self, hrefs: cut(self, "remove"))
        with pytest.raises(KeyboardInterrupt):
            push(site, host, force={"lineage"})


def test_t20_a_first_push_that_ends_before_its_note_is_known_to_have_signed(
    site: SignedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = tmp_path / "host"
    cut_off(monkeypatch, NOTE, site.root, host, time=2)
    shutil.rmtree(site.trust)
    with pytest.raises(RefusedError, match="is signed"):
        push(site.root, host)


def test_other_forms_and_compressed_copies_are_pushed_beside_the_signatures(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    site.publish({"b.txt": b"two" * 500}, also=["sums"], compress="b.txt", expire="until")
    uploaded = push(site.root, tmp_path / "host").uploaded
    assert uploaded.index("SHA256SUMS") < uploaded.index("index.json")
    assert opened(tmp_path / "host")["b.txt"].read() == b"two" * 500
    assert push(site.root, tmp_path / "host").uploaded == []
