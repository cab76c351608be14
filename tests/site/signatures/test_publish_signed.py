"""Publish with signatures: what is written, in which order, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import TargetFile

from staticstore import PublishReport, publish, serve, verify_site
from staticstore.errors import IntegrityError, StoreError
from staticstore.index.head import Head
from staticstore.site.folder.retention import KEPT_SECONDS
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.folder.trust_files import read_trust
from staticstore.site.guards import RefusedError
from staticstore.site.signatures.head_signer import HeadSigner
from staticstore.site.signatures.key_folder import KeyFolder
from staticstore.site.signatures.new_keys import make_keys
from staticstore.site.signatures.renewal import renew
from staticstore.site.watching import publish_watching
from staticstore.trust.chain import SignedHead
from tests.site.signatures.conftest import PASSPHRASE, Reader, opened
from tests.site.sitefolder import fill, make_site
from tests.test_architecture import imported_by

YEAR_SECONDS = 365 * 24 * 3600


def documents(site: Path) -> dict[str, tuple[bytes, int]]:
    """Return the files in ``trust/`` with their times."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in (site / "trust").iterdir()}


def signed(site: Path, name: str = "timestamp.json") -> dict[str, Any]:
    """Return what a document says."""
    part: dict[str, Any] = json.loads((site / "trust" / name).read_bytes())["signed"]
    return part


def add(site: Path, name: str) -> None:
    """Add a value, to be published."""
    fill(site / "data", {name: name.encode()})


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock of the publisher be so many seconds ahead."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


@pytest.fixture
def published(site: Path, keys: KeyFolder) -> Path:
    """The site, signed."""
    publish(site, sign=keys)
    return site


def test_another_client_of_tuf_reads_the_signed_head(published: Path, reader: Reader) -> None:
    assert reader.check(published) == (published / "index.head.json").read_bytes()


def test_it_reads_the_head_of_the_next_publish(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    reader.check(published)
    add(published, "new.csv")
    publish(published, sign=keys)
    assert Head.parse(reader.check(published)).generation == 2


def test_the_files_have_the_names_and_the_form_of_the_format(published: Path) -> None:
    names = set(documents(published))
    sha256 = hashlib.sha256((published / "index.head.json").read_bytes()).hexdigest()
    snapshot = signed(published)["meta"]["snapshot.json"]["version"]
    targets = signed(published, f"{snapshot}.snapshot.json")["meta"]["targets.json"]["version"]
    assert names == {
        *("1.root.json", "timestamp.json", f"{sha256}.index.head.json"),
        *(f"{snapshot}.snapshot.json", f"{targets}.targets.json"),
    }
    assert list(signed(published, f"{targets}.targets.json")["targets"]) == ["index.head.json"]


def test_the_index_and_its_head_are_those_of_a_publish_without(
    published: Path, tmp_path: Path
) -> None:
    plain = make_site(tmp_path / "plain", {"a.csv": b"x\n", "b/c.bin": b"12345"})
    publish(plain)
    assert (plain / "index.json").read_bytes() == (published / "index.json").read_bytes()


def test_a_publish_that_changes_nothing_writes_nothing(published: Path, keys: KeyFolder) -> None:
    before = documents(published)
    publish(published, sign=keys)
    assert documents(published) == before


def test_a_site_that_was_published_before_is_signed_as_it_is(
    site: Path, keys: KeyFolder, reader: Reader
) -> None:
    publish(site)
    assert publish(site, sign=keys).generation == 1
    assert reader.check(site) == (site / "index.head.json").read_bytes()


def test_after_a_day_a_publish_that_changes_nothing_signs_a_new_timestamp(
    published: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = documents(published)
    at(monkeypatch, 25 * 3600)
    publish(published, sign=keys)
    changed = {name for name, state in documents(published).items() if state != before[name]}
    assert changed == {"timestamp.json"}


def test_a12_the_time_of_the_timestamp_rises_by_a_whole_second(
    published: Path, keys: KeyFolder
) -> None:
    path = published / "trust" / "timestamp.json"
    for _ in range(3):
        before, size = int(path.stat().st_mtime), path.stat().st_size
        renew(published, keys)
        assert int(path.stat().st_mtime) > before
        assert path.stat().st_size == size


def test_versions_are_unix_seconds_or_one_more(published: Path, keys: KeyFolder) -> None:
    first = signed(published)["version"]
    assert abs(first - time.time()) < 60
    renew(published, keys)
    renew(published, keys)
    assert signed(published)["version"] >= first + 2


def test_documents_hold_for_two_weeks_and_two_years(published: Path) -> None:
    days = {}
    for name in documents(published):
        if not name.endswith(".head.json"):
            part = signed(published, name)
            ends = time.mktime(time.strptime(part["expires"], "%Y-%m-%dT%H:%M:%SZ"))
            days[part["_type"]] = round((ends - time.mktime(time.gmtime())) / 86400)
    assert days == {"root": 730, "targets": 730, "snapshot": 730, "timestamp": 14}


# What is refused


@pytest.mark.parametrize("changes", [False, True])
def test_k2_a_signed_site_is_not_published_without_a_word_about_signatures(
    published: Path, changes: bool
) -> None:
    if changes:
        add(published, "new.csv")
    before = (published / "index.json").read_bytes()
    with pytest.raises(StoreError, match=r"is signed.*--sign FOLDER.*--unsign"):
        publish(published)
    assert (published / "index.json").read_bytes() == before


def test_k2_a_dry_run_of_a_signed_site_needs_no_keys(published: Path) -> None:
    before = documents(published)
    add(published, "new.csv")
    assert publish(published, dry_run=True).set == ["new.csv"]
    assert documents(published) == before


def test_unsign_removes_all_signatures(published: Path) -> None:
    publish(published, unsign=True)
    assert not (published / "trust").exists()
    publish(published)


def test_unsign_leaves_files_of_others(published: Path) -> None:
    (published / "trust" / "notes.txt").touch()
    publish(published, unsign=True)
    assert set(documents(published)) == {"notes.txt"}


def test_to_sign_and_to_unsign_are_two_things(site: Path, keys: KeyFolder) -> None:
    with pytest.raises(ValueError, match="give one"):
        publish(site, sign=keys, unsign=True)


def test_k4_a_missing_key_is_found_before_anything_is_written(site: Path, keys: KeyFolder) -> None:
    for path in keys.path.glob("publish-*"):
        path.unlink()
    with pytest.raises(StoreError, match="1 publish key is needed"):
        publish(site, sign=keys)
    assert not (site / "index.json").exists()


def test_k5_other_keys_do_not_sign_a_signed_site(published: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other", [PASSPHRASE])
    before = documents(published)
    with pytest.raises(IntegrityError, match="is signed with other keys"):
        publish(published, sign=opened(tmp_path / "other"))
    assert documents(published) == before


def test_k5_a_root_document_by_a_stranger_is_refused(
    published: Path, keys: KeyFolder, tmp_path: Path
) -> None:
    make_keys(tmp_path / "other", [PASSPHRASE])
    forged = json.loads((tmp_path / "other" / "1.root.json").read_bytes())
    forged["signed"]["version"] = 2
    (published / "trust" / "2.root.json").write_text(json.dumps(forged))
    with pytest.raises(IntegrityError, match=r"2\.root\.json is not signed"):
        publish(published, sign=keys)


def test_k12_nothing_is_written_through_a_link(site: Path, keys: KeyFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (site / "trust").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a symbolic link"):
        publish(site, sign=keys)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_k8_a_clock_far_behind_the_last_signature_signs_nothing(
    published: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(published, "new.csv")
    before = documents(published), (published / "index.json").read_bytes()
    at(monkeypatch, -YEAR_SECONDS)
    with pytest.raises(StoreError, match="is behind the last signature of the site by 365 days"):
        publish(published, sign=keys)
    assert (documents(published), (published / "index.json").read_bytes()) == before


def test_k8_a_clock_a_little_behind_is_warned_of(
    published: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    at(monkeypatch, -2 * 24 * 3600)
    publish(published, sign=keys)
    assert "by 2 days: set it" in caplog.text


def test_a_watch_signs_and_asks_for_passphrases_once(
    site: Path, keys: KeyFolder, reader: Reader
) -> None:
    pytest.importorskip("watchfiles")
    asked: list[str] = []

    def ask(name: str) -> list[str]:
        asked.append(name)
        return [PASSPHRASE]

    outcomes = publish_watching(site, sign=KeyFolder(keys.path, passphrases=ask))
    for generation in (1, 2):
        outcome = next(outcomes)
        assert isinstance(outcome, PublishReport)
        assert Head.parse(reader.check(site)).generation == generation
        add(site, "new.csv")
    assert len(asked) == 1


def test_without_sign_nothing_of_tuf_is_imported(site: Path) -> None:
    modules = imported_by(f"import staticstore; staticstore.publish({str(site)!r})")
    assert not [name for name in modules if name.startswith(("tuf", "securesystems", "crypto"))]


# Damage, and the next run


@pytest.mark.parametrize("damage", [b"{}", b"\0" * 99, b"[" * 70_000], ids=["none", "0", "large"])
@pytest.mark.parametrize("name", ["timestamp.json", "*.snapshot.json", "*.targets.json", "*head*"])
def test_k6_a_damaged_document_is_mended_by_the_next_publish(
    published: Path,
    keys: KeyFolder,
    reader: Reader,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: bytes,
) -> None:
    reader.check(published)
    (path,) = (published / "trust").glob(name)
    path.write_bytes(damage)
    at(monkeypatch, 10)  # versions are seconds
    publish(published, sign=keys)
    reader.check(published)
    Reader(published.parent / "new", (keys.path / "1.root.json").read_bytes()).check(published)


def test_k7_a_digest_in_a_signed_document_is_never_a_path(
    published: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that the publish key has signed."""
    head = (published / "index.head.json").read_bytes()
    (published / "secret.index.head.json").write_bytes(head)
    made = TargetFile.from_data("index.head.json", head, ["sha256"])
    made.hashes["sha256"] = "../secret"
    monkeypatch.setattr(TargetFile, "from_data", lambda *given: made)
    add(published, "new.csv")
    publish(published, sign=keys)
    folder = SiteFolder(published)
    with pytest.raises(IntegrityError, match="there is no file"):
        SignedHead.read(keys.chain().root, read_trust(folder))


def test_k10_what_the_signed_head_names_stays_while_readers_need_it(
    published: Path, keys: KeyFolder, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish was killed before the timestamp, and the next comes a week later."""
    old = reader.check(published)
    add(published, "b.csv")
    with monkeypatch.context() as killing:
        killing.setattr(HeadSigner, "finish", _killed)
        with pytest.raises(KeyboardInterrupt):
            publish(published, sign=keys)
    assert reader.check(published) == old
    for path in published.rglob("*.json*"):
        os.utime(path, (path.stat().st_mtime - 7 * 86400,) * 2)
    named = [*published.glob("index/*"), *published.glob("blocks/*")]
    add(published, "c.csv")
    publish(published, sign=keys)
    assert all(path.exists() for path in named)
    assert reader.check(published) != old


@pytest.mark.parametrize("options", [{"pack": True}, {"compress": "*"}])
def test_k10_packs_and_compressed_copies_of_the_signed_head_stay_as_long(
    site: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    fill(site / "data", {"a.csv": b"1,2\n" * 500})
    publish(site, sign=keys, **options)
    named = [*site.glob("packs/*"), *site.glob("stored/*")]
    assert named
    fill(site / "data", {"a.csv": b"3,4\n" * 600})
    with monkeypatch.context() as killing:
        killing.setattr(HeadSigner, "finish", _killed)
        with pytest.raises(KeyboardInterrupt):
            publish(site, sign=keys, **options)
    for path in named:
        os.utime(path, (path.stat().st_mtime - 7 * 86400,) * 2)
    add(site, "c.csv")
    publish(site, sign=keys, **options)
    assert all(path.exists() for path in named)


def _killed(self: HeadSigner) -> None:
    raise KeyboardInterrupt


def test_signatures_that_nothing_names_stay_for_a_day(
    published: Path, keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(documents(published))
    add(published, "new.csv")
    publish(published, sign=keys)
    assert before <= set(documents(published))
    at(monkeypatch, KEPT_SECONDS + 60)
    add(published, "newer.csv")
    publish(published, sign=keys)
    assert before & set(documents(published)) == {"1.root.json", "timestamp.json"}


# A fresh checkout


def fresh(tmp_path: Path, site: Path) -> Path:
    """Return a checkout that has the data of a site alone."""
    shutil.copytree(site / "data", tmp_path / "checkout" / "data")
    return tmp_path / "checkout"


def test_a_fresh_checkout_continues_the_signed_site(
    published: Path, keys: KeyFolder, reader: Reader, tmp_path: Path
) -> None:
    renew(published, keys)
    reader.check(published)
    checkout = fresh(tmp_path, published)
    add(checkout, "new.csv")
    with serve(published, port=0) as server:
        publish(checkout, after=server.url, sign=keys)
    assert Head.parse(reader.check(checkout)).generation == 2


def test_k2_a_fresh_checkout_of_a_signed_site_is_not_published_unsigned(
    published: Path, tmp_path: Path
) -> None:
    checkout = fresh(tmp_path, published)
    with serve(published, port=0) as server:
        with pytest.raises(StoreError, match=r"to continue is signed.*--sign FOLDER"):
            publish(checkout, after=server.url)
        assert not (checkout / "index.json").exists()
        publish(checkout, after=server.url, unsign=True)
    assert not (checkout / "trust").exists()


def test_a_page_in_the_place_of_a_timestamp_is_no_signature(
    published: Path, tmp_path: Path
) -> None:
    checkout = fresh(tmp_path, published)
    (published / "trust" / "timestamp.json").write_bytes(b"<!doctype html>")
    with serve(published, port=0) as server:
        publish(checkout, after=server.url)
    assert (checkout / "index.json").exists()


@pytest.mark.parametrize("damage", ["forge", "remove"])
def test_k11_a_fresh_checkout_does_not_sign_what_a_host_invents(
    published: Path, keys: KeyFolder, tmp_path: Path, damage: str
) -> None:
    checkout = fresh(tmp_path, published)
    if damage == "forge":
        path = published / "trust" / "timestamp.json"
        path.write_bytes(path.read_bytes().replace(b'"expires":"202', b'"expires":"212'))
        expected: type[StoreError] = IntegrityError
    else:
        shutil.rmtree(published / "trust")
        expected = RefusedError
    with serve(published, port=0) as server, pytest.raises(expected):
        publish(checkout, after=server.url, sign=keys)
    assert not (checkout / "index.json").exists()


@pytest.mark.parametrize("is_there", [True, False])
def test_k11_the_head_that_is_signed_there_counts_and_not_the_published_one(
    published: Path, keys: KeyFolder, tmp_path: Path, is_there: bool
) -> None:
    checkout = fresh(tmp_path, published)
    head = Head.parse((published / "index.head.json").read_bytes())
    forged = (published / "index.head.json").read_bytes()
    forged = forged.replace(head.lineage.encode(), b"f" * 32)
    (published / "index.head.json").write_bytes(forged)
    if not is_there:
        (published / "index.head.json").unlink()
    with serve(published, port=0) as server:
        publish(checkout, after=server.url, sign=keys)
    assert Head.parse((checkout / "index.head.json").read_bytes()).lineage == head.lineage


def test_the_index_in_other_forms_is_written_in_one_publish_with_the_signatures(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    add(published, "new.csv")
    publish(published, sign=keys, also=["sums"])
    assert Head.parse(reader.check(published)).entries == 3
    assert b"data/new.csv" in (published / "SHA256SUMS").read_bytes()
    assert verify_site(published, sign=keys).wrong == []


def test_a_publish_that_adds_another_form_alone_keeps_the_signed_head(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    before = reader.check(published)
    publish(published, sign=keys, also=["sums"])
    assert reader.check(published) == before
    assert (published / "SHA256SUMS").exists()
