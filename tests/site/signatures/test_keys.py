"""Keys: made in a safe place, locked, found by what the root document says."""

from __future__ import annotations

import json
import logging
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from staticstore import publish, serve
from staticstore.errors import IntegrityError, StoreError
from staticstore.site.signatures.key_folder import KeyFolder, key_file_name
from staticstore.site.signatures.new_keys import make_keys
from staticstore.site.signatures.passphrases import read_passphrases
from staticstore.site.signatures.publisher_key import PublisherKey
from staticstore.site.signatures.rotation import rotate_keys
from staticstore.trust.layout import ROOT, TARGETS, TIMESTAMP
from tests.site.signatures.conftest import PASSPHRASE, opened


def no_passphrase(name: str) -> list[str]:
    raise AssertionError(f"asked for {name}")


def publish_key(keys: KeyFolder) -> Path:
    """Return the file of the publish key."""
    (keyid,) = keys.chain().root.roles[TARGETS].keyids
    return keys.path / key_file_name(TARGETS, keyid)


def unlocked(path: Path, private: object = None) -> None:
    """Write a private key without a passphrase, by default the one that is there."""
    if private is None:
        private = serialization.load_pem_private_key(path.read_bytes(), PASSPHRASE.encode())
    body = private.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(body)


def test_only_the_owner_may_read_private_keys_and_their_folder(keys: KeyFolder) -> None:
    private = list(keys.path.glob("*.pem"))
    assert len(private) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o700


def test_private_keys_are_encrypted_ed25519_keys_in_pkcs8(keys: KeyFolder) -> None:
    path = publish_key(keys)
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    key = serialization.load_pem_private_key(path.read_bytes(), PASSPHRASE.encode())
    assert type(key).__name__ == "Ed25519PrivateKey"


def test_the_root_document_wants_two_of_three_root_keys(keys: KeyFolder) -> None:
    root = keys.chain().root
    assert (len(root.roles[ROOT].keyids), root.roles[ROOT].threshold) == (3, 2)
    assert root.consistent_snapshot


@pytest.mark.parametrize("place", ["site/keys", "site/data/keys", "link/keys"])
def test_k3_keys_are_not_made_inside_a_site(tmp_path: Path, site: Path, place: str) -> None:
    publish(site)
    (tmp_path / "link").symlink_to(site / "data")
    with pytest.raises(StoreError, match="inside the site"):
        make_keys(tmp_path / place, [PASSPHRASE])
    assert not (tmp_path / place).exists()


def test_k3_keys_inside_a_site_that_is_not_published_yet_do_not_sign_it(site: Path) -> None:
    make_keys(site / "keys", [PASSPHRASE])
    with pytest.raises(StoreError, match="inside the site"):
        publish(site, sign=opened(site / "keys"))
    assert not (site / "index.json").exists()


def test_k3_a_link_in_a_site_that_leads_to_the_keys_is_in_the_site(
    site: Path, keys: KeyFolder
) -> None:
    """Web servers follow it."""
    (site / "link").symlink_to(keys.path)
    for folder in (opened(site / "link"), keys):
        with pytest.raises(StoreError, match="published with"):
            publish(site, sign=folder)
    with pytest.raises(StoreError, match="keep keys elsewhere"):
        publish(site)
    assert not (site / "index.json").exists()


@pytest.mark.parametrize("place", ["keys", ".", "private/all/keys"])
def test_k3_a_site_that_is_made_above_keys_is_not_published(
    tmp_path: Path, site: Path, place: str
) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE])
    shutil.copytree(tmp_path / "keys", site / place, dirs_exist_ok=True)
    for show in (publish, serve):
        with pytest.raises(StoreError, match="keep keys elsewhere"):
            show(site)
    assert not (site / "index.json").exists()


def test_k3_a_site_that_contains_itself_by_a_link_is_published(site: Path) -> None:
    (site / "self").symlink_to(site)
    publish(site)


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/no/such/file"])
def test_k4_the_uri_of_a_file_that_is_none_is_not_read(
    site: Path, keys: KeyFolder, path: str
) -> None:
    publish(site, sign=keys)
    (keyid,) = keys.chain().root.roles[TARGETS].keyids
    publish_key(keys).unlink()
    (keys.path / "elsewhere.json").write_text(json.dumps({keyid: f"file2:{path}"}))
    with pytest.raises(StoreError, match="cannot be read"):
        publish(site, sign=opened(keys.path))


def test_k3_keys_are_not_made_in_a_folder_that_has_something(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(StoreError, match="not empty"):
        make_keys(tmp_path, [PASSPHRASE])


@pytest.mark.parametrize(("root_keys", "threshold"), [(1, 2), (0, 0), (17, 1), (3, 0)])
def test_numbers_of_root_keys_that_do_not_fit_are_refused(
    tmp_path: Path, root_keys: int, threshold: int
) -> None:
    with pytest.raises(ValueError, match="root keys"):
        make_keys(tmp_path / "keys", ["x"], root_keys=root_keys, threshold=threshold)


def test_k4_a_wrong_passphrase_is_an_error_that_does_not_repeat_it(keys: KeyFolder) -> None:
    wrong = KeyFolder(keys.path, passphrases=lambda name: ["open sesame"])
    with pytest.raises(StoreError, match=r"the passphrase does not open .*publish-") as caught:
        wrong.enough_signers(wrong.chain().root, TARGETS)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("passphrase", ["", "x" * 1024])
def test_k4_a_passphrase_that_cannot_lock_a_key_is_refused_before_anything_is_written(
    tmp_path: Path, passphrase: str
) -> None:
    with pytest.raises(StoreError, match="from 1 to 1023 bytes"):
        make_keys(tmp_path / "keys", [PASSPHRASE, passphrase])
    assert not (tmp_path / "keys").exists()


def test_each_passphrase_is_asked_for_once(keys: KeyFolder) -> None:
    asked = []
    once = KeyFolder(keys.path, passphrases=lambda name: [asked.append(name) or PASSPHRASE])  # type: ignore[func-returns-value]
    root = once.chain().root
    for role in (TARGETS, TIMESTAMP, ROOT):
        once.enough_signers(root, role)
    assert len(asked) == 1


def test_the_renew_key_may_have_a_passphrase_of_its_own(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE, "timer"])
    timer = KeyFolder(tmp_path / "keys", passphrases=lambda name: ["timer"])
    root = timer.chain().root
    assert timer.enough_signers(root, TIMESTAMP)
    with pytest.raises(StoreError, match="does not open"):
        timer.enough_signers(root, TARGETS)


def test_a_key_without_a_passphrase_needs_none(keys: KeyFolder) -> None:
    unlocked(publish_key(keys))
    without = KeyFolder(keys.path, passphrases=no_passphrase)
    assert without.enough_signers(without.chain().root, TARGETS)


def test_a_key_that_others_can_read_is_warned_of(
    keys: KeyFolder, caplog: pytest.LogCaptureFixture
) -> None:
    publish_key(keys).chmod(0o644)
    with caplog.at_level(logging.WARNING):
        keys.enough_signers(keys.chain().root, TARGETS)
    assert "other users may read the secret" in caplog.text


@pytest.mark.parametrize(
    "private",
    [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)],
    ids=["ecdsa", "rsa"],
)
def test_k4_a_key_of_another_kind_in_its_place_does_not_sign(
    keys: KeyFolder, private: object
) -> None:
    unlocked(publish_key(keys), private)
    with pytest.raises(StoreError, match="is not the key that its name says"):
        keys.enough_signers(keys.chain().root, TARGETS)


@pytest.mark.parametrize("body", [b"", b"\0" * 99, b"x" * (65 << 10)], ids=["empty", "0", "large"])
def test_k4_what_is_no_key_is_an_error(keys: KeyFolder, body: bytes) -> None:
    publish_key(keys).write_bytes(body)
    with pytest.raises(StoreError, match=r"no private key in PEM form|larger than"):
        keys.enough_signers(keys.chain().root, TARGETS)


@pytest.mark.parametrize("body", [b"", b"{}", b"[" * 60000, b'{"signed": {"_type": "root"}}'])
def test_k5_a_root_file_that_is_none_is_an_error(keys: KeyFolder, body: bytes) -> None:
    (keys.path / "1.root.json").write_bytes(body)
    with pytest.raises(IntegrityError, match="is no document of TUF"):
        keys.chain()


def test_a_root_file_that_is_none_is_named_by_its_folder(keys: KeyFolder) -> None:
    (keys.path / "1.root.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError) as caught:
        keys.chain()
    assert str(keys.path) in str(caught.value)
    assert "trust/" not in str(caught.value)


def test_a_missing_key_is_an_error_that_names_it_and_what_to_do(keys: KeyFolder) -> None:
    path = publish_key(keys)
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name}.*staticstore keys rotate publish"):
        keys.enough_signers(keys.chain().root, TARGETS)


def test_a_function_may_return_one_passphrase(keys: KeyFolder) -> None:
    folder = KeyFolder(keys.path, passphrases=lambda name: PASSPHRASE)
    assert folder.enough_signers(folder.chain().root, TARGETS)


def test_one_key_is_not_two_root_keys(tmp_path: Path) -> None:
    uri = elsewhere_key(tmp_path)
    with pytest.raises(StoreError, match="is given twice"):
        make_keys(tmp_path / "keys", [PASSPHRASE], root_uris=[uri, uri])
    assert not (tmp_path / "keys").exists()


def test_keys_are_found_in_other_folders_too(keys: KeyFolder, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    publish_key(keys).rename(stick / publish_key(keys).name)
    both = opened(keys.path, stick)
    assert both.enough_signers(both.chain().root, TARGETS)


def test_a_folder_without_a_root_document_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="staticstore keys new"):
        KeyFolder(tmp_path).chain()


@pytest.mark.parametrize("body", [b"", b"\n", b"a\n\nb\n", b"\xff\n"])
def test_a_file_without_passphrases_is_refused_and_not_repeated(
    tmp_path: Path, body: bytes
) -> None:
    (tmp_path / "pass").write_bytes(body)
    with pytest.raises(StoreError, match="a passphrase in each line"):
        read_passphrases(tmp_path / "pass")


def test_without_a_source_of_passphrases_the_variable_is_named(
    keys: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATICSTORE_PASSPHRASE_FILE", raising=False)
    with pytest.raises(StoreError, match="STATICSTORE_PASSPHRASE_FILE"):
        plain = KeyFolder(keys.path)
        plain.enough_signers(plain.chain().root, TARGETS)


# Keys that are elsewhere


def elsewhere_key(folder: Path) -> str:
    """Make a key outside of any folder of keys, and return how it is given."""
    private = ec.generate_private_key(ec.SECP256R1())
    unlocked(folder / "own.pem", private)
    (folder / "public.pem").write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return f"file2:{folder}/own.pem,{folder}/public.pem"


def test_a_key_does_not_replace_itself(site: Path, tmp_path: Path) -> None:
    uri = elsewhere_key(tmp_path)
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=uri)
    publish(site, sign=opened(tmp_path / "keys"))
    with pytest.raises(StoreError, match="counts already"):
        rotate_keys(site, "publish", opened(tmp_path / "keys"), list, uris=[uri])
    assert not (site / "trust" / "2.root.json").exists()


def test_a_key_that_was_elsewhere_is_retired_by_its_uri(site: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=elsewhere_key(tmp_path))
    publish(site, sign=opened(tmp_path / "keys"))
    report = rotate_keys(site, "publish", opened(tmp_path / "keys"), lambda: [PASSPHRASE])
    assert report.retired == [f"file2:{tmp_path}/own.pem"]


def test_a_key_elsewhere_signs_by_its_uri(tmp_path: Path, site: Path) -> None:
    """``file2:`` is securesystemslib's scheme for a file, as ``hsm:`` for a token."""
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=elsewhere_key(tmp_path))
    (uri,) = json.loads((tmp_path / "keys" / "elsewhere.json").read_bytes()).values()
    assert uri == f"file2:{tmp_path}/own.pem"
    publish(site, sign=opened(tmp_path / "keys"))
    targets = next((site / "trust").glob("*.targets.json"))
    assert len(json.loads(targets.read_bytes())["signatures"]) == 1


@pytest.mark.parametrize("uri", ["", "hsm", "https://host/key", "/a/path", "x" * 9999 + ":"])
def test_a_uri_of_another_scheme_is_refused(uri: str) -> None:
    with pytest.raises(StoreError, match="is no URI of a key that is elsewhere: awskms:"):
        PublisherKey.elsewhere(uri, no_passphrase)


def test_a_uri_that_does_not_lead_to_the_public_key_wants_it() -> None:
    with pytest.raises(StoreError, match=r"give URI,PUBLIC\.pem"):
        PublisherKey.elsewhere("gcpkms:projects/x", no_passphrase)
