"""Mirrors and pushes of a signed site, killed at any instant: readers see the old or the new."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, TrustError, publish, push, verify_site
from staticstore.site.push import PushReport
from staticstore.site.pushing.cloud import CloudTarget, Served
from staticstore.site.pushing.destination import NOTE
from staticstore.site.signatures.key_folder import KeyFolder
from tests.killing import killed
from tests.servers import S3Server
from tests.site.signatures.conftest import Reader, check_plain
from tests.site.signatures.killed_copying import ACTIONS, copy_site
from tests.site.sitefolder import fill

STEPS = {"mirror": 6, "verified": 6, "push": 4}


@pytest.fixture
def published(site: Path, keys: KeyFolder) -> Path:
    """A signed site."""
    publish(site, pack=True, sign=keys)
    return site


def change(site: Path, keys: KeyFolder) -> None:
    """Publish a site with another value."""
    fill(site / "data", {"d.json": b"{}"})
    publish(site, pack=True, sign=keys)


@pytest.mark.parametrize("action", ACTIONS)
def test_k15_killed_at_any_instant_a_copy_is_the_old_site_or_the_new(
    tmp_path: Path,
    memory_path: Path,
    published: Path,
    keys: KeyFolder,
    reader: Reader,
    action: str,
) -> None:
    copy_site(published, tmp_path / "template", action)
    old = reader.check(tmp_path / "template")
    change(published, keys)
    new = (published / "index.head.json").read_bytes()
    copies = memory_path / "killed"
    copies.mkdir()
    script = "tests.site.signatures.killed_copying"
    survived = killed(script, action, published, tmp_path / "template", copies, STEPS[action])
    assert survived >= 5
    seen = []
    for number in range(survived + 1):
        copy = copies / str(number)
        state = shutil.copytree(tmp_path / "state", memory_path / "states" / str(number))
        watching = Reader(state, (keys.path / "1.root.json").read_bytes())
        seen.append(watching.check(copy))
        check_plain(copy)
        copy_site(published, copy, action)
        assert watching.check(copy) == check_plain(copy)[1] == new
        assert verify_site(copy).wrong == []
        assert not list(copy.rglob("*.tmp"))
        assert not (copy / ".staticstore" / "incoming").exists()
    assert seen == sorted(seen, key=[old, new].index)
    assert (seen[0], seen[-1]) == (old, new)


class CutBucket(CloudTarget):
    """A bucket to which this process ends writing before a certain file."""

    before: str | None = None

    def write(self, href: str, size: int, pieces: Iterator[bytes], served: Served) -> None:
        """Write a file, unless it is that one."""
        if href == CutBucket.before:
            raise KeyboardInterrupt
        super().write(href, size, pieces, served)


class Bucket:
    """A bucket, and how to push to it.

    Parameters
    ----------
    server : S3Server
        Where it is.
    name : str
        Its name.
    """

    def __init__(self, server: S3Server, name: str) -> None:
        self._endpoint, self._target = server.url, f"s3://{name}/site"
        #: For readers.
        self.url = f"{server.bucket(name)}/site/"

    def push(self, site: Path, *, before: str | None = None, **options: Any) -> PushReport | None:
        """Push a site, and end before a certain file, if one is given."""
        CutBucket.before = before
        with contextlib.suppress(KeyboardInterrupt):
            place: dict[str, Any] = {"endpoint": self._endpoint, "region": "eu-central-1"}
            return push(site, self._target, workers=1, **place, **options)
        return None


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Bucket:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ali")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    monkeypatch.setattr("staticstore.site.pushing.target.CloudTarget", CutBucket)
    return Bucket(server, hashlib.sha256(request.node.name.encode()).hexdigest()[:20])


def keys_now(store: StaticStore) -> list[str]:
    """Return the keys that a store finds now, and can read."""
    store.update_index()
    assert dict(store.read_many(store)).keys() == set(store)
    return list(store)


def test_k15_cut_before_any_change_a_bucket_has_the_old_site_or_the_new(
    published: Path, keys: KeyFolder, bucket: Bucket
) -> None:
    bucket.push(published)
    old, new = ["a.csv", "b/c.bin"], ["a.csv", "b/c.bin", "d.json"]
    trust = keys.path / "1.root.json"
    with (
        StaticStore(bucket.url, poll_interval=0, trust=trust) as signed,
        StaticStore(bucket.url, poll_interval=0) as plain,
    ):
        change(published, keys)
        planned = bucket.push(published, dry_run=True)
        assert planned is not None
        seen = []
        for href in [NOTE, *planned.uploaded, None]:
            assert (bucket.push(published, before=href) is None) == (href is not None)
            seen.append([[old, new].index(keys_now(store)) for store in (signed, plain)])
    assert seen == sorted(seen)
    assert [seen[0], seen[-1]] == [[0, 0], [1, 1]]
    assert [0, 1] in seen  # the timestamp is the last


def test_k16_a_bucket_loses_its_timestamp_with_the_signatures_of_the_site(
    published: Path, keys: KeyFolder, bucket: Bucket
) -> None:
    bucket.push(published)
    trust = keys.path / "1.root.json"
    with (
        StaticStore(bucket.url, poll_interval=0, trust=trust) as signed,
        StaticStore(bucket.url, poll_interval=0) as plain,
    ):
        fill(published / "data", {"d.json": b"{}"})
        publish(published, unsign=True)
        bucket.push(published, force={"lineage"})
        assert "d.json" in keys_now(plain)
        with pytest.raises(TrustError) as caught:
            signed.update_index()
        assert caught.value.reason == "missing"
        assert signed["a.csv"].read() == b"x\n"
