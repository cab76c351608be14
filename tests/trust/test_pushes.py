"""Pushes of a signed site: the timestamp last, the other signatures before the head."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from staticstore import StoreError, push
from staticstore.site.pushing.source import PushSource
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


def test_a_push_of_a_site_that_is_signed_no_more(site: SignedSite, tmp_path: Path) -> None:
    push(site.root, tmp_path / "host")
    shutil.rmtree(site.trust)
    report = push(site.root, tmp_path / "host", delete=True)
    assert report.deleted == ["trust/timestamp.json"]


def test_a_site_that_is_signed_anew_replaces_the_root_documents_at_its_host(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    """With keys that have nothing to do with those before, and fewer root documents."""
    site.write_root()
    push(site.root, tmp_path / "host")
    again = SignedSite(tmp_path / "again")
    push(again.root, tmp_path / "host", force=True)
    assert list(opened(tmp_path / "host", trust=again.pinned)) == ["a.txt"]


def test_a_push_of_an_older_state_does_not_hide_that_keys_were_replaced(
    site: SignedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    shutil.copytree(site.root, old)
    site.write_root()
    push(site.root, tmp_path / "host")
    now = time.time()
    for days in (0, 2, 4):
        monkeypatch.setattr(time, "time", partial(float, now + days * 86400))
        push(old, tmp_path / "host", delete=True)
    assert (tmp_path / "host" / "trust" / "2.root.json").exists()


def test_other_forms_and_compressed_copies_are_pushed_beside_the_signatures(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    site.publish({"b.txt": b"two" * 500}, also=["sums"], compress="b.txt", expire="until")
    uploaded = push(site.root, tmp_path / "host").uploaded
    assert uploaded.index("SHA256SUMS") < uploaded.index("index.json")
    assert opened(tmp_path / "host")["b.txt"].read() == b"two" * 500
    assert push(site.root, tmp_path / "host").uploaded == []
