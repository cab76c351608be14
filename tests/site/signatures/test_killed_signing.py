"""Killed at any instant, readers of signatures see the old state or the new one."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadError, UnsignedMetadataError

from staticstore import StaticStore, publish, verify_site
from staticstore.site.documents.exports import EXPORTS
from staticstore.site.signatures.key_folder import KeyFolder
from tests.killing import killed
from tests.site.signatures.conftest import Reader, check_plain, opened
from tests.site.signatures.killed_signing import ACTIONS, EVERYTHING, act_on
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


class Killed:
    """The folders that killed runs of one action have left, and readers of them.

    Parameters
    ----------
    folder : Path
        A folder for them.
    template : Path
        The folder from which each began, beside the state of a reader.
    action : str
        What was killed.
    step : int, optional
        How many instants apart they are; else as `ACTIONS` says.
    """

    def __init__(self, folder: Path, template: Path, action: str, step: int | None = None) -> None:
        self.folder, self.template = folder, template
        script = "tests.site.signatures.killed_signing"
        step = step or ACTIONS[action]
        self.survived = killed(script, template, folder / "killed", action, step)

    def copies(self) -> list[Path]:
        """Return the folders, in the order of the instants."""
        return [self.folder / "killed" / str(number) for number in range(self.survived + 1)]

    def watching(self, copy: Path) -> Reader:
        """Return a reader that has read the site before, and goes on with a copy."""
        state = shutil.copytree(self.template.parent / "state", self.folder / "states" / copy.name)
        return Reader(state, (self.template / "keys" / "1.root.json").read_bytes())


def other_forms(site: Path) -> dict[str, bytes]:
    """Return the index in other forms."""
    files = (site / export.file for export in EXPORTS.values())
    return {path.name: path.read_bytes() for path in files if path.exists()}


@pytest.mark.parametrize("action", sorted(ACTIONS.keys() - {"everything", "unsign"}))
def test_k1_killed_at_any_instant_readers_are_served_and_the_next_run_mends(
    memory_path: Path, template: Path, reader: Reader, action: str
) -> None:
    old = reader.check(template / "site")
    fill(template / "site" / "data", {"d.json": b"{}"})  # published by the next run, if not by it
    runs = Killed(memory_path, template, action)
    assert runs.survived >= 3
    seen = []
    for copy in runs.copies():
        watching = runs.watching(copy)
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


def test_k1_a_rotation_without_the_old_key_is_mended_by_the_next_publish(
    memory_path: Path, template: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers refuse the site in between, since nobody can sign for both roots."""
    old = reader.check(template / "site")
    (key,) = (template / "keys").glob("publish-*.pem")
    key.unlink()
    runs = Killed(memory_path, template, "rotate-publish", step=3)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 10)  # versions are seconds
    for copy in runs.copies():
        watching = runs.watching(copy)
        with contextlib.suppress(UnsignedMetadataError):
            assert watching.check(copy / "site") == old
        if not (copy / "keys" / "2.root.json").exists():  # no key was replaced yet
            act_on(copy, "rotate-publish")
        publish(copy / "site", sign=opened(copy / "keys"))
        assert watching.check(copy / "site") == old
        assert verify_site(copy / "site").wrong == []


def test_k1_packs_compressed_copies_and_other_forms_are_old_or_new_at_any_instant(
    memory_path: Path, template: Path, keys: KeyFolder, reader: Reader
) -> None:
    site = template / "site"
    fill(site / "data", {"long.csv": b"1,2\n" * 500})
    publish(site, sign=keys, **EVERYTHING)
    old_head, old, old_forms = reader.check(site), check_plain(site), other_forms(site)
    fill(site / "data", {"d.json": b"{}", "longer.csv": b"3,4\n" * 600})
    runs = Killed(memory_path, template, "everything")
    assert runs.survived >= 8
    reference = runs.copies()[-1] / "site"
    new, new_forms = (reference / "index.json").read_bytes(), other_forms(reference)
    heads, indexes = [], []
    for copy in runs.copies():
        watching = runs.watching(copy)
        heads.append(watching.check(copy / "site") != old_head)
        index, _ = check_plain(copy / "site")
        indexes.append([old[0], new].index(index))
        for name, body in other_forms(copy / "site").items():
            assert body in (old_forms[name], new_forms[name])
        act_on(copy, "everything")
        assert watching.check(copy / "site") == (copy / "site" / "index.head.json").read_bytes()
        assert (copy / "site" / "index.json").read_bytes() == new
        assert other_forms(copy / "site") == new_forms
        assert verify_site(copy / "site").wrong == []
        assert not list(copy.rglob("*.tmp"))
    assert heads == sorted(heads)
    assert indexes == sorted(indexes)
    assert (heads[0], heads[-1], indexes[0], indexes[-1]) == (False, True, 0, 1)


def test_k1_signatures_are_removed_or_not_at_any_instant(
    memory_path: Path, template: Path, reader: Reader
) -> None:
    old = reader.check(template / "site")
    fill(template / "site" / "data", {"d.json": b"{}"})
    runs = Killed(memory_path, template, "unsign")
    is_signed = []
    for copy in runs.copies():
        check_plain(copy / "site")
        try:
            assert runs.watching(copy).check(copy / "site") == old
            is_signed.append(True)
        except DownloadError:
            is_signed.append(False)
            assert not (copy / "site" / "trust" / "timestamp.json").exists()
        act_on(copy, "unsign")
        assert not (copy / "site" / "trust").exists()
        assert verify_site(copy / "site").wrong == []
        with StaticStore(copy / "site", poll_interval=0) as store:
            assert "d.json" in store
    assert is_signed == sorted(is_signed, reverse=True)
    assert (is_signed[0], is_signed[-1]) == (True, False)
