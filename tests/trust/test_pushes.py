"""Pushes of a signed site: the timestamp last, the other signatures before the head."""

from __future__ import annotations

import shutil
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


def test_a_push_over_signatures_that_stay_says_what_readers_see(
    site: SignedSite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    push(site.root, tmp_path / "host")
    assert "--delete" not in caplog.text
    shutil.rmtree(site.trust)
    push(site.root, tmp_path / "host")
    assert "go on seeing the signed state" in caplog.text
    assert "push with --delete" in caplog.text


def test_other_forms_and_compressed_copies_are_pushed_beside_the_signatures(
    site: SignedSite, opened: Opened, tmp_path: Path
) -> None:
    site.publish({"b.txt": b"two" * 500}, also=["sums"], compress="b.txt", expire="until")
    uploaded = push(site.root, tmp_path / "host").uploaded
    assert uploaded.index("SHA256SUMS") < uploaded.index("index.json")
    assert opened(tmp_path / "host")["b.txt"].read() == b"two" * 500
    assert push(site.root, tmp_path / "host").uploaded == []
