"""Rotation: each key can be replaced, and readers with the first root document follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from staticstore import publish
from staticstore.errors import IntegrityError, StoreError
from staticstore.site.signatures.key_folder import KeyFolder, key_file_name
from staticstore.site.signatures.new_keys import make_keys
from staticstore.site.signatures.renewal import renew
from staticstore.site.signatures.rotation import RotateReport, rotate_keys
from staticstore.trust.layout import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from tests.site.signatures.conftest import PASSPHRASE, Reader, opened
from tests.site.signatures.test_publish_signed import add, documents

ROLE = {"root": ROOT, "publish": TARGETS, "renew": TIMESTAMP}


@pytest.fixture
def published(site: Path, keys: KeyFolder) -> Path:
    """The site, signed."""
    publish(site, sign=keys)
    return site


def rotate(site: Path, name: str, keys: KeyFolder, **options: object) -> RotateReport:
    return rotate_keys(site, name, keys, lambda: [PASSPHRASE], **options)  # type: ignore[arg-type]


def again(keys: KeyFolder) -> KeyFolder:
    """Return the folder as the next command opens it."""
    return opened(keys.path)


def remove(keys: KeyFolder, role: str, keyid: str) -> None:
    (keys.path / key_file_name(role, keyid)).unlink()


@pytest.mark.parametrize("name", ["root", "publish", "renew"])
def test_each_key_can_be_replaced_and_readers_follow(
    published: Path, keys: KeyFolder, reader: Reader, name: str
) -> None:
    head, old = reader.check(published), keys.chain().root
    report = rotate(published, name, keys)
    assert (report.root, report.is_signed) == ("trust/2.root.json", True)
    root = again(keys).chain().root
    assert not set(root.roles[ROLE[name]].keyids) & set(old.roles[ROLE[name]].keyids)
    assert reader.check(published) == head
    add(published, "new.csv")
    publish(published, sign=again(keys))
    assert reader.check(published) != head


@pytest.mark.parametrize("name", ["root", "publish", "renew"])
def test_the_replaced_private_keys_are_no_longer_needed(
    published: Path, keys: KeyFolder, reader: Reader, name: str
) -> None:
    for file in rotate(published, name, keys).retired:
        (keys.path / file).unlink()
    add(published, "new.csv")
    publish(published, sign=again(keys))
    rotate(published, "publish", again(keys))
    reader.check(published)


@pytest.mark.parametrize("name", ["publish", "renew"])
def test_a_lost_key_is_replaced(
    published: Path, keys: KeyFolder, reader: Reader, name: str
) -> None:
    head = reader.check(published)
    remove(keys, ROLE[name], keys.chain().root.roles[ROLE[name]].keyids[0])
    assert rotate(published, name, again(keys)).is_signed
    assert reader.check(published) == head
    publish(published, sign=again(keys))


def test_a_key_that_cannot_be_opened_is_removed_and_replaced(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    (path,) = keys.path.glob("publish-*")
    path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"remove it and replace the key: .* rotate publish"):
        rotate(published, "publish", again(keys))
    path.unlink()
    rotate(published, "publish", again(keys))
    reader.check(published)


def test_one_of_three_root_keys_may_be_lost(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    kept, lost, other = keys.chain().root.roles[ROOT].keyids
    remove(keys, ROOT, lost)
    rotate(published, "root", again(keys), lost=[lost[:6]])
    root = again(keys).chain().root
    assert {kept, other} < set(root.roles[ROOT].keyids)
    assert (len(root.roles[ROOT].keyids), root.roles[ROOT].threshold) == (3, 2)
    assert lost not in root.keys
    reader.check(published)


def test_too_few_root_keys_replace_nothing(published: Path, keys: KeyFolder) -> None:
    for keyid in keys.chain().root.roles[ROOT].keyids[:2]:
        remove(keys, ROOT, keyid)
    before = documents(published)
    with pytest.raises(StoreError, match="2 root keys are needed, and 1 of"):
        rotate(published, "publish", again(keys))
    assert documents(published) == before


def test_root_keys_may_be_in_several_folders(
    published: Path, keys: KeyFolder, tmp_path: Path
) -> None:
    for number, path in enumerate(keys.path.glob("root-*")):
        (tmp_path / str(number)).mkdir()
        path.rename(tmp_path / str(number) / path.name)
    assert rotate(published, "publish", opened(keys.path, tmp_path / "0", tmp_path / "2")).is_signed


def test_an_expired_root_is_renewed_with_the_same_keys(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    root = keys.chain().root
    rotate(published, "root", keys, same_keys=True)
    renewed = again(keys).chain().root
    assert renewed.roles == root.roles
    assert renewed.version == 2
    assert renewed.expires >= root.expires
    reader.check(published)


def test_a_key_that_begins_with_nothing_known_is_not_lost(published: Path, keys: KeyFolder) -> None:
    for beginning in ("", "x", "zz"):
        with pytest.raises(StoreError, match="begins no id of a root key"):
            rotate(published, "root", keys, lost=[beginning])


def test_strangers_cannot_replace_keys(published: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "other", [PASSPHRASE])
    with pytest.raises(IntegrityError, match="other keys"):
        rotate(published, "publish", opened(tmp_path / "other"))


def test_a_site_that_lacks_a_root_document_gets_it_from_the_keys(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    rotate(published, "publish", keys)
    (published / "trust" / "1.root.json").unlink()
    (published / "trust" / "2.root.json").unlink()
    publish(published, sign=again(keys))
    reader.check(published)


def test_a_folder_of_keys_without_the_newest_root_follows_the_site(
    published: Path, keys: KeyFolder
) -> None:
    rotate(published, "root", keys)
    (keys.path / "2.root.json").unlink()
    renew(published, again(keys))


def test_k9_after_a_fast_forward_by_the_renew_key_its_rotation_is_the_way_out(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    """Who has the stolen key signs the highest version, and nothing newer would count."""
    genuine = (published / "trust" / "timestamp.json").read_bytes()
    (signer,) = keys.signers(keys.chain().root, SNAPSHOT)
    timestamp: Metadata[Timestamp] = Metadata.from_bytes(genuine)
    timestamp.signed.version = 2**53
    timestamp.sign(signer)
    (published / "trust" / "timestamp.json").write_bytes(timestamp.to_bytes())
    reader.check(published)
    (published / "trust" / "timestamp.json").write_bytes(genuine)
    renew(published, keys)
    with pytest.raises(RepositoryError):
        reader.check(published)
    rotate(published, "renew", keys)
    reader.check(published)


@pytest.mark.parametrize("version", [2**53, 10**400])
def test_k9_a_version_far_ahead_on_the_publishers_own_disk_is_left_by_a_rotation(
    published: Path, keys: KeyFolder, reader: Reader, version: int
) -> None:
    path = published / "trust" / "timestamp.json"
    (signer,) = keys.signers(keys.chain().root, SNAPSHOT)
    timestamp: Metadata[Timestamp] = Metadata.from_bytes(path.read_bytes())
    timestamp.signed.version = version
    timestamp.sign(signer)
    path.write_bytes(timestamp.to_bytes())
    with pytest.raises(StoreError, match="keys rotate renew"):
        renew(published, keys)
    rotate(published, "renew", keys)
    publish(published, sign=again(keys))
    assert json.loads(path.read_bytes())["signed"]["version"] < 2**40
    reader.check(published)


def test_k9_a_snapshot_far_ahead_is_left_by_a_rotation(
    published: Path, keys: KeyFolder, reader: Reader
) -> None:
    """The next version would have more digits than the name of a document may."""
    (signer,) = keys.signers(keys.chain().root, SNAPSHOT)
    path = published / "trust" / "timestamp.json"
    timestamp: Metadata[Timestamp] = Metadata.from_bytes(path.read_bytes())
    version = timestamp.signed.snapshot_meta.version
    body = (published / "trust" / f"{version}.snapshot.json").read_bytes()
    snapshot: Metadata[Snapshot] = Metadata.from_bytes(body)
    snapshot.signed.version = 10**16 - 1
    snapshot.sign(signer)
    body = snapshot.to_bytes()
    (published / "trust" / f"{10**16 - 1}.snapshot.json").write_bytes(body)
    timestamp.signed.version += 1
    timestamp.signed.snapshot_meta = MetaFile.from_data(10**16 - 1, body, ["sha256"])
    timestamp.sign(signer)
    path.write_bytes(timestamp.to_bytes())
    reader.check(published)
    add(published, "new.csv")
    with pytest.raises(StoreError, match="keys rotate renew"):
        publish(published, sign=again(keys))
    rotate(published, "renew", keys)
    publish(published, sign=again(keys))
    reader.check(published)
