"""Keys in a hardware security module, of which SoftHSM is an imitation in software."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from staticstore import publish
from staticstore.errors import StoreError
from staticstore.site.signatures.key_folder import KeyFolder
from staticstore.site.signatures.new_keys import make_keys
from staticstore.site.signatures.publisher_key import PublisherKey
from staticstore.site.signatures.rotation import rotate_keys
from tests.servers.debian import require
from tests.site.signatures.conftest import PASSPHRASE, Reader

pkcs11 = pytest.importorskip("pkcs11")

PIN = "1234"
URI = "hsm:2?label=publisher"
_P256 = bytes.fromhex("06082a8648ce3d030107")  # the object identifier of the curve, in DER


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module of SoftHSM with a token that has a key; one for the whole process."""
    program = require("softhsm2-util")
    library = next(program.prefix.glob("usr/lib/**/libsofthsm2.so"), None)
    if library is None:
        pytest.skip("the library of SoftHSM is not there")
    folder = tmp_path_factory.mktemp("hsm")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SOFTHSM2_CONF", str(folder / "conf"))
        subprocess.run(
            [
                *(program.path, "--init-token", "--free", "--label", "publisher"),
                *("--pin", PIN, "--so-pin", "5678", "--module", library),
            ],
            env={"SOFTHSM2_CONF": str(folder / "conf"), **program.environment},
            check=True,
            capture_output=True,
            timeout=20,
        )
        token = pkcs11.lib(str(library)).get_token(token_label="publisher")
        with token.open(rw=True, user_pin=PIN) as session:
            curve = session.create_domain_parameters(
                pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: _P256}, local=True
            )
            curve.generate_keypair(store=True, id=b"\x02", label="publish")
    return library


@pytest.fixture
def hsm(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What securesystemslib finds the module by."""
    monkeypatch.setenv("PYKCS11LIB", str(library))


def ask(name: str) -> list[str]:
    return [PIN if name == "pin" else PASSPHRASE]


@pytest.mark.usefixtures("hsm")
def test_a_key_in_a_module_publishes(site: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=URI, ask=ask)
    assert not list((tmp_path / "keys").glob("publish-*"))
    publish(site, sign=KeyFolder(tmp_path / "keys", passphrases=ask))
    reader = Reader(tmp_path / "state", (tmp_path / "keys" / "1.root.json").read_bytes())
    assert reader.check(site) == (site / "index.head.json").read_bytes()


@pytest.mark.usefixtures("hsm")
def test_a_key_in_a_module_replaces_one_in_a_file(
    site: Path, keys: KeyFolder, reader: Reader
) -> None:
    publish(site, sign=keys)
    rotate_keys(site, "publish", KeyFolder(keys.path, passphrases=ask), list, uris=[URI])
    publish(site, sign=KeyFolder(keys.path, passphrases=ask))
    reader.check(site)


@pytest.mark.usefixtures("hsm")
def test_a_wrong_pin_signs_nothing_and_is_not_repeated(site: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=URI, ask=ask)
    wrong = KeyFolder(
        tmp_path / "keys", passphrases=lambda name: ["9999" if name == "pin" else PASSPHRASE]
    )
    with pytest.raises(StoreError, match=r"cannot sign .*: PinIncorrect") as caught:
        publish(site, sign=wrong)
    assert "9999" not in str(caught.value)
    assert not (site / "index.json").exists()


@pytest.mark.usefixtures("hsm")
def test_a_token_that_is_not_there_is_an_error() -> None:
    with pytest.raises(StoreError, match="No PKCS#11 token found"):
        PublisherKey.elsewhere("hsm:2?label=other", ask)


def test_without_the_module_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    with pytest.raises(StoreError, match="PYKCS11LIB"):
        PublisherKey.elsewhere(URI, ask)


@pytest.mark.usefixtures("hsm")
def test_without_the_variable_a_publish_names_it_too(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=URI, ask=ask)
    monkeypatch.delenv("PYKCS11LIB")
    with pytest.raises(StoreError, match="PYKCS11LIB"):
        publish(site, sign=KeyFolder(tmp_path / "keys", passphrases=ask))


@pytest.mark.usefixtures("hsm")
def test_a_function_that_returns_one_pin_sends_all_of_it(site: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=URI, ask=ask)
    keys = KeyFolder(tmp_path / "keys", passphrases=lambda name: ask(name)[0])
    assert publish(site, sign=keys).set


@pytest.mark.usefixtures("hsm")
def test_a_wrong_pin_is_explained(site: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", [PASSPHRASE], publish_uri=URI, ask=ask)
    wrong = KeyFolder(tmp_path / "keys", passphrases=lambda name: [PASSPHRASE])
    with pytest.raises(StoreError, match=r"after a few wrong PINs a token locks itself"):
        publish(site, sign=wrong)


def test_a_number_that_is_none_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYKCS11LIB", "none")
    with pytest.raises(StoreError, match=r"must be such as hsm:2\?label=TOKEN"):
        PublisherKey.elsewhere("hsm:x?label=publisher", ask)
