"""Renewal: prolongs what is signed, and nothing else; what `--check` says of signatures."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from staticstore import publish, verify_site
from staticstore.errors import IntegrityError, StoreError
from staticstore.site.signatures.key_folder import KeyFolder
from staticstore.site.signatures.new_keys import make_keys
from staticstore.site.signatures.renewal import renew
from staticstore.site.signatures.rotation import rotate_keys
from tests.site.signatures.conftest import PASSPHRASE, Reader, opened
from tests.site.signatures.test_publish_signed import add, at, documents

DAY_SECONDS = 24 * 3600


@pytest.fixture
def published(site: Path, keys: KeyFolder) -> Path:
    """The site, signed."""
    publish(site, sign=keys)
    return site


@pytest.fixture
def timer(keys: KeyFolder, tmp_path: Path) -> KeyFolder:
    """What a timer has: the renew key, and the root document."""
    folder = tmp_path / "timer"
    folder.mkdir()
    for path in [*keys.path.glob("renew-*"), keys.path / "1.root.json"]:
        (folder / path.name).write_bytes(path.read_bytes())
        (folder / path.name).chmod(0o600)
    return opened(folder)


def changed(site: Path, before: dict[str, tuple[bytes, int]]) -> set[str]:
    return {name for name, state in documents(site).items() if before.get(name) != state}


def test_the_renew_key_alone_prolongs_a_site(
    published: Path, timer: KeyFolder, reader: Reader
) -> None:
    head, before = reader.check(published), documents(published)
    report = renew(published, timer)
    assert changed(published, before) == {"timestamp.json"}
    assert abs(report.expires.timestamp() - time.time() - 14 * DAY_SECONDS) < 60
    assert reader.check(published) == head


def test_it_does_not_look_at_the_head_that_is_not_signed(
    published: Path, timer: KeyFolder, reader: Reader
) -> None:
    head = reader.check(published)
    (published / "index.head.json").write_bytes(b"{}")
    renew(published, timer)
    assert reader.check(published) == head


def test_a_snapshot_near_its_end_is_signed_anew(
    published: Path, timer: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = documents(published)
    at(monkeypatch, 500 * DAY_SECONDS)
    report = renew(published, timer)
    (snapshot,) = changed(published, before) - {"timestamp.json"}
    assert snapshot.endswith(".snapshot.json")
    assert [text.partition(" ")[0] for text in report.warnings] == [
        "trust/1.root.json",
        next(f"trust/{name}" for name in before if name.endswith(".targets.json")),
    ]


def test_the_renew_key_alone_cannot_publish(published: Path, timer: KeyFolder) -> None:
    add(published, "new.csv")
    with pytest.raises(StoreError, match="1 publish key is needed"):
        publish(published, sign=timer)


def test_other_keys_do_not_prolong_a_site(published: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other", [PASSPHRASE])
    with pytest.raises(IntegrityError, match="other keys"):
        renew(published, opened(tmp_path / "other"))


@pytest.mark.parametrize("name", ["timestamp.json", "*.snapshot.json", "*.targets.json", "*head*"])
def test_k6_what_is_not_signed_is_not_prolonged(
    published: Path, timer: KeyFolder, name: str
) -> None:
    (path,) = (published / "trust").glob(name)
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    before = documents(published)
    with pytest.raises(IntegrityError, match="trust/"):
        renew(published, timer)
    assert documents(published) == before


def put_back(folder: Path, site: Path) -> None:
    """Do what somebody does who can write to a site, and has an older copy of it."""
    for path in folder.rglob("*"):
        if path.is_file():
            (site / path.relative_to(folder)).write_bytes(path.read_bytes())


def test_k13_an_older_state_that_somebody_has_put_back_is_not_prolonged(
    published: Path, keys: KeyFolder, timer: KeyFolder, tmp_path: Path
) -> None:
    """All its signatures are right; new readers would be shown it for as long as it is."""
    old = tmp_path / "old"
    shutil.copytree(published, old)
    add(published, "c.csv")
    publish(published, sign=keys)
    renew(published, timer)
    put_back(old, published)
    before = documents(published)
    for folder in (timer, keys):
        with pytest.raises(IntegrityError, match="older than what was signed last"):
            renew(published, folder)
    with pytest.raises(IntegrityError, match="older than what was signed last"):
        rotate_keys(published, "publish", keys, lambda: [PASSPHRASE])
    assert documents(published) == before
    assert verify_site(published, sign=keys).wrong
    publish(published, sign=keys)
    renew(published, keys)


def test_k13_another_site_has_versions_of_its_own(
    published: Path, keys: KeyFolder, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(published, old)
    add(published, "c.csv")
    publish(published, sign=keys)
    renew(old, keys)


def test_a_folder_of_keys_that_cannot_be_written_prolongs_with_a_warning(
    published: Path,
    timer: KeyFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def atomic_file(path: Path, **options: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("staticstore.site.signatures.signature_note.atomic_file", atomic_file)
    before = documents(published)
    renew(published, timer)
    assert changed(published, before) == {"timestamp.json"}
    assert "signed.json" in caplog.text


@pytest.mark.parametrize("body", [b"", b"[]", b'{"/": 7}', b"\xff", b"{" * 10_000])
def test_a_note_of_garbage_is_none(published: Path, timer: KeyFolder, body: bytes) -> None:
    (timer.path / "signed.json").write_bytes(body)
    renew(published, timer)
    assert str(published) in (timer.path / "signed.json").read_text()


def test_a_site_without_signatures_says_how_to_sign(site: Path, timer: KeyFolder) -> None:
    publish(site)
    with pytest.raises(StoreError, match="publish --sign"):
        renew(site, timer)


# publish --check


def test_a_signed_site_verifies(published: Path, keys: KeyFolder) -> None:
    for report in (verify_site(published), verify_site(published, sign=keys)):
        assert (report.wrong, report.warnings) == ([], [])


def test_a_site_that_others_have_signed_does_not_verify_with_the_keys(
    published: Path, keys: KeyFolder, tmp_path: Path
) -> None:
    publish(published, unsign=True)
    make_keys(tmp_path / "other", [PASSPHRASE])
    publish(published, sign=opened(tmp_path / "other"))
    assert verify_site(published).wrong == []
    ((path, reason),) = verify_site(published, sign=keys).wrong
    assert path == "trust"
    assert "signed with other keys" in reason


@pytest.mark.parametrize("name", ["timestamp.json", "*.snapshot.json", "*.targets.json", "*head*"])
def test_k6_a_changed_document_does_not_verify(published: Path, name: str) -> None:
    (path,) = (published / "trust").glob(name)
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    assert [where for where, _ in verify_site(published).wrong] == ["trust"]


def test_a_head_that_is_not_the_signed_one_does_not_verify(published: Path) -> None:
    path = published / "index.head.json"
    head = json.loads(path.read_bytes())
    path.write_text(json.dumps({**head, "generation": 7}))
    assert ("index.head.json", "it is not the signed head: publish the site again with --sign") in (
        verify_site(published).wrong
    )


def test_an_expired_timestamp_does_not_verify(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 15 * DAY_SECONDS)
    ((path, reason),) = verify_site(published).wrong
    assert path == "trust/timestamp.json"
    assert reason.startswith("has expired on ")
    assert reason.endswith("its publisher prolongs it by 'staticstore renew'")


def test_less_than_a_third_of_its_time_is_warned_of(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, 9 * DAY_SECONDS)
    assert verify_site(published).warnings == []
    at(monkeypatch, DAY_SECONDS)
    report = verify_site(published)
    assert report.wrong == []
    (warning,) = report.warnings
    assert warning.startswith("trust/timestamp.json expires on ")


def test_a_site_without_signatures_verifies_only_without_keys(site: Path, keys: KeyFolder) -> None:
    publish(site)
    assert verify_site(site).wrong == []
    ((path, reason),) = verify_site(site, sign=keys).wrong
    assert (path, reason) == ("trust", "there is no file trust/timestamp.json")
