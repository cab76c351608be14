"""Mirrors and pushes of a signed site, killed at any instant: readers see the old or the new."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from staticstore import publish, verify_site
from staticstore.site.signatures.key_folder import KeyFolder
from tests.killing import killed
from tests.site.signatures.conftest import Reader, check_plain
from tests.site.signatures.killed_copying import ACTIONS, copy_site
from tests.site.sitefolder import fill

STEPS = {"mirror": 6, "verified": 6, "push": 4}


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    # The next runs, which are not killed, need not wait for the disk.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


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
def test_h13_killed_at_any_instant_a_copy_is_the_old_site_or_the_new(
    tmp_path: Path, published: Path, keys: KeyFolder, reader: Reader, action: str
) -> None:
    copy_site(published, tmp_path / "template", action)
    old = reader.check(tmp_path / "template")
    change(published, keys)
    new = (published / "index.head.json").read_bytes()
    copies = tmp_path / "killed"
    copies.mkdir()
    script = "tests.site.signatures.killed_copying"
    survived = killed(script, action, published, tmp_path / "template", copies, STEPS[action])
    assert survived >= 5
    seen = []
    for number in range(survived + 1):
        copy = copies / str(number)
        state = shutil.copytree(tmp_path / "state", tmp_path / "states" / str(number))
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
