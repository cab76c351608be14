"""Killed at any instant, readers of signatures see the old state or the new one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from staticstore import publish, verify_site
from staticstore.site.signatures.key_folder import KeyFolder
from tests.killing import killed
from tests.site.signatures.conftest import Reader, opened
from tests.site.signatures.killed_signing import act_on
from tests.site.sitefolder import fill


@pytest.fixture
def template(tmp_path: Path, site: Path, keys: KeyFolder) -> Path:
    """A folder with a signed site and its keys."""
    publish(site, sign=keys)
    folder = tmp_path / "template"
    folder.mkdir()
    shutil.copytree(site, folder / "site")
    shutil.copytree(keys.path, folder / "keys")
    return folder


@pytest.mark.parametrize("action", ["publish", "renew", "rotate-publish", "rotate-root"])
def test_h1_killed_at_any_instant_readers_are_served_and_the_next_run_mends(
    tmp_path: Path,
    template: Path,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # the next runs are not killed
    old = reader.check(template / "site")
    fill(template / "site" / "data", {"d.json": b"{}"})  # published by the next run, if not by it
    survived = killed("tests.site.signatures.killed_signing", template, tmp_path / "killed", action)
    assert survived >= 3
    seen = []
    for number in range(survived + 1):
        copy = tmp_path / "killed" / str(number)
        state = shutil.copytree(tmp_path / "state", tmp_path / "states" / str(number))
        watching = Reader(state, (template / "keys" / "1.root.json").read_bytes())
        seen.append(watching.check(copy / "site"))
        act_on(copy, action)
        watching.check(copy / "site")
        roots = {path.name for path in (copy / "site" / "trust").glob("*.root.json")}
        assert roots == {f"{version}.root.json" for version in range(1, len(roots) + 1)}
        publish(copy / "site", sign=opened(copy / "keys"))
        assert watching.check(copy / "site") == (copy / "site" / "index.head.json").read_bytes()
        assert verify_site(copy / "site").wrong == []
        assert not list(copy.rglob("*.tmp"))
        shutil.rmtree(copy)
    is_new = [body != old for body in seen]
    assert is_new == sorted(is_new)
    assert is_new[-1] == (action == "publish")
